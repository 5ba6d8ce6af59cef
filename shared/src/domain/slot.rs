//! Replication slots: what two syncs must not use at once.

use serde_json::Value;

/// The replication slot that a source's config uses, as a text that is equal for equal slots; none without one.
///
/// It is found by its name, `replication_slot`, wherever the connector keeps it, and belongs to the server and database
/// that the config names beside it.
pub fn replication_slot(config: &Value) -> Option<String> {
    let slot = find(config, "replication_slot")?;
    let text = |name: &str| match config.get(name) {
        Some(Value::String(text)) => text.trim().to_lowercase(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    Some(format!("{}|{}|{}|{slot}", text("host"), text("port"), text("database")))
}

fn find<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Object(fields) => match fields.get(name) {
            Some(Value::String(slot)) if !slot.trim().is_empty() => Some(slot.trim()),
            _ => fields.values().find_map(|field| find(field, name)),
        },
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slot_belongs_to_its_server_and_database() {
        let config = |host: &str, slot: &str| {
            json!({"host": host, "port": 5432, "database": "shop", "password": "x",
                   "update_method": {"type": "CDC", "replication_slot": slot}})
        };
        let one = replication_slot(&config("DB", "olake")).unwrap();
        assert_eq!(one, replication_slot(&config("db", "olake")).unwrap());
        assert_ne!(one, replication_slot(&config("db", "other")).unwrap());
        assert_ne!(one, replication_slot(&config("db2", "olake")).unwrap());
        assert_eq!(replication_slot(&config("db", " ")), None);
        assert_eq!(replication_slot(&json!({"update_method": {"type": "Standalone"}})), None);
    }
}

//! The catalog of a job. Newer versions keep what a source has and what of it is selected apart; a selection then says
//! what used to stand in the stream.

use serde_json::{Map, Value, json};

use crate::json::parse_json;

/// The catalog of a job as JSON text, from the columns in which it is kept; none if there is none.
pub fn text(whole: Option<&str>, available: Option<&str>, selected: Option<&str>) -> Option<String> {
    let object = |text: Option<&str>| match parse_json(text?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    };
    if object(whole).is_some_and(|catalog| !catalog.is_empty()) {
        return whole.map(str::to_owned);
    }
    let streams = object(available)?.shift_remove("streams")?;
    let selected = object(selected)?.shift_remove("selected_streams")?;
    let Value::Array(mut streams) = streams else { return None };
    for stream in &mut streams {
        if let Some(stream) = stream.get_mut("stream").and_then(Value::as_object_mut) {
            select(stream, &selected);
        }
    }
    Some(json!({ "streams": streams, "selected_streams": selected }).to_string())
}

/// Puts what the selection of a stream says into the stream, if it is selected.
fn select(stream: &mut Map<String, Value>, selected: &Value) {
    let namespace = stream.get("namespace").and_then(Value::as_str).unwrap_or_default();
    let of_namespace =
        selected.get(namespace).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(chosen) = of_namespace.iter().find(|chosen| chosen.get("stream_name") == stream.get("name"))
    else {
        return;
    };
    for name in ["sync_mode", "destination_database", "cursor_field"] {
        match chosen.get(name).filter(|value| !value.is_null() && **value != "") {
            Some(value) => {
                stream.insert(name.to_owned(), value.clone());
            }
            None if name == "cursor_field" => {
                stream.shift_remove(name);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_catalog_is_kept_to_the_byte() {
        let whole = r#"{"streams": [], "b": 1e400,  "a": 12345678901234567890123}"#;
        assert_eq!(text(Some(whole), None, None).as_deref(), Some(whole));
        assert_eq!(text(Some(whole), Some("{}"), Some("{}")).as_deref(), Some(whole));
    }

    #[test]
    fn two_parts_become_one_with_what_was_selected_in_its_stream() {
        let available = r#"{"streams": [
            {"stream": {"name": "orders", "namespace": "shop", "sync_mode": "full_refresh", "cursor_field": "old"}},
            {"stream": {"name": "orders", "namespace": "other", "sync_mode": "full_refresh"}}]}"#;
        let selected = r#"{"selected_streams": {"shop": [
            {"stream_name": "orders", "sync_mode": "cdc", "destination_database": "lake", "normalization": true}]}}"#;
        let whole: Value =
            serde_json::from_str(&text(None, Some(available), Some(selected)).unwrap()).unwrap();
        assert_eq!(
            whole,
            json!({
                "streams": [
                    {"stream": {"name": "orders", "namespace": "shop", "sync_mode": "cdc", "destination_database": "lake"}},
                    {"stream": {"name": "orders", "namespace": "other", "sync_mode": "full_refresh"}}
                ],
                "selected_streams": {"shop": [
                    {"stream_name": "orders", "sync_mode": "cdc", "destination_database": "lake", "normalization": true}
                ]}
            })
        );
    }

    #[test]
    fn what_is_no_catalog_is_none() {
        for (whole, available, selected) in [
            (None, None, None),
            (Some("{}"), None, None),
            (Some("[]"), Some("{}"), Some("{}")),
            (None, Some("{\"streams\": 1}"), Some("{\"selected_streams\": {}}")),
        ] {
            assert_eq!(text(whole, available, selected), None);
        }
    }
}

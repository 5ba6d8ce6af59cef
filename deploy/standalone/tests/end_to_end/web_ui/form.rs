//! How values are looked at: each function fails with the name of the field.

use serde_json::Value;

/// The field; it must be there.
#[track_caller]
pub fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or_else(|| panic!("{name} is missing: {value}"))
}

#[track_caller]
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    field(value, name).as_str().unwrap_or_else(|| panic!("{name} is no text: {value}"))
}

#[track_caller]
pub fn texts(value: &Value, names: &[&str]) {
    for name in names {
        text(value, name);
    }
}

#[track_caller]
pub fn whole(value: &Value, name: &str) -> i64 {
    field(value, name).as_i64().unwrap_or_else(|| panic!("{name} is no whole number: {value}"))
}

#[track_caller]
pub fn flag(value: &Value, name: &str) -> bool {
    field(value, name).as_bool().unwrap_or_else(|| panic!("{name} is neither true nor false: {value}"))
}

#[track_caller]
pub fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    items(field(value, name))
}

#[track_caller]
pub fn items(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

#[track_caller]
pub fn object<'a>(value: &'a Value, name: &str) -> &'a Value {
    let found = field(value, name);
    assert!(found.is_object(), "{name} is no object: {value}");
    found
}

/// A text that holds a JSON object.
#[track_caller]
pub fn json_text(value: &Value, name: &str) -> Value {
    let held: Value =
        serde_json::from_str(text(value, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(held.is_object(), "{name} holds no object: {held}");
    held
}

#[track_caller]
pub fn absent(value: &Value, names: &[&str]) {
    for name in names {
        assert_eq!(value.get(*name), None, "{name} must be absent: {value}");
    }
}

/// RFC 3339, UTC.
#[track_caller]
pub fn time(value: &Value, name: &str) -> chrono::DateTime<chrono::Utc> {
    let text = text(value, name);
    assert!(text.ends_with('Z') || text.ends_with("+00:00"), "{name} is not UTC: {text}");
    text.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `vX.Y.Z`.
#[track_caller]
pub fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.strip_prefix('v').unwrap_or_else(|| panic!("no version: {text}")).split('.');
    let mut next =
        || parts.next().and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("no version: {text}"));
    (next(), next(), next())
}

/// One of these words.
#[track_caller]
pub fn one_of(value: &Value, name: &str, words: &[&str]) {
    let word = text(value, name);
    assert!(words.contains(&word), "{name} is '{word}', which is none of {words:?}");
}

//! Values and their types: what a field of a file is taken for, and how it is compared.
//!
//! The types are a lattice: integer below number, everything below string. A column has the lowest type that
//! holds all its values, so no value is lost by its column's type. An integer of more than 64 bits is text;
//! one above 2^53 is rounded only where a column mixes it with fractions.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use serde_json::{Value, json};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Integer,
    Number,
    /// Microseconds since 1970, UTC.
    Timestamp,
    Text,
}

impl Kind {
    /// The name in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Timestamp => "timestamp",
            Self::Text => "string",
        }
    }

    /// The type that a catalog names; what is neither of ours (arrays, objects) is carried as text.
    pub fn from_name(name: &str) -> Self {
        match name {
            "boolean" => Self::Boolean,
            "integer" | "integer_small" => Self::Integer,
            "number" | "number_small" => Self::Number,
            name if name.starts_with("timestamp") => Self::Timestamp,
            _ => Self::Text,
        }
    }

    /// The lowest type that holds the values of both.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Text,
        }
    }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Timestamp(i64),
    Text(String),
}

impl Cell {
    /// A field of a CSV file. An empty one is null.
    pub fn from_csv(field: &str) -> Self {
        if field.is_empty() { Self::Null } else { Self::Text(field.to_owned()) }
    }

    /// A value of a JSON line. Arrays and objects become their JSON text.
    pub fn from_json(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            Value::String(text) => Self::Text(text),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Integer(value),
                (None, Some(value)) if !is_whole(&number.to_string()) => Self::Number(value),
                _ => Self::Text(number.to_string()),
            },
            nested => Self::Text(nested.to_string()),
        }
    }

    /// The type of a value read from a CSV file: told from its text. `None` for null.
    pub fn kind_in_csv(&self) -> Option<Kind> {
        match self {
            Self::Text(text) => Some(sniff(text)),
            other => other.kind_in_json(),
        }
    }

    /// The type of a value read from a JSON line: text stays text unless it is a time. `None` for null.
    pub fn kind_in_json(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Number(_) => Kind::Number,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Text(text) if timestamp(text).is_some() => Kind::Timestamp,
            Self::Text(_) => Kind::Text,
        })
    }

    /// The value as one of type `kind`; `None` if it is none.
    pub fn convert(self, kind: Kind) -> Option<Self> {
        Some(match (self, kind) {
            (Self::Null, _) => Self::Null,
            (Self::Text(text), Kind::Text) => Self::Text(text),
            (Self::Text(text), Kind::Integer) => Self::Integer(integer(&text)?),
            (Self::Text(text), Kind::Number) => Self::Number(number(&text)?),
            (Self::Text(text), Kind::Boolean) => Self::Boolean(boolean(&text)?),
            (Self::Text(text), Kind::Timestamp) => Self::Timestamp(timestamp(&text)?),
            #[expect(clippy::cast_precision_loss, reason = "a column of numbers holds 64-bit floats")]
            (Self::Integer(value), Kind::Number) => Self::Number(value as f64),
            (Self::Boolean(value), Kind::Text) => Self::Text(value.to_string()),
            (Self::Integer(value), Kind::Text) => Self::Text(value.to_string()),
            (Self::Number(value), Kind::Text) => Self::Text(value.to_string()),
            (cell, kind) if cell.kind_in_json() == Some(kind) => cell,
            _ => return None,
        })
    }

    /// The order of a column's values; null comes first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            // A column has one type, so this is never asked.
            _ => Ordering::Equal,
        }
    }

    /// The value as a state or a JSON document holds it; times as RFC 3339 with nanoseconds.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => json!(value),
            Self::Integer(value) => json!(value),
            Self::Number(value) => json!(value),
            Self::Timestamp(micros) => DateTime::from_timestamp_micros(*micros)
                .map_or(Value::Null, |time| json!(time.to_rfc3339_opts(SecondsFormat::Nanos, true))),
            Self::Text(text) => json!(text),
        }
    }
}

fn sniff(text: &str) -> Kind {
    if boolean(text).is_some() {
        Kind::Boolean
    } else if integer(text).is_some() {
        Kind::Integer
    } else if number(text).is_some() {
        Kind::Number
    } else if timestamp(text).is_some() {
        Kind::Timestamp
    } else {
        Kind::Text
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Digits with a leading zero (`007`) or a plus sign (`+49…`) are codes, not numbers.
fn integer(text: &str) -> Option<i64> {
    let plain = is_whole(text)
        && (text.trim_start_matches('-').len() == 1 || !text.trim_start_matches('-').starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    if is_whole(text) {
        // Too long for an integer: a float would round it.
        #[expect(clippy::cast_precision_loss, reason = "a column of numbers holds 64-bit floats")]
        return integer(text).map(|value| value as f64);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && !(digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
    if plain { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

/// RFC 3339, the same without a zone (taken as UTC), or a date alone. In microseconds; finer digits are
/// dropped.
pub fn timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let naive = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some(naive.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_taken_for_the_lowest_type_that_holds_it() {
        for (text, kind) in [
            ("true", Kind::Boolean),
            ("0", Kind::Integer),
            ("-12", Kind::Integer),
            ("007", Kind::Text),
            ("+49", Kind::Text),
            ("9223372036854775807", Kind::Integer),
            ("9223372036854775808", Kind::Text),
            ("1.50", Kind::Number),
            ("-1e3", Kind::Number),
            ("0.5", Kind::Number),
            ("inf", Kind::Text),
            ("1.2.3", Kind::Text),
            ("2024-02-29", Kind::Timestamp),
            ("2024-02-29 10:00:00.5", Kind::Timestamp),
            ("2024-02-29T10:00:00+02:00", Kind::Timestamp),
            ("2023-02-29", Kind::Text),
            ("12:30", Kind::Text),
            ("", Kind::Text),
        ] {
            assert_eq!(sniff(text), kind, "{text}");
        }
    }

    #[test]
    fn converting_to_the_joined_type_loses_no_value() {
        let cells = ["12", "1.5", "true", "2024-01-01", "x"].map(Cell::from_csv);
        for a in &cells {
            for b in &cells {
                let joined = a.kind_in_csv().unwrap().join(b.kind_in_csv().unwrap());
                assert!(
                    a.clone().convert(joined).is_some() && b.clone().convert(joined).is_some(),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn a_time_survives_the_state() {
        let cell =
            Cell::Text("2024-02-29T10:00:00.123456+02:00".to_owned()).convert(Kind::Timestamp).unwrap();
        let stored = cell.to_json();
        assert_eq!(stored, "2024-02-29T08:00:00.123456000Z");
        assert_eq!(Cell::from_json(stored).convert(Kind::Timestamp), Some(cell));
    }

    #[test]
    fn json_numbers_keep_their_value() {
        let parse = |text: &str| Cell::from_json(serde_json::from_str(text).unwrap());
        assert_eq!(parse("1"), Cell::Integer(1));
        assert_eq!(parse("1.5"), Cell::Number(1.5));
        assert_eq!(parse("123456789012345678901"), Cell::Text("123456789012345678901".to_owned()));
        assert_eq!(parse("[1, {\"a\": null}]"), Cell::Text("[1,{\"a\":null}]".to_owned()));
    }
}

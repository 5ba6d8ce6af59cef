//! Reading JSON that others wrote: requests, what connectors print, rows of the database.
//!
//! `serde_json` gives two names of members a meaning of its own, when features are on that we and our dependencies use:
//! the value of `$serde_json::private::RawValue` is parsed again as JSON, with a new bound on its depth, and that of
//! `$serde_json::private::Number` becomes a number. Nested, a short text overflows the stack, which ends the process; and
//! a text may be written back as one that cannot be read. So text from outside becomes a [`Value`] here and nowhere else:
//! a text with such a name is refused before it is parsed.
//!
//! Invariants: a value that is read can be written and read again; it is at most [`DEEPEST`] levels deep.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// How many levels a text may have: `serde_json` refuses more.
pub const DEEPEST: usize = 127;

/// What the names begin with that `serde_json` keeps for itself.
const RESERVED: &str = "$serde_json::private::";

/// Why a text is not read. The text itself is not shown.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON, or nested too deep.
    #[error("this is no JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// It is no text.
    #[error("this is no JSON: it is not UTF-8")]
    Encoding,
    /// A member has a name that is reserved.
    #[error("no member may have a name that begins with {RESERVED}")]
    Reserved,
    /// It is JSON, and not what was expected.
    #[error("this JSON is not what was expected: {0}")]
    Shape(#[source] serde_json::Error),
}

/// Reads a JSON text. Keys keep their order and numbers their digits.
///
/// # Errors
/// [`JsonError`].
pub fn parse_json(bytes: impl AsRef<[u8]>) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes.as_ref()).map_err(|_| JsonError::Encoding)?;
    if has_reserved_name(text) {
        return Err(JsonError::Reserved);
    }
    serde_json::from_str(text).map_err(JsonError::Syntax)
}

/// Reads a JSON text into a type that holds values of any form.
///
/// # Errors
/// [`JsonError`].
pub fn parse_json_as<T: DeserializeOwned>(bytes: impl AsRef<[u8]>) -> Result<T, JsonError> {
    // By way of a value: a tagged enum that is read from text would lose the digits of large numbers.
    serde_json::from_value(parse_json(bytes)?).map_err(JsonError::Shape)
}

/// Whether a value has more than `levels` levels of objects and arrays.
pub fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(elements) => {
            levels == 0 || elements.iter().any(|element| is_deeper_than(element, levels - 1))
        }
        Value::Object(members) => {
            levels == 0 || members.values().any(|member| is_deeper_than(member, levels - 1))
        }
        _ => false,
    }
}

/// Whether a member has a reserved name, also one that is written with escapes. Of a text that is no JSON this says
/// nothing, and does not have to: up to the place where it stops to be JSON, its texts are found as a parser finds them.
fn has_reserved_name(text: &str) -> bool {
    // Other escapes than these stand for characters that the names do not have.
    if !text.contains(RESERVED) && !text.contains("\\u") {
        return false;
    }
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(start) = bytes[from..].iter().position(|byte| *byte == b'"').map(|at| from + at) {
        let Some(end) = end_of_string(bytes, start + 1) else { return false };
        from = end + 1;
        let is_name = bytes[from..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        if is_name && is_reserved(&text[start..=end]) {
            return true;
        }
    }
    false
}

/// The place of the quote that ends a string.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `quoted` is a string with its quotes.
fn is_reserved(quoted: &str) -> bool {
    if quoted[1..].starts_with(RESERVED) {
        return true;
    }
    quoted.contains("\\u")
        && serde_json::from_str::<String>(quoted).is_ok_and(|name| name.starts_with(RESERVED))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_refused(text: &str) -> bool {
        matches!(parse_json(text), Err(JsonError::Reserved))
    }

    #[test]
    fn reserved_names_are_refused_wherever_they_stand_and_however_they_are_written() {
        for text in [
            r#"{"$serde_json::private::RawValue":"{}"}"#,
            r#"{"$serde_json::private::Number":"12e5"}"#,
            r#"{"$serde_json::private::Other" : 1}"#,
            r#"{"a":[1,{"b":{"$serde_json::private::RawValue"
                :"[]"}}]}"#,
            r#"{"\u0024serde_json::private::RawValue":"{}"}"#,
            r#"{"\u0024\u0073erde_json::\u0070rivate::Number":"1"}"#,
            r#"{"a":"\"","$serde_json::private::RawValue":"{}"}"#,
            r#"{"a\\":1,"$serde_json\u003a:private::RawValue":"{}"}"#,
            r#"["é\u00e9",{"$serde_json::private::RawValue":"{}"}]"#,
        ] {
            assert!(is_refused(text), "{text}");
        }
    }

    #[test]
    fn a_text_that_would_nest_parsers_is_refused_before_it_is_parsed() {
        let mut text = "[]".to_owned();
        for _ in 0..12 {
            text = json!({"$serde_json::private::RawValue": text}).to_string();
        }
        assert!(is_refused(&text));
    }

    #[test]
    fn a_value_may_say_what_no_name_may() {
        for text in [
            r#"{"a":"$serde_json::private::RawValue"}"#,
            r#"["$serde_json::private::RawValue"]"#,
            r#"{"a":"say \"$serde_json::private::RawValue\": x","\u0061b":"\u0024"}"#,
            r#"{"serde_json::private::RawValue":1}"#,
        ] {
            let read = parse_json(text).unwrap();
            assert_eq!(parse_json(read.to_string()).unwrap(), read);
        }
    }

    #[test]
    fn order_and_digits_survive() {
        let text = r#"{"z":12345678901234567890123,"a":{"y":1.10,"b":1e+400}}"#;
        assert_eq!(parse_json(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "\"", "\"\\", "{\"a\\u\":1}", "{\"\\u0024serde\": }", "\u{feff}{}", "[1] x"] {
            assert!(matches!(parse_json(text), Err(JsonError::Syntax(_))), "{text}");
        }
        assert!(matches!(parse_json(b"\"\xff\""), Err(JsonError::Encoding)));
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let deepest = parse_json(nested(DEEPEST)).unwrap();
        assert!(!is_deeper_than(&deepest, DEEPEST) && is_deeper_than(&deepest, DEEPEST - 1));
        assert!(parse_json(nested(DEEPEST + 1)).is_err());
    }
}

//! JSON documents of the contract (`config`, `streams_config`, …): clients send them as an object or as a string that
//! holds one, and get them back in the form they sent.
//!
//! Invariants: the value is a JSON object; keys keep their order and numbers their digits, however large; it is at most
//! [`LEVELS`] deep, so that it can still be read where it stands in something else (a list, the input of a task).

use std::borrow::Cow;

use olake_shared::json::{is_deeper_than, parse_json};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// The name of the type in the OpenAPI document.
pub(crate) const NAME: &str = "Document";

/// How many levels a document may have: less than a whole body, or a row.
pub const LEVELS: usize = 96;

/// A JSON object, and the form in which it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    value: Value,
    form: Form,
    /// The string that it came in.
    received: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Native,
    Text,
}

impl Document {
    /// A document as a native object.
    pub fn native(value: Value) -> Self {
        Self { value, form: Form::Native, received: None }
    }

    /// The object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object, taken out.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The object as JSON text.
    pub fn text(&self) -> String {
        self.value.to_string()
    }

    /// The object as JSON text; to the byte as it came, if it came as a string.
    pub fn exact_text(&self) -> Cow<'_, str> {
        self.received.as_deref().map_or_else(|| self.text().into(), Cow::Borrowed)
    }

    /// Another object in the form of this one.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        Self { value, form: self.form, received: None }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Why it is none, in words that follow the name of a field. The text itself is not shown.
    pub fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(_) if is_deeper_than(&value, LEVELS) => Err(too_deep()),
            Value::Object(_) => Ok(Self::native(value)),
            Value::String(text) => match parse_json(&text) {
                Ok(value @ Value::Object(_)) if is_deeper_than(&value, LEVELS) => Err(too_deep()),
                Ok(value @ Value::Object(_)) => Ok(Self { value, form: Form::Text, received: Some(text) }),
                Ok(_) => Err("the string holds JSON, but no object".into()),
                Err(error) => Err(format!("the string holds no JSON object: {error}")),
            },
            other => Err(format!(
                "expected an object, or a string that holds one, not {}",
                crate::json::kind(&other)
            )),
        }
    }
}

pub(crate) fn too_deep() -> String {
    format!("it has more than {LEVELS} levels")
}

impl Type for Document {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        NAME.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(NAME.into())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(NAME.into(), |_| {
            let any = MetaSchemaRef::Inline(Box::new(MetaSchema::ANY));
            let object = MetaSchema {
                additional_properties: Some(Box::new(any)),
                description: Some("The object itself."),
                ..MetaSchema::new("object")
            };
            let text = MetaSchema {
                description: Some("The same as JSON text."),
                ..MetaSchema::new("string")
            };
            MetaSchema {
                description: Some(
                    "A JSON object, or a string that holds one. An answer echoes a document in the form in which the request had it.",
                ),
                one_of: vec![MetaSchemaRef::Inline(Box::new(object)), MetaSchemaRef::Inline(Box::new(text))],
                ..MetaSchema::ANY
            }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Document {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Self::read(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

impl ToJSON for Document {
    fn to_json(&self) -> Option<Value> {
        Some(match self.form {
            Form::Native => self.value.clone(),
            Form::Text => Value::String(self.text()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"z":12345678901234567890123,"a":{"y":1.10,"b":[]}}"#;

    #[test]
    fn an_object_comes_back_as_an_object_with_its_order_and_its_digits() {
        let document = Document::read(serde_json::from_str(TEXT).unwrap()).unwrap();
        assert_eq!(document.to_json().unwrap().to_string(), TEXT);
        assert_eq!(document.text(), TEXT);
    }

    #[test]
    fn a_string_comes_back_as_a_string() {
        let document = Document::read(Value::String(TEXT.into())).unwrap();
        assert!(document.value().is_object());
        assert_eq!(document.to_json(), Some(Value::String(TEXT.into())));
        let spaced = Document::read(Value::String(format!(" {TEXT}\n"))).unwrap();
        assert_eq!(spaced.exact_text(), format!(" {TEXT}\n"));
        let other = document.with_value(serde_json::json!({"a": 1}));
        assert_eq!(other.exact_text(), r#"{"a":1}"#);
        assert_eq!(other.to_json(), Some(Value::String(r#"{"a":1}"#.into())));
    }

    #[test]
    fn what_is_no_object_is_refused_without_being_shown() {
        for value in
            [serde_json::json!("[1]"), serde_json::json!("hunter2"), serde_json::json!(5), Value::Null]
        {
            let reason = Document::read(value).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}

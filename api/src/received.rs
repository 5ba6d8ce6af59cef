//! Requests whose answer is the request again: what their type does not know is kept beside it, for the echo.
//!
//! A handler takes `Json<Received<T>>` and answers `Echo<A>`, made by [`Received::echo`]: the members of the request in
//! their order, those that `A` has as `A` shows them, and after them what `A` has besides. In the OpenAPI document both
//! are the types that they hold.

use std::{borrow::Cow, ops::Deref};

use poem_openapi::{
    registry::{MetaSchemaRef, Registry},
    types::{ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::{Map, Value};

use crate::json::known_members;

/// A request, and what came with it.
#[derive(Clone, Debug)]
pub struct Received<T> {
    value: T,
    beside: Beside,
}

/// An answer that is an echo.
#[derive(Clone, Debug)]
pub struct Echo<T> {
    answer: T,
    beside: Beside,
}

/// The names of a request's members in their order, with the values of those that its type does not know.
#[derive(Clone, Debug, Default)]
struct Beside(Vec<(String, Option<Value>)>);

impl<T> Deref for Received<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Received<T> {
    /// The answer in the form of this request.
    pub fn echo<A>(self, answer: impl FnOnce(T) -> A) -> Echo<A> {
        Echo { answer: answer(self.value), beside: self.beside }
    }
}

impl<T: ParseFromJSON> ParseFromJSON for Received<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let beside = match &value {
            Some(Value::Object(members)) => Beside::of::<T>(members),
            _ => Beside::default(),
        };
        let value = T::parse_from_json(value).map_err(poem_openapi::types::ParseError::propagate)?;
        Ok(Self { value, beside })
    }
}

impl Beside {
    fn of<T: Type>(members: &Map<String, Value>) -> Self {
        let known = known_members::<T>();
        let kept = |(name, value): (&String, &Value)| {
            let is_known = known.iter().any(|known| known == name);
            // A null that the type knows is no value to it.
            (name.clone(), (!is_known || value.is_null()).then(|| value.clone()))
        };
        Self(members.iter().map(kept).collect())
    }
}

impl<T: ToJSON> ToJSON for Echo<T> {
    fn to_json(&self) -> Option<Value> {
        let Some(Value::Object(mut answer)) = self.answer.to_json() else { return None };
        let mut echo = Map::with_capacity(answer.len());
        for (name, value) in &self.beside.0 {
            if let Some(value) = answer.shift_remove(name).or_else(|| value.clone()) {
                echo.insert(name.clone(), value);
            }
        }
        echo.extend(answer);
        Some(Value::Object(echo))
    }
}

impl<T: ParseFromJSON> ParseFromJSON for Echo<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let answer = T::parse_from_json(value).map_err(poem_openapi::types::ParseError::propagate)?;
        Ok(Self { answer, beside: Beside::default() })
    }
}

impl<T: Type> Type for Received<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: Type> Type for Echo<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::Object;

    use super::*;

    #[derive(Clone, Debug, Object)]
    #[oai(skip_serializing_if_is_none)]
    struct Asked {
        name: String,
        note: Option<String>,
    }

    #[derive(Clone, Debug, Object)]
    #[oai(skip_serializing_if_is_none)]
    struct Answered {
        id: i64,
        name: String,
        note: Option<String>,
    }

    #[test]
    fn an_echo_has_what_came_in_its_order_and_what_the_answer_adds() {
        let text = r#"{"more":{"b":1.10,"a":[null]},"id":"mine","name":"x","note":null}"#;
        let received: Received<Asked> = crate::json::parse(text.as_bytes()).unwrap();
        assert_eq!(received.name, "x");
        let echo = received.echo(|asked| Answered { id: 7, name: asked.name, note: asked.note });
        let expected = r#"{"more":{"b":1.10,"a":[null]},"id":7,"name":"x","note":null}"#;
        assert_eq!(echo.to_json().unwrap().to_string(), expected);
        let received: Received<Asked> = crate::json::parse(br#"{"name":"x"}"#).unwrap();
        let echo = received.echo(|asked| Answered { id: 7, name: asked.name, note: None });
        assert_eq!(echo.to_json().unwrap().to_string(), r#"{"name":"x","id":7}"#);
    }
}

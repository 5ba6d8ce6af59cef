//! The envelope that every answer of the contract comes in: `{"success", "message", "data"}`.
//!
//! A handler answers [`Answer`] by [`ok`] or [`nothing`]; [`TaggedAnswer`] by [`tagged`] when the thing has a revision
//! that a client can send back as `If-Match`; [`MaybeLater`] when the client may ask not to wait.

use std::borrow::Cow;

use olake_shared::{domain::task::TaskId, store::StoreError};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::{json::Json, problem::Problem};

/// A successful answer.
#[derive(Clone, Debug, Object)]
pub struct Envelope<T: Type + ParseFromJSON + ToJSON> {
    /// Always true.
    pub success: bool,
    /// What was done, for a person.
    pub message: String,
    /// What was asked for.
    pub data: T,
}

impl<T: Type + ParseFromJSON + ToJSON> Envelope<T> {
    /// An envelope around `data`.
    pub fn new(message: impl Into<String>, data: T) -> Self {
        Self { success: true, message: message.into(), data }
    }
}

/// What most handlers answer.
pub type Answer<T> = Result<Json<Envelope<T>>, Problem>;

/// A successful answer with data.
pub fn ok<T: Type + ParseFromJSON + ToJSON>(message: impl Into<String>, data: T) -> Answer<T> {
    Ok(Json(Envelope::new(message, data)))
}

/// A successful answer whose `data` is null.
pub fn nothing(message: impl Into<String>) -> Answer<Nothing> {
    ok(message, Nothing)
}

/// A successful answer with the revision of the thing as its `ETag`.
#[derive(Debug, ApiResponse)]
pub enum Tagged<T: Type + ParseFromJSON + ToJSON> {
    /// Success
    #[oai(status = 200)]
    Ok(
        Json<Envelope<T>>,
        /// The revision; send it back as `If-Match` to change just this one
        #[oai(header = "ETag")]
        String,
    ),
}

/// What handlers of things with a revision answer.
pub type TaggedAnswer<T> = Result<Tagged<T>, Problem>;

/// A successful answer with an `ETag`.
pub fn tagged<T: Type + ParseFromJSON + ToJSON>(
    message: impl Into<String>,
    data: T,
    revision: i64,
) -> TaggedAnswer<T> {
    Ok(Tagged::Ok(Json(Envelope::new(message, data)), etag(revision)))
}

/// The `ETag` of a revision.
pub fn etag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// Which revisions of a thing a request may change, by its `If-Match` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Any: there is no header, or it is `*`.
    Any,
    /// One of these. A text that was never an `ETag` of ours names none.
    OneOf(Vec<i64>),
}

impl IfMatch {
    /// Reads the header: `*`, or a list of `ETag`s.
    pub fn read(header: Option<&str>) -> Self {
        let Some(text) = header.map(str::trim).filter(|text| *text != "*") else { return Self::Any };
        let revision = |tag: &str| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse().ok()
        };
        Self::OneOf(text.split(',').filter_map(revision).collect())
    }

    /// The revision that the thing must still have when it is changed; none if any will do. `current` is the one that it
    /// has just now.
    ///
    /// # Errors
    /// 412 when the header names another one.
    pub fn of(&self, current: i64) -> Result<Option<i64>, Problem> {
        match self {
            Self::Any => Ok(None),
            Self::OneOf(revisions) if revisions.contains(&current) => Ok(Some(current)),
            Self::OneOf(_) => Err(StoreError::Stale { current }.into()),
        }
    }
}

/// A task that will have the result.
#[derive(Clone, Debug, Object)]
pub struct TaskReference {
    /// The id of the task: its story and result are at `GET …/tasks/{id}`.
    pub task_id: String,
}

/// An answer now, or (for `Prefer: respond-async`) a task that will have it.
#[derive(Debug, ApiResponse)]
pub enum MaybeLater<T: Type + ParseFromJSON + ToJSON> {
    /// Success
    #[oai(status = 200)]
    Done(Json<Envelope<T>>),
    /// The task goes on; its result will be at `Location`
    #[oai(status = 202)]
    Accepted(
        Json<Envelope<TaskReference>>,
        /// The path of the task
        #[oai(header = "Location")]
        String,
    ),
}

/// What handlers answer whose clients may ask not to wait.
pub type LaterAnswer<T> = Result<MaybeLater<T>, Problem>;

/// The 202 for a client that does not want to wait.
pub fn accepted<T: Type + ParseFromJSON + ToJSON>(
    message: impl Into<String>,
    task: TaskId,
    location: String,
) -> LaterAnswer<T> {
    let reference = TaskReference { task_id: task.to_string() };
    Ok(MaybeLater::Accepted(Json(Envelope::new(message, reference)), location))
}

/// `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

impl Type for Nothing {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "null".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let schema =
            MetaSchema { nullable: true, description: Some("Always null."), ..MetaSchema::new("object") };
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::empty())
    }
}

impl ParseFromJSON for Nothing {
    fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
        Ok(Self)
    }
}

impl ToJSON for Nothing {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_data_is_there_and_null() {
        let json = Envelope::new("done", Nothing).to_json();
        assert_eq!(json, Some(serde_json::json!({"success": true, "message": "done", "data": null})));
    }

    #[test]
    fn an_etag_comes_back_as_the_revision_it_was_made_of() {
        let of_7 = |header: &str| IfMatch::read(Some(header)).of(7).ok();
        for current in [etag(7).as_str(), "W/\"7\"", "7", "\"6\", \"7\"", "\"abc\",\"7\""] {
            assert_eq!(of_7(current), Some(Some(7)), "{current}");
        }
        for other in ["\"6\"", "\"abc\"", "\"\"", "", "\"99999999999999999999\"", "\"6\", \"8\"", "\"*\""] {
            assert_eq!(of_7(other), None, "{other}");
        }
        assert_eq!(of_7("*"), Some(None));
        assert!(matches!(IfMatch::read(None).of(7), Ok(None)));
    }
}

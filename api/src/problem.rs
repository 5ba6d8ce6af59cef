//! The one error type of the API. Only this file decides which status an error has.
//!
//! Invariants: a message starts with the contract's words for its status, says what a client can act on, and never
//! holds a secret or the cause of a failure of ours: that goes to the log, beside the request's id.
//!
//! To add a status: a variant with its words in the contract, a constructor, and the cases of
//! `From<StoreError>` that end in it.

use olake_shared::{
    crypto::{SecretError, password::PasswordError},
    store::StoreError,
};
use poem::{
    IntoResponse, Response,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{ApiResponse, Object, types::ToJSON};

use crate::json::Json;

/// Seconds after which a client may try again what was not possible just now.
const RETRY_AFTER_SECONDS: u64 = 2;

/// What every error answers.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Error")]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// What is wrong, in words for a person.
    pub message: String,
    /// The id of the request; only a 500 has it. The server's log says more under it.
    #[oai(skip_serializing_if_is_none)]
    pub request_id: Option<String>,
}

/// Every way in which an operation can fail.
#[derive(Debug, ApiResponse)]
pub enum Problem {
    /// `Bad request: <field>: <reason>`
    #[oai(status = 400)]
    BadRequest(Json<ErrorBody>),
    /// `Authentication required`, or `Invalid credentials` at login
    #[oai(status = 401)]
    Unauthenticated(Json<ErrorBody>),
    /// `Insufficient permissions`
    #[oai(status = 403)]
    Forbidden(Json<ErrorBody>),
    /// `Resource not found: <what>`
    #[oai(status = 404)]
    NotFound(Json<ErrorBody>),
    /// A conflict with what is there, in its own words
    #[oai(status = 409)]
    Conflict(Json<ErrorBody>),
    /// `If-Match` names another revision
    #[oai(status = 412)]
    Stale(Json<ErrorBody>),
    /// The body is too large
    #[oai(status = 413)]
    TooLarge(Json<ErrorBody>),
    /// `Unsupported media type`
    #[oai(status = 415)]
    UnsupportedMediaType(Json<ErrorBody>),
    /// The connector could not do it: its own last error
    #[oai(status = 422)]
    Unprocessable(Json<ErrorBody>),
    /// Too many attempts
    #[oai(status = 429)]
    TooMany(
        Json<ErrorBody>,
        /// Seconds to wait
        #[oai(header = "Retry-After")]
        u64,
    ),
    /// `Internal server error`; the cause is in the server's log under the request's id
    #[oai(status = 500)]
    Internal(Json<ErrorBody>),
    /// Not possible just now
    #[oai(status = 503)]
    Unavailable(
        Json<ErrorBody>,
        /// Seconds to wait
        #[oai(header = "Retry-After")]
        u64,
    ),
}

pub(crate) fn body(message: impl Into<String>) -> Json<ErrorBody> {
    Json(ErrorBody { success: false, message: message.into(), request_id: None })
}

impl Problem {
    /// 400: a field of the request is wrong.
    pub fn bad_request(field: impl AsRef<str>, reason: impl AsRef<str>) -> Self {
        Self::BadRequest(body(format!("Bad request: {}: {}", field.as_ref(), reason.as_ref())))
    }

    /// 401: no session, or one that has ended.
    pub fn unauthenticated() -> Self {
        Self::Unauthenticated(body("Authentication required"))
    }

    /// 401: wrong name or password.
    pub fn invalid_credentials() -> Self {
        Self::Unauthenticated(body("Invalid credentials"))
    }

    /// 403, with the reason.
    pub fn forbidden(reason: impl AsRef<str>) -> Self {
        Self::Forbidden(body(format!("Insufficient permissions: {}", reason.as_ref())))
    }

    /// 404: there is no such thing, or it is another project's.
    pub fn not_found(what: impl AsRef<str>) -> Self {
        Self::NotFound(body(format!("Resource not found: {}", what.as_ref())))
    }

    /// 409, in its own words.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(body(message))
    }

    /// 412: what was read has changed.
    pub fn stale(message: impl Into<String>) -> Self {
        Self::Stale(body(message))
    }

    /// 413: a body beyond `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::TooLarge(body(format!(
            "The request's body is too large: at most {} KiB are taken here",
            limit / 1024
        )))
    }

    /// 415: a body that is not JSON.
    pub fn unsupported_media_type() -> Self {
        Self::UnsupportedMediaType(body("Unsupported media type: send application/json"))
    }

    /// 422: a connector could not do it.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::Unprocessable(body(message))
    }

    /// 429: too many attempts; another is taken after `retry_after` seconds.
    pub fn too_many(message: impl Into<String>, retry_after: u64) -> Self {
        Self::TooMany(body(message), retry_after)
    }

    /// 503: not possible just now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(body(message), RETRY_AFTER_SECONDS)
    }

    /// 500. The cause goes to the log, and nowhere else.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let chain =
            std::iter::successors(Some(cause), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>();
        tracing::error!(cause = chain.join(": "), "a request failed");
        Self::Internal(body("Internal server error"))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::not_found(what),
            StoreError::NameTaken { .. }
            | StoreError::AccountTaken { .. }
            | StoreError::LastAdmin(_)
            | StoreError::InUse { .. }
            | StoreError::JobPaused(_)
            | StoreError::JobBusy { .. }
            | StoreError::CannotClear { .. }
            | StoreError::NotLost { .. }
            | StoreError::NothingToCancel(_) => Self::conflict(error.to_string()),
            StoreError::Stale { .. } | StoreError::StateMoved { .. } => Self::stale(error.to_string()),
            StoreError::Invalid { field, reason } => Self::bad_request(field, reason),
            StoreError::Secret(error) => error.into(),
            error if error.is_unavailable() => {
                tracing::warn!(cause = %error, "the database cannot be reached");
                Self::unavailable("The database cannot be reached just now")
            }
            error => Self::internal(&error),
        }
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match &error {
            SecretError::Token { pointer } => Self::bad_request(
                format!("config{}", pointer.replace('/', ".")),
                "the sealed secret does not open here",
            ),
            _ => Self::internal(&error),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        Self::internal(&error)
    }
}

/// 405, for paths that have other methods. No operation answers it, so it is no variant.
pub(crate) fn method_not_allowed() -> Response {
    let mut response = body("Method not allowed").into_response();
    response.set_status(StatusCode::METHOD_NOT_ALLOWED);
    response
}

/// A 500 without a cause to log: that has been done.
pub(crate) fn internal_response() -> Response {
    Problem::Internal(body("Internal server error")).into_response()
}

/// A 500 that carries the id of its request, with the headers and data of `response`.
pub(crate) fn internal_with_id(id: &str, mut response: Response) -> Response {
    let mut body = body("Internal server error");
    body.0.request_id = Some(id.to_owned());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.set_body(ToJSON::to_json_string(&body.0));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(problem: Problem) -> (u16, String) {
        let (status, body) = match problem {
            Problem::BadRequest(b) => (400, b),
            Problem::NotFound(b) => (404, b),
            Problem::Conflict(b) => (409, b),
            Problem::Stale(b) => (412, b),
            Problem::Internal(b) => (500, b),
            other => panic!("not in this test: {other:?}"),
        };
        (status, body.0.message)
    }

    #[test]
    fn what_the_store_refuses_has_the_status_and_the_words_of_the_contract() {
        let cases = [
            (StoreError::NotFound("job 5".into()), (404, "Resource not found: job 5")),
            (StoreError::NameTaken { what: "job", name: "x".into() }, (409, "job name 'x' is not unique")),
            (
                StoreError::AccountTaken { field: "username", value: "x".into() },
                (409, "username 'x' is not unique"),
            ),
            (
                StoreError::InUse { what: "source", name: "x".into(), jobs: vec!["a".into(), "b".into()] },
                (409, "source 'x' is used by 2 jobs: a, b"),
            ),
            (StoreError::JobPaused("x".into()), (409, "job 'x' is paused")),
            (
                StoreError::Invalid { field: "frequency".into(), reason: "no cron text".into() },
                (400, "Bad request: frequency: no cron text"),
            ),
            (StoreError::Corrupt("a secret row".into()), (500, "Internal server error")),
        ];
        for (error, (status, text)) in cases {
            assert_eq!(message(error.into()), (status, text.to_owned()));
        }
    }

    #[test]
    fn a_stale_form_is_a_412() {
        assert_eq!(message(StoreError::Stale { current: 3 }.into()).0, 412);
    }
}

//! Refusals, as agents are answered.

use olake_shared::store::{StoreError, tasks::pods::PodRefused};
use poem::{
    IntoResponse, Response,
    http::{StatusCode, header::RETRY_AFTER},
    web::Json,
};

use super::{
    body::{BODY_LIMIT, CONTENT_LIMIT},
    wire::Refused,
};

/// Why a request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// No token, or none of ours.
    NoToken(&'static str),
    /// The token of another attempt.
    OtherToken,
    /// The body is larger than is taken.
    TooLarge,
    /// The request makes no sense.
    Bad(String),
    /// The database says no.
    Pod(PodRefused),
    /// What the attempt works with cannot be read.
    Inputs(String),
    /// This worker stops: another one will answer.
    Stopping,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Pod(error.into())
    }
}

impl From<PodRefused> for Refusal {
    fn from(refused: PodRefused) -> Self {
        Self::Pod(refused)
    }
}

impl Refusal {
    fn parts(self) -> (StatusCode, String, bool) {
        match self {
            Self::NoToken(why) => (StatusCode::UNAUTHORIZED, why.to_owned(), false),
            Self::OtherToken => {
                let words = "the token is that of another attempt or task".to_owned();
                (StatusCode::FORBIDDEN, words, false)
            }
            Self::TooLarge => {
                let words = format!(
                    "the body is too large: {BODY_LIMIT} bytes are taken, and {CONTENT_LIMIT} when they are unpacked; \
                     send the lines in several parts, and large bodies as gzip"
                );
                (StatusCode::PAYLOAD_TOO_LARGE, words, false)
            }
            Self::Bad(why) => (StatusCode::BAD_REQUEST, why, false),
            Self::Inputs(why) => (StatusCode::CONFLICT, why, true),
            Self::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "this worker stops; ask again".to_owned(), false)
            }
            Self::Pod(PodRefused::Store(StoreError::Fenced)) => {
                (StatusCode::CONFLICT, "the attempt is over".to_owned(), true)
            }
            Self::Pod(PodRefused::Store(error)) => {
                // The reason goes to the log only: it names hosts.
                let is_away = error.is_unavailable();
                tracing::warn!(%error, is_away, "what an agent told was not stored");
                match is_away {
                    true => (StatusCode::SERVICE_UNAVAILABLE, "the database is away".to_owned(), false),
                    false => (StatusCode::INTERNAL_SERVER_ERROR, "the database refused it".to_owned(), false),
                }
            }
            Self::Pod(refused) => {
                let is_over = !matches!(refused, PodRefused::OldSequence { .. });
                (StatusCode::CONFLICT, refused.to_string(), is_over)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let unreadable = matches!(self, Self::Inputs(_));
        let (status, message, over) = self.parts();
        let response = Json(Refused { message, over, unreadable }).with_status(status);
        match status {
            StatusCode::SERVICE_UNAVAILABLE => response.with_header(RETRY_AFTER, "1").into_response(),
            _ => response.into_response(),
        }
    }
}

impl From<Refusal> for poem::Error {
    fn from(refusal: Refusal) -> Self {
        Self::from_response(refusal.into_response())
    }
}

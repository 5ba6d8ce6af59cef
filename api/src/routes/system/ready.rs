//! Whether requests can be served.

use std::time::Duration;

use poem_openapi::{ApiResponse, Object};

use crate::{context::Context, json::Json};

/// How long the database and the bell may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds after which a probe may ask again.
const RETRY_AFTER_SECONDS: u64 = 2;

/// What answers and what does not.
#[derive(Clone, Debug, Object)]
pub struct Ready {
    /// `ok`, or `unavailable` when something does not answer.
    pub status: String,
    /// `ok` or `unreachable`.
    pub database: String,
    /// `ok` or `unreachable`. Without the bell, tasks start when a worker next looks by itself.
    pub bell: String,
}

/// Ready or not.
#[derive(Debug, ApiResponse)]
pub enum Readiness {
    /// Everything answers
    #[oai(status = 200)]
    Ready(Json<Ready>),
    /// Something does not answer
    #[oai(status = 503)]
    NotReady(
        Json<Ready>,
        /// Seconds to wait
        #[oai(header = "Retry-After")]
        u64,
    ),
}

pub(super) async fn ready(context: &Context) -> Readiness {
    let (database, bell) = tokio::join!(
        tokio::time::timeout(PATIENCE, context.store.ping()),
        tokio::time::timeout(PATIENCE, context.bell.ping()),
    );
    let database = matches!(database, Ok(Ok(())));
    let bell = matches!(bell, Ok(Ok(())));
    let word = |good: bool, bad: &str| if good { "ok" } else { bad }.to_owned();
    let answer = Ready {
        status: word(database && bell, "unavailable"),
        database: word(database, "unreachable"),
        bell: word(bell, "unreachable"),
    };
    if database && bell {
        Readiness::Ready(Json(answer))
    } else {
        tracing::warn!(database = answer.database, bell = answer.bell, "not ready");
        Readiness::NotReady(Json(answer), RETRY_AFTER_SECONDS)
    }
}

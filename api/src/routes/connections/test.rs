//! `POST P/sources/test`, `POST P/destinations/test`: whether a config works.
//!
//! A test that fails is no error: the answer is a 200 that says FAILED, with the connector's words.

use chrono::{DateTime, Utc};
use olake_shared::store::{
    ProjectStore,
    connections::{ConnectionInput, Side},
    logs::{Direction, LogLine},
    tasks::input::{OneShot, OneShotResult},
};
use poem_openapi::{Enum, Object, param::Header};

use super::{known, request};
use crate::{
    auth::Auth,
    context::Context,
    document::Document,
    envelope::{Envelope, LaterAnswer, MaybeLater, accepted},
    interactive::{self, Call, Finished, Outcome},
    json::Json,
    problem::Problem,
    routes::{scope, tasks},
};

/// The answer shows at most so many of the last log lines; all are in the task's log.
const LINES: u64 = 1_000;

/// What is tested.
#[derive(Clone, Debug)]
pub struct Given {
    pub connector_type: String,
    pub version: String,
    pub config: Document,
    /// For destinations: the source whose program runs the test.
    pub source_type: Option<String>,
    pub source_version: Option<String>,
}

/// Who tests, and whether they wait.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub user: i64,
    pub respond_async: bool,
}

impl Asker {
    /// Reads who asks, and the `Prefer` header.
    pub fn new(auth: &Auth, prefer: &Header<Option<String>>) -> Self {
        Self { user: auth.user().id, respond_async: interactive::wants_async(prefer.0.as_deref()) }
    }
}

/// What a test came to.
#[derive(Clone, Debug, Object)]
pub struct Tested {
    /// The connector's type, as it was sent.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as it was sent.
    pub version: String,
    /// In the form in which it was sent; secrets are `sealed:` tokens.
    pub config: Document,
    /// Whether the config works.
    pub connection_result: ConnectionResult,
    /// What the connector logged, oldest first.
    pub logs: Vec<LogLineItem>,
}

/// Whether a config works.
#[derive(Clone, Debug, Object)]
pub struct ConnectionResult {
    /// `SUCCEEDED` or `FAILED`.
    pub status: ConnectionStatus,
    /// The connector's words.
    pub message: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionStatus {
    /// It works.
    Succeeded,
    /// It does not, or the connector could not say.
    Failed,
}

/// A line of a connector's log.
#[derive(Clone, Debug, Object)]
#[oai(rename = "LogLine")]
pub struct LogLineItem {
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    pub level: String,
    /// RFC 3339, UTC.
    pub time: DateTime<Utc>,
    /// What was logged.
    pub message: String,
}

impl From<LogLine> for LogLineItem {
    fn from(line: LogLine) -> Self {
        Self { level: line.level, time: line.time, message: line.message }
    }
}

impl ConnectionResult {
    /// What a check found out. Without a result the connector died or printed rubbish: its last words tell why.
    pub fn new(result: Option<&OneShotResult>, failure: &str) -> Self {
        match result {
            Some(OneShotResult::Check { succeeded, message }) => Self {
                status: if *succeeded { ConnectionStatus::Succeeded } else { ConnectionStatus::Failed },
                message: message.clone(),
            },
            _ => Self { status: ConnectionStatus::Failed, message: failure.to_owned() },
        }
    }
}

/// Tests a config. Secrets may be given as the tokens that a read shows.
pub async fn test(
    context: &Context,
    side: Side,
    project: &str,
    asker: Asker,
    given: Given,
) -> LaterAnswer<Tested> {
    let project = scope::project(context, project).await?;
    request::connector(&given.connector_type, &given.version, "")?;
    let runs = known::live(context).await?;
    let connector = match side {
        Side::Source => known::source(&runs, &given.connector_type, &given.version, "")?,
        Side::Destination => {
            let named = known::named_source(given.source_type.as_deref(), given.source_version.as_deref())?;
            known::destination(&runs, &given.connector_type, &given.version, named)?
        }
    };
    let sealed = sealed(&project, side, &given.connector_type, &given.version, &given.config).await?;
    let call = Call {
        connector_type: &connector.connector_type,
        version: &connector.version,
        input: OneShot::Check { side, config: sealed.value().clone() },
        user: asker.user,
        respond_async: asker.respond_async,
    };
    match interactive::run(context, &project, call).await? {
        Outcome::Accepted(task) => accepted("the test was started", task, tasks::location(&project, task)),
        Outcome::Ended(finished) => {
            let connection_result = ConnectionResult::new(finished.result.as_ref(), &finished.failure());
            let message = match connection_result.status {
                ConnectionStatus::Succeeded => "the test has succeeded",
                ConnectionStatus::Failed => "the test has failed",
            };
            let tested = Tested {
                connector_type: given.connector_type,
                version: given.version,
                config: sealed,
                connection_result,
                logs: logs(&project, &finished).await?,
            };
            Ok(MaybeLater::Done(Json(Envelope::new(message, tested))))
        }
    }
}

/// A config for a task and for the answer: secrets sealed, tokens checked, in the form in which it came.
///
/// # Errors
/// 400 naming the field whose token does not open.
pub async fn sealed(
    project: &ProjectStore,
    side: Side,
    connector_type: &str,
    version: &str,
    config: &Document,
) -> Result<Document, Problem> {
    let input = ConnectionInput {
        name: String::new(),
        connector_type: connector_type.to_owned(),
        version: version.to_owned(),
        config: config.value().clone(),
    };
    Ok(config.with_value(project.seal_config(side, &input).await?))
}

async fn logs(project: &ProjectStore, finished: &Finished) -> Result<Vec<LogLineItem>, Problem> {
    let page = project.log_page(None, finished.task.id, None, LINES, Direction::Older, true).await?;
    Ok(page.lines.into_iter().map(LogLineItem::from).collect())
}

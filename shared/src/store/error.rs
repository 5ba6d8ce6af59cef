//! What a query can answer instead of rows.

use sea_orm::{DbErr, SqlErr};

use super::states::StateVersion;
use crate::{
    crypto::SecretError,
    domain::task::{TaskId, TaskPhase, TaskStatus, UnknownWord},
    json::JsonError,
};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing in this project. The text names it: `job 5`.
    #[error("{0} not found")]
    NotFound(String),
    /// A name is taken among those not deleted.
    #[error("{what} name '{name}' is not unique")]
    NameTaken { what: &'static str, name: String },
    /// `username` or `email` is taken.
    #[error("{field} '{value}' is not unique")]
    AccountTaken { field: &'static str, value: String },
    /// The account is the last that may manage accounts.
    #[error("user '{0}' is the last administrator")]
    LastAdmin(String),
    /// A source or destination cannot be deleted while jobs use it.
    #[error("{what} '{name}' is used by {} job{}: {}", jobs.len(), if jobs.len() == 1 { "" } else { "s" }, jobs.join(", "))]
    InUse { what: &'static str, name: String, jobs: Vec<String> },
    /// The job is paused.
    #[error("job '{0}' is paused")]
    JobPaused(String),
    /// The job has an active task.
    #[error("a {kind} of job '{job}' is running: {task}")]
    JobBusy { kind: String, job: String, task: TaskId },
    /// The job's connector is too old to clear a destination.
    #[error("the destination of job '{job}' cannot be cleared: its source's {version} is older than v0.3.0")]
    CannotClear { job: String, version: String },
    /// There is nothing to cancel.
    #[error("{0}")]
    NothingToCancel(String),
    /// Only a task whose node is lost is ended by force.
    #[error(
        "task {task} is {}, not on a node that is lost; cancel it instead",
        phase.map_or(status.as_str(), TaskPhase::as_str)
    )]
    NotLost { task: TaskId, status: TaskStatus, phase: Option<TaskPhase> },
    /// `If-Match` names another revision.
    #[error("it was changed in the meantime (revision {current}); read it again")]
    Stale { current: i64 },
    /// `If-Match` names another version of a job's state.
    #[error("the state was changed in the meantime (version {current}); read it again")]
    StateMoved { current: StateVersion },
    /// A field of the request is wrong.
    #[error("{field}: {reason}")]
    Invalid { field: String, reason: String },
    /// A secret of a config does not open.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The writer is no longer the owner of the task, or it has ended: nothing was written.
    #[error("the task is no longer this worker's")]
    Fenced,
    /// A row holds what no code of ours writes.
    #[error("a row cannot be read: {0}")]
    Corrupt(String),
    /// The database failed or cannot be reached.
    #[error("database: {0}")]
    Database(#[source] DbErr),
}

impl StoreError {
    pub(super) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// Whether the database could not be reached, had no connection free, or let another transaction go first: worth trying
    /// again.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database(DbErr::Conn(_) | DbErr::ConnectionAcquire(_)))
            || matches!(self, Self::Database(e) if lost_connection(e))
    }

    /// Whether a unique index refused the write.
    pub(super) fn is_unique_violation(error: &DbErr) -> bool {
        matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }
}

fn lost_connection(error: &DbErr) -> bool {
    use sea_orm::RuntimeErr;
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    use sea_orm::sqlx::Error;
    match error.as_ref() {
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::Tls(_) => true,
        // 57P: the server is shutting down or starting up; 08: the connection broke.
        // 40001 and 40P01: another transaction was in the way; 5 and 6 (and their extended forms): SQLite's file was busy.
        Error::Database(e) => e.code().is_some_and(|code| {
            code.starts_with("57P")
                || code.starts_with("08")
                || ["40001", "40P01", "5", "6", "261", "262", "517", "773"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<UnknownWord> for StoreError {
    fn from(error: UnknownWord) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<JsonError> for StoreError {
    fn from(error: JsonError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

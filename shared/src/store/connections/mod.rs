//! Sources and destinations: the two sides of a job. They have the same columns and the same rules.
//!
//! A config is stored as it is shown: each secret value in it is replaced by a token, and the whole text is sealed
//! again at rest, bound to the row. A read shows tokens, never a secret; only [`Store::open_config`] makes plain text
//! of it, for the input of a task.
//!
//! - [`read`]: one, lists, and the jobs that use them;
//! - [`write`]: making, changing and deleting them;
//! - [`seal`]: secrets to tokens and back, also when a spec arrives later.
//!
//! [`Store::open_config`]: super::Store::open_config

mod read;
mod seal;
mod write;

use chrono::{DateTime, Utc};
pub(in crate::store) use read::ConnectionRow;
use serde_json::Value;
pub(in crate::store) use write::job_names;

use super::StoreError;
use crate::{
    crypto::{ConfigKind, SecretScope},
    domain::project::ProjectId,
};

/// Which side of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where data comes from.
    Source,
    /// Where data goes to.
    Destination,
}

impl Side {
    /// `source` or `destination`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    pub(in crate::store) const fn table(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Destination => "destinations",
        }
    }

    /// The column of a job that points to this side.
    pub(in crate::store) const fn job_column(self) -> &'static str {
        match self {
            Self::Source => "source_id",
            Self::Destination => "destination_id",
        }
    }

    const fn config_kind(self) -> ConfigKind {
        match self {
            Self::Source => ConfigKind::Source,
            Self::Destination => ConfigKind::Destination,
        }
    }

    pub(in crate::store) fn scope(self, project: &ProjectId) -> SecretScope {
        SecretScope { project: project.as_str().to_owned(), kind: self.config_kind() }
    }
}

/// A source or destination as it is shown: secrets are tokens.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: i64,
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub config: Value,
    /// False when the row's config is damaged: it is shown as an empty one, and nothing can run with it.
    pub is_readable: bool,
    /// Grows with each change; the ETag.
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// User names; none if the account is gone.
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
}

/// A job as an item of a source or destination.
#[derive(Clone, Debug)]
pub struct ConnectionJob {
    pub id: i64,
    pub name: String,
    pub activate: bool,
    pub last_run_time: Option<DateTime<Utc>>,
    pub last_run_state: Option<String>,
    pub last_run_type: Option<String>,
    /// The other side's name and type.
    pub other_name: String,
    pub other_type: String,
}

/// What a person gives for a source or destination. The config may hold tokens in place of secrets.
#[derive(Clone, Debug)]
pub struct ConnectionInput {
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub config: Value,
}

pub(in crate::store) fn name_taken(error: sea_orm::DbErr, what: &'static str, name: &str) -> StoreError {
    if StoreError::is_unique_violation(&error) {
        StoreError::NameTaken { what, name: name.to_owned() }
    } else {
        error.into()
    }
}

pub(in crate::store) fn missing(side: Side, id: i64) -> StoreError {
    StoreError::NotFound(format!("{} {id}", side.name()))
}

/// A page of a list: the newest-updated first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// At most this many; none: all.
    pub limit: Option<u64>,
    /// Only what comes after this item: the microseconds of its update and its id.
    pub after: Option<(i64, i64)>,
}

pub(in crate::store) fn check_revision(current: i64, if_match: Option<i64>) -> Result<(), StoreError> {
    match if_match {
        Some(wanted) if wanted != current => Err(StoreError::Stale { current }),
        _ => Ok(()),
    }
}

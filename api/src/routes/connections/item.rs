//! What an answer shows of a source or destination.

use chrono::{DateTime, Utc};
use olake_shared::store::connections::{Connection, ConnectionJob, Side};
use poem_openapi::Object;

use crate::document::Document;

/// A source or destination that was written: what was received, in the form received, with secrets as tokens.
#[derive(Clone, Debug, Object)]
pub struct WrittenConnection {
    /// The id that was given to it.
    pub id: i64,
    /// Unique among those of the project that are not deleted.
    pub name: String,
    /// The connector's type, as `postgres`; of a destination, as `parquet`.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// In the form in which it was sent; secrets are `sealed:` tokens, which every operation takes back.
    pub config: Document,
}

impl WrittenConnection {
    /// `received` tells the form in which the config is answered.
    pub fn new(connection: Connection, received: &Document) -> Self {
        Self {
            id: connection.id,
            name: connection.name,
            connector_type: connection.connector_type,
            version: connection.version,
            config: received.with_value(connection.config),
        }
    }
}

/// A source or destination as it is read.
#[derive(Clone, Debug, Object)]
pub struct ConnectionItem {
    /// Its id.
    pub id: i64,
    /// Unique among those of the project that are not deleted.
    pub name: String,
    /// The connector's type, as `postgres`; of a destination, as `parquet`.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// Secrets are `sealed:` tokens, which every operation takes back.
    pub config: Document,
    /// RFC 3339, UTC.
    pub created_at: DateTime<Utc>,
    /// RFC 3339, UTC. Lists are sorted by it, newest first.
    pub updated_at: DateTime<Utc>,
    /// The user's name; null when the account is gone.
    pub created_by: Option<String>,
    /// The user's name; null when the account is gone.
    pub updated_by: Option<String>,
    /// The jobs that use it.
    pub jobs: Vec<ConnectionJobItem>,
}

impl ConnectionItem {
    pub fn new(side: Side, connection: Connection, jobs: Vec<ConnectionJob>) -> Self {
        Self {
            id: connection.id,
            name: connection.name,
            connector_type: connection.connector_type,
            version: connection.version,
            config: Document::native(connection.config),
            created_at: connection.created_at,
            updated_at: connection.updated_at,
            created_by: connection.created_by,
            updated_by: connection.updated_by,
            jobs: jobs.into_iter().map(|job| ConnectionJobItem::new(side, job)).collect(),
        }
    }
}

/// A job that uses a source or destination.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ConnectionJob", skip_serializing_if_is_none)]
pub struct ConnectionJobItem {
    /// The job's id.
    pub id: i64,
    /// The job's name.
    pub name: String,
    /// Whether its schedule is active.
    pub activate: bool,
    /// When it ran last; absent if it never did.
    pub last_run_time: Option<DateTime<Utc>>,
    /// How that run stands; absent if it never ran.
    pub last_run_state: Option<String>,
    /// What that run was; absent if it never ran.
    pub last_run_type: Option<String>,
    /// In sources: the name of the job's destination.
    pub dest_name: Option<String>,
    /// In sources: as `dest_name`.
    pub destination_name: Option<String>,
    /// In sources: the type of the job's destination.
    pub destination_type: Option<String>,
    /// In destinations: the name of the job's source.
    pub source_name: Option<String>,
    /// In destinations: the type of the job's source.
    pub source_type: Option<String>,
}

impl ConnectionJobItem {
    fn new(side: Side, job: ConnectionJob) -> Self {
        let (source, destination) = match side {
            Side::Source => (None, Some((job.other_name, job.other_type))),
            Side::Destination => (Some((job.other_name, job.other_type)), None),
        };
        let (source_name, source_type) = source.unzip();
        let (destination_name, destination_type) = destination.unzip();
        Self {
            id: job.id,
            name: job.name,
            activate: job.activate,
            last_run_time: job.last_run_time,
            last_run_state: job.last_run_state,
            last_run_type: job.last_run_type,
            dest_name: destination_name.clone(),
            destination_name,
            destination_type,
            source_name,
            source_type,
        }
    }
}

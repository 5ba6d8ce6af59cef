//! What an answer shows of a job.

use chrono::{DateTime, Utc};
use olake_shared::{
    domain::settings::{AdvancedSettings, MissedSlots},
    json::parse_json,
    store::{
        connections::Connection,
        jobs::Job,
        lists::{JobBrief, SideBrief},
    },
};
use poem_openapi::Object;
use serde_json::{Map, Value};

use super::request::{AdvancedSettingsBody, JobBody, JobSide, MissedSlotsWord};
use crate::document::Document;

/// A job that was written: the request as it was, with its id and with secrets as tokens. Members that the request had
/// beside these are there, too.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WrittenJob {
    /// The job's id.
    pub id: i64,
    /// The job's name.
    pub name: String,
    /// As it was sent; secrets in its config are `sealed:` tokens.
    pub source: JobSide,
    /// As it was sent; secrets in its config are `sealed:` tokens.
    pub destination: JobSide,
    /// As it was sent.
    pub frequency: String,
    /// In the form in which it was sent.
    pub streams_config: Document,
    /// Of a new job: as it was sent. Of a replaced one: how it is now.
    pub activate: Option<bool>,
    /// As it was sent.
    pub advanced_settings: Option<AdvancedSettingsBody>,
    /// As it was sent.
    pub difference_streams: Option<Document>,
}

impl WrittenJob {
    /// The echo of `body` with its sides as they are shown.
    pub fn new(id: i64, body: JobBody, source: JobSide, destination: JobSide) -> Self {
        Self {
            id,
            name: body.name,
            source,
            destination,
            frequency: body.frequency,
            streams_config: body.streams_config,
            activate: body.activate,
            advanced_settings: body.advanced_settings,
            difference_streams: body.difference_streams,
        }
    }
}

/// A job as it is read.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Job")]
pub struct JobItem {
    /// The job's id.
    pub id: i64,
    /// Unique among the jobs of the project that are not deleted.
    pub name: String,
    /// Where data comes from.
    pub source: JobConnectionItem,
    /// Where data goes to.
    pub destination: JobConnectionItem,
    /// The catalog with its selections; absent from a brief list.
    #[oai(skip_serializing_if_is_none)]
    pub streams_config: Option<Document>,
    /// How often it runs.
    pub frequency: String,
    /// Whether its schedule is active.
    pub activate: bool,
    /// What is absent has its default.
    pub advanced_settings: AdvancedSettingsItem,
    /// The next slot of its schedule; absent while the job is paused.
    #[oai(skip_serializing_if_is_none)]
    pub next_run_at: Option<DateTime<Utc>>,
    /// The next five slots of its schedule, fewer if there are no more; empty while the job is paused. Not in lists.
    #[oai(skip_serializing_if_is_none)]
    pub next_runs: Option<Vec<DateTime<Utc>>>,
    /// When it ran last; absent if it never did.
    #[oai(skip_serializing_if_is_none)]
    pub last_run_time: Option<DateTime<Utc>>,
    /// How that run stands; absent if it never ran.
    #[oai(skip_serializing_if_is_none)]
    pub last_run_state: Option<String>,
    /// What that run was; absent if it never ran.
    #[oai(skip_serializing_if_is_none)]
    pub last_run_type: Option<String>,
    /// RFC 3339, UTC.
    pub created_at: DateTime<Utc>,
    /// RFC 3339, UTC. Lists are sorted by it, newest first; runs do not change it.
    pub updated_at: DateTime<Utc>,
    /// The user's name; null when the account is gone.
    pub created_by: Option<String>,
    /// The user's name; null when the account is gone.
    pub updated_by: Option<String>,
}

/// A job's source or destination as it is read.
#[derive(Clone, Debug, Object)]
pub struct JobConnectionItem {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The connector's type, as `postgres`; of a destination, as `parquet`.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// Secrets are `sealed:` tokens. Absent from a brief list.
    #[oai(skip_serializing_if_is_none)]
    pub config: Option<Document>,
}

impl From<Connection> for JobConnectionItem {
    fn from(connection: Connection) -> Self {
        Self {
            id: connection.id,
            name: connection.name,
            connector_type: connection.connector_type,
            version: connection.version,
            config: Some(Document::native(connection.config)),
        }
    }
}

impl From<SideBrief> for JobConnectionItem {
    fn from(side: SideBrief) -> Self {
        Self {
            id: side.id,
            name: side.name,
            connector_type: side.connector_type,
            version: side.version,
            config: None,
        }
    }
}

/// A job's advanced settings; what is absent has its default.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AdvancedSettings", skip_serializing_if_is_none)]
pub struct AdvancedSettingsItem {
    /// How many threads discover may use.
    pub max_discover_threads: Option<u32>,
    /// How often an attempt that failed by the connector's own error is tried again.
    pub retries: Option<u32>,
    /// The deadline of a sync in seconds.
    pub timeout_seconds: Option<u64>,
    /// Memory limit of the connector.
    pub max_memory: Option<String>,
    /// The placement profile.
    pub profile: Option<String>,
    /// The IANA time zone of the schedule.
    pub time_zone: Option<String>,
    /// What becomes of slots that passed while nothing could run them.
    pub missed_slots: Option<MissedSlotsWord>,
}

impl From<AdvancedSettings> for AdvancedSettingsItem {
    fn from(settings: AdvancedSettings) -> Self {
        Self {
            max_discover_threads: settings.max_discover_threads,
            retries: settings.retries,
            timeout_seconds: settings.timeout_seconds,
            max_memory: settings.max_memory,
            profile: settings.profile,
            time_zone: settings.time_zone,
            missed_slots: settings.missed_slots.map(|word| match word {
                MissedSlots::Skip => MissedSlotsWord::Skip,
                MissedSlots::Once => MissedSlotsWord::Once,
            }),
        }
    }
}

impl From<Job> for JobItem {
    fn from(job: Job) -> Self {
        let streams_config = catalog(&job);
        let (last_run_time, last_run_state, last_run_type) = match job.last_run {
            Some(run) => (Some(run.time), Some(run.state), Some(run.kind)),
            None => (None, None, None),
        };
        Self {
            id: job.id,
            name: job.name,
            source: job.source.into(),
            destination: job.destination.into(),
            streams_config: Some(Document::native(streams_config)),
            frequency: job.frequency,
            activate: job.activate,
            advanced_settings: job.advanced_settings.into(),
            next_run_at: job.next_run_at,
            next_runs: None,
            last_run_time,
            last_run_state,
            last_run_type,
            created_at: job.created_at,
            updated_at: job.updated_at,
            created_by: job.created_by,
            updated_by: job.updated_by,
        }
    }
}

impl From<JobBrief> for JobItem {
    fn from(job: JobBrief) -> Self {
        let (last_run_time, last_run_state, last_run_type) = match job.last_run {
            Some(run) => (Some(run.time), Some(run.state), Some(run.kind)),
            None => (None, None, None),
        };
        Self {
            id: job.id,
            name: job.name,
            source: job.source.into(),
            destination: job.destination.into(),
            streams_config: None,
            frequency: job.frequency,
            activate: job.activate,
            advanced_settings: job.advanced_settings.into(),
            next_run_at: job.next_run_at,
            next_runs: None,
            last_run_time,
            last_run_state,
            last_run_type,
            created_at: job.created_at,
            updated_at: job.updated_at,
            created_by: job.created_by,
            updated_by: job.updated_by,
        }
    }
}

/// The catalog of a job. A damaged one is shown empty: it must not hide the job, nor all others.
fn catalog(job: &Job) -> Value {
    match parse_json(&job.streams_config) {
        Ok(catalog @ Value::Object(_)) => catalog,
        _ => {
            tracing::error!(job.id, "the catalog of a job cannot be read; it is shown empty");
            Value::Object(Map::new())
        }
    }
}

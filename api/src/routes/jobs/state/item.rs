//! What an answer shows of a job's states.

use chrono::{DateTime, Utc};
use olake_shared::{
    domain::task::TaskId,
    json::parse_json,
    store::states::{JobState, StateEntry, StateOrigin},
};
use poem_openapi::{Enum, Object};

use crate::document::Document;

/// The state of a job, and what it was before.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobState")]
pub struct StateItem {
    /// The current state: what the next run is given. Null when there is none: the next run begins from the start.
    pub state: Option<Document>,
    /// The same to the byte. Sent back as `state`, it is stored to the byte.
    pub text: Option<String>,
    /// The last 20 states, newest first; the first is the current one. Empty when the job never had one.
    pub history: Vec<StateEntryItem>,
}

/// One state of the history.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobStateEntry", skip_serializing_if_is_none)]
pub struct StateEntryItem {
    /// Its id within the history.
    pub id: i64,
    /// Where it comes from.
    pub origin: OriginWord,
    /// The task whose connector wrote it.
    pub task_id: Option<TaskId>,
    /// The attempt of that task.
    pub attempt: Option<i32>,
    /// How often the connector had written it in that attempt.
    pub sequence: i64,
    /// The person who put it there or reset it.
    pub created_by: Option<String>,
    /// The length of its text; 0 of a reset.
    pub bytes: i64,
    /// RFC 3339, UTC.
    pub created_at: DateTime<Utc>,
    /// When the connector wrote it last.
    pub updated_at: DateTime<Utc>,
}

/// One state of the history, with its text.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobStateOfHistory")]
pub struct StateOfHistory {
    #[oai(flatten)]
    pub entry: StateEntryItem,
    /// The state; null of a reset.
    pub state: Option<Document>,
    /// The same to the byte. Sent back as `state`, it is stored to the byte.
    pub text: Option<String>,
}

/// Where a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "StateOrigin", rename_all = "lowercase")]
pub enum OriginWord {
    /// The connector of a run wrote it.
    Run,
    /// A person put it there.
    Operator,
    /// A person reset it: from here on there was none.
    Reset,
}

/// The object of a state. A connector may nest deeper than our reader goes: then there is the text alone.
fn object(text: Option<&str>) -> Option<Document> {
    text.and_then(|text| parse_json(text).ok()).map(Document::native)
}

impl From<JobState> for StateItem {
    fn from(state: JobState) -> Self {
        Self {
            state: object(state.text.as_deref()),
            text: state.text,
            history: state.history.into_iter().map(StateEntryItem::from).collect(),
        }
    }
}

impl From<StateEntry> for StateEntryItem {
    fn from(entry: StateEntry) -> Self {
        let (origin, task_id, attempt) = match entry.origin {
            StateOrigin::Run { task, attempt } => (OriginWord::Run, Some(task), Some(attempt)),
            StateOrigin::Operator => (OriginWord::Operator, None, None),
            StateOrigin::Reset => (OriginWord::Reset, None, None),
        };
        Self {
            id: entry.version.id,
            origin,
            task_id,
            attempt,
            sequence: entry.version.sequence,
            created_by: entry.created_by,
            bytes: entry.bytes,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

impl StateOfHistory {
    /// An entry with its text.
    pub fn new(entry: StateEntry, text: Option<String>) -> Self {
        Self { entry: entry.into(), state: object(text.as_deref()), text }
    }
}

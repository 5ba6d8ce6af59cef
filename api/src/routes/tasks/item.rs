//! What an answer shows of a task.

use chrono::{DateTime, Utc};
use olake_shared::{
    domain::task::{TaskId, TaskKind, TaskPhase, TaskStatus, TaskTrigger},
    store::tasks::read::{Attempt, Task},
};
use poem_openapi::{Enum, Object};

/// A task as an item of a list.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Task", skip_serializing_if_is_none)]
pub struct TaskItem {
    /// A UUID; later tasks have greater ids.
    pub id: TaskId,
    /// What it runs.
    pub kind: KindWord,
    /// As `kind`.
    pub job_type: KindWord,
    /// What its log is asked for with: the id again, as a text.
    pub file_path: String,
    /// Where it stands.
    pub status: StatusWord,
    /// What a running task is doing.
    pub phase: Option<PhaseWord>,
    /// Who started it.
    pub trigger: TriggerWord,
    /// When it started; until then, when it was made.
    pub start_time: DateTime<Utc>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
    /// Whole seconds from its start to its end, so far while it runs.
    pub runtime: i64,
    /// As `runtime`.
    pub runtime_seconds: i64,
    /// How many runs of the connector there were.
    pub attempt: i32,
    /// Whether a person wishes that it ends.
    pub cancel_requested: bool,
    /// Why it is not running yet.
    pub hold_reason: Option<String>,
    /// The slot of the schedule that it stands for.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Rows that were read.
    pub records_read: Option<i64>,
    /// Bytes that were read.
    pub bytes_read: Option<i64>,
    /// Why it failed: `connector`, `infrastructure`, `out_of_memory`, `image`, `unschedulable`, `timeout`, `interrupted`,
    /// `cancelled`.
    pub failure_class: Option<String>,
    /// Why it failed, in words.
    pub failure_message: Option<String>,
    /// The connector's exit code, where it was seen.
    pub exit_code: Option<i32>,
    /// RFC 3339, UTC.
    pub created_at: DateTime<Utc>,
}

impl TaskItem {
    /// `now` is what a running task's time is counted to.
    pub fn new(task: &Task, now: DateTime<Utc>) -> Self {
        let kind = task.kind.into();
        Self {
            id: task.id,
            kind,
            job_type: kind,
            file_path: task.id.to_string(),
            status: task.status.into(),
            phase: task.phase.map(PhaseWord::from),
            trigger: task.trigger.into(),
            start_time: task.start_time(),
            end_time: task.ended_at,
            runtime: task.runtime_seconds(now),
            runtime_seconds: task.runtime_seconds(now),
            attempt: task.attempt,
            cancel_requested: task.cancel_requested,
            hold_reason: task.hold_reason.clone(),
            scheduled_for: task.scheduled_for,
            records_read: task.records_read,
            bytes_read: task.bytes_read,
            failure_class: task.failure_class.clone(),
            failure_message: task.failure_message.clone(),
            exit_code: task.exit_code,
            created_at: task.created_at,
        }
    }
}

/// One run of a task's connector.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Attempt", skip_serializing_if_is_none)]
pub struct AttemptItem {
    /// Counts from 1.
    pub attempt: i32,
    /// The host of the worker that took it.
    pub host: String,
    /// The pod that it ran in, where it ran in one.
    pub pod: Option<String>,
    /// The node of that pod.
    pub node: Option<String>,
    /// When a worker took it.
    pub started_at: DateTime<Utc>,
    /// When the connector's process started.
    pub connector_started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended badly, as in the task.
    pub failure_class: Option<String>,
    /// Why it ended badly, in words.
    pub failure_message: Option<String>,
    /// The connector's exit code, where it was seen.
    pub exit_code: Option<i32>,
}

impl From<Attempt> for AttemptItem {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            host: attempt.host,
            pod: attempt.pod,
            node: attempt.node,
            started_at: attempt.started_at,
            connector_started_at: attempt.connector_started_at,
            ended_at: attempt.ended_at,
            failure_class: attempt.failure_class,
            failure_message: attempt.failure_message,
            exit_code: attempt.exit_code,
        }
    }
}

/// An enum of the domain as the OpenAPI document lists it. A value that is missing here does not compile.
macro_rules! shown {
    ($(#[$meta:meta])* $name:ident ($title:literal) of $domain:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        #[oai(rename = $title, rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                match word { $($domain::$variant => Self::$variant),+ }
            }
        }
    };
}

shown! {
    /// What a task runs.
    KindWord("TaskKind") of TaskKind { Sync, Clear, Discover, Check, Spec, Difference, Validate }
}
shown! {
    /// Where a task stands; the last four are ends.
    StatusWord("TaskStatus") of TaskStatus { Queued, Waiting, Running, Succeeded, Failed, Cancelled, Skipped }
}
shown! {
    /// What a running task is doing.
    PhaseWord("TaskPhase") of TaskPhase {
        Scheduling, Pulling, Starting, Running, Stopping, NodeUnreachable
    }
}
shown! {
    /// Who started a task.
    TriggerWord("TaskTrigger") of TaskTrigger { Manual, Schedule }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON;

    use super::*;

    #[test]
    fn words_are_those_of_the_domain() {
        for status in TaskStatus::ALL {
            assert_eq!(StatusWord::from(*status).to_json().unwrap(), status.as_str());
        }
        for kind in TaskKind::ALL {
            assert_eq!(KindWord::from(*kind).to_json().unwrap(), kind.as_str());
        }
        for phase in TaskPhase::ALL {
            assert_eq!(PhaseWord::from(*phase).to_json().unwrap(), phase.as_str());
        }
        for trigger in TaskTrigger::ALL {
            assert_eq!(TriggerWord::from(*trigger).to_json().unwrap(), trigger.as_str());
        }
    }
}

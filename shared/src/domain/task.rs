//! The words of a task: its kind, status, phase, trigger and the classes of failure.
//!
//! Each enum has one text form, which is what rows, events and native API answers carry.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The id of a task: a UUID of version 7, so that ids sort by the time of creation.
pub type TaskId = Uuid;

/// A text that is no value of the enum it was read as.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is no {what}")]
pub struct UnknownWord {
    pub(super) what: &'static str,
    pub(super) text: String,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($what:literal) { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { what: $what, text: text.to_owned() }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownWord;
            fn try_from(text: String) -> Result<Self, UnknownWord> {
                text.parse()
            }
        }

        impl From<$name> for &'static str {
            fn from(word: $name) -> Self {
                word.as_str()
            }
        }
    };
}

pub(super) use words;

words! {
    /// What a task runs.
    TaskKind("kind of task") {
        /// Moves data from a job's source to its destination.
        Sync = "sync",
        /// Removes a job's streams from its destination, and from its state.
        Clear = "clear",
        /// Lists the streams of a source.
        Discover = "discover",
        /// Tests a source or a destination.
        Check = "check",
        /// Reads the form (JSON schema) of a source or a destination.
        Spec = "spec",
        /// Tells which streams of two catalogs differ.
        Difference = "difference",
        /// Asks whether a job's connector would be taken where it is to run. No connector starts.
        Validate = "validate",
    }
}

impl TaskKind {
    /// The class of places that a task of this kind takes on a worker.
    pub const fn class(self) -> PlaceClass {
        match self {
            Self::Sync | Self::Clear => PlaceClass::Sync,
            Self::Discover | Self::Check | Self::Spec | Self::Difference | Self::Validate => {
                PlaceClass::Interactive
            }
        }
    }
}

words! {
    /// A class of places on a worker. Each has its own queue, so that a hundred syncs never delay a form.
    PlaceClass("class of places") {
        /// Long work on a job.
        Sync = "sync",
        /// Short work that a person waits for.
        Interactive = "interactive",
    }
}

words! {
    /// Where a task stands. The last four are ends: nothing leaves them.
    TaskStatus("status") {
        /// Due now or at its `not_before`; any worker with a free place may claim it.
        Queued = "queued",
        /// Waits for the end of another task.
        Waiting = "waiting",
        /// Owned by a worker.
        Running = "running",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended with a failure, see [`FailureClass`].
        Failed = "failed",
        /// Ended by a person's wish.
        Cancelled = "cancelled",
        /// A schedule's slot that was not run.
        Skipped = "skipped",
    }
}

impl TaskStatus {
    /// Whether nothing can change any more.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

words! {
    /// Which end of the task before it lets a waiting task go on. Another end cancels it.
    AfterCondition("condition of a waiting task") {
        /// However it ends.
        Any = "any",
        /// Only if it succeeds.
        Succeeded = "succeeded",
    }
}

impl AfterCondition {
    /// Whether a task that waits for this may go on after an end of this status.
    pub const fn is_met_by(self, end: TaskStatus) -> bool {
        match self {
            Self::Any => end.is_end(),
            Self::Succeeded => matches!(end, TaskStatus::Succeeded),
        }
    }
}

words! {
    /// What a running task is doing.
    TaskPhase("phase") {
        /// Claimed; inputs are being made, or a machine is looked for.
        Scheduling = "scheduling",
        /// An image is being fetched.
        Pulling = "pulling",
        /// The connector is being started, or waits for its start guard.
        Starting = "starting",
        /// The connector runs.
        Running = "running",
        /// The connector was told to stop.
        Stopping = "stopping",
        /// The machine that it runs on is not heard of: whether it still runs is unknown.
        NodeUnreachable = "node_unreachable",
    }
}

words! {
    /// Who started a task.
    TaskTrigger("trigger") {
        /// A person or a client of the API.
        Manual = "manual",
        /// The job's schedule.
        Schedule = "schedule",
    }
}

words! {
    /// Why an attempt ended badly. The class decides what happens next.
    FailureClass("failure class") {
        /// The connector's own error. Not retried by default.
        Connector = "connector",
        /// Killed by a signal that was not ours, vanished, or never seen to end.
        Infrastructure = "infrastructure",
        /// Killed for memory.
        OutOfMemory = "out_of_memory",
        /// The connector's program or image cannot be started.
        Image = "image",
        /// No live worker can run it.
        Unschedulable = "unschedulable",
        /// Ran longer than its deadline.
        Timeout = "timeout",
        /// The worker was stopped: the task goes back to the queue, and it counts as no retry.
        Interrupted = "interrupted",
        /// Ended because a person wished so.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for status in TaskStatus::ALL {
            assert_eq!(status.as_str().parse::<TaskStatus>().unwrap(), *status);
        }
        for class in FailureClass::ALL {
            assert_eq!(class.as_str().parse::<FailureClass>().unwrap(), *class);
        }
        assert!("Queued".parse::<TaskStatus>().is_err());
    }

    #[test]
    fn only_long_work_on_a_job_takes_the_places_of_syncs() {
        let long = TaskKind::ALL.iter().filter(|kind| kind.class() == PlaceClass::Sync);
        assert_eq!(long.map(|kind| kind.as_str()).collect::<Vec<_>>(), ["sync", "clear"]);
    }

    #[test]
    fn only_the_last_four_are_ends() {
        let ends: Vec<_> = TaskStatus::ALL.iter().filter(|s| s.is_end()).map(|s| s.as_str()).collect();
        assert_eq!(ends, ["succeeded", "failed", "cancelled", "skipped"]);
    }

    #[test]
    fn a_condition_is_met_by_ends_alone() {
        for status in TaskStatus::ALL {
            assert_eq!(AfterCondition::Any.is_met_by(*status), status.is_end(), "{status}");
            let succeeded = *status == TaskStatus::Succeeded;
            assert_eq!(AfterCondition::Succeeded.is_met_by(*status), succeeded, "{status}");
        }
    }
}

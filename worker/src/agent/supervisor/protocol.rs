//! What a worker and its supervisors say to each other: JSON lines on the supervisor's stdin and stdout.
//!
//! The worker says one [`Order`], then [`STOP`] and [`KILL`] as it likes; the end of its stream means that it
//! is dead. The supervisor answers with [`Report`]s; `Exited`, `NotStarted` and `Stopped` are the last one.
//! Both ends are always the same program, so the forms may change freely between versions.

use std::path::PathBuf;

use olake_shared::domain::task::FailureClass;
use serde::{Deserialize, Serialize};

/// The line that asks for an end: SIGTERM to the group, SIGKILL after the grace.
pub const STOP: &str = "stop";
/// The line that asks for an end at once: SIGKILL to the group.
pub const KILL: &str = "kill";

/// What to run and how to guard it. Every path is absolute.
///
/// It holds no config: those are in the files which the arguments name. No `Debug`, as the environment is
/// the operator's.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// The run, as it stands in the record.
    pub run: RunName,
    /// The connector's program.
    pub program: PathBuf,
    /// Its arguments, without the program.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// The folder of its inputs, which hold secrets: removed when nothing of it lives, also if the worker is dead.
    pub inputs: PathBuf,
    /// The guard of the start.
    pub guard: GuardFiles,
    /// A second lock, for what there is only one of on a host. Its holder is never ended, only waited for.
    pub single: Option<Single>,
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub grace_millis: u64,
}

/// A run of a connector: a task's attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// The task's id.
    pub task: String,
    /// Its attempt.
    pub attempt: i32,
}

/// The files which guard a start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuardFiles {
    /// Locked for as long as anything of the run lives.
    pub lock: PathBuf,
    /// Says which process group that is.
    pub record: PathBuf,
    /// There when this run must not start any more: somebody took its task over.
    pub over: PathBuf,
    /// Whether the lock is removed at the end: nobody will ask for it again.
    pub once: bool,
}

/// Something that only one run may use at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Single {
    /// The file that is locked meanwhile.
    pub lock: PathBuf,
    /// What a person is told while the run waits for it.
    pub reason: String,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It waits; why, for a person.
    Waiting(String),
    /// The connector runs, and its record is written.
    Started {
        /// The process, which is also the number of its group.
        pid: i32,
    },
    /// The connector ended, and nothing of its group is left.
    Exited(Exited),
    /// The connector could not be started.
    NotStarted {
        /// Whether it is the program's fault or the machine's.
        class: FailureClass,
        /// Why, for a person.
        message: String,
    },
    /// It was told to stop before the connector was started.
    Stopped,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exited {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

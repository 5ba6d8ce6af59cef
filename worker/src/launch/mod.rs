//! Launchers: how one attempt of a task gets a running connector, and what is seen of it until its end.
//!
//! - [`process`]: connectors are programs on this machine;
//! - [`kube`]: connectors are pods;
//! - [`known`]: what is stored already of an attempt that is taken over.
//!
//! What every launcher promises:
//! - an attempt starts at most one connector, and none while an earlier run of the same job lives anywhere;
//! - the end is told only when nothing of the connector lives any more, and after everything that it left;
//! - secrets in the inputs are gone when the end is told; the connector's output stays until
//!   [`Launcher::discard`], so that nothing is lost when it could not be stored;
//! - what goes through [`Running::updates`] is bounded: who takes nothing stops the reading, not the connector.
//!
//! To add a launcher: a module with a type that implements [`Launcher`], a value of `worker.launcher` in the
//! configuration, and its choice in the worker's start. `tests/process_launcher.rs` shows what to test.

pub mod known;
pub mod kube;
pub mod process;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskPhase},
    store::{StoreError, workers::Runs},
};
use tokio::sync::mpsc;

use self::known::Known;
use crate::{
    agent::follow::{Ending, Progress},
    connector::{
        command::{CommandError, Request},
        result::Exit,
    },
};

/// One attempt, to be launched. It holds secrets in its request, and so has no `Debug`.
#[derive(Clone)]
pub struct Launch {
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: i32,
    /// The ownership under which it is launched: once the task has another owner, that one decides.
    pub epoch: i64,
    /// The job it works on. Two syncs or clears of one job never run at once.
    pub job: Option<i64>,
    /// The source type whose connector runs, as `postgres`.
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// What the connector is asked to do.
    pub request: Request,
    /// The secrets of the request, in every form in which they may be printed.
    pub mask: Vec<String>,
    /// Where and with how much it is to run.
    pub placement: Placement,
    /// How long its connector may run; whoever launches it ends it then, and the launcher may make sure.
    pub deadline: Duration,
}

/// Where and with how much an attempt is to run, for launchers that can choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The profile that its job names.
    pub profile: Option<String>,
    /// The limit of memory that its job asks for, as written there.
    pub max_memory: Option<String>,
    /// How often the memory is doubled, since earlier attempts ended for want of it.
    pub memory_doublings: u32,
}

impl Launch {
    /// The attempt alone, without what it was to do.
    pub fn reference(&self) -> AttemptRef {
        let is_of_job = self.request.is_of_job();
        let job = if is_of_job { self.job } else { None };
        AttemptRef { task: self.task, attempt: self.attempt, epoch: self.epoch, job }
    }
}

/// An attempt that was launched, by this worker or by one that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: i32,
    /// The ownership under which it is followed.
    pub epoch: i64,
    /// The job whose start guard it holds: that of a sync or a clear; none for one-shot kinds.
    pub job: Option<i64>,
}

/// What is told of a running attempt, in the order in which it happened. `Ended` is the last. What is large is boxed: a channel
/// has room for many of these, of each run.
#[derive(Debug)]
pub enum Update {
    /// It does not run yet.
    Starting {
        /// What it waits in.
        phase: TaskPhase,
        /// Why it waits, for a person; none when that is as usual.
        why: Option<String>,
    },
    /// It has a place.
    Placed(Placed),
    /// The connector runs.
    Started {
        /// Its process, when it is one of this machine.
        pid: Option<i32>,
        /// How long it has run already.
        ran_for: Duration,
    },
    /// Its machine is not heard of; why that is believed, for a person. `Started` or `Starting` follows when it is again.
    Unreachable(String),
    /// What it wrote since the last time.
    Progress(Box<Progress>),
    /// Nothing of it lives any more.
    Ended(Box<Ended>),
}

/// Where an attempt runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its pod.
    pub pod: String,
    /// The node of its pod, once there is one.
    pub node: Option<String>,
}

/// The end of an attempt.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub seen: Seen,
    /// What was not told before: the last lines, the last state, results that are files.
    pub rest: Ending,
    /// What somebody who followed it before has stopped it for, see [`Control::stop_for`].
    pub stopped_for: Option<FailureClass>,
}

/// How the connector's process ended, if it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It ran, and ended like this.
    Exit(Exit),
    /// It ended badly, and the launcher knows why better than the exit says.
    Failed {
        /// What kind of end.
        class: FailureClass,
        /// Words for a person.
        why: String,
        /// The exit code, if there is one.
        exit_code: Option<i32>,
        /// Whether another attempt may do better, if its class is tried again at all.
        may_retry: bool,
    },
    /// It was never started; the class and why. Told to stop meanwhile is a reason too.
    NotStarted(FailureClass, String),
    /// Nobody saw its end. Nothing of it lives any more all the same, or it holds the start guard of its job.
    Vanished,
}

/// A launched attempt. Dropping it ends the connector like [`Self::stop`] does, and leaves its output for
/// [`Launcher::recover`]; unless the launcher's connectors outlive their worker ([`Launcher::outlives_worker`]): then it
/// is only followed no longer.
pub struct Running {
    /// What is told of it. Take them steadily: while the channel is full, output stays where it was written.
    pub updates: mpsc::Receiver<Update>,
    control: Box<dyn Control>,
}

impl Running {
    /// A run that is told to stop by `control`.
    pub fn new(updates: mpsc::Receiver<Update>, control: Box<dyn Control>) -> Self {
        Self { updates, control }
    }

    /// What is told of it, and what ends it, apart.
    pub fn split(self) -> (mpsc::Receiver<Update>, Box<dyn Control>) {
        (self.updates, self.control)
    }

    /// Asks the connector to end: SIGTERM now, SIGKILL to all of its group after the grace. Does not wait; the
    /// end comes as [`Update::Ended`]. May be called again.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Asks the connector to end, see [`Control::stop_for`].
    pub fn stop_for(&self, class: FailureClass) {
        self.control.stop_for(class);
    }

    /// Ends the connector at once, with SIGKILL to all of its group.
    pub fn kill(&self) {
        self.control.kill();
    }
}

/// How a launcher ends a run. Dropped with the run, see there.
pub trait Control: Send + Sync {
    /// See [`Running::stop`].
    fn stop(&self);
    /// As [`Self::stop`], with what a bad end is to be judged as. A launcher whose connectors outlive their worker keeps
    /// that beside the connector: whoever takes it over may see nothing but its end.
    fn stop_for(&self, class: FailureClass) {
        let _ = class;
        self.stop();
    }
    /// See [`Running::kill`].
    fn kill(&self);
}

/// Why an attempt was not launched, in words for a person. Never a content of an input.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Nothing is configured for this type and version.
    #[error(
        "this worker has no connector for {connector_type} {version}: add it to the worker's table of connectors \
         (OLAKE_CONNECTORS), or choose a version that is in it"
    )]
    NotConfigured {
        /// The source type.
        connector_type: String,
        /// The version, as asked for.
        version: String,
    },
    /// The configured program cannot be run.
    #[error("the connector's program {} {problem}; the worker's table of connectors (OLAKE_CONNECTORS) names it", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// "was not found", "is not executable" and the like.
        problem: String,
    },
    /// The version cannot do what is asked.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A folder or file of the attempt cannot be made.
    #[error("{} cannot be {verb}: {source}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// "made", "written" and the like.
        verb: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A path that goes to a connector as text is no text.
    #[error("the data folder's path {} is not UTF-8", path.display())]
    PathIsNoText {
        /// Which.
        path: PathBuf,
    },
    /// The process that watches over the connector cannot be started.
    #[error("the supervisor of the connector cannot be started: {source}")]
    Supervisor {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// This very attempt is running.
    #[error("attempt {attempt} of this task is running already")]
    Running {
        /// The attempt.
        attempt: i32,
    },
    /// Its end was waited for long enough; it can be tried again.
    #[error("attempt {attempt} of this task has not ended yet, although it was told to")]
    NotEnded {
        /// The attempt.
        attempt: i32,
    },
    /// The launcher's own work broke off.
    #[error("the launcher broke off")]
    BrokeOff,
    /// What Kubernetes cannot be asked for: its words say what is to be changed.
    #[error(transparent)]
    Shape(#[from] self::kube::ShapeError),
    /// The Kubernetes API refused, or cannot be reached.
    #[error(transparent)]
    Kubernetes(#[from] self::kube::CallError),
    /// The database refused, or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LaunchError {
    /// What the failure means for the task.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::NotConfigured { .. } | Self::Program { .. } | Self::Command(_) => FailureClass::Image,
            Self::Shape(error) => error.class(),
            Self::Kubernetes(self::kube::CallError::Refused { .. }) => FailureClass::Unschedulable,
            Self::Files { .. }
            | Self::PathIsNoText { .. }
            | Self::Supervisor { .. }
            | Self::Running { .. }
            | Self::NotEnded { .. }
            | Self::BrokeOff
            | Self::Kubernetes(_)
            | Self::Store(_) => FailureClass::Infrastructure,
        }
    }
}

/// What workers share that guard each other's starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPlace {
    /// A text that is equal for those that share it.
    pub key: String,
    /// What that is, for a person.
    pub shared: &'static str,
}

/// A way to run connectors.
#[async_trait]
pub trait Launcher: Send + Sync + 'static {
    /// Its name in the configuration and in the worker's row.
    fn name(&self) -> &'static str;

    /// What it can run.
    fn runs(&self) -> Runs;

    /// What all workers with this launcher must share; none if nothing.
    fn place(&self) -> Option<SharedPlace>;

    /// Its own metrics, in Prometheus' text form.
    fn metrics(&self) -> String {
        String::new()
    }

    /// Whether connectors run on when their worker is gone. Then an attempt is adopted, never taken back, a worker that
    /// stops follows it no longer, and dropping a [`Running`] leaves the connector alone.
    fn outlives_worker(&self) -> bool {
        false
    }

    /// Goes on with an attempt that another worker has launched, or was about to. `launch` is none when what it needs
    /// cannot be read any more: then what runs is followed, and what does not run yet never will.
    ///
    /// # Errors
    /// As [`Launcher::launch`]; [`LaunchError::BrokeOff`] from launchers whose connectors do not outlive their worker.
    async fn adopt(&self, attempt: AttemptRef, launch: Option<Launch>) -> Result<Running, LaunchError> {
        let _ = (attempt, launch);
        Err(LaunchError::BrokeOff)
    }

    /// Asks whether an attempt would be taken where it is to run, and starts none. Nothing is left behind.
    ///
    /// # Errors
    /// [`LaunchError`] in words for a person. Its class tells a refusal, which stays one as long as nothing is changed, from
    /// a question that could not be asked ([`FailureClass::Infrastructure`]).
    async fn validate(&self, launch: &Launch) -> Result<(), LaunchError>;

    /// Launches an attempt.
    ///
    /// # Errors
    /// Nothing was started then, and nothing is left behind.
    async fn launch(&self, launch: Launch) -> Result<Running, LaunchError>;

    /// What an attempt left whose worker is gone: ends what still runs of it, waits for that, and reads its output. Lines
    /// that are `known` are left out. None when there is no output.
    ///
    /// # Errors
    /// [`LaunchError::NotEnded`] when it does not end; [`LaunchError::Files`].
    async fn recover(&self, attempt: AttemptRef, known: Known) -> Result<Option<Ending>, LaunchError>;

    /// Removes the output of an attempt that has ended, once all of it is stored. Done twice is done.
    ///
    /// # Errors
    /// [`LaunchError::Files`]; [`Launcher::sweep`] will remove it.
    async fn discard(&self, task: TaskId, attempt: i32) -> Result<(), LaunchError>;

    /// The names, in the launcher's own words, of what attempts have here now, also those that run.
    async fn found(&self) -> Result<Vec<String>, LaunchError>;

    /// Removes what attempts left behind that are in `found` and not in `alive`; says how many there were. What runs in
    /// this or another worker is left alone in any case. `alive` is to be read after `found`, so that an attempt
    /// which begins meanwhile is in neither.
    ///
    /// # Errors
    /// [`LaunchError::Files`] for the first thing that could not be removed; the others were.
    async fn sweep(&self, found: Vec<String>, alive: &[(TaskId, i32)]) -> Result<u64, LaunchError>;
}

//! The process launcher: connectors are programs on this machine, each below a supervisor of its own
//! ([`crate::agent::supervisor`]).
//!
//! - [`folders`]: where inputs, output and start guards are;
//! - [`memory`]: the folder in memory that inputs are written to;
//! - [`start`]: from an attempt to its supervisor: program, inputs, environment;
//! - [`spare`]: the supervisor of the next run, started ahead;
//! - [`driver`]: one thread for each run: feeds the follower, and tells of the run until its end.
//!
//! Worker, supervisor and connector are bound together by pipes: the supervisor's stdin is the worker's life
//! line and its orders, its stdout the reports, its stderr the connector's console. A worker that dies closes
//! them all, and the supervisor ends the connector's group. A supervisor that dies leaves the record of the
//! start guard, by which the driver ends the group.
//!
//! Invariant: no content of an input is in an argument or in an environment, and neither are the worker's own
//! variables: supervisors start with no environment, connectors with a list that is written here.

mod driver;
mod folders;
mod memory;
mod spare;
mod start;

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use olake_shared::{
    clock::SharedClock,
    config::connectors::ConnectorTable,
    domain::task::TaskId,
    store::workers::{RunnableConnector, Runs},
};
use tokio::sync::oneshot;

use self::{
    folders::{Folders, files},
    spare::Supervisors,
};
use super::{AttemptRef, Launch, LaunchError, Launcher, Running, SharedPlace, known::Known};
use crate::agent::{
    follow::{Ending, FolderFollower},
    supervisor::{
        guard::{self, Claim},
        protocol::RunName,
    },
};
use crate::connector::output::LogLine;

/// How much longer than the grace an end is waited for.
const END_SLACK: Duration = Duration::from_secs(10);

/// How long after a start the next run's supervisor is started: the connector shall have the processor first.
const SETTLED: Duration = Duration::from_millis(20);

/// How the process launcher works.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// From SIGTERM to SIGKILL: a connector needs time for its last commit.
    pub kill_grace: Duration,
    /// The program and arguments of the supervisor, by an absolute path.
    pub supervisor_command: Vec<OsString>,
    /// A memory file system, for the inputs.
    pub memory: PathBuf,
}

impl ProcessSettings {
    /// The supervisor is a mode of the running program, which stays the same when its file is replaced.
    pub fn new(kill_grace: Duration) -> Self {
        Self {
            kill_grace,
            supervisor_command: vec!["/proc/self/exe".into(), "supervise".into()],
            memory: "/dev/shm".into(),
        }
    }
}

/// Runs connectors as processes of this machine.
pub struct ProcessLauncher {
    inner: Arc<Inner>,
}

struct Inner {
    folders: Arc<Folders>,
    connectors: ConnectorTable,
    settings: ProcessSettings,
    supervisors: Supervisors,
    clock: SharedClock,
}

impl ProcessLauncher {
    /// A launcher with its folders in `data_dir`, which it makes.
    ///
    /// # Errors
    /// [`LaunchError::Files`] and [`LaunchError::PathIsNoText`], when the folders cannot be used.
    pub fn new(
        data_dir: &Path,
        connectors: ConnectorTable,
        settings: ProcessSettings,
        clock: SharedClock,
    ) -> Result<Self, LaunchError> {
        let folders = Arc::new(Folders::open(data_dir, &settings.memory)?);
        let supervisors = Supervisors::new(settings.supervisor_command.clone());
        supervisors.prepare();
        Ok(Self { inner: Arc::new(Inner { folders, connectors, settings, supervisors, clock }) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, LaunchError> + Send + 'static,
    ) -> Result<T, LaunchError> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.unwrap_or(Err(LaunchError::BrokeOff))
    }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    fn name(&self) -> &'static str {
        "process"
    }

    fn runs(&self) -> Runs {
        let programs = self.inner.connectors.programs().iter();
        let connectors = programs.flat_map(|program| {
            program.versions.iter().map(|version| RunnableConnector {
                connector_type: program.connector_type.clone(),
                version: version.to_string(),
                destinations: program.destinations.clone(),
            })
        });
        Runs { connectors: connectors.collect(), ..Runs::default() }
    }

    fn place(&self) -> Option<SharedPlace> {
        // The machine, until it starts anew, and the folder in which starts are guarded.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = format!("{} {}", boot.trim(), self.inner.folders.identity());
        Some(SharedPlace { key, shared: "one host and one data folder (OLAKE_DATA_DIR)" })
    }

    async fn validate(&self, launch: &Launch) -> Result<(), LaunchError> {
        self.inner.program_of(launch).map(|_| ())
    }

    async fn launch(&self, launch: Launch) -> Result<Running, LaunchError> {
        let inner = self.inner.clone();
        let (sender, launched) = oneshot::channel();
        let run = move || match inner.start(&launch) {
            Ok((driver, running)) => {
                drop(launch);
                // Nobody waits for it any more: dropped with the answer, the run ends by itself.
                let _ = sender.send(Ok(running));
                driver.run();
            }
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("connector".to_owned())
            .spawn(run)
            .map_err(|source| LaunchError::Supervisor { source })?;
        let running = launched.await.unwrap_or(Err(LaunchError::BrokeOff))?;
        let inner = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SETTLED).await;
            tokio::task::spawn_blocking(move || inner.supervisors.prepare()).await
        });
        Ok(running)
    }

    async fn recover(&self, attempt: AttemptRef, known: Known) -> Result<Option<Ending>, LaunchError> {
        self.blocking(move |inner| inner.recover(&attempt, known)).await
    }

    async fn discard(&self, task: TaskId, attempt: i32) -> Result<(), LaunchError> {
        self.blocking(move |inner| {
            inner.folders.remove_inputs(&folder_name(task, attempt))?;
            inner.folders.remove_output(&folder_name(task, attempt))
        })
        .await
    }

    async fn found(&self) -> Result<Vec<String>, LaunchError> {
        self.blocking(|inner| Ok(inner.folders.found())).await
    }

    async fn sweep(&self, found: Vec<String>, alive: &[(TaskId, i32)]) -> Result<u64, LaunchError> {
        let mut over: HashSet<String> = found.into_iter().collect();
        for (task, attempt) in alive {
            over.remove(&folder_name(*task, *attempt));
        }
        self.blocking(move |inner| inner.folders.sweep(&over)).await
    }
}

impl Inner {
    fn recover(&self, attempt: &AttemptRef, known: Known) -> Result<Option<Ending>, LaunchError> {
        let name = folder_name(attempt.task, attempt.attempt);
        let path = self.folders.output_path(&name);
        let run = RunName { task: attempt.task.to_string(), attempt: attempt.attempt };
        let guarded = self.folders.guard(attempt);
        let claim = Claim {
            lock: &guarded.lock,
            record: Some(&guarded.record),
            over: None,
            output: Some(&path),
            run: &run,
            grace: self.settings.kill_grace,
            only_own: true,
        };
        let give_up_at = Instant::now() + self.settings.kill_grace + END_SLACK;
        let held = claim
            .take(
                || (),
                |pause| {
                    thread::sleep(pause);
                    Instant::now() >= give_up_at
                },
            )
            .map_err(files(&guarded.lock, "locked"))?
            .ok_or(LaunchError::NotEnded { attempt: attempt.attempt })?;
        // Its worker may be paused rather than dead, and just about to start it.
        guard::mark_over(&guarded).map_err(files(&guarded.over, "written"))?;
        self.folders.remove_inputs(&name)?;
        guard::forget(&guarded).map_err(files(&guarded.lock, "removed"))?;
        drop(held);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(read_rest(&path, self.clock.now(), known)))
    }
}

/// Reads everything there is, and keeps the lines that are not known: a log may be much larger than what is missing of it.
fn read_rest(folder: &Path, started: DateTime<Utc>, mut known: Known) -> Ending {
    let mut follower = FolderFollower::new(folder, started);
    let mut log = Vec::new();
    let mut keep =
        |lines: Vec<LogLine>| log.extend(lines.into_iter().filter(|line| !known.has(line, started)));
    let (mut state, mut errors) = (None, Vec::new());
    loop {
        let mut progress = follower.poll();
        state = progress.state.or(state);
        errors.append(&mut progress.errors);
        keep(progress.log);
        if !progress.more {
            break;
        }
    }
    let mut ending = follower.finish();
    keep(std::mem::take(&mut ending.progress.log));
    ending.progress.state = ending.progress.state.or(state);
    // What was not read at one look and read at the next is told once more than needed.
    errors.append(&mut ending.progress.errors);
    errors.truncate(20);
    ending.progress.errors = errors;
    ending.progress.log = log;
    ending
}

/// The name of an attempt's folders.
fn folder_name(task: TaskId, attempt: i32) -> String {
    format!("{task}-{attempt}")
}

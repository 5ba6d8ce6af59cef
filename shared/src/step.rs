//! The steps of a task's life, and how tests kill a process before and after each.
//!
//! Each place in the code that takes a step says so with [`reach`]. In a debug build whose environment has
//! `OLAKE_TEST_CRASH=<step>:before` (or `after`; `:<n>` more for the n-th time in a process) and
//! `OLAKE_TEST_CRASH_MARK=<path>`, the first process that gets there makes the mark and ends itself by SIGKILL;
//! once the mark is there, everybody goes on. With `OLAKE_TEST_CRASH_BY=pause` it stops instead (SIGSTOP), and goes on
//! from there when the test lets it. `OLAKE_TEST_BREAK=fence` lets starts pass without their guard, to prove
//! that the proof can fail. A release build has nothing of this.
//!
//! To add a step: a value here, in [`Step::ALL`] and [`Step::as_str`], and its two calls of [`reach`]. The test of the
//! crash points (`deploy/standalone/tests/durability/`) fails until it has been hit.

/// What happens to a task. In the order of a life, first a plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its row is written.
    Created,
    /// Its bell is rung.
    Rung,
    /// A worker owns it.
    Claimed,
    /// What its connector is asked is put together, with its secrets opened.
    Described,
    /// The folder of the attempt's output is made.
    OutputMade,
    /// The connector's inputs are written.
    InputsWritten,
    /// The supervisor runs and has its order.
    SupervisorStarted,
    /// The supervisor has the start guard.
    GuardTaken,
    /// The connector's process runs.
    ConnectorStarted,
    /// The record says which process group that is.
    ConnectorRecorded,
    /// A phase is stored.
    PhaseStored,
    /// A state is stored.
    StateStored,
    /// Log lines are stored.
    LogStored,
    /// The transaction of log lines is committed: before, the task's row is locked.
    LogCommitted,
    /// Statistics are stored.
    StatsStored,
    /// The connector is told to stop.
    StopTold,
    /// Nothing of the connector's group lives.
    GroupEnded,
    /// The inputs of an attempt that has ended are removed.
    InputsRemoved,
    /// The end of the attempt is stored.
    EndStored,
    /// Who waits is told of the end.
    EndPublished,
    /// The attempt's output is removed.
    OutputDiscarded,
    /// What a dead worker's attempt left is read.
    Recovered,
    /// A dead worker's task is back in the queue, or ended.
    TakenBack,
    /// A worker that stops has handed over everything, and its row is removed.
    Unregistered,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Created,
        Self::Rung,
        Self::Claimed,
        Self::Described,
        Self::OutputMade,
        Self::InputsWritten,
        Self::SupervisorStarted,
        Self::GuardTaken,
        Self::ConnectorStarted,
        Self::ConnectorRecorded,
        Self::PhaseStored,
        Self::StateStored,
        Self::LogStored,
        Self::LogCommitted,
        Self::StatsStored,
        Self::StopTold,
        Self::GroupEnded,
        Self::InputsRemoved,
        Self::EndStored,
        Self::EndPublished,
        Self::OutputDiscarded,
        Self::Recovered,
        Self::TakenBack,
        Self::Unregistered,
    ];

    /// Its name in `OLAKE_TEST_CRASH`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rung => "rung",
            Self::Claimed => "claimed",
            Self::Described => "described",
            Self::OutputMade => "output_made",
            Self::InputsWritten => "inputs_written",
            Self::SupervisorStarted => "supervisor_started",
            Self::GuardTaken => "guard_taken",
            Self::ConnectorStarted => "connector_started",
            Self::ConnectorRecorded => "connector_recorded",
            Self::PhaseStored => "phase_stored",
            Self::StateStored => "state_stored",
            Self::LogStored => "log_stored",
            Self::LogCommitted => "log_committed",
            Self::StatsStored => "stats_stored",
            Self::StopTold => "stop_told",
            Self::GroupEnded => "group_ended",
            Self::InputsRemoved => "inputs_removed",
            Self::EndStored => "end_stored",
            Self::EndPublished => "end_published",
            Self::OutputDiscarded => "output_discarded",
            Self::Recovered => "recovered",
            Self::TakenBack => "taken_back",
            Self::Unregistered => "unregistered",
        }
    }
}

/// Just before a step is taken, or just after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// Says that a step is about to be taken, or was taken just now. Does nothing but in a debug build that is told to die
/// here.
#[inline]
pub fn reach(step: Step, moment: Moment) {
    #[cfg(debug_assertions)]
    crash::reach(step, moment);
    #[cfg(not(debug_assertions))]
    let _ = (step, moment);
}

/// Whether starts pass without their guard: in debug builds that are told so only.
#[inline]
pub fn is_fence_broken() -> bool {
    #[cfg(debug_assertions)]
    return std::env::var_os(crash::BREAK).is_some_and(|what| what == "fence");
    #[cfg(not(debug_assertions))]
    return false;
}

/// The variables of this module, for helpers of a process that get nothing else of its environment. None in a release
/// build.
pub fn variables() -> Vec<(&'static str, std::ffi::OsString)> {
    #[cfg(debug_assertions)]
    return [crash::CRASH, crash::MARK, crash::BY, crash::BREAK]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect();
    #[cfg(not(debug_assertions))]
    return Vec::new();
}

#[cfg(debug_assertions)]
mod crash {
    use std::{
        fs::OpenOptions,
        path::PathBuf,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::{Moment, Step};

    pub const CRASH: &str = "OLAKE_TEST_CRASH";
    pub const MARK: &str = "OLAKE_TEST_CRASH_MARK";
    pub const BY: &str = "OLAKE_TEST_CRASH_BY";
    pub const BREAK: &str = "OLAKE_TEST_BREAK";

    /// Where this process is to die.
    struct Point {
        step: String,
        moment: String,
        /// The how many-th time, from 1.
        time: u32,
        mark: PathBuf,
        seen: AtomicU32,
    }

    static POINT: OnceLock<Option<Point>> = OnceLock::new();

    fn point() -> Option<Point> {
        let text = std::env::var(CRASH).ok()?;
        let mut parts = text.split(':').map(str::to_owned);
        let (step, moment) = (parts.next()?, parts.next()?);
        let time = parts.next().and_then(|time| time.parse().ok()).unwrap_or(1);
        Some(Point { step, moment, time, mark: std::env::var_os(MARK)?.into(), seen: AtomicU32::new(0) })
    }

    pub fn reach(step: Step, moment: Moment) {
        let Some(point) = POINT.get_or_init(point) else { return };
        let moment = match moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        if point.step != step.as_str() || point.moment != moment {
            return;
        }
        if point.seen.fetch_add(1, Ordering::SeqCst) + 1 < point.time {
            return;
        }
        // One process only: whoever makes the mark.
        if OpenOptions::new().write(true).create_new(true).open(&point.mark).is_ok() {
            let is_pause = std::env::var_os(BY).is_some_and(|by| by == "pause");
            let _ = kill_process(getpid(), if is_pause { Signal::STOP } else { Signal::KILL });
            // Only a pause comes here, when it is over.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Step::ALL.iter().map(|step| step.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Step::ALL.len());
    }
}

//! One thread for each run: reads what the supervisor reports and what the connector prints, feeds the
//! follower, and tells of it all, until the end.
//!
//! Invariants:
//! - the console is read all the time, so that a connector never waits for the database. The one exception is a
//!   connector without a log file which floods it while nobody takes updates: then it waits in the pipe, and when
//!   it was told to stop it loses the middle of its console rather than hanging;
//! - the follower is polled only when everything found before was taken (a little more where the console would
//!   have to wait otherwise), so memory is bounded and the rest stays in the files;
//! - the inputs are removed as soon as nothing of the connector lives, before anything else at the end.

use std::{
    collections::{HashSet, VecDeque},
    io::{ErrorKind, Read},
    path::Path,
    process::{Child, ChildStderr, ChildStdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as sync_mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use olake_shared::{
    domain::task::{FailureClass, TaskPhase},
    step::{Moment, Step, reach},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    END_SLACK,
    folders::{Folders, Output},
};
use crate::{
    agent::{
        follow::{FolderFollower, Progress},
        supervisor::{
            guard::{self, Claim, Record},
            protocol::{Exited, GuardFiles, Report, RunName},
        },
    },
    connector::result::Exit,
    launch::{Ended, Seen, Update},
};

/// Between two looks at the connector's files.
const TICK: Duration = Duration::from_millis(100);

/// Updates that may wait here, besides those in the channel, to make room for more of the console.
const OUTBOX_WHEN_FULL: usize = 3;

const CHUNK_BYTES: usize = 64 << 10;

/// The most that is read of the console when all of the group is gone, in bytes: more than a pipe holds.
const LAST_CONSOLE_BYTES: usize = 8 << 20;

/// The longest line that a supervisor says, in bytes.
const REPORT_LIMIT: usize = 64 << 10;

/// What a driver is made of.
pub struct DriverParts {
    pub supervisor: Child,
    pub follower: FolderFollower,
    pub updates: mpsc::Sender<Update>,
    /// Whether the run was told to stop.
    pub stopping: Arc<AtomicBool>,
    pub run: RunName,
    pub guard: GuardFiles,
    pub grace: Duration,
    pub output: Output,
    pub folders: Arc<Folders>,
    /// The attempt's name in the folders.
    pub name: String,
}

/// Drives one run.
pub struct Driver {
    parts: DriverParts,
    console: Option<ChildStderr>,
    reports: Option<ChildStdout>,
    /// The beginning of a report whose end was not read yet.
    half_report: Vec<u8>,
    /// What was found and not taken yet. A few updates at most, one of them a step of progress.
    outbox: VecDeque<Update>,
    next_look: Instant,
    /// Whether a look must come before more of the console is read.
    console_is_full: bool,
    /// Whether nobody takes updates any more.
    abandoned: bool,
    /// Errors of files that were told already: each is told once, not ten times a second.
    told_errors: HashSet<String>,
    chunk: Vec<u8>,
}

impl Driver {
    pub fn new(mut parts: DriverParts) -> Self {
        Self {
            console: parts.supervisor.stderr.take(),
            reports: parts.supervisor.stdout.take(),
            parts,
            half_report: Vec::new(),
            outbox: VecDeque::new(),
            next_look: Instant::now() + TICK,
            console_is_full: false,
            abandoned: false,
            told_errors: HashSet::new(),
            chunk: vec![0; CHUNK_BYTES],
        }
    }

    /// Until the end is told.
    pub fn run(mut self) {
        let seen = self.watch().unwrap_or_else(|| self.outlive_supervisor());
        reach(Step::InputsRemoved, Moment::Before);
        if let Err(error) = self.parts.folders.remove_inputs(&self.parts.name) {
            tracing::warn!(task.id = %self.parts.run.task, attempt = self.parts.run.attempt, %error,
                "the inputs of a run were not removed; the next sweep does it");
        }
        reach(Step::InputsRemoved, Moment::After);
        // Its locks are free when it is gone: who hears of the end may start the next run at once.
        let _ = self.parts.supervisor.wait();
        self.tell_rest(seen);
    }

    /// Until the supervisor says how it ended. None when it ends without a word.
    fn watch(&mut self) -> Option<Seen> {
        while self.reports.is_some() {
            self.turn();
            if let Some(seen) = self.read_reports() {
                return Some(seen);
            }
        }
        None
    }

    /// One round: tells what it can, looks at the files if it is time, and reads the console. Returns when there is
    /// a report to read, or after a tick.
    fn turn(&mut self) {
        self.tell();
        if self.abandoned {
            self.outbox.clear();
        } else if self.outbox.is_empty() && Instant::now() >= self.next_look
            || self.console_is_full && self.outbox.len() < OUTBOX_WHEN_FULL
        {
            self.look();
            self.tell();
        }
        let wait = if self.outbox.is_empty() && !self.abandoned {
            self.next_look.saturating_duration_since(Instant::now())
        } else {
            TICK
        };
        if self.wait_for_input(wait) {
            self.read_console();
        }
    }

    /// Offers what is in the outbox, as far as it is taken.
    fn tell(&mut self) {
        while let Some(update) = self.outbox.pop_front() {
            match self.parts.updates.try_send(update) {
                Ok(()) => {}
                Err(TrySendError::Full(update)) => return self.outbox.push_front(update),
                Err(TrySendError::Closed(_)) => {
                    self.abandoned = true;
                    return;
                }
            }
        }
        self.abandoned = self.abandoned || self.parts.updates.is_closed();
    }

    /// Looks at the connector's files.
    fn look(&mut self) {
        let progress = self.parts.follower.poll();
        self.console_is_full = false;
        self.next_look = if progress.more { Instant::now() } else { Instant::now() + TICK };
        if let Some(progress) = self.worth_telling(progress) {
            self.outbox.push_back(Update::Progress(Box::new(progress)));
        }
    }

    fn worth_telling(&mut self, mut progress: Progress) -> Option<Progress> {
        progress.errors.retain(|error| self.told_errors.insert(error.to_string()));
        let is_news = progress.state.is_some()
            || progress.stats.is_some()
            || !progress.log.is_empty()
            || !progress.errors.is_empty();
        is_news.then_some(progress)
    }

    /// Waits until a report or (unless it is held back) the console can be read. True if the console can.
    fn wait_for_input(&mut self, wait: Duration) -> bool {
        let held_back = self.console_is_full && !self.abandoned && !self.is_stopping();
        let console = self.console.as_ref().filter(|_| !held_back);
        let mut inputs: Vec<PollFd<'_>> =
            console.iter().map(|console| PollFd::new(*console, PollFlags::IN)).collect();
        inputs.extend(self.reports.iter().map(|reports| PollFd::new(reports, PollFlags::IN)));
        if inputs.is_empty() {
            thread::sleep(wait);
            return false;
        }
        let timeout = Timespec::try_from(wait).ok();
        match poll(&mut inputs, timeout.as_ref()) {
            Ok(_) => console.is_some() && inputs.first().is_some_and(|input| !input.revents().is_empty()),
            // Interrupted: the next round comes at once.
            Err(_) => false,
        }
    }

    fn is_stopping(&self) -> bool {
        self.parts.stopping.load(Ordering::Relaxed)
    }

    /// Reads one chunk of the console. False when there is none.
    fn read_console(&mut self) -> bool {
        let Some(console) = &mut self.console else { return false };
        match console.read(&mut self.chunk) {
            Ok(0) => self.console = None,
            Ok(count) => {
                if !self.abandoned && !self.console_is_full {
                    self.console_is_full = self.parts.follower.feed_console(&self.chunk[..count]);
                }
                return true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(_) => self.console = None,
        }
        false
    }

    /// Reads the reports that are there. The last one is the answer.
    fn read_reports(&mut self) -> Option<Seen> {
        let reports = self.reports.as_mut()?;
        let mut input = [PollFd::new(reports, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !poll(&mut input, Some(&now)).is_ok_and(|ready| ready > 0) {
            return None;
        }
        match reports.read(&mut self.chunk) {
            Ok(count) if count > 0 && self.half_report.len() < REPORT_LIMIT => {
                self.half_report.extend_from_slice(&self.chunk[..count]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => self.reports = None,
        }
        while let Some(end) = self.half_report.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.half_report.drain(..=end).collect();
            let update = match serde_json::from_slice(&line) {
                Ok(Report::Waiting(why)) => Update::Starting { phase: TaskPhase::Starting, why: Some(why) },
                Ok(Report::Started { pid }) => Update::Started { pid: Some(pid), ran_for: Duration::ZERO },
                Ok(Report::Exited(Exited::Code(code))) => return Some(Seen::Exit(Exit::Code(code))),
                Ok(Report::Exited(Exited::Signal(signal))) => return Some(Seen::Exit(Exit::Signal(signal))),
                Ok(Report::NotStarted { class, message }) => return Some(Seen::NotStarted(class, message)),
                Ok(Report::Stopped) => {
                    let why = "told to stop before its connector was started".to_owned();
                    return Some(Seen::NotStarted(FailureClass::Infrastructure, why));
                }
                Err(_) => continue,
            };
            self.outbox.push_back(update);
        }
        self.tell();
        None
    }

    /// Does a dead supervisor's duty: ends the group that it recorded, while the console is read on. What cannot be
    /// ended keeps the start guard, so that nothing runs beside it.
    fn outlive_supervisor(&mut self) -> Seen {
        let (run, files, grace) = (self.parts.run.clone(), self.parts.guard.clone(), self.parts.grace);
        let output = self.parts.output.path.clone();
        let (sender, done) = sync_mpsc::channel::<()>();
        let duty = thread::Builder::new().name("connector-end".to_owned()).spawn(move || {
            end_recorded(&run, &files, &output, grace);
            drop(sender);
        });
        if duty.is_ok() {
            while done.try_recv() != Err(sync_mpsc::TryRecvError::Disconnected) {
                self.turn();
            }
        }
        Seen::Vanished
    }

    /// Tells the rest, however long it takes to be taken.
    fn tell_rest(mut self, seen: Seen) {
        let mut left = LAST_CONSOLE_BYTES;
        // What waited in the pipe for room is read too: nothing comes after it.
        self.console_is_full = false;
        while left > 0 && !self.abandoned && self.wait_for_input(Duration::ZERO) && self.read_console() {
            left = left.saturating_sub(CHUNK_BYTES);
            self.console_is_full = false;
        }
        loop {
            for update in std::mem::take(&mut self.outbox) {
                if self.parts.updates.blocking_send(update).is_err() {
                    return;
                }
            }
            if self.abandoned {
                return;
            }
            let progress = self.parts.follower.poll();
            let more = progress.more;
            let news = self.worth_telling(progress);
            self.outbox.extend(news.map(|progress| Update::Progress(Box::new(progress))));
            if !more && self.outbox.is_empty() {
                break;
            }
        }
        let mut rest = self.parts.follower.finish();
        rest.progress.errors.retain(|error| self.told_errors.insert(error.to_string()));
        // Unlocked first: who hears of the end may remove it.
        drop(self.parts.output);
        let ended = Box::new(Ended { seen, rest, stopped_for: None });
        let _ = self.parts.updates.blocking_send(Update::Ended(ended));
    }
}

/// Ends a run by its record, and takes its guard for a moment. Gives up some time after SIGKILL.
fn end_recorded(run: &RunName, files: &GuardFiles, output: &Path, grace: Duration) {
    let claim = Claim {
        lock: &files.lock,
        record: Some(&files.record),
        over: None,
        output: Some(output),
        run,
        grace,
        only_own: true,
    };
    let give_up_at = Instant::now() + grace + END_SLACK;
    let pause = |pause| {
        thread::sleep(pause);
        // Somebody else's by now: what was ours is over.
        let is_over = Record::read(&files.record).is_some_and(|record| record.run != *run);
        is_over || Instant::now() >= give_up_at
    };
    if let Ok(Some(_held)) = claim.take(|| (), pause) {
        let _ = guard::forget(files);
    }
}

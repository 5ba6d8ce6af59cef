//! Following a connector from the opening of its gate to its end, and telling the workers.
//!
//! One loop: look at the files; start a call if one is due and none is on its way; wait for whatever comes first. The
//! connector has ended when a worker says so, or, after this agent was told to end, when nothing was written for a while:
//! that order does not mean that the connector is dead. Then the rest is read and told, and the record last.
//!
//! What cannot be told soon after the order to end is printed ([`frames`]); telling goes on all the same.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{signal::unix::Signal, task::JoinHandle};

use super::{
    calls::{self, BackOff, Call, Outcome},
    client::{CallError, Client, Target},
    frames::{self, LogFrames},
    leftover,
    outbox::Outbox,
    say,
    settings::Settings,
    watch::Watcher,
};
use crate::{
    agent::{
        follow::{FolderFollower, Progress},
        record::{FinalRecord, FindingsRecord},
    },
    connector::result::Findings,
    internal::wire::{End, Registered},
    reconcile::redact::Redactor,
};

/// One look reads at most so many bytes of log.
const LOOK_BYTES: u64 = 256 * 1024;

/// After the order to end: how long nothing must have been written, and how long that is waited for.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// After the order to end: when to print what is not told. A pod that is evicted has two seconds.
const PRINT_AFTER: Duration = Duration::from_millis(1_400);

/// How often it is printed again when more came after that.
const PRINTED_AT_MOST: u32 = 5;

/// The end of the grace is left to the system.
const GRACE_MARGIN: Duration = Duration::from_secs(5);

/// Between two looks after the order to end.
const LAST_TICK: Duration = Duration::from_millis(50);

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Everything is stored.
    All,
    /// Nothing of this attempt counts any more.
    Over,
    /// Not everything: the rest was printed.
    Printed,
}

/// See the module.
pub struct Session {
    settings: Settings,
    target: Arc<Target>,
    redactor: Redactor,
    follower: FolderFollower,
    findings: Findings,
    outbox: Outbox,
    /// Results that are files.
    streams: Option<String>,
    difference: Option<String>,
    /// The number of this start, once it is registered.
    incarnation: Option<i64>,
    sequence: i64,
    /// Here while no call is on its way.
    client: Option<Client>,
    call: Option<Call>,
    back_off: BackOff,
    retry_at: Option<Instant>,
    end: Option<JoinHandle<End>>,
    seen: Option<End>,
    /// Whether there was more log than the last look read.
    more: bool,
    changed_at: Instant,
    told_to_end_at: Option<Instant>,
    is_read: bool,
    is_recorded: bool,
    printed: u32,
    /// When something came that is not printed yet.
    unprinted: bool,
}

impl Session {
    /// A session whose connector may run. `registered`: none when the permit was given to an earlier start of the agent.
    pub fn new(
        settings: Settings,
        target: Arc<Target>,
        redactor: Redactor,
        registered: Option<Registered>,
        started: chrono::DateTime<chrono::Utc>,
    ) -> Self {
        let follower = FolderFollower::new(&settings.output, started);
        let mut session = Self {
            settings,
            client: Some(Client::new(target.clone())),
            target,
            redactor,
            follower,
            findings: Findings::default(),
            outbox: Outbox::default(),
            streams: None,
            difference: None,
            incarnation: None,
            sequence: 0,
            call: None,
            back_off: BackOff::default(),
            retry_at: None,
            end: None,
            seen: None,
            more: false,
            changed_at: Instant::now(),
            told_to_end_at: None,
            is_read: false,
            is_recorded: false,
            printed: 0,
            unprinted: true,
        };
        if let Some(registered) = registered {
            session.registered(&registered);
        }
        session
    }

    /// Follows the connector to its end.
    pub async fn run(mut self, watcher: Watcher, terminate: &mut Signal) -> Told {
        loop {
            self.look();
            if let Some(told) = self.progress() {
                if let Some(end) = self.end.take() {
                    end.abort();
                }
                return told;
            }
            self.start_call();
            let wait = self.wait(&watcher);
            // A look that left more is followed by the next one as soon as there is room.
            let looks_on = self.more && self.outbox.has_room();
            tokio::select! {
                (client, outcome) = arrived(&mut self.call) => {
                    self.call = None;
                    self.client = Some(client);
                    self.take(outcome);
                }
                end = ended(&mut self.end) => {
                    self.end = None;
                    self.seen = Some(end);
                }
                _ = terminate.recv(), if self.told_to_end_at.is_none() => {
                    say("told to end");
                    self.told_to_end_at = Some(Instant::now());
                }
                () = watcher.changed() => {}
                () = tokio::task::yield_now(), if looks_on => {}
                () = tokio::time::sleep(wait), if !looks_on => {}
            }
        }
    }

    /// Takes what is new in the files.
    fn look(&mut self) {
        let limit = if self.outbox.has_room() { LOOK_BYTES } else { 0 };
        let progress = self.follower.poll_at_most(limit);
        self.more = progress.more;
        self.note(progress);
    }

    fn note(&mut self, progress: Progress) {
        if progress.state.is_some() || !progress.log.is_empty() {
            self.changed_at = Instant::now();
            self.unprinted = true;
        }
        progress.log.iter().for_each(|line| self.findings.observe(line));
        self.outbox.take(progress, &self.redactor);
    }

    /// Goes on to the end when it has come. The answer ends the session.
    fn progress(&mut self) -> Option<Told> {
        if self.seen == Some(End::Over) {
            return Some(Told::Over);
        }
        if self.is_recorded {
            return Some(Told::All);
        }
        let has_ended = self.seen == Some(End::Ended) || self.is_quiet();
        if has_ended && !self.more && !self.is_read {
            self.read_rest();
            self.is_read = true;
        }
        let since = self.told_to_end_at?.elapsed();
        if since >= PRINT_AFTER && self.unprinted && self.printed < PRINTED_AT_MOST {
            self.print();
        }
        let grace = self.settings.grace.saturating_sub(GRACE_MARGIN).max(PRINT_AFTER);
        (since >= grace && self.printed > 0).then_some(Told::Printed)
    }

    /// Whether the connector must be dead: this agent was told to end, and nothing was written for a while.
    fn is_quiet(&self) -> bool {
        let Some(told) = self.told_to_end_at else { return false };
        told.elapsed() >= QUIET_WITHIN || told.max(self.changed_at).elapsed() >= QUIET
    }

    /// Reads what is left in the files: half lines, results.
    fn read_rest(&mut self) {
        let ending = self.follower.finish();
        self.streams = ending.streams.or(self.streams.take());
        self.difference = ending.difference.or(self.difference.take());
        self.note(ending.progress);
    }

    fn record(&self, findings: &Findings, lines: u64) -> FinalRecord {
        FinalRecord {
            state: self.outbox.state().map(str::to_owned),
            stats: self.outbox.stats().cloned(),
            streams: self.streams.clone(),
            difference: self.difference.clone(),
            findings: FindingsRecord::of(findings, |text| self.redactor.clean(text).into_owned()),
            console_tail: Vec::new(),
            lines,
            gaps: self.outbox.untold_gaps().to_vec(),
        }
    }

    /// Starts the call that is due, if none is on its way.
    fn start_call(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let Some(mut client) = self.client.take() else { return };
        let Some(incarnation) = self.incarnation else {
            let settings = self.settings.clone();
            self.call = Some(Box::pin(async move {
                let outcome = calls::register(&mut client, &settings, true).await;
                (client, Outcome::Registered(outcome))
            }));
            return;
        };
        if self.outbox.due(now).is_some_and(|due| due <= now || self.is_read) {
            self.sequence += 1;
            match self.outbox.push(incarnation, self.sequence, now) {
                Ok(body) => {
                    self.call = Some(Box::pin(async move {
                        let outcome = calls::push(&mut client, body).await;
                        (client, Outcome::Pushed(outcome))
                    }));
                    return;
                }
                Err(error) => say(&format!("nothing was told: {error}")),
            }
        } else if self.is_read && self.outbox.is_empty() {
            match self.record(&self.findings, self.follower.lines()).to_text() {
                Ok(text) => {
                    self.call = Some(Box::pin(async move {
                        let outcome = calls::record(&mut client, incarnation, text.into_bytes()).await;
                        (client, Outcome::Recorded(outcome))
                    }));
                    return;
                }
                Err(error) => say(&format!("the record was not told: {error}")),
            }
        }
        self.client = Some(client);
    }

    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Registered(Ok(registered)) => {
                self.went_well();
                self.registered(&registered);
            }
            Outcome::Pushed(Ok(pushed)) => {
                self.went_well();
                self.outbox.stored(unsigned(pushed.lines));
            }
            Outcome::Recorded(Ok(_)) => self.is_recorded = true,
            Outcome::Pushed(Err(error)) => {
                let was_too_large = error.is_too_large() && self.outbox.was_too_large();
                if !was_too_large {
                    self.outbox.failed();
                }
                self.went_wrong(&error);
            }
            Outcome::Registered(Err(error)) | Outcome::Recorded(Err(error)) => self.went_wrong(&error),
        }
    }

    fn registered(&mut self, registered: &Registered) {
        self.incarnation = Some(registered.incarnation);
        self.outbox.forget_below(unsigned(registered.first_line));
        self.end = Some(tokio::spawn(calls::wait_for_end(self.target.clone(), registered.incarnation)));
    }

    fn went_well(&mut self) {
        self.back_off.reset();
        self.retry_at = None;
    }

    fn went_wrong(&mut self, error: &CallError) {
        if error.is_over() {
            say(&format!("nothing more is told: {error}"));
            self.seen = Some(End::Over);
            return;
        }
        if self.retry_at.is_none() {
            say(&format!("it will be told again: {error}"));
        }
        self.retry_at = Some(Instant::now() + self.back_off.next());
    }

    /// How long to wait when nothing happens.
    fn wait(&self, watcher: &Watcher) -> Duration {
        let tick = if self.told_to_end_at.is_some() { LAST_TICK } else { watcher.tick() };
        if self.call.is_some() {
            return tick;
        }
        let now = Instant::now();
        let due = self.outbox.due(now).map(|due| self.retry_at.map_or(due, |at| at.max(due)));
        due.map_or(tick, |due| due.saturating_duration_since(now).min(tick))
    }

    /// Prints what is not told: the record, and the lines that are not known to be stored.
    fn print(&mut self) {
        self.printed += 1;
        self.unprinted = false;
        let printed = if self.more { self.print_from_files() } else { self.print_from_memory() };
        if let Err(error) = printed {
            say(&format!("what is left was not printed: {error}"));
        }
        // What was found while printing is printed.
        self.unprinted = false;
    }

    fn print_from_memory(&mut self) -> io::Result<()> {
        self.read_rest();
        let (first, lines) = self.outbox.lines();
        let mut log = LogFrames::new(first);
        for (number, line) in (first..).zip(lines) {
            log.add(number, line)?;
        }
        let record = self.record(&self.findings, self.follower.lines());
        frames::print(&mut io::stdout().lock(), &record, log)
    }

    /// There is more log than is held: it is read once more from its beginning.
    fn print_from_files(&mut self) -> io::Result<()> {
        let (known, _) = self.outbox.lines();
        let left = leftover::read(&self.settings.output, known, &self.redactor)?;
        (self.streams, self.difference) = (left.streams, left.difference);
        left.gaps.into_iter().for_each(|gap| self.outbox.tell_gap(gap));
        let mut record = self.record(&left.findings, left.lines);
        record.state = left.state.or(record.state);
        let mut out = io::stdout().lock();
        frames::print(&mut out, &record, left.log)?;
        out.flush()
    }
}

async fn arrived(call: &mut Option<Call>) -> (Client, Outcome) {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

async fn ended(end: &mut Option<JoinHandle<End>>) -> End {
    match end {
        // It is never ended from outside while it is waited for.
        Some(end) => match end.await {
            Ok(end) => end,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

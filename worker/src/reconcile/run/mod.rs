//! One task, from its claim to its end: [`follow`] while its connector runs, [`finish`] when it has ended.
//!
//! Everything that the connector leaves is written under the task's fence, by [`super::writes`]. While the database is
//! away the connector runs on, and its files hold what was not written yet; a wish to cancel, a deadline and a stop of this
//! worker reach it all the same.

mod finish;
mod follow;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use olake_shared::{
    domain::task::{TaskId, TaskKind},
    events::{Event, What},
    step::{Moment, Step, reach},
    store::{
        logs::LogLine,
        tasks::{
            Failure, Fence,
            claim::{Claimed, Work},
            end::{Final, Outcome},
        },
    },
};

use self::follow::Followed;
use super::{
    Worker,
    describe::{Described, describe},
    places::Place,
    redact::Redactor,
    running::{Entry, StopReason},
    said::Said,
    validate::validate,
    writes::{Write, Writer},
};
use crate::{
    agent::follow::Progress,
    connector::{output, result::Findings},
    launch::{AttemptRef, Launch, Running},
};

/// Lines are gathered for this long, or until there are this many bytes of them: a chunk for each glance at the file would
/// be thousands an hour.
const GATHER_FOR: Duration = Duration::from_millis(500);
const GATHER_BYTES: usize = 64 * 1024;

/// How a worker comes to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It has claimed it: the connector is to be launched.
    Launch,
    /// It has adopted it: the connector may run.
    Adopt,
}

/// Runs a claimed task to its end, or as long as it is this worker's.
pub(super) async fn run(worker: Arc<Worker>, task: Box<Claimed>, place: Place, start: Start) {
    let entry = worker.running.enter(task.fence.task);
    // The worker may have been told to stop between the claim and this: nobody would tell this task any more.
    if worker.stop.is_cancelled() {
        entry.stop(StopReason::Shutdown);
    }
    let started = Instant::now();
    tracing::info!(
        task.id = %task.fence.task, job.id = task.job, attempt = task.fence.attempt, kind = %task.kind,
        connector = %task.connector_type, version = %task.connector_version, ?start, "attempt starts"
    );
    let mut attempt = Attempt::new(&worker, &task, &entry);
    let end = attempt.drive(start).await;
    if let Some(end) = &end {
        attempt.end(end, started).await;
    }
    if entry.reason() == Some(StopReason::Fenced) {
        tracing::warn!(
            task.id = %task.fence.task, attempt = task.fence.attempt, "the task belongs to another worker now"
        );
    }
    drop(entry);
    drop(place);
}

struct Attempt<'a> {
    worker: &'a Worker,
    task: &'a Claimed,
    entry: &'a Entry,
    writer: Arc<Writer<'a>>,
    redactor: Redactor,
    /// Whether that knows all that the connector was given: not where this cannot be read any more, or was changed since.
    knows_secrets: bool,
    findings: Findings,
    said: Said,
    /// The newest state that was seen, and its number.
    state: Option<String>,
    state_sequence: i64,
    /// Lines that are not stored yet, their bytes, and the number of the first one in this attempt.
    lines: Vec<LogLine>,
    bytes: usize,
    first_line: i64,
    /// What could not be read of the connector's files, each told once.
    gaps: Vec<String>,
    /// Whether the node that the connector runs on is not heard of.
    is_lost: Arc<AtomicBool>,
}

impl<'a> Attempt<'a> {
    fn new(worker: &'a Worker, task: &'a Claimed, entry: &'a Entry) -> Self {
        Self {
            worker,
            task,
            entry,
            writer: Arc::new(Writer::new(worker, task, entry)),
            redactor: Redactor::default(),
            knows_secrets: false,
            findings: Findings::default(),
            said: Said::default(),
            state: None,
            state_sequence: 0,
            lines: Vec::new(),
            bytes: 0,
            first_line: 0,
            gaps: Vec::new(),
            is_lost: Arc::default(),
        }
    }

    /// Launches the connector and follows it. None: nothing more is to be written of it.
    async fn drive(&mut self, start: Start) -> Option<Final> {
        reach(Step::Described, Moment::Before);
        let described = describe(&self.worker.queue, self.task);
        reach(Step::Described, Moment::After);
        // A worker that slept through its lease must start nothing: the task may be somebody else's.
        if !self.worker.lease.holds() {
            let interrupted = Outcome::Interrupted("the worker had lost its lease".to_owned());
            return (start == Start::Launch).then(|| Final::bare(interrupted));
        }
        let launched = match described {
            Ok(Described { launch, redactor }) => {
                let launch = Launch { deadline: self.deadline(), ..launch };
                if self.task.kind == TaskKind::Validate {
                    let asked = validate(self.worker, self.task, self.entry, launch, &redactor).await;
                    return Some(Final::bare(asked));
                }
                self.redactor = redactor;
                self.knows_secrets = start == Start::Launch || self.is_as_claimed().await;
                self.launch(start, Some(launch)).await
            }
            // What runs is followed all the same.
            Err(failure) if start == Start::Adopt => {
                tracing::warn!(task.id = %self.id(), error = failure.message, "what an adopted attempt works with");
                self.launch(start, None).await
            }
            Err(failure) => Err(failure),
        };
        let running = match launched {
            Ok(running) => running,
            Err(failure) => return Some(Final::bare(Outcome::Bad(failure))),
        };
        let end = match self.follow(running).await {
            Followed::Ended(ended) => self.finish(Some(*ended)).await,
            Followed::Vanished => self.finish(None).await,
            Followed::Forced => self.forced(),
            Followed::Left => return None,
        };
        (!self.writer.has_given_up()).then_some(end)
    }

    /// Whether what an adopted attempt was given is what can be read now.
    async fn is_as_claimed(&self) -> bool {
        self.worker.queue.work_as_claimed(self.task.fence).await.is_ok()
    }

    async fn launch(&self, start: Start, launch: Option<Launch>) -> Result<Running, Failure> {
        let launcher = &self.worker.launcher;
        let launched = match (start, launch) {
            (Start::Launch, Some(launch)) => launcher.launch(launch).await,
            (_, launch) => {
                let job = self.task.job.filter(|_| self.task.settings().is_some());
                let Fence { task, attempt, epoch } = self.task.fence;
                let attempt = AttemptRef { task, attempt, epoch, job };
                launcher.adopt(attempt, launch).await
            }
        };
        launched.map_err(|error| Failure::new(error.class(), error.to_string()))
    }

    fn id(&self) -> TaskId {
        self.task.fence.task
    }

    fn deadline(&self) -> Duration {
        let deadlines = &self.worker.settings.deadlines;
        match (self.task.kind, &self.task.work) {
            (TaskKind::Spec, _) => deadlines.spec,
            (TaskKind::Check, _) => deadlines.check,
            (TaskKind::Discover, _) => deadlines.discover,
            (TaskKind::Difference, _) => deadlines.difference,
            (TaskKind::Validate, _) => deadlines.validate,
            (TaskKind::Sync | TaskKind::Clear, Work::Sync(sync)) => {
                sync.settings.timeout_seconds.map_or(deadlines.sync, Duration::from_secs)
            }
            (TaskKind::Sync | TaskKind::Clear, Work::Clear(clear)) => {
                clear.settings.timeout_seconds.map_or(deadlines.sync, Duration::from_secs)
            }
            (TaskKind::Sync | TaskKind::Clear, Work::OneShot(_)) => deadlines.sync,
        }
    }

    /// Writes one step of progress: the state first, since a lost one can break a job for good.
    async fn write(&mut self, progress: Progress) {
        self.take_lines(progress.log);
        for error in &progress.errors {
            self.tell_gap(error.to_string());
        }
        let has_state = progress.state.is_some();
        if let (Some(state), Some(job)) = (progress.state, self.task.job) {
            self.state_sequence += 1;
            let text = state.into_string();
            self.writer.persist(Write::State { job, sequence: self.state_sequence, text: &text }).await;
            self.state = Some(text);
        }
        let mut told = false;
        if has_state || self.bytes >= GATHER_BYTES {
            self.flush().await;
            told = true;
        }
        if let Some(stats) = &progress.stats
            && let Ok(text) = serde_json::to_string(stats)
        {
            told = true;
            let (records, bytes) = (signed(stats.synced_records), signed(stats.bytes));
            self.writer.persist(Write::Stats { text: &text, records, bytes }).await;
        }
        if told {
            self.tell_progress();
        }
    }

    /// Stores the lines that were gathered.
    async fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        self.writer.persist(Write::Log { first: self.first_line, lines: &lines }).await;
        self.first_line += i64::try_from(lines.len()).unwrap_or(i64::MAX);
        self.tell_progress();
    }

    fn tell_progress(&self) {
        self.worker.events.publish(Event {
            task: self.id(),
            project: self.task.project.clone(),
            job: self.task.job,
            what: What::Progress,
        });
    }

    /// Looks at the lines for results, and makes them fit to be stored.
    fn take_lines(&mut self, lines: Vec<output::LogLine>) {
        for line in lines {
            self.findings.observe(&line);
            self.said.note(&line.message);
            let message = self.redactor.clean(&line.message).into_owned();
            self.bytes += message.len() + 64;
            self.lines.push(LogLine { level: line.level.as_str().to_owned(), time: line.time, message });
        }
    }

    /// What could not be read of the connector's files is said in the task's log, once.
    fn tell_gap(&mut self, error: String) {
        if self.gaps.len() < 20 && !self.gaps.contains(&error) {
            tracing::warn!(task.id = %self.id(), error, "a file of the connector was not read");
            self.gaps.push(error);
        }
    }
}

fn signed(number: Option<u64>) -> Option<i64> {
    number.and_then(|number| i64::try_from(number).ok())
}

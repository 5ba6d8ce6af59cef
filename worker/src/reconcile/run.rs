//! One task, from its claim to its end.
//!
//! Everything that the connector leaves is written under the task's fence, by [`super::writes`]. While the database is
//! away the connector runs on, and its files hold what was not written yet; a wish to cancel, a deadline and a stop of this
//! worker reach it all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskKind, TaskPhase, TaskStatus},
    events::{Event, What},
    step::{Moment, Step, reach},
    store::{
        logs::LogLine,
        tasks::{
            Failure,
            claim::{Claimed, Work},
            end::{Final, Outcome, Retries},
            input::OneShotResult,
        },
    },
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Worker,
    describe::{Described, describe},
    interpret::interpret,
    places::Place,
    redact::Redactor,
    running::{Entry, StopReason},
    said::Said,
    writes::{Write, Writer},
};
use crate::{
    agent::follow::Progress,
    connector::{
        output,
        result::{Exit, Findings},
    },
    launch::{AttemptRef, Ended, Launch, Running, Seen, Update},
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

/// What following a connector came to.
enum Followed {
    /// It has ended, and nothing of it lives.
    Ended(Box<Ended>),
    /// Nobody will tell of its end.
    Vanished,
    /// It is followed no longer, and goes on under another worker.
    Left,
    /// A person has ended it by force: what became of it is unknown.
    Forced,
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

fn failure_class(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Clean => None,
        Outcome::Bad(failure) => Some(failure.class.as_str()),
        Outcome::Interrupted(_) => Some(FailureClass::Interrupted.as_str()),
    }
}

struct Attempt<'a> {
    worker: &'a Worker,
    task: &'a Claimed,
    entry: &'a Entry,
    writer: Arc<Writer<'a>>,
    redactor: Redactor,
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
                self.redactor = redactor;
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

    async fn launch(&self, start: Start, launch: Option<Launch>) -> Result<Running, Failure> {
        let launcher = &self.worker.launcher;
        let launched = match (start, launch) {
            (Start::Launch, Some(launch)) => launcher.launch(launch).await,
            (_, launch) => {
                let job = self.task.job.filter(|_| self.task.settings().is_some());
                let attempt = AttemptRef { task: self.id(), attempt: self.task.fence.attempt, job };
                launcher.adopt(attempt, launch).await
            }
        };
        launched.map_err(|error| Failure::new(error.class(), error.to_string()))
    }

    /// The end of an attempt that a person has ended by force.
    fn forced(&self) -> Final {
        let words = "ended by force: the node that it ran on is lost, and so is how it ended there";
        let failure = Failure::new(FailureClass::Infrastructure, words);
        // Not tried again by itself: what is cut off may still write.
        Final::bare(Outcome::Bad(failure))
    }

    /// Stores the end and tells of it.
    async fn end(&self, end: &Final, started: Instant) {
        let Some(ended) = self.writer.end(end).await else { return };
        let (worker, task) = (self.worker, self.task);
        tracing::info!(
            task.id = %task.fence.task, job.id = task.job, attempt = task.fence.attempt, status = %ended.status,
            failure = failure_class(&end.outcome), seconds = started.elapsed().as_secs(), "attempt ended"
        );
        reach(Step::EndPublished, Moment::Before);
        worker.publish_end(&ended);
        reach(Step::EndPublished, Moment::After);
        if ended.status == TaskStatus::Queued {
            // Handed back: another worker may take it at once.
            worker.bell.ring(task.kind.class(), ended.task);
        }
        // Only now: until everything is stored, the connector's own files are what is left of the run.
        reach(Step::OutputDiscarded, Moment::Before);
        if let Err(error) = worker.launcher.discard(task.fence.task, task.fence.attempt).await {
            tracing::warn!(task.id = %task.fence.task, %error, "the attempt's files were not removed; a sweep will");
        }
        reach(Step::OutputDiscarded, Moment::After);
    }

    /// Writes what the connector leaves until it has ended. Beside that, whatever the writes wait for, tells it to stop
    /// when there is a reason.
    async fn follow(&mut self, running: Running) -> Followed {
        let (mut updates, control) = running.split();
        let (entry, writer) = (self.entry, self.writer.clone());
        let outlives_worker = self.worker.launcher.outlives_worker();
        // A sync's deadline counts from the start of its connector, not from the wait for its start guard. For a short call
        // somebody waits from the beginning; but not for a machine to be found, and an image to be fetched.
        let counts_at_once = matches!(self.task.work, Work::OneShot(_)) && !outlives_worker;
        let worker_stops = self.worker.stop.clone();
        let (started, mut has_started) = watch::channel(counts_at_once.then_some(Duration::ZERO));
        let is_lost = self.is_lost.clone();
        let deadline = self.deadline();
        let stopper = async move {
            let mut stop = entry.watch();
            let expired = async {
                let ran_for = has_started.wait_for(Option::is_some).await.ok().and_then(|ran_for| *ran_for);
                match ran_for {
                    Some(ran_for) => tokio::time::sleep(deadline.saturating_sub(ran_for)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = expired => entry.stop(StopReason::Deadline),
                () = told_to_stop(&mut stop) => {}
            }
            match entry.reason() {
                Some(StopReason::Forced) => return Followed::Forced,
                Some(StopReason::Shutdown | StopReason::Fenced) if outlives_worker => return Followed::Left,
                _ => {}
            }
            reach(Step::StopTold, Moment::Before);
            control.stop();
            reach(Step::StopTold, Moment::After);
            // Of a lost node's it stays said: it is what somebody may end by force.
            if entry.reason() != Some(StopReason::Fenced) && !is_lost.load(Ordering::Relaxed) {
                writer.phase(TaskPhase::Stopping, None).await;
            }
            // The control lives until the connector has ended: dropped, it may end it once more.
            let left = left(&mut stop, &worker_stops, outlives_worker).await;
            drop(control);
            left
        };
        tokio::select! {
            ended = self.take_updates(&mut updates, &started) => ended.map_or(Followed::Vanished, |ended| Followed::Ended(Box::new(ended))),
            left = stopper => left,
        }
    }

    async fn take_updates(
        &mut self,
        updates: &mut mpsc::Receiver<Update>,
        started: &watch::Sender<Option<Duration>>,
    ) -> Option<Ended> {
        loop {
            let update = tokio::select! {
                update = updates.recv() => update,
                () = tokio::time::sleep(GATHER_FOR), if !self.lines.is_empty() => {
                    self.flush().await;
                    continue;
                }
            };
            match update {
                None => return None,
                Some(Update::Ended(ended)) => return Some(ended),
                Some(Update::Starting { phase, why }) => {
                    tracing::info!(task.id = %self.id(), %phase, why, "the start waits");
                    if self.entry.reason().is_none() {
                        self.writer.phase(phase, why.as_deref()).await;
                    }
                }
                Some(Update::Placed(placed)) => {
                    self.writer.persist(Write::Pod { name: &placed.pod, node: placed.node.as_deref() }).await;
                }
                Some(Update::Started { pid, ran_for }) => {
                    tracing::debug!(task.id = %self.id(), pid, "the connector runs");
                    started.send_if_modified(|since| since.replace(ran_for).is_none());
                    self.is_lost.store(false, Ordering::Relaxed);
                    let is_stopping = self.entry.reason().is_some();
                    let phase = if is_stopping { TaskPhase::Stopping } else { TaskPhase::Running };
                    self.writer.phase(phase, None).await;
                }
                Some(Update::Unreachable(why)) => {
                    tracing::warn!(task.id = %self.id(), why, "the node of a connector is not heard of");
                    self.is_lost.store(true, Ordering::Relaxed);
                    self.writer.phase(TaskPhase::NodeUnreachable, Some(&why)).await;
                }
                Some(Update::Progress(progress)) => self.write(progress).await,
            }
        }
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

    /// Says in the task's log what is missing of it, or of what the connector left.
    fn take_gaps(&mut self, gaps: Vec<String>) {
        let time = self.worker.queue.now();
        let line = |message| output::LogLine { level: output::Level::Warn, time, message, json: None };
        self.take_lines(gaps.into_iter().map(line).collect());
    }

    /// The end of the console, when a run failed without a word of its own in its log: a crash is told there alone.
    fn take_console(&mut self, seen: &Seen, tail: &[String]) {
        let failed = !matches!(seen, Seen::Exit(Exit::Code(0)));
        if failed && self.findings.last_fatal().is_none() {
            let time = self.worker.queue.now();
            let new = tail.iter().filter(|text| !self.said.has(text));
            let lines = new.map(|text| output::LogLine {
                level: output::Level::Error,
                time,
                message: text.clone(),
                json: None,
            });
            let new: Vec<_> = lines.collect();
            self.take_lines(new);
        }
    }

    /// Takes over what somebody else found in the lines, who has stored them as well.
    fn take_findings(&mut self, findings: Findings, lines: u64) {
        self.first_line = i64::try_from(lines).unwrap_or(i64::MAX);
        findings.tail.iter().for_each(|text| self.said.note(text));
        self.findings = findings;
    }

    /// Puts together what is written with the end.
    async fn finish(&mut self, ended: Option<Ended>) -> Final {
        let (seen, catalog) = match ended {
            None => (Seen::Vanished, None),
            Some(ended) => {
                let mut rest = ended.rest;
                // Who has stored the lines himself has numbered them, too: what is missing can be said behind them.
                let mut gaps = Vec::new();
                if let Some(findings) = rest.findings.take() {
                    self.take_findings(findings, rest.progress.first_line);
                    gaps = rest.progress.errors.iter().map(ToString::to_string).collect();
                }
                if let Some(state) = rest.progress.state {
                    self.state = Some(state.into_string());
                }
                // Lines go in parts of their own, so that the last transaction stays small.
                let log = Progress { state: None, stats: rest.progress.stats, ..rest.progress };
                self.write(log).await;
                self.take_gaps(gaps);
                self.take_console(&ended.seen, &rest.console_tail);
                self.flush().await;
                let catalog =
                    if self.task.kind == TaskKind::Difference { rest.difference } else { rest.streams };
                (ended.seen, catalog)
            }
        };
        // Without a state the connector makes an empty one, of the oldest version: no state is better.
        if let Work::Clear(clear) = &self.task.work
            && clear.state.is_none()
        {
            self.state = None;
        }
        if let Some(why) = self.writer.broken() {
            let words = format!("what the connector left could not be stored: {why}");
            return Final::bare(Outcome::Bad(Failure::new(FailureClass::Infrastructure, words)));
        }
        let may_retry = !matches!(seen, Seen::Failed { may_retry: false, .. });
        let meaning = interpret(self.task, &seen, self.entry.reason(), &self.findings, catalog.as_deref());
        let outcome = match meaning.outcome {
            Outcome::Bad(failure) => Outcome::Bad(Failure {
                message: self.redactor.clean(&failure.message).into_owned(),
                ..failure
            }),
            other => other,
        };
        let result = meaning.result.map(|result| match result {
            OneShotResult::Check { succeeded, message } => {
                OneShotResult::Check { succeeded, message: self.redactor.clean(&message).into_owned() }
            }
            other => other,
        });
        let totals = self.findings.totals();
        Final {
            outcome,
            state: self.state.take().map(|state| (self.state_sequence + 1, state)),
            log: Vec::new(),
            records_read: totals.and_then(|totals| signed(Some(totals.records))),
            bytes_read: totals.and_then(|totals| signed(totals.bytes)),
            result,
            spec: meaning.spec,
            retries: if may_retry { self.retries() } else { Retries::default() },
        }
    }

    fn retries(&self) -> Retries {
        match &self.task.work {
            Work::Sync(sync) => Retries::of_job(sync.settings.retries),
            Work::Clear(clear) => Retries::of_clear(clear.settings.retries),
            // A person waits for the answer: the failure is one.
            Work::OneShot(_) => Retries::default(),
        }
    }
}

/// Waits until a connector that was told to stop is to be followed no longer, which may never be.
async fn left(
    stop: &mut watch::Receiver<Option<StopReason>>,
    worker_stops: &CancellationToken,
    outlives_worker: bool,
) -> Followed {
    let unfollowed = async {
        let reason = stop.wait_for(|reason| match reason {
            Some(StopReason::Forced) => true,
            Some(StopReason::Fenced) => outlives_worker,
            _ => false,
        });
        reason.await.map(|reason| *reason == Some(StopReason::Forced))
    };
    tokio::select! {
        Ok(is_forced) = unfollowed => if is_forced { Followed::Forced } else { Followed::Left },
        () = worker_stops.cancelled(), if outlives_worker => Followed::Left,
        else => std::future::pending().await,
    }
}

/// Waits until a reason to stop is given.
async fn told_to_stop(stop: &mut watch::Receiver<Option<StopReason>>) {
    // An error says that nobody can give one any more.
    if stop.wait_for(Option::is_some).await.map(|_| ()).is_err() {
        std::future::pending::<()>().await;
    }
}

fn signed(number: Option<u64>) -> Option<i64> {
    number.and_then(|number| i64::try_from(number).ok())
}

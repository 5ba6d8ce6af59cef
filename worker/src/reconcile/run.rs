//! One task, from its claim to its end.
//!
//! Everything that the connector leaves is written under the task's fence. While the database is away, writes are tried
//! again and the connector runs on; its files hold what was not written yet. Once a write is refused by the fence, the
//! connector is told to stop and nothing more is written: the task belongs to somebody else.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskKind, TaskPhase, TaskStatus},
    events::{Event, What},
    step::{Moment, Step, reach},
    store::{
        StoreError,
        logs::LogLine,
        tasks::{
            self, Failure,
            claim::{Claimed, Work},
            end::{Final, Outcome, Retries},
            input::OneShotResult,
        },
    },
};

use tokio::sync::watch;

use super::{
    Worker,
    describe::{Described, describe},
    interpret::interpret,
    places::Place,
    redact::Redactor,
    running::{Entry, StopReason},
};
use crate::{
    agent::follow::Progress,
    connector::{output, result::Findings},
    launch::{Ended, Running, Seen, Update},
};

/// The first wait before a failed write is tried again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a worker that stops tries to store the end of a task. What was written before stays; the task is taken back
/// by its lease.
const STOPPING_PATIENCE: Duration = Duration::from_secs(20);

/// Runs a claimed task to its end.
pub(super) async fn run(worker: Arc<Worker>, task: Box<Claimed>, place: Place) {
    let entry = worker.running.enter(task.fence.task);
    let started = Instant::now();
    tracing::info!(
        task.id = %task.fence.task, job.id = task.job, attempt = task.fence.attempt, kind = %task.kind,
        connector = %task.connector_type, version = %task.connector_version, "attempt starts"
    );
    let mut attempt = Attempt {
        worker: &worker,
        task: &task,
        entry: &entry,
        redactor: Redactor::default(),
        findings: Findings::default(),
        state: None,
        state_sequence: 0,
    };
    let end = attempt.drive().await;
    let Some(end) = end else {
        return tracing::warn!(task.id = %task.fence.task, attempt = task.fence.attempt, "the task belongs to another worker now");
    };
    if let Some(Some(ended)) = attempt.persist(Write::End(&end)).await {
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

/// A write under the task's fence.
enum Write<'a> {
    Phase(TaskPhase),
    State { job: i64, sequence: i64, text: &'a str },
    Log(&'a [LogLine]),
    Stats { text: &'a str, records: Option<i64>, bytes: Option<i64> },
    End(&'a Final),
}

impl Write<'_> {
    fn step(&self) -> Step {
        match self {
            Self::Phase(_) => Step::PhaseStored,
            Self::State { .. } => Step::StateStored,
            Self::Log(_) => Step::LogStored,
            Self::Stats { .. } => Step::StatsStored,
            Self::End(_) => Step::EndStored,
        }
    }
}

struct Attempt<'a> {
    worker: &'a Worker,
    task: &'a Claimed,
    entry: &'a Entry,
    redactor: Redactor,
    findings: Findings,
    /// The newest state that was seen, and its number.
    state: Option<String>,
    state_sequence: i64,
}

impl Attempt<'_> {
    /// Launches the connector and follows it. None: the task is no longer this worker's.
    async fn drive(&mut self) -> Option<Final> {
        reach(Step::Described, Moment::Before);
        let described = describe(&self.worker.queue, self.task);
        reach(Step::Described, Moment::After);
        let launched = match described {
            Ok(Described { launch, redactor }) => {
                self.redactor = redactor;
                self.worker.launcher.launch(launch).await.map_err(|e| Failure::new(e.class(), e.to_string()))
            }
            Err(failure) => Err(failure),
        };
        let mut running = match launched {
            Ok(running) => running,
            Err(failure) => return Some(Final::bare(Outcome::Bad(failure))),
        };
        let ended = self.follow(&mut running).await;
        let end = self.finish(ended).await;
        (self.entry.reason() != Some(StopReason::Fenced)).then_some(end)
    }

    /// Writes what the connector leaves until it has ended.
    async fn follow(&mut self, running: &mut Running) -> Option<Ended> {
        let mut stop = self.entry.watch();
        let mut told = false;
        // The deadline counts from the start of the connector, not from the wait for its start guard.
        let mut deadline: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::pending());
        loop {
            tokio::select! {
                update = running.updates.recv() => match update {
                    None => return None,
                    Some(Update::Ended(ended)) => return Some(ended),
                    Some(Update::Starting(why)) => {
                        tracing::info!(task.id = %self.id(), why, "the start waits");
                        self.set_phase(TaskPhase::Starting).await;
                    }
                    Some(Update::Started { pid }) => {
                        tracing::debug!(task.id = %self.id(), pid, "the connector runs");
                        deadline = Box::pin(tokio::time::sleep(self.deadline()));
                        if !told {
                            self.set_phase(TaskPhase::Running).await;
                        }
                    }
                    Some(Update::Progress(progress)) => self.write(progress).await,
                },
                () = &mut deadline => {
                    deadline = Box::pin(std::future::pending());
                    self.entry.stop(StopReason::Deadline);
                }
                () = told_to_stop(&mut stop), if !told => {
                    told = true;
                    reach(Step::StopTold, Moment::Before);
                    running.stop();
                    reach(Step::StopTold, Moment::After);
                    if self.entry.reason() != Some(StopReason::Fenced) {
                        self.set_phase(TaskPhase::Stopping).await;
                    }
                }
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
            (TaskKind::Sync, Work::Sync(sync)) => {
                sync.settings.timeout_seconds.map_or(deadlines.sync, Duration::from_secs)
            }
            (TaskKind::Sync, Work::OneShot(_)) => deadlines.sync,
        }
    }

    async fn set_phase(&self, phase: TaskPhase) {
        self.persist(Write::Phase(phase)).await;
    }

    /// Writes one step of progress: the state first, since a lost one can break a job for good.
    async fn write(&mut self, progress: Progress) {
        for error in &progress.errors {
            tracing::debug!(task.id = %self.id(), %error, "a file of the connector was not read");
        }
        let lines = self.take_lines(progress.log);
        if let (Some(state), Some(job)) = (progress.state, self.task.job) {
            self.state_sequence += 1;
            let text = state.into_string();
            self.persist(Write::State { job, sequence: self.state_sequence, text: &text }).await;
            self.state = Some(text);
        }
        let mut told = !lines.is_empty();
        self.persist(Write::Log(&lines)).await;
        if let Some(stats) = &progress.stats
            && let Ok(text) = serde_json::to_string(stats)
        {
            told = true;
            let (records, bytes) = (signed(stats.synced_records), signed(stats.bytes));
            self.persist(Write::Stats { text: &text, records, bytes }).await;
        }
        if told {
            self.worker.events.publish(Event {
                task: self.id(),
                project: self.task.project.clone(),
                job: self.task.job,
                what: What::Progress,
            });
        }
    }

    /// Looks at the lines for results, and makes them fit to be stored.
    fn take_lines(&mut self, lines: Vec<output::LogLine>) -> Vec<LogLine> {
        lines
            .into_iter()
            .map(|line| {
                self.findings.observe(&line);
                LogLine {
                    level: line.level.as_str().to_owned(),
                    time: line.time,
                    message: self.redactor.clean(&line.message).into_owned(),
                }
            })
            .collect()
    }

    /// Puts together what is written with the end.
    async fn finish(&mut self, ended: Option<Ended>) -> Final {
        let (seen, streams) = match ended {
            None => (Seen::Vanished, None),
            Some(ended) => {
                let rest = ended.rest;
                if let Some(state) = rest.progress.state {
                    self.state = Some(state.into_string());
                }
                // Lines go in parts of their own, so that the last transaction stays small.
                let log = Progress { state: None, stats: rest.progress.stats, ..rest.progress };
                self.write(log).await;
                (ended.seen, rest.streams)
            }
        };
        let meaning = interpret(self.task, &seen, self.entry.reason(), &self.findings, streams.as_deref());
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
        let retries = match &self.task.work {
            Work::Sync(sync) => Retries::of_job(sync.settings.retries),
            // A person waits for the answer: the failure is one.
            Work::OneShot(_) => Retries::default(),
        };
        Final {
            outcome,
            state: self.state.take().map(|state| (self.state_sequence + 1, state)),
            log: Vec::new(),
            records_read: totals.and_then(|totals| signed(Some(totals.records))),
            bytes_read: totals.and_then(|totals| signed(totals.bytes)),
            result,
            spec: meaning.spec,
            retries,
        }
    }

    async fn store(&self, write: &Write<'_>) -> Result<Option<tasks::Ended>, StoreError> {
        let (queue, fence) = (&self.worker.queue, self.task.fence);
        match write {
            Write::Phase(phase) => queue.set_phase(fence, *phase).await?,
            Write::State { job, sequence, text } => queue.push_state(fence, *job, *sequence, text).await?,
            Write::Log(lines) => queue.append_log(fence, lines).await?,
            Write::Stats { text, records, bytes } => queue.push_stats(fence, text, *records, *bytes).await?,
            Write::End(end) => return queue.end(fence, end).await.map(Some),
        }
        Ok(None)
    }

    /// Tries a write until it is done; the end of the task is answered by what became of it. None: the fence refused it, or this worker stops and the database stays away.
    async fn persist(&self, write: Write<'_>) -> Option<Option<tasks::Ended>> {
        let mut wait = FIRST_WAIT;
        let mut stopping_since: Option<Instant> = None;
        loop {
            if self.entry.reason() == Some(StopReason::Fenced) {
                return None;
            }
            reach(write.step(), Moment::Before);
            match self.store(&write).await {
                Ok(done) => {
                    reach(write.step(), Moment::After);
                    return Some(done);
                }
                Err(StoreError::Fenced) => {
                    self.entry.stop_now(StopReason::Fenced);
                    return None;
                }
                Err(error) => {
                    tracing::warn!(task.id = %self.id(), %error, "a write failed and is tried again");
                    if self.worker.stop.is_cancelled() {
                        let since = *stopping_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > STOPPING_PATIENCE {
                            return None;
                        }
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
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

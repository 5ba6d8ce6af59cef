//! The writes of one attempt, under its task's fence.
//!
//! While the database is away, a write is tried again. A write that the fence refuses, or that the database will never take,
//! ends the attempt: the connector is told to stop and nothing more is written. Once a write was given up, so are all that
//! would follow it: what is left is in the connector's files, for whoever takes the task over.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use olake_shared::{
    domain::task::{FailureClass, TaskPhase},
    step::{Moment, Step, reach},
    store::{
        StoreError,
        logs::LogLine,
        tasks::{
            Ended, Failure,
            claim::Claimed,
            end::{Final, Outcome},
        },
    },
};

use super::{
    Worker,
    running::{Entry, StopReason},
};

/// The first wait before a failed write is tried again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long the answer to a write is waited for: a database whose host is gone answers nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How often a write is tried that the database refuses.
const REFUSED_AT_MOST: u32 = 5;

/// How long a worker that stops tries a write.
const STOPPING_PATIENCE: Duration = Duration::from_secs(20);

/// A write.
pub enum Write<'a> {
    Phase(TaskPhase, Option<&'a str>),
    /// Where it runs.
    Pod {
        name: &'a str,
        node: Option<&'a str>,
    },
    State {
        job: i64,
        sequence: i64,
        text: &'a str,
    },
    /// With the number of the first line in this attempt.
    Log {
        first: i64,
        lines: &'a [LogLine],
    },
    Stats {
        text: &'a str,
        records: Option<i64>,
        bytes: Option<i64>,
    },
    End(&'a Final),
}

impl Write<'_> {
    fn step(&self) -> Step {
        match self {
            Self::Phase(..) | Self::Pod { .. } => Step::PhaseStored,
            Self::State { .. } => Step::StateStored,
            Self::Log { .. } => Step::LogStored,
            Self::Stats { .. } => Step::StatsStored,
            Self::End(_) => Step::EndStored,
        }
    }
}

/// Writes of one attempt.
pub struct Writer<'a> {
    worker: &'a Worker,
    task: &'a Claimed,
    entry: &'a Entry,
    given_up: AtomicBool,
    broken: OnceLock<String>,
}

impl<'a> Writer<'a> {
    pub fn new(worker: &'a Worker, task: &'a Claimed, entry: &'a Entry) -> Self {
        Self { worker, task, entry, given_up: AtomicBool::new(false), broken: OnceLock::new() }
    }

    /// Whether nothing more is to be written.
    pub fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Why the database will never take what this attempt leaves.
    pub fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// Says what the task is doing.
    pub async fn phase(&self, phase: TaskPhase, waits_for: Option<&str>) {
        self.persist(Write::Phase(phase, waits_for)).await;
    }

    /// Stores the end. If the database refuses it, the task fails with that. None: it is not stored.
    pub async fn end(&self, end: &Final) -> Option<Ended> {
        if let Some(ended) = self.persist(Write::End(end)).await {
            return ended;
        }
        let words = format!("the end of the attempt could not be stored: {}", self.broken()?);
        let bare = Final::bare(Outcome::Bad(Failure::new(FailureClass::Infrastructure, words)));
        self.persist(Write::End(&bare)).await.flatten()
    }

    async fn store(&self, write: &Write<'_>, again: bool) -> Result<Option<Ended>, StoreError> {
        let (queue, fence) = (&self.worker.queue, self.task.fence);
        match write {
            Write::Phase(phase, waits_for) => queue.set_phase(fence, *phase, *waits_for).await?,
            Write::Pod { name, node } => queue.note_pod(fence, name, *node).await?,
            Write::State { job, sequence, text } => queue.push_state(fence, *job, *sequence, text).await?,
            Write::Log { first, lines } => queue.append_log(fence, *first, lines).await?,
            Write::Stats { text, records, bytes } => queue.push_stats(fence, text, *records, *bytes).await?,
            Write::End(end) => match queue.end(fence, end).await {
                // An earlier try had no answer, and was stored all the same.
                Err(StoreError::Fenced) if again => {
                    return queue.seen_end(fence).await?.map(Some).ok_or(StoreError::Fenced);
                }
                ended => return ended.map(Some),
            },
        }
        Ok(None)
    }

    /// Tries a write until it is done; the end of the task is answered by what became of it. None: it was given up.
    pub async fn persist(&self, write: Write<'_>) -> Option<Option<Ended>> {
        tokio::select! {
            done = self.try_until_done(&write) => done,
            () = self.patience() => {
                tracing::error!(task.id = %self.task.fence.task, "stopping without having stored everything");
                self.given_up.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Ends some time after this worker was told to stop: no write may hold it up for longer.
    async fn patience(&self) {
        self.worker.stop.cancelled().await;
        tokio::time::sleep(STOPPING_PATIENCE).await;
    }

    async fn try_until_done(&self, write: &Write<'_>) -> Option<Option<Ended>> {
        let (mut wait, mut refused, mut again) = (FIRST_WAIT, 0, false);
        while !self.has_given_up() {
            reach(write.step(), Moment::Before);
            // Boxed: a thousand attempts that write nothing are not to hold the room for it.
            let stored = Box::pin(self.store(write, again));
            let error = match tokio::time::timeout(ANSWER_WITHIN, stored).await {
                Ok(Ok(done)) => {
                    reach(write.step(), Moment::After);
                    return Some(done);
                }
                Ok(Err(StoreError::Fenced)) => {
                    self.entry.stop_now(StopReason::Fenced);
                    self.given_up.store(true, Ordering::Relaxed);
                    return None;
                }
                Ok(Err(error)) => {
                    refused += u32::from(!error.is_unavailable());
                    error.to_string()
                }
                Err(_) => "the database does not answer".to_owned(),
            };
            tracing::warn!(task.id = %self.task.fence.task, error, "a write failed and is tried again");
            if refused >= REFUSED_AT_MOST {
                let _ = self.broken.set(error);
                self.entry.stop(StopReason::Broken);
                return None;
            }
            again = true;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        None
    }
}

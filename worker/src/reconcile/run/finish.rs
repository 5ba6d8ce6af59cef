//! The end of an attempt: what is left of its connector is put together, judged, and stored.

use std::time::Instant;

use olake_shared::{
    domain::task::{FailureClass, TaskKind, TaskStatus},
    step::{Moment, Step, reach},
    store::tasks::{
        Failure,
        claim::Work,
        end::{Final, Outcome, Retries},
        input::OneShotResult,
    },
};

use super::{
    super::{interpret::interpret, running::StopReason},
    Attempt, signed,
};
use crate::{
    agent::follow::Progress,
    connector::{
        output,
        result::{Exit, Findings},
    },
    launch::{Ended, Seen},
};

impl Attempt<'_> {
    /// Takes over what somebody else found in the lines, who has stored them as well.
    fn take_findings(&mut self, findings: Findings, lines: u64) {
        self.first_line = i64::try_from(lines).unwrap_or(i64::MAX);
        findings.tail.iter().for_each(|text| self.said.note(text));
        self.findings = findings;
    }

    /// Puts together what is written with the end.
    pub(super) async fn finish(&mut self, ended: Option<Ended>) -> Final {
        let stopped_for = ended.as_ref().and_then(|ended| ended.stopped_for);
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
        let stopped = self.entry.reason().or(stopped_for.and_then(StopReason::of_class));
        let meaning = interpret(self.task, &seen, stopped, &self.findings, catalog.as_deref());
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

    /// The end of an attempt that a person has ended by force.
    pub(super) fn forced(&self) -> Final {
        let words = "ended by force: the node that it ran on is lost, and so is how it ended there";
        let failure = Failure::new(FailureClass::Infrastructure, words);
        // Not tried again by itself: what is cut off may still write.
        Final::bare(Outcome::Bad(failure))
    }

    /// Stores the end and tells of it.
    pub(super) async fn end(&self, end: &Final, started: Instant) {
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
        if task.kind == TaskKind::Validate {
            return;
        }
        // Only now: until everything is stored, the connector's own files are what is left of the run.
        reach(Step::OutputDiscarded, Moment::Before);
        if let Err(error) = worker.launcher.discard(task.fence.task, task.fence.attempt).await {
            tracing::warn!(task.id = %task.fence.task, %error, "the attempt's files were not removed; a sweep will");
        }
        reach(Step::OutputDiscarded, Moment::After);
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
            // What was told by others was masked by them.
            let is_said = |text: &&String| self.said.has(text) || self.said.has(&self.redactor.clean(text));
            let new = tail.iter().filter(|text| !is_said(text));
            let line = |message| output::LogLine { level: output::Level::Error, time, message, json: None };
            let mut new: Vec<_> = new.cloned().map(line).collect();
            if !new.is_empty() && !self.knows_secrets {
                let words = "(the end of its console is left out: the secrets of this attempt cannot be read any more)";
                new = vec![line(words.to_owned())];
            }
            self.take_lines(new);
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

fn failure_class(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Clean => None,
        Outcome::Bad(failure) => Some(failure.class.as_str()),
        Outcome::Interrupted(_) => Some(FailureClass::Interrupted.as_str()),
    }
}

//! The end: what the connector left is gathered, and what it came to is judged.

use std::time::Duration;

use olake_shared::{
    domain::{quantity, task::FailureClass},
    store::StoreError,
};
use tokio::time::Instant;

use super::{
    super::{
        classify::{self, Known},
        cluster::CallError,
        printed,
        view::PodView,
        watch::Sight,
    },
    Drive, EVENTS_WITHIN, End, Left, RECORD_EVERY,
};
use crate::{
    agent::follow::{Ending, Progress, tail_of},
    launch::{Ended, Seen},
};

/// Kubernetes keeps so many bytes of what a container has printed.
const LAST_WORDS_BYTES: usize = 2048;

/// How long what an agent tells is waited for at most: longer than the grace of its pod.
const RECORD_AT_MOST: Duration = Duration::from_secs(3600 + 60);

impl Drive {
    /// What is told of an end; none when it is another owner's to tell.
    pub(super) async fn finish(&mut self, end: End) -> Option<Ended> {
        let (seen, left) = match end {
            End::NotOurs => {
                tracing::warn!(
                    pod = self.name,
                    epoch = self.fence.epoch,
                    "the pod is another worker's by now"
                );
                return None;
            }
            End::NeverStarted(class, why) => (Seen::NotStarted(class, why), None),
            End::Gone => {
                let left = self.gather(None).await;
                let seen = match self.verdict.take().filter(|_| !self.has_run) {
                    Some((class, why)) => Seen::NotStarted(class, why),
                    None => Seen::Failed {
                        class: FailureClass::Infrastructure,
                        why: "the pod is gone, and how its connector ended was not seen".to_owned(),
                        exit_code: None,
                        may_retry: true,
                    },
                };
                (seen, left)
            }
            End::Seen(view) => {
                let left = self.gather(Some(&view)).await;
                let left = self.with_last_words(left, &view).await;
                let memory = self.memory.map(quantity::shown);
                let known = Known {
                    has_record: left.as_ref().is_some_and(|left| left.is_whole),
                    is_ours: self.deleted.is_some() && self.orders.borrow().stop
                        || self.stopped_for.is_some(),
                    memory: memory.as_deref(),
                    can_grow: self.inner.settings.can_grow(self.memory),
                };
                let seen = match self.verdict.take().filter(|_| !self.has_run && !view.has_run()) {
                    Some((class, why)) => Seen::NotStarted(class, why),
                    None => classify::end(&view, known),
                };
                (seen, left)
            }
        };
        let rest = left.map_or_else(nothing, |left| left.ending);
        Some(Ended { seen: self.with_events(seen).await, rest, stopped_for: self.stopped_for })
    }

    /// Adds the end of what the connector printed: an agent sees its files alone, and a crash is told nowhere else.
    async fn with_last_words(&mut self, left: Option<Left>, view: &PodView) -> Option<Left> {
        let Some(words) = view.last_words() else { return left };
        let mut left = match left {
            Some(left) => left,
            // Which of them are stored already is known only if none is.
            None if self.lines_stored().await > 0 => return None,
            None => Left { ending: nothing(), is_whole: false },
        };
        if left.ending.console_tail.is_empty() {
            let is_cut = words.len() >= LAST_WORDS_BYTES;
            left.ending.console_tail = tail_of(words, is_cut, self.inner.clock.now());
        }
        Some(left)
    }

    async fn lines_stored(&mut self) -> u64 {
        loop {
            match self.inner.ledger.lines(self.key).await {
                Ok(lines) => return lines,
                Err(error) => self.database_is_away(&error).await,
            }
        }
    }

    /// What the connector left: what its agent has told, or, when the agent is over without that, what it has printed.
    async fn gather(&mut self, view: Option<&PodView>) -> Option<Left> {
        let mut is_over = view.is_none_or(PodView::is_agent_over);
        let began = Instant::now();
        loop {
            // In this order: what it told before it ended is stored by then.
            match self.inner.ledger.record(self.key).await {
                Ok(Some(ending)) => return Some(Left { ending, is_whole: true }),
                Ok(None) if is_over => break,
                // Its node may be lost. The connector is seen to have ended: what was told so far is what there is.
                Ok(None) if began.elapsed() > RECORD_AT_MOST => return None,
                Ok(None) => {}
                Err(error @ StoreError::Database(_)) => {
                    self.database_is_away(&error).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(pod = self.name, %error, "what the agent told at the end cannot be read");
                    return None;
                }
            }
            if self.retry.is_some_and(|at| Instant::now() >= at) {
                self.retry = None;
            }
            // Told to stop only now: its agent gets less time.
            let _ = self.obey().await;
            tokio::select! {
                () = self.inner.ledger.told(self.key, RECORD_EVERY) => {}
                Ok(()) = self.seen.changed() => {}
            }
            is_over = match &*self.seen.borrow_and_update() {
                Sight::Here(view) => view.is_agent_over(),
                Sight::Gone => true,
                Sight::Unseen => false,
            };
        }
        self.printed(view?).await
    }

    /// What the agent has printed, since it could not tell it. A node that is lost answers to nobody: it is not asked for ever,
    /// and no longer than a stop may take once the attempt is told to stop.
    async fn printed(&mut self, view: &PodView) -> Option<Left> {
        let began = Instant::now();
        let text = loop {
            match self.inner.cluster.agent_log(&view.name).await {
                Ok(text) => break text,
                Err(CallError::Refused { message, .. }) => {
                    tracing::warn!(pod = self.name, message, "what the agent printed cannot be read");
                    return None;
                }
                Err(error) if began.elapsed() > self.printed_at_most() => {
                    tracing::warn!(pod = self.name, %error, "what the agent printed cannot be read, and is given up");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(pod = self.name, %error, "what the agent printed cannot be read yet");
                    self.wait_a_little().await;
                }
            }
        };
        printed::read(&text)
    }

    fn printed_at_most(&self) -> Duration {
        if self.orders.borrow().stop { self.inner.settings.stop_grace } else { RECORD_AT_MOST }
    }

    /// Adds the pod's last events to words that a person reads.
    async fn with_events(&self, seen: Seen) -> Seen {
        // Nobody waits for them after a stop, which ends at once whatever Kubernetes does.
        let is_wanted =
            !self.orders.borrow().stop && matches!(seen, Seen::NotStarted(..) | Seen::Failed { .. });
        if !is_wanted {
            return seen;
        }
        let events = self.inner.cluster.events_of(&self.name);
        let events = match tokio::time::timeout(EVENTS_WITHIN, events).await {
            Ok(Ok(events)) if !events.is_empty() => {
                format!("\nThe pod's last events:\n{}", events.join("\n"))
            }
            _ => return seen,
        };
        match seen {
            Seen::NotStarted(class, why) => Seen::NotStarted(class, why + &events),
            Seen::Failed { class, why, exit_code, may_retry } => {
                Seen::Failed { class, why: why + &events, exit_code, may_retry }
            }
            other => other,
        }
    }
}

/// What an attempt left of which nothing is known.
fn nothing() -> Ending {
    Ending {
        progress: Progress::default(),
        streams: None,
        difference: None,
        console_tail: Vec::new(),
        findings: None,
    }
}

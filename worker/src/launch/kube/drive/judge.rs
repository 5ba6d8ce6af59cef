//! What is seen of a pod that is there, or gone: whether its attempt is over by that, or is to be ended.

use std::{sync::Arc, time::Duration};

use olake_shared::{domain::task::FailureClass, store::StoreError};
use tokio::time::Instant;

use super::{
    super::{
        classify::{self, Stage, WaitFor, Waiting},
        view::{Container, PodView},
        watch::Sight,
    },
    Drive, EVENTS_WITHIN, End,
};

/// A pod that is deleted is late so many seconds after its grace: clocks differ, and kubelets take a moment.
const OVERDUE_AFTER: i64 = 30;

impl Drive {
    /// The pod is gone: over, and never started if no permit was given.
    /// None: the database does not say yet.
    pub(super) async fn gone(&mut self) -> Option<End> {
        let why = "the pod was removed before its connector started";
        match self.inner.ledger.close(self.fence).await {
            Ok(true) => match self.verdict.take() {
                Some((class, why)) => Some(End::NeverStarted(class, why)),
                None => Some(self.never(why)),
            },
            Ok(false) => Some(End::Gone),
            Err(StoreError::Fenced) => Some(End::NotOurs),
            Err(error) => {
                tracing::warn!(pod = self.name, %error, "whether a pod that is gone had started is not known yet");
                self.retry_later();
                None
            }
        }
    }

    pub(super) async fn judge(&mut self, view: &Arc<PodView>) -> Option<End> {
        self.note_uid(&view.uid);
        self.stopped_for = view.stopped_for.or(self.stopped_for);
        self.tell_place(view).await;
        let stage = match classify::stage(view) {
            Stage::Running(_) | Stage::Waiting(_) if self.is_late && self.is_overdue(view) => {
                Stage::Unreachable
            }
            stage => stage,
        };
        match stage {
            Stage::Over => return Some(End::Seen(view.clone())),
            Stage::Running(since) => {
                self.wait = None;
                self.tell_running(since).await;
            }
            Stage::Unreachable => {
                self.wait = None;
                if let Some(end) = self.judge_lost(view).await {
                    return Some(end);
                }
            }
            Stage::Waiting(waiting) => {
                if let Some(end) = self.judge_wait(view, waiting).await {
                    return Some(end);
                }
            }
        }
        let grace = i64::from(self.stop_grace());
        if view.deletion.is_some_and(|given| given > grace) && self.deleted.is_none() {
            // Somebody else's, as for a drain: it must not wait for an hour.
            self.delete(self.stop_grace()).await;
        }
        None
    }

    /// Nothing is heard of the pod's node. Some: it is over, since it had not started.
    async fn judge_lost(&mut self, view: &PodView) -> Option<End> {
        // Another attempt may find another node.
        let may_end = view.deletion.is_some() && self.deleted.is_none() && self.retry.is_none();
        if may_end && !self.has_run && !matches!(view.connector, Container::Running(_)) {
            let ended = self.end_before_start("its node was lost before its connector started").await;
            if ended.is_some() {
                return ended;
            }
        }
        let node = view.node.as_deref().unwrap_or("its node");
        let since = match self.is_overdue(view) {
            true => "the pod was told to end and has not ended in time",
            false => "whether the connector still runs is unknown",
        };
        self.tell_unreachable(format!("the node {node} is not heard of: {since}")).await;
        None
    }

    /// Whether a pod is still there although the grace of its deletion is over: a node that is heard of tells of the end of
    /// whatever runs, or waits to run, on it.
    pub(super) fn is_overdue(&self, view: &PodView) -> bool {
        let now = self.inner.clock.now().timestamp();
        has_node(view) && !view.is_over() && view.deletion_due.is_some_and(|due| now >= due + OVERDUE_AFTER)
    }

    /// When a deletion is overdue.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let Sight::Here(view) = &*self.seen.borrow() else { return None };
        let due =
            view.deletion_due.filter(|_| has_node(view) && !view.is_over() && !self.is_overdue(view))?;
        let wait = (due + OVERDUE_AFTER).saturating_sub(self.inner.clock.now().timestamp());
        Some(Instant::now() + Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
    }

    async fn judge_wait(&mut self, view: &PodView, waiting: Waiting) -> Option<End> {
        let Waiting { for_what, why, is_hopeless } = waiting;
        self.tell(for_what.phase(), why.clone()).await;
        if self.verdict.is_some() {
            return None;
        }
        if view.deletion.is_some() && self.deleted.is_none() {
            if self.retry.is_some() {
                return None;
            }
            return self.end_before_start("the pod was deleted before its connector started").await;
        }
        let since = match self.wait {
            Some((what, since)) if what == for_what => since,
            // An adopted pod may have waited long.
            None if for_what == WaitFor::Node => {
                Instant::now().checked_sub(self.age(view)).unwrap_or_else(Instant::now)
            }
            _ => Instant::now(),
        };
        self.wait = Some((for_what, since));
        let limit = self.limit(for_what);
        if !is_hopeless && (since.elapsed() < limit || !self.is_current(view).await) {
            return None;
        }
        let for_what = match for_what {
            WaitFor::Image if why.is_none() && self.waits_for_a_volume().await => WaitFor::Start,
            for_what => for_what,
        };
        let what = match for_what {
            WaitFor::Node => "no node was found for the pod",
            WaitFor::Image => "an image of the pod could not be fetched",
            WaitFor::Start => "the pod's connector did not start",
            WaitFor::Inputs => "what the connector is to be given cannot be read",
        };
        let within = if is_hopeless { String::new() } else { format!(" within {} s", limit.as_secs()) };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        self.give_up(for_what.class(), format!("{what}{within}{why}")).await
    }

    /// Whether a volume could not be mounted: its status says nothing of that.
    async fn waits_for_a_volume(&self) -> bool {
        let told = tokio::time::timeout(EVENTS_WITHIN, self.inner.cluster.events_of(&self.name)).await;
        told.is_ok_and(|told| {
            told.is_ok_and(|events| events.iter().any(|told| told.starts_with("FailedMount:")))
        })
    }

    /// Whether the pod still is as it was seen: the watch may be behind, and a pod that has started meanwhile must not be
    /// ended for its waiting. If it is not, or cannot be asked for, it is judged again.
    async fn is_current(&mut self, view: &PodView) -> bool {
        match self.inner.cluster.pod(&self.name).await {
            Ok(Some(pod)) => {
                let now = PodView::of(&pod);
                let is_same = now == *view;
                self.inner.pods.see_unless_told(self.key, now, &self.seen) && is_same
            }
            Ok(None) => {
                self.inner.pods.lose(self.key);
                false
            }
            Err(error) => {
                tracing::debug!(pod = self.name, %error, "a pod that has waited long cannot be asked for");
                self.retry_later();
                false
            }
        }
    }

    /// Ends the attempt ourselves. None: it may have started, and its pod is to be deleted.
    pub(super) async fn give_up(&mut self, class: FailureClass, why: String) -> Option<End> {
        match self.inner.ledger.close(self.fence).await {
            Ok(true) => Some(End::NeverStarted(class, why)),
            Err(StoreError::Fenced) => Some(End::NotOurs),
            Ok(false) => {
                self.verdict = Some((class, why));
                None
            }
            Err(error) => {
                tracing::warn!(pod = self.name, %error, "an attempt that cannot start cannot be ended yet");
                self.retry_later();
                None
            }
        }
    }

    /// Ends the attempt if no pod was permitted to start it. None: one was, or that is not known.
    pub(super) async fn end_before_start(&mut self, why: &str) -> Option<End> {
        match self.inner.ledger.close(self.fence).await {
            Ok(is_closed) => is_closed.then(|| self.never(why)),
            Err(StoreError::Fenced) => Some(End::NotOurs),
            Err(error) => {
                tracing::warn!(pod = self.name, %error, "whether its connector may start is not known yet");
                self.retry_later();
                None
            }
        }
    }
}

fn has_node(view: &PodView) -> bool {
    view.is_scheduled || view.node.is_some()
}

//! One attempt, from its pod's making to its end. Everything that is decided here is decided by what is seen: by the pod's
//! status, the start permit in the database, and orders; never by a call that was not answered.
//!
//! Invariants:
//! - a call of the Kubernetes API that brought nothing is made again, for as long as it takes; nothing fails by it;
//! - an attempt that no pod was permitted to start is ended by closing it, whatever Kubernetes does; one that a pod may have
//!   started is over only when that pod's connector has ended, or the pod is gone;
//! - what a later owner of the task may have decided otherwise is not touched: before a connector is ended, the database is
//!   asked under the fence;
//! - whoever drops the receiver of the updates ends this task, and nothing else: the pod runs on.
//!
//! A drive waits most of its time: what is only there while it does something is boxed, so that thousands of drives are small.
//!
//! [`begin`]: the pod is found or made; [`judge`]: what is seen of it; [`end`]: its end; [`told`]: what is told before.

mod begin;
mod end;
mod judge;
mod told;

use std::{sync::Arc, time::Duration};

use olake_shared::{
    domain::task::{FailureClass, TaskPhase},
    store::{StoreError, tasks::Fence},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Inner,
    classify::WaitFor,
    cluster::CallError,
    names::{self, Key},
    plan::Plan,
    view::PodView,
    watch::Sight,
};
use crate::{
    agent::follow::Ending,
    launch::{Launch, Placed, Update},
};

/// The wait before what failed is tried again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A pod whose labels cannot be put back is looked at this often: the watch does not see it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is told at the end is looked for at least this often.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// An end waits no longer for the words of events.
const EVENTS_WITHIN: Duration = Duration::from_secs(3);

const TOLD_TO_STOP: &str = "told to stop before its connector was started";

/// What a run was told. Orders only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Orders {
    pub stop: bool,
    pub kill: bool,
    /// What a stop is for, if whoever takes the pod over must know.
    pub stop_for: Option<FailureClass>,
}

/// How a drive begins.
pub enum Begin {
    /// The pod is to be made.
    Make(Box<Plan>),
    /// The pod may be there; what it is made of, if that can still be said.
    Find(Option<Box<Launch>>),
}

/// What a connector left.
pub struct Left {
    pub ending: Ending,
    /// Whether that is all, beside what was stored while it ran.
    pub is_whole: bool,
}

/// How an attempt ended.
enum End {
    /// No pod was permitted to start it, and none ever will be.
    NeverStarted(FailureClass, String),
    /// Its pod is there, and shows that it is over.
    Seen(Arc<PodView>),
    /// Its pod is gone.
    Gone,
    /// The task has another owner, who goes on with it.
    NotOurs,
}

/// Drives one attempt.
pub struct Drive {
    inner: Arc<Inner>,
    fence: Fence,
    key: Key,
    name: String,
    updates: mpsc::Sender<Update>,
    orders: watch::Receiver<Orders>,
    seen: watch::Receiver<Sight>,
    /// The limit of the connector's memory.
    memory: Option<u64>,
    /// What was told last.
    told: Option<(TaskPhase, Option<String>)>,
    placed: Option<Placed>,
    /// The pod that is followed, as it was seen last.
    uid: Option<String>,
    has_run: bool,
    /// What it waits for, and since when.
    wait: Option<(WaitFor, Instant)>,
    /// Why we end it ourselves.
    verdict: Option<(FailureClass, String)>,
    /// The grace with which we have deleted the pod.
    deleted: Option<u32>,
    /// What it is stopped for, as it was seen written on the pod.
    stopped_for: Option<FailureClass>,
    /// Whether that needs no writing any more.
    is_stop_noted: bool,
    /// Whether the watch does not see the pod.
    is_hidden: bool,
    /// Whether its deletion is overdue, and that was asked for by its name.
    is_late: bool,
    retry: Option<Instant>,
    pause: Duration,
}

impl Drive {
    pub fn new(
        inner: Arc<Inner>,
        fence: Fence,
        updates: mpsc::Sender<Update>,
        orders: watch::Receiver<Orders>,
    ) -> Self {
        let key = (fence.task, fence.attempt);
        let seen = inner.pods.subscribe(key);
        Self {
            inner,
            fence,
            key,
            name: names::name(key),
            updates,
            orders,
            seen,
            memory: None,
            told: None,
            placed: None,
            uid: None,
            has_run: false,
            wait: None,
            verdict: None,
            deleted: None,
            stopped_for: None,
            is_stop_noted: false,
            is_hidden: false,
            is_late: false,
            retry: None,
            pause: FIRST_WAIT,
        }
    }

    /// Until the end is told, or nobody listens any more.
    pub async fn run(mut self, begin: Begin) {
        let updates = self.updates.clone();
        tokio::select! {
            () = updates.closed() => {}
            () = self.drive_on(begin) => {}
        }
    }

    async fn drive_on(&mut self, begin: Begin) {
        let begun = match begin {
            Begin::Make(plan) => Box::pin(self.make(&plan)).await,
            Begin::Find(launch) => Box::pin(self.find(launch)).await,
        };
        let end = match begun {
            Some(end) => end,
            None => self.follow().await,
        };
        // Whoever is not the owner any more tells nothing: its next write is refused.
        if let Some(ended) = Box::pin(self.finish(end)).await {
            let _ = self.updates.send(Update::Ended(Box::new(ended))).await;
        }
    }

    // ---- While it is there ----

    async fn follow(&mut self) -> End {
        loop {
            if self.retry.is_some_and(|at| Instant::now() >= at) {
                self.retry = None;
            }
            if let Some(end) = Box::pin(self.look()).await {
                return end;
            }
            if let Some(end) = Box::pin(self.obey()).await {
                return end;
            }
            self.wait_for_news().await;
        }
    }

    async fn wait_for_news(&mut self) {
        let deadline = self.wait.map(|(what, since)| since + self.limit(what));
        // One that has passed is acted on at once, and after that again when what failed then is tried again.
        let deadline =
            deadline.filter(|at| self.verdict.is_none() && (self.retry.is_none() || *at > Instant::now()));
        let wake = [deadline, self.retry, self.overdue_at()].into_iter().flatten().min();
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.seen.changed() => {}
            Ok(()) = self.orders.changed() => {}
            () = timer => {}
            else => std::future::pending().await,
        }
    }

    /// Judges what is seen. Some: it is over.
    async fn look(&mut self) -> Option<End> {
        let sight = self.seen.borrow_and_update().clone();
        match sight {
            // An end that is overdue is believed to be missing only after asking: the watch may be behind.
            Sight::Here(view) if !self.is_hidden && (self.is_late || !self.is_overdue(&view)) => {
                self.judge(&view).await
            }
            // The watch sees pods by their labels: what looks gone to it is asked for by its name.
            _ if self.retry.is_none() => self.confirm().await,
            Sight::Here(view) => self.judge(&view).await,
            _ => None,
        }
    }

    async fn confirm(&mut self) -> Option<End> {
        match self.inner.cluster.pod(&self.name).await {
            Ok(None) => self.gone().await,
            Ok(Some(pod)) => {
                let view = PodView::of(&pod);
                if !self.inner.pods.see_unless_told(self.key, view.clone(), &self.seen) {
                    return None;
                }
                self.saw(&pod).await;
                self.is_late = self.is_overdue(&view);
                self.judge(&Arc::new(view)).await
            }
            Err(error) => {
                tracing::debug!(pod = self.name, %error, "a pod that looks gone cannot be asked for");
                self.retry_later();
                None
            }
        }
    }

    /// Does what was ordered. Some: it is over.
    async fn obey(&mut self) -> Option<End> {
        let orders = *self.orders.borrow_and_update();
        let wanted = match (orders, self.verdict.is_some()) {
            (Orders { kill: true, .. }, _) => Some(1),
            (Orders { stop: true, .. }, _) | (_, true) => Some(self.stop_grace()),
            _ => None,
        };
        let wanted = wanted?;
        if self.retry.is_some() {
            return None;
        }
        if self.deleted.is_some_and(|given| given <= wanted) {
            // Somebody else's deletion was hastened before: what it is stopped for now is known to nobody yet.
            self.note_stop(orders.stop_for).await;
            return None;
        }
        if self.deleted.is_none() && self.verdict.is_none() {
            let ended = self.end_before_start(TOLD_TO_STOP).await;
            if ended.is_some() || self.retry.is_some() {
                return ended;
            }
        }
        if self.note_stop(orders.stop_for).await {
            self.delete(wanted).await;
        }
        None
    }

    /// Writes on the pod what it is stopped for, before it is deleted: whoever takes it over may find it ended. False: that
    /// is to be tried again.
    async fn note_stop(&mut self, class: Option<FailureClass>) -> bool {
        let Some(class) = class.filter(|_| !self.is_stop_noted) else { return true };
        match self.inner.cluster.note_stop(&self.name, self.uid.as_deref(), class).await {
            Err(error @ CallError::Unreachable(_)) => {
                tracing::warn!(pod = self.name, %error, "a pod that is to end is not deleted yet");
                self.retry_later();
                return false;
            }
            // The stop itself does not wait for it.
            Err(error) => {
                tracing::warn!(pod = self.name, %error, "what a pod is stopped for is not written on it");
            }
            Ok(()) => {}
        }
        self.is_stop_noted = true;
        true
    }

    /// Takes the pod that has the attempt's name now for the one that is followed.
    pub(super) fn note_uid(&mut self, uid: &str) {
        if self.uid.as_deref() != Some(uid) {
            self.uid = Some(uid.to_owned());
            (self.deleted, self.is_late, self.is_stop_noted) = (None, false, false);
        }
    }

    /// Deletes the very pod that was judged: another one may have its name by now.
    async fn delete(&mut self, grace: u32) {
        match self.inner.cluster.delete_pod(&self.name, self.uid.as_deref(), grace).await {
            Ok(()) => {
                self.deleted = Some(grace);
                self.pause = FIRST_WAIT;
            }
            Err(error) => {
                tracing::warn!(pod = self.name, %error, "a pod that is to end is not deleted yet");
                self.retry_later();
            }
        }
    }

    // ---- Small things ----

    fn never(&self, why: &str) -> End {
        End::NeverStarted(FailureClass::Infrastructure, why.to_owned())
    }

    fn stop_grace(&self) -> u32 {
        u32::try_from(self.inner.settings.stop_grace.as_secs()).unwrap_or(u32::MAX)
    }

    fn limit(&self, what: WaitFor) -> Duration {
        let settings = &self.inner.settings;
        match what {
            WaitFor::Node => settings.schedule,
            WaitFor::Image => settings.pull,
            WaitFor::Start | WaitFor::Inputs => settings.start,
        }
    }

    fn age(&self, view: &PodView) -> Duration {
        view.created.map_or(Duration::ZERO, |created| self.ago(created))
    }

    fn ago(&self, seconds: i64) -> Duration {
        let now = self.inner.clock.now().timestamp();
        Duration::from_secs(u64::try_from(now.saturating_sub(seconds)).unwrap_or(0))
    }

    fn retry_in(&mut self, wait: Duration) {
        self.retry = Some(Instant::now() + wait);
    }

    fn retry_later(&mut self) {
        self.retry_in(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_WAIT);
    }

    /// Waits before what failed is tried again, unless there is an order.
    async fn wait_a_little(&mut self) {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_WAIT);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Ok(()) = self.orders.changed() => {}
        }
    }

    async fn database_is_away(&mut self, error: &StoreError) {
        tracing::warn!(pod = self.name, %error, "an attempt waits for the database");
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_WAIT);
        tokio::time::sleep(pause).await;
    }
}

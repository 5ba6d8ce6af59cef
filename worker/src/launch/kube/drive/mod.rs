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

mod begin;
mod end;

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
    classify::{self, Stage, WaitFor, Waiting},
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
    /// Whether the watch does not see the pod.
    is_hidden: bool,
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
            is_hidden: false,
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
            Begin::Make(plan) => self.make(&plan).await,
            Begin::Find(launch) => self.find(launch).await,
        };
        let end = match begun {
            Some(end) => end,
            None => self.follow().await,
        };
        // Whoever is not the owner any more tells nothing: its next write is refused.
        if let Some(ended) = self.finish(end).await {
            let _ = self.updates.send(Update::Ended(ended)).await;
        }
    }

    // ---- While it is there ----

    async fn follow(&mut self) -> End {
        loop {
            if self.retry.is_some_and(|at| Instant::now() >= at) {
                self.retry = None;
            }
            if let Some(end) = self.look().await {
                return end;
            }
            if let Some(end) = self.obey().await {
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
        let wake = [deadline, self.retry].into_iter().flatten().min();
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
            Sight::Here(view) if !self.is_hidden => self.judge(&view).await,
            // The watch sees pods by their labels: what looks gone to it is asked for by its name.
            _ if self.retry.is_none() => self.confirm().await,
            Sight::Here(view) => self.judge(&view).await,
            _ => None,
        }
    }

    async fn confirm(&mut self) -> Option<End> {
        match self.inner.cluster.pod(&self.name).await {
            Ok(None) => Some(self.gone().await),
            Ok(Some(pod)) => {
                let view = PodView::of(&pod);
                self.inner.pods.see(self.key, view.clone());
                self.saw(&pod).await;
                self.seen.mark_unchanged();
                self.judge(&Arc::new(view)).await
            }
            Err(error) => {
                tracing::debug!(pod = self.name, %error, "a pod that looks gone cannot be asked for");
                self.retry_later();
                None
            }
        }
    }

    /// The pod is gone: over, and never started if no permit was given.
    async fn gone(&mut self) -> End {
        let why = "the pod was removed before its connector started";
        match self.inner.ledger.close(self.fence).await {
            Ok(true) => match self.verdict.take() {
                Some((class, why)) => End::NeverStarted(class, why),
                None => self.never(why),
            },
            Err(StoreError::Fenced) => End::NotOurs,
            Ok(false) | Err(_) => End::Gone,
        }
    }

    async fn judge(&mut self, view: &Arc<PodView>) -> Option<End> {
        self.note_uid(&view.uid);
        self.tell_place(view).await;
        match classify::stage(view) {
            Stage::Over => return Some(End::Seen(view.clone())),
            Stage::Running(since) => {
                self.wait = None;
                self.tell_running(since).await;
            }
            Stage::Unreachable => {
                self.wait = None;
                let node = view.node.as_deref().unwrap_or("its node");
                let why =
                    format!("the node {node} is not heard of: whether the connector still runs is unknown");
                if self.told.as_ref().map(|(phase, _)| *phase) != Some(TaskPhase::NodeUnreachable) {
                    self.told = Some((TaskPhase::NodeUnreachable, None));
                    let _ = self.updates.send(Update::Unreachable(why)).await;
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

    async fn judge_wait(&mut self, view: &PodView, waiting: Waiting) -> Option<End> {
        let Waiting { for_what, why, is_hopeless } = waiting;
        self.tell(for_what.phase(), why.clone()).await;
        if self.verdict.is_some() {
            return None;
        }
        if view.deletion.is_some() && self.deleted.is_none() {
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
        if !is_hopeless && since.elapsed() < limit {
            return None;
        }
        let what = match for_what {
            WaitFor::Node => "no node was found for the pod",
            WaitFor::Image => "an image of the pod could not be fetched",
            WaitFor::Start => "the pod's connector did not start",
        };
        let within = if is_hopeless { String::new() } else { format!(" within {} s", limit.as_secs()) };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        self.give_up(for_what.class(), format!("{what}{within}{why}")).await
    }

    /// Ends the attempt ourselves. None: it may have started, and its pod is to be deleted.
    async fn give_up(&mut self, class: FailureClass, why: String) -> Option<End> {
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
    async fn end_before_start(&mut self, why: &str) -> Option<End> {
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

    /// Does what was ordered. Some: it is over.
    async fn obey(&mut self) -> Option<End> {
        let orders = *self.orders.borrow_and_update();
        let wanted = match (orders, self.verdict.is_some()) {
            (Orders { kill: true, .. }, _) => Some(1),
            (Orders { stop: true, .. }, _) | (_, true) => Some(self.stop_grace()),
            _ => None,
        };
        let wanted = wanted.filter(|grace| self.deleted.is_none_or(|given| *grace < given))?;
        if self.retry.is_some() {
            return None;
        }
        if self.deleted.is_none() && self.verdict.is_none() {
            let ended = self.end_before_start(TOLD_TO_STOP).await;
            if ended.is_some() || self.retry.is_some() {
                return ended;
            }
        }
        self.delete(wanted).await;
        None
    }

    /// Takes the pod that has the attempt's name now for the one that is followed.
    pub(super) fn note_uid(&mut self, uid: &str) {
        if self.uid.as_deref() != Some(uid) {
            self.uid = Some(uid.to_owned());
            self.deleted = None;
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

    // ---- What is told ----

    async fn tell(&mut self, phase: TaskPhase, why: Option<String>) {
        if self.told.as_ref().is_some_and(|told| told.0 == phase && told.1 == why) {
            return;
        }
        self.told = Some((phase, why.clone()));
        let _ = self.updates.send(Update::Starting { phase, why }).await;
    }

    async fn tell_running(&mut self, since: Option<i64>) {
        self.has_run = true;
        if self.told.as_ref().map(|told| told.0) == Some(TaskPhase::Running) {
            return;
        }
        self.told = Some((TaskPhase::Running, None));
        let ran_for = since.map_or(Duration::ZERO, |since| self.ago(since));
        let _ = self.updates.send(Update::Started { pid: None, ran_for }).await;
    }

    async fn tell_place(&mut self, view: &PodView) {
        let placed = Placed { pod: view.name.clone(), node: view.node.clone() };
        if self.placed.as_ref() != Some(&placed) {
            self.placed = Some(placed.clone());
            let _ = self.updates.send(Update::Placed(placed)).await;
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
            WaitFor::Start => settings.start,
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

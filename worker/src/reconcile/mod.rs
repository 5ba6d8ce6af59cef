//! The worker's loops.
//!
//! Each takes no input, does a bounded amount of work, may be repeated by any worker at any time, and is woken by a
//! signal and by a timer:
//! - [`lease`]: says that this worker lives;
//! - [`claims`]: takes what is due while there are places, and runs it ([`run`]);
//! - [`wishes`]: tells running connectors to stop;
//! - [`orphans`]: takes back, or adopts, what dead workers left;
//! - [`schedules`]: fires the slots of jobs;
//! - [`notify`]: tells webhooks how tasks ended;
//! - [`leftovers`]: removes what attempts left on this machine;
//! - [`refresh`]: reads what is elsewhere, tags of images and news of releases;
//! - [`upkeep`], [`retention`]: results and rows that were kept long enough.
//!
//! To add one: a file with one `pub(super) async fn …(worker: Arc<Worker>)` that loops until `worker.stop`, and its line
//! in [`Worker::run`].

mod claims;
pub(crate) mod describe;
mod interpret;
mod lease;
mod leftovers;
mod notify;
mod orphans;
mod places;
pub mod redact;
mod refresh;
mod retention;
mod run;
mod running;
mod said;
mod schedules;
mod upkeep;
mod validate;
mod wishes;
mod writes;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use olake_shared::{
    bell::Bell,
    domain::task::{PlaceClass, TaskStatus},
    events::{Event, Events, What},
    step::{Moment, Step, reach},
    store::{
        Store, StoreError,
        retention::Retention,
        tasks::{Ended, Queue, chain::Followed, limits::Limits},
        workers::{NewWorker, Runs},
    },
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use refresh::Elsewhere;

use self::{lease::Lease, places::Places, running::RunningTasks};
use crate::{
    launch::Launcher,
    webhook::{Caller, Policy},
};

/// How long a worker that stops, and runs nothing any more, waits for the database's last answers.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// How often a start is tried while the database is away.
const START_TRIES: u32 = 10;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Syncs at a time.
    pub places_sync: usize,
    /// Specs, checks and discovers at a time.
    pub places_interactive: usize,
    /// How long this worker counts as alive after each sign of life.
    pub lease: Duration,
    /// How often each loop looks by itself.
    pub reconcile: Duration,
    /// Deadlines of the kinds.
    pub deadlines: Deadlines,
    /// How many syncs of a project or source run at once.
    pub limits: Limits,
    /// How webhooks are called.
    pub webhooks: Policy,
    /// How much is kept.
    pub retention: Retention,
    /// What is read from elsewhere in the background.
    pub elsewhere: Elsewhere,
    /// Whether every other worker is known to be dead (one machine, whose data folder this process has locked): what
    /// they left is taken over at once.
    pub alone: bool,
}

/// How long the kinds may run.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub spec: Duration,
    pub check: Duration,
    pub discover: Duration,
    pub difference: Duration,
    pub validate: Duration,
    pub sync: Duration,
}

/// A worker.
pub struct Worker {
    id: Uuid,
    host: String,
    settings: Settings,
    queue: Queue,
    bell: Bell,
    events: Events,
    launcher: Arc<dyn Launcher>,
    caller: Caller,
    lease: Lease,
    /// What this worker's row says that it can run.
    told: Mutex<Runs>,
    sync: Places,
    interactive: Places,
    running: RunningTasks,
    /// Wakes the loops before their time.
    look: Notify,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Worker {
    /// A worker that runs connectors by `launcher`. Nothing happens before [`Worker::run`].
    pub fn new(
        store: &Store,
        bell: Bell,
        events: Events,
        launcher: Arc<dyn Launcher>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::now_v7(),
            host: host_name(),
            sync: Places::new(settings.places_sync),
            interactive: Places::new(settings.places_interactive),
            lease: Lease::new(settings.lease),
            told: Mutex::default(),
            caller: Caller::new(settings.webhooks.clone(), store.clock().clone()),
            settings,
            queue: store.queue(),
            bell,
            events,
            launcher,
            running: RunningTasks::default(),
            look: Notify::new(),
            stop,
            tracker: TaskTracker::new(),
        })
    }

    /// Works until `stop`; then tells the running connectors to stop, waits for them, and gives their tasks back. Connectors
    /// that outlive their worker are left alone: their tasks are adopted by another one.
    ///
    /// # Errors
    /// [`StartError`] when this worker must not work: the loops are not started then.
    pub async fn run(self: &Arc<Self>) -> Result<(), StartError> {
        self.start().await?;
        for class in PlaceClass::ALL {
            let places = self.places(*class);
            let (bell, free, rung, stop) =
                (self.bell.clone(), places.watch_free(), places.rung().clone(), self.stop.clone());
            self.tracker.spawn(async move { bell.listen(*class, free, rung, stop).await });
            self.tracker.spawn(claims::run(self.clone(), *class));
        }
        self.tracker.spawn(wishes::run(self.clone()));
        self.tracker.spawn(orphans::run(self.clone()));
        self.tracker.spawn(schedules::run(self.clone()));
        self.tracker.spawn(notify::run(self.clone()));
        self.tracker.spawn(leftovers::run(self.clone()));
        self.tracker.spawn(retention::run(self.clone()));
        self.tracker.spawn(upkeep::run(self.clone()));
        self.tracker.spawn(refresh::run(self.clone()));
        // The lease outlives the other loops: it holds until the last connector has ended.
        let ended = CancellationToken::new();
        let lease = tokio::spawn(lease::run(self.clone(), ended.clone()));
        self.stop.cancelled().await;
        self.running.stop_all(running::StopReason::Shutdown);
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => {}
            () = self.hangs() => tracing::warn!("stopping without an answer of the database"),
        }
        self.bell.flush().await;
        ended.cancel();
        let _ = lease.await;
        reach(Step::Unregistered, Moment::Before);
        match tokio::time::timeout(LAST_ANSWER, self.queue.unregister(self.id)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the worker's row was not removed; its lease runs out by itself");
            }
            Err(_) => tracing::warn!("the worker's row was not removed; its lease runs out by itself"),
        }
        reach(Step::Unregistered, Moment::After);
        tracing::info!(worker.id = %self.id, "worker stopped");
        Ok(())
    }

    /// Ends when nothing runs here any more and the loops are not over all the same: they wait for a database whose host is
    /// gone, which may take for ever.
    async fn hangs(&self) {
        loop {
            while self.running() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(LAST_ANSWER).await;
            if self.running() == 0 {
                return;
            }
        }
    }

    /// Says anew what this worker can run, if that has changed.
    async fn tell_changes(&self) {
        let row = self.row();
        if self.told.lock().is_ok_and(|told| *told == row.runs) {
            return;
        }
        let told =
            tokio::time::timeout(self.settings.lease, self.queue.register(&row, self.settings.lease)).await;
        match told {
            Ok(Ok(())) => self.note_told(row.runs),
            Err(_) => {
                tracing::warn!("what this worker can run was not told anew: the database does not answer");
            }
            Ok(Err(error)) => tracing::warn!(%error, "what this worker can run was not told anew"),
        }
    }

    fn note_told(&self, runs: Runs) {
        if let Ok(mut told) = self.told.lock() {
            *told = runs;
        }
    }

    /// Registers. A database that is slow to answer is asked again for a while: whoever starts many workers at once, or
    /// the database with them, wants them up.
    async fn start(&self) -> Result<(), StartError> {
        let mut tries = 1;
        loop {
            match self.try_to_start().await {
                Err(StartError::Store(error))
                    if error.is_unavailable() && tries < START_TRIES && !self.stop.is_cancelled() =>
                {
                    tracing::warn!(%error, "the database is not there yet; the start is tried again");
                    tries += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                started => return started,
            }
        }
    }

    async fn try_to_start(&self) -> Result<(), StartError> {
        let asked = Instant::now();
        let row = self.row();
        self.queue.register(&row, self.settings.lease).await?;
        self.note_told(row.runs);
        self.lease.renewed_at(asked);
        // After registering: of two that start at the same time, one sees the other.
        if let Some(place) = self.launcher.place() {
            let hosts = self.queue.elsewhere(self.launcher.name(), &place.key).await?;
            if !hosts.is_empty() {
                self.queue.unregister(self.id).await?;
                let launcher = self.launcher.name();
                let (shared, mine) = (place.shared, self.host.clone());
                return Err(StartError::Elsewhere { launcher, shared, hosts, mine });
            }
        }
        if let Some(others) = self.queue.with_another_launcher(self.launcher.name()).await? {
            self.queue.unregister(self.id).await?;
            return Err(StartError::Launchers { mine: self.launcher.name(), others });
        }
        if self.settings.alone {
            self.queue.forget_all_but(self.id).await?;
        }
        leftovers::sweep(self).await?;
        tracing::info!(
            worker.id = %self.id,
            launcher = self.launcher.name(),
            connectors = self.launcher.runs().connectors.len(),
            "worker started"
        );
        Ok(())
    }

    fn row(&self) -> NewWorker {
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        NewWorker {
            id: self.id,
            host: self.host.clone(),
            launcher: self.launcher.name().to_owned(),
            place: self.launcher.place().map(|place| place.key),
            runs: self.launcher.runs(),
            places_sync: number(self.settings.places_sync),
            places_interactive: number(self.settings.places_interactive),
        }
    }

    fn places(&self, class: PlaceClass) -> &Places {
        match class {
            PlaceClass::Sync => &self.sync,
            PlaceClass::Interactive => &self.interactive,
        }
    }

    /// Tells whoever waits what became of a task, and of those that waited for it.
    fn publish_end(&self, ended: &Ended) {
        self.events.publish(Event {
            task: ended.task,
            project: ended.project.clone(),
            job: ended.job,
            what: What::Status(ended.status),
        });
        for followed in &ended.then {
            match followed {
                Followed::Ended(ended) => self.publish_end(ended),
                Followed::Promoted(next) => {
                    self.bell.ring(next.class, next.task);
                    self.events.publish(Event {
                        task: next.task,
                        project: next.project.clone(),
                        job: next.job,
                        what: What::Status(TaskStatus::Queued),
                    });
                }
            }
        }
    }

    /// Makes every loop look now.
    pub fn look_now(&self) {
        self.look.notify_waiters();
        self.sync.rung().notify_one();
        self.interactive.rung().notify_one();
    }

    /// The number of connectors that run under this worker.
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Workers with this launcher share something, and this one does not.
    #[error(
        "workers with the {launcher} launcher must all have {shared}, where they guard each other's starts: this one, on \
         '{mine}', has another than those on {}", hosts.join(", ")
    )]
    Elsewhere { launcher: &'static str, shared: &'static str, hosts: Vec<String>, mine: String },
    /// All workers of an installation have one launcher: of two, neither could guard the other's starts.
    #[error(
        "this worker has the {mine} launcher, and others that are up have the {others} launcher: stop those first, or set \
         OLAKE_LAUNCHER as they have it"
    )]
    Launchers { mine: &'static str, others: String },
    /// The database refused or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Waits for a signal or the timer. False: the worker stops.
async fn next_look(worker: &Worker) -> bool {
    tokio::select! {
        () = worker.stop.cancelled() => false,
        () = worker.look.notified() => true,
        () = tokio::time::sleep(worker.settings.reconcile) => true,
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

//! Validate tasks, from the queue to their end: the launcher is asked, and nothing is launched.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../../shared/tests/support/samples.rs"]
mod samples;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use olake_shared::{
    bell::Bell,
    domain::{
        settings::AdvancedSettings,
        task::{TaskId, TaskStatus},
    },
    events::Events,
    store::{
        ProjectStore, Store,
        retention::Retention,
        tasks::{claim::Claim, input::OneShot, limits::Limits, read::Task},
        workers::{ImageType, Runs},
    },
};
use olake_worker::{
    agent::follow::Ending,
    launch::{
        AttemptRef, Launch, LaunchError, Launcher, Placement, Running, SharedPlace, known::Known,
        kube::CallError,
    },
    reconcile::{Deadlines, Elsewhere, Settings, Worker},
    webhook::Policy,
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const REFUSAL: &str = "pods \"olake-1\" is forbidden: no PriorityClass with name gold was found";

/// What the launcher says when it is asked.
#[derive(Clone, Copy)]
enum Says {
    Yes,
    No,
    /// Kubernetes cannot be reached.
    Away,
    Nothing,
}

/// Answers as it was told to, and notes the calls.
struct Oracle {
    says: Says,
    asked: Arc<Mutex<Vec<(Placement, Duration)>>>,
    other_calls: Arc<Mutex<Vec<&'static str>>>,
}

#[async_trait]
impl Launcher for Oracle {
    fn name(&self) -> &'static str {
        "none"
    }

    fn runs(&self) -> Runs {
        let image = ImageType { connector_type: "postgres".to_owned(), destinations: Vec::new() };
        Runs { images: vec![image], ..Runs::default() }
    }

    fn place(&self) -> Option<SharedPlace> {
        None
    }

    fn outlives_worker(&self) -> bool {
        true
    }

    async fn validate(&self, launch: &Launch) -> Result<(), LaunchError> {
        self.asked.lock().unwrap().push((launch.placement.clone(), launch.deadline));
        match self.says {
            Says::Yes => Ok(()),
            Says::No => Err(CallError::Refused { code: 403, message: REFUSAL.to_owned() }.into()),
            Says::Away => Err(CallError::Unreachable("connection refused".to_owned()).into()),
            Says::Nothing => std::future::pending().await,
        }
    }

    async fn launch(&self, _launch: Launch) -> Result<Running, LaunchError> {
        self.other_calls.lock().unwrap().push("launch");
        Err(LaunchError::BrokeOff)
    }

    async fn recover(&self, _attempt: AttemptRef, _known: Known) -> Result<Option<Ending>, LaunchError> {
        self.other_calls.lock().unwrap().push("recover");
        Ok(None)
    }

    async fn discard(&self, _task: TaskId, _attempt: i32) -> Result<(), LaunchError> {
        self.other_calls.lock().unwrap().push("discard");
        Ok(())
    }

    async fn found(&self) -> Result<Vec<String>, LaunchError> {
        Ok(Vec::new())
    }

    async fn sweep(&self, _found: Vec<String>, _alive: &[(TaskId, i32)]) -> Result<u64, LaunchError> {
        Ok(0)
    }
}

struct Stage {
    store: Store,
    project: ProjectStore,
    user: i64,
    /// How long an answer is waited for.
    within: Duration,
    asked: Arc<Mutex<Vec<(Placement, Duration)>>>,
    other_calls: Arc<Mutex<Vec<&'static str>>>,
    stop: CancellationToken,
    _stop_at_end: DropGuard,
    _folder: TempDir,
}

impl Stage {
    async fn new(within: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::sqlite(folder.path()).await;
        let (project, user) = (samples::project(&store).await, samples::user(&store).await);
        let stop = CancellationToken::new();
        let stop_at_end = stop.clone().drop_guard();
        Self {
            store,
            project,
            user,
            within,
            asked: Arc::default(),
            other_calls: Arc::default(),
            stop,
            _stop_at_end: stop_at_end,
            _folder: folder,
        }
    }

    /// Starts a worker; cancelling the token stops it.
    fn start_worker(&self, says: Says) -> CancellationToken {
        let minute = Duration::from_secs(60);
        let settings = Settings {
            places_sync: 1,
            places_interactive: 1,
            lease: minute,
            reconcile: Duration::from_millis(20),
            deadlines: Deadlines {
                spec: minute,
                check: minute,
                discover: minute,
                difference: minute,
                validate: self.within,
                sync: 60 * minute,
            },
            limits: Limits::default(),
            webhooks: Policy::default(),
            retention: Retention::default(),
            elsewhere: Elsewhere::default(),
            alone: false,
        };
        let oracle = Oracle { says, asked: self.asked.clone(), other_calls: self.other_calls.clone() };
        let stop = self.stop.child_token();
        let (bell, events) = (Bell::in_process(), Events::in_process());
        let worker = Worker::new(&self.store, bell, events, Arc::new(oracle), settings, stop.clone());
        tokio::spawn(async move { worker.run().await.unwrap() });
        stop
    }

    async fn ask(&self, settings: AdvancedSettings) -> TaskId {
        let ask = OneShot::Validate { settings };
        self.project.create_one_shot("postgres", "v0.9.4", &ask, self.user).await.unwrap().task
    }

    async fn ended(&self, task: TaskId) -> Task {
        self.until(task, |task| task.status.is_end()).await
    }

    async fn until(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Task {
        let looked = async {
            loop {
                let task = self.project.task(id).await.unwrap();
                if wanted(&task) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looked).await.expect("it never came to what was wanted")
    }

    /// How a task of this answer ends: its status, class and words.
    async fn end_of(says: Says) -> (TaskStatus, Option<String>, Option<String>) {
        let stage = Self::new(Duration::from_secs(60)).await;
        stage.start_worker(says);
        let task = stage.ended(stage.ask(AdvancedSettings::default()).await).await;
        (task.status, task.failure_class, task.failure_message)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_taken_ends_well_and_is_never_launched() {
    let stage = Stage::new(Duration::from_secs(60)).await;
    stage.start_worker(Says::Yes);
    let settings = AdvancedSettings {
        profile: Some("large".into()),
        max_memory: Some("8Gi".into()),
        timeout_seconds: Some(7_200),
        ..AdvancedSettings::default()
    };
    let task = stage.ended(stage.ask(settings).await).await;
    assert_eq!((task.status, task.attempt, task.job), (TaskStatus::Succeeded, 1, None));
    let placement =
        Placement { profile: Some("large".into()), max_memory: Some("8Gi".into()), memory_doublings: 0 };
    assert_eq!(*stage.asked.lock().unwrap(), [(placement, Duration::from_secs(7_200))]);
    assert!(stage.other_calls.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_fails_in_its_words_and_an_outage_as_one() {
    let (status, class, words) = Stage::end_of(Says::No).await;
    assert_eq!((status, class.as_deref()), (TaskStatus::Failed, Some("unschedulable")));
    assert!(words.as_deref().unwrap().contains(REFUSAL), "{words:?}");
    let (status, class, words) = Stage::end_of(Says::Away).await;
    assert_eq!((status, class.as_deref()), (TaskStatus::Failed, Some("infrastructure")));
    assert!(words.as_deref().unwrap().contains("connection refused"), "{words:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let stage = Stage::new(Duration::from_millis(200)).await;
    stage.start_worker(Says::Nothing);
    let task = stage.ended(stage.ask(AdvancedSettings::default()).await).await;
    assert_eq!((task.status, task.failure_class.as_deref()), (TaskStatus::Failed, Some("timeout")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_waits_for_any_more_is_cancelled() {
    let stage = Stage::new(Duration::from_secs(60)).await;
    stage.start_worker(Says::Nothing);
    let id = stage.ask(AdvancedSettings::default()).await;
    stage.until(id, |task| task.status == TaskStatus::Running).await;
    stage.project.cancel_task(id).await.unwrap();
    assert_eq!(stage.ended(id).await.status, TaskStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_gives_it_to_the_next() {
    let stage = Stage::new(Duration::from_secs(60)).await;
    let first = stage.start_worker(Says::Nothing);
    let id = stage.ask(AdvancedSettings::default()).await;
    stage.until(id, |task| task.status == TaskStatus::Running).await;
    first.cancel();
    stage.until(id, |task| task.status == TaskStatus::Queued).await;
    stage.start_worker(Says::Yes);
    let task = stage.ended(id).await;
    assert_eq!((task.status, task.attempt), (TaskStatus::Succeeded, 2));
    assert!(stage.other_calls.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_worker_that_is_gone_is_asked_again_within_the_same_attempt() {
    let stage = Stage::new(Duration::from_secs(60)).await;
    let id = stage.ask(AdvancedSettings::default()).await;
    let queue = stage.store.queue();
    let claim = queue.claim(id, Uuid::now_v7(), "elsewhere", Limits::default()).await.unwrap();
    assert!(matches!(claim, Some(Claim::Taken(_))));
    stage.start_worker(Says::Yes);
    let task = stage.ended(id).await;
    assert_eq!((task.status, task.attempt), (TaskStatus::Succeeded, 1));
    assert!(stage.other_calls.lock().unwrap().is_empty());
}

//! Workers with a real database, on pods that others have left.

#[path = "../../../../../shared/tests/support/samples.rs"]
mod samples;

use std::{sync::Arc, time::Duration};

use olake_shared::{
    bell::Bell,
    clock::SystemClock,
    crypto::KeyRing,
    domain::task::{TaskPhase, TaskStatus},
    events::Events,
    store::{
        ProjectStore, Store,
        connections::{ConnectionInput, Side},
        jobs::{JobInput, SideInput},
        logs::Direction,
        retention::Retention,
        tasks::{Fence, claim::Claim, limits::Limits, pods::PodIdentity, read::Task},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    super::{
        KubeLauncher,
        budget::Budget,
        ledger::DatabaseLedger,
        names::{labels, name},
        settings::tests::settings,
    },
    crashed_connector, ended_connector,
    fake::Fake,
    running_connector,
};
use crate::{
    agent::record::FinalRecord,
    reconcile::{Deadlines, Elsewhere, Settings, Worker},
    webhook::Policy,
};

/// How often a worker looks.
const LOOK: Duration = Duration::from_millis(50);

/// A database and an API server.
struct Place {
    store: Store,
    keys: Arc<KeyRing>,
    events: Events,
    project: ProjectStore,
    user: i64,
    fake: Fake,
    stop: CancellationToken,
    _stop_at_end: DropGuard,
    _folder: TempDir,
}

/// A sync whose worker is gone, with a pod that runs.
struct LeftAlone {
    job: i64,
    source: i64,
    fence: Fence,
    pod: String,
    uid: Value,
}

/// A source with this password.
fn source(name: &str, password: &str) -> ConnectionInput {
    ConnectionInput {
        name: name.into(),
        connector_type: "files".into(),
        version: "v0.9.4".into(),
        config: json!({"path": "/somewhere", "password": password}),
    }
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, keys) = (samples::sqlite(folder.path()).await, samples::keys());
        let (project, user) = (samples::project(&store).await, samples::user(&store).await);
        let stop = CancellationToken::new();
        let stop_at_end = stop.clone().drop_guard();
        let (events, fake) = (Events::in_process(), Fake::start().await);
        Self { store, keys, events, project, user, fake, stop, _stop_at_end: stop_at_end, _folder: folder }
    }

    async fn left_alone(&self, job: &str) -> LeftAlone {
        let input = source(job, "hunter22");
        let source = self.project.create_connection(Side::Source, &input, self.user).await.unwrap().id;
        let input = JobInput { source: SideInput::Existing(source), ..samples::job(job) };
        let job = self.project.create_job(&input, self.user).await.unwrap().id;
        let task = self.project.create_sync(job, self.user).await.unwrap().task;
        let queue = self.store.queue();
        // Of a worker that has no row any more.
        let claim = queue.claim(task, Uuid::now_v7(), "gone", Limits::default()).await.unwrap();
        let Some(Claim::Taken(claimed)) = claim else { panic!("not claimed") };
        let fence = claimed.fence;
        let key = (task, fence.attempt);
        let pod = name(key);
        self.fake.put_pod(json!({
            "metadata": {"name": pod, "labels": labels(key), "finalizers": ["olake.io/outcome"]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "connector"}]},
            "status": {"phase": "Running", "containerStatuses": running_connector()},
        }));
        let uid = self.fake.pod(&pod).unwrap()["metadata"]["uid"].clone();
        let identity = PodIdentity {
            uid: uid.as_str().unwrap().to_owned(),
            name: pod.clone(),
            node: Some("node-1".to_owned()),
            started: false,
        };
        queue.permit(task, fence.attempt, &identity).await.unwrap();
        LeftAlone { job, source, fence, pod, uid }
    }

    async fn change_password(&self, left: &LeftAlone) {
        let input = source("changed", "another one");
        let changed = self.project.update_connection(Side::Source, left.source, &input, None, self.user);
        changed.await.unwrap();
    }

    /// A worker that works.
    fn worker(&self) -> Arc<Worker> {
        let worker = self.worker_of("olake");
        let running = worker.clone();
        tokio::spawn(async move { running.run().await.unwrap() });
        worker
    }

    /// A worker of this namespace, before its start.
    fn worker_of(&self, namespace: &str) -> Arc<Worker> {
        let clock = SystemClock::shared();
        let ledger = DatabaseLedger::new(&self.store, self.events.clone(), self.keys.clone());
        let (client, budget) = (self.fake.client.clone(), Budget::new(1_000, 1_000));
        let launcher =
            KubeLauncher::new(client, namespace, settings(), budget, Arc::new(ledger), clock).unwrap();
        let minute = Duration::from_secs(60);
        let settings = Settings {
            places_sync: 10,
            places_interactive: 1,
            lease: minute,
            reconcile: LOOK,
            deadlines: Deadlines {
                spec: minute,
                check: minute,
                discover: minute,
                difference: minute,
                validate: minute,
                sync: minute * 1_000_000,
            },
            limits: Limits::default(),
            webhooks: Policy::default(),
            retention: Retention::default(),
            elsewhere: Elsewhere::default(),
            alone: false,
        };
        let (bell, events) = (Bell::in_process(), self.events.clone());
        Worker::new(&self.store, bell, events, Arc::new(launcher), settings, self.stop.clone())
    }

    /// The agent tells the end of a connector that has written no line; then its container is seen to have ended.
    async fn end(&self, left: &LeftAlone, phase: &str, connector: Value) {
        let record = FinalRecord::default().to_text().unwrap();
        let queue = self.store.queue();
        queue.store_final(left.fence.task, left.fence.attempt, 1, &record).await.unwrap();
        self.fake.status(&left.pod, json!({"phase": phase, "containerStatuses": connector}));
    }

    async fn ended(&self, left: &LeftAlone) -> Task {
        until("it has ended", async || self.task(left).await.status != TaskStatus::Running).await;
        self.task(left).await
    }

    async fn task(&self, left: &LeftAlone) -> Task {
        self.project.task(left.fence.task).await.unwrap()
    }

    async fn epoch(&self, left: &LeftAlone) -> i64 {
        let queue = self.store.queue();
        queue.work_of_attempt(left.fence.task, left.fence.attempt).await.unwrap().fence.epoch
    }

    async fn log(&self, left: &LeftAlone) -> String {
        let page = self
            .project
            .log_page(None, left.fence.task, Some(0), 1_000, Direction::Newer, true)
            .await
            .unwrap();
        page.lines.into_iter().map(|line| line.message + "\n").collect()
    }

    fn deletions(&self) -> usize {
        self.fake.calls().iter().filter(|call| call.starts_with("DELETE pods")).count()
    }
}

async fn until<F: Future<Output = bool>>(what: &str, wanted: impl Fn() -> F) {
    let looked = async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), looked).await.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_one_adopts_a_pod_and_the_other_leaves_it_alone() {
    const PODS: usize = 5;
    let place = Place::new().await;
    let mut all = Vec::new();
    for number in 0..PODS {
        all.push(place.left_alone(&format!("j{number}")).await);
    }
    let workers = [place.worker(), place.worker()];
    let running = || workers.iter().map(|worker| worker.running()).sum::<usize>();
    until("all are adopted", async || running() == PODS).await;
    // Both have looked again since.
    tokio::time::sleep(LOOK * 10).await;
    assert_eq!(running(), PODS);
    for left in &all {
        assert_eq!(place.epoch(left).await, left.fence.epoch + 1, "adopted once");
        assert_eq!(place.fake.pod(&left.pod).unwrap()["metadata"]["uid"], left.uid);
    }
    assert_eq!(place.deletions(), 0, "nobody has ended anything");
    for left in &all {
        place.end(left, "Succeeded", ended_connector(0, "Completed")).await;
        let task = place.ended(left).await;
        assert_eq!((task.status, task.attempt), (TaskStatus::Succeeded, 1), "{:?}", task.failure_message);
        until("its pod is removed", async || place.fake.pod(&left.pod).is_none()).await;
    }
    assert_eq!(place.deletions(), PODS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_namespace_does_not_start_beside_those_that_are_up() {
    let place = Place::new().await;
    let left = place.left_alone("j").await;
    let worker = place.worker();
    until("it is adopted", async || worker.running() == 1).await;
    let refused = place.worker_of("elsewhere").run().await.unwrap_err().to_string();
    assert!(refused.contains("one namespace of the connectors (OLAKE_KUBERNETES_NAMESPACE)"), "{refused}");
    assert_eq!(place.epoch(&left).await, left.fence.epoch + 1, "it has adopted nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_on_a_lost_node_is_ended_by_force_and_its_pod_is_deleted_without_grace() {
    let place = Place::new().await;
    let left = place.left_alone("j").await;
    let _worker = place.worker();
    place.fake.status(
        &left.pod,
        json!({"phase": "Running", "containerStatuses": running_connector(), "conditions": [
        {"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]}),
    );
    let is_lost = async || place.task(&left).await.phase == Some(TaskPhase::NodeUnreachable);
    until("its node is lost", is_lost).await;
    place.project.force_end_task(left.fence.task).await.unwrap();
    let task = place.ended(&left).await;
    assert_eq!((task.status, task.attempt), (TaskStatus::Failed, 1));
    assert_eq!(task.failure_class.as_deref(), Some("infrastructure"), "{:?}", task.failure_message);
    until("its pod is removed", async || place.fake.pod(&left.pod).is_none()).await;
    assert_eq!(place.fake.calls().iter().filter(|call| *call == "DELETE pods 0").count(), 1);
}

const CRASH: &str = "panic: cannot log in with hunter22\n\ngoroutine 1 [running]:\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_words_of_a_crash_stand_in_the_log_without_secrets() {
    let place = Place::new().await;
    let left = place.left_alone("j").await;
    let _worker = place.worker();
    place.end(&left, "Failed", crashed_connector(2, CRASH)).await;
    let task = place.ended(&left).await;
    assert_eq!((task.status, task.failure_class.as_deref()), (TaskStatus::Failed, Some("connector")));
    let words = task.failure_message.unwrap();
    assert!(words.contains("The connector crashed: panic: cannot log in with ********"), "{words}");
    let log = place.log(&left).await;
    assert!(log.contains("panic: cannot log in with ********\n") && log.contains("goroutine 1"), "{log}");
    assert!(!log.contains("hunter22") && !words.contains("hunter22"), "{log}{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_words_of_a_crash_are_left_out_where_its_secrets_are_not_known() {
    for was_changed in [true, false] {
        let place = Place::new().await;
        let left = place.left_alone("j").await;
        match was_changed {
            // The attempt was given another password than the one that can be read now.
            true => place.change_password(&left).await,
            // What it works with cannot be read.
            false => place.store.queue().push_state(left.fence, left.job, 1, "no state").await.unwrap(),
        }
        let _worker = place.worker();
        place.end(&left, "Failed", crashed_connector(2, CRASH)).await;
        let task = place.ended(&left).await;
        let (log, words) = (place.log(&left).await, task.failure_message.unwrap());
        assert!(log.contains("the end of its console is left out"), "{log}");
        assert!(!log.contains("hunter22") && !log.contains("panic"), "{log}");
        assert!(!words.contains("hunter22") && !words.contains("panic"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_a_worker_of_before_has_seen_is_one_for_whoever_adopts() {
    let place = Place::new().await;
    let left = place.left_alone("j").await;
    place.fake.delete(&left.pod, 120);
    place.fake.change(&left.pod, |pod| {
        pod["metadata"]["annotations"] = json!({"olake.io/stopped-for": "timeout"});
    });
    place.end(&left, "Failed", ended_connector(143, "Error")).await;
    let _worker = place.worker();
    let task = place.ended(&left).await;
    assert_eq!((task.status, task.failure_class.as_deref()), (TaskStatus::Failed, Some("timeout")));
    assert_eq!(task.attempt, 1, "it is not tried again as something that others have ended");
}

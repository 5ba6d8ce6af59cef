//! What one node cannot show: the launcher against an API server that says what the test wants.

mod fake;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use olake_shared::{
    clock::SystemClock,
    domain::task::{FailureClass, TaskId, TaskPhase},
    store::{StoreError, tasks::pods::PermitState},
};
use serde_json::{Value, json};

use self::fake::Fake;
use super::{
    KubeLauncher,
    budget::Budget,
    ledger::Ledger,
    names::{Key, name},
    settings::{KubeSettings, tests::settings},
};
use crate::{
    agent::{follow::Ending, record::FinalRecord},
    connector::{command::Request, result::Exit},
    launch::{AttemptRef, Ended, Launch, Launcher, Placement, Running, Seen, Update, known::Known},
};

/// A database of one attempt.
#[derive(Clone)]
struct FakeLedger(Arc<Mutex<(PermitState, Option<FinalRecord>)>>);

impl FakeLedger {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((PermitState::Open, None))))
    }

    fn permit_pod(&self) {
        self.0.lock().unwrap().0 = PermitState::Given;
    }

    fn tell(&self, record: FinalRecord) {
        self.0.lock().unwrap().1 = Some(record);
    }

    fn state(&self) -> PermitState {
        self.0.lock().unwrap().0
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn close(&self, _key: Key) -> Result<bool, StoreError> {
        let mut state = self.0.lock().unwrap();
        if state.0 == PermitState::Open {
            state.0 = PermitState::Closed;
        }
        Ok(state.0 == PermitState::Closed)
    }

    async fn permit(&self, _key: Key) -> Result<PermitState, StoreError> {
        Ok(self.state())
    }

    async fn record(&self, _key: Key) -> Result<Option<Ending>, StoreError> {
        Ok(self.0.lock().unwrap().1.clone().map(FinalRecord::into_ending))
    }

    async fn told(&self, _key: Key, _within: Duration) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    fn token(&self, _key: Key) -> String {
        "agent1.token".to_owned()
    }
}

struct Stage {
    fake: Fake,
    ledger: FakeLedger,
    launcher: KubeLauncher,
    launch: Launch,
    pod: String,
}

impl Stage {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: KubeSettings) -> Self {
        let (fake, ledger) = (Fake::start().await, FakeLedger::new());
        let launch = Launch {
            task: TaskId::now_v7(),
            attempt: 1,
            job: Some(1),
            connector_type: "postgres".to_owned(),
            version: "v0.9.4".to_owned(),
            request: Request::Sync {
                source: "{}".to_owned(),
                destination: "{}".to_owned(),
                catalog: "{}".to_owned(),
                state: None,
            },
            mask: Vec::new(),
            placement: Placement::default(),
            deadline: Duration::from_secs(3_600),
        };
        let budget = Budget::new(1_000, 1_000);
        let clock = SystemClock::shared();
        let launcher = KubeLauncher::new(
            fake.client.clone(),
            "olake",
            settings,
            budget,
            Arc::new(ledger.clone()),
            clock,
        )
        .unwrap();
        let pod = name((launch.task, launch.attempt));
        Self { fake, ledger, launcher, launch, pod }
    }

    async fn launched(&self) -> Running {
        self.launcher.launch(self.launch.clone()).await.unwrap()
    }

    async fn adopted(&self) -> Running {
        let attempt = AttemptRef { task: self.launch.task, attempt: 1, job: Some(1) };
        self.launcher.adopt(attempt, Some(self.launch.clone())).await.unwrap()
    }

    /// Launched, permitted, and running.
    async fn running(&self) -> Running {
        let mut running = self.launched().await;
        self.made().await;
        self.ledger.permit_pod();
        self.fake.status(&self.pod, json!({"phase": "Running", "containerStatuses": running_connector()}));
        until(&mut running, |update| matches!(update, Update::Started { .. })).await;
        running
    }

    async fn made(&self) {
        eventually("the pod is made", || self.fake.pod(&self.pod).is_some()).await;
    }

    fn deletions(&self) -> Vec<String> {
        self.fake.calls().into_iter().filter(|call| call.starts_with("DELETE pods")).collect()
    }
}

async fn eventually(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: never");
}

async fn next(running: &mut Running) -> Update {
    tokio::time::timeout(Duration::from_secs(20), running.updates.recv())
        .await
        .expect("in time")
        .expect("an update")
}

async fn until(running: &mut Running, is_it: impl Fn(&Update) -> bool) -> Update {
    loop {
        let update = next(running).await;
        if is_it(&update) {
            return update;
        }
        assert!(!matches!(update, Update::Ended(_)), "it ended: {update:?}");
    }
}

async fn ended(running: &mut Running) -> Ended {
    loop {
        if let Update::Ended(ended) = next(running).await {
            return ended;
        }
    }
}

fn running_connector() -> Value {
    json!([{"name": "connector", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-11-24T10:00:00Z"}}}])
}

fn ended_connector(code: i32, reason: &str) -> Value {
    json!([{"name": "connector", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason}}}])
}

#[tokio::test]
async fn a_run_is_told_from_its_place_to_its_clean_end() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Running", "containerStatuses": ended_connector(0, "Completed")}),
    );
    stage.ledger.tell(FinalRecord {
        state: Some(r#"{"type":"STREAM"}"#.to_owned()),
        lines: 3,
        ..FinalRecord::default()
    });
    let ended = ended(&mut running).await;
    assert_eq!(ended.seen, Seen::Exit(Exit::Code(0)));
    assert_eq!(ended.rest.progress.first_line, 3);
    assert!(ended.rest.progress.state.is_some() && ended.rest.findings.is_some());
    stage.launcher.discard(stage.launch.task, 1).await.unwrap();
    assert_eq!((stage.fake.pod(&stage.pod), stage.fake.secrets()), (None, Vec::new()));
    stage.launcher.discard(stage.launch.task, 1).await.unwrap();
}

#[tokio::test]
async fn a_pod_that_an_earlier_try_has_made_is_taken_as_made() {
    let stage = Stage::new().await;
    let first = stage.launched().await;
    stage.made().await;
    let uid = stage.fake.pod(&stage.pod).unwrap()["metadata"]["uid"].clone();
    drop(first);
    let mut again = stage.launched().await;
    until(&mut again, |update| matches!(update, Update::Placed(placed) if placed.pod == stage.pod)).await;
    assert_eq!(stage.fake.pod(&stage.pod).unwrap()["metadata"]["uid"], uid);
    assert!(stage.deletions().is_empty(), "who follows no longer deletes nothing");
}

#[tokio::test]
async fn a_pod_of_that_name_which_is_of_something_else_is_left_alone() {
    let stage = Stage::new().await;
    let labels = json!({"app.kubernetes.io/managed-by": "olake-worker", "olake.io/task": TaskId::now_v7().to_string(),
        "olake.io/attempt": "1"});
    stage
        .fake
        .put_pod(json!({"metadata": {"name": stage.pod, "labels": labels}, "spec": {"containers": []}}));
    let mut running = stage.launched().await;
    let Seen::NotStarted(_, why) = ended(&mut running).await.seen else { panic!() };
    assert!(why.contains("not of this attempt"), "{why}");
    assert!(stage.deletions().is_empty());
}

#[tokio::test]
async fn what_admission_refuses_fails_at_once_in_its_words() {
    for (code, message) in [
        (403, "pods \"olake-1\" is forbidden: violates PodSecurity \"restricted:latest\""),
        (
            403,
            "pods is forbidden: User \"worker\" cannot create resource \"pods\" in API group \"\" in the namespace \"olake\"",
        ),
        (404, "namespaces \"olake\" not found"),
        (
            422,
            "Pod \"olake-1\" is invalid: spec.priorityClassName: no PriorityClass with name batch was found",
        ),
    ] {
        let stage = Stage::new().await;
        stage.fake.refuse(code, message);
        let mut running = stage.launched().await;
        let Seen::NotStarted(class, why) = ended(&mut running).await.seen else { panic!("{code}") };
        assert_eq!(class, FailureClass::Unschedulable);
        assert!(why.contains(message), "{why}");
        assert_eq!(stage.ledger.state(), PermitState::Closed, "no pod will start it any more");
    }
}

#[tokio::test]
async fn a_quota_is_waited_for_as_long_as_a_node() {
    let stage = Stage::with(KubeSettings { schedule: Duration::from_millis(600), ..settings() }).await;
    stage.fake.refuse(403, "pods \"olake-1\" is forbidden: exceeded quota: compute, requested: memory=2Gi");
    let mut running = stage.launched().await;
    let waits = |update: &Update| matches!(update, Update::Starting { phase: TaskPhase::Scheduling, why: Some(why) } if why.contains("exceeded quota"));
    until(&mut running, waits).await;
    let Seen::NotStarted(class, _) = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Unschedulable);
}

#[tokio::test]
async fn while_the_api_server_is_away_nothing_fails_and_nothing_is_deleted() {
    let stage = Stage::new().await;
    stage.fake.set_down(true);
    let mut running = stage.launched().await;
    let waits = |update: &Update| matches!(update, Update::Starting { why: Some(why), .. } if why.contains("cannot be used at the moment"));
    until(&mut running, waits).await;
    stage.fake.set_down(false);
    stage.made().await;
    stage.ledger.permit_pod();
    stage.fake.status(&stage.pod, json!({"phase": "Running", "containerStatuses": running_connector()}));
    until(&mut running, |update| matches!(update, Update::Started { .. })).await;
    stage.fake.set_down(true);
    // Ends while nobody can see it.
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Succeeded", "containerStatuses": ended_connector(0, "Completed")}),
    );
    stage.ledger.tell(FinalRecord::default());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(running.updates.try_recv().is_err(), "nothing is told of what is not seen");
    stage.fake.set_down(false);
    assert_eq!(ended(&mut running).await.seen, Seen::Exit(Exit::Code(0)));
    assert!(stage.deletions().is_empty());
}

#[tokio::test]
async fn a_lost_node_is_told_and_ends_nothing_until_it_is_back() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    let conditions = |ready: &str| {
        json!({"phase": "Running", "containerStatuses": running_connector(), "conditions": [
            {"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": "True"}]})
    };
    stage.fake.status(&stage.pod, conditions("False"));
    until(&mut running, |update| matches!(update, Update::Unreachable(_))).await;
    // The control plane gives it up; a deletion is no end.
    stage.fake.change(&stage.pod, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(120);
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(running.updates.try_recv().is_err());
    stage.fake.status(&stage.pod, conditions("True"));
    until(&mut running, |update| matches!(update, Update::Started { .. })).await;
}

#[tokio::test]
async fn evictions_and_disruptions_are_no_failures_of_the_connector() {
    let disrupted = |reason: &str| json!([{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"}]);
    for status in [
        json!({"phase": "Failed", "reason": "Evicted", "message": "disk", "containerStatuses": ended_connector(137, "Error")}),
        json!({"phase": "Failed", "conditions": disrupted("PreemptionByScheduler"), "containerStatuses": ended_connector(143, "Error")}),
        json!({"phase": "Failed", "conditions": disrupted("EvictionByEvictionAPI"), "containerStatuses": ended_connector(143, "Error")}),
    ] {
        let stage = Stage::new().await;
        let mut running = stage.running().await;
        stage.fake.add_event(&stage.pod, "Evicted", "the node had too little of everything");
        stage.fake.status(&stage.pod, status.clone());
        let Seen::Failed { class, why, may_retry, .. } = ended(&mut running).await.seen else {
            panic!("{status}")
        };
        assert_eq!((class, may_retry), (FailureClass::Infrastructure, true), "{why}");
        assert!(why.contains("too little of everything"), "the events are told: {why}");
    }
}

#[tokio::test]
async fn a_cancel_before_the_permit_ends_at_once_whatever_kubernetes_does() {
    let stage = Stage::new().await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.fake.set_down(true);
    running.stop();
    assert!(matches!(ended(&mut running).await.seen, Seen::NotStarted(FailureClass::Infrastructure, _)));
    let stage = Stage::new().await;
    stage.fake.set_down(true);
    let mut running = stage.launched().await;
    running.stop();
    assert!(matches!(ended(&mut running).await.seen, Seen::NotStarted(..)), "before the pod exists, too");
}

#[tokio::test]
async fn a_cancel_of_what_runs_deletes_the_pod_and_waits_for_its_end() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    running.stop();
    eventually("it is deleted", || stage.deletions() == ["DELETE pods 120"]).await;
    running.stop();
    assert!(running.updates.try_recv().is_err(), "a deletion is no end");
    stage.ledger.tell(FinalRecord::default());
    stage
        .fake
        .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": ended_connector(143, "Error")}));
    assert_eq!(ended(&mut running).await.seen, Seen::Exit(Exit::Code(143)));
    assert_eq!(stage.deletions().len(), 1);
}

#[tokio::test]
async fn a_deletion_by_somebody_else_gets_our_grace_and_the_end_is_told_as_such() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.fake.change(&stage.pod, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(3_600);
    });
    eventually("it is deleted again", || stage.deletions() == ["DELETE pods 120"]).await;
    stage
        .fake
        .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": ended_connector(143, "Error")}));
    let Seen::Failed { class, why, .. } = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Infrastructure);
    assert!(why.contains("deleted by somebody else"), "{why}");
}

#[tokio::test]
async fn a_pod_that_finds_no_node_fails_after_its_deadline_with_the_reason() {
    let stage = Stage::with(KubeSettings { schedule: Duration::from_millis(500), ..settings() }).await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory."}]}),
    );
    let told = |update: &Update| matches!(update, Update::Starting { phase: TaskPhase::Scheduling, why: Some(why) } if why.contains("3 Insufficient memory"));
    until(&mut running, told).await;
    let Seen::NotStarted(class, why) = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Unschedulable);
    assert!(why.contains("3 Insufficient memory"), "{why}");
}

#[tokio::test]
async fn an_image_that_never_comes_fails_as_such_although_the_start_was_permitted() {
    let stage = Stage::with(KubeSettings { pull: Duration::from_millis(300), ..settings() }).await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.ledger.permit_pod();
    let waiting = json!([{"name": "connector", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]);
    stage.fake.change(&stage.pod, |pod| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod["status"] = json!({"phase": "Pending", "containerStatuses": waiting});
    });
    until(&mut running, |update| matches!(update, Update::Starting { phase: TaskPhase::Pulling, .. })).await;
    eventually("it is deleted", || stage.deletions() == ["DELETE pods 120"]).await;
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Failed", "containerStatuses": ended_connector(137, "ContainerStatusUnknown")}),
    );
    let Seen::NotStarted(class, why) = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Image);
    assert!(why.contains("Back-off pulling image"), "{why}");
}

#[tokio::test]
async fn a_living_pod_is_adopted_and_one_that_was_never_made_is_made() {
    let stage = Stage::new().await;
    drop(stage.running().await);
    let uid = stage.fake.pod(&stage.pod).unwrap()["metadata"]["uid"].clone();
    let mut adopted = stage.adopted().await;
    until(
        &mut adopted,
        |update| matches!(update, Update::Started { ran_for, .. } if *ran_for > Duration::ZERO),
    )
    .await;
    assert_eq!(stage.fake.pod(&stage.pod).unwrap()["metadata"]["uid"], uid);
    let stage = Stage::new().await;
    let mut adopted = stage.adopted().await;
    until(&mut adopted, |update| matches!(update, Update::Placed(_))).await;
    assert!(stage.fake.pod(&stage.pod).is_some());
}

#[tokio::test]
async fn a_pod_that_is_gone_after_its_permit_is_over_and_never_made_again() {
    let stage = Stage::new().await;
    stage.ledger.permit_pod();
    let mut adopted = stage.adopted().await;
    let Seen::Failed { class, .. } = ended(&mut adopted).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Infrastructure);
    assert!(stage.fake.calls().is_empty());
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.fake.lose(&stage.pod);
    let Seen::Failed { class, why, .. } = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Infrastructure, "{why}");
}

#[tokio::test]
async fn labels_that_were_changed_by_hand_are_put_back() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.fake.change(&stage.pod, |pod| pod["metadata"]["labels"] = json!({"mine": "now"}));
    eventually("they are back", || {
        stage.fake.pod(&stage.pod).unwrap()["metadata"]["labels"]["app.kubernetes.io/managed-by"]
            == "olake-worker"
    })
    .await;
    stage.ledger.tell(FinalRecord::default());
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Succeeded", "containerStatuses": ended_connector(0, "Completed")}),
    );
    assert_eq!(ended(&mut running).await.seen, Seen::Exit(Exit::Code(0)));
}

#[tokio::test]
async fn without_a_record_an_exit_code_0_is_no_success() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.fake.set_agent_log("the agent ended badly");
    stage.fake.status(
        &stage.pod,
        json!({"phase": "Succeeded", "containerStatuses": ended_connector(0, "Completed")}),
    );
    let Seen::Failed { class, exit_code, .. } = ended(&mut running).await.seen else { panic!() };
    assert_eq!((class, exit_code), (FailureClass::Infrastructure, Some(0)));
}

#[tokio::test]
async fn what_is_left_over_is_swept_by_name_and_by_label_and_what_runs_is_not() {
    let stage = Stage::new().await;
    let _running = stage.running().await;
    let gone = (TaskId::now_v7(), 1);
    let by_name = json!({"metadata": {"name": name(gone)}, "spec": {"containers": []}});
    let by_label = json!({"metadata": {"name": "renamed", "labels": super::names::labels(gone)}, "spec": {"containers": []}});
    let foreign = json!({"metadata": {"name": "somebodys"}, "spec": {"containers": []}});
    for pod in [by_name, by_label, foreign] {
        stage.fake.put_pod(pod);
    }
    let found = stage.launcher.found().await.unwrap();
    assert_eq!(found.len(), 4, "pod and Secret of what runs, and two that are left: {found:?}");
    let removed = stage.launcher.sweep(found, &[(stage.launch.task, 1)]).await.unwrap();
    assert_eq!(removed, 2);
    assert!(stage.fake.pod(&name(gone)).is_none() && stage.fake.pod("renamed").is_none());
    assert!(stage.fake.pod("somebodys").is_some() && stage.fake.pod(&stage.pod).is_some());
    assert_eq!(stage.fake.secrets(), std::slice::from_ref(&stage.pod));
}

#[tokio::test]
async fn recovering_an_attempt_ends_what_runs_of_it() {
    let stage = Stage::new().await;
    drop(stage.running().await);
    let attempt = AttemptRef { task: stage.launch.task, attempt: 1, job: Some(1) };
    stage.ledger.tell(FinalRecord { lines: 9, ..FinalRecord::default() });
    let end = async {
        eventually("it is deleted", || !stage.deletions().is_empty()).await;
        stage.fake.status(
            &stage.pod,
            json!({"phase": "Failed", "containerStatuses": ended_connector(143, "Error")}),
        );
    };
    let (left, ()) = tokio::join!(stage.launcher.recover(attempt, Known::nothing()), end);
    assert_eq!(left.unwrap().unwrap().progress.first_line, 9);
}

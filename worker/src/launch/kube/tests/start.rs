//! Making a pod, and waiting for its start.

use std::time::Duration;

use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskPhase},
    store::tasks::pods::PermitState,
};
use serde_json::json;

use super::{
    super::settings::{KubeSettings, tests::settings},
    Stage, ended, ended_connector, eventually, running_agent, running_connector, until,
};
use crate::launch::{Seen, Update};

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
async fn what_admission_refuses_fails_in_its_words() {
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
async fn what_is_forbidden_for_a_moment_is_asked_for_again() {
    let stage = Stage::with(KubeSettings { forbidden: Duration::from_secs(60), ..settings() }).await;
    let starting = "pods \"olake-1\" is forbidden: not yet ready to handle request";
    stage.fake.refuse(403, starting);
    let mut running = stage.launched().await;
    let waits = |update: &Update| matches!(update, Update::Starting { phase: TaskPhase::Scheduling, why: Some(why) } if why.contains(starting));
    until(&mut running, waits).await;
    stage.fake.allow();
    stage.made().await;
}

#[tokio::test]
async fn a_conflict_at_the_making_of_a_secret_is_not_taken_for_one_that_is_there() {
    let stage = Stage::new().await;
    stage.fake.refuse_secret(
        409,
        "Operation cannot be fulfilled on resourcequotas \"small\": the object has been modified",
    );
    let _running = stage.launched().await;
    stage.made().await;
    assert_eq!(stage.fake.secrets(), std::slice::from_ref(&stage.pod));
}

#[tokio::test]
async fn a_volume_that_cannot_be_mounted_is_no_image() {
    let stage = Stage::with(KubeSettings { pull: Duration::from_millis(300), ..settings() }).await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.fake.add_event(
        &stage.pod,
        "FailedMount",
        "MountVolume.SetUp failed for volume \"trust\": secret \"ca\" not found",
    );
    let creating = json!([{"name": "connector", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "PodInitializing"}}}]);
    stage.fake.change(&stage.pod, |pod| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod["status"] = json!({"phase": "Pending", "containerStatuses": creating});
    });
    let Seen::NotStarted(class, why) = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Infrastructure);
    assert!(why.contains("did not start") && why.contains("secret \"ca\" not found"), "{why}");
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
async fn a_pod_that_has_started_unseen_is_not_ended_for_its_waiting() {
    let stage = Stage::with(KubeSettings { schedule: Duration::from_millis(600), ..settings() }).await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.fake.set_behind(true);
    stage.ledger.permit_pod();
    stage.fake.status(&stage.pod, json!({"phase": "Running", "containerStatuses": running_connector()}));
    until(&mut running, |update| matches!(update, Update::Started { .. })).await;
    assert!(stage.deletions().is_empty());
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
async fn inputs_that_cannot_be_read_end_the_attempt_at_once_with_words_that_say_what_to_do() {
    const WORDS: &str = "the source's config cannot be opened. Type the secret in again.";
    let message = format!("olake agent: no permit yet: the database is away\nolake agent: {WORDS}\n");
    let end = json!({"terminated": {"exitCode": 78, "reason": "Error", "message": message}});
    let again = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
    for (state, last) in [(end.clone(), json!({})), (again, end.clone())] {
        let stage = Stage::new().await;
        let mut running = stage.launched().await;
        stage.made().await;
        let agent = json!([{"name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last}]);
        stage.fake.change(&stage.pod, |pod| {
            pod["spec"]["nodeName"] = json!("node-1");
            pod["status"] = json!({"phase": "Pending", "initContainerStatuses": agent});
        });
        let Seen::NotStarted(class, why) = ended(&mut running).await.seen else { panic!() };
        assert_eq!(class, FailureClass::Connector);
        assert_eq!(why, format!("what the connector is to be given cannot be read: {WORDS}"));
        assert_eq!(stage.ledger.state(), PermitState::Closed, "no later start of its agent begins anything");
    }
}

#[tokio::test]
async fn an_agent_that_runs_again_is_waited_for_whatever_it_ended_for_before() {
    let stage = Stage::new().await;
    let mut running = stage.launched().await;
    stage.made().await;
    let mut agent = running_agent(false);
    agent[0]["lastState"] =
        json!({"terminated": {"exitCode": 78, "reason": "Error", "message": "olake agent: no"}});
    stage.fake.change(&stage.pod, |pod| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod["status"] = json!({"phase": "Pending", "initContainerStatuses": agent});
    });
    until(&mut running, |update| matches!(update, Update::Starting { phase: TaskPhase::Starting, .. })).await;
    assert_eq!(stage.ledger.state(), PermitState::Open);
}

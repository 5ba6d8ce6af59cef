//! Nodes that are lost, wherever the start of a pod stands.

use std::time::Duration;

use olake_shared::{
    domain::task::{FailureClass, TaskPhase},
    store::tasks::pods::PermitState,
};
use serde_json::{Value, json};

use super::{
    super::settings::{KubeSettings, tests::settings},
    Stage, ended, ended_connector, eventually, running_agent, running_connector, until,
};
use crate::{
    agent::record::FinalRecord,
    connector::result::Exit,
    launch::{Running, Seen, Update},
};

/// Longer than a deletion may be late.
const LONG_AGO: i64 = -60;

fn waiting_connector(reason: &str) -> Value {
    json!([{"name": "connector", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason}}}])
}

/// On a node, and waiting there.
fn on_a_node(stage: &Stage, status: Value) {
    stage.fake.change(&stage.pod, |pod| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod["status"] = status;
    });
}

async fn is_lost(running: &mut Running) -> String {
    match until(running, |update| matches!(update, Update::Unreachable(_))).await {
        Update::Unreachable(why) => why,
        other => panic!("{other:?}"),
    }
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
    stage.fake.delete(&stage.pod, 120);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(running.updates.try_recv().is_err());
    stage.fake.status(&stage.pod, conditions("True"));
    until(&mut running, |update| matches!(update, Update::Started { .. })).await;
}

#[tokio::test]
async fn a_node_that_is_lost_while_an_image_is_pulled_or_a_start_waits_is_told() {
    let pulling = json!({"phase": "Pending", "containerStatuses": waiting_connector("PodInitializing"),
        "initContainerStatuses": running_agent(true)});
    let backing_off = json!({"phase": "Pending", "containerStatuses": waiting_connector("ImagePullBackOff"),
        "initContainerStatuses": running_agent(true)});
    let starting = json!({"phase": "Pending", "containerStatuses": waiting_connector("PodInitializing"),
        "initContainerStatuses": running_agent(false)});
    for status in [pulling, backing_off, starting] {
        let stage = Stage::new().await;
        let mut running = stage.launched().await;
        stage.made().await;
        // Its agent has the permit: the connector may have been started, unseen.
        stage.ledger.permit_pod();
        on_a_node(&stage, status.clone());
        until(&mut running, |update| matches!(update, Update::Starting { .. })).await;
        // The control plane gives the node up, and nothing on it answers.
        stage.fake.delete(&stage.pod, LONG_AGO);
        let why = is_lost(&mut running).await;
        assert!(why.contains("node-1 is not heard of"), "{why}");
        // It is back, and has ended what it was told to end.
        on_a_node(
            &stage,
            json!({"phase": "Failed", "containerStatuses": ended_connector(137, "ContainerStatusUnknown")}),
        );
        let Seen::Failed { class, .. } = ended(&mut running).await.seen else { panic!("{status}") };
        assert_eq!(class, FailureClass::Infrastructure);
    }
}

#[tokio::test]
async fn a_node_that_is_lost_is_told_after_our_own_deletion_too() {
    let stage = Stage::with(KubeSettings { pull: Duration::from_millis(200), ..settings() }).await;
    let mut running = stage.launched().await;
    stage.made().await;
    stage.ledger.permit_pod();
    on_a_node(
        &stage,
        json!({"phase": "Pending", "containerStatuses": waiting_connector("ImagePullBackOff")}),
    );
    eventually("it is given up", || stage.deletions() == ["DELETE pods 120"]).await;
    stage.fake.delete(&stage.pod, LONG_AGO);
    is_lost(&mut running).await;
    assert_eq!(stage.deletions().len(), 1);
}

#[tokio::test]
async fn what_no_pod_was_permitted_to_start_ends_with_the_loss_of_its_node() {
    let stage = Stage::new().await;
    let mut running = stage.launched().await;
    stage.made().await;
    on_a_node(&stage, json!({"phase": "Pending", "initContainerStatuses": running_agent(false)}));
    until(&mut running, |update| matches!(update, Update::Starting { phase: TaskPhase::Starting, .. })).await;
    stage.fake.delete(&stage.pod, LONG_AGO);
    let Seen::NotStarted(class, _) = ended(&mut running).await.seen else { panic!() };
    assert_eq!((class, stage.ledger.state()), (FailureClass::Infrastructure, PermitState::Closed));
}

#[tokio::test]
async fn an_answer_that_is_older_than_what_the_watch_tells_counts_for_nothing() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    on_a_node(&stage, json!({"phase": "Running", "containerStatuses": running_connector()}));
    until(&mut running, |update| matches!(update, Update::Placed(placed) if placed.node.is_some())).await;
    stage.fake.set_holds_reads(true);
    stage.fake.delete(&stage.pod, LONG_AGO);
    eventually("it is asked for by its name", || stage.fake.reads_held() > 0).await;
    stage.ledger.tell(FinalRecord::default());
    on_a_node(&stage, json!({"phase": "Running", "containerStatuses": ended_connector(0, "Completed")}));
    let key = (stage.launch.task, stage.launch.attempt);
    assert!(stage.launcher.inner.pods.has_ended(key, Duration::from_secs(20)).await);
    stage.fake.set_holds_reads(false);
    assert_eq!(ended(&mut running).await.seen, Seen::Exit(Exit::Code(0)));
}

#[tokio::test]
async fn a_deletion_that_looks_late_while_the_api_server_is_away_says_nothing_of_the_node() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    on_a_node(&stage, json!({"phase": "Running", "containerStatuses": running_connector()}));
    until(&mut running, |update| matches!(update, Update::Placed(placed) if placed.node.is_some())).await;
    stage.fake.set_refuses_reads(true);
    stage.fake.delete(&stage.pod, LONG_AGO);
    eventually("it is asked for by its name", || stage.fake.reads_refused() > 1).await;
    assert!(running.updates.try_recv().is_err(), "the watch may be behind");
    stage.fake.set_refuses_reads(false);
    is_lost(&mut running).await;
}

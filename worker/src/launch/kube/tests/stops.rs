//! Stops: ours, and those of others.

use olake_shared::domain::task::FailureClass;
use serde_json::json;

use super::{Stage, ended, ended_connector, eventually, until};
use crate::{
    agent::record::FinalRecord,
    connector::result::Exit,
    launch::{Seen, Update},
};

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
    stage.fake.delete(&stage.pod, 3_600);
    eventually("it is deleted again", || stage.deletions() == ["DELETE pods 120"]).await;
    stage
        .fake
        .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": ended_connector(143, "Error")}));
    let Seen::Failed { class, why, .. } = ended(&mut running).await.seen else { panic!() };
    assert_eq!(class, FailureClass::Infrastructure);
    assert!(why.contains("deleted by somebody else"), "{why}");
}

#[tokio::test]
async fn a_deletion_is_of_the_pod_that_was_seen_and_not_of_another_one_of_its_name() {
    let stage = Stage::new().await;
    let running = stage.running().await;
    stage.fake.replace_before_next_call();
    running.stop();
    eventually("it is tried", || stage.deletions() == ["DELETE pods 120"]).await;
    let pod = stage.fake.pod(&stage.pod).unwrap();
    assert!(pod["metadata"].get("deletionTimestamp").is_none(), "the new one is left alone: {pod}");
    // Once it is seen, it is the one that is to end.
    stage.fake.change(&stage.pod, |pod| pod["metadata"]["annotations"] = json!({"seen": "now"}));
    eventually("it is deleted", || {
        stage.fake.pod(&stage.pod).unwrap()["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
}

#[tokio::test]
async fn what_an_owner_of_before_has_stopped_a_pod_for_is_known_to_whoever_adopts_it() {
    for (class, ends_first) in
        [(FailureClass::Timeout, true), (FailureClass::Cancelled, true), (FailureClass::Timeout, false)]
    {
        let stage = Stage::new().await;
        let before = stage.running().await;
        before.stop_for(class);
        eventually("it is deleted", || stage.deletions() == ["DELETE pods 120"]).await;
        drop(before);
        stage.ledger.take_over();
        stage.ledger.tell(FinalRecord::default());
        let end = json!({"phase": "Failed", "containerStatuses": ended_connector(143, "Error")});
        let mut adopted = match ends_first {
            true => {
                stage.fake.status(&stage.pod, end);
                stage.adopted().await
            }
            false => {
                let mut adopted = stage.adopted().await;
                until(&mut adopted, |update| matches!(update, Update::Started { .. })).await;
                stage.fake.status(&stage.pod, end);
                adopted
            }
        };
        let ended = ended(&mut adopted).await;
        assert_eq!((ended.seen, ended.stopped_for), (Seen::Exit(Exit::Code(143)), Some(class)));
    }
}

#[tokio::test]
async fn a_pod_that_nobody_of_ours_has_stopped_says_of_no_stop() {
    let stage = Stage::new().await;
    drop(stage.running().await);
    // It was about to be stopped, and its worker died before that.
    let noted = json!({"olake.io/stopped-for": "timeout"});
    stage.fake.change(&stage.pod, |pod| pod["metadata"]["annotations"] = noted);
    let mut adopted = stage.adopted().await;
    stage.ledger.tell(FinalRecord::default());
    let end = json!({"phase": "Failed", "containerStatuses": ended_connector(1, "Error")});
    stage.fake.status(&stage.pod, end);
    let ended = ended(&mut adopted).await;
    assert_eq!((ended.seen, ended.stopped_for), (Seen::Exit(Exit::Code(1)), None));
}

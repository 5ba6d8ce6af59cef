//! Pods of other workers, and what nobody owns.

use std::time::Duration;

use olake_shared::domain::task::TaskId;
use serde_json::json;

use super::{
    super::names::{self, name},
    Stage, ended, ended_connector, eventually, until,
};
use crate::{
    agent::record::FinalRecord,
    connector::result::Exit,
    launch::{Launcher, Seen, Update, known::Known},
};

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
async fn what_is_left_over_is_swept_by_name_and_by_label_and_what_runs_is_not() {
    let stage = Stage::new().await;
    let _running = stage.running().await;
    let gone = (TaskId::now_v7(), 1);
    let by_name = json!({"metadata": {"name": name(gone)}, "spec": {"containers": []}});
    let by_label =
        json!({"metadata": {"name": "renamed", "labels": names::labels(gone)}, "spec": {"containers": []}});
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
    let attempt = stage.attempt();
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

#[tokio::test]
async fn an_owner_of_before_ends_nothing_of_what_another_one_has_adopted() {
    for is_permitted in [false, true] {
        let stage = Stage::new().await;
        let mut before = match is_permitted {
            true => stage.running().await,
            false => stage.launched().await,
        };
        stage.made().await;
        let state = stage.ledger.state();
        stage.ledger.take_over();
        before.stop();
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            while let Some(update) = before.updates.recv().await {
                assert!(!matches!(update, Update::Ended(_)), "an end that is not its own: {update:?}");
            }
        });
        told.await.expect("it gives up");
        assert_eq!(stage.ledger.state(), state, "it closes nothing");
        assert!(stage.deletions().is_empty(), "it deletes nothing");
    }
}

#[tokio::test]
async fn what_was_made_anew_since_it_was_found_is_not_swept() {
    let stage = Stage::new().await;
    let gone = (TaskId::now_v7(), 1);
    let by_label =
        json!({"metadata": {"name": "reused", "labels": names::labels(gone)}, "spec": {"containers": []}});
    stage.fake.put_pod(by_label.clone());
    stage.fake.put_secret(json!({"metadata": {"name": "reused", "labels": names::labels(gone)}}));
    let found = stage.launcher.found().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    // Somebody else's by now.
    stage.fake.put_pod(json!({"metadata": {"name": "reused"}, "spec": {"containers": []}}));
    stage.fake.put_secret(json!({"metadata": {"name": "reused"}}));
    stage.launcher.sweep(found, &[]).await.unwrap();
    let pod = stage.fake.pod("reused").unwrap();
    assert!(pod["metadata"].get("deletionTimestamp").is_none(), "{pod}");
    assert_eq!(stage.fake.secrets(), ["reused"]);
}

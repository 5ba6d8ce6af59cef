//! What becomes of a connector that runs.

use std::time::Duration;

use olake_shared::domain::task::FailureClass;
use serde_json::json;

use super::{
    Stage, crashed_connector, ended, ended_connector, eventually, running_connector, settings, until,
};
use crate::{
    agent::record::FinalRecord,
    connector::result::Exit,
    launch::{Launcher, Seen, Update, kube::settings::KubeSettings},
};

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
async fn a_node_that_answers_to_nobody_does_not_hold_up_the_end_of_what_is_told_to_stop() {
    let stage = Stage::with(KubeSettings { stop_grace: Duration::from_secs(1), ..settings() }).await;
    let mut running = stage.running().await;
    stage.fake.lose_agent_log();
    stage
        .fake
        .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": ended_connector(1, "Error")}));
    eventually("its log is asked for", || stage.fake.reads_refused() > 1).await;
    running.stop();
    assert!(ended(&mut running).await.rest.findings.is_none());
}

const CRASH: &str = "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\n";

#[tokio::test]
async fn the_words_of_a_crash_without_a_log_are_told_with_the_end() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.ledger.tell(FinalRecord::default());
    stage
        .fake
        .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": crashed_connector(2, CRASH)}));
    let ended = ended(&mut running).await;
    assert_eq!(ended.seen, Seen::Exit(Exit::Code(2)));
    let tail = ended.rest.console_tail;
    assert_eq!(
        tail.first().map(String::as_str),
        Some("panic: runtime error: index out of range"),
        "{tail:?}"
    );
    assert_eq!(tail.last().map(String::as_str), Some("goroutine 1 [running]:"), "{tail:?}");
}

#[tokio::test]
async fn when_its_agent_is_lost_the_words_of_a_crash_are_told_unless_lines_of_it_are_stored() {
    for stored in [0, 7] {
        let stage = Stage::new().await;
        let mut running = stage.running().await;
        stage.ledger.store_lines(stored);
        stage
            .fake
            .status(&stage.pod, json!({"phase": "Failed", "containerStatuses": crashed_connector(2, CRASH)}));
        let ended = ended(&mut running).await;
        assert_eq!(ended.rest.console_tail.is_empty(), stored > 0);
    }
}

#[tokio::test]
async fn what_kubernetes_says_of_a_program_that_did_not_start_is_no_word_of_the_connector() {
    let stage = Stage::new().await;
    let mut running = stage.running().await;
    stage.ledger.tell(FinalRecord::default());
    let mut status = crashed_connector(128, "failed to create containerd task: exec: no such file");
    status[0]["state"]["terminated"]["reason"] = json!("StartError");
    stage.fake.status(&stage.pod, json!({"phase": "Failed", "containerStatuses": status}));
    let ended = ended(&mut running).await;
    assert!(ended.rest.console_tail.is_empty());
    let Seen::Failed { why, .. } = ended.seen else { panic!() };
    assert!(why.contains("no such file"), "{why}");
}

//! How attempts go and end while a worker is there.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use olake_shared::{config::TlsFiles, events::What};
use olake_worker::connector::result::{Findings, Totals};

use super::{
    samples,
    stage::{Stage, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_is_permitted_followed_and_told_to_its_end() {
    let stage = Stage::new().await;
    let mut events = stage.events.subscribe();
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    // The catalog came from the worker, the config from the Secret; nothing else is there, and all of it is its owner's.
    let mut inputs: Vec<_> = fs::read_dir(pod.inputs())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode())
        })
        .collect();
    inputs.sort();
    let mode = |name: &str| (name.to_owned(), 0o100_400);
    assert_eq!(inputs, [mode("source.json"), mode("streams.json")]);
    let catalog = fs::read_to_string(pod.inputs().join("streams.json")).unwrap();
    assert_eq!(catalog, r#"{"streams":[],"selected_streams":{}}"#);

    let mut connector = pod.connector();
    connector.state(r#"{"at":1}"#);
    until("the state is stored", async || stage.state().await.as_deref() == Some(r#"{"at":1}"#)).await;
    connector.log(10);
    connector.file("stats.json", r#"{"Synced Records": 7, "Bytes Read": 9}"#);
    until("the lines are stored", async || stage.lines().await == 10).await;
    until("the statistics are stored", async || {
        stage.project.task(stage.fence.task).await.unwrap().records_read == Some(7)
    })
    .await;
    connector.say("info", "login with hunter22");
    connector.say("info", "Total records read: 8 | Total bytes read: 10");
    connector.state(r#"{"at":2}"#);
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":2}"#));
    let log = stage.log().await;
    assert_eq!((log.len(), log[10].message.as_str()), (12, "login with ********"));
    let record = stage.record().await.unwrap();
    assert_eq!((record.state.as_deref(), record.lines, record.gaps.len()), (Some(r#"{"at":2}"#), 12, 0));
    let findings = Findings::from(record.findings);
    assert_eq!(findings.totals(), Some(Totals { records: 8, bytes: Some(10) }));
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        assert_eq!((event.task, event.job), (stage.fence.task, Some(stage.job)));
        told.push(event.what);
    }
    assert_eq!(told.last(), Some(&What::Recorded));
    assert!(told.contains(&What::Progress));
    assert_eq!(pod.stdout(), "", "nothing is left to print");
    assert!(!pod.stderr().contains("hunter22"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_to_end_is_no_end_while_the_connector_writes() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    let mut connector = pod.connector();
    agent.terminate();
    for at in 0..20 {
        connector.state(&format!(r#"{{"at":{at}}}"#));
        connector.log(1);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":19}"#));
    stage.assert_log_is(20).await;
    assert_eq!(stage.record().await.unwrap().lines, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_killed_goes_on_where_it_was() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    let mut agent = pod.start_open().await;
    let mut connector = pod.connector();
    for round in 1..=3 {
        connector.log(3_000);
        connector.state(&format!(r#"{{"round":{round}}}"#));
        until("some of it is stored", async || stage.lines().await >= 3_000 * round - 2_000).await;
        agent.kill();
        connector.log(500);
        connector.state(&format!(r#"{{"round":{round},"more":true}}"#));
        agent = pod.start();
        connector.log(500);
    }
    connector.say("fatal", &format!("line {} went wrong", connector.lines));
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    stage.assert_log_is(12_001).await;
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"round":3,"more":true}"#));
    let record = stage.record().await.unwrap();
    assert_eq!(record.lines, 12_001);
    assert_eq!(record.findings.fatal.as_deref(), Some("line 12000 went wrong"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_over_ends_its_agent() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    use olake_shared::store::tasks::end::{Final, Outcome};
    let ended = stage.store.queue().end(stage.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    stage.events.publish(olake_shared::events::Event {
        task: ended.task,
        project: ended.project,
        job: ended.job,
        what: What::Status(ended.status),
    });
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    assert!(stage.record().await.is_none());
}

fn tls(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pod_agent/tls").join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_over_tls_that_the_agent_trusts() {
    let files = TlsFiles { cert: tls("server.pem"), key: tls("server-key.pem") };
    let stage = Stage::with(samples::job("j"), Some(files)).await;
    let pod = stage.pod("a");
    assert!(pod.url.starts_with("https://"));
    let agent = pod.start_open().await;
    pod.connector().log(5);
    pod.connector().state(r#"{"at":1}"#);
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    stage.assert_log_is(5).await;
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":1}"#));
}

//! No worker is there for a while, or for good.

use olake_shared::store::logs::LogLine;
use olake_worker::agent::sidecar::frames;

use super::stage::{Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_no_worker_is_there() {
    let mut stage = Stage::new().await;
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    let mut connector = pod.connector();
    connector.log(100);
    until("the first lines are stored", async || stage.lines().await == 100).await;
    stage.stop_serving().await;
    // More than is held in memory.
    connector.log_with(20_000, &"x".repeat(100));
    for at in 0..50 {
        connector.state(&format!(r#"{{"at":{at}}}"#));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(stage.lines().await, 100);
    stage.connector_ended();
    stage.serve().await;
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    stage.assert_log_is(20_100).await;
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":49}"#));
    assert_eq!(stage.record().await.unwrap().lines, 20_100);
    assert!(pod.stderr().contains("it will be told again"), "{}", pod.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_waits_for_a_worker_before_it_opens_its_gate() {
    let mut stage = Stage::new().await;
    stage.stop_serving().await;
    let pod = stage.pod("a");
    let agent = pod.start();
    until("it has asked", async || pod.stderr().contains("no permit yet")).await;
    assert!(!pod.is_open());
    stage.serve().await;
    until("the gate opens", async || pod.is_open()).await;
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
}

fn assert_lines(lines: &[LogLine], first: usize) {
    for (number, line) in (first..).zip(lines) {
        assert!(line.message.starts_with(&format!("line {number} ")), "line {number}: {}", line.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_worker_takes_is_printed_with_the_state_and_the_log() {
    let mut stage = Stage::new().await;
    let mut pod = stage.pod("a");
    pod.grace = 8;
    let agent = pod.start_open().await;
    let mut connector = pod.connector();
    connector.log(100);
    until("the first lines are stored", async || stage.lines().await == 100).await;
    stage.stop_serving().await;
    connector.log(200);
    connector.state("{\"at\": 12345678901234567890}\n");
    connector.file("streams.json", r#"{"streams":[]}"#);
    connector.say("fatal", "line 300 has hunter22");
    agent.terminate();
    assert_eq!(agent.code().await, 1);
    let frames = frames::parse(&pod.stdout()).unwrap();
    assert_eq!((frames.first_line, frames.lines.len(), frames.gaps.len()), (100, 201, 0));
    assert_lines(&frames.lines, 100);
    let record = frames.record.unwrap();
    assert_eq!(record.state.as_deref(), Some("{\"at\": 12345678901234567890}\n"));
    assert_eq!(record.streams.as_deref(), Some(r#"{"streams":[]}"#));
    assert_eq!(record.findings.fatal.as_deref(), Some("line 300 has ********"));
    assert_eq!(record.lines, 301);
    assert!(!pod.stdout().contains("hunter22"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_started_again_without_a_worker_prints_everything() {
    let mut stage = Stage::new().await;
    let mut pod = stage.pod("a");
    pod.grace = 8;
    let agent = pod.start_open().await;
    let mut connector = pod.connector();
    stage.stop_serving().await;
    // More than is held in memory, so that it is read once more for printing.
    connector.log_with(10_000, &"x".repeat(100));
    connector.state(r#"{"at":1}"#);
    agent.kill();
    let agent = pod.start();
    until("it has asked", async || pod.stderr().contains("it will be told again")).await;
    connector.say("info", "Total records read: 5");
    agent.terminate();
    assert_eq!(agent.code().await, 1);
    let frames = frames::parse(&pod.stdout()).unwrap();
    assert_eq!((frames.first_line, frames.lines.len(), frames.gaps.len()), (0, 10_001, 0));
    assert_lines(&frames.lines[..10_000], 0);
    let record = frames.record.unwrap();
    assert_eq!((record.state.as_deref(), record.lines), (Some(r#"{"at":1}"#), 10_001));
    assert_eq!(record.findings.totals.unwrap().records, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_its_database_asks_to_come_again() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    stage.store.connection().clone().close().await.unwrap();
    let body = format!(r#"{{"pod_uid":"{}","pod_name":"p","started":true}}"#, pod.uid);
    let token = stage.token();
    let (status, answer) = stage.call("POST", &stage.path("register"), Some(&token), body.as_bytes()).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("the database is away"), "{answer}");
}

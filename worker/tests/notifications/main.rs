//! Notifications, from the end of a task to a receiver.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod receiver;
mod stage;

use std::{collections::HashSet, time::Duration};

use olake_shared::{
    config::Secret,
    crypto::signature::sign,
    domain::webhook::{DeliveryStatus, NotificationFormat},
};
use receiver::{Received, Receiver, Reply};
use serde_json::json;
use stage::{Stage, policy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_delivered_once_although_the_receiver_fails_at_first() {
    let receiver = Receiver::start(|n| Reply::Code(if n < 6 { 500 } else { 204 })).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    for _ in 0..3 {
        stage.start_worker(policy());
    }
    for _ in 0..5 {
        stage.failed("nightly", "table is locked").await;
    }
    let records = stage.until(|records| records.iter().all(|r| r.status == DeliveryStatus::Delivered)).await;
    assert_eq!(records.len(), 5);
    let received = receiver.received();
    let accepted: Vec<_> =
        received.iter().filter(|request| request.answer == Reply::Code(204)).map(Received::id).collect();
    let distinct: HashSet<_> = accepted.iter().collect();
    assert_eq!((accepted.len(), distinct.len(), received.len()), (5, 5, 11));
    assert_eq!(records.iter().map(|record| record.attempts).sum::<i32>(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_tells_what_happened_and_is_signed() {
    let receiver = Receiver::start(|_| Reply::Code(200)).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url().replace("http://", "http://bot:p%40ss@")).await;
    stage.start_worker(olake_worker::webhook::Policy {
        public_url: Some("https://olake.example.org".into()),
        ..policy()
    });
    let (job, task) = stage.failed("nightly", "table <b> is locked").await;
    stage.until(|records| records.iter().any(|record| record.status == DeliveryStatus::Delivered)).await;
    let request = receiver.received().remove(0);
    assert_eq!(request.line, "POST /hook?room=5 HTTP/1.1");
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("host"), receiver.address.to_string());
    assert_eq!((header("content-type"), header("x-olake-event")), ("application/json", "failure"));
    assert_eq!(header("authorization"), "Basic Ym90OnBAc3M=");
    let timestamp: i64 = header("x-olake-timestamp").parse().unwrap();
    let expected = sign(&Secret::new("hunter33"), timestamp, &request.body);
    assert_eq!(header("x-olake-signature"), format!("sha256={expected}"));
    let told = request.json();
    assert_eq!(told["event"], "failure");
    assert_eq!(told["project"], "olake");
    assert_eq!(told["job"], json!({"id": job, "name": "nightly"}));
    assert_eq!(told["task"]["id"], json!(task));
    assert_eq!((&told["task"]["kind"], &told["task"]["status"]), (&json!("sync"), &json!("failed")));
    assert_eq!(told["task"]["failure_class"], "connector");
    assert_eq!(told["task"]["failure_message"], "table <b> is locked");
    assert!(told["task"]["started_at"].is_string() && told["task"]["ended_at"].is_string());
    assert_eq!(told["url"], format!("https://olake.example.org/api/v1/project/olake/tasks/{task}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_tools_get_one_text() {
    let receiver = Receiver::start(|_| Reply::Code(200)).await;
    let stage = Stage::new().await;
    stage.set_webhook_in(&receiver.url(), NotificationFormat::Text).await;
    stage.start_worker(policy());
    stage.failed("nightly", "table <b> is locked").await;
    stage.until(|records| records.iter().all(|record| record.status == DeliveryStatus::Delivered)).await;
    stage.succeeded("nightly").await;
    stage.until(|records| records.len() == 2 && records[0].status == DeliveryStatus::Delivered).await;
    let texts: Vec<_> = receiver.received().iter().map(Received::json).collect();
    assert_eq!(
        texts,
        [
            json!({"text": "OLake: the sync of job 'nightly' (project olake) failed: table &lt;b&gt; is locked"}),
            json!({"text": "OLake: the sync of job 'nightly' (project olake) works again: 42 records were read."}),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_and_its_network_are_not_called() {
    let receiver = Receiver::start(|_| Reply::Code(200)).await;
    let stage = Stage::new().await;
    stage.start_worker(olake_worker::webhook::Policy { allow_private: false, ..policy() });
    let port = receiver.address.port();
    for (n, host) in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"].into_iter().enumerate() {
        stage.set_webhook(&format!("http://{host}:{port}/")).await;
        stage.failed("nightly", "no").await;
        let records = stage
            .until(|records| records.len() == n + 1 && records[0].status == DeliveryStatus::Failed)
            .await;
        assert_eq!((records[0].attempts, records[0].last_code), (1, None), "{host}");
        let message = records[0].last_message.as_deref().unwrap();
        assert!(message.contains("refused here"), "{host}: {message}");
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let elsewhere = Receiver::start(|_| Reply::Code(200)).await;
    let to = elsewhere.url();
    let receiver = Receiver::start(move |_| Reply::Redirect(to.clone())).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    stage.start_worker(policy());
    stage.failed("nightly", "no").await;
    let records = stage.until(|records| records.iter().any(|record| record.attempts > 1)).await;
    assert_eq!(records[0].last_code, Some(302));
    assert_eq!(
        records[0].last_message.as_deref(),
        Some("the receiver answered 302 Found; redirects are not followed")
    );
    assert_eq!(elsewhere.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_says_nothing_is_tried_again() {
    let receiver = Receiver::start(|n| if n == 0 { Reply::Silence } else { Reply::Code(200) }).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    let policy = olake_worker::webhook::Policy { timeout: Duration::from_secs(1), ..policy() };
    stage.start_worker(policy);
    stage.failed("nightly", "no").await;
    let records = stage.until(|records| records[0].last_message.is_some()).await;
    assert_eq!(records[0].last_message.as_deref(), Some("no answer within 1 seconds"));
    let records = stage.until(|records| records[0].status == DeliveryStatus::Delivered).await;
    assert_eq!(records[0].attempts, 2);
    let received = receiver.received();
    assert_eq!(received[0].id(), received[1].id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let receiver = Receiver::start(|_| Reply::Endless).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    stage.start_worker(policy());
    stage.failed("nightly", "no").await;
    let records = stage.until(|records| records[0].status != DeliveryStatus::Pending).await;
    assert_eq!((records[0].status, records[0].attempts), (DeliveryStatus::Delivered, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_delivers_what_a_stopped_one_did_not() {
    let receiver = Receiver::start(|n| if n == 0 { Reply::Silence } else { Reply::Code(200) }).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    let policy = olake_worker::webhook::Policy { timeout: Duration::from_secs(300), ..policy() };
    let first = stage.start_worker(policy.clone());
    stage.failed("nightly", "no").await;
    stage.until(|_| receiver.received().len() == 1).await;
    first.cancel();
    stage.start_worker(policy);
    let records = stage.until(|records| records[0].status == DeliveryStatus::Delivered).await;
    assert_eq!(records[0].attempts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_delivered_once_also_when_notifications_are_off() {
    let receiver = Receiver::start(|n| Reply::Code(if n == 0 { 404 } else { 200 })).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url()).await;
    stage.switch_off(&receiver.url()).await;
    stage.start_worker(policy());
    stage.project.create_test_delivery().await.unwrap();
    let records = stage.until(|records| records[0].status != DeliveryStatus::Pending).await;
    assert_eq!((records[0].status, records[0].last_code), (DeliveryStatus::Failed, Some(404)));
    stage.project.create_test_delivery().await.unwrap();
    stage.until(|records| records.len() == 2 && records[0].status == DeliveryStatus::Delivered).await;
    let told = receiver.received()[1].json();
    assert_eq!(
        (&told["event"], &told["job"], &told["task"], &told["url"]),
        (&json!("test"), &json!(null), &json!(null), &json!(null))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_no_tls_gets_nothing_by_https() {
    let receiver = Receiver::start(|_| Reply::Code(200)).await;
    let stage = Stage::new().await;
    stage.set_webhook(&receiver.url().replace("http://", "https://")).await;
    stage.start_worker(policy());
    stage.project.create_test_delivery().await.unwrap();
    let records = stage.until(|records| records[0].status == DeliveryStatus::Failed).await;
    let message = records[0].last_message.as_deref().unwrap();
    assert!(
        message.starts_with("no secure connection to '127.0.0.1'") || message.starts_with("no answer"),
        "{message}"
    );
}

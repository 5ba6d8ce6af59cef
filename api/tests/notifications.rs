//! Notifications: the webhook of a project, its test, and the log of deliveries.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::time::Duration;

use fake_worker::FakeWorker;
use olake_shared::{
    events::What,
    store::notifications::outbox::{Answer, Verdict},
};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const SETTINGS: &str = "/api/v1/project/olake/settings/notifications";
const DELIVERIES: &str = "/api/v1/project/olake/settings/notifications/deliveries";

fn webhook() -> Value {
    json!({"url": "https://bot:hunter22@hooks.example.com/services/x", "secret": "hunter33", "on_success": true})
}

on_both_databases! {
    async fn a_webhook_is_set_and_shown_without_its_secrets(app: TestApp) {
        let before = app.user.get(SETTINGS).await.expect(200);
        assert_eq!(
            before.data(),
            json!({"url": "", "format": "json", "on_failure": true, "on_recovery": true, "on_success": false, "enabled": false})
        );
        let set = app.user.put(SETTINGS, webhook()).await.expect(200);
        let mut shown = set.data();
        assert!(shown["updated_at"].is_string());
        shown.as_object_mut().unwrap().remove("updated_at");
        let expected = json!({
            "url": "https://bot:********@hooks.example.com/services/x", "secret": "********", "format": "json",
            "on_failure": true, "on_recovery": true, "on_success": true, "enabled": true,
        });
        assert_eq!(shown, expected);
        let read = app.user.get(SETTINGS).await.expect(200);
        assert_eq!(read.header("etag"), set.header("etag"));
        assert!(!read.text.contains("hunter"));
        let stale = app.user.with_header("If-Match", "\"9\"").put(SETTINGS, webhook()).await;
        assert_eq!(stale.status, 412);
        let mut back = read.data();
        back["enabled"] = json!(false);
        let etag = read.header("etag").unwrap().to_owned();
        let changed = app.user.with_header("If-Match", &etag).put(SETTINGS, back).await.expect(200).data();
        assert_eq!((&changed["enabled"], &changed["secret"]), (&json!(false), &json!("********")));
        let unsigned = app.user.put(SETTINGS, json!({"url": changed["url"], "secret": ""})).await.expect(200).data();
        assert_eq!(unsigned.get("secret"), None);
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = TestApp::sqlite().await;
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": 5}), "url"),
        (json!({"url": ""}), "url"),
        (json!({"url": "hooks.example.com"}), "url"),
        (json!({"url": "ftp://hooks.example.com"}), "url"),
        (json!({"url": "http://169.254.169.254/latest"}), "url"),
        (json!({"url": "http://localhost:6379/"}), "url"),
        (json!({"url": "https://a.example", "format": "xml"}), "format"),
        (json!({"url": "https://a.example", "enabled": "yes"}), "enabled"),
    ] {
        let refused = app.user.put(SETTINGS, body.clone()).await.expect(400).error();
        assert!(refused.starts_with(&format!("Bad request: {field}: ")), "{body}: {refused}");
    }
    let test = format!("{SETTINGS}/test");
    assert_eq!(app.user.post_nothing(&test).await.status, 503, "no worker is up");
    let worker = FakeWorker::idle(&app.context).await;
    assert_eq!(app.user.post_nothing(&test).await.expect(400).error(), "Bad request: url: no webhook is set");
    worker.leave().await;
    for path in [SETTINGS, DELIVERIES] {
        let path = path.replace("olake/", "nowhere/");
        assert_eq!(app.user.get(&path).await.status, 404);
    }
    for bad in ["limit=0", "limit=x", "cursor=y"] {
        assert_eq!(app.user.get(&format!("{DELIVERIES}?{bad}")).await.status, 400, "{bad}");
    }
}

on_both_databases! {
    async fn a_test_answers_what_the_receiver_said(app: TestApp) {
        app.user.put(SETTINGS, webhook()).await.expect(200);
        let worker = FakeWorker::idle(&app.context).await;
        for (code, verdict, status) in [(204, Verdict::Delivered, "delivered"), (404, Verdict::GivenUp, "failed")] {
            let mut events = app.context.events.subscribe();
            let queue = app.context.store.queue();
            let delivered = async {
                // As a worker does it: woken by the event.
                while events.recv().await.unwrap().what != What::Notification {}
                let delivery = queue.claim_deliveries(1, Duration::from_secs(60)).await.unwrap().remove(0);
                let answer = Answer { code: Some(code), message: "so it was".into() };
                assert!(queue.settle_delivery(delivery.id, delivery.attempt, &answer, verdict).await.unwrap());
            };
            let test = format!("{SETTINGS}/test");
            let (reply, ()) = tokio::join!(app.user.post_nothing(&test), delivered);
            let data = reply.expect(200).data();
            assert_eq!((&data["status"], &data["event"]), (&json!(status), &json!("test")));
            assert_eq!((&data["last_code"], &data["last_message"]), (&json!(code), &json!("so it was")));
            assert_eq!((&data["attempts"], data.get("job_id")), (&json!(1), None));
        }
        worker.leave().await;
    }
}

on_both_databases! {
    async fn deliveries_are_paged_newest_first(app: TestApp) {
        app.user.put(SETTINGS, webhook()).await.expect(200);
        let project = app.context.project("olake").await.unwrap();
        let mut made = Vec::new();
        for _ in 0..5 {
            made.insert(0, json!(project.create_test_delivery().await.unwrap()));
        }
        let (mut seen, mut next) = (Vec::new(), Some(format!("{DELIVERIES}?limit=2")));
        while let Some(path) = next {
            let page = app.user.get(&path).await.expect(200);
            seen.extend(page.data().as_array().unwrap().iter().map(|item| item["id"].clone()));
            next = page.header("link").map(|link| link.trim_start_matches('<').split_once('>').unwrap().0.to_owned());
        }
        assert_eq!(seen, made);
        let all = app.user.get(DELIVERIES).await.expect(200).data();
        assert_eq!((all.as_array().unwrap().len(), &all[0]["status"]), (5, &json!("pending")));
    }
}

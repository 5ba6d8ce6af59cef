//! The two profiles: contract clients get native JSON, the web UI its own forms of the same content.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::time::{Duration, Instant};

use fake_worker::{FakeWorker, failed, found, until};
use olake_shared::store::tasks::{
    claim::Work,
    end::{Final, Outcome},
    input::OneShotResult,
};
use serde_json::{Value, json};
use support::{Client, TestApp, on_both_databases};

const PROJECT: &str = "/api/v1/project/123";
const CONFIG: &str = r#"{"z":12345678901234567890123,"host":"db","a":{"y":1.10}}"#;

fn ui(app: &TestApp) -> Client {
    app.user.with_header("X-OLake-Profile", "ui")
}

async fn furnish(app: &TestApp) {
    let config: Value = serde_json::from_str(CONFIG).unwrap();
    let side =
        |name: &str, kind: &str| json!({"name": name, "type": kind, "version": "v0.9.4", "config": config});
    let job = json!({"name": "nightly", "source": side("shop", "postgres"), "destination": side("lake", "parquet"),
        "frequency": "0 1 * * *", "streams_config": {"selected_streams": {}, "streams": []}});
    app.user.post(&format!("{PROJECT}/jobs"), job).await.expect(200);
}

on_both_databases! {
    async fn documents_are_objects_to_contract_clients_and_text_to_the_ui(app: TestApp) {
        furnish(&app).await;
        for path in ["sources/1", "destinations/1"] {
            let path = format!("{PROJECT}/{path}");
            let (native, shown) = (app.user.get(&path).await.expect(200), ui(&app).get(&path).await.expect(200));
            assert_eq!(native.data()["config"].to_string(), CONFIG);
            assert_eq!(shown.data()["config"], CONFIG);
            assert_eq!(native.header("etag"), shown.header("etag"));
            assert_eq!(native.json()["message"], shown.json()["message"]);
        }
        let path = format!("{PROJECT}/jobs/1");
        let (native, shown) = (app.user.get(&path).await.expect(200), ui(&app).get(&path).await.expect(200));
        assert_eq!(native.data()["source"]["config"].to_string(), CONFIG);
        assert_eq!(shown.data()["source"]["config"], CONFIG);
        assert!(native.data()["streams_config"].is_object() && shown.data()["streams_config"].is_string());
        assert_eq!(native.header("etag"), shown.header("etag"));
    }

    async fn the_list_of_jobs_has_no_documents_for_the_ui(app: TestApp) {
        furnish(&app).await;
        let path = format!("{PROJECT}/jobs");
        let native = app.user.get(&path).await.expect(200).data();
        assert!(native[0]["source"]["config"].is_object() && native[0]["streams_config"].is_object());
        let shown = ui(&app).get(&path).await.expect(200).data();
        assert_eq!((shown[0].get("streams_config"), shown[0]["source"].get("config")), (None, None));
        assert_eq!(shown[0]["source"]["name"], "shop");
    }

    async fn a_page_keeps_its_link(app: TestApp) {
        furnish(&app).await;
        let source = json!({"name": "second", "type": "postgres", "version": "v0.9.4", "config": {}});
        app.user.post(&format!("{PROJECT}/sources"), source).await.expect(200);
        let page = ui(&app).get(&format!("{PROJECT}/sources?limit=1")).await.expect(200);
        assert!(page.header("link").unwrap().contains("limit=1&cursor="), "{:?}", page.headers);
    }

    async fn tasks_have_the_words_of_the_client(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |_, _| Some(failed("table is locked"))).await;
        furnish(&app).await;
        app.user.post_nothing(&format!("{PROJECT}/jobs/1/sync")).await.expect(200);
        let tasks = format!("{PROJECT}/jobs/1/tasks");
        let native = until(|| app.user.get(&tasks), |list| list.data()[0]["status"] == "failed").await.data();
        let shown = ui(&app).get(&tasks).await.expect(200).data();
        assert_eq!((&shown[0]["status"], &shown[0]["id"]), (&json!("Failed"), &native[0]["id"]));
        assert!(native[0]["runtime"].is_u64() && shown[0]["runtime"].as_str().unwrap().ends_with('s'));
        assert_eq!(ui(&app).get(&format!("{PROJECT}/sources/1")).await.data()["jobs"][0]["last_run_state"], "Failed");
        assert_eq!(app.user.get(&format!("{PROJECT}/sources/1")).await.data()["jobs"][0]["last_run_state"], "failed");
        worker.leave().await;
    }

    async fn a_skipped_slot_is_no_run_to_the_ui(app: TestApp) {
        furnish(&app).await;
        app.user.post_nothing(&format!("{PROJECT}/jobs/1/sync")).await.expect(200);
        app.execute("UPDATE tasks SET status = 'skipped'").await;
        let tasks = format!("{PROJECT}/jobs/1/tasks");
        assert_eq!(app.user.get(&tasks).await.expect(200).data().as_array().unwrap().len(), 1);
        assert_eq!(ui(&app).get(&tasks).await.expect(200).data(), json!([]));
    }

    async fn only_the_ui_waits_for_its_window(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, claimed| {
            assert!(matches!(claimed.work, Work::OneShot(_)));
            let mut log = fake_worker::lines(context, ["hello".to_owned(), "noise".to_owned()]);
            "debug".clone_into(&mut log[1].level);
            let result = OneShotResult::Check { succeeded: true, message: String::new() };
            Some(Final { log, ..found(result) })
        })
        .await;
        let test = format!("{PROJECT}/sources/test");
        let body = json!({"type": "postgres", "version": "v0.9.4", "config": {"host": "db"}});
        let native = app.user.post(&test, body.clone()).await.expect(200).data();
        assert_eq!((native["logs"].as_array().unwrap().len(), &native["config"]["host"]), (2, &json!("db")));
        let start = Instant::now();
        let shown = ui(&app).post(&test, body).await.expect(200).data();
        assert!(start.elapsed() >= Duration::from_millis(500));
        assert_eq!((shown["logs"].as_array().unwrap().len(), &shown["config"]), (1, &json!(r#"{"host":"db"}"#)));
        worker.leave().await;
    }

    async fn errors_are_the_same_for_all(app: TestApp) {
        for path in ["sources/77", "nowhere", "jobs/x"] {
            let path = format!("{PROJECT}/{path}");
            let (native, shown) = (app.user.get(&path).await, ui(&app).get(&path).await);
            assert_eq!((native.status, native.text), (shown.status, shown.text));
        }
    }

    async fn debug_lines_of_a_log_are_left_out_for_the_ui(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, _| {
            let mut log = fake_worker::lines(context, (0..6).map(|n| format!("line {n}")));
            log.iter_mut().skip(1).for_each(|line| "debug".clone_into(&mut line.level));
            Some(Final { log, ..Final::bare(Outcome::Clean) })
        })
        .await;
        furnish(&app).await;
        app.user.post_nothing(&format!("{PROJECT}/jobs/1/sync")).await.expect(200);
        let tasks = format!("{PROJECT}/jobs/1/tasks");
        let task = until(|| app.user.get(&tasks), |list| list.data()[0]["status"] == "succeeded").await.data()[0].clone();
        let (body, logs) = (json!({"file_path": task["file_path"]}), format!("{tasks}/1/logs"));
        assert_eq!(app.user.post(&logs, body.clone()).await.expect(200).data()["logs"].as_array().unwrap().len(), 6);
        // A page of two: the lines that are left out do not count.
        let shown = ui(&app).post(&format!("{logs}?limit=2"), body).await.expect(200).data();
        assert_eq!((shown["logs"].as_array().unwrap().len(), &shown["logs"][0]["message"]), (1, &json!("line 0")));
        let one = format!("{PROJECT}/jobs/1/task/{}/logs", task["id"].as_str().unwrap());
        assert_eq!(ui(&app).get(&one).await.expect(200).data()["task_logs"].as_array().unwrap().len(), 1);
        let others = app.user.post(&logs, json!({"file_path": "sync-123-1"})).await.expect(400).error();
        assert!(others.starts_with("Bad request: file_path: "), "{others}");
        let unknown = json!({"file_path": uuid::Uuid::nil().to_string()});
        app.user.post(&logs, unknown).await.expect(404);
        worker.leave().await;
    }
}

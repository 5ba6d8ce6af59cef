//! The state of a job: looking at it, putting one in its place, resetting it.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use fake_worker::{FakeWorker, until};
use olake_shared::store::tasks::{
    claim::Work,
    end::{Final, Outcome},
};
use poem::http::Method;
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const JOBS: &str = "/api/v1/project/olake/jobs";
const TEXT: &str = "{\"type\":\"STREAM\",  \"n\":12345678901234567890.50, \"a\":1}\n";

async fn made(app: &TestApp) -> String {
    let side = |connector_type: &str| json!({"name": "n", "type": connector_type, "version": "v0.9.4", "config": {}});
    let body = json!({
        "name": "nightly", "source": side("files"), "destination": side("parquet"),
        "frequency": "0 0 1 1 *", "streams_config": {},
    });
    let made = app.user.post(JOBS, body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    format!("{JOBS}/{}", made.data()["id"])
}

/// Runs a sync; it answers the state that it is given by ending well with `left`.
async fn synced(app: &TestApp, job: &str, left: &'static str) -> Option<String> {
    let (given, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let worker = FakeWorker::start(&app.context, move |_, task| {
        let Work::Sync(work) = &task.work else { panic!("no sync") };
        given.send(work.state.clone()).unwrap();
        Some(Final { state: Some((1, left.to_owned())), ..Final::bare(Outcome::Clean) })
    })
    .await;
    assert_eq!(app.user.post_nothing(&format!("{job}/sync")).await.status, 200);
    let given = seen.recv().await.unwrap();
    until(|| app.user.get(job), |job| job.data()["last_run_state"] == "succeeded").await;
    worker.leave().await;
    given
}

on_both_databases! {
    async fn a_state_is_read_and_put_back_to_the_byte(app: TestApp) {
        let one = made(&app).await;
        let state = format!("{one}/state");
        let none = app.user.get(&state).await;
        assert_eq!(none.data(), json!({"state": null, "text": null, "history": []}));
        assert_eq!(none.header("etag"), Some("\"0-0\""));

        assert_eq!(synced(&app, &one, TEXT).await, None);
        let read = app.user.get(&state).await;
        assert_eq!(read.data()["text"], TEXT);
        assert!(read.text.contains("\"n\":12345678901234567890.50,"), "digits and order are kept: {}", read.text);
        let entry = &read.data()["history"][0];
        assert_eq!((&entry["origin"], &entry["attempt"], &entry["bytes"]), (&json!("run"), &json!(1), &json!(TEXT.len())));
        let task = app.user.get(&format!("{one}/tasks")).await.data()[0]["id"].clone();
        assert_eq!(entry["task_id"], task);

        let put = app.user.put(&state, json!({"state": {"z": 1, "a": [2]}})).await;
        assert_eq!((put.status, &put.data()["text"]), (200, &json!("{\"z\":1,\"a\":[2]}")));
        let newest = &put.data()["history"][0];
        assert_eq!((&newest["origin"], &newest["created_by"]), (&json!("operator"), &json!(app.account.username)));
        assert_eq!(newest.get("task_id"), None);

        // Back to the one before, out of the history.
        let old = app.user.get(&format!("{state}/history/{}", put.data()["history"][1]["id"])).await;
        assert_eq!((&old.data()["text"], &old.data()["origin"]), (&json!(TEXT), &json!("run")));
        let back = app.user.put(&state, json!({"state": old.data()["text"]})).await;
        assert_eq!(back.data()["text"], TEXT);
        assert_eq!(synced(&app, &one, "{\"b\":2}").await.as_deref(), Some(TEXT));
        assert_eq!(app.user.get(&format!("{state}/history/999999")).await.status, 404);
    }
}

on_both_databases! {
    async fn a_state_is_replaced_only_if_it_is_still_the_one_that_was_read(app: TestApp) {
        let one = made(&app).await;
        let state = format!("{one}/state");
        let put = async |etag: &str, body: Value| {
            app.user.with_header("If-Match", etag).json(Method::PUT, &state, body).await
        };
        let first = put("\"0-0\"", json!({"state": {"a": 1}})).await;
        let etag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.status, 200);
        assert_eq!(put("\"0-0\"", json!({"state": {"a": 2}})).await.status, 412);
        assert_eq!(put(&etag, json!({"state": {"a": 2}})).await.status, 200);
        assert_eq!(put(&etag, json!({"state": {"a": 3}})).await.status, 412);
        assert_eq!(put("*", json!({"state": {"a": 4}})).await.status, 200);
        assert_eq!(put("\"3\"", json!({"state": {"a": 5}})).await.status, 412);
        assert_eq!(app.user.get(&state).await.data()["state"], json!({"a": 4}));
    }
}

on_both_databases! {
    async fn a_reset_job_runs_from_the_start(app: TestApp) {
        let one = made(&app).await;
        synced(&app, &one, TEXT).await;
        let before = app.user.get(&format!("{one}/state")).await;
        let reset = app.user.post_nothing(&format!("{one}/reset-state")).await;
        assert_eq!((reset.status, &reset.data()["state"], &reset.data()["text"]), (200, &Value::Null, &Value::Null));
        assert_ne!(reset.header("etag"), before.header("etag"));
        let origins: Vec<_> = reset.data()["history"].as_array().unwrap().iter().map(|e| e["origin"].clone()).collect();
        assert_eq!(origins, ["reset", "run"]);
        assert_eq!(synced(&app, &one, "{\"b\":2}").await, None);
        assert_eq!(synced(&app, &one, "{\"c\":3}").await.as_deref(), Some("{\"b\":2}"));
    }
}

on_both_databases! {
    async fn the_state_of_a_running_job_is_shown_and_left_alone(app: TestApp) {
        let one = made(&app).await;
        app.user.put(&format!("{one}/state"), json!({"state": {"a": 1}})).await;
        app.user.post_nothing(&format!("{one}/sync")).await;
        let task = app.user.get(&format!("{one}/tasks")).await.data()[0]["id"].as_str().unwrap().to_owned();
        let expected = format!("a sync of job 'nightly' is running: {task}");
        for refused in [
            app.user.put(&format!("{one}/state"), json!({"state": {"a": 2}})).await,
            app.user.post_nothing(&format!("{one}/reset-state")).await,
        ] {
            assert_eq!((refused.status, refused.error()), (409, expected.clone()));
        }
        assert_eq!(app.user.get(&format!("{one}/state")).await.data()["state"], json!({"a": 1}));
        app.user.post_nothing(&format!("{one}/cancel")).await;
        assert_eq!(app.user.post_nothing(&format!("{one}/reset-state")).await.status, 200);
    }
}

on_both_databases! {
    async fn what_is_no_state_is_a_400_that_names_the_field(app: TestApp) {
        let one = made(&app).await;
        for bad in [json!({}), json!({"state": "{"}), json!({"state": [1]}), json!({"state": {}}), json!({"state": " {} "}), json!({"state": null})] {
            let refused = app.user.put(&format!("{one}/state"), bad.clone()).await;
            assert_eq!(refused.status, 400, "{bad}");
            assert!(refused.error().starts_with("Bad request: state: "), "{bad}: {}", refused.error());
        }
        let elsewhere = one.replace("/olake/", "/123/");
        assert_eq!(app.user.get(&format!("{elsewhere}/state")).await.status, 404);
        assert_eq!(app.user.put(&format!("{elsewhere}/state"), json!({"state": {"a": 1}})).await.status, 404);
        assert_eq!(app.user.post_nothing(&format!("{elsewhere}/reset-state")).await.status, 404);
    }
}

//! Clearing destinations, differences of catalogs, and discovers for a job.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use fake_worker::{FakeWorker, failed, found, until};
use olake_shared::{
    domain::task::FailureClass,
    store::{
        tasks::{
            Failure,
            claim::Work,
            end::{Final, Outcome},
            input::{OneShot, OneShotResult},
        },
        workers::{RunnableConnector, Runs},
    },
};
use poem::http::Method;
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const JOBS: &str = "/api/v1/project/olake/jobs";

fn catalog(normalization: bool) -> Value {
    let selected = json!([{"stream_name": "orders", "normalization": normalization}]);
    json!({"selected_streams": {"public": selected}, "streams": [{"stream": {"name": "orders", "namespace": "public"}}]})
}

fn job(name: &str, version: &str) -> Value {
    let side = |connector_type: &str| {
        let name = format!("{connector_type} {version}");
        json!({"name": name, "type": connector_type, "version": version, "config": {"host": "db"}})
    };
    json!({
        "name": name,
        "source": side("postgres"),
        "destination": side("parquet"),
        "frequency": "0 0 29 2 *",
        "streams_config": catalog(true),
    })
}

async fn made(app: &TestApp, job: Value) -> String {
    let id = app.user.post(JOBS, job).await.expect(200).data()["id"].clone();
    format!("{JOBS}/{id}")
}

async fn kinds(app: &TestApp, job: &str) -> Vec<String> {
    let tasks = app.user.get(&format!("{job}/tasks")).await.data();
    let tasks = tasks.as_array().unwrap().iter().rev();
    tasks
        .map(|task| format!("{} {}", task["kind"].as_str().unwrap(), task["status"].as_str().unwrap()))
        .collect()
}

fn with(mut job: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

on_both_databases! {
    async fn a_destination_is_cleared_once_at_a_time(app: TestApp) {
        let job = made(&app, job("nightly", "v0.9.4")).await;
        let clear = format!("{job}/clear-destination");
        let idle = app.user.get(&clear).await;
        assert_eq!((idle.status, idle.data()), (200, json!({"running": false})));
        let started = app.user.post_nothing(&clear).await;
        assert_eq!((started.status, started.data()), (200, json!({"running": true})));
        assert_eq!(app.user.get(&clear).await.data(), json!({"running": true}));
        let tasks = app.user.get(&format!("{job}/tasks")).await.data();
        let task = tasks[0]["id"].as_str().unwrap();
        assert_eq!((&tasks[0]["kind"], &tasks[0]["job_type"]), (&json!("clear"), &json!("clear")));
        let busy = format!("a clear of job 'nightly' is running: {task}");
        for refused in [
            app.user.post_nothing(&clear).await,
            app.user.post_nothing(&format!("{job}/sync")).await,
            app.user.put(&job, self::job("nightly", "v0.9.4")).await,
            app.user.post_nothing(&format!("{job}/reset-state")).await,
        ] {
            assert_eq!((refused.status, refused.error()), (409, busy.clone()));
        }
        let worker = FakeWorker::start(&app.context, |_, claimed| {
            let Work::Clear(work) = &claimed.work else { panic!("{claimed:?}") };
            assert!(work.whole);
            assert_eq!(serde_json::from_str::<Value>(&work.catalog).unwrap(), catalog(true));
            Some(Final::bare(Outcome::Clean))
        })
        .await;
        until(|| app.user.get(&clear), |reply| reply.data()["running"] == false).await;
        assert_eq!(kinds(&app, &job).await, ["clear succeeded"]);
        let shown = app.user.get(&job).await.data();
        assert_eq!((&shown["last_run_type"], &shown["last_run_state"]), (&json!("clear"), &json!("succeeded")));
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_destination_is_not_cleared_for_a_paused_busy_old_or_missing_job(app: TestApp) {
        let job = made(&app, job("nightly", "v0.9.4")).await;
        let clear = format!("{job}/clear-destination");
        app.user.post_nothing(&format!("{job}/sync")).await.expect(200);
        let busy = app.user.post_nothing(&clear).await;
        assert_eq!(busy.status, 409);
        assert!(busy.error().starts_with("a sync of job 'nightly' is running: "), "{}", busy.error());
        app.user.post_nothing(&format!("{job}/cancel")).await.expect(200);
        app.user.post(&format!("{job}/activate"), json!({"activate": false})).await.expect(200);
        let paused = app.user.post_nothing(&clear).await;
        assert_eq!((paused.status, paused.error().as_str()), (409, "job 'nightly' is paused"));
        let old = made(&app, self::job("old", "v0.2.9")).await;
        let refused = app.user.post_nothing(&format!("{old}/clear-destination")).await;
        assert_eq!(refused.status, 409);
        assert!(refused.error().contains("older than v0.3.0"), "{}", refused.error());
        for method in [Method::GET, Method::POST] {
            let path = format!("{JOBS}/999999/clear-destination");
            assert_eq!(app.user.send(method, &path, None, poem::Body::empty()).await.status, 404);
        }
    }
}

on_both_databases! {
    async fn saving_changed_streams_cancels_clears_and_goes_on(app: TestApp) {
        let job = made(&app, job("nightly", "v0.9.4")).await;
        app.user.post_nothing(&format!("{job}/sync")).await.expect(200);
        // The sync runs until it is wished to end, the clear and the next sync end at once.
        let (claims, mut claimed) = tokio::sync::mpsc::unbounded_channel();
        let worker = FakeWorker::start(&app.context, move |_, task| {
            claims.send(task.clone()).unwrap();
            match &task.work {
                Work::Clear(work) => {
                    assert!(!work.whole);
                    assert_eq!(serde_json::from_str::<Value>(&work.catalog).unwrap(), catalog(false));
                    Some(Final::bare(Outcome::Clean))
                }
                _ => None,
            }
        })
        .await;
        let first = claimed.recv().await.unwrap();
        // As the web UI sends it: as a text.
        let changes = json!({
            "streams_config": catalog(false).to_string(), "difference_streams": catalog(false).to_string(), "activate": true,
        });
        let body = with(self::job("nightly", "v0.9.4"), changes);
        let saved = app.user.put(&job, body.clone()).await.expect(200);
        assert_eq!(saved.data()["difference_streams"], body["difference_streams"]);
        assert_eq!(app.user.get(&job).await.data()["streams_config"], catalog(false));
        assert_eq!(kinds(&app, &job).await, ["sync running", "clear waiting", "sync waiting"]);
        assert_eq!(app.user.get(&format!("{job}/clear-destination")).await.data(), json!({"running": true}));
        let wished = app.user.get(&format!("{job}/tasks")).await.data();
        assert_eq!(wished[2]["cancel_requested"], true);
        assert_eq!(wished[0]["hold_reason"], "waits until the clear before it has succeeded");
        let again = app.user.put(&job, body).await;
        assert_eq!(again.status, 409, "{}", again.text);

        let cancelled = Final::bare(Outcome::Bad(Failure::new(FailureClass::Cancelled, "cancelled")));
        app.context.store.queue().end(first.fence, &cancelled).await.unwrap();
        let tasks = format!("{job}/tasks");
        until(|| app.user.get(&tasks), |reply| reply.data()[0]["status"] == "running").await;
        assert_eq!(kinds(&app, &job).await, ["sync cancelled", "clear succeeded", "sync running"]);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn saving_without_a_difference_clears_nothing(app: TestApp) {
        let job = made(&app, job("nightly", "v0.9.4")).await;
        app.user.post_nothing(&format!("{job}/sync")).await.expect(200);
        for nothing in [json!("{}"), json!({}), Value::Null, json!({"selected_streams": {"public": []}, "streams": []})] {
            let body = with(self::job("nightly", "v0.9.4"), json!({"difference_streams": nothing}));
            app.user.put(&job, body).await.expect(200);
            assert_eq!(kinds(&app, &job).await, ["sync queued"]);
        }
        for (wrong, field) in [
            (json!("no json"), "difference_streams"),
            (json!([]), "difference_streams"),
            (json!({"selected_streams": {"public": ["orders"]}}), "difference_streams.selected_streams.public"),
        ] {
            let body = with(self::job("nightly", "v0.9.4"), json!({"difference_streams": wrong}));
            let refused = app.user.put(&job, body).await;
            assert_eq!(refused.status, 400);
            assert!(refused.error().contains(field), "{}", refused.error());
        }
        assert_eq!(kinds(&app, &job).await, ["sync queued"]);
    }
}

on_both_databases! {
    async fn the_connector_tells_the_difference(app: TestApp) {
        let job = made(&app, job("nightly", "v0.9.4")).await;
        let worker = FakeWorker::start(&app.context, |_, claimed| {
            let Work::OneShot(OneShot::Difference { old, new }) = &claimed.work else { panic!("{claimed:?}") };
            let (old, new): (Value, Value) = (serde_json::from_str(old).unwrap(), serde_json::from_str(new).unwrap());
            assert_eq!(old, catalog(true));
            let nothing = json!({"selected_streams": {}, "streams": null});
            Some(match &new["selected_streams"]["public"][0]["normalization"] {
                Value::Bool(true) => found(OneShotResult::Difference { catalog: nothing.to_string() }),
                Value::Bool(false) => found(OneShotResult::Difference { catalog: new.to_string() }),
                _ => failed("failed to read the catalog"),
            })
        })
        .await;
        for path in [format!("{job}/stream-difference"), format!("{job}/difference-streams")] {
            let ask = async |updated: Value| app.user.post(&path, json!({"updated_streams_config": updated})).await;
            let changed = ask(json!(catalog(false).to_string())).await;
            assert_eq!((changed.status, changed.data()), (200, json!({"difference_streams": catalog(false)})));
            assert_eq!(ask(catalog(true)).await.data(), json!({"difference_streams": {}}));
            let broken = ask(json!({"selected_streams": {"public": [{}]}})).await;
            assert_eq!((broken.status, broken.error().as_str()), (422, "difference failed: failed to read the catalog"));
            let wrong = ask(json!({"streams": 5})).await;
            assert_eq!(wrong.status, 400);
            assert!(wrong.error().contains("updated_streams_config.streams"), "{}", wrong.error());
            assert_eq!(app.user.post(&path, json!({})).await.status, 400);
        }
        let later = app.user.with_header("Prefer", "respond-async");
        let body = json!({"updated_streams_config": catalog(false)});
        let accepted = later.post(&format!("{job}/stream-difference"), body.clone()).await.expect(202);
        let location = accepted.header("location").unwrap().to_owned();
        let story = until(|| app.user.get(&location), |story| story.data()["status"] == "succeeded").await.data();
        assert_eq!((&story["kind"], &story["result"]), (&json!("difference"), &json!({"difference_streams": catalog(false)})));
        assert_eq!(kinds(&app, &job).await, Vec::<String>::new(), "it is no run of the job");
        worker.leave().await;
        assert_eq!(app.user.post(&format!("{job}/stream-difference"), body).await.status, 503);
    }
}

on_both_databases! {
    async fn an_old_connector_tells_no_difference_and_is_not_asked(app: TestApp) {
        let job = made(&app, job("old", "v0.2.9")).await;
        let body = json!({"updated_streams_config": catalog(false)});
        let answer = app.user.post(&format!("{job}/stream-difference"), body).await;
        assert_eq!((answer.status, answer.data()), (200, json!({"difference_streams": {}})));
        assert_eq!(app.user.post(&format!("{JOBS}/999999/stream-difference"), json!({"updated_streams_config": {}})).await.status, 404);
    }
}

on_both_databases! {
    async fn a_discover_for_a_job_is_given_its_catalog_and_its_name(app: TestApp) {
        let made = app.user.post(JOBS, job("nightly", "v0.9.4")).await.expect(200).data()["id"].clone();
        let runs = Runs { connectors: vec![RunnableConnector {
            connector_type: "postgres".to_owned(),
            version: "v0.9.4".to_owned(),
            destinations: vec!["parquet".to_owned()],
        }], ..Runs::default() };
        let worker = FakeWorker::start_with(&app.context, runs, |_, claimed| {
            let Work::OneShot(OneShot::Discover { catalog, destination_database_prefix, .. }) = &claimed.work else {
                panic!("{claimed:?}")
            };
            let given = json!({"streams": [], "selected_streams": {}, "given": catalog, "prefix": destination_database_prefix});
            Some(found(OneShotResult::Discover { catalog: given.to_string() }))
        })
        .await;
        let base = json!({"type": "postgres", "version": "v0.9.4", "config": {"host": "db"}});
        let ask = async |path: &str, more: Value| {
            let path = format!("/api/v1/project/olake/{path}");
            app.user.post(&path, with(base.clone(), more)).await
        };
        let given = |catalog: &Value| (catalog["given"].clone(), catalog["prefix"].clone());
        let text = json!(catalog(true).to_string());
        for (more, expected) in [
            (json!({}), (Value::Null, Value::Null)),
            (json!({"job_id": -1, "job_name": "new"}), (Value::Null, json!("new"))),
            (json!({"job_id": made}), (text.clone(), json!("nightly"))),
            (json!({"job_id": made, "job_name": "renamed"}), (text.clone(), json!("renamed"))),
            (json!({"job_id": made, "job_name": ""}), (text.clone(), json!("nightly"))),
        ] {
            let streams = ask("source/streams", more.clone()).await.expect(200).data();
            assert_eq!(given(&streams["streams_config"]), expected, "{more}");
            let streams = ask("sources/streams", more.clone()).await.expect(200).data();
            assert_eq!(given(&streams), expected, "{more}");
        }
        for path in ["source/streams", "sources/streams"] {
            assert_eq!(ask(path, json!({"job_id": 999_999})).await.status, 404);
            assert_eq!(ask(path, json!({"job_name": "a\u{0}b"})).await.status, 400);
        }
        worker.leave().await;
    }
}

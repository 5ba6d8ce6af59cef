//! What only workers that run pods honour: limits of memory, profiles, images of every version, ends by force.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::sync::{Arc, Mutex};

use fake_worker::{FakeWorker, until};
use olake_shared::{
    domain::task::TaskPhase,
    store::workers::{ImageType, Runs},
};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const JOBS: &str = "/api/v1/project/olake/jobs";

fn runs() -> Runs {
    let image = |name: &str| ImageType {
        connector_type: name.to_owned(),
        destinations: vec!["parquet".to_owned(), "iceberg".to_owned()],
    };
    Runs {
        images: vec![image("postgres"), image("mysql")],
        profiles: vec!["large".to_owned()],
        memory: Some(16 << 30),
        ..Runs::default()
    }
}

fn job(version: &str, settings: Value) -> Value {
    let side = |kind: &str| json!({"name": kind, "type": kind, "version": version, "config": {}});
    json!({
        "name": "nightly", "source": side("mysql"), "destination": side("iceberg"), "frequency": "1-days",
        "streams_config": {}, "advanced_settings": settings,
    })
}

on_both_databases! {
    async fn memory_and_profiles_are_taken_as_far_as_workers_honour_them(app: TestApp) {
        let _worker = FakeWorker::start_with(&app.context, runs(), |_, _| None).await;
        for (settings, named) in [
            (json!({"profile": "huge"}), "advanced_settings.profile: no worker that is up has a profile 'huge'; known are large"),
            (json!({"max_memory": "lots"}), "advanced_settings.max_memory: 'lots' is no amount"),
        ] {
            let error = app.user.post(JOBS, job("v0.9.4", settings)).await.expect(400).error();
            assert!(error.starts_with(&format!("Bad request: {named}")), "{error}");
        }
        let made = app.user.post(JOBS, job("v7.1.0", json!({"profile": "large", "max_memory": "8Gi"}))).await.expect(200);
        let read = app.user.get(&format!("{JOBS}/{}", made.data()["id"])).await.expect(200);
        let settings = &read.data()["advanced_settings"];
        assert_eq!((&settings["profile"], &settings["max_memory"]), (&json!("large"), &json!("8Gi")));
        let error = app.user.post(JOBS, job("v0.2.0", json!({}))).await.expect(400).error();
        assert!(error.contains("v0.2.1 is the first version"), "{error}");
    }
}

on_both_databases! {
    async fn a_task_is_ended_by_force_only_while_its_node_is_lost(app: TestApp) {
        let claimed = Arc::new(Mutex::new(None));
        let seen = claimed.clone();
        let _worker = FakeWorker::start_with(&app.context, runs(), move |_, task| {
            *seen.lock().unwrap() = Some(task.fence);
            None
        })
        .await;
        let made = app.user.post(JOBS, job("v0.9.4", json!({}))).await.expect(200).data()["id"].clone();
        app.user.post_nothing(&format!("{JOBS}/{made}/sync")).await.expect(200);
        let tasks = format!("{JOBS}/{made}/tasks");
        let running = until(|| app.user.get(&tasks), |list| list.data()[0]["status"] == "running").await;
        let id = running.data()[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/project/olake/tasks/{id}");
        let refused = app.user.post_nothing(&format!("{path}/force-end")).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        let fence = claimed.lock().unwrap().take().unwrap();
        let queue = app.context.store.queue();
        queue.note_pod(fence, "olake-1", Some("node-1")).await.unwrap();
        queue.set_phase(fence, TaskPhase::NodeUnreachable, Some("node-1 is not heard of")).await.unwrap();
        let ended = app.user.post_nothing(&format!("{path}/force-end")).await.expect(200);
        assert_eq!(ended.data()["phase"], "node_unreachable");
        assert_eq!(queue.force_ends(&[fence.task]).await.unwrap(), [fence.task]);
        let attempt = app.user.get(&path).await.expect(200).data()["attempts"][0].clone();
        assert_eq!((&attempt["pod"], &attempt["node"]), (&json!("olake-1"), &json!("node-1")));
        let unknown = app.user.post_nothing("/api/v1/project/olake/tasks/01935f00-0000-7000-8000-000000000001/force-end").await;
        assert_eq!(unknown.status, 404);
    }
}

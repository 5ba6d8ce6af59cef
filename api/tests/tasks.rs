//! Tasks: their lists, their stories and their logs.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use fake_worker::{FakeWorker, failed, lines, until};
use olake_shared::store::tasks::{
    end::{Final, Outcome},
    limits::Limits,
};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};
use uuid::Uuid;

const JOBS: &str = "/api/v1/project/olake/jobs";

async fn job(app: &TestApp) -> String {
    let side = |kind: &str| json!({"name": kind, "type": kind, "version": "v0.9.4", "config": {}});
    let body = json!({
        "name": "nightly", "source": side("files"), "destination": side("parquet"), "frequency": "1-days",
        "streams_config": {},
    });
    format!("{JOBS}/{}", app.user.post(JOBS, body).await.data()["id"])
}

/// Syncs a job once; answers the task's item when it has ended.
async fn synced(app: &TestApp, job: &str) -> Value {
    let started = app.user.post_nothing(&format!("{job}/sync")).await;
    assert_eq!(started.status, 200, "{}", started.text);
    let tasks = format!("{job}/tasks");
    let ended = |list: &support::Reply| {
        list.data()
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["status"] != "queued" && item["status"] != "running")
    };
    until(|| app.user.get(&tasks), ended).await.data()[0].clone()
}

on_both_databases! {
    async fn a_task_tells_its_whole_story(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, _| {
            Some(Final {
                records_read: Some(1_200),
                bytes_read: Some(34_567),
                log: lines(context, ["done".to_owned()]),
                ..Final::bare(Outcome::Clean)
            })
        })
        .await;
        let job = job(&app).await;
        let item = synced(&app, &job).await;
        assert_eq!((&item["kind"], &item["job_type"], &item["status"]), (&json!("sync"), &json!("sync"), &json!("succeeded")));
        assert!(item["start_time"].is_string() && item["end_time"].is_string() && item["runtime"].is_i64());
        let story = app.user.get(&format!("/api/v1/project/olake/tasks/{}", item["id"].as_str().unwrap())).await;
        assert_eq!(story.status, 200);
        let story = story.data();
        assert_eq!((&story["records_read"], &story["bytes_read"]), (&json!(1_200), &json!(34_567)));
        assert_eq!((&story["trigger"], &story["attempt"], &story["log_lines"]), (&json!("manual"), &json!(1), &json!(1)));
        assert!(job.ends_with(&format!("/{}", story["job_id"])));
        let attempt = &story["attempts"][0];
        assert_eq!((&attempt["attempt"], &attempt["host"]), (&json!(1), &json!("test")));
        assert!(attempt["ended_at"].is_string());
        assert_eq!((story.get("result"), story.get("failure_class")), (None, None));
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_failed_task_says_why(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |_, _| Some(failed("table is locked"))).await;
        let job = job(&app).await;
        let item = synced(&app, &job).await;
        assert_eq!((&item["status"], &item["failure_class"]), (&json!("failed"), &json!("connector")));
        assert_eq!((&item["failure_message"], &item["exit_code"]), (&json!("table is locked"), &json!(1)));
        let story = app.user.get(&format!("/api/v1/project/olake/tasks/{}", item["id"].as_str().unwrap())).await;
        assert_eq!(story.data()["attempts"][0]["failure_message"], "table is locked");
        assert_eq!(app.user.get(&job).await.data()["last_run_state"], "failed");
        worker.leave().await;
    }
}

on_both_databases! {
    async fn tasks_are_paged_newest_first(app: TestApp) {
        let job = job(&app).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            app.user.post_nothing(&format!("{job}/sync")).await;
            made.insert(0, app.user.get(&format!("{job}/tasks?limit=1")).await.data()[0]["id"].clone());
            app.user.post_nothing(&format!("{job}/cancel")).await;
        }
        let mut seen = Vec::new();
        let mut next = Some(format!("{job}/tasks?limit=2"));
        while let Some(path) = next {
            let page = app.user.get(&path).await;
            seen.extend(page.data().as_array().unwrap().iter().map(|item| item["id"].clone()));
            next = page.header("link").map(|link| link.trim_start_matches('<').split_once('>').unwrap().0.to_owned());
        }
        assert_eq!(seen, made);
        assert_eq!(app.user.get(&format!("{job}/tasks")).await.data().as_array().unwrap().len(), 5);
        for bad in ["limit=0", "limit=many", "cursor=x"] {
            assert_eq!(app.user.get(&format!("{job}/tasks?{bad}")).await.status, 400, "{bad}");
        }
    }
}

on_both_databases! {
    async fn a_log_is_read_from_its_end_and_back(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, _| {
            let log = lines(context, (0..2_500).map(|n| format!("line {n}")));
            Some(Final { log, ..Final::bare(Outcome::Clean) })
        })
        .await;
        let job = job(&app).await;
        let item = synced(&app, &job).await;
        let logs = format!("{job}/task/{}/logs", item["id"].as_str().unwrap());
        let tail = app.user.get(&logs).await;
        assert_eq!(tail.status, 200, "{}", tail.text);
        let data = tail.data();
        let shown = data["task_logs"].as_array().unwrap();
        assert_eq!((shown.len(), &shown[0]["message"], &shown[999]["message"]), (1_000, &json!("line 1500"), &json!("line 2499")));
        assert_eq!(shown[0]["level"], "info");
        assert_eq!((&tail.data()["has_more_older"], &tail.data()["has_more_newer"]), (&json!(true), &json!(false)));
        let older = app.user.get(&format!("{logs}?direction=older&limit=600&cursor={}", tail.data()["older_cursor"])).await;
        assert_eq!(older.data()["task_logs"][0]["message"], "line 900");
        let newer = app.user.get(&format!("{logs}?direction=newer&limit=600&cursor={}", older.data()["newer_cursor"])).await;
        assert_eq!(newer.data()["task_logs"][0]["message"], "line 1500");
        let same_tail = app.user.get(&format!("{logs}?cursor=-1&limit=9999")).await;
        assert_eq!(same_tail.data()["task_logs"].as_array().unwrap().len(), 2_500);
        for bad in ["limit=0", "limit=x", "cursor=x", "direction=sideways"] {
            assert_eq!(app.user.get(&format!("{logs}?{bad}")).await.status, 400, "{bad}");
        }
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_task_is_found_only_where_it_belongs(app: TestApp) {
        let job = job(&app).await;
        app.user.post_nothing(&format!("{job}/sync")).await;
        let id = app.user.get(&format!("{job}/tasks")).await.data()[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(app.user.get(&format!("/api/v1/project/olake/tasks/{id}")).await.status, 200);
        assert_eq!(app.user.get(&format!("/api/v1/project/123/tasks/{id}")).await.status, 404);
        assert_eq!(app.user.get(&format!("/api/v1/project/olake/tasks/{}", Uuid::now_v7())).await.status, 404);
        assert_eq!(app.user.get("/api/v1/project/olake/tasks/5").await.status, 400);
        assert_eq!(app.user.get(&format!("{JOBS}/999999/task/{id}/logs")).await.status, 404);
        assert_eq!(app.user.get(&format!("{job}/task/{}/logs", Uuid::now_v7())).await.status, 404);
    }
}

on_both_databases! {
    async fn a_task_that_waits_says_where_it_stands_and_why(app: TestApp) {
        let mut stories = Vec::new();
        for name in ["first", "second"] {
            let side = |kind: &str| json!({"name": kind, "type": kind, "version": "v0.9.4", "config": {}});
            let body = json!({
                "name": name, "source": side("files"), "destination": side("parquet"), "frequency": "1-days",
                "streams_config": {},
            });
            let job = format!("{JOBS}/{}", app.user.post(JOBS, body).await.data()["id"]);
            app.user.post_nothing(&format!("{job}/sync")).await;
            let id = app.user.get(&format!("{job}/tasks")).await.data()[0]["id"].as_str().unwrap().to_owned();
            stories.push((job, format!("/api/v1/project/olake/tasks/{id}")));
        }
        for (at, (_, story)) in stories.iter().enumerate() {
            let shown = app.user.get(story).await.data().clone();
            assert_eq!((&shown["status"], &shown["queue_position"]), (&json!("queued"), &json!(at + 1)));
        }
        // Two jobs of one source, which may run one sync at a time: the second says what holds it back.
        let queue = app.context.store.queue();
        let one = Limits { syncs_per_project: 0, syncs_per_source: 1 };
        let first = stories[0].1.rsplit('/').next().unwrap().parse().unwrap();
        assert!(queue.claim(first, Uuid::now_v7(), "here", one).await.unwrap().is_some());
        queue.explain_limits(one).await.unwrap();
        let running = app.user.get(&stories[0].1).await.data().clone();
        assert_eq!((&running["status"], running.get("queue_position")), (&json!("running"), None));
        let waiting = app.user.get(&stories[1].1).await.data().clone();
        assert_eq!(waiting["queue_position"], 1);
        assert_eq!(waiting["hold_reason"], "the source runs as many syncs as it may at a time");
        app.user.post_nothing(&format!("{}/cancel", stories[1].0)).await;
        assert_eq!(app.user.get(&stories[1].1).await.data().get("queue_position"), None);
    }
}

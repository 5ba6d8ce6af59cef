//! What only workers that run pods honour: limits of memory, profiles, images of every version, ends by force.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fake_worker::{FakeWorker, ended_as, until};
use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskPhase},
    store::{
        tasks::{
            claim::{Claimed, Work},
            end::{Final, Outcome},
            input::OneShot,
        },
        workers::{ImageType, Runs},
    },
};
use serde_json::{Value, json};
use support::{Setup, TestApp, on_both_databases};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

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
        let _worker = FakeWorker::start_with(&app.context, runs(), |_, _| Some(Final::bare(Outcome::Clean))).await;
        for (settings, named) in [
            (json!({"profile": "huge"}), "advanced_settings.profile: not all workers that are up have a profile 'huge'; known are large"),
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
    async fn while_no_worker_is_up_everything_is_taken_that_makes_sense(app: TestApp) {
        let made = app.user.post(JOBS, job("v0.9.4", json!({"profile": "large", "max_memory": "8Gi"}))).await.expect(200);
        let read = app.user.get(&format!("{JOBS}/{}", made.data()["id"])).await.expect(200);
        assert_eq!(read.data()["advanced_settings"]["profile"], "large");
        let error = app.user.post(JOBS, job("v0.9.4", json!({"max_memory": "lots"}))).await.expect(400).error();
        assert!(error.contains("advanced_settings.max_memory: 'lots' is no amount"), "{error}");
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

/// A validate task as a worker sees it: its id, its connector, and what is asked of it.
#[derive(Debug, PartialEq)]
struct Asked {
    task: TaskId,
    version: String,
    profile: Option<String>,
    max_memory: Option<String>,
}

impl Asked {
    fn of(claimed: &Claimed) -> Option<Self> {
        let Work::OneShot(OneShot::Validate { settings }) = &claimed.work else { return None };
        Some(Self {
            task: claimed.fence.task,
            version: format!("{} {}", claimed.connector_type, claimed.connector_version),
            profile: settings.profile.clone(),
            max_memory: settings.max_memory.clone(),
        })
    }
}

/// A worker that ends each validate task by `answer`, and tells of it. No other task is made here.
async fn oracle(
    app: &TestApp,
    answer: impl Fn(&Asked) -> Option<Final> + Send + Sync + 'static,
) -> (FakeWorker, UnboundedReceiver<Asked>) {
    let (questions, asked) = unbounded_channel();
    let worker = FakeWorker::start_with(&app.context, runs(), move |_, claimed| {
        let question = Asked::of(claimed).expect("no other task is made here");
        let end = answer(&question);
        questions.send(question).unwrap();
        end
    })
    .await;
    (worker, asked)
}

fn yes(_: &Asked) -> Option<Final> {
    Some(Final::bare(Outcome::Clean))
}

async fn number_of_jobs(app: &TestApp) -> usize {
    app.user.get(JOBS).await.expect(200).data().as_array().unwrap().len()
}

on_both_databases! {
    async fn what_kubernetes_refuses_is_a_400_in_its_words_and_nothing_is_saved(app: TestApp) {
        const GOLD: &str = "pods \"olake-1\" is forbidden: no PriorityClass with name gold was found";
        const LIMIT: &str = "pods \"olake-1\" is forbidden: maximum memory usage per Container is 4Gi, but limit is 8Gi";
        let (_worker, _asked) = oracle(&app, |question| {
            let words = if question.max_memory.is_some() { LIMIT } else { GOLD };
            Some(ended_as(FailureClass::Unschedulable, words))
        })
        .await;
        for (settings, field, words) in [
            (json!({"profile": "large"}), "profile", GOLD),
            (json!({"max_memory": "8Gi"}), "max_memory", LIMIT),
            (json!({"profile": "large", "max_memory": "8Gi"}), "max_memory", LIMIT),
        ] {
            let error = app.user.post(JOBS, job("v0.9.4", settings)).await.expect(400).error();
            assert!(error.starts_with(&format!("Bad request: advanced_settings.{field}: ")), "{error}");
            assert!(error.ends_with(words), "{error}");
        }
        assert_eq!(number_of_jobs(&app).await, 0);
        let made = app.user.post(JOBS, job("v0.9.4", json!({}))).await.expect(200).data()["id"].clone();
        let path = format!("{JOBS}/{made}");
        let error = app.user.put(&path, job("v0.9.4", json!({"profile": "large"}))).await.expect(400).error();
        assert!(error.starts_with("Bad request: advanced_settings.profile: "), "{error}");
        let read = app.user.get(&path).await.expect(200);
        assert!(read.data()["advanced_settings"]["profile"].is_null(), "{}", read.text);
    }
}

on_both_databases! {
    async fn only_what_is_new_is_asked(app: TestApp) {
        let (_worker, mut asked) = oracle(&app, yes).await;
        let made = app.user.post(JOBS, job("v0.9.4", json!({"profile": "large"}))).await.expect(200).data()["id"].clone();
        let path = format!("{JOBS}/{made}");
        let mut question = async || {
            let Asked { version, profile, max_memory, .. } = asked.recv().await.unwrap();
            (version, profile, max_memory)
        };
        let large = || Some("large".to_owned());
        assert_eq!(question().await, ("mysql v0.9.4".to_owned(), large(), None));
        // Nothing new, or taken back: nobody is asked.
        let quiet = [json!({"profile": "large"}), json!({"retries": 2}), json!({"max_memory": ""})];
        for settings in quiet {
            app.user.put(&path, job("v0.9.4", settings)).await.expect(200);
        }
        let source = app.user.get(&path).await.expect(200).data()["source"]["id"].clone();
        let mut picked = job("v0.9.4", json!({"max_memory": "8Gi"}));
        picked["source"] = json!({"id": source});
        app.user.put(&path, picked).await.expect(200);
        assert_eq!(question().await, ("mysql v0.9.4".to_owned(), None, Some("8Gi".to_owned())));
        app.user.put(&path, job("v0.9.4", json!({"profile": null, "max_memory": "4Gi"}))).await.expect(200);
        assert_eq!(question().await, ("mysql v0.9.4".to_owned(), None, Some("4Gi".to_owned())));
    }
}

on_both_databases! {
    async fn a_validate_is_a_task_of_no_job_and_is_shown_by_its_id(app: TestApp) {
        let (_worker, mut asked) = oracle(&app, yes).await;
        let made = app.user.post(JOBS, job("v0.9.4", json!({"profile": "large"}))).await.expect(200).data()["id"].clone();
        let task = asked.recv().await.unwrap().task;
        let shown = app.user.get(&format!("/api/v1/project/olake/tasks/{task}")).await.expect(200).data();
        assert_eq!((&shown["kind"], &shown["status"]), (&json!("validate"), &json!("succeeded")));
        assert_eq!(app.user.get(&format!("{JOBS}/{made}/tasks")).await.expect(200).data(), json!([]));
        let read = app.user.get(&format!("{JOBS}/{made}")).await.expect(200);
        assert!(read.data().get("last_run_state").is_none_or(Value::is_null), "{}", read.text);
    }
}

on_both_databases! {
    async fn an_outage_keeps_no_job_from_being_saved(app: TestApp) {
        let (_worker, _asked) = oracle(&app, |_| {
            Some(ended_as(FailureClass::Infrastructure, "the Kubernetes API cannot be used at the moment"))
        })
        .await;
        app.user.post(JOBS, job("v0.9.4", json!({"profile": "large"}))).await.expect(200);
        assert_eq!(number_of_jobs(&app).await, 1);
    }
}

fn impatient() -> Setup {
    let mut settings = Setup::default().settings;
    settings.deadlines.validate = Duration::ZERO;
    Setup { settings, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_in_time_the_job_is_saved_and_the_question_is_cancelled() {
    let app = TestApp::sqlite_with(impatient()).await;
    let (_worker, mut asked) = oracle(&app, |_| None).await;
    app.user.post(JOBS, job("v0.9.4", json!({"profile": "large"}))).await.expect(200);
    let task = asked.recv().await.unwrap().task;
    wished(&app, task).await;
}

on_both_databases! {
    async fn a_client_that_hangs_up_leaves_nothing(app: TestApp) {
        let (_worker, mut asked) = oracle(&app, |_| None).await;
        let saving = app.user.post(JOBS, job("v0.9.4", json!({"profile": "large"})));
        let task = tokio::select! {
            question = asked.recv() => question.unwrap().task,
            answer = saving => panic!("answered: {}", answer.text),
        };
        wished(&app, task).await;
        assert_eq!(number_of_jobs(&app).await, 0);
    }
}

/// Waits until somebody wishes that a task ends.
async fn wished(app: &TestApp, task: TaskId) {
    let looked = async {
        while app.context.store.queue().cancel_wishes(&[task]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looked).await.expect("nobody wishes that the task ends");
}

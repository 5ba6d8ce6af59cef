//! A store, workers without connectors, and runs that end as a test says.

#[path = "../../../shared/tests/support/samples.rs"]
mod samples;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use olake_shared::{
    bell::Bell,
    config::Secret,
    domain::{
        project::ProjectId,
        task::{FailureClass, TaskId},
        webhook::NotificationFormat,
    },
    events::{Event, Events, What},
    store::{
        ProjectStore, Store,
        connections::{ConnectionInput, Page},
        jobs::{JobFilter, JobInput, SideInput},
        notifications::{
            log::DeliveryRecord,
            settings::{NotificationInput, SecretChange},
        },
        retention::Retention,
        tasks::{
            Failure,
            claim::Claim,
            end::{Final, Outcome},
            limits::Limits,
        },
        workers::{ImageType, Runs},
    },
};
use olake_worker::{
    agent::follow::Ending,
    launch::{AttemptRef, Launch, LaunchError, Launcher, Running, SharedPlace, known::Known},
    reconcile::{Deadlines, Elsewhere, Settings, Worker},
    webhook::Policy,
};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Private addresses allowed, and short waits.
pub fn policy() -> Policy {
    Policy {
        allow_private: true,
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(100),
        ..Policy::default()
    }
}

pub struct Stage {
    pub project: ProjectStore,
    store: Store,
    user: i64,
    events: Events,
    stop: CancellationToken,
    _stop_at_end: DropGuard,
    _folder: TempDir,
}

#[allow(dead_code, reason = "each test binary uses its own part of this")]
impl Stage {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::sqlite(folder.path()).await;
        let project = store.project(&ProjectId::new("olake")).await.unwrap();
        let user = samples::user(&store).await;
        let stop = CancellationToken::new();
        let stop_at_end = stop.clone().drop_guard();
        Self {
            project,
            store,
            user,
            events: Events::in_process(),
            stop,
            _stop_at_end: stop_at_end,
            _folder: folder,
        }
    }

    /// Starts a worker; cancelling the token stops it.
    pub fn start_worker(&self, webhooks: Policy) -> CancellationToken {
        self.start(webhooks, Elsewhere::default(), Runs::default())
    }

    /// Starts a worker that reads what is elsewhere.
    pub fn start_worker_with(&self, elsewhere: Elsewhere) -> CancellationToken {
        // Tags are offered where images are run.
        let image = ImageType { connector_type: "postgres".to_owned(), destinations: Vec::new() };
        self.start(policy(), elsewhere, Runs { images: vec![image], ..Runs::default() })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    fn start(&self, webhooks: Policy, elsewhere: Elsewhere, runs: Runs) -> CancellationToken {
        let settings = Settings {
            places_sync: 1,
            places_interactive: 1,
            lease: Duration::from_secs(60),
            // Rare enough that the events have to wake it.
            reconcile: Duration::from_millis(200),
            deadlines: Deadlines {
                spec: Duration::from_secs(60),
                check: Duration::from_secs(60),
                discover: Duration::from_secs(60),
                difference: Duration::from_secs(60),
                validate: Duration::from_secs(60),
                sync: Duration::from_secs(60),
            },
            limits: Limits::default(),
            webhooks,
            retention: Retention::default(),
            elsewhere,
            alone: false,
        };
        let stop = self.stop.child_token();
        let worker = Worker::new(
            &self.store,
            Bell::in_process(),
            self.events.clone(),
            Arc::new(NoConnectors(runs)),
            settings,
            stop.clone(),
        );
        tokio::spawn(async move { worker.run().await.unwrap() });
        stop
    }

    pub async fn set_webhook(&self, url: &str) {
        self.set_webhook_in(url, NotificationFormat::Json).await;
    }

    pub async fn set_webhook_in(&self, url: &str, format: NotificationFormat) {
        self.put(NotificationInput { format, ..input(url) }).await;
    }

    pub async fn switch_off(&self, url: &str) {
        self.put(NotificationInput { enabled: false, ..input(url) }).await;
    }

    async fn put(&self, input: NotificationInput) {
        self.project.put_notification_settings(&input, None, self.user).await.unwrap();
    }

    /// Runs a sync that fails with these words. Answers the job and the task.
    pub async fn failed(&self, job: &str, message: &str) -> (i64, TaskId) {
        self.run(job, Outcome::Bad(Failure::new(FailureClass::Connector, message))).await
    }

    pub async fn succeeded(&self, job: &str) -> (i64, TaskId) {
        self.run(job, Outcome::Clean).await
    }

    async fn run(&self, job: &str, outcome: Outcome) -> (i64, TaskId) {
        let job = self.job(job).await;
        let task = self.project.create_sync(job, self.user).await.unwrap().task;
        let queue = self.store.queue();
        let claim = queue.claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap();
        let Some(Claim::Taken(claimed)) = claim else { panic!("not claimed") };
        let end = Final { records_read: Some(42), ..Final::bare(outcome) };
        let ended = queue.end(claimed.fence, &end).await.unwrap();
        self.events.publish(Event {
            task,
            project: ended.project,
            job: Some(job),
            what: What::Status(ended.status),
        });
        (job, task)
    }

    /// The job of this name, made when it is not there.
    async fn job(&self, name: &str) -> i64 {
        let keys = self.project.job_keys(&JobFilter::default(), Page::default()).await.unwrap();
        let jobs = self.project.jobs(&keys.iter().map(|key| key.id).collect::<Vec<_>>()).await.unwrap();
        if let Some(job) = jobs.into_iter().find(|job| job.name == name) {
            return job.id;
        }
        let side = |connector_type: &str| {
            SideInput::Inline(ConnectionInput {
                name: format!("{name}-{connector_type}"),
                connector_type: connector_type.into(),
                version: "v0.9.4".into(),
                config: json!({}),
            })
        };
        let input = JobInput {
            name: name.into(),
            source: side("files"),
            destination: side("parquet"),
            frequency: "0 0 1 1 *".into(),
            streams_config: "{}".into(),
            activate: None,
            advanced_settings: None,
        };
        self.project.create_job(&input, self.user).await.unwrap().id
    }

    /// Waits until the log of deliveries, newest first, is as wanted.
    pub async fn until(&self, wanted: impl Fn(&[DeliveryRecord]) -> bool) -> Vec<DeliveryRecord> {
        let looked = async {
            loop {
                let records = self.project.deliveries(1_000, None).await.unwrap();
                if !records.is_empty() && wanted(&records) {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looked).await.expect("it never came to what was wanted")
    }
}

fn input(url: &str) -> NotificationInput {
    NotificationInput {
        url: url.into(),
        secret: SecretChange::Set(Secret::new("hunter33")),
        format: NotificationFormat::Json,
        on_failure: true,
        on_recovery: true,
        on_success: false,
        enabled: true,
        allow_private: true,
    }
}

/// Runs nothing: the tests end tasks themselves.
struct NoConnectors(Runs);

#[async_trait]
impl Launcher for NoConnectors {
    fn name(&self) -> &'static str {
        "none"
    }

    fn runs(&self) -> Runs {
        self.0.clone()
    }

    fn place(&self) -> Option<SharedPlace> {
        None
    }

    async fn validate(&self, _launch: &Launch) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(&self, _launch: Launch) -> Result<Running, LaunchError> {
        Err(LaunchError::BrokeOff)
    }

    async fn recover(&self, _attempt: AttemptRef, _known: Known) -> Result<Option<Ending>, LaunchError> {
        Ok(None)
    }

    async fn discard(&self, _task: TaskId, _attempt: i32) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn found(&self) -> Result<Vec<String>, LaunchError> {
        Ok(Vec::new())
    }

    async fn sweep(&self, _found: Vec<String>, _alive: &[(TaskId, i32)]) -> Result<u64, LaunchError> {
        Ok(0)
    }
}

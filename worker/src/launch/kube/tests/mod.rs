//! What one node cannot show: the launcher against an API server that says what the test wants.

mod cleanup;
mod dry_run;
mod ends;
mod fake;
mod lost;
mod start;
mod stops;
mod takeover;
mod workers;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use olake_shared::{
    clock::SystemClock,
    domain::task::TaskId,
    store::{
        StoreError,
        tasks::{Fence, pods::PermitState},
    },
};
use serde_json::{Value, json};

use self::fake::Fake;
use super::{
    KubeLauncher,
    budget::Budget,
    ledger::Ledger,
    names::{Key, name},
    settings::{KubeSettings, tests::settings},
};
use crate::{
    agent::{follow::Ending, record::FinalRecord},
    connector::command::Request,
    launch::{AttemptRef, Ended, Launch, Launcher, Placement, Running, Update},
};

/// A database of one attempt.
#[derive(Clone)]
struct FakeLedger(Arc<Mutex<Row>>);

struct Row {
    epoch: i64,
    permit: PermitState,
    record: Option<FinalRecord>,
    lines: u64,
}

impl FakeLedger {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Row { epoch: 1, permit: PermitState::Open, record: None, lines: 0 })))
    }

    fn permit_pod(&self) {
        self.0.lock().unwrap().permit = PermitState::Given;
    }

    fn tell(&self, record: FinalRecord) {
        self.0.lock().unwrap().record = Some(record);
    }

    /// So many lines are stored.
    fn store_lines(&self, lines: u64) {
        self.0.lock().unwrap().lines = lines;
    }

    fn state(&self) -> PermitState {
        self.0.lock().unwrap().permit
    }

    /// Another worker adopts the attempt.
    fn take_over(&self) {
        self.0.lock().unwrap().epoch += 1;
    }

    fn epoch(&self) -> i64 {
        self.0.lock().unwrap().epoch
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn close(&self, fence: Fence) -> Result<bool, StoreError> {
        let mut row = self.0.lock().unwrap();
        if row.epoch != fence.epoch {
            return Err(StoreError::Fenced);
        }
        if row.permit == PermitState::Open {
            row.permit = PermitState::Closed;
        }
        Ok(row.permit == PermitState::Closed)
    }

    async fn permit(&self, _key: Key) -> Result<PermitState, StoreError> {
        Ok(self.state())
    }

    async fn record(&self, _key: Key) -> Result<Option<Ending>, StoreError> {
        Ok(self.0.lock().unwrap().record.clone().map(FinalRecord::into_ending))
    }

    async fn lines(&self, _key: Key) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().lines)
    }

    async fn told(&self, _key: Key, _within: Duration) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    fn token(&self, _key: Key) -> String {
        "agent1.token".to_owned()
    }
}

struct Stage {
    fake: Fake,
    ledger: FakeLedger,
    launcher: KubeLauncher,
    launch: Launch,
    pod: String,
}

impl Stage {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: KubeSettings) -> Self {
        let (fake, ledger) = (Fake::start().await, FakeLedger::new());
        let launch = Launch {
            task: TaskId::now_v7(),
            attempt: 1,
            epoch: 1,
            job: Some(1),
            connector_type: "postgres".to_owned(),
            version: "v0.9.4".to_owned(),
            request: Request::Sync {
                source: "{}".to_owned(),
                destination: "{}".to_owned(),
                catalog: "{}".to_owned(),
                state: None,
            },
            mask: Vec::new(),
            placement: Placement::default(),
            deadline: Duration::from_secs(3_600),
        };
        let budget = Budget::new(1_000, 1_000);
        let clock = SystemClock::shared();
        let launcher = KubeLauncher::new(
            fake.client.clone(),
            "olake",
            settings,
            budget,
            Arc::new(ledger.clone()),
            clock,
        )
        .unwrap();
        let pod = name((launch.task, launch.attempt));
        Self { fake, ledger, launcher, launch, pod }
    }

    async fn launched(&self) -> Running {
        self.launcher.launch(self.launch.clone()).await.unwrap()
    }

    /// The attempt, as its newest owner has it.
    fn attempt(&self) -> AttemptRef {
        AttemptRef { task: self.launch.task, attempt: 1, epoch: self.ledger.epoch(), job: Some(1) }
    }

    async fn adopted(&self) -> Running {
        self.launcher.adopt(self.attempt(), Some(self.launch.clone())).await.unwrap()
    }

    /// Launched, permitted, and running.
    async fn running(&self) -> Running {
        let mut running = self.launched().await;
        self.made().await;
        self.ledger.permit_pod();
        self.fake.status(&self.pod, json!({"phase": "Running", "containerStatuses": running_connector()}));
        until(&mut running, |update| matches!(update, Update::Started { .. })).await;
        running
    }

    async fn made(&self) {
        eventually("the pod is made", || self.fake.pod(&self.pod).is_some()).await;
    }

    fn deletions(&self) -> Vec<String> {
        self.fake.calls().into_iter().filter(|call| call.starts_with("DELETE pods")).collect()
    }
}

async fn eventually(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: never");
}

async fn next(running: &mut Running) -> Update {
    tokio::time::timeout(Duration::from_secs(20), running.updates.recv())
        .await
        .expect("in time")
        .expect("an update")
}

async fn until(running: &mut Running, is_it: impl Fn(&Update) -> bool) -> Update {
    loop {
        let update = next(running).await;
        if is_it(&update) {
            return update;
        }
        assert!(!matches!(update, Update::Ended(_)), "it ended: {update:?}");
    }
}

async fn ended(running: &mut Running) -> Ended {
    loop {
        if let Update::Ended(ended) = next(running).await {
            return *ended;
        }
    }
}

fn running_connector() -> Value {
    json!([{"name": "connector", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-11-24T10:00:00Z"}}}])
}

fn ended_connector(code: i32, reason: &str) -> Value {
    json!([{"name": "connector", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason}}}])
}

fn crashed_connector(code: i32, message: &str) -> Value {
    let mut status = ended_connector(code, "Error");
    status[0]["state"]["terminated"]["message"] = json!(message);
    status
}

/// The agent of a pod; whether it has let the connector start.
fn running_agent(is_open: bool) -> Value {
    json!([{"name": "agent", "image": "i", "imageID": "", "ready": is_open, "restartCount": 0, "started": is_open,
        "state": {"running": {"startedAt": "2026-11-24T10:00:00Z"}}}])
}

//! A worker for tests of the API: it registers, claims what is due and ends it with what the test says. No connector
//! runs.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{sync::Arc, time::Duration};

use olake_api::Context;
use olake_shared::{
    domain::task::{FailureClass, PlaceClass},
    events::{Event, What},
    store::{
        logs::LogLine,
        specs::SpecKey,
        tasks::{
            Ended, Failure,
            claim::{Claim, Claimed, Work},
            end::{Final, Outcome},
            input::{OneShot, OneShotResult},
            limits::Limits,
        },
        workers::{NewWorker, RunnableConnector, Runs},
    },
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::support::Reply;

/// What a test makes of a claimed task; none leaves it running.
pub type Answer = dyn Fn(&Context, &Claimed) -> Option<Final> + Send + Sync;

/// A live worker. It stops when it is dropped; its lease stays until [`FakeWorker::leave`].
pub struct FakeWorker {
    id: Uuid,
    context: Context,
    task: JoinHandle<()>,
}

/// What the fake worker runs: `files` and `postgres`, both at v0.9.4, which write parquet; postgres writes iceberg too.
pub fn runs() -> Runs {
    let connector = |connector_type: &str, destinations: &[&str]| RunnableConnector {
        connector_type: connector_type.to_owned(),
        version: "v0.9.4".to_owned(),
        destinations: destinations.iter().map(|&d| d.to_owned()).collect(),
    };
    Runs {
        connectors: vec![connector("files", &["parquet"]), connector("postgres", &["parquet", "iceberg"])],
        ..Runs::default()
    }
}

impl FakeWorker {
    /// A worker that answers each claimed task by `answer`.
    pub async fn start(
        context: &Context,
        answer: impl Fn(&Context, &Claimed) -> Option<Final> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(context, runs(), answer).await
    }

    /// A worker that runs other connectors.
    pub async fn start_with(
        context: &Context,
        runs: Runs,
        answer: impl Fn(&Context, &Claimed) -> Option<Final> + Send + Sync + 'static,
    ) -> Self {
        let id = Uuid::now_v7();
        let worker = NewWorker {
            id,
            host: "test".to_owned(),
            launcher: "process".to_owned(),
            place: None,
            runs: runs.clone(),
            places_sync: 10,
            places_interactive: 10,
        };
        context.store.queue().register(&worker, Duration::from_secs(600)).await.unwrap();
        let task = tokio::spawn(work(context.clone(), id, runs, Arc::new(answer)));
        Self { id, context: context.clone(), task }
    }

    /// A worker that claims nothing.
    pub async fn idle(context: &Context) -> Self {
        let worker = Self::start(context, |_, _| None).await;
        worker.task.abort();
        worker
    }

    /// Stops, and takes itself out.
    pub async fn leave(self) {
        self.task.abort();
        self.context.store.queue().unregister(self.id).await.unwrap();
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work(context: Context, worker: Uuid, runs: Runs, answer: Arc<Answer>) {
    let queue = context.store.queue();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    loop {
        look.tick().await;
        for class in [PlaceClass::Interactive, PlaceClass::Sync] {
            for id in queue.due(class, &runs, Limits::default(), 10).await.unwrap_or_default() {
                let Ok(Some(Claim::Taken(claimed))) =
                    queue.claim(id, worker, "test", Limits::default()).await
                else {
                    continue;
                };
                if let Some(end) = answer(&context, &claimed) {
                    let ended = queue.end(claimed.fence, &end).await.unwrap();
                    publish(&context, &ended);
                }
            }
        }
    }
}

fn publish(context: &Context, ended: &Ended) {
    context.events.publish(Event {
        task: ended.task,
        project: ended.project.clone(),
        job: ended.job,
        what: What::Status(ended.status),
    });
}

/// A clean end with a result.
pub fn found(result: OneShotResult) -> Final {
    Final { result: Some(result), ..Final::bare(Outcome::Clean) }
}

/// A failure of this class, in these words, without a connector.
pub fn ended_as(class: FailureClass, message: &str) -> Final {
    Final::bare(Outcome::Bad(Failure::new(class, message)))
}

/// The end of a connector that failed with these words.
pub fn failed(message: &str) -> Final {
    let failure = Failure { class: FailureClass::Connector, message: message.to_owned(), exit_code: Some(1) };
    Final::bare(Outcome::Bad(failure))
}

/// The end with this spec, which is cached as the worker does it.
pub fn spec(claimed: &Claimed, spec: &serde_json::Value) -> Final {
    let Work::OneShot(OneShot::Spec { destination_type }) = &claimed.work else {
        panic!("no spec: {claimed:?}")
    };
    let key = SpecKey {
        connector_type: claimed.connector_type.clone(),
        version: claimed.connector_version.clone(),
        destination_type: destination_type.clone(),
    };
    let text = spec.to_string();
    Final { spec: Some((key, text.clone())), ..found(OneShotResult::Spec { spec: text }) }
}

/// Log lines with these messages.
pub fn lines(context: &Context, messages: impl IntoIterator<Item = String>) -> Vec<LogLine> {
    let time = context.store.clock().now();
    messages.into_iter().map(|message| LogLine { level: "info".to_owned(), time, message }).collect()
}

/// Asks again until the answer is as wanted.
pub async fn until<F: Future<Output = Reply>>(ask: impl Fn() -> F, wanted: impl Fn(&Reply) -> bool) -> Reply {
    let asked = async {
        loop {
            let reply = ask().await;
            if wanted(&reply) {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it never came to what was wanted")
}

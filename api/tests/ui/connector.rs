//! The connector of the tests: any type, at the version of the recording. A sync can be held, so that it can be cancelled.

use std::sync::{Arc, Mutex, PoisonError};

use olake_api::Context;
use olake_shared::store::{
    logs::LogLine,
    tasks::{
        Fence,
        claim::{Claimed, Work},
        end::{Final, Outcome},
        input::{OneShot, OneShotResult},
    },
    workers::{RunnableConnector, Runs},
};
use serde_json::{Value, json};

use crate::fake_worker::{FakeWorker, found, spec};

/// The version of the recording.
pub const VERSION: &str = "v0.7.4";

/// The worker, and the sync that it holds.
pub struct Connector {
    worker: FakeWorker,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    hold: bool,
    sync: Option<Fence>,
}

impl Connector {
    pub async fn start(context: &Context) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let of_worker = Arc::clone(&held);
        let worker = FakeWorker::start_with(context, runs(), move |context, claimed| {
            let mut held = of_worker.lock().unwrap_or_else(PoisonError::into_inner);
            if held.hold && matches!(claimed.work, Work::Sync(_)) {
                held.sync = Some(claimed.fence);
                return None;
            }
            Some(answer(context, claimed))
        })
        .await;
        Self { worker, held }
    }

    /// From now on syncs run until they are released.
    pub fn hold(&self) {
        self.held.lock().unwrap().hold = true;
    }

    /// Whether a sync is held.
    pub fn holds(&self) -> bool {
        self.held.lock().unwrap().sync.is_some()
    }

    /// Ends the sync that is held; later ones end by themselves.
    pub async fn release(&self, context: &Context) {
        let fence = {
            let mut held = self.held.lock().unwrap();
            held.hold = false;
            held.sync.take()
        };
        if let Some(fence) = fence {
            context.store.queue().end(fence, &Final::bare(Outcome::Clean)).await.unwrap();
        }
    }

    pub async fn leave(self) {
        self.worker.leave().await;
    }
}

fn runs() -> Runs {
    let connectors = ["postgres", "mongodb"].map(|connector_type| RunnableConnector {
        connector_type: connector_type.to_owned(),
        version: VERSION.to_owned(),
        destinations: vec!["parquet".to_owned(), "iceberg".to_owned()],
    });
    Runs { connectors: connectors.to_vec() }
}

fn answer(context: &Context, claimed: &Claimed) -> Final {
    let log = lines(context);
    match &claimed.work {
        Work::OneShot(OneShot::Spec { .. }) => {
            let form = json!({"jsonschema": {"type": "object", "properties": {"host": {"type": "string"}}}, "uischema": "{\"host\": {}}"});
            spec(claimed, &form)
        }
        Work::OneShot(OneShot::Check { config, .. }) => {
            let works = config["host"] != "badhost";
            let message = if works { "" } else { "failed to connect: no such host" };
            Final { log, ..found(OneShotResult::Check { succeeded: works, message: message.to_owned() }) }
        }
        Work::OneShot(OneShot::Discover { .. }) => {
            found(OneShotResult::Discover { catalog: catalog().to_string() })
        }
        Work::OneShot(OneShot::Difference { .. }) => {
            found(OneShotResult::Difference { catalog: catalog().to_string() })
        }
        Work::Sync(_) | Work::Clear(_) => Final { log, ..Final::bare(Outcome::Clean) },
    }
}

fn catalog() -> Value {
    json!({
        "streams": [{"stream": {"name": "orders", "namespace": "public"}, "rows": 12_345_678_901_234_567_890_u64}],
        "selected_streams": {"public": [{"stream_name": "orders"}]},
    })
}

fn lines(context: &Context) -> Vec<LogLine> {
    let time = context.store.clock().now();
    let line =
        |level: &str, message: &str| LogLine { level: level.to_owned(), time, message: message.to_owned() };
    vec![
        line("info", "first"),
        line("debug", "not for people"),
        line("warn", "second"),
        line("error", "third"),
    ]
}

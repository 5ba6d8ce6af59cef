//! What attempts left behind is removed while the worker runs.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../../shared/tests/support/samples.rs"]
mod samples;

use std::{fs, path::Path, sync::Arc, time::Duration};

use olake_shared::{
    bell::Bell,
    clock::SystemClock,
    config::ConnectorTable,
    events::Events,
    store::{retention::Retention, tasks::limits::Limits},
};
use olake_worker::{
    launch::process::{ProcessLauncher, ProcessSettings},
    reconcile::{Deadlines, Elsewhere, Settings, Worker},
    webhook::Policy,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn until(wanted: impl Fn() -> bool) {
    let looked = async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked).await.expect("it never came to what was wanted");
}

fn launcher(data: &Path) -> ProcessLauncher {
    let settings =
        ProcessSettings { memory: data.join("memory"), ..ProcessSettings::new(Duration::from_secs(1)) };
    fs::create_dir_all(&settings.memory).unwrap();
    ProcessLauncher::new(data, ConnectorTable::sample_beside(data), settings, SystemClock::shared()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_attempts_that_are_over_go_before_and_while_the_worker_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let launcher = launcher(&data);
    let left = |name: &str| {
        let paths = ["attempts", "inputs"].map(|place| data.join(place).join(name));
        for path in &paths {
            fs::create_dir(path).unwrap();
            fs::write(path.join("source.json"), "{}").unwrap();
        }
        move || paths.iter().all(|path| !path.exists())
    };
    let earlier = left(&format!("{}-1", Uuid::now_v7()));

    let store = samples::sqlite(folder.path()).await;
    let second = Duration::from_secs(1);
    let settings = Settings {
        places_sync: 1,
        places_interactive: 1,
        lease: 60 * second,
        reconcile: Duration::from_millis(20),
        deadlines: Deadlines {
            spec: second,
            check: second,
            discover: second,
            difference: second,
            validate: second,
            sync: second,
        },
        limits: Limits::default(),
        webhooks: Policy::default(),
        retention: Retention::default(),
        elsewhere: Elsewhere::default(),
        alone: false,
    };
    let stop = CancellationToken::new();
    let worker = Worker::new(
        &store,
        Bell::in_process(),
        Events::in_process(),
        Arc::new(launcher),
        settings,
        stop.clone(),
    );
    let working = tokio::spawn(async move { worker.run().await });
    until(earlier).await;
    let later = left(&format!("{}-2", Uuid::now_v7()));
    until(later).await;
    stop.cancel();
    working.await.unwrap().unwrap();
}

//! Drops what was kept long enough, a bounded number of rows at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use olake_shared::store::{
    StoreError,
    retention::{BATCH, Old},
};

use super::Worker;

/// Between two looks for what is too old.
const EVERY: Duration = Duration::from_secs(60);

/// Between two looks for what is too much, which count all tasks.
const COUNT_EVERY: Duration = Duration::from_secs(3_600);

/// Between two batches: others want the database too.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(worker: Arc<Worker>) {
    let mut counted: Option<Instant> = None;
    loop {
        if let Err(error) = drop_old(&worker).await {
            tracing::warn!(%error, "old rows were not removed");
        }
        if counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            match drop_beyond_number(&worker).await {
                Ok(()) => counted = Some(Instant::now()),
                Err(error) => tracing::warn!(%error, "tasks beyond the number that is kept were not removed"),
            }
        }
        if worker.stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn drop_old(worker: &Worker) -> Result<(), StoreError> {
    for old in Old::ALL {
        while !worker.stop.is_cancelled()
            && worker.queue.drop_old(old, &worker.settings.retention).await? >= BATCH
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn drop_beyond_number(worker: &Worker) -> Result<(), StoreError> {
    let keep = &worker.settings.retention;
    for job in worker.queue.jobs_with_too_many_tasks(keep).await? {
        while !worker.stop.is_cancelled() && worker.queue.drop_beyond_number(job, keep).await? >= BATCH {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

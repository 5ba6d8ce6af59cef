//! Drops what was kept long enough: results of one-shot tasks, rows of workers that are long dead.

use std::{sync::Arc, time::Duration};

use super::Worker;

const EVERY: Duration = Duration::from_secs(60);
const DEAD_WORKERS_KEPT: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(worker: Arc<Worker>) {
    while worker.stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = worker.queue.drop_old_results().await {
            tracing::warn!(%error, "old results were not dropped");
        }
        if let Err(error) = worker.queue.forget_dead_workers(DEAD_WORKERS_KEPT).await {
            tracing::warn!(%error, "rows of dead workers were not removed");
        }
    }
}

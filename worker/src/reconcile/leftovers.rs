//! Removes what attempts left behind on this machine that nothing runs any more: of workers that died after the end was
//! stored, of tasks that are no longer in the database.

use std::{sync::Arc, time::Duration};

use olake_shared::store::StoreError;

use super::Worker;

/// Not at every look of the others: there is seldom something. What is left is gone within this time.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);
const LOOKS: u32 = 5;

pub(super) async fn run(worker: Arc<Worker>) {
    let every = (worker.settings.reconcile * LOOKS).min(AT_LEAST_EVERY);
    while worker.stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = sweep(&worker).await {
            tracing::warn!(%error, "what ended attempts left behind was not looked for");
        }
    }
}

/// Removes the files of attempts that are over.
pub(super) async fn sweep(worker: &Worker) -> Result<(), StoreError> {
    let found = match worker.launcher.found().await {
        Ok(found) if found.is_empty() => return Ok(()),
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "what attempts left behind cannot be looked for");
            return Ok(());
        }
    };
    let alive = worker.queue.running_attempts().await?;
    match worker.launcher.sweep(found, &alive).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "what ended attempts had left behind was removed"),
        Err(error) => tracing::warn!(%error, "what ended attempts left behind was not removed"),
    }
    Ok(())
}

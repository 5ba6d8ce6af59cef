//! Wishes to cancel reach the running connectors: by the event at once, by a look at the rows otherwise. Wishes to end by
//! force come by the look alone.

use std::sync::Arc;

use olake_shared::events::What;
use tokio::sync::broadcast::error::RecvError;

use super::{Worker, running::StopReason};

pub(super) async fn run(worker: Arc<Worker>) {
    let mut events = worker.events.subscribe();
    // Kept over all events: a busy bus must not keep this look from its turn.
    let mut net = tokio::time::interval(worker.settings.reconcile);
    net.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Until the last connector has ended: a wish counts also while this worker stops.
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if event.what == What::CancelWish => worker.running.stop(event.task, StopReason::Cancelled),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => look(&worker).await,
                Err(RecvError::Closed) => return,
            },
            _ = net.tick() => look(&worker).await,
            () = stopped(&worker) => return,
        }
    }
}

async fn stopped(worker: &Worker) {
    worker.stop.cancelled().await;
    while worker.running() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn look(worker: &Worker) {
    match worker.queue.cancel_wishes(&worker.running.ids()).await {
        Ok(wishes) => wishes.into_iter().for_each(|id| worker.running.stop(id, StopReason::Cancelled)),
        Err(error) => tracing::warn!(%error, "wishes to cancel were not read"),
    }
    if !worker.launcher.outlives_worker() {
        return;
    }
    match worker.queue.force_ends(&worker.running.ids()).await {
        Ok(wishes) => wishes.into_iter().for_each(|id| worker.running.stop(id, StopReason::Forced)),
        Err(error) => tracing::warn!(%error, "wishes to end by force were not read"),
    }
}

//! Takes what is due, oldest first, while there are places.

use std::sync::Arc;

use olake_shared::{
    domain::task::{FailureClass, PlaceClass},
    step::{Moment, Step, reach},
    store::{
        StoreError,
        tasks::{
            Failure,
            claim::Claim,
            end::{Final, Outcome},
        },
    },
};

use super::{Worker, next_look, run};

pub(super) async fn run(worker: Arc<Worker>, class: PlaceClass) {
    let rung = worker.places(class).rung().clone();
    loop {
        tokio::select! {
            more = next_look(&worker) => if !more { return },
            () = rung.notified() => {}
        }
        if worker.stop.is_cancelled() {
            return;
        }
        if let Err(error) = claim_all(&worker, class).await {
            tracing::warn!(%class, %error, "nothing was claimed");
        }
    }
}

/// Claims until nothing is due or no place is free.
async fn claim_all(worker: &Arc<Worker>, class: PlaceClass) -> Result<(), StoreError> {
    let places = worker.places(class);
    let runs = worker.launcher.runs();
    while worker.lease.holds() && !worker.stop.is_cancelled() {
        let free = places.number_free();
        if free == 0 {
            return Ok(());
        }
        let due = worker.queue.due(class, &runs, worker.settings.limits, free as u64).await?;
        let mut claimed = false;
        for id in due {
            if worker.stop.is_cancelled() || !worker.lease.holds() {
                return Ok(());
            }
            let Some(place) = places.take() else { return Ok(()) };
            reach(Step::Claimed, Moment::Before);
            match worker.queue.claim(id, worker.id, &worker.host, worker.settings.limits).await? {
                // Another worker was faster.
                None => {}
                Some(Claim::Taken(task)) => {
                    reach(Step::Claimed, Moment::After);
                    claimed = true;
                    worker.tracker.spawn(run::run(worker.clone(), task, place, run::Start::Launch));
                }
                Some(Claim::Unreadable { fence, reason, .. }) => {
                    claimed = true;
                    let failure = Failure::new(
                        FailureClass::Connector,
                        format!("the task cannot be prepared: {reason}"),
                    );
                    let end = Final::bare(Outcome::Bad(failure));
                    let ended = worker.queue.end(fence, &end).await?;
                    worker.publish_end(&ended);
                }
            }
        }
        if !claimed {
            return Ok(());
        }
    }
    Ok(())
}

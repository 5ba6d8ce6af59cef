//! Fires the slots of jobs.

use std::sync::Arc;

use olake_shared::{
    events::{Event, What},
    store::schedules::Fired,
};

use super::{Worker, next_look};

/// Jobs fired at one look.
const BATCH: u64 = 100;

pub(super) async fn run(worker: Arc<Worker>) {
    while next_look(&worker).await {
        loop {
            match worker.queue.fire_schedules(BATCH).await {
                Ok(fired) => {
                    // What failed is due still: it would be looked at over and over.
                    let done = fired.iter().filter(|fired| !matches!(fired, Fired::Failed { .. }));
                    let full = done.count() as u64 >= BATCH;
                    fired.into_iter().for_each(|fired| tell(&worker, fired));
                    if !full {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "schedules were not looked at");
                    break;
                }
            }
        }
    }
}

fn tell(worker: &Worker, fired: Fired) {
    match fired {
        Fired::Started(created) => {
            tracing::info!(job.id = created.job, task.id = %created.task, "a schedule started a sync");
            worker.bell.ring(created.class, created.task);
            worker.events.publish(Event {
                task: created.task,
                project: created.project,
                job: created.job,
                what: What::Created,
            });
        }
        Fired::Skipped { job, reason } => tracing::info!(job.id = job, reason, "a slot was skipped"),
        Fired::Failed { job, error } => tracing::warn!(job.id = job, error, "a slot was not fired yet"),
    }
}

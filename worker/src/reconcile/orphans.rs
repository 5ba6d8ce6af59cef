//! Takes back the tasks of workers that died, or adopts those whose connectors live on, and fails what nobody can run.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use olake_shared::{
    step::{Moment, Step, reach},
    store::{
        StoreError,
        logs::LogLine,
        tasks::{Fence, adopt::Adoption, due::Orphan, end::Recovered},
    },
};

use super::{Worker, describe::describe, next_look, redact::Redactor, run};
use crate::{
    agent::follow::Ending,
    connector::{output, state::StateText},
    launch::{AttemptRef, known::Known},
};

/// A lease that ran out is believed after this much more: clocks of databases are read, not waited for.
const GRACE_MICROS: i64 = 1_000_000;

/// How long a task may wait for a worker that can run it, while others are up.
const UNSCHEDULABLE_AFTER: Duration = Duration::from_secs(30);

pub(super) async fn run(worker: Arc<Worker>) {
    let mut suspects = Vec::new();
    loop {
        if worker.lease.holds()
            && let Err(error) = take_forgotten(&worker, &mut suspects).await
        {
            tracing::warn!(%error, "tasks that this worker does not know of were not looked for");
        }
        // On one machine everybody else is known to be dead: nothing is to be waited for.
        let others_are_dead = worker.settings.alone || worker.lease.is_settled();
        // Who has taken itself out is not waited for, where connectors live on without their worker.
        if (others_are_dead || worker.launcher.outlives_worker() && worker.lease.holds())
            && let Err(error) = take_over(&worker, others_are_dead).await
        {
            tracing::warn!(%error, "tasks of dead workers were not taken back");
        }
        if worker.lease.holds()
            && let Err(error) = explain_waiting(&worker).await
        {
            tracing::warn!(%error, "tasks that wait were not looked at");
        }
        if !next_look(&worker).await {
            return;
        }
    }
}

/// Gives tasks back to the queue whose owner is dead. What still runs of them is ended first, and what they left on
/// this machine and the dead worker did not store is stored: a connector may have told its source already how far it is.
async fn take_over(worker: &Arc<Worker>, others_are_dead: bool) -> Result<(), StoreError> {
    let mut orphans = worker.queue.orphaned(worker.id, GRACE_MICROS).await?;
    orphans.retain(|orphan| others_are_dead || orphan.owner_left);
    // Side by side: each may have to wait until a connector has ended.
    let taken = futures::future::join_all(orphans.iter().map(|orphan| take_one(worker, orphan))).await;
    taken.into_iter().collect()
}

/// Gives back tasks that are this worker's by their rows, and that it does not run: a claim that was stored, while its
/// answer was lost with the connection. Only those that were there at the look before: a claim may be on its way.
async fn take_forgotten(worker: &Arc<Worker>, suspects: &mut Vec<Fence>) -> Result<(), StoreError> {
    let owned = worker.queue.owned_by(worker.id).await?;
    // Read after the rows: whatever was claimed by then is in it, or has ended.
    let known = worker.running.ids();
    let forgotten: Vec<Orphan> =
        owned.into_iter().filter(|orphan| !known.contains(&orphan.fence.task)).collect();
    for orphan in forgotten.iter().filter(|orphan| suspects.contains(&orphan.fence)) {
        take_one(worker, orphan).await?;
    }
    *suspects = forgotten.into_iter().map(|orphan| orphan.fence).collect();
    Ok(())
}

async fn take_one(worker: &Arc<Worker>, orphan: &Orphan) -> Result<(), StoreError> {
    let has_this_launcher = orphan.launcher.as_deref().is_none_or(|name| name == worker.launcher.name());
    if worker.launcher.outlives_worker() && has_this_launcher {
        match adopt(worker, orphan).await? {
            Adoption::Adopted(_) | Adoption::Missed => return Ok(()),
            Adoption::Unreadable(reason) => {
                tracing::warn!(task.id = %orphan.fence.task, reason, "not adopted: it is ended and taken back");
            }
        }
    }
    take_back(worker, orphan).await
}

/// Goes on with an attempt whose connector lives, or may live, without its worker.
async fn adopt(worker: &Arc<Worker>, orphan: &Orphan) -> Result<Adoption, StoreError> {
    if worker.stop.is_cancelled() {
        return Ok(Adoption::Missed);
    }
    let adoption = worker.queue.adopt(orphan.fence, worker.id, &worker.host).await?;
    if let Adoption::Adopted(task) = &adoption {
        tracing::info!(task.id = %task.fence.task, attempt = task.fence.attempt, "adopted");
        let place = worker.places(task.kind.class()).take_for_running();
        worker.tracker.spawn(run::run(worker.clone(), task.clone(), place, run::Start::Adopt));
    }
    Ok(adoption)
}

async fn take_back(worker: &Worker, orphan: &Orphan) -> Result<(), StoreError> {
    let fence = orphan.fence;
    let attempt =
        AttemptRef { task: fence.task, attempt: fence.attempt, epoch: fence.epoch, job: orphan.job };
    reach(Step::Recovered, Moment::Before);
    let redactor = redactor_of(worker, orphan).await?.map(Arc::new);
    let known = known_lines(worker, orphan, redactor.clone()).await?;
    let found = worker.launcher.recover(attempt, known).await;
    reach(Step::Recovered, Moment::After);
    let left = match found {
        Ok(None) => Recovered::default(),
        Ok(Some(ending)) => recovered(orphan, ending, redactor.as_deref(), worker.queue.now()),
        Err(error) => {
            tracing::warn!(task.id = %fence.task, attempt = fence.attempt, %error, "not taken back yet");
            return Ok(());
        }
    };
    reach(Step::TakenBack, Moment::Before);
    match worker.queue.take_back(fence, "the worker that ran this attempt is gone", &left).await {
        Ok(ended) => {
            reach(Step::TakenBack, Moment::After);
            tracing::warn!(
                task.id = %fence.task, attempt = fence.attempt, status = %ended.status,
                "taken back from a dead worker"
            );
            if let Err(error) = worker.launcher.discard(fence.task, fence.attempt).await {
                tracing::warn!(task.id = %fence.task, %error, "the attempt's files were not removed; a sweep will");
            }
            worker.publish_end(&ended);
            worker.look_now();
            Ok(())
        }
        Err(StoreError::Fenced) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What knows the secrets of an attempt; none if they cannot be read any more, or were changed since it began.
async fn redactor_of(worker: &Worker, orphan: &Orphan) -> Result<Option<Redactor>, StoreError> {
    match worker.queue.work_as_claimed(orphan.fence).await {
        Ok(task) => Ok(describe(&worker.queue, &task).ok().map(|described| described.redactor)),
        Err(StoreError::Database(error)) => Err(StoreError::Database(error)),
        Err(_) => Ok(None),
    }
}

/// The lines of an attempt that are stored.
async fn known_lines(
    worker: &Worker,
    orphan: &Orphan,
    redactor: Option<Arc<Redactor>>,
) -> Result<Known, StoreError> {
    let mut known = match redactor {
        Some(redactor) => Known::as_cleaned_by(move |text| redactor.clean(text).into_owned()),
        None => Known::by_time(),
    };
    let note = |line: LogLine| known.note(&line.level, line.time, &line.message);
    worker.queue.stored_lines(orphan.fence, orphan.lines_of_attempt, note).await?;
    Ok(known)
}

/// The part of what an attempt left that is not stored yet, without the secrets that it was given.
fn recovered(orphan: &Orphan, ending: Ending, redactor: Option<&Redactor>, now: DateTime<Utc>) -> Recovered {
    let words = |text: &str| match redactor {
        Some(redactor) => redactor.clean(text).into_owned(),
        None => "(left out: the secrets of this attempt cannot be read any more)".to_owned(),
    };
    let line = |line: output::LogLine| LogLine {
        level: line.level.as_str().to_owned(),
        time: line.time,
        message: words(&line.message),
    };
    let mut log: Vec<LogLine> = ending.progress.log.into_iter().map(line).collect();
    for gap in ending.progress.errors {
        tracing::warn!(task.id = %orphan.fence.task, %gap, "a file of a dead worker's connector was not read");
        log.push(LogLine {
            level: "warn".to_owned(),
            time: now,
            message: format!("Lines or a state may be missing: {gap}"),
        });
    }
    Recovered {
        state: ending.progress.state.map(StateText::into_string),
        first_line: orphan.lines_of_attempt,
        log,
    }
}

/// Says why queued tasks wait, and fails those that nobody can run.
async fn explain_waiting(worker: &Worker) -> Result<(), StoreError> {
    if let Err(error) = worker.queue.explain_limits(worker.settings.limits).await {
        // Every worker says so; another one was in the way.
        tracing::debug!(%error, "what holds tasks back was not noted");
    }
    let Some(runs) = worker.queue.live_runs().await? else { return Ok(()) };
    for (id, connector, version) in worker.queue.note_unrunnable(&runs, UNSCHEDULABLE_AFTER).await? {
        let message = format!(
            "no worker that is up runs {connector} {version}: add it to a worker's connectors, or choose another version"
        );
        if let Some(ended) = worker.queue.fail_unschedulable(id, &message).await? {
            worker.publish_end(&ended);
        }
    }
    Ok(())
}

//! Takes back the tasks of workers that died, fails what nobody can run, and removes what attempts left behind.

use std::{sync::Arc, time::Duration};

use olake_shared::{
    step::{Moment, Step, reach},
    store::{
        StoreError,
        logs::LogLine,
        tasks::{due::Orphan, end::Recovered},
    },
};

use super::{Worker, describe::describe, next_look};
use crate::{
    agent::follow::Ending,
    connector::{output, state::StateText},
    launch::AttemptRef,
};

/// A lease that ran out is believed after this much more: clocks of databases are read, not waited for.
const GRACE_MICROS: i64 = 1_000_000;

/// How long a task may wait for a worker that can run it, while others are up.
const UNSCHEDULABLE_AFTER: Duration = Duration::from_secs(30);

pub(super) async fn run(worker: Arc<Worker>) {
    loop {
        // On one machine everybody else is known to be dead: nothing is to be waited for.
        if (worker.settings.alone || worker.lease.is_settled())
            && let Err(error) = take_over(&worker).await
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
async fn take_over(worker: &Worker) -> Result<(), StoreError> {
    // Side by side: each may have to wait until a connector has ended.
    let orphans = worker.queue.orphaned(GRACE_MICROS).await?;
    let taken = futures::future::join_all(orphans.iter().map(|orphan| take_one(worker, orphan))).await;
    taken.into_iter().collect()
}

async fn take_one(worker: &Worker, orphan: &Orphan) -> Result<(), StoreError> {
    let fence = orphan.fence;
    let attempt = AttemptRef { task: fence.task, attempt: fence.attempt, job: orphan.job };
    reach(Step::Recovered, Moment::Before);
    let found = worker.launcher.recover(attempt).await;
    reach(Step::Recovered, Moment::After);
    let left = match found {
        Ok(None) => Recovered::default(),
        Ok(Some(ending)) => recovered(worker, orphan, ending).await?,
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

/// The part of what an attempt left that is not stored yet, without the secrets that it was given.
async fn recovered(worker: &Worker, orphan: &Orphan, ending: Ending) -> Result<Recovered, StoreError> {
    let redactor = match worker.queue.work_of(orphan.fence).await {
        Ok(task) => describe(&worker.queue, &task).ok().map(|described| described.redactor),
        Err(StoreError::Database(error)) => return Err(StoreError::Database(error)),
        Err(_) => None,
    };
    let known = usize::try_from(orphan.lines_of_attempt).unwrap_or(usize::MAX);
    let words = |text: &str| match &redactor {
        Some(redactor) => redactor.clean(text).into_owned(),
        None => "(left out: the secrets of this attempt cannot be read any more)".to_owned(),
    };
    let line = |line: output::LogLine| LogLine {
        level: line.level.as_str().to_owned(),
        time: line.time,
        message: words(&line.message),
    };
    Ok(Recovered {
        state: ending.progress.state.map(StateText::into_string),
        log: ending.progress.log.into_iter().skip(known).map(line).collect(),
    })
}

/// Says why queued tasks wait, and fails those that nobody can run.
async fn explain_waiting(worker: &Worker) -> Result<(), StoreError> {
    worker.queue.explain_limits(worker.settings.limits).await?;
    let Some(runs) = worker.queue.live_runs().await? else { return Ok(()) };
    let after = i64::try_from(UNSCHEDULABLE_AFTER.as_micros()).unwrap_or(i64::MAX);
    for (id, connector, version) in worker.queue.unrunnable(&runs, 0).await? {
        worker.queue.hold(id, &format!("no worker that is up runs {connector} {version}")).await?;
    }
    for (id, connector, version) in worker.queue.unrunnable(&runs, after).await? {
        let message = format!(
            "no worker that is up runs {connector} {version}: add it to a worker's connectors, or choose another version"
        );
        if let Some(ended) = worker.queue.fail_unschedulable(id, &message).await? {
            worker.publish_end(&ended);
        }
    }
    Ok(())
}

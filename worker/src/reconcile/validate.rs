//! A validate task: asks the launcher whether it would take a job's connector where it is to run. None is started.
//!
//! Whatever happens, nothing is left behind: whoever takes the task over asks again.

use std::time::Duration;

use olake_shared::store::tasks::{Failure, claim::Claimed, end::Outcome};

use super::{
    Worker,
    interpret::stopped_meaning,
    redact::Redactor,
    running::{Entry, StopReason},
};
use crate::launch::Launch;

/// What the task came to. `launch` says what is asked, and how long its answer is waited for.
pub(super) async fn validate(
    worker: &Worker,
    task: &Claimed,
    entry: &Entry,
    launch: Launch,
    redactor: &Redactor,
) -> Outcome {
    let within = launch.deadline;
    // What is asked for is what a sync of the job would get.
    let asked_seconds = task.settings().and_then(|settings| settings.timeout_seconds);
    let deadline = asked_seconds.map_or(worker.settings.deadlines.sync, Duration::from_secs);
    let launch = Launch { deadline, ..launch };
    let mut stop = entry.watch();
    let told_to_stop = async { stop.wait_for(Option::is_some).await.ok().and_then(|reason| *reason) };
    let answer = tokio::select! {
        answer = worker.launcher.validate(&launch) => answer,
        Some(reason) = told_to_stop => return stopped_meaning(reason, None).outcome,
        () = tokio::time::sleep(within) => return stopped_meaning(StopReason::Deadline, None).outcome,
    };
    match answer {
        Ok(()) => Outcome::Clean,
        Err(error) => Outcome::Bad(Failure::new(error.class(), redactor.clean(&error.to_string()))),
    }
}

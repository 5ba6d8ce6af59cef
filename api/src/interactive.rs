//! Requests that wait for a connector: spec, test, discover, difference; and for the answer to whether one would be taken.
//!
//! The request writes a one-shot task, rings the bell, and waits for the task's end by the events, with a slow look at
//! the row as the net. Invariants:
//! - events are subscribed to before the task exists, so that no end is missed;
//! - whoever stops waiting (the client went away, the deadline passed, the server stops) cancels the task: nothing runs
//!   for nobody;
//! - `Prefer: respond-async` waits for nothing and cancels nothing.

use std::time::Duration;

use olake_shared::{
    domain::task::{TaskId, TaskKind},
    events::{Event, What},
    store::{
        ProjectStore, StoreError,
        tasks::{
            input::{OneShot, OneShotResult},
            read::Task,
        },
    },
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{context::Context, problem::Problem};

/// How often the row is read while no event comes.
const NET: Duration = Duration::from_secs(1);

/// What the worker needs beyond its own deadline to say that it passed.
const SLACK: Duration = Duration::from_secs(10);

/// The same for a difference: a browser waits for 30 s, and its deadline is 25 s.
const SLACK_OF_DIFFERENCE: Duration = Duration::from_secs(3);

/// The same for a validate, whose request waits for it beside its own work.
const SLACK_OF_VALIDATE: Duration = Duration::from_secs(2);

/// What is asked of which connector.
#[derive(Debug)]
pub struct Call<'a> {
    pub connector_type: &'a str,
    pub version: &'a str,
    pub input: OneShot,
    /// Who asks.
    pub user: i64,
    /// Whether the client wants the task instead of the answer.
    pub respond_async: bool,
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The task has ended.
    Ended(Box<Finished>),
    /// The client did not want to wait.
    Accepted(TaskId),
}

/// A task that has ended, and what it found out.
#[derive(Debug)]
pub struct Finished {
    pub task: Task,
    /// None when it failed or was cancelled.
    pub result: Option<OneShotResult>,
}

impl Finished {
    /// Why there is no result, in the connector's words where it had some.
    pub fn failure(&self) -> String {
        match &self.task.failure_message {
            Some(message) => message.clone(),
            None => format!("the task ended as {}", self.task.status),
        }
    }
}

/// Whether a `Prefer` header wants the task instead of the answer.
pub fn wants_async(prefer: Option<&str>) -> bool {
    prefer.unwrap_or_default().split([',', ';']).any(|word| word.trim().eq_ignore_ascii_case("respond-async"))
}

/// Runs a connector and waits for it.
///
/// # Errors
/// 503 when no worker answered in time or the server stops.
pub async fn run(context: &Context, project: &ProjectStore, call: Call<'_>) -> Result<Outcome, Problem> {
    let mut events = context.events.subscribe();
    let kind = call.input.kind();
    let created = project.create_one_shot(call.connector_type, call.version, &call.input, call.user).await?;
    context.announce_created(&created);
    if call.respond_async {
        return Ok(Outcome::Accepted(created.task));
    }
    let guard = CancelOnDrop { context: context.clone(), project: project.clone(), task: Some(created.task) };
    let slack = match kind {
        TaskKind::Difference => SLACK_OF_DIFFERENCE,
        TaskKind::Validate => SLACK_OF_VALIDATE,
        _ => SLACK,
    };
    let deadline = context.settings.deadlines.of(kind) + slack;
    tokio::select! {
        () = end_of(context, created.task, &mut events) => {}
        () = context.shutdown.cancelled() => return Err(Problem::unavailable("the server is stopping")),
        () = tokio::time::sleep(deadline) => {
            let seconds = deadline.as_secs();
            return Err(Problem::unavailable(format!("no worker has answered the {kind} within {seconds} seconds")));
        }
    }
    guard.disarm();
    let task = project.task(created.task).await?;
    let result = project.one_shot_result(created.task).await?;
    Ok(Outcome::Ended(Box::new(Finished { task, result })))
}

/// Returns once the task has ended, however it did.
async fn end_of(context: &Context, task: TaskId, events: &mut Receiver<Event>) {
    let mut net = interval_at(Instant::now() + NET, NET);
    net.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listening = true;
    loop {
        let look = tokio::select! {
            event = events.recv(), if listening => match event {
                Ok(event) => event.task == task && matches!(event.what, What::Status(status) if status.is_end()),
                // Events were dropped: ours may be among them.
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => {
                    listening = false;
                    false
                }
            },
            _ = net.tick() => true,
        };
        if look && has_ended(context, task).await {
            return;
        }
    }
}

/// A database that does not answer is no end: the next look may.
async fn has_ended(context: &Context, task: TaskId) -> bool {
    match context.store.task_status(task).await {
        Ok(status) => status.is_none_or(olake_shared::domain::task::TaskStatus::is_end),
        Err(error) => {
            tracing::warn!(task.id = %task, %error, "the task that a request waits for cannot be read");
            false
        }
    }
}

/// Cancels the task unless it was disarmed: the future that waits is dropped when the client goes away.
struct CancelOnDrop {
    context: Context,
    project: ProjectStore,
    task: Option<TaskId>,
}

impl CancelOnDrop {
    fn disarm(mut self) {
        self.task = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (context, project) = (self.context.clone(), self.project.clone());
        runtime.spawn(async move {
            match project.cancel_task(task).await {
                Ok(ended) => context.announce_ended(&ended),
                // It has ended meanwhile: nothing to cancel.
                Err(StoreError::NothingToCancel(_)) => {}
                Err(error) => {
                    tracing::warn!(task.id = %task, %error, "a task that nobody waits for could not be cancelled");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_respond_async_is_preferred() {
        assert!(wants_async(Some("respond-async")));
        assert!(wants_async(Some("wait=5, Respond-Async")));
        assert!(!wants_async(Some("return=minimal")));
        assert!(!wants_async(None));
    }
}

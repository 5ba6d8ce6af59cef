//! The state machine of a task. Every change of a task's status is decided here and nowhere else.
//!
//! Invariants:
//! - terminal is terminal: no event changes a task that has ended;
//! - `epoch` grows by one at each change of ownership and never otherwise, and an event of an owner counts
//!   only under the epoch it was given;
//! - `attempt` grows by one at each claim, since each claim starts the connector anew; an adoption goes on with the
//!   attempt that runs;
//! - a wish to cancel, once made, stays;
//! - a task that waits is claimed only after the end of the task before it has promoted it.
//!
//! To add an event: add it to [`Event`], decide it in [`decide`] for each status, and say in
//! `machine/model.rs` what it does: the tests compare the two, and fail if they never met it.

use uuid::Uuid;

use super::task::{FailureClass, TaskStatus};

/// The part of a task's row that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Where the task stands.
    pub status: TaskStatus,
    /// Runs of the connector so far.
    pub attempt: i32,
    /// Changes of ownership so far.
    pub epoch: i64,
    /// The worker that owns it while it runs.
    pub owner: Option<Uuid>,
    /// Whether a person wished to cancel it.
    pub cancel_requested: bool,
}

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker with a free place takes it.
    Claim { worker: Uuid },
    /// A person wishes that it ends.
    CancelWish,
    /// The owner saw the connector end with exit code 0 and stored what it left.
    CleanEnd { epoch: i64 },
    /// The owner saw an attempt end badly; `retry` says whether another one may follow.
    BadEnd { epoch: i64, class: FailureClass, retry: bool },
    /// The owner gives it back: it stops, and the attempt is over.
    Interrupted { epoch: i64 },
    /// The owner's lease ran out and the attempt is over.
    OwnerLost { epoch: i64 },
    /// Another worker takes over the attempt while it runs: its connector outlives its worker.
    Adopt { epoch: i64, worker: Uuid },
    /// Nobody can run it.
    Unschedulable,
    /// The task that it waits for has ended as it must: it is due.
    Promoted,
    /// The task that it waits for has ended otherwise: it never runs.
    Abandoned,
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task has ended.
    #[error("the task has ended")]
    Ended,
    /// The event comes from an owner that is no longer one.
    #[error("the task belongs to another owner")]
    Fenced,
    /// The event makes no sense in this status.
    #[error("the task is not in a status for this")]
    NotNow,
}

/// Decides what `event` makes of a task.
///
/// # Errors
/// [`Refusal`] when the event must change nothing; the caller then changes nothing.
pub fn decide(task: &TaskView, event: Event) -> Result<TaskView, Refusal> {
    use TaskStatus::{Cancelled, Failed, Queued, Running, Succeeded, Waiting};
    if task.status.is_end() {
        return Err(Refusal::Ended);
    }
    let end = |status| TaskView { status, owner: None, ..*task };
    match event {
        Event::Claim { worker } => match task.status {
            Queued if !task.cancel_requested => Ok(TaskView {
                status: Running,
                attempt: task.attempt + 1,
                epoch: task.epoch + 1,
                owner: Some(worker),
                ..*task
            }),
            _ => Err(Refusal::NotNow),
        },
        Event::CancelWish => match task.status {
            Queued | Waiting => Ok(TaskView { cancel_requested: true, ..end(Cancelled) }),
            _ => Ok(TaskView { cancel_requested: true, ..*task }),
        },
        Event::CleanEnd { epoch } => owned(task, epoch).map(|()| end(Succeeded)),
        Event::BadEnd { epoch, class, retry } => owned(task, epoch).map(|()| {
            let cancelled = task.cancel_requested || class == FailureClass::Cancelled;
            match (cancelled, retry) {
                (true, _) => end(Cancelled),
                (false, true) => TaskView { epoch: epoch + 1, ..end(Queued) },
                (false, false) => end(Failed),
            }
        }),
        Event::Interrupted { epoch } | Event::OwnerLost { epoch } => owned(task, epoch).map(|()| {
            if task.cancel_requested { end(Cancelled) } else { TaskView { epoch: epoch + 1, ..end(Queued) } }
        }),
        Event::Adopt { epoch, worker } => {
            owned(task, epoch).map(|()| TaskView { epoch: epoch + 1, owner: Some(worker), ..*task })
        }
        Event::Unschedulable => match task.status {
            Queued => Ok(end(Failed)),
            _ => Err(Refusal::NotNow),
        },
        Event::Promoted => match task.status {
            Waiting => Ok(TaskView { status: Queued, ..*task }),
            _ => Err(Refusal::NotNow),
        },
        Event::Abandoned => match task.status {
            Waiting => Ok(end(Cancelled)),
            _ => Err(Refusal::NotNow),
        },
    }
}

fn owned(task: &TaskView, epoch: i64) -> Result<(), Refusal> {
    match task.status {
        TaskStatus::Running if task.epoch == epoch => Ok(()),
        TaskStatus::Running => Err(Refusal::Fenced),
        _ => Err(Refusal::NotNow),
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

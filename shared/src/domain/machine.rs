//! The state machine of a task. Every change of a task's status is decided here and nowhere else.
//!
//! Invariants:
//! - terminal is terminal: no event changes a task that has ended;
//! - `epoch` grows by one at each change of ownership and never otherwise, and an event of an owner counts
//!   only under the epoch it was given;
//! - `attempt` grows by one at each claim, since each claim starts the connector anew;
//! - a wish to cancel, once made, stays;
//! - a task that waits is claimed only after the end of the task before it has promoted it.
//!
//! To add an event: add it to [`Event`], decide it in [`decide`] for each status, and extend the model test.

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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queued() -> TaskView {
        TaskView { status: TaskStatus::Queued, attempt: 0, epoch: 0, owner: None, cancel_requested: false }
    }

    #[test]
    fn a_wish_to_cancel_that_meets_a_clean_end_is_a_success() {
        let running = decide(&queued(), Event::Claim { worker: Uuid::nil() }).unwrap();
        let wished = decide(&running, Event::CancelWish).unwrap();
        assert_eq!(wished.status, TaskStatus::Running);
        assert_eq!(decide(&wished, Event::CleanEnd { epoch: 1 }).unwrap().status, TaskStatus::Succeeded);
        let bad = Event::BadEnd { epoch: 1, class: FailureClass::Connector, retry: true };
        assert_eq!(decide(&wished, bad).unwrap().status, TaskStatus::Cancelled);
        assert_eq!(decide(&wished, Event::Interrupted { epoch: 1 }).unwrap().status, TaskStatus::Cancelled);
    }

    #[test]
    fn a_queued_task_is_cancelled_at_once_and_a_cancelled_one_is_never_claimed() {
        let cancelled = decide(&queued(), Event::CancelWish).unwrap();
        assert_eq!(cancelled.status, TaskStatus::Cancelled);
        assert_eq!(decide(&cancelled, Event::Claim { worker: Uuid::nil() }), Err(Refusal::Ended));
    }

    #[test]
    fn an_old_owner_changes_nothing() {
        let first = decide(&queued(), Event::Claim { worker: Uuid::nil() }).unwrap();
        let back = decide(&first, Event::OwnerLost { epoch: 1 }).unwrap();
        assert_eq!((back.status, back.epoch), (TaskStatus::Queued, 2));
        let second = decide(&back, Event::Claim { worker: Uuid::max() }).unwrap();
        assert_eq!((second.attempt, second.epoch), (2, 3));
        assert_eq!(decide(&second, Event::CleanEnd { epoch: 1 }), Err(Refusal::Fenced));
    }

    #[test]
    fn a_waiting_task_is_claimed_only_once_it_is_promoted() {
        let waiting = TaskView { status: TaskStatus::Waiting, ..queued() };
        let claim = Event::Claim { worker: Uuid::nil() };
        assert_eq!(decide(&waiting, claim), Err(Refusal::NotNow));
        let promoted = decide(&waiting, Event::Promoted).unwrap();
        assert_eq!(promoted, queued());
        assert_eq!(decide(&promoted, Event::Promoted), Err(Refusal::NotNow), "twice is once");
        assert_eq!(decide(&promoted, Event::Abandoned), Err(Refusal::NotNow));
        assert_eq!(decide(&promoted, claim).unwrap().status, TaskStatus::Running);
        assert_eq!(decide(&waiting, Event::Abandoned).unwrap().status, TaskStatus::Cancelled);
        assert_eq!(decide(&waiting, Event::CancelWish).unwrap().status, TaskStatus::Cancelled);
        assert_eq!(decide(&waiting, Event::Unschedulable), Err(Refusal::NotNow));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let epoch = 0..6i64;
        let class = proptest::sample::select(FailureClass::ALL);
        prop_oneof![
            any::<u128>().prop_map(|n| Event::Claim { worker: Uuid::from_u128(n) }),
            Just(Event::CancelWish),
            epoch.clone().prop_map(|epoch| Event::CleanEnd { epoch }),
            (epoch.clone(), class, any::<bool>()).prop_map(|(epoch, class, retry)| Event::BadEnd {
                epoch,
                class,
                retry
            }),
            epoch.clone().prop_map(|epoch| Event::Interrupted { epoch }),
            epoch.prop_map(|epoch| Event::OwnerLost { epoch }),
            Just(Event::Unschedulable),
            Just(Event::Promoted),
            Just(Event::Abandoned),
        ]
    }

    proptest! {
        /// Random events, doubled, late and reordered as they come.
        #[test]
        fn no_sequence_of_events_breaks_an_invariant(
            waits in any::<bool>(),
            events in proptest::collection::vec(any_event(), 0..40),
        ) {
            let mut task = queued();
            if waits {
                task.status = TaskStatus::Waiting;
            }
            for event in events {
                let before = task;
                match decide(&before, event) {
                    Err(_) => {}
                    Ok(after) => {
                        prop_assert!(!before.status.is_end(), "left an end: {before:?} by {event:?}");
                        prop_assert!(after.epoch == before.epoch || after.epoch == before.epoch + 1);
                        prop_assert_eq!(after.attempt > before.attempt, matches!(event, Event::Claim { .. }));
                        prop_assert!(after.cancel_requested || !before.cancel_requested, "a wish was lost");
                        prop_assert_eq!(after.owner.is_some(), after.status == TaskStatus::Running);
                        prop_assert!(after.status != TaskStatus::Waiting, "nothing begins to wait");
                        if before.status == TaskStatus::Waiting {
                            prop_assert_eq!(after.status == TaskStatus::Queued, event == Event::Promoted);
                            prop_assert_eq!(after.attempt, before.attempt);
                        }
                        task = after;
                    }
                }
            }
        }
    }
}

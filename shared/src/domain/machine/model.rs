//! A second account of the state machine, made otherwise, which the tests compare it with.
//!
//! What is accepted is a table: a row for each status, event and wish; whatever has no row changes nothing. Attempt,
//! epoch and owner are not kept at all, but counted from the log of what was accepted.
//!
//! To add an event: its [`Kind`], its rows in [`TABLE`], and, if it changes the owner, who that is, in [`owner_after`].

use uuid::Uuid;

use super::{Event, Refusal};
use crate::domain::{
    machine::TaskView,
    task::{
        FailureClass,
        TaskStatus::{self, Cancelled, Failed, Queued, Running, Succeeded, Waiting},
    },
};

/// An event without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Claim,
    CancelWish,
    CleanEnd,
    /// It ended badly, and another attempt may follow.
    BadEndToRetry,
    /// It ended badly, for good.
    BadEnd,
    /// It ended because it was told to, by a wish.
    CancelledEnd,
    Interrupted,
    OwnerLost,
    Adopt,
    Unschedulable,
    Promoted,
    Abandoned,
}

/// Whether a person wished that the task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    Yes,
    No,
    /// It makes no difference.
    Either,
}

/// A row of the table: from this status, by this event, with this wish, to that status.
pub type Row = (TaskStatus, Kind, Wish, TaskStatus);

pub const TABLE: [Row; 18] = [
    (Waiting, Kind::Promoted, Wish::Either, Queued),
    (Waiting, Kind::Abandoned, Wish::Either, Cancelled),
    (Waiting, Kind::CancelWish, Wish::Either, Cancelled),
    (Queued, Kind::Claim, Wish::No, Running),
    (Queued, Kind::CancelWish, Wish::Either, Cancelled),
    (Queued, Kind::Unschedulable, Wish::Either, Failed),
    (Running, Kind::CancelWish, Wish::Either, Running),
    (Running, Kind::CleanEnd, Wish::Either, Succeeded),
    (Running, Kind::CancelledEnd, Wish::Either, Cancelled),
    (Running, Kind::BadEnd, Wish::No, Failed),
    (Running, Kind::BadEnd, Wish::Yes, Cancelled),
    (Running, Kind::BadEndToRetry, Wish::No, Queued),
    (Running, Kind::BadEndToRetry, Wish::Yes, Cancelled),
    (Running, Kind::Interrupted, Wish::No, Queued),
    (Running, Kind::Interrupted, Wish::Yes, Cancelled),
    (Running, Kind::Adopt, Wish::Either, Running),
    (Running, Kind::OwnerLost, Wish::No, Queued),
    (Running, Kind::OwnerLost, Wish::Yes, Cancelled),
];

impl Kind {
    pub fn of(event: Event) -> Self {
        match event {
            Event::Claim { .. } => Self::Claim,
            Event::CancelWish => Self::CancelWish,
            Event::CleanEnd { .. } => Self::CleanEnd,
            Event::BadEnd { class: FailureClass::Cancelled, .. } => Self::CancelledEnd,
            Event::BadEnd { retry: true, .. } => Self::BadEndToRetry,
            Event::BadEnd { retry: false, .. } => Self::BadEnd,
            Event::Interrupted { .. } => Self::Interrupted,
            Event::OwnerLost { .. } => Self::OwnerLost,
            Event::Adopt { .. } => Self::Adopt,
            Event::Unschedulable => Self::Unschedulable,
            Event::Promoted => Self::Promoted,
            Event::Abandoned => Self::Abandoned,
        }
    }
}

/// The epoch that an event was sent under, if it comes from an owner.
pub fn epoch_of(event: Event) -> Option<i64> {
    match event {
        Event::CleanEnd { epoch }
        | Event::BadEnd { epoch, .. }
        | Event::Interrupted { epoch }
        | Event::OwnerLost { epoch }
        | Event::Adopt { epoch, .. } => Some(epoch),
        Event::Claim { .. }
        | Event::CancelWish
        | Event::Unschedulable
        | Event::Promoted
        | Event::Abandoned => None,
    }
}

/// Who owns the task after an event that leaves it running, if that changes it.
fn owner_after(event: Event) -> Option<Uuid> {
    match event {
        Event::Claim { worker } | Event::Adopt { worker, .. } => Some(worker),
        _ => None,
    }
}

/// A task, as the log of what was accepted of it.
pub struct Model {
    began: TaskStatus,
    log: Vec<(Event, TaskStatus)>,
}

impl Model {
    /// A new task.
    pub fn new(began: TaskStatus) -> Self {
        Self { began, log: Vec::new() }
    }

    /// What is known of the task, read off its log.
    pub fn view(&self) -> TaskView {
        let mut view = TaskView {
            status: self.began,
            attempt: self.count(Kind::Claim),
            epoch: 0,
            owner: None,
            cancel_requested: self.count(Kind::CancelWish) > 0,
        };
        for (event, status) in &self.log {
            let owner = match status {
                Running => owner_after(*event).or(view.owner),
                _ => None,
            };
            // An end leaves the epoch of its last owner: nobody comes after it.
            if !status.is_end() && (owner != view.owner || owner_after(*event).is_some()) {
                view.epoch += 1;
            }
            (view.status, view.owner) = (*status, owner);
        }
        view
    }

    /// Takes an event. Answers the row by which it was accepted, or why it was not.
    pub fn take(&mut self, event: Event) -> Result<Row, Refusal> {
        let now = self.view();
        if now.status.is_end() {
            return Err(Refusal::Ended);
        }
        if now.status == Running && epoch_of(event).is_some_and(|epoch| epoch != now.epoch) {
            return Err(Refusal::Fenced);
        }
        let (kind, wished) = (Kind::of(event), if now.cancel_requested { Wish::Yes } else { Wish::No });
        let row = TABLE.into_iter().find(|(from, by, wish, _)| {
            (*from, *by) == (now.status, kind) && (*wish == Wish::Either || *wish == wished)
        });
        let row = row.ok_or(Refusal::NotNow)?;
        self.log.push((event, row.3));
        Ok(row)
    }

    fn count(&self, kind: Kind) -> i32 {
        let number = self.log.iter().filter(|(event, _)| Kind::of(*event) == kind).count();
        i32::try_from(number).unwrap_or(i32::MAX)
    }
}

//! The tasks that run under this worker, and how they are told to stop.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use olake_shared::domain::task::{FailureClass, TaskId};
use tokio::sync::watch;

/// Why a connector is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A person wished it.
    Cancelled,
    /// It ran longer than its deadline.
    Deadline,
    /// This worker stops.
    Shutdown,
    /// The task has another owner by now.
    Fenced,
    /// The database will never take what it leaves.
    Broken,
    /// A person ends it by force: its machine is lost, and its end will not be seen.
    Forced,
}

impl StopReason {
    /// What the end is judged as, for the reasons that hold whoever owns the task.
    pub fn class(self) -> Option<FailureClass> {
        match self {
            Self::Cancelled => Some(FailureClass::Cancelled),
            Self::Deadline => Some(FailureClass::Timeout),
            Self::Shutdown | Self::Fenced | Self::Broken | Self::Forced => None,
        }
    }

    /// The reason that an owner before had, by what [`Self::class`] has said of it.
    pub fn of_class(class: FailureClass) -> Option<Self> {
        [Self::Cancelled, Self::Deadline].into_iter().find(|reason| reason.class() == Some(class))
    }
}

/// The running tasks. The first reason to stop counts, but a wish to cancel goes before a shutdown: the task must not
/// come back.
#[derive(Clone, Default)]
pub struct RunningTasks(Arc<Mutex<HashMap<TaskId, watch::Sender<Option<StopReason>>>>>);

/// A task's place in the table; gone when dropped.
pub struct Entry {
    tasks: RunningTasks,
    id: TaskId,
    stop: watch::Sender<Option<StopReason>>,
}

impl RunningTasks {
    pub fn enter(&self, id: TaskId) -> Entry {
        let stop = watch::Sender::new(None);
        if let Ok(mut tasks) = self.0.lock() {
            tasks.insert(id, stop.clone());
        }
        Entry { tasks: self.clone(), id, stop }
    }

    pub fn len(&self) -> usize {
        self.0.lock().map_or(0, |tasks| tasks.len())
    }

    pub fn ids(&self) -> Vec<TaskId> {
        self.0.lock().map_or_else(|_| Vec::new(), |tasks| tasks.keys().copied().collect())
    }

    /// Tells one task to stop, if it runs here.
    pub fn stop(&self, id: TaskId, reason: StopReason) {
        if let Ok(tasks) = self.0.lock()
            && let Some(stop) = tasks.get(&id)
        {
            give(stop, reason);
        }
    }

    /// Tells all to stop.
    pub fn stop_all(&self, reason: StopReason) {
        for id in self.ids() {
            self.stop(id, reason);
        }
    }
}

fn give(stop: &watch::Sender<Option<StopReason>>, reason: StopReason) {
    stop.send_if_modified(|current| {
        let take = match *current {
            None => true,
            Some(before) => {
                before == StopReason::Shutdown && reason == StopReason::Cancelled
                    || before != StopReason::Fenced && reason == StopReason::Forced
            }
        };
        if take {
            *current = Some(reason);
        }
        take
    });
}

impl Entry {
    /// Watches for the reason to stop.
    pub fn watch(&self) -> watch::Receiver<Option<StopReason>> {
        self.stop.subscribe()
    }

    /// Stops the task from within.
    pub fn stop(&self, reason: StopReason) {
        give(&self.stop, reason);
    }

    /// Stops the task from within, whatever reason was given before.
    pub fn stop_now(&self, reason: StopReason) {
        self.stop.send_replace(Some(reason));
    }

    /// The reason that was given, if one was.
    pub fn reason(&self) -> Option<StopReason> {
        *self.stop.borrow()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Not a later attempt's: this one may have been paused while the task went round and came back here.
        if let Ok(mut tasks) = self.tasks.0.lock()
            && tasks.get(&self.id).is_some_and(|stop| stop.same_channel(&self.stop))
        {
            tasks.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_end_of_an_old_attempt_leaves_the_new_one_in_its_place() {
        let tasks = RunningTasks::default();
        let old = tasks.enter(Uuid::nil());
        let new = tasks.enter(Uuid::nil());
        drop(old);
        assert_eq!(tasks.len(), 1);
        drop(new);
        assert_eq!(tasks.len(), 0);
    }

    #[test]
    fn a_wish_to_cancel_goes_before_a_shutdown_and_not_the_other_way_round() {
        let tasks = RunningTasks::default();
        let entry = tasks.enter(Uuid::nil());
        tasks.stop_all(StopReason::Shutdown);
        tasks.stop(Uuid::nil(), StopReason::Cancelled);
        assert_eq!(entry.reason(), Some(StopReason::Cancelled));
        tasks.stop_all(StopReason::Shutdown);
        assert_eq!(entry.reason(), Some(StopReason::Cancelled));
        drop(entry);
        assert_eq!(tasks.len(), 0);
    }
}

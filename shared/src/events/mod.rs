//! The events: who waits for a change of a task hears of it at once.
//!
//! An event is a hint and may be lost; whoever hears one looks at the row, and whoever waits looks at the row from time
//! to time without one. It carries ids and words only, never a config, a result or a line of a log.
//!
//! Within a process an event is a broadcast. Between processes it goes through Redis pub/sub on one channel; a process
//! that finds Redis gone connects again and goes on.

mod redis;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{
    project::ProjectId,
    task::{TaskId, TaskStatus},
};

/// How many events a slow listener may be behind before it loses some.
const BEHIND: usize = 4096;

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// For a notification: the id of its delivery.
    pub task: TaskId,
    pub project: ProjectId,
    pub job: Option<i64>,
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was made.
    Created,
    /// Its status changed to this.
    Status(TaskStatus),
    /// A person wishes that it ends; its worker is to stop the connector.
    CancelWish,
    /// It wrote statistics or log lines.
    Progress,
    /// What its connector left is told as a whole: its worker is to look at it.
    Recorded,
    /// No task, but a notification that is to be delivered now.
    Notification,
}

/// A handle on the event bus. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    local: broadcast::Sender<Event>,
    outward: Option<mpsc::Sender<Event>>,
    /// How often events of other processes may have been missed.
    gaps: watch::Sender<u64>,
}

impl Events {
    /// Events within this process only.
    pub fn in_process() -> Self {
        Self { local: broadcast::channel(BEHIND).0, outward: None, gaps: watch::Sender::new(0) }
    }

    /// Events through Redis. Returns at once; the connection is made, and made again, in the background until
    /// `shutdown`.
    pub fn redis(client: ::redis::Client, shutdown: &CancellationToken) -> Self {
        let local = broadcast::channel(BEHIND).0;
        let (outward, queue) = mpsc::channel(BEHIND);
        let me = Uuid::now_v7();
        tokio::spawn(redis::publish(client.clone(), me, queue, shutdown.clone()));
        let gaps = watch::Sender::new(0);
        tokio::spawn(redis::listen(client, me, local.clone(), gaps.clone(), shutdown.clone()));
        Self { local, outward: Some(outward), gaps }
    }

    /// Tells all listeners. Never waits and never fails: when the way out is full the event is dropped.
    pub fn publish(&self, event: Event) {
        if let Some(outward) = &self.outward {
            let _ = outward.try_send(event.clone());
        }
        // An error says that nobody listens here, which is fine.
        let _ = self.local.send(event);
    }

    /// Events from now on. A receiver that falls behind gets `Lagged`: it has to look at the rows it cares for.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.local.subscribe()
    }

    /// Changes each time when events of other processes may have been missed, because the connection was lost and is
    /// there again.
    pub fn gaps(&self) -> watch::Receiver<u64> {
        self.gaps.subscribe()
    }
}

/// Text for the wire: `created`, `cancel_wish`, `progress`, `recorded`, `notification`, or a status word.
fn word(what: What) -> &'static str {
    match what {
        What::Created => "created",
        What::CancelWish => "cancel_wish",
        What::Progress => "progress",
        What::Recorded => "recorded",
        What::Notification => "notification",
        What::Status(status) => status.as_str(),
    }
}

fn read_word(text: &str) -> Option<What> {
    match text {
        "created" => Some(What::Created),
        "cancel_wish" => Some(What::CancelWish),
        "progress" => Some(What::Progress),
        "recorded" => Some(What::Recorded),
        "notification" => Some(What::Notification),
        other => other.parse().ok().map(What::Status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_the_wire() {
        let mut all =
            vec![What::Created, What::CancelWish, What::Progress, What::Recorded, What::Notification];
        all.extend(TaskStatus::ALL.iter().map(|status| What::Status(*status)));
        for what in all {
            assert_eq!(read_word(word(what)), Some(what));
        }
        assert_eq!(read_word("nonsense"), None);
    }
}

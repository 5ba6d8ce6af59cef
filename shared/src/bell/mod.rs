//! The bell: tells workers that something may be due.
//!
//! A bell carries a task's id and nothing else, and it is a hint: whoever hears one claims whatever is due, oldest first,
//! while there are free places. Losing every bell loses nothing, because workers also look by themselves every few
//! seconds. There is one queue for each class of places; a worker without a free place fetches none of its bells.
//!
//! Two ways: a channel within one process, or apalis over Redis between processes. The handler of an apalis job ends at
//! once, so that nothing of its retries, leases or order matters to us.

mod doorbell;
mod redis;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) use redis::connection_config;
pub use redis::{BellError, open_client};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::task::{PlaceClass, TaskId};

/// How many bells may wait within a process. More would say nothing new.
const WAITING: usize = 1024;

/// What travels: the id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// The task that may be due.
    pub task: TaskId,
}

/// A handle on the bell. Cheap to clone.
#[derive(Clone)]
pub struct Bell(Way);

#[derive(Clone)]
enum Way {
    InProcess(Arc<[Channel; 2]>),
    Redis(redis::RedisBell),
}

struct Channel {
    sender: mpsc::Sender<Ring>,
    receiver: Mutex<Option<mpsc::Receiver<Ring>>>,
}

impl Channel {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

/// How much a bell holds, for gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Bells that nobody has heard yet.
    pub waiting: u64,
    /// Keys and entries of bells that were heard and not yet trimmed.
    pub done: u64,
}

impl Bell {
    /// A bell within this process.
    pub fn in_process() -> Self {
        Self(Way::InProcess(Arc::new([Channel::new(), Channel::new()])))
    }

    /// A bell through Redis. Returns at once; the connection is made in the background.
    ///
    /// # Errors
    /// [`BellError`] when the client's address cannot be used at all.
    pub fn redis(client: ::redis::Client, shutdown: &CancellationToken) -> Result<Self, BellError> {
        Ok(Self(Way::Redis(redis::RedisBell::new(client, shutdown)?)))
    }

    /// Rings for a task. Never waits and never fails: a bell that cannot be rung is replaced by the workers' own look.
    pub fn ring(&self, class: PlaceClass, task: TaskId) {
        match &self.0 {
            // Full means that plenty of bells wait already.
            Way::InProcess(channels) => drop(channels[index(class)].sender.try_send(Ring { task })),
            Way::Redis(bell) => bell.ring(class, Ring { task }),
        }
    }

    /// Waits until what was rung so far is on its way, for a second at most: for a process that ends.
    pub async fn flush(&self) {
        if let Way::Redis(bell) = &self.0 {
            bell.flush().await;
        }
    }

    /// Hears the bells of one class until `shutdown`: each wakes `rung`. While `free` is false none is fetched.
    ///
    /// Within a process there is one listener for each class.
    pub async fn listen(
        &self,
        class: PlaceClass,
        free: watch::Receiver<bool>,
        rung: Arc<Notify>,
        shutdown: CancellationToken,
    ) {
        match &self.0 {
            Way::InProcess(channels) => {
                let receiver = channels[index(class)].receiver.lock().ok().and_then(|mut slot| slot.take());
                let Some(receiver) = receiver else {
                    return tracing::error!(%class, "the bell has a listener already");
                };
                shutdown.run_until_cancelled(listen_in_process(receiver, free, rung)).await;
            }
            Way::Redis(bell) => bell.listen(class, free, rung, shutdown).await,
        }
    }

    /// Whether the bell can be rung now.
    ///
    /// # Errors
    /// [`BellError`] when Redis does not answer within a second.
    pub async fn ping(&self) -> Result<(), BellError> {
        match &self.0 {
            Way::InProcess(_) => Ok(()),
            Way::Redis(bell) => bell.ping().await,
        }
    }

    /// What the queue of a class holds.
    ///
    /// # Errors
    /// [`BellError`] when Redis does not answer.
    pub async fn gauges(&self, class: PlaceClass) -> Result<Gauges, BellError> {
        match &self.0 {
            Way::InProcess(channels) => {
                let sender = &channels[index(class)].sender;
                let waiting = (sender.max_capacity() - sender.capacity()) as u64;
                Ok(Gauges { waiting, done: 0 })
            }
            Way::Redis(bell) => bell.gauges(class).await,
        }
    }
}

async fn listen_in_process(
    mut receiver: mpsc::Receiver<Ring>,
    mut free: watch::Receiver<bool>,
    rung: Arc<Notify>,
) {
    loop {
        if free.wait_for(|free| *free).await.is_err() || receiver.recv().await.is_none() {
            return;
        }
        rung.notify_one();
    }
}

const fn index(class: PlaceClass) -> usize {
    match class {
        PlaceClass::Sync => 0,
        PlaceClass::Interactive => 1,
    }
}

/// How long a command to Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_bell_wakes_its_own_class_and_only_while_there_is_a_place() {
        let bell = Bell::in_process();
        let stop = CancellationToken::new();
        let (free, is_free) = watch::channel(false);
        let (sync, interactive) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let hear = |class, rung: &Arc<Notify>, free| {
            let (bell, rung, stop) = (bell.clone(), rung.clone(), stop.clone());
            tokio::spawn(async move { bell.listen(class, free, rung, stop).await })
        };
        let first = hear(PlaceClass::Sync, &sync, is_free);
        let (_always, always) = watch::channel(true);
        let second = hear(PlaceClass::Interactive, &interactive, always);

        bell.ring(PlaceClass::Sync, Uuid::nil());
        bell.ring(PlaceClass::Interactive, Uuid::nil());
        interactive.notified().await;
        assert_eq!(bell.gauges(PlaceClass::Sync).await.unwrap().waiting, 1, "fetched without a place");
        free.send_replace(true);
        sync.notified().await;
        assert_eq!(bell.gauges(PlaceClass::Sync).await.unwrap().waiting, 0);
        stop.cancel();
        first.await.unwrap();
        second.await.unwrap();
    }

    #[tokio::test]
    async fn bells_without_a_listener_take_bounded_memory() {
        let bell = Bell::in_process();
        for _ in 0..100_000 {
            bell.ring(PlaceClass::Sync, Uuid::nil());
        }
        assert_eq!(bell.gauges(PlaceClass::Sync).await.unwrap().waiting, WAITING as u64);
    }
}

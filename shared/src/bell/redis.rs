//! The bell over apalis and Redis.
//!
//! apalis-redis is used as a bell only, with the settings under which its defects cannot hurt: one job at a time
//! (`batch_size(1)`), no events, an own poll strategy, a new worker name for each start of the backend, and an own bound
//! on the queue and on what it leaves behind.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{Data, WorkerBuilder};
use apalis_core::backend::{TaskSink, Vacuum};
use apalis_redis::{Config, RedisStorage};
use futures::StreamExt;
use redis::{
    AsyncCommands, Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Gauges, PATIENCE, Ring, WAITING, doorbell::doorbell, index};
use crate::{config::Secret, domain::task::PlaceClass};

/// The bell cannot be used. Nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum BellError {
    /// Redis refused or cannot be reached.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// The URL is no address of a Redis.
    #[error("redis.url (OLAKE_REDIS_URL) must look like redis://user:password@host:6379/0")]
    Address,
    /// Redis did not answer in time.
    #[error("redis did not answer in time")]
    Timeout,
}

/// A client for the Redis at `url`. Nothing is connected yet.
///
/// # Errors
/// [`BellError`] when the URL is none of Redis. It is not shown: it may hold a password.
pub fn open_client(url: &Secret) -> Result<Client, BellError> {
    Client::open(url.expose()).map_err(|error| match error.kind() {
        redis::ErrorKind::InvalidClientConfig => BellError::Address,
        _ => BellError::Redis(error),
    })
}

/// How often a broken backend is started again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a process that ends waits for its last bells.
const FLUSH: Duration = Duration::from_secs(1);
/// How often what apalis leaves behind is trimmed.
const TRIM: Duration = Duration::from_secs(30);

pub(crate) fn connection_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(PATIENCE))
        .set_connection_timeout(Some(PATIENCE))
        .set_max_delay(Duration::from_secs(2))
}

#[derive(Clone)]
pub(super) struct RedisBell {
    client: Client,
    connection: ConnectionManager,
    rings: mpsc::Sender<Order>,
}

/// What the task that rings is asked for.
enum Order {
    Ring(PlaceClass, Ring),
    /// To answer when all rings before it are done.
    Flush(oneshot::Sender<()>),
}

fn queue(class: PlaceClass) -> String {
    format!("olake:bell:{class}")
}

fn storage(connection: ConnectionManager, class: PlaceClass) -> RedisStorage<Ring> {
    let config = Config::default()
        .queue(queue(class).as_str())
        .batch_size(1)
        .emit_events(false)
        .heartbeat_interval(Duration::from_secs(10))
        .missed_heartbeats(6);
    RedisStorage::new(connection).with_config(config)
}

impl RedisBell {
    pub(super) fn new(client: Client, shutdown: &CancellationToken) -> Result<Self, BellError> {
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), connection_config())?;
        let (rings, queue) = mpsc::channel(WAITING);
        tokio::spawn(ring_all(connection.clone(), queue, shutdown.clone()));
        Ok(Self { client, connection, rings })
    }

    pub(super) fn ring(&self, class: PlaceClass, ring: Ring) {
        let _ = self.rings.try_send(Order::Ring(class, ring));
    }

    pub(super) async fn flush(&self) {
        let (sender, done) = oneshot::channel();
        if self.rings.try_send(Order::Flush(sender)).is_ok() {
            // Bells are hints: the others look by themselves.
            let _ = tokio::time::timeout(FLUSH, done).await;
        }
    }

    pub(super) async fn ping(&self) -> Result<(), BellError> {
        let mut connection = self.connection.clone();
        let ping = async move { redis::cmd("PING").query_async::<String>(&mut connection).await };
        tokio::time::timeout(Duration::from_secs(1), ping).await.map_err(|_| BellError::Timeout)??;
        Ok(())
    }

    pub(super) async fn gauges(&self, class: PlaceClass) -> Result<Gauges, BellError> {
        let queue = queue(class);
        let (scheduled, active, done, data): (u64, u64, u64, u64) = redis::pipe()
            .zcard(format!("{queue}:scheduled"))
            .llen(format!("{queue}:active"))
            .scard(format!("{queue}:done"))
            .hlen(format!("{queue}:data"))
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(Gauges { waiting: scheduled + active, done: done + data })
    }

    pub(super) async fn listen(
        &self,
        class: PlaceClass,
        free: watch::Receiver<bool>,
        rung: Arc<Notify>,
        shutdown: CancellationToken,
    ) {
        let pushed = Arc::new(Notify::new());
        tokio::spawn(hear_pushes(self.client.clone(), class, pushed.clone(), shutdown.clone()));
        tokio::spawn(trim(self.connection.clone(), class, shutdown.clone()));
        while !shutdown.is_cancelled() {
            // After a broken connection bells may have been missed: look at the rows.
            rung.notify_one();
            let (backend, feeding) =
                doorbell(storage(self.connection.clone(), class), pushed.clone(), free.clone());
            let name = format!("{class}-{}", Uuid::now_v7());
            let worker = WorkerBuilder::new(name).backend(backend).data(rung.clone()).build(hear);
            let ended = tokio::select! {
                ended = worker.run() => ended,
                () = feeding => return,
                () = shutdown.cancelled() => return,
            };
            tracing::warn!(%class, error = ?ended.err(), "the bell's backend ended, starting it again");
            shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }
}

/// The handler of a bell: it ends at once.
async fn hear(_ring: Ring, rung: Data<Arc<Notify>>) {
    rung.notify_one();
}

/// Pushes bells in the background, so that no request waits for Redis.
async fn ring_all(
    connection: ConnectionManager,
    mut rings: mpsc::Receiver<Order>,
    shutdown: CancellationToken,
) {
    let mut waiting = [0, 0];
    while let Some(Some(order)) = shutdown.run_until_cancelled(rings.recv()).await {
        let (class, ring) = match order {
            Order::Ring(class, ring) => (class, ring),
            Order::Flush(done) => {
                // An error says that nobody waits any more.
                let _ = done.send(());
                continue;
            }
        };
        if let Err(error) = ring_one(connection.clone(), class, ring, &mut waiting[index(class)]).await {
            tracing::debug!(%class, %error, "a bell was not rung; workers look by themselves");
        }
    }
}

/// Rings once. `waiting` is how many bells waited after the last one was rung, and becomes how many do now.
async fn ring_one(
    mut connection: ConnectionManager,
    class: PlaceClass,
    ring: Ring,
    waiting: &mut u64,
) -> Result<(), BellError> {
    let mut count = redis::pipe();
    count.zcard(format!("{}:scheduled", queue(class))).llen(format!("{}:active", queue(class)));
    if *waiting >= WAITING as u64 {
        let (scheduled, active): (u64, u64) = count.query_async(&mut connection).await?;
        *waiting = scheduled + active;
    }
    // A bell says "something is due". When many say so already, one more would only grow the queue, and apalis' fetch
    // breaks on very long ones.
    if *waiting < WAITING as u64 {
        storage(connection.clone(), class)
            .push(ring)
            .await
            .map_err(|error| redis::RedisError::from(std::io::Error::other(error.to_string())))?;
    }
    connection.publish::<_, _, ()>(queue(class), "").await?;
    // Counted for the next one after this one is heard of: nobody waits for it.
    let (scheduled, active): (u64, u64) = count.query_async(&mut connection).await?;
    *waiting = scheduled + active;
    Ok(())
}

/// Hears of pushes by pub/sub, so that a worker looks at once.
async fn hear_pushes(client: Client, class: PlaceClass, pushed: Arc<Notify>, shutdown: CancellationToken) {
    let hear = async || -> redis::RedisResult<()> {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(queue(class)).await?;
        pushed.notify_one();
        let mut messages = connection.into_on_message();
        while messages.next().await.is_some() {
            pushed.notify_one();
        }
        Ok(())
    };
    while shutdown.run_until_cancelled(hear()).await.is_some() {
        tracing::debug!(%class, "the bell's pub/sub connection is lost, connecting again");
        if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Removes what apalis keeps of bells that were heard: it never does so itself.
async fn trim(connection: ConnectionManager, class: PlaceClass, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(TRIM)).await.is_some() {
        let mut connection = connection.clone();
        let queue = queue(class);
        let trimmed: Result<(), redis::RedisError> = async {
            let _ = storage(connection.clone(), class).vacuum().await;
            redis::pipe()
                .del(format!("{queue}:done"))
                .del(format!("{queue}:dead"))
                .del(format!("{queue}:failed"))
                .del(format!("{queue}:signal"))
                .query_async(&mut connection)
                .await
        }
        .await;
        if let Err(error) = trimmed {
            tracing::debug!(%class, %error, "the bell's queue was not trimmed");
        }
    }
}

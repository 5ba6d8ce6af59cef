//! What the launcher asks of the database: who may start, and what agents have told.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use olake_shared::{
    crypto::KeyRing,
    events::{Events, What},
    store::{
        Store, StoreError,
        tasks::{Fence, Queue, pods::PermitState},
    },
};
use tokio::sync::broadcast::error::RecvError;

use super::names::Key;
use crate::agent::{follow::Ending, record::FinalRecord};

/// The part of the database that decides about pods.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Decides that no pod will ever start this attempt. False: one may, or has. [`StoreError::Fenced`]: the task has
    /// another owner by now.
    async fn close(&self, fence: Fence) -> Result<bool, StoreError>;

    /// Whether a pod may start this attempt, or has been allowed to.
    async fn permit(&self, key: Key) -> Result<PermitState, StoreError>;

    /// What the agent told at the end, if it has.
    async fn record(&self, key: Key) -> Result<Option<Ending>, StoreError>;

    /// How many lines of the attempt are stored.
    async fn lines(&self, key: Key) -> Result<u64, StoreError>;

    /// Waits until something may have been told, at most so long.
    async fn told(&self, key: Key, within: Duration);

    /// What the agent of an attempt shows to be let in.
    fn token(&self, key: Key) -> String;
}

/// The database.
pub struct DatabaseLedger {
    queue: Queue,
    events: Events,
    keys: Arc<KeyRing>,
}

impl DatabaseLedger {
    pub fn new(store: &Store, events: Events, keys: Arc<KeyRing>) -> Self {
        Self { queue: store.queue(), events, keys }
    }
}

#[async_trait]
impl Ledger for DatabaseLedger {
    async fn close(&self, fence: Fence) -> Result<bool, StoreError> {
        self.queue.close_attempt(fence).await
    }

    async fn permit(&self, (task, attempt): Key) -> Result<PermitState, StoreError> {
        self.queue.permit_state(task, attempt).await
    }

    async fn record(&self, (task, attempt): Key) -> Result<Option<Ending>, StoreError> {
        let Some(text) = self.queue.final_record(task, attempt).await? else { return Ok(None) };
        let record = FinalRecord::parse(&text)
            .map_err(|error| StoreError::Corrupt(format!("what the agent told at the end: {error}")))?;
        Ok(Some(record.into_ending()))
    }

    async fn lines(&self, (task, attempt): Key) -> Result<u64, StoreError> {
        let lines = self.queue.lines_of_attempt(task, attempt).await?;
        Ok(lines.and_then(|lines| u64::try_from(lines).ok()).unwrap_or_default())
    }

    async fn told(&self, (task, _): Key, within: Duration) {
        let mut events = self.events.subscribe();
        let told = async {
            loop {
                match events.recv().await {
                    Ok(event) if event.what == What::Recorded && event.task == task => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(within, told).await;
    }

    fn token(&self, (task, attempt): Key) -> String {
        self.keys.attempt_token(task, attempt)
    }
}

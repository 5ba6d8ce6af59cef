//! A worker takes over an attempt that runs: its connector outlives its worker.
//!
//! Nothing is started and nothing is given back: the attempt stays the same, and its new owner follows it from here.

use sea_orm::{ConnectionTrait, Statement, Value as Db};
use uuid::Uuid;

use super::{Fence, Queue, apply, claim::Claimed};
use crate::{domain::machine::Event, store::StoreError};

/// What an adoption came to.
#[derive(Clone, Debug)]
pub enum Adoption {
    /// The attempt is the worker's now.
    Adopted(Box<Claimed>),
    /// Somebody else was faster, or it has ended.
    Missed,
    /// What it works with cannot be read any more; its owner is the old one still.
    Unreadable(String),
}

impl Queue {
    /// Makes a worker the owner of an attempt that runs. `fence` is that of the owner before, who is dead, has stopped, or
    /// has forgotten it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn adopt(&self, fence: Fence, worker: Uuid, host: &str) -> Result<Adoption, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        // Rolled back at once where nothing is adopted: a claim passes over a row that somebody holds.
        let Some(row) = store.lock_task(&tx, fence.task).await? else {
            tx.rollback().await?;
            return Ok(Adoption::Missed);
        };
        if row.attempt != fence.attempt {
            tx.rollback().await?;
            return Ok(Adoption::Missed);
        }
        let event = Event::Adopt { epoch: fence.epoch, worker };
        match apply(store, &tx, &row, event, None).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(StoreError::Fenced) => {
                tx.rollback().await?;
                return Ok(Adoption::Missed);
            }
            Err(error) => return Err(error),
        }
        let mine = Fence { epoch: fence.epoch + 1, ..fence };
        let claimed = match self.read_work(&tx, &row, mine).await {
            Ok((claimed, _)) => claimed,
            Err(StoreError::Database(error)) => return Err(error.into()),
            Err(error) => {
                tx.rollback().await?;
                return Ok(Adoption::Unreadable(error.to_string()));
            }
        };
        let sql = "UPDATE task_attempts SET worker_id = $3, host = $4 WHERE task_id = $1 AND attempt = $2";
        let values: [Db; 4] = [fence.task.into(), fence.attempt.into(), worker.into(), host.into()];
        tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        tx.commit().await?;
        Ok(Adoption::Adopted(Box::new(claimed)))
    }

    /// Notes where an attempt runs: its pod, and its node once there is one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's.
    pub async fn note_pod(&self, fence: Fence, pod: &str, node: Option<&str>) -> Result<(), StoreError> {
        let sql = "UPDATE task_attempts SET pod_name = $4, node = COALESCE($5, node) \
                   WHERE task_id = $1 AND attempt = $2 AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = $1 \
                   AND t.attempt = $2 AND t.epoch = $3 AND t.status = 'running')";
        let values: [Db; 5] =
            [fence.task.into(), fence.attempt.into(), fence.epoch.into(), pod.into(), node.into()];
        let done = self.store.db.execute_raw(self.store.sql(sql, values)).await?;
        if done.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(()) }
    }
}

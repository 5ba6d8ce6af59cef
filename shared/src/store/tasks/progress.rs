//! What reaches the database while a connector runs. Every write carries the fence and changes nothing without it.

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value as Db};

use super::{Fence, Queue};
use crate::{
    domain::task::TaskPhase,
    step::{Moment, Step, reach},
    store::{Store, StoreError, logs, states},
};

impl Queue {
    /// Says what a running task is doing, and why it waits if it does. `connector_started` also records the time in the attempt.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's.
    pub async fn set_phase(
        &self,
        fence: Fence,
        phase: TaskPhase,
        waits_for: Option<&str>,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let sql = "UPDATE tasks SET phase = $4, hold_reason = $5 \
                   WHERE id = $1 AND attempt = $2 AND epoch = $3 AND status = 'running'";
        let values: [Db; 5] = [
            fence.task.into(),
            fence.attempt.into(),
            fence.epoch.into(),
            phase.as_str().into(),
            waits_for.into(),
        ];
        let done = store.db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        if phase == TaskPhase::Running {
            let sql = "UPDATE task_attempts SET connector_started_at = COALESCE(connector_started_at, $3) \
                       WHERE task_id = $1 AND attempt = $2";
            let values: [Db; 3] = [fence.task.into(), fence.attempt.into(), store.now().into()];
            store.db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        }
        Ok(())
    }

    /// Stores a state that the connector wrote. `sequence` grows within the attempt; an older one changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's.
    pub async fn push_state(
        &self,
        fence: Fence,
        job: i64,
        sequence: i64,
        state: &str,
    ) -> Result<(), StoreError> {
        let tx = self.store.begin().await?;
        write_state(&self.store, &tx, fence, job, sequence, state).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Stores the connector's statistics (JSON text, at most a few hundred bytes).
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's.
    pub async fn push_stats(
        &self,
        fence: Fence,
        stats: &str,
        records_read: Option<i64>,
        bytes_read: Option<i64>,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let sql = "UPDATE tasks SET stats = $4, records_read = COALESCE($5, records_read), \
                   bytes_read = COALESCE($6, bytes_read) \
                   WHERE id = $1 AND attempt = $2 AND epoch = $3 AND status = 'running'";
        let values: [Db; 6] = [
            fence.task.into(),
            fence.attempt.into(),
            fence.epoch.into(),
            stats.into(),
            records_read.into(),
            bytes_read.into(),
        ];
        let done = store.db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        if done.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(()) }
    }

    /// Appends log lines; their numbers follow those of the lines before, over all attempts. `first` is the number of the
    /// first one within this attempt: done twice is done once.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's.
    pub async fn append_log(
        &self,
        fence: Fence,
        first: i64,
        lines: &[logs::LogLine],
    ) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let tx = self.store.begin().await?;
        logs::append(&self.store, &tx, fence, Some(first), lines).await?;
        reach(Step::LogCommitted, Moment::Before);
        tx.commit().await?;
        reach(Step::LogCommitted, Moment::After);
        Ok(())
    }
}

/// Writes a state under the fence, and drops the oldest beyond [`states::STATES_KEPT`].
pub(super) async fn write_state(
    store: &Store,
    tx: &DatabaseTransaction,
    fence: Fence,
    job: i64,
    sequence: i64,
    state: &str,
) -> Result<(), StoreError> {
    // It never goes back: what is found after the worker's death counts on from it.
    let sql = "UPDATE tasks SET state_sequence = CASE WHEN state_sequence < $4 THEN $4 ELSE state_sequence END \
               WHERE id = $1 AND attempt = $2 AND epoch = $3 AND status = 'running'";
    let values: [Db; 4] = [fence.task.into(), fence.attempt.into(), fence.epoch.into(), sequence.into()];
    let done = tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Fenced);
    }
    let sql = "INSERT INTO job_states (job_id, task_id, attempt, sequence, state, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (job_id, task_id, attempt) DO UPDATE \
               SET state = excluded.state, sequence = excluded.sequence, updated_at = excluded.updated_at \
               WHERE job_states.sequence < excluded.sequence";
    let values: [Db; 6] = [
        job.into(),
        fence.task.into(),
        fence.attempt.into(),
        sequence.into(),
        state.into(),
        store.now().into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    states::drop_oldest(store, tx, job).await
}

//! Wishes to cancel. A wish is a column, so it holds also while no worker is up.

use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use super::{
    Ended, Queue, apply,
    create::active_of,
    read::{Task, task_missing},
};
use crate::{
    domain::{
        machine::Event,
        task::{TaskId, TaskStatus},
    },
    store::{ProjectStore, Store, StoreError, entities::task, jobs::job_missing},
};

impl ProjectStore {
    /// Wishes that the active sync of a job ends. A queued one is cancelled at once, a running one when its
    /// connector is gone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NothingToCancel`] when nothing runs.
    pub async fn cancel_job(&self, job: i64) -> Result<Ended, StoreError> {
        let name = self.job_name(job).await?;
        let tx = self.store.begin().await?;
        let nothing = || StoreError::NothingToCancel(format!("no sync of job '{name}' is running"));
        let active = active_of(&self.store, &tx, job).await?.ok_or_else(nothing)?;
        let row = self.store.lock_task(&tx, active.id).await?.ok_or_else(nothing)?;
        let ended = apply(&self.store, &tx, &row, Event::CancelWish, None).await?.ok_or_else(nothing)?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Wishes that a task ends, whatever its kind.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NothingToCancel`] when it has ended.
    pub async fn cancel_task(&self, id: TaskId) -> Result<Ended, StoreError> {
        let tx = self.store.begin().await?;
        let row = self.store.lock_task(&tx, id).await?;
        let row =
            row.filter(|row| row.project_id == self.project.as_str()).ok_or_else(|| task_missing(id))?;
        let ended = apply(&self.store, &tx, &row, Event::CancelWish, None)
            .await?
            .ok_or_else(|| StoreError::NothingToCancel(format!("task {id} has ended")))?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends a task by force whose node is lost: its end will not be seen. Its worker does it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NotLost`] while its node is not believed to be lost.
    pub async fn force_end_task(&self, id: TaskId) -> Result<Task, StoreError> {
        let task = self.task(id).await?;
        let sql = "UPDATE tasks SET force_end_requested_at = COALESCE(force_end_requested_at, $2) \
                   WHERE id = $1 AND status = 'running' AND phase = 'node_unreachable'";
        let values = [id.into(), self.store.now().into()];
        let done = self.store.db.execute_raw(self.store.sql(sql, values)).await?;
        match done.rows_affected() {
            0 => Err(StoreError::NotLost { task: id, status: task.status, phase: task.phase }),
            _ => self.task(id).await,
        }
    }

    async fn job_name(&self, id: i64) -> Result<String, StoreError> {
        use crate::store::entities::job;
        let row = job::Entity::find_by_id(id)
            .filter(job::Column::ProjectId.eq(self.project.as_str()))
            .filter(job::Column::DeletedAt.is_null())
            .one(&self.store.db)
            .await?;
        row.map(|row| row.name).ok_or_else(|| job_missing(id))
    }
}

impl Queue {
    /// Those of the given running tasks that a person wishes to end: the net below the event that says so.
    pub async fn cancel_wishes(&self, tasks: &[TaskId]) -> Result<Vec<TaskId>, StoreError> {
        self.wishes(tasks, task::Column::CancelRequestedAt).await
    }

    /// Those of the given running tasks that a person ends by force: their nodes are lost.
    pub async fn force_ends(&self, tasks: &[TaskId]) -> Result<Vec<TaskId>, StoreError> {
        self.wishes(tasks, task::Column::ForceEndRequestedAt).await
    }

    async fn wishes(&self, tasks: &[TaskId], wish: task::Column) -> Result<Vec<TaskId>, StoreError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = task::Entity::find()
            .filter(task::Column::Id.is_in(tasks.iter().copied()))
            .filter(wish.is_not_null())
            .all(&self.store.db)
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

/// Wishes that everything of a job ends, for its deletion.
pub(in crate::store) async fn cancel_all_of(
    store: &Store,
    tx: &DatabaseTransaction,
    job: i64,
) -> Result<Vec<Ended>, StoreError> {
    let open = [TaskStatus::Queued, TaskStatus::Waiting, TaskStatus::Running].map(TaskStatus::as_str);
    let rows = task::Entity::find()
        .filter(task::Column::JobId.eq(job))
        .filter(task::Column::Status.is_in(open))
        .all(tx)
        .await?;
    let mut ended = Vec::new();
    for row in rows {
        if let Some(row) = store.lock_task(tx, row.id).await? {
            ended.extend(apply(store, tx, &row, Event::CancelWish, None).await?);
        }
    }
    Ok(ended)
}

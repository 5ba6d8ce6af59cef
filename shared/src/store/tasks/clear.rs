//! Clears: removing streams from a job's destination, and what was read of them from its state.
//!
//! A clear carries the catalog of what it clears and reads the destination when it is claimed. It is the job's one active
//! task, and its schedule is held while it runs or waits.
//!
//! A clear of the whole job resets the state in the transaction that ends it well; a clear of some streams stores the
//! state that the connector wrote, in that transaction as well. A clear that does not end well changes no state: cleared
//! twice is cleared.
//!
//! "Cancel the sync, clear these streams, go on" ([`ProjectStore::update_job_and_clear`]) is written in the transaction
//! that changes the job: the wish to cancel, the clear, and the next sync, each waiting for the one before (`chain.rs`).

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait, FromQueryResult, Value as Db};
use serde::{Deserialize, Serialize};

use super::{
    Ended, apply,
    chain::wait_for,
    create::{Created, active_of, new_row},
    write_last_run,
};
use crate::{
    domain::{
        machine::Event,
        task::{AfterCondition, TaskId, TaskKind, TaskStatus, TaskTrigger},
        version::{CLEARS_SINCE, ConnectorVersion},
    },
    store::{ProjectStore, Store, StoreError, entities::task, finish, jobs::job_missing},
};

/// What a clear is given; kept sealed until it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClearInput {
    /// The catalog whose selected streams are cleared, as JSON text.
    pub catalog: String,
    /// Whether these are all streams of the job, so that its state is reset.
    pub whole: bool,
}

impl ClearInput {
    pub(super) fn of(store: &Store, row: &task::Model) -> Result<Self, StoreError> {
        let sealed =
            row.input.as_deref().ok_or_else(|| StoreError::Corrupt("a clear without input".into()))?;
        store.open_document(row.id, "input", sealed)
    }
}

/// What a saved job with changed streams set going.
#[derive(Clone, Debug, Default)]
pub struct Cleared {
    /// The tasks that were made, in the order in which they run.
    pub tasks: Vec<Created>,
    /// The sync that was wished to end, and what became of that.
    pub cancelled: Option<Ended>,
}

impl ProjectStore {
    /// Starts a clear of all streams of a job, and of its state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::JobPaused`], [`StoreError::CannotClear`] for an old connector,
    /// [`StoreError::JobBusy`] names the task that is active.
    pub async fn create_clear(&self, job: i64, user: i64) -> Result<Created, StoreError> {
        let tx = self.store.begin().await?;
        let written = self.write_clear(&tx, job, user).await;
        finish(tx, written).await
    }

    async fn write_clear(
        &self,
        tx: &DatabaseTransaction,
        job: i64,
        user: i64,
    ) -> Result<Created, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
            activate: bool,
            streams_config: String,
            version: String,
        }
        let store = &self.store;
        let lock = store.for_update_of("j");
        let sql = format!(
            "SELECT j.name, j.activate, j.streams_config, s.version FROM jobs j JOIN sources s ON s.id = j.source_id \
             WHERE j.id = $1 AND j.project_id = $2 AND j.deleted_at IS NULL {lock}"
        );
        let values: [Db; 2] = [job.into(), self.project.as_str().into()];
        let row = Row::find_by_statement(store.sql(&sql, values)).one(tx).await?;
        let row = row.ok_or_else(|| job_missing(job))?;
        if !row.activate {
            return Err(StoreError::JobPaused(row.name));
        }
        can_clear(&row.name, &row.version)?;
        if let Some(active) = active_of(store, tx, job).await? {
            return Err(StoreError::JobBusy { kind: active.kind, job: row.name, task: active.id });
        }
        let input = ClearInput { catalog: row.streams_config, whole: true };
        let new = self.clear_row(job, user, &input)?;
        let id = self.insert_task(tx, new).await?;
        Ok(self.created(id, TaskKind::Clear, Some(job)))
    }

    /// Whether a clear of a job runs or waits.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn clears(&self, job: i64) -> Result<bool, StoreError> {
        self.job_exists(job).await?;
        Ok(open_clear(&self.store, &self.store.db, job).await?.is_some())
    }

    /// Writes the rows of "cancel the sync, clear these streams, go on", under the lock of the job's row. The next sync
    /// is made only if a sync is cancelled and the job is active.
    pub(in crate::store) async fn clear_and_go_on(
        &self,
        tx: &DatabaseTransaction,
        job: i64,
        is_active: bool,
        catalog: &str,
        user: i64,
    ) -> Result<Cleared, StoreError> {
        let store = &self.store;
        let input = ClearInput { catalog: catalog.to_owned(), whole: false };
        let mut clear = self.clear_row(job, user, &input)?;
        let Some(sync) = active_of(store, tx, job).await? else {
            let id = self.insert_task(tx, clear).await?;
            return Ok(Cleared {
                tasks: vec![self.created(id, TaskKind::Clear, Some(job))],
                cancelled: None,
            });
        };
        wait_for(&mut clear, sync.id, AfterCondition::Any, "waits until the sync before it has ended");
        let clear = self.insert_task(tx, clear).await?;
        let mut tasks = vec![self.created(clear, TaskKind::Clear, Some(job))];
        if is_active {
            let (kind, trigger) = (TaskKind::Sync, TaskTrigger::Manual);
            let mut next = new_row(store, &self.project, kind, TaskStatus::Queued, trigger);
            next.job_id = Set(Some(job));
            next.created_by = Set(Some(user));
            wait_for(
                &mut next,
                clear,
                AfterCondition::Succeeded,
                "waits until the clear before it has succeeded",
            );
            let next = self.insert_task(tx, next).await?;
            tasks.push(self.created(next, kind, Some(job)));
        }
        // The last: a sync that did not run yet ends here, and what waits for it goes on.
        let cancelled = match store.lock_task(tx, sync.id).await? {
            Some(row) => apply(store, tx, &row, Event::CancelWish, None).await?,
            None => None,
        };
        Ok(Cleared { tasks, cancelled })
    }

    fn clear_row(&self, job: i64, user: i64, input: &ClearInput) -> Result<task::ActiveModel, StoreError> {
        let (kind, trigger) = (TaskKind::Clear, TaskTrigger::Manual);
        let mut row = new_row(&self.store, &self.project, kind, TaskStatus::Queued, trigger);
        let id = row.id.clone().unwrap();
        row.job_id = Set(Some(job));
        row.created_by = Set(Some(user));
        row.input = Set(Some(self.store.seal_document(id, "input", input)?));
        Ok(row)
    }

    async fn insert_task(
        &self,
        tx: &DatabaseTransaction,
        row: task::ActiveModel,
    ) -> Result<TaskId, StoreError> {
        let id = row.id.clone().unwrap();
        task::Entity::insert(row).exec_without_returning(tx).await?;
        write_last_run(&self.store, tx, id).await?;
        Ok(id)
    }
}

/// The clear of a job that runs or waits.
pub(in crate::store) async fn open_clear(
    store: &Store,
    db: &impl sea_orm::ConnectionTrait,
    job: i64,
) -> Result<Option<TaskId>, StoreError> {
    let sql = "SELECT id FROM tasks WHERE job_id = $1 AND kind = 'clear' \
               AND status IN ('queued', 'running', 'waiting') ORDER BY id LIMIT 1";
    let row = db.query_one_raw(store.sql(sql, [job.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// Refuses a connector that does not know the command.
pub(in crate::store) fn can_clear(job: &str, version: &str) -> Result<(), StoreError> {
    match version.parse::<ConnectorVersion>() {
        Ok(known) if known < CLEARS_SINCE => {
            Err(StoreError::CannotClear { job: job.to_owned(), version: version.to_owned() })
        }
        _ => Ok(()),
    }
}

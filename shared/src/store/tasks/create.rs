//! New tasks.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, Statement,
    Value as Db,
};
use serde_json::Value;
use uuid::Uuid;

use super::{input::OneShot, write_last_run};
use crate::{
    domain::{
        project::ProjectId,
        task::{PlaceClass, TaskId, TaskKind, TaskStatus, TaskTrigger},
    },
    store::{
        ProjectStore, Store, StoreError,
        connections::{ConnectionInput, Side},
        entities::task,
        finish,
        jobs::job_missing,
        time,
    },
};

/// A task that was made; its bell is to be rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub task: TaskId,
    pub class: PlaceClass,
    pub project: ProjectId,
    pub job: Option<i64>,
}

/// The row of a new task, to be completed by whoever makes it.
pub(in crate::store) fn new_row(
    store: &Store,
    project: &ProjectId,
    kind: TaskKind,
    status: TaskStatus,
    trigger: TaskTrigger,
) -> task::ActiveModel {
    task::ActiveModel {
        id: Set(Uuid::now_v7()),
        project_id: Set(project.as_str().to_owned()),
        kind: Set(kind.as_str().to_owned()),
        place_class: Set(kind.class().as_str().to_owned()),
        trigger_kind: Set(trigger.as_str().to_owned()),
        status: Set(status.as_str().to_owned()),
        attempt: Set(0),
        epoch: Set(0),
        state_sequence: Set(0),
        log_sequence: Set(0),
        log_lines: Set(0),
        attempt_lines: Set(0),
        created_at: Set(store.now()),
        ..Default::default()
    }
}

/// The active sync or clear of a job: its id, status and kind. One that waits counts as long as no other is active.
#[derive(Debug, FromQueryResult)]
pub(in crate::store) struct Active {
    pub id: TaskId,
    pub status: String,
    pub kind: String,
    pub not_before: Option<i64>,
}

pub(in crate::store) async fn active_of(
    store: &Store,
    db: &impl ConnectionTrait,
    job: i64,
) -> Result<Option<Active>, StoreError> {
    let sql = "SELECT id, status, kind, not_before FROM tasks WHERE job_id = $1 AND status IN ('queued', 'running', 'waiting') \
               AND kind IN ('sync', 'clear') ORDER BY CASE status WHEN 'waiting' THEN 1 ELSE 0 END, id LIMIT 1";
    let statement = Statement::from_sql_and_values(store.backend(), sql, [job.into()]);
    Ok(Active::find_by_statement(statement).one(db).await?)
}

impl ProjectStore {
    /// Starts a sync of a job. One that waits for a retry is started at once instead.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::JobPaused`], [`StoreError::JobBusy`] names the task that is active.
    pub async fn create_sync(&self, job: i64, user: i64) -> Result<Created, StoreError> {
        let tx = self.store.begin().await?;
        let written = self.write_sync(&tx, job, user).await;
        finish(tx, written).await
    }

    async fn write_sync(&self, tx: &DatabaseTransaction, job: i64, user: i64) -> Result<Created, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
            activate: bool,
        }
        let store = &self.store;
        let sql = format!(
            "SELECT name, activate FROM jobs WHERE id = $1 AND project_id = $2 AND deleted_at IS NULL {}",
            store.for_update()
        );
        let values: [Db; 2] = [job.into(), self.project.as_str().into()];
        let row = Row::find_by_statement(Statement::from_sql_and_values(store.backend(), sql, values))
            .one(tx)
            .await?;
        let row = row.ok_or_else(|| job_missing(job))?;
        if !row.activate {
            return Err(StoreError::JobPaused(row.name));
        }
        if let Some(active) = active_of(store, tx, job).await? {
            let waits_for_retry = active.status == TaskStatus::Queued.as_str() && active.not_before.is_some();
            if waits_for_retry && active.kind == TaskKind::Sync.as_str() {
                let sql = "UPDATE tasks SET not_before = NULL WHERE id = $1 AND status = 'queued'";
                tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, [active.id.into()]))
                    .await?;
                return Ok(self.created(active.id, TaskKind::Sync, Some(job)));
            }
            return Err(StoreError::JobBusy { kind: active.kind, job: row.name, task: active.id });
        }
        let mut new = new_row(store, &self.project, TaskKind::Sync, TaskStatus::Queued, TaskTrigger::Manual);
        new.job_id = Set(Some(job));
        new.created_by = Set(Some(user));
        let id = new.id.clone().unwrap();
        task::Entity::insert(new).exec_without_returning(tx).await?;
        write_last_run(store, tx, id).await?;
        Ok(self.created(id, TaskKind::Sync, Some(job)))
    }

    /// Starts a one-shot task on the connector of this type and version.
    ///
    /// # Errors
    /// [`StoreError::Database`] only.
    pub async fn create_one_shot(
        &self,
        connector_type: &str,
        version: &str,
        input: &OneShot,
        user: i64,
    ) -> Result<Created, StoreError> {
        let store = &self.store;
        let mut new = new_row(store, &self.project, input.kind(), TaskStatus::Queued, TaskTrigger::Manual);
        let id = new.id.clone().unwrap();
        new.created_by = Set(Some(user));
        new.connector_type = Set(Some(connector_type.to_owned()));
        new.connector_version = Set(Some(version.to_owned()));
        new.input = Set(Some(store.seal_document(id, "input", input)?));
        task::Entity::insert(new).exec_without_returning(&store.db).await?;
        Ok(self.created(id, input.kind(), None))
    }

    /// A config as it would be stored and shown: secrets replaced by tokens, tokens checked.
    ///
    /// # Errors
    /// [`StoreError::Secret`] names the field whose token does not open.
    pub async fn seal_config(&self, side: Side, input: &ConnectionInput) -> Result<Value, StoreError> {
        self.store.seal(&self.store.db, &self.project, side, input).await
    }

    pub(super) fn created(&self, task: TaskId, kind: TaskKind, job: Option<i64>) -> Created {
        Created { task, class: kind.class(), project: self.project.clone(), job }
    }
}

/// A slot of a schedule, as the row of a task keeps it.
pub(in crate::store) fn slot(time: DateTime<Utc>) -> i64 {
    time::micros(time)
}

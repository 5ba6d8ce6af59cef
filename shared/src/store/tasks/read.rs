//! What is shown of a task.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement, Value as Db,
};

use super::{Queue, input::OneShotResult, kind_of};
use crate::{
    domain::{
        project::ProjectId,
        task::{TaskId, TaskKind, TaskPhase, TaskStatus, TaskTrigger},
    },
    store::{
        ProjectStore, Store, StoreError,
        entities::{task, task_attempt},
        jobs::job_missing,
        time,
    },
};

/// A task as it is shown.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub project: ProjectId,
    pub job: Option<i64>,
    pub kind: TaskKind,
    pub trigger: TaskTrigger,
    pub status: TaskStatus,
    pub phase: Option<TaskPhase>,
    pub attempt: i32,
    pub cancel_requested: bool,
    /// Why it is not running yet.
    pub hold_reason: Option<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub scheduled_for: Option<DateTime<Utc>>,
    pub failure_class: Option<String>,
    pub failure_message: Option<String>,
    pub exit_code: Option<i32>,
    pub records_read: Option<i64>,
    pub bytes_read: Option<i64>,
    /// The connector's own statistics, as JSON text.
    pub stats: Option<String>,
    pub log_lines: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Task {
    /// When it started, or was made if it did not start yet.
    pub fn start_time(&self) -> DateTime<Utc> {
        self.started_at.unwrap_or(self.created_at)
    }

    /// How long it ran, so far while it runs, in whole seconds. Not negative, whatever the clocks say.
    pub fn runtime_seconds(&self, now: DateTime<Utc>) -> i64 {
        (self.ended_at.unwrap_or(now) - self.start_time()).num_seconds().max(0)
    }
}

/// One run of a task's connector.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub attempt: i32,
    pub host: String,
    /// The pod that it ran in, and that pod's node.
    pub pod: Option<String>,
    pub node: Option<String>,
    pub started_at: DateTime<Utc>,
    pub connector_started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub failure_class: Option<String>,
    pub failure_message: Option<String>,
    pub exit_code: Option<i32>,
}

pub(super) fn task_missing(id: TaskId) -> StoreError {
    StoreError::NotFound(format!("task {id}"))
}

fn task_of(row: &task::Model) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.id,
        project: ProjectId::new(row.project_id.as_str()),
        job: row.job_id,
        kind: kind_of(row)?,
        trigger: row.trigger_kind.parse()?,
        status: row.status.parse()?,
        phase: row.phase.as_deref().map(str::parse).transpose()?,
        attempt: row.attempt,
        cancel_requested: row.cancel_requested_at.is_some(),
        hold_reason: row.hold_reason.clone(),
        not_before: row.not_before.map(time::utc),
        scheduled_for: row.scheduled_for.map(time::utc),
        failure_class: row.failure_class.clone(),
        failure_message: row.failure_message.clone(),
        exit_code: row.exit_code,
        records_read: row.records_read,
        bytes_read: row.bytes_read,
        stats: row.stats.clone(),
        log_lines: row.log_lines,
        created_at: time::utc(row.created_at),
        started_at: row.started_at.map(time::utc),
        ended_at: row.ended_at.map(time::utc),
    })
}

impl ProjectStore {
    async fn task_row(&self, id: TaskId) -> Result<task::Model, StoreError> {
        task::Entity::find_by_id(id)
            .filter(task::Column::ProjectId.eq(self.project.as_str()))
            .one(&self.store.db)
            .await?
            .ok_or_else(|| task_missing(id))
    }

    /// One task.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this project has none of this id.
    pub async fn task(&self, id: TaskId) -> Result<Task, StoreError> {
        task_of(&self.task_row(id).await?)
    }

    /// The runs of a task's connector, oldest first.
    pub async fn attempts(&self, id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        self.task_row(id).await?;
        let rows = task_attempt::Entity::find()
            .filter(task_attempt::Column::TaskId.eq(id))
            .order_by_asc(task_attempt::Column::Attempt)
            .all(&self.store.db)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Attempt {
                attempt: row.attempt,
                host: row.host,
                pod: row.pod_name,
                node: row.node,
                started_at: time::utc(row.started_at),
                connector_started_at: row.connector_started_at.map(time::utc),
                ended_at: row.ended_at.map(time::utc),
                failure_class: row.failure_class,
                failure_message: row.failure_message,
                exit_code: row.exit_code,
            })
            .collect())
    }

    /// What a one-shot task found out, while it is kept (24 hours).
    pub async fn one_shot_result(&self, id: TaskId) -> Result<Option<OneShotResult>, StoreError> {
        let row = self.task_row(id).await?;
        row.result.map(|sealed| self.store.open_document(id, "result", &sealed)).transpose()
    }

    /// The syncs and clears of a job, newest first: at most `limit`, those before `before` if given.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this project has no such job.
    pub async fn tasks_of_job(
        &self,
        job: i64,
        limit: u64,
        before: Option<TaskId>,
    ) -> Result<Vec<Task>, StoreError> {
        self.tasks_of(job, limit, before, true).await
    }

    /// As [`Self::tasks_of_job`], without the slots that were skipped: a skipped slot is no run.
    pub async fn runs_of_job(
        &self,
        job: i64,
        limit: u64,
        before: Option<TaskId>,
    ) -> Result<Vec<Task>, StoreError> {
        self.tasks_of(job, limit, before, false).await
    }

    async fn tasks_of(
        &self,
        job: i64,
        limit: u64,
        before: Option<TaskId>,
        skipped: bool,
    ) -> Result<Vec<Task>, StoreError> {
        self.job_exists(job).await?;
        let mut query = task::Entity::find()
            .filter(task::Column::ProjectId.eq(self.project.as_str()))
            .filter(task::Column::JobId.eq(job))
            .filter(task::Column::Kind.is_in(["sync", "clear"]));
        if !skipped {
            query = query.filter(task::Column::Status.ne("skipped"));
        }
        if let Some(before) = before {
            query = query.filter(task::Column::Id.lt(before));
        }
        let rows = query.order_by_desc(task::Column::Id).limit(limit).all(&self.store.db).await?;
        rows.iter().map(task_of).collect()
    }

    /// Checks that a job exists and is not deleted.
    pub async fn job_exists(&self, job: i64) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            #[expect(dead_code, reason = "only its presence counts")]
            id: i64,
        }
        let sql = "SELECT id FROM jobs WHERE id = $1 AND project_id = $2 AND deleted_at IS NULL";
        let values: [Db; 2] = [job.into(), self.project.as_str().into()];
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        Row::find_by_statement(statement)
            .one(&self.store.db)
            .await?
            .map(|_| ())
            .ok_or_else(|| job_missing(job))
    }
}

impl Store {
    /// Where a task stands, for who waits for it.
    pub async fn task_status(&self, id: TaskId) -> Result<Option<TaskStatus>, StoreError> {
        let row = task::Entity::find_by_id(id).one(&self.db).await?;
        Ok(row.map(|row| row.status.parse()).transpose()?)
    }
}

impl Queue {
    /// How many tasks stand in each status, for gauges: `(place class, status, number)`.
    pub async fn depths(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            place_class: String,
            status: String,
            number: i64,
        }
        // One part for each partial index.
        let sql = "SELECT place_class, 'queued' AS status, COUNT(*) AS number FROM tasks \
                   WHERE status = 'queued' GROUP BY place_class UNION ALL \
                   SELECT place_class, 'running' AS status, COUNT(*) AS number FROM tasks \
                   WHERE status = 'running' GROUP BY place_class";
        let rows = Row::find_by_statement(self.store.sql(sql, [])).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| (row.place_class, row.status, row.number)).collect())
    }
}

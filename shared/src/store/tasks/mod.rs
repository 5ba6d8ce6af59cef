//! Tasks: making, claiming, following and ending them.
//!
//! - [`create`]: new tasks, by a person or by a schedule;
//! - [`read`]: what is shown of a task;
//! - [`due`]: what is to be done, and [`limits`]: what holds it back;
//! - [`claim`]: a worker takes what is due, and gets what its connector needs;
//! - [`adopt`]: a worker takes over what runs without it;
//! - [`progress`]: phase, state, statistics and log lines while the connector runs;
//! - [`pods`]: what the agents of pods may do and tell;
//! - [`end`]: the one transaction that ends an attempt;
//! - [`mod@cancel`], what people wish;
//! - [`chain`]: tasks that wait for the end of another one;
//! - [`clear`]: clears of destinations, and "cancel, clear, go on";
//! - [`input`]: what one-shot tasks are given and answer.
//!
//! All changes of status go through [`apply`]: it asks the state machine and writes what that decided.

pub mod adopt;
pub mod cancel;
pub mod chain;
pub mod claim;
pub mod clear;
pub mod create;
pub mod due;
pub mod end;
pub mod input;
pub mod limits;
pub mod pods;
pub mod progress;
pub mod read;

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, Value as Db};
use uuid::Uuid;

use self::chain::Followed;
use super::{Store, StoreError, entities::task, notifications};
use crate::domain::{
    machine::{Event, Refusal, TaskView, decide},
    project::ProjectId,
    task::{FailureClass, TaskId, TaskKind, TaskStatus},
};

/// The tasks of all projects, as a worker sees them. Made by [`Store::queue`].
#[derive(Clone)]
pub struct Queue {
    pub(super) store: Store,
}

/// The right to write of a task: its current owner holds it. Every write of a worker carries it, and changes nothing
/// once the task has another owner or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    pub task: TaskId,
    pub attempt: i32,
    pub epoch: i64,
}

/// What became of a task whose status changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub task: TaskId,
    pub project: ProjectId,
    pub job: Option<i64>,
    pub status: TaskStatus,
    /// The worker that owned it, if one did.
    pub owner: Option<Uuid>,
    /// What became of the tasks that waited for it.
    pub then: Vec<Followed>,
}

/// Why and how an attempt ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: FailureClass,
    /// Words that a person can act on; no secrets.
    pub message: String,
    /// The connector's exit code, if it was seen.
    pub exit_code: Option<i32>,
}

impl Failure {
    /// A failure without an exit code.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), exit_code: None }
    }
}

impl Queue {
    /// The time by the store's clock.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.store.clock.now()
    }
}

impl Store {
    /// The tasks of all projects, for workers.
    pub fn queue(&self) -> Queue {
        Queue { store: self.clone() }
    }

    /// The row of a task, locked until the transaction ends. The job's row is locked first, always in this order:
    /// whoever deletes a job holds its row when it comes for the tasks.
    async fn lock_task(
        &self,
        tx: &DatabaseTransaction,
        id: TaskId,
    ) -> Result<Option<task::Model>, StoreError> {
        self.lock_task_with(tx, id, self.for_update()).await
    }

    /// As [`Self::lock_task`], but a row that somebody else holds is passed over: it is being taken by another worker.
    async fn lock_free_task(
        &self,
        tx: &DatabaseTransaction,
        id: TaskId,
    ) -> Result<Option<task::Model>, StoreError> {
        let lock = match self.for_update() {
            "" => String::new(),
            lock => format!("{lock} SKIP LOCKED"),
        };
        self.lock_task_with(tx, id, &lock).await
    }

    async fn lock_task_with(
        &self,
        tx: &DatabaseTransaction,
        id: TaskId,
        lock: &str,
    ) -> Result<Option<task::Model>, StoreError> {
        if !lock.is_empty() {
            let sql =
                format!("SELECT id FROM jobs WHERE id = (SELECT job_id FROM tasks WHERE id = $1) {lock}");
            let job =
                tx.query_one_raw(Statement::from_sql_and_values(self.backend(), sql, [id.into()])).await?;
            if job.is_none() && lock.ends_with("SKIP LOCKED") && self.has_job(tx, id).await? {
                return Ok(None);
            }
        }
        let statement = Statement::from_sql_and_values(
            self.backend(),
            format!("SELECT * FROM tasks WHERE id = $1 {lock}"),
            [id.into()],
        );
        Ok(task::Entity::find().from_raw_sql(statement).one(tx).await?)
    }

    async fn has_job(&self, tx: &DatabaseTransaction, id: TaskId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM tasks WHERE id = $1 AND job_id IS NOT NULL";
        Ok(tx
            .query_one_raw(Statement::from_sql_and_values(self.backend(), sql, [id.into()]))
            .await?
            .is_some())
    }
}

pub(super) fn view(row: &task::Model) -> Result<TaskView, StoreError> {
    Ok(TaskView {
        status: row.status.parse()?,
        attempt: row.attempt,
        epoch: row.epoch,
        owner: row.owner,
        cancel_requested: row.cancel_requested_at.is_some(),
    })
}

/// Asks the state machine what `event` makes of a locked task, and writes it: the row, the job's last run, and the
/// attempt that it ended, and whatever waited for its end. Answers nothing when the event changes nothing.
async fn apply(
    store: &Store,
    tx: &DatabaseTransaction,
    row: &task::Model,
    event: Event,
    failure: Option<&Failure>,
) -> Result<Option<Ended>, StoreError> {
    let before = view(row)?;
    let after = match decide(&before, event) {
        Ok(after) => after,
        Err(Refusal::Fenced) => return Err(StoreError::Fenced),
        Err(Refusal::Ended | Refusal::NotNow) => return Ok(None),
    };
    let now = store.now();
    let is_end = after.status.is_end();
    let told = failure.map(|failure| told_as(failure, after.status));
    let failure = told.as_ref();
    let sql = "UPDATE tasks SET status = $2, attempt = $3, epoch = $4, owner = $5, \
               cancel_requested_at = CASE WHEN $6 = 1 THEN COALESCE(cancel_requested_at, $7) ELSE cancel_requested_at END, \
               phase = CASE WHEN $8 = 'running' THEN phase ELSE NULL END, \
               slot_key = CASE WHEN $8 = 'running' THEN slot_key ELSE NULL END, \
               started_at = CASE WHEN $8 = 'running' THEN COALESCE(started_at, $7) ELSE started_at END, \
               ended_at = CASE WHEN $9 = 1 THEN $7 ELSE ended_at END, \
               input = CASE WHEN $9 = 1 THEN NULL ELSE input END, \
               hold_reason = CASE WHEN $9 = 1 OR status = 'waiting' THEN NULL ELSE hold_reason END \
               WHERE id = $1";
    let values: [Db; 9] = [
        row.id.into(),
        after.status.as_str().into(),
        after.attempt.into(),
        after.epoch.into(),
        after.owner.into(),
        i32::from(after.cancel_requested).into(),
        now.into(),
        after.status.as_str().into(),
        i32::from(is_end).into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    if let Some(failure) = failure.filter(|_| after.status != TaskStatus::Succeeded) {
        let sql = "UPDATE tasks SET failure_class = $2, failure_message = $3, exit_code = $4 WHERE id = $1";
        let values: [Db; 4] = [
            row.id.into(),
            failure.class.as_str().into(),
            failure.message.as_str().into(),
            failure.exit_code.into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    }
    if before.status == TaskStatus::Running && after.status != TaskStatus::Running {
        end_attempt(store, tx, row, failure).await?;
    }
    // What waited and ends never ran.
    let ran = before.status != TaskStatus::Waiting || !is_end;
    if before.status != after.status && ran {
        write_last_run(store, tx, row.id).await?;
        notifications::enqueue_end(store, tx, row, after.status).await?;
    }
    let then = if is_end { chain::follow(store, tx, row, after.status).await? } else { Vec::new() };
    Ok(Some(Ended {
        task: row.id,
        project: ProjectId::new(row.project_id.as_str()),
        job: row.job_id,
        status: after.status,
        owner: row.owner,
        then,
    }))
}

/// What is told of a failure: of a task that ends cancelled, that it was; and no NUL, which PostgreSQL keeps in no text.
fn told_as(failure: &Failure, status: TaskStatus) -> Failure {
    if status == TaskStatus::Cancelled && failure.class != FailureClass::Cancelled {
        return Failure {
            exit_code: failure.exit_code,
            ..Failure::new(FailureClass::Cancelled, "cancelled")
        };
    }
    Failure { message: failure.message.replace('\0', " "), ..failure.clone() }
}

async fn end_attempt(
    store: &Store,
    tx: &DatabaseTransaction,
    row: &task::Model,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let sql = "UPDATE task_attempts SET ended_at = $3, failure_class = $4, failure_message = $5, exit_code = $6, \
               final_record = NULL \
               WHERE task_id = $1 AND attempt = $2 AND ended_at IS NULL";
    let values: [Db; 6] = [
        row.id.into(),
        row.attempt.into(),
        store.now().into(),
        failure.map(|f| f.class.as_str()).into(),
        failure.map(|f| f.message.as_str()).into(),
        failure.map_or(Some(0), |f| f.exit_code).into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    Ok(())
}

/// Copies a task's time, status and kind to its job, unless a newer task is there already. A slot that was skipped is
/// no run. The job's `updated_at` stays.
pub(super) async fn write_last_run(
    store: &Store,
    db: &impl ConnectionTrait,
    id: TaskId,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET last_task_id = t.id, last_run_time = COALESCE(t.started_at, t.created_at), \
               last_run_state = t.status, last_run_type = t.kind \
               FROM (SELECT id, job_id, started_at, created_at, status, kind FROM tasks WHERE id = $1) AS t \
               WHERE jobs.id = t.job_id AND t.status <> 'skipped' AND t.status <> 'waiting' \
               AND (jobs.last_task_id IS NULL OR jobs.last_task_id <= t.id)";
    db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, [id.into()])).await?;
    Ok(())
}

fn kind_of(row: &task::Model) -> Result<TaskKind, StoreError> {
    Ok(row.kind.parse()?)
}

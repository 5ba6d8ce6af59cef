//! Drops what was kept long enough, a bounded number of rows at a time.
//!
//! Never dropped: what is queued or runs, the last run and the newest task of a job, a task of which somebody is still
//! to be told, and the states of a job (each job keeps its last ones by itself). What was deleted is kept for a while as
//! it was, and then goes as a whole: with its secrets, tasks and states.
//!
//! To add a kind of rows: a value of [`Old`] and its query. Rows that point to others come before them in [`Old::ALL`].

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};

use super::{Store, StoreError, connections::Side, tasks::Queue};

/// At most this many rows go at one look.
pub const BATCH: u64 = 500;

/// How long results of schedules and forms are kept that nobody reads for long: skipped slots and one-shot tasks.
const SHORT: TimeDelta = TimeDelta::days(7);

/// How long the log of deliveries is kept.
const DELIVERIES: TimeDelta = TimeDelta::days(30);

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Tasks of jobs, after their end.
    pub tasks: TimeDelta,
    /// Tasks of each job (skipped slots not counted).
    pub tasks_per_job: u32,
    /// Log lines, after the end of their task.
    pub logs: TimeDelta,
    /// Jobs, sources and destinations, after they were deleted.
    pub deleted: TimeDelta,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            tasks: TimeDelta::days(90),
            tasks_per_job: 1_000,
            logs: TimeDelta::days(30),
            deleted: TimeDelta::days(30),
        }
    }
}

/// A kind of rows that grow old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    Sessions,
    Deliveries,
    Logs,
    /// Skipped slots and one-shot tasks.
    ShortTasks,
    Tasks,
    TasksOfDeletedJobs,
    StatesOfDeletedJobs,
    DeletedJobs,
    DeletedSources,
    DeletedDestinations,
}

impl Old {
    /// All kinds, in the order in which they go.
    pub const ALL: [Self; 10] = [
        Self::Sessions,
        Self::Deliveries,
        Self::Logs,
        Self::ShortTasks,
        Self::Tasks,
        Self::TasksOfDeletedJobs,
        Self::StatesOfDeletedJobs,
        Self::DeletedJobs,
        Self::DeletedSources,
        Self::DeletedDestinations,
    ];
}

/// A task that is neither the last run nor the newest of its job.
const HAS_SUCCESSOR: &str = "NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = t.job_id AND j.last_task_id = t.id) \
                             AND EXISTS (SELECT 1 FROM tasks n WHERE n.job_id = t.job_id AND n.id > t.id)";

/// A task that has ended, and of which nobody is to be told any more.
const OVER: &str = "t.status IN ('succeeded', 'failed', 'cancelled', 'skipped') AND NOT EXISTS \
                    (SELECT 1 FROM notification_deliveries d WHERE d.task_id = t.id AND d.status = 'pending')";

impl Queue {
    /// Drops rows of one kind that are too old. Answers how many: when it is [`BATCH`], there may be more.
    pub async fn drop_old(&self, old: Old, keep: &Retention) -> Result<u64, StoreError> {
        let store = &self.store;
        let before = |age: TimeDelta| store.now().saturating_sub(age.num_microseconds().unwrap_or(i64::MAX));
        match old {
            Old::Sessions => {
                let found = "SELECT token_hash FROM sessions WHERE expires_at <= $1";
                store.drop_rows("sessions", "sessions", "token_hash", found, store.now()).await
            }
            Old::Deliveries => {
                let found =
                    "SELECT id FROM notification_deliveries WHERE created_at <= $1 AND status <> 'pending'";
                store
                    .drop_rows(
                        "notification_deliveries",
                        "notification_deliveries",
                        "id",
                        found,
                        before(DELIVERIES),
                    )
                    .await
            }
            Old::Logs => {
                let condition = format!(
                    "c.last_time <= $1 AND t.ended_at <= $1 AND {OVER} AND (t.job_id IS NULL OR {HAS_SUCCESSOR})"
                );
                store.drop_chunks(&condition, before(keep.logs)).await
            }
            Old::ShortTasks => {
                let condition = format!(
                    "(t.job_id IS NULL OR t.status = 'skipped') AND t.ended_at <= $1 AND {OVER} \
                     AND (t.job_id IS NULL OR ({HAS_SUCCESSOR}))"
                );
                store.drop_tasks(&condition, before(SHORT)).await
            }
            Old::Tasks => {
                let condition =
                    format!("t.job_id IS NOT NULL AND t.ended_at <= $1 AND {OVER} AND {HAS_SUCCESSOR}");
                store.drop_tasks(&condition, before(keep.tasks)).await
            }
            Old::TasksOfDeletedJobs => {
                let condition =
                    format!("t.job_id IN (SELECT id FROM jobs WHERE deleted_at <= $1) AND {OVER}");
                store.drop_tasks(&condition, before(keep.deleted)).await
            }
            Old::StatesOfDeletedJobs => {
                let found = "SELECT s.id FROM job_states s JOIN jobs j ON j.id = s.job_id \
                             WHERE j.deleted_at <= $1 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.job_id = j.id)";
                store.drop_rows("job_states", "s", "id", found, before(keep.deleted)).await
            }
            Old::DeletedJobs => {
                let found = "SELECT id FROM jobs WHERE deleted_at <= $1 \
                             AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.job_id = jobs.id) \
                             AND NOT EXISTS (SELECT 1 FROM job_states s WHERE s.job_id = jobs.id)";
                store.drop_rows("jobs", "jobs", "id", found, before(keep.deleted)).await
            }
            Old::DeletedSources => store.drop_connections(Side::Source, before(keep.deleted)).await,
            Old::DeletedDestinations => store.drop_connections(Side::Destination, before(keep.deleted)).await,
        }
    }

    /// The jobs that have more tasks than are kept. It counts all of them: to be asked for seldom.
    pub async fn jobs_with_too_many_tasks(&self, keep: &Retention) -> Result<Vec<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            job_id: i64,
        }
        let sql = "SELECT job_id FROM tasks WHERE job_id IS NOT NULL AND status <> 'skipped' \
                   GROUP BY job_id HAVING COUNT(*) > $1 ORDER BY job_id";
        let statement = self.store.sql(sql, [i64::from(keep.tasks_per_job).into()]);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| row.job_id).collect())
    }

    /// Drops the oldest tasks of a job beyond the number that is kept, as [`Self::drop_old`].
    pub async fn drop_beyond_number(&self, job: i64, keep: &Retention) -> Result<u64, StoreError> {
        let last_kept = i64::from(keep.tasks_per_job.max(1)) - 1;
        let condition = format!(
            "t.job_id = $1 AND t.id < (SELECT k.id FROM tasks k WHERE k.job_id = $1 AND k.status <> 'skipped' \
             ORDER BY k.id DESC LIMIT 1 OFFSET {last_kept}) AND {OVER} AND {HAS_SUCCESSOR}"
        );
        self.store.drop_tasks(&condition, job).await
    }
}

impl Store {
    /// Deletes the rows of `table` whose `key` the query `found` answers; `$1` in it is `value`, and `locked` what it
    /// calls the table.
    async fn drop_rows(
        &self,
        table: &str,
        locked: &str,
        key: &str,
        found: &str,
        value: i64,
    ) -> Result<u64, StoreError> {
        let lock = self.rows_of_its_own(locked);
        let sql = format!("DELETE FROM {table} WHERE {key} IN ({found} LIMIT {BATCH} {lock})");
        Ok(self.db.execute_raw(self.sql(&sql, [value.into()])).await?.rows_affected())
    }

    /// Deletes tasks (`t` in the condition), their log lines first: a task may have more of these than one look drops.
    async fn drop_tasks(&self, condition: &str, value: i64) -> Result<u64, StoreError> {
        let chunks = self.drop_chunks(condition, value).await?;
        if chunks >= BATCH {
            return Ok(chunks);
        }
        let found = format!(
            "SELECT t.id FROM tasks t WHERE {condition} \
             AND NOT EXISTS (SELECT 1 FROM task_log_chunks c WHERE c.task_id = t.id)"
        );
        self.drop_rows("tasks", "t", "id", &found, value).await
    }

    /// Deletes log lines (`c` in the condition) of tasks (`t`).
    async fn drop_chunks(&self, condition: &str, value: i64) -> Result<u64, StoreError> {
        let lock = self.rows_of_its_own("c");
        let sql = format!(
            "DELETE FROM task_log_chunks WHERE (task_id, sequence) IN (SELECT c.task_id, c.sequence \
             FROM task_log_chunks c JOIN tasks t ON t.id = c.task_id WHERE {condition} LIMIT {BATCH} {lock})"
        );
        let values: [Db; 1] = [value.into()];
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        Ok(self.db.execute_raw(statement).await?.rows_affected())
    }

    /// Other workers do the same just now: each takes rows of its own.
    fn rows_of_its_own(&self, table: &str) -> String {
        match self.for_update() {
            "" => String::new(),
            lock => format!("{lock} OF {table} SKIP LOCKED"),
        }
    }

    async fn drop_connections(&self, side: Side, deleted_before: i64) -> Result<u64, StoreError> {
        // Also a deleted job still points to its sides.
        let found = format!(
            "SELECT id FROM {table} WHERE deleted_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.{} = {table}.id)",
            side.job_column(),
            table = side.table()
        );
        self.drop_rows(side.table(), side.table(), "id", &found, deleted_before).await
    }
}

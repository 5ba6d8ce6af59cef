//! What is to be done: due tasks, orphans, and tasks that nobody can run.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use super::{
    Fence, Queue,
    limits::{Limits, SLOT_TAKEN, SOURCE_OF, SOURCE_RUNNING},
};
use crate::{
    domain::task::{PlaceClass, TaskId},
    store::{StoreError, workers::Runs},
};

/// The connector that runs task `t`: its source's, or its own.
const TYPE: &str = "COALESCE(s.type, t.connector_type)";
const VERSION: &str = "COALESCE(s.version, t.connector_version)";

/// A running task whose owner is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub fence: Fence,
    pub job: Option<i64>,
    /// How many log lines of this attempt are stored.
    pub lines_of_attempt: i64,
}

impl Queue {
    /// The ids of due tasks that a worker of these connectors can run. Projects take turns, so that one with many
    /// tasks does not keep the others waiting; within a project the oldest comes first.
    pub async fn due(
        &self,
        class: PlaceClass,
        runs: &Runs,
        limits: Limits,
        limit: u64,
    ) -> Result<Vec<TaskId>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
        }
        let mut values: Vec<Db> = vec![
            class.as_str().into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
            limits.of_project(class).into(),
            limits.of_source(class).into(),
        ];
        let matches = runs.sql_condition(TYPE, VERSION, &mut values);
        let sql = format!(
            "SELECT id FROM (SELECT t.id, COALESCE(r.running, 0) + ROW_NUMBER() OVER (PARTITION BY t.project_id \
             ORDER BY t.id) AS turn FROM tasks t {SOURCE_OF} \
             LEFT JOIN (SELECT project_id, COUNT(*) AS running FROM tasks WHERE status = 'running' AND place_class = $1 \
             GROUP BY project_id) r ON r.project_id = t.project_id \
             WHERE t.status = 'queued' AND t.place_class = $1 AND t.cancel_requested_at IS NULL \
             AND (t.not_before IS NULL OR t.not_before <= {now}) AND {matches} \
             AND NOT EXISTS ({SLOT_TAKEN}) AND ({SOURCE_RUNNING}) < $4) q \
             WHERE turn <= $3 ORDER BY turn, id LIMIT $2",
            now = self.store.db_now()
        );
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// The queued tasks that no live worker can run although one is up, older than `older_than_micros`: their ids and
    /// connectors.
    pub async fn unrunnable(
        &self,
        runs: &Runs,
        older_than_micros: i64,
    ) -> Result<Vec<(TaskId, String, String)>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
            connector_type: Option<String>,
            connector_version: Option<String>,
        }
        let mut values: Vec<Db> = vec![(self.store.now() - older_than_micros).into()];
        let matches = runs.sql_condition(TYPE, VERSION, &mut values);
        let sql = format!(
            "SELECT t.id, COALESCE(s.type, t.connector_type) AS connector_type, \
             COALESCE(s.version, t.connector_version) AS connector_version \
             FROM tasks t LEFT JOIN jobs j ON j.id = t.job_id LEFT JOIN sources s ON s.id = j.source_id \
             WHERE t.status = 'queued' AND t.created_at <= $1 AND NOT ({matches}) ORDER BY t.id LIMIT 100"
        );
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                (row.id, row.connector_type.unwrap_or_default(), row.connector_version.unwrap_or_default())
            })
            .collect())
    }

    /// The running tasks whose owner's lease ran out, or whose owner is unknown.
    pub async fn orphaned(&self, grace_micros: i64) -> Result<Vec<Orphan>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
            job_id: Option<i64>,
            attempt: i32,
            epoch: i64,
            lines_of_attempt: i64,
        }
        let sql = format!(
            "SELECT t.id, t.job_id, t.attempt, t.epoch, CAST(COALESCE((SELECT SUM(c.lines) FROM task_log_chunks c \
             WHERE c.task_id = t.id AND c.attempt = t.attempt), 0) AS BIGINT) AS lines_of_attempt \
             FROM tasks t LEFT JOIN workers w ON w.id = t.owner \
             WHERE t.status = 'running' AND (w.id IS NULL OR w.lease_until + $1 < {}) ORDER BY t.id LIMIT 100",
            self.store.db_now()
        );
        let rows =
            Row::find_by_statement(self.store.sql(&sql, [grace_micros.into()])).all(&self.store.db).await?;
        Ok(rows
            .into_iter()
            .map(|row| Orphan {
                fence: Fence { task: row.id, attempt: row.attempt, epoch: row.epoch },
                job: row.job_id,
                lines_of_attempt: row.lines_of_attempt,
            })
            .collect())
    }

    /// The attempts of all running tasks.
    pub async fn running_attempts(&self) -> Result<Vec<(TaskId, i32)>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
            attempt: i32,
        }
        let sql = "SELECT id, attempt FROM tasks WHERE status = 'running'";
        let rows = Row::find_by_statement(self.store.sql(sql, [])).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.attempt)).collect())
    }

    /// Says in the row why a queued task is not running yet. Nothing happens if it is not queued any more.
    pub async fn hold(&self, id: TaskId, reason: &str) -> Result<(), StoreError> {
        let sql = "UPDATE tasks SET hold_reason = $2 WHERE id = $1 AND status = 'queued'";
        self.store.db.execute_raw(self.store.sql(sql, [id.into(), reason.into()])).await?;
        Ok(())
    }
}

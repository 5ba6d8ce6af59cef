//! What is to be done: due tasks, orphans, and tasks that nobody can run.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use super::{
    Fence, Queue,
    limits::{Limits, RUNNING_OF_PROJECT, RUNNING_OF_SOURCE, SLOT_HOLDER, SOURCE_OF},
};
use crate::{
    domain::task::{PlaceClass, TaskId},
    store::{ProjectStore, StoreError, workers::Runs},
};

/// The connector that runs task `t`: its source's, or its own.
const TYPE: &str = "COALESCE(s.type, t.connector_type)";
const VERSION: &str = "COALESCE(s.version, t.connector_version)";

/// When a task of `t` has its turn: projects take turns, and whoever runs more already comes later. Within a project the
/// oldest comes first. Tasks of one turn come in the order of their ids.
const TURN: &str = "COALESCE(pr.running, 0) + ROW_NUMBER() OVER (PARTITION BY t.project_id ORDER BY t.id)";

/// A running task whose owner is dead, or has forgotten it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub fence: Fence,
    pub job: Option<i64>,
    /// How many log lines of this attempt are stored.
    pub lines_of_attempt: i64,
    /// Whether its owner has taken itself out, rather than fallen silent: nothing is to be waited for then.
    pub owner_left: bool,
    /// The launcher of its owner, as far as that is still known.
    pub launcher: Option<String>,
}

impl ProjectStore {
    /// Where a task stands among those of its class of places that are due and wait, of all projects: 1 is the next one.
    /// One that a limit holds back keeps its place, and may be passed. None unless it is queued and due.
    pub async fn queue_position(&self, id: TaskId) -> Result<Option<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            position: i64,
        }
        let sql = format!(
            "SELECT position FROM (SELECT id, project_id, ROW_NUMBER() OVER (ORDER BY turn, id) AS position FROM \
             (SELECT t.id, t.project_id, {TURN} AS turn FROM tasks t {RUNNING_OF_PROJECT} WHERE t.status = 'queued' \
             AND t.place_class = (SELECT place_class FROM tasks WHERE id = $1 AND status = 'queued') \
             AND (t.not_before IS NULL OR t.not_before <= {now})) q) p WHERE id = $1 AND project_id = $2",
            now = self.store.db_now()
        );
        let values: [Db; 2] = [id.into(), self.project.as_str().into()];
        let row = Row::find_by_statement(self.store.sql(&sql, values)).one(&self.store.db).await?;
        Ok(row.map(|row| row.position))
    }
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
            "SELECT id FROM (SELECT t.id, {TURN} AS turn FROM tasks t {SOURCE_OF} {RUNNING_OF_PROJECT} {RUNNING_OF_SOURCE} {SLOT_HOLDER} \
             WHERE t.status = 'queued' AND t.place_class = $1 AND t.cancel_requested_at IS NULL \
             AND (t.not_before IS NULL OR t.not_before <= {now}) AND {matches} \
             AND holder.slot_key IS NULL AND COALESCE(sr.running, 0) < $4) q \
             WHERE turn <= $3 ORDER BY turn, id LIMIT $2",
            now = self.store.db_now()
        );
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Notes which queued tasks none of the live workers, which run `runs` together, can run, and since when; and forgets it
    /// of those that one can. Answers those that have waited longer than `longest`, with their connectors.
    pub async fn note_unrunnable(
        &self,
        runs: &Runs,
        longest: Duration,
    ) -> Result<Vec<(TaskId, String, String)>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
            connector_type: Option<String>,
            connector_version: Option<String>,
            unrunnable_since: Option<i64>,
        }
        let mut values: Vec<Db> = Vec::new();
        let matches = runs.sql_condition(TYPE, VERSION, &mut values);
        let sql = format!(
            "SELECT t.id, {TYPE} AS connector_type, {VERSION} AS connector_version, \
             CASE WHEN {matches} THEN NULL ELSE COALESCE(t.unrunnable_since, 0) END AS unrunnable_since \
             FROM tasks t {SOURCE_OF} WHERE t.status = 'queued' \
             AND (t.unrunnable_since IS NOT NULL OR NOT ({matches})) ORDER BY t.id LIMIT 100"
        );
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let mut waited = Vec::new();
        for row in Row::find_by_statement(statement).all(&self.store.db).await? {
            let (connector, version) =
                (row.connector_type.unwrap_or_default(), row.connector_version.unwrap_or_default());
            let (since, reason) = match row.unrunnable_since {
                None => (None, None),
                Some(0) => {
                    let reason = format!("no worker that is up runs {connector} {version}");
                    (Some(self.store.now()), Some(reason))
                }
                Some(since) => {
                    if self.store.now() - since >= i64::try_from(longest.as_micros()).unwrap_or(i64::MAX) {
                        waited.push((row.id, connector, version));
                    }
                    continue;
                }
            };
            let sql = "UPDATE tasks SET unrunnable_since = $2, hold_reason = $3 WHERE id = $1 AND status = 'queued'";
            self.store
                .db
                .execute_raw(self.store.sql(sql, [row.id.into(), since.into(), reason.into()]))
                .await?;
        }
        Ok(waited)
    }

    /// The running tasks whose owner's lease ran out, or whose owner is unknown. Never those of the worker that asks:
    /// whoever slept through its own lease is not dead.
    pub async fn orphaned(&self, me: Uuid, grace_micros: i64) -> Result<Vec<Orphan>, StoreError> {
        let condition = format!(
            "(t.owner IS NULL OR t.owner <> $1) AND (w.id IS NULL OR w.lease_until + {grace_micros} < {})",
            self.store.db_now()
        );
        self.running_where(&condition, me.into()).await
    }

    /// The running tasks of a worker.
    pub async fn owned_by(&self, worker: Uuid) -> Result<Vec<Orphan>, StoreError> {
        self.running_where("t.owner = $1", worker.into()).await
    }

    async fn running_where(&self, condition: &str, value: Db) -> Result<Vec<Orphan>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
            job_id: Option<i64>,
            attempt: i32,
            epoch: i64,
            lines_of_attempt: i64,
            launcher: Option<String>,
        }
        let sql = format!(
            "SELECT t.id, t.job_id, t.attempt, t.epoch, t.attempt_lines AS lines_of_attempt, w.launcher \
             FROM tasks t LEFT JOIN workers w ON w.id = t.owner \
             WHERE t.status = 'running' AND {condition} ORDER BY t.id LIMIT 100"
        );
        let rows = Row::find_by_statement(self.store.sql(&sql, [value])).all(&self.store.db).await?;
        Ok(rows
            .into_iter()
            .map(|row| Orphan {
                fence: Fence { task: row.id, attempt: row.attempt, epoch: row.epoch },
                job: row.job_id,
                lines_of_attempt: row.lines_of_attempt,
                owner_left: row.launcher.is_none(),
                launcher: row.launcher,
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
}

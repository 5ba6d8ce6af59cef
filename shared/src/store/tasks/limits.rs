//! Limits: how many syncs run at once, and what holds a queued task back.
//!
//! A replication slot is held by one sync at a time, whatever the settings: a unique index says so. The numbers of a
//! project and of a source are settings; a claim counts under the lock of the project's row, so that two workers cannot
//! pass a limit together.

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, Value as Db};

use super::Queue;
use crate::{
    domain::task::{PlaceClass, TaskId},
    store::{Store, StoreError},
};

/// How many syncs may run at once. 0: as many as there are places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub syncs_per_project: u32,
    pub syncs_per_source: u32,
}

impl Limits {
    pub(super) fn are_set(self) -> bool {
        self.syncs_per_project > 0 || self.syncs_per_source > 0
    }

    pub(super) fn of_project(self, class: PlaceClass) -> i64 {
        number(class, self.syncs_per_project)
    }

    pub(super) fn of_source(self, class: PlaceClass) -> i64 {
        number(class, self.syncs_per_source)
    }
}

/// Limits are for syncs: short calls that a person waits for have places of their own.
fn number(class: PlaceClass, limit: u32) -> i64 {
    match (class, limit) {
        (PlaceClass::Sync, 1..) => i64::from(limit),
        _ => i64::from(i32::MAX),
    }
}

const HELD_BY_SLOT: &str = "another sync uses the same replication slot";
const HELD_BY_PROJECT: &str = "the project runs as many syncs as it may at a time";
const HELD_BY_SOURCE: &str = "the source runs as many syncs as it may at a time";

/// The source of task `t`, as `s`; its columns are NULL for one-shot kinds.
pub(super) const SOURCE_OF: &str = "LEFT JOIN jobs j ON j.id = t.job_id LEFT JOIN sources s ON s.id = j.source_id";

/// A running task that holds the replication slot of `s`.
pub(super) const SLOT_TAKEN: &str = "SELECT 1 FROM tasks r WHERE r.status = 'running' AND r.slot_key = s.slot_key";

/// The number of running syncs of the source `s`.
pub(super) const SOURCE_RUNNING: &str = "SELECT COUNT(*) FROM tasks r JOIN jobs rj ON rj.id = r.job_id \
     WHERE r.status = 'running' AND rj.source_id = s.id";

impl Queue {
    /// Whether a queued task may start now. Locks its project's row until the transaction ends.
    pub(super) async fn within_limits(
        &self,
        tx: &DatabaseTransaction,
        id: TaskId,
        limits: Limits,
    ) -> Result<bool, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            of_project: i64,
            of_source: i64,
        }
        let store: &Store = &self.store;
        let sql = format!(
            "SELECT id FROM projects WHERE id = (SELECT project_id FROM tasks WHERE id = $1) {}",
            store.for_update()
        );
        tx.query_one_raw(Statement::from_sql_and_values(store.backend(), sql, [id.into()])).await?;
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM tasks r WHERE r.project_id = t.project_id AND r.status = 'running' \
             AND r.place_class = 'sync') AS of_project, ({SOURCE_RUNNING}) AS of_source \
             FROM tasks t {SOURCE_OF} WHERE t.id = $1 AND t.place_class = 'sync'"
        );
        let statement = Statement::from_sql_and_values(store.backend(), sql, [id.into()]);
        Ok(Row::find_by_statement(statement).one(tx).await?.is_none_or(|row| {
            row.of_project < limits.of_project(PlaceClass::Sync) && row.of_source < limits.of_source(PlaceClass::Sync)
        }))
    }

    /// Says in the rows of queued tasks which limit holds them back, and takes it out of those that none does any more.
    pub async fn explain_limits(&self, limits: Limits) -> Result<(), StoreError> {
        let class = PlaceClass::Sync;
        let sql = format!(
            "UPDATE tasks SET hold_reason = h.reason FROM (SELECT t.id, CASE \
             WHEN EXISTS ({SLOT_TAKEN}) THEN $3 WHEN ({SOURCE_RUNNING}) >= $2 THEN $5 \
             WHEN (SELECT COUNT(*) FROM tasks r WHERE r.project_id = t.project_id AND r.status = 'running' \
             AND r.place_class = 'sync') >= $1 THEN $4 END AS reason \
             FROM tasks t {SOURCE_OF} WHERE t.status = 'queued' AND t.place_class = 'sync' AND t.not_before IS NULL) h \
             WHERE tasks.id = h.id AND tasks.status = 'queued' AND tasks.hold_reason IS DISTINCT FROM h.reason \
             AND (h.reason IS NOT NULL OR tasks.hold_reason IN ($3, $4, $5))"
        );
        let values: [Db; 5] = [
            limits.of_project(class).into(),
            limits.of_source(class).into(),
            HELD_BY_SLOT.into(),
            HELD_BY_PROJECT.into(),
            HELD_BY_SOURCE.into(),
        ];
        self.store.db.execute_raw(self.store.sql(&sql, values)).await?;
        Ok(())
    }
}

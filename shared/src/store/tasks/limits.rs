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
pub(super) const SOURCE_OF: &str =
    "LEFT JOIN jobs j ON j.id = t.job_id LEFT JOIN sources s ON s.id = j.source_id";

/// How many tasks of the same class the project of `t` runs, as `pr`. Counted once, not for each row.
pub(super) const RUNNING_OF_PROJECT: &str = "LEFT JOIN (SELECT project_id, place_class, COUNT(*) AS running FROM tasks \
     WHERE status = 'running' GROUP BY project_id, place_class) pr \
     ON pr.project_id = t.project_id AND pr.place_class = t.place_class";

/// How many syncs the source `s` runs, as `sr`.
pub(super) const RUNNING_OF_SOURCE: &str = "LEFT JOIN (SELECT rj.source_id, COUNT(*) AS running FROM tasks rt \
     JOIN jobs rj ON rj.id = rt.job_id WHERE rt.status = 'running' GROUP BY rj.source_id) sr ON sr.source_id = s.id";

/// The running task that holds the replication slot of `s`, which the sync `t` needs, as `holder`. There is one at most. A
/// clear does not touch the source.
pub(super) const SLOT_HOLDER: &str = "LEFT JOIN tasks holder ON holder.status = 'running' AND holder.slot_key = s.slot_key AND t.kind = 'sync'";

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
            "SELECT COALESCE(pr.running, 0) AS of_project, COALESCE(sr.running, 0) AS of_source \
             FROM tasks t {SOURCE_OF} {RUNNING_OF_PROJECT} {RUNNING_OF_SOURCE} WHERE t.id = $1 AND t.place_class = 'sync'"
        );
        let statement = Statement::from_sql_and_values(store.backend(), sql, [id.into()]);
        Ok(Row::find_by_statement(statement).one(tx).await?.is_none_or(|row| {
            row.of_project < limits.of_project(PlaceClass::Sync)
                && row.of_source < limits.of_source(PlaceClass::Sync)
        }))
    }

    /// Says in the rows of queued tasks which limit holds them back, and takes it out of those that none does any more.
    pub async fn explain_limits(&self, limits: Limits) -> Result<(), StoreError> {
        let class = PlaceClass::Sync;
        let sql = format!(
            "UPDATE tasks SET hold_reason = h.reason FROM (SELECT t.id, CASE \
             WHEN holder.slot_key IS NOT NULL THEN $3 WHEN COALESCE(sr.running, 0) >= $2 THEN $5 \
             WHEN COALESCE(pr.running, 0) >= $1 THEN $4 END AS reason \
             FROM tasks t {SOURCE_OF} {RUNNING_OF_PROJECT} {RUNNING_OF_SOURCE} {SLOT_HOLDER} \
             WHERE t.status = 'queued' AND t.place_class = 'sync' AND t.not_before IS NULL) h \
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

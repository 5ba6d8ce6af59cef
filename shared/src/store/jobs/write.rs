//! Writing the row of a job.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value as Db};

use super::super::{Store, StoreError, connections::name_taken, time};
use crate::domain::{project::ProjectId, settings::AdvancedSettings};

/// What is written of a job.
pub(in crate::store) struct Written<'a> {
    pub name: &'a str,
    pub source: i64,
    pub destination: i64,
    pub frequency: &'a str,
    pub streams_config: &'a str,
    pub activate: bool,
    pub settings: &'a AdvancedSettings,
    /// The next slot of its schedule.
    pub next: Option<DateTime<Utc>>,
}

impl Written<'_> {
    /// `$1` to `$8`.
    fn values(&self) -> Result<Vec<Db>, StoreError> {
        Ok(vec![
            self.name.into(),
            self.source.into(),
            self.destination.into(),
            self.frequency.into(),
            self.streams_config.into(),
            self.activate.into(),
            serde_json::to_string(self.settings)?.into(),
            self.next.map(time::micros).into(),
        ])
    }
}

/// Writes a new job. Answers its id.
pub(in crate::store) async fn insert(
    store: &Store,
    tx: &DatabaseTransaction,
    project: &ProjectId,
    job: &Written<'_>,
    user: Option<i64>,
) -> Result<i64, StoreError> {
    let sql = "INSERT INTO jobs (name, source_id, destination_id, frequency, streams_config, activate, \
               advanced_settings, next_run_at, project_id, revision, created_at, updated_at, created_by, updated_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10, $11, $11) RETURNING id";
    let mut values = job.values()?;
    values.extend([project.as_str().into(), store.now().into(), user.into()]);
    let row = tx
        .query_one_raw(Statement::from_sql_and_values(store.backend(), sql, values))
        .await
        .map_err(|e| name_taken(e, "job", job.name))?;
    Ok(row.ok_or_else(|| StoreError::Corrupt("an insert returned no id".into()))?.try_get("", "id")?)
}

/// Replaces what a job is. The caller holds its row.
pub(in crate::store) async fn replace(
    store: &Store,
    tx: &DatabaseTransaction,
    id: i64,
    job: &Written<'_>,
    user: Option<i64>,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET name = $1, source_id = $2, destination_id = $3, frequency = $4, streams_config = $5, \
               activate = $6, advanced_settings = $7, next_run_at = $8, revision = revision + 1, updated_at = $9, \
               updated_by = $10 WHERE id = $11";
    let mut values = job.values()?;
    values.extend([store.now().into(), user.into(), id.into()]);
    tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values))
        .await
        .map_err(|e| name_taken(e, "job", job.name))?;
    Ok(())
}

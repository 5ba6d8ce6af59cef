//! Reading sources and destinations, and the jobs that use them.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Connection, ConnectionJob, Side, missing, seal::aad};
use crate::{
    crypto::SecretError,
    domain::project::ProjectId,
    store::{ProjectStore, Store, StoreError, lists, time},
};

/// A row as it is stored.
#[derive(FromQueryResult)]
pub(in crate::store) struct ConnectionRow {
    pub id: i64,
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub seal_id: Uuid,
    pub config: String,
    pub revision: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
}

fn select(side: Side, condition: &str) -> String {
    format!(
        "SELECT c.id, c.name, c.type AS connector_type, c.version, c.seal_id, c.config, c.revision, c.created_at, \
         c.updated_at, cu.username AS created_by, uu.username AS updated_by FROM {} c \
         LEFT JOIN users cu ON cu.id = c.created_by LEFT JOIN users uu ON uu.id = c.updated_by \
         WHERE c.project_id = $1 AND {condition}",
        side.table()
    )
}

impl Store {
    pub(in crate::store) fn connection_of(
        &self,
        project: &ProjectId,
        side: Side,
        row: ConnectionRow,
    ) -> Result<Connection, StoreError> {
        // One damaged row must not hide all others, nor stand in the way of its own end.
        let config = match self.config_of(&aad(side, project, row.seal_id), &row.config) {
            Ok(config) => Some(config),
            Err(error @ (StoreError::Corrupt(_) | StoreError::Secret(SecretError::Rest))) => {
                tracing::error!(side = side.name(), id = row.id, %error, "a config cannot be read; it is shown empty");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Connection {
            id: row.id,
            name: row.name,
            connector_type: row.connector_type,
            version: row.version,
            is_readable: config.is_some(),
            config: config.unwrap_or_else(|| Value::Object(Map::new())),
            revision: row.revision,
            created_at: time::utc(row.created_at),
            updated_at: time::utc(row.updated_at),
            created_by: row.created_by,
            updated_by: row.updated_by,
        })
    }

    /// One that is not deleted and meets a condition, whose value is `$2`.
    pub(in crate::store) async fn connection_by(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        condition: &str,
        value: Db,
    ) -> Result<Option<Connection>, StoreError> {
        let condition = format!("c.deleted_at IS NULL AND {condition}");
        self.find_connection(db, project, side, &condition, value).await
    }

    /// As [`Self::connection_by`], also deleted ones: a task that ran when its job and its sides were deleted is still to
    /// be ended, and what it prints to be kept free of secrets.
    pub(in crate::store) async fn connection_even_deleted(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        id: i64,
    ) -> Result<Option<Connection>, StoreError> {
        self.find_connection(db, project, side, "c.id = $2", id.into()).await
    }

    async fn find_connection(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        condition: &str,
        value: Db,
    ) -> Result<Option<Connection>, StoreError> {
        let statement = Statement::from_sql_and_values(
            self.backend(),
            select(side, condition),
            [project.as_str().into(), value],
        );
        let row = ConnectionRow::find_by_statement(statement).one(db).await?;
        row.map(|row| self.connection_of(project, side, row)).transpose()
    }
}

impl ProjectStore {
    /// The sources or destinations with these ids and the jobs that use them, newest-updated first. Those that are gone are
    /// left out.
    pub async fn connections(
        &self,
        side: Side,
        with: &[i64],
    ) -> Result<Vec<(Connection, Vec<ConnectionJob>)>, StoreError> {
        let wanted = format!("c.deleted_at IS NULL AND {}", self.store.rows_with_ids("c"));
        let sql = select(side, &wanted);
        let statement = self.store.sql(&sql, [self.project.as_str().into(), lists::ids(with)]);
        let rows = ConnectionRow::find_by_statement(statement).all(&self.store.db).await?;
        let mut jobs = self.jobs_of(side, with).await?;
        rows.into_iter()
            .map(|row| {
                let jobs = jobs.remove(&row.id).unwrap_or_default();
                Ok((self.store.connection_of(&self.project, side, row)?, jobs))
            })
            .collect()
    }

    /// One source or destination.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this project has none of this id.
    pub async fn connection(&self, side: Side, id: i64) -> Result<Connection, StoreError> {
        self.store
            .connection_by(&self.store.db, &self.project, side, "c.id = $2", id.into())
            .await?
            .ok_or_else(|| missing(side, id))
    }

    /// The jobs that use a source or destination.
    pub async fn jobs_of_connection(&self, side: Side, id: i64) -> Result<Vec<ConnectionJob>, StoreError> {
        Ok(self.jobs_of(side, &[id]).await?.remove(&id).unwrap_or_default())
    }

    /// The jobs that use sources or destinations, by the id of that side.
    async fn jobs_of(&self, side: Side, of: &[i64]) -> Result<HashMap<i64, Vec<ConnectionJob>>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            side_id: i64,
            id: i64,
            name: String,
            activate: bool,
            last_run_time: Option<i64>,
            last_run_state: Option<String>,
            last_run_type: Option<String>,
            other_name: String,
            other_type: String,
        }
        let other = match side {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        };
        let sql = format!(
            "SELECT j.{} AS side_id, j.id, j.name, j.activate, j.last_run_time, j.last_run_state, j.last_run_type, \
             o.name AS other_name, o.type AS other_type FROM jobs j JOIN {} o ON o.id = j.{} \
             WHERE j.project_id = $1 AND j.deleted_at IS NULL AND {} ORDER BY j.updated_at DESC, j.id DESC",
            side.job_column(),
            other.table(),
            other.job_column(),
            self.store.is_one_of(&format!("j.{}", side.job_column())),
        );
        let statement = self.store.sql(&sql, [self.project.as_str().into(), lists::ids(of)]);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        let mut jobs: HashMap<i64, Vec<ConnectionJob>> = HashMap::new();
        for row in rows {
            jobs.entry(row.side_id).or_default().push(ConnectionJob {
                id: row.id,
                name: row.name,
                activate: row.activate,
                last_run_time: row.last_run_time.map(time::utc),
                last_run_state: row.last_run_state,
                last_run_type: row.last_run_type,
                other_name: row.other_name,
                other_type: row.other_type,
            });
        }
        Ok(jobs)
    }
}

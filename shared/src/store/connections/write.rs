//! Making, changing and deleting sources and destinations.

use sea_orm::{ConnectionTrait, Statement, Value as Db};
use serde_json::Value;
use uuid::Uuid;

use super::{Connection, ConnectionInput, Side, check_revision, missing, name_taken, seal::aad};
use crate::{
    crypto::token::hash_token,
    domain::{project::ProjectId, slot::replication_slot},
    store::{ProjectStore, Store, StoreError},
};

impl Store {
    pub(in crate::store) async fn insert_connection(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        input: &ConnectionInput,
        sealed: &Value,
        user: Option<i64>,
    ) -> Result<i64, StoreError> {
        let seal_id = Uuid::now_v7();
        let text = self.keys.seal_text(&aad(side, project, seal_id), &serde_json::to_string(sealed)?);
        let sql = format!(
            "INSERT INTO {} (project_id, name, type, version, seal_id, config, revision, created_at, updated_at, \
             created_by, updated_by) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8, $8) RETURNING id",
            side.table()
        );
        let values: [Db; 8] = [
            project.as_str().into(),
            input.name.as_str().into(),
            input.connector_type.as_str().into(),
            input.version.as_str().into(),
            seal_id.into(),
            text.into(),
            self.now().into(),
            user.into(),
        ];
        let row = db
            .query_one_raw(Statement::from_sql_and_values(self.backend(), sql, values))
            .await
            .map_err(|e| name_taken(e, side.name(), &input.name))?;
        let id =
            row.ok_or_else(|| StoreError::Corrupt("an insert returned no id".into()))?.try_get("", "id")?;
        self.write_slot(db, side, id, &input.config).await?;
        Ok(id)
    }

    /// Replaces what a person gave for a source or destination. The caller holds its row.
    pub(in crate::store) async fn replace_connection(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        id: i64,
        input: &ConnectionInput,
        sealed: &Value,
        user: Option<i64>,
    ) -> Result<(), StoreError> {
        let seal_id = Uuid::now_v7();
        let text = self.keys.seal_text(&aad(side, project, seal_id), &serde_json::to_string(sealed)?);
        let sql = format!(
            "UPDATE {} SET name = $1, type = $2, version = $3, seal_id = $4, config = $5, revision = revision + 1, \
             updated_at = $6, updated_by = $7 WHERE id = $8 AND project_id = $9",
            side.table()
        );
        let values: [Db; 9] = [
            input.name.as_str().into(),
            input.connector_type.as_str().into(),
            input.version.as_str().into(),
            seal_id.into(),
            text.into(),
            self.now().into(),
            user.into(),
            id.into(),
            project.as_str().into(),
        ];
        db.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values))
            .await
            .map_err(|e| name_taken(e, side.name(), &input.name))?;
        self.write_slot(db, side, id, &input.config).await
    }

    /// Notes which replication slot a source uses.
    async fn write_slot(
        &self,
        db: &impl ConnectionTrait,
        side: Side,
        id: i64,
        config: &Value,
    ) -> Result<(), StoreError> {
        if side == Side::Source {
            let key = replication_slot(config).map(|slot| hash_token(&slot));
            let values: [Db; 2] = [key.into(), id.into()];
            let sql = "UPDATE sources SET slot_key = $1 WHERE id = $2";
            db.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        }
        Ok(())
    }
}

impl ProjectStore {
    /// Makes a source or destination.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`]; [`StoreError::Secret`] when a token of the config does not open.
    pub async fn create_connection(
        &self,
        side: Side,
        input: &ConnectionInput,
        user: i64,
    ) -> Result<Connection, StoreError> {
        let tx = self.store.begin().await?;
        let sealed = self.store.seal(&tx, &self.project, side, input).await?;
        let id = self.store.insert_connection(&tx, &self.project, side, input, &sealed, Some(user)).await?;
        tx.commit().await?;
        self.connection(side, id).await
    }

    /// Replaces a source or destination. Running tasks keep what they started with.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NameTaken`], [`StoreError::Stale`] when `if_match` is another revision,
    /// [`StoreError::Invalid`] when the type of one that jobs use would change.
    pub async fn update_connection(
        &self,
        side: Side,
        id: i64,
        input: &ConnectionInput,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<Connection, StoreError> {
        let tx = self.store.begin().await?;
        let condition = format!("c.id = $2 {}", self.store.for_update_of("c"));
        let current = self
            .store
            .connection_by(&tx, &self.project, side, &condition, id.into())
            .await?
            .ok_or_else(|| missing(side, id))?;
        check_revision(current.revision, if_match)?;
        if current.connector_type != input.connector_type {
            let jobs = job_names(&tx, &self.store, side, id).await?;
            if !jobs.is_empty() {
                return Err(StoreError::invalid(
                    "type",
                    format!(
                        "the type of a {} that jobs use cannot change (used by {})",
                        side.name(),
                        jobs.join(", ")
                    ),
                ));
            }
        }
        let sealed = self.store.seal(&tx, &self.project, side, input).await?;
        self.store.replace_connection(&tx, &self.project, side, id, input, &sealed, Some(user)).await?;
        tx.commit().await?;
        self.connection(side, id).await
    }

    /// Deletes a source or destination (softly: the row stays, its name is free again). Answers its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::InUse`] names the jobs that use it; [`StoreError::Stale`] when `if_match` is
    /// another revision.
    pub async fn delete_connection(
        &self,
        side: Side,
        id: i64,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<String, StoreError> {
        let tx = self.store.begin().await?;
        let condition = format!("c.id = $2 {}", self.store.for_update_of("c"));
        let current = self
            .store
            .connection_by(&tx, &self.project, side, &condition, id.into())
            .await?
            .ok_or_else(|| missing(side, id))?;
        check_revision(current.revision, if_match)?;
        let jobs = job_names(&tx, &self.store, side, id).await?;
        if !jobs.is_empty() {
            return Err(StoreError::InUse { what: side.name(), name: current.name, jobs });
        }
        let sql = format!("UPDATE {} SET deleted_at = $1, updated_by = $2 WHERE id = $3", side.table());
        let values: [Db; 3] = [self.store.now().into(), user.into(), id.into()];
        tx.execute_raw(Statement::from_sql_and_values(self.store.backend(), sql, values)).await?;
        tx.commit().await?;
        Ok(current.name)
    }
}

pub(in crate::store) async fn job_names(
    db: &impl ConnectionTrait,
    store: &Store,
    side: Side,
    id: i64,
) -> Result<Vec<String>, StoreError> {
    let sql = format!(
        "SELECT name FROM jobs WHERE {} = $1 AND deleted_at IS NULL ORDER BY name",
        side.job_column()
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(store.backend(), sql, [id.into()])).await?;
    rows.iter().map(|row| Ok(row.try_get("", "name")?)).collect()
}

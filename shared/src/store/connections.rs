//! Sources and destinations: the two sides of a job. They have the same columns and the same rules.
//!
//! A config is stored as it is shown: each secret value in it is replaced by a token, and the whole text is sealed
//! again at rest, bound to the row. A read shows tokens, never a secret; only [`Store::open_config`] makes plain text
//! of it, for the input of a task.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{ProjectStore, Store, StoreError, lists, specs, time};
use crate::{
    crypto::{ConfigKind, SecretError, SecretRules, SecretScope, token::hash_token},
    domain::{project::ProjectId, slot::replication_slot},
    json::parse_json,
};

/// Which side of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where data comes from.
    Source,
    /// Where data goes to.
    Destination,
}

impl Side {
    /// `source` or `destination`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Destination => "destinations",
        }
    }

    /// The column of a job that points to this side.
    pub(super) const fn job_column(self) -> &'static str {
        match self {
            Self::Source => "source_id",
            Self::Destination => "destination_id",
        }
    }

    const fn config_kind(self) -> ConfigKind {
        match self {
            Self::Source => ConfigKind::Source,
            Self::Destination => ConfigKind::Destination,
        }
    }

    pub(super) fn scope(self, project: &ProjectId) -> SecretScope {
        SecretScope { project: project.as_str().to_owned(), kind: self.config_kind() }
    }
}

/// A source or destination as it is shown: secrets are tokens.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: i64,
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub config: Value,
    /// False when the row's config is damaged: it is shown as an empty one, and nothing can run with it.
    pub is_readable: bool,
    /// Grows with each change; the ETag.
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// User names; none if the account is gone.
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
}

/// A job as an item of a source or destination.
#[derive(Clone, Debug)]
pub struct ConnectionJob {
    pub id: i64,
    pub name: String,
    pub activate: bool,
    pub last_run_time: Option<DateTime<Utc>>,
    pub last_run_state: Option<String>,
    pub last_run_type: Option<String>,
    /// The other side's name and type.
    pub other_name: String,
    pub other_type: String,
}

/// What a person gives for a source or destination. The config may hold tokens in place of secrets.
#[derive(Clone, Debug)]
pub struct ConnectionInput {
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub config: Value,
}

#[derive(FromQueryResult)]
pub(super) struct ConnectionRow {
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
         WHERE c.project_id = $1 AND c.deleted_at IS NULL AND {condition}",
        side.table()
    )
}

fn aad(side: Side, project: &ProjectId, seal_id: Uuid) -> String {
    format!("{}|{project}|{seal_id}", side.table())
}

impl Store {
    /// Makes plain text of a config, for the input of a task.
    ///
    /// # Errors
    /// [`StoreError::Secret`] names the field whose token does not open.
    pub fn open_config(&self, project: &ProjectId, side: Side, config: &Value) -> Result<Value, StoreError> {
        Ok(self.keys.open_config(&side.scope(project), config)?)
    }

    pub(super) fn connection_of(
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

    fn config_of(&self, aad: &str, sealed: &str) -> Result<Value, StoreError> {
        Ok(parse_json(self.keys.open_text(aad, sealed)?)?)
    }

    /// Replaces the secrets of `config` by tokens, by what the connector's spec says if it was read before.
    pub(super) async fn seal(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        input: &ConnectionInput,
    ) -> Result<Value, StoreError> {
        let spec = match side {
            Side::Source => {
                let key = specs::SpecKey {
                    connector_type: input.connector_type.clone(),
                    version: input.version.clone(),
                    destination_type: None,
                };
                specs::read(db, &key).await?
            }
            Side::Destination => specs::read_destination(db, &input.connector_type, &input.version).await?,
        };
        // A spec that cannot be read marks nothing: names alone decide then.
        let spec = spec.and_then(|text| parse_json(text).ok());
        let rules = SecretRules::from_spec(spec.as_ref());
        Ok(self.keys.seal_config(&side.scope(project), &input.config, &rules)?)
    }

    pub(super) async fn connection_by(
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

    pub(super) async fn insert_connection(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        input: &ConnectionInput,
        sealed: &Value,
        user: i64,
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

    /// Seals the configs again whose secrets a spec names, after it arrived: until then only well-known names were
    /// sealed.
    pub(super) async fn seal_again(
        &self,
        db: &impl ConnectionTrait,
        key: &specs::SpecKey,
        spec: &str,
    ) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            project_id: String,
            seal_id: Uuid,
            config: String,
        }
        let (side, connector_type) = match &key.destination_type {
            None => (Side::Source, key.connector_type.clone()),
            Some(destination) => (Side::Destination, destination.to_lowercase()),
        };
        let rules = SecretRules::from_spec(Some(&parse_json(spec)?));
        let sql = format!(
            "SELECT id, project_id, seal_id, config FROM {} WHERE lower(type) = $1 AND version = $2",
            side.table()
        );
        let values: [Db; 2] = [connector_type.into(), key.version.as_str().into()];
        let rows = Row::find_by_statement(Statement::from_sql_and_values(self.backend(), sql, values))
            .all(db)
            .await?;
        for row in rows {
            let project = ProjectId::new(row.project_id);
            let aad = aad(side, &project, row.seal_id);
            let sealed = self.config_of(&aad, &row.config).and_then(|shown| {
                let sealed = self.keys.seal_config(&side.scope(&project), &shown, &rules)?;
                Ok((shown, sealed))
            });
            let (shown, sealed) = match sealed {
                Ok(both) => both,
                Err(error) => {
                    tracing::error!(side = side.name(), id = row.id, %error, "a config cannot be sealed again");
                    continue;
                }
            };
            if sealed != shown {
                let text = self.keys.seal_text(&aad, &serde_json::to_string(&sealed)?);
                // Only if nobody has changed it since: another text is bound to another seal_id.
                let sql = format!("UPDATE {} SET config = $1 WHERE id = $2 AND seal_id = $3", side.table());
                let values: [Db; 3] = [text.into(), row.id.into(), row.seal_id.into()];
                db.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
            }
        }
        Ok(())
    }
}

pub(super) fn name_taken(error: sea_orm::DbErr, what: &'static str, name: &str) -> StoreError {
    if StoreError::is_unique_violation(&error) {
        StoreError::NameTaken { what, name: name.to_owned() }
    } else {
        error.into()
    }
}

pub(super) fn missing(side: Side, id: i64) -> StoreError {
    StoreError::NotFound(format!("{} {id}", side.name()))
}

/// A page of a list: the newest-updated first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// At most this many; none: all.
    pub limit: Option<u64>,
    /// Only what comes after this item: the microseconds of its update and its id.
    pub after: Option<(i64, i64)>,
}

impl ProjectStore {
    /// The sources or destinations with these ids and the jobs that use them, newest-updated first. Those that are gone are
    /// left out.
    pub async fn connections(
        &self,
        side: Side,
        with: &[i64],
    ) -> Result<Vec<(Connection, Vec<ConnectionJob>)>, StoreError> {
        let sql = select(side, &self.store.rows_with_ids("c"));
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
        let id = self.store.insert_connection(&tx, &self.project, side, input, &sealed, user).await?;
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
        let seal_id = Uuid::now_v7();
        let text =
            self.store.keys.seal_text(&aad(side, &self.project, seal_id), &serde_json::to_string(&sealed)?);
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
            self.store.now().into(),
            user.into(),
            id.into(),
            self.project.as_str().into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(self.store.backend(), sql, values))
            .await
            .map_err(|e| name_taken(e, side.name(), &input.name))?;
        self.store.write_slot(&tx, side, id, &input.config).await?;
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

pub(super) fn check_revision(current: i64, if_match: Option<i64>) -> Result<(), StoreError> {
    match if_match {
        Some(wanted) if wanted != current => Err(StoreError::Stale { current }),
        _ => Ok(()),
    }
}

async fn job_names(
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

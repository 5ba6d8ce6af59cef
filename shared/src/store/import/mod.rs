//! Taking over what another installation has: users, sources, destinations, jobs and states, in one transaction.
//!
//! Each thing that was taken over has a row in `imports`: its id there, its id here, and a mark that tells whether it was
//! changed here since. Taken over again, a thing that is equal stays, one that differs is replaced, and one that was
//! changed here since stays as it is. What has a name that is taken by something else is refused.
//!
//! Invariants: everything or nothing is written ([`Import::commit`], [`Import::roll_back`]); things are written in the
//! order of all transactions: accounts, sources, destinations, jobs, each by its id there.

mod accounts;
mod connections;
mod jobs;
mod states;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value as Db};

pub use accounts::ImportedUser;
pub use jobs::ImportedJob;

use super::{ProjectStore, Store, StoreError, time};
use crate::domain::project::ProjectId;

/// What became of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new here.
    Made,
    /// It was changed there, and is changed here now.
    Updated,
    /// It is here as it is there.
    Unchanged,
    /// It differs, and stays as it is here; why.
    Kept(String),
    /// It is not taken over; why.
    Refused(String),
}

/// What became of a thing, and which one it is here; none: it is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub id: Option<i64>,
    pub outcome: Outcome,
}

impl Taken {
    fn new(id: i64, outcome: Outcome) -> Self {
        Self { id: Some(id), outcome }
    }

    fn kept(id: i64, reason: impl Into<String>) -> Self {
        Self::new(id, Outcome::Kept(reason.into()))
    }

    fn gone() -> Self {
        let reason = "it was deleted here since it was taken over, or belongs to another project".to_owned();
        Self { id: None, outcome: Outcome::Kept(reason) }
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self { id: None, outcome: Outcome::Refused(reason.into()) }
    }
}

/// When a thing was made and last changed there.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A thing that was taken over before.
struct Known {
    id: i64,
    mark: String,
}

/// One import: a transaction.
pub struct Import {
    store: Store,
    tx: DatabaseTransaction,
    origin: String,
}

impl Store {
    /// Begins to take over what the installation `origin` has.
    pub async fn begin_import(&self, origin: &str) -> Result<Import, StoreError> {
        Ok(Import { store: self.clone(), tx: self.begin().await?, origin: origin.to_owned() })
    }
}

impl Import {
    /// Keeps what was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    /// Drops what was written: what became of each thing is what would have become of it.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.tx.rollback().await?)
    }

    /// Whether there is such a project here.
    pub async fn has_project(&self, project: &ProjectId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM projects WHERE id = $1";
        Ok(self.tx.query_one_raw(self.store.sql(sql, [project.as_str().into()])).await?.is_some())
    }

    fn project(&self, project: &ProjectId) -> ProjectStore {
        ProjectStore { store: self.store.clone(), project: project.clone() }
    }

    async fn known(&self, kind: &str, old: i64) -> Result<Option<Known>, StoreError> {
        let sql = "SELECT new_id, mark FROM imports WHERE origin = $1 AND kind = $2 AND old_id = $3";
        let values: [Db; 3] = [self.origin.as_str().into(), kind.into(), old.into()];
        let row = self.tx.query_one_raw(self.store.sql(sql, values)).await?;
        row.map(|row| Ok(Known { id: row.try_get("", "new_id")?, mark: row.try_get("", "mark")? }))
            .transpose()
    }

    async fn remember(&self, kind: &str, old: i64, new: i64, mark: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO imports (origin, kind, old_id, new_id, mark, imported_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (origin, kind, old_id) \
                   DO UPDATE SET new_id = excluded.new_id, mark = excluded.mark, imported_at = excluded.imported_at";
        let values: [Db; 6] = [
            self.origin.as_str().into(),
            kind.into(),
            old.into(),
            new.into(),
            mark.into(),
            self.store.now().into(),
        ];
        self.tx.execute_raw(self.store.sql(sql, values)).await?;
        Ok(())
    }

    /// Gives a row that was made just now the times that it had there, so that lists keep their order.
    async fn keep_times(&self, table: &str, id: i64, times: Times) -> Result<(), StoreError> {
        let sql = format!("UPDATE {table} SET created_at = $1, updated_at = $2 WHERE id = $3");
        let values: [Db; 3] =
            [time::micros(times.created_at).into(), time::micros(times.updated_at).into(), id.into()];
        self.tx.execute_raw(self.store.sql(&sql, values)).await?;
        Ok(())
    }

    /// The id of whatever not deleted has this name in a table of the project.
    async fn named(&self, table: &str, project: &ProjectId, name: &str) -> Result<Option<i64>, StoreError> {
        let sql =
            format!("SELECT id FROM {table} WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL");
        let row = self.tx.query_one_raw(self.store.sql(&sql, [project.as_str().into(), name.into()])).await?;
        Ok(row.map(|row| row.try_get("", "id")).transpose()?)
    }
}

//! Whether a name is free in a project.

use sea_orm::{ConnectionTrait, Statement, Value as Db};

use super::{ProjectStore, StoreError};

/// What has a name that is unique in its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Job,
    Source,
    Destination,
}

impl Named {
    /// `job`, `source` or `destination`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Job => "jobs",
            Self::Source => "sources",
            Self::Destination => "destinations",
        }
    }
}

impl ProjectStore {
    /// Checks that a name is free. It may be taken by the time that it is used: the write checks again.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn name_is_free(&self, what: Named, name: &str) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT 1 AS taken FROM {} WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL LIMIT 1",
            what.table()
        );
        let values: [Db; 2] = [self.project.as_str().into(), name.into()];
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        match self.store.db.query_one_raw(statement).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::NameTaken { what: what.name(), name: name.to_owned() }),
        }
    }
}

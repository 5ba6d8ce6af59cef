//! Every query there is. PostgreSQL for services, SQLite for one machine: the same code on both.
//!
//! Invariants:
//! - what belongs to a project is reached only through [`Store::project`], which scopes each query by it;
//!   the worker's side ([`Store::queue`]) serves all projects and takes tasks by id and fence;
//! - a change of a task's status is decided by [`crate::domain::machine`] and written by `tasks/` only;
//! - configs are stored sealed, see [`connections`];
//! - leases and `not_before` use the database's clock, everything else the clock that the store was given.
//!
//! To add a query: put it in the file of the thing it reads; if it needs another form of SQL on one of the databases,
//! keep both forms in one function.

pub mod accounts;
pub mod connections;
pub mod elsewhere;
pub mod entities;
pub mod import;
pub mod jobs;
pub mod lists;
pub mod logs;
pub mod names;
pub mod notifications;
pub mod retention;
pub mod schedules;
pub mod specs;
pub mod states;
pub mod tasks;
pub mod time;
pub mod versions;
pub mod workers;

mod connect;
mod error;

use std::sync::Arc;

pub use connect::{ConnectError, open_postgres, open_sqlite};
pub use error::StoreError;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};

use crate::{clock::SharedClock, crypto::KeyRing, domain::project::ProjectId};

/// A handle on the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    keys: Arc<KeyRing>,
    clock: SharedClock,
}

/// The store as one project sees it. Made by [`Store::project`], which has checked that the project exists.
#[derive(Clone)]
pub struct ProjectStore {
    store: Store,
    project: ProjectId,
}

impl Store {
    /// A store on an open database, whose schema is up to date.
    pub fn new(db: DatabaseConnection, keys: Arc<KeyRing>, clock: SharedClock) -> Self {
        Self { db, keys, clock }
    }

    /// The connection below, for migrations and health checks.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.db
    }

    /// The clock of this store.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.query_one_raw(self.sql("SELECT 1", [])).await?;
        Ok(())
    }

    fn now(&self) -> i64 {
        time::micros(self.clock.now())
    }

    fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// A statement with `$1`-style places, which both databases take.
    fn sql<const N: usize>(&self, sql: &str, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.backend(), sql, values)
    }

    /// A transaction that may read before it writes: on SQLite it takes the write lock at its start, since a
    /// deferred one could fail in the middle.
    async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            isolation_level: None::<IsolationLevel>,
            access_mode: None::<AccessMode>,
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
        };
        Ok(self.db.begin_with_options(options).await?)
    }

    /// The SQL for the database's own time in microseconds.
    fn db_now(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }

    /// Locks the selected rows, where rows are locked one by one; SQLite has locked the whole file by then. No stronger
    /// than needed: rows that refer to these can still be written, in whatever order.
    fn for_update(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "FOR NO KEY UPDATE",
            _ => "",
        }
    }

    /// As [`Self::for_update`], for one table of a join.
    fn for_update_of(&self, table: &str) -> String {
        match self.for_update() {
            "" => String::new(),
            lock => format!("{lock} OF {table}"),
        }
    }
}

/// Ends a transaction. A refused one gives the job's row back at once: a claim passes over a job that somebody holds.
async fn finish<T>(tx: DatabaseTransaction, done: Result<T, StoreError>) -> Result<T, StoreError> {
    match done {
        Ok(_) => tx.commit().await?,
        Err(_) => tx.rollback().await?,
    }
    done
}

impl ProjectStore {
    /// The project that every query of this handle is scoped by.
    pub fn project(&self) -> &ProjectId {
        &self.project
    }
}

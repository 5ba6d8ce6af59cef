//! Opening the database: PostgreSQL by URL, or a SQLite file in the data folder.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use olake_migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        self, Executor,
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use url::Url;

use crate::config::Secret;

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of another database.
    #[error("database.url (OLAKE_DATABASE_URL) must begin with postgres://")]
    Scheme,
    /// The URL cannot be read. What is wrong with it is not told: the words for it would show the URL.
    #[error(
        "the database's address cannot be read: it must be like postgres://user:password@host:5432/database, with special \
         signs of the password percent-encoded"
    )]
    Address,
    /// The file cannot be made.
    #[error("the database's file {} cannot be opened", path.display())]
    File {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The database refused or cannot be reached. The URL is not shown: it holds a password.
    #[error("the database cannot be opened")]
    Database(#[from] DbErr),
}

/// A process that stops in the middle of a transaction (paused, or its host is gone without a word) holds the rows of its
/// tasks, and nobody could take them over: PostgreSQL ends such a session.
const END_OF_IDLE_TRANSACTIONS: &str = "SET idle_in_transaction_session_timeout = '5s'";

/// How often the first connection is tried that is not made in time.
const FIRST_TRIES: u32 = 5;

/// Connects to PostgreSQL (version 14 or later).
///
/// # Errors
/// [`ConnectError`] when the URL is no PostgreSQL URL, or no connection can be made.
pub async fn open_postgres(
    url: &Secret,
    max_connections: u32,
    acquire_timeout: Duration,
) -> Result<DatabaseConnection, ConnectError> {
    if !url.expose().starts_with("postgres://") && !url.expose().starts_with("postgresql://") {
        return Err(ConnectError::Scheme);
    }
    // Looked at here, since the library's own error shows what it cannot read.
    if Url::parse(url.expose()).is_err() || url.expose().parse::<PgConnectOptions>().is_err() {
        return Err(ConnectError::Address);
    }
    let mut options = ConnectOptions::new(url.expose());
    options
        .max_connections(max_connections)
        .min_connections(1)
        .acquire_timeout(acquire_timeout)
        .connect_timeout(acquire_timeout)
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(END_OF_IDLE_TRANSACTIONS).await.map(|_| ()) })
            })
        });
    let mut tries = 1;
    loop {
        match Database::connect(options.clone()).await {
            // `acquire_timeout` is for requests, which are refused rather than kept waiting. A start can wait a little longer.
            Err(error) if is_timeout(&error) && tries < FIRST_TRIES => tries += 1,
            connected => return Ok(connected?),
        }
    }
}

fn is_timeout(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error)) => matches!(error.as_ref(), sqlx::Error::PoolTimedOut),
        _ => false,
    }
}

/// Opens (or makes) the SQLite file and brings its schema up to date.
///
/// Every commit is on the disk when it returns (`synchronous = FULL`): a power cut loses nothing acknowledged.
///
/// # Errors
/// [`ConnectError`] when the file cannot be opened or migrated.
pub async fn open_sqlite(file: &Path) -> Result<DatabaseConnection, ConnectError> {
    // Made here, so that nobody else can read it; SQLite gives its other files the same mode.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(file)
        .map_err(|source| ConnectError::File { path: file.to_owned(), source })?;
    // By connections of its own: one that has met an earlier schema would read rows by columns that it does not know.
    let migrating = connect_sqlite(file).await?;
    Migrator::up(&migrating, None).await?;
    migrating.close().await?;
    connect_sqlite(file).await
}

async fn connect_sqlite(file: &Path) -> Result<DatabaseConnection, ConnectError> {
    // The path is given as it is: in a URL, signs such as `%` and `?` would mean something else.
    let file = file.to_owned();
    let mut options = ConnectOptions::new("sqlite://olake.db");
    options.max_connections(8).min_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
    });
    Ok(Database::connect(options).await?)
}

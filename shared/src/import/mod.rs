//! Takes over what an existing installation of OLake (its UI's server, on PostgreSQL) has: accounts, sources,
//! destinations, jobs with their schedules, and states.
//!
//! - [`installation`]: reads its tables, in one read-only snapshot;
//! - [`cipher`]: opens its configs;
//! - [`catalog`]: puts a catalog together that newer versions keep in two parts;
//! - [`take`]: takes one thing after the other, and says what became of it ([`report`]);
//! - `store/import/`: writes, in one transaction, and remembers what came from where.
//!
//! Invariants: nothing is written there; here everything is written or nothing; no error and no report holds a config, a
//! state or a password. What cannot run here as it is there (an old version, a frequency that cannot be read) comes
//! paused, and the report says why.
//!
//! To take over another thing: read it in `installation.rs` (columns that only some versions have are optional), write it
//! by a file of its own in `store/import/`, and call that in `take.rs`.

mod catalog;
mod cipher;
mod installation;
mod report;
mod take;

pub use cipher::{CipherError, Passphrase};
pub use installation::InstallationError;
pub use report::{Entry, Report, Thing};

use self::{installation::Installation, take::Work};
use crate::{
    config::Secret,
    crypto::password::PasswordError,
    domain::project::ProjectId,
    store::{Store, StoreError, connections::Side},
};

/// How it is taken over.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The project that everything goes to; none: the one of the same id.
    pub project: Option<ProjectId>,
    /// The run mode in the names of its tables (`olake-dev-job`: `dev`), if the database has those of several.
    pub run_mode: Option<String>,
    /// The names of accounts which become administrators when they are made.
    pub admins: Vec<String>,
    /// Whether every job comes paused.
    pub paused: bool,
    /// Whether nothing is written in the end.
    pub dry_run: bool,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The installation cannot be read.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// Its configs cannot be opened.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// A project that is not here.
    #[error(
        "there is no project '{0}' here: name the one that everything goes to by --project (123 or olake)"
    )]
    NoProject(String),
    /// An account that is not there.
    #[error("there is no account '{0}' there that could become an administrator")]
    NoAdmin(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Takes over what the installation in the database `from` (a PostgreSQL URL) has.
///
/// # Errors
/// [`ImportError`]: nothing was written then.
pub async fn run(
    store: &Store,
    from: &Secret,
    passphrase: Option<&Passphrase>,
    options: &Options,
) -> Result<Report, ImportError> {
    let there = Installation::open(from, options.run_mode.as_deref()).await?;
    let users = there.users().await?;
    let jobs = there.jobs().await?;
    let sources = there.connections(Side::Source).await?;
    let destinations = there.connections(Side::Destination).await?;
    let texts = sources.iter().chain(&destinations).map(|old| old.config.as_deref());
    let mut of_sources = cipher::open_all(texts, passphrase)?;
    let of_destinations = of_sources.split_off(sources.len());

    let mut work = Work::new(store.begin_import(there.id()).await?, options);
    let taken = async {
        work.check(&users, sources.iter().chain(&destinations), &jobs).await?;
        work.users(users).await?;
        work.connections(Side::Source, sources, of_sources).await?;
        work.connections(Side::Destination, destinations, of_destinations).await?;
        work.jobs(&there, jobs).await?;
        work.remarks(&there).await
    };
    let taken = taken.await;
    work.end(taken).await
}

//! The command line of `olake-api`.
//!
//! To add a command: a file with its options and its function, a variant of [`Command`], and its case in [`run`].

pub mod config;
pub mod import;
pub mod migrate;
pub mod openapi;
pub mod serve;
pub mod user;

use std::{io::Write, path::PathBuf};

use clap::{Parser, Subcommand};
use olake_shared::{
    bell::BellError,
    config::{Config, ConfigError, Deployment, Sources},
    store::{self, ConnectError, StoreError},
};
use sea_orm::{DatabaseConnection, DbErr};

use crate::{first_admin::FirstAdminError, server::ServeError};

/// The HTTP API of the OLake control plane.
///
/// It keeps sources, destinations, jobs and their tasks in PostgreSQL, and tells workers through Redis that there is
/// something to do. It can run many times beside itself. For one machine without PostgreSQL and Redis there is the
/// program `olake standalone`.
#[derive(Debug, Parser)]
#[command(name = "olake-api", version, after_long_help = EXAMPLES)]
pub struct Arguments {
    /// A file with settings; it holds only what differs from the defaults (also: OLAKE_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Settings come from the defaults, a file, OLAKE_… variables and flags; the later ones win.
Required are OLAKE_DATABASE_URL, OLAKE_REDIS_URL and OLAKE_MASTER_KEY. Each can end in _FILE
instead: it is then the name of a file that holds the value.

Examples:
  olake-api migrate                        bring the database's schema up to date
  olake-api user add ann --admin           make an account; the password is asked for
  olake-api serve --listen 0.0.0.0:8080    serve to other machines, too
  olake-api import --dry-run               what would be taken over from an existing installation
  olake-api config                         show what is in force, and where it came from";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API until SIGTERM or SIGINT
    Serve(serve::Options),
    /// Print the OpenAPI document as YAML
    Openapi,
    /// Bring the database's schema up to date
    Migrate,
    /// Print the settings in force as TOML, secrets masked, with where each came from
    Config,
    /// Make accounts and set passwords
    #[command(subcommand)]
    User(user::Command),
    #[command(name = "import")]
    Import(import::Options),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] olake_shared::telemetry::TelemetryError),
    /// The database cannot be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    /// The schema is older than this program.
    #[error("the database's schema lacks {0}: run `olake-api migrate` first")]
    Schema(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis' address cannot be used.
    #[error(transparent)]
    Bell(#[from] BellError),
    /// The server failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A value of the command line, or one that was asked for, is refused.
    #[error("{0}: {1}")]
    Refused(&'static str, String),
    /// A password cannot be hashed.
    #[error(transparent)]
    Password(#[from] olake_shared::crypto::password::PasswordError),
    /// The first administrator cannot be made.
    #[error("admin.username, admin.password: {0}")]
    FirstAdmin(#[from] FirstAdminError),
    /// Nothing was taken over.
    #[error(transparent)]
    Import(#[from] olake_shared::import::ImportError),
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`].
pub async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let load =
        |flags| Config::load(Deployment::Services, Sources::of_process(arguments.config.clone(), flags));
    match arguments.command {
        Command::Openapi => openapi::run(),
        Command::Serve(options) => serve::run(load(options.flags())?).await,
        Command::Migrate => migrate::run(&load(vec![])?).await,
        Command::Config => config::run(&load(vec![])?),
        Command::User(command) => user::run(&load(vec![])?, command).await,
        Command::Import(options) => import::run(&load(vec![])?, options).await,
    }
}

async fn open_database(config: &Config) -> Result<DatabaseConnection, CommandError> {
    if config.deployment == Deployment::Standalone {
        return Ok(store::open_sqlite(&config.sqlite_file()).await?);
    }
    let Some(url) = &config.database.url else {
        // The configuration of services is refused without one.
        return Err(CommandError::Connect(ConnectError::Scheme));
    };
    let database = &config.database;
    Ok(store::open_postgres(url, database.max_connections, database.acquire_timeout).await?)
}

/// Prints a command's result.
fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads it has enough: `olake-api config | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|source| CommandError::Io { what: "stdout cannot be written".into(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        let mut names = Vec::new();
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            names.extend(command.get_arguments().map(|argument| argument.get_id().to_string()));
            commands.extend(command.get_subcommands().cloned());
        }
        let is_open = |name: &String| name.contains("password") || name.contains("passphrase");
        assert!(names.iter().all(|name| name.ends_with("_file") || !is_open(name)), "{names:?}");
    }
}

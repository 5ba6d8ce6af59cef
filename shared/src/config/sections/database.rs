//! `[database]`: PostgreSQL for services, a SQLite file on one machine.

use std::time::Duration;

use crate::config::{Deployment, error::ConfigError, secret::Secret, values::Values};

/// How the database is reached.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// The URL of PostgreSQL; always there for services, never on one machine.
    pub url: Option<Secret>,
    /// The most connections one process opens.
    pub max_connections: u32,
    /// How long a request waits for a free connection.
    pub acquire_timeout: Duration,
}

impl DatabaseConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let seconds = values.number("database.acquire_timeout_seconds", 1, 300)?;
        Ok(Self {
            url: values.secret("database.url"),
            max_connections: values.number("database.max_connections", 1, 1_000)?,
            acquire_timeout: Duration::from_secs(u64::from(seconds)),
        })
    }

    pub(in crate::config) fn validate(
        &self,
        deployment: Deployment,
        values: &Values,
    ) -> Result<(), ConfigError> {
        match (deployment, &self.url) {
            (Deployment::Services, None) => Err(ConfigError::Missing {
                key: "database.url",
                variable: "OLAKE_DATABASE_URL",
                has_file_twin: true,
                why: "The services keep everything in PostgreSQL: postgres://user:password@host:5432/database",
            }),
            (Deployment::Services, Some(url)) => match url.expose().split_once("://") {
                Some(("postgres" | "postgresql", _)) => Ok(()),
                _ => Err(values.invalid("database.url", "must begin with postgres://")),
            },
            (Deployment::Standalone, Some(_)) => Err(values.invalid(
                "database.url",
                "must be empty here: on one machine the database is the file olake.db in the data folder. \
                 For PostgreSQL run the services olake-api and olake-worker",
            )),
            (Deployment::Standalone, None) => Ok(()),
        }
    }
}

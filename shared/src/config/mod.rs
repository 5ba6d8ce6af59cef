//! The configuration: one commented default file ([`DEFAULT_TOML`]), overridden by a file, then by `OLAKE_…`
//! variables, then by flags. The default file is its documentation.
//!
//! Invariants: an unknown key or variable is an error; every error names the key and where the value came from; no
//! error and no `Debug` shows a secret; secrets are never taken from the command line.
//!
//! To add a setting: 1. comment it into `default.toml`, 2. list it in `keys.rs`, 3. read (and check) it in its section's
//! struct under `sections/`.

pub mod connectors;
mod error;
mod keys;
mod listen;
mod secret;
mod sections;
mod values;

use std::path::{Path, PathBuf};

pub use connectors::{ConnectorProgram, ConnectorTable, ConnectorTableError};
pub use error::{ConfigError, Origin};
pub use listen::Listen;
pub use secret::{MASK, Secret};
pub use sections::{
    AdminConfig, DatabaseConfig, DeadlinesConfig, ImportConfig, KubernetesConfig, KubernetesType, Launcher,
    LimitsConfig, LogConfig, LogFormat, NotificationsConfig, RedisConfig, RegistryConfig, ReleasesConfig,
    Resources, RetentionConfig, SecretsConfig, ServerConfig, SignupConfig, SignupMode, TlsFiles,
    VersionsConfig, WorkerConfig,
};
pub use values::{DEFAULT_TOML, Sources};

use crate::crypto::{KeyRing, keyfile};
use values::Values;

/// The two ways to run the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// One process on one machine, with SQLite.
    Standalone,
    /// `olake-api` and `olake-worker`, with PostgreSQL and Redis.
    Services,
}

/// The configuration in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which deployment it is for.
    pub deployment: Deployment,
    /// The folder for all that is kept on disk.
    pub data_dir: PathBuf,
    /// The API's HTTP server.
    pub server: ServerConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The bell and the events.
    pub redis: RedisConfig,
    /// The master keys.
    pub secrets: SecretsConfig,
    /// Who may make an account.
    pub signup: SignupConfig,
    /// The first administrator.
    pub admin: AdminConfig,
    /// The worker.
    pub worker: WorkerConfig,
    /// How connectors run as pods.
    pub kubernetes: KubernetesConfig,
    /// Which versions of connectors are offered.
    pub versions: VersionsConfig,
    /// Where the tags of images are read.
    pub registry: RegistryConfig,
    /// Where news of releases are read.
    pub releases: ReleasesConfig,
    /// How long a connector may run.
    pub deadlines: DeadlinesConfig,
    /// How many syncs run at once.
    pub limits: LimitsConfig,
    /// Webhooks.
    pub notifications: NotificationsConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// An existing installation whose things are taken over.
    pub import: ImportConfig,
    /// The log of the service.
    pub log: LogConfig,
    shown: String,
}

impl Config {
    /// Reads and checks the configuration. Nothing is made on the disk.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn load(deployment: Deployment, sources: Sources) -> Result<Self, ConfigError> {
        let mut values = Values::merge(sources)?;
        let data_dir = values.text("data_dir");
        if data_dir.is_empty() {
            return Err(values.invalid("data_dir", "must not be empty"));
        }
        let server = ServerConfig::read(&values)?;
        server.validate(&values)?;
        let database = DatabaseConfig::read(&values)?;
        database.validate(deployment, &values)?;
        let redis = RedisConfig::read(&values);
        redis.validate(deployment, &values)?;
        let secrets = SecretsConfig::read(&values);
        secrets.validate(deployment, &values)?;
        let signup = SignupConfig::read(deployment, server.listen, &values)?;
        values.resolve("signup.mode", signup.mode.as_str());
        let admin = AdminConfig::read(&values);
        admin.validate(&values)?;
        let worker = WorkerConfig::read(&values)?;
        worker.validate(deployment, &values)?;
        let kubernetes = KubernetesConfig::read(&values)?;
        let versions = VersionsConfig::read(&values)?;
        let registry = RegistryConfig::read(&values)?;
        registry.validate(&values)?;
        let releases = ReleasesConfig::read(&values)?;
        let deadlines = DeadlinesConfig::read(&values)?;
        let limits = LimitsConfig::read(&values)?;
        let notifications = NotificationsConfig::read(&values);
        notifications.validate(&values)?;
        let retention = RetentionConfig::read(&values)?;
        let import = ImportConfig::read(&values);
        let log = LogConfig::read(&values)?;
        log.validate(&values)?;
        let shown = values.masked_toml();
        let data_dir = PathBuf::from(data_dir);
        Ok(Self {
            deployment,
            data_dir,
            server,
            database,
            redis,
            secrets,
            signup,
            admin,
            worker,
            kubernetes,
            versions,
            registry,
            releases,
            deadlines,
            limits,
            notifications,
            retention,
            import,
            log,
            shown,
        })
    }

    /// What is in force, as TOML: secrets masked, and after each value where it came from.
    pub fn masked_toml(&self) -> &str {
        &self.shown
    }

    /// The SQLite file of one machine.
    pub fn sqlite_file(&self) -> PathBuf {
        self.data_dir.join("olake.db")
    }

    /// The key ring. On one machine without a configured key, the key of the data folder, made if there is none; a key
    /// of the data folder still opens what it sealed after another one was configured.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`] when the data folder's key can be neither read nor made.
    pub fn key_ring(&self) -> Result<KeyRing, ConfigError> {
        let file = self.data_dir.join(keyfile::FILE_NAME);
        let mut retired = self.secrets.retired_keys.clone();
        let current = match (&self.secrets.master_key, self.deployment) {
            (Some(key), Deployment::Standalone) => {
                retired.extend(keyfile::load(&file)?);
                key.clone()
            }
            (Some(key), Deployment::Services) => key.clone(),
            (None, _) => keyfile::load_or_create(&file)?,
        };
        KeyRing::new(&current, &retired).map_err(|error| ConfigError::Invalid {
            key: "secrets.master_key",
            origin: Origin::File(file),
            reason: error.to_string(),
        })
    }

    /// Checks what the launcher "kubernetes" needs, which other programs do not know.
    ///
    /// # Errors
    /// [`ConfigError`] for what is missing or does not do.
    pub fn check_kubernetes(&self) -> Result<(), ConfigError> {
        self.kubernetes.validate()
    }

    /// The table of connectors of this worker. `exe_dir` is the folder of the running program, where one machine
    /// without a table has the sample connector.
    ///
    /// # Errors
    /// [`ConfigError::Connectors`] for a table that is refused, [`ConfigError::Missing`] for services without one.
    pub fn connector_table(&self, exe_dir: &Path) -> Result<ConnectorTable, ConfigError> {
        match (&self.worker.connectors, self.deployment) {
            (Some(file), _) => Ok(ConnectorTable::load(file)?),
            (None, Deployment::Standalone) => Ok(ConnectorTable::sample_beside(exe_dir)),
            (None, Deployment::Services) => Err(ConfigError::Missing {
                key: "worker.connectors",
                variable: "OLAKE_CONNECTORS",
                has_file_twin: false,
                why: "It names the file that says which command serves which type and versions",
            }),
        }
    }
}

#[cfg(test)]
mod tests;

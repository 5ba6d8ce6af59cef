//! One struct for each section of the configuration. Each is read from the merged values, typed, and says in
//! `validate` what it cannot accept.

mod admin;
mod database;
mod deadlines;
mod import;
mod kubernetes;
mod limits;
mod log;
mod notifications;
mod redis;
mod registry;
mod releases;
mod retention;
mod secrets;
mod server;
mod signup;
mod versions;
mod worker;

pub use admin::AdminConfig;
pub use database::DatabaseConfig;
pub use deadlines::DeadlinesConfig;
pub use import::ImportConfig;
pub use kubernetes::{KubernetesConfig, KubernetesType, Resources};
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use notifications::NotificationsConfig;
pub use redis::RedisConfig;
pub use registry::RegistryConfig;
pub use releases::ReleasesConfig;
pub use retention::RetentionConfig;
pub use secrets::SecretsConfig;
pub use server::ServerConfig;
pub use signup::{SignupConfig, SignupMode};
pub use versions::VersionsConfig;
pub use worker::{Launcher, TlsFiles, WorkerConfig};

//! One struct for each section of the configuration. Each is read from the merged values, typed, and says in
//! `validate` what it cannot accept.

mod admin;
mod database;
mod deadlines;
mod limits;
mod log;
mod redis;
mod secrets;
mod server;
mod signup;
mod worker;

pub use admin::AdminConfig;
pub use database::DatabaseConfig;
pub use deadlines::DeadlinesConfig;
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use redis::RedisConfig;
pub use secrets::SecretsConfig;
pub use server::ServerConfig;
pub use signup::{SignupConfig, SignupMode};
pub use worker::{Launcher, WorkerConfig};

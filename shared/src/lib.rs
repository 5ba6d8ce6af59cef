//! What the API and the worker have in common: the domain, the store, the bell, the events, the
//! configuration and the handling of secrets.
//!
//! - [`domain`] has no IO: identifiers, the state machine of a task, schedules, versions.
//! - [`store`] holds every query there is. PostgreSQL (services) or SQLite (one machine) is the truth.
//! - [`bell`] carries task ids to workers, [`events`] tells who waits that a row changed. Both are hints:
//!   whoever gets one looks at the row.
//! - [`config`], [`crypto`], [`clock`], [`telemetry`], [`shutdown`]: what a process needs to start and to stop.
//! - [`import`]: takes over what an existing installation of OLake has.
//! - [`json`]: how text from outside becomes a JSON value.
//! - [`step`]: where tests kill a process.

pub mod bell;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod events;
pub mod import;
pub mod json;
pub mod shutdown;
pub mod step;
pub mod store;
pub mod telemetry;

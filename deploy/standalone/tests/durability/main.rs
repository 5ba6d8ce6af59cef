//! What must survive everything: the whole system with real processes, killed before and after each step of a task's
//! life, paused, and cut off from its database. What really happened is told by witnesses outside of the system: the
//! sample connector's fault `witness`.
//!
//! - [`crash_points`]: each step × before and after × both deployments;
//! - [`pauses`]: a worker that is stopped longer than its lease, and comes back;
//! - [`unreachable_database`]: PostgreSQL away for a while;
//! - [`cancel_latency`]: from the API's answer to the connector's SIGTERM;
//! - [`fence`]: the proof can fail.
//!
//! [`cluster`] starts and restarts the processes, [`witness`] reads the witnesses. To add a step: `olake_shared::step`;
//! the test of the crash points finds it by itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod cancel_latency;
mod cluster;
mod crash_points;
mod fence;
mod pauses;
mod proxy;
#[path = "../end_to_end/support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;
mod unreachable_database;
mod witness;

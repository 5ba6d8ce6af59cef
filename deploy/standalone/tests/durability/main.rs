//! What must survive everything: the whole system with real processes, killed before and after each step of a task's
//! life, paused, and cut off from its database. What really happened is told by witnesses outside of the system: the
//! sample connector's fault `witness`.
//!
//! - [`crash_points`]: each step × before and after × both deployments;
//! - [`pauses`]: a worker that is stopped longer than its lease, and comes back;
//! - [`long_pauses`]: the same for a minute in the middle of each step, with the lease that everybody has;
//! - [`stopping`]: a worker that is told to end while it claims, and while the database is away;
//! - [`unreachable_database`]: PostgreSQL away for a while;
//! - [`refusing_database`]: a database that will never take what a connector leaves;
//! - [`deletes`]: what is deleted while it runs;
//! - [`cancel_latency`]: from the API's answer to the connector's SIGTERM;
//! - [`fence`]: the proof can fail.
//!
//! [`cluster`] starts and restarts the processes, [`witness`] reads the witnesses. To add a step: `olake_shared::step`;
//! the test of the crash points finds it by itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod cancel_latency;
mod cluster;
mod crash_points;
mod deletes;
mod fence;
mod long_pauses;
mod pauses;
mod proxy;
mod refusing_database;
mod stopping;
#[path = "../end_to_end/support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;
mod unreachable_database;
mod witness;

//! The agent of a pod against a worker's internal port: a child process on folders of its own, whose connector is played
//! by the test.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod ends;
mod outages;
mod refusals;
#[path = "../../../shared/tests/support/samples.rs"]
mod samples;
mod sizes;
mod stage;

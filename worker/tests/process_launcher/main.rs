//! The process launcher with its supervisor, on connectors that are small shell scripts.
//!
//! Everything is real: processes, signals, locks, pipes. Tests wait for what they expect to see, with a deadline.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod ends;
mod guard;
mod inputs;
mod output;
mod spare;
mod support;

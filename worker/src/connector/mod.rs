//! The connector protocol: what a connector is told, what it prints, and what it leaves in its files.
//!
//! Nothing here starts a process or touches a database; it is text in, typed values out.
//!
//! - [`command`]: the command line of each kind of task and the input files it names.
//! - [`output`]: the printed text and the log file, both as [`output::LogLine`]s.
//! - [`result`]: what the lines say: a spec, the outcome of a check, totals, and why a run failed.
//! - [`state`]: the files that are rewritten while a connector runs: `state.json` and `stats.json`.
//!
//! Invariants: a file is trusted only when it parses as a whole; texts that the connector wrote (state,
//! catalog) are kept to the byte; no content of a config or a state reaches an error or a `Debug` text.
//!
//! To add a kind of task: add a variant to [`command::Request`], build its arguments there with the version
//! that introduced each flag, and read its result in [`result`]. Then add a run of a real connector to
//! `tests/captures` and its expectation to `tests/connector_captures.rs`.

pub mod command;
mod line_buffer;
pub mod output;
mod quantity;
pub mod result;
pub mod state;

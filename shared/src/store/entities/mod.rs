//! One file a table. Times are microseconds since 1970 (UTC); documents are text. See the migrations for indexes.

pub mod destination;
pub mod job;
pub mod job_state;
pub mod project;
pub mod session;
pub mod source;
pub mod spec_cache;
pub mod task;
pub mod task_attempt;
pub mod task_log_chunk;
pub mod user;
pub mod worker;

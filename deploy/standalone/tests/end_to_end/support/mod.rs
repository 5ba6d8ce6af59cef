//! What the tests are made of.

pub mod client;
pub mod database;
pub mod job;
pub mod living;
pub mod place;
pub mod process;
pub mod redis;
pub mod system;
pub mod waiting;

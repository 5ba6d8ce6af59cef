//! The store's promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod accounts;
mod attempts;
mod connections;
#[path = "../support/databases.rs"]
mod databases;
mod jobs;
mod log_pages;
mod queue;
mod stage;

//! The whole system, with real processes: `olake standalone`, or `olake-api` and `olake-worker` with PostgreSQL and
//! Redis; the sample connector; a client that speaks HTTP.
//!
//! Each test has a folder, a database and (for services) a Redis of its own, and ends what it started. When a test fails
//! it prints what its processes logged. To add one: `System::standalone(&[])` or `System::services(1, &[])`, a [`NewJob`]
//! with the sample's faults, and conditions that are waited for; `support/` has the pieces.
//!
//! [`NewJob`]: support::job::NewJob
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod cancel;
mod clears;
mod configuration;
mod faults;
mod logs;
mod main_job;
mod readme;
mod refusals;
mod retries;
mod schedules;
mod secrets;
mod services;
mod shutdown;
mod support;
mod web_ui;

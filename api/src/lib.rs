//! The HTTP API of the OLake control plane. It writes what is asked for into the store, and never runs a connector
//! itself: workers do.
//!
//! A request passes the [`layers`], is authenticated ([`auth`]), and reaches one function in
//! `routes/<resource>/<operation>.rs`, which answers in the [`envelope`] or with a [`problem::Problem`].
//!
//! To add an operation:
//! 1. `routes/<resource>/<operation>.rs`: the request type, the answer's type, the handler, in this order. Bodies are
//!    [`json::Json`], JSON documents in them [`document::Document`]; failures are [`problem::Problem`].
//! 2. A method of one line in the `#[OpenApi]` block of `routes/<resource>/mod.rs`, with an `operation_id`, a summary
//!    (the first line of its comment) and [`auth::Auth`] as its FIRST argument, so that nothing else of the request is
//!    looked at before the 401.
//! 3. `cargo run --bin olake-api openapi > openapi.yaml`, and a test in `tests/<resource>.rs`. That an operation without
//!    credentials is a 401 is tested for all of them.

pub mod app;
pub mod auth;
pub mod command;
pub mod context;
pub mod document;
pub mod envelope;
pub mod first_admin;
pub mod interactive;
pub mod items;
pub mod json;
pub mod layers;
pub mod openapi;
pub mod paging;
pub mod problem;
pub mod profile;
pub mod received;
pub mod rewrite;
pub mod routes;
pub mod server;
pub mod slow_client;
pub mod streams;
pub mod ui_files;
pub mod unreadable;
pub mod written;

pub use app::{app, document, service, spec_yaml};
pub use context::Context;

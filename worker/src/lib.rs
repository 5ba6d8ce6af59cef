//! The worker: claims tasks, runs connectors, and writes status, state and logs back.
//!
//! - [`reconcile`]: loops that take no input, do a bounded amount of work, may be repeated, and are woken by a signal
//!   and by a timer;
//! - [`launch`]: how a connector is started and watched; one module for each launcher;
//! - [`agent`]: what runs beside a connector: it follows its files, and the supervisor that ends its process group;
//! - [`connector`]: the connector protocol: command lines, output, results;
//! - [`internal`]: the port at which the agents of pods tell what their connectors leave;
//! - [`webhook`]: calls the webhooks of projects;
//! - [`registry`], [`releases`]: what is read from elsewhere, in the background; [`http`] is the client of these three;
//! - [`command`], [`health`]: the program's command line, and its port for probes.

pub mod agent;
pub mod command;
pub mod connector;
pub mod health;
pub mod http;
pub mod internal;
pub mod launch;
pub mod reconcile;
pub mod registry;
pub mod releases;
pub mod webhook;

//! The operations, by resource.

pub mod accounts;
pub mod connections;
pub mod destinations;
pub mod jobs;
pub mod scope;
pub mod sources;
pub mod system;
pub mod tasks;

/// All operations.
pub type Apis = (system::Api, accounts::Api, sources::Api, destinations::Api, jobs::Api, tasks::Api);

/// All operations, to be served.
pub fn all() -> Apis {
    (system::Api, accounts::Api, sources::Api, destinations::Api, jobs::Api, tasks::Api)
}

/// The groups of operations in the documentation.
#[derive(Clone, Copy, Debug, poem_openapi::Tags)]
pub enum Tags {
    /// Signing in and out.
    Accounts,
    /// Where data comes from.
    Sources,
    /// Where data goes.
    Destinations,
    /// What moves rows from a source to a destination, and when.
    Jobs,
    /// Runs of a job, and calls of a connector.
    Tasks,
    /// Whether the server is well.
    System,
}

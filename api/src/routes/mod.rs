//! The operations, by resource.

pub mod accounts;
pub mod connections;
pub mod destinations;
pub mod events;
pub mod jobs;
pub mod logs;
pub mod names;
pub mod notifications;
pub mod platform;
pub mod schedules;
pub mod scope;
pub mod settings;
pub mod sources;
pub mod system;
pub mod tasks;
pub mod users;

/// All operations.
pub type Apis = (
    system::Api,
    accounts::Api,
    sources::Api,
    destinations::Api,
    jobs::Api,
    schedules::Api,
    tasks::Api,
    logs::Api,
    events::Api,
    notifications::Api,
    settings::Api,
    names::Api,
    users::Api,
    platform::Api,
);

/// All operations, to be served.
pub fn all() -> Apis {
    (
        system::Api,
        accounts::Api,
        sources::Api,
        destinations::Api,
        jobs::Api,
        schedules::Api,
        tasks::Api,
        logs::Api,
        events::Api,
        notifications::Api,
        settings::Api,
        names::Api,
        users::Api,
        platform::Api,
    )
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
    /// Who is told when a job fails, and when it works again.
    Notifications,
    /// Whether the server is well.
    System,
}

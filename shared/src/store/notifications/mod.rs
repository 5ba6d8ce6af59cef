//! Notifications: who is told when a job fails and when it works again.
//!
//! - [`settings`]: the webhook of a project;
//! - [`outbox`]: what is to be told. A row is written in the transaction that ends a task, so no end is forgotten;
//!   workers claim rows for a while and write what the receiver said;
//! - [`log`]: what was delivered and what was not, for the person who set the webhook up.
//!
//! Invariants: URL and secret are sealed at rest and bound to the project; a delivery is claimed by one worker at a
//! time; an outcome counts only for the attempt that it belongs to, and a settled delivery stays as it is.

pub mod log;
pub mod outbox;
pub mod settings;

pub(super) use outbox::enqueue_end;

use crate::domain::project::ProjectId;

/// What a sealed column is bound to.
fn aad(project: &ProjectId, column: &str) -> String {
    format!("notification_settings|{project}|{column}")
}

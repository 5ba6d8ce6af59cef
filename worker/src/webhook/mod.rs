//! Calls webhooks: one POST to a URL that a person gave.
//!
//! - [`message`]: what is said;
//! - [`send`]: the request, over [`crate::http`].
//!
//! Invariants: the address that is connected to is the one that was checked, however often a name changes its meaning;
//! redirects are not followed, and no proxy is asked; a call takes a bounded time, and of the answer's body a bounded
//! part is read and none is kept; no error shows the URL or the secret.

pub mod message;
pub mod send;

pub use send::{Caller, Policy};

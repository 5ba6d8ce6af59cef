//! The worker's internal port: the agents of pods tell here what their connectors leave. Not for the outside.
//!
//! Any worker answers any agent: what is told goes to the database, and the owner of the task finds it there.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /internal/v1/attempts/{task}/{attempt}/register` | asks for the permit to start; answers the inputs |
//! | `POST …/push` | stores state, statistics and lines |
//! | `GET …/end?incarnation=` | waits until the connector has ended, or the attempt is over |
//! | `POST …/final?incarnation=` | stores what is told at the end |
//!
//! Each carries the attempt's token as `Authorization: Bearer`. Refusals say why in `{"message": …}`; 409 means that the
//! attempt is over for this agent, 503 and 500 that it may try again.
//!
//! - [`wire`]: the bodies; [`body`]: how they are read; [`answers`]: refusals; [`routes`]: the endpoints;
//! - [`listen`]: the port, with TLS or without.
//!
//! Invariants: nothing here knows who owns a task; the database alone decides what counts; no token, state or line
//! appears in a log.

mod answers;
mod body;
mod listen;
mod routes;
pub mod wire;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use olake_shared::{
    crypto::KeyRing,
    domain::task::TaskId,
    events::Events,
    store::{Store, tasks::Queue},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    body::{BODY_LIMIT, CONTENT_LIMIT},
    listen::{Bound, InternalError, bind},
};

/// Who knows when connectors have ended: the cache of all pods that a worker watches.
#[async_trait]
pub trait Ends: Send + Sync + 'static {
    /// Waits until the connector of an attempt is seen to have ended, for at most `within`. False: it was not.
    async fn ended(&self, task: TaskId, attempt: i32, within: Duration) -> bool;
}

/// What the endpoints work with.
#[derive(Clone)]
pub struct Internal {
    queue: Queue,
    keys: Arc<KeyRing>,
    events: Events,
    ends: Arc<dyn Ends>,
    stop: CancellationToken,
    /// How long an answer to [`Ends::ended`] is waited for.
    poll: Duration,
}

/// How long an agent is left waiting for the end of its connector: below what proxies on the way allow.
const POLL: Duration = Duration::from_secs(30);

impl Internal {
    /// Endpoints that serve until `stop`.
    pub fn new(
        store: &Store,
        keys: Arc<KeyRing>,
        events: Events,
        ends: Arc<dyn Ends>,
        stop: CancellationToken,
    ) -> Self {
        Self { queue: store.queue(), keys, events, ends, stop, poll: POLL }
    }
}

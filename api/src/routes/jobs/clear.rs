//! `POST` and `GET P/jobs/{id}/clear-destination`.

use poem_openapi::Object;

use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// Whether a job's destination is being cleared.
#[derive(Clone, Copy, Debug, Object)]
pub struct Clearing {
    /// True from the start of a clear to its end, also while it waits for a sync to end.
    pub running: bool,
}

/// Starts a clear of all streams of a job, and of its state. The answer comes as soon as it is written down.
pub async fn start(context: &Context, project: &str, id: i64, user: i64) -> Answer<Clearing> {
    let created = scope::project(context, project).await?.create_clear(id, user).await?;
    context.announce_created(&created);
    ok(format!("the destination is being cleared: task {}", created.task), Clearing { running: true })
}

/// Tells whether a clear of a job runs or waits.
pub async fn show(context: &Context, project: &str, id: i64) -> Answer<Clearing> {
    let running = scope::project(context, project).await?.clears(id).await?;
    ok("whether the destination is being cleared", Clearing { running })
}

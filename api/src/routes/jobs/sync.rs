//! `POST P/jobs/{id}/sync`.

use crate::{
    context::Context,
    envelope::{Answer, Nothing, nothing},
    routes::scope,
};

/// Starts a sync. The answer comes as soon as it is written down; a worker that is free starts it at once.
pub async fn sync(context: &Context, project: &str, id: i64, user: i64) -> Answer<Nothing> {
    let created = scope::project(context, project).await?.create_sync(id, user).await?;
    context.announce_created(&created);
    nothing(format!("the sync was started: task {}", created.task))
}

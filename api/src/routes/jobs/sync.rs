//! `POST P/jobs/{id}/sync`.

use olake_shared::step::{Moment, Step, reach};

use crate::{
    context::Context,
    envelope::{Answer, Nothing, nothing},
    routes::scope,
};

/// Starts a sync. The answer comes as soon as it is written down; a worker that is free starts it at once.
pub async fn sync(context: &Context, project: &str, id: i64, user: i64) -> Answer<Nothing> {
    let project = scope::project(context, project).await?;
    reach(Step::Created, Moment::Before);
    let created = project.create_sync(id, user).await?;
    reach(Step::Created, Moment::After);
    reach(Step::Rung, Moment::Before);
    context.announce_created(&created);
    reach(Step::Rung, Moment::After);
    nothing(format!("the sync was started: task {}", created.task))
}

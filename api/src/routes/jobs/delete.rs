//! `DELETE P/jobs/{id}`.

use super::update::Target;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::{connections::delete::Deleted, scope},
};

/// Deletes a job and cancels what runs of it.
pub async fn delete(context: &Context, project: &str, target: Target) -> Answer<Deleted> {
    let Target { id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let if_match = if_match.of(project.job(id).await?.revision)?;
    let (name, ended) = project.delete_job(id, if_match, user).await?;
    for task in &ended {
        context.announce_ended(task);
    }
    ok(format!("job '{name}' deleted"), Deleted { name })
}

//! `DELETE P/jobs/{id}`.

use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::{connections::delete::Deleted, scope},
};

/// Deletes a job and cancels what runs of it.
pub async fn delete(context: &Context, project: &str, id: i64, user: i64) -> Answer<Deleted> {
    let (name, ended) = scope::project(context, project).await?.delete_job(id, user).await?;
    for task in &ended {
        context.announce_ended(task);
    }
    ok(format!("job '{name}' deleted"), Deleted { name })
}

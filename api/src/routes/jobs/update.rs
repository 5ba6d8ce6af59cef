//! `PUT P/jobs/{id}`.

use super::{item::WrittenJob, request::JobBody, sides};
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::scope,
};

/// Which job is replaced, by whom, and which revision it must still have.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub id: i64,
    pub user: i64,
    pub if_match: Option<i64>,
}

/// Replaces a job. Running tasks go on with what they started with.
pub async fn update(
    context: &Context,
    project: &str,
    target: Target,
    body: JobBody,
) -> TaggedAnswer<WrittenJob> {
    let Target { id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let current = project.job(id).await?;
    let input = body.input()?;
    sides::check(context, &project, &input, Some(&current)).await?;
    let mut written = project.update_job(id, &input, if_match, user).await;
    if sides::was_outrun(&written) {
        written = project.update_job(id, &input, if_match, user).await;
    }
    let job = written?;
    let (message, revision, activate) = (format!("job '{}' updated", job.name), job.revision, job.activate);
    let written = WrittenJob { activate: Some(activate), ..WrittenJob::new(job, body) };
    tagged(message, written, revision)
}

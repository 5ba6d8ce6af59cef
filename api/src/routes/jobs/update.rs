//! `PUT P/jobs/{id}`.

use super::{difference, item::WrittenJob, placement, request::JobBody, sides};
use crate::{
    context::Context,
    document::Document,
    envelope::{IfMatch, TaggedAnswer, tagged},
    received::{Echo, Received},
    routes::scope,
};

/// Which job is replaced or deleted, by whom, and which revision it must still have.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: i64,
    pub user: i64,
    pub if_match: IfMatch,
}

/// Replaces a job. Running tasks go on with what they started with, unless streams are to be cleared: then a running sync
/// is cancelled, and what follows is written down with the change.
pub async fn update(
    context: &Context,
    project: &str,
    target: Target,
    body: Received<JobBody>,
) -> TaggedAnswer<Echo<WrittenJob>> {
    let Target { id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let current = project.job(id).await?;
    let if_match = if_match.of(current.revision)?;
    let input = body.input()?;
    sides::check(context, &project, &input, Some(&current)).await?;
    placement::check(context, &project, user, &input, Some(&current)).await?;
    let clear = body.difference_streams.as_ref().filter(|catalog| difference::selects(catalog.value()));
    let clear = clear.map(Document::text);
    let mut written = project.update_job_and_clear(id, &input, clear.as_deref(), if_match, user).await;
    if sides::was_outrun(&written) {
        written = project.update_job_and_clear(id, &input, clear.as_deref(), if_match, user).await;
    }
    let (job, cleared) = written?;
    for created in &cleared.tasks {
        context.announce_created(created);
    }
    if let Some(ended) = &cleared.cancelled {
        context.announce_ended(ended);
    }
    let (message, revision, activate) = (format!("job '{}' updated", job.name), job.revision, job.activate);
    let (source, destination) = sides::echo(&project, &body, &job).await;
    let written = body.echo(|body| WrittenJob {
        activate: Some(activate),
        ..WrittenJob::new(job.id, body, source, destination)
    });
    tagged(message, written, revision)
}

//! `POST P/jobs`.

use super::{item::WrittenJob, placement, request::JobBody, sides};
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    received::{Echo, Received},
    routes::scope,
};

/// Makes a job, and its source and destination if they are new, in one transaction.
pub async fn create(
    context: &Context,
    project: &str,
    user: i64,
    body: Received<JobBody>,
) -> TaggedAnswer<Echo<WrittenJob>> {
    let project = scope::project(context, project).await?;
    let input = body.input()?;
    sides::check(context, &project, &input, None).await?;
    placement::check(context, &project, user, &input, None).await?;
    let mut written = project.create_job(&input, user).await;
    if sides::was_outrun(&written) {
        written = project.create_job(&input, user).await;
    }
    let job = written?;
    let (message, revision) = (format!("job '{}' created", job.name), job.revision);
    let (source, destination) = sides::echo(&project, &body, &job).await;
    tagged(message, body.echo(|body| WrittenJob::new(job.id, body, source, destination)), revision)
}

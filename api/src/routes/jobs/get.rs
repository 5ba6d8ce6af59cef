//! `GET P/jobs/{id}`.

use super::item::JobItem;
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::scope,
};

/// Shows one job.
pub async fn get(context: &Context, project: &str, id: i64) -> TaggedAnswer<JobItem> {
    let job = scope::project(context, project).await?.job(id).await?;
    let (message, revision) = (format!("job '{}'", job.name), job.revision);
    tagged(message, JobItem::try_from(job)?, revision)
}

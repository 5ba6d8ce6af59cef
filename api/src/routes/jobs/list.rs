//! `GET P/jobs`.

use olake_shared::store::jobs::JobFilter;
use poem::http::Uri;

use super::item::JobItem;
use crate::{
    context::Context,
    paging::{PagedAnswer, Wanted, paged},
    routes::scope,
};

/// Lists jobs, newest-updated first.
pub async fn list(
    context: &Context,
    project: &str,
    filter: JobFilter,
    wanted: Wanted,
    uri: &Uri,
) -> PagedAnswer<Vec<JobItem>> {
    let project = scope::project(context, project).await?;
    let mut jobs = project.jobs(filter, wanted.page()).await?;
    let next = wanted.cut(&mut jobs, |job| (job.updated_at, job.id));
    let items = jobs.into_iter().map(JobItem::try_from).collect::<Result<Vec<_>, _>>()?;
    paged(format!("{} found", items.len()), items, uri, next)
}

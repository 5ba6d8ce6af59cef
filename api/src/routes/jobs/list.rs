//! `GET P/jobs`.

use olake_shared::store::jobs::JobFilter;
use poem::http::Uri;

use super::item::JobItem;
use crate::{
    context::Context,
    paging::{PagedAnswer, Wanted, paged},
    routes::scope,
};

/// Lists jobs, newest-updated first; `brief` without configs and catalogs.
pub async fn list(
    context: &Context,
    project: &str,
    filter: &JobFilter,
    wanted: Wanted,
    brief: bool,
    uri: &Uri,
) -> PagedAnswer<Vec<JobItem>> {
    let project = scope::project(context, project).await?;
    let (items, next): (Vec<_>, _) = if brief {
        let mut jobs = project.jobs_brief(filter, wanted.page()).await?;
        let next = wanted.cut(&mut jobs, |job| (job.updated_at, job.id));
        (jobs.into_iter().map(JobItem::from).collect(), next)
    } else {
        let mut jobs = project.jobs(filter, wanted.page()).await?;
        let next = wanted.cut(&mut jobs, |job| (job.updated_at, job.id));
        (jobs.into_iter().map(JobItem::from).collect(), next)
    };
    paged(format!("{} found", items.len()), items, uri, next)
}

//! `GET P/jobs`.

use olake_shared::store::{ProjectStore, StoreError, jobs::JobFilter};
use poem::http::Uri;

use super::item::JobItem;
use crate::{
    context::Context,
    items::{Batch, Items, SHORT, WITH_DOCUMENTS},
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
) -> PagedAnswer<JobItem> {
    let project = scope::project(context, project).await?;
    let mut keys = project.job_keys(filter, wanted.page()).await?;
    let next = wanted.cut(&mut keys);
    let items = if brief {
        Items::read(&keys, SHORT, move |ids| brief_jobs(project.clone(), ids)).await?
    } else {
        Items::read(&keys, WITH_DOCUMENTS, move |ids| jobs(project.clone(), ids)).await?
    };
    paged(items, uri, next)
}

async fn brief_jobs(project: ProjectStore, ids: Vec<i64>) -> Result<Batch<JobItem>, StoreError> {
    Ok(Box::new(project.jobs_brief(&ids).await?.into_iter().map(JobItem::from)))
}

async fn jobs(project: ProjectStore, ids: Vec<i64>) -> Result<Batch<JobItem>, StoreError> {
    Ok(Box::new(project.jobs(&ids).await?.into_iter().map(JobItem::from)))
}

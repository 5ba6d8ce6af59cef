//! `GET P/jobs/{jobid}/tasks`.

use olake_shared::domain::task::TaskId;
use poem::http::Uri;

use super::item::TaskItem;
use crate::{
    context::Context,
    paging::{self, LONGEST_PAGE, PagedAnswer, paged},
    problem::Problem,
    routes::scope,
};

/// Lists the syncs and clears of a job, newest first. The cursor is the id of the last task of the page before.
pub async fn list(
    context: &Context,
    project: &str,
    job: i64,
    limit: Option<i64>,
    cursor: Option<&str>,
    uri: &Uri,
) -> PagedAnswer<Vec<TaskItem>> {
    let limit = limit.map(|limit| paging::checked(limit, LONGEST_PAGE)).transpose()?.unwrap_or(LONGEST_PAGE);
    let before = cursor.filter(|cursor| !cursor.is_empty()).map(read_cursor).transpose()?;
    let mut tasks = scope::project(context, project).await?.tasks_of_job(job, limit + 1, before).await?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (tasks.len() > page).then(|| tasks[page - 1].id.simple().to_string());
    tasks.truncate(page);
    let now = context.store.clock().now();
    let items: Vec<_> = tasks.iter().map(|task| TaskItem::new(task, now)).collect();
    paged(format!("{} found", items.len()), items, uri, next)
}

fn read_cursor(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("cursor", "is none that this list has given"))
}

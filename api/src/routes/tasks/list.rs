//! `GET P/jobs/{jobid}/tasks`.

use olake_shared::domain::task::TaskId;
use poem::http::Uri;

use super::item::TaskItem;
use crate::{
    context::Context,
    items::Items,
    paging::{self, LONGEST_PAGE, PagedAnswer, paged},
    problem::Problem,
    routes::scope,
};

/// Which tasks are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub limit: Option<i64>,
    /// The id of the last task of the page before.
    pub cursor: Option<&'a str>,
    /// Whether slots of the schedule that were skipped are among them; yes unless given.
    pub skipped: Option<bool>,
}

/// Lists the syncs and clears of a job, newest first.
pub async fn list(
    context: &Context,
    project: &str,
    job: i64,
    wanted: Wanted<'_>,
    uri: &Uri,
) -> PagedAnswer<TaskItem> {
    let Wanted { limit, cursor, skipped } = wanted;
    let limit = limit.map(|limit| paging::checked(limit, LONGEST_PAGE)).transpose()?.unwrap_or(LONGEST_PAGE);
    let before = cursor.filter(|cursor| !cursor.is_empty()).map(read_cursor).transpose()?;
    let project = scope::project(context, project).await?;
    let mut tasks = match skipped.unwrap_or(true) {
        true => project.tasks_of_job(job, limit + 1, before).await?,
        false => project.runs_of_job(job, limit + 1, before).await?,
    };
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (tasks.len() > page).then(|| tasks[page - 1].id.simple().to_string());
    tasks.truncate(page);
    let now = context.store.clock().now();
    let items: Vec<_> = tasks.iter().map(|task| TaskItem::new(task, now)).collect();
    paged(Items::of(items), uri, next)
}

fn read_cursor(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("cursor", "is none that this list has given"))
}

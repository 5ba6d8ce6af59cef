//! Tasks: what ran, runs and waits to run, with its log.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it.

pub mod get;
pub mod item;
pub mod list;
pub mod logs;

use olake_shared::{domain::task::TaskId, store::ProjectStore};
use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use self::{
    get::TaskStory,
    item::TaskItem,
    logs::{DirectionWord, TaskLogs, Wanted},
};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, paging::PagedAnswer};

/// Where the story of a task is told.
pub fn location(project: &ProjectStore, task: TaskId) -> String {
    format!("/api/v1/project/{}/tasks/{task}", project.project())
}

/// The operations on tasks.
pub struct Api;

#[OpenApi(tag = "Tags::Tasks")]
impl Api {
    /// Show a task
    ///
    /// Its whole story: kind, status, phase, attempts with reasons and exit codes, times, totals, and (for 24 hours) what a
    /// spec, test or discover found out.
    #[oai(path = "/api/v1/project/:projectid/tasks/:id", method = "get", operation_id = "getTask")]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The task's id
        id: Path<TaskId>,
    ) -> Answer<TaskStory> {
        get::get(&context, &projectid, id.0).await
    }

    /// List the tasks of a job
    ///
    /// Its syncs and clears, newest first, 1000 unless a `limit` is given; the `Link` header names the next page.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/tasks",
        method = "get",
        operation_id = "listJobTasks"
    )]
    async fn list(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        jobid: Path<i64>,
        /// At most this many
        limit: Query<Option<i64>>,
        /// From the `Link` header of the page before
        cursor: Query<Option<String>>,
    ) -> PagedAnswer<Vec<TaskItem>> {
        list::list(&context, &projectid, jobid.0, limit.0, cursor.as_deref(), uri).await
    }

    /// Read the log of a task
    ///
    /// A page of lines, oldest first. Without a cursor, or with a negative one, it is the end of the log. `older_cursor`
    /// with `direction=older` leads back, `newer_cursor` with `direction=newer` follows what is written.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/task/:id/logs",
        method = "get",
        operation_id = "getTaskLogs"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn logs(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        jobid: Path<i64>,
        /// The task's id
        id: Path<TaskId>,
        /// A position between two lines; negative or absent: the end
        cursor: Query<Option<i64>>,
        /// At most this many lines: 1000 unless given, 5000 at most
        limit: Query<Option<i64>>,
        /// `older` unless given
        direction: Query<Option<DirectionWord>>,
    ) -> Answer<TaskLogs> {
        let wanted = Wanted { cursor: cursor.0, limit: limit.0, direction: direction.0 };
        logs::logs(&context, &projectid, jobid.0, id.0, wanted).await
    }
}

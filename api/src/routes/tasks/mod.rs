//! Tasks: what ran, runs and waits to run, with its log.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it.

pub mod force_end;
pub mod get;
pub mod item;
pub mod list;
pub mod logs;
pub mod logs_of_file;

use olake_shared::{domain::task::TaskId, store::ProjectStore};
use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use self::{
    get::TaskStory,
    item::TaskItem,
    logs::{DirectionWord, LevelWord, TaskLogs, Wanted},
    logs_of_file::{FileLogs, LogFileBody},
};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, json::Json, paging::PagedAnswer};

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
    /// Its whole story: kind, status, phase, why it waits and its place in the queue, attempts with reasons and exit codes,
    /// times, totals, and (for 24 hours) what a spec, test or discover found out.
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

    /// End a task by force
    ///
    /// For a task in the phase `node_unreachable`: its node is lost, and whether its connector still runs there is unknown.
    /// The task fails without that being seen, and is not tried again by itself. Make sure that the node is off before the job
    /// runs again: two connectors of it could write at once. A task in another phase is a 409.
    #[oai(
        path = "/api/v1/project/:projectid/tasks/:id/force-end",
        method = "post",
        operation_id = "forceEndTask"
    )]
    async fn force_end(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The task's id
        id: Path<TaskId>,
    ) -> Answer<TaskItem> {
        force_end::force_end(&context, &projectid, id.0).await
    }

    /// List the tasks of a job
    ///
    /// Its syncs and clears, newest first, 1000 unless a `limit` is given; the `Link` header names the next page.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/tasks",
        method = "get",
        operation_id = "listJobTasks"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
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
        /// `false` leaves out slots of the schedule that were skipped
        skipped: Query<Option<bool>>,
    ) -> PagedAnswer<TaskItem> {
        let wanted = list::Wanted { limit: limit.0, cursor: cursor.as_deref(), skipped: skipped.0 };
        list::list(&context, &projectid, jobid.0, wanted, uri).await
    }

    /// Read the log of a task
    ///
    /// A page of lines, oldest first. Without a cursor, or with a negative one, it is the end of the log. `older_cursor`
    /// with `direction=older` leads back, `newer_cursor` with `direction=newer` follows what is written. A `search` looks
    /// through a part of the log; a page may then be short or empty while `has_more_*` says that there is more to look
    /// through.
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
        /// Only lines of this level and worse
        level: Query<Option<LevelWord>>,
        /// Only lines whose message holds this text, without regard to case
        search: Query<Option<String>>,
    ) -> Answer<TaskLogs> {
        let wanted = Wanted {
            cursor: cursor.0,
            limit: limit.0,
            direction: direction.0,
            level: level.0,
            search: search.0,
        };
        logs::logs(&context, &projectid, jobid.0, id.0, wanted).await
    }

    /// Read the log of a task by its file path
    ///
    /// As `GET …/task/{id}/logs`. The task is the one of `file_path`, whatever stands for it in the path.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/tasks/:id/logs",
        method = "post",
        operation_id = "readTaskLogs"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn logs_of_file(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        jobid: Path<i64>,
        /// Anything: it is not looked at
        #[oai(name = "id")]
        _id: Path<String>,
        /// A position between two lines; negative or absent: the end
        cursor: Query<Option<i64>>,
        /// At most this many lines: 1000 unless given, 5000 at most
        limit: Query<Option<i64>>,
        /// `older` unless given
        direction: Query<Option<DirectionWord>>,
        /// Only lines of this level and worse
        level: Query<Option<LevelWord>>,
        /// Only lines whose message holds this text, without regard to case
        search: Query<Option<String>>,
        body: Json<LogFileBody>,
    ) -> Answer<FileLogs> {
        let wanted = Wanted {
            cursor: cursor.0,
            limit: limit.0,
            direction: direction.0,
            level: level.0,
            search: search.0,
        };
        logs_of_file::logs_of_file(&context, &projectid, jobid.0, body.0, wanted).await
    }
}

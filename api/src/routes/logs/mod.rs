//! Logs as a whole: followed while they are written, and downloaded.

pub mod archive;
pub mod download;
pub mod follow;
pub mod range;

use olake_shared::domain::task::TaskId;
use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::{
    download::{DownloadAnswer, PartAsked},
    follow::{From, Target},
};
use super::{Tags, connections::test::LogLineItem, tasks::logs::LevelWord};
use crate::{auth::Auth, context::Context, streams::EventAnswer};

/// The operations on whole logs.
pub struct Api;

#[OpenApi(tag = "Tags::Tasks")]
impl Api {
    /// Follow the log of a task
    ///
    /// Server-sent events: `line` for each line, whose id is the cursor after it, and `end` with the task's `status` when it
    /// has ended and all was sent. From the beginning, unless a `cursor` (as of a page of the log; negative: the end) or
    /// `Last-Event-ID` says otherwise. It ends with the session.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/tasks/:id/logs/stream",
        method = "get",
        operation_id = "followTaskLogs"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn follow(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        jobid: Path<i64>,
        /// The task's id
        id: Path<TaskId>,
        /// From here on; 0 unless given
        cursor: Query<Option<i64>>,
        /// Only lines of this level and worse
        level: Query<Option<LevelWord>>,
        /// Only lines whose message holds this text, without regard to case
        search: Query<Option<String>>,
        /// The id of the last line that the client has; it wins over `cursor`
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> EventAnswer<LogLineItem> {
        let target = Target { job: jobid.0, task: id.0 };
        let from = From {
            cursor: cursor.0,
            last_event_id: last_event_id.as_deref(),
            level: level.0,
            search: search.as_deref(),
        };
        follow::follow(&context, &auth, &projectid, target, from).await
    }

    /// Download the log of a task
    ///
    /// `job-<id>-logs-<time>.tar.gz` with `state.json` and `olake.log` (JSON lines), as they stand now. `Range: bytes=0-0`
    /// is a 206 with that byte, at once. The archive of a task that has ended has an `ETag`, and one range of it is served
    /// (206, or 416 beyond its end), so that a download that broke off goes on where it was: send the `ETag` as `If-Range`.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:jobid/logs/download",
        method = "get",
        operation_id = "downloadTaskLogs"
    )]
    async fn download(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        jobid: Path<i64>,
        /// The task's id, as the list of tasks shows it
        file_path: Query<Option<String>>,
        /// A part in bytes, as `bytes=0-0` or `bytes=1000-`
        #[oai(name = "Range")]
        range: Header<Option<String>>,
        /// The `ETag` of the archive that a part is wanted of; of another one all is sent
        #[oai(name = "If-Range")]
        if_range: Header<Option<String>>,
    ) -> DownloadAnswer {
        let part = PartAsked { range: range.as_deref(), if_range: if_range.as_deref() };
        download::download(&context, &projectid, jobid.0, file_path.as_deref(), part).await
    }
}

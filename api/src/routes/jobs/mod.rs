//! Jobs: what moves from which source to which destination, and when.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it.

pub mod activate;
pub mod cancel;
pub mod create;
pub mod delete;
pub mod get;
pub mod item;
pub mod list;
pub mod request;
pub mod sides;
pub mod sync;
pub mod update;

use olake_shared::store::jobs::JobFilter;
use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::{
    activate::Activation,
    cancel::Cancelled,
    item::{JobItem, WrittenJob},
    request::JobBody,
    update::Target,
};
use super::{Tags, connections::delete::Deleted};
use crate::{
    auth::Auth,
    context::Context,
    envelope::{Answer, Nothing, TaggedAnswer, if_match},
    json::Json,
    paging::{PagedAnswer, Wanted},
};

/// The operations on jobs.
pub struct Api;

#[OpenApi(tag = "Tags::Jobs")]
impl Api {
    /// Create a job
    ///
    /// Its source and destination are picked by `id`, or by name: one of that name which is equal is taken, one which
    /// differs is a 409, and otherwise it is made with the job in one transaction. Both need the same version. Answers the
    /// request as it was, with the new id; secrets come back as `sealed:` tokens.
    #[oai(path = "/api/v1/project/:projectid/jobs", method = "post", operation_id = "createJob")]
    async fn create(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<JobBody>,
    ) -> TaggedAnswer<WrittenJob> {
        create::create(&context, &projectid, auth.user().id, body.0).await
    }

    /// List the jobs
    ///
    /// Newest-updated first. `last_run_*` are absent when a job never ran. All of them, unless a `limit` is given: then the
    /// `Link` header names the next page. The filters may also be written as the last part of the path:
    /// `/jobs/dest_id="1"` and `/jobs/source_id="1"`, the quotes optional.
    #[oai(path = "/api/v1/project/:projectid/jobs", method = "get", operation_id = "listJobs")]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn list(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// Only those that write to this destination
        dest_id: Query<Option<i64>>,
        /// Only those that read from this source
        source_id: Query<Option<i64>>,
        /// At most this many
        limit: Query<Option<i64>>,
        /// From the `Link` header of the page before
        cursor: Query<Option<String>>,
    ) -> PagedAnswer<Vec<JobItem>> {
        let filter = JobFilter { source_id: source_id.0, destination_id: dest_id.0 };
        list::list(&context, &projectid, filter, Wanted::new(limit.0, cursor.as_deref())?, uri).await
    }

    /// Show a job
    ///
    /// With its source, destination and catalog; the `ETag` is its revision.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id", method = "get", operation_id = "getJob")]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> TaggedAnswer<JobItem> {
        get::get(&context, &projectid, id.0).await
    }

    /// Replace a job
    ///
    /// Cancels nothing: a running sync keeps what it started with. Without `activate` the schedule stays as it is. With
    /// `If-Match` only the revision of that `ETag` is replaced.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id", method = "put", operation_id = "updateJob")]
    async fn update(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
        body: Json<JobBody>,
    ) -> TaggedAnswer<WrittenJob> {
        let if_match = if_match(if_match_header.as_deref())?;
        let target = Target { id: id.0, user: auth.user().id, if_match };
        update::update(&context, &projectid, target, body.0).await
    }

    /// Delete a job
    ///
    /// A running sync is cancelled. The job's name is free again; its source and destination stay.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id", method = "delete", operation_id = "deleteJob")]
    async fn delete(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> Answer<Deleted> {
        delete::delete(&context, &projectid, id.0, auth.user().id).await
    }

    /// Start a sync
    ///
    /// Refused (409) while the job is paused or a sync of it is running; the message names that task. A sync that waits
    /// before its next attempt is started at once.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id/sync", method = "post", operation_id = "syncJob")]
    async fn sync(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> Answer<Nothing> {
        sync::sync(&context, &projectid, id.0, auth.user().id).await
    }

    /// Cancel the running sync
    ///
    /// A queued sync is cancelled at once, a running one when its connector is gone. Nothing to cancel is a 409.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id/cancel", method = "post", operation_id = "cancelJob")]
    async fn cancel(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> Answer<Cancelled> {
        cancel::cancel(&context, &projectid, id.0).await
    }

    /// Cancel the running sync, as a GET
    ///
    /// As the POST. Refused (403) when another site's page makes the request.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/cancel",
        method = "get",
        operation_id = "cancelJobByGet"
    )]
    async fn cancel_by_get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        /// What browsers say of where the request comes from
        #[oai(name = "Sec-Fetch-Site")]
        sec_fetch_site: Header<Option<String>>,
    ) -> Answer<Cancelled> {
        cancel::refuse_foreign_page(sec_fetch_site.as_deref())?;
        cancel::cancel(&context, &projectid, id.0).await
    }

    /// Pause or resume a job
    ///
    /// A running sync is left alone.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/activate",
        method = "post",
        operation_id = "activateJob"
    )]
    async fn activate(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        body: Json<Activation>,
    ) -> Answer<Activation> {
        activate::activate(&context, &projectid, id.0, auth.user().id, body.0).await
    }
}

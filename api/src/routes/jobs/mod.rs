//! Jobs: what moves from which source to which destination, and when.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it.

pub mod activate;
pub mod cancel;
pub mod clear;
pub mod create;
pub mod delete;
pub mod difference;
pub mod dry_run;
pub mod get;
pub mod item;
pub mod list;
pub mod placement;
pub mod request;
pub mod sides;
pub mod state;
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
    clear::Clearing,
    difference::{Difference, DifferenceBody},
    item::{JobItem, WrittenJob},
    request::JobBody,
    state::{
        item::{StateItem, StateOfHistory},
        put::{self, StateBody},
    },
    update::Target,
};
use super::{
    Tags,
    connections::{delete::Deleted, test::Asker},
};
use crate::{
    auth::Auth,
    context::Context,
    envelope::{Answer, IfMatch, LaterAnswer, Nothing, TaggedAnswer},
    json::Json,
    paging::{PagedAnswer, Wanted, checked_search},
    received::{Echo, Received},
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
    ///
    /// Where connectors are pods, a `profile` or `max_memory` is first asked of Kubernetes, within 10 seconds: what it refuses is
    /// a 400 in its words.
    #[oai(path = "/api/v1/project/:projectid/jobs", method = "post", operation_id = "createJob")]
    async fn create(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<Received<JobBody>>,
    ) -> TaggedAnswer<Echo<WrittenJob>> {
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
        /// Only those whose name holds this text, without regard to case
        search: Query<Option<String>>,
        /// `true` leaves out configs and catalogs, which makes a long list fast
        brief: Query<Option<bool>>,
    ) -> PagedAnswer<JobItem> {
        checked_search(search.as_deref())?;
        let filter = JobFilter { source_id: source_id.0, destination_id: dest_id.0, search: search.0 };
        let page = Wanted::new(limit.0, cursor.as_deref())?;
        list::list(&context, &projectid, &filter, page, brief.0.unwrap_or_default(), uri).await
    }

    /// Show a job
    ///
    /// With its source, destination, catalog and the next five slots of its schedule; the `ETag` is its revision.
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
    /// A running sync keeps what it started with. Without `activate` the schedule stays as it is. With `If-Match` only the
    /// revision of that `ETag` is replaced. If `difference_streams` selects a stream, a running sync is cancelled, the
    /// selected streams are cleared in the destination and in the state, and the cancelled sync is made up for: as tasks
    /// that wait for each other. Refused (409) while a clear of the job runs or waits. A `profile` or `max_memory` that is new
    /// is asked of Kubernetes, as for a new job.
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
        body: Json<Received<JobBody>>,
    ) -> TaggedAnswer<Echo<WrittenJob>> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { id: id.0, user: auth.user().id, if_match };
        update::update(&context, &projectid, target, body.0).await
    }

    /// Delete a job
    ///
    /// A running sync is cancelled. The job's name is free again; its source and destination stay. With
    /// `If-Match` only the revision of that `ETag` is deleted.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id", method = "delete", operation_id = "deleteJob")]
    async fn delete(
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
    ) -> Answer<Deleted> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { id: id.0, user: auth.user().id, if_match };
        delete::delete(&context, &projectid, target).await
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

    /// Clear a job's destination
    ///
    /// Removes all streams of the job from its destination, and then its state, so that the next sync begins from the
    /// start. The schedule is held meanwhile. Refused (409) while the job is paused, while a sync or a clear of it is
    /// running, and for sources before v0.3.0.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/clear-destination",
        method = "post",
        operation_id = "clearDestination"
    )]
    async fn clear(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> Answer<Clearing> {
        clear::start(&context, &projectid, id.0, auth.user().id).await
    }

    /// Whether a job's destination is being cleared
    ///
    /// True also while the clear waits for a sync to end.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/clear-destination",
        method = "get",
        operation_id = "getClearDestination"
    )]
    async fn clearing(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> Answer<Clearing> {
        clear::show(&context, &projectid, id.0).await
    }

    /// Tell which streams of a changed catalog differ
    ///
    /// The connector compares the job's catalog with the given one; the answer can be sent as `difference_streams` when the
    /// job is replaced. Sources before v0.3.0 cannot tell: an empty object.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/stream-difference",
        method = "post",
        operation_id = "getStreamDifference"
    )]
    async fn difference(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<DifferenceBody>,
    ) -> LaterAnswer<Difference> {
        difference::difference(&context, &projectid, Asker::new(&auth, &prefer), id.0, body.0).await
    }

    /// Tell which streams of a changed catalog differ, under another name
    ///
    /// As `stream-difference`.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/difference-streams",
        method = "post",
        operation_id = "getDifferenceStreams"
    )]
    async fn difference_alias(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<DifferenceBody>,
    ) -> LaterAnswer<Difference> {
        difference::difference(&context, &projectid, Asker::new(&auth, &prefer), id.0, body.0).await
    }

    /// Show the state of a job
    ///
    /// The state is the connector's own document: where its next run goes on. It is there as an object, and as a text to
    /// the byte. The `ETag` changes with each state that a running connector writes. `history` lists the last 20.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id/state", method = "get", operation_id = "getJobState")]
    async fn state(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> TaggedAnswer<StateItem> {
        state::get::get(&context, &projectid, id.0).await
    }

    /// Show one state of a job's history
    ///
    /// With its text, so that it can be put back by `PUT …/state`.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/state/history/:stateid",
        method = "get",
        operation_id = "getJobStateOfHistory"
    )]
    async fn state_of_history(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
        /// The id of the state, from `history`
        stateid: Path<i64>,
    ) -> Answer<StateOfHistory> {
        state::history::history(&context, &projectid, id.0, stateid.0).await
    }

    /// Replace the state of a job
    ///
    /// For operators: the next run goes on from this state. A string is stored to the byte, an object with its keys and
    /// digits as they are. Refused (409) while a sync of the job is queued or running; pause the job first, so that its
    /// schedule does not come in between. With `If-Match` only the state of that `ETag` is replaced.
    #[oai(path = "/api/v1/project/:projectid/jobs/:id/state", method = "put", operation_id = "putJobState")]
    async fn put_state(
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
        body: Json<StateBody>,
    ) -> TaggedAnswer<StateItem> {
        let if_match = state::if_match(if_match_header.as_deref());
        let target = put::Target { id: id.0, user: auth.user().id, if_match };
        put::put(&context, &projectid, target, body.0).await
    }

    /// Reset the state of a job and reload
    ///
    /// The next run begins from the start and reads everything again. What was there stays in the history. Refused (409)
    /// while a sync of the job is queued or running. Starts nothing: that is done by `POST …/sync` or the schedule.
    #[oai(
        path = "/api/v1/project/:projectid/jobs/:id/reset-state",
        method = "post",
        operation_id = "resetJobState"
    )]
    async fn reset_state(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The job's id
        id: Path<i64>,
    ) -> TaggedAnswer<StateItem> {
        state::reset::reset(&context, &projectid, id.0, auth.user().id).await
    }
}

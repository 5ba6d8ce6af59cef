//! The events of a project, as they happen.

pub mod follow;

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::follow::TaskEvent;
use super::Tags;
use crate::{auth::Auth, context::Context, streams::EventAnswer};

/// The operations on events.
pub struct Api;

#[OpenApi(tag = "Tags::Tasks")]
impl Api {
    /// Follow the tasks of a project
    ///
    /// Server-sent events, so that nobody has to poll: `task` when a task of the project is made, changes its status or is
    /// wished to end (with `progress=true` also when it writes), and `resync` when some may have been missed: then read
    /// again what is shown. Open the stream first and read then. It ends with the session; a client that comes again with
    /// `Last-Event-ID` is told to `resync`.
    #[oai(path = "/api/v1/project/:projectid/events", method = "get", operation_id = "followEvents")]
    async fn follow(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `true`: tell also of statistics and log lines
        progress: Query<Option<bool>>,
        /// What browsers send when they come again
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> EventAnswer<TaskEvent> {
        let wanted =
            follow::Wanted { progress: progress.0.unwrap_or_default(), again: last_event_id.0.is_some() };
        follow::follow(&context, &auth, &projectid, wanted).await
    }
}

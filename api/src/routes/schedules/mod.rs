//! Schedules, before a job has one.

pub mod preview;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use self::preview::{NextRuns, PreviewBody};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, json::Json};

/// The operations on schedules.
pub struct Api;

#[OpenApi(tag = "Tags::Jobs")]
impl Api {
    /// Preview a schedule
    ///
    /// The next five times at which a job of this frequency would run. A frequency or a time zone that is none is a 400
    /// that says why. Where clocks are changed, a time of day that is passed over comes as much later, and one that comes
    /// twice counts once; what runs in each of the 24 hours runs through both.
    #[oai(
        path = "/api/v1/project/:projectid/schedule/preview",
        method = "post",
        operation_id = "previewSchedule"
    )]
    async fn preview(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<PreviewBody>,
    ) -> Answer<NextRuns> {
        preview::preview(&context, &projectid, &body.0).await
    }
}

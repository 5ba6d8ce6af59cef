//! What the web UI asks of the installation itself.

pub mod optimization;
pub mod releases;
pub mod telemetry;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Query};

use self::{optimization::OptimizationStatus, releases::Releases, telemetry::Telemetry};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer};

/// This version, as versions are written everywhere: `v0.1.0`.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The operations on the installation.
pub struct Api;

#[OpenApi(tag = "Tags::System")]
impl Api {
    /// The releases of OLake
    ///
    /// What is new, by product, as a worker read it last from the configured feed (`releases.feed_url`). Nothing is fetched
    /// within a request, and without a feed the lists are empty.
    #[oai(path = "/api/v1/platform/releases", method = "get", operation_id = "listReleases")]
    async fn releases(
        &self,
        context: Data<&Context>,
        _auth: Auth,
        /// At most this many of each product, 100 at most
        limit: Query<Option<i64>>,
    ) -> Answer<Releases> {
        releases::releases(&context, limit.0).await
    }

    /// Whether table maintenance is there
    ///
    /// It is a product of its own, and not part of this one.
    #[oai(path = "/api/v1/platform/opt/status", method = "get", operation_id = "getOptimizationStatus")]
    async fn optimization(&self, _auth: Auth) -> Answer<OptimizationStatus> {
        optimization::optimization()
    }

    /// The id that a browser's analytics would use
    ///
    /// Always empty, which turns them off; and the version of this installation.
    #[oai(path = "/telemetry-id", method = "get", operation_id = "getTelemetryId")]
    async fn telemetry(&self, _auth: Auth) -> Answer<Telemetry> {
        telemetry::telemetry()
    }
}

//! Whether the server is well. Outside the envelope and without authentication: probes ask.

pub mod health;
pub mod ready;

use poem::web::Data;
use poem_openapi::OpenApi;

use self::{health::Health, ready::Readiness};
use super::Tags;
use crate::{context::Context, json::Json};

/// The operations on the server itself.
pub struct Api;

#[OpenApi(tag = "Tags::System")]
impl Api {
    /// Whether the process is alive
    ///
    /// Answers as long as the process does. Nothing else is looked at.
    #[oai(path = "/health", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> Json<Health> {
        health::health()
    }

    /// Whether requests can be served
    ///
    /// Looks at the database and at the bell, and names what does not answer.
    #[oai(path = "/ready", method = "get", operation_id = "getReady")]
    async fn ready(&self, context: Data<&Context>) -> Readiness {
        ready::ready(&context).await
    }
}

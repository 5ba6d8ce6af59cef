//! The settings of a project, as the web UI knows them: one address for alerts. It is the project's webhook, of which
//! [`crate::routes::notifications`] shows and takes the whole.

pub mod get;
pub mod item;
pub mod put;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use self::{item::SettingsItem, put::SettingsBody};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, json::Json};

/// The operations on a project's settings.
pub struct Api;

#[OpenApi(tag = "Tags::Notifications")]
impl Api {
    /// Show the project's settings
    ///
    /// The address for alerts: the URL of the webhook, with what is secret in it masked. `id` is 0 when none was set.
    #[oai(path = "/api/v1/project/:projectid/settings", method = "get", operation_id = "getSettings")]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
    ) -> Answer<SettingsItem> {
        get::get(&context, &projectid).await
    }

    /// Replace the project's settings
    ///
    /// Sets the URL of the webhook and enables it; an empty one disables it. What else the webhook has stays as it is. A URL
    /// that comes back as it was shown stays.
    #[oai(path = "/api/v1/project/:projectid/settings", method = "put", operation_id = "updateSettings")]
    async fn put(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<SettingsBody>,
    ) -> Answer<SettingsItem> {
        put::put(&context, &projectid, auth.user().id, body.0).await
    }
}

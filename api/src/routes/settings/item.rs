//! What an answer shows of a project's settings.

use olake_shared::{domain::project::ProjectId, store::notifications::settings::NotificationSettings};
use poem_openapi::Object;

/// The settings of a project.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Settings")]
pub struct SettingsItem {
    /// 1, or 0 if none were ever set.
    pub id: i64,
    /// The project.
    pub project_id: String,
    /// Where alerts go; empty: nowhere.
    pub webhook_alert_url: String,
}

impl SettingsItem {
    /// The settings that the webhook of a project stands for.
    pub fn new(project: &ProjectId, webhook: NotificationSettings) -> Self {
        Self {
            id: i64::from(webhook.revision > 0),
            project_id: project.as_str().to_owned(),
            webhook_alert_url: webhook.url,
        }
    }
}

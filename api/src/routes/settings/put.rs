//! `PUT P/settings`.

use std::fmt;

use olake_shared::{
    domain::webhook::NotificationFormat,
    store::{
        StoreError,
        notifications::settings::{NotificationInput, SecretChange},
    },
};
use poem_openapi::{Object, types::Example};

use super::item::SettingsItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::scope,
};

/// The settings of a project. The project is that of the path; what else is sent is ignored.
#[derive(Clone, Object)]
#[oai(rename = "SettingsInput", example)]
pub struct SettingsBody {
    /// Where alerts go. As it was shown: unchanged. Empty: nowhere.
    pub webhook_alert_url: String,
}

impl fmt::Debug for SettingsBody {
    /// Does not show the URL, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsBody").finish_non_exhaustive()
    }
}

impl Example for SettingsBody {
    fn example() -> Self {
        Self { webhook_alert_url: "https://hooks.example.com/services/olake".into() }
    }
}

/// Replaces the settings of a project.
pub async fn put(context: &Context, project: &str, user: i64, body: SettingsBody) -> Answer<SettingsItem> {
    let project = scope::project(context, project).await?;
    let current = project.notification_settings().await?;
    let url = body.webhook_alert_url.trim().to_owned();
    let input = NotificationInput {
        enabled: !url.is_empty(),
        url,
        secret: SecretChange::Keep,
        // Addresses that are given here are those of chat rooms as a rule, which take this form.
        format: if current.revision == 0 { NotificationFormat::Text } else { current.format },
        on_failure: current.on_failure,
        on_recovery: current.on_recovery,
        on_success: current.on_success,
        allow_private: context.settings.allow_private_webhooks,
    };
    let webhook =
        project.put_notification_settings(&input, Some(current.revision), user).await.map_err(|error| {
            match error {
                StoreError::Invalid { field, reason } if field == "url" => {
                    Problem::bad_request("webhook_alert_url", reason)
                }
                error => error.into(),
            }
        })?;
    let message = if webhook.enabled { "alerts are sent" } else { "alerts are not sent" };
    ok(message, SettingsItem::new(project.project(), webhook))
}

//! `PUT P/settings/notifications`.

use std::fmt;

use olake_shared::{
    config::{MASK, Secret},
    store::notifications::settings::{NotificationInput, SecretChange},
};
use poem_openapi::{Object, types::Example};

use super::item::{FormatWord, NotificationItem};
use crate::{
    context::Context,
    envelope::{IfMatch, TaggedAnswer, tagged},
    routes::scope,
};

/// Where the notifications of a project go.
#[derive(Clone, Object)]
#[oai(rename = "NotificationsInput", example)]
pub struct NotificationBody {
    /// `http` or `https`. As it was shown (with `********`): unchanged. Empty: nowhere. Addresses of the server's own
    /// machine and network are refused, unless the installation allows them.
    pub url: String,
    /// What deliveries are signed with. Absent, null or `********`: unchanged. Empty: not signed.
    #[oai(skip_serializing_if_is_none)]
    pub secret: Option<String>,
    /// `json` unless given.
    #[oai(skip_serializing_if_is_none)]
    pub format: Option<FormatWord>,
    /// True unless given.
    #[oai(skip_serializing_if_is_none)]
    pub on_failure: Option<bool>,
    /// True unless given.
    #[oai(skip_serializing_if_is_none)]
    pub on_recovery: Option<bool>,
    /// False unless given.
    #[oai(skip_serializing_if_is_none)]
    pub on_success: Option<bool>,
    /// True unless given.
    #[oai(skip_serializing_if_is_none)]
    pub enabled: Option<bool>,
}

impl fmt::Debug for NotificationBody {
    /// Shows neither the URL nor the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotificationBody").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Example for NotificationBody {
    fn example() -> Self {
        Self {
            url: "https://hooks.example.com/services/olake".into(),
            secret: Some("a long random text".into()),
            format: Some(FormatWord::Json),
            on_failure: Some(true),
            on_recovery: Some(true),
            on_success: Some(false),
            enabled: Some(true),
        }
    }
}

impl NotificationBody {
    fn into_input(self, allow_private: bool) -> NotificationInput {
        NotificationInput {
            url: self.url,
            secret: match self.secret {
                None => SecretChange::Keep,
                Some(secret) if secret == MASK => SecretChange::Keep,
                Some(secret) if secret.is_empty() => SecretChange::Remove,
                Some(secret) => SecretChange::Set(Secret::new(secret)),
            },
            format: self.format.unwrap_or(FormatWord::Json).into(),
            on_failure: self.on_failure.unwrap_or(true),
            on_recovery: self.on_recovery.unwrap_or(true),
            on_success: self.on_success.unwrap_or(false),
            enabled: self.enabled.unwrap_or(true),
            allow_private,
        }
    }
}

/// Replaces the webhook.
pub async fn put(
    context: &Context,
    project: &str,
    if_match: IfMatch,
    user: i64,
    body: NotificationBody,
) -> TaggedAnswer<NotificationItem> {
    let input = body.into_input(context.settings.allow_private_webhooks);
    let project = scope::project(context, project).await?;
    let if_match = if_match.of(project.notification_settings().await?.revision)?;
    let settings = project.put_notification_settings(&input, if_match, user).await?;
    let message =
        if settings.enabled { "notifications are enabled" } else { "notifications are not enabled" };
    let revision = settings.revision;
    tagged(message, settings.into(), revision)
}

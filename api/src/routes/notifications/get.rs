//! `GET P/settings/notifications`.

use super::item::NotificationItem;
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::scope,
};

/// Shows the webhook.
pub async fn get(context: &Context, project: &str) -> TaggedAnswer<NotificationItem> {
    let settings = scope::project(context, project).await?.notification_settings().await?;
    let message =
        if settings.enabled { "notifications are enabled" } else { "notifications are not enabled" };
    let revision = settings.revision;
    tagged(message, settings.into(), revision)
}

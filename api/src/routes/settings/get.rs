//! `GET P/settings`.

use super::item::SettingsItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// Shows the settings of a project.
pub async fn get(context: &Context, project: &str) -> Answer<SettingsItem> {
    let project = scope::project(context, project).await?;
    let webhook = project.notification_settings().await?;
    ok("the settings of the project", SettingsItem::new(project.project(), webhook))
}

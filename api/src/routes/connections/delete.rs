//! `DELETE P/sources/{id}`, `DELETE P/destinations/{id}`.

use poem_openapi::Object;

use super::update::Target;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// What was deleted.
#[derive(Clone, Debug, Object)]
pub struct Deleted {
    /// Its name, which is free again.
    pub name: String,
}

/// Deletes a source or destination that no job uses.
pub async fn delete(context: &Context, project: &str, target: Target) -> Answer<Deleted> {
    let Target { side, id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let if_match = if_match.of(project.connection(side, id).await?.revision)?;
    let name = project.delete_connection(side, id, if_match, user).await?;
    ok(format!("{} '{name}' deleted", side.name()), Deleted { name })
}

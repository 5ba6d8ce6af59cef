//! `DELETE P/sources/{id}`, `DELETE P/destinations/{id}`.

use olake_shared::store::connections::Side;
use poem_openapi::Object;

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
pub async fn delete(context: &Context, side: Side, project: &str, id: i64, user: i64) -> Answer<Deleted> {
    let project = scope::project(context, project).await?;
    let name = project.delete_connection(side, id, user).await?;
    ok(format!("{} '{name}' deleted", side.name()), Deleted { name })
}

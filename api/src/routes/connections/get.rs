//! `GET P/sources/{id}`, `GET P/destinations/{id}`.

use olake_shared::store::connections::Side;

use super::item::ConnectionItem;
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::scope,
};

/// Shows one source or destination.
pub async fn get(context: &Context, side: Side, project: &str, id: i64) -> TaggedAnswer<ConnectionItem> {
    let project = scope::project(context, project).await?;
    let connection = project.connection(side, id).await?;
    let jobs = project.jobs_of_connection(side, id).await?;
    let (message, revision) = (format!("{} '{}'", side.name(), connection.name), connection.revision);
    tagged(message, ConnectionItem::new(side, connection, jobs), revision)
}

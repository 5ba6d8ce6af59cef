//! `PUT P/sources/{id}`, `PUT P/destinations/{id}`.

use olake_shared::store::connections::Side;

use super::{item::WrittenConnection, known, request::Given};
use crate::{
    context::Context,
    envelope::{IfMatch, TaggedAnswer, tagged},
    routes::scope,
};

/// Which one is replaced or deleted, by whom, and which revision it must still have.
#[derive(Clone, Debug)]
pub struct Target {
    pub side: Side,
    pub id: i64,
    pub user: i64,
    pub if_match: IfMatch,
}

/// Replaces a source or destination. Running syncs keep what they started with.
pub async fn update(
    context: &Context,
    project: &str,
    target: Target,
    given: Given,
) -> TaggedAnswer<WrittenConnection> {
    let Target { side, id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let current = project.connection(side, id).await?;
    let if_match = if_match.of(current.revision)?;
    let input = given.input("")?;
    // What it has already is not asked again: an edit must stay possible when the workers have moved on.
    if (&current.connector_type, &current.version) != (&input.connector_type, &input.version) {
        known::check(context, side, &input, "").await?;
    }
    let connection = project.update_connection(side, id, &input, if_match, user).await?;
    let (message, revision) = (format!("{} '{}' updated", side.name(), connection.name), connection.revision);
    tagged(message, WrittenConnection::new(connection, &given.config), revision)
}

//! `POST P/sources`, `POST P/destinations`.

use olake_shared::store::connections::Side;

use super::{item::WrittenConnection, known, request::Given};
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::scope,
};

/// Makes a source or destination.
pub async fn create(
    context: &Context,
    side: Side,
    project: &str,
    user: i64,
    given: Given,
) -> TaggedAnswer<WrittenConnection> {
    let project = scope::project(context, project).await?;
    let input = given.input("")?;
    known::check(context, side, &input, "").await?;
    let connection = project.create_connection(side, &input, user).await?;
    let (message, revision) = (format!("{} '{}' created", side.name(), connection.name), connection.revision);
    tagged(message, WrittenConnection::new(connection, &given.config), revision)
}

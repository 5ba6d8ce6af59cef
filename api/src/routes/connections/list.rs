//! `GET P/sources`, `GET P/destinations`.

use olake_shared::store::connections::Side;
use poem::http::Uri;

use super::item::ConnectionItem;
use crate::{
    context::Context,
    paging::{PagedAnswer, Wanted, paged},
    routes::scope,
};

/// Lists sources or destinations, newest-updated first.
pub async fn list(
    context: &Context,
    side: Side,
    project: &str,
    search: Option<&str>,
    wanted: Wanted,
    uri: &Uri,
) -> PagedAnswer<Vec<ConnectionItem>> {
    let project = scope::project(context, project).await?;
    let mut found = project.connections(side, search, wanted.page()).await?;
    let next = wanted.cut(&mut found, |(connection, _)| (connection.updated_at, connection.id));
    let items: Vec<_> =
        found.into_iter().map(|(connection, jobs)| ConnectionItem::new(side, connection, jobs)).collect();
    paged(format!("{} found", items.len()), items, uri, next)
}

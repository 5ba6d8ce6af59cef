//! `GET P/sources`, `GET P/destinations`.

use olake_shared::store::{ProjectStore, StoreError, connections::Side};
use poem::http::Uri;

use super::item::ConnectionItem;
use crate::{
    context::Context,
    items::{Batch, Items, WITH_DOCUMENTS},
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
) -> PagedAnswer<ConnectionItem> {
    let project = scope::project(context, project).await?;
    let mut keys = project.connection_keys(side, search, wanted.page()).await?;
    let next = wanted.cut(&mut keys);
    let items = Items::read(&keys, WITH_DOCUMENTS, move |ids| read(project.clone(), side, ids)).await?;
    paged(items, uri, next)
}

async fn read(project: ProjectStore, side: Side, ids: Vec<i64>) -> Result<Batch<ConnectionItem>, StoreError> {
    let found = project.connections(side, &ids).await?;
    Ok(Box::new(found.into_iter().map(move |(connection, jobs)| ConnectionItem::new(side, connection, jobs))))
}

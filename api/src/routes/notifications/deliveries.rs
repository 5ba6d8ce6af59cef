//! `GET P/settings/notifications/deliveries`.

use poem::http::Uri;
use uuid::Uuid;

use super::item::DeliveryItem;
use crate::{
    context::Context,
    items::Items,
    paging::{self, LONGEST_PAGE, PagedAnswer, paged},
    problem::Problem,
    routes::scope,
};

/// Lists the deliveries, newest first. The cursor is the id of the last one of the page before.
pub async fn deliveries(
    context: &Context,
    project: &str,
    limit: Option<i64>,
    cursor: Option<&str>,
    uri: &Uri,
) -> PagedAnswer<DeliveryItem> {
    let limit = limit.map(|limit| paging::checked(limit, LONGEST_PAGE)).transpose()?.unwrap_or(LONGEST_PAGE);
    let before = cursor.filter(|cursor| !cursor.is_empty()).map(read_cursor).transpose()?;
    let mut records = scope::project(context, project).await?.deliveries(limit + 1, before).await?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (records.len() > page).then(|| records[page - 1].id.simple().to_string());
    records.truncate(page);
    let items: Vec<_> = records.into_iter().map(DeliveryItem::from).collect();
    paged(Items::of(items), uri, next)
}

fn read_cursor(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::bad_request("cursor", "is none that this list has given"))
}

//! `GET /api/v1/users`.

use super::item::UserItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
};

/// Lists the accounts.
pub async fn list(context: &Context) -> Answer<Vec<UserItem>> {
    let users: Vec<_> = context.store.users().await?.into_iter().map(UserItem::from).collect();
    ok(format!("{} found", users.len()), users)
}

//! `DELETE /api/v1/users/{id}`.

use poem_openapi::Object;

use crate::{
    context::Context,
    envelope::{Answer, ok},
};

/// The account that was deleted.
#[derive(Clone, Debug, Object)]
pub struct DeletedUser {
    /// Its name, which is free again.
    pub username: String,
}

/// Deletes an account.
pub async fn delete(context: &Context, id: i64) -> Answer<DeletedUser> {
    let username = context.store.delete_user(id).await?;
    ok(format!("user '{username}' deleted"), DeletedUser { username })
}

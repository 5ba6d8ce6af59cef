//! `PUT /api/v1/users/{id}`.

use olake_shared::{config::Secret, crypto::password, store::accounts::UserChange};
use poem_openapi::{
    Object,
    types::{Example, Password},
};

use super::item::UserItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::accounts::signup::{check_email, check_password, check_username},
};

/// What changes of an account. It has no `Debug`, so that it cannot end in a log.
#[derive(Object)]
#[oai(rename = "UserChange", example, skip_serializing_if_is_none)]
pub struct UserChangeBody {
    /// Another name to sign in with.
    pub username: Option<String>,
    /// Another mail address.
    pub email: Option<String>,
    /// Another password. Absent, null or empty: the same.
    pub password: Option<Password>,
}

impl Example for UserChangeBody {
    fn example() -> Self {
        Self { username: Some("ann".into()), email: Some("ann@example.com".into()), password: None }
    }
}

/// Changes an account.
pub async fn update(context: &Context, id: i64, body: UserChangeBody) -> Answer<UserItem> {
    let password = body.password.map(|password| password.0).filter(|password| !password.is_empty());
    let refused = |(field, reason): (&'static str, String)| Problem::bad_request(field, reason);
    body.username.as_deref().map_or(Ok(()), check_username).map_err(refused)?;
    body.email.as_deref().map_or(Ok(()), check_email).map_err(refused)?;
    password.as_deref().map_or(Ok(()), check_password).map_err(refused)?;
    let password_hash = match password {
        Some(password) => Some(password::hash_async(Secret::new(password)).await?),
        None => None,
    };
    let change = UserChange { username: body.username, email: body.email, password_hash };
    let user = context.store.update_user(id, change).await?;
    ok(format!("user '{}' updated", user.username), user.into())
}

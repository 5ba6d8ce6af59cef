//! `POST /api/v1/users`.

use olake_shared::{config::Secret, crypto::password, store::accounts::NewUser};
use poem_openapi::{
    Object,
    types::{Example, Password},
};

use super::item::UserItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::accounts::signup::check,
};

/// An account to be made. It has no `Debug`, so that it cannot end in a log.
#[derive(Object)]
#[oai(rename = "UserInput", example)]
pub struct UserBody {
    /// The name to sign in with: 1 to 64 visible characters.
    pub username: String,
    /// The mail address of the person.
    pub email: String,
    /// The password: 8 to 1024 characters.
    pub password: Password,
}

impl Example for UserBody {
    fn example() -> Self {
        Self {
            username: "ann".into(),
            email: "ann@example.com".into(),
            password: Password("correct horse battery staple".into()),
        }
    }
}

/// Makes an account.
pub async fn create(context: &Context, body: UserBody) -> Answer<UserItem> {
    check(&body.username, &body.email, &body.password.0)
        .map_err(|(field, reason)| Problem::bad_request(field, reason))?;
    let password_hash = password::hash_async(Secret::new(body.password.0)).await?;
    let new = NewUser { username: body.username, email: body.email, password_hash, is_admin: false };
    let user = context.store.create_user(new).await?;
    ok(format!("user '{}' created", user.username), user.into())
}

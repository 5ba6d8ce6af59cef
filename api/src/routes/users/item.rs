//! What an answer shows of an account.

use olake_shared::store::accounts::User;
use poem_openapi::Object;

/// An account, without its password.
#[derive(Clone, Debug, Object)]
#[oai(rename = "User")]
pub struct UserItem {
    /// Its id.
    pub id: i64,
    /// The name to sign in with.
    pub username: String,
    /// The mail address.
    pub email: String,
}

impl From<User> for UserItem {
    fn from(user: User) -> Self {
        Self { id: user.id, username: user.username, email: user.email }
    }
}

//! The first administrator: made at a start that finds no account, from the configuration.

use olake_shared::{
    config::Secret,
    crypto::password::{self, PasswordError},
    store::{Store, StoreError, accounts::NewUser},
};

use crate::routes::accounts::signup::check;

/// Why the first administrator cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// No account may have this name or password.
    #[error("{field}: {reason}")]
    Refused { field: &'static str, reason: String },
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the first account, an administrator, if there is none. Answers whether it did.
///
/// # Errors
/// [`FirstAdminError`].
pub async fn ensure(store: &Store, username: &str, password: Secret) -> Result<bool, FirstAdminError> {
    if store.count_users().await? > 0 {
        return Ok(false);
    }
    let email = format!("{username}@localhost");
    check(username, &email, password.expose())
        .map_err(|(field, reason)| FirstAdminError::Refused { field, reason })?;
    let password_hash = password::hash_async(password).await?;
    let new = NewUser { username: username.to_owned(), email, password_hash, is_admin: true };
    match store.create_user(new).await {
        Ok(_) => {
            tracing::info!(username, "the first administrator is made");
            Ok(true)
        }
        // Another server that started at the same time was faster.
        Err(StoreError::AccountTaken { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

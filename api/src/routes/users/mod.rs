//! Accounts, as administrators manage them.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it; it begins with
//! [`administrator`].

pub mod create;
pub mod delete;
pub mod item;
pub mod list;
pub mod update;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use self::{create::UserBody, delete::DeletedUser, item::UserItem, update::UserChangeBody};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, json::Json, problem::Problem};

/// Refuses everybody but administrators.
///
/// # Errors
/// 403.
fn administrator(auth: &Auth) -> Result<(), Problem> {
    match auth.user().is_admin {
        true => Ok(()),
        false => Err(Problem::forbidden("only administrators manage accounts")),
    }
}

/// The operations on accounts of others.
pub struct Api;

#[OpenApi(tag = "Tags::Accounts")]
impl Api {
    /// List the accounts
    ///
    /// All of them, by name. For administrators (others: 403).
    #[oai(path = "/api/v1/users", method = "get", operation_id = "listUsers")]
    async fn list(&self, auth: Auth, context: Data<&Context>) -> Answer<Vec<UserItem>> {
        administrator(&auth)?;
        list::list(&context).await
    }

    /// Make an account for somebody
    ///
    /// It is no administrator. For administrators (others: 403).
    #[oai(path = "/api/v1/users", method = "post", operation_id = "createUser")]
    async fn create(&self, auth: Auth, context: Data<&Context>, body: Json<UserBody>) -> Answer<UserItem> {
        administrator(&auth)?;
        create::create(&context, body.0).await
    }

    /// Change an account
    ///
    /// What is absent stays. Another password ends every session of the account. For administrators (others: 403).
    #[oai(path = "/api/v1/users/:id", method = "put", operation_id = "updateUser")]
    async fn update(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The account's id
        id: Path<i64>,
        body: Json<UserChangeBody>,
    ) -> Answer<UserItem> {
        administrator(&auth)?;
        update::update(&context, id.0, body.0).await
    }

    /// Delete an account
    ///
    /// Its sessions end; what it made stays. The last administrator cannot be deleted (409). For administrators (others:
    /// 403).
    #[oai(path = "/api/v1/users/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The account's id
        id: Path<i64>,
    ) -> Answer<DeletedUser> {
        administrator(&auth)?;
        delete::delete(&context, id.0).await
    }
}

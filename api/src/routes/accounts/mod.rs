//! Signing up, in and out.

pub mod login;
pub mod logout;
pub mod signup;
pub mod whoami;

use poem::{
    Request,
    web::{Data, cookie::CookieJar},
};
use poem_openapi::OpenApi;

use self::{
    login::{Login, LoginData},
    signup::{NewAccount, Signup},
    whoami::Me,
};
use super::Tags;
use crate::{
    auth::Auth,
    context::Context,
    envelope::{Answer, Nothing},
    json::Json,
};

/// The operations on accounts.
pub struct Api;

#[OpenApi(tag = "Tags::Accounts")]
impl Api {
    /// Sign in
    ///
    /// Opens a session. Its token is set as a cookie, and answered to be sent as `Authorization: Bearer`. After ten
    /// failures within five minutes a name is held back (429).
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        context: Data<&Context>,
        jar: &CookieJar,
        request: &Request,
        body: Json<Login>,
    ) -> Answer<LoginData> {
        login::login(&context, jar, request, body.0).await
    }

    /// Make an account
    ///
    /// Where the server lets everybody sign up; a 403 where it does not. No account that signs up is an administrator.
    #[oai(path = "/signup", method = "post", operation_id = "signup")]
    async fn signup(&self, context: Data<&Context>, body: Json<Signup>) -> Answer<NewAccount> {
        signup::signup(&context, body.0).await
    }

    /// Sign out
    ///
    /// Ends the session, whose token opens nothing from then on, and clears the cookie.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, auth: Auth, context: Data<&Context>, jar: &CookieJar) -> Answer<Nothing> {
        logout::logout(&context, &auth, jar).await
    }

    /// Who am I
    ///
    /// The account that the request is made by.
    #[oai(path = "/auth", method = "get", operation_id = "whoAmI")]
    async fn whoami(&self, auth: Auth) -> Answer<Me> {
        whoami::whoami(&auth)
    }

    /// Whether I am signed in
    ///
    /// As `GET /auth`.
    #[oai(path = "/auth/check", method = "get", operation_id = "checkAuth")]
    async fn check(&self, auth: Auth) -> Answer<Me> {
        whoami::whoami(&auth)
    }
}

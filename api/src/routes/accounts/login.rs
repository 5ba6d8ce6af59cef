//! Signing in.

use std::net::SocketAddr;

use olake_shared::{
    config::Secret,
    crypto::{password, token::new_token},
};
use poem::{Request, web::cookie::CookieJar};
use poem_openapi::{
    Object,
    types::{Example, Password},
};

use crate::{
    auth::cookie,
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
};

/// A name and a password. It has no `Debug`, so that it cannot end in a log.
#[derive(Object)]
#[oai(example)]
pub struct Login {
    /// The name of the account.
    pub username: String,
    /// Its password.
    pub password: Password,
}

impl Example for Login {
    fn example() -> Self {
        Self { username: "admin".into(), password: Password("correct horse battery staple".into()) }
    }
}

/// An open session.
#[derive(Object)]
pub struct LoginData {
    /// The name of the account.
    pub username: String,
    /// The session's token, for `Authorization: Bearer`.
    pub token: String,
}

pub(super) async fn login(
    context: &Context,
    jar: &CookieJar,
    request: &Request,
    login: Login,
) -> Answer<LoginData> {
    let address = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
    let now = context.store.clock().now();
    let attempt = context.throttle.begin(&login.username, address, now).await.map_err(|wait| {
        tracing::warn!("logins are held back after too many failures");
        Problem::too_many(format!("Too many failed logins: try again in {wait} seconds"), wait)
    })?;
    let (user, hash) = context.store.user_by_name(&login.username).await?.unzip();
    let password = Secret::new(login.password.0);
    // An unknown name costs the same time as a wrong password.
    let right = password::verify_async(password.clone(), hash.clone()).await?;
    let Some((user, hash)) = user.zip(hash).filter(|_| right) else {
        attempt.failed(context.store.clock().now());
        return Err(Problem::invalid_credentials());
    };
    attempt.succeeded();
    if password::needs_rehash(&hash) {
        renew(context, user.id, &hash, password).await;
    }
    let token = new_token();
    let settings = &context.settings;
    context.store.create_session(user.id, &token, settings.session_ttl).await?;
    cookie::set(jar, &token, settings.session_ttl, settings.cookie_secure);
    ok(format!("Signed in as {}", user.username), LoginData { username: user.username, token })
}

/// Hashes a password again as they are hashed today. If it fails, the old hash is as good as it was.
async fn renew(context: &Context, user: i64, old: &str, password: Secret) {
    let renewed = match password::hash_async(password).await {
        Ok(new) => context.store.renew_password_hash(user, old, &new).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = renewed {
        tracing::warn!(user.id = user, error, "a password was not hashed again");
    }
}

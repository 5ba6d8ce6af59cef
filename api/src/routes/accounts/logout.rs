//! Signing out.

use poem::web::cookie::CookieJar;

use crate::{
    auth::{Auth, cookie},
    context::Context,
    envelope::{Answer, Nothing, nothing},
};

pub(super) async fn logout(context: &Context, auth: &Auth, jar: &CookieJar) -> Answer<Nothing> {
    context.store.end_session(auth.token()).await?;
    cookie::clear(jar, context.settings.cookie_secure);
    nothing("Signed out")
}

//! Who makes the request.

use poem_openapi::Object;

use crate::{
    auth::Auth,
    envelope::{Answer, ok},
};

/// The account of the request.
#[derive(Clone, Debug, Object)]
pub struct Me {
    /// The name of the account.
    pub username: String,
}

pub(super) fn whoami(auth: &Auth) -> Answer<Me> {
    ok("You are signed in", Me { username: auth.user().username.clone() })
}

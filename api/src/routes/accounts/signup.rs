//! Making an account.

use olake_shared::{config::Secret, crypto::password, store::accounts::NewUser};
use poem_openapi::{
    Object,
    types::{Example, Password},
};

use crate::{
    context::{Context, Signup as Mode},
    envelope::{Answer, ok},
    problem::Problem,
};

const LONGEST_USERNAME: usize = 64;
const LONGEST_EMAIL: usize = 254;
const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=1024;

/// An account to be made. It has no `Debug`, so that it cannot end in a log.
#[derive(Object)]
#[oai(example)]
pub struct Signup {
    /// The mail address of the person.
    pub email: String,
    /// The name to sign in with: 1 to 64 visible characters.
    pub username: String,
    /// The password: 8 to 1024 characters.
    pub password: Password,
}

impl Example for Signup {
    fn example() -> Self {
        Self {
            email: "ann@example.com".into(),
            username: "ann".into(),
            password: Password("correct horse battery staple".into()),
        }
    }
}

/// An account that was made.
#[derive(Clone, Debug, Object)]
pub struct NewAccount {
    /// The mail address.
    pub email: String,
    /// The name to sign in with.
    pub username: String,
}

pub(super) async fn signup(context: &Context, signup: Signup) -> Answer<NewAccount> {
    if context.settings.signup == Mode::Closed {
        return Err(Problem::forbidden("sign-up is closed here; an administrator makes accounts"));
    }
    check(&signup.username, &signup.email, &signup.password.0)
        .map_err(|(field, reason)| Problem::bad_request(field, reason))?;
    let password_hash = password::hash_async(Secret::new(signup.password.0)).await?;
    // Administrators come of the configuration and of the command line alone: whoever is first to reach an open server
    // must not own it.
    let new = NewUser { username: signup.username, email: signup.email, password_hash, is_admin: false };
    let user = context.store.create_user(new).await?;
    ok(
        format!("Account {} is made", user.username),
        NewAccount { email: user.email, username: user.username },
    )
}

/// What an account's name, address and password must be like. The command line holds to it, too.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn check(username: &str, email: &str, password: &str) -> Result<(), (&'static str, String)> {
    check_username(username)?;
    check_email(email)?;
    check_password(password)
}

fn visible(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// What an account's name must be like.
///
/// # Errors
/// As [`check`].
pub fn check_username(username: &str) -> Result<(), (&'static str, String)> {
    if !visible(username) || username.chars().count() > LONGEST_USERNAME {
        return Err((
            "username",
            format!("must be 1 to {LONGEST_USERNAME} visible characters, without blanks"),
        ));
    }
    Ok(())
}

/// What an account's address must be like.
///
/// # Errors
/// As [`check`].
pub fn check_email(email: &str) -> Result<(), (&'static str, String)> {
    let is_address = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !visible(email) || !is_address || email.len() > LONGEST_EMAIL {
        return Err(("email", "must be a mail address, such as ann@example.com".into()));
    }
    Ok(())
}

/// What an account's password must be like.
///
/// # Errors
/// As [`check`].
pub fn check_password(password: &str) -> Result<(), (&'static str, String)> {
    if !PASSWORD_CHARACTERS.contains(&password.chars().count()) {
        let (least, most) = (PASSWORD_CHARACTERS.start(), PASSWORD_CHARACTERS.end());
        return Err(("password", format!("must have {least} to {most} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_accounts_pass() {
        assert!(check("ann", "ann@example.com", "12345678").is_ok());
        assert!(check(&"é".repeat(64), "a@b", &"x".repeat(1024)).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        fn field(username: &str, email: &str, password: &str) -> &'static str {
            check(username, email, password).unwrap_err().0
        }
        for username in ["", "a b", "a\u{0}", "\n", &"x".repeat(65)] {
            assert_eq!(field(username, "a@b", "12345678"), "username", "{username:?}");
        }
        for email in ["", "ann", "@b", "a@", "a b@c", &format!("{}@b", "x".repeat(254))] {
            assert_eq!(field("ann", email, "12345678"), "email", "{email:?}");
        }
        for password in ["", "1234567", &"x".repeat(1025)] {
            assert_eq!(field("ann", "a@b", password), "password");
        }
    }
}

//! Passwords of accounts: Argon2id, 46 MiB, one pass, one lane (the first of the settings that OWASP calls equal).
//!
//! Not the usual 19 MiB with two passes: the C library keeps blocks of up to 32 MiB for later once it has freed one, and
//! gives larger ones back at once. An API that sleeps after a login is 20 MB smaller for it.
//!
//! A hash costs about 25 ms of a core and 46 MiB. So the `…_async` forms, which are for the server, run at most
//! [`AT_ONCE`] at a time, outside the threads that serve requests: a flood of logins waits, and memory stays bounded.
//! An unknown user costs what a wrong password costs ([`dummy_verify`]), so that names cannot be told by the clock.
//!
//! Accounts that were imported come with bcrypt hashes, which are verified as well and made again at their first login
//! ([`needs_rehash`]). Until then a wrong password for one of them costs bcrypt's time.

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::ParamsString,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::random_bytes;
use crate::config::Secret;

/// How many hashes are computed at the same time in one process.
pub const AT_ONCE: usize = 2;

const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 1;
const LANES: u32 = 1;

static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

static ARGON2: LazyLock<Argon2<'static>> = LazyLock::new(|| {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are in Argon2's range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Argon2 refused it (longer than 4 GiB), or memory is short.
    #[error("a password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    /// The stored hash is neither of Argon2 nor of bcrypt.
    #[error("a stored password hash cannot be read")]
    Stored,
    /// The runtime is shutting down.
    #[error("the work on a password was given up")]
    GivenUp,
}

/// The hash of a password under a new salt, as a PHC string (`$argon2id$v=19$…`).
///
/// # Errors
/// [`PasswordError::Hash`].
pub fn hash(password: &Secret) -> Result<String, PasswordError> {
    let salt = random_bytes::<16>();
    let hash =
        ARGON2.hash_password_with_salt(password.expose().as_bytes(), &salt).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Whether `phc` is a hash of `password`. The parameters are those of `phc`, so that hashes made under other ones
/// still open.
///
/// # Errors
/// [`PasswordError::Stored`] when `phc` is no hash.
pub fn verify(password: &Secret, phc: &str) -> Result<bool, PasswordError> {
    if bcrypt_cost(phc).is_some() {
        return bcrypt::verify(password.expose(), phc).map_err(|_| PasswordError::Stored);
    }
    let stored = PasswordHash::new(phc).map_err(|_| PasswordError::Stored)?;
    match ARGON2.verify_password(password.expose().as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::Stored),
    }
}

/// The cost (the power of two of its rounds) of a bcrypt hash, of which there are three spellings (`$2a$10$…`); none
/// for any other text.
pub fn bcrypt_cost(hash: &str) -> Option<u32> {
    let (spelling, rest) = hash.strip_prefix('$')?.split_once('$')?;
    let (cost, rest) = rest.split_once('$')?;
    let is_bcrypt = matches!(spelling, "2a" | "2b" | "2y") && cost.len() == 2 && rest.len() == 53;
    if is_bcrypt { cost.parse().ok() } else { None }
}

/// Does the work of [`verify`] for a user who does not exist. Always false.
pub fn dummy_verify(password: &Secret) -> bool {
    // The outcome is of no interest: only the time counts. `black_box` keeps the work from being left out.
    let outcome = ARGON2.hash_password_with_salt(password.expose().as_bytes(), b"no user, no salt");
    std::hint::black_box(&outcome);
    false
}

/// Whether a hash was made with other parameters than today's, and should be made again at the next login.
pub fn needs_rehash(phc: &str) -> bool {
    match PasswordHash::new(phc) {
        Ok(stored) => {
            stored.algorithm != Algorithm::Argon2id.ident()
                || ParamsString::try_from(ARGON2.params()).is_ok_and(|today| today != stored.params)
        }
        Err(_) => true,
    }
}

/// [`hash`] beside the threads that serve requests.
///
/// # Errors
/// [`PasswordError`].
pub async fn hash_async(password: Secret) -> Result<String, PasswordError> {
    in_a_place(move || hash(&password)).await
}

/// [`verify`] beside the threads that serve requests. Without a hash (there is no such user) it costs the same and is
/// false.
///
/// # Errors
/// [`PasswordError`].
pub async fn verify_async(password: Secret, phc: Option<String>) -> Result<bool, PasswordError> {
    in_a_place(move || match phc {
        Some(phc) => verify(&password, &phc),
        None => Ok(dummy_verify(&password)),
    })
    .await
}

async fn in_a_place<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    let place = PLACES.acquire().await.map_err(|_| PasswordError::GivenUp)?;
    // The place goes with the work: a caller who hangs up must not make room while the work still runs.
    spawn_blocking(move || {
        let outcome = work();
        drop(place);
        outcome
    })
    .await
    .map_err(|_| PasswordError::GivenUp)?
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT_HASH: &str = "$2a$10$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK";

    #[test]
    fn a_password_opens_its_own_hash_and_no_other() {
        let phc = hash(&Secret::new("correct horse")).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{phc}");
        assert!(verify(&Secret::new("correct horse"), &phc).unwrap());
        assert!(!verify(&Secret::new("battery staple"), &phc).unwrap());
        assert!(!needs_rehash(&phc));
    }

    #[test]
    fn one_password_never_gives_the_same_hash_twice() {
        assert_ne!(hash(&Secret::new("x")).unwrap(), hash(&Secret::new("x")).unwrap());
    }

    #[test]
    fn a_hash_with_other_parameters_still_opens_and_is_to_be_made_again() {
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let phc = cheap.hash_password_with_salt(b"old", b"0123456789abcdef").unwrap().to_string();
        assert!(verify(&Secret::new("old"), &phc).unwrap());
        assert!(needs_rehash(&phc));
    }

    #[test]
    fn a_bcrypt_hash_opens_and_is_to_be_made_again() {
        // Made by libcrypt. The spellings differ in what they say of old mistakes only.
        for hash in [BCRYPT_HASH, &BCRYPT_HASH.replacen("2a", "2y", 1)] {
            assert_eq!(bcrypt_cost(hash), Some(10));
            assert!(verify(&Secret::new("password"), hash).unwrap());
            assert!(!verify(&Secret::new("passwords"), hash).unwrap());
            assert!(needs_rehash(hash));
        }
        for other in ["", "$2a$10$short", "$2x$10$", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"] {
            assert_eq!(bcrypt_cost(other), None, "{other}");
        }
    }

    #[test]
    fn rubbish_in_the_database_is_an_error_and_not_a_wrong_password() {
        assert!(matches!(verify(&Secret::new("x"), "rubbish"), Err(PasswordError::Stored)));
        assert!(needs_rehash("rubbish"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unknown_user_is_refused() {
        let phc = hash_async(Secret::new("secret")).await.unwrap();
        assert!(verify_async(Secret::new("secret"), Some(phc)).await.unwrap());
        assert!(!verify_async(Secret::new("secret"), None).await.unwrap());
    }
}

//! Secrets: how they are sealed, told apart from the rest of a config, and compared.
//!
//! - [`KeyRing`] holds the master keys. Every other key is derived from them, each for one purpose.
//! - [`SecretRules`] say which values of a connector's config are secret; [`KeyRing::seal_config`] and
//!   [`KeyRing::open_config`] put tokens in their place, and take them back.
//! - [`keyfile`] keeps the master key of a one-machine installation in its data folder.
//! - [`password`] hashes the passwords of accounts, [`token`] makes and hashes session tokens.
//! - [`signature`] signs notifications.
//! - [`KeyRing::attempt_token`] makes what the agent of a pod shows to be let in.
//!
//! Invariants: no error and no `Debug` of this module shows a secret or a key; sealed texts name the key (by id) that
//! made them, so that keys can be changed; a sealed text opens only in the place it was made for.
//!
//! To seal another kind of thing: give [`KeyRing::seal_text`] an `aad` that says what and whose it is, such as
//! `tasks|<id>|input`, and never the same for two different things.

mod attempt_token;
mod config_secrets;
pub mod keyfile;
mod keyring;
pub mod password;
mod random;
mod rules;
pub mod signature;
pub mod token;
mod url_secrets;

pub use config_secrets::{ConfigKind, SecretScope};
pub use keyring::{KeyRing, SecretError};
pub use random::random_bytes;
pub use rules::SecretRules;
pub use url_secrets::masked;

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}

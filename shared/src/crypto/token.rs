//! Session tokens: what a client holds, and the hash of it which the database holds. Who reads the database cannot
//! log in with what is there.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{hex, random_bytes};

/// A new token: 32 random bytes as 43 characters of base64url.
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// The form in which a token is stored and looked up: its SHA-256 as 64 hexadecimal digits. A plain hash is enough,
/// because a token has 256 random bits which nobody can guess.
pub fn hash_token(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_repeat() {
        let (one, other) = (new_token(), new_token());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }

    #[test]
    fn the_hash_of_a_token_is_sha256_in_hex() {
        assert_eq!(hash_token("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

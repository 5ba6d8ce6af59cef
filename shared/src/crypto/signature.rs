//! Signatures of notifications: the receiver, who knows the secret, sees that they come from here and are new.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hex;
use crate::config::Secret;

/// The hexadecimal HMAC-SHA256, under `secret`, of the timestamp (seconds since 1970), a dot, and the body.
pub fn sign(secret: &Secret, timestamp: i64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_any_other_implementation_computes() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2
        assert_eq!(
            sign(&Secret::new("hunter2"), 1_700_000_000, r#"{"a":1}"#),
            "56b25cbf563812b38800e5f4dd1febfde087d36841155e70b3aa285517e1570a"
        );
    }
}

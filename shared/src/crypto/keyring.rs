//! The key ring: one current master key which seals, and retired ones which still open.
//!
//! From each master key are derived (HKDF with SHA-256, one label for each purpose): a key for the tokens which stand
//! for secrets in configs, a key for texts at rest, one for the tokens of agents, and the key's id, which stands in every sealed text.
//! AES-256-GCM-SIV seals both. Tokens use a fixed nonce, so that one secret in one place always gives one token
//! (SIV makes that safe: it tells equal texts in the same place, and nothing else); texts at rest use a random one.

use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{hex, random_bytes};
use crate::config::Secret;

/// What every token begins with.
pub(super) const TOKEN_PREFIX: &str = "sealed:";
const REST_PREFIX: &str = "rest1:";
const MASTER_KEY_BYTES: usize = 32;
const SHORTEST_PASSPHRASE: usize = 16;
const NONCE_BYTES: usize = 12;

/// Why something was not sealed or opened. None of them holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A token in a config does not open in the place where it stands.
    #[error(
        "the value of '{pointer}' is a sealed secret that cannot be opened here: it belongs to another field, \
         connection kind or project, or its key is gone; enter the secret itself"
    )]
    Token {
        /// The field, as a JSON pointer: `/ssh_config/password`.
        pointer: String,
    },
    /// A text at rest was made for another place, was changed, or is not sealed at all.
    #[error("a sealed text cannot be opened: it was made for another place, or was changed")]
    Rest,
    /// A text was sealed with a master key that is not in the ring.
    #[error(
        "a text is sealed with the master key {key_id}, which is neither the current one nor among the retired"
    )]
    UnknownKey {
        /// The id of the missing key.
        key_id: String,
    },
    /// A master key that is too easily guessed.
    #[error(
        "a master key is 32 bytes as base64 (`openssl rand -base64 32`), or a passphrase of at least 16 characters"
    )]
    WeakKey,
}

/// The keys of an installation.
pub struct KeyRing {
    current: DerivedKeys,
    retired: Vec<DerivedKeys>,
}

struct DerivedKeys {
    id: String,
    tokens: Aes256GcmSiv,
    rest: Aes256GcmSiv,
    attempts: [u8; 32],
}

impl KeyRing {
    /// A ring which seals with `current`, and opens what it or one of `retired` sealed.
    ///
    /// Each master key is the base64 of 32 bytes (either alphabet, padding optional), or any passphrase of at least 16
    /// characters. A passphrase is not stretched: it should be as hard to guess as a key.
    ///
    /// # Errors
    /// [`SecretError::WeakKey`].
    pub fn new(current: &Secret, retired: &[Secret]) -> Result<Self, SecretError> {
        Ok(Self {
            current: DerivedKeys::from_master(current)?,
            retired: retired.iter().map(DerivedKeys::from_master).collect::<Result<_, _>>()?,
        })
    }

    /// The id of the key that seals: 8 hexadecimal digits, which say nothing about the key.
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// Whether a text was sealed by [`KeyRing::seal_text`] under the current key. One that was not is worth sealing
    /// again, so that its key can go.
    pub fn is_current(&self, sealed: &str) -> bool {
        split(sealed, REST_PREFIX).is_some_and(|(id, _)| id == self.current.id)
    }

    /// Seals a text for one place, which `aad` names (`tasks|<id>|input`). Sealing twice gives different texts.
    pub fn seal_text(&self, aad: &str, text: &str) -> String {
        let nonce = random_bytes::<NONCE_BYTES>();
        let mut bytes = nonce.to_vec();
        bytes.extend(seal(&self.current.rest, nonce, &rest_aad(aad), text));
        format!("{REST_PREFIX}{}.{}", self.current.id, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text that [`KeyRing::seal_text`] sealed for the same `aad`.
    ///
    /// # Errors
    /// [`SecretError::UnknownKey`] or [`SecretError::Rest`].
    pub fn open_text(&self, aad: &str, sealed: &str) -> Result<String, SecretError> {
        let (id, body) = split(sealed, REST_PREFIX).ok_or(SecretError::Rest)?;
        let key = self.by_id(id).ok_or_else(|| SecretError::UnknownKey { key_id: id.to_owned() })?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| SecretError::Rest)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Rest)?;
        open(&key.rest, *nonce, &rest_aad(aad), ciphertext).ok_or(SecretError::Rest)
    }

    /// The token for a secret in the place that `aad` names: always the same one under the same key.
    pub(super) fn seal_token(&self, aad: &str, secret: &str) -> String {
        let bytes = seal(&self.current.tokens, [0; NONCE_BYTES], aad, secret);
        format!("{TOKEN_PREFIX}{}.{}", self.current.id, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The secret behind a token, if it is one of ours, for this place.
    pub(super) fn open_token(&self, aad: &str, token: &str) -> Option<String> {
        let (id, body) = split(token, TOKEN_PREFIX)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).ok()?;
        open(&self.by_id(id)?.tokens, [0; NONCE_BYTES], aad, &bytes)
    }

    /// The current key for the tokens of agents, with its id.
    pub(super) fn attempt_key(&self) -> (&str, &[u8; 32]) {
        (&self.current.id, &self.current.attempts)
    }

    /// The key for the tokens of agents that has this id.
    pub(super) fn attempt_key_by_id(&self, id: &str) -> Option<&[u8; 32]> {
        self.by_id(id).map(|key| &key.attempts)
    }

    fn by_id(&self, id: &str) -> Option<&DerivedKeys> {
        std::iter::once(&self.current).chain(&self.retired).find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retired: Vec<_> = self.retired.iter().map(|key| &key.id).collect();
        f.debug_struct("KeyRing").field("current", &self.current.id).field("retired", &retired).finish()
    }
}

impl DerivedKeys {
    fn from_master(master: &Secret) -> Result<Self, SecretError> {
        let text = master.expose().trim();
        let material = match decode_key(text) {
            Some(bytes) => bytes,
            None if text.chars().count() >= SHORTEST_PASSPHRASE => text.as_bytes().to_vec(),
            None => return Err(SecretError::WeakKey),
        };
        // HKDF (RFC 5869): extract once, then expand one block for each purpose.
        let extracted = hmac_sha256(b"olake master key v1", &[&material]);
        let derive = |label: &str| hmac_sha256(&extracted, &[label.as_bytes(), &[1]]);
        Ok(Self {
            id: hex(&Sha256::digest(derive("id"))[..4]),
            tokens: Aes256GcmSiv::new(&derive("tokens").into()),
            rest: Aes256GcmSiv::new(&derive("rest").into()),
            attempts: derive("attempts"),
        })
    }
}

fn decode_key(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .filter_map(|letters| GeneralPurpose::new(letters, lenient).decode(text).ok())
        .find(|bytes| bytes.len() == MASTER_KEY_BYTES)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn seal(key: &Aes256GcmSiv, nonce: [u8; NONCE_BYTES], aad: &str, text: &str) -> Vec<u8> {
    key.encrypt(&Nonce::from(nonce), Payload { msg: text.as_bytes(), aad: aad.as_bytes() })
        .expect("only texts beyond 64 GiB cannot be sealed")
}

fn open(key: &Aes256GcmSiv, nonce: [u8; NONCE_BYTES], aad: &str, ciphertext: &[u8]) -> Option<String> {
    let payload = Payload { msg: ciphertext, aad: aad.as_bytes() };
    String::from_utf8(key.decrypt(&Nonce::from(nonce), payload).ok()?).ok()
}

fn rest_aad(aad: &str) -> String {
    format!("rest|{aad}")
}

/// The key id and the body of a sealed text.
fn split<'a>(sealed: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    sealed.strip_prefix(prefix)?.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(current: &str, retired: &[&str]) -> KeyRing {
        KeyRing::new(&Secret::new(current), &retired.iter().map(|key| Secret::new(*key)).collect::<Vec<_>>())
            .unwrap()
    }

    const KEY: &str = "a passphrase for tests";
    const OLD: &str = "an older passphrase for tests";

    proptest! {
        #[test]
        fn a_text_at_rest_opens_in_its_place_and_in_no_other(text: String, aad: String, other: String) {
            let keys = ring(KEY, &[]);
            let sealed = keys.seal_text(&aad, &text);
            prop_assert_eq!(keys.open_text(&aad, &sealed).unwrap(), text.clone());
            if other != aad {
                prop_assert_eq!(keys.open_text(&other, &sealed), Err(SecretError::Rest));
            }
            prop_assert_ne!(keys.seal_text(&aad, &text), sealed);
        }

        #[test]
        fn rubbish_never_opens(text: String) {
            let keys = ring(KEY, &[]);
            prop_assert!(keys.open_text("aad", &text).is_err());
            let (rest, token) = (format!("rest1:{}.{text}", keys.current_id()), format!("sealed:{}.{text}", keys.current_id()));
            prop_assert!(keys.open_text("aad", &rest).is_err());
            prop_assert!(keys.open_token("aad", &token).is_none());
        }
    }

    #[test]
    fn a_retired_key_opens_and_the_current_one_seals() {
        let sealed = ring(OLD, &[]).seal_text("aad", "text");
        let keys = ring(KEY, &[OLD]);
        assert_eq!(keys.open_text("aad", &sealed).unwrap(), "text");
        assert!(!keys.is_current(&sealed));
        let again = keys.seal_text("aad", "text");
        assert!(keys.is_current(&again));
        assert_eq!(ring(KEY, &[]).open_text("aad", &again).unwrap(), "text");
    }

    #[test]
    fn a_missing_key_is_named_by_its_id() {
        let old = ring(OLD, &[]);
        let error = ring(KEY, &[]).open_text("aad", &old.seal_text("aad", "text")).unwrap_err();
        assert_eq!(error, SecretError::UnknownKey { key_id: old.current_id().to_owned() });
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let keys = ring(KEY, &[]);
        let sealed = keys.seal_text("aad", "a text that is long enough");
        let mut bytes = sealed.into_bytes();
        let middle = bytes.len() - 5;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(keys.open_text("aad", &String::from_utf8(bytes).unwrap()), Err(SecretError::Rest));
    }

    #[test]
    fn a_token_is_no_text_at_rest_and_keys_differ_by_purpose() {
        let keys = ring(KEY, &[]);
        let token = keys.seal_token("aad", "text");
        let body = token.strip_prefix(TOKEN_PREFIX).unwrap();
        assert!(keys.open_text("aad", &format!("{REST_PREFIX}{body}")).is_err());
    }

    #[test]
    fn a_key_may_be_written_in_either_base64_alphabet_with_or_without_padding() {
        let standard = "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=";
        let id = ring(standard, &[]).current_id().to_owned();
        for form in
            ["-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8", "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8\n"]
        {
            assert_eq!(ring(form, &[]).current_id(), id);
        }
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        for weak in ["", "hunter2", "   fifteen chars", "123456789012345"] {
            assert_eq!(KeyRing::new(&Secret::new(weak), &[]).unwrap_err(), SecretError::WeakKey);
        }
        assert_eq!(
            KeyRing::new(&Secret::new(KEY), &[Secret::new("short")]).unwrap_err(),
            SecretError::WeakKey
        );
    }

    #[test]
    fn the_derivation_never_changes() {
        // What is stored in databases depends on it: a change here is a change of format, with a new prefix.
        let keys = ring(KEY, &[]);
        assert_eq!(keys.seal_token("token|5:olake|source|/password", "hunter2"), FIXED_TOKEN);
        assert_eq!(keys.open_text("aad", FIXED_TEXT).unwrap(), "text");
    }

    const FIXED_TOKEN: &str = "sealed:ed1cc684.6lhqIKDK93ZLDO2_u5ngQw5Jcz48UII";
    const FIXED_TEXT: &str = "rest1:ed1cc684.gjCXj0G-s1upCbyJfL07NsUATy7FINYBB7e-Dd92F4A";

    #[test]
    fn a_key_ring_shows_ids_only() {
        let shown = format!("{:?}", ring(KEY, &[OLD]));
        assert!(shown.contains(ring(OLD, &[]).current_id()), "{shown}");
        assert!(!shown.contains("passphrase"), "{shown}");
    }
}

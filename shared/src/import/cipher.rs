//! The configs of an existing installation: plain JSON objects, or encrypted by its passphrase.
//!
//! Encrypted is base64(nonce of 12 bytes, AES-256-GCM ciphertext, tag of 16 bytes) under SHA-256 of the passphrase, as a
//! JSON string; the first versions wrote it as `{"encrypted_data": …}`, and with the other alphabet of base64.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{config::Secret, json::parse_json};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a passphrase begins with that is the name of a key in AWS KMS.
const KMS: &str = "arn:aws:kms:";

/// Why none of the configs can be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CipherError {
    /// There are encrypted ones.
    #[error(
        "{0} of the configs there are encrypted: give the passphrase (OLAKE_SECRET_KEY of that installation) by \
         --passphrase-file, OLAKE_IMPORT_PASSPHRASE or OLAKE_IMPORT_PASSPHRASE_FILE"
    )]
    NoPassphrase(usize),
    /// It opens none of the encrypted ones.
    #[error(
        "the passphrase is wrong: it opens none of the {0} encrypted configs there. It is the OLAKE_SECRET_KEY of that \
         installation"
    )]
    WrongPassphrase(usize),
    /// The passphrase is the name of a key in AWS KMS.
    #[error(
        "configs encrypted by AWS KMS cannot be opened here: give that installation a passphrase as its OLAKE_SECRET_KEY, \
         save each source and destination there once, and take them over with that passphrase"
    )]
    Kms,
}

/// Why one config cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no passphrase.
    #[error("its config is encrypted")]
    Locked,
    /// The passphrase does not open it, or it was changed.
    #[error("its config does not open with the passphrase that opens others")]
    DoesNotOpen,
    /// It is no JSON object.
    #[error("its config is no JSON object")]
    NoObject,
}

/// The passphrase of an existing installation. It has no `Debug`.
pub struct Passphrase {
    key: LessSafeKey,
}

impl Passphrase {
    /// A passphrase as that installation has it, to the byte.
    ///
    /// # Errors
    /// [`CipherError::Kms`].
    pub fn new(text: &Secret) -> Result<Self, CipherError> {
        if text.expose().starts_with(KMS) {
            return Err(CipherError::Kms);
        }
        let key = Sha256::digest(text.expose().as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("SHA-256 has as many bytes as the key");
        Ok(Self { key: LessSafeKey::new(key) })
    }

    fn open(&self, sealed: &str) -> Option<String> {
        let sealed = sealed.replace('-', "+").replace('_', "/");
        let mut bytes = BASE64.decode(sealed.trim()).ok()?;
        let nonce: [u8; NONCE_LEN] = bytes.get(..NONCE_LEN)?.try_into().ok()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_within(nonce, Aad::empty(), &mut bytes, NONCE_LEN..).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

/// Opens configs, each by itself.
///
/// # Errors
/// [`CipherError`] when there is no passphrase for encrypted ones, or it opens none of them.
pub fn open_all<'a>(
    texts: impl Iterator<Item = Option<&'a str>>,
    passphrase: Option<&Passphrase>,
) -> Result<Vec<Result<Value, ConfigError>>, CipherError> {
    let (mut configs, mut encrypted, mut shut) = (Vec::new(), 0, 0);
    for text in texts {
        let stored = text.and_then(|text| parse_json(text).ok());
        let config = match stored.as_ref().and_then(sealed) {
            None => object(stored),
            Some(sealed) => {
                encrypted += 1;
                match passphrase {
                    None => Err(ConfigError::Locked),
                    Some(passphrase) => match passphrase.open(sealed) {
                        Some(plain) => object(parse_json(plain).ok()),
                        None => Err(ConfigError::DoesNotOpen),
                    },
                }
            }
        };
        shut += usize::from(config == Err(ConfigError::DoesNotOpen));
        configs.push(config);
    }
    match passphrase {
        None if encrypted > 0 => Err(CipherError::NoPassphrase(encrypted)),
        Some(_) if shut > 0 && shut == encrypted => Err(CipherError::WrongPassphrase(shut)),
        _ => Ok(configs),
    }
}

/// The encrypted text of a stored config, if it is encrypted.
fn sealed(stored: &Value) -> Option<&str> {
    match stored {
        Value::String(sealed) => Some(sealed),
        Value::Object(members) if members.len() == 1 => members.get("encrypted_data")?.as_str(),
        _ => None,
    }
}

fn object(config: Option<Value>) -> Result<Value, ConfigError> {
    config.filter(Value::is_object).ok_or(ConfigError::NoObject)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Made by another implementation (OpenSSL's, by Python's `cryptography`) of `{"host":"db","port":5432,"password":"s3cret"}`
    /// under the passphrase `correct horse battery`.
    const SEALED: &str = "iEULCC7E3y/czTpiRfO1DCwGdmil2BLQ/pqyDp7YU4T2tgErzQm0Zyf/YRO8yOwmZyJEb/57ssWxo8F7p5dIwmLnpoNa1+A3pA==";

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(&Secret::new(text)).ok().unwrap()
    }

    fn open(texts: &[&str], with: Option<&str>) -> Result<Vec<Result<Value, ConfigError>>, CipherError> {
        open_all(texts.iter().map(|text| Some(*text)), with.map(passphrase).as_ref())
    }

    #[test]
    fn an_encrypted_config_opens_in_each_of_its_spellings() {
        let url_safe = SEALED.replace('+', "-").replace('/', "_");
        let texts = [
            format!("\"{SEALED}\""),
            format!("\"{url_safe}\""),
            json!({ "encrypted_data": SEALED }).to_string(),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let config = json!({"host": "db", "port": 5432, "password": "s3cret"});
        let opened = open(&texts, Some("correct horse battery")).unwrap();
        assert_eq!(opened, [Ok(config.clone()), Ok(config.clone()), Ok(config)]);
    }

    #[test]
    fn a_plain_config_needs_no_passphrase() {
        assert_eq!(open(&[r#"{"a": 1}"#], None), Ok(vec![Ok(json!({"a": 1}))]));
        assert_eq!(open(&[r#"{"a": 1}"#], Some("any")), Ok(vec![Ok(json!({"a": 1}))]));
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_one_damaged_config() {
        let good = format!("\"{SEALED}\"");
        assert_eq!(open(&[&good, "{}"], Some("wrong")), Err(CipherError::WrongPassphrase(1)));
        assert_eq!(open(&[&good, "{}"], None), Err(CipherError::NoPassphrase(1)));
        let opened = open(&[&good, "\"AAAA\"", "[1]", "\"\""], Some("correct horse battery")).unwrap();
        assert!(opened[0].is_ok());
        assert_eq!(
            opened[1..],
            [Err(ConfigError::DoesNotOpen), Err(ConfigError::NoObject), Err(ConfigError::DoesNotOpen)]
        );
    }

    #[test]
    fn the_name_of_a_key_in_kms_is_no_passphrase() {
        let text = Secret::new("arn:aws:kms:us-east-1:123456789012:key/1");
        assert_eq!(Passphrase::new(&text).err(), Some(CipherError::Kms));
    }
}

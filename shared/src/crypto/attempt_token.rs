//! What the agent of a pod shows to be let in: a token for one attempt of one task.
//!
//! `agent1.<key id>.<task>.<attempt>.<HMAC-SHA256 of what stands before it>`. There is no clock in it: a token is good as
//! long as its attempt is the current one, which only the row can say.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::KeyRing;
use crate::domain::task::TaskId;

const PREFIX: &str = "agent1";

impl KeyRing {
    /// The token of an attempt.
    pub fn attempt_token(&self, task: TaskId, attempt: i32) -> String {
        let (id, key) = self.attempt_key();
        let claim = format!("{PREFIX}.{id}.{}.{attempt}", task.simple());
        let signature = URL_SAFE_NO_PAD.encode(mac(key, &claim).finalize().into_bytes());
        format!("{claim}.{signature}")
    }

    /// The attempt that a token was made for; none if it is not one of ours. Compares in constant time.
    pub fn verify_attempt_token(&self, token: &str) -> Option<(TaskId, i32)> {
        let (claim, signature) = token.rsplit_once('.')?;
        let mut parts = claim.split('.');
        let [prefix, id, task, attempt] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let key = self.attempt_key_by_id(id)?;
        mac(key, claim).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        (prefix == PREFIX && parts.next().is_none())
            .then_some((TaskId::try_parse(task).ok()?, attempt.parse().ok()?))
    }
}

fn mac(key: &[u8; 32], claim: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(claim.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn ring(current: &str, retired: &[&str]) -> KeyRing {
        let retired: Vec<_> = retired.iter().map(|key| Secret::new(*key)).collect();
        KeyRing::new(&Secret::new(current), &retired).unwrap()
    }

    const KEY: &str = "a passphrase for tests";
    const OLD: &str = "an older passphrase for tests";

    #[test]
    fn a_token_names_its_attempt_and_no_other() {
        let (keys, task) = (ring(KEY, &[]), TaskId::now_v7());
        let token = keys.attempt_token(task, 3);
        assert_eq!(keys.verify_attempt_token(&token), Some((task, 3)));
        let other = token.replace(".3.", ".4.");
        assert_ne!(other, token);
        assert_eq!(keys.verify_attempt_token(&other), None);
        let other = token.replace(&task.simple().to_string(), &TaskId::now_v7().simple().to_string());
        assert_eq!(keys.verify_attempt_token(&other), None);
    }

    #[test]
    fn a_retired_key_still_lets_in_and_a_foreign_one_does_not() {
        let task = TaskId::now_v7();
        let token = ring(OLD, &[]).attempt_token(task, 1);
        assert_eq!(ring(KEY, &[OLD]).verify_attempt_token(&token), Some((task, 1)));
        assert_eq!(ring(KEY, &[]).verify_attempt_token(&token), None);
    }

    #[test]
    fn a_changed_or_cut_token_is_none_of_ours() {
        let keys = ring(KEY, &[]);
        let token = keys.attempt_token(TaskId::now_v7(), 1);
        for end in 0..token.len() {
            assert_eq!(keys.verify_attempt_token(&token[..end]), None, "{end} characters");
        }
        for other in ["", ".", "....", "agent1.a.b.c.d", &format!("{token}x"), &format!("x{token}")] {
            assert_eq!(keys.verify_attempt_token(other), None, "{other}");
        }
    }
}

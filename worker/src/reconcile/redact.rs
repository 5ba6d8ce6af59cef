//! Keeps secrets out of what a connector prints: it may repeat the config that it was given.

use std::borrow::Cow;

use serde_json::Value;

/// What stands in place of a secret.
const MASK: &str = "********";

/// Shorter secrets are left: masking them would garble every line.
const SHORTEST: usize = 4;

/// The secrets of one attempt.
#[derive(Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    /// Learns the secrets of a config from its two forms: as it is shown, with tokens, and opened.
    pub fn learn(&mut self, shown: &Value, opened: &Value) {
        match (shown, opened) {
            (Value::String(shown), Value::String(opened)) if shown != opened => {
                self.add(secret_in(shown, opened));
            }
            (Value::Object(shown), Value::Object(opened)) => {
                shown.iter().for_each(|(key, value)| {
                    if let Some(opened) = opened.get(key) {
                        self.learn(value, opened);
                    }
                });
            }
            (Value::Array(shown), Value::Array(opened)) => {
                shown.iter().zip(opened).for_each(|(shown, opened)| self.learn(shown, opened));
            }
            _ => {}
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        // A secret of several lines (a key) is printed line by line, or with its line ends escaped.
        let mut forms = vec![secret.to_owned(), secret.replace('\n', "\\n")];
        forms.extend(secret.lines().filter(|line| line.len() >= 16).map(str::to_owned));
        for form in forms {
            if !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // A secret that contains another one is masked first, and whole.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// `text` without the secrets.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        for secret in &self.0 {
            if clean.contains(secret.as_str()) {
                clean = Cow::Owned(clean.replace(secret.as_str(), MASK));
            }
        }
        clean
    }
}

/// The part in which the two forms differ: the whole value, or the password of a URL.
fn secret_in<'a>(shown: &str, opened: &'a str) -> &'a str {
    let before = shown.bytes().zip(opened.bytes()).take_while(|(a, b)| a == b).count();
    let after = shown.bytes().rev().zip(opened.bytes().rev()).take_while(|(a, b)| a == b).count();
    // A token begins with "sealed:"; what the secret happens to share with it at either end belongs to the secret.
    let before = shown.find("sealed:").unwrap_or(before).min(before);
    let token_end = shown[before..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_')))
        .map_or(0, |at| shown.len() - before - at);
    let after = token_end.min(after).min(opened.len() - before);
    opened.get(before..opened.len() - after).unwrap_or(opened)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_secrets_and_passwords_in_urls_are_masked() {
        let shown =
            json!({"password": "sealed:k1.abc", "uri": "mongodb://me:sealed:k1.xyz@host/db", "host": "h"});
        let opened = json!({"password": "hunter22", "uri": "mongodb://me:s3cret-zz@host/db", "host": "h"});
        let mut redactor = Redactor::default();
        redactor.learn(&shown, &opened);
        let line = "login as me with hunter22 at mongodb://me:s3cret-zz@host/db failed";
        assert_eq!(redactor.clean(line), "login as me with ******** at mongodb://me:********@host/db failed");
        assert!(matches!(redactor.clean("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_key_of_several_lines_is_masked_line_by_line_and_escaped() {
        let opened = json!({"private_key": "-----BEGIN KEY-----\nMIIabcdefghijklmnop\n-----END KEY-----"});
        let mut redactor = Redactor::default();
        redactor.learn(&json!({"private_key": "sealed:k.a"}), &opened);
        assert!(!redactor.clean("read MIIabcdefghijklmnop").contains("MIIabc"));
        assert!(!redactor.clean(&opened.to_string()).contains("MIIabc"));
    }
}

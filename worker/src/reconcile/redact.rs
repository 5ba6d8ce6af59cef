//! Keeps secrets out of what a connector prints: it may repeat the config that it was given.

use std::{borrow::Cow, fmt::Write};

use serde_json::Value;

/// What stands in place of a secret.
const MASK: &str = "********";

/// What every token begins with.
const TOKEN: &str = "sealed:";

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
                secrets_in(shown, opened).into_iter().for_each(|secret| self.add(secret));
            }
            (Value::String(_), Value::Number(opened)) => self.add(&opened.to_string()),
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

    /// A redactor that masks these, as [`Self::forms`] has given them.
    pub fn of_forms(forms: Vec<String>) -> Self {
        Self(forms)
    }

    /// All forms of the secrets, those first that are masked first.
    pub fn forms(&self) -> &[String] {
        &self.0
    }

    fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        // It is printed as it is, inside JSON (Go writes some signs of HTML as \u00..), or inside a URL; and a secret of
        // several lines (a key) line by line.
        let json = in_json(secret);
        let go = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        let mut forms = vec![secret.to_owned(), json, go, in_url(secret)];
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

/// The secrets in which the two forms of a text differ: the whole value, or parts of a URL.
fn secrets_in<'a>(shown: &str, opened: &'a str) -> Vec<&'a str> {
    let mut secrets = Vec::new();
    let (mut shown, mut opened) = (shown, opened);
    while let Some(at) = shown.find(TOKEN) {
        // What stands before a token is the same in both forms, and so is what comes after it.
        let Some(rest) = opened.get(at..).filter(|_| opened.starts_with(&shown[..at])) else {
            return vec![opened];
        };
        let after = shown[at + TOKEN.len()..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
            .map_or("", |end| &shown[at + TOKEN.len() + end..]);
        let literal = &after[..after.find(TOKEN).unwrap_or(after.len())];
        let end = match literal {
            "" => rest.len(),
            // The last part ends where the text does; between two tokens it is the first match.
            literal if literal.len() == after.len() => {
                rest.len().checked_sub(literal.len()).unwrap_or(rest.len())
            }
            literal => rest.find(literal).unwrap_or(rest.len()),
        };
        secrets.push(rest.get(..end).unwrap_or(rest));
        shown = after;
        opened = rest.get(end..).unwrap_or_default();
    }
    secrets
}

/// `secret` as it stands in JSON text, without the quotes.
fn in_json(secret: &str) -> String {
    let text = serde_json::Value::from(secret).to_string();
    text[1..text.len() - 1].to_owned()
}

/// `secret` as it stands in a URL.
fn in_url(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
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
    fn two_secrets_in_one_url_are_masked_each_for_itself() {
        let shown = json!("https://me:sealed:k.a@host/x?token=sealed:k.b&y=1");
        let opened = json!("https://me:first-one@host/x?token=second-one&y=1");
        let mut redactor = Redactor::default();
        redactor.learn(&shown, &opened);
        assert_eq!(redactor.clean("first-one, second-one, host, y=1"), "********, ********, host, y=1");
    }

    #[test]
    fn escaped_forms_are_masked() {
        let secret = "p\"a&s s<w>ord/1";
        let mut redactor = Redactor::default();
        redactor.learn(&json!({"password": "sealed:k.a"}), &json!({"password": secret}));
        for printed in [
            format!("plain {secret}"),
            json!({"password": secret}).to_string(),
            r#"{"password":"p\"a\u0026s s\u003cw\u003eord/1"}"#.to_owned(),
            "postgres://u:p%22a%26s%20s%3Cw%3Eord%2F1@host/db".to_owned(),
        ] {
            assert!(redactor.clean(&printed).contains(MASK), "{printed}");
        }
    }

    #[test]
    fn a_secret_that_is_a_number_is_masked() {
        let mut redactor = Redactor::default();
        redactor.learn(&json!({"password": "sealed:k1.abc"}), &json!({"password": 20_261_124}));
        assert_eq!(redactor.clean("login with 20261124"), "login with ********");
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

//! Where passwords hide inside a text: in URLs. Found are
//!
//! - the password of `scheme://user:PASSWORD@host`, in every URL of the text, also with a prefix (`jdbc:`);
//! - the values of parameters with a secret name, in a text that holds a URL: `…?user=a&password=B`,
//!   `…;password=B;…`.
//!
//! Invariant: a found part ends at the end of the text or before a character that no token has, so that a token put
//! in its place can be found again by its own form ([`super::config_secrets`]), however the text reads then.

use std::ops::Range;

use super::rules::is_secret_name;
use crate::config::MASK;

/// The places of the secret parts of a text, from left to right, not overlapping, none empty.
pub(super) fn secret_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    if !text.contains("://") {
        return parts;
    }
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let authority = from + found + 3;
        if let Some(password) = password_of(text, authority) {
            from = password.end;
            parts.push(password);
        } else {
            from = authority;
        }
    }
    let user_info = parts.clone();
    for parameter in parameters(text) {
        // Also a name that reaches into a password is none: the parts of a text never touch each other.
        if !user_info.iter().any(|part| part.start <= parameter.value.end && parameter.name_start <= part.end)
        {
            parts.push(parameter.value);
        }
    }
    parts.sort_by_key(|part| part.start);
    parts
}

/// A text with its secret parts masked: as a URL is shown that is no part of a config.
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for part in secret_parts(text) {
        shown.push_str(&text[from..part.start]);
        shown.push_str(MASK);
        from = part.end;
    }
    shown.push_str(&text[from..]);
    shown
}

/// The password of the URL whose authority begins at `start`.
fn password_of(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    let rest = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let colon = authority.find(':')?;
    let at = match authority.rfind('@') {
        Some(at) => at,
        // `user:pa/ss@host`: a password that should have been percent-encoded. What stands before the slash is then no
        // port. Hiding too much does no harm, since it comes back as it was; hiding too little would.
        None if !has_port(authority, colon) => rest.rfind('@')?,
        None => return None,
    };
    if colon + 1 < at { Some(start + colon + 1..start + at) } else { None }
}

fn has_port(authority: &str, colon: usize) -> bool {
    // Several hosts may follow: `h1:9092,h2:9092`. Brackets are IPv6.
    let port = authority[colon + 1..].split(',').next().unwrap_or_default();
    authority.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit())
}

struct Parameter {
    name_start: usize,
    value: Range<usize>,
}

/// The parameters with a secret name and a value.
fn parameters(text: &str) -> Vec<Parameter> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(equals) = text[from..].find('=').map(|offset| from + offset) {
        let start = equals + 1;
        from = start;
        let Some(before) = text[..equals].rfind(['?', '&', ';']) else { continue };
        let name = &text[before + 1..equals];
        if !is_name(name) || !is_secret_name(name) {
            continue;
        }
        let rest = &text[start..];
        let ends = |letter: char| matches!(letter, '&' | ';' | '#') || letter.is_whitespace();
        let end = start + rest.find(ends).unwrap_or(rest.len());
        if end > start {
            found.push(Parameter { name_start: before + 1, value: start..end });
        }
        from = end;
    }
    found
}

fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= 64 && text.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        secret_parts(text).into_iter().map(|part| &text[part]).collect()
    }

    #[test]
    fn the_password_of_a_url_is_found() {
        assert_eq!(found("postgres://olake:hunter2@db:5432/shop"), ["hunter2"]);
        assert_eq!(found("mongodb+srv://u:p%40ss@a.example,b.example/x?w=1"), ["p%40ss"]);
        assert_eq!(found("jdbc:postgresql://u:p@h/db"), ["p"]);
        assert_eq!(found("https://user@example.com:secret@host/"), ["secret"]);
        assert_eq!(found("redis://:only-a-password@h:6379"), ["only-a-password"]);
        assert_eq!(found("see amqp://a:b@h and amqp://c:d@i, please"), ["b", "d"]);
    }

    #[test]
    fn a_password_that_is_not_encoded_is_hidden_whole() {
        assert_eq!(found("postgres://u:p@ss@h/db"), ["p@ss"]);
        assert_eq!(found("postgres://u:pa/ss@h/db"), ["pa/ss"]);
        assert_eq!(found("postgres://u:pa,s/s@h/db"), ["pa,s/s"]);
        assert_eq!(found("postgres://u:pa?s#s@h/db"), ["pa?s#s"]);
        assert_eq!(found("postgres://u:a:b@h/db"), ["a:b"]);
    }

    #[test]
    fn secret_parameters_of_a_url_are_found() {
        assert_eq!(found("jdbc:postgresql://h/db?user=me&password=pw&ssl=true"), ["pw"]);
        assert_eq!(found("jdbc:sqlserver://h:1433;user=sa;password=Pw1!;encrypt=true"), ["Pw1!"]);
        assert_eq!(found("https://u:p@h/?token=t#part"), ["p", "t"]);
    }

    #[test]
    fn a_masked_url_shows_no_secret() {
        assert_eq!(
            masked("https://u:p@h/x?a=b&token=t&c=d"),
            "https://u:********@h/x?a=b&token=********&c=d"
        );
        assert_eq!(masked("https://h/x"), "https://h/x");
    }

    #[test]
    fn parts_never_touch_each_other() {
        // Tokens put in their places could not be told apart.
        for text in [";://:password=@", ";password=://:;@", "a://u:x?password=p@h?token=t"] {
            let parts = secret_parts(text);
            assert!(!parts.is_empty() && parts.windows(2).all(|pair| pair[0].end < pair[1].start), "{text}");
        }
    }

    #[test]
    fn a_text_without_secrets_is_left_alone() {
        for text in [
            "",
            "hunter2",
            "http://h:8080/a@b",
            "https://h/?q=a:b@c",
            "s3://bucket/path",
            "https://user@h/",
            "https://u:@h/",
            "a:b@c",
            "https://[::1]:80/x@y",
            "k://h1:9092,h2:9092/@",
            "https://h/?primary_key=id",
            "password=x",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}

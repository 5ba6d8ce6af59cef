//! Configs with tokens in place of their secrets: the form in which they are stored and shown.
//!
//! A token is bound to the project, to source or destination, and to the JSON pointer of its field. Elsewhere it does
//! not open, so nobody can read a stored secret by putting its token into a field that is shown, or into another
//! project. Within a text (a URL) only the secret parts are tokens: the rest stays readable.
//!
//! Invariants: `open(seal(config)) == config`, byte for byte, with numbers and the order of keys kept;
//! `seal(seal(config)) == seal(config)`; equal secrets in one field have equal tokens under one key.

use serde_json::Value;

use super::{
    KeyRing, SecretError, SecretRules, keyring::TOKEN_PREFIX, rules::is_secret_name,
    url_secrets::secret_parts,
};

/// Whose config it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigKind {
    /// A source.
    Source,
    /// A destination.
    Destination,
}

impl ConfigKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// Where the tokens of a config are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretScope {
    /// The id of the project.
    pub project: String,
    /// Source or destination.
    pub kind: ConfigKind,
}

/// What a token stands for: all of a value, or a part of a text. One does not open as the other.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    Part,
}

impl SecretScope {
    fn aad(&self, extent: Extent, pointer: &str) -> String {
        let extent = match extent {
            Extent::Whole => "token",
            Extent::Part => "token-part",
        };
        // The length keeps apart what ids and pointers may hold in common with the separator.
        format!("{extent}|{}:{}|{}|{pointer}", self.project.len(), self.project, self.kind.as_str())
    }
}

impl KeyRing {
    /// The config with a token in place of each secret. Tokens in it stand for the secrets that they hold, and are
    /// sealed again under the current key, also where no rule asks for one.
    ///
    /// # Errors
    /// [`SecretError::Token`] names the field whose token does not open.
    pub fn seal_config(
        &self,
        scope: &SecretScope,
        config: &Value,
        rules: &SecretRules,
    ) -> Result<Value, SecretError> {
        walk(config, &mut Vec::new(), false, &mut |text, place, below_secret_name| {
            let pointer = pointer(place);
            let (plain, was_token) = self.open_value(scope, &pointer, text)?;
            let secret = was_token || below_secret_name || rules.marks(place);
            Ok(match secret && !plain.is_empty() {
                true => self.seal_token(&scope.aad(Extent::Whole, &pointer), &plain),
                false => self.seal_parts(scope, &pointer, &plain),
            })
        })
    }

    /// The config with each token replaced by its secret.
    ///
    /// # Errors
    /// [`SecretError::Token`] names the field whose token does not open.
    pub fn open_config(&self, scope: &SecretScope, config: &Value) -> Result<Value, SecretError> {
        walk(config, &mut Vec::new(), false, &mut |text, place, _| {
            Ok(self.open_value(scope, &pointer(place), text)?.0)
        })
    }

    /// The plain text of a value, and whether all of it was one token.
    fn open_value(
        &self,
        scope: &SecretScope,
        pointer: &str,
        text: &str,
    ) -> Result<(String, bool), SecretError> {
        let refused = || SecretError::Token { pointer: pointer.to_owned() };
        if text.starts_with(TOKEN_PREFIX) {
            let plain = self.open_token(&scope.aad(Extent::Whole, pointer), text).ok_or_else(refused)?;
            return Ok((plain, true));
        }
        if !text.contains("sealed") {
            return Ok((text.to_owned(), false));
        }
        let aad = scope.aad(Extent::Part, pointer);
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, token, after)) = next_token(rest) {
            plain.push_str(before);
            plain.push_str(&self.open_token(&aad, &token).ok_or_else(refused)?);
            rest = after;
        }
        plain.push_str(rest);
        // A token that was cut or mistyped must not be taken for a password.
        if secret_parts(&plain).into_iter().any(|part| plain[part].starts_with(TOKEN_PREFIX)) {
            return Err(refused());
        }
        Ok((plain, false))
    }

    fn seal_parts(&self, scope: &SecretScope, pointer: &str, plain: &str) -> String {
        let aad = scope.aad(Extent::Part, pointer);
        let mut sealed = String::with_capacity(plain.len());
        let mut from = 0;
        for part in secret_parts(plain) {
            sealed.push_str(&plain[from..part.start]);
            sealed.push_str(&self.seal_token(&aad, &plain[part.clone()]));
            from = part.end;
        }
        sealed.push_str(&plain[from..]);
        sealed
    }
}

/// The first thing in a text that has the form of a token, with what stands before and after it. A client may have
/// encoded its colon as a URL's password wants it.
fn next_token(text: &str) -> Option<(&str, String, &str)> {
    let in_body = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.match_indices("sealed").find_map(|(start, word)| {
        let rest = &text[start + word.len()..];
        let rest = [":", "%3A", "%3a"].iter().find_map(|colon| rest.strip_prefix(colon))?;
        let (id, body) = rest.split_once('.')?;
        let length = body.bytes().position(|byte| !in_body(byte)).unwrap_or(body.len());
        let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id && length > 0 {
            Some((&text[..start], format!("{TOKEN_PREFIX}{id}.{}", &body[..length]), &body[length..]))
        } else {
            None
        }
    })
}

/// Gives another text for a text, told its place and whether a secret name stands above it.
type Replace<'a> = dyn FnMut(&str, &[String], bool) -> Result<String, SecretError> + 'a;

/// A copy of a document with each of its texts replaced by what `replace` makes of it. `replace` is told the place of
/// the text, and whether it stands at or below a member with a secret name.
fn walk(
    value: &Value,
    place: &mut Vec<String>,
    secret: bool,
    replace: &mut Replace<'_>,
) -> Result<Value, SecretError> {
    match value {
        Value::String(text) => Ok(Value::String(replace(text, place, secret)?)),
        Value::Array(elements) => {
            let mut copy = Vec::with_capacity(elements.len());
            for (index, element) in elements.iter().enumerate() {
                place.push(index.to_string());
                copy.push(walk(element, place, secret, replace)?);
                place.pop();
            }
            Ok(Value::Array(copy))
        }
        Value::Object(members) => {
            let mut copy = serde_json::Map::with_capacity(members.len());
            for (name, member) in members {
                place.push(name.clone());
                copy.insert(name.clone(), walk(member, place, secret || is_secret_name(name), replace)?);
                place.pop();
            }
            Ok(Value::Object(copy))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// The JSON pointer (RFC 6901) of a place.
fn pointer(place: &[String]) -> String {
    place.iter().fold(String::new(), |mut pointer, name| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        pointer
    })
}

#[cfg(test)]
mod tests;

//! Configs with tokens in place of their secrets: the form in which they are stored and shown.
//!
//! A token is bound to the project, to source or destination, and to the JSON pointer of its field. Elsewhere it does
//! not open, so nobody can read a stored secret by putting its token into a field that is shown, or into another
//! project. Within a text (a URL) only the secret parts are tokens: the rest stays readable.
//!
//! Invariants: `open(seal(config)) == config`, byte for byte, with numbers and the order of keys kept;
//! `seal(seal(config)) == seal(config)`; equal secrets in one field have equal tokens under one key.

use serde_json::{Number, Value};

use super::{
    KeyRing, SecretError, SecretRules,
    keyring::TOKEN_PREFIX,
    rules::{is_secret_name, is_secret_number_name},
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

/// What a token stands for: all of a text, a number, or a part of a text. One does not open as the other.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    Number,
    Part,
}

impl SecretScope {
    fn aad(&self, extent: Extent, pointer: &str) -> String {
        let extent = match extent {
            Extent::Whole => "token",
            Extent::Number => "token-number",
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
        walk(config, &mut Vec::new(), Names::default(), &mut |leaf, place, names| {
            let pointer = pointer(place);
            let token =
                |extent, plain: &str| Value::String(self.seal_token(&scope.aad(extent, &pointer), plain));
            let (text, was_token) = match leaf {
                Leaf::Number(number) if names.of_numbers || rules.marks(place) => {
                    return Ok(token(Extent::Number, &number.to_string()));
                }
                Leaf::Number(number) => return Ok(Value::Number(number.clone())),
                Leaf::Text(text) => match self.open_value(scope, &pointer, text)? {
                    Plain::Number(number) => return Ok(token(Extent::Number, &number.to_string())),
                    Plain::Text(plain) => (plain, false),
                    Plain::Whole(plain) => (plain, true),
                },
            };
            let secret = was_token || names.of_texts || rules.marks(place);
            Ok(match secret && !text.is_empty() {
                true => token(Extent::Whole, &text),
                false => Value::String(self.seal_parts(scope, &pointer, &text)),
            })
        })
    }

    /// The config with each token replaced by its secret.
    ///
    /// # Errors
    /// [`SecretError::Token`] names the field whose token does not open.
    pub fn open_config(&self, scope: &SecretScope, config: &Value) -> Result<Value, SecretError> {
        walk(config, &mut Vec::new(), Names::default(), &mut |leaf, place, _| {
            Ok(match leaf {
                Leaf::Number(number) => Value::Number(number.clone()),
                Leaf::Text(text) => match self.open_value(scope, &pointer(place), text)? {
                    Plain::Number(number) => Value::Number(number),
                    Plain::Text(plain) | Plain::Whole(plain) => Value::String(plain),
                },
            })
        })
    }

    /// What a text stands for.
    fn open_value(&self, scope: &SecretScope, pointer: &str, text: &str) -> Result<Plain, SecretError> {
        let refused = || SecretError::Token { pointer: pointer.to_owned() };
        if text.starts_with(TOKEN_PREFIX) {
            if let Some(plain) = self.open_token(&scope.aad(Extent::Whole, pointer), text) {
                return Ok(Plain::Whole(plain));
            }
            let number = self.open_token(&scope.aad(Extent::Number, pointer), text).ok_or_else(refused)?;
            return number.parse().map(Plain::Number).map_err(|_| refused());
        }
        if !text.contains("sealed") {
            return Ok(Plain::Text(text.to_owned()));
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
        Ok(Plain::Text(plain))
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

/// A value of a config that may be a secret.
enum Leaf<'a> {
    Text(&'a str),
    Number(&'a Number),
}

/// What a text of a config stands for.
enum Plain {
    /// A text that is no token; there may have been some in it.
    Text(String),
    /// The text that was one token.
    Whole(String),
    /// The number that was one token.
    Number(Number),
}

/// Whether a value stands at or below a member whose name makes secrets of texts, and of numbers.
#[derive(Clone, Copy, Default)]
struct Names {
    of_texts: bool,
    of_numbers: bool,
}

/// Gives another value for a text or number, told its place and the names that it stands below.
type Replace<'a> = dyn FnMut(Leaf<'_>, &[String], Names) -> Result<Value, SecretError> + 'a;

/// A copy of a document with each of its texts and numbers replaced by what `replace` makes of it.
fn walk(
    value: &Value,
    place: &mut Vec<String>,
    names: Names,
    replace: &mut Replace<'_>,
) -> Result<Value, SecretError> {
    match value {
        Value::String(text) => replace(Leaf::Text(text), place, names),
        Value::Number(number) => replace(Leaf::Number(number), place, names),
        Value::Array(elements) => {
            let mut copy = Vec::with_capacity(elements.len());
            for (index, element) in elements.iter().enumerate() {
                place.push(index.to_string());
                copy.push(walk(element, place, names, replace)?);
                place.pop();
            }
            Ok(Value::Array(copy))
        }
        Value::Object(members) => {
            let mut copy = serde_json::Map::with_capacity(members.len());
            for (name, member) in members {
                place.push(name.clone());
                let names = Names {
                    of_texts: names.of_texts || is_secret_name(name),
                    of_numbers: names.of_numbers || is_secret_number_name(name),
                };
                copy.insert(name.clone(), walk(member, place, names, replace)?);
                place.pop();
            }
            Ok(Value::Object(copy))
        }
        Value::Null | Value::Bool(_) => Ok(value.clone()),
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

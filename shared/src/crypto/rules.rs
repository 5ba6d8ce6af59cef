//! Which values of a connector's config are secret.
//!
//! Two sources, either of which is enough:
//!
//! 1. the connector's spec: a property with `format: password` or `writeOnly: true`, wherever it stands in the schema;
//! 2. its name ([`is_secret_name`]), because real specs mark only some of their secrets (a private key, for instance,
//!    is unmarked in every one of them).
//!
//! Texts are sealed, and numbers whose name is that of a secret itself ([`is_secret_number_name`]: a password of digits
//! may come as a number), not of something about one (`token_ttl`, `service_account.id`). Flags stay (`use_password`).
//! Everything below a secret name is secret: each text of a service account given as an object.
//!
//! To treat another name as secret, add it to [`is_secret_name`] and to its tests. Rows which are stored already are
//! sealed again with their next write.

use serde_json::Value;

/// How deep a schema is followed.
const DEEPEST: usize = 48;
/// How many nodes of a schema are looked at: no schema of a connector comes near it.
const MOST_NODES: usize = 20_000;

/// The rules of one connector's config.
#[derive(Clone, Debug, Default)]
pub struct SecretRules {
    /// The places which the spec marks.
    marked: Vec<Vec<Step>>,
}

/// One step from a value of a config to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of an object.
    Member(String),
    /// Any element of an array, or any member of an object.
    Any,
}

impl SecretRules {
    /// The rules for a connector whose spec is known: its output (`{"jsonschema": …}`) or the JSON schema itself.
    /// Without a spec, or with one that is no schema, names alone decide.
    pub fn from_spec(spec: Option<&Value>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        let schema = spec.get("jsonschema").or_else(|| spec.get("spec")?.get("jsonschema")).unwrap_or(spec);
        let mut search =
            Search { root: schema, marked: Vec::new(), followed: Vec::new(), nodes_left: MOST_NODES };
        search.look_at(schema, &mut Vec::new(), DEEPEST);
        Self { marked: search.marked }
    }

    /// Whether the spec marks the value at this place, or one that it is part of.
    pub(super) fn marks(&self, place: &[String]) -> bool {
        self.marked.iter().any(|marked| {
            marked.len() <= place.len()
                && marked.iter().zip(place).all(|(step, name)| match step {
                    Step::Member(member) => member == name,
                    Step::Any => true,
                })
        })
    }
}

struct Search<'a> {
    root: &'a Value,
    marked: Vec<Vec<Step>>,
    /// The references on the way to here: one that leads back to itself is not followed again.
    followed: Vec<&'a str>,
    nodes_left: usize,
}

impl<'a> Search<'a> {
    fn look_at(&mut self, schema: &'a Value, place: &mut Vec<Step>, depth_left: usize) {
        if depth_left == 0 || self.nodes_left == 0 {
            return;
        }
        self.nodes_left -= 1;
        let Some(schema) = schema.as_object() else { return };

        let is_marked = schema.get("format").and_then(Value::as_str) == Some("password")
            || schema.get("writeOnly").and_then(Value::as_bool) == Some(true);
        if is_marked && !place.is_empty() && !self.marked.contains(place) {
            self.marked.push(place.clone());
        }

        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        self.step(Step::Member(name.clone()), property, place, depth_left);
                    }
                }
                ("patternProperties", Value::Object(patterns)) => {
                    for property in patterns.values() {
                        self.step(Step::Any, property, place, depth_left);
                    }
                }
                ("additionalProperties" | "unevaluatedProperties" | "contains" | "additionalItems", _) => {
                    self.step(Step::Any, value, place, depth_left);
                }
                ("items" | "prefixItems", Value::Array(items)) => {
                    for item in items {
                        self.step(Step::Any, item, place, depth_left);
                    }
                }
                ("items", _) => self.step(Step::Any, value, place, depth_left),
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                    for branch in branches {
                        self.look_at(branch, place, depth_left - 1);
                    }
                }
                ("dependencies" | "dependentSchemas", Value::Object(branches)) => {
                    for branch in branches.values() {
                        self.look_at(branch, place, depth_left - 1);
                    }
                }
                ("if" | "then" | "else", _) => self.look_at(value, place, depth_left - 1),
                ("$ref", Value::String(reference)) if !self.followed.contains(&reference.as_str()) => {
                    if let Some(target) = reference.strip_prefix('#').and_then(|path| self.root.pointer(path))
                    {
                        self.followed.push(reference);
                        self.look_at(target, place, depth_left - 1);
                        self.followed.pop();
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step, schema: &'a Value, place: &mut Vec<Step>, depth_left: usize) {
        place.push(step);
        self.look_at(schema, place, depth_left - 1);
        place.pop();
    }
}

/// Whether a value with this name is a secret, whatever the spec says.
///
/// The name is cut into words (`awsSecretKey`, `aws-secret-key` and `aws_secret_key` are the same). Secret is a name
///
/// - with password, passphrase, passwd, secret, credential, jaas, private key, client key, access key, API key, secret
///   key or service account anywhere in it, also when written in one word;
/// - with a word that is, or ends with, token, dsn or pwd, except where it tells about the token and is none:
///   `token_url`, `token_uri`, `token_endpoint`, `token_type`;
/// - that ends with the word key (or keys) and has another word before it, except keys that are columns or names:
///   `primary_key`, `partition_key`, `cursor_key`, `public_key` and the like.
pub(super) fn is_secret_name(name: &str) -> bool {
    const ANYWHERE: [&str; 12] = [
        "password",
        "passphrase",
        "passwd",
        "secret",
        "credential",
        "jaas",
        "privatekey",
        "clientkey",
        "accesskey",
        "apikey",
        "secretkey",
        "serviceaccount",
    ];
    const ABOUT_A_TOKEN: [&str; 4] = ["url", "uri", "endpoint", "type"];
    const KEYS_OF_DATA: [&str; 26] = [
        "primary",
        "partition",
        "partitioning",
        "cursor",
        "sort",
        "sorting",
        "foreign",
        "unique",
        "routing",
        "shard",
        "sharding",
        "distribution",
        "cluster",
        "clustering",
        "dedup",
        "merge",
        "join",
        "group",
        "index",
        "order",
        "record",
        "row",
        "message",
        "object",
        "composite",
        "public",
    ];

    let words = words(name);
    let compact = words.concat();
    if ANYWHERE.iter().any(|part| compact.contains(part)) {
        return true;
    }
    let Some((last, before)) = words.split_last() else { return false };
    let token_like = |word: &String| {
        let one = word.strip_suffix('s').unwrap_or(word);
        ["token", "dsn", "pwd"].iter().any(|end| one.ends_with(end)) || word == "pass"
    };
    if words.iter().any(token_like) {
        return !ABOUT_A_TOKEN.contains(&last.as_str());
    }
    let is_key = matches!(last.as_str(), "key" | "keys");
    is_key && before.last().is_some_and(|word| !KEYS_OF_DATA.contains(&word.as_str()))
}

/// Whether a number with this name, or below it, is a secret: a secret name that ends with the secret itself, and counts
/// nothing (`max_tokens`).
pub(super) fn is_secret_number_name(name: &str) -> bool {
    const SECRETS: [&str; 9] =
        ["password", "passphrase", "passwd", "pwd", "secret", "credential", "token", "dsn", "key"];
    const COUNTS: [&str; 5] = ["max", "min", "num", "number", "count"];
    if !is_secret_name(name) {
        return false;
    }
    let words = words(name);
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    let one = last.strip_suffix('s').unwrap_or(last);
    (last == "pass" || SECRETS.iter().any(|secret| one.ends_with(secret)))
        && !COUNTS.contains(&first.as_str())
}

/// The words of a name, in lower case: `awsSecretKey` and `AWS_SECRET_KEY` have three.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (i, &letter) in letters.iter().enumerate() {
        let follows_small = i > 0 && letters[i - 1].is_lowercase();
        let precedes_small = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        let starts_word = letter.is_uppercase() && (follows_small || (precedes_small && !word.is_empty()));
        if (starts_word || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_names_are_known_in_every_spelling() {
        for name in [
            "password",
            "PASSWORD",
            "jdbc_password",
            "ssh-passphrase",
            "client_secret",
            "secret",
            "secrets",
            "sasl_token",
            "token",
            "tokens",
            "authToken",
            "session_token",
            "credential",
            "credentials",
            "gcp_credentials_json",
            "private_key",
            "privateKey",
            "client_key",
            "aws_secret_key",
            "aws_access_key",
            "access_key_id",
            "accessKeyId",
            "secretAccessKey",
            "sasl_jaas_config",
            "kafkaJaasConfig",
            "service_account",
            "gcp_service_account_json",
            "serviceAccountKey",
            "dsn",
            "mysql_dsn",
            "api_key",
            "apikey",
            "x-api-key",
            "api_keys",
            "account_key",
            "SharedAccessKey",
            "encryption_key",
            "sslkey_password",
            "pwd",
            "db_pass",
            "AWSSecretKey",
            "clientsecret",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_secret_is_not_hidden() {
        for name in [
            "",
            "host",
            "username",
            "primary_key",
            "primaryKeys",
            "partition_key",
            "cursor_key",
            "sort_keys",
            "public_key",
            "key",
            "keys",
            "keyspace",
            "tokenizer",
            "token_url",
            "tokenEndpoint",
            "token_type",
            "oauth2_uri",
            "ssl_mode",
            "server_ca",
            "client_cert",
            "bypass",
            "compass",
            "passive_mode",
            "keyboard",
            "replication_slot",
            "monkey",
            "object_key",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn numbers_are_secret_under_the_name_of_the_secret_itself() {
        for name in [
            "password",
            "passphrase",
            "dbPassword",
            "secret",
            "token",
            "api_key",
            "db_pass",
            "clientsecret",
            "pwd",
        ] {
            assert!(is_secret_number_name(name), "{name}");
        }
        for name in [
            "token_ttl",
            "token_count",
            "max_tokens",
            "password_length",
            "secret_rotation_days",
            "service_account",
            "primary_key",
            "port",
            "",
        ] {
            assert!(!is_secret_number_name(name), "{name}");
        }
    }

    fn marks(rules: &SecretRules, place: &str) -> bool {
        rules.marks(&place.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn marks_are_found_wherever_a_schema_can_hold_them() {
        let spec = json!({"jsonschema": {
            "definitions": {"auth": {"properties": {"pin": {"type": "string", "format": "password"}}}},
            "properties": {
                "direct": {"type": "string", "format": "password"},
                "write_only": {"writeOnly": true},
                "plain": {"type": "string"},
                "by_ref": {"$ref": "#/definitions/auth"},
                "list": {"type": "array", "items": {"properties": {"pin": {"format": "password"}}}},
                "map": {"additionalProperties": {"format": "password"}},
                "choice": {"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {"format": "password"}}}]},
                "writer": {"dependencies": {"kind": {"oneOf": [
                    {"dependencies": {"auth": {"anyOf": [{"properties": {"pin": {"format": "password"}}}]}}}
                ]}}},
            },
            "allOf": [{"if": {}, "then": {"properties": {"conditional": {"format": "password"}}}}],
        }});
        for rules in [SecretRules::from_spec(Some(&spec)), SecretRules::from_spec(spec.get("jsonschema"))] {
            for place in [
                "direct",
                "direct.below",
                "write_only",
                "by_ref.pin",
                "list.0.pin",
                "list.7.pin",
                "map.any",
                "choice.b",
                "writer.pin",
                "conditional",
            ] {
                assert!(marks(&rules, place), "{place}");
            }
            for place in ["plain", "by_ref", "choice.a", "pin", "list", "map", "elsewhere.direct"] {
                assert!(!marks(&rules, place), "{place}");
            }
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let spec = json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/b"}, "c": {"oneOf": [
            {"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}, "pin": {"format": "password"}}});
        let rules = SecretRules::from_spec(Some(&spec));
        assert!(marks(&rules, "pin") && marks(&rules, "a.pin"));
    }

    #[test]
    fn rubbish_for_a_spec_leaves_the_names() {
        for rubbish in [json!(null), json!([1]), json!("x"), json!({"properties": 7, "oneOf": {}, "$ref": 1})]
        {
            assert!(!marks(&SecretRules::from_spec(Some(&rubbish)), "x"));
        }
    }
}

//! The OpenAPI document: what the framework makes of the operations, made exact.
//!
//! The framework gives each operation every error there is, does not say where null may stand, and makes no examples of
//! answers. Here
//!
//! - an operation keeps the errors that it can answer ([`can_answer`]): to add one that only some operations have, add
//!   their ids to a list;
//! - errors are written once, as components with an example each;
//! - a property that may be left out may be null as well, in requests and answers;
//! - the three members of an envelope are always there, also when `data` is null.

use serde_json::{Map, Value, json};

/// Operations that can find a conflict (409).
const CONFLICTS: &[&str] = &[
    "signup",
    "createUser",
    "updateUser",
    "deleteUser",
    "createSource",
    "updateSource",
    "deleteSource",
    "createDestination",
    "updateDestination",
    "deleteDestination",
    "createJob",
    "updateJob",
    "syncJob",
    "cancelJob",
    "cancelJobByGet",
    "clearDestination",
    "putJobState",
    "resetJobState",
    "checkUniqueName",
];

/// Operations that ask a connector for something which it may be unable to give (422).
const ASKING: &[&str] = &[
    "getSourceSpec",
    "readSourceSpec",
    "getDestinationSpec",
    "readDestinationSpec",
    "discoverSourceCatalog",
    "getSourceStreams",
    "discoverSourceStreams",
    "getStreamDifference",
    "getDifferenceStreams",
];

/// Operations that are refused (403) to accounts, or to everybody, though they change nothing by their method.
const GUARDED: &[&str] = &["signup", "cancelJobByGet", "listUsers"];

/// Operations that hold back who tries too often (429).
const THROTTLED: &[&str] = &["login"];

/// The errors, with what an example of each says.
const ERRORS: [(&str, &str, &str); 12] = [
    ("400", "BadRequest", "Bad request: name: must not be empty"),
    ("401", "Unauthenticated", "Authentication required"),
    ("403", "Forbidden", "Insufficient permissions: the request comes from another site's page"),
    ("404", "NotFound", "Resource not found: job 5"),
    ("409", "Conflict", "job name 'nightly' is not unique"),
    ("412", "Stale", "it was changed in the meantime (revision 3); read it again"),
    ("413", "TooLarge", "The request's body is too large: at most 16384 KiB are taken here"),
    ("415", "UnsupportedMediaType", "Unsupported media type: send application/json"),
    ("422", "Unprocessable", "spec failed: the connector's own last error"),
    ("429", "TooMany", "Too many failed logins: try again in 291 seconds"),
    ("500", "Internal", "Internal server error"),
    ("503", "Unavailable", "The database cannot be reached just now"),
];

/// The document of `text`, which the framework made, made exact.
pub fn exact(text: &str) -> Value {
    // What the framework has made is JSON.
    let mut document: Value = serde_json::from_str(text).unwrap_or_default();
    let mut shared = Map::new();
    for (place, operation) in operations(&mut document) {
        let parts = Parts::of(&place, operation);
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        responses.retain(|status, _| {
            !status.starts_with(['4', '5']) || parts.is_outside || can_answer(&parts, status)
        });
        for (status, response) in responses.iter_mut() {
            let Some((_, name, message)) = ERRORS.iter().find(|(known, ..)| known == status) else {
                continue;
            };
            if parts.is_outside {
                continue;
            }
            let whole = response.take();
            shared.entry((*name).to_owned()).or_insert_with(|| with_example(whole, status, message));
            *response = json!({"$ref": format!("#/components/responses/{name}")});
        }
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        if let Some(schemas) = components.get_mut("schemas").and_then(Value::as_object_mut) {
            schemas.values_mut().for_each(allow_null);
        }
        shared.sort_keys();
        components.insert("responses".to_owned(), Value::Object(shared));
    }
    document
}

/// What decides which errors an operation has.
struct Parts {
    id: String,
    has_parameters: bool,
    has_path_parameters: bool,
    has_body: bool,
    has_if_match: bool,
    needs_account: bool,
    changes: bool,
    /// Whether its answers are no envelopes: for probes.
    is_outside: bool,
}

impl Parts {
    fn of((path, method): &(String, String), operation: &Value) -> Self {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            has_parameters: !parameters.is_empty(),
            has_path_parameters: path.contains('{'),
            has_body: operation.get("requestBody").is_some(),
            has_if_match: parameters.iter().any(|parameter| parameter["name"] == "If-Match"),
            needs_account: operation.get("security").is_some(),
            changes: method != "get",
            is_outside: matches!(id.as_str(), "getHealth" | "getReady"),
            id,
        }
    }
}

/// Whether an operation can answer an error.
fn can_answer(operation: &Parts, status: &str) -> bool {
    let is_one_of = |list: &[&str]| list.contains(&operation.id.as_str());
    match status {
        "400" => operation.has_parameters || operation.has_body,
        "401" => operation.needs_account || operation.id == "login",
        // Another site's page changes nothing with the cookie of a browser.
        "403" => {
            (operation.needs_account && operation.changes)
                || operation.id.ends_with("User")
                || is_one_of(GUARDED)
        }
        "404" => operation.has_path_parameters,
        "409" => is_one_of(CONFLICTS),
        "412" => operation.has_if_match,
        "413" | "415" => operation.has_body,
        "422" => is_one_of(ASKING),
        "429" => is_one_of(THROTTLED),
        _ => true,
    }
}

/// The operations with their paths and methods.
fn operations(document: &mut Value) -> Vec<((String, String), &mut Value)> {
    let mut all = Vec::new();
    for (path, methods) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            all.push(((path.clone(), method.clone()), operation));
        }
    }
    all
}

fn with_example(mut response: Value, status: &str, message: &str) -> Value {
    let mut example = json!({"success": false, "message": message});
    if status == "500" {
        example["request_id"] = "0198f3a2c5e47b8a9d10c6f2b3a4e5d6".into();
    }
    let content = response.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten();
    content.for_each(|(_, media)| media["example"] = example.clone());
    response
}

/// Lets null stand where a property may be left out, and makes the members of an envelope required.
fn allow_null(schema: &mut Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if ["success", "message", "data"].iter().all(|member| properties.contains_key(*member)) {
        schema["required"] = json!(["success", "message", "data"]);
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|it| it == name));
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        // Beside a reference nothing else counts.
        if property.get("$ref").is_some() {
            *property = json!({"allOf": [property.take()]});
        }
        debug_assert!(property.is_object(), "{name} has a schema");
        property["nullable"] = true.into();
    }
}

/// A document as YAML.
pub fn yaml(document: &Value) -> String {
    let mut text = String::new();
    write(&mut text, document, 0);
    text
}

/// Writes a value whose line has begun: scalars and empty collections stay on it, others begin below.
fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 || depth == 0 {
                    indent(text, depth);
                }
                text.push_str(&scalar(name));
                text.push(':');
                write_below(text, member, depth);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    indent(text, depth);
                }
                text.push_str("- ");
                write(text, element, depth + 1);
            }
        }
        Value::String(line) => {
            text.push_str(&scalar(line));
            text.push('\n');
        }
        other => {
            // Empty collections, numbers and words are the same in JSON.
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

/// Writes the value of a member, after its colon.
fn write_below(text: &mut String, value: &Value, depth: usize) {
    let is_empty =
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty => {
            text.push('\n');
            indent(text, depth + 1);
            write(text, value, depth + 1);
        }
        Value::String(lines) if is_block(lines) => {
            text.push_str(if lines.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in lines.trim_end_matches('\n').split('\n') {
                if !line.is_empty() {
                    indent(text, depth + 1);
                    text.push_str(line);
                }
                text.push('\n');
            }
        }
        _ => {
            text.push(' ');
            write(text, value, depth);
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    (0..depth).for_each(|_| text.push_str("  "));
}

/// Whether a text of several lines can stand as it is.
fn is_block(text: &str) -> bool {
    let is_plain = |line: &str| !line.starts_with([' ', '\t']) && !line.contains(|c: char| c.is_control());
    text.contains('\n')
        && !text.starts_with('\n')
        && !text.ends_with("\n\n")
        && text.split('\n').all(is_plain)
}

/// A text of one line: as it is where YAML reads it as a text, else in quotes, which are those of JSON.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _/.,;{}()+=*'-".contains(&b));
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    if begins && is_plain && !is_word && !text.ends_with(' ') {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_yaml() {
        let document = json!({
            "openapi": "3.0.0",
            "empty": [{}, []],
            "list": ["a b", "true", {"one": 1, "two": {"deep": ["x"]}}, [1, [2]]],
            "200": {"text": "one\n\ntwo: #\n", "folded": "a\nb", "odd": " a\nb", "quoted": "say \"hi\": #1", "é": null},
        });
        let expected = "openapi: \"3.0.0\"
empty:
  - {}
  - []
list:
  - a b
  - \"true\"
  - one: 1
    two:
      deep:
        - x
  - - 1
    - - 2
\"200\":
  text: |
    one

    two: #
  folded: |-
    a
    b
  odd: \" a\\nb\"
  quoted: \"say \\\"hi\\\": #1\"
  \"é\": null
";
        assert_eq!(yaml(&document), expected);
    }

    #[test]
    fn what_may_be_left_out_may_be_null() {
        let mut schema = json!({"properties": {"a": {"type": "string"}, "b": {"$ref": "#/x"}, "c": {"type": "integer"}}, "required": ["c"]});
        allow_null(&mut schema);
        let properties = &schema["properties"];
        assert_eq!(properties["a"], json!({"type": "string", "nullable": true}));
        assert_eq!(properties["b"], json!({"allOf": [{"$ref": "#/x"}], "nullable": true}));
        assert_eq!(properties["c"], json!({"type": "integer"}));
        let mut envelope = json!({"properties": {"success": {}, "message": {}, "data": {"nullable": true}}, "required": ["success"]});
        allow_null(&mut envelope);
        assert_eq!(envelope["required"], json!(["success", "message", "data"]));
    }

    #[test]
    fn every_id_in_a_list_is_that_of_an_operation() {
        let mut document: Value = serde_json::from_str(&crate::service().spec()).unwrap();
        let ids: Vec<_> = operations(&mut document)
            .into_iter()
            .filter_map(|(_, operation)| operation["operationId"].as_str().map(str::to_owned))
            .collect();
        for id in [CONFLICTS, ASKING, GUARDED, THROTTLED].concat() {
            assert!(ids.iter().any(|known| known == id), "{id}");
        }
    }
}

//! The OpenAPI document: checked in, complete, and true about authentication.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::collections::HashSet;

use poem::{Body, http::Method};
use serde_json::Value;
use support::TestApp;

/// Operations that need no account.
const OPEN: [&str; 4] = ["login", "signup", "getHealth", "getReady"];

struct Operation {
    method: Method,
    path: String,
    id: String,
    json: Value,
}

fn document() -> Value {
    olake_api::document()
}

fn operations() -> Vec<Operation> {
    let document = document();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, json) in methods.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                id: json["operationId"].as_str().unwrap_or_default().to_owned(),
                json: json.clone(),
            });
        }
    }
    operations
}

#[test]
fn the_checked_in_document_is_the_one_that_the_code_gives() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml");
    let checked_in = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        checked_in == olake_api::spec_yaml(),
        "openapi.yaml is not what the code gives. Make it again: cargo run --bin olake-api openapi > openapi.yaml"
    );
}

#[tokio::test]
async fn nothing_is_done_without_credentials() {
    let app = TestApp::sqlite().await;
    let operations = operations();
    assert!(operations.len() > 20, "the document has lost its operations");
    for Operation { method, path, id, .. } in operations {
        if OPEN.contains(&id.as_str()) {
            continue;
        }
        // No parameter and no body is right: the answer must be a 401 before any of them is looked at.
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let reply = app.anon.send(method.clone(), &path, None, Body::empty()).await;
        assert_eq!(reply.status, 401, "{method} {path} ({id}) without credentials: {}", reply.text);
        assert_eq!(reply.error(), "Authentication required");
        let unknown = app
            .anon
            .with_header("Authorization", "Bearer unknown")
            .with_header("Cookie", "olake-session=unknown");
        let reply = unknown.send(method.clone(), &path, None, Body::empty()).await;
        assert_eq!(reply.status, 401, "{method} {path} ({id}) with unknown credentials: {}", reply.text);
    }
}

#[test]
fn every_operation_is_documented() {
    let mut ids = HashSet::new();
    for Operation { method, path, id, json } in operations() {
        let name = format!("{method} {path}");
        assert!(!id.is_empty() && ids.insert(id.clone()), "{name} has no operationId of its own");
        assert!(json["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        assert!(
            json["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{name} has no description"
        );
        assert!(json["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tag");
        assert_eq!(json["security"].is_array(), !OPEN.contains(&id.as_str()), "{name}: security");
        for parameter in json["parameters"].as_array().into_iter().flatten() {
            let text = parameter["description"].as_str();
            assert!(
                text.is_some_and(|text| !text.is_empty()),
                "{name}: {} has no description",
                parameter["name"]
            );
        }
    }
}

#[test]
fn media_types_are_bare_so_that_generators_take_them() {
    let yaml = olake_api::spec_yaml();
    assert!(yaml.contains("application/json:"));
    assert!(!yaml.contains("charset"), "a media type has a charset");
}

#[test]
fn every_request_type_has_an_example_and_describes_its_fields() {
    let document = document();
    let mut missing = Vec::new();
    for Operation { json, .. } in operations() {
        let schema = &json["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) else {
            continue;
        };
        let schema = &document["components"]["schemas"][name];
        if !schema["example"].is_object() {
            missing.push(format!("{name} has no example"));
        }
        for (field, schema) in schema["properties"].as_object().unwrap() {
            if schema["description"].as_str().is_none_or(str::is_empty) {
                missing.push(format!("{name}.{field} has no description"));
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_path_has_its_parameters_in_braces() {
    for Operation { path, json, .. } in operations() {
        assert!(!path.contains(':'), "{path}");
        let parameters = json["parameters"].as_array().into_iter().flatten();
        let of_path = parameters.filter(|parameter| parameter["in"] == "path");
        let names = of_path.filter_map(|parameter| parameter["name"].as_str()).collect::<Vec<_>>();
        let in_path =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect::<Vec<_>>();
        assert_eq!(names, in_path, "{path}");
    }
}

#[test]
fn each_operation_has_the_errors_that_it_can_answer_and_no_other() {
    let document = document();
    for Operation { method, path, id, json } in operations() {
        if matches!(id.as_str(), "getHealth" | "getReady") {
            continue;
        }
        let parameters = json["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let is_there = |status: &str| json["responses"].get(status).is_some();
        let name = format!("{method} {path}");
        for (status, expected) in [
            ("400", !parameters.is_empty() || json.get("requestBody").is_some()),
            ("401", json["security"].is_array() || id == "login"),
            ("404", path.contains('{')),
            ("405", false),
            ("412", parameters.iter().any(|parameter| parameter["name"] == "If-Match")),
            ("413", json.get("requestBody").is_some()),
            ("415", json.get("requestBody").is_some()),
            ("429", id == "login"),
            ("500", true),
            ("503", true),
        ] {
            assert_eq!(is_there(status), expected, "{name}: {status}");
        }
        if json["security"].is_array() && method != Method::GET {
            assert!(is_there("403"), "{name}: another site's page");
        }
        for (status, response) in json["responses"].as_object().unwrap() {
            let Some(component) = response["$ref"].as_str() else { continue };
            let component = document.pointer(component.strip_prefix('#').unwrap()).unwrap();
            let example = &component["content"]["application/json"]["example"];
            assert_eq!(example["success"], false, "{name}: {status}");
        }
    }
}

#[test]
fn null_may_stand_where_a_field_may_be_left_out_and_data_is_always_there() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let required =
            |field: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == field));
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(required(field) || property["nullable"] == true, "{name}.{field}");
        }
        if schema["properties"].get("success").is_some() && schema["properties"].get("data").is_some() {
            assert!(required("data"), "{name}");
        }
    }
}

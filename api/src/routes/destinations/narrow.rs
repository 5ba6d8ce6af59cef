//! The form of an iceberg destination, narrowed to one catalog.
//!
//! The spec lists all catalogs: `writer.properties.catalog_type.enum`, with one branch for each in
//! `writer.dependencies.catalog_type.oneOf`, and their shown names in the uischema. A client that knows its catalog wants
//! that branch alone.

use olake_shared::json::parse_json;
use serde_json::{Map, Value, json};

/// Keeps the branch of `catalog` alone. A spec that has no such branch stays as it is.
pub fn to_catalog(spec: &mut Value, catalog: &str) {
    let Some(place) = spec.get_mut("jsonschema").and_then(|schema| narrow_schema(schema, catalog)) else {
        return;
    };
    if let Some(Value::String(text)) = spec.get_mut("uischema")
        && let Ok(mut form) = parse_json(text.as_str())
    {
        narrow_names(&mut form, place);
        *text = form.to_string();
    }
}

/// Answers the place of the catalog in the list.
fn narrow_schema(schema: &mut Value, catalog: &str) -> Option<usize> {
    let object = schema.as_object_mut()?;
    if let Some((place, name, branch)) = branch(object, catalog) {
        let kind = object.get_mut("properties")?.get_mut("catalog_type")?.as_object_mut()?;
        kind.insert("enum".to_owned(), json!([name]));
        kind.insert("default".to_owned(), name);
        *object.get_mut("dependencies")?.get_mut("catalog_type")?.get_mut("oneOf")? = json!([branch]);
        return Some(place);
    }
    let properties = object.get_mut("properties")?.as_object_mut()?;
    properties.values_mut().find_map(|property| narrow_schema(property, catalog))
}

/// The place of a catalog in the list, its name as the spec writes it, and its branch.
fn branch(object: &Map<String, Value>, catalog: &str) -> Option<(usize, Value, Value)> {
    let is_it = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(catalog));
    let names = object.get("properties")?.get("catalog_type")?.get("enum")?.as_array()?;
    let place = names.iter().position(is_it)?;
    let branches = object.get("dependencies")?.get("catalog_type")?.get("oneOf")?.as_array()?;
    let of_catalog = |branch: &&Value| branch.pointer("/properties/catalog_type/const").is_some_and(is_it);
    Some((place, names[place].clone(), branches.iter().find(of_catalog)?.clone()))
}

/// The shown names go by place in the list of catalogs: one is left there, so one is left here.
fn narrow_names(form: &mut Value, place: usize) {
    let Some(object) = form.as_object_mut() else { return };
    for (key, value) in object.iter_mut() {
        match value.get_mut("ui:enumNames").and_then(Value::as_array_mut) {
            Some(names) if key == "catalog_type" => {
                if let Some(name) = names.get(place).cloned() {
                    *names = vec![name];
                }
            }
            _ => narrow_names(value, place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iceberg() -> Value {
        let form = json!({
            "type": {"ui:widget": "hidden"},
            "writer": {"catalog_type": {"ui:enumNames": ["AWS Glue", "JDBC", "Generic REST"]}},
        });
        let branch = |name: &str, field: &str| json!({"properties": {"catalog_type": {"const": name}, field: {"type": "string"}}, "required": [field]});
        json!({
            "jsonschema": {"type": "object", "properties": {
                "type": {"const": "ICEBERG", "type": "string"},
                "writer": {
                    "type": "object",
                    "properties": {
                        "arrow_writes": {"type": "boolean"},
                        "catalog_type": {"type": "string", "default": "glue", "enum": ["glue", "jdbc", "rest"]},
                    },
                    "dependencies": {"catalog_type": {"oneOf": [
                        branch("jdbc", "jdbc_url"), branch("rest", "rest_catalog_url"), branch("glue", "glue_region"),
                    ]}},
                },
            }},
            "uischema": form.to_string(),
        })
    }

    #[test]
    fn one_branch_is_left() {
        let mut spec = iceberg();
        to_catalog(&mut spec, "REST");
        let writer = &spec["jsonschema"]["properties"]["writer"];
        assert_eq!(writer["properties"]["catalog_type"]["enum"], json!(["rest"]));
        assert_eq!(writer["properties"]["catalog_type"]["default"], "rest");
        let branches = writer["dependencies"]["catalog_type"]["oneOf"].as_array().unwrap();
        assert_eq!(branches.len(), 1);
        assert!(branches[0]["properties"].get("rest_catalog_url").is_some());
        assert!(writer["properties"].get("arrow_writes").is_some(), "what all catalogs have stays");
        let form: Value = serde_json::from_str(spec["uischema"].as_str().unwrap()).unwrap();
        assert_eq!(form["writer"]["catalog_type"]["ui:enumNames"], json!(["Generic REST"]));
    }

    #[test]
    fn a_catalog_without_branch_changes_nothing() {
        let mut spec = iceberg();
        to_catalog(&mut spec, "hive");
        assert_eq!(spec, iceberg());
        let mut parquet =
            json!({"jsonschema": {"properties": {"writer": {"properties": {}}}}, "uischema": "{}"});
        let before = parquet.clone();
        to_catalog(&mut parquet, "rest");
        assert_eq!(parquet, before);
    }
}

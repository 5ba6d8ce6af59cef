//! `spec`: the form of a config, as a JSON Schema and as hints for a user interface (JSON in a string).

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

const SOURCE: [&str; 2] = [include_str!("spec/source.json"), include_str!("spec/source.ui.json")];
const PARQUET: [&str; 2] = [include_str!("spec/parquet.json"), include_str!("spec/parquet.ui.json")];

/// The spec of the source or, with its type, of a destination.
///
/// # Errors
/// A destination type that this connector does not write.
pub fn spec(destination_type: Option<&str>) -> Result<Value> {
    let [schema, ui] = match destination_type {
        None => SOURCE,
        Some("parquet") => PARQUET,
        Some(other) => bail!("failed to read spec: no destination type {other}"),
    };
    let schema: Value = serde_json::from_str(schema).context("failed to read spec")?;
    Ok(json!({"jsonschema": schema, "uischema": ui.trim_end()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_specs_are_json_and_name_only_their_own_fields() {
        for kind in [None, Some("parquet")] {
            let spec = spec(kind).unwrap();
            assert_eq!(spec["jsonschema"]["type"], "object");
            let ui: Value = serde_json::from_str(spec["uischema"].as_str().unwrap()).unwrap();
            let properties = spec["jsonschema"]["properties"].as_object().unwrap();
            for key in ui.as_object().unwrap().keys().filter(|key| !key.starts_with("ui:")) {
                assert!(properties.contains_key(key), "{key}");
            }
        }
        assert!(spec(Some("iceberg")).is_err());
    }
}

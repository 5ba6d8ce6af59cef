//! `discover --difference`: which streams of a newer catalog would have to be cleared, compared with an older one.
//!
//! A stream counts as different if it is newly selected, or if one of the choices in [`OF_SELECTION`] or [`OF_STREAM`]
//! changed. The source is not asked.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::catalog::find;
use crate::config::read_json;
use crate::output::Output;

/// Choices of a selection.
const OF_SELECTION: [&str; 6] =
    ["normalization", "partition_regex", "filter", "filter_config", "use_source_column_names", "append_mode"];

/// Choices of a stream.
const OF_STREAM: [&str; 4] = ["sync_mode", "destination_database", "destination_table", "cursor_field"];

/// What a difference is asked for.
pub struct Request<'a> {
    pub old: &'a Path,
    pub new: &'a Path,
    /// The folder that gets difference_streams.json; none: beside the older catalog.
    pub folder: Option<&'a Path>,
}

/// Writes the streams that differ.
///
/// # Errors
/// A catalog that cannot be read, a file that cannot be written.
pub fn difference(request: &Request<'_>, output: &Output) -> Result<u8> {
    let (old, new) = (read_json(request.old)?, read_json(request.new)?);
    let differing = compare(&old, &new);
    let folder = request.folder.or(request.old.parent()).unwrap_or(Path::new("."));
    let file = folder.join("difference_streams.json");
    std::fs::write(&file, differing.to_string())
        .with_context(|| format!("failed to write file[{}]", file.display()))?;
    output.info("Successfully wrote stream differences");
    output.result(&json!({"type": "CATALOG", "catalog": differing}));
    Ok(0)
}

fn compare(old: &Value, new: &Value) -> Value {
    let mut selected = Map::new();
    let mut streams = Vec::new();
    for (namespace, selections) in new["selected_streams"].as_object().into_iter().flatten() {
        let mut differing = Vec::new();
        for selection in selections.as_array().into_iter().flatten() {
            let name = &selection["stream_name"];
            let Some(stream) = find(new, namespace, name) else { continue };
            let before = old["selected_streams"][namespace].as_array();
            let before = before.into_iter().flatten().find(|before| before["stream_name"] == *name);
            let is_same = before.is_some_and(|before| same(before, selection, &OF_SELECTION))
                && find(old, namespace, name).is_some_and(|before| same(before, stream, &OF_STREAM));
            if !is_same {
                differing.push(selection.clone());
                streams.push(json!({ "stream": stream }));
            }
        }
        if !differing.is_empty() {
            selected.insert(namespace.clone(), Value::Array(differing));
        }
    }
    json!({"selected_streams": selected, "streams": streams})
}

fn same(one: &Value, other: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| one[*key] == other[*key])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Value {
        let stream =
            |name: &str| json!({"stream": {"name": name, "namespace": "n", "sync_mode": "incremental"}});
        json!({
            "selected_streams": {"n": [{"stream_name": "a", "normalization": true}]},
            "streams": [stream("a"), stream("b")],
        })
    }

    fn names(old: &Value, new: &Value) -> Vec<String> {
        let differing = compare(old, new);
        let streams = differing["streams"].as_array().unwrap();
        let selected = differing["selected_streams"]["n"].as_array().map_or(0, Vec::len);
        assert_eq!(streams.len(), selected);
        streams.iter().map(|entry| entry["stream"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn equal_catalogs_differ_in_nothing() {
        assert_eq!(compare(&catalog(), &catalog()), json!({"selected_streams": {}, "streams": []}));
        let mut fewer = catalog();
        fewer["selected_streams"] = json!({});
        assert!(names(&catalog(), &fewer).is_empty(), "what is no longer selected stays where it is");
    }

    #[test]
    fn new_selections_and_changed_choices_differ() {
        let mut more = catalog();
        more["selected_streams"]["n"].as_array_mut().unwrap().push(json!({"stream_name": "b"}));
        assert_eq!(names(&catalog(), &more), ["b"]);
        for key in OF_SELECTION {
            let mut changed = catalog();
            changed["selected_streams"]["n"][0][key] = json!("changed");
            assert_eq!(names(&catalog(), &changed), ["a"], "{key}");
        }
        for key in OF_STREAM {
            let mut changed = catalog();
            changed["streams"][0]["stream"][key] = json!("changed");
            assert_eq!(names(&catalog(), &changed), ["a"], "{key}");
        }
        let mut columns = catalog();
        columns["selected_streams"]["n"][0]["selected_columns"] = json!({"columns": ["id"]});
        assert!(names(&catalog(), &columns).is_empty());
    }
}

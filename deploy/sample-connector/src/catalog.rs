//! `discover`: the catalog of a folder, and the merge with the selections that a job has made before.
//!
//! The catalog is JSON in the shape of the real connectors' streams.json; selections are kept as the JSON
//! they are, so that keys this program does not know survive the merge.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::config::{Source, read_json};
use crate::output::{Output, RUBBISH};
use crate::signals::Stop;
use crate::source::{self, Column, StreamFile, Table};
use crate::value::Kind;
use crate::version::Version;

/// The columns that the connector adds to every table, with their types.
pub const OWN_COLUMNS: [(&str, &str); 3] =
    [("_olake_id", "string"), ("_olake_timestamp", "timestamp_micro"), ("_op_type", "string")];

/// The first part of the destination's database name when no prefix is given.
const DATABASE_PREFIX: &str = "files";

const SYNC_MODES: [&str; 2] = ["full_refresh", "incremental"];

/// What discover is asked for.
pub struct Request<'a> {
    pub config: &'a Path,
    /// The catalog whose selections are to be kept.
    pub catalog: Option<&'a Path>,
    pub database_prefix: Option<&'a str>,
    pub threads: i64,
    /// The folder that gets streams.json.
    pub folder: &'a Path,
}

/// Runs discover: the catalog goes to the output, the catalog with the selections merged in to streams.json.
///
/// # Errors
/// A source or a catalog that cannot be read, a file that cannot be written, SIGTERM.
pub fn discover(request: &Request<'_>, version: Version, output: &Output, stop: &Stop) -> Result<u8> {
    let source = Source::load(request.config)?;
    let before = request.catalog.map(read_json).transpose()?;
    output.info(&format!("Ruuning OLake sync with version {version}"));
    if let Some(code) = source.faults.at_start(output, stop)? {
        return Ok(code);
    }
    source.connect()?;
    output.info(&format!("Starting discover for folder {}", source.path.display()));
    let file = request.folder.join("streams.json");
    let content = if source.faults.rubbish {
        output.rubbish();
        RUBBISH.to_owned()
    } else {
        let files = source::streams(&source.path)?;
        let tables = read_all(&files, request.threads, stop)?;
        let mut catalog =
            catalog(&source.namespace(), request.database_prefix.unwrap_or(DATABASE_PREFIX), &files, &tables);
        output.result(&json!({"type": "CATALOG", "catalog": catalog}));
        if let Some(before) = before {
            merge(&mut catalog, &before);
        }
        catalog.to_string()
    };
    std::fs::write(&file, content).with_context(|| format!("failed to write file[{}]", file.display()))?;
    Ok(0)
}

/// Reads the files with at most `threads` threads.
fn read_all(files: &[StreamFile], threads: i64, stop: &Stop) -> Result<Vec<Table>> {
    let threads = usize::try_from(threads).unwrap_or(1).clamp(1, files.len().max(1));
    let share = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let read = |part: &[StreamFile]| part.iter().map(|file| file.read(stop)).collect::<Result<Vec<_>>>();
        let parts: Vec<_> = files.chunks(share).map(|part| scope.spawn(move || read(part))).collect();
        let mut tables = Vec::with_capacity(files.len());
        for part in parts {
            match part.join() {
                Ok(read) => tables.extend(read?),
                Err(_) => bail!("a reading thread died"),
            }
        }
        Ok(tables)
    })
}

fn catalog(namespace: &str, prefix: &str, files: &[StreamFile], tables: &[Table]) -> Value {
    let streams = files
        .iter()
        .zip(tables)
        .map(|(file, table)| json!({"stream": stream(namespace, prefix, &file.name, &table.columns)}));
    let streams: Vec<Value> = streams.collect();
    let selections: Vec<Value> = streams.iter().map(|stream| selection(&stream["stream"])).collect();
    let mut selected = Map::new();
    if !selections.is_empty() {
        selected.insert(namespace.to_owned(), Value::Array(selections));
    }
    json!({"selected_streams": selected, "streams": streams})
}

fn stream(namespace: &str, prefix: &str, name: &str, columns: &[Column]) -> Value {
    let mut properties: Vec<(String, Value)> = OWN_COLUMNS
        .iter()
        .map(|(name, kind)| {
            let property =
                json!({"type": [kind, "null"], "destination_column_name": name, "olake_column": true});
            ((*name).to_owned(), property)
        })
        .collect();
    let mut taken: Vec<String> = Vec::new();
    for column in columns {
        let destination = destination_name(&column.name, &taken);
        let mut kinds = vec![column.kind.name()];
        if column.nullable {
            kinds.push("null");
        }
        properties
            .push((column.name.clone(), json!({"type": kinds, "destination_column_name": destination})));
        taken.push(destination);
    }
    properties.sort_by(|(a, _), (b, _)| a.cmp(b));

    let primary_key: Vec<&str> = primary_key(columns).map(|key| key.name.as_str()).into_iter().collect();
    let cursors: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let cursor = default_cursor(columns);
    let mut stream = json!({
        "name": name,
        "namespace": namespace,
        "type_schema": {"properties": properties.into_iter().collect::<Map<_, _>>()},
        "supported_sync_modes": SYNC_MODES,
        "source_defined_primary_key": primary_key,
        "available_cursor_fields": cursors,
    });
    if let Some(cursor) = cursor {
        stream["cursor_field"] = json!(cursor.name);
    }
    stream["sync_mode"] = json!(if cursor.is_some() { "incremental" } else { "full_refresh" });
    stream["destination_database"] = json!(format!("{prefix}:{}", plain(namespace)));
    stream["destination_table"] = json!(plain(name));
    stream["default_stream_properties"] = json!({"normalization": true, "append_mode": false});
    stream
}

/// The first column, if it tells the rows apart.
pub fn primary_key(columns: &[Column]) -> Option<&Column> {
    columns.first().filter(|column| column.unique && !column.nullable)
}

fn default_cursor(columns: &[Column]) -> Option<&Column> {
    let grows = |column: &&Column| matches!(column.kind, Kind::Integer | Kind::Timestamp) && !column.nullable;
    primary_key(columns).or_else(|| columns.iter().find(grows))
}

fn selection(stream: &Value) -> Value {
    json!({
        "partition_regex": "",
        "stream_name": stream["name"],
        "normalization": true,
        "use_source_column_names": false,
        "selected_columns": {"columns": column_names(stream), "sync_new_columns": true},
    })
}

fn column_names(stream: &Value) -> Vec<&str> {
    let properties = stream["type_schema"]["properties"].as_object();
    properties.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A column's name in the destination: lower case, letters, digits and `_`, none of those `taken`.
pub fn destination_name(name: &str, taken: &[String]) -> String {
    let mut wanted = plain(&name.to_lowercase()).replace('-', "_");
    while taken.contains(&wanted) {
        wanted.push('_');
    }
    wanted
}

/// A name that is safe as one part of a path: letters, digits, `_` and `-`, never empty.
pub fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
    if name.is_empty() { "_".to_owned() } else { name.chars().map(keep).collect() }
}

/// Takes over from the catalog `before` what a person has chosen: which streams, their columns and options,
/// mode, cursor and place in the destination. What is gone from the source falls away; a stream that is new
/// is listed, not selected.
pub fn merge(catalog: &mut Value, before: &Value) {
    let mut selected = Map::new();
    for (namespace, selections) in before["selected_streams"].as_object().into_iter().flatten() {
        let mut kept = Vec::new();
        for selection in selections.as_array().into_iter().flatten() {
            let name = &selection["stream_name"];
            if let Some(now) = find(catalog, namespace, name) {
                kept.push(merge_selection(selection, now, find(before, namespace, name)));
            }
        }
        if !kept.is_empty() {
            selected.insert(namespace.clone(), Value::Array(kept));
        }
    }
    catalog["selected_streams"] = Value::Object(selected);

    for entry in catalog["streams"].as_array_mut().into_iter().flatten() {
        let stream = &mut entry["stream"];
        let Some(old) = find(before, stream["namespace"].as_str().unwrap_or_default(), &stream["name"])
        else {
            continue;
        };
        take_if_listed(stream, old, "sync_mode", "supported_sync_modes");
        take_if_listed(stream, old, "cursor_field", "available_cursor_fields");
        for key in ["destination_database", "destination_table"] {
            if old[key].as_str().is_some_and(|value| !value.is_empty()) {
                stream[key] = old[key].clone();
            }
        }
    }
}

fn merge_selection(selection: &Value, now: &Value, before: Option<&Value>) -> Value {
    let mut merged = selection.clone();
    let names = column_names(now);
    let Some(columns) = selection["selected_columns"]["columns"].as_array() else { return merged };
    let known = before.map(column_names).unwrap_or_default();
    let mut kept: Vec<&str> =
        columns.iter().filter_map(Value::as_str).filter(|name| names.contains(name)).collect();
    if selection["selected_columns"]["sync_new_columns"] == true {
        kept.extend(names.iter().filter(|name| !known.contains(name)));
    }
    let mut unique: Vec<&str> = Vec::new();
    for name in kept {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    merged["selected_columns"]["columns"] = json!(unique);
    merged
}

fn take_if_listed(stream: &mut Value, old: &Value, key: &str, list: &str) {
    if stream[list].as_array().is_some_and(|listed| listed.contains(&old[key])) {
        stream[key] = old[key].clone();
    }
}

/// The stream of that name in a catalog.
pub fn find<'a>(catalog: &'a Value, namespace: &str, name: &Value) -> Option<&'a Value> {
    let streams = catalog["streams"].as_array()?.iter().map(|entry| &entry["stream"]);
    streams.into_iter().find(|stream| stream["namespace"] == namespace && stream["name"] == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind, nullable: bool, unique: bool) -> Column {
        Column { name: name.to_owned(), kind, nullable, unique }
    }

    fn catalog_of(columns: &[Column]) -> Value {
        let stream = stream("data", "files", "a", columns);
        json!({"selected_streams": {"data": [selection(&stream)]}, "streams": [{"stream": stream}]})
    }

    #[test]
    fn the_cursor_is_the_primary_key_or_something_that_grows() {
        let id = column("id", Kind::Integer, false, true);
        let note = column("note", Kind::Text, true, false);
        let at = column("at", Kind::Timestamp, false, false);
        let with = |columns: &[Column]| {
            let stream = stream("data", "files", "a", columns);
            (stream["cursor_field"].clone(), stream["sync_mode"].clone())
        };
        assert_eq!(with(&[id.clone(), at.clone()]), (json!("id"), json!("incremental")));
        assert_eq!(with(&[note.clone(), at]), (json!("at"), json!("incremental")));
        assert_eq!(with(&[note]), (Value::Null, json!("full_refresh")));
    }

    #[test]
    fn a_merge_keeps_choices_and_follows_the_source() {
        let id = column("id", Kind::Integer, false, true);
        let mut before = catalog_of(&[
            id.clone(),
            column("gone", Kind::Text, true, false),
            column("out", Kind::Text, true, false),
        ]);
        let selection = &mut before["selected_streams"]["data"][0];
        selection["normalization"] = json!(false);
        selection["chunk_column"] = json!("id");
        selection["selected_columns"]["columns"] = json!(["id", "gone", "_olake_id"]);
        before["selected_streams"]["data"].as_array_mut().unwrap().push(json!({"stream_name": "lost"}));
        before["streams"][0]["stream"]["sync_mode"] = json!("full_refresh");
        before["streams"][0]["stream"]["cursor_field"] = json!("gone");
        before["streams"][0]["stream"]["destination_database"] = json!("mine:data");

        let mut catalog =
            catalog_of(&[id, column("out", Kind::Text, true, false), column("new", Kind::Text, true, false)]);
        merge(&mut catalog, &before);
        let selections = catalog["selected_streams"]["data"].as_array().unwrap();
        assert_eq!(selections.len(), 1);
        assert_eq!(selections[0]["normalization"], false);
        assert_eq!(selections[0]["chunk_column"], "id");
        assert_eq!(selections[0]["selected_columns"]["columns"], json!(["id", "_olake_id", "new"]));
        let stream = &catalog["streams"][0]["stream"];
        assert_eq!(stream["sync_mode"], "full_refresh");
        assert_eq!(stream["cursor_field"], "id");
        assert_eq!(stream["destination_database"], "mine:data");
    }

    #[test]
    fn names_are_made_safe_for_paths() {
        assert_eq!(plain("../etc/x"), "___etc_x");
        assert_eq!(plain(""), "_");
        assert_eq!(destination_name("Größe (mm)", &[]), "größe__mm_");
        assert_eq!(destination_name("A-b", &["a_b".to_owned()]), "a_b_");
    }
}

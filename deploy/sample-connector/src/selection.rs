//! The streams that a sync is to read: what the catalog selects, with what was chosen for each.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::catalog::{self, OWN_COLUMNS, destination_name, plain};
use crate::parquet::OutputColumn;
use crate::source::Column;
use crate::value::Kind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    FullRefresh,
    /// With its cursor field.
    Incremental(String),
}

/// A selected stream.
pub struct Selection {
    pub namespace: String,
    pub name: String,
    pub mode: Mode,
    /// Folder names below the destination's folder.
    pub database: String,
    pub table: String,
    /// Whether each column of the source is a column of the table. If not, a row is one JSON text in the
    /// column `data`.
    pub normalization: bool,
    source_names: bool,
    /// `None`: all columns.
    columns: Option<Vec<String>>,
    sync_new_columns: bool,
    /// The stream as the catalog describes it.
    stream: Value,
}

/// A column that is written, and where its values are in a row of the source.
pub struct Chosen {
    pub at: usize,
    pub column: OutputColumn,
}

/// The selected streams, in the catalog's order.
///
/// # Errors
/// A catalog that is malformed, selects nothing, or asks for a sync mode that files do not have.
pub fn selected(catalog: &Value) -> Result<Vec<Selection>> {
    let streams = catalog["streams"].as_array().context("the catalog has no streams")?;
    let namespaces =
        catalog["selected_streams"].as_object().context("the catalog has no selected_streams")?;
    let mut found = Vec::new();
    for (namespace, selections) in namespaces {
        for selection in selections.as_array().context("selected_streams must hold lists")? {
            let name = &selection["stream_name"];
            let place = streams.iter().position(|entry| {
                entry["stream"]["namespace"] == *namespace && entry["stream"]["name"] == *name
            });
            let stream = catalog::find(catalog, namespace, name);
            let (Some(place), Some(stream)) = (place, stream) else {
                bail!(
                    "the selected stream {namespace}.{} is not in the catalog",
                    name.as_str().unwrap_or_default()
                );
            };
            found.push((place, Selection::new(namespace, selection, stream)?));
        }
    }
    if found.is_empty() {
        bail!("no valid streams found in catalog");
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, selection)| selection).collect())
}

impl Selection {
    fn new(namespace: &str, selection: &Value, stream: &Value) -> Result<Self> {
        let name = stream["name"].as_str().context("a stream has no name")?.to_owned();
        let mode = match (stream["sync_mode"].as_str(), stream["cursor_field"].as_str()) {
            (Some("full_refresh"), _) => Mode::FullRefresh,
            (Some("incremental"), Some(cursor)) if !cursor.is_empty() => Mode::Incremental(cursor.to_owned()),
            (Some("incremental"), _) => bail!("the stream {namespace}.{name} has no cursor_field"),
            (mode, _) => bail!("sync mode {} is not supported by files", mode.unwrap_or("(none)")),
        };
        let text = |key: &str| stream[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let columns = selection["selected_columns"]["columns"].as_array();
        Ok(Self {
            mode,
            database: plain(&text("destination_database").unwrap_or_else(|| format!("files:{namespace}"))),
            table: plain(&text("destination_table").unwrap_or_else(|| name.clone())),
            normalization: selection["normalization"].as_bool().unwrap_or(true),
            source_names: selection["use_source_column_names"].as_bool().unwrap_or(false),
            columns: columns.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            sync_new_columns: selection["selected_columns"]["sync_new_columns"].as_bool().unwrap_or(true),
            stream: stream.clone(),
            namespace: namespace.to_owned(),
            name,
        })
    }

    /// `namespace.name`, as log lines show it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// The type of a column: the one it has now, widened by the one that the catalog says, so that the files
    /// of a table agree.
    pub fn kind(&self, column: &Column) -> Kind {
        let named = self.property(&column.name)["type"].as_array();
        let before = named.into_iter().flatten().filter_map(Value::as_str).find(|name| *name != "null");
        before.map_or(column.kind, |name| column.kind.join(Kind::from_name(name)))
    }

    /// The columns of the source that are written.
    pub fn choose(&self, columns: &[Column]) -> Vec<Chosen> {
        let mut taken: Vec<String> = OWN_COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut chosen = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let known = self.property(&column.name).is_object();
            let wanted = match &self.columns {
                Some(names) if known || !self.sync_new_columns => names.contains(&column.name),
                _ => true,
            };
            if wanted {
                let stored = self.property(&column.name)["destination_column_name"].as_str();
                let name = match stored {
                    _ if self.source_names => column.name.clone(),
                    Some(name) if !taken.iter().any(|taken| taken == name) => name.to_owned(),
                    _ => destination_name(&column.name, &taken),
                };
                taken.push(name.clone());
                chosen.push(Chosen { at, column: OutputColumn { name, kind: self.kind(column) } });
            }
        }
        chosen
    }

    fn property(&self, column: &str) -> &Value {
        &self.stream["type_schema"]["properties"][column]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalog() -> Value {
        json!({
            "selected_streams": {"data": [{"stream_name": "b"}, {"stream_name": "a", "selected_columns": {"columns": ["id"], "sync_new_columns": true}}]},
            "streams": [
                {"stream": {"name": "a", "namespace": "data", "sync_mode": "incremental", "cursor_field": "id", "destination_database": "files:../x",
                    "type_schema": {"properties": {"id": {"type": ["number", "null"], "destination_column_name": "nr"}, "out": {"type": ["string"]}}}}},
                {"stream": {"name": "b", "namespace": "data", "sync_mode": "full_refresh"}},
                {"stream": {"name": "c", "namespace": "data", "sync_mode": "full_refresh"}},
            ],
        })
    }

    #[test]
    fn selections_come_in_the_catalogs_order_with_safe_places() {
        let found = selected(&catalog()).unwrap();
        let names: Vec<_> = found.iter().map(Selection::full_name).collect();
        assert_eq!(names, ["data.a", "data.b"]);
        assert_eq!(found[0].mode, Mode::Incremental("id".to_owned()));
        assert_eq!(found[0].database, "files____x");
        assert_eq!((found[1].database.as_str(), found[1].table.as_str()), ("files_data", "b"));
    }

    #[test]
    fn columns_follow_the_selection_and_new_ones_come_along() {
        let column =
            |name: &str| Column { name: name.to_owned(), kind: Kind::Integer, nullable: false, unique: true };
        let found = selected(&catalog()).unwrap();
        let chosen = found[0].choose(&[column("id"), column("out"), column("New")]);
        let chosen: Vec<_> = chosen
            .iter()
            .map(|chosen| (chosen.at, chosen.column.name.as_str(), chosen.column.kind))
            .collect();
        assert_eq!(chosen, [(0, "nr", Kind::Number), (2, "new", Kind::Integer)]);
    }

    #[test]
    fn what_cannot_be_synced_is_refused() {
        let mut unknown = catalog();
        unknown["selected_streams"]["data"][0]["stream_name"] = json!("x");
        let mut cdc = catalog();
        cdc["streams"][1]["stream"]["sync_mode"] = json!("cdc");
        let mut cursorless = catalog();
        cursorless["streams"][0]["stream"]["cursor_field"] = json!("");
        let mut empty = catalog();
        empty["selected_streams"] = json!({});
        for (catalog, words) in [
            (unknown, "data.x"),
            (cdc, "cdc"),
            (cursorless, "cursor_field"),
            (empty, "no valid streams"),
            (json!([]), "streams"),
        ] {
            let message = selected(&catalog).err().unwrap().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}

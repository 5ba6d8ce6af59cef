//! The source type `files`: a folder of CSV files (with a header row) and JSON-lines files, one stream a
//! file.
//!
//! A file is read whole: made for files that fit into memory several times over. Its columns have the types
//! of all its rows, so a row near the end can change them, as a new column type does in a database.
//!
//! To add a format: its extension in `Format`, a `read_…` that fills a `Reading`, a test.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::catalog::OWN_COLUMNS;
use crate::signals::Stop;
use crate::value::{Cell, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

/// A file that is a stream.
#[derive(Debug)]
pub struct StreamFile {
    /// The stream's name: the file's without its extension.
    pub name: String,
    path: PathBuf,
    format: Format,
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Whether a row lacks it.
    pub nullable: bool,
    /// Whether no two rows have the same value.
    pub unique: bool,
}

/// A row: a cell for each column, in their order.
pub struct Row {
    pub cells: Vec<Cell>,
    /// What it takes up in the file, in bytes.
    pub size: u64,
}

/// A file, read. The cells are as read: `Cell::convert` makes them the column's type.
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

/// The streams of a folder, by name.
///
/// # Errors
/// A folder that cannot be read; two files that would be the same stream.
pub fn streams(folder: &Path) -> Result<Vec<StreamFile>> {
    let context = || format!("failed to list folder {}", folder.display());
    let mut found: Vec<StreamFile> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Format::Csv,
            Some("jsonl") => Format::JsonLines,
            _ => continue,
        };
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        if path.is_file() {
            found.push(StreamFile { name, path, format });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].name == pair[1].name) {
        bail!("two files would be the stream {}: keep one of .csv and .jsonl", pair[0].name);
    }
    Ok(found)
}

impl StreamFile {
    /// Reads all rows and infers the columns' types.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed (with its line); SIGTERM.
    pub fn read(&self, stop: &Stop) -> Result<Table> {
        let read = match self.format {
            Format::Csv => read_csv(&self.path, stop),
            Format::JsonLines => read_json_lines(&self.path, stop),
        };
        let (names, rows) = read.with_context(|| format!("failed to read stream {}", self.name))?;
        let columns =
            names.into_iter().enumerate().map(|(at, name)| self.infer(name, at, &rows)).collect::<Vec<_>>();
        Ok(Table { columns, rows })
    }

    fn infer(&self, name: String, at: usize, rows: &[Row]) -> Column {
        let mut kind: Option<Kind> = None;
        let mut nullable = false;
        for row in rows {
            let found = match self.format {
                Format::Csv => row.cells[at].kind_in_csv(),
                Format::JsonLines => row.cells[at].kind_in_json(),
            };
            match (kind, found) {
                (_, None) => nullable = true,
                (None, found) => kind = found,
                (Some(a), Some(b)) => kind = Some(a.join(b)),
            }
        }
        // Values are compared as what they will be: 1 and 1.0 are the same number.
        let typed =
            |row: &Row| row.cells[at].clone().convert(kind.unwrap_or(Kind::Text)).unwrap_or(Cell::Null);
        let mut values: Vec<Cell> = rows.iter().map(typed).collect();
        values.sort_unstable_by(Cell::compare);
        let unique = values.windows(2).all(|pair| pair[0] != pair[1]);
        // Without a value there is nothing to tell the type from; text takes whatever comes.
        Column { name, kind: kind.unwrap_or(Kind::Text), nullable: nullable || kind.is_none(), unique }
    }
}

type Reading = (Vec<String>, Vec<Row>);

fn read_csv(path: &Path, stop: &Stop) -> Result<Reading> {
    let mut reader = csv::Reader::from_path(path)?;
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    for (at, name) in names.iter().enumerate() {
        check_name(name)?;
        if names[..at].contains(name) {
            bail!("two columns have the name {name}");
        }
    }
    let mut rows = Vec::new();
    for record in reader.into_records() {
        if rows.len() % 1024 == 0 {
            stop.check()?;
        }
        let record = record?;
        let size = record.as_slice().len() + record.len();
        rows.push(Row { cells: record.iter().map(Cell::from_csv).collect(), size: size as u64 });
    }
    Ok((names, rows))
}

fn read_json_lines(path: &Path, stop: &Stop) -> Result<Reading> {
    let mut names: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(File::open(path)?).lines().enumerate() {
        if number % 1024 == 0 {
            stop.check()?;
        }
        let line = line.with_context(|| format!("line {}", number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let object: Map<String, Value> = serde_json::from_str(&line)
            .ok()
            .with_context(|| format!("line {} is no JSON object", number + 1))?;
        let mut cells = vec![Cell::Null; names.len()];
        for (name, value) in object {
            let at = match places.get(&name) {
                Some(at) => *at,
                None => {
                    check_name(&name)?;
                    places.insert(name.clone(), names.len());
                    names.push(name);
                    cells.push(Cell::Null);
                    names.len() - 1
                }
            };
            cells[at] = Cell::from_json(value);
        }
        rows.push(Row { cells, size: line.len() as u64 + 1 });
    }
    for row in &mut rows {
        row.cells.resize(names.len(), Cell::Null);
    }
    Ok((names, rows))
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        bail!("a column has no name");
    }
    if OWN_COLUMNS.iter().any(|(own, _)| *own == name) {
        bail!("the column name {name} is taken by the connector");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::CURRENT;

    fn read(file: &str, content: &str) -> Result<Table> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        streams(folder.path()).unwrap()[0].read(&Stop::install(CURRENT).unwrap())
    }

    fn types(table: &Table) -> Vec<(&str, Kind, bool)> {
        table.columns.iter().map(|column| (column.name.as_str(), column.kind, column.nullable)).collect()
    }

    #[test]
    fn csv_columns_get_the_type_of_all_their_rows() {
        let table = read(
            "a.csv",
            "id,v,at,ok,note\n1,2,2024-01-01,true,\n2,2.5,2024-01-02T00:00:00Z,false,\"a,b\"\n",
        )
        .unwrap();
        assert_eq!(
            types(&table),
            [
                ("id", Kind::Integer, false),
                ("v", Kind::Number, false),
                ("at", Kind::Timestamp, false),
                ("ok", Kind::Boolean, false),
                ("note", Kind::Text, true),
            ]
        );
        assert_eq!(table.rows[1].cells[4], Cell::Text("a,b".to_owned()));
        assert!(table.columns[0].unique);
    }

    #[test]
    fn json_lines_may_lack_columns_and_bring_new_ones() {
        let table =
            read("a.jsonl", "{\"id\": 1}\n\n{\"id\": 2.5, \"tags\": [1]}\n{\"tags\": null, \"id\": 1}\n")
                .unwrap();
        assert_eq!(types(&table), [("id", Kind::Number, false), ("tags", Kind::Text, true)]);
        assert!(!table.columns[0].unique);
        assert_eq!(table.rows.len(), 3);
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        for (file, content, words) in [
            ("a.jsonl", "{\"id\": 1}\nnonsense\n", "line 2"),
            ("a.csv", "id,v\n1,2\n3\n", "line: 3"),
            ("a.csv", "id,id\n1,2\n", "two columns"),
            ("a.csv", "id,_olake_id\n1,2\n", "taken"),
        ] {
            let message = format!("{:#}", read(file, content).err().unwrap());
            assert!(message.contains("stream a") && message.contains(words), "{message}");
        }
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.csv", "a.jsonl", "b.txt"] {
            std::fs::write(folder.path().join(file), "id\n").unwrap();
        }
        assert!(streams(folder.path()).unwrap_err().to_string().contains("stream a"));
    }
}

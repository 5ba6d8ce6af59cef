//! The table of connectors: which command serves which type and versions.
//!
//! ```toml
//! [[connector]]
//! type = "files"
//! versions = ["v0.9.4"]
//! command = ["sample-connector"]            # the program, then arguments that stand before the connector's own;
//!                                           # a relative path starts at the folder of this file
//! env = { DRIVER_VERSION = "v0.9.4" }       # added to the connector's environment, which is empty otherwise
//! destinations = ["parquet"]                # what it can write to
//! ```
//!
//! Invariants: a type and version is served by one entry; no version is older than [`OLDEST_SUPPORTED`]; the order is
//! the file's. Whether a program exists is not asked here: a task that cannot start it says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::values::line_of;
use crate::domain::version::{ConnectorVersion, OLDEST_SUPPORTED};

/// Why a table is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorTableError {
    /// The file cannot be read.
    #[error("worker.connectors: {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or has an unknown key.
    #[error("{path}, line {line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// An entry does not do.
    #[error("{path}, connector {number} ({connector_type}): {reason}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which entry, from 1.
        number: usize,
        /// Its type, as written.
        connector_type: String,
        /// What is wrong.
        reason: String,
    },
    /// The table has no entry.
    #[error("{path}: there is no [[connector]] in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A program that speaks the connector protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorProgram {
    /// The source type that it serves.
    pub connector_type: String,
    /// The versions that it serves, as configured.
    pub versions: Vec<ConnectorVersion>,
    /// The program.
    pub program: PathBuf,
    /// Arguments that stand before the protocol's own.
    pub args: Vec<String>,
    /// Variables to add to its environment.
    pub env: BTreeMap<String, String>,
    /// The destination types that it can write to, in lower case.
    pub destinations: Vec<String>,
}

/// The connectors that this worker can run, in the configured order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorTable {
    programs: Vec<ConnectorProgram>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    connector: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    r#type: String,
    versions: Vec<String>,
    command: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    destinations: Vec<String>,
}

impl ConnectorTable {
    /// Reads the table of a file.
    ///
    /// # Errors
    /// [`ConnectorTableError`] names the file, and the line or entry.
    pub fn load(file: &Path) -> Result<Self, ConnectorTableError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConnectorTableError::Unreadable { path: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// The sample connector in the folder of the running program: what one machine has without a table.
    pub fn sample_beside(exe_dir: &Path) -> Self {
        let version = ConnectorVersion::new(0, 9, 4);
        let sample = ConnectorProgram {
            connector_type: "files".to_owned(),
            versions: vec![version],
            program: exe_dir.join("sample-connector"),
            args: Vec::new(),
            env: BTreeMap::from([("DRIVER_VERSION".to_owned(), version.to_string())]),
            destinations: vec!["parquet".to_owned()],
        };
        Self { programs: vec![sample] }
    }

    fn parse(text: &str, file: &Path) -> Result<Self, ConnectorTableError> {
        let parsed: File = toml::from_str(text).map_err(|error| ConnectorTableError::Syntax {
            path: file.to_owned(),
            line: line_of(text, &error),
            reason: error.message().to_owned(),
        })?;
        if parsed.connector.is_empty() {
            return Err(ConnectorTableError::Empty { path: file.to_owned() });
        }
        let mut table = Self::default();
        let mut seen = BTreeSet::new();
        for (index, entry) in parsed.connector.into_iter().enumerate() {
            let connector_type = entry.r#type.clone();
            let program = program(entry, file, &mut seen).map_err(|reason| ConnectorTableError::Entry {
                path: file.to_owned(),
                number: index + 1,
                connector_type,
                reason,
            })?;
            table.programs.push(program);
        }
        Ok(table)
    }

    /// The program for a type and version.
    pub fn lookup(&self, connector_type: &str, version: ConnectorVersion) -> Option<&ConnectorProgram> {
        self.programs
            .iter()
            .find(|program| program.connector_type == connector_type && program.versions.contains(&version))
    }

    /// All programs, in the configured order.
    pub fn programs(&self) -> &[ConnectorProgram] {
        &self.programs
    }

    /// The source types, each once, in the configured order.
    pub fn types(&self) -> Vec<&str> {
        once_each(self.programs.iter().map(|program| program.connector_type.as_str()))
    }

    /// The versions of a source type, newest first.
    pub fn versions(&self, connector_type: &str) -> Vec<ConnectorVersion> {
        let own = self.programs.iter().filter(|program| program.connector_type == connector_type);
        let mut versions: Vec<_> = own.flat_map(|program| program.versions.iter().copied()).collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions
    }

    /// The destination types, each once, in the configured order.
    pub fn destination_types(&self) -> Vec<&str> {
        once_each(self.programs.iter().flat_map(|program| program.destinations.iter().map(String::as_str)))
    }
}

fn once_each<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut list, name| {
        if !list.contains(&name) {
            list.push(name);
        }
        list
    })
}

fn program(
    entry: Entry,
    file: &Path,
    seen: &mut BTreeSet<(String, ConnectorVersion)>,
) -> Result<ConnectorProgram, String> {
    if !is_type(&entry.r#type) {
        return Err("a type has lower-case letters, digits, '-' and '_' only".to_owned());
    }
    if entry.versions.is_empty() {
        return Err("versions is empty".to_owned());
    }
    let mut versions = Vec::new();
    for text in &entry.versions {
        let version: ConnectorVersion = text.parse().map_err(|error| format!("versions: {error}"))?;
        if version < OLDEST_SUPPORTED {
            return Err(format!(
                "versions: {version} is older than {OLDEST_SUPPORTED}, the first which keeps its output apart from its \
                 inputs (--no-save)"
            ));
        }
        if !seen.insert((entry.r#type.clone(), version)) {
            return Err(format!("versions: {version} of this type is listed twice"));
        }
        versions.push(version);
    }
    let mut command = entry.command.into_iter();
    let Some(program) = command.next().filter(|program| !program.is_empty()) else {
        return Err("command is empty: it begins with the path of a program".to_owned());
    };
    if entry.destinations.is_empty() {
        return Err("destinations is empty".to_owned());
    }
    if let Some(odd) = entry.destinations.iter().find(|name| !is_type(name)) {
        return Err(format!("destinations: '{odd}' is no type (lower-case letters, digits, '-' and '_')"));
    }
    if let Some(odd) = entry.env.keys().find(|name| !is_variable(name)) {
        return Err(format!("env: '{odd}' cannot be given to a connector"));
    }
    Ok(ConnectorProgram {
        connector_type: entry.r#type,
        versions,
        program: file.parent().unwrap_or(Path::new("")).join(program),
        args: command.collect(),
        env: entry.env,
        destinations: entry.destinations,
    })
}

fn is_type(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(known)
}

/// Whether a name can be a variable of a connector. Ours (`OLAKE_…`) never reach one: they name secrets, and one of
/// them (`OLAKE_DEBUG_MODE`) changes what a connector prints.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("OLAKE_") && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<ConnectorTable, String> {
        ConnectorTable::parse(text, Path::new("/etc/olake/connectors.toml"))
            .map_err(|error| error.to_string())
    }

    fn version(text: &str) -> ConnectorVersion {
        text.parse().unwrap()
    }

    const TWO: &str = r#"
        [[connector]]
        type = "postgres"
        versions = ["v0.8.2", "v0.9.4"]
        command = ["bin/connector", "--driver", "postgres"]
        destinations = ["parquet", "iceberg"]

        [[connector]]
        type = "files"
        versions = ["v0.9.4"]
        command = ["/opt/sample-connector"]
        env = { DRIVER_VERSION = "v0.9.4" }
        destinations = ["parquet"]
    "#;

    #[test]
    fn a_type_and_version_finds_its_program() {
        let table = table(TWO).unwrap();
        let postgres = table.lookup("postgres", version("v0.8.2")).unwrap();
        assert_eq!(postgres.program, Path::new("/etc/olake/bin/connector"));
        assert_eq!(postgres.args, ["--driver", "postgres"]);
        let files = table.lookup("files", version("v0.9.4")).unwrap();
        assert_eq!(files.program, Path::new("/opt/sample-connector"));
        assert_eq!(files.env["DRIVER_VERSION"], "v0.9.4");
        assert!(table.lookup("files", version("v0.8.2")).is_none());
        assert!(table.lookup("Files", version("v0.9.4")).is_none());
    }

    #[test]
    fn types_keep_the_configured_order() {
        let table = table(TWO).unwrap();
        assert_eq!(table.types(), ["postgres", "files"]);
        assert_eq!(table.destination_types(), ["parquet", "iceberg"]);
        assert_eq!(table.versions("postgres"), [version("v0.9.4"), version("v0.8.2")]);
    }

    #[test]
    fn the_sample_stands_beside_the_program() {
        let table = ConnectorTable::sample_beside(Path::new("/opt/olake"));
        let sample = table.lookup("files", version("v0.9.4")).unwrap();
        assert_eq!(sample.program, Path::new("/opt/olake/sample-connector"));
        assert_eq!(table.destination_types(), ["parquet"]);
    }

    #[test]
    fn errors_name_the_entry() {
        for (change, by, words) in [
            ("v0.8.2", "v0.2.0", "connector 1 (postgres): versions: v0.2.0 is older than v0.2.1"),
            ("v0.8.2", "latest", "connector 1 (postgres): versions: 'latest' is no version"),
            ("v0.8.2", "v0.9.4", "connector 1 (postgres): versions: v0.9.4 of this type is listed twice"),
            (
                "\"files\"",
                "\"postgres\"",
                "connector 2 (postgres): versions: v0.9.4 of this type is listed twice",
            ),
            ("\"files\"", "\"My Files\"", "connector 2 (My Files): a type has"),
            ("[\"/opt/sample-connector\"]", "[]", "connector 2 (files): command is empty"),
            ("[\"parquet\"]", "[]", "connector 2 (files): destinations is empty"),
            ("DRIVER_VERSION", "OLAKE_DEBUG_MODE", "connector 2 (files): env: 'OLAKE_DEBUG_MODE'"),
            ("env =", "enviroment =", "line 12: unknown field `enviroment`"),
            ("type = \"files\"", "", "missing field `type`"),
        ] {
            let error = table(&TWO.replace(change, by)).unwrap_err();
            assert!(error.contains(words) && error.contains("/etc/olake/connectors.toml"), "{error}");
        }
        assert!(table("").unwrap_err().contains("no [[connector]]"));
    }
}

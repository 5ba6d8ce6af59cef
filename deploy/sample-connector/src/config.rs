//! The two config files. Messages name the key and never a value: a config holds passwords.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::faults::Faults;

/// Rows of a batch when the config does not say.
const BATCH_SIZE: u64 = 1000;

/// A source of the type `files`.
pub struct Source {
    /// The folder with the files. Empty if the config gives none: its check says so.
    pub path: PathBuf,
    /// Rows of a batch, at least 1.
    pub batch_size: usize,
    pub password: Option<String>,
    pub faults: Faults,
}

/// A destination of the type `parquet`.
pub struct Destination {
    /// The type as it stands in the config.
    pub kind: String,
    /// The folder to write into. Empty if the config gives none: its check says so.
    pub local_path: PathBuf,
    pub faults: Faults,
}

impl Source {
    /// Reads the file.
    ///
    /// # Errors
    /// What keeps it from being read, in the words of the real connectors.
    pub fn load(file: &Path) -> Result<Self> {
        load(file, |root| {
            let batch_size = whole_number(root, "batch_size")?.unwrap_or(BATCH_SIZE);
            if !(1..=1_000_000).contains(&batch_size) {
                bail!("batch_size must be from 1 to 1000000");
            }
            Ok(Self {
                path: text(root, "path")?.unwrap_or_default().into(),
                batch_size: usize::try_from(batch_size)?,
                password: text(root, "password")?,
                faults: Faults::from_config(root)?,
            })
        })
    }

    /// The namespace of the folder's streams: its own name.
    pub fn namespace(&self) -> String {
        self.path.file_name().map_or_else(|| "files".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Whether the source can be read: what a real connector finds out by connecting.
    ///
    /// # Errors
    /// A sentence for the person who wrote the config.
    pub fn connect(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            bail!("failed to validate config: empty path");
        }
        let found = std::fs::read_dir(&self.path);
        found.with_context(|| format!("failed to open folder {}", self.path.display()))?;
        if self.faults.expected_password.is_some() && self.faults.expected_password != self.password {
            bail!("failed to open folder {}: password authentication failed", self.path.display());
        }
        Ok(())
    }
}

impl Destination {
    /// Reads the file.
    ///
    /// # Errors
    /// What keeps it from being read, in the words of the real connectors.
    pub fn load(file: &Path) -> Result<Self> {
        load(file, |root| {
            let writer = match root.get("writer") {
                None | Some(Value::Null) => &Map::new(),
                Some(Value::Object(writer)) => writer,
                Some(_) => bail!("writer must be an object"),
            };
            Ok(Self {
                kind: text(root, "type")?.unwrap_or_default(),
                local_path: text(writer, "local_path")?.unwrap_or_default().into(),
                faults: Faults::from_config(root)?,
            })
        })
    }
}

/// The value of `key`, if it is there.
pub fn text(map: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => bail!("{key} must be a string"),
    }
}

/// The value of `key`, if it is there.
pub fn whole_number(map: &Map<String, Value>, key: &str) -> Result<Option<u64>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).with_context(|| format!("{key} must be a whole number, 0 or more"))
        }
    }
}

/// The JSON document in a file.
///
/// # Errors
/// A missing file, or one that holds no JSON; the message holds nothing of its content.
pub fn read_json(file: &Path) -> Result<Value> {
    let bytes = std::fs::read(file).with_context(|| format!("failed to read file[{}]", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("failed to unmarshal file[{}]", file.display()))
}

fn load<T>(file: &Path, parse: impl FnOnce(&Map<String, Value>) -> Result<T>) -> Result<T> {
    let root = read_json(file)?;
    let parsed = root.as_object().context("the config must be an object").and_then(parse);
    parsed.with_context(|| format!("failed to unmarshal file[{}]", file.display()))
}

//! The state file: how far each stream of an incremental sync has come.
//!
//! `{"type":"STREAM","version":7,"streams":[{"stream","namespace","sync_mode":"","state":{"chunks":[],"<cursor>":…}}]}`
//!
//! Kept as the JSON it is, so that what this program does not know (a version, a global part) survives.
//! Rewritten in place, as the real connectors do: a reader can meet an empty or a half file. `cursor` never
//! moves back.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::config::read_json;

/// The layout of a state that begins anew.
const VERSION: u64 = 7;

/// How long the fault `half_state` leaves half a state in the file.
const BETWEEN_HALVES: Duration = Duration::from_millis(300);

/// A state and the file it is written to.
pub struct State {
    root: Map<String, Value>,
    file: PathBuf,
    in_halves: bool,
}

impl State {
    /// Reads the state in `from`, or begins a new one; `file` is where changes go.
    ///
    /// # Errors
    /// An empty file, or one that holds no JSON object. `{}` and `null` load as a state of version 0.
    pub fn load(from: Option<&Path>, file: PathBuf) -> Result<Self> {
        let root = match from {
            None => json!({"type": "STREAM", "version": VERSION}),
            Some(from) => read_json(from)?,
        };
        let root = match root {
            Value::Null => Map::new(),
            Value::Object(root) => root,
            _ => bail!("failed to unmarshal file[{}]: the state must be an object", file.display()),
        };
        Ok(Self { root, file, in_halves: false })
    }

    /// The state that a clear writes when it was given none: without a version.
    pub fn empty(file: PathBuf) -> Self {
        let root = Map::from_iter([("type".to_owned(), json!("STREAM"))]);
        Self { root, file, in_halves: false }
    }

    /// From now on, or no longer, the file holds half of each new state for a moment.
    pub fn write_in_halves(&mut self, in_halves: bool) {
        self.in_halves = in_halves;
    }

    /// The state as its file holds it.
    pub fn text(&self) -> String {
        Value::Object(self.root.clone()).to_string()
    }

    /// What is known of a stream: `None` if it has never been synced.
    pub fn stream(&self, namespace: &str, name: &str) -> Option<&Map<String, Value>> {
        self.root
            .get("streams")?
            .as_array()?
            .iter()
            .find(|entry| is(entry, namespace, name))?
            .get("state")?
            .as_object()
    }

    /// Sets how far a stream has come and writes the file. `cursor`: the field and its value; none if all are
    /// null.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn advance(&mut self, namespace: &str, name: &str, cursor: Option<(&str, Value)>) -> Result<()> {
        let mut state = Map::new();
        state.insert("chunks".to_owned(), json!([]));
        if let Some((field, value)) = cursor {
            state.insert(field.to_owned(), value);
        }
        self.root.entry("type").or_insert_with(|| json!("STREAM"));
        let streams = self.root.entry("streams").or_insert_with(|| json!([]));
        let streams = streams.as_array_mut().context("failed to set state: streams is no list")?;
        match streams.iter_mut().find(|entry| is(entry, namespace, name)) {
            Some(entry) => entry["state"] = Value::Object(state),
            None => {
                streams
                    .push(json!({"stream": name, "namespace": namespace, "sync_mode": "", "state": state}));
            }
        }
        self.write()
    }

    /// Forgets a stream, for its full refresh. Whether there was something to forget: then the file is to be
    /// written.
    pub fn forget(&mut self, namespace: &str, name: &str) -> bool {
        let Some(streams) = self.root.get_mut("streams").and_then(Value::as_array_mut) else { return false };
        let before = streams.len();
        streams.retain(|entry| !is(entry, namespace, name));
        streams.len() < before
    }

    /// Writes the file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self) -> Result<()> {
        let text = self.text();
        let (first, second) = text.split_at(if self.in_halves { text.len() / 2 } else { text.len() });
        let written = File::create(&self.file).and_then(|mut file| {
            file.write_all(first.as_bytes())?;
            if self.in_halves {
                std::thread::sleep(BETWEEN_HALVES);
            }
            file.write_all(second.as_bytes())
        });
        written.with_context(|| format!("failed to write state file[{}]", self.file.display()))
    }
}

fn is(entry: &Value, namespace: &str, name: &str) -> bool {
    entry["stream"] == name && entry["namespace"] == namespace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(content: &str) -> Result<State> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        std::fs::write(&file, content).unwrap();
        State::load(Some(&file), file.clone())
    }

    #[test]
    fn an_advance_writes_the_shape_of_the_real_connectors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let mut state = State::load(None, file.clone()).unwrap();
        state.advance("data", "a", Some(("id", json!(1000)))).unwrap();
        state.advance("data", "a", Some(("id", json!(2000)))).unwrap();
        let expected = r#"{"type":"STREAM","version":7,"streams":[{"stream":"a","namespace":"data","sync_mode":"","state":{"chunks":[],"id":2000}}]}"#;
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
        assert_eq!(state.stream("data", "a").unwrap()["id"], 2000);
        assert!(state.stream("other", "a").is_none());
    }

    #[test]
    fn nothing_that_came_in_is_lost() {
        let text = r#"{"type":"MIXED","version":3,"global":{"lsn":"0/1"},"streams":[{"stream":"b","namespace":"n","sync_mode":"","state":{"x":1.50}}]}"#;
        assert_eq!(loaded(text).unwrap().text(), text);
    }

    #[test]
    fn an_empty_file_is_an_error_and_an_empty_object_is_version_0() {
        assert!(loaded("").is_err());
        assert!(loaded("[]").is_err());
        for text in ["{}", "null"] {
            assert!(!loaded(text).unwrap().text().contains("version"), "{text}");
        }
    }

    #[test]
    fn a_full_refresh_forgets_only_its_stream() {
        let text = r#"{"streams":[{"stream":"a","namespace":"n","state":{}},{"stream":"b","namespace":"n","state":{}}]}"#;
        let mut state = loaded(text).unwrap();
        assert!(state.forget("n", "a"));
        assert!(!state.forget("n", "a"));
        assert!(state.stream("n", "b").is_some());
    }
}

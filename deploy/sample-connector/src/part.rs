//! The part of another source type, for tests of whatever has forms for real types but no real connector at hand.
//!
//! `sample-connector --as TYPE [--catalog-file FILE] [--unreachable-host HOST] COMMAND …`: these words stand before the
//! protocol's own, as a table of connectors can put them. A part takes any config of a source and of any destination,
//! serves the catalog of the file, and moves no rows: its syncs and clears say what they would do and keep a state.
//! Its check fails for a config whose `host` is the unreachable one. The `faults` of the source's config (of the
//! destination's, for a clear) work as far as they need no rows.
//!
//! `difference` needs no part: it compares any two catalogs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::catalog::{self, find, merge};
use crate::clear;
use crate::config::read_json;
use crate::faults::Faults;
use crate::output::Output;
use crate::signals::Stop;
use crate::state::State;
use crate::stats::Progress;
use crate::sync;
use crate::version::Version;

/// Which part is played.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    source_type: String,
    catalog: Option<PathBuf>,
    unreachable_host: Option<String>,
}

impl Part {
    /// Takes the part's own words from the front of the arguments. The rest are the protocol's.
    pub fn take(words: Vec<OsString>) -> (Option<Self>, Vec<OsString>) {
        let mut part: Option<Self> = None;
        let mut rest = words.as_slice();
        while let [flag, value, after @ ..] = rest {
            let Some(value) = value.to_str() else { break };
            match (flag.to_str(), &mut part) {
                (Some("--as"), None) => {
                    part =
                        Some(Self { source_type: value.to_owned(), catalog: None, unreachable_host: None });
                }
                (Some("--catalog-file"), Some(part)) => part.catalog = Some(value.into()),
                (Some("--unreachable-host"), Some(part)) => part.unreachable_host = Some(value.to_owned()),
                _ => break,
            }
            rest = after;
        }
        let rest = rest.to_vec();
        (part, rest)
    }

    /// The form: the fields that most sources have, or those that all destinations have; others may be added.
    pub fn spec(&self, destination_type: Option<&str>) -> Value {
        let schema = match destination_type {
            None => json!({
                "title": self.source_type,
                "type": "object",
                "properties": {
                    "host": {"type": "string", "title": "Host", "order": 1},
                    "port": {"type": "integer", "title": "Port", "order": 2},
                    "database": {"type": "string", "title": "Database", "order": 3},
                    "username": {"type": "string", "title": "Username", "order": 4},
                    "password": {"type": "string", "title": "Password", "format": "password", "order": 5},
                },
                "additionalProperties": true,
            }),
            Some(destination_type) => json!({
                "title": "Writer Settings",
                "type": "object",
                "properties": {
                    "type": {"type": "string", "const": destination_type.to_uppercase()},
                    "writer": {"type": "object", "additionalProperties": true},
                },
                "required": ["type", "writer"],
            }),
        };
        let ui = match destination_type {
            None => json!({"password": {"ui:widget": "password"}}),
            Some(_) => json!({"type": {"ui:widget": "hidden"}}),
        };
        json!({"jsonschema": schema, "uischema": ui.to_string()})
    }

    /// Checks a config: it fails for the unreachable host alone.
    ///
    /// # Errors
    /// A config that cannot be read (there is no status then); from v0.9.0 on, a check that failed.
    pub fn check(&self, config: &Path, version: Version, output: &Output, stop: &Stop) -> Result<u8> {
        let config = config_of(config)?;
        output.info("checking connection");
        output.debug(&format!("as a source of type {}", self.source_type));
        if let Some(code) = Faults::from_config(&config)?.at_start(output, stop)? {
            return Ok(code);
        }
        let host = config.get("host").and_then(Value::as_str);
        let failure = host.filter(|host| Some(*host) == self.unreachable_host.as_deref());
        let failure = failure.map(|host| format!("failed to connect: dial tcp: lookup {host}: no such host"));
        let status = match &failure {
            None => json!({"status": "SUCCEEDED"}),
            Some(message) => json!({"status": "FAILED", "message": message}),
        };
        output.result(&json!({"type": "CONNECTION_STATUS", "connectionStatus": status}));
        match failure {
            Some(message) if version.fails_after_failed_check() => bail!(message),
            _ => Ok(0),
        }
    }

    /// Serves the catalog, with the selections of a job merged in.
    ///
    /// # Errors
    /// A missing or unreadable catalog; a file that cannot be written.
    pub fn discover(&self, request: &catalog::Request<'_>, output: &Output, stop: &Stop) -> Result<u8> {
        let faults = Faults::from_config(&config_of(request.config)?)?;
        if let Some(code) = faults.at_start(output, stop)? {
            return Ok(code);
        }
        let file = self.catalog.as_deref().context("--catalog-file not passed")?;
        let mut catalog = read_json(file)?;
        output.info(&format!("Starting discover for {}", self.source_type));
        output.result(&json!({"type": "CATALOG", "catalog": catalog}));
        if let Some(before) = request.catalog {
            merge(&mut catalog, &read_json(before)?);
        }
        let file = request.folder.join("streams.json");
        std::fs::write(&file, catalog.to_string())
            .with_context(|| format!("failed to write file[{}]", file.display()))?;
        Ok(0)
    }

    /// A sync of no rows, which takes as long as the faults say.
    ///
    /// # Errors
    /// A file that cannot be read or written, a catalog that selects nothing, SIGTERM.
    pub fn sync(
        &self,
        request: &sync::Request<'_>,
        version: Version,
        output: &Output,
        stop: &Stop,
    ) -> Result<u8> {
        let begin = Instant::now();
        let mut faults = Faults::from_config(&config_of(request.config)?)?;
        config_of(request.destination)?;
        let selected = selected(&read_json(request.catalog)?)?;
        let mut state = State::load(request.state, request.folder.join("state.json"))?;
        output.info(&format!("Ruuning OLake sync with version {version}"));
        output.info(&format!("Running sync with state: {}", state.text()));
        faults.settle_once()?;
        if let Some(code) = faults.at_start(output, stop)? {
            return Ok(code);
        }
        output.info(&format!("Valid selected streams are {}", names(&selected)));
        output.debug(&format!("as a source of type {}", self.source_type));
        output.warn(&format!("The sample connector has no rows of a {}", self.source_type));
        faults.write_lines(stop, &|| false, &|number| {
            output.info(&format!("line {number}"));
            Ok(())
        })?;
        stop.wait_until(begin + faults.take_time)
            .context("error occurred while reading records: error occurred while waiting for connections")?;
        for (namespace, name) in &selected {
            state.advance(namespace, name, None)?;
        }
        let progress = Progress::new();
        progress.write_last(&request.folder.join("stats.json"))?;
        output.info(&progress.total());
        Ok(0)
    }

    /// A clear that forgets the selected streams of the state.
    ///
    /// # Errors
    /// A file that cannot be read or written, a catalog that selects nothing, SIGTERM.
    pub fn clear(&self, request: &clear::Request<'_>, output: &Output, stop: &Stop) -> Result<u8> {
        let begin = Instant::now();
        let mut faults = Faults::from_config(&config_of(request.destination)?)?;
        let catalog = read_json(request.streams)?;
        let file = request.folder.join("state.json");
        let mut state = match request.state {
            Some(from) => State::load(Some(from), file)?,
            None => State::empty(file),
        };
        faults.settle_once()?;
        if let Some(code) = faults.at_start(output, stop)? {
            return Ok(code);
        }
        let selected = selected(&catalog).context("failed to get selected streams for clearing")?;
        output.info(&format!("Valid selected streams are {}", names(&selected)));
        output.debug(&format!("as a source of type {}", self.source_type));
        stop.wait_until(begin + faults.take_time)?;
        for (namespace, name) in &selected {
            state.forget(namespace, name);
        }
        output.info("Successfully cleared destination data for selected streams.");
        state.write()?;
        Ok(0)
    }
}

/// Any config: a JSON object.
fn config_of(file: &Path) -> Result<Map<String, Value>> {
    match read_json(file)? {
        Value::Object(config) => Ok(config),
        _ => bail!("failed to unmarshal file[{}]: the config must be an object", file.display()),
    }
}

/// The namespaces and names of the selected streams that the catalog has.
fn selected(catalog: &Value) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (namespace, selections) in catalog["selected_streams"].as_object().into_iter().flatten() {
        for selection in selections.as_array().into_iter().flatten() {
            if let Some(name) = selection["stream_name"].as_str()
                && find(catalog, namespace, &selection["stream_name"]).is_some()
            {
                found.push((namespace.clone(), name.to_owned()));
            }
        }
    }
    if found.is_empty() {
        bail!("no valid streams found in catalog");
    }
    Ok(found)
}

fn names(selected: &[(String, String)]) -> String {
    let full = selected.iter().map(|(namespace, name)| format!("{namespace}.{name}"));
    full.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> (Option<Part>, String) {
        let (part, rest) = Part::take(line.split_whitespace().map(OsString::from).collect());
        let rest: Vec<_> = rest.iter().map(|word| word.to_str().unwrap()).collect();
        (part, rest.join(" "))
    }

    #[test]
    fn the_words_of_a_part_stand_before_the_command() {
        let (part, rest) = taken(
            "--as postgres --catalog-file c.json --unreachable-host bad discover --config f --catalog g",
        );
        let expected = Part {
            source_type: "postgres".to_owned(),
            catalog: Some("c.json".into()),
            unreachable_host: Some("bad".to_owned()),
        };
        assert_eq!((part, rest.as_str()), (Some(expected), "discover --config f --catalog g"));
        for line in ["sync --as postgres", "--catalog-file c.json discover", "spec", "", "--as"] {
            assert_eq!(taken(line), (None, line.to_owned()), "the protocol knows no such words");
        }
    }

    #[test]
    fn what_a_catalog_selects_must_be_in_it() {
        let stream = |name: &str| json!({"stream": {"name": name, "namespace": "n"}});
        let catalog = json!({
            "streams": [stream("a"), stream("b")],
            "selected_streams": {"n": [{"stream_name": "b"}, {"stream_name": "lost"}], "m": [{"stream_name": "a"}]},
        });
        assert_eq!(selected(&catalog).unwrap(), [("n".to_owned(), "b".to_owned())]);
        assert!(selected(&json!({"streams": [], "selected_streams": {}})).is_err());
    }
}

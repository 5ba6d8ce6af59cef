//! `clear-destination`: removes the selected streams of a catalog from the destination, and from the state.
//!
//! The state is written at the end, so that a clear that breaks off is done again from the state that it was given.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::config::{Destination, read_json};
use crate::output::Output;
use crate::parquet;
use crate::selection;
use crate::signals::Stop;
use crate::state::State;

/// What a clear is asked for.
pub struct Request<'a> {
    /// The catalog whose selected streams are cleared.
    pub streams: &'a Path,
    pub destination: &'a Path,
    pub state: Option<&'a Path>,
    /// The folder that gets state.json.
    pub folder: &'a Path,
}

/// Runs a clear. The exit code. The faults of the destination's config are looked at.
///
/// # Errors
/// A catalog that selects nothing, a folder that cannot be removed, SIGTERM.
pub fn clear(request: &Request<'_>, output: &Output, stop: &Stop) -> Result<u8> {
    let begin = Instant::now();
    let mut destination = Destination::load(request.destination)?;
    let catalog = read_json(request.streams)?;
    let file = request.folder.join("state.json");
    let mut state = match request.state {
        Some(from) => State::load(Some(from), file)?,
        None => State::empty(file),
    };
    destination.faults.settle_once()?;
    if let Some(code) = destination.faults.at_start(output, stop)? {
        return Ok(code);
    }
    for entry in catalog["streams"].as_array().into_iter().flatten() {
        let stream = &entry["stream"];
        let namespace = stream["namespace"].as_str().unwrap_or_default();
        let list = catalog["selected_streams"][namespace].as_array();
        if !list.into_iter().flatten().any(|selection| selection["stream_name"] == stream["name"]) {
            let name = stream["name"].as_str().unwrap_or_default();
            output.debug(&format!("Skipping stream {namespace}.{name}; not in selected streams."));
        }
    }
    let selections = selection::selected(&catalog).context("failed to get selected streams for clearing")?;
    let names: Vec<String> = selections.iter().map(selection::Selection::full_name).collect();
    output.info(&format!("Valid selected streams are {}", names.join(", ")));
    for selection in &selections {
        state.forget(&selection.namespace, &selection.name);
    }
    output.info("State for selected streams cleared successfully.");
    stop.wait_until(begin + destination.faults.take_time)?;
    for selection in &selections {
        stop.check()?;
        parquet::clear(&destination, &selection.database, &selection.table, output)?;
    }
    output.info("Successfully cleared destination data for selected streams.");
    if request.state.is_none() {
        output.debug("state is empty");
    }
    state.write()?;
    output.info(&format!("New saved state: {}", state.text()));
    Ok(0)
}

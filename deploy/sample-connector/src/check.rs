//! `check`: whether a source can be read, whether a destination can be written.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::config::{Destination, Source};
use crate::faults::Faults;
use crate::output::Output;
use crate::parquet;
use crate::signals::Stop;
use crate::source;
use crate::version::Version;

/// Checks what it is given a config of.
///
/// # Errors
/// A config that cannot be read (there is no status then); SIGTERM; from v0.9.0 on, a check that failed.
pub fn check(
    config: Option<&Path>,
    destination: Option<&Path>,
    version: Version,
    output: &Output,
    stop: &Stop,
) -> Result<u8> {
    if let Some(file) = destination {
        let destination = Destination::load(file)?;
        return report(&destination.faults, version, output, stop, || parquet::probe(&destination, output));
    }
    let source = Source::load(config.context("--config not passed")?)?;
    report(&source.faults, version, output, stop, || {
        source.connect()?;
        let streams = source::streams(&source.path)?;
        if streams.is_empty() {
            output.warn(&format!("Folder {} has no *.csv or *.jsonl file yet", source.path.display()));
        } else {
            output.info(&format!("Folder {} has {} streams", source.path.display(), streams.len()));
        }
        Ok(())
    })
}

fn report(
    faults: &Faults,
    version: Version,
    output: &Output,
    stop: &Stop,
    check: impl FnOnce() -> Result<()>,
) -> Result<u8> {
    if let Some(code) = faults.at_start(output, stop)? {
        return Ok(code);
    }
    if faults.rubbish {
        output.rubbish();
        return Ok(0);
    }
    let checked = check();
    let status = match &checked {
        Ok(()) => json!({"status": "SUCCEEDED"}),
        Err(error) => json!({"status": "FAILED", "message": format!("{error:#}")}),
    };
    output.result(&json!({"type": "CONNECTION_STATUS", "connectionStatus": status}));
    if version.fails_after_failed_check() { checked.map(|()| 0) } else { Ok(0) }
}

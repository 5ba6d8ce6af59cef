//! A connector that speaks the OLake connector protocol: it reads files of a folder and writes Parquet files.
//!
//! It is the connector of the first steps (no database, no image, no network), and the one that tests are
//! made with: its config can tell it to misbehave (`faults`), and the environment variable `DRIVER_VERSION`
//! to be an older version. `--as TYPE` lets it play the part of another source type (`part`).
//!
//! One file a thing: `flags` (the command line), `spec`, `check`, `catalog` (discover), `difference`, `sync`, `clear` (the
//! commands), `source` and `value` (reading), `selection` (what a job chose), `parquet` (writing), `state`
//! and `stats` (what a sync leaves), `output` (what it says), `faults`, `witness`, `signals`, `version`, `config`,
//! `clock`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

mod catalog;
mod check;
mod clear;
mod clock;
mod config;
mod difference;
mod faults;
mod flags;
mod output;
mod parquet;
mod part;
mod selection;
mod signals;
mod source;
mod spec;
mod state;
mod stats;
mod sync;
mod value;
mod version;
mod witness;

use crate::flags::{Arguments, Command};
use crate::output::Output;
use crate::part::Part;
use crate::signals::Stop;
use crate::version::Version;

/// A child of a sync that eats memory.
fn eat(megabytes: Option<OsString>) -> ExitCode {
    let megabytes = megabytes.and_then(|text| text.to_str()?.parse().ok()).unwrap_or(0);
    faults::eat_memory(megabytes).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == faults::EATER) {
        return eat(words.next());
    }
    let version = Version::from_environment();
    let stop = Stop::install(version);
    let (part, words) = Part::take(std::env::args_os().skip(1).collect());
    let Some(arguments) = flags::parse(version, words.into_iter()) else {
        return ExitCode::from(1);
    };
    let folder = folder(&arguments);
    let output = Output::new(&folder);
    let ran = stop
        .context("failed to handle SIGTERM")
        .and_then(|stop| run(part.as_ref(), &arguments, &folder, version, &output, &stop));
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output.fatal(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}

/// Where state, stats, streams and logs go: beside the config, or with `--no-save` to the folder for
/// temporary files.
fn folder(arguments: &Arguments) -> PathBuf {
    if arguments.no_save {
        return std::env::temp_dir();
    }
    // A difference writes its log below the working directory, and its result beside the older catalog.
    let config = arguments.config.as_deref().or(arguments.destination.as_deref());
    match config.and_then(Path::parent) {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn run(
    part: Option<&Part>,
    arguments: &Arguments,
    folder: &Path,
    version: Version,
    output: &Output,
    stop: &Stop,
) -> Result<u8> {
    let config = || arguments.config.as_deref().context("--config not passed");
    let destination = || arguments.destination.as_deref().context("--destination not passed");
    match arguments.command {
        Command::Spec => {
            let destination_type = arguments.destination_type.as_deref();
            let spec =
                part.map_or_else(|| spec::spec(destination_type), |part| Ok(part.spec(destination_type)));
            output.result(&spec?);
            Ok(0)
        }
        Command::Check => match part {
            Some(part) => part.check(destination().or_else(|_| config())?, version, output, stop),
            None => check::check(
                arguments.config.as_deref(),
                arguments.destination.as_deref(),
                version,
                output,
                stop,
            ),
        },
        Command::Discover if arguments.difference.is_some() => {
            let request = difference::Request {
                old: arguments.streams.as_deref().context("--streams not passed")?,
                new: arguments.difference.as_deref().context("--difference not passed")?,
                folder: arguments.no_save.then_some(folder),
            };
            difference::difference(&request, output)
        }
        Command::Discover => {
            let request = catalog::Request {
                config: config()?,
                catalog: arguments.catalog.as_deref(),
                database_prefix: arguments.destination_database_prefix.as_deref(),
                threads: arguments.max_discover_threads,
                folder,
            };
            match part {
                Some(part) => part.discover(&request, output, stop),
                None => catalog::discover(&request, version, output, stop),
            }
        }
        Command::Sync => {
            let request = sync::Request {
                config: config()?,
                destination: destination()?,
                catalog: arguments.catalog.as_deref().context("--catalog not passed")?,
                state: arguments.state.as_deref(),
                folder,
            };
            match part {
                Some(part) => part.sync(&request, version, output, stop),
                None => sync::sync(&request, version, output, stop),
            }
        }
        Command::Clear => {
            let request = clear::Request {
                streams: arguments.streams.as_deref().context("--streams not passed")?,
                destination: destination()?,
                state: arguments.state.as_deref(),
                folder,
            };
            match part {
                Some(part) => part.clear(&request, output, stop),
                None => clear::clear(&request, output, stop),
            }
        }
    }
}

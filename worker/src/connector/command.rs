//! Command lines: what a connector is told, for each kind of task.
//!
//! Invariants:
//! - an unknown flag ends a connector with exit code 1 and not a byte of output, so a flag is given only to
//!   versions that know it, and asking an older version for it is an error here;
//! - every command has `--no-save`: what the connector writes goes to `TMPDIR`, and the inputs can be
//!   read-only;
//! - the first run of a job has no `--state`: an empty state would load as the oldest version of it;
//! - configs reach the connector as files only, never in an argument or in the environment.
//!
//! The state of a clear follows the rule of a sync: a job without one gives none.
//!
//! To add a kind: add a variant to [`Request`], build it in [`command_line`], and name the version that
//! introduced each flag.

use std::{fmt, path::Path};

use olake_shared::domain::version::{CLEARS_SINCE, ConnectorVersion};

use super::state::StateText;

/// The commands and flags that came later, and the version that brought them.
const NO_SAVE: Flag = Flag { name: "--no-save", since: ConnectorVersion::new(0, 2, 1) };
const DATABASE_PREFIX: Flag =
    Flag { name: "--destination-database-prefix", since: ConnectorVersion::new(0, 2, 0) };
const MAX_DISCOVER_THREADS: Flag =
    Flag { name: "--max-discover-threads", since: ConnectorVersion::new(0, 3, 18) };
const CLEAR: Flag = Flag { name: "clear-destination", since: CLEARS_SINCE };
const DIFFERENCE: Flag = Flag { name: "--difference", since: CLEARS_SINCE };

const CONFIG_FILE: &str = "config.json";
const SOURCE_FILE: &str = "source.json";
const DESTINATION_FILE: &str = "destination.json";
const CATALOG_FILE: &str = "streams.json";
const STATE_FILE: &str = "state.json";
const OLD_CATALOG_FILE: &str = "old_streams.json";
const NEW_CATALOG_FILE: &str = "new_streams.json";

/// What a connector is asked to do, with the texts that it needs for it.
#[derive(Clone)]
pub enum Request {
    /// The form of the connector's source, or of a destination type (`parquet`, `iceberg`).
    Spec { destination_type: Option<String> },
    /// Test a source.
    CheckSource { config: String },
    /// Test a destination.
    CheckDestination { config: String },
    /// List the streams of a source.
    Discover {
        config: String,
        /// A catalog whose selections are merged into the result.
        catalog: Option<String>,
        /// The job's name, from which names of destination databases are made.
        destination_database_prefix: Option<String>,
        /// How many tables are looked at at once; the connector's default (50) when none.
        max_threads: Option<u32>,
    },
    /// Move data.
    Sync {
        source: String,
        destination: String,
        catalog: String,
        /// Where the run before ended; none for a run from the beginning.
        state: Option<StateText>,
    },
    /// Remove the selected streams of a catalog from a destination, and from the state.
    Clear {
        streams: String,
        destination: String,
        /// The job's state; none if it has none.
        state: Option<StateText>,
    },
    /// Tell which streams of two catalogs differ. Asks no database.
    Difference { old: String, new: String },
}

impl Request {
    /// Whether it is work on a job, of which only one runs at a time.
    pub fn is_of_job(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Clear { .. })
    }
}

/// A file that has to stand in the folder of inputs before the start.
#[derive(Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its whole content.
    pub content: String,
    /// Whether it holds secrets: such a file belongs on memory, readable by the connector alone.
    pub secret: bool,
}

impl fmt::Debug for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputFile({}, {} bytes)", self.name, self.content.len())
    }
}

/// A command line with the files that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The arguments behind the program.
    pub args: Vec<String>,
    /// The files to write first.
    pub inputs: Vec<InputFile>,
}

/// Why there is no command line for a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The version is older than a flag that is needed.
    #[error("connectors before {since} cannot do this: {flag} came with {since}, and this one is {version}")]
    TooOld {
        /// The flag.
        flag: &'static str,
        /// The version that brought it.
        since: ConnectorVersion,
        /// The version that was to run.
        version: ConnectorVersion,
    },
    /// The folder of inputs cannot stand in an argument.
    #[error("the path of the input folder is not UTF-8")]
    FolderName,
}

/// Builds the command line of a request for a version. `inputs` is the folder of inputs as the connector
/// will see it.
pub fn command_line(
    request: &Request,
    version: ConnectorVersion,
    inputs: &Path,
) -> Result<CommandLine, CommandError> {
    let folder = inputs.to_str().ok_or(CommandError::FolderName)?;
    let mut command = Builder { version, folder, args: Vec::new(), inputs: Vec::new() };
    match request {
        Request::Spec { destination_type } => {
            command.word("spec");
            if let Some(destination_type) = destination_type {
                command.word("--destination-type");
                command.word(&destination_type.to_lowercase());
            }
        }
        Request::CheckSource { config } => {
            command.word("check");
            command.file("--config", CONFIG_FILE, config, true);
        }
        Request::CheckDestination { config } => {
            command.word("check");
            command.file("--destination", CONFIG_FILE, config, true);
        }
        Request::Discover { config, catalog, destination_database_prefix, max_threads } => {
            command.word("discover");
            command.file("--config", CONFIG_FILE, config, true);
            if let Some(catalog) = catalog {
                command.file("--catalog", CATALOG_FILE, catalog, false);
            }
            if let Some(prefix) = destination_database_prefix {
                command.flag(&DATABASE_PREFIX)?;
                command.word(prefix);
            }
            if let Some(threads) = max_threads {
                command.flag(&MAX_DISCOVER_THREADS)?;
                command.word(&threads.to_string());
            }
        }
        Request::Sync { source, destination, catalog, state } => {
            command.word("sync");
            command.file("--config", SOURCE_FILE, source, true);
            command.file("--destination", DESTINATION_FILE, destination, true);
            command.file("--catalog", CATALOG_FILE, catalog, false);
            if let Some(state) = state {
                command.file("--state", STATE_FILE, state.as_str(), false);
            }
        }
        Request::Clear { streams, destination, state } => {
            command.flag(&CLEAR)?;
            command.file("--streams", CATALOG_FILE, streams, false);
            command.file("--destination", DESTINATION_FILE, destination, true);
            if let Some(state) = state {
                command.file("--state", STATE_FILE, state.as_str(), false);
            }
        }
        Request::Difference { old, new } => {
            command.word("discover");
            command.file("--streams", OLD_CATALOG_FILE, old, false);
            command.require(&DIFFERENCE)?;
            command.file(DIFFERENCE.name, NEW_CATALOG_FILE, new, false);
        }
    }
    command.flag(&NO_SAVE)?;
    Ok(CommandLine { args: command.args, inputs: command.inputs })
}

/// The variables of the protocol, for an environment that is otherwise empty. `tmpdir` is the folder which
/// the connector writes to, and stages its uploads in. It reads no others that may be set: a debug mode of
/// its own in particular is left alone.
pub fn environment(version: ConnectorVersion, tmpdir: &Path) -> [(&'static str, std::ffi::OsString); 3] {
    [
        ("TELEMETRY_DISABLED", "true".into()),
        ("DRIVER_VERSION", version.to_string().into()),
        ("TMPDIR", tmpdir.as_os_str().to_owned()),
    ]
}

struct Flag {
    name: &'static str,
    since: ConnectorVersion,
}

struct Builder<'a> {
    version: ConnectorVersion,
    folder: &'a str,
    args: Vec<String>,
    inputs: Vec<InputFile>,
}

impl Builder<'_> {
    fn word(&mut self, word: &str) {
        self.args.push(word.to_owned());
    }

    fn flag(&mut self, flag: &Flag) -> Result<(), CommandError> {
        self.require(flag)?;
        self.word(flag.name);
        Ok(())
    }

    fn require(&self, flag: &Flag) -> Result<(), CommandError> {
        if self.version < flag.since {
            return Err(CommandError::TooOld { flag: flag.name, since: flag.since, version: self.version });
        }
        Ok(())
    }

    fn file(&mut self, flag: &str, name: &'static str, content: &str, secret: bool) {
        self.word(flag);
        self.args.push(format!("{}/{name}", self.folder.trim_end_matches('/')));
        self.inputs.push(InputFile { name, content: content.to_owned(), secret });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::state::parse_state;

    fn version(text: &str) -> ConnectorVersion {
        text.parse().unwrap()
    }

    fn build(request: &Request, at: &str) -> Result<CommandLine, CommandError> {
        command_line(request, version(at), Path::new("/mnt/config"))
    }

    fn args(request: &Request) -> String {
        build(request, "v0.9.4").unwrap().args.join(" ")
    }

    fn names(request: &Request) -> Vec<(&'static str, bool)> {
        let inputs = build(request, "v0.9.4").unwrap().inputs;
        inputs.iter().map(|file| (file.name, file.secret)).collect()
    }

    fn discover(prefix: Option<&str>, max_threads: Option<u32>) -> Request {
        Request::Discover {
            config: "{}".to_owned(),
            catalog: None,
            destination_database_prefix: prefix.map(str::to_owned),
            max_threads,
        }
    }

    fn sync(state: Option<StateText>) -> Request {
        Request::Sync { source: "s".to_owned(), destination: "d".to_owned(), catalog: "c".to_owned(), state }
    }

    #[test]
    fn a_spec_needs_no_files_and_names_destinations_in_lower_case() {
        assert_eq!(args(&Request::Spec { destination_type: None }), "spec --no-save");
        let destination = Request::Spec { destination_type: Some("ICEBERG".to_owned()) };
        assert_eq!(args(&destination), "spec --destination-type iceberg --no-save");
        assert!(names(&destination).is_empty());
    }

    #[test]
    fn a_check_says_by_its_flag_what_it_tests() {
        let source = Request::CheckSource { config: "{}".to_owned() };
        assert_eq!(args(&source), "check --config /mnt/config/config.json --no-save");
        let destination = Request::CheckDestination { config: "{}".to_owned() };
        assert_eq!(args(&destination), "check --destination /mnt/config/config.json --no-save");
        assert_eq!(names(&destination), [("config.json", true)]);
    }

    #[test]
    fn a_discover_merges_a_catalog_and_passes_what_was_asked_for() {
        let plain = discover(None, None);
        assert_eq!(args(&plain), "discover --config /mnt/config/config.json --no-save");
        let full = Request::Discover {
            config: "{}".to_owned(),
            catalog: Some("c".to_owned()),
            destination_database_prefix: Some("my job".to_owned()),
            max_threads: Some(5),
        };
        let expected = [
            "discover",
            "--config",
            "/mnt/config/config.json",
            "--catalog",
            "/mnt/config/streams.json",
            "--destination-database-prefix",
            "my job",
            "--max-discover-threads",
            "5",
            "--no-save",
        ];
        assert_eq!(build(&full, "v0.9.4").unwrap().args, expected);
        assert_eq!(names(&full), [("config.json", true), ("streams.json", false)]);
    }

    #[test]
    fn the_first_sync_has_no_state_and_the_next_one_has_it_to_the_byte() {
        let first = "sync --config /mnt/config/source.json --destination /mnt/config/destination.json \
                     --catalog /mnt/config/streams.json";
        assert_eq!(args(&sync(None)), format!("{first} --no-save"));
        let state = " {\"type\": \"STREAM\"}\n";
        let next = build(&sync(parse_state(state.as_bytes())), "v0.9.4").unwrap();
        assert_eq!(next.args.join(" "), format!("{first} --state /mnt/config/state.json --no-save"));
        let files: Vec<_> =
            next.inputs.iter().map(|file| (file.name, file.content.as_str(), file.secret)).collect();
        let expected = [
            ("source.json", "s", true),
            ("destination.json", "d", true),
            ("streams.json", "c", false),
            ("state.json", state, false),
        ];
        assert_eq!(files, expected);
    }

    fn clear(state: Option<StateText>) -> Request {
        Request::Clear { streams: "c".to_owned(), destination: "d".to_owned(), state }
    }

    #[test]
    fn a_clear_names_what_it_clears_and_the_state_if_there_is_one() {
        let first = "clear-destination --streams /mnt/config/streams.json \
                     --destination /mnt/config/destination.json";
        assert_eq!(args(&clear(None)), format!("{first} --no-save"));
        assert_eq!(names(&clear(None)), [("streams.json", false), ("destination.json", true)]);
        let with_state = clear(parse_state(b"{\"type\":\"STREAM\"}"));
        assert_eq!(args(&with_state), format!("{first} --state /mnt/config/state.json --no-save"));
        assert_eq!(names(&with_state)[2], ("state.json", false));
    }

    #[test]
    fn a_difference_needs_two_catalogs_and_no_config() {
        let difference = Request::Difference { old: "o".to_owned(), new: "n".to_owned() };
        let expected = "discover --streams /mnt/config/old_streams.json --difference /mnt/config/new_streams.json \
                        --no-save";
        assert_eq!(args(&difference), expected);
        assert_eq!(names(&difference), [("old_streams.json", false), ("new_streams.json", false)]);
    }

    #[test]
    fn a_flag_is_given_only_to_versions_that_know_it() {
        let too_old = |request: &Request, at: &str| match build(request, at) {
            Err(CommandError::TooOld { flag, since, .. }) => Some(format!("{flag} {since}")),
            _ => None,
        };
        let spec = Request::Spec { destination_type: None };
        assert_eq!(too_old(&spec, "v0.2.0"), Some("--no-save v0.2.1".to_owned()));
        assert_eq!(too_old(&spec, "v0.2.1"), None);
        let threads = discover(None, Some(5));
        assert_eq!(too_old(&threads, "v0.3.17"), Some("--max-discover-threads v0.3.18".to_owned()));
        assert_eq!(too_old(&threads, "v0.3.18"), None);
        assert_eq!(too_old(&threads, "v0.10.0"), None);
        let prefix = discover(Some("job"), None);
        assert_eq!(too_old(&prefix, "v0.1.11"), Some("--destination-database-prefix v0.2.0".to_owned()));
        assert_eq!(too_old(&discover(None, None), "v0.3.17"), None);
        assert_eq!(too_old(&clear(None), "v0.2.9"), Some("clear-destination v0.3.0".to_owned()));
        assert_eq!(too_old(&clear(None), "v0.3.0"), None);
        let difference = Request::Difference { old: "o".to_owned(), new: "n".to_owned() };
        assert_eq!(too_old(&difference, "v0.2.9"), Some("--difference v0.3.0".to_owned()));
        assert_eq!(too_old(&difference, "v0.3.0"), None);
    }

    #[test]
    fn a_debug_text_shows_no_config() {
        let request = Request::CheckSource { config: "{\"password\":\"hunter2\"}".to_owned() };
        assert!(!format!("{:?}", build(&request, "v0.9.4")).contains("hunter2"));
    }

    #[test]
    fn the_environment_turns_telemetry_off_and_names_the_folder_for_output() {
        let variables = environment(version("v0.9.4"), Path::new("/tmp/a"));
        let expected = [
            ("TELEMETRY_DISABLED", "true".into()),
            ("DRIVER_VERSION", "v0.9.4".into()),
            ("TMPDIR", "/tmp/a".into()),
        ];
        assert_eq!(variables, expected);
    }
}

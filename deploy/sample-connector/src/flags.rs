//! The command line: one table says which command takes which flag, and from which version on.
//!
//! As with the real connectors, whatever the played version does not know (a command, a flag, a value of the
//! wrong kind) ends the program with exit code 1 and not a byte of output; so this parser has no messages.
//!
//! To add a flag: a row in `FLAGS`, a field in `Arguments`, an arm in `Arguments::set`. To add a command: an
//! entry of `COMMANDS` and of `Command`, its rows in `FLAGS`, an arm in `main`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::version::Version;

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Spec,
    Check,
    Discover,
    Sync,
    Clear,
}

use Command::{Check, Clear, Discover, Spec, Sync};

/// Command names, each with the version that knew it first.
const COMMANDS: &[(&str, Command, Version)] = &[
    ("spec", Spec, Version::new(0, 2, 0)),
    ("check", Check, Version::new(0, 1, 0)),
    ("discover", Discover, Version::new(0, 1, 0)),
    ("sync", Sync, Version::new(0, 1, 0)),
    ("clear-destination", Clear, Version::new(0, 3, 0)),
];

/// What may follow a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Text,
    Number,
    /// Nothing, or `=true` / `=false`.
    Switch,
}

struct Flag {
    name: &'static str,
    takes: Takes,
    commands: &'static [Command],
    since: Version,
}

const fn flag(name: &'static str, takes: Takes, commands: &'static [Command], since: Version) -> Flag {
    Flag { name, takes, commands, since }
}

const FLAGS: &[Flag] = &[
    flag("config", Takes::Text, &[Check, Discover, Sync], Version::new(0, 1, 0)),
    flag("destination", Takes::Text, &[Check, Sync, Clear], Version::new(0, 1, 0)),
    flag("catalog", Takes::Text, &[Discover, Sync], Version::new(0, 1, 0)),
    flag("state", Takes::Text, &[Sync, Clear], Version::new(0, 1, 0)),
    flag("destination-type", Takes::Text, &[Spec], Version::new(0, 2, 0)),
    flag("destination-database-prefix", Takes::Text, &[Discover], Version::new(0, 2, 0)),
    flag("no-save", Takes::Switch, &[Spec, Check, Discover, Sync, Clear], Version::new(0, 2, 1)),
    flag("streams", Takes::Text, &[Discover, Clear], Version::new(0, 3, 0)),
    flag("difference", Takes::Text, &[Discover], Version::new(0, 3, 0)),
    flag("max-discover-threads", Takes::Number, &[Discover], Version::new(0, 3, 18)),
];

/// A command line that the played version understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub command: Command,
    pub config: Option<PathBuf>,
    pub destination: Option<PathBuf>,
    pub catalog: Option<PathBuf>,
    pub state: Option<PathBuf>,
    /// The catalog to clear, or the older one of a difference.
    pub streams: Option<PathBuf>,
    /// The newer catalog of a difference.
    pub difference: Option<PathBuf>,
    pub destination_type: Option<String>,
    pub destination_database_prefix: Option<String>,
    pub max_discover_threads: i64,
    pub no_save: bool,
}

impl Arguments {
    fn new(command: Command) -> Self {
        Self {
            command,
            config: None,
            destination: None,
            catalog: None,
            state: None,
            streams: None,
            difference: None,
            destination_type: None,
            destination_database_prefix: None,
            max_discover_threads: 50,
            no_save: false,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "config" => self.config = Some(value.into()),
            "destination" => self.destination = Some(value.into()),
            "catalog" => self.catalog = Some(value.into()),
            "state" => self.state = Some(value.into()),
            "streams" => self.streams = Some(value.into()),
            "difference" => self.difference = Some(value.into()),
            "destination-type" => self.destination_type = Some(value.to_owned()),
            "destination-database-prefix" => self.destination_database_prefix = Some(value.to_owned()),
            "max-discover-threads" => self.max_discover_threads = value.parse().ok()?,
            "no-save" => self.no_save = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

/// Parses what follows the program's name, as `version` would. `None`: exit with 1 and say nothing.
pub fn parse(version: Version, words: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let mut words = words.map(|word| word.into_string().ok());
    let name = words.next()??;
    let (_, command, since) = COMMANDS.iter().find(|(known, ..)| *known == name)?;
    if version < *since {
        return None;
    }
    let mut arguments = Arguments::new(*command);
    while let Some(word) = words.next() {
        let word = word?;
        let (name, value) = match word.strip_prefix("--")?.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.strip_prefix("--")?, None),
        };
        let flag = FLAGS.iter().find(|flag| flag.name == name && flag.commands.contains(command))?;
        if version < flag.since {
            return None;
        }
        match (value, flag.takes) {
            (Some(value), _) => arguments.set(name, value)?,
            (None, Takes::Switch) => arguments.set(name, "true")?,
            (None, Takes::Text | Takes::Number) => arguments.set(name, &words.next()??)?,
        }
    }
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::CURRENT;

    fn parsed(version: Version, line: &str) -> Option<Arguments> {
        parse(version, line.split_whitespace().map(OsString::from))
    }

    /// Every command with every flag and from which version on it is known (`None`: never).
    const EXPECTED: &[(&str, &str, Option<&str>)] = &[
        ("spec", "", Some("v0.2.0")),
        ("spec", "--config f", None),
        ("spec", "--destination f", None),
        ("spec", "--catalog f", None),
        ("spec", "--state f", None),
        ("spec", "--destination-type parquet", Some("v0.2.0")),
        ("spec", "--destination-database-prefix p", None),
        ("spec", "--no-save", Some("v0.2.1")),
        ("spec", "--max-discover-threads 5", None),
        ("spec", "--streams f", None),
        ("spec", "--difference f", None),
        ("check", "", Some("v0.1.0")),
        ("check", "--config f", Some("v0.1.0")),
        ("check", "--destination f", Some("v0.1.0")),
        ("check", "--catalog f", None),
        ("check", "--state f", None),
        ("check", "--destination-type parquet", None),
        ("check", "--destination-database-prefix p", None),
        ("check", "--no-save", Some("v0.2.1")),
        ("check", "--max-discover-threads 5", None),
        ("check", "--streams f", None),
        ("check", "--difference f", None),
        ("discover", "", Some("v0.1.0")),
        ("discover", "--config f", Some("v0.1.0")),
        ("discover", "--destination f", None),
        ("discover", "--catalog f", Some("v0.1.0")),
        ("discover", "--state f", None),
        ("discover", "--destination-type parquet", None),
        ("discover", "--destination-database-prefix p", Some("v0.2.0")),
        ("discover", "--no-save", Some("v0.2.1")),
        ("discover", "--max-discover-threads 5", Some("v0.3.18")),
        ("discover", "--streams f", Some("v0.3.0")),
        ("discover", "--difference f", Some("v0.3.0")),
        ("sync", "", Some("v0.1.0")),
        ("sync", "--config f", Some("v0.1.0")),
        ("sync", "--destination f", Some("v0.1.0")),
        ("sync", "--catalog f", Some("v0.1.0")),
        ("sync", "--state f", Some("v0.1.0")),
        ("sync", "--destination-type parquet", None),
        ("sync", "--destination-database-prefix p", None),
        ("sync", "--no-save", Some("v0.2.1")),
        ("sync", "--max-discover-threads 5", None),
        ("sync", "--streams f", None),
        ("sync", "--difference f", None),
        ("clear-destination", "", Some("v0.3.0")),
        ("clear-destination", "--config f", None),
        ("clear-destination", "--destination f", Some("v0.3.0")),
        ("clear-destination", "--catalog f", None),
        ("clear-destination", "--state f", Some("v0.3.0")),
        ("clear-destination", "--destination-type parquet", None),
        ("clear-destination", "--destination-database-prefix p", None),
        ("clear-destination", "--no-save", Some("v0.3.0")),
        ("clear-destination", "--max-discover-threads 5", None),
        ("clear-destination", "--streams f", Some("v0.3.0")),
        ("clear-destination", "--difference f", None),
    ];

    #[test]
    fn each_version_knows_the_flags_of_its_time_and_no_other() {
        let versions =
            ["v0.1.0", "v0.2.0", "v0.2.1", "v0.3.0", "v0.3.17", "v0.3.18", "v0.7.3", "v0.8.2", "v0.9.4"];
        for text in versions {
            let version = Version::parse(text).unwrap();
            for (command, flag, since) in EXPECTED {
                let known = since.is_some_and(|since| version >= Version::parse(since).unwrap());
                let line = format!("{command} {flag}");
                assert_eq!(parsed(version, &line).is_some(), known, "{text}: {line}");
            }
        }
        let rows: usize = EXPECTED.iter().filter(|(_, flag, _)| !flag.is_empty()).count();
        assert_eq!(
            rows,
            COMMANDS.len() * FLAGS.len(),
            "a flag or a command is missing from the table of this test"
        );
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let arguments = parsed(
            CURRENT,
            "discover --config=a.json --catalog b.json --max-discover-threads 5 --no-save=false",
        )
        .unwrap();
        assert_eq!(arguments.config, Some("a.json".into()));
        assert_eq!(arguments.catalog, Some("b.json".into()));
        assert_eq!(arguments.max_discover_threads, 5);
        assert!(!arguments.no_save);
        assert!(parsed(CURRENT, "sync --no-save").unwrap().no_save);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let lines = [
            "",
            "frob",
            "--config f",
            "check --frob",
            "check extra",
            "check -config f",
            "check --config",
            "check --",
            "check --no-save=perhaps",
            "discover --max-discover-threads many",
        ];
        for line in lines {
            assert_eq!(parsed(CURRENT, line), None, "{line}");
        }
    }
}

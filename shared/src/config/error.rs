//! Why there is no configuration. Every error names the key, and where its value came from; none shows a secret.

use std::{fmt, io, path::PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The embedded default file.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable (also a `…_FILE` twin).
    Variable(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "env {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file (the configuration, or a `…_FILE` twin) cannot be read.
    #[error("{path} ({origin}) cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who named it.
        origin: String,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file is no TOML. What it holds is not shown: it may be a secret.
    #[error("{path}, line {line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A key that does not exist.
    #[error("unknown key '{key}' ({origin})")]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// Where it stands.
        origin: Origin,
    },
    /// An `OLAKE_…` variable that sets nothing.
    #[error("unknown environment variable {name}: is it misspelt? The command `config` shows every key")]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A value that does not do.
    #[error("{key} ({origin}): {reason}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// Two variables set one key.
    #[error("{key}: {first} and {second} are both set; which one is meant?")]
    Twice {
        /// The key.
        key: &'static str,
        /// One variable.
        first: String,
        /// The other.
        second: String,
    },
    /// A value that this deployment cannot do without.
    #[error("{key} is missing: set {variable}{}, or the key in the configuration file. {why}",
        if *.has_file_twin { format!(" or {variable}_FILE") } else { String::new() })]
    Missing {
        /// The key.
        key: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// Whether it can come from a file.
        has_file_twin: bool,
        /// What it is needed for.
        why: &'static str,
    },
    /// The table of connectors is refused.
    #[error(transparent)]
    Connectors(#[from] super::ConnectorTableError),
    /// There is no master key.
    #[error(transparent)]
    KeyFile(#[from] crate::crypto::keyfile::KeyFileError),
}

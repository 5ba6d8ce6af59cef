//! `[import]`: an existing installation whose things are taken over.

use crate::config::{secret::Secret, values::Values};

/// An existing installation.
#[derive(Clone, Debug)]
pub struct ImportConfig {
    /// The URL of its database, if one is set.
    pub from: Option<Secret>,
    /// The passphrase of its configs, if one is set.
    pub passphrase: Option<Secret>,
}

impl ImportConfig {
    pub(in crate::config) fn read(values: &Values) -> Self {
        Self { from: values.secret("import.from"), passphrase: values.secret("import.passphrase") }
    }
}

//! `[deadlines]`: how long a connector may run.

use std::time::Duration;

use crate::config::{error::ConfigError, values::Values};

/// How long a connector may run, by kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlinesConfig {
    /// For spec.
    pub spec: Duration,
    /// For check.
    pub check: Duration,
    /// For discover.
    pub discover: Duration,
    /// For the difference of two catalogs.
    pub difference: Duration,
    /// For the question whether a job's connector would be taken where it is to run.
    pub validate: Duration,
    /// For sync and clear, unless the job asks for less.
    pub sync: Duration,
}

impl DeadlinesConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let seconds =
            |key, most| values.number(key, 1, most).map(|seconds| Duration::from_secs(u64::from(seconds)));
        Ok(Self {
            spec: seconds("deadlines.spec_seconds", 86_400)?,
            check: seconds("deadlines.check_seconds", 86_400)?,
            discover: seconds("deadlines.discover_seconds", 86_400)?,
            difference: seconds("deadlines.difference_seconds", 86_400)?,
            validate: seconds("deadlines.validate_seconds", 86_400)?,
            sync: seconds("deadlines.sync_seconds", 366 * 86_400)?,
        })
    }
}

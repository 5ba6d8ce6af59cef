//! `[limits]`: how many syncs run at once.

use crate::config::{error::ConfigError, values::Values};

/// How many syncs run at once, over all workers. 0: as many as there are places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Of one project.
    pub syncs_per_project: u32,
    /// Of one source.
    pub syncs_per_source: u32,
}

impl LimitsConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            syncs_per_project: values.number("limits.syncs_per_project", 0, 100_000)?,
            syncs_per_source: values.number("limits.syncs_per_source", 0, 100_000)?,
        })
    }
}

//! `[versions]`: which versions of connectors are offered.

use crate::{
    config::{error::ConfigError, values::Values},
    domain::version::ConnectorVersion,
};

/// Which versions of connectors are offered.
#[derive(Clone, Debug)]
pub struct VersionsConfig {
    /// Those of a connector that no worker runs or ever ran. Never empty.
    pub fallback: Vec<ConnectorVersion>,
}

impl VersionsConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let mut fallback = Vec::new();
        for text in values.list("versions.fallback") {
            let version = text.parse::<ConnectorVersion>();
            fallback.push(version.map_err(|error| values.invalid("versions.fallback", error.to_string()))?);
        }
        if fallback.is_empty() {
            return Err(values.invalid("versions.fallback", "must name at least one version, such as v0.9.4"));
        }
        Ok(Self { fallback })
    }
}

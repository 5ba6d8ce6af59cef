//! `[releases]`: where news of releases are read.

use std::time::Duration;

use url::Url;

use super::registry::address;
use crate::config::{error::ConfigError, values::Values};

/// A feed of releases.
#[derive(Clone, Debug)]
pub struct ReleasesConfig {
    /// Its address; none: there are no news.
    pub feed_url: Option<Url>,
    /// How often it is read.
    pub refresh: Duration,
}

impl ReleasesConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let minutes = values.number("releases.refresh_minutes", 1, 7 * 24 * 60)?;
        let refresh = Duration::from_secs(u64::from(minutes) * 60);
        Ok(Self { feed_url: address(values, "releases.feed_url")?, refresh })
    }
}

//! `[registry]`: where the tags of connectors' images are read.

use std::time::Duration;

use url::Url;

use crate::config::{error::ConfigError, secret::Secret, values::Values};

/// A registry of images.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Its address; none: no tags are read.
    pub url: Option<Url>,
    /// The repository of a connector's image, with `{type}` in it.
    pub repository: String,
    /// The name of an account; empty: none.
    pub username: String,
    /// Its password.
    pub password: Option<Secret>,
    /// How often tags are read.
    pub refresh: Duration,
}

impl RegistryConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let minutes = values.number("registry.refresh_minutes", 1, 7 * 24 * 60)?;
        Ok(Self {
            url: address(values, "registry.url")?,
            repository: values.text("registry.repository"),
            username: values.text("registry.username"),
            password: values.secret("registry.password"),
            refresh: Duration::from_secs(u64::from(minutes) * 60),
        })
    }

    pub(in crate::config) fn validate(&self, values: &Values) -> Result<(), ConfigError> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/{}".contains(c);
        if !self.repository.contains("{type}") || !self.repository.chars().all(known) {
            let reason = "must be the name of a repository with {type} in it, such as olakego/source-{type}";
            return Err(values.invalid("registry.repository", reason));
        }
        if self.username.is_empty() != self.password.is_none() {
            return Err(
                values.invalid("registry.username", "name and password belong together: set both or none")
            );
        }
        Ok(())
    }
}

/// An http(s) address without an account in it; none when it is empty.
pub(super) fn address(values: &Values, key: &'static str) -> Result<Option<Url>, ConfigError> {
    let text = values.text(key);
    if text.is_empty() {
        return Ok(None);
    }
    // Not shown: it may hold a password, which is what is wrong with it.
    let refused = || {
        values
            .invalid(key, "must be an address such as https://registry.example.org, without an account in it")
    };
    let url = Url::parse(&text).map_err(|_| refused())?;
    let is_good = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if is_good { Ok(Some(url)) } else { Err(refused()) }
}

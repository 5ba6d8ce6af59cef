//! Versions of connectors: `v0.9.4`. What a connector understands (flags, exit codes) depends on them, so they are
//! compared as numbers, never as text.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The first version with `--no-save`, which every run needs. Older connectors are refused.
pub const OLDEST_SUPPORTED: ConnectorVersion = ConnectorVersion::new(0, 2, 1);

/// The first version that can clear a destination and tell the difference of two catalogs.
pub const CLEARS_SINCE: ConnectorVersion = ConnectorVersion::new(0, 3, 0);

/// The version of a connector, ordered as numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is no version of a connector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no version of a connector (it looks like v0.9.4)")]
pub struct VersionError(String);

impl ConnectorVersion {
    /// The version `v<major>.<minor>.<patch>`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Whether this is at least `v<major>.<minor>.<patch>`.
    pub fn is_at_least(self, major: u32, minor: u32, patch: u32) -> bool {
        self >= Self::new(major, minor, patch)
    }
}

impl FromStr for ConnectorVersion {
    type Err = VersionError;

    /// Reads `vX.Y.Z`. Anything else (no `v`, missing parts, leading zeros, a suffix) is refused: the text is also
    /// the tag of an image, where two spellings would be two images.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        // The text may come from a request: what is echoed is cut.
        let refused = || VersionError(text.chars().take(40).collect());
        let mut parts = text.strip_prefix('v').ok_or_else(refused)?.split('.');
        let mut next = || parts.next().and_then(number).ok_or_else(refused);
        let version = Self::new(next()?, next()?, next()?);
        if parts.next().is_some() { Err(refused()) } else { Ok(version) }
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for ConnectorVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for ConnectorVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<ConnectorVersion> for String {
    fn from(version: ConnectorVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ConnectorVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(version("v0.10.0") > version("v0.9.4"));
        assert!(version("v0.2.1") >= OLDEST_SUPPORTED);
        assert!(version("v0.2.0") < OLDEST_SUPPORTED);
        assert!(version("v1.0.0").is_at_least(0, 9, 0));
        assert!(!version("v0.3.17").is_at_least(0, 3, 18));
    }

    #[test]
    fn a_version_is_printed_as_it_was_read() {
        assert_eq!(version("v0.9.4").to_string(), "v0.9.4");
        assert_eq!(serde_json::to_string(&version("v0.9.4")).unwrap(), r#""v0.9.4""#);
        assert_eq!(serde_json::from_str::<ConnectorVersion>(r#""v12.0.3""#).unwrap(), version("v12.0.3"));
    }

    #[test]
    fn what_is_no_version_is_refused_and_named() {
        let odd = [
            "",
            "v",
            "0.9.4",
            "v0.9",
            "v0.9.4.1",
            "v0.9.4-rc1",
            "v00.9.4",
            "v0.9.",
            "V0.9.4",
            "v0.9.4 ",
            "v-1.0.0",
            "v+1.0.0",
            "v4294967296.0.0",
            "latest",
        ];
        for text in odd {
            let error = text.parse::<ConnectorVersion>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }
}

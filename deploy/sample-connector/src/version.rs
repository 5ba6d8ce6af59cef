//! The connector version that is played, and what depends on it beside the flags (those are in `flags`).
//!
//! The environment variable `DRIVER_VERSION` chooses it, as an image's tag does for a real connector. To play
//! a later version's difference: a constant here, a method on `Version` that names it, a line in the tests.

use std::fmt;

/// `vMAJOR.MINOR.PATCH`, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

/// What this program says it is when nobody asks for another version.
pub const CURRENT: Version = Version::new(0, 9, 4);

/// From here on a failed check ends with exit code 1 (and a FATAL line); before, with 0.
const FAILED_CHECK_FAILS: Version = Version::new(0, 9, 0);

/// From here on SIGTERM is handled: the batch is finished and the exit code is 1. Before, it kills the
/// process.
const SIGTERM_IS_HANDLED: Version = Version::new(0, 7, 4);

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// The version that `DRIVER_VERSION` asks for. Without one, or with a tag that is no version (`latest`):
    /// the current one.
    pub fn from_environment() -> Self {
        std::env::var("DRIVER_VERSION").ok().and_then(|text| Self::parse(&text)).unwrap_or(CURRENT)
    }

    /// Parses `v0.9.4` or `0.9.4`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.').map(str::parse::<u16>);
        let version = Self::new(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(version)
    }

    pub fn fails_after_failed_check(self) -> bool {
        self >= FAILED_CHECK_FAILS
    }

    pub fn handles_sigterm(self) -> bool {
        self >= SIGTERM_IS_HANDLED
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_and_ordered_by_number() {
        assert_eq!(Version::parse("v0.9.4"), Some(CURRENT));
        assert_eq!(Version::parse("0.3.18"), Some(Version::new(0, 3, 18)));
        for text in ["latest", "v0.9", "v0.9.4.1", "v0.9.x", ""] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert!(Version::new(0, 3, 18) > Version::new(0, 3, 9));
        assert_eq!(CURRENT.to_string(), "v0.9.4");
    }
}

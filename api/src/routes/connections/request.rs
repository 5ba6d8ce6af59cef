//! What a request says of a source or destination, and what of it is refused.

use olake_shared::{
    domain::version::{ConnectorVersion, OLDEST_SUPPORTED},
    store::connections::ConnectionInput,
};

use crate::{document::Document, problem::Problem};

/// The longest name of a source, destination or job, in characters.
pub const LONGEST_NAME: usize = 200;

/// A source or destination as a request gives it.
#[derive(Clone, Debug)]
pub struct Given {
    pub name: String,
    pub connector_type: String,
    pub version: String,
    pub config: Document,
}

impl Given {
    /// The input for the store. `at` stands before the names of fields in errors: `source.`, or nothing.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn input(&self, at: &str) -> Result<ConnectionInput, Problem> {
        let name = name(&self.name, at)?;
        connector(&self.connector_type, &self.version, at)?;
        Ok(ConnectionInput {
            name,
            connector_type: self.connector_type.clone(),
            version: self.version.clone(),
            config: self.config.value().clone(),
        })
    }
}

/// A name, as it was received: blanks around it are part of it.
///
/// # Errors
/// 400 when it is blank, it is too long, or it holds control characters.
pub fn name(text: &str, at: &str) -> Result<String, Problem> {
    let name = text;
    let refused = |reason: String| Problem::bad_request(format!("{at}name"), reason);
    if name.trim().is_empty() {
        return Err(refused("must not be empty".to_owned()));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(refused(format!("must have at most {LONGEST_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(refused("must not hold control characters".to_owned()));
    }
    Ok(name.to_owned())
}

/// Checks the form of a connector's type and version. Whether a worker runs it is another question.
///
/// # Errors
/// 400 naming the field.
pub fn connector(connector_type: &str, version: &str, at: &str) -> Result<(), Problem> {
    connector_type_form(connector_type, &format!("{at}type"))?;
    version_form(version, &format!("{at}version"))
}

pub(super) fn connector_type_form(connector_type: &str, field: &str) -> Result<(), Problem> {
    if connector_type.is_empty() {
        return Err(Problem::bad_request(field, "must not be empty"));
    }
    if connector_type.len() > 64 || !connector_type.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::bad_request(field, "must be a short word such as postgres or parquet"));
    }
    Ok(())
}

pub(super) fn version_form(version: &str, field: &str) -> Result<(), Problem> {
    let parsed: ConnectorVersion =
        version.parse().map_err(|e: olake_shared::domain::version::VersionError| {
            Problem::bad_request(field, e.to_string())
        })?;
    if parsed < OLDEST_SUPPORTED {
        let reason = format!("{version} is too old: {OLDEST_SUPPORTED} is the first version that can be run");
        return Err(Problem::bad_request(field, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_it_is_and_bounded() {
        assert_eq!(name("  orders ", "").unwrap(), "  orders ");
        assert_eq!(name(&"é".repeat(200), "").unwrap().chars().count(), 200);
        for bad in ["", "   ", "a\u{0}b", "a\nb", &"x".repeat(201)] {
            assert!(name(bad, "").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_connector_needs_a_word_and_a_version_that_can_be_run() {
        assert!(connector("postgres", "v0.9.4", "").is_ok());
        for (kind, version) in [
            ("", "v0.9.4"),
            ("two words", "v0.9.4"),
            ("nul\u{0}", "v0.9.4"),
            ("postgres", ""),
            ("postgres", "latest"),
            ("postgres", "0.9.4"),
            ("postgres", "v0.2.0"),
        ] {
            assert!(connector(kind, version, "").is_err(), "{kind:?} {version:?}");
        }
    }
}

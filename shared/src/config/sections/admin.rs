//! `[admin]`: the first administrator.

use crate::config::{error::ConfigError, secret::Secret, values::Values};

const SHORTEST_PASSWORD: usize = 8;

/// The account that a start without any account makes.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Its name, if one is set.
    pub username: Option<String>,
    /// Its password, if one is set.
    pub password: Option<Secret>,
}

impl AdminConfig {
    pub(in crate::config) fn read(values: &Values) -> Self {
        let username = Some(values.text("admin.username")).filter(|name| !name.is_empty());
        Self { username, password: values.secret("admin.password") }
    }

    pub(in crate::config) fn validate(&self, values: &Values) -> Result<(), ConfigError> {
        match (&self.username, &self.password) {
            (Some(_), None) => Err(values.invalid(
                "admin.username",
                "is set without a password: set admin.password (OLAKE_ADMIN_PASSWORD or OLAKE_ADMIN_PASSWORD_FILE) too",
            )),
            (None, Some(_)) => Err(values.invalid(
                "admin.password",
                "is set without a name: set admin.username (OLAKE_ADMIN_USERNAME) too",
            )),
            (_, Some(password)) if password.expose().chars().count() < SHORTEST_PASSWORD => {
                Err(values.invalid("admin.password", format!("must have at least {SHORTEST_PASSWORD} characters")))
            }
            _ => Ok(()),
        }
    }
}

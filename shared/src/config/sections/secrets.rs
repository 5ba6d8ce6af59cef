//! `[secrets]`: the master keys.

use crate::{
    config::{Deployment, error::ConfigError, secret::Secret, values::Values},
    crypto::KeyRing,
};

/// The master keys of the installation.
#[derive(Clone, Debug)]
pub struct SecretsConfig {
    /// The key that seals; always there for services. On one machine it may be absent: then the data folder has one.
    pub master_key: Option<Secret>,
    /// Earlier keys, which only open.
    pub retired_keys: Vec<Secret>,
}

impl SecretsConfig {
    pub(in crate::config) fn read(values: &Values) -> Self {
        let retired_keys = values.list("secrets.retired_keys").into_iter().map(Secret::new).collect();
        Self { master_key: values.secret("secrets.master_key"), retired_keys }
    }

    pub(in crate::config) fn validate(
        &self,
        deployment: Deployment,
        values: &Values,
    ) -> Result<(), ConfigError> {
        if let Some(key) = &self.master_key {
            KeyRing::new(key, &[])
                .map_err(|error| values.invalid("secrets.master_key", error.to_string()))?;
        } else if deployment == Deployment::Services {
            return Err(ConfigError::Missing {
                key: "secrets.master_key",
                variable: "OLAKE_MASTER_KEY",
                has_file_twin: true,
                why: "It seals the passwords in the database; make one with `openssl rand -base64 32`, and keep a copy",
            });
        }
        for key in &self.retired_keys {
            KeyRing::new(key, &[])
                .map_err(|error| values.invalid("secrets.retired_keys", error.to_string()))?;
        }
        Ok(())
    }
}

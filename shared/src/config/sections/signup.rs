//! `[signup]`: who may make an account.

use crate::config::{Deployment, error::ConfigError, listen::Listen, values::Values};

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignupMode {
    /// Anybody who reaches the API.
    Open,
    /// Nobody.
    Closed,
}

impl SignupMode {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug)]
pub struct SignupConfig {
    /// The mode in force, the deployment's default resolved.
    pub mode: SignupMode,
}

impl SignupConfig {
    /// Without a word in the configuration, sign-up is open on one machine which nobody else can reach, and closed
    /// everywhere else.
    pub(in crate::config) fn read(
        deployment: Deployment,
        listen: Listen,
        values: &Values,
    ) -> Result<Self, ConfigError> {
        let mode = match values.text("signup.mode").as_str() {
            "open" => SignupMode::Open,
            "closed" => SignupMode::Closed,
            "" if deployment == Deployment::Standalone && listen.is_loopback() => SignupMode::Open,
            "" => SignupMode::Closed,
            other => {
                return Err(values.invalid("signup.mode", format!("must be open or closed, not '{other}'")));
            }
        };
        Ok(Self { mode })
    }
}

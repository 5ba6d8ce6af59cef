//! `[redis]`: the bell and the events of services.

use crate::config::{Deployment, error::ConfigError, secret::Secret, values::Values};

/// How Redis is reached.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The URL; always there for services, of no use on one machine.
    pub url: Option<Secret>,
}

impl RedisConfig {
    pub(in crate::config) fn read(values: &Values) -> Self {
        Self { url: values.secret("redis.url") }
    }

    pub(in crate::config) fn validate(
        &self,
        deployment: Deployment,
        values: &Values,
    ) -> Result<(), ConfigError> {
        let Some(url) = &self.url else {
            return match deployment {
                Deployment::Standalone => Ok(()),
                Deployment::Services => Err(ConfigError::Missing {
                    key: "redis.url",
                    variable: "OLAKE_REDIS_URL",
                    has_file_twin: true,
                    why: "The services wake each other through Redis: redis://host:6379/0",
                }),
            };
        };
        match url.expose().split_once("://") {
            Some(("redis" | "redis+unix" | "unix", _)) => Ok(()),
            Some(("rediss", _)) => {
                Err(values.invalid("redis.url", "TLS (rediss://) is not supported: use redis://"))
            }
            _ => Err(values.invalid("redis.url", "must begin with redis://")),
        }
    }
}

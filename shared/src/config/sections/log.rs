//! `[log]`: the log of the service itself.

use tracing_subscriber::EnvFilter;

use crate::config::{error::ConfigError, values::Values};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text, with colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log of the service itself.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How a line is written.
    pub format: LogFormat,
    /// What is logged, as `tracing-subscriber` reads it: `info,olake_worker=debug`.
    pub filter: String,
}

impl LogConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let format = match values.text("log.format").as_str() {
            "auto" => LogFormat::Auto,
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                return Err(
                    values.invalid("log.format", format!("must be auto, text or json, not '{other}'"))
                );
            }
        };
        Ok(Self { format, filter: values.text("log.filter") })
    }

    pub(in crate::config) fn validate(&self, values: &Values) -> Result<(), ConfigError> {
        match EnvFilter::try_new(&self.filter) {
            Ok(_) => Ok(()),
            Err(error) => Err(values.invalid("log.filter", format!("'{}': {error}", self.filter))),
        }
    }
}

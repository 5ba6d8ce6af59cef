//! The log of the service itself, on stdout: text on a terminal, one JSON object a line otherwise.
//!
//! Invariants: what libraries say about single statements and connections is left out unless asked for, since it can
//! hold values; nobody logs a config, a token or a state.

use std::io::{IsTerminal, stdout};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// Libraries that would drown the rest. A filter of the configuration that names one of them wins.
const QUIET: &str = "poem=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,hyper=warn,h2=warn,rustls=warn,redis=warn,\
                     apalis=warn,apalis_core=warn,apalis_redis=warn";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process has a log already.
    #[error("the log cannot be set up: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts the log of this process. Once only.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let on_terminal = stdout().is_terminal();
    let base = registry().with(filter(&config.filter)?);
    if is_json(config.format, on_terminal) {
        base.with(fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false))
            .try_init()?;
    } else {
        base.with(fmt::layer().with_ansi(on_terminal).with_target(false)).try_init()?;
    }
    Ok(())
}

fn is_json(format: LogFormat, on_terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !on_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

fn filter(configured: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("{QUIET},{configured}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_for_terminals_unless_configured() {
        assert!(!is_json(LogFormat::Auto, true) && is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Text, false) && is_json(LogFormat::Json, true));
    }

    #[test]
    fn libraries_are_quiet_unless_the_configuration_names_them() {
        let quiet = filter("info").unwrap().to_string();
        assert!(quiet.contains("sqlx=warn") && quiet.contains("info"), "{quiet}");
        let loud = filter("info,sqlx=debug").unwrap().to_string();
        assert!(loud.contains("sqlx=debug") && !loud.contains("sqlx=warn"), "{loud}");
        assert!(filter("olake=loud").is_err());
    }
}

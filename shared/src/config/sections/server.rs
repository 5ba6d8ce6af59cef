//! `[server]`: the API's HTTP server. The limits of bodies are constants of the contract, and no settings.

use std::{path::PathBuf, time::Duration};

use crate::config::{error::ConfigError, listen::Listen, values::Values};

/// The API's HTTP server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: Listen,
    /// The origins of other servers' pages that may call it with a user's cookie: `scheme://host[:port]`.
    pub cors_origins: Vec<String>,
    /// Whether the session cookie is for HTTPS only.
    pub cookie_secure: bool,
    /// How long a login lasts.
    pub session_ttl: Duration,
    /// The folder of the web UI's built files.
    pub ui_dir: Option<PathBuf>,
}

impl ServerConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let listen = values.text("server.listen").parse();
        let hours = values.number("server.session_ttl_hours", 1, 87_600)?;
        Ok(Self {
            listen: listen.map_err(|reason: &str| values.invalid("server.listen", reason))?,
            cors_origins: values.list("server.cors_origins"),
            cookie_secure: values.flag("server.cookie_secure"),
            session_ttl: Duration::from_secs(u64::from(hours) * 3_600),
            ui_dir: Some(values.text("server.ui_dir")).filter(|dir| !dir.is_empty()).map(PathBuf::from),
        })
    }

    pub(in crate::config) fn validate(&self, values: &Values) -> Result<(), ConfigError> {
        if let Some(dir) = &self.ui_dir
            && !dir.join("index.html").is_file()
        {
            return Err(values.invalid("server.ui_dir", "the folder holds no index.html"));
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(odd) => {
                let reason =
                    format!("'{odd}' is no origin: it looks like https://olake.example.com, without a path");
                Err(values.invalid("server.cors_origins", reason))
            }
        }
    }
}

/// Whether a text is an origin as browsers write it: in lower case, without a path or a slash at the end.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| {
        let known = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        };
        !host.is_empty() && host.bytes().all(known)
    })
}

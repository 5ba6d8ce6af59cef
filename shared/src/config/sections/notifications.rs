//! `[notifications]`: webhooks.

use url::Url;

use crate::config::{error::ConfigError, values::Values};

/// Webhooks.
#[derive(Clone, Debug)]
pub struct NotificationsConfig {
    /// Whether they may lead to this machine or to a private network.
    pub allow_private: bool,
    /// Where people reach this installation, without a slash at its end; none: notifications have no link.
    pub public_url: Option<String>,
}

impl NotificationsConfig {
    pub(in crate::config) fn read(values: &Values) -> Self {
        let public_url = values.text("notifications.public_url");
        Self {
            allow_private: values.flag("notifications.allow_private"),
            public_url: Some(public_url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty()),
        }
    }

    pub(in crate::config) fn validate(&self, values: &Values) -> Result<(), ConfigError> {
        let Some(text) = &self.public_url else { return Ok(()) };
        let good =
            Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if good {
            return Ok(());
        }
        Err(values.invalid("notifications.public_url", "must be a URL such as https://olake.example.org"))
    }
}

//! Webhooks: what is told, in which form, and to which URL.

use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

use super::{
    address::is_public,
    task::{UnknownWord, words},
};

words! {
    /// What a notification tells.
    NotificationEvent("event") {
        /// A task of a job failed.
        Failure = "failure",
        /// The first success of a job after a failure.
        Recovery = "recovery",
        /// Any other success.
        Success = "success",
        /// A person tries the webhook.
        Test = "test",
    }
}

words! {
    /// The form of a notification's body.
    NotificationFormat("format") {
        /// An object with all that is known.
        Json = "json",
        /// `{"text": "…"}`, which chat tools take.
        Text = "text",
    }
}

words! {
    /// Where the delivery of a notification stands.
    DeliveryStatus("status") {
        /// It will be tried, or tried again.
        Pending = "pending",
        /// The receiver took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}

/// The longest URL that is taken, in bytes.
pub const LONGEST_URL: usize = 2_048;

/// Where notifications go: an `http` or `https` URL with a host. It may hold a password or a token, and so has no
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a URL is none for a webhook. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// It cannot be read at all.
    #[error("this is no URL")]
    NoUrl,
    /// Another protocol.
    #[error("it must begin with http:// or https://")]
    Scheme,
    /// Longer than [`LONGEST_URL`].
    #[error("it is longer than {LONGEST_URL} bytes")]
    TooLong,
    /// See [`is_public`].
    #[error(
        "it leads to this machine or to a private network, which this installation refuses \
         (notifications.allow_private)"
    )]
    Private,
}

impl WebhookUrl {
    /// Reads a URL. Whether its host may be called is another question: [`Self::check_host`].
    ///
    /// # Errors
    /// [`WebhookUrlError`], for the person who gave it.
    pub fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        if text.len() > LONGEST_URL {
            return Err(WebhookUrlError::TooLong);
        }
        let url = Url::parse(text.trim()).map_err(|_| WebhookUrlError::NoUrl)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self(url)),
            _ => Err(WebhookUrlError::Scheme),
        }
    }

    /// Refuses hosts that can be told at once to be no public ones: addresses, and the names of this machine. What
    /// other names stand for is known only when they are looked up, and is checked then.
    ///
    /// # Errors
    /// [`WebhookUrlError::Private`].
    pub fn check_host(&self) -> Result<(), WebhookUrlError> {
        let public = match self.0.host() {
            Some(Host::Ipv4(v4)) => is_public(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => is_public(IpAddr::V6(v6)),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name != "localhost" && !name.ends_with(".localhost")
            }
            None => false,
        };
        if public { Ok(()) } else { Err(WebhookUrlError::Private) }
    }

    /// The URL itself, with its secrets.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_https_urls_are_taken() {
        for good in
            ["http://example.com", "https://user:pass@example.com:8443/a?b=c", " https://example.com/x "]
        {
            assert!(WebhookUrl::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_webhook_is_told_apart() {
        for (bad, why) in [
            ("", WebhookUrlError::NoUrl),
            ("example.com/hook", WebhookUrlError::NoUrl),
            ("http://", WebhookUrlError::NoUrl),
            ("ftp://example.com", WebhookUrlError::Scheme),
            ("file:///etc/passwd", WebhookUrlError::Scheme),
            ("javascript:alert(1)", WebhookUrlError::Scheme),
        ] {
            assert_eq!(WebhookUrl::parse(bad).err(), Some(why), "{bad}");
        }
        let long = format!("http://example.com/{}", "a".repeat(LONGEST_URL));
        assert_eq!(WebhookUrl::parse(&long).err(), Some(WebhookUrlError::TooLong));
    }

    #[test]
    fn hosts_of_this_machine_are_refused_however_they_are_written() {
        for private in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::1]:8080/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            let url = WebhookUrl::parse(private).unwrap();
            assert_eq!(url.check_host(), Err(WebhookUrlError::Private), "{private}");
        }
        assert_eq!(WebhookUrl::parse("https://hooks.example.com/x").unwrap().check_host(), Ok(()));
    }
}

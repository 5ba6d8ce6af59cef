//! The request of a call.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use olake_shared::{
    clock::SharedClock, crypto::signature::sign, domain::webhook::WebhookUrl,
    store::notifications::outbox::Delivery,
};
use percent_encoding::percent_decode_str;
use url::Url;

use super::message;
use crate::http::{AGENT, CallError, basic, exchange, host, target};

/// Of an answer's body so much is read, so that the receiver can end properly.
const BODY_READ: usize = 64 * 1024;

/// How webhooks are called.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether they may lead to this machine or to a private network.
    pub allow_private: bool,
    /// Where people reach this installation; none: notifications have no link.
    pub public_url: Option<String>,
    /// How long a call may take.
    pub timeout: Duration,
    /// The wait after the first failure; doubled with each.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_private: false,
            public_url: None,
            timeout: Duration::from_secs(10),
            first_wait: Duration::from_secs(10),
            longest_wait: Duration::from_secs(3_600),
        }
    }
}

impl Policy {
    /// The wait after try `attempt` (from 1) has failed.
    pub fn wait_after(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(20);
        self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait)
    }
}

/// Calls webhooks.
pub struct Caller {
    pub policy: Policy,
    clock: SharedClock,
}

impl Caller {
    /// A caller; signatures carry the time of `clock`.
    pub fn new(policy: Policy, clock: SharedClock) -> Self {
        Self { policy, clock }
    }

    /// Delivers a notification once. Answers the receiver's status, whatever it is.
    ///
    /// # Errors
    /// [`CallError`] when there was no answer.
    pub async fn call(&self, delivery: &Delivery) -> Result<StatusCode, CallError> {
        let url = WebhookUrl::parse(delivery.target.url.expose())
            .map_err(|error| CallError::Url(error.to_string()))?;
        let body = message::body(delivery, self.policy.public_url.as_deref());
        let request = self.request(url.url(), delivery, body)?;
        let (allow_private, limit) = (self.policy.allow_private, self.policy.timeout);
        let (answer, _) = exchange(url.url(), allow_private, request, BODY_READ, limit).await?;
        Ok(answer.status)
    }

    fn request(
        &self,
        url: &Url,
        delivery: &Delivery,
        body: String,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let timestamp = self.clock.now().timestamp();
        let mut request = Request::post(target(url))
            .header(HOST, host(url))
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header("X-OLake-Delivery", delivery.id.to_string())
            .header("X-OLake-Event", delivery.event.as_str())
            .header("X-OLake-Timestamp", timestamp);
        if let Some(secret) = &delivery.target.secret {
            request =
                request.header("X-OLake-Signature", format!("sha256={}", sign(secret, timestamp, &body)));
        }
        if let Some(credentials) = credentials(url) {
            request = request.header(AUTHORIZATION, credentials);
        }
        request.body(Full::new(body.into())).map_err(|_| CallError::Request)
    }
}

/// User name and password of the URL as a header.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| -> Vec<u8> { percent_decode_str(text).collect() };
    basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = Policy::default();
        let seconds: Vec<_> = (1..=11).map(|attempt| policy.wait_after(attempt).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
        assert_eq!(policy.wait_after(i32::MAX).as_secs(), 3_600);
    }

    #[test]
    fn credentials_of_a_url_become_a_header() {
        let header =
            |url: &str| credentials(&Url::parse(url).unwrap()).map(|h| h.to_str().unwrap().to_owned());
        assert_eq!(header("https://user:p%40ss@example.com/").as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(header("https://example.com/"), None);
    }
}

//! The request of a call.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::handshake,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use olake_shared::{
    clock::SharedClock, crypto::signature::sign, domain::webhook::WebhookUrl,
    store::notifications::outbox::Delivery,
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;

use super::{CallError, connect::connect, message};

/// Of an answer's body so much is read, so that the receiver can end properly.
const BODY_READ: usize = 64 * 1024;

const AGENT: &str = concat!("OLake/", env!("CARGO_PKG_VERSION"));

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
        timeout(self.policy.timeout, exchange(url.url(), self.policy.allow_private, request))
            .await
            .unwrap_or(Err(CallError::Timeout(self.policy.timeout.as_secs())))
    }

    fn request(
        &self,
        url: &Url,
        delivery: &Delivery,
        body: String,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let timestamp = self.clock.now().timestamp();
        let mut target = url.path().to_owned();
        if let Some(query) = url.query() {
            target.push('?');
            target.push_str(query);
        }
        let mut request = Request::post(target)
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

async fn exchange(
    url: &Url,
    allow_private: bool,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, CallError> {
    let stream = connect(url, allow_private).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // Whatever it says, and whether or not it comes whole: the status is the answer.
        let _ = Limited::new(response.into_body(), BODY_READ).collect().await;
        Ok(status)
    };
    // The connection moves while the answer is waited for, and goes with it: how it ends tells nothing more.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answered => answer,
        () = driven => Err(CallError::Request),
    }
}

/// The `Host` header: with the port, unless it is the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// User name and password of the URL as a header.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut text: Vec<u8> = percent_decode_str(url.username()).collect();
    text.push(b':');
    text.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
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

    #[test]
    fn the_host_header_names_a_port_of_its_own_only() {
        let of = |url: &str| host(&Url::parse(url).unwrap());
        assert_eq!(of("https://example.com:443/x"), "example.com");
        assert_eq!(of("http://[::1]:8080/x"), "[::1]:8080");
    }
}

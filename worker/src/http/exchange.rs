//! A request and its answer.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, body::Bytes, client::conn::http1::handshake, header::HeaderValue, http::response::Parts,
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use url::Url;

use super::{CallError, connect::connect};

/// What this client calls itself.
pub const AGENT: &str = concat!("OLake/", env!("CARGO_PKG_VERSION"));

/// Sends a request to the server of a URL, and reads at most `most` bytes of the answer's body: of a longer one, or one that
/// breaks off, none is there.
///
/// # Errors
/// [`CallError`] when there is no answer within `limit`.
pub async fn exchange(
    url: &Url,
    allow_private: bool,
    request: Request<Full<Bytes>>,
    most: usize,
    limit: Duration,
) -> Result<(Parts, Option<Bytes>), CallError> {
    timeout(limit, unbounded(url, allow_private, request, most))
        .await
        .unwrap_or(Err(CallError::Timeout(limit.as_secs())))
}

async fn unbounded(
    url: &Url,
    allow_private: bool,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<(Parts, Option<Bytes>), CallError> {
    let stream = connect(url, allow_private).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, most).collect().await;
        Ok((parts, body.ok().map(http_body_util::Collected::to_bytes)))
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

/// Path and query of a URL.
pub fn target(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// The `Host` header: with the port, unless it is the scheme's own.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A user name and a password as a header.
pub fn basic(username: &[u8], password: &[u8]) -> Option<HeaderValue> {
    let text = STANDARD.encode([username, b":", password].concat());
    let mut value = HeaderValue::from_str(&format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_a_port_of_its_own_only() {
        let of = |url: &str| host(&Url::parse(url).unwrap());
        assert_eq!(of("https://example.com:443/x"), "example.com");
        assert_eq!(of("http://[::1]:8080/x"), "[::1]:8080");
    }
}

//! Reads a document from an address that the configuration names.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT},
};
use url::Url;

use super::{AGENT, CallError, exchange, host, target};

/// How long one document may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest document.
const LONGEST: usize = 8 * 1024 * 1024;

/// What a server answered.
pub struct Document {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// None when it is too long, or broke off.
    pub body: Option<Bytes>,
}

/// Reads what is at a URL of the configuration, which may be of a private network. User name and password of the URL are
/// not sent.
///
/// # Errors
/// [`CallError`] when there is no answer, whatever its status.
pub async fn get(url: &Url, authorization: Option<&HeaderValue>) -> Result<Document, CallError> {
    let mut request = Request::get(target(url))
        .header(HOST, host(url))
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Full::new(Bytes::new())).map_err(|_| CallError::Request)?;
    let (parts, body) = exchange(url, true, request, LONGEST, LIMIT).await?;
    Ok(Document { status: parts.status, headers: parts.headers, body })
}

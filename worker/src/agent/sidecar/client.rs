//! The agent's calls: one connection, one request at a time, over TLS when the URL says so.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use url::{Host, Url};

use super::settings::Settings;
use crate::internal::{CONTENT_LIMIT, wire::Refused};

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(5);

/// Bodies beyond this are packed, in bytes.
const PACKED_BEYOND: usize = 1 << 20;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was refused; for how long, the status says.
    #[error("{status}: {}", refused.message)]
    Refused { status: StatusCode, refused: Refused },
    /// Nobody answered, or not in time; or the answer was none.
    #[error("{0}")]
    Away(String),
}

impl CallError {
    fn away(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Away(format!("{what}: {error}"))
    }

    /// Whether the same call may succeed later.
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    /// Whether the body was larger than is taken.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::PAYLOAD_TOO_LARGE, .. })
    }

    /// Why what the connector is to be given cannot be read, if it is that.
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Refused { refused, .. } if refused.unreadable => Some(&refused.message),
            _ => None,
        }
    }

    /// Whether nothing that this agent tells counts any more. A worker that does not know its token may be one that has
    /// not got a new key yet.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Away(_) => false,
            Self::Refused { status, refused } => refused.over || *status == StatusCode::FORBIDDEN,
        }
    }
}

/// Calls the workers about one attempt.
pub struct Client {
    target: Arc<Target>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// Where calls go. Shared by clients.
pub struct Target {
    url: Url,
    /// The path before the name of a call.
    path: String,
    authorization: HeaderValue,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// The workers of these settings.
    ///
    /// # Errors
    /// When the token or the certificate authority cannot be read.
    pub fn new(settings: &Settings) -> io::Result<Arc<Self>> {
        let token = settings.token()?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| io::Error::other("it is no token"))?;
        authorization.set_sensitive(true);
        let tls = match settings.url.scheme() {
            "https" => Some(client_config(settings.ca.as_deref())?),
            _ => None,
        };
        let path = format!(
            "{}/internal/v1/attempts/{}/{}/",
            settings.url.path().trim_end_matches('/'),
            settings.task,
            settings.attempt
        );
        Ok(Arc::new(Self { url: settings.url.clone(), path, authorization, tls }))
    }
}

impl Client {
    /// A client that has no connection yet.
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, connection: None }
    }

    /// Calls `name` and reads the answer; None: it has no content.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        name: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Option<T>, CallError> {
        let answered = timeout(within, self.exchange(method, name, body)).await;
        let (status, content) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.connection = None;
                return Err(error);
            }
            Err(_) => {
                self.connection = None;
                return Err(CallError::Away(format!("no answer within {} s", within.as_secs())));
            }
        };
        if status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if !status.is_success() {
            let refused = serde_json::from_slice(&content).unwrap_or_default();
            return Err(CallError::Refused { status, refused });
        }
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| CallError::away("the answer is none", error))
    }

    async fn exchange(
        &mut self,
        method: Method,
        name: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let request = self.request(method, name, body)?;
        let mut sender = match self.connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => connect(&self.target).await?,
        };
        sender.ready().await.map_err(|error| CallError::away("the connection broke", error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| CallError::away("the connection broke", error))?;
        let status = response.status();
        let limit = usize::try_from(CONTENT_LIMIT).unwrap_or(usize::MAX);
        let content = Limited::new(response.into_body(), limit)
            .collect()
            .await
            .map_err(|error| CallError::away("the answer did not come whole", error))?;
        self.connection = Some(sender);
        Ok((status, content.to_bytes()))
    }

    fn request(&self, method: Method, name: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, CallError> {
        let url = &self.target.url;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{name}", self.target.path))
            .header(HOST, host)
            .header(AUTHORIZATION, &self.target.authorization);
        let mut body = body;
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if body.len() > PACKED_BEYOND {
            body = packed(&body).map_err(|error| CallError::away("the body was not packed", error))?;
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        request
            .body(Full::new(body.into()))
            .map_err(|error| CallError::away("the request was not made", error))
    }
}

fn packed(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, CallError> {
    let stream = connect_to_any(&target.url).await?;
    // Pushes are small, and waited for.
    let _ = stream.set_nodelay(true);
    match &target.tls {
        None => shake_hands(stream).await,
        Some(config) => {
            let secured = TlsConnector::from(config.clone()).connect(server_name(&target.url)?, stream);
            shake_hands(secured.await.map_err(|error| CallError::away("TLS failed", error))?).await
        }
    }
}

async fn shake_hands(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, CallError> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| CallError::away("the connection broke", error))?;
    // How it ends is seen by the request that it carries.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

async fn connect_to_any(url: &Url) -> Result<TcpStream, CallError> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(v4)) => vec![(v4, port).into()],
        Some(Host::Ipv6(v6)) => vec![(v6, port).into()],
        _ => {
            let found = lookup_host((host, port)).await;
            found.map_err(|error| CallError::away(&format!("{host} was not found"), error))?.collect()
        }
    };
    let mut last = CallError::Away(format!("{host} has no address"));
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = CallError::away(&format!("{address} cannot be reached"), error),
            Err(_) => last = CallError::Away(format!("{address} does not answer")),
        }
    }
    Err(last)
}

fn server_name(url: &Url) -> Result<ServerName<'static>, CallError> {
    Ok(match url.host() {
        Some(Host::Ipv4(v4)) => ServerName::IpAddress(std::net::IpAddr::V4(v4).into()),
        Some(Host::Ipv6(v6)) => ServerName::IpAddress(std::net::IpAddr::V6(v6).into()),
        _ => ServerName::try_from(url.host_str().unwrap_or_default().to_owned())
            .map_err(|error| CallError::away("the URL's host is no name", error))?,
    })
}

/// TLS that trusts a certificate authority of a file, or those that browsers trust.
fn client_config(ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let failed = |error: String| io::Error::other(format!("{}: {error}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))? {
                let certificate = certificate.map_err(|e| failed(e.to_string()))?;
                roots.add(certificate).map_err(|e| failed(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate".to_owned()));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

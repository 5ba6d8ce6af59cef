//! The connection of a call.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use olake_shared::domain::address::is_public;
use tokio::{
    io::{AsyncRead, AsyncWrite},
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

use super::CallError;

/// How long one address may take to answer, while others are left to try.
const EACH_ADDRESS: Duration = Duration::from_secs(3);

/// A connection, plain or by TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to the server of a URL. Unless `allow_private`, all addresses of its host must be public.
///
/// # Errors
/// [`CallError`].
pub async fn connect(url: &Url, allow_private: bool) -> Result<Box<dyn Stream>, CallError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let addresses = addresses(url, &host).await?;
    if !allow_private && let Some(address) = addresses.iter().find(|address| !is_public(address.ip())) {
        return Err(CallError::Refused { host, address: address.ip() });
    }
    let stream = connect_to_any(&host, &addresses).await?;
    match url.scheme() {
        "https" => Ok(Box::new(secure(&host, url, stream).await?)),
        _ => Ok(Box::new(stream)),
    }
}

/// Every address that the host of a URL has now.
async fn addresses(url: &Url, host: &str) -> Result<Vec<SocketAddr>, CallError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let failed = |source| CallError::Lookup { host: host.to_owned(), source };
    let found: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(v4)) => vec![(v4, port).into()],
        Some(Host::Ipv6(v6)) => vec![(v6, port).into()],
        Some(Host::Domain(name)) => lookup_host((name, port)).await.map_err(failed)?.collect(),
        None => Vec::new(),
    };
    if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

async fn connect_to_any(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, CallError> {
    let mut last = CallError::Lookup { host: host.to_owned(), source: io::ErrorKind::NotFound.into() };
    for address in addresses {
        let connected = timeout(EACH_ADDRESS, TcpStream::connect(address));
        match connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(source) => last = CallError::Connect { address: *address, source },
        }
    }
    Err(last)
}

async fn secure(host: &str, url: &Url, stream: TcpStream) -> Result<impl Stream + use<>, CallError> {
    let failed = |source| CallError::Tls { host: host.to_owned(), source };
    let name = match url.host() {
        Some(Host::Ipv4(v4)) => ServerName::IpAddress(std::net::IpAddr::V4(v4).into()),
        Some(Host::Ipv6(v6)) => ServerName::IpAddress(std::net::IpAddr::V6(v6).into()),
        _ => ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?,
    };
    let config = client_config().map_err(failed)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(failed)
}

/// Where systems keep the certificate authorities that they trust, unless `SSL_CERT_FILE` names a file.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS with the certificate authorities that browsers trust, and those of the system: a company has its own.
fn client_config() -> Result<Arc<ClientConfig>, io::Error> {
    static CONFIG: LazyLock<Option<Arc<ClientConfig>>> = LazyLock::new(|| {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let file = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| SYSTEM_AUTHORITIES.into());
        // A file that is not there, or a certificate that cannot be read, adds nothing.
        if let Ok(certificates) = CertificateDer::pem_file_iter(file) {
            roots.add_parsable_certificates(certificates.flatten());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Some(Arc::new(config))
    });
    CONFIG.clone().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

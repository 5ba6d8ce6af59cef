//! The port, with TLS or without. The certificate is read again when its files change.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use olake_shared::config::{Listen, TlsFiles};
use poem::{
    Server,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Internal, routes};

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the files of the certificate are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long requests may go on after the stop.
const LAST_REQUESTS: Duration = Duration::from_secs(9);

/// The pause after an accept that failed, as when there are no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the port cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// It is taken.
    #[error("worker.internal_listen (OLAKE_INTERNAL_LISTEN): {address} cannot be listened on: {source}")]
    Bind {
        address: String,
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(
        "the certificate {} or its key {} cannot be used (OLAKE_INTERNAL_TLS_CERT, OLAKE_INTERNAL_TLS_KEY): {reason}",
        files.cert.display(), files.key.display()
    )]
    Certificate { files: TlsFiles, reason: String },
}

/// A bound port that does not answer yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Certificate>,
}

/// Binds the port.
///
/// # Errors
/// [`InternalError`].
pub async fn bind(listen: Listen, tls: Option<&TlsFiles>) -> Result<Bound, InternalError> {
    let certificate = tls.map(Certificate::read).transpose()?;
    let wanted = listen.addresses().first().map(ToString::to_string).unwrap_or_default();
    let failed = |source| InternalError::Bind { address: wanted.clone(), source };
    let listener = TcpListener::bind(&wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address, certificate })
}

impl Bound {
    /// The address, with the port that the system chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the stop of `internal`; requests under way may end.
    pub async fn serve(self, internal: Internal) {
        let stop = internal.stop.clone();
        let (sender, connections) = mpsc::channel(16);
        let address = self.address;
        let accepting = tokio::spawn(accept(self.listener, self.certificate, sender, stop.clone()));
        let served = Server::new_with_acceptor(Accepted { connections, address })
            .name("internal")
            .run_with_graceful_shutdown(routes::app(internal), stop.cancelled(), Some(LAST_REQUESTS))
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the internal port ended");
        }
        accepting.abort();
    }
}

/// A connection, plain or by TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Connection = (Box<dyn Stream>, SocketAddr);

/// Takes connections, and agrees on TLS beside that: a slow client holds up no other.
async fn accept(
    listener: TcpListener,
    mut certificate: Option<Certificate>,
    connections: mpsc::Sender<Connection>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the internal port was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are small, and waited for.
        let _ = stream.set_nodelay(true);
        let Some(certificate) = &mut certificate else {
            if connections.send((Box::new(stream), from)).await.is_err() {
                return;
            }
            continue;
        };
        let (acceptor, connections) = (TlsAcceptor::from(certificate.newest()), connections.clone());
        tokio::spawn(agree(acceptor, stream, from, connections));
    }
}

async fn agree(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
    connections: mpsc::Sender<Connection>,
) {
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            // An error says that the server has ended.
            let _ = connections.send((Box::new(stream), from)).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%from, %error, "a client of the internal port did not agree on TLS");
        }
        Err(_) => tracing::debug!(%from, "a client of the internal port took too long to agree on TLS"),
    }
}

struct Accepted {
    connections: mpsc::Receiver<Connection>,
    address: SocketAddr,
}

impl Acceptor for Accepted {
    type Io = Box<dyn Stream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.address.into())]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.connections.recv().await {
            Some((stream, from)) => {
                Ok((stream, LocalAddr(self.address.into()), RemoteAddr(from.into()), Scheme::HTTP))
            }
            // The stop ends the server.
            None => std::future::pending().await,
        }
    }
}

/// A certificate with its key.
struct Certificate {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    changed: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Certificate {
    fn read(files: &TlsFiles) -> Result<Self, InternalError> {
        let changed = changed(files);
        let config = server_config(files)
            .map_err(|reason| InternalError::Certificate { files: files.clone(), reason })?;
        Ok(Self { files: files.clone(), config, changed, looked: Instant::now() })
    }

    /// The configuration of the files as they are now, or were when they last made sense.
    fn newest(&mut self) -> Arc<ServerConfig> {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            let changed = changed(&self.files);
            if changed != self.changed {
                match server_config(&self.files) {
                    Ok(config) => {
                        tracing::info!("the certificate of the internal port was read again");
                        self.config = config;
                        self.changed = changed;
                    }
                    Err(reason) => {
                        tracing::warn!(reason, "the new certificate of the internal port is not used");
                    }
                }
            }
        }
        self.config.clone()
    }
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    let of = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    [of(&files.cert), of(&files.key)]
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("the certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| format!("the key: {error}"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

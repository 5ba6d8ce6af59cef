//! The HTTP server: binding the addresses, serving until the shutdown, ending in time.

use std::{future::poll_fn, io, net::SocketAddr, task::Poll, time::Duration};

use olake_shared::config::Listen;
use poem::{
    Server,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    app::app,
    context::Context,
    hang_up::UntilHangUp,
    slow_client::{Hurried, Patience},
    unreadable::Enveloped,
};

/// How long requests may go on after the shutdown began.
const LAST_REQUESTS: Duration = Duration::from_secs(9);

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}{}", hint(source))]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// Serving failed.
    #[error("the HTTP server failed")]
    Serve(#[source] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there (another port: OLAKE_LISTEN=localhost:8090)"
        }
        io::ErrorKind::PermissionDenied => ": ports below 1024 need privileges",
        _ => "",
    }
}

/// A server that is bound and not serving yet: connections wait.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    listen: Listen,
    addresses: Vec<SocketAddr>,
}

/// Binds the addresses of `listen`. `localhost` is 127.0.0.1 and, where the machine has it, ::1, on one port.
///
/// # Errors
/// [`ServeError::Bind`].
pub async fn bind(listen: Listen) -> Result<Bound, ServeError> {
    let mut bound = Bound { listeners: Vec::new(), listen, addresses: Vec::new() };
    for mut address in listen.addresses() {
        if let Some(first) = bound.addresses.first() {
            address.set_port(first.port());
        }
        match TcpListener::bind(address).await {
            Ok(listener) => {
                bound
                    .addresses
                    .push(listener.local_addr().map_err(|source| ServeError::Bind { address, source })?);
                bound.listeners.push(listener);
            }
            Err(source) if bound.listeners.is_empty() || source.kind() == io::ErrorKind::AddrInUse => {
                return Err(ServeError::Bind { address, source });
            }
            Err(error) => tracing::debug!(%address, %error, "this machine has no such address"),
        }
    }
    if let Some(address) = bound.addresses.first() {
        bound.listen.port = address.port();
    }
    Ok(bound)
}

impl Bound {
    /// The URL to show to a person on this machine: `http://localhost:8080`.
    pub fn url(&self) -> String {
        self.listen.url()
    }

    /// The bound addresses, with the port that the system chose if it was asked to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until the context's shutdown, then lets the requests under way end, for at most ten seconds.
    ///
    /// # Errors
    /// [`ServeError::Serve`].
    pub async fn serve(self, context: Context) -> Result<(), ServeError> {
        let shutdown = context.shutdown.clone();
        tracing::info!("the API listens on {}", self.url());
        let acceptor = LowLatency { listeners: self.listeners, addresses: self.addresses };
        Server::new_with_acceptor(acceptor)
            .name("api")
            .run_with_graceful_shutdown(app(context), shutdown.cancelled_owned(), Some(LAST_REQUESTS))
            .await
            .map_err(ServeError::Serve)
    }
}

/// Binds and serves until `shutdown`.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    mut context: Context,
    listen: Listen,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    context.shutdown = shutdown;
    bind(listen).await?.serve(context).await
}

/// Accepts from several listeners, and sends small answers at once (`TCP_NODELAY`).
struct LowLatency {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Acceptor for LowLatency {
    type Io = UntilHangUp<Hurried<Enveloped<TcpStream>>>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.addresses.iter().map(|address| LocalAddr((*address).into())).collect()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let accepted = poll_fn(|cx| {
            for (listener, local) in self.listeners.iter().zip(&self.addresses) {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    return Poll::Ready(accepted.map(|(stream, remote)| (stream, *local, remote)));
                }
            }
            Poll::Pending
        })
        .await;
        match accepted {
            Ok((stream, local, remote)) => {
                // Without it answers are slower, and right all the same.
                let _ = stream.set_nodelay(true);
                Ok((
                    UntilHangUp::new(Hurried::new(Enveloped::new(stream), Patience::default())),
                    LocalAddr(local.into()),
                    RemoteAddr(remote.into()),
                    Scheme::HTTP,
                ))
            }
            Err(error) => {
                // Most often too many open files: it passes as connections end, and asking at once is of no use.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_bound_on_one_port_that_the_system_chose() {
        let bound = bind("localhost:0".parse().unwrap()).await.unwrap();
        let port = bound.addresses()[0].port();
        assert_ne!(port, 0);
        assert!(bound.addresses().iter().all(|address| address.port() == port && address.ip().is_loopback()));
        assert_eq!(bound.url(), format!("http://localhost:{port}"));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_that_says_so() {
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = bound.addresses()[0].to_string().parse().unwrap();
        let error = bind(taken).await.unwrap_err().to_string();
        assert!(error.contains("another program listens there"), "{error}");
    }
}

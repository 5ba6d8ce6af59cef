//! The HTTP server: binding the addresses, serving until the shutdown, ending in time.
//!
//! It is hyper's, and not poem's: poem goes on with a connection that has failed. An answer that breaks off in the middle
//! would be ended like a whole one, and a handler whose client is gone would not be given up.

use std::{
    convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll,
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use olake_shared::config::Listen;
use poem::{
    Endpoint,
    endpoint::BoxEndpoint,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::app,
    context::Context,
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
    pub async fn serve(self, context: Context) {
        let shutdown = context.shutdown.clone();
        tracing::info!("the API listens on {}", self.url());
        let app = Arc::new(app(context));
        let (connections, too_late) = (TaskTracker::new(), CancellationToken::new());
        while let Some(accepted) = shutdown.run_until_cancelled(self.accept()).await {
            match accepted {
                Ok(accepted) => {
                    let connection = accepted.serve(Arc::clone(&app), shutdown.clone());
                    let too_late = too_late.clone();
                    connections.spawn(async move { too_late.run_until_cancelled(connection).await });
                }
                // Most often too many open files: it passes as connections end, and asking at once is of no use.
                Err(error) => {
                    tracing::debug!(%error, "a connection cannot be taken");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.listeners);
        connections.close();
        if timeout(LAST_REQUESTS, connections.wait()).await.is_err() {
            too_late.cancel();
            connections.wait().await;
        }
    }

    /// The next connection to any of the addresses.
    async fn accept(&self) -> io::Result<Accepted> {
        poll_fn(|cx| {
            for (listener, local) in self.listeners.iter().zip(&self.addresses) {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    let accepted =
                        accepted.map(|(stream, remote)| Accepted { stream, local: *local, remote });
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// A connection that was taken.
struct Accepted {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Accepted {
    /// Answers its requests until it ends, or until the one under way when the shutdown begins.
    async fn serve(self, app: Arc<BoxEndpoint<'static, poem::Response>>, shutdown: CancellationToken) {
        let Self { stream, local, remote } = self;
        // Small answers are sent at once. Without it they are slower, and right all the same.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request: Request<Incoming>| {
            let app = Arc::clone(&app);
            async move {
                let parts = (request, LocalAddr(local.into()), RemoteAddr(remote.into()), Scheme::HTTP);
                Ok::<Response<_>, Infallible>(app.get_response(parts.into()).await.into())
            }
        });
        let stream = TokioIo::new(Hurried::new(Enveloped::new(stream), Patience::default()));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().max_pending_accept_reset_streams(20).max_header_list_size(16 << 10);
        let mut connection = pin!(builder.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection broke off");
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

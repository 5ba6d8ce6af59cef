//! The HTTP client of the worker: one request on one connection, to an address that was looked at.
//!
//! - [`connect`]: the connection, plain or by TLS;
//! - [`exchange`]: a request and its answer;
//! - [`get`]: reads a JSON document, as registries and feeds give them.
//!
//! Invariants: the address that is connected to is the one that was checked, however often a name changes its meaning;
//! redirects are not followed, and no proxy is asked; a call takes a bounded time, and of an answer's body a bounded part is
//! read; no error shows a URL's path, query or password, nor a header.

pub mod connect;
mod exchange;
mod get;

use std::{io, net::SocketAddr};

pub use exchange::{AGENT, basic, exchange, host, target};
pub use get::{Document, get};

/// Why a call came to no answer. In words for the person who set the address up.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The stored URL is none.
    #[error("the URL cannot be used: {0}")]
    Url(String),
    /// The host leads to this machine or a private network.
    #[error(
        "'{host}' leads to {address}, which is this machine or a private network; such addresses are refused here \
         (notifications.allow_private)"
    )]
    Refused { host: String, address: std::net::IpAddr },
    /// The name has no address.
    #[error("'{host}' has no address: {source}")]
    Lookup { host: String, source: io::Error },
    /// Nobody answers there.
    #[error("{address} cannot be connected to: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    /// The server's certificate was refused, or it speaks no TLS.
    #[error("no secure connection to '{host}': {source}")]
    Tls { host: String, source: io::Error },
    /// The connection broke, or it is no HTTP.
    #[error("the server did not answer properly: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be made of what is stored.
    #[error("the request cannot be made")]
    Request,
    /// Too slow.
    #[error("no answer within {0} seconds")]
    Timeout(u64),
}

impl CallError {
    /// Whether it would come to the same however often it is tried.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Refused { .. } | Self::Request)
    }
}

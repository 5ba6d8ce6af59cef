//! Requests that are no HTTP: broken request lines, heads that are too long.
//!
//! hyper answers them by itself, with a status and nothing else, before any code of ours sees them, and has no place to say
//! it otherwise. [`Enveloped`] sees that answer on its way out and sends the envelope in its place. It is told from ours by
//! what it lacks: each of ours has an `X-Request-Id`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use poem_openapi::types::ToJSON;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{layers::request_id, problem};

/// What hyper answers by itself: the beginning of its answer, and what is said instead.
const ANSWERS: [(&str, &str); 3] = [
    ("HTTP/1.1 400 Bad Request\r\n", "Bad request: request: it is no HTTP/1.1 request that can be read"),
    ("HTTP/1.1 414 URI Too Long\r\n", "The request's address is too long"),
    (
        "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        "The request's header fields are too many, or too long",
    ),
];

/// A stream on which whatever is answered by itself is answered in the envelope.
#[derive(Debug)]
pub struct Enveloped<S> {
    stream: S,
    /// What is sent in place of the answer that was written.
    instead: Vec<u8>,
}

impl<S> Enveloped<S> {
    /// Wraps an open stream.
    pub fn new(stream: S) -> Self {
        Self { stream, instead: Vec::new() }
    }
}

/// What to send in place of `bytes`, if they are an answer of hyper's own.
fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let (line, message) = ANSWERS.iter().find(|(line, _)| bytes.starts_with(line.as_bytes()))?;
    let head = std::str::from_utf8(bytes.strip_suffix(b"\r\n\r\n")?).ok()?;
    if head.contains("\r\n\r\n") || head.to_ascii_lowercase().contains("\r\nx-request-id:") {
        return None;
    }
    let id = request_id::new_id();
    tracing::info!(request.id = id, answer = line.trim_end(), "a request could not be read");
    let body = problem::body(*message).0.to_json_string();
    let name = request_id::HEADER;
    let length = body.len();
    let head = format!(
        "{line}content-type: application/json\r\n{name}: {id}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    Some((head + &body).into())
}

impl<S: AsyncWrite + Unpin> Enveloped<S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.instead))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Enveloped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Enveloped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        match instead_of(bytes) {
            Some(instead) => {
                self.instead = instead;
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What a client gets when this is written.
    async fn sent(bytes: &str) -> String {
        // Too small for an answer at once.
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Enveloped::new(server);
        let writing = async {
            server.write_all(bytes.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let mut text = String::new();
        let (read, ()) = tokio::join!(client.read_to_string(&mut text), writing);
        read.unwrap();
        text
    }

    #[tokio::test]
    async fn an_answer_that_is_not_ours_comes_in_the_envelope() {
        for (line, message) in ANSWERS {
            let text = sent(&format!("{line}connection: close\r\ncontent-length: 0\r\n\r\n")).await;
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(line) && head.contains("\r\nX-Request-Id: "), "{head}");
            assert_eq!(body, format!(r#"{{"success":false,"message":"{message}"}}"#));
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        }
    }

    #[tokio::test]
    async fn ours_pass_as_they_are() {
        for ours in [
            "HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\n: part of a log that is downloaded\r\n\r\n",
        ] {
            assert_eq!(sent(ours).await, ours);
        }
    }
}

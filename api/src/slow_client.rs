//! Connections whose client is slow: nobody holds one for as long as they like.
//!
//! A connection is given up when the head of a request takes longer than [`Patience::head`] from its first byte to its
//! last, and when nothing is read or written between requests for [`Patience::idle`]. While a request is answered there is
//! no limit here: an answer may take its time, and a body has limits of its own ([`crate::layers::body_limit`]).
//!
//! hyper has a timer for heads only, and none between requests.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// For the first byte of a request.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), idle: Duration::from_secs(300) }
    }
}

/// A stream that fails when its client is too slow.
#[derive(Debug)]
pub struct Hurried<S> {
    stream: S,
    patience: Patience,
    phase: Phase,
    timer: Pin<Box<Sleep>>,
}

/// What the client is expected to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request.
    Idle,
    /// The rest of a head; it ends with an empty line.
    Head { line_is_empty: bool },
    /// Whatever it likes: a request is being answered.
    Answering,
    /// Frames of HTTP/2, which has many requests at the same time.
    Frames,
}

impl<S> Hurried<S> {
    /// Wraps an open stream.
    pub fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, phase: Phase::Idle, timer: Box::pin(sleep(patience.idle)) }
    }

    fn wait(&mut self, time: Duration) {
        self.timer.as_mut().reset(Instant::now() + time);
    }

    fn has_read(&mut self, mut bytes: &[u8]) {
        if self.phase == Phase::Idle {
            // How every connection of HTTP/2 begins; no method of HTTP/1 does.
            if bytes.starts_with(b"PRI ") {
                self.phase = Phase::Frames;
                return;
            }
            // An empty line before a request is no head.
            let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
            let Some(begin) = begin else { return };
            bytes = &bytes[begin..];
            self.phase = Phase::Head { line_is_empty: false };
            self.wait(self.patience.head);
        }
        let Phase::Head { mut line_is_empty } = self.phase else { return };
        for byte in bytes {
            match byte {
                b'\n' if line_is_empty => {
                    self.phase = Phase::Answering;
                    return;
                }
                b'\n' => line_is_empty = true,
                b'\r' => {}
                _ => line_is_empty = false,
            }
        }
        self.phase = Phase::Head { line_is_empty };
    }

    fn has_written(&mut self, bytes: &[u8]) {
        // "Go on and send the body" is not yet the answer.
        let is_answer = !bytes.starts_with(b"HTTP/1.1 100");
        if self.phase == Phase::Answering && is_answer {
            self.phase = Phase::Idle;
        }
        if self.phase == Phase::Idle {
            self.wait(self.patience.idle);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hurried<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                self.has_read(bytes);
                Poll::Ready(read)
            }
            Poll::Pending if matches!(self.phase, Phase::Answering | Phase::Frames) => Poll::Pending,
            Poll::Pending => self.timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hurried<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(count)) if count > 0) {
            self.has_written(bytes);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        if matches!(written, Poll::Ready(Ok(count)) if count > 0) {
            self.has_written(parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part));
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    fn connected(patience: Patience) -> (DuplexStream, Hurried<DuplexStream>) {
        let (client, server) = tokio::io::duplex(1024);
        (client, Hurried::new(server, patience))
    }

    async fn read(server: &mut Hurried<DuplexStream>) -> io::Result<usize> {
        server.read(&mut [0; 256]).await
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_given_up() {
        let (_client, mut server) = connected(Patience { idle: SHORT, head: LONG });
        assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_head_that_trickles_is_given_up_however_often_a_byte_comes() {
        let (mut client, mut server) = connected(Patience { idle: LONG, head: SHORT });
        let trickle = tokio::spawn(async move {
            while client.write_all(b"X").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let error = loop {
            if let Err(error) = read(&mut server).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_may_take_its_time_and_the_next_request_may_not() {
        for head in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n"] {
            let (mut client, mut server) = connected(Patience { idle: SHORT, head: SHORT });
            client.write_all(head.as_bytes()).await.unwrap();
            read(&mut server).await.unwrap();
            assert_eq!(server.phase, Phase::Answering);
            server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            assert_eq!(server.phase, Phase::Answering);
            // Longer than any patience here: the read must not fail meanwhile.
            tokio::time::timeout(SHORT * 3, read(&mut server)).await.unwrap_err();
            server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn a_head_may_come_in_pieces_and_frames_have_no_head() {
        let (mut client, mut server) = connected(Patience::default());
        for part in ["\r\n", "GET / HTTP/1.1\r", "\nHost: a\r\n", "\r"] {
            client.write_all(part.as_bytes()).await.unwrap();
            read(&mut server).await.unwrap();
            assert_ne!(server.phase, Phase::Answering, "{part:?}");
        }
        client.write_all(b"\n").await.unwrap();
        read(&mut server).await.unwrap();
        assert_eq!(server.phase, Phase::Answering);

        let (mut client, mut server) = connected(Patience::default());
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        read(&mut server).await.unwrap();
        assert_eq!(server.phase, Phase::Frames);
    }
}

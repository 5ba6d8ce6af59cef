//! Connections whose client hangs up while its request is being answered.
//!
//! hyper sees such an end of the stream and gives the connection up, but poem 3.1 goes on waiting for the handler that is
//! under way. [`UntilHangUp`] fails every flush after the end of the stream, so that the connection is dropped, and with
//! it the handler: whoever waits there for a connector cancels it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that is over when its other side has ended.
#[derive(Debug)]
pub struct UntilHangUp<S> {
    stream: S,
    hung_up: bool,
}

impl<S> UntilHangUp<S> {
    /// Wraps an open stream.
    pub fn new(stream: S) -> Self {
        Self { stream, hung_up: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UntilHangUp<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && room > 0 && buffer.filled().len() == before {
            self.hung_up = true;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UntilHangUp<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hung_up {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn it_flushes_until_the_other_side_has_ended() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = UntilHangUp::new(server);
        let mut bytes = [0; 8];
        client.write_all(b"hello").await.unwrap();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 5);
        server.write_all(b"there").await.unwrap();
        server.flush().await.unwrap();
        drop(client);
        assert_eq!(server.read(&mut bytes).await.unwrap(), 0);
        assert_eq!(server.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

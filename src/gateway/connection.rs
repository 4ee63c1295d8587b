//! An accepted TCP connection with its settings and its place among the counted ones. HTTP is spoken over it; a
//! WebSocket takes the stream and the place out of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Takes an accepted stream and sets it up: no Nagle delay (each handshake step would wait 40 ms for an ack), a
    /// modest send buffer (what waits in the kernel can't be conflated or counted), and the kernel's own limit for a peer
    /// that acknowledges nothing (`tcp(7)`, `TCP_USER_TIMEOUT`), which also ends stalled HTTP answers.
    ///
    /// # Errors
    /// When the socket is gone already.
    pub fn new(
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        send_buffer: usize,
        user_timeout: Duration,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_send_buffer_size(send_buffer)?;
        socket.set_tcp_user_timeout(Some(user_timeout))?;
        Ok(Self { stream, permit: Some(permit) })
    }

    /// The stream, and the place that must be kept as long as it lives.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        (self.stream, self.permit)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

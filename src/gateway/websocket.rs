//! The receiving side of a WebSocket. tungstenite parses, unmasks, joins fragments and checks limits; its own answers
//! (pong, close) are handed out as bytes, because everything that is written goes through the socket's outbox, at frame
//! boundaries. Never blocks, never buffers more than one message.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};

/// What the read buffer begins with; it grows to a message's size and no further.
const READ_BUFFER: usize = 1024;
/// What is read from the stream in one go before others get their turn: fragments may follow each other without end.
const READ_AT_ONCE: usize = 64 * 1024;

/// Why nothing more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed, or the connection broke.
    Gone,
    /// Over the size limit.
    TooLarge,
    /// No WebSocket, or a binary message.
    Protocol,
}

/// The receiving side.
pub struct WebSocket {
    stream: Arc<TcpStream>,
    context: WebSocketContext,
    /// When the message that is being received began; `None` between messages.
    begun: Option<Instant>,
    /// A close frame has come.
    closed: bool,
    /// Keeps the connection counted while it lives.
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// One thing that was received.
#[derive(Debug)]
pub enum Received {
    /// A text message.
    Text(Utf8Bytes),
    /// A message of the WebSocket protocol itself, already answered.
    Control,
}

impl WebSocket {
    /// Takes over a stream whose upgrade was answered; `read` is what had already come in behind the request.
    #[must_use]
    pub fn new(
        stream: Arc<TcpStream>,
        read: Vec<u8>,
        max_message: usize,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let context = WebSocketContext::from_partially_read(read, Role::Server, Some(config));
        Self { stream, context, begun: None, closed: false, _permit: permit }
    }

    /// The stream below.
    #[must_use]
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// When the unfinished message began, if there is one.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// Whether the peer has sent a close frame: it is answered by [`WebSocket::read`], and a second one is an error to it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Reads the next message, or `None` when there is no whole one yet. What the protocol itself wants to answer is
    /// put into `answers`, as whole frames.
    ///
    /// # Errors
    /// [`Broken`] when nothing more can come.
    pub fn read(&mut self, answers: &mut Vec<u8>) -> Result<Option<Received>, Broken> {
        let mut wire = Wire { stream: &self.stream, answers, read: 0 };
        let result = self.context.read(&mut wire);
        let progressed = wire.read > 0;
        match result {
            Ok(message) => {
                self.begun = None;
                match message {
                    Message::Text(text) => Ok(Some(Received::Text(text))),
                    Message::Ping(_) | Message::Pong(_) => {
                        // The answer is queued inside the parser until it is asked to flush.
                        let mut wire = Wire { stream: &self.stream, answers, read: 0 };
                        self.context.flush(&mut wire).map_err(|_| Broken::Gone)?;
                        Ok(Some(Received::Control))
                    }
                    Message::Close(_) => {
                        self.closed = true;
                        let mut wire = Wire { stream: &self.stream, answers, read: 0 };
                        // The close frame goes out if it still can; the connection ends either way.
                        let _ = self.context.flush(&mut wire);
                        Err(Broken::Gone)
                    }
                    Message::Binary(_) | Message::Frame(_) => Err(Broken::Protocol),
                }
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if progressed {
                    self.begun.get_or_insert_with(Instant::now);
                }
                Ok(None)
            }
            Err(Error::Capacity(_)) => Err(Broken::TooLarge),
            // Most clients go without a closing handshake: the app was killed, the network is gone.
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Err(Broken::Gone),
            Err(Error::Protocol(_) | Error::Utf8(_)) => Err(Broken::Protocol),
            Err(_) => Err(Broken::Gone),
        }
    }
}

/// Reads from the stream, writes into a buffer.
struct Wire<'a> {
    stream: &'a TcpStream,
    answers: &'a mut Vec<u8>,
    read: usize,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read >= READ_AT_ONCE {
            // The stream stays readable: what is left is read on the session's next turn.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.stream.try_read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

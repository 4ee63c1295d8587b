//! Engine.IO 4 and Socket.IO 5 packets as text, read and written. Pure: no I/O, no state. Arguments stay the raw JSON
//! that the server wrote, so that whoever checks money can see its very digits. Binary attachments are not spoken.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Separates the packets of one polling payload.
pub const SEPARATOR: char = '\x1e';

/// A text that is no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a packet: {0}")]
pub struct PacketError(pub(super) String);

/// One Engine.IO packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnginePacket<'a> {
    /// The session's parameters, JSON.
    Open(&'a str),
    /// The server ends the transport.
    Close,
    /// Asks for a pong with the same text.
    Ping(&'a str),
    /// Answers a ping or a probe.
    Pong(&'a str),
    /// A Socket.IO packet.
    Message(&'a str),
    /// Ends the upgrade; only clients send it.
    Upgrade,
    /// Nothing; releases a poll.
    Noop,
}

impl<'a> EnginePacket<'a> {
    /// Reads one packet.
    ///
    /// # Errors
    /// [`PacketError`] when the first character is no packet type.
    pub fn parse(text: &'a str) -> Result<Self, PacketError> {
        let mut chars = text.chars();
        let kind = chars.next();
        let rest = chars.as_str();
        Ok(match kind {
            Some('0') => Self::Open(rest),
            Some('1') => Self::Close,
            Some('2') => Self::Ping(rest),
            Some('3') => Self::Pong(rest),
            Some('4') => Self::Message(rest),
            Some('5') => Self::Upgrade,
            Some('6') => Self::Noop,
            other => return Err(PacketError(format!("Engine.IO packet type {other:?}"))),
        })
    }
}

/// What the server says when the transport opens.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// The Engine.IO session's id.
    pub sid: String,
    /// Transports that the session may move to.
    #[serde(default)]
    pub upgrades: Vec<String>,
    /// Milliseconds between the server's pings.
    pub ping_interval: u64,
    /// Milliseconds after which a peer that was pinged counts as gone.
    pub ping_timeout: u64,
    /// Most bytes of one message or polling payload.
    pub max_payload: Option<usize>,
}

/// What the server says when it lets the client in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connected {
    /// The socket's id.
    pub sid: String,
    /// The private session id that a recovery names.
    pub pid: Option<String>,
}

/// A refused handshake, as `connect_error` hands it to an app.
#[derive(Debug, Clone, Deserialize)]
pub struct Refusal {
    /// The reason, for example `Invalid token`.
    pub message: String,
    /// More, if the server gave it.
    pub data: Option<Box<RawValue>>,
}

/// One Socket.IO packet of the main namespace.
#[derive(Debug)]
pub enum SocketPacket {
    /// The client is in.
    Connect(Connected),
    /// The server ends the session for good.
    Disconnect,
    /// An event with its arguments; `ack` when it wants an answer.
    Event {
        /// Id for the answer.
        ack: Option<u64>,
        /// The event's name.
        name: String,
        /// Its arguments.
        args: Vec<Box<RawValue>>,
    },
    /// The answer to an event of ours.
    Ack {
        /// The id that we gave.
        id: u64,
        /// The answer's arguments.
        args: Vec<Box<RawValue>>,
    },
    /// The client is refused.
    ConnectError(Refusal),
}

impl SocketPacket {
    /// Reads one packet; `None` when it is of another namespace.
    ///
    /// # Errors
    /// [`PacketError`] when it is malformed or binary.
    pub fn parse(text: &str) -> Result<Option<Self>, PacketError> {
        let mut chars = text.chars();
        let kind = chars.next().ok_or_else(|| PacketError("an empty Socket.IO packet".into()))?;
        let rest = chars.as_str();
        if rest.starts_with('/') && !rest.starts_with("/,") {
            return Ok(None);
        }
        let rest = rest.strip_prefix("/,").unwrap_or(rest);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, body) = rest.split_at(digits);
        let ack = if id.is_empty() { None } else { Some(id.parse().map_err(|_| malformed("ack id"))?) };
        Ok(Some(match kind {
            '0' => Self::Connect(json(body)?),
            '1' => Self::Disconnect,
            '2' => {
                let mut args: Vec<Box<RawValue>> = json(body)?;
                if args.is_empty() {
                    return Err(malformed("event without a name"));
                }
                let name = json(args.remove(0).get())?;
                Self::Event { ack, name, args }
            }
            '3' => Self::Ack { id: ack.ok_or_else(|| malformed("ack without an id"))?, args: json(body)? },
            '4' => Self::ConnectError(json(body)?),
            other => return Err(PacketError(format!("Socket.IO packet type {other:?}"))),
        }))
    }
}

fn malformed(what: &str) -> PacketError {
    PacketError(format!("malformed {what}"))
}

pub(super) fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PacketError> {
    // The error's own text may quote the payload; its place is enough.
    serde_json::from_str(text).map_err(|e| PacketError(format!("malformed JSON at column {}", e.column())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_digits_of_every_argument() {
        let packet =
            SocketPacket::parse(r#"2["wallet.balanceUpdated",{"total":1250.50},"id.cursor"]"#).unwrap().unwrap();
        let SocketPacket::Event { ack: None, name, args } = packet else { panic!("an event") };
        assert_eq!(name, "wallet.balanceUpdated");
        assert_eq!(args[0].get(), r#"{"total":1250.50}"#);
        assert_eq!(args[1].get(), r#""id.cursor""#);
    }

    #[test]
    fn reads_connect_refusal_ack_and_disconnect() {
        let connect = SocketPacket::parse(r#"0{"sid":"a","pid":"b"}"#).unwrap().unwrap();
        assert!(
            matches!(connect, SocketPacket::Connect(Connected { sid, pid: Some(pid) }) if sid == "a" && pid == "b")
        );
        let refusal = SocketPacket::parse(r#"4{"message":"Invalid token"}"#).unwrap().unwrap();
        assert!(matches!(refusal, SocketPacket::ConnectError(Refusal { message, .. }) if message == "Invalid token"));
        let ack = SocketPacket::parse(r#"312[{"ok":true}]"#).unwrap().unwrap();
        assert!(matches!(ack, SocketPacket::Ack { id: 12, args } if args[0].get() == r#"{"ok":true}"#));
        assert!(matches!(SocketPacket::parse("1").unwrap(), Some(SocketPacket::Disconnect)));
    }

    #[test]
    fn leaves_other_namespaces_alone_and_refuses_nonsense() {
        assert!(SocketPacket::parse(r#"2/other,["x"]"#).unwrap().is_none());
        for bad in ["", "2[]", "2{}", "2[1]", "3[]", "9", "0", "0[]", "4", "299999999999999999999[\"x\"]", "é"] {
            assert!(SocketPacket::parse(bad).is_err(), "{bad:?}");
        }
        assert!(EnginePacket::parse("").is_err());
        assert!(EnginePacket::parse("é2").is_err());
    }
}

//! Socket.IO packets inside Engine.IO messages: parsing what clients send, encoding what they get (socket.io-protocol
//! v5, revision 5). Bytes from the network: whatever is not a packet is an error, never a panic.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::Frame;

/// A packet from a client.
#[derive(Debug)]
pub enum Packet<'a> {
    /// `0`: join a namespace, with the handshake's `auth`.
    Connect {
        /// The namespace, `/` by default.
        namespace: &'a str,
        /// The `auth` object, if there is one.
        auth: Option<&'a RawValue>,
    },
    /// `1`: leave a namespace.
    Disconnect {
        /// The namespace.
        namespace: &'a str,
    },
    /// `2`: an event, with the number under which an ack is awaited.
    Event {
        /// The namespace.
        namespace: &'a str,
        /// Number of the ack that the client waits for.
        ack: Option<u64>,
        /// The event's name.
        name: String,
        /// Its arguments.
        args: Vec<&'a RawValue>,
    },
    /// `3`: an ack; the bridge asks for none, so that none is awaited.
    Ack,
}

/// Why a message is no packet that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No known type.
    #[error("the packet's type is unknown")]
    Type,
    /// Binary events: no event of ours has binary arguments.
    #[error("binary packets are not taken")]
    Binary,
    /// No ack number, or one beyond 2^53.
    #[error("the packet's ack id is no number")]
    AckId,
    /// No JSON, or not the JSON that the type demands.
    #[error("the packet's payload is not what its type demands")]
    Payload,
}

const MAX_ACK: u64 = 1 << 53;

impl<'a> Packet<'a> {
    /// Parses the text of an Engine.IO message: `<type>[<namespace>,][<ack id>][JSON]`.
    ///
    /// # Errors
    /// [`PacketError`] for whatever is no packet.
    pub fn parse(text: &'a str) -> Result<Self, PacketError> {
        let kind = text.as_bytes().first().ok_or(PacketError::Type)?;
        // The type is one ASCII digit, so that the rest begins at a character's boundary.
        let rest = match kind {
            b'0'..=b'4' => &text[1..],
            b'5' | b'6' => return Err(PacketError::Binary),
            _ => return Err(PacketError::Type),
        };
        let (namespace, rest) = match rest.as_bytes().first() {
            Some(b'/') => rest.split_once(',').unwrap_or((rest, "")),
            _ => ("/", rest),
        };
        // A namespace may carry a query, which is not part of its name.
        let namespace = namespace.split_once('?').map_or(namespace, |(name, _)| name);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, json) = rest.split_at(digits);
        let ack = match number {
            "" => None,
            number => Some(number.parse().ok().filter(|n| *n <= MAX_ACK).ok_or(PacketError::AckId)?),
        };
        match kind {
            b'0' => {
                let auth = match json {
                    "" => None,
                    json => {
                        let raw: &RawValue = serde_json::from_str(json).map_err(|_| PacketError::Payload)?;
                        Some(raw).filter(|raw| raw.get().starts_with('{')).map(Some).ok_or(PacketError::Payload)?
                    }
                };
                Ok(Self::Connect { namespace, auth })
            }
            b'1' => Ok(Self::Disconnect { namespace }),
            b'2' => {
                let mut args: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| PacketError::Payload)?;
                if args.is_empty() {
                    return Err(PacketError::Payload);
                }
                let name = args.remove(0);
                let name: String = serde_json::from_str(name.get()).map_err(|_| PacketError::Payload)?;
                Ok(Self::Event { namespace, ack, name, args })
            }
            b'3' if ack.is_some() => {
                serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json).map_err(|_| PacketError::Payload)?;
                Ok(Self::Ack)
            }
            b'3' => Err(PacketError::AckId),
            // 4 is the server's to send.
            _ => Err(PacketError::Type),
        }
    }
}

/// The handshake's `auth` object. What it does not know is ignored: apps add fields of their own.
#[derive(Debug, Default, Deserialize)]
pub struct ConnectAuth {
    /// The JWT. Anything but a string counts as none.
    #[serde(default, deserialize_with = "string_or_none")]
    pub token: Option<String>,
    /// Whether events wait for `sync:start`.
    #[serde(default, deserialize_with = "true_or_false")]
    pub hold: bool,
}

fn string_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

fn true_or_false<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)? == serde_json::Value::Bool(true))
}

/// The answer to CONNECT: `40{"sid":"…"}`.
#[must_use]
pub fn connected(sid: &str) -> Frame {
    Frame::text(format!("40{{\"sid\":\"{sid}\"}}").as_bytes())
}

/// A refusal of CONNECT: `44[namespace,]{"message":"…"}`. The stock client does not come back by itself after it.
#[must_use]
pub fn refused(namespace: &str, message: &str) -> Frame {
    let namespace = if namespace == "/" { String::new() } else { format!("{namespace},") };
    Frame::text(format!("44{namespace}{}", serde_json::json!({ "message": message })).as_bytes())
}

/// DISCONNECT (`41`): for good, the stock client does not come back by itself.
#[must_use]
pub fn disconnected() -> Frame {
    Frame::text(b"41")
}

/// An ack with one argument.
#[must_use]
pub fn ack(id: u64, argument: &serde_json::Value) -> Frame {
    Frame::text(format!("43{id}[{argument}]").as_bytes())
}

/// An event that is no emission of the log (`error`, `auth:expiring`): it ends in an object, never in a string, so that
/// the client does not take it for a cursor.
#[must_use]
pub fn event(name: &str, argument: &serde_json::Value) -> Frame {
    debug_assert!(argument.is_object(), "a last argument that is a string would be taken for a cursor");
    Frame::text(format!("42[\"{name}\",{argument}]").as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> PacketError {
        Packet::parse(text).unwrap_err()
    }

    #[test]
    fn packets_of_the_specification_are_read() {
        assert!(matches!(Packet::parse("0").unwrap(), Packet::Connect { namespace: "/", auth: None }));
        let Packet::Connect { namespace, auth } = Packet::parse("0/admin?x=1,{\"token\":\"a\"}").unwrap() else {
            panic!("no CONNECT")
        };
        assert_eq!((namespace, auth.unwrap().get()), ("/admin", "{\"token\":\"a\"}"));
        let Packet::Event { namespace, ack, name, args } = Packet::parse("2/a,12[\"join\",\"order:1\",{}]").unwrap()
        else {
            panic!("no EVENT")
        };
        assert_eq!((namespace, ack, name.as_str(), args.len()), ("/a", Some(12), "join", 2));
        assert!(matches!(Packet::parse("1").unwrap(), Packet::Disconnect { namespace: "/" }));
        assert!(matches!(Packet::parse("31[]").unwrap(), Packet::Ack));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(error(""), PacketError::Type);
        assert_eq!(error("é12345"), PacketError::Type);
        assert_eq!(error("4{}"), PacketError::Type);
        assert_eq!(error("7"), PacketError::Type);
        assert_eq!(error("2[\"ev\",{x]"), PacketError::Payload);
        assert_eq!(error("2{}"), PacketError::Payload);
        assert_eq!(error("2[]"), PacketError::Payload);
        assert_eq!(error("2[1]"), PacketError::Payload);
        assert_eq!(error("0[]"), PacketError::Payload);
        assert_eq!(error("299999999999999999999[\"e\"]"), PacketError::AckId);
        assert_eq!(error("599999-[\"e\"]"), PacketError::Binary);
        assert_eq!(error("50-[\"e\"]"), PacketError::Binary);
        // Depth costs nothing where arguments stay text; an unclosed one is an error as any other.
        let deep = format!("2[\"e\",{}{}]", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(Packet::parse(&deep), Ok(Packet::Event { .. })));
        assert_eq!(error(&deep[..deep.len() - 1]), PacketError::Payload);
    }

    #[test]
    fn a_token_that_is_no_string_is_no_token() {
        let auth: ConnectAuth = serde_json::from_str("{\"token\":{\"a\":1},\"hold\":\"yes\",\"other\":1}").unwrap();
        assert!(auth.token.is_none() && !auth.hold);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9]?[0-9/,?\\[\\]{}\"aé]*") {
            let _ = Packet::parse(&text);
        }
    }
}

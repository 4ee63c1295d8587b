//! Frames: a packet encoded once, shared by all who receive it. A frame holds the WebSocket header and, behind it, the
//! Engine.IO packet, so that the same bytes serve WebSocket (whole) and long-polling (the packet alone).

use bytes::Bytes;

/// An encoded packet. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    header: u8,
}

impl Frame {
    /// Encodes one Engine.IO text packet (server frames are unmasked and whole: RFC 6455 §5.2).
    #[must_use]
    pub fn text(packet: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(packet.len() + 10);
        bytes.push(0x81);
        let len = packet.len();
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(short), _) if short < 126 => bytes.push(short),
            (_, Ok(medium)) => {
                bytes.push(126);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let header = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        bytes.extend_from_slice(packet);
        Self { bytes: bytes.into(), header }
    }

    /// Bytes that are a WebSocket frame already and never go to a polling client: pong and close.
    #[must_use]
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), header: 0 }
    }

    /// The whole WebSocket frame.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.bytes
    }

    /// The Engine.IO packet in it.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.bytes.get(usize::from(self.header)..).unwrap_or_default()
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it; no packet is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        for (len, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let packet = vec![b'x'; len];
            let frame = Frame::text(&packet);
            assert_eq!(frame.len(), header + len);
            assert_eq!(frame.packet(), packet);
        }
    }
}

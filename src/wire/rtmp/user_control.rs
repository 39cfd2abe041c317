//! User control events, the payload of message type 4.
//!
//! What is done on an event is the session's affair. Unknown events keep their number and bytes.
//! Source: RTMP 1.0 §6.2, §7.1.7; events 26, 27, 31 and 32 as Flash Media Server sends them.

use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// An event and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserControl<'a> {
    /// 0: the stream works from now on; message stream id.
    StreamBegin(u32),
    /// 1: playback of the stream is over; message stream id.
    StreamEof(u32),
    /// 2: nothing arrives on the stream for now; message stream id.
    StreamDry(u32),
    /// 3: how much the client buffers.
    SetBufferLength {
        /// Message stream id.
        stream: u32,
        /// Milliseconds.
        buffer_ms: u32,
    },
    /// 4: the stream is a recording; message stream id.
    StreamIsRecorded(u32),
    /// 6: to be answered with the same number; milliseconds of the sender.
    PingRequest(u32),
    /// 7: the answer to a ping request; the number it carried.
    PingResponse(u32),
    /// 26: the server asks for a proof of the player's file; empty or 1 byte.
    SwfRequest(&'a [u8]),
    /// 27: the proof, 42 bytes.
    SwfResponse(&'a [u8]),
    /// 31: a whole client buffer was delivered; message stream id.
    BufferEmpty(u32),
    /// 32: the next client buffer starts; message stream id.
    BufferReady(u32),
    /// Any other event.
    Unknown {
        /// Event number.
        event: u16,
        /// What follows the number.
        data: &'a [u8],
    },
}

impl<'a> UserControl<'a> {
    /// Reads the payload; bytes after the defined ones are ignored.
    ///
    /// # Errors
    /// `Short` if the event's data is not complete.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Short> {
        let mut r = Reader::new(payload);
        let event = r.u16("user control event")?;
        Ok(match event {
            0 => Self::StreamBegin(r.u32("stream begin id")?),
            1 => Self::StreamEof(r.u32("stream eof id")?),
            2 => Self::StreamDry(r.u32("stream dry id")?),
            3 => Self::SetBufferLength {
                stream: r.u32("buffer length stream id")?,
                buffer_ms: r.u32("buffer length")?,
            },
            4 => Self::StreamIsRecorded(r.u32("recorded stream id")?),
            6 => Self::PingRequest(r.u32("ping request time")?),
            7 => Self::PingResponse(r.u32("ping response time")?),
            26 => Self::SwfRequest(r.rest()),
            27 => Self::SwfResponse(r.rest()),
            31 => Self::BufferEmpty(r.u32("buffer empty id")?),
            32 => Self::BufferReady(r.u32("buffer ready id")?),
            event => Self::Unknown { event, data: r.rest() },
        })
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u16(self.event())?;
        match *self {
            Self::StreamBegin(n)
            | Self::StreamEof(n)
            | Self::StreamDry(n)
            | Self::StreamIsRecorded(n)
            | Self::PingRequest(n)
            | Self::PingResponse(n)
            | Self::BufferEmpty(n)
            | Self::BufferReady(n) => w.u32(n),
            Self::SetBufferLength { stream, buffer_ms } => {
                w.u32(stream)?;
                w.u32(buffer_ms)
            }
            Self::SwfRequest(data) | Self::SwfResponse(data) | Self::Unknown { data, .. } => {
                w.bytes(data)
            }
        }
    }

    /// Event number.
    #[must_use]
    pub const fn event(&self) -> u16 {
        match *self {
            Self::StreamBegin(_) => 0,
            Self::StreamEof(_) => 1,
            Self::StreamDry(_) => 2,
            Self::SetBufferLength { .. } => 3,
            Self::StreamIsRecorded(_) => 4,
            Self::PingRequest(_) => 6,
            Self::PingResponse(_) => 7,
            Self::SwfRequest(_) => 26,
            Self::SwfResponse(_) => 27,
            Self::BufferEmpty(_) => 31,
            Self::BufferReady(_) => 32,
            Self::Unknown { event, .. } => event,
        }
    }

    /// Bytes that `emit` writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        2 + match *self {
            Self::SetBufferLength { .. } => 8,
            Self::SwfRequest(data) | Self::SwfResponse(data) | Self::Unknown { data, .. } => {
                data.len()
            }
            Self::StreamBegin(_)
            | Self::StreamEof(_)
            | Self::StreamDry(_)
            | Self::StreamIsRecorded(_)
            | Self::PingRequest(_)
            | Self::PingResponse(_)
            | Self::BufferEmpty(_)
            | Self::BufferReady(_) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn user_control_keeps_unknown_events_and_ignores_surplus() {
        let unknown = UserControl::Unknown { event: 5, data: &[9, 9] };
        assert_eq!(UserControl::parse(&[0, 5, 9, 9]), Ok(unknown));
        let begin = UserControl::parse(&[0, 0, 0, 0, 0, 1, 0xee]);
        assert_eq!(begin, Ok(UserControl::StreamBegin(1)));
        assert!(UserControl::parse(&[0, 6, 0, 0, 0]).is_err());
        assert!(UserControl::parse(&[0]).is_err());
    }

    proptest! {
        #[test]
        fn user_control_emit_inverts_parse(
            event in 0..40u16,
            data in proptest::collection::vec(any::<u8>(), 0..44),
        ) {
            let mut payload = event.to_be_bytes().to_vec();
            payload.extend(data);
            if let Ok(parsed) = UserControl::parse(&payload) {
                let mut buffer = [0; 64];
                let mut w = Writer::new(&mut buffer);
                parsed.emit(&mut w).unwrap();
                prop_assert_eq!(w.position(), parsed.encoded_len());
                prop_assert_eq!(w.written(), &payload[..parsed.encoded_len()]);
            }
        }
    }
}

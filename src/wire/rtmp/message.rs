//! Message types and the payloads of protocol control messages.
//!
//! Payloads longer than defined are read as far as defined, as encoders exist that pad them;
//! shorter ones are refused. User control events are in `user_control`, aggregates in `aggregate`,
//! commands in `command`.
//! Source: RTMP 1.0 §5.4, §7.1.

use crate::limits;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// The message type id of a chunk header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// 1: the sender's chunk size changes.
    SetChunkSize,
    /// 2: the partial message of a chunk stream is dropped.
    Abort,
    /// 3: how many bytes have arrived.
    Acknowledgement,
    /// 4: an event of `user_control`.
    UserControl,
    /// 5: how often to acknowledge.
    WindowAckSize,
    /// 6: how much to send unacknowledged.
    SetPeerBandwidth,
    /// 8: the body of an FLV audio tag.
    Audio,
    /// 9: the body of an FLV video tag.
    Video,
    /// 15: a format byte, then as `DataAmf0`.
    DataAmf3,
    /// 16: a format byte, then as `SharedObject`.
    SharedObjectAmf3,
    /// 17: a format byte, then as `CommandAmf0`.
    CommandAmf3,
    /// 18: metadata and other data, AMF0.
    DataAmf0,
    /// 19: a shared object, AMF0.
    SharedObject,
    /// 20: a command, AMF0.
    CommandAmf0,
    /// 22: several messages in one.
    Aggregate,
    /// Any other type id.
    Unknown(u8),
}

impl From<u8> for MessageType {
    fn from(id: u8) -> Self {
        match id {
            1 => Self::SetChunkSize,
            2 => Self::Abort,
            3 => Self::Acknowledgement,
            4 => Self::UserControl,
            5 => Self::WindowAckSize,
            6 => Self::SetPeerBandwidth,
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::DataAmf3,
            16 => Self::SharedObjectAmf3,
            17 => Self::CommandAmf3,
            18 => Self::DataAmf0,
            19 => Self::SharedObject,
            20 => Self::CommandAmf0,
            22 => Self::Aggregate,
            id => Self::Unknown(id),
        }
    }
}

impl From<MessageType> for u8 {
    fn from(kind: MessageType) -> Self {
        match kind {
            MessageType::SetChunkSize => 1,
            MessageType::Abort => 2,
            MessageType::Acknowledgement => 3,
            MessageType::UserControl => 4,
            MessageType::WindowAckSize => 5,
            MessageType::SetPeerBandwidth => 6,
            MessageType::Audio => 8,
            MessageType::Video => 9,
            MessageType::DataAmf3 => 15,
            MessageType::SharedObjectAmf3 => 16,
            MessageType::CommandAmf3 => 17,
            MessageType::DataAmf0 => 18,
            MessageType::SharedObject => 19,
            MessageType::CommandAmf0 => 20,
            MessageType::Aggregate => 22,
            MessageType::Unknown(id) => id,
        }
    }
}

/// Why the payload of a protocol control message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Malformed: the payload ended early.
    #[error(transparent)]
    Short(#[from] Short),
    /// Misbehaved: a chunk size of nothing, or with the reserved bit set.
    #[error("chunk size must be 1 to 2147483647, is {size}")]
    ChunkSize {
        /// The value on the wire.
        size: u32,
    },
}

/// Type 1: the largest chunk data that its sender writes from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetChunkSize {
    /// Bytes, 1 to `limits::CHUNK_BYTES_MAX`; larger values on the wire are read as that.
    pub bytes: u32,
}

impl SetChunkSize {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Short`, or `ChunkSize` for 0 and for values with the top bit set (RTMP 1.0 §5.4.1).
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let size = Reader::new(payload).u32("chunk size")?;
        if size == 0 || size >> 31 != 0 {
            return Err(ControlError::ChunkSize { size });
        }
        Ok(Self { bytes: size.min(limits::CHUNK_BYTES_MAX) })
    }

    /// Writes the payload, 4 bytes.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert!((1..=limits::CHUNK_BYTES_MAX).contains(&self.bytes));
        w.u32(self.bytes)
    }
}

/// Type 2: the partial message of one chunk stream is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// The chunk stream; any value, also of an idle one.
    pub csid: u32,
}

impl Abort {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Short` below 4 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let csid = Reader::new(payload).u32("aborted csid")?;
        Ok(Self { csid })
    }

    /// Writes the payload, 4 bytes.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u32(self.csid)
    }
}

/// Type 3: how many bytes its sender has received in all, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Total bytes, modulo 2^32.
    pub sequence: u32,
}

impl Acknowledgement {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Short` below 4 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let sequence = Reader::new(payload).u32("acknowledged bytes")?;
        Ok(Self { sequence })
    }

    /// Writes the payload, 4 bytes.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u32(self.sequence)
    }
}

/// Type 5: after how many bytes the receiver of this message acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowAckSize {
    /// Bytes; 0 asks for no acknowledgements.
    pub window: u32,
}

impl WindowAckSize {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Short` below 4 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let window = Reader::new(payload).u32("acknowledgement window")?;
        Ok(Self { window })
    }

    /// Writes the payload, 4 bytes.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u32(self.window)
    }
}

/// How firmly a `SetPeerBandwidth` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BandwidthLimit {
    /// 0: use this window.
    Hard,
    /// 1: use the smaller of this window and the one in effect.
    Soft,
    /// 2: as hard if the last one was hard, else ignore.
    Dynamic,
    /// Any other value.
    Unknown(u8),
}

impl From<u8> for BandwidthLimit {
    fn from(id: u8) -> Self {
        match id {
            0 => Self::Hard,
            1 => Self::Soft,
            2 => Self::Dynamic,
            id => Self::Unknown(id),
        }
    }
}

impl From<BandwidthLimit> for u8 {
    fn from(limit: BandwidthLimit) -> Self {
        match limit {
            BandwidthLimit::Hard => 0,
            BandwidthLimit::Soft => 1,
            BandwidthLimit::Dynamic => 2,
            BandwidthLimit::Unknown(id) => id,
        }
    }
}

/// Type 6: how many bytes its receiver may have sent and not seen acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetPeerBandwidth {
    /// Bytes.
    pub window: u32,
    /// How firmly.
    pub limit: BandwidthLimit,
}

impl SetPeerBandwidth {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Short` below 5 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let mut r = Reader::new(payload);
        Ok(Self { window: r.u32("peer bandwidth")?, limit: r.u8("peer bandwidth limit")?.into() })
    }

    /// Writes the payload, 5 bytes.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u32(self.window)?;
        w.u8(self.limit.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn message_type_keeps_every_number() {
        for id in 0..=u8::MAX {
            assert_eq!(u8::from(MessageType::from(id)), id);
            assert_eq!(u8::from(BandwidthLimit::from(id)), id);
        }
    }

    #[test]
    fn chunk_size_is_refused_when_zero_or_negative_and_capped_when_huge() {
        let size = |n: u32| SetChunkSize::parse(&n.to_be_bytes());
        assert_eq!(size(0), Err(ControlError::ChunkSize { size: 0 }));
        assert!(size(0x8000_0000).is_err());
        assert_eq!(size(1), Ok(SetChunkSize { bytes: 1 }));
        let most = Ok(SetChunkSize { bytes: limits::CHUNK_BYTES_MAX });
        assert_eq!(size(limits::CHUNK_BYTES_MAX), most);
        assert_eq!(size(limits::CHUNK_BYTES_MAX + 1), most);
        assert_eq!(size(0x7fff_ffff), most);
    }

    #[test]
    fn control_payload_is_read_when_longer_and_refused_when_shorter() {
        let spb = [0, 0x26, 0x25, 0xa0, 2, 0xee, 0xee];
        let want = SetPeerBandwidth { window: 2_500_000, limit: BandwidthLimit::Dynamic };
        assert_eq!(SetPeerBandwidth::parse(&spb), Ok(want));
        assert!(SetPeerBandwidth::parse(&spb[..4]).is_err());
        assert!(WindowAckSize::parse(&spb).is_ok());
        assert!(WindowAckSize::parse(&spb[..3]).is_err());
        assert!(Acknowledgement::parse(&spb[..3]).is_err());
        assert!(Abort::parse(&spb[..3]).is_err());
        assert!(SetChunkSize::parse(&spb[..3]).is_err());
    }

    proptest! {
        #[test]
        fn control_payload_parse_inverts_emit(n in any::<u32>(), limit in any::<u8>()) {
            let mut buffer = [0; 5];
            let spb = SetPeerBandwidth { window: n, limit: limit.into() };
            spb.emit(&mut Writer::new(&mut buffer)).unwrap();
            prop_assert_eq!(SetPeerBandwidth::parse(&buffer), Ok(spb));
            let ack = Acknowledgement { sequence: n };
            ack.emit(&mut Writer::new(&mut buffer)).unwrap();
            prop_assert_eq!(Acknowledgement::parse(&buffer), Ok(ack));
            let was = WindowAckSize { window: n };
            was.emit(&mut Writer::new(&mut buffer)).unwrap();
            prop_assert_eq!(WindowAckSize::parse(&buffer), Ok(was));
            let abort = Abort { csid: n };
            abort.emit(&mut Writer::new(&mut buffer)).unwrap();
            prop_assert_eq!(Abort::parse(&buffer), Ok(abort));
        }

        #[test]
        fn chunk_size_parse_inverts_emit(
            bytes in prop_oneof![1..=limits::CHUNK_BYTES_MAX, 1..=200u32],
        ) {
            let mut buffer = [0; 4];
            let size = SetChunkSize { bytes };
            size.emit(&mut Writer::new(&mut buffer)).unwrap();
            prop_assert_eq!(SetChunkSize::parse(&buffer), Ok(size));
        }

        #[test]
        fn control_payload_of_any_bytes_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let whole = bytes.len() >= 4;
            prop_assert_eq!(Abort::parse(&bytes).is_ok(), whole);
            prop_assert_eq!(Acknowledgement::parse(&bytes).is_ok(), whole);
            prop_assert_eq!(WindowAckSize::parse(&bytes).is_ok(), whole);
            prop_assert_eq!(SetPeerBandwidth::parse(&bytes).is_ok(), bytes.len() >= 5);
            if let Ok(SetChunkSize { bytes }) = SetChunkSize::parse(&bytes) {
                prop_assert!((1..=limits::CHUNK_BYTES_MAX).contains(&bytes));
            }
        }
    }
}

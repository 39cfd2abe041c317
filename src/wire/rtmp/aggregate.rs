//! Aggregate messages, type 22: several media messages in one.
//!
//! The iterator gives each with its own time; the message stream id is the aggregate's.
//! Source: RTMP 1.0 §7.1.6. Quirk: its text points at a big-endian 32-bit time, but every sender
//! and receiver uses the FLV tag header, whose time has its top byte last; so does this.
//! Quirk: the last back pointer may be missing or cut, and the value of any is ignored.

use crate::limits::AGGREGATE_MESSAGES_MAX;
use crate::time::Millis;
use crate::wire::reader::{Reader, Short};
use crate::wire::rtmp::message::MessageType;

/// Why the rest of an aggregate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// Malformed: a sub-message ended early.
    #[error(transparent)]
    Short(#[from] Short),
    /// Unsupported: an aggregate inside an aggregate.
    #[error("aggregate message holds another aggregate message")]
    Nested,
    /// Exhausted: messages in one.
    #[error("aggregate message holds more than {max} messages")]
    TooMany {
        /// The most that are taken.
        max: u32,
    },
}

/// One message out of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubMessage<'a> {
    /// Its type; never `Aggregate`.
    pub kind: MessageType,
    /// Its time, shifted so that the first has the aggregate's.
    pub timestamp: Millis,
    /// Its payload.
    pub payload: &'a [u8],
}

/// The messages of an aggregate, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct Aggregate<'a> {
    walk: Walk,
    payload: &'a [u8],
}

impl<'a> Aggregate<'a> {
    /// Starts at the first message of an aggregate with this time.
    #[must_use]
    pub const fn new(timestamp: Millis, payload: &'a [u8]) -> Self {
        Self { walk: Walk::new(timestamp), payload }
    }
}

impl<'a> Iterator for Aggregate<'a> {
    type Item = Result<SubMessage<'a>, AggregateError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.next(self.payload)
    }
}

/// How far an aggregate has been taken apart. Borrows nothing, so that its payload may be looked
/// at anew for each message, and none is walked over twice.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    at: usize,
    count: u32,
    timestamp: Millis,
    /// What turns a message's time into the aggregate's.
    offset: Option<u32>,
    ended: bool,
}

impl Walk {
    /// Before the first message of an aggregate with this time.
    #[must_use]
    pub const fn new(timestamp: Millis) -> Self {
        Self { at: 0, count: 0, timestamp, offset: None, ended: false }
    }

    /// The next message of `payload`, which is the same at each call; `None` after the last, and
    /// after the first error.
    pub fn next<'a>(
        &mut self,
        payload: &'a [u8],
    ) -> Option<Result<SubMessage<'a>, AggregateError>> {
        let rest = payload.get(self.at..).filter(|rest| !rest.is_empty() && !self.ended)?;
        let item = self.step(Reader::new(rest));
        self.ended |= item.is_err();
        Some(item)
    }

    // | type (8) | length (24) | time low (24) | high (8) | stream id (24) | payload | back (32) |
    fn step<'a>(&mut self, mut r: Reader<'a>) -> Result<SubMessage<'a>, AggregateError> {
        self.count += 1;
        if self.count > AGGREGATE_MESSAGES_MAX {
            return Err(AggregateError::TooMany { max: AGGREGATE_MESSAGES_MAX });
        }
        let kind = MessageType::from(r.u8("sub-message type")?);
        let length = r.u24("sub-message length")?;
        let low = r.u24("sub-message time")?;
        let high = r.u8("sub-message time")?;
        r.u24("sub-message stream id")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let payload = r.take(length, "sub-message payload")?;
        if kind == MessageType::Aggregate {
            return Err(AggregateError::Nested);
        }
        self.ended = r.u32("sub-message back pointer").is_err();
        self.at += r.position();
        let time = u32::from(high) << 24 | low;
        let first = self.timestamp.0.wrapping_sub(time);
        let offset = *self.offset.get_or_insert(first);
        Ok(SubMessage { kind, timestamp: Millis(time).wrapping_add(offset), payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sub(kind: u8, time: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let t = time.to_be_bytes();
        let mut bytes = vec![kind, length[1], length[2], length[3]];
        bytes.extend([t[1], t[2], t[3], t[0], 0, 0, 0]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn aggregate_shifts_times_and_allows_last_back_pointer_to_be_missing() {
        let mut bytes = sub(8, 0xffff_fff0, &[1]);
        bytes.extend([0xde, 0xad, 0xbe, 0xef]);
        bytes.extend(sub(9, 0x0000_0010, &[]));
        let got: Vec<_> = Aggregate::new(Millis(100), &bytes).map(Result::unwrap).collect();
        assert_eq!(got[0].timestamp, Millis(100));
        assert_eq!(got[1].timestamp, Millis(132));
        assert_eq!(got[1].kind, MessageType::Video);
    }

    #[test]
    fn aggregate_refuses_a_nested_one_and_then_ends() {
        let mut bytes = sub(22, 0, &[1]);
        bytes.extend([0; 4]);
        bytes.extend(sub(8, 0, &[1]));
        let mut aggregate = Aggregate::new(Millis(0), &bytes);
        assert_eq!(aggregate.next(), Some(Err(AggregateError::Nested)));
        assert_eq!(aggregate.next(), None);
    }

    #[test]
    fn aggregate_holds_so_many_and_no_more() {
        let one = [sub(8, 0, &[1]), vec![0; 4]].concat();
        let most = usize::try_from(AGGREGATE_MESSAGES_MAX).unwrap();
        assert!(Aggregate::new(Millis(0), &one.repeat(most)).all(|item| item.is_ok()));
        let bytes = one.repeat(most + 1);
        let mut aggregate = Aggregate::new(Millis(0), &bytes).skip(most);
        let refused = Err(AggregateError::TooMany { max: AGGREGATE_MESSAGES_MAX });
        assert_eq!(aggregate.next(), Some(refused));
        assert_eq!(aggregate.next(), None);
    }

    #[test]
    fn aggregate_is_refused_when_cut_before_the_back_pointer() {
        let mut bytes = sub(8, 0, &[1, 2]);
        bytes.extend([0; 4]);
        for n in 1..bytes.len() {
            let whole = Aggregate::new(Millis(0), &bytes[..n]).all(|item| item.is_ok());
            assert_eq!(whole, n >= 13, "{n}");
        }
    }

    proptest! {
        #[test]
        fn aggregate_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let n = Aggregate::new(Millis(0), &bytes).count();
            prop_assert!(n <= bytes.len() / 11 + 1);
        }
    }
}

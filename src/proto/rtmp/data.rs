//! What a data message is: the description of a stream, its end, or something of the stream's own.
//!
//! Publishers wrap the name in `@setDataFrame`; what follows is the same. Every value is checked,
//! so that nobody after us meets a broken one. Knows nothing of sessions.
//! Source: RTMP 1.0 §7.1.2; Flash Media Server's names.

use crate::wire::amf0::{Value, Values};

/// The string that the description of a stream begins with.
pub const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// A data message that parses.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// The description of the stream: its value.
    Metadata(&'a [u8]),
    /// The description holds no more.
    Cleared,
    /// Anything else.
    Other {
        /// The first string.
        name: &'a [u8],
        /// The value behind it.
        first: Option<Value<'a>>,
        /// All values, from the name on.
        body: &'a [u8],
    },
}

impl<'a> Data<'a> {
    /// Reads the values of a data message; `None` when they do not parse or describe nothing.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut values = Values::new(body);
        let mut rest = body;
        let mut name = values.next()?.ok()?.string()?;
        if name == b"@clearDataFrame" {
            return Some(Self::Cleared);
        }
        if name == b"@setDataFrame" {
            rest = values.rest();
            name = values.next()?.ok()?.string()?;
        }
        if name == b"onMetaData" {
            let from = values.rest();
            let value = values.next()?.ok()?;
            if matches!(value, Value::Null | Value::Undefined) {
                return None;
            }
            return Some(Self::Metadata(from.get(..from.len() - values.rest().len())?));
        }
        let first = values.next().transpose().ok()?;
        if values.any(|value| value.is_err()) {
            return None;
        }
        Some(Self::Other { name, first, body: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_told_by_its_name_with_and_without_the_wrapper() {
        let wrapped = |inner: &[u8]| [b"\x02\x00\x0d@setDataFrame", inner].concat();
        let described = [ON_META_DATA, &[5, 6][..1]].concat();
        assert!(Data::parse(&described).is_none(), "null describes nothing");
        let described = [ON_META_DATA, b"\x03\x00\x00\x09", b"\x05"].concat();
        for body in [described.clone(), wrapped(&described)] {
            let Some(Data::Metadata(value)) = Data::parse(&body) else { panic!("{body:?}") };
            assert_eq!(value, b"\x03\x00\x00\x09", "one value, whatever follows");
        }
        let cue = b"\x02\x00\x0aonCuePoint\x05".to_vec();
        for whole in [cue.clone(), wrapped(&cue)] {
            let Some(Data::Other { name, first, body }) = Data::parse(&whole) else { panic!() };
            assert_eq!((name, first), (&b"onCuePoint"[..], Some(Value::Null)));
            assert_eq!(body, cue);
        }
        let cleared = b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData";
        assert!(matches!(Data::parse(cleared), Some(Data::Cleared)));
        for broken in [&b""[..], b"\x05", b"\x02\x00\x09short", &[&cue[..], &[2, 9]].concat()] {
            assert!(Data::parse(broken).is_none(), "{broken:?}");
        }
    }
}

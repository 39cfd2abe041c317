//! DER elements of ASN.1, to be emitted: tag, length, contents.
//!
//! As much of it as a certificate of our own needs; reads nothing, and knows no types.
//! Source: ITU-T X.690 §8.1, §10.1.

use crate::wire::writer::{Full, Writer};

/// The identifier of an element (X.690 §8.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Universal 1.
    Boolean,
    /// Universal 2; the contents are as short as they can be.
    Integer,
    /// Universal 3; the first byte counts the bits of the last one that are not used.
    BitString,
    /// Universal 4.
    OctetString,
    /// Universal 6.
    ObjectIdentifier,
    /// Universal 12.
    Utf8String,
    /// Universal 16.
    Sequence,
    /// Universal 17; one element at most, since nothing sorts them.
    Set,
    /// Universal 23.
    UtcTime,
    /// Universal 24.
    GeneralizedTime,
    /// Context-specific, around other elements; at most 30.
    Explicit(u8),
    /// Context-specific, in place of a primitive tag; at most 30.
    Implicit(u8),
}

impl Tag {
    // | class (2) | constructed (1) | number (5) |
    const fn code(self) -> u8 {
        match self {
            Self::Boolean => 0x01,
            Self::Integer => 0x02,
            Self::BitString => 0x03,
            Self::OctetString => 0x04,
            Self::ObjectIdentifier => 0x06,
            Self::Utf8String => 0x0c,
            Self::Sequence => 0x30,
            Self::Set => 0x31,
            Self::UtcTime => 0x17,
            Self::GeneralizedTime => 0x18,
            Self::Explicit(number) => 0xa0 | (number & 0x1f),
            Self::Implicit(number) => 0x80 | (number & 0x1f),
        }
    }
}

/// Writes one element with what `contents` writes in it.
///
/// # Errors
/// `Full` if it does not fit; part of it may then be written.
pub fn element(
    w: &mut Writer<'_>,
    tag: Tag,
    contents: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<(), Full> {
    w.u8(tag.code())?;
    let start = w.position();
    contents(w)?;
    // The length stands before what it measures, as short as it can be (X.690 §10.1).
    let length = w.position() - start;
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    match (u8::try_from(length), u8::try_from(significant.len())) {
        (Ok(short @ ..0x80), _) => w.insert(start, &[short]),
        (_, Ok(count)) => {
            w.insert(start, significant)?;
            w.insert(start, &[0x80 | count])
        }
        (_, Err(_)) => Err(Full { need: length, have: 0 }),
    }
}

/// Writes an element whose contents are `bytes`.
///
/// # Errors
/// `Full` if it does not fit; part of it may then be written.
pub fn primitive(w: &mut Writer<'_>, tag: Tag, bytes: &[u8]) -> Result<(), Full> {
    element(w, tag, |w| w.bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn written(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 18];
        let mut w = Writer::new(&mut buffer);
        emit(&mut w);
        w.written().to_vec()
    }

    /// Length of the contents and the contents of the first element, as X.690 §8.1.3 reads them.
    fn read(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
        let (tag, first, rest) = (bytes[0], usize::from(bytes[1]), &bytes[2..]);
        let count = if first < 0x80 { 0 } else { first & 0x7f };
        let long = rest[..count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let length = if first < 0x80 { first } else { long };
        assert!(count == 0 || (long >= 0x80 && rest[0] != 0), "the shortest form");
        let (contents, behind) = rest[count..].split_at(length);
        (tag, contents, behind)
    }

    #[test]
    fn element_is_that_of_the_standard() {
        // X.690 §8.14.3 and §8.19.5, examples; lengths by §8.1.3.4 and §8.1.3.5.
        let jones = written(|w| {
            element(w, Tag::Explicit(2), |w| primitive(w, Tag::Utf8String, b"Jones")).unwrap();
        });
        assert_eq!(jones, b"\xa2\x07\x0c\x05Jones");
        let oid = written(|w| primitive(w, Tag::ObjectIdentifier, &[0x88, 0x37, 0x03]).unwrap());
        assert_eq!(oid, [0x06, 0x03, 0x88, 0x37, 0x03]);
        let long = written(|w| primitive(w, Tag::OctetString, &[7; 201]).unwrap());
        assert_eq!(long[..3], [0x04, 0x81, 201]);
        let longer = written(|w| primitive(w, Tag::Implicit(1), &[7; 256]).unwrap());
        assert_eq!(longer[..4], [0x81, 0x82, 1, 0]);
    }

    proptest! {
        #[test]
        fn elements_within_each_other_are_read_back(
            first in vec(any::<u8>(), 0..300),
            second in vec(any::<u8>(), 0..70_000),
        ) {
            let bytes = written(|w| {
                element(w, Tag::Sequence, |w| {
                    primitive(w, Tag::OctetString, &first)?;
                    primitive(w, Tag::BitString, &second)
                })
                .unwrap();
            });
            let (tag, contents, behind) = read(&bytes);
            prop_assert_eq!((tag, behind), (0x30, &[][..]));
            let (tag, one, contents) = read(contents);
            prop_assert_eq!((tag, one), (0x04, &first[..]));
            let (tag, two, behind) = read(contents);
            prop_assert_eq!((tag, two, behind), (0x03, &second[..], &[][..]));
        }

        #[test]
        fn element_that_does_not_fit_is_refused(room in 0_usize..260, bytes in 0_usize..250) {
            let mut buffer = vec![0; room];
            let header = if bytes < 0x80 { 2 } else { 3 };
            let outcome =
                primitive(&mut Writer::new(&mut buffer), Tag::OctetString, &vec![1; bytes]);
            prop_assert_eq!(outcome.is_ok(), room >= bytes + header);
        }
    }
}

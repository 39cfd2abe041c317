//! Parts of a resource: the byte range of a segment, and the initialization section in front.
//!
//! Does not work out where a range without an offset begins. Source: RFC 8216 §4.3.2.2, §4.3.2.5.

use super::attributes::{AttributeValue, Attributes, List};
use super::{decimal, put};
use crate::wire::writer::{Full, Writer};

/// A part of a resource: `n@o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Length in bytes.
    pub bytes: u64,
    /// Offset of the first one; absent, it follows the range before.
    pub at: Option<u64>,
}

impl ByteRange {
    /// Reads `n` or `n@o`; `None` where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bytes, at) = match text.split_once('@') {
            Some((bytes, at)) => (bytes, Some(decimal(at)?)),
            None => (text, None),
        };
        Some(Self { bytes: decimal(bytes)?, at })
    }

    /// Writes it.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        put(w, format_args!("{}", self.bytes))?;
        self.at.map_or(Ok(()), |at| put(w, format_args!("@{at}")))
    }
}

/// Where the initialization section of the following segments is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map<'a> {
    /// Its resource.
    pub uri: &'a str,
    /// Which part of it; absent, all.
    pub range: Option<ByteRange>,
}

impl<'a> Map<'a> {
    pub(super) fn parse(list: &'a str) -> Option<Self> {
        let (mut uri, mut range) = (None, None);
        for attribute in Attributes::new(list) {
            let attribute = attribute.ok()?;
            let before = match (attribute.name, attribute.value) {
                ("URI", AttributeValue::Quoted(text)) => uri.replace(text).map(drop),
                ("BYTERANGE", AttributeValue::Quoted(text)) => {
                    range.replace(ByteRange::parse(text)?).map(drop)
                }
                ("URI" | "BYTERANGE", AttributeValue::Bare(_)) => return None,
                _ => None,
            };
            if before.is_some() {
                return None;
            }
        }
        Some(Self { uri: uri?, range })
    }

    pub(super) fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let mut list = List::new(w, "#EXT-X-MAP:")?;
        list.quoted("URI", self.uri)?;
        if let Some(range) = self.range {
            list.bare("BYTERANGE", format_args!("\""))?;
            range.emit(list.w)?;
            list.w.u8(b'"')?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Line, M3u8Error, MediaPlaylist};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_and_maps_of_another_form_are_refused() {
        for (tag, value) in [
            ("EXT-X-BYTERANGE", ""),
            ("EXT-X-BYTERANGE", "@5"),
            ("EXT-X-BYTERANGE", "5@"),
            ("EXT-X-BYTERANGE", "5@-1"),
            ("EXT-X-BYTERANGE", "5@1@2"),
            ("EXT-X-BYTERANGE", " 5"),
            ("EXT-X-MAP", ""),
            ("EXT-X-MAP", "BYTERANGE=\"376@0\""),
            ("EXT-X-MAP", "URI=a"),
            ("EXT-X-MAP", "URI=\"a\",BYTERANGE=376@0"),
            ("EXT-X-MAP", "URI=\"a\",BYTERANGE=\"@0\""),
            ("EXT-X-MAP", "URI=\"a\",URI=\"a\""),
        ] {
            let text = format!("#{tag}:{value}");
            let error = M3u8Error::Value { tag, line: 3 };
            assert_eq!(Line::parse(&text, 3), Err(error), "{value}");
        }
        let twice = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-BYTERANGE:1\n#EXT-X-BYTERANGE:1\n";
        let error = M3u8Error::Repeated { tag: "EXT-X-BYTERANGE", line: 4 };
        assert_eq!(MediaPlaylist::parse(twice), Err(error));
    }

    proptest! {
        #[test]
        fn ranges_and_maps_come_back_as_emitted(
            bytes: u64, at: Option<u64>, uri in "[ !#-~]{0,40}", whole: bool,
        ) {
            let range = ByteRange { bytes, at };
            let map = Map { uri: &uri, range: (!whole).then_some(range) };
            for line in [Line::ByteRange(range), Line::Map(map), Line::IFramesOnly] {
                let mut buffer = [0; 512];
                let mut w = Writer::new(&mut buffer);
                line.emit(&mut w).unwrap();
                let text = core::str::from_utf8(w.written()).unwrap();
                prop_assert_eq!(Line::parse(text.strip_suffix('\n').unwrap(), 1), Ok(line));
            }
        }
    }
}

//! MPEG audio frames, layers I to III: lengths, durations, and frames found in a run of bytes.
//!
//! RTMP messages of MP3 hold one frame, several, or a part of one; transport streams take whole
//! frames, unchanged. Sources: ISO/IEC 11172-3 §2.4.1.3, 13818-3 §2.4.2.3; MPEG-2.5 is an
//! extension of its authors that everyone plays. Does not decode; free-format frames, whose
//! length nobody says, are refused.

use crate::wire::reader::{Reader, Short};

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 4;

/// The longest frame: layer II of MPEG-2.5, 160 kbit/s at 8 kHz, padded.
pub const FRAME_BYTES_MAX: usize = 2881;

/// The longest silent frame: 32 kbit/s at 32 kHz.
pub const SILENT_FRAME_BYTES_MAX: usize = 144;

/// A header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MpaError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: no sync bits, or a reserved version, layer, bit rate or frequency.
    #[error("mpeg audio header {0:#010x} is none")]
    NoHeader(u32),
    /// Unsupported: the bit rate, and with it the frame's length, is not said.
    #[error("mpeg audio is in free format")]
    FreeFormat,
}

/// The edition of the standard that a frame follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 32, 44.1, 48 kHz.
    Mpeg1,
    /// Half of these.
    Mpeg2,
    /// A quarter of these.
    Mpeg25,
}

/// How samples are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Layer I.
    I,
    /// Layer II, "MP2".
    II,
    /// Layer III, "MP3".
    III,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Edition.
    pub version: Version,
    /// Layer.
    pub layer: Layer,
    /// Bits per second.
    pub bit_rate: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Whether the frame is one slot longer.
    pub padding: bool,
    /// 1 or 2.
    pub channels: u8,
}

impl FrameHeader {
    // | sync, ones (11) | version (2) layer (2) no checksum (1) | bit rate (4) frequency (2)
    //   padding (1) private (1) | mode (2) extension (2) copyright original (1 each) emphasis (2) |

    /// Reads the header of a frame.
    ///
    /// # Errors
    /// `MpaError` if there is none, or the frame's length is not said.
    pub fn parse(bytes: &[u8]) -> Result<Self, MpaError> {
        let header = Reader::new(bytes).array("mpeg audio header")?;
        let none = MpaError::NoHeader(u32::from_be_bytes(header));
        let [b0, b1, b2, b3] = header;
        if b0 != 0xff || b1 & 0xe0 != 0xe0 {
            return Err(none);
        }
        let version = match b1 >> 3 & 3 {
            0 => Version::Mpeg25,
            2 => Version::Mpeg2,
            3 => Version::Mpeg1,
            _ => return Err(none),
        };
        let layer = match b1 >> 1 & 3 {
            1 => Layer::III,
            2 => Layer::II,
            3 => Layer::I,
            _ => return Err(none),
        };
        let full_rate = match b2 >> 2 & 3 {
            0 => 44_100,
            1 => 48_000,
            2 => 32_000,
            _ => return Err(none),
        };
        let sample_rate = match version {
            Version::Mpeg1 => full_rate,
            Version::Mpeg2 => full_rate / 2,
            Version::Mpeg25 => full_rate / 4,
        };
        let index = b2 >> 4;
        if index == 0 {
            return Err(MpaError::FreeFormat);
        }
        let kilobits = rates(version, layer).get(usize::from(index) - 1).ok_or(none)?;
        Ok(Self {
            version,
            layer,
            bit_rate: u32::from(*kilobits) * 1000,
            sample_rate,
            padding: b2 & 2 != 0,
            channels: if b3 >> 6 == 3 { 1 } else { 2 },
        })
    }

    /// The header of a silent frame of layer III after one with the header `like`: the lowest bit
    /// rate, no checksum, no padding. All that follows is zero, which says that there is nothing
    /// to decode (ISO/IEC 11172-3 §2.4.1.7). `None` for other layers.
    #[must_use]
    pub fn silent(like: [u8; HEADER_BYTES]) -> Option<([u8; HEADER_BYTES], Self)> {
        let [sync, version, rate, mode] = like;
        let silent = [sync, version | 1, 0x10 | rate & 0x0c, mode];
        let header = Self::parse(&silent).ok()?;
        (header.layer == Layer::III).then_some((silent, header))
    }

    /// Bytes of the frame, the header included; at most `FRAME_BYTES_MAX`.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        let padding = u32::from(self.padding);
        let bytes = match (self.layer, self.version) {
            (Layer::I, _) => (12 * self.bit_rate / self.sample_rate + padding) * 4,
            (Layer::III, Version::Mpeg2 | Version::Mpeg25) => {
                72 * self.bit_rate / self.sample_rate + padding
            }
            (Layer::II | Layer::III, _) => 144 * self.bit_rate / self.sample_rate + padding,
        };
        usize::try_from(bytes).unwrap_or(FRAME_BYTES_MAX)
    }

    /// Samples that the frame lasts.
    #[must_use]
    pub const fn samples(&self) -> u16 {
        match (self.layer, self.version) {
            (Layer::I, _) => 384,
            (Layer::III, Version::Mpeg2 | Version::Mpeg25) => 576,
            (Layer::II | Layer::III, _) => 1152,
        }
    }

    /// The stream type in a program map: 3 for MPEG-1, 4 for the lower frequencies.
    #[must_use]
    pub const fn stream_type(&self) -> u8 {
        match self.version {
            Version::Mpeg1 => 0x03,
            Version::Mpeg2 | Version::Mpeg25 => 0x04,
        }
    }

    /// Whether `next` can follow in the same stream; the bit rate may vary.
    const fn agrees(&self, next: &Self) -> bool {
        let same = self.sample_rate == next.sample_rate && self.channels == next.channels;
        same && matches!(
            (self.layer, next.layer),
            (Layer::I, Layer::I) | (Layer::II, Layer::II) | (Layer::III, Layer::III)
        )
    }
}

/// Kilobits per second by index, from 1 on (11172-3 §2.4.2.3, 13818-3 §2.4.2.3).
const fn rates(version: Version, layer: Layer) -> &'static [u16; 14] {
    match (version, layer) {
        (Version::Mpeg1, Layer::I) => {
            &[32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448]
        }
        (Version::Mpeg1, Layer::II) => {
            &[32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384]
        }
        (Version::Mpeg1, Layer::III) => {
            &[32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
        }
        (Version::Mpeg2 | Version::Mpeg25, Layer::I) => {
            &[32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256]
        }
        (Version::Mpeg2 | Version::Mpeg25, Layer::II | Layer::III) => {
            &[8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
        }
    }
}

/// One whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// All its bytes, the header included.
    pub bytes: &'a [u8],
}

/// An iterator over the whole frames in a run of bytes.
///
/// The caller keeps `rest()` at the end and puts it in front of the next message: it is the
/// beginning of a frame, shorter than `FRAME_BYTES_MAX`. `skipped()` counts bytes that belong to
/// no frame, such as the end of a frame whose beginning was never seen.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    /// The frame that ended where `rest` begins.
    last: Option<FrameHeader>,
    skipped: usize,
}

impl<'a> Frames<'a> {
    /// Starts at the first byte, which need not be a frame's.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, last: None, skipped: 0 }
    }

    /// Bytes behind the last whole frame; at the end of the walk, what to carry over.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes so far that belong to no frame.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Judges the first byte. A header alone may be chance, so the frame before it or the one
    /// behind it must agree.
    fn look(&self) -> Look {
        let header = match FrameHeader::parse(self.rest) {
            Ok(header) => header,
            Err(MpaError::Short(_)) if may_begin(self.rest) => return Look::Beginning,
            Err(_) => return Look::Nothing,
        };
        let Some(behind) = self.rest.get(header.frame_bytes()..) else {
            return Look::Beginning;
        };
        if self.last.is_some_and(|last| last.agrees(&header)) {
            return Look::Frame(header);
        }
        match FrameHeader::parse(behind) {
            Ok(next) if header.agrees(&next) => Look::Frame(header),
            Err(MpaError::Short(_)) if may_begin(behind) => Look::Frame(header),
            _ => Look::Nothing,
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            match self.look() {
                Look::Frame(header) => {
                    let (bytes, rest) = self.rest.split_at_checked(header.frame_bytes())?;
                    self.rest = rest;
                    self.last = Some(header);
                    return Some(Frame { header, bytes });
                }
                Look::Beginning => return None,
                Look::Nothing => {
                    let (_, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    self.last = None;
                    self.skipped += 1;
                }
            }
        }
    }
}

enum Look {
    /// A whole frame.
    Frame(FrameHeader),
    /// The bytes may be the beginning of a frame, or there are none.
    Beginning,
    /// No frame begins here.
    Nothing,
}

/// Whether fewer bytes than a header may be the beginning of one.
fn may_begin(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter();
    bytes.next().is_none_or(|first| *first == 0xff)
        && bytes.next().is_none_or(|second| *second >= 0xe0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame of 128 kbit/s at 44.1 kHz whose payload holds no header.
    fn frame(padding: bool) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xfb, if padding { 0x92 } else { 0x90 }, 0];
        bytes.resize(if padding { 418 } else { 417 }, 0x55);
        bytes
    }

    #[test]
    fn header_refuses_reserved_values_and_free_format() {
        for header in [
            [0xff, 0xeb, 0x90, 0],
            [0xff, 0xf9, 0x90, 0],
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0x00, 0xfb, 0x90, 0],
        ] {
            assert_eq!(
                FrameHeader::parse(&header),
                Err(MpaError::NoHeader(u32::from_be_bytes(header)))
            );
        }
        assert_eq!(FrameHeader::parse(&[0xff, 0xfb, 0x00, 0]), Err(MpaError::FreeFormat));
        assert!(FrameHeader::parse(&[0xff, 0xfb, 0x90]).is_err());
    }

    #[test]
    fn no_frame_is_longer_than_the_bound_and_one_is_as_long() {
        let mut longest = 0;
        for header in 0..1u32 << 21 {
            let header = (0xffe0_0000 | header).to_be_bytes();
            if header[3] == 0
                && let Ok(header) = FrameHeader::parse(&header)
            {
                longest = longest.max(header.frame_bytes());
                assert!(header.frame_bytes() >= HEADER_BYTES);
            }
        }
        assert_eq!(longest, FRAME_BYTES_MAX);
    }

    #[test]
    fn frames_split_at_every_byte_are_found_when_carried_over() {
        let stream = [frame(false), frame(true), frame(false)].concat();
        for cut in 0..=stream.len() {
            let mut first = Frames::new(&stream[..cut]);
            let mut found: Vec<_> = first.by_ref().map(|f| f.bytes.to_vec()).collect();
            assert_eq!(first.skipped(), 0, "cut at {cut}");
            let joined = [first.rest(), &stream[cut..]].concat();
            let mut second = Frames::new(&joined);
            found.extend(second.by_ref().map(|f| f.bytes.to_vec()));
            assert_eq!(found.concat(), stream, "cut at {cut}");
            assert_eq!(found.len(), 3, "cut at {cut}");
            assert!(second.rest().is_empty());
        }
    }

    #[test]
    fn frames_behind_the_end_of_an_unseen_frame_are_found() {
        let mut stream = vec![0x55, 0xff, 0xfb, 0x90, 1];
        stream.extend(frame(false));
        stream.extend(frame(false));
        let mut frames = Frames::new(&stream);
        assert_eq!(frames.by_ref().count(), 2);
        assert_eq!(frames.skipped(), 5);
    }

    #[test]
    fn frames_before_a_tag_are_found_and_the_tag_is_skipped() {
        let mut stream = [frame(false), frame(false)].concat();
        stream.extend(b"TAG and what follows");
        let mut frames = Frames::new(&stream);
        assert_eq!(frames.by_ref().count(), 2);
        assert_eq!(frames.skipped(), 20);
        assert!(frames.rest().is_empty());
    }

    proptest! {
        #[test]
        fn frames_of_any_bytes_account_for_every_byte(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0xffu8), Just(0xfb), Just(0xf3), Just(0x14), any::<u8>()],
                0..2000,
            ),
        ) {
            let mut frames = Frames::new(&bytes);
            let mut whole = 0;
            for frame in frames.by_ref() {
                prop_assert_eq!(frame.bytes.len(), frame.header.frame_bytes());
                whole += frame.bytes.len();
            }
            prop_assert_eq!(whole + frames.skipped() + frames.rest().len(), bytes.len());
            prop_assert!(frames.rest().len() < FRAME_BYTES_MAX);
        }
    }
}

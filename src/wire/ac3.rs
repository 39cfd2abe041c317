//! AC-3 and E-AC-3: lengths, durations and channels of frames, and the access units they make.
//!
//! Sources: ATSC A/52 §5.3.1, §5.3.2, §5.4.1 (AC-3), annex E §2.2, §2.3.1 (E-AC-3), table 5.18
//! (lengths). Transport streams take frames unchanged. Does not decode.
//!
//! An access unit of E-AC-3 is an independent frame of substream 0 with all frames that belong to
//! it: dependent ones, which carry more channels, and further programs.

use crate::wire::reader::{BitReader, Short};

/// The longest frame: 11 bits of words in E-AC-3.
pub const FRAME_BYTES_MAX: usize = 4096;

/// Samples of one block, per channel.
const BLOCK_SAMPLES: u16 = 256;

/// A frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ac3Error {
    /// Malformed: fewer bits than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: no sync word.
    #[error("ac-3 frame begins with {0:#06x}, not 0x0b77")]
    NoSync(u16),
    /// Malformed: a reserved sample rate, length or stream type.
    #[error("ac-3 frame has a reserved {field}")]
    Reserved {
        /// The field.
        field: &'static str,
    },
    /// Unsupported: a syntax that no edition of the standard defines.
    #[error("ac-3 frame has bit stream id {0}, not 0 to 8 or 11 to 16")]
    BitStream(u8),
}

/// Which of the two a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3 {
        /// Whether the frame belongs to the independent one before it.
        dependent: bool,
        /// Number of its substream, 0 to 7.
        substream: u8,
    },
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Which syntax it has.
    pub kind: Kind,
    /// Samples per second.
    pub sample_rate: u32,
    /// Bytes of the frame, the head included, 2 to `FRAME_BYTES_MAX`.
    pub frame_bytes: u16,
    /// Samples that it lasts, per channel: 256, 512, 768 or 1536.
    pub samples: u16,
    /// Channels in it, the one for low frequencies included, 1 to 6.
    pub channels: u8,
}

impl FrameHeader {
    // AC-3: | 0b77 (16) | crc (16) | rate (2) length code (6) | id (5) mode (3) | acmod (3)
    //       [three front: (2)] [surround: (2)] [two: (2)] lfe (1) |
    // E-AC-3: | 0b77 (16) | type (2) substream (3) words - 1 (11) | rate (2) [3: half rate (2)]
    //         [else: blocks (2)] acmod (3) lfe (1) | id (5) |

    /// Reads the head of a frame.
    ///
    /// # Errors
    /// `Ac3Error` if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Ac3Error> {
        let mut r = BitReader::new(bytes);
        let sync = r.bits(16, "ac-3 sync")?;
        if sync != SYNC {
            return Err(Ac3Error::NoSync(u16::try_from(sync).unwrap_or(0)));
        }
        // The id lies at the same place in both.
        let mut ahead = r.clone();
        ahead.bits(24, "ac-3 head")?;
        match byte(ahead.bits(5, "ac-3 bit stream id")?) {
            0..=8 => ac3(&mut r),
            11..=16 => eac3(&mut r),
            other => Err(Ac3Error::BitStream(other)),
        }
    }

    /// Whether an access unit begins with this frame.
    #[must_use]
    pub const fn begins_unit(&self) -> bool {
        matches!(self.kind, Kind::Ac3 | Kind::Eac3 { dependent: false, substream: 0 })
    }
}

const SYNC: u32 = 0x0b77;

/// Samples per second by their code.
const RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// Kilobits per second by half the length code (A/52 table 5.18).
const KILOBITS: [u16; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

fn ac3(r: &mut BitReader<'_>) -> Result<FrameHeader, Ac3Error> {
    r.bits(16, "ac-3 crc")?;
    let rate = byte(r.bits(2, "ac-3 sample rate")?);
    let length = byte(r.bits(6, "ac-3 length")?);
    let sample_rate = *RATES.get(usize::from(rate)).ok_or(reserved("sample rate"))?;
    let kilobits = *KILOBITS.get(usize::from(length >> 1)).ok_or(reserved("length"))?;
    let words = match rate {
        0 => kilobits * 2,
        // 1536 samples of 44.1 kHz are no whole number of words: every other frame has one more.
        1 => {
            let words = u32::from(kilobits) * 1000 * 1536 / 16 / 44_100;
            u16::try_from(words).unwrap_or(0) + u16::from(length & 1)
        }
        _ => kilobits * 3,
    };
    r.bits(8, "ac-3 bit stream id")?;
    let mode = byte(r.bits(3, "ac-3 channel mode")?);
    let mixes = [mode & 1 == 1 && mode != 1, mode & 4 != 0, mode == 2];
    for mix in mixes {
        if mix {
            r.bits(2, "ac-3 mix level")?;
        }
    }
    let low = r.bit("ac-3 low frequencies")?;
    Ok(FrameHeader {
        kind: Kind::Ac3,
        sample_rate,
        frame_bytes: words * 2,
        samples: 6 * BLOCK_SAMPLES,
        channels: channels(mode, low),
    })
}

fn eac3(r: &mut BitReader<'_>) -> Result<FrameHeader, Ac3Error> {
    let kind = byte(r.bits(2, "e-ac-3 stream type")?);
    let substream = byte(r.bits(3, "e-ac-3 substream")?);
    let words = r.bits(11, "e-ac-3 length")? + 1;
    let rate = byte(r.bits(2, "e-ac-3 sample rate")?);
    let code = byte(r.bits(2, "e-ac-3 blocks")?);
    let (sample_rate, blocks) = if let Some(hertz) = RATES.get(usize::from(rate)) {
        (*hertz, *[1, 2, 3, 6].get(usize::from(code)).unwrap_or(&6))
    } else {
        let hertz = RATES.get(usize::from(code)).ok_or(reserved("sample rate"))?;
        (hertz / 2, 6)
    };
    let mode = byte(r.bits(3, "e-ac-3 channel mode")?);
    let low = r.bit("e-ac-3 low frequencies")?;
    let dependent = match kind {
        0 | 2 => false,
        1 => true,
        _ => return Err(reserved("stream type")),
    };
    Ok(FrameHeader {
        kind: Kind::Eac3 { dependent, substream },
        sample_rate,
        frame_bytes: u16::try_from(words * 2).unwrap_or(u16::MAX),
        samples: blocks * BLOCK_SAMPLES,
        channels: channels(mode, low),
    })
}

/// Channels of a mode (A/52 table 5.8); mode 0 is two single ones.
fn channels(mode: u8, low: bool) -> u8 {
    let full = match mode & 7 {
        1 => 1,
        0 | 2 => 2,
        3 | 4 => 3,
        5 | 6 => 4,
        _ => 5,
    };
    full + u8::from(low)
}

const fn reserved(field: &'static str) -> Ac3Error {
    Ac3Error::Reserved { field }
}

/// The low eight bits.
const fn byte(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}

/// One access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The head of its first frame.
    pub header: FrameHeader,
    /// All its frames.
    pub bytes: &'a [u8],
}

/// Walks the access units of a message: frames behind one another.
#[must_use]
pub const fn units(message: &[u8]) -> Units<'_> {
    Units { rest: message }
}

/// An iterator over access units. It ends where no whole frame begins; `rest` is what remains.
#[derive(Clone, Debug)]
pub struct Units<'a> {
    rest: &'a [u8],
}

impl<'a> Units<'a> {
    /// Bytes behind the last whole access unit; at the end of the walk, what is no frame.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        let header = FrameHeader::parse(self.rest).ok()?;
        let mut end = usize::from(header.frame_bytes);
        let mut behind = self.rest.get(end..)?;
        while let Ok(next) = FrameHeader::parse(behind)
            && !next.begins_unit()
            && let Some(rest) = behind.get(usize::from(next.frame_bytes)..)
        {
            end += usize::from(next.frame_bytes);
            behind = rest;
        }
        let bytes = self.rest.get(..end)?;
        self.rest = behind;
        Some(Unit { header, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 192 kbit/s at 48 kHz, stereo, as ffmpeg 5.1 begins it.
    const AC3: [u8; 8] = [0x0b, 0x77, 0x5d, 0x1c, 0x14, 0x40, 0x43, 0x80];

    fn frame(head: &[u8], bytes: usize) -> Vec<u8> {
        let mut frame = head.to_vec();
        frame.resize(bytes, 0x55);
        frame
    }

    /// An E-AC-3 frame of six blocks at 48 kHz, stereo.
    fn eac3_frame(kind: u8, substream: u8, bytes: usize) -> Vec<u8> {
        let words = u16::try_from(bytes / 2 - 1).unwrap();
        let [high, low] =
            (u16::from(kind) << 14 | u16::from(substream) << 11 | words).to_be_bytes();
        frame(&[0x0b, 0x77, high, low, 0b0011_0100, 16 << 3], bytes)
    }

    #[test]
    fn ac3_lengths_are_those_of_table_5_18() {
        // At 48, 44.1 (two codes) and 32 kHz, in words.
        for (code, words) in [
            (0, [64, 69, 96]),
            (1, [64, 70, 96]),
            (14, [224, 243, 336]),
            (20, [384, 417, 576]),
            (21, [384, 418, 576]),
            (37, [1280, 1394, 1920]),
        ] {
            for (rate, words) in (0u8..).zip(words) {
                let head = [0x0b, 0x77, 0, 0, rate << 6 | code, 8 << 3, 0xe1, 0];
                let header = FrameHeader::parse(&head).unwrap();
                assert_eq!(header.frame_bytes, words * 2, "rate {rate} code {code}");
                assert_eq!(header.sample_rate, RATES[usize::from(rate)]);
                assert_eq!((header.samples, header.channels), (1536, 6));
            }
        }
    }

    #[test]
    fn ac3_channels_are_found_behind_the_mix_levels() {
        for (mode, extra, channels) in [
            (0u16, 0, 2),
            (1, 0, 1),
            (2, 2, 2),
            (3, 2, 3),
            (4, 2, 3),
            (5, 4, 4),
            (6, 2, 4),
            (7, 4, 5),
        ] {
            for low in [0u16, 1] {
                let bits = mode << 13 | low << (12 - extra);
                let [a, b] = bits.to_be_bytes();
                let header = FrameHeader::parse(&[0x0b, 0x77, 0, 0, 0, 8 << 3, a, b]).unwrap();
                assert_eq!(header.channels, channels + u8::try_from(low).unwrap(), "mode {mode}");
            }
        }
    }

    #[test]
    fn eac3_says_length_blocks_and_half_rates() {
        let header = FrameHeader::parse(&eac3_frame(0, 0, 768)).unwrap();
        assert_eq!(header.kind, Kind::Eac3 { dependent: false, substream: 0 });
        assert_eq!((header.frame_bytes, header.samples, header.channels), (768, 1536, 2));
        for (code, samples) in [(0, 256), (1, 512), (2, 768), (3, 1536)] {
            let head = [0x0b, 0x77, 0, 9, 0x40 | code << 4 | 0b1111, 16 << 3];
            let header = FrameHeader::parse(&head).unwrap();
            assert_eq!((header.samples, header.sample_rate), (samples, 44_100));
            assert_eq!((header.channels, header.frame_bytes), (6, 20));
        }
        let half = FrameHeader::parse(&[0x0b, 0x77, 0, 9, 0xc4 | 2 << 4, 16 << 3]).unwrap();
        assert_eq!((half.sample_rate, half.samples), (16_000, 1536));
        let longest = FrameHeader::parse(&[0x0b, 0x77, 7, 0xff, 0x34, 16 << 3]).unwrap();
        assert_eq!(usize::from(longest.frame_bytes), FRAME_BYTES_MAX);
    }

    #[test]
    fn frames_refuse_what_is_reserved_or_cut() {
        let refused = |bytes: &[u8]| FrameHeader::parse(bytes).unwrap_err();
        assert_eq!(refused(&[0x77, 0x0b, 0, 0, 0, 64, 0, 0]), Ac3Error::NoSync(0x770b));
        assert_eq!(refused(&[0x0b, 0x77, 0, 0, 0xc0, 64, 0, 0]), reserved("sample rate"));
        assert_eq!(refused(&[0x0b, 0x77, 0, 0, 38, 64, 0, 0]), reserved("length"));
        assert_eq!(refused(&[0x0b, 0x77, 0xc0, 9, 0x34, 16 << 3]), reserved("stream type"));
        assert_eq!(refused(&[0x0b, 0x77, 0, 9, 0xf4, 16 << 3]), reserved("sample rate"));
        for id in [9, 10, 17, 31] {
            assert_eq!(refused(&[0x0b, 0x77, 0, 0, 0, id << 3, 0, 0]), Ac3Error::BitStream(id));
        }
        for end in 0..7 {
            assert!(matches!(refused(&AC3[..end]), Ac3Error::Short(_)), "{end} bytes");
        }
    }

    #[test]
    fn units_hold_the_frames_that_belong_together() {
        let message = [
            eac3_frame(0, 0, 40),
            eac3_frame(1, 0, 24),
            eac3_frame(0, 1, 20),
            eac3_frame(0, 0, 44),
            frame(&AC3, 768),
        ]
        .concat();
        let mut walk = units(&message);
        let lengths: Vec<usize> = walk.by_ref().map(|unit| unit.bytes.len()).collect();
        assert_eq!(lengths, [84, 44, 768]);
        assert!(walk.rest().is_empty());
        let mut walk = units(&message[..message.len() - 1]);
        assert_eq!(walk.by_ref().count(), 2);
        assert_eq!(walk.rest().len(), 767, "a frame that is cut is none");
    }

    proptest! {
        #[test]
        fn units_of_any_bytes_account_for_every_byte(
            bytes in proptest::collection::vec(
                prop_oneof![2 => Just(0x0bu8), 2 => Just(0x77), 1 => Just(0x80), 3 => any::<u8>()],
                0..300),
            sync: bool,
        ) {
            let head = [0x0b, 0x77, 0, 4, 0x34, 16 << 3];
            let bytes = if sync { [&head[..], &bytes].concat() } else { bytes };
            let mut walk = units(&bytes);
            let mut whole = 0;
            for unit in walk.by_ref() {
                prop_assert!(unit.bytes.len() >= usize::from(unit.header.frame_bytes));
                prop_assert!((1..=6).contains(&unit.header.channels));
                whole += unit.bytes.len();
            }
            prop_assert_eq!(whole + walk.rest().len(), bytes.len());
        }
    }
}

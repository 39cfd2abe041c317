//! How tracks with encrypted samples are named in a program map.
//!
//! Stream types of their own, so that no decoder takes ciphertext for samples; descriptors say what
//! it is, and of audio what a decoder is set up with, since that can no longer be read from the
//! frames. Encrypts nothing. H.264, AAC, AC-3 and E-AC-3 alone can be named so.
//! Source: Apple, MPEG-2 Stream Encryption Format for HLS §2.3; ETSI TS 102 366 annex F.6.

use crate::wire::aac::AudioSpecificConfig;
use crate::wire::ac3::{FrameHeader, Kind};
use crate::wire::reader::BitReader;
use crate::wire::writer::{Full, Writer};

/// Stream type of H.264 with encrypted slices.
pub const STREAM_TYPE_PROTECTED_H264: u8 = 0xdb;

/// Descriptors of H.264 with encrypted slices: a private data indicator.
pub const PROTECTED_H264: [u8; 6] = [0x0f, 4, b'z', b'a', b'v', b'c'];

/// Bytes of both descriptors, with a setup of 12: the longest `AudioSpecificConfig`.
const DESCRIPTORS_BYTES_MAX: usize = 6 + 2 + 12 + 12;

/// Where the data rate of E-AC-3 stands in the descriptors: the one thing that may vary.
const RATE_AT: usize = 20;

/// A codec whose frames are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedCodec {
    /// AAC with ADTS headers.
    Aac,
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
}

/// An audio track with encrypted frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedAudio {
    codec: ProtectedCodec,
    descriptors: [u8; DESCRIPTORS_BYTES_MAX],
    len: u8,
}

impl ProtectedAudio {
    /// AAC of this configuration; none if it cannot be said.
    #[must_use]
    pub fn aac(config: &AudioSpecificConfig) -> Option<Self> {
        let mut setup = [0; 12];
        let mut w = Writer::new(&mut setup);
        config.emit(&mut w).ok()?;
        let kind = match config.playlist_object_type() {
            5 => *b"zach",
            29 => *b"zacp",
            _ => *b"zaac",
        };
        Self::new(ProtectedCodec::Aac, [*b"aacd", kind], w.written()).ok()
    }

    /// AC-3 or E-AC-3 of which this is an access unit; none if it is neither.
    #[must_use]
    pub fn ac3(unit: &[u8]) -> Option<Self> {
        let header = FrameHeader::parse(unit).ok()?;
        match header.kind {
            Kind::Ac3 => {
                let setup = ac3_setup(unit)?;
                Self::new(ProtectedCodec::Ac3, [*b"ac3d", *b"zac3"], &setup).ok()
            }
            Kind::Eac3 { .. } => {
                let mut setup = [0; 6];
                let mut w = Writer::new(&mut setup);
                eac3_setup(unit, &header, &mut w)?;
                Self::new(ProtectedCodec::Eac3, [*b"ec3d", *b"zec3"], w.written()).ok()
            }
        }
    }

    /// This one, or `before` where they differ in their rate alone: frames of one track may.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        let mut same = self;
        let rate = RATE_AT..RATE_AT + 2;
        if let (Some(to), Some(from)) =
            (same.descriptors.get_mut(rate.clone()), before.descriptors.get(rate))
            && self.codec == ProtectedCodec::Eac3
        {
            to.copy_from_slice(from);
        }
        if same == before { before } else { self }
    }

    /// The codec.
    #[must_use]
    pub const fn codec(&self) -> ProtectedCodec {
        self.codec
    }

    /// Stream type in the program map.
    #[must_use]
    pub const fn stream_type(&self) -> u8 {
        match self.codec {
            ProtectedCodec::Aac => 0xcf,
            ProtectedCodec::Ac3 => 0xc1,
            ProtectedCodec::Eac3 => 0xc2,
        }
    }

    /// Descriptors in the program map, back to back.
    #[must_use]
    pub fn descriptors(&self) -> &[u8] {
        self.descriptors.get(..usize::from(self.len)).unwrap_or_default()
    }

    // | 0f 04 indicator (32) | 05 length (8) "apad" | kind (32) | priming (16) | version 1 (8)
    //   setup length (8) | setup |

    fn new(
        codec: ProtectedCodec,
        [indicator, kind]: [[u8; 4]; 2],
        setup: &[u8],
    ) -> Result<Self, Full> {
        let mut descriptors = [0; DESCRIPTORS_BYTES_MAX];
        let mut w = Writer::new(&mut descriptors);
        let length = u8::try_from(setup.len()).unwrap_or(u8::MAX);
        w.bytes(&[0x0f, 4])?;
        w.bytes(&indicator)?;
        w.bytes(&[0x05, length.saturating_add(12)])?;
        w.bytes(b"apad")?;
        w.bytes(&kind)?;
        w.bytes(&[0, 0, 1, length])?;
        debug_assert_eq!(w.position(), RATE_AT);
        w.bytes(setup)?;
        let len = u8::try_from(w.position()).unwrap_or(0);
        Ok(Self { codec, descriptors, len })
    }
}

/// The first ten bytes of a frame, without what differs from one to the next: checksum, padding,
/// and all behind the channels.
fn ac3_setup(frame: &[u8]) -> Option<[u8; 10]> {
    let [sync, word, _, _, rate, id, channels, ..] = *frame.first_chunk::<10>()?;
    let mode = channels >> 5;
    let mixes = [mode & 1 == 1 && mode != 1, mode & 4 != 0, mode == 2];
    let used = mixes.into_iter().map(|mix| if mix { 2 } else { 0 }).sum::<u32>() + 3 + 1;
    let channels = channels & 0xff_u8.unbounded_shl(8_u32.saturating_sub(used));
    Some([sync, word, 0, 0, rate & 0xfe, id, channels, 0, 0, 0])
}

// | data rate (13) | programs - 1 (3) | rate (2) | id (5) 0 (2) | bsmod (3) | acmod (3) | lfe (1) |
// | 0 (3) | dependent frames (4) | [locations (9)] 0 (1) |

/// An `EC3SpecificBox` of one program, whose further channels are not located.
fn eac3_setup(unit: &[u8], header: &FrameHeader, w: &mut Writer<'_>) -> Option<()> {
    let mut r = BitReader::new(unit);
    r.bits(32, "e-ac-3 length").ok()?;
    let mut bits = |n, what| r.bits(n, what).ok().and_then(|bits| u8::try_from(bits).ok());
    let rate = bits(2, "e-ac-3 sample rate")?;
    bits(2, "e-ac-3 blocks")?;
    let channels = bits(4, "e-ac-3 channels")?;
    let id = bits(5, "e-ac-3 bit stream id")?;
    let mut rest = unit;
    let mut dependents = 0u8;
    while let Ok(frame) = FrameHeader::parse(rest)
        && let Some(behind) = rest.get(usize::from(frame.frame_bytes)..)
    {
        dependents += u8::from(matches!(frame.kind, Kind::Eac3 { dependent: true, .. }));
        dependents = dependents.min(15);
        rest = behind;
    }
    let bits = u32::try_from(unit.len()).ok()?.checked_mul(8)?;
    let hertz = u64::from(bits) * u64::from(header.sample_rate);
    let kilobits = hertz / u64::from(header.samples.max(1)) / 1000;
    let kilobits = u16::try_from(kilobits.min(0x1fff)).ok()?;
    w.u16(kilobits << 3).ok()?;
    w.bytes(&[rate << 6 | id << 1, channels, dependents << 1]).ok()?;
    if dependents > 0 {
        w.u8(0).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192 kbit/s at 48 kHz, stereo, as ffmpeg 5.1 begins it.
    const AC3: [u8; 10] = [0x0b, 0x77, 0x5d, 0x1c, 0x14, 0x40, 0x43, 0x80, 0x12, 0x34];

    fn aac(config: &[u8]) -> Vec<u8> {
        let config = AudioSpecificConfig::parse(config).unwrap();
        ProtectedAudio::aac(&config).unwrap().descriptors().to_vec()
    }

    /// An E-AC-3 frame of six blocks at 48 kHz, stereo.
    fn eac3(dependent: bool, bytes: usize) -> Vec<u8> {
        let words = u16::try_from(bytes / 2 - 1).unwrap();
        let [high, low] = (u16::from(dependent) << 14 | words).to_be_bytes();
        let mut frame = vec![0x0b, 0x77, high, low, 0b0011_0100, 16 << 3];
        frame.resize(bytes, 0);
        frame
    }

    #[test]
    fn aac_is_named_with_its_configuration() {
        let lc = aac(&[0x12, 0x10]);
        assert_eq!(lc, b"\x0f\x04aacd\x05\x0eapadzaac\0\0\x01\x02\x12\x10");
        assert_eq!(aac(&[0x2b, 0x92, 0x08, 0x00])[12..16], *b"zach");
        assert_eq!(aac(&[0xeb, 0x09, 0x88, 0x00])[12..16], *b"zacp");
    }

    #[test]
    fn longest_configuration_fits_the_descriptors() {
        // Explicit band replication, both frequencies spelt out, a core coder.
        let bits = "00101 1111 000000001010110001000000 0010 1111 000000010101100010000000 00010 \
                    0 1 00000000000001 0";
        let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        let bytes: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (i, bit)| sum | bit << (7 - i)))
            .collect();
        let named = aac(&bytes);
        assert!(named.len() > RATE_AT + 10 && named.len() <= DESCRIPTORS_BYTES_MAX);
    }

    #[test]
    fn ac3_is_named_the_same_by_each_of_its_frames() {
        let first = ProtectedAudio::ac3(&AC3).unwrap();
        let want = b"\x0f\x04ac3d\x05\x16apadzac3\0\0\x01\x0a\x0b\x77\0\0\x14\x40\x40\0\0\0";
        assert_eq!(first.descriptors(), want);
        assert_eq!(first.stream_type(), 0xc1);
        let mut other = AC3;
        (other[2], other[3], other[7]) = (1, 2, 3);
        assert_eq!(ProtectedAudio::ac3(&other), Some(first));
        other[6] = 0xe1;
        assert_ne!(ProtectedAudio::ac3(&other), Some(first), "other channels");
        assert_eq!(ProtectedAudio::ac3(&AC3[..9]), None);
    }

    #[test]
    fn eac3_is_named_with_a_box_of_its_own() {
        let first = ProtectedAudio::ac3(&eac3(false, 768)).unwrap();
        assert_eq!(first.descriptors()[..6], *b"\x0f\x04ec3d");
        assert_eq!(first.descriptors()[RATE_AT..], [0x06, 0x00, 0x20, 0x04, 0x00]);
        assert_eq!((first.stream_type(), first.codec()), (0xc2, ProtectedCodec::Eac3));
        let louder = ProtectedAudio::ac3(&eac3(false, 800)).unwrap();
        assert_ne!(louder, first);
        assert_eq!(louder.or(first), first, "but for the rate they are one");
        let more = [eac3(false, 400), eac3(true, 400)].concat();
        let more = ProtectedAudio::ac3(&more).unwrap();
        assert_eq!(more.descriptors()[RATE_AT + 2..], [0x20, 0x04, 0x02, 0x00]);
        assert_eq!(more.or(first), more);
    }
}

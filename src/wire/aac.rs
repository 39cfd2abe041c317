//! AAC: the configuration that RTMP sends once, and the ADTS header that transport streams repeat.
//!
//! Sources: ISO/IEC 14496-3 §1.6.2.1 (configuration), §4.4.1 (general audio), §1.A.2.2 (ADTS).
//! Does not decode, and does not follow a program configuration element: streams that have one
//! are told, so that the caller refuses them.
//!
//! Quirks tolerated: a tail that says "no SBR" (what ffmpeg sends), zero bytes behind the
//! configuration, frames that still carry their ADTS header.

use crate::wire::reader::{BitReader, Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Bytes of an ADTS header without checksum.
pub const ADTS_BYTES: usize = 7;

/// The longest frame that an ADTS header can announce, itself included: 13 bits.
pub const ADTS_FRAME_BYTES_MAX: usize = (1 << 13) - 1;

/// Core sampling frequencies in hertz by their index (14496-3 table 1.18).
const FREQUENCIES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// The object type that only says: more bits follow.
const OBJECT_ESCAPE: u32 = 31;

/// The object type of low complexity, by far the most common.
pub const OBJECT_LC: u8 = 2;

const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;

/// Marks a tail with spectral band replication (14496-3 table 1.15).
const SYNC_SBR: u32 = 0x2b7;

/// Marks parametric stereo behind it.
const SYNC_PS: u32 = 0x548;

/// Configuration or frames that cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AacError {
    /// Malformed: fewer bits than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: a reserved sampling frequency index, or a frequency of zero.
    #[error("aac sampling frequency index {0} is reserved")]
    Frequency(u8),
    /// Malformed: the bytes are no ADTS header.
    #[error("adts header begins with {0:#06x}")]
    NoSync(u16),
    /// Malformed: the announced length is shorter than the header.
    #[error("adts frame of {0} bytes is shorter than its header")]
    FrameTooShort(u16),
    /// Unsupported: an object type that is not AAC Main, LC, SSR or LTP at its core.
    #[error("aac object type {0} has no place in a transport stream for players")]
    ObjectType(u8),
    /// Unsupported: channels are described by a program configuration element or a number above 7.
    #[error("aac channel configuration {0} cannot be said in an adts header")]
    Channels(u8),
    /// Unsupported: 960 samples per frame, or a frequency outside the table.
    #[error("aac of {samples} samples per frame at {hertz} hz cannot be said in an adts header")]
    Timing {
        /// Samples per frame.
        samples: u16,
        /// Core frequency.
        hertz: u32,
    },
    /// Exhausted: the frame is longer than 13 bits can say.
    #[error("aac frame of {0} bytes is too long for an adts header")]
    FrameTooLong(usize),
    /// Exhausted: the buffer is full.
    #[error(transparent)]
    Full(#[from] Full),
}

/// A sampling frequency, as an index or in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    hertz: u32,
    /// Written as 24 bits although the table may hold it; kept to write what was read.
    spelt_out: bool,
}

impl Frequency {
    /// The frequency of `hertz`: 1 to 2^24 − 1, `None` beyond.
    #[must_use]
    pub fn new(hertz: u32) -> Option<Self> {
        (1..1 << 24)
            .contains(&hertz)
            .then(|| Self { hertz, spelt_out: !FREQUENCIES.contains(&hertz) })
    }

    /// In hertz, at least 1.
    #[must_use]
    pub const fn hertz(self) -> u32 {
        self.hertz
    }

    /// The index of the table that players' decoders use.
    #[must_use]
    pub fn index(self) -> Option<u8> {
        let at = FREQUENCIES.iter().position(|hertz| *hertz == self.hertz)?;
        u8::try_from(at).ok()
    }

    fn parse(r: &mut BitReader<'_>) -> Result<Self, AacError> {
        let index = low_byte(r.bits(4, "sampling frequency index")?);
        if index == 15 {
            let hertz = r.bits(24, "sampling frequency")?;
            return Self::new(hertz)
                .map(|known| Self { spelt_out: true, ..known })
                .ok_or(AacError::Frequency(index));
        }
        match FREQUENCIES.get(usize::from(index)) {
            Some(hertz) => Ok(Self { hertz: *hertz, spelt_out: false }),
            None => Err(AacError::Frequency(index)),
        }
    }

    fn emit(self, w: &mut BitWriter) {
        match self.index() {
            Some(index) if !self.spelt_out => w.bits(u32::from(index), 4),
            _ => {
                w.bits(15, 4);
                w.bits(self.hertz, 24);
            }
        }
    }
}

/// What is said about spectral band replication: HE-AAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sbr {
    /// Nothing; a decoder finds out by itself.
    Unsaid,
    /// In front: object type 5, or 29 with parametric stereo.
    Explicit {
        /// Frequency of the output.
        output: Frequency,
        /// Whether there is parametric stereo as well.
        parametric_stereo: bool,
    },
    /// Behind, so that old decoders do not see it.
    Tail {
        /// Frequency of the output; `None` says that there is no band replication.
        output: Option<Frequency>,
        /// Whether there is parametric stereo, if that is said.
        parametric_stereo: Option<bool>,
    },
}

/// The configuration of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Object type of the core: 1 Main, 2 LC, 3 SSR, 4 LTP.
    pub object_type: u8,
    /// Frequency of the core, in which frames are timed.
    pub frequency: Frequency,
    /// Channel configuration: 1 to 6 channels, 7 is eight, 0 is described by a program
    /// configuration element, which is not read.
    pub channels: u8,
    /// Whether frames hold 960 samples instead of 1024.
    pub short_frames: bool,
    /// Delay of a core coder in samples, for scalable streams.
    pub core_delay: Option<u16>,
    /// What is said about spectral band replication.
    pub sbr: Sbr,
}

impl AudioSpecificConfig {
    // | object type (5) [31: 32 + (6)] | frequency index (4) [15: hertz (24)] | channels (4) |
    // | [type 5, 29: output frequency, core object type] |
    // | 960 (1) | core coder (1) [delay (14)] | extension (1) | [channels 0: program element] |
    // | [0x2b7 (11) | 5 (5) | SBR (1) [output frequency | [0x548 (11) | PS (1)]]] |

    /// Reads a configuration.
    ///
    /// # Errors
    /// `AacError` if it is truncated, reserved, or not AAC at its core.
    pub fn parse(bytes: &[u8]) -> Result<Self, AacError> {
        let mut r = BitReader::new(bytes);
        let first = object_type(&mut r)?;
        let frequency = Frequency::parse(&mut r)?;
        let channels = low_byte(r.bits(4, "channel configuration")?);
        let explicit = matches!(first, OBJECT_SBR | OBJECT_PS);
        let (object_type, sbr) = if explicit {
            let output = Frequency::parse(&mut r)?;
            let parametric_stereo = first == OBJECT_PS;
            let sbr = Sbr::Explicit { output, parametric_stereo };
            (object_type(&mut r)?, sbr)
        } else {
            (first, Sbr::Unsaid)
        };
        if !matches!(object_type, 1..=4) {
            return Err(AacError::ObjectType(object_type));
        }
        let short_frames = r.bit("frame length")?;
        let core_delay = if r.bit("core coder")? {
            let delay = r.bits(14, "core coder delay")?;
            u16::try_from(delay).ok()
        } else {
            None
        };
        r.bit("extension flag")?;
        let mut config = Self { object_type, frequency, channels, short_frames, core_delay, sbr };
        if !explicit && channels != 0 {
            config.sbr = tail(&mut r);
        }
        Ok(config)
    }

    /// Writes the configuration, padded with zero bits to whole bytes.
    ///
    /// # Errors
    /// `Channels` if channels are described by an element, which was not kept; `Full` if it does
    /// not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), AacError> {
        if self.channels == 0 {
            return Err(AacError::Channels(0));
        }
        let mut bits = BitWriter::new();
        if let Sbr::Explicit { output, parametric_stereo } = self.sbr {
            let outer = if parametric_stereo { OBJECT_PS } else { OBJECT_SBR };
            bits.bits(u32::from(outer), 5);
            self.frequency.emit(&mut bits);
            bits.bits(u32::from(self.channels), 4);
            output.emit(&mut bits);
            bits.bits(u32::from(self.object_type), 5);
        } else {
            bits.bits(u32::from(self.object_type), 5);
            self.frequency.emit(&mut bits);
            bits.bits(u32::from(self.channels), 4);
        }
        bits.bits(u32::from(self.short_frames), 1);
        match self.core_delay {
            Some(delay) => bits.bits(1 << 14 | u32::from(delay), 15),
            None => bits.bits(0, 1),
        }
        bits.bits(0, 1);
        if let Sbr::Tail { output, parametric_stereo } = self.sbr {
            bits.bits(SYNC_SBR << 5 | u32::from(OBJECT_SBR), 16);
            bits.bits(u32::from(output.is_some()), 1);
            if let Some(output) = output {
                output.emit(&mut bits);
                if let Some(ps) = parametric_stereo {
                    bits.bits(SYNC_PS << 1 | u32::from(ps), 12);
                }
            }
        }
        bits.finish(w)?;
        Ok(())
    }

    /// Frequency of the core in hertz, in which `samples_per_frame` last; half of what is heard
    /// if there is band replication.
    #[must_use]
    pub const fn sample_rate(&self) -> u32 {
        self.frequency.hertz()
    }

    /// Samples of the core in one frame: 1024 or 960.
    #[must_use]
    pub const fn samples_per_frame(&self) -> u16 {
        if self.short_frames { 960 } else { 1024 }
    }

    /// Whether band replication is announced, and with it whether parametric stereo is: what
    /// playlists call `mp4a.40.5` and `mp4a.40.29`.
    #[must_use]
    pub const fn playlist_object_type(&self) -> u8 {
        match self.sbr {
            Sbr::Explicit { parametric_stereo: true, .. }
            | Sbr::Tail { output: Some(_), parametric_stereo: Some(true) } => OBJECT_PS,
            Sbr::Explicit { .. } | Sbr::Tail { output: Some(_), .. } => OBJECT_SBR,
            Sbr::Unsaid | Sbr::Tail { output: None, .. } => self.object_type,
        }
    }

    /// A raw frame in which all channels are silent: elements without bands, then the end
    /// (ISO/IEC 14496-3 §4.4.2.1; table 1.19 for the order). `None` if nobody says the channels.
    #[must_use]
    pub fn silent_frame(&self) -> Option<heapless::Vec<u8, SILENT_FRAME_BYTES_MAX>> {
        // Single, pair, low frequencies: how many of each, in this order.
        let (front, pairs, low) = match self.channels {
            1 => (1, 0, 0),
            2 => (0, 1, 0),
            3 => (1, 1, 0),
            4 => (2, 1, 0),
            5 => (1, 2, 0),
            6 => (1, 2, 1),
            7 => (1, 3, 1),
            _ => return None,
        };
        let mut bits = BitWriter::new();
        // Gain (8), then a long window without bands (11), then no pulse, shaping or control (3).
        let channel = |bits: &mut BitWriter| bits.bits(0, 22);
        let single = |bits: &mut BitWriter, id: u32, tag: u32| {
            bits.bits(id << 4 | tag, 7);
            channel(bits);
        };
        if front > 0 {
            single(&mut bits, ID_SINGLE, 0);
        }
        for tag in 0..pairs {
            bits.bits(ID_PAIR << 4 | tag, 7);
            // One window for both, which has no bands to be coded together.
            bits.bits(1 << 13, 14);
            bits.bits(0, 22);
        }
        if front > 1 {
            single(&mut bits, ID_SINGLE, 1);
        }
        for tag in 0..low {
            single(&mut bits, ID_LOW, tag);
        }
        bits.bits(ID_END, 3);
        let mut frame = [0; SILENT_FRAME_BYTES_MAX];
        let mut w = Writer::new(&mut frame);
        bits.finish(&mut w).ok()?;
        heapless::Vec::from_slice(w.written()).ok()
    }

    // | sync fff (12) | MPEG-2 (1) layer 0 (2) no checksum (1) | profile (2) frequency (4) 0 (1)
    //   channels (3) 0000 | length (13) | fullness 7ff (11) | blocks - 1 (2) |

    /// The header in front of a raw frame of `frame_bytes`; band replication is left to decoders
    /// to find, as ADTS cannot say it.
    ///
    /// # Errors
    /// `Channels`, `Timing` or `FrameTooLong` if a header cannot say it.
    pub fn adts_header(&self, frame_bytes: usize) -> Result<[u8; ADTS_BYTES], AacError> {
        let Some(index) = self.frequency.index().filter(|_| !self.short_frames) else {
            return Err(AacError::Timing {
                samples: self.samples_per_frame(),
                hertz: self.sample_rate(),
            });
        };
        if !matches!(self.channels, 1..=7) {
            return Err(AacError::Channels(self.channels));
        }
        let Some(profile @ 0..=3) = self.object_type.checked_sub(1) else {
            return Err(AacError::ObjectType(self.object_type));
        };
        let length = u16::try_from(frame_bytes)
            .ok()
            .and_then(|bytes| bytes.checked_add(7))
            .filter(|length| usize::from(*length) <= ADTS_FRAME_BYTES_MAX)
            .ok_or(AacError::FrameTooLong(frame_bytes))?;
        let [high, middle] = (length >> 3).to_be_bytes();
        let [_, low] = (length << 5).to_be_bytes();
        Ok([
            0xff,
            0xf1,
            profile << 6 | index << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | high,
            middle,
            low | 0x1f,
            0xfc,
        ])
    }
}

/// An ADTS header that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    /// Object type, 1 to 4.
    pub object_type: u8,
    /// Core frequency.
    pub frequency: Frequency,
    /// Channel configuration, 0 to 7.
    pub channels: u8,
    /// Bytes of the frame, the header included.
    pub frame_bytes: u16,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_bytes: u8,
    /// Raw data blocks in the frame, 1 to 4; nearly always 1.
    pub blocks: u8,
}

impl AdtsHeader {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// `AacError` if there is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, AacError> {
        let [b0, b1, b2, b3, b4, b5, b6] = Reader::new(bytes).array("adts header")?;
        if b0 != 0xff || b1 & 0xf6 != 0xf0 {
            return Err(AacError::NoSync(u16::from_be_bytes([b0, b1])));
        }
        let index = b2 >> 2 & 0x0f;
        let hertz = FREQUENCIES.get(usize::from(index)).ok_or(AacError::Frequency(index))?;
        let header_bytes = if b1 & 1 == 1 { 7 } else { 9 };
        let frame_bytes = u16::from(b3 & 3) << 11 | u16::from(b4) << 3 | u16::from(b5 >> 5);
        if frame_bytes < u16::from(header_bytes) {
            return Err(AacError::FrameTooShort(frame_bytes));
        }
        Ok(Self {
            object_type: (b2 >> 6) + 1,
            frequency: Frequency { hertz: *hertz, spelt_out: false },
            channels: (b2 & 1) << 2 | b3 >> 6,
            frame_bytes,
            header_bytes,
            blocks: (b6 & 3) + 1,
        })
    }

    /// The configuration that says the same.
    #[must_use]
    pub const fn config(&self) -> AudioSpecificConfig {
        AudioSpecificConfig {
            object_type: self.object_type,
            frequency: self.frequency,
            channels: self.channels,
            short_frames: false,
            core_delay: None,
            sbr: Sbr::Unsaid,
        }
    }
}

/// The raw frames of a message: itself, or what is behind its ADTS headers if it consists of
/// nothing but whole ADTS frames. A raw frame cannot begin like a header: that would be an empty
/// frame with data behind its end.
#[must_use]
pub fn raw_frames(message: &[u8]) -> RawFrames<'_> {
    let mut walk = RawFrames { rest: message, adts: true };
    while walk.next().is_some() {}
    RawFrames { rest: message, adts: walk.rest.is_empty() && !message.is_empty() }
}

/// An iterator over raw frames; see `raw_frames`.
#[derive(Clone, Debug)]
pub struct RawFrames<'a> {
    rest: &'a [u8],
    adts: bool,
}

impl RawFrames<'_> {
    /// Whether the frames carry ADTS headers, which are left out.
    #[must_use]
    pub const fn has_adts(&self) -> bool {
        self.adts
    }
}

impl<'a> Iterator for RawFrames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        if !self.adts {
            return Some(core::mem::take(&mut self.rest));
        }
        let header = AdtsHeader::parse(self.rest).ok()?;
        let (frame, rest) = self.rest.split_at_checked(usize::from(header.frame_bytes))?;
        self.rest = rest;
        frame.get(usize::from(header.header_bytes)..)
    }
}

/// An object type of five bits, or of six more behind an escape.
fn object_type(r: &mut BitReader<'_>) -> Result<u8, Short> {
    let code = r.bits(5, "object type")?;
    if code == OBJECT_ESCAPE {
        return Ok(32 + low_byte(r.bits(6, "object type")?));
    }
    Ok(low_byte(code))
}

/// What a tail says; bits that are no tail say nothing.
fn tail(r: &mut BitReader<'_>) -> Sbr {
    if r.left() < 16
        || r.bits(11, "extension sync") != Ok(SYNC_SBR)
        || object_type(r) != Ok(OBJECT_SBR)
    {
        return Sbr::Unsaid;
    }
    let Ok(present) = r.bit("band replication") else {
        return Sbr::Unsaid;
    };
    if !present {
        return Sbr::Tail { output: None, parametric_stereo: None };
    }
    let Ok(output) = Frequency::parse(r) else {
        return Sbr::Unsaid;
    };
    let stereo = r.left() >= 12 && r.bits(11, "extension sync") == Ok(SYNC_PS);
    Sbr::Tail {
        output: Some(output),
        parametric_stereo: if stereo { r.bit("parametric stereo").ok() } else { None },
    }
}

const fn low_byte(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}

/// Bytes of the longest frame of silence: eight channels.
pub const SILENT_FRAME_BYTES_MAX: usize = 24;

/// Elements of a raw frame: one channel, two, low frequencies, the end.
const ID_SINGLE: u32 = 0;
const ID_PAIR: u32 = 1;
const ID_LOW: u32 = 3;
const ID_END: u32 = 7;

/// The bits of a configuration or of silence, at most 192.
struct BitWriter {
    bytes: [u8; SILENT_FRAME_BYTES_MAX],
    count: usize,
}

impl BitWriter {
    const fn new() -> Self {
        Self { bytes: [0; SILENT_FRAME_BYTES_MAX], count: 0 }
    }

    /// The low `n` bits of `value`.
    fn bits(&mut self, value: u32, n: u32) {
        debug_assert!(n < 32 && value >> n == 0);
        debug_assert!(self.count < 8 * SILENT_FRAME_BYTES_MAX);
        for bit in (0..n).rev() {
            if let Some(byte) = self.bytes.get_mut(self.count / 8) {
                *byte |= low_byte(value >> bit & 1) << (7 - self.count % 8);
            }
            self.count += 1;
        }
    }

    fn finish(self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(self.bytes.get(..self.count.div_ceil(8)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lc(hertz: u32, channels: u8) -> AudioSpecificConfig {
        AudioSpecificConfig {
            object_type: OBJECT_LC,
            frequency: Frequency::new(hertz).unwrap(),
            channels,
            short_frames: false,
            core_delay: None,
            sbr: Sbr::Unsaid,
        }
    }

    fn emitted(config: AudioSpecificConfig) -> Vec<u8> {
        let mut buffer = [0; 16];
        let mut w = Writer::new(&mut buffer);
        config.emit(&mut w).unwrap();
        w.finish().to_vec()
    }

    #[test]
    fn silence_is_written_for_each_channel_configuration() {
        assert_eq!(lc(48_000, 1).silent_frame().unwrap(), [0x00, 0x00, 0x00, 0x07]);
        assert_eq!(lc(48_000, 2).silent_frame().unwrap(), [0x21, 0, 0, 0, 0, 0x1c]);
        assert_eq!(lc(48_000, 7).silent_frame().unwrap().len(), SILENT_FRAME_BYTES_MAX);
        assert_eq!(lc(48_000, 0).silent_frame(), None);
        for channels in 1..=7 {
            let frame = lc(48_000, channels).silent_frame().unwrap();
            // The end stands in the last three bits that are not padding.
            let last = frame.last().unwrap();
            assert_eq!(last >> last.trailing_zeros() & 7, 7, "{channels}");
        }
    }

    #[test]
    fn config_tells_channels_in_the_stream_and_refuses_to_write_them() {
        let config = AudioSpecificConfig::parse(&[0x12, 0x00, 0x05, 0x08]).unwrap();
        assert_eq!(config.channels, 0);
        assert_eq!(config.adts_header(100), Err(AacError::Channels(0)));
        let mut buffer = [0; 16];
        assert_eq!(config.emit(&mut Writer::new(&mut buffer)), Err(AacError::Channels(0)));
    }

    #[test]
    fn config_refuses_what_is_not_aac_at_its_core() {
        // Escaped type 42 (USAC), type 23 (LD), type 39 (ELD).
        assert_eq!(
            AudioSpecificConfig::parse(&[0xf9, 0x46, 0x40, 0]),
            Err(AacError::ObjectType(42))
        );
        assert_eq!(AudioSpecificConfig::parse(&[0xba, 0x10]), Err(AacError::ObjectType(23)));
        assert_eq!(AudioSpecificConfig::parse(&[0x16, 0x90]), Err(AacError::Frequency(13)));
        assert!(AudioSpecificConfig::parse(&[]).is_err());
        assert!(AudioSpecificConfig::parse(&[0x12]).is_err());
    }

    #[test]
    fn config_with_zero_bytes_behind_is_read() {
        assert_eq!(AudioSpecificConfig::parse(&[0x12, 0x10, 0, 0, 0]), Ok(lc(44_100, 2)));
    }

    #[test]
    fn adts_refuses_what_it_cannot_say() {
        let config = lc(44_100, 2);
        assert!(config.adts_header(8184).is_ok());
        assert_eq!(config.adts_header(8185), Err(AacError::FrameTooLong(8185)));
        assert_eq!(config.adts_header(usize::MAX), Err(AacError::FrameTooLong(usize::MAX)));
        let short = AudioSpecificConfig { short_frames: true, ..config };
        assert_eq!(short.adts_header(1), Err(AacError::Timing { samples: 960, hertz: 44_100 }));
        assert!(lc(44_101, 2).adts_header(1).is_err());
        assert_eq!(lc(8000, 11).adts_header(1), Err(AacError::Channels(11)));
    }

    #[test]
    fn raw_frames_strip_adts_only_from_whole_frames() {
        let config = lc(48_000, 2);
        let mut message = config.adts_header(3).unwrap().to_vec();
        message.extend([0x21, 1, 2]);
        message.extend(config.adts_header(1).unwrap());
        message.push(0x22);
        let frames = raw_frames(&message);
        assert!(frames.has_adts());
        assert_eq!(frames.collect::<Vec<_>>(), [&[0x21, 1, 2][..], &[0x22][..]]);
        for end in 1..message.len() {
            let frames = raw_frames(&message[..end]);
            assert_eq!(frames.has_adts(), end == 10, "{end} bytes");
            assert_eq!(frames.count(), 1);
        }
        assert_eq!(raw_frames(&[]).count(), 0);
        let raw = [0x21, 0x10, 0x05];
        assert_eq!(raw_frames(&raw).collect::<Vec<_>>(), [&raw[..]]);
    }

    #[test]
    fn adts_with_checksum_is_stripped_of_nine_bytes() {
        let mut message = lc(48_000, 2).adts_header(4).unwrap().to_vec();
        message[1] = 0xf8;
        message.extend([0xaa, 0xbb, 0x21, 0x22]);
        let header = AdtsHeader::parse(&message).unwrap();
        assert_eq!((header.header_bytes, header.frame_bytes), (9, 11));
        assert_eq!(raw_frames(&message).collect::<Vec<_>>(), [&[0x21, 0x22][..]]);
    }

    fn frequency() -> impl Strategy<Value = Frequency> {
        (1u32..1 << 24, proptest::option::of(0usize..13), any::<bool>()).prop_map(
            |(hertz, index, spelt_out)| {
                let hertz = index.map_or(hertz, |index| FREQUENCIES[index]);
                Frequency { hertz, spelt_out: spelt_out || !FREQUENCIES.contains(&hertz) }
            },
        )
    }

    fn sbr() -> impl Strategy<Value = Sbr> {
        prop_oneof![
            Just(Sbr::Unsaid),
            (frequency(), any::<bool>()).prop_map(|(output, parametric_stereo)| Sbr::Explicit {
                output,
                parametric_stereo
            }),
            Just(Sbr::Tail { output: None, parametric_stereo: None }),
            (frequency(), any::<Option<bool>>()).prop_map(|(output, parametric_stereo)| {
                Sbr::Tail { output: Some(output), parametric_stereo }
            }),
        ]
    }

    proptest! {
        #[test]
        fn config_survives_the_wire(
            object_type in 1u8..5,
            frequency in frequency(),
            channels in 1u8..16,
            short_frames: bool,
            core_delay in proptest::option::of(0u16..1 << 14),
            sbr in sbr(),
        ) {
            let config = AudioSpecificConfig {
                object_type, frequency, channels, short_frames, core_delay, sbr,
            };
            prop_assert_eq!(AudioSpecificConfig::parse(&emitted(config)), Ok(config));
        }

        #[test]
        fn adts_survives_the_wire(
            object_type in 1u8..5,
            index in 0usize..13,
            channels in 1u8..8,
            frame_bytes in 0usize..=8184,
        ) {
            let config = AudioSpecificConfig { object_type, ..lc(FREQUENCIES[index], channels) };
            let header = AdtsHeader::parse(&config.adts_header(frame_bytes).unwrap()).unwrap();
            prop_assert_eq!(header.config(), config);
            prop_assert_eq!(usize::from(header.frame_bytes), frame_bytes + ADTS_BYTES);
            prop_assert_eq!((header.header_bytes, header.blocks), (7, 1));
        }

        #[test]
        fn aac_survives_any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(config) = AudioSpecificConfig::parse(&bytes) {
                prop_assert!(config.sample_rate() > 0);
                let _ = config.adts_header(bytes.len());
            }
            bytes.splice(..0, [0xff, 0xf1]);
            prop_assert!(raw_frames(&bytes).count() <= bytes.len());
        }
    }
}

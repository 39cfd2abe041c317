//! Opus: the head that encoders send once, how long a packet lasts, and what a transport stream
//! puts in front of each.
//!
//! Sources: RFC 6716 §3.1 (packet), RFC 7845 §5.1 (head; Enhanced RTMP v2 sends it as
//! configuration, or nothing), ETSI TS 103 491 annex and the Opus-in-TS draft 0.1.3 (control
//! header, channel configuration). Does not decode, and says nothing of samples to trim: a live
//! stream has no beginning worth 6 ms.

use crate::limits::OPUS_PACKET_BYTES_MAX;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Samples per second in which packets are timed, whatever the encoder was fed with.
pub const SAMPLE_RATE: u32 = 48_000;

/// The longest packet in samples: 120 ms (RFC 6716 §3.2.5, R5).
pub const PACKET_SAMPLES_MAX: u16 = 5_760;

/// A head or a packet that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: the bytes are no head.
    #[error("opus head does not begin with \"OpusHead\"")]
    NoMagic,
    /// Malformed: no channels.
    #[error("opus head has no channels")]
    NoChannels,
    /// Malformed: a packet without frames, or of more than 120 ms.
    #[error("opus packet lasts {0} samples, not 1 to 5760")]
    Duration(u32),
    /// Unsupported: a version that is not compatible.
    #[error("opus head has version {0}, not 0 to 15")]
    Version(u8),
    /// Unsupported: channels that a transport stream cannot name.
    #[error("opus of {channels} channels in mapping family {family} has no channel configuration")]
    Channels {
        /// How many channels are heard.
        channels: u8,
        /// How they are assigned (RFC 7845 §5.1.1).
        family: u8,
    },
    /// Exhausted: the packet is longer than any encoder makes it.
    #[error("opus packet of {0} bytes is too long")]
    TooLong(usize),
}

/// An identification header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusHead<'a> {
    /// Channels that are heard, at least 1.
    pub channels: u8,
    /// Samples to skip at the beginning, at 48 kHz.
    pub pre_skip: u16,
    /// Samples per second of what the encoder was fed with; 0 if unknown. Packets are timed at
    /// 48 kHz all the same.
    pub input_rate: u32,
    /// Gain in 1/256 dB.
    pub gain: i16,
    /// How channels are assigned.
    pub mapping: Mapping<'a>,
}

/// How streams in a packet become channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping<'a> {
    /// Family 0: one stream of one or two channels.
    Plain,
    /// Any other family.
    Table {
        /// Number of the family: 1 is the order of Vorbis.
        family: u8,
        /// Streams in each packet.
        streams: u8,
        /// How many of these have two channels.
        coupled: u8,
        /// For each channel, which decoded one it is.
        channels: &'a [u8],
    },
}

const MAGIC: &[u8; 8] = b"OpusHead";

impl<'a> OpusHead<'a> {
    // | "OpusHead" (64) | version (8) | channels (8) | pre-skip (16) | rate (32) | gain (16) |
    // | family (8) | [not 0: streams (8) | coupled (8) | mapping (8) for each channel] |, all of it
    // little-endian

    /// Reads a head; bytes behind it are left unread.
    ///
    /// # Errors
    /// `OpusError` if it is truncated, something else, or of another version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OpusError> {
        let mut r = Reader::new(bytes);
        if r.take(MAGIC.len(), "opus magic")? != MAGIC {
            return Err(OpusError::NoMagic);
        }
        let version = r.u8("opus version")?;
        if version > 15 {
            return Err(OpusError::Version(version));
        }
        let channels = r.u8("opus channels")?;
        if channels == 0 {
            return Err(OpusError::NoChannels);
        }
        let pre_skip = u16::from_le_bytes(r.array("opus pre-skip")?);
        let input_rate = r.u32_le("opus input rate")?;
        let gain = i16::from_le_bytes(r.array("opus gain")?);
        let mapping = match r.u8("opus mapping family")? {
            0 => Mapping::Plain,
            family => {
                let [streams, coupled] = r.array("opus streams")?;
                let channels = r.take(usize::from(channels), "opus mapping")?;
                Mapping::Table { family, streams, coupled, channels }
            }
        };
        Ok(Self { channels, pre_skip, input_rate, gain, mapping })
    }

    /// Writes the head in version 1.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(MAGIC)?;
        w.bytes(&[1, self.channels])?;
        w.bytes(&self.pre_skip.to_le_bytes())?;
        w.bytes(&self.input_rate.to_le_bytes())?;
        w.bytes(&self.gain.to_le_bytes())?;
        match self.mapping {
            Mapping::Plain => w.u8(0),
            Mapping::Table { family, streams, coupled, channels } => {
                w.bytes(&[family, streams, coupled])?;
                w.bytes(channels)
            }
        }
    }

    /// The channel configuration code of a transport stream: the number of channels, if they are
    /// one or two, or up to eight in the order of Vorbis with the usual coupling.
    ///
    /// # Errors
    /// `Channels` if the code cannot say it.
    pub fn channel_configuration(&self) -> Result<u8, OpusError> {
        let usual = match self.mapping {
            Mapping::Plain => self.channels <= 2,
            Mapping::Table { family, streams, coupled, channels } => {
                let usual = usize::from(self.channels).checked_sub(1).and_then(|i| VORBIS.get(i));
                family == 1 && usual == Some(&(streams, coupled, channels))
            }
        };
        let family = match self.mapping {
            Mapping::Plain => 0,
            Mapping::Table { family, .. } => family,
        };
        usual
            .then_some(self.channels)
            .ok_or(OpusError::Channels { channels: self.channels, family })
    }
}

/// Streams, coupled streams and order of one to eight channels (RFC 7845 §5.1.1.2).
const VORBIS: [(u8, u8, &[u8]); 8] = [
    (1, 0, &[0]),
    (1, 1, &[0, 1]),
    (2, 1, &[0, 2, 1]),
    (2, 2, &[0, 1, 2, 3]),
    (3, 2, &[0, 4, 1, 2, 3]),
    (4, 2, &[0, 4, 1, 2, 3, 5]),
    (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
    (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
];

/// Samples that a packet lasts, at 48 kHz, 120 to `PACKET_SAMPLES_MAX`. A packet of several
/// streams begins as that of its first one, and all last equally long.
///
/// # Errors
/// `Short` if the packet is cut, `Duration` if its frames are none or too many.
pub fn packet_samples(packet: &[u8]) -> Result<u16, OpusError> {
    // | configuration (5) | stereo (1) | frames: 1, 2, 2, as the next byte says (2) |
    let mut r = Reader::new(packet);
    let toc = r.u8("opus packet")?;
    let configuration = toc >> 3;
    let durations: [u32; 4] = match configuration {
        0..12 => [480, 960, 1_920, 2_880],
        12..16 => [480, 960, 480, 960],
        _ => [120, 240, 480, 960],
    };
    let [shortest, ..] = durations;
    let frame = *durations.get(usize::from(configuration & 3)).unwrap_or(&shortest);
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(r.u8("opus frame count")? & 0x3f),
    };
    let samples: u32 = frame * frames;
    match u16::try_from(samples) {
        Ok(lasts @ 1..=PACKET_SAMPLES_MAX) => Ok(lasts),
        _ => Err(OpusError::Duration(samples)),
    }
}

/// What stands in front of a packet in a transport stream: 11 bits of ones, no trim, no
/// extension, and the packet's length as bytes of 255 and a last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlHeader {
    fill: u8,
    last: [u8; 1],
}

/// The sync bits and flags of every control header.
const CONTROL: [u8; 2] = [0x7f, 0xe0];

/// Bytes of 255 in the longest control header.
const FILL: [u8; OPUS_PACKET_BYTES_MAX / 255] = [255; OPUS_PACKET_BYTES_MAX / 255];

impl ControlHeader {
    // | 3ff (11) | start trim, end trim, extension (1 each) | reserved (2) | 255 … | last (8) |

    /// The header of a packet of `bytes`.
    ///
    /// # Errors
    /// `TooLong` above `OPUS_PACKET_BYTES_MAX`.
    pub fn new(bytes: usize) -> Result<Self, OpusError> {
        if bytes > OPUS_PACKET_BYTES_MAX {
            return Err(OpusError::TooLong(bytes));
        }
        match (u8::try_from(bytes / 255), u8::try_from(bytes % 255)) {
            (Ok(fill), Ok(last)) => Ok(Self { fill, last: [last] }),
            _ => Err(OpusError::TooLong(bytes)),
        }
    }

    /// Its bytes, in three pieces.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [&CONTROL, FILL.get(..usize::from(self.fill)).unwrap_or_default(), &self.last]
    }

    /// How many bytes it has, 3 to 243.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        CONTROL.len() + usize::from(self.fill) + self.last.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(head: &OpusHead<'_>) -> Vec<u8> {
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        head.emit(&mut w).unwrap();
        w.finish().to_vec()
    }

    const STEREO: OpusHead<'_> = OpusHead {
        channels: 2,
        pre_skip: 312,
        input_rate: 48_000,
        gain: 0,
        mapping: Mapping::Plain,
    };

    #[test]
    fn head_refuses_truncation_and_what_it_is_not() {
        let table = Mapping::Table { family: 1, streams: 2, coupled: 1, channels: &[0, 2, 1] };
        let good = emitted(&OpusHead { channels: 3, mapping: table, ..STEREO });
        for end in 0..good.len() {
            assert!(OpusHead::parse(&good[..end]).is_err(), "{end} bytes");
        }
        assert_eq!(OpusHead::parse(b"OpusTags...."), Err(OpusError::NoMagic));
        let mut other = good.clone();
        other[8] = 16;
        assert_eq!(OpusHead::parse(&other), Err(OpusError::Version(16)));
        (other[8], other[9]) = (1, 0);
        assert_eq!(OpusHead::parse(&other), Err(OpusError::NoChannels));
    }

    #[test]
    fn channel_configurations_are_those_that_a_code_can_say() {
        assert_eq!(STEREO.channel_configuration(), Ok(2));
        for (i, (streams, coupled, channels)) in VORBIS.into_iter().enumerate() {
            let count = u8::try_from(i + 1).unwrap();
            let table = |family| Mapping::Table { family, streams, coupled, channels };
            let head = |family| OpusHead { channels: count, mapping: table(family), ..STEREO };
            assert_eq!(head(1).channel_configuration(), Ok(count));
            let refused = Err(OpusError::Channels { channels: count, family: 255 });
            assert_eq!(head(255).channel_configuration(), refused);
            assert_eq!(usize::from(streams + coupled), channels.len());
        }
        let other = Mapping::Table { family: 1, streams: 2, coupled: 0, channels: &[0, 1] };
        assert!(OpusHead { mapping: other, ..STEREO }.channel_configuration().is_err());
        assert!(OpusHead { channels: 3, ..STEREO }.channel_configuration().is_err());
    }

    #[test]
    fn packets_last_as_table_2_says() {
        for (toc, samples) in [
            (0 << 3, 480),
            (3 << 3, 2_880),
            (7 << 3 | 4, 2_880),
            (12 << 3, 480),
            (15 << 3 | 1, 1_920),
            (16 << 3, 120),
            (19 << 3, 960),
            (31 << 3 | 4, 960),
            (31 << 3 | 2, 1_920),
            (3 << 3 | 1, 5_760),
        ] {
            assert_eq!(packet_samples(&[toc]), Ok(samples), "{toc:#x}");
        }
        assert_eq!(packet_samples(&[31 << 3 | 3, 0x80 | 6]), Ok(5_760));
        assert_eq!(packet_samples(&[16 << 3 | 3, 48]), Ok(PACKET_SAMPLES_MAX));
        assert_eq!(packet_samples(&[16 << 3 | 3, 49]), Err(OpusError::Duration(5_880)));
        assert_eq!(packet_samples(&[31 << 3 | 3, 0]), Err(OpusError::Duration(0)));
        assert!(packet_samples(&[31 << 3 | 3]).is_err());
        assert!(packet_samples(&[]).is_err());
    }

    #[test]
    fn packet_of_more_frames_than_a_number_can_say_is_refused() {
        // Found by proptest: 35 frames of 40 ms overflowed 16 bits.
        assert_eq!(packet_samples(&[87, 35]), Err(OpusError::Duration(67_200)));
        assert_eq!(packet_samples(&[3 << 3 | 3, 63]), Err(OpusError::Duration(181_440)));
    }

    #[test]
    fn control_header_says_lengths_up_to_the_limit() {
        for (bytes, want) in [
            (300, &[0x7f, 0xe0, 255, 45][..]),
            (0, &[0x7f, 0xe0, 0]),
            (254, &[0x7f, 0xe0, 254]),
            (255, &[0x7f, 0xe0, 255, 0]),
            (510, &[0x7f, 0xe0, 255, 255, 0]),
        ] {
            let header = ControlHeader::new(bytes).unwrap();
            assert_eq!(header.pieces().concat(), want);
            assert_eq!(header.encoded_len(), want.len());
        }
        let longest = ControlHeader::new(OPUS_PACKET_BYTES_MAX).unwrap().pieces().concat();
        let said: usize = longest[2..].iter().map(|byte| usize::from(*byte)).sum();
        assert_eq!(said, OPUS_PACKET_BYTES_MAX);
        let beyond = OPUS_PACKET_BYTES_MAX + 1;
        assert_eq!(ControlHeader::new(beyond), Err(OpusError::TooLong(beyond)));
    }

    proptest! {
        #[test]
        fn head_survives_the_wire(
            table in proptest::collection::vec(any::<u8>(), 1..255),
            family: u8,
            pre_skip: u16,
            input_rate: u32,
            gain: i16,
            streams: u8,
        ) {
            let channels = u8::try_from(table.len()).unwrap();
            let mapping = match family {
                0 => Mapping::Plain,
                _ => Mapping::Table { family, streams, coupled: 0, channels: &table },
            };
            let head = OpusHead { channels, pre_skip, input_rate, gain, mapping };
            let bytes = emitted(&head);
            prop_assert_eq!(OpusHead::parse(&bytes), Ok(head));
        }

        #[test]
        fn opus_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = OpusHead::parse(&[&MAGIC[..], &bytes].concat());
            if let Ok(head) = OpusHead::parse(&bytes) {
                let _ = head.channel_configuration();
            }
            if let Ok(samples) = packet_samples(&bytes) {
                prop_assert!((120..=PACKET_SAMPLES_MAX).contains(&samples));
            }
        }
    }
}

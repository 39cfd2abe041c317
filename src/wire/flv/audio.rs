//! Audio bodies: classic codecs by number, enhanced ones by name, and what AAC and MP3 mean in
//! both.
//!
//! Sources: Adobe Video File Format 10.1 §E.4.2; Enhanced RTMP v2, `ExAudioTagHeader`. The rate,
//! size and channel bits of a classic body are ignored: the configuration or the frames say it.

use super::TagError;
use super::enhanced::{self, FourCc, Head, Multitrack, Track, Tracks};
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};
use core::fmt;

/// The packet type that wraps several tracks.
pub(super) const MULTITRACK: u8 = 5;

/// The sound format of enhanced bodies, in its place.
const ENHANCED: u8 = 0x90;

/// A codec as the body names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// PCM in the byte order of the encoder, 0.
    PcmPlatform,
    /// ADPCM, 1.
    Adpcm,
    /// MP3, 2.
    Mp3,
    /// PCM, little-endian, 3.
    PcmLittle,
    /// Nellymoser at 16 kHz, mono, 4.
    Nellymoser16,
    /// Nellymoser at 8 kHz, mono, 5.
    Nellymoser8,
    /// Nellymoser, 6.
    Nellymoser,
    /// G.711 A-law, 7.
    G711A,
    /// G.711 µ-law, 8.
    G711U,
    /// AAC, 10.
    Aac,
    /// Speex, 11.
    Speex,
    /// MP3 at 8 kHz, 14.
    Mp3At8k,
    /// What a device makes of it, 15.
    Device,
    /// Any other, by its number: 12, 13.
    Unknown(u8),
    /// An enhanced codec by its characters.
    Named(FourCc),
}

impl AudioCodec {
    /// The codec of a number; four bits are looked at.
    #[must_use]
    pub const fn of(code: u8) -> Self {
        match code & 0x0f {
            0 => Self::PcmPlatform,
            1 => Self::Adpcm,
            2 => Self::Mp3,
            3 => Self::PcmLittle,
            4 => Self::Nellymoser16,
            5 => Self::Nellymoser8,
            6 => Self::Nellymoser,
            7 => Self::G711A,
            8 => Self::G711U,
            10 => Self::Aac,
            11 => Self::Speex,
            14 => Self::Mp3At8k,
            15 => Self::Device,
            other => Self::Unknown(other),
        }
    }

    /// The name for people; `Display` adds the number or the characters of unknown ones.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcmPlatform => "PCM",
            Self::Adpcm => "ADPCM",
            Self::Mp3 => "MP3",
            Self::PcmLittle => "PCM little-endian",
            Self::Nellymoser16 => "Nellymoser 16 kHz",
            Self::Nellymoser8 => "Nellymoser 8 kHz",
            Self::Nellymoser => "Nellymoser",
            Self::G711A => "G.711 A-law",
            Self::G711U => "G.711 mu-law",
            Self::Aac => "AAC",
            Self::Speex => "Speex",
            Self::Mp3At8k => "MP3 8 kHz",
            Self::Device => "device-specific audio",
            Self::Unknown(_) => "unknown audio codec",
            Self::Named(codec) => match codec.name() {
                Some(name) => name,
                None => "unknown audio codec",
            },
        }
    }

    /// The number of a classic codec.
    const fn code(self) -> u8 {
        match self {
            Self::PcmPlatform => 0,
            Self::Adpcm => 1,
            Self::Mp3 => 2,
            Self::PcmLittle => 3,
            Self::Nellymoser16 => 4,
            Self::Nellymoser8 => 5,
            Self::Nellymoser => 6,
            Self::G711A => 7,
            Self::G711U => 8,
            Self::Named(_) => 9,
            Self::Aac => 10,
            Self::Speex => 11,
            Self::Mp3At8k => 14,
            Self::Device => 15,
            Self::Unknown(code) => code & 0x0f,
        }
    }
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::Unknown(code) = self {
            write!(f, " {code}")?;
        }
        if let Self::Named(codec) = self
            && codec.name().is_none()
        {
            write!(f, " {codec}")?;
        }
        Ok(())
    }
}

/// What an enhanced packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioPacket {
    /// The decoder's configuration, 0.
    SequenceStart,
    /// Frames, 1.
    CodedFrames,
    /// The end, 2.
    SequenceEnd,
    /// Which speaker each channel is for, 4; read with `Multichannel`.
    MultichannelConfig,
    /// Any other, by its number.
    Unknown(u8),
}

impl AudioPacket {
    const fn of(code: u8) -> Self {
        match code {
            0 => Self::SequenceStart,
            1 => Self::CodedFrames,
            2 => Self::SequenceEnd,
            4 => Self::MultichannelConfig,
            other => Self::Unknown(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::SequenceStart => 0,
            Self::CodedFrames => 1,
            Self::SequenceEnd => 2,
            Self::MultichannelConfig => 4,
            Self::Unknown(other) => other,
        }
    }
}

/// The body of an audio tag or message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioBody<'a> {
    /// AAC configuration; read `config` with `aac::AudioSpecificConfig`.
    AacConfig {
        /// The audio specific configuration; may be empty.
        config: &'a [u8],
    },
    /// One raw frame of AAC; some encoders leave its ADTS header on.
    AacFrame {
        /// Nanoseconds to add to the presentation time, below 1 000 000.
        offset_ns: u32,
        /// The frame.
        data: &'a [u8],
    },
    /// Frames of MP3: one, several, or a part.
    Mp3 {
        /// Whether the body says 8 kHz, which few players like.
        rate8k: bool,
        /// Nanoseconds to add to the presentation time, below 1 000 000.
        offset_ns: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// An empty body: nothing to hear until the next.
    Silence,
    /// A classic codec that no player of HLS knows.
    Other {
        /// Which.
        codec: AudioCodec,
    },
    /// Any other enhanced body: another codec, several tracks, a channel layout.
    Enhanced(EnhancedAudio<'a>),
}

impl<'a> AudioBody<'a> {
    // | format (4) rate (2) size (1) channels (1) | [AAC: packet type (8)] | data |
    // | 9 (4) packet type (4) | modifiers | [wrapper] | fourcc (32) | tracks |

    /// Reads a body. Single tracks of `mp4a` and `.mp3` become the same frames as formats 10 and
    /// 2.
    ///
    /// # Errors
    /// `TagError` if it is truncated or of a packet type that is not defined.
    pub fn parse(body: &'a [u8]) -> Result<Self, TagError> {
        let mut r = Reader::new(body);
        let Ok(first) = r.u8("audio header") else {
            return Ok(Self::Silence);
        };
        if first & 0xf0 == ENHANCED {
            return enhanced(r, first & 0x0f);
        }
        match first >> 4 {
            10 => match r.u8("aac packet type")? {
                0 => Ok(Self::AacConfig { config: r.rest() }),
                1 => Ok(Self::AacFrame { offset_ns: 0, data: r.rest() }),
                other => Err(TagError::Packet(other)),
            },
            format @ (2 | 14) => {
                Ok(Self::Mp3 { rate8k: format == 14, offset_ns: 0, data: r.rest() })
            }
            format => Ok(Self::Other { codec: AudioCodec::of(format) }),
        }
    }

    /// Writes the body: AAC and MP3 in their classic form if that can say it, all else enhanced.
    /// `Other` has lost its data and writes nothing but its first byte; 8 kHz cannot be said
    /// together with nanoseconds.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match *self {
            Self::AacConfig { config } => {
                w.bytes(&[0xaf, 0])?;
                w.bytes(config)
            }
            Self::AacFrame { offset_ns: 0, data } => {
                w.bytes(&[0xaf, 1])?;
                w.bytes(data)
            }
            Self::AacFrame { offset_ns, data } => emit_frames(w, FourCc::MP4A, offset_ns, data),
            Self::Mp3 { rate8k, offset_ns: 0, data } => {
                w.u8(if rate8k { 0xef } else { 0x2f })?;
                w.bytes(data)
            }
            Self::Mp3 { offset_ns, data, .. } => emit_frames(w, FourCc::MP3, offset_ns, data),
            Self::Silence => Ok(()),
            Self::Other { codec } => w.u8(codec.code() << 4),
            Self::Enhanced(body) => body.emit(w),
        }
    }
}

/// An enhanced body whose tracks have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedAudio<'a> {
    /// What each track holds.
    pub packet: AudioPacket,
    /// Nanoseconds to add to the presentation time, below 1 000 000.
    pub offset_ns: u32,
    /// How the tracks are laid out.
    pub multitrack: Multitrack,
    body: &'a [u8],
}

impl<'a> EnhancedAudio<'a> {
    /// The tracks, at least one.
    #[must_use]
    pub const fn tracks(&self) -> Tracks<'a> {
        Tracks::new(self.body, self.multitrack)
    }

    /// What a track means as a body of its own, if it is AAC or MP3 and neither end nor layout.
    #[must_use]
    pub fn body(&self, track: &Track<'a>) -> Option<AudioBody<'a>> {
        let Track { codec, data, .. } = *track;
        match (codec, self.packet) {
            (FourCc::MP4A, AudioPacket::SequenceStart) => {
                Some(AudioBody::AacConfig { config: data })
            }
            (FourCc::MP4A, AudioPacket::CodedFrames) => {
                Some(AudioBody::AacFrame { offset_ns: self.offset_ns, data })
            }
            (FourCc::MP3, AudioPacket::CodedFrames) => {
                Some(AudioBody::Mp3 { rate8k: false, offset_ns: self.offset_ns, data })
            }
            _ => None,
        }
    }

    /// Writes the body as it was read, less unknown modifiers.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let head = Head { packet: self.packet.code(), offset_ns: self.offset_ns };
        enhanced::emit(w, ENHANCED, MULTITRACK, &head, self.multitrack)?;
        w.bytes(self.body)
    }
}

/// Which speaker each channel of a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multichannel<'a> {
    /// How many channels.
    pub channels: u8,
    /// Their order.
    pub order: ChannelOrder<'a>,
}

/// How channels are assigned to speakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder<'a> {
    /// As the codec does it, 0.
    Unspecified,
    /// In the order of the bits of this mask, 1.
    Native(u32),
    /// One byte for each channel, 2.
    Custom(&'a [u8]),
    /// Any other, by its number.
    Unknown(u8),
}

impl<'a> Multichannel<'a> {
    // | order (8) | channels (8) | native: mask (32) · custom: speaker (8) for each channel |

    /// Reads the data of a track in a packet of type `MultichannelConfig`.
    ///
    /// # Errors
    /// `Short` if it is truncated.
    pub fn parse(data: &'a [u8]) -> Result<Self, Short> {
        let mut r = Reader::new(data);
        let order = r.u8("channel order")?;
        let channels = r.u8("channel count")?;
        let order = match order {
            0 => ChannelOrder::Unspecified,
            1 => ChannelOrder::Native(r.u32("channel mask")?),
            2 => ChannelOrder::Custom(r.take(usize::from(channels), "channel mapping")?),
            other => ChannelOrder::Unknown(other),
        };
        Ok(Self { channels, order })
    }
}

/// Whether an enhanced body begins track 0.
pub(super) fn begins_track_0(payload: &[u8]) -> bool {
    match AudioBody::parse(payload) {
        Ok(AudioBody::AacConfig { .. }) => true,
        Ok(AudioBody::Enhanced(body)) => {
            body.packet == AudioPacket::SequenceStart && body.tracks().any(|track| track.id == 0)
        }
        _ => false,
    }
}

fn enhanced(mut r: Reader<'_>, packet: u8) -> Result<AudioBody<'_>, TagError> {
    let mut head = Head::parse(&mut r, packet)?;
    let (multitrack, body) = enhanced::layout(&mut r, &mut head.packet, MULTITRACK)?;
    let audio = EnhancedAudio {
        packet: AudioPacket::of(head.packet),
        offset_ns: head.offset_ns,
        multitrack,
        body,
    };
    let Multitrack::None(codec) = multitrack else {
        return Ok(AudioBody::Enhanced(audio));
    };
    let only = Track { id: 0, codec, data: body };
    Ok(audio.body(&only).unwrap_or(AudioBody::Enhanced(audio)))
}

fn emit_frames(w: &mut Writer<'_>, codec: FourCc, offset_ns: u32, data: &[u8]) -> Result<(), Full> {
    let head = Head { packet: AudioPacket::CodedFrames.code(), offset_ns };
    head.emit(w, ENHANCED)?;
    w.bytes(&codec.0)?;
    w.bytes(data)
}

//! Video bodies: classic codecs by number, enhanced ones by name, and what H.264 means in both.
//!
//! Sources: Adobe Video File Format 10.1 §E.4.3; Enhanced RTMP v2, `ExVideoTagHeader`. A message's
//! timestamp is its decode time; the composition time here is what leads to presentation.

use super::TagError;
use super::enhanced::{self, FourCc, Head, Multitrack, Track, Tracks};
use crate::wire::reader::Reader;
use crate::wire::writer::{Full, Writer};
use core::fmt;

/// The packet type that wraps several tracks.
pub(super) const MULTITRACK: u8 = 6;

/// The flag of enhanced bodies.
const ENHANCED: u8 = 0x80;

/// What a frame needs for decoding, as the encoder claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Nothing else.
    Key,
    /// Earlier frames.
    Inter,
    /// Earlier frames, and no other needs it (H.263).
    Disposable,
    /// Nothing else; made by a server.
    GeneratedKey,
    /// No frame: a command to the player.
    Command,
    /// Any other, by its number: 0, 6, 7.
    Unknown(u8),
}

impl FrameType {
    /// The type of a number; three bits are looked at.
    #[must_use]
    pub const fn of(code: u8) -> Self {
        match code & 7 {
            1 => Self::Key,
            2 => Self::Inter,
            3 => Self::Disposable,
            4 => Self::GeneratedKey,
            5 => Self::Command,
            other => Self::Unknown(other),
        }
    }

    /// The number of the type.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Inter => 2,
            Self::Disposable => 3,
            Self::GeneratedKey => 4,
            Self::Command => 5,
            Self::Unknown(other) => other,
        }
    }

    /// Whether the encoder claims that decoding can start here.
    #[must_use]
    pub const fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::GeneratedKey)
    }
}

/// A codec as the body names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// Sorenson H.263, 2.
    H263,
    /// Screen video, 3.
    Screen,
    /// VP6, 4.
    Vp6,
    /// VP6 with alpha, 5.
    Vp6Alpha,
    /// Screen video 2, 6.
    Screen2,
    /// H.264, 7.
    Avc,
    /// HEVC, 12 by a private convention.
    Hevc,
    /// AV1, 13 by a private convention.
    Av1,
    /// Any other, by its number.
    Unknown(u8),
    /// An enhanced codec by its characters.
    Named(FourCc),
}

impl VideoCodec {
    /// The codec of a number; four bits are looked at.
    #[must_use]
    pub const fn of(code: u8) -> Self {
        match code & 0x0f {
            2 => Self::H263,
            3 => Self::Screen,
            4 => Self::Vp6,
            5 => Self::Vp6Alpha,
            6 => Self::Screen2,
            7 => Self::Avc,
            12 => Self::Hevc,
            13 => Self::Av1,
            other => Self::Unknown(other),
        }
    }

    /// The name for people; `Display` adds the number or the characters of unknown ones.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H263 => "Sorenson H.263",
            Self::Screen => "Screen Video",
            Self::Vp6 => "VP6",
            Self::Vp6Alpha => "VP6 with alpha",
            Self::Screen2 => "Screen Video 2",
            Self::Avc => "H.264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Unknown(_) => "unknown video codec",
            Self::Named(codec) => match codec.name() {
                Some(name) => name,
                None => "unknown video codec",
            },
        }
    }
}

impl fmt::Display for VideoCodec {
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
pub enum VideoPacket {
    /// The decoder's configuration, 0.
    SequenceStart,
    /// Frames, with a composition time for the codecs of NAL units, 1.
    CodedFrames,
    /// The end, 2.
    SequenceEnd,
    /// Frames whose composition time is 0, 3.
    CodedFramesX,
    /// Name and value pairs in AMF0, such as colours, 4.
    Metadata,
    /// The decoder's configuration as a transport stream descriptor, 5.
    Mpeg2TsSequenceStart,
    /// Any other, by its number.
    Unknown(u8),
}

impl VideoPacket {
    const fn of(code: u8) -> Self {
        match code {
            0 => Self::SequenceStart,
            1 => Self::CodedFrames,
            2 => Self::SequenceEnd,
            3 => Self::CodedFramesX,
            4 => Self::Metadata,
            5 => Self::Mpeg2TsSequenceStart,
            other => Self::Unknown(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::SequenceStart => 0,
            Self::CodedFrames => 1,
            Self::SequenceEnd => 2,
            Self::CodedFramesX => 3,
            Self::Metadata => 4,
            Self::Mpeg2TsSequenceStart => 5,
            Self::Unknown(other) => other,
        }
    }
}

/// The body of a video tag or message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoBody<'a> {
    /// H.264 configuration; read `record` with `h264::AvcConfig`.
    AvcConfig {
        /// The configuration record.
        record: &'a [u8],
    },
    /// One access unit of H.264.
    AvcFrame {
        /// What the encoder claims.
        frame_type: FrameType,
        /// Presentation less decode time in milliseconds, 24 bits with sign.
        composition_ms: i32,
        /// Nanoseconds to add to the presentation time, below 1 000 000.
        offset_ns: u32,
        /// Length-prefixed NAL units.
        nals: &'a [u8],
    },
    /// The end of H.264: nothing more until the next configuration.
    AvcEnd,
    /// HEVC configuration, from codec 12 or from `hvc1`.
    HevcConfig {
        /// The configuration record.
        record: &'a [u8],
    },
    /// One access unit of HEVC.
    HevcFrame {
        /// What the encoder claims.
        frame_type: FrameType,
        /// Presentation less decode time in milliseconds, 24 bits with sign.
        composition_ms: i32,
        /// Nanoseconds to add to the presentation time, below 1 000 000.
        offset_ns: u32,
        /// Length-prefixed NAL units.
        nals: &'a [u8],
    },
    /// The end of HEVC.
    HevcEnd,
    /// A command to the player: 0 seek start, 1 seek end.
    Command(u8),
    /// A classic codec that no player of HLS knows.
    Other {
        /// Which.
        codec: VideoCodec,
    },
    /// Any other enhanced body: another codec, several tracks, metadata.
    Enhanced(EnhancedVideo<'a>),
}

impl<'a> VideoBody<'a> {
    // | 0 frame type (3) codec (4) | [H.264: packet type (8) | composition time (24)] | data |
    // | 1 frame type (3) packet type (4) | modifiers | [wrapper] | fourcc (32) | tracks |

    /// Reads a body. Single tracks of `avc1` and `hvc1` become the same frames as codecs 7 and 12.
    ///
    /// # Errors
    /// `TagError` if it is truncated or of a packet type that is not defined.
    pub fn parse(body: &'a [u8]) -> Result<Self, TagError> {
        let mut r = Reader::new(body);
        let first = r.u8("video header")?;
        let frame_type = FrameType::of(first >> 4);
        if first & ENHANCED != 0 {
            return enhanced(r, frame_type, first & 0x0f);
        }
        if frame_type == FrameType::Command {
            return Ok(Self::Command(r.u8("video command")?));
        }
        let codec = VideoCodec::of(first);
        if !matches!(codec, VideoCodec::Avc | VideoCodec::Hevc) {
            return Ok(Self::Other { codec });
        }
        let packet = r.u8("video packet type")?;
        let composition_ms = r.i24("composition time")?;
        let data = r.rest();
        let hevc = codec == VideoCodec::Hevc;
        match packet {
            0 => Ok(config(hevc, data)),
            1 => Ok(frame(hevc, frame_type, composition_ms, 0, data)),
            2 => Ok(end(hevc)),
            other => Err(TagError::Packet(other)),
        }
    }

    /// Writes the body: H.264 in its classic form if that can say it, all else enhanced. `Other`
    /// has lost its data and writes nothing but its first byte.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match *self {
            Self::AvcConfig { record } => {
                w.bytes(&[0x17, 0, 0, 0, 0])?;
                w.bytes(record)
            }
            Self::AvcFrame { frame_type, composition_ms, offset_ns: 0, nals } => {
                w.u8(frame_type.code() << 4 | 7)?;
                w.u8(1)?;
                emit_i24(w, composition_ms)?;
                w.bytes(nals)
            }
            Self::AvcFrame { frame_type, composition_ms, offset_ns, nals } => {
                emit_frame(w, FourCc::AVC1, frame_type, composition_ms, offset_ns, nals)
            }
            Self::AvcEnd => w.bytes(&[0x17, 2, 0, 0, 0]),
            Self::HevcConfig { record } => {
                w.bytes(b"\x90hvc1")?;
                w.bytes(record)
            }
            Self::HevcFrame { frame_type, composition_ms, offset_ns, nals } => {
                emit_frame(w, FourCc::HVC1, frame_type, composition_ms, offset_ns, nals)
            }
            Self::HevcEnd => w.bytes(b"\x92hvc1"),
            Self::Command(command) => w.bytes(&[0x57, command]),
            Self::Other { codec } => w.u8(FrameType::Key.code() << 4 | classic_code(codec)),
            Self::Enhanced(body) => body.emit(w),
        }
    }
}

/// An enhanced body whose tracks have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedVideo<'a> {
    /// What the encoder claims; senseless for metadata.
    pub frame_type: FrameType,
    /// What each track holds.
    pub packet: VideoPacket,
    /// Nanoseconds to add to the presentation time, below 1 000 000.
    pub offset_ns: u32,
    /// How the tracks are laid out.
    pub multitrack: Multitrack,
    body: &'a [u8],
}

impl<'a> EnhancedVideo<'a> {
    /// The tracks, at least one.
    #[must_use]
    pub const fn tracks(&self) -> Tracks<'a> {
        Tracks::new(self.body, self.multitrack)
    }

    /// What a track means as a body of its own, if it is H.264 or HEVC and no metadata.
    ///
    /// # Errors
    /// `TagError` if its composition time is truncated.
    pub fn body(&self, track: &Track<'a>) -> Result<Option<VideoBody<'a>>, TagError> {
        let hevc = match track.codec {
            FourCc::AVC1 => false,
            FourCc::HVC1 => true,
            _ => return Ok(None),
        };
        let mut r = Reader::new(track.data);
        Ok(match self.packet {
            VideoPacket::SequenceStart => Some(config(hevc, track.data)),
            VideoPacket::CodedFrames => {
                let composition_ms = r.i24("composition time")?;
                let nals = r.rest();
                Some(frame(hevc, self.frame_type, composition_ms, self.offset_ns, nals))
            }
            VideoPacket::CodedFramesX => {
                Some(frame(hevc, self.frame_type, 0, self.offset_ns, track.data))
            }
            VideoPacket::SequenceEnd => Some(end(hevc)),
            VideoPacket::Metadata | VideoPacket::Mpeg2TsSequenceStart | VideoPacket::Unknown(_) => {
                None
            }
        })
    }

    /// Writes the body as it was read, less unknown modifiers.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let head = Head { packet: self.packet.code(), offset_ns: self.offset_ns };
        let flags = ENHANCED | self.frame_type.code() << 4;
        enhanced::emit(w, flags, MULTITRACK, &head, self.multitrack)?;
        w.bytes(self.body)
    }
}

/// What an enhanced body holds of track 0.
pub(super) fn packet_of_track_0(payload: &[u8]) -> Option<VideoPacket> {
    match VideoBody::parse(payload).ok()? {
        VideoBody::AvcConfig { .. } | VideoBody::HevcConfig { .. } => {
            Some(VideoPacket::SequenceStart)
        }
        VideoBody::AvcFrame { .. } | VideoBody::HevcFrame { .. } => Some(VideoPacket::CodedFrames),
        VideoBody::Enhanced(body) => {
            body.tracks().any(|track| track.id == 0).then_some(body.packet)
        }
        VideoBody::AvcEnd
        | VideoBody::HevcEnd
        | VideoBody::Command(_)
        | VideoBody::Other { .. } => None,
    }
}

fn enhanced(
    mut r: Reader<'_>,
    frame_type: FrameType,
    packet: u8,
) -> Result<VideoBody<'_>, TagError> {
    let mut head = Head::parse(&mut r, packet)?;
    if frame_type == FrameType::Command && VideoPacket::of(head.packet) != VideoPacket::Metadata {
        return Ok(VideoBody::Command(r.u8("video command")?));
    }
    let (multitrack, body) = enhanced::layout(&mut r, &mut head.packet, MULTITRACK)?;
    let video = EnhancedVideo {
        frame_type,
        packet: VideoPacket::of(head.packet),
        offset_ns: head.offset_ns,
        multitrack,
        body,
    };
    let Multitrack::None(codec) = multitrack else {
        return Ok(VideoBody::Enhanced(video));
    };
    let only = Track { id: 0, codec, data: body };
    Ok(video.body(&only)?.unwrap_or(VideoBody::Enhanced(video)))
}

const fn config(hevc: bool, record: &[u8]) -> VideoBody<'_> {
    if hevc { VideoBody::HevcConfig { record } } else { VideoBody::AvcConfig { record } }
}

const fn frame(
    hevc: bool,
    frame_type: FrameType,
    composition_ms: i32,
    offset_ns: u32,
    nals: &[u8],
) -> VideoBody<'_> {
    if hevc {
        VideoBody::HevcFrame { frame_type, composition_ms, offset_ns, nals }
    } else {
        VideoBody::AvcFrame { frame_type, composition_ms, offset_ns, nals }
    }
}

const fn end(hevc: bool) -> VideoBody<'static> {
    if hevc { VideoBody::HevcEnd } else { VideoBody::AvcEnd }
}

fn emit_frame(
    w: &mut Writer<'_>,
    codec: FourCc,
    frame_type: FrameType,
    composition_ms: i32,
    offset_ns: u32,
    nals: &[u8],
) -> Result<(), Full> {
    let packet =
        if composition_ms == 0 { VideoPacket::CodedFramesX } else { VideoPacket::CodedFrames };
    let head = Head { packet: packet.code(), offset_ns };
    head.emit(w, ENHANCED | frame_type.code() << 4)?;
    w.bytes(&codec.0)?;
    if composition_ms != 0 {
        emit_i24(w, composition_ms)?;
    }
    w.bytes(nals)
}

fn emit_i24(w: &mut Writer<'_>, value: i32) -> Result<(), Full> {
    debug_assert!((-(1 << 23)..1 << 23).contains(&value));
    let [_, low @ ..] = value.to_be_bytes();
    w.bytes(&low)
}

const fn classic_code(codec: VideoCodec) -> u8 {
    match codec {
        VideoCodec::H263 => 2,
        VideoCodec::Screen => 3,
        VideoCodec::Vp6 => 4,
        VideoCodec::Vp6Alpha => 5,
        VideoCodec::Screen2 => 6,
        VideoCodec::Avc => 7,
        VideoCodec::Hevc => 12,
        VideoCodec::Av1 => 13,
        VideoCodec::Unknown(code) => code & 0x0f,
        VideoCodec::Named(_) => 0,
    }
}

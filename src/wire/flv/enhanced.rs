//! What enhanced audio and video have in common: codec names, modifiers, several tracks.
//!
//! Source: Enhanced RTMP v2, `ExAudioTagHeader` and `ExVideoTagHeader`. The numbering of packet
//! types differs between the two; each side passes its own.

use super::TagError;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};
use core::fmt;

/// The packet type of a modifier, in audio and in video.
pub(super) const MODIFIER: u8 = 7;

/// The modifier that adds nanoseconds to the presentation time.
const MODIFIER_NANOSECONDS: u8 = 0;

/// Nanoseconds in a millisecond; an offset of as much or more is senseless and ignored.
const OFFSET_NS_END: u32 = 1_000_000;

/// Four characters that name a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// H.264.
    pub const AVC1: Self = Self(*b"avc1");
    /// HEVC.
    pub const HVC1: Self = Self(*b"hvc1");
    /// VVC.
    pub const VVC1: Self = Self(*b"vvc1");
    /// VP8.
    pub const VP08: Self = Self(*b"vp08");
    /// VP9.
    pub const VP09: Self = Self(*b"vp09");
    /// AV1.
    pub const AV01: Self = Self(*b"av01");
    /// AAC.
    pub const MP4A: Self = Self(*b"mp4a");
    /// MP3.
    pub const MP3: Self = Self(*b".mp3");
    /// Opus.
    pub const OPUS: Self = Self(*b"Opus");
    /// FLAC.
    pub const FLAC: Self = Self(*b"fLaC");
    /// AC-3.
    pub const AC3: Self = Self(*b"ac-3");
    /// Enhanced AC-3.
    pub const EAC3: Self = Self(*b"ec-3");

    /// The codec's name for people, if it is one of those that the specification lists.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match &self.0 {
            b"avc1" => "H.264",
            b"hvc1" => "HEVC",
            b"vvc1" => "VVC",
            b"vp08" => "VP8",
            b"vp09" => "VP9",
            b"av01" => "AV1",
            b"mp4a" => "AAC",
            b".mp3" => "MP3",
            b"Opus" => "Opus",
            b"fLaC" => "FLAC",
            b"ac-3" => "AC-3",
            b"ec-3" => "E-AC-3",
            _ => return None,
        })
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// How the tracks of a packet are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multitrack {
    /// No wrapper: one track, number 0.
    None(FourCc),
    /// One track with its number.
    One(FourCc),
    /// Several tracks of one codec.
    SameCodec(FourCc),
    /// Several tracks, each with its codec.
    ManyCodecs,
}

impl Multitrack {
    /// The codec, if all tracks share one.
    #[must_use]
    pub const fn codec(self) -> Option<FourCc> {
        match self {
            Self::None(codec) | Self::One(codec) | Self::SameCodec(codec) => Some(codec),
            Self::ManyCodecs => None,
        }
    }

    /// The number of the layout; a packet without wrapper has none.
    const fn code(self) -> Option<u8> {
        match self {
            Self::None(_) => None,
            Self::One(_) => Some(0),
            Self::SameCodec(_) => Some(1),
            Self::ManyCodecs => Some(2),
        }
    }
}

/// One track of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track<'a> {
    /// Its number; 0 is the one that players without a choice take.
    pub id: u8,
    /// Its codec.
    pub codec: FourCc,
    /// What the packet type says, for this track.
    pub data: &'a [u8],
}

/// The tracks of a packet whose lengths have been checked.
#[derive(Clone, Debug)]
pub struct Tracks<'a> {
    rest: Reader<'a>,
    layout: Multitrack,
    done: bool,
}

impl<'a> Tracks<'a> {
    pub(super) const fn new(body: &'a [u8], layout: Multitrack) -> Self {
        Self { rest: Reader::new(body), layout, done: false }
    }

    // | [many codecs: fourcc (32)] | [multitrack: id (8)] | [several: size (24)] | data |

    fn track(&mut self) -> Result<Track<'a>, Short> {
        let r = &mut self.rest;
        let codec = match self.layout.codec() {
            Some(codec) => codec,
            None => FourCc(r.array("track codec")?),
        };
        let id = match self.layout {
            Multitrack::None(_) => 0,
            Multitrack::One(_) | Multitrack::SameCodec(_) | Multitrack::ManyCodecs => {
                r.u8("track id")?
            }
        };
        let size = match self.layout {
            Multitrack::None(_) | Multitrack::One(_) => r.len(),
            Multitrack::SameCodec(_) | Multitrack::ManyCodecs => {
                usize::try_from(r.u24("track size")?).unwrap_or(usize::MAX)
            }
        };
        Ok(Track { id, codec, data: r.take(size, "track")? })
    }
}

impl<'a> Iterator for Tracks<'a> {
    type Item = Track<'a>;

    fn next(&mut self) -> Option<Track<'a>> {
        if self.done {
            return None;
        }
        let track = self.track().ok();
        self.done = track.is_none() || self.rest.is_empty();
        track
    }
}

/// What stands before the tracks, once modifiers and wrapper are read.
pub(super) struct Head {
    pub(super) packet: u8,
    pub(super) offset_ns: u32,
}

impl Head {
    // | modifier: size - 1 (8) [255: size - 1 (16)] | data | modifier type (4) | packet type (4) |

    /// Reads modifiers until `packet` is another type. Unknown modifiers are skipped.
    pub(super) fn parse(r: &mut Reader<'_>, mut packet: u8) -> Result<Self, Short> {
        let mut offset_ns = 0;
        while packet == MODIFIER {
            let mut size = usize::from(r.u8("modifier size")?) + 1;
            if size == 256 {
                size = usize::from(r.u16("modifier size")?) + 1;
            }
            let data = r.take(size, "modifier")?;
            let next = r.u8("modifier type")?;
            packet = next & 0x0f;
            if next >> 4 == MODIFIER_NANOSECONDS {
                offset_ns = Reader::new(data).u24("nanosecond offset")?;
            }
        }
        if offset_ns >= OFFSET_NS_END {
            offset_ns = 0;
        }
        Ok(Self { packet, offset_ns })
    }

    /// Writes the first byte, `flags` with the packet type, and the modifier if one is needed.
    pub(super) fn emit(&self, w: &mut Writer<'_>, flags: u8) -> Result<(), Full> {
        if self.offset_ns == 0 {
            return w.u8(flags | self.packet);
        }
        w.u8(flags | MODIFIER)?;
        w.u8(2)?;
        w.u24(self.offset_ns)?;
        w.u8(MODIFIER_NANOSECONDS << 4 | self.packet)
    }
}

/// Reads wrapper and codec behind a head, and checks the tracks. `packet` becomes the type of what
/// the wrapper holds.
pub(super) fn layout<'a>(
    r: &mut Reader<'a>,
    packet: &mut u8,
    wrapper: u8,
) -> Result<(Multitrack, &'a [u8]), TagError> {
    let layout = if *packet == wrapper {
        let [kind, inner] = nibbles(r.u8("multitrack type")?);
        if inner == wrapper || inner == MODIFIER {
            return Err(TagError::Nested(inner));
        }
        *packet = inner;
        match kind {
            0 => Multitrack::One(FourCc(r.array("codec")?)),
            1 => Multitrack::SameCodec(FourCc(r.array("codec")?)),
            2 => Multitrack::ManyCodecs,
            other => return Err(TagError::Multitrack(other)),
        }
    } else {
        Multitrack::None(FourCc(r.array("codec")?))
    };
    let body = r.rest();
    let mut walk = Tracks::new(body, layout);
    loop {
        walk.track()?;
        if walk.rest.is_empty() {
            return Ok((layout, body));
        }
    }
}

/// Writes head, wrapper, codec and the tracks as they were read.
pub(super) fn emit(
    w: &mut Writer<'_>,
    flags: u8,
    wrapper: u8,
    head: &Head,
    layout: Multitrack,
) -> Result<(), Full> {
    match layout.code() {
        None => head.emit(w, flags)?,
        Some(code) => {
            let outer = Head { packet: wrapper, offset_ns: head.offset_ns };
            outer.emit(w, flags)?;
            w.u8(code << 4 | head.packet)?;
        }
    }
    match layout.codec() {
        Some(codec) => w.bytes(&codec.0),
        None => Ok(()),
    }
}

const fn nibbles(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0x0f]
}

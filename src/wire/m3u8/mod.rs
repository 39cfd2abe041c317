//! Playlist lines: emit and parse.
//!
//! `Line` is one line, both ways; `MediaPlaylist` and `MasterPlaylist` read a whole playlist and
//! refuse what the standard forbids. Attribute lists are generic: `Attributes` walks any of them.
//!
//! Times are whole microseconds. `Durations` rounds the ends of segments, not their lengths, so
//! that the printed durations of any run of segments add up to its true length within 1 µs.
//!
//! Does not resolve URIs, does not judge one version of a playlist against the one before
//! (`media::playlist` keeps those rules).
//! Source: draft-pantos-http-live-streaming-12 §3, RFC 8216 §4.

mod attributes;
mod master;
mod range;
mod variant;

pub use attributes::{Attribute, AttributeError, AttributeValue, Attributes};
pub use master::{MEDIA_TAGS, MasterPlaylist};
pub use range::{ByteRange, Map};
pub use variant::{MediaType, Rendition, Variant};

use core::fmt;

use crate::time::Ticks;
use crate::wire::writer::{Full, Writer};

/// Bytes that are not a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum M3u8Error {
    /// Not text as RFC 8216 §4.1 wants it.
    #[error("playlist is not UTF-8 without byte order mark and control characters, line {line}")]
    Text {
        /// Line number from 1.
        line: usize,
    },
    /// The first line is another.
    #[error("playlist does not begin with #EXTM3U")]
    NoHeader,
    /// A tag's value has not the form the tag wants.
    #[error("{tag} has a malformed value, line {line}")]
    Value {
        /// The tag.
        tag: &'static str,
        /// Line number from 1.
        line: usize,
    },
    /// A tag that may appear once appears again.
    #[error("{tag} appears twice, line {line}")]
    Repeated {
        /// The tag.
        tag: &'static str,
        /// Line number from 1.
        line: usize,
    },
    /// A tag stands where it may not.
    #[error("{tag} is misplaced, line {line}")]
    Misplaced {
        /// The tag.
        tag: &'static str,
        /// Line number from 1.
        line: usize,
    },
    /// A tag that must appear does not.
    #[error("{tag} is missing")]
    Missing {
        /// The tag.
        tag: &'static str,
    },
    /// A segment is longer than the target duration allows.
    #[error("segment of {micros} µs exceeds the target duration of {target_s} s, line {line}")]
    TooLong {
        /// Its duration, microseconds.
        micros: u64,
        /// The playlist's target duration, seconds.
        target_s: u64,
        /// Line number from 1.
        line: usize,
    },
}

/// One line of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `#EXTM3U`
    Header,
    /// `#EXT-X-VERSION`
    Version(u64),
    /// `#EXT-X-TARGETDURATION`, seconds.
    TargetDuration(u64),
    /// `#EXT-X-MEDIA-SEQUENCE`
    MediaSequence(u64),
    /// `#EXT-X-DISCONTINUITY-SEQUENCE`
    DiscontinuitySequence(u64),
    /// `#EXT-X-INDEPENDENT-SEGMENTS`
    IndependentSegments,
    /// `#EXT-X-PLAYLIST-TYPE:VOD`
    Vod,
    /// `#EXT-X-PLAYLIST-TYPE:EVENT`
    Event,
    /// `#EXTINF`
    Segment {
        /// Duration in microseconds.
        micros: u64,
        /// What follows the comma, often nothing.
        title: &'a str,
    },
    /// `#EXT-X-DISCONTINUITY`
    Discontinuity,
    /// `#EXT-X-ENDLIST`
    EndList,
    /// `#EXT-X-I-FRAMES-ONLY`
    IFramesOnly,
    /// `#EXT-X-BYTERANGE`
    ByteRange(ByteRange),
    /// `#EXT-X-MAP`
    Map(Map<'a>),
    /// `#EXT-X-STREAM-INF`; its URI is the next line.
    StreamInf(Variant<'a>),
    /// `#EXT-X-I-FRAME-STREAM-INF`, with its URI.
    IFrameStreamInf(Variant<'a>, &'a str),
    /// `#EXT-X-MEDIA`
    Media(Rendition<'a>),
    /// Any other tag: its name without `#`, and what follows the colon.
    Other {
        /// Name, such as `EXT-X-KEY`.
        name: &'a str,
        /// Value, if there is a colon; `Attributes::new` reads attribute lists.
        value: Option<&'a str>,
    },
    /// A line without `#`.
    Uri(&'a str),
    /// A comment (without its `#`) or an empty line.
    Comment(&'a str),
}

impl<'a> Line<'a> {
    /// Reads one line without its line ending. `number` counts lines from 1.
    ///
    /// # Errors
    /// `Value` where a known tag's value is malformed, `Text` for control characters.
    pub fn parse(text: &'a str, number: usize) -> Result<Self, M3u8Error> {
        if text.chars().any(char::is_control) {
            return Err(M3u8Error::Text { line: number });
        }
        let Some(rest) = text.strip_prefix('#') else {
            return Ok(if text.is_empty() { Self::Comment(text) } else { Self::Uri(text) });
        };
        if !rest.starts_with("EXT") {
            return Ok(Self::Comment(rest));
        }
        let (name, value) = match rest.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let bad = |tag| M3u8Error::Value { tag, line: number };
        let integer = |tag| value.and_then(decimal).ok_or(bad(tag));
        let alone = |tag, line| value.map_or(Ok(line), |_| Err(bad(tag)));
        match name {
            "EXTM3U" => alone("EXTM3U", Self::Header),
            "EXT-X-VERSION" => integer("EXT-X-VERSION").map(Self::Version),
            "EXT-X-TARGETDURATION" => integer("EXT-X-TARGETDURATION").map(Self::TargetDuration),
            "EXT-X-MEDIA-SEQUENCE" => integer("EXT-X-MEDIA-SEQUENCE").map(Self::MediaSequence),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                integer("EXT-X-DISCONTINUITY-SEQUENCE").map(Self::DiscontinuitySequence)
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => {
                alone("EXT-X-INDEPENDENT-SEGMENTS", Self::IndependentSegments)
            }
            "EXT-X-PLAYLIST-TYPE" => match value {
                Some("VOD") => Ok(Self::Vod),
                Some("EVENT") => Ok(Self::Event),
                _ => Err(bad("EXT-X-PLAYLIST-TYPE")),
            },
            "EXTINF" => value
                .and_then(|value| value.split_once(','))
                .and_then(|(seconds, title)| Some((micros(seconds)?, title)))
                .map(|(micros, title)| Self::Segment { micros, title })
                .ok_or(bad("EXTINF")),
            "EXT-X-DISCONTINUITY" => alone("EXT-X-DISCONTINUITY", Self::Discontinuity),
            "EXT-X-ENDLIST" => alone("EXT-X-ENDLIST", Self::EndList),
            "EXT-X-I-FRAMES-ONLY" => alone("EXT-X-I-FRAMES-ONLY", Self::IFramesOnly),
            _ => Self::with_parts(name, value.unwrap_or_default())
                .unwrap_or(Ok(Self::Other { name, value }))
                .map_err(bad),
        }
    }

    /// Reads a tag whose value has parts; `None` if it is no such tag.
    fn with_parts(name: &str, value: &'a str) -> Option<Result<Self, &'static str>> {
        let (tag, line) = match name {
            "EXT-X-BYTERANGE" => ("EXT-X-BYTERANGE", ByteRange::parse(value).map(Self::ByteRange)),
            "EXT-X-MAP" => ("EXT-X-MAP", Map::parse(value).map(Self::Map)),
            "EXT-X-MEDIA" => ("EXT-X-MEDIA", Rendition::parse(value).map(Self::Media)),
            "EXT-X-STREAM-INF" => {
                let read = Variant::parse(value).filter(|(_, uri)| uri.is_none());
                ("EXT-X-STREAM-INF", read.map(|(variant, _)| Self::StreamInf(variant)))
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let read = Variant::parse(value);
                let line = read.and_then(|(said, uri)| Some(Self::IFrameStreamInf(said, uri?)));
                ("EXT-X-I-FRAME-STREAM-INF", line)
            }
            _ => return None,
        };
        Some(line.ok_or(tag))
    }

    /// Writes the line and a line feed.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match *self {
            Self::Header => w.bytes(b"#EXTM3U\n"),
            Self::Version(n) => put(w, format_args!("#EXT-X-VERSION:{n}\n")),
            Self::TargetDuration(n) => put(w, format_args!("#EXT-X-TARGETDURATION:{n}\n")),
            Self::MediaSequence(n) => put(w, format_args!("#EXT-X-MEDIA-SEQUENCE:{n}\n")),
            Self::DiscontinuitySequence(n) => {
                put(w, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{n}\n"))
            }
            Self::IndependentSegments => w.bytes(b"#EXT-X-INDEPENDENT-SEGMENTS\n"),
            Self::Vod => w.bytes(b"#EXT-X-PLAYLIST-TYPE:VOD\n"),
            Self::Event => w.bytes(b"#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Self::Segment { micros, title } => {
                let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
                put(w, format_args!("#EXTINF:{seconds}.{fraction:06},{title}\n"))
            }
            Self::Discontinuity => w.bytes(b"#EXT-X-DISCONTINUITY\n"),
            Self::EndList => w.bytes(b"#EXT-X-ENDLIST\n"),
            Self::IFramesOnly => w.bytes(b"#EXT-X-I-FRAMES-ONLY\n"),
            Self::ByteRange(range) => {
                w.bytes(b"#EXT-X-BYTERANGE:")?;
                range.emit(w)?;
                w.u8(b'\n')
            }
            Self::Map(map) => map.emit(w),
            Self::StreamInf(variant) => variant.emit(w, None),
            Self::IFrameStreamInf(variant, uri) => variant.emit(w, Some(uri)),
            Self::Media(rendition) => rendition.emit(w),
            Self::Other { name, value: Some(value) } => put(w, format_args!("#{name}:{value}\n")),
            Self::Other { name, value: None } => put(w, format_args!("#{name}\n")),
            Self::Uri(uri) => put(w, format_args!("{uri}\n")),
            Self::Comment("") => w.bytes(b"\n"),
            Self::Comment(text) => put(w, format_args!("#{text}\n")),
        }
    }
}

/// Writes formatted text.
///
/// # Errors
/// `Full` if it does not fit; a part of it may have been written.
pub fn put(w: &mut Writer<'_>, text: fmt::Arguments<'_>) -> Result<(), Full> {
    let mut sink = Sink { w, full: None };
    fmt::Write::write_fmt(&mut sink, text).map_err(|fmt::Error| {
        let nothing = Full { need: 0, have: 0 };
        sink.full.unwrap_or(nothing)
    })
}

struct Sink<'w, 'b> {
    w: &'w mut Writer<'b>,
    full: Option<Full>,
}

impl fmt::Write for Sink<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.w.bytes(text.as_bytes()).map_err(|full| {
            self.full = Some(full);
            fmt::Error
        })
    }
}

/// Printed durations that do not accumulate rounding.
#[derive(Clone, Copy, Debug)]
pub struct Durations {
    total: Ticks,
}

impl Durations {
    /// Begins at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { total: Ticks::ZERO }
    }

    /// Microseconds to print for the next segment, of `duration` (not negative).
    pub const fn next(&mut self, duration: Ticks) -> u64 {
        debug_assert!(duration.0 >= 0);
        let before = self.total.micros();
        self.total = self.total.plus(duration);
        (self.total.micros() - before).unsigned_abs()
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

/// A media playlist that keeps the rules of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPlaylist<'a> {
    text: &'a str,
    /// `EXT-X-VERSION`, 1 if absent.
    pub version: u64,
    /// `EXT-X-TARGETDURATION`, seconds.
    pub target_duration_s: u64,
    /// `EXT-X-MEDIA-SEQUENCE`, 0 if absent.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`, 0 if absent.
    pub discontinuity_sequence: u64,
    /// Whether `EXT-X-INDEPENDENT-SEGMENTS` is there.
    pub independent_segments: bool,
    /// `Line::Vod` or `Line::Event`, if `EXT-X-PLAYLIST-TYPE` is there.
    pub playlist_type: Option<Line<'a>>,
    /// Whether `EXT-X-ENDLIST` is there.
    pub ended: bool,
    /// Whether each segment is one picture that needs no other: `EXT-X-I-FRAMES-ONLY`.
    pub i_frames_only: bool,
    /// Segments listed.
    pub segments: usize,
}

/// A segment as listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedSegment<'a> {
    /// Duration in microseconds.
    pub micros: u64,
    /// Whether a discontinuity tag applies to it.
    pub discontinuity: bool,
    /// Which part of the resource it is; all of it if absent.
    pub range: Option<ByteRange>,
    /// Its URI.
    pub uri: &'a str,
}

impl<'a> MediaPlaylist<'a> {
    /// Reads a whole playlist.
    ///
    /// # Errors
    /// The first rule broken, with its line.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, M3u8Error> {
        let text = text_of(bytes)?;
        let mut scan = Scan::default();
        for (number, line) in lines(text) {
            refuse(&MASTER_TAGS, line, number)?;
            let line = Line::parse(line, number)?;
            if number == 1 && line != Line::Header {
                return Err(M3u8Error::NoHeader);
            }
            scan.line(line, number)?;
        }
        scan.finish(text)
    }

    /// The segments, first first.
    pub fn segments(&self) -> impl Iterator<Item = ListedSegment<'a>> + use<'a> {
        let mut micros = 0;
        let (mut discontinuity, mut range) = (false, None);
        lines(self.text).filter_map(move |(number, line)| match Line::parse(line, number) {
            Ok(Line::Segment { micros: m, .. }) => {
                micros = m;
                None
            }
            Ok(Line::Discontinuity) => {
                discontinuity = true;
                None
            }
            Ok(Line::ByteRange(part)) => {
                range = Some(part);
                None
            }
            Ok(Line::Uri(uri)) => Some(ListedSegment {
                micros,
                range: range.take(),
                discontinuity: core::mem::take(&mut discontinuity),
                uri,
            }),
            _ => None,
        })
    }
}

/// What was seen of a playlist so far.
#[derive(Default)]
struct Scan<'a> {
    header: Option<()>,
    version: Option<u64>,
    target: Option<u64>,
    media_sequence: Option<u64>,
    discontinuity_sequence: Option<u64>,
    independent: Option<()>,
    playlist_type: Option<Line<'a>>,
    ended: Option<()>,
    discontinuity: bool,
    i_frames: Option<()>,
    range: Option<ByteRange>,
    /// An EXTINF whose URI has not come, microseconds.
    pending: Option<u64>,
    /// The longest segment and its line.
    longest: (u64, usize),
    segments: usize,
}

impl<'a> Scan<'a> {
    fn line(&mut self, line: Line<'a>, number: usize) -> Result<(), M3u8Error> {
        let before_media = |tag, misplaced: bool| {
            if misplaced {
                return Err(M3u8Error::Misplaced { tag, line: number });
            }
            Ok(())
        };
        let media = self.segments > 0 || self.pending.is_some();
        match line {
            Line::Header => once(&mut self.header, (), "EXTM3U", number),
            Line::Version(n) => once(&mut self.version, n, "EXT-X-VERSION", number),
            Line::TargetDuration(n) => once(&mut self.target, n, "EXT-X-TARGETDURATION", number),
            Line::MediaSequence(n) => {
                before_media("EXT-X-MEDIA-SEQUENCE", media)?;
                once(&mut self.media_sequence, n, "EXT-X-MEDIA-SEQUENCE", number)
            }
            Line::DiscontinuitySequence(n) => {
                let tag = "EXT-X-DISCONTINUITY-SEQUENCE";
                before_media(tag, media || self.discontinuity)?;
                once(&mut self.discontinuity_sequence, n, tag, number)
            }
            Line::IndependentSegments => {
                once(&mut self.independent, (), "EXT-X-INDEPENDENT-SEGMENTS", number)
            }
            Line::Vod | Line::Event => {
                once(&mut self.playlist_type, line, "EXT-X-PLAYLIST-TYPE", number)
            }
            Line::Segment { micros, .. } => once(&mut self.pending, micros, "EXTINF", number),
            Line::Discontinuity => {
                self.discontinuity = true;
                Ok(())
            }
            Line::EndList => once(&mut self.ended, (), "EXT-X-ENDLIST", number),
            Line::Uri(_) => {
                let micros = self.pending.take();
                self.range = None;
                let micros = micros.ok_or(M3u8Error::Missing { tag: "EXTINF" })?;
                self.longest = self.longest.max((micros, number));
                self.segments += 1;
                Ok(())
            }
            Line::IFramesOnly => once(&mut self.i_frames, (), "EXT-X-I-FRAMES-ONLY", number),
            Line::ByteRange(range) => once(&mut self.range, range, "EXT-X-BYTERANGE", number),
            // Those of a master playlist were refused.
            Line::Map(_)
            | Line::StreamInf(_)
            | Line::IFrameStreamInf(..)
            | Line::Media(_)
            | Line::Other { .. }
            | Line::Comment(_) => Ok(()),
        }
    }

    fn finish(self, text: &'a str) -> Result<MediaPlaylist<'a>, M3u8Error> {
        if self.header.is_none() {
            return Err(M3u8Error::NoHeader);
        }
        let tag = "EXT-X-TARGETDURATION";
        let target_s = self.target.ok_or(M3u8Error::Missing { tag })?;
        if self.pending.is_some() {
            return Err(M3u8Error::Missing { tag: "URI" });
        }
        let (micros, line) = self.longest;
        if rounded_seconds(micros) > target_s {
            return Err(M3u8Error::TooLong { micros, target_s, line });
        }
        Ok(MediaPlaylist {
            text,
            version: self.version.unwrap_or(1),
            target_duration_s: target_s,
            media_sequence: self.media_sequence.unwrap_or(0),
            discontinuity_sequence: self.discontinuity_sequence.unwrap_or(0),
            independent_segments: self.independent.is_some(),
            playlist_type: self.playlist_type,
            ended: self.ended.is_some(),
            i_frames_only: self.i_frames.is_some(),
            segments: self.segments,
        })
    }
}

/// Tags that only a master playlist may hold (RFC 8216 §4.3.4).
const MASTER_TAGS: [&str; 5] = [
    "EXT-X-MEDIA",
    "EXT-X-STREAM-INF",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
];

/// Refuses a line that is one of `tags`.
fn refuse(tags: &[&'static str], text: &str, line: usize) -> Result<(), M3u8Error> {
    let name = text.strip_prefix('#').and_then(|tag| tag.split(':').next());
    let found = tags.iter().find(|&&tag| name == Some(tag));
    found.map_or(Ok(()), |&tag| Err(M3u8Error::Misplaced { tag, line }))
}

/// Microseconds to whole seconds, half up: what a target duration is compared with
/// (RFC 8216 §4.3.3.1).
#[must_use]
pub const fn rounded_seconds(micros: u64) -> u64 {
    micros / 1_000_000 + if micros % 1_000_000 >= 500_000 { 1 } else { 0 }
}

fn once<T>(
    place: &mut Option<T>,
    value: T,
    tag: &'static str,
    line: usize,
) -> Result<(), M3u8Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(M3u8Error::Repeated { tag, line }),
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, M3u8Error> {
    core::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.split(|&b| b == b'\n').count();
        M3u8Error::Text { line }
    })
}

/// Lines with their numbers; the ending is LF or CRLF. A byte order mark stays in the first.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// Digits only, within 64 bits.
fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Decimal seconds to microseconds, to the nearest.
fn micros(text: &str) -> Option<u64> {
    let Some((seconds, fraction)) = text.split_once('.') else {
        return decimal(text)?.checked_mul(1_000_000);
    };
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(core::iter::repeat(b'0'));
    let value = digits.take(7).fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    decimal(seconds)?.checked_mul(1_000_000)?.checked_add((value + 5) / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(line: Line<'_>) -> String {
        let mut buffer = [0; 512];
        let mut w = Writer::new(&mut buffer);
        line.emit(&mut w).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    fn playlist(body: &str) -> Result<usize, M3u8Error> {
        let text = format!("#EXTM3U\n{body}");
        MediaPlaylist::parse(text.as_bytes()).map(|p| p.segments)
    }

    #[test]
    fn r1_playlist_begins_with_its_header() {
        assert_eq!(MediaPlaylist::parse(b""), Err(M3u8Error::NoHeader));
        assert_eq!(MediaPlaylist::parse(b"\n#EXTM3U\n"), Err(M3u8Error::NoHeader));
        assert_eq!(
            MediaPlaylist::parse(b"#EXT-X-TARGETDURATION:6\n#EXTM3U\n"),
            Err(M3u8Error::NoHeader)
        );
    }

    #[test]
    fn r2_lines_end_lf_or_crlf_without_byte_order_mark() {
        let crlf = b"#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXTINF:6,\r\na.ts\r\n";
        let p = MediaPlaylist::parse(crlf).unwrap();
        assert_eq!(p.segments().next().unwrap().uri, "a.ts");
        assert_eq!(MediaPlaylist::parse(b"\xef\xbb\xbf#EXTM3U\n"), Err(M3u8Error::NoHeader));
        assert_eq!(MediaPlaylist::parse(b"#EXTM3U\n\xff"), Err(M3u8Error::Text { line: 2 }));
        assert_eq!(playlist("a\tb\n"), Err(M3u8Error::Text { line: 2 }));
    }

    #[test]
    fn r4_r16_master_tags_are_refused() {
        assert!(matches!(
            playlist("#EXT-X-TARGETDURATION:6\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"),
            Err(M3u8Error::Misplaced { tag: "EXT-X-STREAM-INF", line: 3 })
        ));
    }

    #[test]
    fn r6_each_uri_has_its_own_extinf() {
        assert_eq!(
            playlist("#EXT-X-TARGETDURATION:6\na.ts\n"),
            Err(M3u8Error::Missing { tag: "EXTINF" })
        );
        assert_eq!(
            playlist("#EXT-X-TARGETDURATION:6\n#EXTINF:1,\n#EXTINF:1,\na\n"),
            Err(M3u8Error::Repeated { tag: "EXTINF", line: 4 })
        );
        assert_eq!(
            playlist("#EXT-X-TARGETDURATION:6\n#EXTINF:1,\n"),
            Err(M3u8Error::Missing { tag: "URI" })
        );
    }

    #[test]
    fn r9_target_duration_is_there_once_and_covers_each_rounded_extinf() {
        assert!(matches!(playlist("#EXTINF:6,\na\n"), Err(M3u8Error::Missing { .. })));
        assert_eq!(playlist("#EXT-X-TARGETDURATION:6\n#EXTINF:6.499999,\na\n"), Ok(1));
        assert!(matches!(
            playlist("#EXT-X-TARGETDURATION:6\n#EXTINF:6.5,\na\n"),
            Err(M3u8Error::TooLong { micros: 6_500_000, target_s: 6, line: 4 })
        ));
        for bad in ["", "6.0", "-6", "+6", " 6", "99999999999999999999"] {
            assert!(matches!(
                playlist(&format!("#EXT-X-TARGETDURATION:{bad}\n")),
                Err(M3u8Error::Value { tag: "EXT-X-TARGETDURATION", line: 2 })
            ));
        }
    }

    #[test]
    fn r11_r12_sequence_numbers_stand_before_the_first_segment() {
        let t = "#EXT-X-TARGETDURATION:6\n#EXTINF:1,\na\n";
        for tag in ["EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"] {
            assert_eq!(playlist(&format!("#{tag}:7\n{t}")), Ok(1));
            assert!(matches!(
                playlist(&format!("{t}#{tag}:7\n")),
                Err(M3u8Error::Misplaced { .. })
            ));
            assert!(matches!(
                playlist(&format!("#{tag}:7\n#{tag}:7\n{t}")),
                Err(M3u8Error::Repeated { .. })
            ));
        }
        assert!(matches!(
            playlist(&format!("#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n{t}")),
            Err(M3u8Error::Misplaced { .. })
        ));
    }

    #[test]
    fn r15_r44_other_tags_appear_once() {
        for tag in ["EXT-X-ENDLIST", "EXT-X-VERSION:3", "EXT-X-PLAYLIST-TYPE:VOD"] {
            assert!(matches!(
                playlist(&format!("#EXT-X-TARGETDURATION:6\n#{tag}\n#{tag}\n")),
                Err(M3u8Error::Repeated { line: 4, .. })
            ));
        }
        assert!(matches!(playlist("#EXT-X-PLAYLIST-TYPE: EVENT\n"), Err(M3u8Error::Value { .. })));
        assert!(matches!(playlist("#EXT-X-ENDLIST:1\n"), Err(M3u8Error::Value { .. })));
    }

    #[test]
    fn extinf_is_read_in_every_form_and_refused_without_comma() {
        let parse = |text: &str| match Line::parse(text, 1) {
            Ok(Line::Segment { micros, title }) => Some((micros, title.to_owned())),
            _ => None,
        };
        assert_eq!(parse("#EXTINF:6,"), Some((6_000_000, String::new())));
        assert_eq!(parse("#EXTINF:6.000001,a, b"), Some((6_000_001, "a, b".to_owned())));
        assert_eq!(parse("#EXTINF:0.9999995,"), Some((1_000_000, String::new())));
        assert_eq!(parse("#EXTINF:0.99999949,"), Some((999_999, String::new())));
        for bad in ["6", "6.,", ".5,", "6.5.5,", "-1,", " 6,", "1e3,", "18446744073710,"] {
            assert_eq!(parse(&format!("#EXTINF:{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn attributes_are_walked_and_malformed_lists_refused() {
        let list = r#"METHOD=AES-128,URI="k,=1",IV=0x0f,RESOLUTION=1280x720"#;
        let all: Vec<_> = Attributes::new(list).map(Result::unwrap).collect();
        assert_eq!(all.len(), 4);
        assert_eq!(all[1].value, AttributeValue::Quoted("k,=1"));
        let mut buffer = [0; 128];
        let mut w = Writer::new(&mut buffer);
        for (n, attribute) in all.iter().enumerate() {
            if n > 0 {
                w.u8(b',').unwrap();
            }
            attribute.emit(&mut w).unwrap();
        }
        assert_eq!(w.written(), list.as_bytes());
        for bad in
            ["", "A", "A=", "A=1,", "A=1, B=2", "a=1", "A =1", "A=\"x", "A=\"x\"y", "A=x\"y\""]
        {
            assert!(Attributes::new(bad).any(|a| a.is_err()), "{bad}");
        }
    }

    #[test]
    fn emit_says_when_the_buffer_is_full() {
        for room in 0..22 {
            let mut buffer = [0; 22];
            let mut w = Writer::new(&mut buffer[..room]);
            let line = Line::Segment { micros: 12_345_678, title: "abc" };
            assert!(line.emit(&mut w).is_err(), "{room}");
        }
    }

    #[test]
    fn durations_of_29_97_frames_add_up() {
        let mut durations = Durations::new();
        let mut printed = 0;
        for _ in 0..100_000 {
            printed += durations.next(Ticks(540_540));
        }
        assert_eq!(printed, 100_000 * 6_006_000);
    }

    proptest! {
        #[test]
        fn durations_track_the_total_from_any_start(
            ticks in prop::collection::vec(0i64..2_000_000, 1..200), from in 0usize..200,
        ) {
            let mut durations = Durations::new();
            let printed: Vec<u64> = ticks.iter().map(|&t| durations.next(Ticks(t))).collect();
            let from = from.min(ticks.len());
            let true_ninths: i64 = ticks[from..].iter().sum::<i64>() * 100;
            let sum: u64 = printed[from..].iter().sum();
            let off = i64::try_from(sum).unwrap() * 9 - true_ninths;
            prop_assert!(off.abs() <= 9, "{off} ninths of a microsecond");
        }

        #[test]
        fn lines_come_back_as_emitted(
            n in any::<u64>(), micros in any::<u64>(), text in "[ -~]{0,40}",
        ) {
            let key = format!("METHOD=NONE,X=\"{}\"", text.replace('"', ""));
            let title = text.as_str();
            let uri = format!("u{text}");
            for line in [
                Line::Header, Line::Version(n), Line::TargetDuration(n), Line::MediaSequence(n),
                Line::DiscontinuitySequence(n), Line::IndependentSegments, Line::Vod, Line::Event,
                Line::Segment { micros, title }, Line::Discontinuity, Line::EndList,
                Line::Other { name: "EXT-X-KEY", value: Some(&key) },
                Line::Other { name: "EXT-X-GAP", value: None },
                Line::Uri(&uri), Line::Comment(""), Line::Comment(" note"),
            ] {
                let text = emitted(line);
                let text = text.strip_suffix('\n').unwrap();
                prop_assert_eq!(Line::parse(text, 1), Ok(line));
            }
        }

        #[test]
        fn parsing_any_bytes_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            tag in 0usize..12,
            text in "\\PC{0,60}",
        ) {
            let tags =
                ["EXTINF:", "EXT-X-KEY:", "EXT-X-VERSION:", "EXT-X-PLAYLIST-TYPE:", "", "EXT"];
            let tag = tags[tag % 6];
            let mixed = format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#{tag}{text}\n{text}");
            for input in [bytes.as_slice(), mixed.as_bytes()] {
                if let Ok(p) = MediaPlaylist::parse(input) {
                    prop_assert_eq!(p.segments().count(), p.segments);
                }
            }
            for attribute in Attributes::new(&text) {
                prop_assert!(attribute.is_err() || text.contains('='));
            }
        }
    }
}

//! A whole master playlist, read and held against its format.
//!
//! Does not fetch what it lists and does not compare variants with what they hold.
//! Source: RFC 8216 §4.3.4; draft-pantos-http-live-streaming-12 §3.4.10.

use super::variant::{Rendition, Variant};
use super::{Line, M3u8Error, lines, once, refuse, text_of};

/// A master playlist that keeps the rules of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterPlaylist<'a> {
    text: &'a str,
    /// `EXT-X-VERSION`, 1 if absent.
    pub version: u64,
    /// Whether `EXT-X-INDEPENDENT-SEGMENTS` is there.
    pub independent_segments: bool,
    /// Variant streams listed, those of I-frames not counted.
    pub variants: usize,
}

impl<'a> MasterPlaylist<'a> {
    /// Reads a whole playlist.
    ///
    /// # Errors
    /// The first rule broken, with its line; references to groups come last.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, M3u8Error> {
        let text = text_of(bytes)?;
        let (mut header, mut version, mut independent) = (None, None, None);
        // Whether the line before began a variant.
        let mut begun = false;
        let mut variants = 0;
        for (number, line) in lines(text) {
            refuse(&MEDIA_TAGS, line, number)?;
            let line = Line::parse(line, number)?;
            if number == 1 && line != Line::Header {
                return Err(M3u8Error::NoHeader);
            }
            let follows = core::mem::take(&mut begun);
            if follows && !matches!(line, Line::Uri(_)) {
                return Err(M3u8Error::Missing { tag: "URI" });
            }
            if line == Line::Header {
                once(&mut header, (), "EXTM3U", number)?;
            } else if let Line::Version(n) = line {
                once(&mut version, n, "EXT-X-VERSION", number)?;
            } else if line == Line::IndependentSegments {
                once(&mut independent, (), "EXT-X-INDEPENDENT-SEGMENTS", number)?;
            } else if matches!(line, Line::Uri(_)) {
                if !follows {
                    return Err(M3u8Error::Missing { tag: "EXT-X-STREAM-INF" });
                }
                variants += 1;
            }
            begun = matches!(line, Line::StreamInf(_));
        }
        if header.is_none() {
            return Err(M3u8Error::NoHeader);
        }
        if begun {
            return Err(M3u8Error::Missing { tag: "URI" });
        }
        let version = version.unwrap_or(1);
        let read = Self { text, version, independent_segments: independent.is_some(), variants };
        let groups = read.variants().filter_map(|(variant, _)| variant.audio);
        for group in groups {
            // RFC 8216 §4.3.4.2: the group must be there.
            if !read.renditions().any(|rendition| rendition.group == group) {
                return Err(M3u8Error::Missing { tag: "EXT-X-MEDIA" });
            }
        }
        Ok(read)
    }

    /// Variant streams and their URIs, in order.
    pub fn variants(&self) -> impl Iterator<Item = (Variant<'a>, &'a str)> + use<'a> {
        let mut begun = None;
        self.lines().filter_map(move |line| {
            if let Line::Uri(uri) = line {
                return Some((begun.take()?, uri));
            }
            if let Line::StreamInf(variant) = line {
                begun = Some(variant);
            }
            None
        })
    }

    /// I-frame variants and their URIs, in order.
    pub fn i_frames(&self) -> impl Iterator<Item = (Variant<'a>, &'a str)> + use<'a> {
        self.lines().filter_map(|line| {
            let Line::IFrameStreamInf(variant, uri) = line else { return None };
            Some((variant, uri))
        })
    }

    /// Renditions, in order.
    pub fn renditions(&self) -> impl Iterator<Item = Rendition<'a>> + use<'a> {
        self.lines().filter_map(|line| {
            let Line::Media(rendition) = line else { return None };
            Some(rendition)
        })
    }

    fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        lines(self.text).filter_map(|(number, line)| Line::parse(line, number).ok())
    }
}

/// Tags that only a media playlist may hold (draft-pantos-http-live-streaming-12 §3.4, RFC 8216
/// §4.3.2 and §4.3.3, its successor §4.4.4).
pub const MEDIA_TAGS: [&str; 15] = [
    "EXTINF",
    "EXT-X-BYTERANGE",
    "EXT-X-DISCONTINUITY",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-DATERANGE",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-I-FRAMES-ONLY",
    "EXT-X-ALLOW-CACHE",
    "EXT-X-GAP",
];

#[cfg(test)]
mod tests {
    use super::super::MediaType;
    use super::*;
    use proptest::prelude::*;

    fn refused(body: &str) -> M3u8Error {
        MasterPlaylist::parse(format!("#EXTM3U\n{body}").as_bytes()).unwrap_err()
    }

    #[test]
    fn r4_r15_r16_master_holds_no_tag_of_a_media_playlist() {
        for tag in MEDIA_TAGS {
            let line = refused(&format!("#{tag}:1\n"));
            assert_eq!(line, M3u8Error::Misplaced { tag, line: 2 });
        }
    }

    #[test]
    fn r62_every_variant_has_a_bandwidth() {
        let value = |tag| M3u8Error::Value { tag, line: 2 };
        let error = refused("#EXT-X-STREAM-INF:CODECS=\"mp4a.40.2\"\na.m3u8\n");
        assert_eq!(error, value("EXT-X-STREAM-INF"));
        let error = refused("#EXT-X-I-FRAME-STREAM-INF:URI=\"a.m3u8\"\n");
        assert_eq!(error, value("EXT-X-I-FRAME-STREAM-INF"));
        let error = refused("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1\n");
        assert_eq!(error, value("EXT-X-I-FRAME-STREAM-INF"), "and a URI of its own");
    }

    #[test]
    fn r5_attributes_that_are_malformed_or_stand_twice_are_refused() {
        for list in [
            "BANDWIDTH=1,BANDWIDTH=1",
            "BANDWIDTH=-1",
            "BANDWIDTH=1.5",
            "BANDWIDTH=\"1\"",
            "BANDWIDTH=1, CODECS=\"a\"",
            "BANDWIDTH=1,CODECS=a",
            "BANDWIDTH=1,RESOLUTION=1280X720",
            "BANDWIDTH=1,RESOLUTION=1280x",
            "BANDWIDTH=1,FRAME-RATE=25fps",
            "BANDWIDTH=1,URI=\"a\"",
        ] {
            let error = refused(&format!("#EXT-X-STREAM-INF:{list}\na.m3u8\n"));
            assert_eq!(error, M3u8Error::Value { tag: "EXT-X-STREAM-INF", line: 2 }, "{list}");
        }
        for list in [
            "TYPE=AUDIO,GROUP-ID=\"a\"",
            "TYPE=SOUND,GROUP-ID=\"a\",NAME=\"n\"",
            "TYPE=AUDIO,GROUP-ID=a,NAME=\"n\"",
            "TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",DEFAULT=yes",
            "TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",DEFAULT=YES,AUTOSELECT=NO",
            "TYPE=CLOSED-CAPTIONS,GROUP-ID=\"a\",NAME=\"n\",URI=\"u\"",
            "TYPE=SUBTITLES,GROUP-ID=\"a\",NAME=\"n\"",
        ] {
            let error = refused(&format!("#EXT-X-MEDIA:{list}\n"));
            assert_eq!(error, M3u8Error::Value { tag: "EXT-X-MEDIA", line: 2 }, "{list}");
        }
    }

    #[test]
    fn variants_are_lines_and_their_uris_and_groups_are_there() {
        let missing = |tag| M3u8Error::Missing { tag };
        assert_eq!(MasterPlaylist::parse(b"").unwrap_err(), M3u8Error::NoHeader);
        assert_eq!(refused("a.m3u8\n"), missing("EXT-X-STREAM-INF"));
        let inf = "#EXT-X-STREAM-INF:BANDWIDTH=1";
        assert_eq!(refused(&format!("{inf}\n")), missing("URI"));
        assert_eq!(refused(&format!("{inf}\n\na.m3u8\n")), missing("URI"));
        assert_eq!(refused(&format!("{inf},AUDIO=\"a\"\na.m3u8\n")), missing("EXT-X-MEDIA"));
        let twice = "#EXT-X-VERSION:4\n#EXT-X-VERSION:4\n";
        let error = M3u8Error::Repeated { tag: "EXT-X-VERSION", line: 3 };
        assert_eq!(refused(twice), error);
    }

    proptest! {
        #[test]
        fn lines_of_a_master_come_back_as_emitted(
            numbers in any::<(u64, Option<u64>, Option<(u32, u32)>, Option<u32>)>(),
            texts in ("[ !#-~]{0,20}", "[ !#-~]{1,20}", "[ !#-~]{0,20}"),
            kind in 0usize..3, said: bool,
        ) {
            let (bandwidth, average_bandwidth, resolution, rate) = numbers;
            let frame_millihertz = rate.map(u64::from);
            let (codecs, group) = (Some(texts.0.as_str()), texts.1.as_str());
            let audio = said.then_some(group);
            let variant = Variant {
                bandwidth, average_bandwidth, codecs, resolution, frame_millihertz, audio,
            };
            let kind = [MediaType::Audio, MediaType::Video, MediaType::Subtitles][kind];
            let uri = (said || kind == MediaType::Subtitles).then_some(texts.2.as_str());
            let (name, default, autoselect) = (group, said, said);
            let language = said.then_some("de");
            let rendition = Rendition { kind, group, name, language, default, autoselect, uri };
            for line in [
                Line::StreamInf(variant),
                Line::IFrameStreamInf(variant, group),
                Line::Media(rendition),
            ] {
                let mut buffer = [0; 512];
                let mut w = crate::wire::writer::Writer::new(&mut buffer);
                line.emit(&mut w).unwrap();
                let text = core::str::from_utf8(w.written()).unwrap();
                prop_assert_eq!(Line::parse(text.strip_suffix('\n').unwrap(), 1), Ok(line));
            }
        }

        #[test]
        fn parsing_any_master_never_panics(
            text in "\\PC{0,60}", list in "[A-Z0-9=\",x@.-]{0,40}", tag in 0usize..5,
        ) {
            let tags = ["STREAM-INF", "I-FRAME-STREAM-INF", "MEDIA", "MAP", "BYTERANGE"];
            let body = format!("#EXTM3U\n#EXT-X-{}:{list}\n{text}\n", tags[tag]);
            if let Ok(master) = MasterPlaylist::parse(body.as_bytes()) {
                prop_assert_eq!(master.variants().count(), master.variants);
            }
        }
    }
}

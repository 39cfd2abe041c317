//! One version of a playlist, and what its text alone breaks (R1 to R16, R36, R43, R44, R53, R54).
//!
//! More forgiving than `wire::m3u8::MediaPlaylist`: a fault is noted and reading goes on, since
//! the rules between versions are judged all the same. Compares no two versions (`step`).
//! Source: draft-pantos-http-live-streaming-12 §3, RFC 8216 §4.

use std::rc::Rc;

use super::finding::{Report, Site};
use super::keys::{self, KeysInForce};
use super::master::Master;
use crate::limits::HISTORY_SEGMENTS_MAX;
use crate::wire::date;
use crate::wire::m3u8::{AttributeValue, Attributes, Line, M3u8Error, MEDIA_TAGS, rounded_seconds};

/// What a playlist is.
#[derive(Debug)]
pub(super) enum Kind {
    /// It lists segments.
    Media(Version),
    /// It lists playlists.
    Master(Master),
}

/// `EXT-X-PLAYLIST-TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaylistType {
    Event,
    Vod,
}

/// A segment as a version lists it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) uri: String,
    pub(super) micros: u64,
    pub(super) discontinuity: bool,
    /// Discontinuity sequence number.
    pub(super) dsn: u64,
    /// The KEY tags in force, as text; none for clear.
    pub(super) keys: Option<Rc<str>>,
    /// The MAP tag in force.
    pub(super) map: Option<Rc<str>>,
    /// Its own date, microseconds since 1970.
    pub(super) date: Option<i64>,
    /// Whether it is a part of a resource.
    pub(super) ranged: bool,
    /// Its own tags, one a line.
    pub(super) own: String,
}

impl Entry {
    /// Its own tags without those that may be said again where a window begins.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &str> {
        let repeats =
            ["#EXT-X-KEY:", "#EXT-X-MAP:", "#EXT-X-PROGRAM-DATE-TIME:", "#EXT-X-DATERANGE:"];
        self.own.lines().filter(move |line| !repeats.iter().any(|tag| line.starts_with(tag)))
    }
}

/// A media playlist at one moment.
#[derive(Debug, Default)]
pub(super) struct Version {
    /// EXT-X-VERSION.
    pub(super) protocol: Option<u64>,
    pub(super) target_s: Option<u64>,
    pub(super) media_sequence: u64,
    pub(super) discontinuity_sequence: Option<u64>,
    pub(super) kind: Option<PlaylistType>,
    pub(super) ended: bool,
    pub(super) independent: bool,
    pub(super) i_frames_only: bool,
    /// Tags about the whole playlist that have no field here, one a line.
    pub(super) header: String,
    pub(super) entries: Vec<Entry>,
    /// Tags behind the last segment, without ENDLIST, one a line.
    pub(super) tail: String,
}

impl Version {
    /// The target duration in microseconds; one second where it is missing.
    pub(super) const fn target_micros(&self) -> u64 {
        match self.target_s {
            Some(target) => target.saturating_mul(1_000_000),
            None => 1_000_000,
        }
    }

    /// One more than the last segment's number.
    pub(super) fn end(&self) -> u64 {
        self.media_sequence.saturating_add(crate::storage::widen(self.entries.len()))
    }

    /// The listed durations together, microseconds.
    pub(super) fn duration(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.micros))
    }
}

/// Reads a playlist and notes what is wrong with its text; none if it is not one at all.
pub(super) fn read(body: &[u8], site: Site<'_>, report: &mut Report) -> Option<Kind> {
    let Ok(text) = core::str::from_utf8(body) else {
        report.breach(site, 2, "the playlist is not UTF-8", [0; 2]);
        return None;
    };
    let mut text = text;
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        report.breach(site, 2, "the playlist begins with a byte order mark", [0; 2]);
        text = rest;
    }
    if text.lines().next().map(str::trim) != Some("#EXTM3U") {
        report.breach(site, 1, "the first line is not #EXTM3U", [0; 2]);
        return None;
    }
    let mut reading = Reading::new(site, report);
    for (number, line) in (1..).zip(text.lines()) {
        reading.line(line, number);
    }
    reading.finish()
}

/// Tags that may stand once, in their order of the bits that remember them.
const ONCE: [(&str, u8); 10] = [
    ("EXTM3U", 1),
    ("EXT-X-VERSION", 8),
    ("EXT-X-TARGETDURATION", 9),
    ("EXT-X-MEDIA-SEQUENCE", 11),
    ("EXT-X-DISCONTINUITY-SEQUENCE", 12),
    ("EXT-X-ENDLIST", 15),
    ("EXT-X-PLAYLIST-TYPE", 44),
    ("EXT-X-INDEPENDENT-SEGMENTS", 44),
    ("EXT-X-I-FRAMES-ONLY", 44),
    ("EXT-X-START", 44),
];

/// Tags that only a master playlist may have.
const MASTER_TAGS: [&str; 5] = [
    "EXT-X-MEDIA",
    "EXT-X-STREAM-INF",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
];

/// Tags whose value is an attribute list, beside those of master playlists.
const LISTS: [&str; 4] = ["EXT-X-KEY", "EXT-X-MAP", "EXT-X-START", "EXT-X-DATERANGE"];

/// Whose tags were seen.
#[derive(Default)]
struct Tags {
    media: bool,
    master: bool,
}

/// What was seen anywhere.
#[derive(Default)]
struct Any {
    decimal: bool,
    date: bool,
}

/// What was read so far.
struct Reading<'a, 'r> {
    site: Site<'a>,
    report: &'r mut Report,
    version: Version,
    master: Master,
    seen: u32,
    tags: Tags,
    /// Own tags of the segment to come.
    own: String,
    micros: Option<u64>,
    discontinuity: bool,
    discontinuities: u64,
    ranged: bool,
    date: Option<i64>,
    keys: KeysInForce,
    map: Option<Rc<str>>,
    /// Lowest version that covers what was seen, and the highest that is no exaggeration.
    needs: (u64, u64),
    any: Any,
}

impl<'a, 'r> Reading<'a, 'r> {
    fn new(site: Site<'a>, report: &'r mut Report) -> Self {
        Self {
            site,
            report,
            version: Version::default(),
            master: Master::default(),
            seen: 0,
            tags: Tags::default(),
            own: String::new(),
            micros: None,
            discontinuity: false,
            discontinuities: 0,
            ranged: false,
            date: None,
            keys: KeysInForce::default(),
            map: None,
            needs: (1, 1),
            any: Any::default(),
        }
    }

    fn breach(&mut self, rule: u8, text: &'static str, numbers: [u64; 2]) {
        self.report.breach(self.site, rule, text, numbers);
    }

    fn line(&mut self, line: &str, number: u64) {
        let trimmed = line.trim();
        if trimmed != line || line.chars().any(char::is_control) {
            self.breach(
                2,
                "line %a has white space or control characters at its ends",
                [number, 0],
            );
        }
        if trimmed.is_empty() || (trimmed.starts_with('#') && !trimmed.starts_with("#EXT")) {
            return;
        }
        let Some(tag) = trimmed.strip_prefix('#') else {
            return self.uri(trimmed);
        };
        let (name, value) = tag.split_once(':').map_or((tag, None), |(n, v)| (n, Some(v)));
        // An illegal blank is noted, and what stands behind it is understood all the same.
        let bare = value.map(str::trim);
        if bare != value && name != "EXTINF" {
            self.breach(2, "line %a has white space behind its colon", [number, 0]);
        }
        let mended;
        let whole = match bare {
            Some(bare) if Some(bare) != value => {
                mended = format!("#{name}:{bare}");
                &mended
            }
            _ => trimmed,
        };
        self.once(name, number);
        self.tags.media |= MEDIA_TAGS.contains(&name);
        if MASTER_TAGS.contains(&name) {
            self.tags.master = true;
            self.attributes(bare.unwrap_or_default(), number);
            self.master.tag(name, bare.unwrap_or_default(), self.site, self.report);
            return;
        }
        if LISTS.contains(&name) {
            self.attributes(bare.unwrap_or_default(), number);
        }
        match Line::parse(whole, 0) {
            Ok(Line::IFramesOnly | Line::ByteRange(_) | Line::Map(_)) => {
                self.other(name, bare.unwrap_or_default(), whole);
            }
            Ok(line) => self.tag(line, whole, number),
            Err(error) => self.malformed(error, number),
        }
    }

    fn once(&mut self, name: &str, number: u64) {
        let Some(at) = ONCE.iter().position(|(tag, _)| *tag == name) else { return };
        let bit = 1 << at;
        if let Some((_, rule)) = ONCE.get(at)
            && self.seen & bit != 0
        {
            self.breach(*rule, "line %a says again what may be said once", [number, 0]);
        }
        self.seen |= bit;
    }

    /// R5: names that are legal and unique, values as they are written.
    fn attributes(&mut self, list: &str, number: u64) {
        let mut names: Vec<&str> = Vec::new();
        for attribute in Attributes::new(list) {
            let Ok(attribute) = attribute else {
                return self.breach(5, "line %a has a malformed attribute list", [number, 0]);
            };
            if names.contains(&attribute.name) {
                return self.breach(5, "line %a has an attribute twice", [number, 0]);
            }
            names.push(attribute.name);
        }
    }

    fn malformed(&mut self, error: M3u8Error, number: u64) {
        let M3u8Error::Value { tag, .. } = error else { return };
        let rule = match tag {
            "EXTINF" => 6,
            "EXT-X-PLAYLIST-TYPE" => 40,
            _ => ONCE.iter().find(|(name, _)| *name == tag).map_or(5, |(_, rule)| *rule),
        };
        self.breach(rule, "the value on line %a is malformed", [number, 0]);
    }

    fn tag(&mut self, line: Line<'_>, text: &str, number: u64) {
        let started = !self.version.entries.is_empty() || self.micros.is_some();
        match line {
            Line::Header
            | Line::Uri(_)
            | Line::Comment(_)
            | Line::IFramesOnly
            | Line::ByteRange(_)
            | Line::Map(_)
            | Line::StreamInf(_)
            | Line::IFrameStreamInf(..)
            | Line::Media(_) => {}
            Line::Version(n) => self.version.protocol = Some(n),
            Line::TargetDuration(n) => self.version.target_s = Some(n),
            Line::MediaSequence(n) => {
                if started {
                    self.breach(11, "MEDIA-SEQUENCE on line %a is behind a segment", [number, 0]);
                }
                self.version.media_sequence = n;
            }
            Line::DiscontinuitySequence(n) => {
                if started || self.discontinuity {
                    let text = "DISCONTINUITY-SEQUENCE on line %a is behind a segment";
                    self.breach(12, text, [number, 0]);
                }
                self.version.discontinuity_sequence = Some(n);
            }
            Line::IndependentSegments => self.version.independent = true,
            Line::Vod => self.version.kind = Some(PlaylistType::Vod),
            Line::Event => self.version.kind = Some(PlaylistType::Event),
            Line::EndList => self.version.ended = true,
            Line::Segment { micros, .. } => {
                if self.micros.replace(micros).is_some() {
                    self.breach(6, "EXTINF on line %a follows another one", [number, 0]);
                }
                let length = text.split(',').next().unwrap_or_default();
                self.any.decimal |= length.contains('.');
                self.own_tag(text);
            }
            Line::Discontinuity => {
                self.discontinuity = true;
                // Each tag counts, also where several stand before one segment.
                self.discontinuities += 1;
                self.own_tag(text);
            }
            Line::Other { name, value } => self.other(name, value.unwrap_or_default(), text),
        }
    }

    fn other(&mut self, name: &str, value: &str, text: &str) {
        match name {
            "EXT-X-KEY" => {
                self.needs.0 = self.needs.0.max(keys::version_needed(value));
                // The method came with version 5, which RFC 8216 §7 does not list.
                if value.contains("METHOD=SAMPLE-AES") {
                    self.needs.1 = self.needs.1.max(5);
                }
                let (site, report) = (self.site, &mut *self.report);
                self.keys.tag(value, !self.own.contains("#EXT-X-KEY"), site, report);
            }
            "EXT-X-MAP" => {
                self.needs.0 = self.needs.0.max(if self.version.i_frames_only { 5 } else { 6 });
                self.map = Some(Rc::from(value));
            }
            "EXT-X-BYTERANGE" => {
                self.needs.0 = self.needs.0.max(4);
                self.ranged = true;
            }
            "EXT-X-I-FRAMES-ONLY" => {
                self.needs.0 = self.needs.0.max(4);
                self.version.i_frames_only = true;
                return self.header_tag(text);
            }
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.any.date = true;
                let date = date::parse(value).and_then(|date| i64::try_from(date.0).ok());
                self.date = date.map(|millis| millis.saturating_mul(1000));
                if self.date.is_none() {
                    self.breach(43, "a date is not ISO 8601 with a zone", [0; 2]);
                }
            }
            "EXT-X-START"
            | "EXT-X-ALLOW-CACHE"
            | "EXT-X-SERVER-CONTROL"
            | "EXT-X-PART-INF"
            | "EXT-X-DEFINE" => return self.header_tag(text),
            _ => {}
        }
        self.own_tag(text);
    }

    fn own_tag(&mut self, text: &str) {
        self.own.push_str(text);
        self.own.push('\n');
    }

    fn header_tag(&mut self, text: &str) {
        self.version.header.push_str(text);
        self.version.header.push('\n');
    }

    fn uri(&mut self, uri: &str) {
        if self.master.uri(uri) {
            return;
        }
        self.tags.media = true;
        if uri.contains([' ', '"', '<', '>', '\\']) {
            self.breach(2, "a URI has characters that no URI has", [0; 2]);
        }
        let Some(micros) = self.micros.take() else {
            return self.breach(6, "a URI has no EXTINF", [0; 2]);
        };
        if self.version.entries.len() >= HISTORY_SEGMENTS_MAX {
            return;
        }
        let before = self.version.discontinuity_sequence.unwrap_or(0);
        self.version.entries.push(Entry {
            uri: uri.to_owned(),
            micros,
            discontinuity: core::mem::take(&mut self.discontinuity),
            dsn: before.saturating_add(self.discontinuities),
            keys: self.keys.in_force(),
            map: self.map.clone(),
            date: self.date.take(),
            ranged: core::mem::take(&mut self.ranged),
            own: core::mem::take(&mut self.own),
        });
    }

    fn finish(mut self) -> Option<Kind> {
        let lists = !self.version.entries.is_empty();
        if self.master.lists() && lists {
            self.breach(4, "the playlist lists both segments and playlists", [0; 2]);
            return None;
        }
        if self.master.lists() {
            if self.version.ended {
                self.breach(15, "a master playlist has an ENDLIST", [0; 2]);
            } else if self.tags.media {
                self.breach(16, "a master playlist has tags of media playlists", [0; 2]);
            }
            return Some(Kind::Master(self.master));
        }
        if self.tags.master {
            self.breach(16, "a media playlist has tags of master playlists", [0; 2]);
        }
        if self.micros.is_some() {
            self.breach(6, "an EXTINF has no URI", [0; 2]);
        }
        self.durations();
        self.versions();
        self.discontinuity_numbers();
        self.dates();
        self.version.tail = self.own;
        debug_assert!(self.version.entries.len() <= HISTORY_SEGMENTS_MAX);
        Some(Kind::Media(self.version))
    }

    /// R9.
    fn durations(&mut self) {
        let Some(target) = self.version.target_s else {
            return self.breach(9, "there is no TARGETDURATION", [0; 2]);
        };
        let longest = self.version.entries.iter().map(|entry| entry.micros).max().unwrap_or(0);
        if rounded_seconds(longest) > target {
            let text = "a segment of %a ms exceeds the target duration of %b s";
            self.breach(9, text, [longest / 1000, target]);
        }
    }

    /// R7, R8.
    fn versions(&mut self) {
        let said = self.version.protocol.unwrap_or(1);
        let (needed, also) = self.needs;
        if self.any.decimal && said < 3 {
            let text = "EXTINF has decimals, which needs version 3, not %a";
            self.breach(7, text, [said, 0]);
        } else if said < needed {
            self.breach(8, "version is %a, what is said needs %b", [said, needed]);
        }
        // A server that keeps its version while its playlist says less is right (R8, M).
        let most = needed.max(also).max(3);
        if said > most {
            let text = "version is %a, %b would cover what is said";
            self.report.advice(self.site, 8, text, [said, most]);
        }
    }

    /// R13, R36.
    fn discontinuity_numbers(&mut self) {
        let said = self.version.discontinuity_sequence.is_some();
        if said && self.version.kind.is_some() {
            let text = "DISCONTINUITY-SEQUENCE stands together with PLAYLIST-TYPE";
            self.breach(13, text, [0; 2]);
        }
        let slides = self.version.kind.is_none() && !self.version.ended;
        if self.discontinuities > 0 && !said && slides {
            self.breach(36, "DISCONTINUITY without DISCONTINUITY-SEQUENCE", [0; 2]);
        }
    }

    /// R43, within one version.
    fn dates(&mut self) {
        if !self.any.date {
            return;
        }
        let dateless = |entry: &Entry| entry.discontinuity && entry.date.is_none();
        // Before the first date the clock was not known; behind it each break needs a new one.
        let dated = self.version.entries.iter().skip_while(|entry| entry.date.is_none());
        if dated.into_iter().any(dateless) {
            let text = "a segment behind a DISCONTINUITY has no date, others have";
            self.report.advice(self.site, 43, text, [0; 2]);
        }
    }
}

/// An attribute's text, with or without quotation marks.
pub(super) fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let found = Attributes::new(list).filter_map(Result::ok).find(|one| one.name == name)?;
    Some(match found.value {
        AttributeValue::Quoted(text) | AttributeValue::Bare(text) => text,
    })
}

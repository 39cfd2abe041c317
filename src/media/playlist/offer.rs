//! What a master playlist offers of one stream: one variant, and its I-frames beside it.
//!
//! Keeps what was measured and which encodings are in the listed segments. An encoding is named as
//! long as a segment with it is listed; between two encodings, both are (rule R63). Writes the
//! text; knows no file and no time. Source: RFC 8216 §4.3.4; sheet §7.

use core::fmt::Write as _;

use super::rate::{BitRate, stated_frame_rate};
use crate::limits::{CODEC_LIST_BYTES_MAX, ENCODINGS_LISTED_MAX};
use crate::media::codecs::{CodecName, Encoding};
use crate::wire::m3u8::{Line, Variant};
use crate::wire::writer::{Full, Writer};

/// A finished segment, as its variant needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its media sequence number.
    pub sequence: u64,
    /// Bytes of the whole segment.
    pub bytes: u64,
    /// Its duration in microseconds.
    pub micros: u64,
    /// Pictures in it.
    pub pictures: u32,
    /// Whether it holds audio.
    pub audio: bool,
}

/// One stream in its master playlist.
#[derive(Debug)]
pub struct Offer {
    encoding: Encoding,
    /// The encoding when the segment that is being written began.
    begun: Encoding,
    video: Names<CodecName>,
    audio: Names<&'static str>,
    size: Option<(u32, u32)>,
    rate: BitRate,
    i_frames: BitRate,
    /// Media sequence number behind the last segment with a track that has no name.
    named_from: u64,
}

/// Names, each with the last segment it is in.
type Names<T> = heapless::Vec<(T, u64), ENCODINGS_LISTED_MAX>;

impl Offer {
    /// Nothing is known; the first segment has the number `sequence`.
    #[must_use]
    pub const fn new(sequence: u64) -> Self {
        Self {
            encoding: Encoding::UNKNOWN,
            begun: Encoding::UNKNOWN,
            video: Names::new(),
            audio: Names::new(),
            size: None,
            rate: BitRate::new(sequence),
            i_frames: BitRate::new(sequence),
            named_from: sequence,
        }
    }

    /// Tracks are encoded like this from here on.
    pub fn encoded(&mut self, encoding: &Encoding) {
        if *encoding == Encoding::UNKNOWN {
            // Another publisher begins: nothing of it is in a segment yet.
            self.begun = Encoding::UNKNOWN;
        }
        self.encoding.clone_from(encoding);
    }

    /// A segment is complete. `i_frames` are bytes and microseconds of its listed key pictures.
    pub fn closed(&mut self, segment: Measured, i_frames: impl Iterator<Item = (u64, u64)>) {
        let Measured { sequence, bytes, micros, pictures, audio } = segment;
        self.rate.add(bytes, micros);
        for (bytes, micros) in i_frames {
            self.i_frames.add(bytes, micros);
        }
        let (begun, now) = (self.begun.clone(), &self.encoding);
        if pictures > 0 {
            for video in begun.video.iter().chain(&now.video) {
                note(&mut self.video, video.name.clone(), sequence);
            }
            if let Some(video) = now.video.as_ref().or(begun.video.as_ref()) {
                self.size = video.size;
            }
            let said = now.video.as_ref().and_then(|video| video.frame_millihertz);
            if micros >= FRAMES_MICROS_MIN {
                self.rate.add_frames(stated_frame_rate(said, pictures, micros));
            }
        }
        if audio {
            for name in begun.audio.iter().chain(&now.audio) {
                note(&mut self.audio, name, sequence);
            }
        }
        let video_named = pictures == 0 || now.video.is_some() || begun.video.is_some();
        let audio_named = !audio || now.audio.is_some() || begun.audio.is_some();
        if !video_named || !audio_named {
            self.named_from = sequence.saturating_add(1);
        }
        self.begun.clone_from(&self.encoding);
    }

    /// The oldest segment that is listed has the number `first`, the next one `next`.
    pub fn listed(&mut self, first: u64, next: u64) {
        self.rate.listed(first, next);
        self.i_frames.listed(first, next);
        self.video.retain(|(_, last)| *last >= first);
        self.audio.retain(|(_, last)| *last >= first);
        if self.video.is_empty() {
            self.size = None;
        }
    }

    /// Whether every track of the segments from number `first` on has a name.
    #[must_use]
    pub fn is_named(&self, first: u64) -> bool {
        first >= self.named_from && !(self.video.is_empty() && self.audio.is_empty())
    }

    /// Writes the master playlist; at most `MASTER_BYTES_MAX`. `i_frames` is the address of the
    /// I-frame playlist, if there is one.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>, uri: &str, i_frames: Option<&str>) -> Result<(), Full> {
        let (video, all) = (self.codecs(false), self.codecs(true));
        Line::Header.emit(w)?;
        // I-frames need version 4 by the draft; all else has been there from the first.
        Line::Version(if i_frames.is_some() { 4 } else { 1 }).emit(w)?;
        Line::StreamInf(self.variant(&all)).emit(w)?;
        Line::Uri(uri).emit(w)?;
        let Some(i_frames) = i_frames else { return Ok(()) };
        Line::IFrameStreamInf(self.pictures(&video), i_frames).emit(w)
    }

    /// What its variant says of it, with `codecs` and nothing of a group of renditions.
    pub(super) fn variant<'c>(&self, codecs: &'c str) -> Variant<'c> {
        let bandwidth = self.rate.bandwidth();
        Variant {
            bandwidth,
            average_bandwidth: Some(self.rate.average().min(bandwidth)),
            codecs: Some(codecs),
            resolution: self.size,
            frame_millihertz: self.rate.frame_millihertz().filter(|_| self.has_pictures()),
            audio: None,
        }
    }

    /// The same of its I-frames.
    pub(super) fn pictures<'c>(&self, codecs: &'c str) -> Variant<'c> {
        let bandwidth = self.i_frames.bandwidth();
        Variant {
            bandwidth,
            average_bandwidth: Some(self.i_frames.average().min(bandwidth)),
            codecs: Some(codecs),
            resolution: self.size,
            frame_millihertz: None,
            audio: None,
        }
    }

    /// Whether there are pictures in what is listed.
    #[must_use]
    pub fn has_pictures(&self) -> bool {
        !self.video.is_empty()
    }

    /// Whether there is audio in what is listed.
    #[must_use]
    pub fn has_sounds(&self) -> bool {
        !self.audio.is_empty()
    }

    /// The names of its audio.
    pub(super) fn sounds(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.audio.iter().map(|(name, _)| *name)
    }

    /// The names of what is listed, of video alone or of all, separated by commas.
    pub(super) fn codecs(&self, all: bool) -> heapless::String<CODEC_LIST_BYTES_MAX> {
        let mut list = heapless::String::new();
        let video = self.video.iter().map(|(name, _)| name.as_str());
        let audio = self.audio.iter().map(|(name, _)| *name).filter(|_| all);
        for (number, name) in video.chain(audio).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let written = write!(list, "{comma}{name}");
            debug_assert!(written.is_ok());
        }
        list
    }
}

/// Pieces that are shorter say nothing of the frame rate, microseconds.
const FRAMES_MICROS_MIN: u64 = 400_000;

/// Notes that the segment `sequence` has `name`; with too many, the one that went longest ago is
/// forgotten.
fn note<T: PartialEq>(names: &mut Names<T>, name: T, sequence: u64) {
    if let Some((_, last)) = names.iter_mut().find(|(known, _)| *known == name) {
        *last = sequence;
        return;
    }
    if names.is_full() {
        let oldest = (0..).zip(names.iter()).min_by_key(|(_, (_, last))| *last).map(|(at, _)| at);
        if let Some(oldest) = oldest {
            names.remove(oldest);
        }
    }
    let noted = names.push((name, sequence));
    debug_assert!(noted.is_ok(), "room was made");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MASTER_BYTES_MAX;
    use crate::media::codecs::VideoEncoding;
    use crate::wire::m3u8::MasterPlaylist;

    fn encoding(video: &str, audio: &'static str) -> Encoding {
        let name = video.try_into().unwrap();
        let video = VideoEncoding { name, size: Some((1280, 720)), frame_millihertz: Some(25_000) };
        Encoding { video: Some(video), audio: Some(audio) }
    }

    fn segment(sequence: u64) -> Measured {
        Measured { sequence, bytes: 500_000, micros: 2_000_000, pictures: 50, audio: true }
    }

    fn text(offer: &Offer, i_frames: bool) -> String {
        let mut room = [0; MASTER_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        offer.emit(&mut w, "index.m3u8", i_frames.then_some("iframes.m3u8")).unwrap();
        let text = String::from_utf8(w.written().to_vec()).unwrap();
        MasterPlaylist::parse(text.as_bytes()).unwrap();
        text
    }

    #[test]
    fn r8_r62_r63_master_states_what_was_measured() {
        let mut offer = Offer::new(7);
        assert!(!offer.is_named(7));
        offer.encoded(&encoding("avc1.64001f", "mp4a.40.2"));
        assert!(!offer.is_named(7), "nothing is listed");
        offer.closed(segment(7), [(50_000, 2_000_000)].into_iter());
        offer.listed(7, 8);
        assert!(offer.is_named(7));
        assert_eq!(
            text(&offer, true),
            "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-STREAM-INF:BANDWIDTH=2228224,\
             AVERAGE-BANDWIDTH=2031616,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,\
             FRAME-RATE=25.000\nindex.m3u8\n\
             #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=212992,AVERAGE-BANDWIDTH=200704,\
             CODECS=\"avc1.64001f\",RESOLUTION=1280x720,URI=\"iframes.m3u8\"\n"
        );
        assert!(text(&offer, false).starts_with("#EXTM3U\n#EXT-X-VERSION:1\n#EXT-X-STREAM-INF:"));
    }

    #[test]
    fn r63_encodings_are_named_while_a_segment_with_them_is_listed() {
        let mut offer = Offer::new(0);
        let codecs = |offer: &Offer| offer.codecs(true).as_str().to_owned();
        offer.encoded(&encoding("avc1.64001f", "mp4a.40.2"));
        offer.closed(segment(0), core::iter::empty());
        offer.encoded(&encoding("avc1.640028", "mp4a.40.5"));
        // The change may have come at its end: both are named.
        offer.closed(segment(1), core::iter::empty());
        offer.closed(segment(2), core::iter::empty());
        offer.listed(0, 3);
        assert_eq!(codecs(&offer), "avc1.64001f,avc1.640028,mp4a.40.2,mp4a.40.5");
        offer.listed(1, 3);
        assert_eq!(codecs(&offer), "avc1.64001f,avc1.640028,mp4a.40.2,mp4a.40.5");
        offer.listed(2, 3);
        assert_eq!(codecs(&offer), "avc1.640028,mp4a.40.5");
        // Another publisher sends audio alone.
        offer.encoded(&Encoding::UNKNOWN);
        offer.encoded(&Encoding { video: None, audio: Some("ac-3") });
        offer.closed(Measured { pictures: 0, ..segment(3) }, core::iter::empty());
        offer.listed(3, 4);
        assert_eq!(codecs(&offer), "ac-3");
        assert!(!text(&offer, false).contains("RESOLUTION"));
        assert!(!text(&offer, false).contains("FRAME-RATE"));
    }

    #[test]
    fn tracks_without_a_name_hold_the_master_back_until_they_are_gone() {
        let mut offer = Offer::new(0);
        offer.encoded(&Encoding { video: None, audio: Some("mp4a.40.2") });
        offer.closed(segment(0), core::iter::empty());
        offer.listed(0, 1);
        assert!(!offer.is_named(0));
        offer.closed(Measured { pictures: 0, ..segment(1) }, core::iter::empty());
        offer.listed(1, 2);
        assert!(offer.is_named(1));
    }

    #[test]
    fn longest_master_fits_and_the_oldest_of_too_many_names_is_forgotten() {
        let mut offer = Offer::new(u64::MAX - 90);
        let audio = ["mp4a.40.1", "mp4a.40.2", "mp4a.40.29", "mp4a.40.34", "mp4a.40.5"];
        for (n, audio) in (0..=ENCODINGS_LISTED_MAX).zip(audio) {
            let mut sps = encoding(&format!("hvc1.C3{n}.FFFFFFFF.H255.FF.FF.FF.FF.FF.FF"), audio);
            let video = sps.video.as_mut().unwrap();
            (video.size, video.frame_millihertz) = (Some((u32::MAX, u32::MAX)), None);
            offer.encoded(&sps);
            let sequence = u64::MAX - 90 + u64::try_from(n).unwrap();
            let most = Measured { bytes: u64::MAX, pictures: u32::MAX, ..segment(sequence) };
            offer.closed(most, [(u64::MAX, 1)].into_iter());
        }
        offer.listed(u64::MAX - 90, u64::MAX - 80);
        let list = offer.codecs(true);
        assert!(list.len() <= CODEC_LIST_BYTES_MAX);
        assert!(!list.contains("hvc1.C30.") && list.contains("hvc1.C34."), "{list}");
        assert!(text(&offer, true).len() > MASTER_BYTES_MAX / 2);
    }
}

//! What a segment really holds: its tracks, their first and last times, counters and parameters.
//!
//! Reads a transport stream packet by packet (R14, R20 to R23, R27) and the timestamp in front of
//! packed audio (R24); keeps numbers, no media. Decodes nothing, compares no two segments
//! (`joins`). Source: ISO/IEC 13818-1 §2.4; RFC 8216 §3.2, §3.4.

use super::finding::{Report, Site};
use super::track::{Codec, Track};
use crate::limits::{HISTORY_PIDS_MAX, HISTORY_TRACKS_MAX};
use crate::time::Ticks;
use crate::wire::ts::packet::{PACKET_BYTES, PID_NULL, Packet, SYNC};
use crate::wire::ts::psi::{self, PID_PAT, Pat, PmtSection, SectionError};

/// What a segment is.
#[derive(Debug)]
pub(super) enum Content {
    /// MPEG-2 transport stream.
    Transport(Transport),
    /// Audio frames behind an ID3 tag with the time of the first one.
    Packed(Ticks),
    /// Something that is not looked into.
    Other,
}

/// A transport stream segment in numbers.
#[derive(Debug, Default)]
pub(super) struct Transport {
    pub(super) tracks: Vec<Track>,
    /// Packet identifier, first and last continuity counter.
    pub(super) counters: Vec<(u16, u8, u8)>,
    /// First and last clock reference, 90 kHz part.
    pub(super) clock: Option<(Ticks, Ticks)>,
}

impl Transport {
    /// The track that durations are measured on: the picture, or else the first with a time.
    pub(super) fn leader(&self) -> Option<&Track> {
        let mut timed = self.tracks.iter().filter(|track| track.times.is_some());
        let first = timed.clone().next();
        timed.find(|track| track.codec.is_video()).or(first)
    }
}

/// Whether bytes begin like a transport stream.
pub(super) fn is_transport(bytes: &[u8]) -> bool {
    let next = bytes.get(PACKET_BYTES).copied().unwrap_or(SYNC);
    bytes.first() == Some(&SYNC) && next == SYNC
}

/// Reads a clear segment and notes what is wrong inside it; `independent` is whether its playlist
/// says that all begin with a key frame.
pub(super) fn read(
    bytes: &[u8],
    independent: bool,
    site: Site<'_>,
    report: &mut Report,
) -> Content {
    if is_transport(bytes) {
        return Content::Transport(Reading::new(site, report).all(bytes, independent));
    }
    if bytes.starts_with(b"WEBVTT") {
        let head = bytes.split(|&b| b == b'\n').take(8);
        if !head.into_iter().any(|line| line.starts_with(b"X-TIMESTAMP-MAP=")) {
            report.advice(site, 25, "the text has no X-TIMESTAMP-MAP", [0; 2]);
        }
        return Content::Other;
    }
    if bytes.starts_with(b"ID3") || matches!(bytes, [0xff, second, ..] if *second >= 0xe0) {
        if let Some(time) = packed_time(bytes) {
            return Content::Packed(time);
        }
        let text = "packed audio does not begin with the time of its first frame";
        report.breach(site, 24, text, [0; 2]);
        return Content::Other;
    }
    // Boxes of fragmented MP4 are another matter.
    if !matches!(bytes.get(4..8), Some(b"styp" | b"moof" | b"sidx" | b"ftyp" | b"emsg")) {
        report.breach(site, 50, "no KEY applies, and it is no clear media", [0; 2]);
    }
    Content::Other
}

/// The 33 bits in the PRIV frame that RFC 8216 §3.4 asks for.
fn packed_time(bytes: &[u8]) -> Option<Ticks> {
    const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
    if !bytes.starts_with(b"ID3") {
        return None;
    }
    let size = bytes.get(6..10)?.iter().fold(0, |sum, b| sum << 7 | usize::from(b & 0x7f));
    let tag = bytes.get(10..size.checked_add(10)?)?;
    let at = tag.windows(OWNER.len()).position(|window| window == OWNER)?;
    let time = tag.get(at + OWNER.len()..)?.first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    i64::try_from(time).ok().filter(|time| *time < 1 << 33).map(Ticks)
}

/// A transport stream being read.
struct Reading<'a, 'r> {
    site: Site<'a>,
    report: &'r mut Report,
    out: Transport,
    pmt_pid: Option<u16>,
    has_pmt: bool,
}

impl<'a, 'r> Reading<'a, 'r> {
    fn new(site: Site<'a>, report: &'r mut Report) -> Self {
        Self { site, report, out: Transport::default(), pmt_pid: None, has_pmt: false }
    }

    fn breach(&mut self, rule: u8, text: &'static str, numbers: [u64; 2]) {
        self.report.breach(self.site, rule, text, numbers);
    }

    fn all(mut self, bytes: &[u8], independent: bool) -> Transport {
        let whole = bytes.chunks_exact(PACKET_BYTES);
        let rest = whole.remainder().len();
        for (number, bytes) in whole.enumerate() {
            let Ok(packet) = Packet::parse(bytes) else {
                let number = crate::storage::widen(number);
                self.breach(20, "packet %a is none of a transport stream", [number, 0]);
                break;
            };
            self.tables_first(number, packet.header.pid);
            self.packet(&packet);
        }
        if rest > 0 {
            let rest = crate::storage::widen(rest);
            self.breach(27, "%a bytes stand behind the last whole packet", [rest, 0]);
        }
        if !self.has_pmt {
            self.breach(21, "there is no PMT, so nobody knows the tracks", [0; 2]);
        }
        self.tracks(independent);
        self.out
    }

    /// R21, the places.
    fn tables_first(&mut self, number: usize, pid: u16) {
        let is_right = match number {
            0 => pid == PID_PAT,
            1 => self.pmt_pid.is_none_or(|pmt| pid == pmt),
            _ => return,
        };
        if !is_right {
            let text = "PAT and PMT are not the first two packets";
            self.report.advice(self.site, 21, text, [0; 2]);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let pid = packet.header.pid;
        if pid == PID_NULL {
            return;
        }
        let breaks = packet.adaptation.is_some_and(|field| field.discontinuity);
        if packet.header.payload {
            self.counter(pid, packet.header.counter, breaks);
        }
        if let Some(pcr) = packet.adaptation.and_then(|field| field.pcr) {
            let now = Ticks(pcr.base.cast_signed());
            let (first, last) = self.out.clock.unwrap_or((now, now));
            if distance(last, now) < 0 && !breaks {
                self.breach(23, "the program clock goes back inside the segment", [0; 2]);
            }
            self.out.clock = Some((first, now));
        }
        if pid == PID_PAT && packet.header.start {
            self.pat(packet.payload);
        } else if Some(pid) == self.pmt_pid && packet.header.start {
            self.pmt(packet.payload);
        } else if let Some(track) = self.out.tracks.iter_mut().find(|track| track.pid == pid) {
            track.packet(packet, self.site, self.report);
        }
    }

    /// R23 inside the segment; a packet may be sent twice (13818-1 §2.4.3.3).
    fn counter(&mut self, pid: u16, counter: u8, breaks: bool) {
        if let Some((_, _, last)) = self.out.counters.iter_mut().find(|(known, ..)| *known == pid) {
            let is_next = counter == (*last + 1) & 15 || counter == *last;
            *last = counter;
            if !is_next && !breaks {
                let text = "the continuity counter of pid %a jumps inside the segment";
                self.breach(23, text, [u64::from(pid), 0]);
            }
        } else if self.out.counters.len() < HISTORY_PIDS_MAX {
            self.out.counters.push((pid, counter, counter));
        }
        debug_assert!(self.out.counters.len() <= HISTORY_PIDS_MAX);
    }

    fn pat(&mut self, payload: &[u8]) {
        match psi::section(payload).map_err(SectionError::from).and_then(Pat::parse) {
            Ok(pat) => {
                if self.pmt_pid.is_some_and(|known| known != pat.pmt_pid) {
                    self.breach(20, "the PAT changes inside the segment", [0; 2]);
                }
                self.pmt_pid = Some(pat.pmt_pid);
            }
            Err(SectionError::NotAlone) => {
                self.breach(20, "the PAT has not exactly one program", [0; 2]);
            }
            Err(_) => self.breach(21, "the PAT is malformed", [0; 2]),
        }
    }

    fn pmt(&mut self, payload: &[u8]) {
        let section = psi::section(payload).map_err(SectionError::from);
        let section = match section.and_then(PmtSection::parse) {
            Ok(section) => section,
            // A table of several packets is legal, and looked into no further.
            Err(SectionError::Short(_)) => {
                self.has_pmt = true;
                return;
            }
            Err(_) => return self.breach(21, "the PMT is malformed", [0; 2]),
        };
        if self.has_pmt {
            let known = self.out.tracks.iter().map(|track| (track.pid, track.stream_type));
            let now = section.streams().map(|one| (one.pid, one.stream_type));
            if !known.eq(now.take(HISTORY_TRACKS_MAX)) {
                self.breach(14, "the PMT changes inside the segment", [0; 2]);
            }
            return;
        }
        self.has_pmt = true;
        let tracks = section.streams().take(HISTORY_TRACKS_MAX);
        self.out.tracks.extend(tracks.map(|one| Track::new(one.pid, one.stream_type)));
        debug_assert!(self.out.tracks.len() <= HISTORY_TRACKS_MAX);
    }

    /// R22, R27: what the picture must have.
    fn tracks(&mut self, independent: bool) {
        for track in &mut self.out.tracks {
            track.close(self.site, self.report);
        }
        let video = self.out.tracks.iter().find(|track| track.codec.is_video());
        let Some(video) = video.filter(|track| track.times.is_some()) else { return };
        if !matches!(video.codec, Codec::H264 | Codec::Hevc) {
            return;
        }
        let (site, report) = (self.site, &mut *self.report);
        if !video.has_key {
            report.breach(site, 22, "there is no key frame", [0; 2]);
        } else if !video.has_parameters {
            report.breach(site, 22, "there are no parameter sets", [0; 2]);
        } else if !video.begins_with_key && independent {
            let text = "it does not begin with a key frame, INDEPENDENT-SEGMENTS says so";
            report.breach(site, 27, text, [0; 2]);
        } else if !video.begins_with_key {
            report.advice(site, 27, "it does not begin with a key frame", [0; 2]);
        }
    }
}

/// From one 33-bit time to another, the short way round.
pub(super) const fn distance(from: Ticks, to: Ticks) -> i64 {
    let apart = (to.wire().wrapping_sub(from.wire()) & ((1 << 33) - 1)).cast_signed();
    if apart >= 1 << 32 { apart - (1 << 33) } else { apart }
}

//! One track of a transport stream segment: times, key frames, parameters.
//!
//! Looks at the beginning of each PES packet only. Decodes nothing.
//! Source: ISO/IEC 13818-1 §2.4.3.6; H.264 §7.4.1, H.265 §7.4.2, 14496-3 §1.A.2.

use super::content::distance;
use super::finding::{Report, Site};
use crate::limits::HISTORY_UNIT_HEAD_BYTES;
use crate::time::Ticks;
use crate::wire::aac::AdtsHeader;
use crate::wire::ts::packet::Packet;
use crate::wire::ts::pes::PesHeader;
use crate::wire::ts::psi;
use crate::wire::{h264, hevc};

/// What a track holds, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Hevc,
    Aac,
    Ac3,
    Mpa,
    /// Timed metadata, or what is not known.
    Other,
}

impl Codec {
    /// Codec of a stream type, and whether it is the encrypted kind of it (SAMPLE-AES).
    const fn of(stream_type: u8) -> (Self, bool) {
        match stream_type {
            psi::STREAM_TYPE_H264 => (Self::H264, false),
            0xdb => (Self::H264, true),
            psi::STREAM_TYPE_HEVC => (Self::Hevc, false),
            psi::STREAM_TYPE_AAC => (Self::Aac, false),
            0xcf => (Self::Aac, true),
            psi::STREAM_TYPE_AC3 | psi::STREAM_TYPE_EAC3 => (Self::Ac3, false),
            0xc1 | 0xc2 => (Self::Ac3, true),
            0x03 | 0x04 => (Self::Mpa, false),
            _ => (Self::Other, false),
        }
    }

    pub(super) const fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc)
    }

    pub(super) const fn is_audio(self) -> bool {
        matches!(self, Self::Aac | Self::Ac3 | Self::Mpa)
    }

    /// How CODECS names begin (RFC 6381).
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["avc1.", "avc3."],
            Self::Hevc => &["hvc1.", "hev1."],
            Self::Aac => &["mp4a.40."],
            Self::Ac3 => &["ac-3", "ec-3"],
            Self::Mpa => &["mp4a.40.3", "mp4a.6"],
            Self::Other => &[],
        }
    }
}

/// First and last decode time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) first: Ticks,
    pub(super) last: Ticks,
    /// When what is decoded first is presented.
    pub(super) shows: Ticks,
    /// PES packets between them.
    pub(super) steps: u32,
}

impl Times {
    /// From the first time to the end, where the last packet lasts as long as others do; ticks.
    pub(super) fn duration(self) -> i64 {
        let apart = distance(self.first, self.last);
        if self.steps == 0 { 0 } else { apart + apart / i64::from(self.steps) }
    }
}

/// A track in numbers.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) codec: Codec,
    pub(super) times: Option<Times>,
    pub(super) begins_with_key: bool,
    pub(super) has_key: bool,
    pub(super) has_parameters: bool,
    /// Digests of the first and the last parameters: SPS, or those of an ADTS header.
    pub(super) parameters: Option<(u64, u64)>,
    /// Digest of all payload.
    pub(super) digest: u64,
    /// Beginning of the unit being read.
    head: Vec<u8>,
}

impl Track {
    pub(super) fn new(pid: u16, stream_type: u8) -> Self {
        Self {
            pid,
            stream_type,
            codec: Codec::of(stream_type).0,
            times: None,
            begins_with_key: false,
            has_key: false,
            has_parameters: false,
            parameters: None,
            digest: DIGEST,
            head: Vec::new(),
        }
    }

    /// Whether its stream type says that samples are encrypted.
    pub(super) const fn is_encrypted(&self) -> bool {
        Codec::of(self.stream_type).1
    }

    pub(super) fn packet(&mut self, packet: &Packet<'_>, site: Site<'_>, report: &mut Report) {
        let mut rest = packet.payload;
        if packet.header.start {
            self.close(site, report);
            let Ok((header, bytes)) = PesHeader::parse(rest) else { return };
            rest = rest.get(bytes..).unwrap_or_default();
            self.time((header.dts.unwrap_or(header.pts), header.pts), site, report);
        }
        if self.times.is_some() {
            let room = HISTORY_UNIT_HEAD_BYTES.saturating_sub(self.head.len());
            self.head.extend_from_slice(rest.get(..room).unwrap_or(rest));
            debug_assert!(self.head.len() <= HISTORY_UNIT_HEAD_BYTES);
        }
        if self.codec.is_audio() {
            self.digest = digest(self.digest, rest);
        }
    }

    /// Looks into the unit that has ended.
    pub(super) fn close(&mut self, site: Site<'_>, report: &mut Report) {
        let head = core::mem::take(&mut self.head);
        if !head.is_empty() {
            match self.codec {
                Codec::H264 => self.h264(&head, site, report),
                Codec::Hevc => self.hevc(&head, site, report),
                Codec::Aac => {
                    if let Ok(header) = AdtsHeader::parse(&head) {
                        let rate = header.frequency.hertz().to_be_bytes();
                        let kind = digest(DIGEST, &[header.object_type, header.channels]);
                        self.parameter(digest(kind, &rate), site, report);
                    }
                }
                Codec::Ac3 | Codec::Mpa | Codec::Other => {}
            }
        }
        self.head = head;
        self.head.clear();
    }

    /// R23 inside the segment.
    fn time(&mut self, (now, shows): (Ticks, Ticks), site: Site<'_>, report: &mut Report) {
        let Some(times) = &mut self.times else {
            self.times = Some(Times { first: now, last: now, shows, steps: 0 });
            return;
        };
        if distance(times.last, now) < 0 {
            let text = "the times of pid %a go back inside the segment";
            report.breach(site, 23, text, [u64::from(self.pid), 0]);
        }
        times.last = now;
        times.steps = times.steps.saturating_add(1);
    }

    fn h264(&mut self, head: &[u8], site: Site<'_>, report: &mut Report) {
        for nal in h264::annexb(head).filter(|nal| nal.kind() == h264::NalType::Sps) {
            self.parameter(digest(DIGEST, nal.bytes), site, report);
        }
        self.picture(h264::is_random_access(h264::annexb(head)));
    }

    fn hevc(&mut self, head: &[u8], site: Site<'_>, report: &mut Report) {
        for nal in h264::annexb(head) {
            let kind = nal.bytes.first().map(|first| hevc::NalType::of(*first));
            if kind == Some(hevc::NalType::Sps) {
                self.parameter(digest(DIGEST, nal.bytes), site, report);
            }
        }
        self.picture(hevc::is_random_access(h264::annexb(head)));
    }

    fn picture(&mut self, is_key: bool) {
        let is_first = self.times.is_some_and(|times| times.steps == 0);
        self.begins_with_key |= is_first && is_key;
        self.has_key |= is_key;
        self.has_parameters |= self.parameters.is_some();
    }

    /// R14 inside the segment.
    fn parameter(&mut self, now: u64, site: Site<'_>, report: &mut Report) {
        let (first, last) = self.parameters.unwrap_or((now, now));
        if last != now {
            let text = "the parameters of pid %a change inside the segment";
            report.breach(site, 14, text, [u64::from(self.pid), 0]);
        }
        self.parameters = Some((first, now));
    }
}

/// Where digests begin: FNV-1a, which tells apart what nobody forges.
pub(super) const DIGEST: u64 = 0xcbf2_9ce4_8422_2325;

/// A digest with some more bytes in it.
pub(super) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

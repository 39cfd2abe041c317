//! A camera and a tape for the media layer: messages as a publisher sends them, into a `Pipeline`,
//! and the segments that come out, taken apart by `ts` and judged by rules that none may break.
//!
//! Knows nothing of RTMP, files or sockets. The judge reads bytes only; it shares no parser with
//! the program.

use super::ts::{Demux, Pes, Pmt, Unwrap};
use rillcast::limits::{COMPOSITION_LEAD_MS, TIMELINE_EPOCH};
use rillcast::media::container::Container;
use rillcast::media::pipeline::{Message, Pipeline};
use rillcast::media::sink::{NoRoom, Segment, Sink};
use rillcast::status::{Counter, Status};
use rillcast::storage::FrameRing;
use rillcast::time::{Millis, Ticks};
use std::collections::BTreeMap;

pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;
/// Decode time of what a stream begins with, in ticks.
pub const EPOCH: i64 = TIMELINE_EPOCH.0;
/// Ticks from decoding to presentation where the publisher asks for none.
pub const LEAD: i64 = COMPOSITION_LEAD_MS * 90;
pub const SPS: [u8; 4] = [0x67, 0x42, 0xc0, 0x1e];
pub const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
/// The NAL unit of a recovery point with nothing to wait for.
pub const RECOVERY: [u8; 4] = [0x06, 0x06, 0x01, 0xc4];

/// How a slice begins that is not of an IDR picture, at macroblock 0 and of type 7: all I.
pub const I_SLICE: [u8; 3] = [0x41, 0x88, 0x84];

/// Memory that takes segments. Gives out exactly what was reserved, so that a byte written without
/// a reservation is found.
pub struct Tape {
    slot: Vec<u8>,
    at: usize,
    reserved: usize,
    writing: Option<Container>,
    /// Segments that may still begin.
    pub slots_left: usize,
    pub discarded: usize,
    pub segments: Vec<(Segment, Vec<u8>)>,
    /// What they are.
    pub containers: Vec<Container>,
}

impl Tape {
    pub fn new(slot_bytes: usize) -> Self {
        Self {
            slot: vec![0; slot_bytes / 188 * 188],
            at: 0,
            reserved: 0,
            writing: None,
            slots_left: usize::MAX,
            discarded: 0,
            segments: Vec::new(),
            containers: Vec::new(),
        }
    }
}

impl Sink for Tape {
    fn begin_as(&mut self, container: Container) -> Result<(), NoRoom> {
        assert!(self.writing.is_none(), "one segment at a time");
        if self.slots_left == 0 {
            return Err(NoRoom);
        }
        self.slots_left -= 1;
        (self.at, self.reserved, self.writing) = (0, 2 * 188, Some(container));
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let packed = self.writing.is_some_and(Container::is_packed);
        let end = self.at + if packed { bytes } else { bytes.next_multiple_of(188) };
        if end > self.slot.len() {
            return false;
        }
        self.reserved = self.reserved.max(end);
        self.writing.is_some()
    }

    fn written(&self) -> usize {
        self.at
    }

    fn room(&mut self) -> &mut [[u8; 188]] {
        assert!(self.at < self.reserved, "room is asked for only where it was reserved");
        assert_eq!(self.writing, Some(Container::Ts), "packets are for transport streams");
        self.slot[self.at..self.reserved].as_chunks_mut().0
    }

    fn capacity(&self) -> usize {
        self.slot.len()
    }

    fn wrote(&mut self, packets: usize) {
        self.at += packets * 188;
        assert!(self.writing.is_some() && self.at <= self.reserved);
    }

    fn append(&mut self, bytes: &[u8]) {
        assert!(self.writing.is_some_and(Container::is_packed), "packets are laid into room");
        assert!(self.at + bytes.len() <= self.reserved, "bytes that were not reserved");
        self.slot[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn rewrite(&mut self, at: usize, packet: &[u8; 188]) {
        assert!((at + 1) * 188 <= self.at);
        assert_eq!(self.writing, Some(Container::Ts), "packets are of transport streams");
        self.slot.as_chunks_mut().0[at] = *packet;
    }

    fn discard(&mut self) {
        assert!(self.writing.is_some());
        self.writing = None;
        self.discarded += 1;
        self.slots_left = self.slots_left.saturating_add(1);
    }

    fn finish(&mut self, segment: &Segment) {
        self.containers.push(self.writing.take().expect("a segment"));
        assert_eq!(segment.bytes, self.at);
        self.segments.push((*segment, self.slot[..self.at].to_vec()));
    }
}

/// A picture or an audio frame as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub at: u32,
    pub cts: i32,
    /// NAL units that must come out, or one audio frame.
    pub parts: Vec<Vec<u8>>,
}

pub struct Camera {
    pub pipeline: Pipeline,
    pub ring: FrameRing,
    pub tape: Tape,
    pub status: Status,
    pub pictures: Vec<Sent>,
    pub sounds: Vec<Sent>,
    count: u32,
}

impl Camera {
    pub fn new(target_ms: i64) -> Self {
        Self::with(target_ms, 4 << 20, 1 << 20)
    }

    pub fn with(target_ms: i64, slot_bytes: usize, ring_bytes: usize) -> Self {
        Self {
            pipeline: Pipeline::new(Ticks::from_millis(target_ms)),
            ring: FrameRing::new(ring_bytes, 4096),
            tape: Tape::new(slot_bytes),
            status: Status::new(),
            pictures: Vec::new(),
            sounds: Vec::new(),
            count: 0,
        }
    }

    /// Sends one message, whatever it holds.
    pub fn send(&mut self, video: bool, at: u32, payload: &[u8]) {
        let Ok(place) = self.ring.reserve(payload.len()) else { return };
        self.ring.window(place).copy_from_slice(payload);
        self.ring.close(place);
        let message = Message { video, at: Millis(at), place };
        self.pipeline.message(message, &self.ring, &mut self.tape, &self.status);
        self.pipeline.check_invariants();
    }

    pub fn leave(&mut self) {
        self.pipeline.leave(&self.ring, &mut self.tape, &self.status);
        self.pipeline.check_invariants();
    }

    /// Ends the session and judges all that came out.
    pub fn end(&mut self) -> Vec<Judged> {
        self.leave();
        judge(&self.tape.segments)
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    pub fn video_config(&mut self, at: u32, sps: &[u8], pps: &[u8]) {
        let mut payload = vec![0x17, 0, 0, 0, 0, 1, sps[1], sps[2], sps[3], 0xff, 0xe1, 0];
        payload.push(u8::try_from(sps.len()).unwrap());
        payload.extend(sps);
        payload.extend([1, 0, u8::try_from(pps.len()).unwrap()]);
        payload.extend(pps);
        self.send(true, at, &payload);
    }

    pub fn aac_config(&mut self, at: u32, config: [u8; 2]) {
        self.send(false, at, &[0xaf, 0, config[0], config[1]]);
    }

    /// A picture of these NAL units, each behind its length.
    pub fn access_unit(&mut self, at: u32, cts: i32, nals: &[&[u8]]) {
        let data: Vec<u8> = nals
            .iter()
            .flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], nal].concat())
            .collect();
        self.picture_data(at, cts, &data, nals);
    }

    /// A picture whose data is `data`, of which `nals` must come out.
    pub fn picture_data(&mut self, at: u32, cts: i32, data: &[u8], nals: &[&[u8]]) {
        let key = nals.iter().any(|nal| nal[0] & 31 == 5 || nal.starts_with(&I_SLICE));
        let [_, c1, c2, c3] = cts.to_be_bytes();
        let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, c1, c2, c3];
        payload.extend(data);
        let parts = nals.iter().filter(|nal| !matches!(nal[0] & 31, 7..=9 | 12));
        let parts = parts.map(|nal| nal.to_vec()).collect();
        self.pictures.push(Sent { at, cts, parts });
        self.send(true, at, &payload);
    }

    /// A NAL unit of `bytes` that is like no other.
    pub fn nal(&mut self, head: u8, bytes: usize) -> Vec<u8> {
        self.count += 1;
        let mut nal = vec![head];
        nal.extend(self.count.to_be_bytes().map(|byte| byte | 0x80));
        let count = self.count;
        nal.extend((nal.len()..bytes).map(|i| ((i as u32 * 31 + count) % 251) as u8 | 1));
        nal
    }

    pub fn idr(&mut self, at: u32, cts: i32, bytes: usize) {
        let nal = self.nal(0x65, bytes);
        self.access_unit(at, cts, &[&nal]);
    }

    pub fn inter(&mut self, at: u32, cts: i32, bytes: usize) {
        let nal = self.nal(0x41, bytes);
        self.access_unit(at, cts, &[&nal]);
    }

    /// A keyframe where `key`, another picture elsewhere.
    pub fn frame(&mut self, at: u32, key: bool, bytes: usize) {
        if key {
            self.idr(at, 0, bytes);
        } else {
            self.inter(at, 0, bytes);
        }
    }

    pub fn aac(&mut self, at: u32, bytes: usize) {
        let frame = self.nal(0x21, bytes);
        let payload = [&[0xaf, 1][..], &frame].concat();
        self.sounds.push(Sent { at, cts: 0, parts: vec![frame] });
        self.send(false, at, &payload);
    }

    /// Both configurations: H.264 and AAC-LC at 48 kHz, stereo.
    pub fn configure(&mut self, at: u32) {
        self.video_config(at, &SPS, &PPS);
        self.aac_config(at, [0x11, 0x90]);
    }

    /// 25 pictures a second with a keyframe every `gop`, and AAC at 48 kHz, interleaved, for
    /// `from..to` in milliseconds of media after `base`.
    pub fn run(&mut self, base: u32, from: u32, to: u32, gop: u32) {
        let mut frame = (from * 48).div_ceil(1024);
        for at in (from..to).step_by(40) {
            self.frame(base.wrapping_add(at), at % (gop * 40) == 0, 900);
            while frame * 1024 / 48 < (at + 40).min(to) {
                self.aac(base.wrapping_add(frame * 1024 / 48), 180);
                frame += 1;
            }
        }
    }
}

/// An access unit or an audio PES packet that came out; times unwrapped, in ticks.
#[derive(Clone, Debug)]
pub struct Out {
    pub dts: i64,
    pub pts: i64,
    pub random_access: bool,
    pub nals: Vec<Vec<u8>>,
    pub data: Vec<u8>,
}

/// One segment, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    pub segment: Segment,
    pub pmt: Pmt,
    pub pictures: Vec<Out>,
    pub sounds: Vec<Out>,
    /// Clock references in 27 MHz, unwrapped.
    pub pcrs: Vec<i64>,
    /// PIDs of PES packets, in order.
    pub order: Vec<u16>,
}

impl Judged {
    pub fn ms(&self) -> i64 {
        self.segment.duration.0 / 90
    }

    pub fn tracks(&self) -> Vec<(u16, u8)> {
        self.pmt.streams.clone()
    }
}

/// Every NAL unit between start codes; the independent way.
pub fn annex_b(bytes: &[u8]) -> Vec<Vec<u8>> {
    assert!(bytes.starts_with(&[0, 0, 0, 1]), "an access unit begins with a start code");
    let mut starts: Vec<usize> =
        (0..bytes.len()).filter(|i| bytes[*i..].starts_with(&[0, 0, 1])).map(|i| i + 3).collect();
    starts.push(bytes.len() + 3);
    starts
        .windows(2)
        .map(|pair| {
            let mut end = pair[1] - 3;
            while end > pair[0] && bytes[end - 1] == 0 {
                end -= 1;
            }
            bytes[pair[0]..end].to_vec()
        })
        .collect()
}

/// The frames of an ADTS run, without their headers.
pub fn adts(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        assert_eq!((bytes[0], bytes[1] & 0xf6), (0xff, 0xf0), "ADTS sync");
        let len = usize::from(bytes[3] & 3) << 11
            | usize::from(bytes[4]) << 3
            | usize::from(bytes[5] >> 5);
        frames.push(bytes[7..len].to_vec());
        bytes = &bytes[len..];
    }
    frames
}

/// What must hold of any series of segments, whatever was sent.
pub fn judge(segments: &[(Segment, Vec<u8>)]) -> Vec<Judged> {
    let mut demux = Demux::default();
    let mut times: BTreeMap<u16, Unwrap> = BTreeMap::new();
    let mut last: BTreeMap<u16, i64> = BTreeMap::new();
    let (mut pcr_clock, mut pcr_last) = (Unwrap::default(), None::<i64>);
    let mut out: Vec<Judged> = Vec::new();
    for (segment, bytes) in segments {
        let n = out.len();
        assert!(segment.duration > Ticks::ZERO, "segment {n} lasts");
        let parts = demux.segment(bytes);
        assert!(parts.faults.is_empty(), "segment {n}: {:?}", parts.faults);
        assert_eq!(parts.first_pids, [0, 0x1000], "segment {n} begins with its tables (R21)");
        assert_stuffing_is_least(bytes, n);
        let pmt = parts.pmt.unwrap();
        assert!(!parts.pes.is_empty(), "segment {n} holds something");
        judge_tracks(&pmt, &parts.pes, out.last(), segment, n);
        if let Some(before) = out.last().map(|before| before.segment) {
            assert_eq!(
                before.start.plus(before.duration) == segment.start || segment.discontinuity,
                true,
                "segment {n} starts where the one before ends"
            );
            assert!(segment.start.0 >= before.start.0 + before.duration.0, "segment {n} goes on");
        }
        if segment.discontinuity {
            pcr_last = None;
        }
        let mut pcrs = Vec::new();
        for (pid, number, value) in &parts.pcrs {
            assert_eq!(*pid, pmt.pcr_pid, "segment {n} packet {number}: PCR on its PID");
            let base = pcr_clock.next(value / 300) * 300;
            if let Some(last) = pcr_last {
                assert!(base > last, "segment {n} packet {number}: PCR goes on, {base} {last}");
                let gap = (base - last) / 27_000;
                assert!(gap <= 100, "segment {n} packet {number}: {gap} ms without PCR");
            }
            pcr_last = Some(base);
            pcrs.push(base);
        }
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        let order = parts.pes.iter().map(|pes| pes.pid).collect();
        for pes in parts.pes {
            let dts = times.entry(pes.pid).or_default().next(pes.dts);
            let pts =
                dts + i64::try_from((pes.pts.wrapping_sub(pes.dts)) & ((1 << 33) - 1)).unwrap();
            let before = last.insert(pes.pid, dts);
            assert!(before.is_none_or(|before| before < dts), "segment {n}: DTS goes on");
            if let Some(pcr) = pes.pcr_before {
                let ahead = (pes.dts.wrapping_sub(pcr / 300)) & ((1 << 33) - 1);
                assert!(ahead > 0 && ahead < 90_000 * 3, "segment {n}: PCR before DTS, {ahead}");
            }
            let mut unit = Out {
                dts,
                pts,
                random_access: pes.random_access,
                nals: Vec::new(),
                data: pes.data,
            };
            if pes.pid == VIDEO {
                judge_picture(&mut unit, pmt.streams[0].1, n);
                pictures.push(unit);
            } else {
                sounds.push(unit);
            }
        }
        if let Some(first) = pictures.first() {
            // IDR; of HEVC also pictures whose leading ones do not refer to what is before.
            let anew = |nal: &Vec<u8>| match pmt.streams[0].1 {
                HEVC => matches!(nal[0] >> 1, 17..=20),
                _ => nal[0] & 31 == 5,
            };
            let idr = first.nals.iter().any(anew);
            assert_eq!(segment.independent, idr, "segment {n}: truth of independence");
        } else {
            assert!(segment.independent, "segment {n}: audio is independent");
        }
        out.push(Judged { segment: *segment, pmt, pictures, sounds, pcrs, order });
    }
    out
}

fn judge_tracks(pmt: &Pmt, pes: &[Pes], before: Option<&Judged>, segment: &Segment, n: usize) {
    let named: Vec<u16> = pmt.streams.iter().map(|(pid, _)| *pid).collect();
    for pes in pes {
        assert!(named.contains(&pes.pid), "segment {n}: {:#x} is named", pes.pid);
    }
    for pid in &named {
        let there = pes.iter().any(|pes| pes.pid == *pid);
        assert!(there, "segment {n}: {pid:#x} is named without a packet");
    }
    if let Some(before) = before {
        let named = |pmt: &Pmt| (pmt.streams.clone(), pmt.descriptors.clone(), pmt.pcr_pid);
        let same = named(&before.pmt) == named(pmt);
        assert!(same || segment.discontinuity, "segment {n}: tracks change behind a tag (R14)");
        assert_eq!(before.pmt.version == pmt.version, same, "segment {n}: PMT version");
    }
    assert!(named.contains(&pmt.pcr_pid), "segment {n}: PCR PID {:#x}", pmt.pcr_pid);
}

/// Stream type of HEVC.
pub const HEVC: u8 = 0x24;

fn judge_picture(unit: &mut Out, stream_type: u8, n: usize) {
    unit.nals = annex_b(&unit.data);
    if stream_type == HEVC {
        return judge_hevc(unit, n);
    }
    let kinds: Vec<u8> = unit.nals.iter().map(|nal| nal[0] & 31).collect();
    assert_eq!(kinds.first(), Some(&9), "segment {n}: delimiter first, {kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == 9).count(), 1, "segment {n}: one delimiter");
    assert!(unit.pts >= unit.dts);
    let idr = kinds.iter().position(|kind| *kind == 5);
    if let Some(idr) = idr {
        for set in [7, 8] {
            let at = kinds.iter().position(|kind| *kind == set);
            assert!(at.is_some_and(|at| at < idr), "segment {n}: sets before IDR, {kinds:?}");
        }
    }
    let says = |nal: &Vec<u8>| nal.starts_with(&RECOVERY[..2]) || nal.starts_with(&I_SLICE);
    let recovers = unit.nals.iter().any(says);
    assert_eq!(unit.random_access, idr.is_some() || recovers, "segment {n}: random access");
}

fn judge_hevc(unit: &Out, n: usize) {
    let kinds: Vec<u8> = unit.nals.iter().map(|nal| nal[0] >> 1 & 63).collect();
    assert_eq!(kinds.first(), Some(&35), "segment {n}: delimiter first, {kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == 35).count(), 1, "segment {n}: one delimiter");
    assert_eq!(unit.nals[0], [0x46, 0x01, 0x50], "segment {n}: any type of picture");
    assert!(unit.pts >= unit.dts);
    let first = kinds.iter().position(|kind| *kind < 32).expect("a slice");
    let random = (16..=21).contains(&kinds[first]);
    assert_eq!(unit.random_access, random, "segment {n}: random access, {kinds:?}");
    if random {
        for set in [32, 33, 34] {
            let at = kinds.iter().position(|kind| *kind == set);
            assert!(at.is_some_and(|at| at < first), "segment {n}: sets first, {kinds:?}");
        }
    }
}

/// Only the last packet of a PES packet may be stuffed, and none holds stuffing alone.
fn assert_stuffing_is_least(bytes: &[u8], n: usize) {
    let mut stuffed: BTreeMap<u16, bool> = BTreeMap::new();
    for packet in bytes.chunks_exact(188) {
        let pid = u16::from(packet[1] & 31) << 8 | u16::from(packet[2]);
        if packet[3] & 0x10 == 0 || pid == 0 || pid == 0x1000 {
            continue;
        }
        let starts = packet[1] & 0x40 != 0;
        let before = stuffed.insert(pid, false).unwrap_or(false);
        assert!(starts || !before, "segment {n}: stuffing inside a PES packet");
        if packet[3] & 0x20 != 0 {
            let length = usize::from(packet[4]);
            let clock = if length > 0 && packet[5] & 0x10 != 0 { 6 } else { 0 };
            let needed = if length > 0 && packet[5] != 0 { 1 + clock } else { 0 };
            let stuffing = length - needed + usize::from(needed == 0);
            stuffed.insert(pid, stuffing > 0);
        }
    }
}

/// Everything that was sent came out, in order and to the bit.
pub fn assert_nothing_is_lost(camera: &Camera, judged: &[Judged]) {
    let units = judged.iter().flat_map(|segment| &segment.pictures);
    let seen: Vec<Vec<Vec<u8>>> = units
        .map(|unit| {
            let kept = unit.nals.iter().filter(|nal| !matches!(nal[0] & 31, 7..=9));
            kept.cloned().collect()
        })
        .collect();
    let sent: Vec<Vec<Vec<u8>>> = camera.pictures.iter().map(|sent| sent.parts.clone()).collect();
    assert_eq!(seen.len(), sent.len(), "pictures");
    assert!(seen == sent, "pictures are what was sent");
    let seen: Vec<Vec<u8>> = judged
        .iter()
        .flat_map(|segment| &segment.sounds)
        .flat_map(|sound| adts(&sound.data))
        .collect();
    let sent: Vec<Vec<u8>> =
        camera.sounds.iter().flat_map(|sent| sent.parts.iter().cloned()).collect();
    assert_eq!(seen.len(), sent.len(), "audio frames");
    assert!(seen == sent, "audio frames are what was sent");
}

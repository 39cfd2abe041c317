//! Judges the structure of a series of segments: transport, clocks, tables, cuts, durations.
//!
//! Compares nothing with the input: that is `judge_media`. The rules are those of the project's own
//! promise, stricter than ISO/IEC 13818-1 where players are (PAT and PMT first, one PES per unit).

use super::follow::{self, Got};
use super::ts::{Segment, Unwrap};
use super::{es, faults};

/// What may differ between streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Segments may begin with a frame that is not an IDR (forced cuts).
    pub forced_cuts: bool,
}

/// What was found, with numbers for a person.
#[derive(Debug, Default)]
pub struct Found {
    pub segments: Vec<Segment>,
    pub packets: usize,
    pub pes: usize,
    pub pcr_gap_max_ms: f64,
    pub faults: Vec<String>,
}

impl Found {
    pub fn assert_clean(&self, what: &str) {
        faults::assert_none(what, &self.faults);
        println!(
            "{what}: structure of {} segments, {} packets, {} PES is sound; \
             largest PCR gap {:.1} ms",
            self.segments.len(),
            self.packets,
            self.pes,
            self.pcr_gap_max_ms
        );
    }
}

const PCR_GAP_MAX: i64 = 27_000_000 / 10;
/// No byte waits in a decoder's buffer for over a second, still pictures apart (13818-1 §2.4.2.6).
const AHEAD_MAX: i64 = 90_000;

/// Judges all segments in order.
pub fn judge(got: &[Got], rules: Rules) -> Found {
    let mut found = Found::default();
    for (one, segment) in follow::apart(got) {
        found.packets += segment.packets;
        found.pes += segment.pes.len();
        let name = |text: &String| format!("segment {}: {text}", one.entry.sequence);
        found.faults.extend(segment.faults.iter().map(name));
        found.faults.extend(alone(&segment, rules).iter().map(name));
        found.segments.push(segment);
    }
    let mut from = 0;
    for to in 1..=got.len() {
        if to == got.len() || got[to].entry.discontinuity {
            run(&got[from..to], from, &mut found);
            from = to;
        }
    }
    found
}

/// Rules that one segment can break.
fn alone(segment: &Segment, rules: Rules) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(pmt) = &segment.pmt else {
        return vec!["no PMT".to_owned()];
    };
    if segment.first_pids != [0, pmt.pid] {
        faults.push(format!("begins with PIDs {:x?}, not PAT and PMT", segment.first_pids));
    }
    if !pmt.streams.iter().any(|(pid, _)| *pid == pmt.pcr_pid) {
        faults.push(format!("PCR PID {:#x} is no stream of the program", pmt.pcr_pid));
    }
    for pes in &segment.pes {
        if !pmt.streams.iter().any(|(pid, _)| *pid == pes.pid) {
            faults.push(format!("PES on PID {:#x}, which the PMT does not list", pes.pid));
        }
    }
    for (pid, packet, _) in &segment.pcrs {
        if *pid != pmt.pcr_pid {
            faults.push(format!("packet {packet}: PCR on PID {pid:#x}"));
        }
    }
    let main = segment.video_pid().or(segment.audio_pid()).unwrap_or(pmt.pcr_pid);
    match segment.of(main).next() {
        None => faults.push(format!("nothing on the main PID {main:#x}")),
        Some(first) => {
            if !first.has_pcr {
                faults.push("the first access unit has no PCR".to_owned());
            }
            if !first.random_access && !rules.forced_cuts {
                faults.push("the first access unit has no random access indicator".to_owned());
            }
        }
    }
    if let Some(video) = segment.video_pid() {
        for (n, pes) in segment.of(video).enumerate() {
            let fault =
                |text: String| format!("video unit {n} (packet {}): {text}", pes.first_packet);
            if pes.stream_id != 0xe0 {
                faults.push(fault(format!("stream id {:02x}", pes.stream_id)));
            }
            match es::annex_b(&pes.data) {
                Ok(nals) => faults.extend(
                    unit_faults(&nals, n == 0 && !rules.forced_cuts, pes.random_access)
                        .into_iter()
                        .map(fault),
                ),
                Err(text) => faults.push(fault(text)),
            }
        }
    }
    if let Some(audio) = segment.audio_pid() {
        for pes in segment.of(audio) {
            if pes.stream_id != 0xc0 || pes.declared == 0 {
                faults.push(format!(
                    "packet {}: audio PES id {:02x}, length {}",
                    pes.first_packet, pes.stream_id, pes.declared
                ));
            }
        }
    }
    faults
}

/// Order inside one access unit: delimiter, parameter sets, rest (H.264 §7.4.1.2.3).
fn unit_faults(nals: &[Vec<u8>], must_be_idr: bool, random_access: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let kinds: Vec<u8> = nals.iter().map(|nal| nal.first().map_or(0, |b| b & 31)).collect();
    if kinds.first() != Some(&9) || kinds.iter().filter(|kind| **kind == 9).count() != 1 {
        faults.push(format!("NAL types {kinds:?}: not exactly one delimiter, first"));
    }
    let idr = kinds.iter().position(|kind| *kind == 5);
    if let Some(idr) = idr {
        for set in [7, 8] {
            if !kinds[..idr].contains(&set) {
                faults.push(format!("NAL types {kinds:?}: no type {set} before the IDR"));
            }
        }
    }
    if must_be_idr && idr.is_none() {
        faults.push(format!("NAL types {kinds:?}: the segment does not begin with an IDR"));
    }
    if idr.is_some() != random_access {
        faults.push(format!("NAL types {kinds:?}, random access indicator {random_access}"));
    }
    faults
}

/// Rules over consecutive segments without a discontinuity.
fn run(got: &[Got], from: usize, found: &mut Found) {
    let segments = &found.segments[from..from + got.len()];
    let mut faults = Vec::new();
    let Some(pmt) = segments.iter().find_map(|segment| segment.pmt.clone()) else { return };
    for (segment, one) in segments.iter().zip(got) {
        if segment.pmt.as_ref().is_some_and(|other| *other != pmt) {
            faults.push(format!(
                "segment {}: PMT changes without a discontinuity",
                one.entry.sequence
            ));
        }
    }
    for (pid, kind) in &pmt.streams {
        if !segments.iter().any(|segment| segment.of(*pid).next().is_some()) {
            faults.push(format!(
                "PMT lists PID {pid:#x} (type {kind:02x}), which carries nothing \
                in segments {}..={}",
                got[0].entry.sequence,
                got[got.len() - 1].entry.sequence
            ));
        }
    }
    // Decode times of all streams share one unwrapped clock; PCR is the same clock times 300.
    let mut clock = Unwrap::default();
    let mut last_dts = std::collections::BTreeMap::new();
    let mut last_pcr: Option<i64> = None;
    let mut firsts: Vec<Option<i64>> = Vec::new();
    // Last decode time of the main stream, and of any.
    let mut lasts = (0_i64, i64::MIN);
    let mut gap_max = 0;
    let main = segments[0].video_pid().or(segments[0].audio_pid());
    for (segment, one) in segments.iter().zip(got) {
        let fault = |text: String| format!("segment {}: {text}", one.entry.sequence);
        let mut first = None;
        let mut pcrs = segment.pcrs.iter().peekable();
        for pes in &segment.pes {
            while let Some((_, packet, value)) =
                pcrs.next_if(|(_, packet, _)| *packet <= pes.first_packet)
            {
                faults.extend(
                    pcr_step(&mut clock, &mut last_pcr, *value, &mut gap_max)
                        .map(|t| fault(format!("packet {packet}: {t}"))),
                );
            }
            let (dts, pts) = clock.times(pes);
            if pts < dts {
                faults.push(fault(format!(
                    "packet {}: PTS {pts} before DTS {dts}",
                    pes.first_packet
                )));
            }
            if let Some(before) = last_dts.insert(pes.pid, dts)
                && dts <= before
            {
                faults.push(fault(format!(
                    "packet {}: DTS {dts} after {before} on PID {:#x}",
                    pes.first_packet, pes.pid
                )));
            }
            match last_pcr {
                None => {
                    faults.push(fault(format!("packet {}: a PES before any PCR", pes.first_packet)))
                }
                Some(pcr) => {
                    let ahead = dts - pcr / 300;
                    if ahead <= 0 || ahead > AHEAD_MAX {
                        faults.push(fault(format!(
                            "packet {}: DTS is {ahead} ticks ahead of PCR",
                            pes.first_packet
                        )));
                    }
                }
            }
            lasts.1 = lasts.1.max(dts);
            if Some(pes.pid) == main {
                first.get_or_insert(dts);
                lasts.0 = dts;
            }
        }
        for (_, packet, value) in pcrs {
            faults.extend(
                pcr_step(&mut clock, &mut last_pcr, *value, &mut gap_max)
                    .map(|t| fault(format!("packet {packet}: {t}"))),
            );
        }
        firsts.push(first);
    }
    faults.extend(durations(got, &firsts, lasts));
    found.pcr_gap_max_ms = found.pcr_gap_max_ms.max(gap_max as f64 / 27_000.0);
    found.faults.extend(faults);
}

fn pcr_step(
    clock: &mut Unwrap,
    last: &mut Option<i64>,
    value: u64,
    gap_max: &mut i64,
) -> Option<String> {
    let base = { *clock }.next(value / 300);
    if last.is_none() {
        clock.next(value / 300);
    }
    let now = base * 300 + i64::try_from(value % 300).expect("small");
    let gap = last.replace(now).map(|before| now - before)?;
    *gap_max = (*gap_max).max(gap);
    if gap <= 0 {
        return Some(format!("PCR runs back by {} ticks of 27 MHz", -gap));
    }
    (gap > PCR_GAP_MAX).then(|| format!("{:.1} ms since the last PCR", gap as f64 / 27_000.0))
}

/// EXTINF is the distance of first decode times, to the microsecond.
fn durations(got: &[Got], firsts: &[Option<i64>], (last, last_of_any): (i64, i64)) -> Vec<String> {
    let mut faults = Vec::new();
    for (n, one) in got.iter().enumerate() {
        let Some(Some(first)) = firsts.get(n) else { continue };
        let said = one.entry.extinf_us as i64;
        if let Some(Some(next)) = firsts.get(n + 1) {
            let real = (next - first) * 100 / 9; // us = ticks / 0.09
            if (said - real).abs() > 1 {
                faults.push(format!(
                    "segment {}: EXTINF {said} us, decode times say {real} us",
                    one.entry.sequence
                ));
            }
        } else {
            // Sound may go on after the last picture; a segment holds both.
            let least = (last - first) * 100 / 9;
            let most = (last_of_any - first).max(last - first) * 100 / 9 + 1_000_000;
            if said < least || said > most {
                faults.push(format!(
                    "segment {}: EXTINF {said} us, last unit begins after {least} us",
                    one.entry.sequence
                ));
            }
        }
    }
    faults
}

//! Where one segment follows another: does it continue, and is that what the playlist says (R6,
//! R14, R23)?
//!
//! Times are compared by their 33 bits, the short way round, so that a wrap is no break.
//! Source: draft-pantos-12 §3.4.11, §4; RFC 8216 §3, §4.3.2.1, §4.3.2.3.

use super::content::{Content, Transport, distance};
use super::finding::{Report, Site};
use super::track::Track;
use crate::limits::{HISTORY_BREAK_TICKS, HISTORY_EXTINF_TICKS_OFF_MAX};
use crate::time::Ticks;

/// A segment and what its playlist says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) content: &'a Content,
    pub(super) micros: u64,
}

/// Judges `next`, which stands behind `before`; `broken` is whether a DISCONTINUITY is between.
pub(super) fn judge(
    before: Side<'_>,
    next: Side<'_>,
    broken: bool,
    site: Site<'_>,
    report: &mut Report,
) {
    match (before.content, next.content) {
        (Content::Transport(a), Content::Transport(b)) => {
            if broken {
                alone(a, before.micros, site, report);
            } else if same_tracks(a, b, site, report) {
                times(a, b, site, report);
                counters(a, b, site, report);
                let apart = a.leader().and_then(|a| a.times).zip(b.leader().and_then(|b| b.times));
                let apart = apart.map(|(a, b)| distance(a.first, b.first));
                extinf(apart.unwrap_or(0), before.micros, site, report);
            }
        }
        (Content::Packed(a), Content::Packed(b)) => {
            let apart = distance(*a, *b);
            let said = ticks(before.micros);
            if !broken && (apart - said).abs() > HISTORY_EXTINF_TICKS_OFF_MAX.0 {
                let text = "its time is %a ms behind the segment before, whose EXTINF is %b ms";
                report.breach(site, 23, text, [millis(apart), before.micros / 1000]);
            }
        }
        (Content::Other, _) | (_, Content::Other) => {}
        (Content::Transport(_), Content::Packed(_))
        | (Content::Packed(_), Content::Transport(_)) => {
            if !broken {
                report.breach(site, 14, "the format changes without DISCONTINUITY", [0; 2]);
            }
        }
    }
}

/// Judges the duration of a segment that nothing continues.
pub(super) fn alone(content: &Transport, micros: u64, site: Site<'_>, report: &mut Report) {
    let times = content.leader().and_then(|track| track.times);
    extinf(times.map_or(0, super::track::Times::duration), micros, site, report);
}

/// The length of the content against EXTINF; 0 is not known.
fn extinf(apart: i64, micros: u64, site: Site<'_>, report: &mut Report) {
    if apart > 0 && (apart - ticks(micros)).abs() > HISTORY_EXTINF_TICKS_OFF_MAX.0 {
        let text = "EXTINF of the segment before is %b ms, its content lasts %a ms";
        report.breach(site, 6, text, [millis(apart), micros / 1000]);
    }
}

/// R14. False if they are so different that there is nothing more to compare.
fn same_tracks(a: &Transport, b: &Transport, site: Site<'_>, report: &mut Report) -> bool {
    let kinds = |one: &Track| (one.pid, one.stream_type);
    if !a.tracks.iter().map(kinds).eq(b.tracks.iter().map(kinds)) {
        report.breach(site, 14, "the tracks change without DISCONTINUITY", [0; 2]);
        return false;
    }
    for (a, b) in a.tracks.iter().zip(&b.tracks) {
        if let (Some((_, last)), Some((first, _))) = (a.parameters, b.parameters)
            && last != first
        {
            let text = "the parameters of pid %a change without DISCONTINUITY";
            report.breach(site, 14, text, [u64::from(a.pid), 0]);
            return false;
        }
    }
    true
}

/// R23, times of tracks and clock.
fn times(a: &Transport, b: &Transport, site: Site<'_>, report: &mut Report) {
    for (a, b) in a.tracks.iter().zip(&b.tracks) {
        let (Some(before), Some(next)) = (a.times, b.times) else { continue };
        if !continues(distance(before.last, next.first)) {
            let text = "the times of pid %a jump by %b ms without DISCONTINUITY";
            let jump = millis(distance(before.last, next.first));
            report.breach(site, 23, text, [u64::from(a.pid), jump]);
        }
    }
    if let (Some((_, last)), Some((first, _))) = (a.clock, b.clock)
        && !continues(distance(last, first))
    {
        let text = "the program clock jumps by %a ms without DISCONTINUITY";
        report.breach(site, 23, text, [millis(distance(last, first)), 0]);
    }
}

/// R23, continuity counters.
fn counters(a: &Transport, b: &Transport, site: Site<'_>, report: &mut Report) {
    for (pid, _, last) in &a.counters {
        let next = b.counters.iter().find(|(other, ..)| other == pid);
        if let Some((_, first, _)) = next
            && *first != (last + 1) & 15
        {
            let text = "the continuity counter of pid %a does not go on";
            report.breach(site, 23, text, [u64::from(*pid), 0]);
        }
    }
}

const fn continues(apart: i64) -> bool {
    apart > 0 && apart <= HISTORY_BREAK_TICKS.0
}

/// Ticks in so many microseconds.
pub(super) fn ticks(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(9) / 100
}

/// Milliseconds in so many ticks, either way.
const fn millis(ticks: i64) -> u64 {
    Ticks(ticks).micros().unsigned_abs() / 1000
}

//! Playlists of one presentation against each other (R60 to R65).
//!
//! Compared are the first playlist of a master playlist and each other one, by what both hold of
//! the same media time. Source: draft-pantos-12 §6.2.4, RFC 8216 §6.2.4.

use super::content::{Content, Transport, distance};
use super::finding::{Report, Site};
use super::follow::Media;
use super::joins::ticks;
use super::master::{Role, says};
use super::record::{Record, State};
use super::track::Codec;
use crate::limits::{
    HISTORY_APART_MAX, HISTORY_BANDWIDTH_PERCENT_MAX, HISTORY_DATE_MICROS_OFF_MAX,
};
use crate::time::{Instant, Ticks};

/// What two versions that stand side by side must have alike; `one` and `other` both have one.
pub(super) fn versions(one: &Media, other: &Media, now: Instant, report: &mut Report) {
    let (Some(a), Some(b)) = (&one.last, &other.last) else { return };
    let site = Site::new(now, &other.url);
    if let (Some(mine), Some(its)) = (a.target_s, b.target_s)
        && mine != its
    {
        let text = "variants have target durations of %a s and %b s";
        report.breach(site, 60, text, [mine, its]);
    }
    if a.kind != b.kind {
        report.breach(site, 60, "variants differ in PLAYLIST-TYPE", [0; 2]);
    }
}

/// Where two lists begin and end, once it is known what they hold.
pub(super) fn edges(one: &Media, other: &mut Media, now: Instant, report: &mut Report) {
    let is_rest = |role| matches!(role, Role::Variant | Role::Rendition);
    if !other.listed.as_ref().is_some_and(|listed| is_rest(listed.role)) {
        return;
    }
    // Two fetches are two moments: only what stays different is judged.
    let (Some(mine), Some(its)) = (span(one), span(other)) else { return };
    let fault = apart(one, mine, other, its);
    other.apart = if fault.is_some() { other.apart.saturating_add(1) } else { 0 };
    if let Some((rule, text)) = fault
        && other.apart == HISTORY_APART_MAX
    {
        report.breach(Site::new(now, &other.url), rule, text, [0; 2]);
    }
}

/// The first and the last segment of a list.
type Span<'a> = (&'a Record, &'a Record);

/// What is wrong with where two lists begin and end.
fn apart(
    one: &Media,
    (first, last): Span<'_>,
    other: &Media,
    (its_first, its_last): Span<'_>,
) -> Option<(u8, &'static str)> {
    let dated = |media: &Media| {
        let version = media.last.as_ref();
        version.is_some_and(|last| last.entries.iter().any(|entry| entry.date.is_some()))
    };
    if dated(one) != dated(other) {
        return Some((61, "one variant has dates, the other has none"));
    }
    let end =
        |record: &Record| time(record).map(|t| t.0.saturating_add(ticks(record.entry.micros)));
    let same_dsn = |a: &Record, b: &Record| a.entry.dsn == b.entry.dsn;
    if !same_dsn(first, its_first) && !same_dsn(last, its_last) {
        return Some((60, "variants have other discontinuity sequences all along"));
    }
    if !same_dsn(first, its_first) || !same_dsn(last, its_last) {
        return None;
    }
    let target =
        i64::try_from(one.target().as_micros()).unwrap_or(i64::MAX).saturating_mul(9) / 100;
    let leading = distance(time(first)?, time(its_first)?).abs();
    let trailing = distance(Ticks(end(last)?), Ticks(end(its_last)?)).abs();
    let whole = distance(time(first)?, Ticks(end(last)?));
    if leading > whole.max(target) {
        return Some((60, "variants have no times in common"));
    }
    if leading > target || trailing > target {
        return Some((64, "a variant begins or ends more than a target duration beside another"));
    }
    None
}

/// The first and the last listed segment, once their content is known.
fn span(media: &Media) -> Option<Span<'_>> {
    let mut listed = media.records.iter().filter(|record| record.grace.is_none());
    let first = listed.next()?;
    let last = listed.next_back().unwrap_or(first);
    (time(first).is_some() && time(last).is_some()).then_some((first, last))
}

/// What two segments of one media time must have alike.
pub(super) fn segments(mine: &Record, other: &Media, now: Instant, report: &mut Report) {
    let Some(start) = time(mine) else { return };
    let same = |record: &&Record| {
        time(record).is_some_and(|its| {
            let into = distance(its, start);
            into >= 0 && into < ticks(record.entry.micros)
        })
    };
    let site = Site::new(now, &mine.url);
    let mut at_once = other.records.iter().filter(same).peekable();
    let Some(first) = at_once.peek() else { return };
    let first = *first;
    // The same 33 bits may come again behind a discontinuity.
    let Some(its) = at_once.find(|record| record.entry.dsn == mine.entry.dsn) else {
        let text = "its discontinuity sequence is %a, that of the other variant at this time is %b";
        return report.breach(site, 60, text, [mine.entry.dsn, first.entry.dsn]);
    };
    if let (Some(date), Some(its_date), Some(its_start)) = (mine.date, its.date, time(its)) {
        let into = Ticks(distance(its_start, start)).micros();
        let off = its_date.saturating_add(into).abs_diff(date);
        if off > HISTORY_DATE_MICROS_OFF_MAX {
            let text = "its date is %a ms beside that of the other variant";
            report.breach(site, 61, text, [off / 1000, 0]);
        }
    }
    if let (Some(a), Some(b)) = (sound(mine), sound(its))
        && a.0 == b.0
        && a.1 != b.1
    {
        let text = "its audio is encoded otherwise than in the other variant";
        report.advice(site, 65, text, [0; 2]);
    }
}

/// Times and digest of the audio beside a segment's pictures. Where there are none it may be
/// another language, or for those who have little bandwidth.
fn sound(record: &Record) -> Option<((u64, u64, u32), u64)> {
    let State::Got(Content::Transport(transport)) = &record.state else { return None };
    transport.tracks.iter().find(|track| track.codec.is_video())?;
    let track = transport.tracks.iter().find(|track| track.codec.is_audio())?;
    let times = track.times?;
    Some(((times.first.wire(), times.last.wire(), times.steps), track.digest))
}

/// The media time at which a segment begins: when its first picture or sound is presented, which
/// variants have alike, in whatever order they are sent.
fn time(record: &Record) -> Option<Ticks> {
    match &record.state {
        State::Got(Content::Transport(transport)) => Some(transport.leader()?.times?.shows),
        State::Got(Content::Packed(time)) => Some(*time),
        State::Got(Content::Other) | State::Wanted(..) | State::Passed => None,
    }
}

/// R62, R63: what the master playlist says of a variant against what it holds.
pub(super) fn said(record: &Record, media: &Media, now: Instant, report: &mut Report) {
    let Some(listed) = media.listed.as_ref().filter(|one| one.role == Role::Variant) else {
        return;
    };
    let State::Got(Content::Transport(transport)) = &record.state else { return };
    let site = Site::new(now, &media.url);
    codecs(transport, &listed.codecs, site, report);
    // RFC 8216 §4.1: the rate of what lasts at least half a target duration.
    let micros = u128::from(record.entry.micros);
    if listed.bandwidth == 0 || micros * 2 < media.target().as_micros() {
        return;
    }
    let rate = u128::from(record.bytes) * 8_000_000 / micros.max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    if rate / 100 > listed.bandwidth / 100 * HISTORY_BANDWIDTH_PERCENT_MAX / 100 {
        let text = "BANDWIDTH is %b, a segment has %a bits per second";
        report.breach(site, 62, text, [rate, listed.bandwidth]);
    }
}

fn codecs(transport: &Transport, said: &str, site: Site<'_>, report: &mut Report) {
    let unsaid = |codec: Codec| !codec.names().is_empty() && !says(said, codec.names());
    let tracks = transport.tracks.iter().filter(|track| track.times.is_some());
    if !said.is_empty() && tracks.into_iter().any(|track| unsaid(track.codec)) {
        report.breach(site, 63, "CODECS leaves out a format that is there", [0; 2]);
    }
}

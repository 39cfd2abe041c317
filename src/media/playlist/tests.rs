//! The rules of a live playlist, one by one and over any history.

use super::*;
use crate::limits::{
    DATE_RANGE_BYTES_MAX, DATE_RANGES_MAX, GROUP_TAGS_BYTES_MAX, GROUP_TAGS_MAX,
    PLAYLIST_BYTES_MAX, PLAYLIST_HEAD_BYTES_MAX, PLAYLIST_SEGMENTS_MAX, REST_US_MAX,
};
use crate::wire::writer::Writer;
use core::time::Duration;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;

fn config() -> PlaylistConfig {
    PlaylistConfig {
        segment: Ticks::from_millis(6_000),
        window_segments: 5,
        listed_max: PLAYLIST_SEGMENTS_MAX,
        kind: PlaylistKind::Live { window: Ticks::ZERO },
        target_duration_s: None,
        media_sequence: 0,
        discontinuity_sequence: 0,
    }
}

fn segment(ms: i64) -> Closed {
    Closed { duration: Ticks::from_millis(ms), discontinuity: false, independent: true, slot: 0 }
}

fn text(playlist: &Playlist) -> String {
    let mut buffer = vec![0; PLAYLIST_BYTES_MAX];
    let mut w = Writer::new(&mut buffer);
    playlist.emit(&mut w, 0xab).unwrap();
    String::from_utf8(w.written().to_vec()).unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * SECOND)
}

/// A playlist that took `n` segments of 6 s in real time, and the time after.
fn steady(config: PlaylistConfig, n: u64) -> (Playlist, u64) {
    let mut p = Playlist::new(config);
    for i in 1..=n {
        assert!(p.closed(at(6 * i), segment(6_000)).updated);
        p.check_invariants();
    }
    (p, 6 * n)
}

#[test]
fn playlist_is_not_listed_before_its_first_segment() {
    let mut p = Playlist::new(config());
    assert!(!p.is_listed());
    assert_eq!(p.poll(at(100)), Change::default());
    assert_eq!(p.end(at(100)), Change::default());
    assert!(p.closed(at(101), segment(6_000)).updated);
    assert!(p.is_listed());
    assert_eq!(
        text(&p),
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXTINF:6.000000,\n000000ab-0.ts\n"
    );
}

#[test]
fn r9_r10_target_is_settled_by_the_first_segment_with_room_to_grow() {
    // 1.05 × first ≤ T + 0.499 and T ≥ the configured 6 s.
    for (ms, target) in [(500, 6), (6_000, 6), (6_189, 6), (6_190, 7), (10_000, 11), (10_500, 11)] {
        let mut p = Playlist::new(config());
        let _ = p.closed(at(0), segment(ms));
        assert_eq!(p.target_duration_s(), Some(target), "{ms}");
        let _ = p.closed(at(9), segment(2_000));
        assert_eq!(p.target_duration_s(), Some(target), "constant");
    }
}

#[test]
fn r10_target_by_setting_is_not_moved_by_segments() {
    for (setting, target) in [(0, 1), (8, 8), (1_000, TARGET_DURATION_S_MAX)] {
        let mut p = Playlist::new(PlaylistConfig { target_duration_s: Some(setting), ..config() });
        assert_eq!(p.target_duration_s(), Some(target));
        let _ = p.closed(at(0), segment(6_000));
        assert_eq!(p.target_duration_s(), Some(target));
    }
}

#[test]
fn cut_limit_is_bounded_before_and_exact_after_the_target_is_settled() {
    let mut p = Playlist::new(config());
    assert_eq!(p.cut_limit(), Ticks::from_millis(FIRST_SEGMENT_MS_MAX));
    let _ = p.closed(at(0), segment(6_000));
    assert_eq!(p.cut_limit(), Ticks::from_millis(6_499));
    let long = Playlist::new(PlaylistConfig { segment: Ticks::from_millis(20_000), ..config() });
    assert_eq!(long.cut_limit(), Ticks::from_millis(30_000));
}

#[test]
fn r9_segment_over_the_limit_is_listed_at_the_limit_and_counted() {
    let status = Status::new();
    let (mut p, now) = steady(config(), 1);
    let most = 6_000 + TARGET_EXCESS_MS_MAX;
    let _ = p.closed(at(now + 7), segment(most));
    assert!(text(&p).contains("#EXTINF:6.499000,"));
    p.report(&status);
    assert_eq!(status.get(Counter::SegmentsOverlong), 0);
    let _ = p.closed(at(now + 14), segment(most + 1));
    assert_eq!(text(&p).matches("#EXTINF:6.499000,").count(), 2);
    p.report(&status);
    assert_eq!(status.get(Counter::SegmentsOverlong), 1);
    assert_eq!(status.get(Counter::Segments), 3);
}

#[test]
fn r33_media_sequence_rises_with_each_removal_from_its_start() {
    let (p, _) = steady(PlaylistConfig { media_sequence: 1_000, ..config() }, 9);
    assert_eq!(p.media_sequence(), 1_004);
    assert_eq!(p.next_sequence(), 1_009);
    assert!(text(&p).contains("#EXT-X-MEDIA-SEQUENCE:1004\n"));
    assert!(text(&p).contains("\n000000ab-1004.ts\n"));
    assert_eq!(p.listed().count(), 5);
}

#[test]
fn r34_three_targets_remain_though_the_window_is_smaller() {
    let (mut p, mut now) = steady(config(), 5);
    for _ in 0..40 {
        now += 3;
        let _ = p.closed(at(now), segment(1_000));
        assert!(p.micros() >= 18 * SECOND);
        p.check_invariants();
    }
    assert_eq!(p.listed().count(), 18, "18 of 1 s, and none more than needed");
}

#[test]
fn r34_yields_only_where_there_is_no_room() {
    let status = Status::new();
    let mut p = Playlist::new(PlaylistConfig { listed_max: 10, ..config() });
    for i in 0..30 {
        let _ = p.closed(at(3 * i), segment(1_000));
        p.check_invariants();
    }
    assert_eq!(p.listed().count(), 7);
    p.report(&status);
    assert_eq!(status.get(Counter::WindowCut), 23);
}

#[test]
fn r34_window_is_reached_over_several_versions() {
    let mut p = Playlist::new(PlaylistConfig { window_segments: 3, ..config() });
    let _ = p.closed(at(0), segment(6_000));
    for i in 1..=30 {
        let _ = p.closed(at(3 * i), segment(600));
    }
    // Three targets in long segments: from now on the short ones may all leave.
    let retired: Vec<_, 8> =
        (1..8).map(|i| p.closed(at(90 + 6 * i), segment(6_000)).retired.len()).collect();
    assert!(retired.contains(&RETIRED_PER_UPDATE_MAX), "{retired:?}");
    assert_eq!(p.listed().count(), 3);
}

#[test]
fn window_is_moved_to_its_bound() {
    let listed = |window_segments| {
        let wide = PlaylistConfig { window_segments, ..config() };
        steady(wide, 100).0.listed().count()
    };
    assert_eq!(listed(WINDOW_MAX), WINDOW_MAX);
    assert_eq!(listed(WINDOW_MAX + 1), WINDOW_MAX);
}

#[test]
fn r35_retired_segment_is_kept_for_itself_and_the_longest_list() {
    let (mut p, now) = steady(config(), 5);
    let change = p.closed(at(now + 6), segment(6_000));
    let wanted = Retired { slot: 0, sequence: 0, keep_until: at(now + 6 + 6 + 30) };
    assert_eq!(change.retired.as_slice(), [wanted]);
}

#[test]
fn r36_discontinuity_sequence_rises_when_the_tag_leaves() {
    // The sheet's example: [A][B][D C][E].
    let mut p =
        Playlist::new(PlaylistConfig { window_segments: 3, media_sequence: 10, ..config() });
    let mut now = 0;
    let mut push = |p: &mut Playlist, discontinuity| {
        now += 6;
        let _ = p.closed(at(now), Closed { discontinuity, ..segment(6_000) });
        (p.media_sequence(), p.discontinuity_sequence())
    };
    for (discontinuity, wanted) in [
        (false, (10, 0)),
        (false, (10, 0)),
        (true, (10, 0)),
        (false, (11, 0)),
        (false, (12, 0)),
        (false, (13, 1)),
    ] {
        assert_eq!(push(&mut p, discontinuity), wanted);
    }
    assert!(text(&p).contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    assert!(!text(&p).contains("#EXT-X-DISCONTINUITY\n"));
}

#[test]
fn r37_version_waits_for_half_a_target_after_the_one_before() {
    let (mut p, now) = steady(config(), 1);
    assert_eq!(p.deadline(), None);
    assert!(!p.closed(at(now + 1), segment(1_000)).updated);
    assert_eq!(p.deadline(), Some(at(now + 3)));
    assert!(!p.poll(Instant(at(now + 3).0 - 1)).updated);
    assert_eq!(p.listed().count(), 1);
    assert!(p.poll(at(now + 3)).updated);
    assert_eq!(p.listed().count(), 2);
    assert_eq!(p.deadline(), None);
}

/// Closes a segment that has a date, if `dated`.
fn close(p: &mut Playlist, seconds: u64, ms: i64, dated: bool) -> bool {
    let date = dated.then_some(UnixMillis(seconds * 1_000));
    p.closed_with(at(seconds), segment(ms), Marks { date, ..Marks::default() }).updated
}

#[test]
fn rest_is_not_the_last_of_a_playlist_with_dates() {
    let rest = i64::try_from(REST_US_MAX / 1_000).unwrap();
    for (dated, ms, waits) in [(true, rest - 1, true), (true, rest, false), (false, 80, false)] {
        let mut p = Playlist::new(config());
        assert!(close(&mut p, 6, 6_000, dated));
        assert_eq!(close(&mut p, 12, ms, dated), !waits, "{ms}");
        // The camera is away for as long as it likes.
        assert_eq!(p.deadline(), None);
        assert!(!p.poll(Instant(u64::MAX)).updated);
        assert_eq!(p.listed().count(), if waits { 1 } else { 2 }, "{ms}");
        assert!(close(&mut p, 90, 6_000, dated), "with the next, at once");
        assert_eq!(p.listed().count(), 3);
        p.check_invariants();
    }
}

#[test]
fn rest_is_listed_at_the_end_and_where_too_many_wait() {
    let mut p = Playlist::new(config());
    close(&mut p, 6, 6_000, true);
    assert!(!close(&mut p, 12, 80, true));
    assert!(p.end(at(13)).updated);
    assert_eq!(p.listed().count(), 2);
    let mut p = Playlist::new(config());
    close(&mut p, 6, 6_000, true);
    for n in 1..=PENDING_SEGMENTS_MAX {
        assert!(!close(&mut p, 12 * u64::try_from(n).unwrap(), 80, true), "a camera that flaps");
    }
    assert!(close(&mut p, 99, 80, true));
    assert_eq!((p.listed().count(), p.counts.updates_early), (2 + PENDING_SEGMENTS_MAX, 1));
}

#[test]
fn r37_burst_is_published_early_and_counted() {
    let status = Status::new();
    let (mut p, now) = steady(config(), 1);
    for _ in 0..PENDING_SEGMENTS_MAX {
        assert!(!p.closed(at(now), segment(6_000)).updated);
    }
    assert!(p.closed(at(now), segment(6_000)).updated);
    assert_eq!(p.listed().count(), 1 + PENDING_SEGMENTS_MAX + 1);
    p.report(&status);
    assert_eq!(status.get(Counter::UpdatesEarly), 1);
}

#[test]
fn r38_end_lists_what_waits_and_is_final() {
    let (mut p, now) = steady(config(), 2);
    let _ = p.closed(at(now + 1), segment(1_000));
    assert!(p.end(at(now + 1)).updated);
    let ended = text(&p);
    assert!(ended.ends_with("-2.ts\n#EXT-X-ENDLIST\n"));
    let change = p.closed(at(now + 9), Closed { slot: 7, ..segment(6_000) });
    assert!(!change.updated);
    assert_eq!(change.retired[0].slot, 7, "given back");
    assert!(!p.poll(at(now + 99)).updated && !p.end(at(now + 99)).updated);
    assert_eq!(text(&p), ended);
    p.check_invariants();
}

#[test]
fn r40_live_playlist_has_no_type() {
    assert!(!text(&steady(config(), 9).0).contains("PLAYLIST-TYPE"));
}

#[test]
fn independent_segments_goes_with_the_first_forced_cut_for_good() {
    let tag = "#EXT-X-INDEPENDENT-SEGMENTS\n";
    let (mut p, now) = steady(config(), 2);
    assert!(text(&p).contains(tag));
    let forced = Closed { independent: false, ..segment(6_000) };
    let _ = p.closed(at(now + 6), forced);
    for i in 2..20 {
        assert!(!text(&p).contains(tag));
        let _ = p.closed(at(now + 6 * i), segment(6_000));
    }
}

#[test]
fn r12_r36_r60_each_tag_of_a_segment_counts_and_leaves_with_it() {
    let (mut p, now) = steady(config(), 2);
    let marks = Marks { passed: GROUP_TAGS_MAX - 1, ..Marks::default() };
    let broken = Closed { discontinuity: true, ..segment(6_000) };
    let before = text(&p).len();
    assert!(p.closed_with(at(now + 6), broken, marks).updated);
    let tags = "#EXT-X-DISCONTINUITY\n".repeat(GROUP_TAGS_MAX.into());
    assert!(text(&p).contains(&format!("ab-1.ts\n{tags}#EXTINF")), "{}", text(&p));
    let own = "#EXT-X-DISCONTINUITY\n#EXTINF:6.000000,\n000000ab-2.ts\n".len();
    assert_eq!(text(&p).len(), before + own + GROUP_TAGS_BYTES_MAX);
    assert_eq!((p.discontinuity_sequence(), p.discontinuities()), (0, GROUP_TAGS_MAX.into()));
    for i in 2..20 {
        assert!(p.closed(at(now + 6 * i), segment(6_000)).updated);
    }
    assert_eq!(p.discontinuity_sequence(), GROUP_TAGS_MAX.into());
    assert_eq!(p.discontinuities(), GROUP_TAGS_MAX.into());
}

#[test]
fn r10_target_duration_of_others_is_taken_over_once() {
    let mut p = Playlist::new(config());
    p.settle(None);
    p.settle(Some(4));
    p.settle(Some(9));
    assert!(p.closed(at(1), segment(2_000)).updated);
    assert_eq!(p.target_duration_s(), Some(4));
}

#[test]
fn largest_playlist_fits_its_bound() {
    let mut p = Playlist::new(PlaylistConfig {
        segment: Ticks::from_millis(60_000),
        media_sequence: u64::MAX - 1_000,
        discontinuity_sequence: u64::MAX - 1_000,
        window_segments: 60,
        target_duration_s: Some(60),
        ..config()
    });
    for i in 0..300 {
        let (method, epoch) = (Method::SampleAes, u32::MAX);
        p.set_key(Some(KeyTag { method, epoch, number: u64::MAX - i }));
        let closed = Closed {
            discontinuity: true,
            independent: i > 200,
            ..segment(if i % 70 == 0 { 60_499 } else { 1_001 })
        };
        let marks = Marks { passed: GROUP_TAGS_MAX - 1, ..Marks::default() };
        let _ = p.closed_with(at(31 * i), closed, marks);
        p.check_invariants();
        assert!(text(&p).len() < PLAYLIST_BYTES_MAX);
    }
    assert!(p.listed().count() > 60);
}

#[test]
fn longest_head_fits_its_bound() {
    for kind in [PlaylistKind::Event, config().kind] {
        let mut p = Playlist::new(PlaylistConfig {
            kind,
            media_sequence: u64::MAX - 100,
            discontinuity_sequence: u64::MAX - 100,
            target_duration_s: Some(60),
            ..config()
        });
        p.advise(Advice { start_offset_s: u32::MAX, independent: true });
        p.set_key(Some(KeyTag { method: Method::SampleAes, epoch: u32::MAX, number: u64::MAX }));
        for n in 0..DATE_RANGES_MAX {
            let id = format!("{n:0>width$}", width = DATE_RANGE_BYTES_MAX - 75);
            p.date_range(DateRange::new(&id, "", UnixMillis(0), None).unwrap()).unwrap();
        }
        let marks = Marks { date: Some(UnixMillis(0)), ..Marks::default() };
        for n in 0..20 {
            let _ = p.closed_with(at(60 * n), segment(60_000), marks);
        }
        let mut head = vec![0; PLAYLIST_HEAD_BYTES_MAX];
        p.emit_head(&mut Writer::new(&mut head)).unwrap();
    }
}

#[test]
fn r13_r40_event_has_its_type_and_no_discontinuity_sequence() {
    let (p, _) = steady(PlaylistConfig { kind: PlaylistKind::Event, ..config() }, 100);
    let text = text(&p);
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n"), "{text}");
    assert!(!text.contains("DISCONTINUITY-SEQUENCE"));
    assert_eq!(p.listed().count(), 100, "nothing left");
    assert_eq!(p.micros(), 600 * SECOND);
}

#[test]
fn r31_full_event_takes_no_segment_more_and_ends() {
    let event = PlaylistConfig { kind: PlaylistKind::Event, listed_max: 20, ..config() };
    let (mut p, now) = steady(event, 19);
    assert!(!p.is_full());
    assert!(p.closed(at(now + 6), segment(6_000)).updated);
    assert!(p.is_full());
    let change = p.closed(at(now + 12), Closed { slot: 5, ..segment(6_000) });
    assert!(!change.updated);
    assert_eq!(change.retired[0].slot, 5, "given back");
    assert!(p.end(at(now + 12)).updated);
    assert!(text(&p).ends_with("-19.ts\n#EXT-X-ENDLIST\n"));
}

#[test]
fn window_by_time_is_kept_whole_and_no_longer() {
    let window = Ticks::from_millis(600_000);
    let dvr = PlaylistConfig {
        kind: PlaylistKind::Live { window },
        listed_max: PLAYLIST_SEGMENTS_MAX,
        ..config()
    };
    let (mut p, now) = steady(dvr, 100);
    assert_eq!(p.listed().count(), 100);
    assert!(p.is_whole() && p.is_long());
    for i in 1..50 {
        let change = p.closed(at(now + 6 * i), segment(6_000));
        assert_eq!(change.retired.len(), 1);
        let kept = change.retired[0].keep_until;
        assert_eq!(kept, at(now + 6 * i + 6 + 600), "R35");
    }
    assert_eq!(p.micros(), 600 * SECOND);
    p.check_invariants();
}

#[test]
fn r34_squeezed_window_shrinks_to_three_targets_and_grows_again() {
    let status = Status::new();
    let window = Ticks::from_millis(300_000);
    let dvr = PlaylistConfig { kind: PlaylistKind::Live { window }, ..config() };
    let (mut p, mut now) = steady(dvr, 60);
    let mut push = |p: &mut Playlist| {
        now += 6;
        let change = p.closed(at(now), segment(6_000));
        p.check_invariants();
        (change.retired.len(), p.micros() / SECOND)
    };
    assert_eq!(push(&mut p), (1, 300));
    p.squeeze(Some(200 * SECOND));
    assert_eq!(push(&mut p), (RETIRED_PER_UPDATE_MAX, 300 + 6 - 48));
    for _ in 0..20 {
        push(&mut p);
    }
    assert_eq!(push(&mut p), (1, 204), "no shorter than was asked");
    p.squeeze(Some(0));
    for _ in 0..20 {
        push(&mut p);
    }
    assert_eq!(push(&mut p), (1, 18), "R34: three targets of 6 s");
    p.squeeze(None);
    for n in 1..=20 {
        assert_eq!(push(&mut p), (0, 18 + 6 * n));
    }
    p.report(&status);
    assert!(status.get(Counter::WindowShortened) >= 47);
    assert_eq!(status.get(Counter::WindowCut), 0);
}

#[test]
fn r41_presentation_taken_down_is_kept_for_as_long_as_it_lasted() {
    let (mut p, now) = steady(config(), 9);
    assert!(p.end(at(now)).updated);
    let gone: std::vec::Vec<_> = core::iter::from_fn(|| p.take_down(at(now + 30))).collect();
    assert_eq!(gone.iter().map(|r| r.sequence).collect::<std::vec::Vec<_>>(), [4, 5, 6, 7, 8]);
    assert!(gone.iter().all(|r| r.keep_until == at(now + 30 + 6 + 30)));
    let (sequence, tags) = (p.media_sequence(), p.discontinuity_sequence());
    p.renew(PlaylistConfig { media_sequence: sequence, discontinuity_sequence: tags, ..config() });
    assert!(!p.is_listed() && !p.is_ended());
    let _ = p.closed(at(now + 99), segment(6_000));
    assert!(text(&p).contains("#EXT-X-MEDIA-SEQUENCE:9\n"), "R11");
    p.check_invariants();
}

#[test]
fn playlist_takes_no_more_segments_than_any_may_have() {
    let most = usize::try_from(PLAYLIST_ENTRIES_MAX).unwrap();
    let wide = PlaylistConfig { kind: PlaylistKind::Event, listed_max: most + 9, ..config() };
    let mut p = Playlist::new(wide);
    for i in 0..=PLAYLIST_ENTRIES_MAX {
        assert_eq!(p.is_full(), i == PLAYLIST_ENTRIES_MAX);
        let _ = p.closed(at(6 * u64::from(i)), segment(6_000));
    }
    assert_eq!(p.listed().count(), most);
}

/// One version as a player reads it; shares nothing with the code under test.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    at: u64,
    target: u64,
    sequence: u64,
    discontinuity_sequence: u64,
    independent: bool,
    ended: bool,
    event: bool,
    /// Microseconds, discontinuity, URI.
    segments: std::vec::Vec<(u64, bool, String)>,
}

impl Snapshot {
    fn read(at: u64, text: &str) -> Self {
        let mut s = Self { at, ..Self::default() };
        let mut seen = std::collections::BTreeSet::new();
        let (mut micros, mut discontinuity) = (None, false);
        assert_eq!(text.lines().next(), Some("#EXTM3U"), "R1");
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("#EXTINF:") {
                let (whole, fraction) = value.strip_suffix(',').unwrap().split_once('.').unwrap();
                assert_eq!(fraction.len(), 6);
                micros = Some(format!("{whole}{fraction}").parse().unwrap());
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if line.starts_with('#') {
                let (tag, value) = line.split_once(':').unwrap_or((line, "0"));
                assert!(seen.insert(tag.to_owned()), "R9, R11, R12, R15, R44: {tag} twice");
                if tag == "#EXT-X-PLAYLIST-TYPE" {
                    assert_eq!(value, "EVENT", "R40");
                    s.event = true;
                    continue;
                }
                let value = value.parse().unwrap();
                match tag {
                    "#EXT-X-TARGETDURATION" => s.target = value,
                    "#EXT-X-MEDIA-SEQUENCE" => s.sequence = value,
                    "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                        assert!(s.segments.is_empty() && !discontinuity, "R12");
                        s.discontinuity_sequence = value;
                    }
                    "#EXT-X-INDEPENDENT-SEGMENTS" => s.independent = true,
                    "#EXT-X-ENDLIST" => s.ended = true,
                    "#EXTM3U" | "#EXT-X-VERSION" => {}
                    _ => panic!("unknown tag {tag}"),
                }
            } else {
                let micros: u64 = micros.take().expect("R6");
                let discontinuity = core::mem::take(&mut discontinuity);
                s.segments.push((micros, discontinuity, line.to_owned()));
            }
        }
        assert!(!s.segments.is_empty(), "never empty");
        assert!(seen.contains("#EXT-X-TARGETDURATION"), "R9");
        assert!(!s.event || !seen.contains("#EXT-X-DISCONTINUITY-SEQUENCE"), "R13");
        for (micros, ..) in &s.segments {
            assert!((micros + 500_000) / 1_000_000 <= s.target, "R9: {micros}");
        }
        s
    }

    fn total(&self) -> u64 {
        self.segments.iter().map(|s| s.0).sum()
    }

    /// Checks the change from `old` to this version.
    fn follows(&self, old: &Self) {
        assert!(!old.ended, "R31: ENDLIST is final");
        assert_eq!(self.target, old.target, "R10");
        assert!(self.sequence >= old.sequence, "R11");
        let gone = usize::try_from(self.sequence - old.sequence).unwrap();
        assert!(gone <= old.segments.len(), "R32: nothing leaves unseen");
        assert_eq!(self.event, old.event, "R40");
        assert!(!self.event || gone == 0, "R40: nothing leaves an event");
        let kept = &old.segments[gone..];
        assert!(self.segments.starts_with(kept), "R31, R32, R33: old lines stay as they were");
        let added = self.segments.len() - kept.len();
        let tags = old.segments[..gone].iter().filter(|s| s.1).count();
        let raised = self.discontinuity_sequence - old.discontinuity_sequence;
        assert_eq!(raised, u64::try_from(tags).unwrap(), "R12, R36");
        assert!(gone == 0 || self.total() >= 3 * self.target * SECOND, "R34");
        assert!(old.independent || !self.independent, "never comes back");
        if !self.ended {
            assert!(added > 0, "R37: a new segment in each version");
            let early = self.at - old.at < self.target * SECOND / 2;
            assert!(!early || added > 2, "R37");
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    wait_ms: u64,
    ms: i64,
    discontinuity: bool,
    independent: bool,
    slot: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![2 => 0u64..500, 5 => 1_000u64..7_000, 1 => 0u64..60_000];
    let ms = prop_oneof![6 => 1_500i64..6_600, 2 => 200i64..1_500, 1 => 6_400i64..15_000];
    (wait, ms, 0u8..8, 0u8..30, any::<usize>()).prop_map(|(wait_ms, ms, d, i, slot)| Step {
        wait_ms,
        ms,
        discontinuity: d == 0,
        independent: i != 0,
        slot,
    })
}

/// Feeds `steps` to a playlist and keeps every version.
fn live(config: PlaylistConfig, steps: &[Step], ends: bool) {
    let mut p = Playlist::new(config);
    let mut history: std::vec::Vec<Snapshot> = std::vec::Vec::new();
    let mut retired_all = std::vec::Vec::new();
    let mut now = Instant(7);
    let mut see = |p: &Playlist, now: Instant, change: Change| {
        p.check_invariants();
        if change.updated {
            let snapshot = Snapshot::read(now.0, &text(p));
            if let Some(old) = history.last() {
                snapshot.follows(old);
            }
            history.push(snapshot);
        }
        for retired in change.retired {
            assert!(!p.listed().any(|l| l.sequence == retired.sequence));
            retired_all.push((now.0, retired));
        }
    };
    for step in steps {
        let until = now.after(Duration::from_millis(step.wait_ms));
        // The service's tick of 100 ms.
        while now < until {
            now = until.min(now.after(Duration::from_millis(100)));
            let change = p.poll(now);
            see(&p, now, change);
        }
        let closed = Closed {
            duration: Ticks::from_millis(step.ms),
            discontinuity: step.discontinuity,
            independent: step.independent,
            slot: step.slot,
        };
        let change = p.closed(now, closed);
        see(&p, now, change);
    }
    if ends {
        let change = p.end(now);
        see(&p, now, change);
    }
    check_whole(&history, steps, &config);
    for (when, retired) in retired_all {
        let name = format!("000000ab-{}.ts", retired.sequence);
        let listing = |s: &&Snapshot| s.segments.iter().any(|s| s.2 == name);
        let longest = history.iter().filter(listing).map(Snapshot::total).max();
        let index = usize::try_from(retired.sequence - config.media_sequence).unwrap();
        assert_eq!(retired.slot, steps[index].slot, "the slot of that sequence");
        let own = history.iter().find(listing).unwrap();
        let own = own.segments.iter().find(|s| s.2 == name).unwrap().0;
        assert!(retired.keep_until.0 >= when + own + longest.unwrap(), "R35");
    }
}

/// Checks what only the whole history and the input together show.
fn check_whole(history: &[Snapshot], steps: &[Step], config: &PlaylistConfig) {
    for s in history {
        let first = usize::try_from(s.sequence - config.media_sequence).unwrap();
        for (n, (micros, discontinuity, uri)) in (0..).zip(&s.segments) {
            let step = &steps[first + usize::try_from(n).unwrap()];
            assert_eq!(uri, &format!("000000ab-{}.ts", s.sequence + n));
            assert_eq!(*discontinuity, step.discontinuity);
            assert!(!s.independent || step.independent, "truthful");
            let ms = step.ms.unsigned_abs().min(s.target * 1_000 + 499);
            assert!(micros.abs_diff(ms * 1_000) <= 1);
        }
        // Discontinuity sequence of the last segment, counted from the input alone.
        let last = first + s.segments.len();
        let tags = steps[..last].iter().filter(|s| s.discontinuity).count();
        let listed = s.segments.iter().filter(|s| s.1).count();
        let gone = u64::try_from(tags - listed).unwrap();
        let before = if s.event { 0 } else { config.discontinuity_sequence };
        assert_eq!(s.discontinuity_sequence, before + gone);
    }
}

proptest! {
    #[test]
    fn r9_to_r12_and_r31_to_r37_hold_over_any_history(
        steps in prop::collection::vec(step(), 1..120),
        window_segments in 0usize..70,
        target_duration_s in prop_oneof![Just(None), (1u32..9).prop_map(Some)],
        media_sequence in 0u64..1_000_000,
        discontinuity_sequence in 0u64..1_000,
        window_ms in prop_oneof![3 => Just(0i64), 1 => 1i64..300_000],
        event in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let window = Ticks::from_millis(window_ms);
        let config = PlaylistConfig {
            kind: if event { PlaylistKind::Event } else { PlaylistKind::Live { window } },
            window_segments,
            target_duration_s,
            media_sequence,
            discontinuity_sequence,
            ..config()
        };
        live(config, &steps, ends);
    }
}

/// The key that begins with the segment `number`.
fn key(number: u64) -> KeyTag {
    KeyTag { method: Method::Aes128, epoch: 0xab, number }
}

/// The key of each listed segment, as who reads only this version sees it.
fn keys_seen(text: &str) -> std::vec::Vec<Option<u64>> {
    let mut key = None;
    let mut seen = std::vec::Vec::new();
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("#EXT-X-KEY:METHOD=") {
            let number = list.strip_prefix("AES-128,URI=\"000000ab-");
            key = number.map(|number| number.strip_suffix(".key\"").unwrap().parse().unwrap());
            assert!(key.is_some() || list == "NONE", "R53: {list}");
        } else if !line.starts_with('#') {
            seen.push(key);
        }
    }
    seen
}

#[test]
fn key_stands_above_the_first_segment_of_each_and_at_the_top_of_every_version() {
    let mut p = Playlist::new(config());
    for n in 0..20 {
        p.set_key(Some(key(n / 3 * 3)));
        let _ = p.closed(at(6 * (n + 1)), segment(6_000));
        let text = text(&p);
        let first = p.media_sequence();
        let want: std::vec::Vec<_> = (first..=n).map(|n| Some(n / 3 * 3)).collect();
        assert_eq!(keys_seen(&text), want, "R50, R52\n{text}");
        let mut keys = want;
        keys.dedup();
        assert_eq!(text.matches("#EXT-X-KEY").count(), keys.len(), "{text}");
        assert!(text.contains("#EXT-X-VERSION:3\n"), "R8");
    }
}

#[test]
fn clear_segments_behind_encrypted_ones_are_marked_as_clear() {
    let mut p = Playlist::new(config());
    for n in 0..9u64 {
        p.set_key((n / 3 != 1).then(|| key(n / 3 * 3)));
        let _ = p.closed(at(6 * (n + 1)), segment(6_000));
        let text = text(&p);
        let of = |n: u64| (n / 3 != 1).then_some(n / 3 * 3);
        let want: std::vec::Vec<_> = (p.media_sequence()..=n).map(of).collect();
        assert_eq!(keys_seen(&text), want, "R50, R53\n{text}");
    }
    let text = text(&p);
    assert_eq!(text.matches("METHOD=NONE").count(), 0, "a top of clear segments needs no tag");
    let lines = "#EXTINF:6.000000,\n000000ab-5.ts\n#EXT-X-KEY:METHOD=AES-128,\
                 URI=\"000000ab-6.key\"\n#EXTINF";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn version_rises_with_the_method_that_needs_it() {
    let mut p = Playlist::new(config());
    p.set_key(Some(KeyTag { method: Method::SampleAes, ..key(0) }));
    let _ = p.closed(at(6), segment(6_000));
    let text = text(&p);
    assert!(text.contains("#EXT-X-VERSION:5\n"), "R8\n{text}");
    assert!(text.contains("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"000000ab-0.key\",IV=0x"), "{text}");
}

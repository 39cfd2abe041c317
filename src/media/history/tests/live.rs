//! Rules over time: R26, R30 to R43.

use super::*;
use crate::limits::{HISTORY_RETRY_MICROS, HISTORY_TRIES_MAX, PLAYLIST_TARGETS_MIN};

/// Changes the texts of versions `from` and later.
fn since(from: usize, n: usize, text: String, change: impl Fn(String) -> String) -> String {
    if n < from { text } else { change(text) }
}

#[test]
fn r26_segment_is_there_whole_when_it_is_listed() {
    let live = Live::new();
    let mut bench = live.bench(same);
    bench.pages.retain(|page| page.url != live.segment_url(4));
    assert_eq!(bench.run(live.until_ms()), ["R26", "R35"]);
    let mut bench = live.bench(same);
    let page = bench.pages.iter_mut().find(|page| page.url == live.segment_url(14)).unwrap();
    page.length = Some(1 << 20);
    // Tried a few times, since a server may be between two lives.
    let wait_ms = HISTORY_RETRY_MICROS / 1000 * u64::from(HISTORY_TRIES_MAX);
    assert_eq!(bench.run(live.until_ms() + wait_ms), ["R26"]);
}

#[test]
fn r30_playlist_is_never_seen_half_written() {
    let live = Live::new();
    let mut bench = live.bench(same);
    let half = &live.text(9).into_bytes()[..150];
    let page = Page { length: Some(400), ..Page::new(19_000, &live.url(), half) };
    bench.pages.push(page);
    assert_eq!(bench.run(live.until_ms()), ["R30"]);
}

#[test]
fn r31_listed_lines_and_bytes_never_change() {
    let live = Live::new();
    let edits: [Edit; 3] = [
        |n, text| since(11, n, text, |text| text.replace("9.ts", "n.ts")),
        |n, text| since(11, n, text, |text| text.replace("2.000,\n9", "2.001,\n9")),
        |n, text| since(11, n, text, |text| text.replace("2.000,\n9", "2.000,x\n9")),
    ];
    for edit in edits {
        assert_eq!(live.found(edit), ["R31"]);
    }
    let mut bench = live.bench(same);
    bench.pages.push(Page::new(17_000, &live.segment_url(1), vec![0x47; 188]));
    assert_eq!(bench.run(live.until_ms()), ["R31"], "a name that means two segments");
}

#[test]
fn r31_tags_of_the_whole_playlist_stay_and_dates_may_begin_a_window() {
    let live = Live::new();
    let goes = live.found(|n, text| match n {
        0..9 => text.replacen("#EXTINF", "#EXT-X-INDEPENDENT-SEGMENTS\n#EXTINF", 1),
        _ => text,
    });
    assert_eq!(goes, ["R31"]);
    let start = live.found(|n, text| {
        let start = format!("#EXT-X-START:TIME-OFFSET=-{}\n#EXTINF", 7 + n / 9);
        text.replacen("#EXTINF", &start, 1)
    });
    assert_eq!(start, ["R31"]);
    let moving = live.found(|n, text| {
        let date = format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:{:02}Z", n.max(5) * 2);
        text.replacen("#EXTINF", &format!("{date}\n#EXTINF"), 1)
    });
    assert_eq!(moving, Vec::<String>::new(), "the first segment listed is dated in each version");
    let tail = live.found(|n, text| match n {
        8 => text + "#EXT-X-DATERANGE:ID=\"a\"\n",
        _ => text,
    });
    assert_eq!(tail, ["R31"], "an appended line does not stay");
}

#[test]
fn r32_segments_leave_at_the_beginning_only() {
    let live = Live::new();
    let mut bench = live.bench(same);
    let shorter = live.text(9).replace("#EXTINF:2.000,\n9.ts\n", "");
    bench.pages.push(Page::new(21_000, &live.url(), shorter));
    assert_eq!(bench.run(live.until_ms()), ["R32"]);
}

#[test]
fn r33_media_sequence_rises_by_one_for_each_segment_that_leaves() {
    let live = Live::new();
    let stuck = live.found(|n, text| {
        text.replace(&format!("MEDIA-SEQUENCE:{}\n#", n.max(5) - 5), "MEDIA-SEQUENCE:0\n#")
    });
    assert_eq!(stuck[0], "R33");
    assert!(stuck.iter().all(|rule| rule == "R33"), "{stuck:?}");
}

#[test]
fn r34_three_target_durations_remain_when_a_segment_leaves() {
    let mut live = Live::new();
    live.window = usize::try_from(PLAYLIST_TARGETS_MIN).unwrap();
    assert_eq!(live.found(same), Vec::<String>::new());
    live.window -= 1;
    assert_eq!(live.found(same), ["R34"]);
}

#[test]
fn r35_removed_segment_stays_for_its_duration_and_that_of_the_playlist() {
    let live = Live::new();
    // Segment 2 leaves at 18 s and may go at 32 s, as far as a client can tell a little sooner.
    let gone_at = |ms: u64| {
        let mut bench = live.bench(same);
        bench.pages.push(Page::gone(ms, &live.segment_url(2)));
        bench.run(40_000)
    };
    assert_eq!(gone_at(18_100), ["R35", "R37 stale"]);
    assert_eq!(gone_at(28_000), ["R35", "R37 stale"]);
    assert_eq!(gone_at(32_000), ["R37 stale"]);
}

#[test]
fn r36_discontinuity_sequence_counts_the_tags_that_left() {
    let mut live = Live::new();
    live.segments[3].discontinuity = true;
    assert_eq!(live.found(same), Vec::<String>::new());
    let late = live.found(|n, text| match n {
        9..12 => text.replace("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:0"),
        _ => text,
    });
    assert_eq!(late, ["R36"], "it falls behind, then jumps");
    let never = |_, text: String| {
        text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "")
            .replace("#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "")
    };
    assert_eq!(live.found(never), ["R36", "R36"]);
}

#[test]
fn r37_versions_come_between_half_and_one_and_a_half_target_durations() {
    let at = |ms: [u64; 4]| {
        let mut live = Live::of(&mut Mux::new(), &ms);
        live.target_s = 4;
        live.found(same)
    };
    assert_eq!(at([4000, 2200, 4000, 4000]), Vec::<String>::new());
    assert_eq!(at([4000, 4000, 1000, 4000]), ["R37"]);
    let late = |discontinuity: bool, allowance| {
        let mut live = Live::new();
        live.segments[8].discontinuity = discontinuity;
        let mut bench = Bench::new(&live.url(), allowance);
        bench.pages = live.pages(same);
        for page in &mut bench.pages {
            if page.from_ms >= live.listed_ms(8) {
                page.from_ms += 3000;
            }
        }
        bench.run(live.until_ms() + 3000)
    };
    assert_eq!(late(false, Allowance::default()), ["R37"]);
    assert_eq!(late(true, Allowance::default()), ["R37 stale"]);
    let allowance = Allowance { stale: true, ..Allowance::default() };
    assert_eq!(late(true, allowance), Vec::<String>::new());
    assert_eq!(late(false, allowance), ["R37"], "no camera was away");
}

#[test]
fn r37_rest_of_a_session_may_come_with_the_next() {
    let late = |ms, returned| {
        let mut live = Live::of(&mut Mux::new(), &[2000, 2000, 2000, 2000, ms, 2000, 2000, 2000]);
        live.segments[5].discontinuity = returned;
        let mut bench = live.bench(same);
        let (own, url) = (live.listed_ms(4), live.url());
        bench.pages.retain(|page| page.url != url || page.from_ms != own);
        for page in bench.pages.iter_mut().filter(|page| page.from_ms > own) {
            page.from_ms += 3000;
        }
        bench.run(live.until_ms() + 3000)
    };
    assert_eq!(late(800, true), ["R37 stale"]);
    assert_eq!(late(800, false), ["R37"], "no camera was away");
    assert_eq!(late(1200, true), ["R37"], "it was worth a version");
}

#[test]
fn r37_stale_playlist_is_told_at_the_end_of_the_watch() {
    let live = Live::new();
    assert_eq!(live.bench(same).run(live.until_ms() + 1500), Vec::<String>::new());
    assert_eq!(live.bench(same).run(live.until_ms() + 3500), ["R37 stale"]);
}

#[test]
fn r38_endlist_is_the_last_word() {
    let ended = |n: usize, text: String| if n < 10 { text } else { text + "#EXT-X-ENDLIST\n" };
    let mut live = Live::new();
    live.segments.truncate(11);
    assert_eq!(live.bench(ended).run(live.until_ms() + 9000), Vec::<String>::new());
    let goes_on = Live::new().found(ended);
    assert_eq!(goes_on, ["R38"]);
    let back = Live::new().found(|n, text| if n == 10 { text + "#EXT-X-ENDLIST\n" } else { text });
    assert_eq!(back, ["R38"]);
}

#[test]
fn r39_expires_is_not_before_the_segment_may_go() {
    let live = Live::new();
    let expires = |seconds| {
        let mut bench = live.bench(same);
        for page in bench.pages.iter_mut().filter(|page| end(&page.url) == "ts") {
            page.expires_s = Some(seconds);
        }
        bench.run(live.until_ms())
    };
    assert_eq!(expires(14), Vec::<String>::new());
    assert!(expires(3).iter().all(|rule| rule == "R39 advice"));
    assert!(!expires(3).is_empty());
}

#[test]
fn r40_event_only_grows_and_vod_stays() {
    let typed = |header, window| {
        let mut live = Live::new();
        (live.header, live.window) = (header, window);
        live.found(|_, text| text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", ""))
    };
    assert_eq!(typed("#EXT-X-PLAYLIST-TYPE:EVENT\n", 99), Vec::<String>::new());
    assert_eq!(typed("#EXT-X-PLAYLIST-TYPE:EVENT\n", 6), ["R40"]);
    assert_eq!(typed("#EXT-X-PLAYLIST-TYPE:VOD\n", 6), ["R40"]);
    let mut live = Live::new();
    live.window = 99;
    let becomes = live.found(|n, text| match n {
        0..9 => text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", ""),
        _ => text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:EVENT"),
    });
    assert_eq!(becomes, ["R40"]);
    assert_eq!(typed("#EXT-X-PLAYLIST-TYPE:LIVE\n", 6), ["R40"]);
}

#[test]
fn r41_playlist_is_not_withdrawn_before_its_end() {
    let live = Live::new();
    let gone = |allowance, status| {
        let mut bench = Bench::new(&live.url(), allowance);
        bench.pages = live.pages(same);
        bench.pages.push(Page { status, ..Page::gone(20_300, &live.url()) });
        bench.run(live.until_ms())
    };
    assert_eq!(gone(Allowance::default(), 404), ["R41"]);
    assert_eq!(gone(Allowance::default(), 503), ["R41"]);
    let allowance = Allowance { restart: true, ..Allowance::default() };
    assert_eq!(gone(allowance, 410), Vec::<String>::new());
}

#[test]
fn r41_ended_presentation_is_withdrawn_before_its_segments() {
    let live = Live::of(&mut Mux::new(), &[2000; 4]);
    let ended = |n: usize, text: String| if n == 3 { text + "#EXT-X-ENDLIST\n" } else { text };
    let gone = |ms| {
        let mut bench = live.bench(ended);
        bench.pages.push(Page::gone(12_000, &live.url()));
        bench.pages.push(Page::gone(ms, &live.segment_url(1)));
        bench.run(40_000)
    };
    assert_eq!(gone(14_000), ["R35"]);
    assert_eq!(gone(23_000), Vec::<String>::new());
}

#[test]
fn r42_playlist_is_compressed_for_who_asked_only() {
    let live = Live::of(&mut Mux::new(), &[2000]);
    let mut bench = live.bench(same);
    bench.pages.last_mut().unwrap().is_coded = true;
    assert_eq!(bench.run(live.until_ms()), ["R42"]);
}

/// Two lives of a server: the second goes on with these numbers, nothing of the first is left.
fn lives(allowance: Allowance, sequence: u64, dsn: u64, is_marked: bool) -> Vec<String> {
    let mut mux = Mux::new();
    let first = Live::of(&mut mux, &[2000; 8]);
    let mut second = Live::of(&mut Mux { at: Ticks(0), ..mux }, &[2000; 8]);
    second.segments[0].discontinuity = is_marked;
    let mut bench = Bench::new(&first.url(), allowance);
    bench.pages = first.pages(same);
    let down = first.until_ms() - 500;
    bench.down = down..down + 1000;
    for n in 0..8 {
        bench.pages.push(Page::gone(down, &first.segment_url(n)));
    }
    bench.pages.push(Page::gone(down, &first.url()));
    let later = down + 1000;
    for mut page in second.pages(same) {
        page.from_ms += later;
        if page.url == second.url() {
            let text = String::from_utf8(page.body).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let own: u64 = lines[3].rsplit(':').next().unwrap().parse().unwrap();
            let left: u64 = lines[4].rsplit(':').next().unwrap().parse().unwrap();
            lines[3] = format!("#EXT-X-MEDIA-SEQUENCE:{}", own + sequence);
            lines[4] = format!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", left + dsn);
            let renamed: Vec<String> = lines
                .iter()
                .map(|line| if end(line) == "ts" { format!("b{line}") } else { line.clone() })
                .collect();
            page.body = (renamed.join("\n") + "\n").into_bytes();
        } else {
            page.url = page.url.replace("box/", "box/b");
        }
        bench.pages.push(page);
    }
    bench.run(later + second.until_ms())
}

#[test]
fn restart_is_no_breach_where_it_is_allowed_and_numbers_go_on() {
    let allowed = Allowance { restart: true, ..Allowance::default() };
    assert_eq!(lives(allowed, 8, 0, true), Vec::<String>::new());
    assert_eq!(lives(allowed, 40, 3, true), Vec::<String>::new(), "numbers may be left out");
    let strict = lives(Allowance::default(), 8, 0, true);
    assert!(strict.contains(&"R34".to_owned()) && strict.contains(&"R41".to_owned()), "{strict:?}");
}

#[test]
fn r11_r36_restart_takes_no_number_back() {
    let allowed = Allowance { restart: true, ..Allowance::default() };
    assert_eq!(lives(allowed, 0, 0, true)[0], "R11");
    assert_eq!(lives(allowed, 8, 0, false), ["R36"], "another window of the same number");
}

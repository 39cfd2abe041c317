//! Rules of playlists beside each other: R60 to R65.

use super::*;
use crate::limits::{
    HISTORY_APART_MAX, HISTORY_BANDWIDTH_PERCENT_MAX, HISTORY_DATE_MICROS_OFF_MAX,
};

const CODECS: &str = "avc1.42001e,mp4a.40.2";

/// Two variants, of which the second was changed.
struct Pair {
    lives: [Live; 2],
    attributes: String,
}

impl Pair {
    fn new(change: impl FnOnce(&mut Live)) -> Self {
        let mut lives = [Live::new(), Live::new()];
        (lives[0].folder, lives[1].folder) = ("http://box/a/", "http://box/b/");
        change(&mut lives[1]);
        Self { lives, attributes: format!("BANDWIDTH=200000,CODECS=\"{CODECS}\"") }
    }

    fn found(&self) -> Vec<String> {
        self.found_with(same)
    }

    fn found_with(&self, edit: Edit) -> Vec<String> {
        let mut bench = Bench::new("http://box/m.m3u8", Allowance::default());
        let master = format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS=\"{CODECS}\"\na/index.m3u8\n\
             #EXT-X-STREAM-INF:{}\nb/index.m3u8\n",
            self.attributes
        );
        bench.pages.push(Page::new(0, "http://box/m.m3u8", master));
        bench.pages.extend(self.lives[0].pages(same));
        bench.pages.extend(self.lives[1].pages(edit));
        let until_ms = self.lives[0].until_ms();
        bench.run(until_ms)
    }
}

/// Which rules, each once.
fn rules(found: &[String]) -> Vec<&str> {
    let mut rules: Vec<&str> = found.iter().map(String::as_str).collect();
    rules.dedup();
    rules
}

#[test]
fn variants_that_keep_every_rule_pass() {
    assert_eq!(Pair::new(|_| {}).found(), Vec::<String>::new());
}

#[test]
fn r60_variants_have_one_target_duration_and_type() {
    assert_eq!(Pair::new(|live| live.target_s = 3).found(), ["R60"]);
    let mut pair = Pair::new(|live| live.window = 99);
    pair.lives[0].window = 99;
    let event = |_, text: String| {
        text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:EVENT")
    };
    assert_eq!(pair.found_with(event), ["R60"]);
}

#[test]
fn r60_variants_have_the_same_times_and_discontinuities() {
    let far = Pair::new(|live| {
        let mut mux = Mux { at: Ticks(900_000), ..Mux::new() };
        live.segments.iter_mut().for_each(|segment| segment.bytes = mux.segment(2000));
    });
    assert_eq!(far.found(), ["R60"]);
    let marked = Pair::new(|live| live.segments[4].discontinuity = true).found();
    assert!(!marked.is_empty() && rules(&marked) == ["R60"], "{marked:?}");
}

#[test]
fn r61_dates_are_in_all_variants_and_mean_the_same() {
    let date = |live: &mut Live, seconds: usize| {
        for (n, segment) in live.segments.iter_mut().enumerate() {
            let at = n * 2 + seconds;
            segment.tags = format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:{at:02}.000Z\n");
        }
    };
    assert_eq!(Pair::new(|live| date(live, 0)).found(), ["R61"], "the other has none");
    let mut pair = Pair::new(|live| date(live, 0));
    date(&mut pair.lives[0], 0);
    assert_eq!(pair.found(), Vec::<String>::new());
    assert!(HISTORY_DATE_MICROS_OFF_MAX < 1_000_000);
    let mut pair = Pair::new(|live| date(live, 1));
    date(&mut pair.lives[0], 0);
    assert_eq!(rules(&pair.found()), ["R61"]);
}

#[test]
fn r62_bandwidth_is_said_and_covers_the_segments() {
    let said = |attributes: &str| {
        let mut pair = Pair::new(|_| {});
        pair.attributes = attributes.to_owned();
        pair.found()
    };
    let codecs = format!("CODECS=\"{CODECS}\"");
    assert_eq!(said(&codecs), ["R62"]);
    let live = Live::new();
    let rate = live.segments[0].bytes.len() as u64 * 4;
    let least = rate * 100 / HISTORY_BANDWIDTH_PERCENT_MAX;
    assert_eq!(said(&format!("BANDWIDTH={},{codecs}", least + 2000)), Vec::<String>::new());
    assert_eq!(said(&format!("BANDWIDTH={},{codecs}", least - 2000)), ["R62"]);
}

#[test]
fn r63_codecs_are_said_and_leave_nothing_out() {
    let said = |attributes: &str| {
        let mut pair = Pair::new(|_| {});
        pair.attributes = attributes.to_owned();
        pair.found()
    };
    assert_eq!(said("BANDWIDTH=200000"), ["R63 advice"]);
    assert_eq!(said("BANDWIDTH=200000,CODECS=\"avc1.42001e\""), ["R63"]);
    assert_eq!(said("BANDWIDTH=200000,CODECS=\"mp4a.40.2, avc3.42001e\""), Vec::<String>::new());
}

#[test]
fn r64_variants_begin_and_end_within_one_target_duration() {
    assert!(HISTORY_APART_MAX > 1, "two fetches are two moments");
    assert_eq!(Pair::new(|live| live.window = 7).found(), Vec::<String>::new());
    assert_eq!(Pair::new(|live| live.window = 9).found(), ["R64"]);
}

#[test]
fn r65_variants_have_the_same_encoded_audio() {
    let other = Pair::new(|live| {
        let mut mux = Mux { audio: 9, ..Mux::new() };
        live.segments.iter_mut().for_each(|segment| segment.bytes = mux.segment(2000));
    });
    assert_eq!(rules(&other.found()), ["R65 advice"]);
}

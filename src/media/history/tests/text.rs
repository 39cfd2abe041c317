//! Rules of one text: R1 to R16, R43, R44.

use super::*;
use crate::limits::HISTORY_SEGMENTS_MAX;
use proptest::prelude::*;

/// What is found where every text is changed.
fn text(edit: Edit) -> Vec<String> {
    Live::new().found(edit)
}

fn with(text: &str, line: &str) -> String {
    text.replacen("#EXTINF", &format!("{line}\n#EXTINF"), 1)
}

#[test]
fn r1_playlist_begins_with_its_header() {
    assert_eq!(text(|_, text| text.replace("#EXTM3U\n", "")), ["R1"]);
    assert_eq!(text(|_, text| format!("#comment\n{text}")), ["R1"]);
}

#[test]
fn r2_lines_end_lf_or_crlf_and_have_no_other_white_space() {
    assert_eq!(text(|_, text| text.replace('\n', "\r\n")), Vec::<String>::new());
    assert_eq!(text(|_, text| format!("\u{feff}{text}")), ["R2"]);
    assert_eq!(text(|_, text| text.replace("TARGETDURATION:2", "TARGETDURATION: 2")), ["R2"]);
    assert_eq!(text(|_, text| text.replace("VERSION:3", "VERSION:3 ")), ["R2"]);
    let mut bench = Live::new().bench(same);
    for page in bench.pages.iter_mut().filter(|page| page.url.ends_with(".m3u8")) {
        page.body.extend(b"#\xff\n");
    }
    assert_eq!(bench.run(9000), ["R2"]);
}

#[test]
fn r3_playlist_is_named_or_typed_as_one() {
    let run = |name: &str, kind| {
        let live = Live::new();
        let mut bench = Bench::new(name, Allowance::default());
        for mut page in live.pages(same) {
            if page.url == live.url() {
                (page.url, page.kind) = (name.to_owned(), kind);
            }
            bench.pages.push(page);
        }
        bench.run(live.until_ms())
    };
    assert_eq!(run("http://box/index.m3u8?key=1", "text/plain"), Vec::<String>::new());
    assert_eq!(run("http://box/live", "Application/vnd.apple.mpegURL; x"), Vec::<String>::new());
    assert_eq!(run("http://box/live", "text/plain"), ["R3"]);
}

#[test]
fn r4_playlist_lists_segments_or_playlists() {
    let live = Live::of(&mut Mux::new(), &[2000; 2]);
    let both = live.found(|n, text| match n {
        0 => text,
        _ => with(&text, "#EXT-X-STREAM-INF:BANDWIDTH=9,CODECS=\"avc1\"\nv.m3u8"),
    });
    assert_eq!(both, ["R4"]);
}

#[test]
fn r5_attribute_lists_are_well_formed_and_names_unique() {
    let key = |n: usize, text: String, list: &str| match n {
        0..20 => with(&text, &format!("#EXT-X-DATERANGE:{list}")),
        _ => text,
    };
    for (list, rules) in [
        ("ID=\"a\",START-DATE=\"2026-01-05T10:20:30Z\"", &[][..]),
        ("ID=\"a\", START-DATE=\"2026-01-05T10:20:30Z\"", &["R5"][..]),
        ("ID=\"a\",ID=\"b\"", &["R5"][..]),
        ("ID=\"a", &["R5"][..]),
        ("id=\"a\"", &["R5"][..]),
    ] {
        let live = Live::of(&mut Mux::new(), &[2000; 3]);
        let mut bench = live.bench(same);
        bench.pages.retain(|page| page.url != live.url() || page.from_ms == 6000);
        for page in bench.pages.iter_mut().filter(|page| page.url == live.url()) {
            page.body = key(0, live.text(2), list).into_bytes();
        }
        assert_eq!(bench.run(7000), rules, "{list}");
    }
}

#[test]
fn r6_each_segment_has_its_own_extinf() {
    let live = Live::of(&mut Mux::new(), &[2000; 3]);
    assert_eq!(live.found(|_, text| with(&text, "#EXTINF:2.000,")), ["R6"]);
    assert_eq!(text(|_, text| text + "#EXTINF:2.000,\n"), ["R6"]);
    let bare = live.bench(|_, text| text + "x.ts\n").run(6900);
    assert_eq!(bare, ["R6"]);
    let malformed = live.bench(|n, text| if n < 2 { text } else { text + "#EXTINF:2\n" });
    assert_eq!(malformed.run(6900), ["R6"]);
}

#[test]
fn r6_extinf_tells_how_long_the_content_is() {
    let mut live = Live::new();
    live.segments[4].ms = 2240;
    assert_eq!(live.found(same), Vec::<String>::new(), "within a rounding");
    live.segments[4].ms = 1400;
    assert_eq!(live.found(same), ["R6"]);
}

#[test]
fn r7_decimals_need_version_3() {
    assert_eq!(text(|_, text| text.replace("VERSION:3", "VERSION:2")), ["R7"]);
    let whole = text(|_, text| text.replace("VERSION:3", "VERSION:2").replace(".000,", ","));
    assert_eq!(whole, Vec::<String>::new());
}

#[test]
fn r8_version_is_said_once_covers_what_is_said_and_stays() {
    assert_eq!(text(|_, text| with(&text, "#EXT-X-VERSION:3")), ["R8"]);
    assert_eq!(text(|_, text| text.replace("VERSION:3", "VERSION:4")), ["R8 advice"]);
    let change = |n: usize, text: String| match n {
        3 => text.replace("VERSION:3", "VERSION:1").replace(".000,", ","),
        _ => text.replace(".000,", ","),
    };
    assert_eq!(text(change), ["R8"]);
    let map = |_, text: String| text.replace("#EXTINF", "#EXT-X-MAP:URI=\"i\"\n#EXTINF");
    let live = Live::of(&mut Mux::new(), &[2000]);
    assert_eq!(live.found(map), ["R8"]);
}

#[test]
fn r9_target_duration_is_said_once_and_covers_every_segment() {
    assert_eq!(text(|_, text| with(&text, "#EXT-X-TARGETDURATION:2")), ["R9"]);
    let live = Live::of(&mut Mux::new(), &[2000]);
    assert_eq!(live.found(|_, text| text.replace("#EXT-X-TARGETDURATION:2\n", "")), ["R9"]);
    assert_eq!(live.found(|_, text| text.replace("DURATION:2", "DURATION:2.5")), ["R9"; 2]);
    let long = |ms| Live::of(&mut Mux::new(), &[2000, ms, 2000]).found(same);
    assert_eq!(long(2480), Vec::<String>::new());
    assert_eq!(long(2520), ["R9"]);
}

#[test]
fn r10_target_duration_never_changes() {
    let longer = |n: usize, text: String| match n {
        0..9 => text,
        _ => text.replace("TARGETDURATION:2", "TARGETDURATION:3"),
    };
    assert_eq!(text(longer), ["R10"]);
}

#[test]
fn r11_media_sequence_is_said_once_before_segments_and_never_goes_back() {
    assert_eq!(
        text(|n, text| with(&text, &format!("#EXT-X-MEDIA-SEQUENCE:{}", n.max(5) - 5))),
        ["R11"]
    );
    let live = Live::of(&mut Mux::new(), &[2000; 3]);
    assert_eq!(
        live.found(|_, text| text.replace("QUENCE:0\n#EXT-X-D", "QUENCE:x\n#EXT-X-D")),
        ["R11"]
    );
    let behind = live.found(|_, text| {
        text.replace("#EXT-X-MEDIA-SEQUENCE:0\n", "").replacen(
            "0.ts\n",
            "0.ts\n#EXT-X-MEDIA-SEQUENCE:0\n",
            1,
        )
    });
    assert_eq!(behind, ["R11"]);
    let absent = live.found(|_, text| text.replace("#EXT-X-MEDIA-SEQUENCE:0\n", ""));
    assert_eq!(absent, Vec::<String>::new());
    let back = text(|n, text| match n {
        9 => text.replace("MEDIA-SEQUENCE:4", "MEDIA-SEQUENCE:2"),
        _ => text,
    });
    assert_eq!(back[0], "R11");
}

#[test]
fn r12_discontinuity_sequence_is_said_once_before_segments_and_never_goes_back() {
    assert_eq!(text(|_, text| with(&text, "#EXT-X-DISCONTINUITY-SEQUENCE:0")), ["R12"]);
    let live = Live::of(&mut Mux::new(), &[2000; 3]);
    let behind = live.found(|_, text| {
        text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "").replacen(
            "0.ts\n",
            "0.ts\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n",
            1,
        )
    });
    assert_eq!(behind, ["R12"]);
    let back = Live::new().found(|n, text| match n {
        0..12 => text.replace("DISCONTINUITY-SEQUENCE:0", "DISCONTINUITY-SEQUENCE:7"),
        _ => text.replace("DISCONTINUITY-SEQUENCE:0", "DISCONTINUITY-SEQUENCE:6"),
    });
    assert_eq!(back, ["R12", "R36"], "the numbers of listed segments change with it");
}

#[test]
fn r13_r44_playlist_type_stands_alone_and_once() {
    let mut live = Live::new();
    (live.window, live.header) = (100, "#EXT-X-PLAYLIST-TYPE:EVENT\n");
    assert_eq!(live.found(same), ["R13"]);
    let alone = |_, text: String| text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "");
    assert_eq!(live.found(alone), Vec::<String>::new());
    live.header = "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-PLAYLIST-TYPE:EVENT\n";
    assert_eq!(live.found(alone), ["R44"]);
}

#[test]
fn r15_endlist_is_said_once() {
    let live = Live::of(&mut Mux::new(), &[2000; 4]);
    let end = |n: usize, text: String| if n == 3 { text + "#EXT-X-ENDLIST\n" } else { text };
    assert_eq!(live.found(end), Vec::<String>::new());
    let twice = |n: usize, text: String| match n {
        3 => text + "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n",
        _ => text,
    };
    assert_eq!(live.found(twice), ["R15"]);
}

#[test]
fn r16_each_kind_of_playlist_has_its_own_tags() {
    let foreign = |_, text: String| with(&text, "#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"b\"");
    assert_eq!(text(foreign), ["R16"]);
    let master = |tag: &str| {
        let mut bench = Bench::new("http://box/m.m3u8", Allowance::default());
        let text = format!(
            "#EXTM3U\n{tag}#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"avc1.42,mp4a.40.2\"\n\
             index.m3u8\n"
        );
        let live = Live::new();
        bench.pages = live.pages(same);
        bench.pages.push(Page::new(0, "http://box/m.m3u8", text));
        bench.run(live.until_ms())
    };
    assert_eq!(master("#EXT-X-INDEPENDENT-SEGMENTS\n")[..], ["R41"; 0]);
    assert_eq!(master("#EXT-X-TARGETDURATION:2\n"), ["R16"]);
    assert_eq!(master("#EXT-X-ENDLIST\n"), ["R15"]);
}

#[test]
fn r43_dates_are_read_follow_breaks_and_name_one_moment_each() {
    let dated = |edit: fn(usize, i64) -> i64, shape: &str| {
        let mut live = Live::new();
        for (n, segment) in live.segments.iter_mut().enumerate() {
            let at = edit(n, i64::try_from(n).unwrap() * 2);
            segment.tags = format!(
                "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:{:02}:{:02}.000{shape}\n",
                at / 60,
                at % 60
            );
        }
        live.found(same)
    };
    assert_eq!(dated(|_, at| at, "Z"), Vec::<String>::new());
    assert_eq!(dated(|n, at| if n > 4 { at + 600 } else { at }, "Z"), Vec::<String>::new());
    assert_eq!(dated(|n, at| if n > 4 { at + 599 } else { at + 600 }, "Z"), ["R43"]);
    assert_eq!(dated(|_, at| at, ""), ["R43"]);

    let mut live = Live::new();
    live.segments[3].tags = "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:30Z\n".to_owned();
    live.segments[5].discontinuity = true;
    assert_eq!(live.found(same), ["R43 advice"]);
    live.segments[5].tags = "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:34Z\n".to_owned();
    assert_eq!(live.found(same), Vec::<String>::new());
    let moved = live.found(|n, text| match n {
        0..8 => text,
        _ => text.replace("10:20:34Z", "10:21:34Z"),
    });
    assert_eq!(moved[0], "R31", "a listed line");
}

#[test]
fn r44_each_tag_about_the_playlist_is_said_once() {
    let start = "#EXT-X-START:TIME-OFFSET=-7";
    assert_eq!(text(|_, text| with(&text, "#EXT-X-START:TIME-OFFSET=-7")), Vec::<String>::new());
    assert_eq!(
        text(|_, text| with(&text, "#EXT-X-START:TIME-OFFSET=-7\n#EXT-X-START:TIME-OFFSET=-7")),
        ["R44"]
    );
    assert!(start.starts_with("#EXT-X-START"));
}

#[test]
fn r8_r9_r11_r12_values_beyond_64_bits_are_malformed() {
    let live = Live::of(&mut Mux::new(), &[2000]);
    let huge = live.found(|_, text| text.replace("QUENCE:0", "QUENCE:18446744073709551616"));
    assert_eq!(huge, ["R11", "R12"]);
}

#[test]
fn playlists_are_read_up_to_the_limit() {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    text += &"#EXTINF:1,\n#x\na\n".repeat(HISTORY_SEGMENTS_MAX + 2);
    text += "#EXT-X-ENDLIST\n";
    let mut report = super::super::finding::Report::new(Allowance::default());
    let site = super::super::finding::Site::new(Instant(0), "");
    let read = super::super::version::read(text.as_bytes(), site, &mut report);
    let Some(super::super::version::Kind::Media(version)) = read else { panic!("a playlist") };
    assert_eq!(version.entries.len(), HISTORY_SEGMENTS_MAX);
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(
        lines in proptest::collection::vec((0usize..20, "\\PC{0,30}", any::<u64>()), 0..40),
    ) {
        let tags = [
            "EXTINF:2,", "EXT-X-VERSION:", "EXT-X-TARGETDURATION:", "EXT-X-MEDIA-SEQUENCE:",
            "EXT-X-DISCONTINUITY-SEQUENCE:", "EXT-X-KEY:", "EXT-X-MAP:URI=", "EXT-X-BYTERANGE:",
            "EXT-X-PROGRAM-DATE-TIME:", "EXT-X-PLAYLIST-TYPE:EVENT", "EXT-X-STREAM-INF:",
            "EXT-X-MEDIA:URI=", "EXT-X-DISCONTINUITY", "EXT-X-ENDLIST", "EXT-X-I-FRAMES-ONLY",
        ];
        let mut bench = Bench::new("http://box/i.m3u8", Allowance::default());
        for version in 0..3u64 {
            let mut text = "#EXTM3U\n".to_owned();
            for (tag, value, number) in &lines {
                match tags.get(*tag) {
                    Some(tag) => text += &format!("#{tag}{}\n", number.wrapping_add(version)),
                    None => text += &format!("{value}\n"),
                }
            }
            bench.pages.push(Page::new(version * 300, "http://box/i.m3u8", text));
        }
        bench.drive(1500);
        prop_assert!(bench.history.findings().len() <= HISTORY_FINDINGS_MAX);
    }
}

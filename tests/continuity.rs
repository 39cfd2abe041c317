//! Streams over restarts of the program: what is on the tmpfs goes on, and what is not never comes
//! again.
//!
//! Each run is a store of its own on the same folder; a run that is killed is dropped as it is.
//! The history of what players can see is held to the rules of the reference sheet, whose ids (`R`)
//! the tests cite.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    missing_docs,
    unreachable_pub,
    reason = "tests: a panic is how they speak"
)]

#[path = "support/continuity.rs"]
mod continuity;

use continuity::{History, Run, shm};
use proptest::prelude::*;
use rillcast::limits::{LEDGER_SEQUENCE_BLOCK, LEFTOVERS_MAX, PLAYLIST_BYTES_MAX, SEQUENCE_MAX};
use rillcast::status::Counter;
use rillcast::time::UnixMillis;
use std::fs;
use std::path::Path;

#[test]
fn window_goes_on_over_a_restart_and_keeps_every_rule() {
    let folder = shm();
    let mut history = History::new(folder.path());
    for epoch in 1..=5 {
        let mut run = Run::start(folder.path(), epoch, &[]);
        if epoch > 1 {
            assert_eq!(run.playlist().unwrap(), history.last(), "R31: nothing changed meanwhile");
        }
        run.publish();
        for _ in 0..20 {
            run.segment(2_000, 30);
            history.look(&run);
        }
        run.begin_segment();
        assert_eq!(run.count(Counter::RetentionCut), 0, "R35");
    }
    assert_eq!(history.segments(), 100, "R11, R33: no number is left out");
    assert_eq!(history.discontinuities(), [20, 40, 60, 80]);
}

#[test]
fn retired_segments_stay_for_their_time_over_a_restart() {
    let folder = shm();
    let mut run = Run::start(folder.path(), 1, &["hls.window_segments=4"]);
    run.publish();
    for _ in 0..12 {
        run.segment(2_000, 30);
    }
    let listed = run.names();
    let kept: Vec<String> = run.files().into_iter().filter(|name| !listed.contains(name)).collect();
    assert!(kept.len() >= 4, "{kept:?}");
    drop(run);
    let mut run = Run::start(folder.path(), 2, &["hls.window_segments=4"]);
    for name in kept.iter().chain(&listed) {
        assert!(run.fetch(name).is_some(), "R35: {name}");
        assert!(folder.path().join("live/cam").join(name).exists(), "R35: {name}");
    }
    // Nobody publishes: they go when their time is over, and what is listed stays.
    run.wait(60_000);
    assert!(kept.iter().all(|name| run.fetch(name).is_none()));
    assert!(listed.iter().all(|name| run.fetch(name).is_some()));
    assert_eq!(run.files().len(), listed.len());
}

#[test]
fn next_segment_after_a_restart_is_marked_and_named_by_its_own_run() {
    let folder = shm();
    let mut run = Run::start(folder.path(), 0xa, &[]);
    run.publish();
    for _ in 0..4 {
        run.segment(2_000, 30);
    }
    let before = run.playlist().unwrap();
    drop(run);
    let mut run = Run::start(folder.path(), 0xb, &[]);
    run.publish();
    run.segment(2_000, 30);
    let after = run.playlist().unwrap();
    let new = "#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\n0000000b-4.ts\n";
    assert_eq!(after, format!("{before}{new}"), "R31: lines are appended, no other is touched");
    run.segment(2_000, 30);
    assert!(run.playlist().unwrap().ends_with("b-4.ts\n#EXTINF:2.000000,\n0000000b-5.ts\n"));
}

#[test]
fn dates_of_a_window_stay_and_none_comes_again() {
    // 2026-01-05T10:20:30Z, and a minute before it: the clock is set back over the restart.
    const CLOCKS: [fn() -> Option<UnixMillis>; 2] =
        [|| Some(UnixMillis(1_767_608_430_000)), || Some(UnixMillis(1_767_608_370_000))];
    let folder = shm();
    let dated = ["hls.dates=true", "hls.start_offset_s=20"];
    let mut texts = Vec::new();
    for (epoch, clock) in (1..).zip(CLOCKS) {
        let mut run = Run::start(folder.path(), epoch, &dated);
        run.store.set_clock(clock);
        assert_eq!(run.playlist(), texts.last().cloned(), "R31");
        run.publish();
        run.segment(2_000, 30);
        texts.push(run.playlist().unwrap());
    }
    let tag = "#EXT-X-PROGRAM-DATE-TIME:";
    let dates: Vec<&str> = texts[1].lines().filter_map(|line| line.strip_prefix(tag)).collect();
    assert_eq!(dates.len(), 2, "R43: a date with every discontinuity: {}", texts[1]);
    // The first lasts 2 s; text of one form sorts as its dates do.
    let end = dates[0].replacen(":30.", ":32.", 1).replacen(":28.", ":30.", 1);
    assert!(end.as_str() <= dates[1] && dates[0] < end.as_str(), "R43: {dates:?}");
}

#[test]
fn tag_of_a_segment_has_its_validator_over_a_restart() {
    let folder = shm();
    let mut run = Run::start(folder.path(), 0xa, &[]);
    run.publish();
    for _ in 0..3 {
        run.segment(2_000, 30);
    }
    let tag =
        |run: &Run, name: &str| run.store.segment(&format!("live/cam/{name}")).unwrap().version;
    let before = tag(&run, "0000000a-1.ts");
    let list = run.store.playlist("live/cam/index.m3u8").unwrap().version;
    drop(run);
    let run = Run::start(folder.path(), 0xb, &[]);
    assert_eq!(tag(&run, "0000000a-1.ts"), before);
    assert_ne!(run.store.playlist("live/cam/index.m3u8").unwrap().version, list);
    for other in ["0000000b-1.ts", "0000000A-1.ts", "a-1.ts", "0000000a-01.ts", "+000000a-1.ts"] {
        assert!(run.fetch(other).is_none(), "{other}: a segment has one name");
    }
}

#[test]
fn segment_half_written_and_segment_without_a_line_are_dropped() {
    let folder = shm();
    let mut run = Run::start(folder.path(), 1, &["hls.target_duration_s=4"]);
    run.publish();
    for _ in 0..5 {
        run.segment(2_000, 30);
    }
    // It comes before half the target duration has passed, and waits (R37).
    run.segment(500, 30);
    run.begin_segment();
    let (listed, files) = (run.names(), run.files());
    assert_eq!(files.len(), listed.len() + 1, "one waits");
    drop(run);
    let mut run = Run::start(folder.path(), 2, &["hls.target_duration_s=4"]);
    assert_eq!(run.names(), listed);
    assert_eq!(run.files(), listed);
    run.publish();
    run.segment(2_000, 30);
    assert_eq!(run.names().last().unwrap(), "00000002-5.ts", "R11: its number was never shown");
}

#[test]
fn slots_of_another_number_and_size_are_taken_over() {
    let folder = shm();
    let mut history = History::new(folder.path());
    for (epoch, pairs) in [
        (1, ["hls.window_segments=4", "limits.slot_bytes=524288", "limits.streams=2"]),
        (2, ["hls.window_segments=6", "limits.slot_bytes=262144", "limits.streams=1"]),
        (3, ["hls.window_segments=9", "limits.slot_bytes=1048576", "limits.streams=3"]),
        (4, ["hls.window_segments=9", "limits.slot_bytes=262144", "limits.streams=1"]),
    ] {
        let mut run = Run::start(folder.path(), epoch, &pairs);
        run.publish();
        for _ in 0..30 {
            // Larger than the smallest slot, where there is room.
            run.segment(2_000, if epoch == 1 { 2_000 } else { 700 });
            history.look(&run);
        }
        assert_eq!(run.count(Counter::RetentionCut), 0, "R35 in run {epoch}");
    }
    assert_eq!(history.segments(), 120);
    // With fewer slots there is no room for all that left; the newest stay.
    let run = Run::start(folder.path(), 5, &["hls.window_segments=7"]);
    assert_eq!(run.playlist().unwrap(), history.last());
    let (listed, files) = (run.names(), run.files());
    assert!(files.len() > listed.len() && files.ends_with(&listed), "{files:?}, {listed:?}");
}

#[test]
fn settings_that_the_playlist_cannot_live_with_begin_a_new_one_and_numbers_go_on() {
    for (pairs, what) in [
        (&["hls.segment_ms=6000"][..], "R10: no segment of 6 s under a target duration of 2 s"),
        (&["hls.target_duration_s=3"][..], "R10: another target duration"),
        (&["hls.window_segments=3"][..], "more is listed than there are slots for"),
    ] {
        let folder = shm();
        let mut run = Run::start(folder.path(), 1, &["hls.window_segments=20"]);
        run.publish();
        for n in 0..25 {
            if n == 3 {
                run.resumes();
            }
            run.segment(2_000, 30);
        }
        drop(run);
        let mut run = Run::start(folder.path(), 2, pairs);
        assert!(run.playlist().is_none(), "{what}");
        assert!(run.files().is_empty(), "{what}: it is cleared as a whole");
        run.publish();
        run.segment(2_000, 30);
        let text = run.playlist().unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:25\n"), "R11, {what}: {text}");
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "R12, {what}: {text}");
        assert!(text.contains("#EXT-X-DISCONTINUITY\n#EXTINF"), "{what}: {text}");
    }
}

#[test]
fn streams_beyond_the_places_are_cleared_and_their_numbers_go_on() {
    let folder = shm();
    let many = ["limits.streams=3"];
    let mut run = Run::start(folder.path(), 1, &many);
    for path in ["live/a", "live/b", "deep/er/c"] {
        run.publish_as(path);
        for _ in 0..4 {
            run.segment(2_000, 30);
        }
    }
    drop(run);
    let mut run = Run::start(folder.path(), 2, &["limits.streams=2"]);
    let found: Vec<_> = ["deep/er/c", "live/a", "live/b"].map(|path| run.store.stream(path)).into();
    assert_eq!(found, [Some(0), Some(1), None]);
    assert!(!folder.path().join("live/b").exists());
    run.wait(200_000);
    run.publish_as("live/b");
    run.segment(2_000, 30);
    assert!(run.playlist().unwrap().contains("#EXT-X-MEDIA-SEQUENCE:4\n"), "R11");
}

/// What is done to a stream's folder, whose playlist lists these names.
type Damage = fn(&Path, &[String]);

#[test]
fn stream_whose_segments_are_not_all_there_is_cleared_as_a_whole() {
    let damages: [(&str, Damage); 8] = [
        ("a segment is gone", |cam, names| fs::remove_file(cam.join(&names[2])).unwrap()),
        ("a segment is empty", |cam, names| fs::write(cam.join(&names[5]), b"").unwrap()),
        ("a segment is cut off", |cam, names| fs::write(cam.join(&names[0]), [0; 99]).unwrap()),
        ("a segment is a folder", |cam, names| {
            fs::remove_file(cam.join(&names[2])).unwrap();
            fs::create_dir(cam.join(&names[2])).unwrap();
        }),
        ("a segment is a link", |cam, names| {
            fs::remove_file(cam.join(&names[2])).unwrap();
            std::os::unix::fs::symlink(&names[3], cam.join(&names[2])).unwrap();
        }),
        ("a tag that we do not know", |cam, _| {
            let text = fs::read_to_string(cam.join("index.m3u8")).unwrap();
            let text = text.replacen("#EXTINF", "#EXT-X-UNHEARD:1\n#EXTINF", 1);
            fs::write(cam.join("index.m3u8"), text).unwrap();
        }),
        ("a name that is not ours", |cam, names| {
            let text = fs::read_to_string(cam.join("index.m3u8")).unwrap();
            fs::write(cam.join("index.m3u8"), text.replace(&names[1], "../cam/x.ts")).unwrap();
        }),
        ("the playlist is cut off", |cam, _| {
            let text = fs::read_to_string(cam.join("index.m3u8")).unwrap();
            fs::write(cam.join("index.m3u8"), &text[..text.len() - 9]).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let folder = shm();
        let mut run = Run::start(folder.path(), 1, &[]);
        run.publish();
        for _ in 0..8 {
            run.segment(2_000, 30);
        }
        let names = run.names();
        drop(run);
        damage(&folder.path().join("live/cam"), &names);
        let mut run = Run::start(folder.path(), 2, &[]);
        assert!(run.playlist().is_none(), "{what}");
        assert!(names.iter().all(|name| run.fetch(name).is_none()), "{what}");
        run.publish();
        run.segment(2_000, 30);
        let text = run.playlist().unwrap();
        assert!(text.contains("00000002-"), "{what}: {text}");
        let ours = run.files().into_iter().filter(|name| !names.contains(name)).count();
        assert_eq!(ours, 1, "{what}");
    }
}

#[test]
fn retired_segment_that_is_damaged_goes_alone() {
    let folder = shm();
    let mut run = Run::start(folder.path(), 1, &["hls.window_segments=4"]);
    run.publish();
    for _ in 0..12 {
        run.segment(2_000, 30);
    }
    let (listed, files) = (run.names(), run.files());
    let kept: Vec<&String> = files.iter().filter(|name| !listed.contains(name)).collect();
    drop(run);
    let cam = folder.path().join("live/cam");
    fs::write(cam.join(kept[1]), [0; 100]).unwrap();
    fs::write(cam.join("ffffffff-18446744073709551615.ts"), [0; 188]).unwrap();
    fs::write(cam.join("notes.txt"), b"not ours").unwrap();
    let run = Run::start(folder.path(), 2, &["hls.window_segments=4"]);
    assert_eq!(run.names(), listed);
    assert!(run.fetch(kept[0]).is_some() && run.fetch(kept[1]).is_none());
    assert!(!cam.join(kept[1]).exists());
    assert!(!cam.join("ffffffff-18446744073709551615.ts").exists(), "it was in no playlist");
    assert!(cam.join("notes.txt").exists());
}

#[test]
fn hostile_leftovers_are_bounded() {
    let folder = shm();
    let cam = folder.path().join("live/cam");
    let endless = "#EXTM3U\n#EXT-X-TARGETDURATION:18446744073709551615\n#EXTINF:1,\na.ts\n";
    for text in [
        vec![b'x'; PLAYLIST_BYTES_MAX + 1],
        endless.as_bytes().to_vec(),
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:1,\na.ts\n",
            SEQUENCE_MAX + 1
        )
        .into_bytes(),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_vec(),
        Vec::new(),
    ] {
        fs::create_dir_all(&cam).unwrap();
        fs::write(cam.join("index.m3u8"), &text).unwrap();
        let mut run = Run::start(folder.path(), 1, &[]);
        assert!(run.playlist().is_none());
        run.publish();
        run.segment(2_000, 30);
        // What can be read has numbers, and they go on.
        assert_eq!(run.first.0, u64::from(text == endless.as_bytes()));
        drop(run);
        fs::remove_dir_all(&cam).unwrap();
    }
    // Names of segments as many as a folder may hold, and one that says where to begin.
    fs::create_dir_all(&cam).unwrap();
    for n in 0..LEFTOVERS_MAX / 8 {
        fs::write(cam.join(format!("0000000a-{n}.ts")), [7; 188]).unwrap();
    }
    let text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:2000\n\
                #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXTINF:2.000000,\n\
                0000000a-2000.ts\n";
    fs::write(cam.join("index.m3u8"), text).unwrap();
    let run = Run::start(folder.path(), 1, &[]);
    assert_eq!(run.playlist().as_deref(), Some(text));
    assert!(run.files().len() <= 15, "no more than there are slots: {}", run.files().len());
    assert!(run.fetch("0000000a-1999.ts").is_some(), "the newest are kept");
}

#[test]
fn folder_on_storage_is_cleared_and_its_numbers_go_on() {
    // What is there after a reboot may be older than what players have seen.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut run = Run::start(folder.path(), 1, &[]);
    run.publish();
    for _ in 0..8 {
        run.segment(2_000, 30);
    }
    drop(run);
    let mut run = Run::start(folder.path(), 2, &[]);
    assert!(run.playlist().is_none() && run.files().is_empty());
    run.publish();
    run.segment(2_000, 30);
    assert!(run.playlist().unwrap().contains("#EXT-X-MEDIA-SEQUENCE:8\n"));
}

#[test]
fn numbers_go_on_after_a_reboot_with_the_window_gone() {
    let (folder, state) = (shm(), shm());
    let mut shown = (0, 0);
    for epoch in 1..=4u64 {
        // A board boots in 1970: there is no clock to ask.
        let mut run = Run::start(folder.path(), epoch as u32, &[]);
        run.remember(&state.path().join("state"));
        assert!(run.playlist().is_none(), "the window is gone");
        run.publish();
        for n in 0..40 {
            if n == 20 {
                run.resumes();
            }
            run.segment(2_000, 30);
        }
        let text = run.playlist().unwrap();
        let number = |tag: &str| -> u64 {
            text.lines().find_map(|line| line.strip_prefix(tag)).unwrap().parse().unwrap()
        };
        let (sequence, before) = run.first;
        assert!(sequence >= shown.0, "R11: {sequence} after {}", shown.0);
        assert!(before >= shown.1, "R12: {before} after {}", shown.1);
        assert!(sequence - shown.0 <= 2 * LEDGER_SEQUENCE_BLOCK, "and not far behind");
        assert!(before - shown.1 <= sequence - shown.0, "R36: no more tags than segments");
        let own = if epoch > 1 { 2 } else { 1 };
        assert_eq!(number("#EXT-X-DISCONTINUITY-SEQUENCE:"), before + own, "both tags have left");
        shown = (sequence + 40, before + own);
        drop(run);
        fs::remove_dir_all(folder.path().join("live")).unwrap();
        fs::remove_dir_all(folder.path().join(".slots")).unwrap();
    }
}

#[test]
fn window_on_the_tmpfs_counts_more_than_the_file_of_numbers() {
    let (folder, state) = (shm(), shm());
    let state = state.path().join("state");
    for epoch in 1..=3 {
        let mut run = Run::start(folder.path(), epoch, &[]);
        run.remember(&state);
        run.publish();
        for _ in 0..5 {
            run.segment(2_000, 30);
        }
        let last = format!("{epoch:08x}-{}.ts", 5 * epoch - 1);
        assert_eq!(run.names().last(), Some(&last), "R33: no number is left out");
    }
    // The playlist is lost, and the file knows.
    fs::remove_file(folder.path().join("live/cam/index.m3u8")).unwrap();
    let mut run = Run::start(folder.path(), 4, &[]);
    run.remember(&state);
    assert!(run.files().is_empty());
    run.publish();
    run.segment(2_000, 30);
    assert!(run.first.0 >= 15, "R11");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rules_hold_whenever_the_program_is_killed(
        runs in proptest::collection::vec((1u32..30, any::<bool>()), 1..6),
        ms in 1_500u64..2_400,
    ) {
        let folder = shm();
        let mut history = History::new(folder.path());
        history.holds_retention = false;
        let pairs = ["hls.window_segments=4", "hls.target_duration_s=2", "hls.segment_ms=1500"];
        for (epoch, (segments, half)) in (1..).zip(runs) {
            let mut run = Run::start(folder.path(), epoch, &pairs);
            run.publish();
            for n in 0..segments {
                run.segment(ms, 5 + n as usize);
                history.look(&run);
            }
            if half {
                run.begin_segment();
            }
        }
    }

    #[test]
    fn playlists_of_any_kind_never_stop_the_program(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("#EXT-X-DISCONTINUITY".to_owned()),
                Just("#EXT-X-ENDLIST".to_owned()),
                Just("#EXT-X-PLAYLIST-TYPE:EVENT".to_owned()),
                "#EXTINF:[0-3]\\.[0-9]{6},",
                "0000000a-[0-9]{1,2}\\.ts",
                "#EXT-X-MEDIA-SEQUENCE:[0-9]{1,20}",
                "#EXT-X-DISCONTINUITY-SEQUENCE:[0-9]{1,20}",
            ],
            0..12,
        ),
    ) {
        let folder = shm();
        let cam = folder.path().join("live/cam");
        fs::create_dir_all(&cam).unwrap();
        for n in 0..40 {
            fs::write(cam.join(format!("0000000a-{n}.ts")), [n; 376]).unwrap();
        }
        let body = lines.join("\n");
        let text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{body}\n");
        fs::write(cam.join("index.m3u8"), text).unwrap();
        let mut run = Run::start(folder.path(), 1, &[]);
        run.publish();
        for _ in 0..4 {
            run.segment(2_000, 5);
        }
        prop_assert!(run.playlist().is_some());
    }
}

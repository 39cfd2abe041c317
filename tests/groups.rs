//! Streams that are offered side by side, from messages to one master playlist and its media, under
//! a clock of the test's own.
//!
//! One encoder, or several, send each member over a connection of its own, earlier or later than
//! the others. The program's own judge, `media::history`, follows the group's master as a player
//! would; what matters most is compared here besides. Rules cited: R10, R12, R60 to R65.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::std_instead_of_core,
    dead_code,
    unreachable_pub,
    reason = "tests: a panic is how they speak; each uses its own part of what is shared"
)]

#[path = "groups/board.rs"]
mod board;

use board::{Board, Member, S};
use rillcast::limits::{GROUP_APART_MS_MAX, GROUP_TAGS_MAX};
use rillcast::status::Counter;
use rillcast::wire::m3u8::MasterPlaylist;

const PAIR: &[&str] = &["group.live/cam.variants=live/hi,live/lo"];
const ALL: &[&str] = &[
    "group.live/cam.variants=live/hi,live/lo",
    "group.live/cam.audio=live/hi en English,live/de de Deutsch",
    "group.live/cam.audio_only=live/radio",
];

/// Two sizes, a language and a radio, sent by one encoder.
fn all() -> [Member; 4] {
    [
        Member::new("live/hi", true, true),
        Member::new("live/lo", true, true).behind(S / 10),
        Member::new("live/de", false, true).behind(S / 5),
        Member::new("live/radio", false, true),
    ]
}

fn pair() -> [Member; 2] {
    [Member::new("live/hi", true, true), Member::new("live/lo", true, true).behind(S / 8)]
}

#[test]
fn r60_members_of_one_encoder_begin_their_segments_at_the_same_times() {
    let mut board = Board::new(ALL);
    let mut members = all();
    board.come(&mut members);
    board.run(&mut members, 12 * S);
    board.watch();
    board.run(&mut members, 40 * S);
    let lists = members.each_ref().map(|member| board.listed(member.path));
    for list in &lists[1..] {
        assert_eq!(list.target_s, lists[0].target_s, "R60");
        board::compare(&lists[0], list, list.is_video);
    }
    let text = board.text("live/cam/master.m3u8");
    let master = MasterPlaylist::parse(text.as_bytes()).unwrap();
    let addresses: Vec<&str> = master.variants().map(|(_, uri)| uri).collect();
    let want = ["../hi/index.m3u8", "../lo/index.m3u8", "../radio/index.m3u8"];
    assert_eq!(addresses, want, "{text}");
    let renditions: Vec<_> = master.renditions().map(|one| (one.name, one.uri)).collect();
    assert_eq!(renditions, [("English", None), ("Deutsch", Some("../de/index.m3u8"))]);
    assert_eq!(master.i_frames().count(), 2);
    assert_eq!(board.file("live/cam/master.m3u8"), text, "the folder says the same");
    board.assert_clean("one encoder");
    assert_eq!(board.count(Counter::GroupRough), 0);
    for path in ["live/hi", "live/lo", "live/de", "live/radio"] {
        assert_eq!(board.listed(path).discontinuities(), 0, "{path}");
    }
}

const TRACKS: &[&str] = &[
    "group.live/cam.variants=live/hi,live/lo",
    "group.live/cam.audio=live/hi en English,live/hi#1 de Deutsch",
    "group.live/cam.audio_only=live/lo#0",
];

#[test]
fn r60_sound_tracks_of_a_stream_are_streams_of_its_group() {
    let mut board = Board::new(TRACKS);
    let mut members = pair();
    members[0].second = true;
    let paths = ["live/hi", "live/lo", "live/hi.audio1", "live/lo.audio0"];
    board.come(&mut members);
    board.run(&mut members, 12 * S);
    board.watch();
    for round in 0..=2 {
        board.run(&mut members, 30 * S);
        let lists = paths.map(|path| board.listed(path));
        for (list, path) in lists.iter().zip(paths) {
            assert_eq!(list.target_s, lists[0].target_s, "R60");
            assert_eq!(list.is_video, !path.contains("audio"), "{path}");
            board::compare(&lists[0], list, list.is_video);
            assert_eq!(list.behind_last(), round, "{path}");
        }
        board.go(&mut members);
        board.pause(3 * S);
        board.reboot(&mut members);
        board.come(&mut members);
    }
    board.run(&mut members, 8 * S);
    let text = board.text("live/cam/master.m3u8");
    let master = MasterPlaylist::parse(text.as_bytes()).unwrap();
    let addresses: Vec<&str> = master.variants().map(|(_, uri)| uri).collect();
    let want = ["../hi/index.m3u8", "../lo/index.m3u8", "../lo.audio0/index.m3u8"];
    assert_eq!(addresses, want, "{text}");
    let renditions: Vec<_> = master.renditions().map(|one| (one.name, one.uri)).collect();
    let deutsch = ("Deutsch", Some("../hi.audio1/index.m3u8"));
    assert_eq!(renditions, [("English", None), deutsch], "{text}");
    board.assert_clean("tracks");
    assert_eq!(board.count(Counter::GroupTracksRefused), 0);
}

#[test]
fn sound_track_ends_with_what_it_is_taken_from() {
    let mut board = Board::new(TRACKS);
    let mut members = pair();
    members[0].second = true;
    board.come(&mut members);
    board.run(&mut members, 12 * S);
    assert!(!board.end("live/hi.audio1"), "the camera goes on");
    assert!(board.end("live/hi"));
    let ended = |path: &str| board.text(path).ends_with("#EXT-X-ENDLIST\n");
    assert!(ended("live/hi/index.m3u8") && ended("live/hi.audio1/index.m3u8"));
    assert!(!ended("live/lo/index.m3u8") && !ended("live/lo.audio0/index.m3u8"));
}

#[test]
fn nobody_publishes_at_the_path_of_a_group_or_of_a_track() {
    let board = Board::new(TRACKS);
    for path in ["live/cam", "live/hi.audio1", "live/lo.audio0"] {
        assert!(board.refusal(path).contains("choose another name"), "{path}");
    }
}

#[test]
fn sound_tracks_without_a_place_are_counted_and_the_rest_goes_on() {
    let mut board = Board::new(TRACKS);
    let mut other = [Member::new("live/hall", true, true)];
    let mut members = pair();
    board.come(&mut other);
    board.come(&mut members);
    board.run(&mut members, 12 * S);
    assert_eq!(board.count(Counter::GroupTracksRefused), 1);
    assert!(board.text("live/cam/master.m3u8").contains("../lo/index.m3u8"));
}

#[test]
fn r60_reboot_of_all_is_one_discontinuity_in_each() {
    let mut board = Board::new(ALL);
    let mut members = all();
    board.come(&mut members);
    board.run(&mut members, 20 * S);
    board.watch();
    for round in 1..=3 {
        board.go(&mut members);
        board.pause(3 * S);
        board.reboot(&mut members);
        board.come(&mut members);
        board.run(&mut members, 30 * S);
        for member in &members {
            assert_eq!(board.listed(member.path).behind_last(), round, "{}", member.path);
        }
    }
    board.assert_clean("all reboot");
    assert_eq!(board.count(Counter::GroupRough), 0);
}

#[test]
fn r60_reboot_of_one_marks_all_at_the_same_time() {
    let mut board = Board::new(PAIR);
    let mut members = pair();
    board.come(&mut members);
    board.run(&mut members, 20 * S);
    board.watch();
    board.go(&mut members[1..]);
    board.run(&mut members, 5 * S);
    assert!(!board.text("live/cam/master.m3u8").contains("/lo/"), "who is away is left out");
    // Its connection was lost: the encoder's clock went on.
    board.come(&mut members[1..]);
    board.run(&mut members, 8 * S);
    let (high, low) = (board.listed("live/hi"), board.listed("live/lo"));
    assert_eq!((high.behind_last(), low.behind_last()), (1, 1));
    assert_eq!(high.marks(), low.marks(), "at the same time");
    board.run(&mut members, 30 * S);
    assert!(board.text("live/cam/master.m3u8").contains("/lo/"));
    board.assert_clean("one reboots");
    assert_eq!(board.count(Counter::GroupRough), 0);
}

#[test]
fn r64_member_that_comes_late_has_the_numbers_of_the_group_and_waits_to_be_listed() {
    let mut board = Board::new(PAIR);
    let mut members = pair();
    board.come(&mut members[..1]);
    board.run(&mut members, 20 * S);
    board.go(&mut members[..1]);
    board.pause(2 * S);
    board.come(&mut members[..1]);
    board.run(&mut members, 7 * S);
    board.come(&mut members[1..]);
    board.run(&mut members, 4 * S);
    assert!(!board.text("live/cam/master.m3u8").contains("/lo/"), "it begins too late (R64)");
    assert_eq!(board.listed("live/lo").behind_last(), 1, "numbers of the group");
    board.run(&mut members, 20 * S);
    assert!(board.text("live/cam/master.m3u8").contains("/lo/"));
    board.watch();
    board.run(&mut members, 30 * S);
    board::compare(&board.listed("live/hi"), &board.listed("live/lo"), true);
    board.assert_clean("late");
}

#[test]
fn clocks_that_have_nothing_to_do_with_each_other_are_aligned_by_arrival_and_said_so() {
    for (apart_ms, rough) in [(GROUP_APART_MS_MAX - 500, false), (GROUP_APART_MS_MAX + 500, true)] {
        let mut board = Board::new(PAIR);
        let mut members = pair();
        members[1].ahead = apart_ms * 90;
        members[1].behind = 0;
        board.come(&mut members);
        board.run(&mut members, 20 * S);
        board.watch();
        board.run(&mut members, 30 * S);
        assert_eq!(board.count(Counter::GroupRough) > 0, rough, "{apart_ms}");
        let problems: Vec<bool> = ["live/hi", "live/lo"].map(|path| board.is_wrong(path)).into();
        assert_eq!(problems, [rough; 2], "{apart_ms}");
        if rough {
            board.assert_clean("two clocks");
            let (high, low) = (board.listed("live/hi"), board.listed("live/lo"));
            let apart = high.starts.last().unwrap() - low.starts.last().unwrap();
            assert!(apart.abs() <= 2 * S, "aligned within a segment: {apart}");
        }
    }
}

#[test]
fn r60_jump_of_the_encoders_clock_is_one_discontinuity_in_each() {
    for hours in [3, -2] {
        let mut board = Board::new(ALL);
        let mut members = all();
        for member in &mut members {
            member.ahead = 3 * 3600 * S;
        }
        board.come(&mut members);
        board.run(&mut members, 20 * S);
        board.watch();
        for member in &mut members {
            member.ahead += hours * 3600 * S;
        }
        board.run(&mut members, 30 * S);
        for member in &members {
            assert_eq!(board.listed(member.path).behind_last(), 1, "{} {hours}", member.path);
        }
        board.assert_clean("jump");
        assert_eq!(board.count(Counter::GroupRough), 0, "{hours}");
    }
}

#[test]
fn r60_member_that_was_away_while_others_broke_off_makes_up_for_all_of_it() {
    let mut board = Board::new(PAIR);
    let mut members = pair();
    board.come(&mut members);
    board.run(&mut members, 20 * S);
    board.go(&mut members[1..]);
    let times = i64::from(GROUP_TAGS_MAX) + 2;
    for _ in 0..times {
        board.go(&mut members[..1]);
        board.pause(S);
        board.come(&mut members[..1]);
        board.run(&mut members, 6 * S);
    }
    board.come(&mut members[1..]);
    board.run(&mut members, 30 * S);
    let (high, low) = (board.listed("live/hi"), board.listed("live/lo"));
    assert_eq!(high.behind_last(), times as u64);
    assert_eq!(low.behind_last(), times as u64);
    board.watch();
    board.run(&mut members, 30 * S);
    board.assert_clean("made up");
}

#[test]
fn r60_change_of_size_of_one_member_is_a_discontinuity_of_all() {
    let mut board = Board::new(PAIR);
    let mut members = pair();
    board.come(&mut members);
    board.run(&mut members, 21 * S);
    board.watch();
    board.resize(&mut members[1]);
    board.run(&mut members, 30 * S);
    for member in &members {
        assert_eq!(board.listed(member.path).behind_last(), 1, "{}", member.path);
    }
    board.assert_clean("resized");
}

#[test]
fn r10_target_duration_is_that_of_the_pictures_for_all() {
    let mut board = Board::new(ALL);
    let mut members = all();
    for member in &mut members {
        member.gop = 100;
    }
    // Sound comes first.
    board.come(&mut members);
    board.run(&mut members, 40 * S);
    for member in &members {
        let list = board.listed(member.path);
        assert_eq!(list.target_s, 4, "{}", member.path);
        let whole = list.micros.iter().all(|micros| *micros == 4_000_000);
        assert!(whole || !list.is_video, "{:?}", list.micros);
    }
    assert_eq!(board.count(Counter::SegmentsForced), 0);
    assert_eq!(board.count(Counter::SegmentsOverlong), 0);
}

#[test]
fn streams_that_are_not_what_the_group_wants_are_left_out_and_said_so() {
    let mut board = Board::new(ALL);
    let mut members = all();
    members[2].video = true;
    members[3].audio = false;
    members[3].video = true;
    board.come(&mut members);
    board.run(&mut members, 30 * S);
    let text = board.text("live/cam/master.m3u8");
    assert!(!text.contains("/de/") && !text.contains("/radio/"), "{text}");
    let wrong = ["live/hi", "live/lo", "live/de", "live/radio"].map(|path| board.is_wrong(path));
    assert_eq!(wrong, [false, false, true, true]);
    board.watch();
    board.run(&mut members, 10 * S);
    board.assert_clean("left out");
}

#[test]
fn r12_r60_group_goes_on_over_a_restart_of_the_program() {
    let mut board = Board::new(ALL);
    let mut members = all();
    board.come(&mut members);
    board.run(&mut members, 20 * S);
    board.watch();
    for round in 1..=2 {
        board.run(&mut members, 10 * S);
        board = board.restart(&mut members, ALL);
        board.pause(S);
        board.come(&mut members);
        board.run(&mut members, 10 * S);
        for member in &members {
            assert_eq!(board.listed(member.path).behind_last(), round, "{}", member.path);
        }
    }
    board.run(&mut members, 20 * S);
    let lists = members.each_ref().map(|member| board.listed(member.path));
    board::compare(&lists[0], &lists[1], true);
    board::compare(&lists[0], &lists[3], false);
    board.assert_clean("restart");
}

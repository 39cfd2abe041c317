//! Numbers over runs, reboots and power failures: whatever happens, none comes again (R11, R12).

use super::*;
use crate::limits::{LEDGER_BYTES_MAX, STREAMS_MAX};
use crate::storage::narrow;
use crate::sys::clock::BELIEVABLE_FROM;
use crate::time::Instant;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

const START: Instant = Instant(0);

fn three(sequence: u64, discontinuity: u64, version: u64) -> Numbers {
    Numbers { sequence, discontinuity, version }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("state");
    (folder, path)
}

/// Does the write that is due, if one is.
fn write(ledger: &mut Ledger, now: Instant) -> bool {
    let Some(job) = ledger.due(now) else { return false };
    ledger.settle(job.run(), now);
    true
}

#[test]
fn numbers_of_a_stream_go_on_in_the_next_run_and_none_comes_again() {
    let (_guard, path) = folder();
    let mut used = Numbers::ZERO;
    for run in 0..5u64 {
        let mut ledger = Ledger::open(&path, None);
        let begins = ledger.begin("live/cam");
        assert!(begins.covers(used), "R11, R12 in run {run}: {begins:?} after {used:?}");
        assert_eq!(run == 0, begins == Numbers::ZERO);
        used = begins;
        for n in 0..10_000u64 {
            used = used.plus(three(1, u64::from(n.is_multiple_of(500)), 1));
            ledger.note("live/cam", used);
            write(&mut ledger, START);
            assert!(ledger.promised("live/cam").covers(used), "{n} of run {run}");
        }
    }
}

#[test]
fn writes_are_few_and_do_not_grow_with_the_streams() {
    let (_guard, path) = folder();
    let mut ledger = Ledger::open(&path, None);
    let streams = narrow(STREAMS_MAX);
    let names: Vec<String> = (0..streams).map(|n| format!("live/cam{n}")).collect();
    for name in &names {
        ledger.begin(name);
    }
    let mut writes = 0;
    let segments = 10 * LEDGER_SEQUENCE_BLOCK;
    for n in 1..=segments {
        for name in &names {
            ledger.note(name, three(n, n / 100, n));
        }
        writes += u64::from(write(&mut ledger, START));
    }
    assert!(writes <= 1 + 2 * segments / LEDGER_SEQUENCE_BLOCK, "{writes} writes");
    assert!(writes >= segments / LEDGER_SEQUENCE_BLOCK, "{writes} writes");
}

#[test]
fn discontinuities_jump_by_less_than_sequences_do() {
    // So that whoever compares the two finds no more tags gone than segments (R36).
    let (_guard, path) = folder();
    let mut used = Numbers::ZERO;
    for run in 1..=6u64 {
        let mut ledger = Ledger::open(&path, None);
        let begins = ledger.begin("live/cam");
        let (gone, tags) =
            (begins.sequence - used.sequence, begins.discontinuity - used.discontinuity);
        assert!(tags <= gone, "run {run}: {tags} tags with {gone} segments");
        assert!(tags <= LEDGER_DISCONTINUITY_BLOCK, "{tags}");
        used = begins.plus(three(run * 1111, run * 7, run * 1111));
        ledger.note("live/cam", used);
        write(&mut ledger, START);
    }
}

#[test]
fn program_that_starts_again_and_again_uses_few_numbers() {
    let (_guard, path) = folder();
    for _ in 0..100 {
        let mut ledger = Ledger::open(&path, None);
        assert!(!write(&mut ledger, START), "nobody publishes");
    }
    let begins = Ledger::open(&path, None).begin("live/cam");
    assert_eq!(begins.sequence, 100 * LEDGER_SEQUENCE_SPARE);
    assert_eq!(begins.discontinuity, 100 * LEDGER_DISCONTINUITY_SPARE);
}

/// The states in which the power can leave the folder while a write is under way.
fn power_failures(path: &Path, job: Job, text: &[u8]) -> Vec<tempfile::TempDir> {
    let copy = || {
        let copy = tempfile::tempdir_in("/dev/shm").unwrap();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    };
    let mut states = vec![copy()];
    for bytes in [0, 1, text.len() / 2, text.len() - 1, text.len()] {
        let state = copy();
        fs::write(state.path().join("numbers.new"), &text[..bytes]).unwrap();
        states.push(state);
    }
    // Between the two steps in which the previous one is replaced.
    let state = copy();
    fs::write(state.path().join("numbers.new"), text).unwrap();
    let _gone = fs::remove_file(state.path().join("numbers.previous"));
    states.push(state);
    let state = copy();
    fs::write(state.path().join("numbers.new"), text).unwrap();
    fs::copy(state.path().join("numbers"), state.path().join("numbers.previous")).unwrap();
    states.push(state);
    job.run().unwrap();
    states.push(copy());
    // And after it, on storage that loses what it said it holds.
    for bytes in [0, 1, text.len() / 2, text.len() - 1] {
        let state = copy();
        fs::write(state.path().join("numbers"), &text[..bytes]).unwrap();
        states.push(state);
    }
    let state = copy();
    fs::remove_file(state.path().join("numbers")).unwrap();
    states.push(state);
    states
}

#[test]
fn power_may_fail_at_any_point_of_a_write_and_no_number_comes_again() {
    let (_guard, path) = folder();
    let mut ledger = Ledger::open(&path, None);
    let mut used = Numbers::ZERO;
    let mut looked = 0;
    ledger.note("live/old", three(70_000, 50, 70_000));
    assert!(write(&mut ledger, START));
    ledger.begin("live/cam");
    for round in 0..3u64 {
        while ledger.due(START).is_none() {
            used = used.plus(three(1, 0, 1));
            ledger.note("live/cam", used);
        }
        ledger.busy = false;
        let (job, text) = (ledger.job().unwrap(), ledger.job().unwrap().text().to_vec());
        // The camera goes on while the write is under way; the first is made as soon as it comes.
        let meanwhile = if round == 0 { SPARE.sequence / 2 } else { HALF.sequence / 2 };
        used = used.plus(three(meanwhile, 1, meanwhile));
        ledger.note("live/cam", used);
        let newcomer = format!("live/new{round}");
        let new = ledger.begin(&newcomer).plus(three(5, 1, 5));
        for state in power_failures(&path, job, &text) {
            let mut after = Ledger::open(state.path(), None);
            for (stream, used) in
                [("live/cam", used), ("live/old", three(70_000, 50, 70_000)), (&newcomer, new)]
            {
                let begins = after.begin(stream);
                assert!(begins.covers(used), "{stream} in round {round}: {begins:?}, {used:?}");
                looked += 1;
            }
        }
        ledger.settle(Ok(()), START);
    }
    assert_eq!(looked, 3 * 3 * 14);
}

#[test]
fn torn_file_is_not_kept_in_place_of_the_good_one_before() {
    let (_guard, path) = folder();
    let mut ledger = Ledger::open(&path, None);
    ledger.note("live/cam", three(100, 1, 100));
    assert!(write(&mut ledger, START));
    drop(ledger);
    let good = fs::read(path.join("numbers.previous")).unwrap();
    fs::write(path.join("numbers"), b"rillcast numbers 1\n12").unwrap();
    drop(Ledger::open(&path, None));
    assert_eq!(fs::read(path.join("numbers.previous")).unwrap(), good);
    let bytes = fs::read(path.join("numbers")).unwrap();
    assert!(crate::wire::ledger::Ledger::parse(&bytes).is_ok(), "a whole one is in place");
}

#[test]
fn with_both_files_lost_the_clock_says_where_no_number_can_have_been() {
    let (_guard, path) = folder();
    drop(Ledger::open(&path, None));
    for name in ["numbers", "numbers.previous"] {
        fs::write(path.join(name), b"#EXTM3U").unwrap();
    }
    let wall = BELIEVABLE_FROM + 1_000;
    let begins = Ledger::open(&path, Some(wall)).begin("live/cam");
    assert_eq!(begins, three(4_000, 1_000, 4_000));
    assert_eq!(crate::limits::SEQUENCES_PER_SECOND_MAX, 4);
    fs::write(path.join("numbers"), vec![b'x'; LEDGER_BYTES_MAX + 1]).unwrap();
    fs::remove_file(path.join("numbers.previous")).unwrap();
    let begins = Ledger::open(&path, None).begin("live/cam");
    assert_eq!(begins, Numbers::ZERO, "in 1970 nothing is known");
}

#[test]
fn folder_that_cannot_be_used_leaves_numbers_to_the_clock() {
    let guard = tempfile::tempdir().unwrap();
    let file = guard.path().join("file");
    fs::write(&file, b"x").unwrap();
    let wall = BELIEVABLE_FROM + 10;
    for path in [file.as_path(), &file.join("below"), Path::new("/proc/none")] {
        let mut ledger = Ledger::open(path, Some(wall));
        assert_eq!(ledger.begin("live/cam"), three(40, 10, 40), "{}", path.display());
        ledger.note("live/cam", three(10_000, 10, 1));
        assert!(ledger.due(START).is_none());
        assert_eq!(ledger.begin("live/cam"), three(10_000, 10, 40), "in this run it does");
    }
}

#[test]
fn second_program_on_the_folder_does_not_write_there() {
    let (_guard, path) = folder();
    let mut first = Ledger::open(&path, None);
    let mut second = Ledger::open(&path, None);
    first.begin("live/cam");
    second.begin("live/cam");
    assert!(first.due(START).is_some() && second.due(START).is_none());
    drop(first);
    assert!(Ledger::open(&path, None).home.is_some());
}

#[test]
fn write_that_cannot_be_made_is_tried_again_after_a_while() {
    let (_guard, path) = folder();
    let mut ledger = Ledger::open(&path, None);
    ledger.begin("live/cam");
    let job = ledger.due(START).unwrap();
    assert!(ledger.due(START).is_none(), "one at a time");
    drop(job);
    ledger.settle(Err(io::ErrorKind::StorageFull.into()), START);
    assert!(ledger.due(START.after(LEDGER_RETRY_TIME / 2)).is_none());
    let promised = ledger.promised("live/cam");
    assert!(write(&mut ledger, START.after(LEDGER_RETRY_TIME)));
    assert!(ledger.promised("live/cam").sequence > promised.sequence);
    assert!(ledger.due(START).is_none());
}

#[test]
fn stream_that_was_forgotten_begins_above_all_that_it_used() {
    let (_guard, path) = folder();
    assert!(LEDGER_STREAMS_MAX >= 2 * narrow(STREAMS_MAX), "who is on the air is not the oldest");
    let mut ledger = Ledger::open(&path, None);
    let oldest = three(900, 9, 900);
    ledger.note("live/oldest", oldest);
    for n in 0..LEDGER_STREAMS_MAX {
        ledger.note("live/cam", three(50, 2, 50));
        ledger.note(&format!("live/{n}"), three(5, 1, 5));
    }
    assert_eq!(ledger.records.len(), LEDGER_STREAMS_MAX);
    assert!(ledger.records.iter().all(|record| *record.path != *"live/oldest"));
    assert_eq!(ledger.begin("live/cam").discontinuity, 2, "it is on the air, and remembered");
    assert!(ledger.begin("live/oldest").covers(oldest));
    assert!(write(&mut ledger, START));
    drop(ledger);
    let mut after = Ledger::open(&path, None);
    assert!(after.begin("live/oldest").covers(oldest), "in the next run too");
    assert!(after.begin("live/nobody").covers(oldest), "nor does a stranger reuse them");
}

#[test]
fn ledger_takes_what_another_remembers() {
    let mut first = Ledger::new();
    first.note("live/a", three(5, 1, 0));
    let mut second = Ledger::new();
    second.note("live/a", three(3, 2, 7));
    second.merge(&first);
    assert_eq!(second.begin("live/a"), three(5, 2, 7));
    assert_eq!(second.begin("live/b"), Numbers::ZERO);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_number_comes_again_whatever_happens(
        steps in proptest::collection::vec((0u8..6, 0usize..80, 1u64..3000), 1..120),
    ) {
        let (_guard, path) = folder();
        let mut ledger = Ledger::open(&path, None);
        let mut used = std::collections::BTreeMap::<String, Numbers>::new();
        for (what, stream, by) in steps {
            let name = format!("live/{stream}");
            match what {
                // A run ends, in whatever way.
                0 => {
                    drop(ledger);
                    ledger = Ledger::open(&path, None);
                }
                // The newest file is lost with the run.
                1 if used.len() > 3 => {
                    drop(ledger);
                    fs::write(path.join("numbers"), b"rillcast").unwrap();
                    ledger = Ledger::open(&path, None);
                }
                _ => {
                    let begins = ledger.begin(&name);
                    let before = used.get(&name).copied().unwrap_or(Numbers::ZERO);
                    prop_assert!(begins.covers(before), "{}: {:?}, {:?}", name, begins, before);
                    // The loop looks many times while half a block is used up.
                    write(&mut ledger, START);
                    let by = by.min(HALF.sequence);
                    let now = begins.plus(three(by, by / 100, by));
                    ledger.note(&name, now);
                    used.insert(name, now);
                }
            }
        }
    }
}

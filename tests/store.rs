//! The store on a real tmpfs: who may write where, and when.
//!
//! Segments are filled with their own number, so that a byte of another one is seen. `R` numbers
//! are those of RFC 8216 rules in the reference sheet of the HLS side.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    clippy::print_stderr,
    clippy::bool_assert_comparison,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads and processes are theirs, and a panic is how they speak"
)]

#[path = "support/camera.rs"]
mod camera;
#[path = "store/masters.rs"]
mod masters;
#[path = "support/ts.rs"]
mod ts;

use camera::{PPS, SPS};
use rillcast::config::settings::{Config, Draft};
use rillcast::limits::{DATE_RANGES_MAX, STREAM_AWAY_TIME_MIN, STREAM_EXPECTED_TIME};
use rillcast::media::container::Container;
use rillcast::media::cue::Cue;
use rillcast::media::pipeline::{Message, Pipeline};
use rillcast::media::playlist::{DateRange, RangeError};
use rillcast::media::sink::{Segment, Sink as _};
use rillcast::service::store::Store;
use rillcast::status::{Counter, Status};
use rillcast::storage::FrameRing;
use rillcast::time::{Instant, Millis, Ticks, UnixMillis};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SECOND: u64 = 1_000_000;

fn config(folder: &Path, pairs: &[&str]) -> Config {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
    for pair in ["limits.slot_bytes=262144", "limits.streams=1"].iter().chain(pairs) {
        draft.set_pair(pair).unwrap();
    }
    draft.check().unwrap()
}

fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

struct House {
    store: Store,
    status: Rc<Status>,
    stream: usize,
    now: u64,
    media_ms: u64,
    sequence: u64,
    /// Of the next segment.
    discontinuity: bool,
}

impl House {
    fn open(folder: &Path, epoch: u32, pairs: &[&str]) -> Self {
        let status = Rc::new(Status::new());
        let config = config(folder, pairs);
        let mut store = Store::open(&config, epoch, Rc::clone(&status)).unwrap();
        let stream = store.publish("live/cam", Instant(0)).unwrap();
        Self { store, status, stream, now: 0, media_ms: 0, sequence: 0, discontinuity: false }
    }

    /// Writes a segment of `packets`, filled with its number, after `ms` of it have passed.
    fn segment(&mut self, ms: u64, packets: usize) {
        for _ in 0..ms / 100 {
            self.now += 100_000;
            self.store.tick(Instant(self.now));
            self.store.check_invariants();
        }
        self.put(self.stream, ms, packets);
        self.sequence += 1;
        self.media_ms += ms;
        self.discontinuity = false;
    }

    /// Writes that segment, now.
    fn put(&mut self, stream: usize, ms: u64, packets: usize) {
        let mut sink = self.store.sink(stream, Instant(self.now));
        sink.begin().unwrap();
        let mut left = packets;
        while left > 0 {
            assert!(sink.reserve(188));
            let room = sink.room();
            let n = room.len().min(left);
            for packet in &mut room[..n] {
                *packet = [self.sequence as u8; 188];
            }
            sink.wrote(n);
            left -= n;
        }
        sink.finish(&Segment {
            start: Ticks::from_millis(self.media_ms as i64),
            duration: Ticks::from_millis(ms as i64),
            bytes: packets * 188,
            discontinuity: self.discontinuity,
            independent: true,
            forced: false,
        });
        self.store.check_invariants();
    }

    fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    /// Names that the playlist lists, and its duration in microseconds.
    fn listed(&self) -> (Vec<String>, u64) {
        let view = self.store.playlist("live/cam/index.m3u8").unwrap();
        read_playlist(std::str::from_utf8(view.body).unwrap())
    }
}

fn read_playlist(text: &str) -> (Vec<String>, u64) {
    assert!(text.starts_with("#EXTM3U\n"), "{text:?}");
    assert!(text.ends_with(".ts\n"), "{text:?}");
    let names = text.lines().filter(|line| line.ends_with(".ts")).map(str::to_owned).collect();
    let lasts = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    let lasts = lasts.map(|text| text.trim_end_matches(',').parse::<f64>().unwrap());
    (names, (lasts.sum::<f64>() * 1e6).round() as u64)
}

#[test]
fn stream_is_expected_for_a_minute_after_its_camera_or_the_program_has_begun() {
    let folder = shm();
    let mut house = House::open(folder.path(), 1, &[]);
    let index = "live/cam/index.m3u8";
    let after = |time: core::time::Duration| Instant(0).after(time);
    let last = after(STREAM_EXPECTED_TIME - core::time::Duration::from_micros(1));
    assert!(house.store.expects(index, last));
    assert!(house.store.expects("live/cam/master.m3u8", last));
    assert!(!house.store.expects(index, after(STREAM_EXPECTED_TIME)));
    for other in ["live/cam/iframes.m3u8", "live/cam/", "live/other/index.m3u8", "index.m3u8", ""] {
        assert!(!house.store.expects(other, last), "{other}");
    }
    house.store.leave(house.stream, after(STREAM_EXPECTED_TIME));
    assert!(!house.store.expects(index, after(STREAM_EXPECTED_TIME)));
    house.store.publish("live/cam", after(STREAM_EXPECTED_TIME)).unwrap();
    assert!(house.store.expects(index, after(STREAM_EXPECTED_TIME)));
}

#[test]
fn segments_that_left_the_playlist_stay_whole_as_long_as_r35_asks() {
    let folder = shm();
    let mut house = House::open(folder.path(), 0x5f3a, &["hls.window_segments=4"]);
    // Name to: its number, when it was last listed, its duration, the longest playlist with it.
    let mut known: BTreeMap<String, (u64, u64, u64, u64)> = BTreeMap::new();
    for n in 0..80u64 {
        let ms = [2_000, 2_000, 1_900, 2_100, 600][n as usize % 5];
        house.segment(ms, 20 + n as usize % 700);
        let (names, total) = house.listed();
        for name in &names {
            let number = name.split_once('-').unwrap().1.trim_end_matches(".ts").parse().unwrap();
            let ms = [2_000, 2_000, 1_900, 2_100, 600][number as usize % 5];
            let entry = known.entry(name.clone()).or_insert((number, 0, ms * 1000, 0));
            entry.1 = house.now;
            entry.3 = entry.3.max(total);
        }
        for (name, (number, seen, lasts, longest)) in &known {
            if house.now > seen + lasts + longest {
                continue;
            }
            let view = house.store.segment(&format!("live/cam/{name}")).unwrap();
            let bytes = fs::read(folder.path().join("live/cam").join(name)).unwrap();
            assert_eq!(bytes.len() as u64, view.bytes, "{name}");
            assert!(bytes.iter().all(|byte| *byte == *number as u8), "{name} holds its own");
        }
    }
    assert_eq!(house.count(Counter::RetentionCut), 0);
    assert!(known.len() >= 78);
    let files = fs::read_dir(folder.path().join("live/cam")).unwrap().count();
    assert!(files <= 12, "what need not be kept is gone, {files} are there");
}

#[test]
fn slot_gets_another_generation_with_each_use() {
    let folder = shm();
    let mut house = House::open(folder.path(), 1, &["hls.window_segments=3"]);
    let mut generations: BTreeMap<usize, u32> = BTreeMap::new();
    for _ in 0..40 {
        house.segment(2_000, 10);
        let (names, _) = house.listed();
        let view = house.store.segment(&format!("live/cam/{}", names.last().unwrap())).unwrap();
        assert_eq!(house.store.generation(view.slot), view.generation);
        let before = generations.insert(view.slot, view.generation);
        assert!(before.is_none_or(|before| before < view.generation));
    }
    assert!(generations.len() < 40, "slots are used again");
}

#[test]
fn slow_reader_gets_the_old_bytes_though_its_slot_is_used_again() {
    let folder = shm();
    let mut house = House::open(folder.path(), 1, &["hls.window_segments=3"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut readers = Vec::new();
    // More than there are slots: every one of them is referred to.
    for _ in 0..12 {
        house.segment(2_000, 1_000);
        let (names, _) = house.listed();
        let view = house.store.segment(&format!("live/cam/{}", names.last().unwrap())).unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        house.store.hold(view.slot);
        house.store.mark_local(view.slot);
        let file = house.store.file(view.slot).unwrap();
        let (mut at, mut sent) = (0, 0);
        while sent < view.bytes as usize {
            let count = view.bytes as usize - sent;
            let n = nix::sys::sendfile::sendfile(socket.as_fd(), file, Some(&mut at), count);
            sent += n.unwrap();
        }
        // All is in the socket's queue, by reference; the response is over and lets go.
        house.store.release(view.slot);
        assert!(house.store.is_local(view.slot));
        readers.push((reader, socket, house.sequence - 1, view));
    }
    for _ in 0..40 {
        house.segment(2_000, 1_000);
    }
    assert!(house.count(Counter::SlotsRenewed) >= 3);
    let mut again = 0;
    for (mut reader, socket, number, view) in readers {
        if house.store.generation(view.slot) > view.generation {
            again += 1;
            assert!(!house.store.is_local(view.slot), "the new pages are nobody's");
        }
        drop(socket);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, view.bytes);
        assert!(bytes.iter().all(|byte| *byte == number as u8), "segment {number}");
    }
    assert!(again >= 3, "{again} slots were used again under a reader");
}

#[test]
fn held_slot_is_passed_over_while_another_is_free() {
    let folder = shm();
    let mut house = House::open(folder.path(), 1, &["hls.window_segments=3"]);
    house.segment(2_000, 10);
    let view = house.store.segment("live/cam/00000001-0.ts").unwrap();
    house.store.hold(view.slot);
    for _ in 0..60 {
        house.segment(2_000, 10);
    }
    assert_eq!(house.store.generation(view.slot), view.generation);
    assert_eq!(house.store.holds(view.slot), 1);
    assert_eq!(house.count(Counter::SlotsRenewed), 0);
    assert_eq!(house.count(Counter::RetentionCut), 0);
    house.store.release(view.slot);
    for _ in 0..20 {
        house.segment(2_000, 10);
    }
    assert!(house.store.generation(view.slot) > view.generation);
}

#[test]
fn restart_goes_on_with_what_was_left_and_names_nothing_twice() {
    let folder = shm();
    let mut house = House::open(folder.path(), 0xaaaa, &[]);
    for _ in 0..5 {
        house.segment(2_000, 10);
    }
    let before = house.listed().0;
    let version = house.store.playlist("live/cam/index.m3u8").unwrap().version;
    drop(house);
    let cam = folder.path().join("live/cam");
    fs::write(cam.join("notes.txt"), b"not ours").unwrap();
    fs::write(cam.join(".index.m3u8.new"), b"#EXTM3U half").unwrap();
    let mut house = House::open(folder.path(), 0xaaab, &[]);
    assert!(before.iter().all(|name| cam.join(name).exists()));
    assert!(cam.join("index.m3u8").exists() && !cam.join(".index.m3u8.new").exists());
    assert_eq!(fs::read(cam.join("notes.txt")).unwrap(), b"not ours");
    house.segment(2_000, 10);
    let after = house.listed().0;
    assert_eq!(after, [&before[..], &["0000aaab-5.ts".to_owned()]].concat());
    assert_ne!(house.store.playlist("live/cam/index.m3u8").unwrap().version, version);
    assert!(house.store.segment(&format!("live/cam/{}", before[0])).is_some());
}

#[test]
fn place_of_a_stream_that_is_away_is_given_up_and_its_numbers_are_not() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &[]);
    for _ in 0..6 {
        house.segment(2_000, 10);
    }
    let names = house.listed().0;
    let version = house.store.playlist("live/cam/index.m3u8").unwrap().version;
    assert!(house.store.publish("live/other", Instant(house.now)).is_err(), "it is live");
    house.store.leave(house.stream, Instant(house.now));
    assert!(house.store.publish("live/other", Instant(house.now)).is_err(), "it may come back");
    let later = Instant(house.now).after(STREAM_AWAY_TIME_MIN);
    house.store.publish("deep/er/other", later).unwrap();
    assert!(!folder.path().join("live").exists(), "its folders go with it");
    assert!(house.store.playlist("live/cam/index.m3u8").is_none());
    assert!(house.store.segment(&format!("live/cam/{}", names[5])).is_none());
    house.store.leave(0, later);
    house.now = later.after(STREAM_AWAY_TIME_MIN).0;
    house.stream = house.store.publish("live/cam", Instant(house.now)).unwrap();
    house.segment(2_000, 10);
    let again = house.listed().0;
    assert!(!names.contains(&again[0]), "{again:?}");
    let view = house.store.playlist("live/cam/index.m3u8").unwrap();
    assert!(view.version > version, "a cache must not take one for the other");
    let text = std::str::from_utf8(view.body).unwrap();
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:6\n"), "R11: {text}");
}

#[test]
fn playlist_is_replaced_at_one_stroke() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let folder = shm();
    let mut house = House::open(folder.path(), 3, &["hls.segment_ms=500"]);
    for _ in 0..4 {
        house.segment(2_000, 3);
    }
    let path = folder.path().join("live/cam/index.m3u8");
    let reader = std::thread::spawn(move || {
        let (mut reads, mut versions, mut last) = (0, 0, 0);
        while !DONE.load(Ordering::Relaxed) {
            let text = fs::read_to_string(&path).unwrap();
            let (names, _) = read_playlist(&text);
            assert!(names.len() >= 3);
            let number = |name: &String| -> u64 {
                name.split_once('-').unwrap().1.trim_end_matches(".ts").parse().unwrap()
            };
            let numbers: Vec<u64> = names.iter().map(number).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
            let newest = *numbers.last().unwrap();
            assert!(newest >= last, "never an older one");
            versions += u64::from(newest > last);
            last = newest;
            reads += 1;
        }
        (reads, versions)
    });
    for _ in 0..1_500 {
        house.segment(2_000, 3);
    }
    DONE.store(true, Ordering::Relaxed);
    let (reads, versions) = reader.join().unwrap();
    assert!(reads > 20 && versions > 5, "{reads} reads saw {versions} versions");
}

/// What was logged, by whichever test.
struct Ear(Mutex<String>);

static EAR: Ear = Ear(Mutex::new(String::new()));

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}\n", record.level(), record.args());
        self.0.lock().unwrap().push_str(&line);
    }

    fn flush(&self) {}
}

#[test]
fn folder_that_is_not_in_memory_is_warned_of_and_used() {
    let _already = log::set_logger(&EAR);
    log::set_max_level(log::LevelFilter::Warn);
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut house = House::open(disk.path(), 1, &["hls.window_segments=3"]);
    house.segment(2_000, 10);
    assert_eq!(house.listed().0.len(), 1);
    let heard = EAR.0.lock().unwrap().clone();
    let ours = disk.path().to_str().unwrap();
    assert!(
        heard.lines().any(|line| line.starts_with("WARN hls.dir is not on a tmpfs")
            && line.contains(ours)
            && line.contains("43 GB a day, which wears an SD card out")),
        "{heard}"
    );
}

/// Runs the test `name` of this program in a mount namespace of its own, with a tmpfs of `size` at
/// the folder that `ROOM` names.
fn in_own_tmpfs(name: &str, size: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size} none \"{ROOM}\" && exec \"$0\" --exact {name} --nocapture",
        ROOM = folder.path().display()
    );
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(ROOM, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    if text.contains("Operation not permitted") || text.contains("permission denied") {
        eprintln!("{name}: not tried, mounting is not permitted here");
        return;
    }
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

/// The environment variable that names the small tmpfs.
const ROOM: &str = "RILLCAST_TEST_ROOM";

/// The small tmpfs, in the process that has one.
fn room() -> Option<PathBuf> {
    std::env::var_os(ROOM).map(PathBuf::from)
}

#[test]
fn tmpfs_without_room_for_all_slots_is_an_error_at_start() {
    let Some(room) = room() else {
        return in_own_tmpfs("tmpfs_without_room_for_all_slots_is_an_error_at_start", "1m");
    };
    let status = Rc::new(Status::new());
    let outcome = Store::open(&config(&room.join("hls"), &[]), 1, status);
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("hls.dir") && text.contains("enlarge the tmpfs"), "{text}");
    assert!(text.contains("4 MiB needed"), "{text}");
}

#[test]
fn tmpfs_that_fills_up_cuts_early_and_the_stream_goes_on() {
    let Some(room) = room() else {
        return in_own_tmpfs("tmpfs_that_fills_up_cuts_early_and_the_stream_goes_on", "4608k");
    };
    let pairs = ["hls.window_segments=3", "hls.segment_ms=2000"];
    let status = Rc::new(Status::new());
    let config = config(&room.join("hls"), &pairs);
    let mut store = Store::open(&config, 1, Rc::clone(&status)).unwrap();
    let stream = store.publish("live/cam", Instant(0)).unwrap();
    let mut pipeline = Pipeline::new(Ticks::from_millis(2_000));
    let mut ring = FrameRing::new(1 << 20, 64);
    let mut send = |at: u32, payload: &[u8], store: &mut Store| {
        let place = ring.reserve(payload.len()).unwrap();
        ring.window(place).copy_from_slice(payload);
        ring.close(place);
        let now = Instant(u64::from(at) * 1_000);
        store.tick(now);
        let message = Message { video: true, at: Millis(at), place };
        pipeline.message(message, &ring, &mut store.sink(stream, now), &status);
        pipeline.check_invariants();
        store.check_invariants();
    };
    let mut config = vec![0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4];
    config.extend(SPS);
    config.extend([1, 0, 4]);
    config.extend(PPS);
    send(0, &config, &mut store);
    let picture = |n: u32, bytes: u32| {
        let key = n.is_multiple_of(50);
        let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        payload.extend(bytes.to_be_bytes());
        payload.push(if key { 0x65 } else { 0x41 });
        payload.resize(9 + bytes as usize, 0x33);
        payload
    };
    // Short segments first: their slots give pages back.
    for n in 0..1_000 {
        send(n * 40, &picture(n, 300), &mut store);
    }
    assert_eq!(status.get(Counter::SlotsFull), 0);
    // Somebody else takes all that is left.
    let filler = room.join("filler");
    let outcome = fs::write(&filler, vec![1; 8 << 20]);
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    let listed = |store: &Store| store.playlist("live/cam/index.m3u8").unwrap().version;
    let before = listed(&store);
    for n in 1_000..2_000 {
        send(n * 40, &picture(n, 3_000), &mut store);
    }
    let cut = status.get(Counter::SlotsFull) + status.get(Counter::MediaWithoutSlot);
    assert!(cut > 0, "it was noticed");
    fs::remove_file(&filler).unwrap();
    for n in 2_000..4_000 {
        send(n * 40, &picture(n, 3_000), &mut store);
    }
    assert!(listed(&store) > before + 20, "it goes on");
    let full = status.get(Counter::SlotsFull) + status.get(Counter::MediaWithoutSlot);
    for n in 4_000..4_500 {
        send(n * 40, &picture(n, 3_000), &mut store);
    }
    let now = status.get(Counter::SlotsFull) + status.get(Counter::MediaWithoutSlot);
    assert_eq!(now, full, "as before");
}

thread_local! {
    /// The wall clock of a test, milliseconds since 1970; `None` while nobody has set it.
    static WALL: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

fn wall() -> Option<UnixMillis> {
    WALL.get().map(UnixMillis)
}

/// 2026-01-05T10:20:30Z.
const T: u64 = 1_767_608_430_000;

impl House {
    /// A segment of two seconds, ending at this wall time.
    fn dated_segment(&mut self, wall_ms: Option<u64>) {
        WALL.set(wall_ms);
        self.store.set_clock(wall);
        self.segment(2_000, 2);
    }

    /// Tags of the playlist between its header and the first address, and so on.
    fn tags(&self) -> Vec<String> {
        let view = self.store.playlist("live/cam/index.m3u8").unwrap();
        let text = std::str::from_utf8(view.body).unwrap();
        let ours = |line: &&str| {
            line.starts_with("#EXT-X-PROGRAM") || line.starts_with("#EXT-X-DISC") || line.len() < 16
        };
        let lines = text.lines().filter(|line| !line.contains("SEQUENCE"));
        lines.filter(ours).skip(1).map(str::to_owned).collect()
    }
}

#[test]
fn r43_each_segment_is_dated_from_the_first_good_clock_on() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &[]);
    house.dated_segment(None);
    house.dated_segment(Some(T));
    house.discontinuity = true;
    house.dated_segment(Some(T + 62_000));
    assert_eq!(
        house.tags(),
        [
            "00000009-0.ts",
            "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:28.000Z",
            "00000009-1.ts",
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:21:30.000Z",
            "00000009-2.ts",
        ]
        .map(str::to_owned)
    );
}

#[test]
fn segments_are_undated_where_the_setting_says_so() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &["hls.dates=false"]);
    house.dated_segment(Some(T));
    assert_eq!(house.tags(), ["00000009-0.ts"]);
}

#[test]
fn r61_streams_that_are_sent_together_have_the_same_dates() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &["limits.streams=2"]);
    let other = house.store.publish("live/low", Instant(0)).unwrap();
    let dates = |house: &House, path: &str| -> Vec<String> {
        let view = house.store.playlist(path).unwrap();
        let text = std::str::from_utf8(view.body).unwrap();
        text.lines().filter(|line| line.contains("DATE-TIME")).map(str::to_owned).collect()
    };
    for n in 0..5u64 {
        WALL.set(Some(T + n * 2_000));
        house.store.set_clock(wall);
        house.put(other, 2_000, 1);
        house.segment(2_000, 2);
    }
    let high = dates(&house, "live/cam/index.m3u8");
    assert_eq!(high.len(), 5);
    assert_eq!(high[4], "#EXT-X-PROGRAM-DATE-TIME:2026-01-05T10:20:36.000Z");
    assert_eq!(dates(&house, "live/low/index.m3u8"), high);
}

#[test]
fn packed_audio_has_a_name_and_a_type_of_its_own() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &[]);
    let mut sink = house.store.sink(house.stream, Instant(0));
    sink.begin_as(Container::Mpeg).unwrap();
    assert!(sink.reserve(5_001));
    sink.append(&[1; 1_000]);
    sink.append(&[2; 4_001]);
    let (start, duration) = (Ticks(0), Ticks::from_millis(2_000));
    let bytes = sink.written();
    let (discontinuity, independent, forced) = (false, true, false);
    sink.finish(&Segment { start, duration, bytes, discontinuity, independent, forced });
    house.store.check_invariants();
    let view = house.store.segment("live/cam/00000009-0.mp3").unwrap();
    assert_eq!((view.content_type, view.bytes), ("audio/mpeg", 5_001));
    assert!(house.store.segment("live/cam/00000009-0.ts").is_none(), "it has one name");
    let file = fs::read(folder.path().join("live/cam/00000009-0.mp3")).unwrap();
    assert_eq!((file.len(), file[999], file[1_000]), (5_001, 1, 2));
    for _ in 0..20 {
        house.segment(2_000, 1);
    }
    assert!(!folder.path().join("live/cam/00000009-0.mp3").exists(), "it went with its slot");
}

/// `onCuePoint` with a name and one parameter.
fn cue_point(name: &str) -> Vec<u8> {
    let mut body = b"\x02\x00\x0aonCuePoint\x03\x00\x04name\x02\x00".to_vec();
    body.push(name.len() as u8);
    body.extend(name.as_bytes());
    body.extend(b"\x00\x04time\x00\x40\x00\x00\x00\x00\x00\x00\x00");
    body.extend(b"\x00\x0aparameters\x03\x00\x05level\x02\x00\x01\x37\x00\x00\x09\x00\x00\x09");
    body
}

fn ranges(house: &House) -> Vec<String> {
    let view = house.store.playlist("live/cam/index.m3u8").unwrap();
    let text = std::str::from_utf8(view.body).unwrap();
    text.lines().filter(|line| line.contains("DATERANGE")).map(str::to_owned).collect()
}

#[test]
fn cue_point_is_a_date_range_as_long_as_its_date_is_in_the_window() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &[]);
    let body = cue_point("Tor");
    let cue = Cue::parse(&body).unwrap();
    let undated = house.store.cue(house.stream, Ticks(0), &cue);
    assert_eq!(undated, Err(RangeError::Undated));
    house.dated_segment(Some(T));
    house.store.cue(house.stream, Ticks::from_millis(3_500), &cue).unwrap();
    assert!(ranges(&house).is_empty(), "it comes with its segment");
    let want = format!(
        "#EXT-X-DATERANGE:ID=\"cue-{}-1\",CLASS=\"onCuePoint\",\
         START-DATE=\"2026-01-05T10:20:31.500Z\",DURATION=0.000,X-NAME=\"Tor\",X-LEVEL=\"7\"",
        T + 1_500
    );
    for n in 1..=6 {
        house.dated_segment(Some(T + n * 2_000));
        let listed = ranges(&house);
        assert_eq!(listed, std::slice::from_ref(&want), "the same text each time, {n}");
        let view = house.store.playlist("live/cam/index.m3u8").unwrap();
        let text = std::str::from_utf8(view.body).unwrap();
        rillcast::wire::m3u8::MediaPlaylist::parse(text.as_bytes()).unwrap();
    }
    house.dated_segment(Some(T + 14_000));
    assert!(ranges(&house).is_empty(), "the window begins behind it");
}

#[test]
fn date_ranges_are_refused_while_the_clock_cannot_be_believed() {
    let folder = shm();
    let mut house = House::open(folder.path(), 9, &[]);
    let range = |id: &str| DateRange::new(id, "", UnixMillis(T + 60_000), None).unwrap();
    house.dated_segment(Some(T));
    house.store.date_range(house.stream, range("a")).unwrap();
    assert_eq!(house.store.date_range(house.stream, range("a")), Err(RangeError::Repeated));
    WALL.set(None);
    assert_eq!(house.store.date_range(house.stream, range("b")), Err(RangeError::Undated));
    house.dated_segment(Some(T + 2_000));
    for n in 1..DATE_RANGES_MAX {
        house.store.date_range(house.stream, range(&n.to_string())).unwrap();
    }
    assert_eq!(house.store.date_range(house.stream, range("c")), Err(RangeError::Full));
    house.dated_segment(Some(T + 4_000));
    assert_eq!(ranges(&house).len(), DATE_RANGES_MAX);
    // Without a date in the list there is no range either (RFC 8216 §4.3.2.7).
    for _ in 0..8 {
        house.dated_segment(None);
    }
    assert!(ranges(&house).is_empty());
}

#[test]
fn start_is_said_three_targets_before_the_end_at_least() {
    let folder = shm();
    let pairs = ["hls.start_offset_s=7", "hls.independent_segments=false"];
    let mut house = House::open(folder.path(), 9, &pairs);
    house.segment(2_900, 1);
    let view = house.store.playlist("live/cam/index.m3u8").unwrap();
    let text = std::str::from_utf8(view.body).unwrap();
    assert!(text.contains("#EXT-X-TARGETDURATION:3\n"), "{text}");
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=-9\n"), "{text}");
    assert!(!text.contains("INDEPENDENT"), "{text}");
}

//! Days of a stream in seconds: the whole pipeline, from messages to playlist and files, under a
//! clock of the test's own.
//!
//! A camera writes its true time as its clock does, and the program's clock goes with it. Every
//! version of the playlist and every segment is judged when it appears, and asked for until it may
//! go. The judges read text and bytes only (`support/m3u8.rs`, `support/ts.rs`); the program's own,
//! `media::history`, follows as a player would. Rules cited: R9 to R12, R20 to R23, R30 to R37.

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

#[path = "support/m3u8.rs"]
mod m3u8;
#[path = "support/ts.rs"]
mod ts;
#[path = "support/wraps.rs"]
mod wraps;

use rillcast::config::settings::Draft;
use rillcast::media::history::{Allowance, Answer, Class, History, Next};
use rillcast::service::store::Store;
use rillcast::service::stream::{PublisherId, Right, Streams};
use rillcast::status::{Counter, Status};
use rillcast::time::{Instant, Millis, Ticks};
use rillcast::wire::flv::TagKind;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use wraps::{MILLIS, WRAPS, Wrap};

/// Ticks in a second.
const S: i64 = 90_000;
const HOUR: i64 = 3_600 * S;
const SPS: [u8; 4] = [0x67, 0x42, 0xc0, 0x1e];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
const HOST: &str = "http://box/hls/";
const YEAR: u64 = 365 * 86_400;
const TODAY: u64 = 1_790_000_000;

thread_local! {
    static WALL: Cell<Option<u64>> = const { Cell::new(Some(TODAY)) };
}

/// The program with one stream, and what watches it.
struct Board {
    store: Rc<RefCell<Store>>,
    streams: Streams,
    status: Rc<Status>,
    id: Option<(usize, PublisherId)>,
    /// True time of the building, in ticks.
    now: i64,
    witness: Witness,
    history: History,
    _folder: tempfile::TempDir,
}

/// A camera's two clocks.
#[derive(Clone, Copy)]
struct Camera {
    wrap: Wrap,
    /// What the clock of the picture is ahead of true time, in ticks.
    ahead: i64,
    /// The same for sound.
    audio_ahead: i64,
    audio: bool,
    /// Sound frames sent, of 1024 samples at 48 kHz.
    frames: i64,
    /// True time when it began.
    began: i64,
}

impl Camera {
    fn new(wrap: Wrap, ahead: i64) -> Self {
        Self { wrap, ahead, audio_ahead: ahead, audio: true, frames: 0, began: 0 }
    }
}

impl Board {
    fn new(pairs: &[&str]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
        let own = ["limits.streams=1", "limits.slot_bytes=256KiB", "hls.window_segments=3"];
        own.iter().chain(pairs).for_each(|pair| draft.set_pair(pair).unwrap());
        let config = draft.check().unwrap();
        let status = Rc::new(Status::new());
        let mut store = Store::open(&config, 0x5f3a_0c11, Rc::clone(&status)).unwrap();
        store.set_wall(|| WALL.get());
        let store = Rc::new(RefCell::new(store));
        let streams = Streams::new(&config, Rc::clone(&store), Rc::clone(&status));
        let witness = Witness::new(folder.path().join("live/cam"));
        // A camera may be away.
        let allowance = Allowance { stale: true, ..Allowance::default() };
        let history = History::new(&format!("{HOST}live/cam/index.m3u8"), allowance, None);
        Self { store, streams, status, id: None, now: 0, witness, history, _folder: folder }
    }

    fn clock(&self) -> Instant {
        Instant(u64::try_from(self.now / 9 * 100).unwrap())
    }

    /// The camera connects and says what it sends.
    fn comes(&mut self, camera: &mut Camera) {
        let id = self.streams.new_publisher();
        let (stream, _) = self
            .streams
            .publish("live/cam", (id, Right::Own), self.clock(), Duration::from_secs(5))
            .unwrap();
        self.id = Some((stream, id));
        (camera.began, camera.frames) = (self.now, 0);
        let mut video = vec![0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4];
        video.extend(SPS);
        video.extend([1, 0, 4]);
        video.extend(PPS);
        self.send(TagKind::Video, camera.wrap.stamp(self.now + camera.ahead), &video);
        if camera.audio {
            let at = camera.wrap.stamp(self.now + camera.audio_ahead);
            self.send(TagKind::Audio, at, &[0xaf, 0, 0x11, 0x90]);
        }
    }

    fn goes(&mut self) {
        let (stream, id) = self.id.take().unwrap();
        assert!(self.streams.leave(stream, id, self.clock()));
        self.turn();
    }

    fn send(&mut self, kind: TagKind, at: Millis, payload: &[u8]) {
        let (stream, id) = self.id.unwrap();
        let place = {
            let ring = &mut self.streams.get(stream).unwrap().borrow_mut().ring;
            let place = ring.reserve(payload.len()).unwrap();
            ring.window(place).copy_from_slice(payload);
            ring.close(place);
            place
        };
        assert!(self.streams.media(stream, id, kind, at, place, self.clock()));
        self.streams.settle(stream);
        self.turn();
    }

    /// What the program's tick does, and then the players.
    fn turn(&mut self) {
        let now = self.clock();
        self.store.borrow_mut().tick(now);
        self.witness.look(&self.store.borrow(), now);
        self.follow(now);
    }

    /// Gives the program's own judge whatever it asks for now.
    fn follow(&mut self, now: Instant) {
        let store = self.store.borrow();
        while let Next::Fetch(want) = self.history.next(now) {
            let path = want.url.strip_prefix(HOST).unwrap();
            let (content_type, body, expires_s) = match store.playlist(path) {
                Some(view) => ("application/vnd.apple.mpegurl", Some(view.body.to_vec()), None),
                None => {
                    let view = store.segment(path);
                    let planned = view.and_then(|view| view.planned);
                    let body = view.and_then(|_| fs::read(store.root().join(path)).ok());
                    ("video/mp2t", body, planned.map(|planned| planned.left(now).as_secs()))
                }
            };
            let answer = Answer {
                asked: now,
                now,
                status: if body.is_some() { 200 } else { 404 },
                content_type,
                length: body.as_ref().map(|body| body.len() as u64),
                expires_s,
                is_coded: false,
                body: body.as_deref().unwrap_or_default(),
            };
            self.history.answered(&want, &answer);
        }
    }

    /// Nothing is sent for so long; the program ticks on.
    fn silence(&mut self, ticks: i64) {
        let end = self.now + ticks;
        while self.now < end {
            self.now += (S / 2).min(end - self.now);
            self.turn();
        }
    }

    /// A picture now, and the sound that is due by then.
    fn picture(&mut self, camera: &mut Camera, key: bool) {
        if camera.audio {
            let due = |camera: &Camera| camera.began + camera.frames * 1_920;
            if self.now - due(camera) > S {
                // The rest was lost on the way.
                camera.frames = (self.now - camera.began) / 1_920;
            }
            while due(camera) <= self.now {
                let at = camera.wrap.stamp(due(camera) + camera.audio_ahead);
                camera.frames += 1;
                self.send(TagKind::Audio, at, &[0xaf, 1, 0x21, 0x10, 0x05, 0x20]);
            }
        }
        let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0, 0, 0, 0, 40];
        payload.push(if key { 0x65 } else { 0x41 });
        payload.resize(9 + 40, 0x33);
        self.send(TagKind::Video, camera.wrap.stamp(self.now + camera.ahead), &payload);
    }

    /// So long on the air, in pictures of `step` ticks with a keyframe each `gop` of them.
    fn runs(&mut self, camera: &mut Camera, ticks: i64, step: i64, gop: usize) {
        for n in 0..usize::try_from(ticks / step).unwrap() {
            self.picture(camera, n.is_multiple_of(gop));
            // Those who watch ask each second.
            for _ in 1..step / S {
                self.now += S;
                self.turn();
            }
            self.now += step - (step / S - 1).max(0) * S;
        }
        self.streams.check_invariants();
    }

    fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    /// Nothing was out of order; so many marks of discontinuity were seen.
    fn assert_clean(&self, what: &str, discontinuities: usize) {
        let faults = &self.witness.faults;
        assert!(faults.is_empty(), "{what}: {} faults, first {:?}", faults.len(), faults.first());
        let breaches = self.history.findings().iter().filter(|one| one.class == Class::Breach);
        let breaches: Vec<String> = breaches.map(ToString::to_string).collect();
        assert!(breaches.is_empty(), "{what}: {breaches:?}");
        let seen = self.history.numbers().segments;
        assert!(seen + 2 >= self.witness.segments as u64, "{what}: {seen} segments were followed");
        let marks = &self.witness.marks;
        assert_eq!(marks.len(), discontinuities, "{what}: discontinuities at {marks:?}");
        for counter in [
            Counter::UpdatesEarly,
            Counter::WindowCut,
            Counter::RetentionCut,
            Counter::SegmentsOverlong,
            Counter::MediaMalformed,
            Counter::MediaWithoutSlot,
        ] {
            assert_eq!(self.count(counter), 0, "{what}: {}", counter.name());
        }
    }
}

/// A segment that was listed.
struct Known {
    bytes: Vec<u8>,
    micros: u64,
    /// When it was last listed, and the longest version with it (R35).
    seen: u64,
    longest: u64,
}

/// Sees every version of the playlist and every segment.
struct Witness {
    folder: PathBuf,
    last: Option<(u64, m3u8::Playlist, u64)>,
    known: BTreeMap<String, Known>,
    demux: ts::Demux,
    clock: ts::Unwrap,
    /// Where the next segment's pictures go on, unless it is marked.
    follows: Option<i64>,
    segments: usize,
    versions: usize,
    /// Names of segments behind a mark of discontinuity.
    marks: Vec<String>,
    faults: Vec<String>,
}

impl Witness {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            last: None,
            known: BTreeMap::new(),
            demux: ts::Demux::default(),
            clock: ts::Unwrap::default(),
            follows: None,
            segments: 0,
            versions: 0,
            marks: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    fn look(&mut self, store: &Store, now: Instant) {
        let Some(view) = store.playlist("live/cam/index.m3u8") else { return };
        if self.last.as_ref().is_some_and(|(version, ..)| *version == view.version) {
            return;
        }
        let text = core::str::from_utf8(view.body).unwrap();
        let list = match m3u8::parse(text) {
            Ok(list) => list,
            Err(error) => return self.fault(format!("{error}\n{text}")),
        };
        // R30: what stands in the folder is the same version.
        if fs::read(self.folder.join("index.m3u8")).ok().as_deref() != Some(view.body) {
            self.fault(format!("the file is another version than {}", view.version));
        }
        self.versions += 1;
        let before = self.last.replace((view.version, list.clone(), now.0));
        if let Some((version, old, at)) = &before {
            self.faults.extend(m3u8::step_faults(old, &list));
            let waited = now.0 - at;
            if view.version <= *version {
                self.fault(format!("version {} after {version}", view.version));
            }
            if waited < list.target_s * 500_000 {
                self.fault(format!("R37: {waited} us after the version before"));
            }
        }
        let next = before.map_or(list.sequence, |(_, old, _)| {
            old.sequence + u64::try_from(old.entries.len()).unwrap()
        });
        let total = list.duration_us();
        for entry in &list.entries {
            if entry.sequence >= next {
                self.segment(store, entry);
            }
            if let Some(known) = self.known.get_mut(&entry.uri) {
                known.seen = now.0;
                known.longest = known.longest.max(total);
            }
        }
        self.ask_again(now);
    }

    /// R35: what has left is still there, and is what it was; what may go is forgotten.
    fn ask_again(&mut self, now: Instant) {
        let (folder, faults) = (&self.folder, &mut self.faults);
        self.known.retain(|uri, known| {
            if now.0 >= known.seen + known.micros + known.longest {
                return false;
            }
            if fs::read(folder.join(uri)).ok().as_ref() != Some(&known.bytes) {
                faults.push(format!("R35: {uri} is gone or another"));
            }
            true
        });
    }

    /// R20 to R23: what is in a segment that has just been listed.
    fn segment(&mut self, store: &Store, entry: &m3u8::Entry) {
        let bytes = fs::read(self.folder.join(&entry.uri)).unwrap_or_default();
        let view = store.segment(&format!("live/cam/{}", entry.uri));
        if view.is_none_or(|view| view.bytes != bytes.len() as u64) {
            self.fault(format!("R26: {} is not whole", entry.uri));
        }
        self.segments += 1;
        if entry.discontinuity {
            self.marks.push(entry.uri.clone());
            self.demux.restart();
            self.follows = None;
        }
        let seen = self.demux.segment(&bytes);
        self.faults.extend(seen.faults.iter().map(|text| format!("{}: {text}", entry.uri)));
        let pmt = seen.pmt.as_ref().map(|pmt| pmt.pid);
        if seen.first_pids.first() != Some(&0) || seen.first_pids.get(1) != pmt.as_ref() {
            self.fault(format!("R21: {} begins with {:?}", entry.uri, seen.first_pids));
        }
        let Some(video) = seen.video_pid() else {
            return self.fault(format!("R22: {} has no picture", entry.uri));
        };
        if seen.of(video).next().is_none_or(|first| !first.random_access) {
            self.fault(format!("R22: {} begins without a key frame", entry.uri));
        }
        let times: Vec<i64> = seen.of(video).map(|pes| self.clock.times(pes).0).collect();
        let (Some(first), Some(newest)) = (times.first(), times.last()) else { return };
        if times.windows(2).any(|pair| pair[1] <= pair[0]) {
            self.fault(format!("R23: {} goes back", entry.uri));
        }
        // A tick a segment is rounded away in microseconds.
        let lasts = i64::try_from(entry.extinf_us * 9 / 100).unwrap();
        if let Some(follows) = self.follows
            && (first - follows).abs() > 2
        {
            self.fault(format!("R23: {} is {} ticks off", entry.uri, first - follows));
        }
        if *newest >= first + lasts {
            self.fault(format!("{} lasts longer than {} us", entry.uri, entry.extinf_us));
        }
        self.follows = Some(first + lasts);
        self.known.insert(
            entry.uri.clone(),
            Known { bytes, micros: entry.extinf_us, seen: 0, longest: 0 },
        );
    }
}

/// A stream of 9 s segments that passes `wrap`, so long after its beginning.
fn passes(wrap: Wrap, age: i64, audio_behind: i64) {
    let mut board =
        Board::new(&["hls.segment_ms=9000", "hls.target_duration_s=10", "hls.window_segments=4"]);
    let start = wrap.period - age;
    let mut camera = Camera::new(wrap, start);
    camera.audio_ahead -= audio_behind;
    board.comes(&mut camera);
    // 25 pictures a second where it matters: at the beginning, and for a minute around the wrap.
    board.runs(&mut camera, 27 * S, 3_600, 225);
    let until = age - 30 * S - board.now;
    board.runs(&mut camera, until, 9 * S, 1);
    board.runs(&mut camera, 63 * S, 3_600, 225);
    board.runs(&mut camera, 45 * S, 9 * S, 1);
    board.runs(&mut camera, 45 * S, 3_600, 225);
    board.goes();
    board.assert_clean(wrap.name, 0);
    assert_eq!(board.count(Counter::MediaJumps), 0, "{}", wrap.name);
    assert!(board.now > age + 90 * S, "{}", wrap.name);
    let expected = usize::try_from(board.now / (9 * S)).unwrap();
    assert!(board.witness.segments + 2 >= expected, "{} segments", board.witness.segments);
    assert!(board.witness.versions + 2 >= expected, "{} versions", board.witness.versions);
}

#[test]
fn camera_clock_wraps_after_4_66_h_r23() {
    passes(WRAPS[0], WRAPS[0].period, 0);
}

#[test]
fn camera_clock_wraps_after_13_26_h_r23() {
    passes(WRAPS[1], HOUR, S / 2);
}

#[test]
fn camera_clock_wraps_after_24_86_d_r23() {
    passes(WRAPS[2], HOUR, -S / 2);
}

/// Our own time stamps of 33 bits wrap here too: the stream is more than 26.5 h old.
#[test]
fn camera_clock_wraps_after_26_51_h_and_so_does_ours_r23() {
    passes(WRAPS[3], WRAPS[3].period, 0);
}

#[test]
fn camera_clock_wraps_after_49_71_d_r23() {
    passes(MILLIS, HOUR, 1_000);
}

#[test]
fn wall_clock_steps_by_a_year_and_nothing_shows_r11() {
    WALL.set(None);
    let mut board = Board::new(&["hls.segment_ms=2000"]);
    let mut camera = Camera::new(MILLIS, 0);
    board.comes(&mut camera);
    let mut dated = Vec::new();
    for wall in [None, Some(TODAY), Some(TODAY + YEAR), Some(TODAY - YEAR), None, Some(TODAY + 60)]
    {
        WALL.set(wall);
        board.runs(&mut camera, 20 * S, 3_600, 50);
        let (_, list, _) = board.witness.last.clone().unwrap();
        let newest = list.entries.last().unwrap();
        let view = board.store.borrow().segment(&format!("live/cam/{}", newest.uri)).unwrap();
        dated.push((wall, view.created_unix));
    }
    board.goes();
    board.assert_clean("a wall clock that steps", 0);
    assert!(dated.iter().all(|(wall, created)| wall == created), "{dated:?}");
    assert!(board.witness.segments >= 58);
}

#[test]
fn camera_clock_that_jumps_is_marked_once_each_time_r14() {
    let mut board = Board::new(&["hls.segment_ms=2000"]);
    let mut camera = Camera::new(MILLIS, 20_000 * S);
    board.comes(&mut camera);
    for jump in [0, -HOUR, HOUR, 30 * S, -30 * S, 700 * HOUR] {
        camera.ahead += jump;
        camera.audio_ahead += jump;
        board.runs(&mut camera, 30 * S, 3_600, 50);
    }
    board.goes();
    board.assert_clean("a clock that jumps", 5);
    assert_eq!(board.count(Counter::MediaJumps), 5);
}

/// Sound and picture on bases 682283 s apart; the sound card is 30 ppm fast.
#[test]
fn separate_bases_that_drift_show_no_mark_r23() {
    for apart in [682_283 * S, -682_283 * S] {
        let mut board = Board::new(&["hls.segment_ms=2000"]);
        let mut camera = Camera::new(MILLIS, 40 * HOUR);
        camera.audio_ahead += apart;
        board.comes(&mut camera);
        for _ in 0..40 {
            board.runs(&mut camera, 30 * S, 3_600, 50);
            camera.audio_ahead -= 81;
        }
        board.goes();
        board.assert_clean("separate bases", 0);
        assert!(board.witness.segments >= 598);
    }
}

#[test]
fn camera_that_reboots_goes_on_in_the_same_playlist_r11_r12_r36() {
    let mut board = Board::new(&["hls.segment_ms=2000", "hls.window_segments=6"]);
    let mut camera = Camera::new(MILLIS, 5 * HOUR);
    for reboot in 0..12 {
        board.comes(&mut camera);
        board.runs(&mut camera, (7 + reboot) * S, 3_600, 50);
        board.goes();
        board.silence((3 + 9 * reboot) * S);
        // It has no clock of its own: time begins with it.
        camera.ahead = -board.now;
        camera.audio_ahead = -board.now + reboot % 3 * 700;
    }
    board.assert_clean("a camera that reboots", 11);
    let (_, list, _) = board.witness.last.clone().unwrap();
    let marked = list.entries.iter().filter(|entry| entry.discontinuity).count() as u64;
    assert_eq!(list.discontinuity_sequence.unwrap() + marked, 11);
    assert_eq!(list.sequence + list.entries.len() as u64, board.witness.segments as u64);
    assert!(Ticks(board.now) > Ticks(12 * 60 * S), "twelve lives of a camera");
}

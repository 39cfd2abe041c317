//! Playlists that slide by time, that only grow, and that end, on a real tmpfs; and what keeps all
//! of them within their share of it.
//!
//! Every version that the store serves is read by a parser of this file's own and held against the
//! one before; where real media goes through, `media::history` follows as a player would. `R`
//! numbers are those of the reference sheet of the HLS side.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads and clocks are theirs, and a panic is how they speak"
)]

use rillcast::config::settings::{Config, Draft};
use rillcast::media::cipher::decrypt_segment;
use rillcast::media::history::{Allowance, Answer, Class, History, Next};
use rillcast::media::pipeline::{Message, Pipeline};
use rillcast::media::sink::{Segment, Sink as _};
use rillcast::service::door::{Access, Door};
use rillcast::service::http::{HttpContext, HttpSettings};
use rillcast::service::store::{Cause, Store};
use rillcast::service::stream::{Right, Streams};
use rillcast::status::{Counter, Status};
use rillcast::storage::FrameRing;
use rillcast::sys::net::Listener;
use rillcast::time::{Instant, Millis, Ticks, UnixMillis};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const LIST: &str = "live/cam/index.m3u8";
const HOST: &str = "http://box/hls/";
const SECOND: u64 = 1_000_000;
/// Milliseconds since 1970.
const TODAY: u64 = 1_790_000_000_000;

thread_local! {
    static WALL: Cell<u64> = const { Cell::new(TODAY) };
}

fn config(folder: &Path, pairs: &[&str]) -> Config {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
    for pair in ["limits.streams=1", "limits.slot_bytes=1MiB"].iter().chain(pairs) {
        draft.set_pair(pair).unwrap();
    }
    draft.check().unwrap()
}

/// One version as a player reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Version {
    target: u64,
    sequence: u64,
    discontinuity_sequence: Option<u64>,
    event: bool,
    ended: bool,
    /// Milliseconds, discontinuity, name.
    segments: Vec<(u64, bool, String)>,
}

impl Version {
    fn read(text: &str) -> Self {
        let mut version = Self::default();
        let (mut ms, mut discontinuity) = (None, false);
        assert!(text.starts_with("#EXTM3U\n"), "R1: {text}");
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-TARGETDURATION" => version.target = value.parse().unwrap(),
                "#EXT-X-MEDIA-SEQUENCE" => version.sequence = value.parse().unwrap(),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                    version.discontinuity_sequence = Some(value.parse().unwrap());
                }
                "#EXT-X-PLAYLIST-TYPE" => version.event = value == "EVENT",
                "#EXT-X-ENDLIST" => version.ended = true,
                "#EXT-X-DISCONTINUITY" => discontinuity = true,
                "#EXTINF" => {
                    let seconds: f64 = value.trim_end_matches(',').parse().unwrap();
                    ms = Some((seconds * 1000.0).round() as u64);
                }
                _ if line.starts_with('#') => {}
                _ => {
                    let ms = ms.take().expect("R6");
                    assert!((ms + 500) / 1000 <= version.target, "R9: {ms}");
                    let tag = std::mem::take(&mut discontinuity);
                    version.segments.push((ms, tag, line.to_owned()));
                }
            }
        }
        assert!(!version.segments.is_empty(), "never empty");
        assert!(!version.event || version.discontinuity_sequence.is_none(), "R13");
        version
    }

    fn ms(&self) -> u64 {
        self.segments.iter().map(|segment| segment.0).sum()
    }

    /// Holds this version against the one before.
    fn follows(&self, old: &Self) {
        assert!(!old.ended, "R31: the end is final");
        assert_eq!((self.target, self.event), (old.target, old.event), "R10, R40");
        let gone = (self.sequence - old.sequence) as usize;
        assert!(self.segments.starts_with(&old.segments[gone..]), "R31, R32, R33");
        assert!(!self.event || gone == 0, "R40");
        let tags = old.segments[..gone].iter().filter(|segment| segment.1).count() as u64;
        let raised =
            self.discontinuity_sequence.unwrap_or(0) - old.discontinuity_sequence.unwrap_or(0);
        assert_eq!(raised, tags, "R36");
        assert!(gone == 0 || self.ms() >= 3000 * self.target, "R34: {} ms", self.ms());
        assert!(self.ended || self.segments.len() + gone > old.segments.len(), "R37");
    }
}

/// A store with one stream, and what was seen of it.
struct House {
    folder: tempfile::TempDir,
    config: Config,
    store: Store,
    status: Rc<Status>,
    stream: usize,
    now: u64,
    segments: u32,
    seen: Option<(u64, Version)>,
    /// Of each name: until when it must be there (R35), and its bytes.
    kept: Vec<(String, u64, u64)>,
    longest: Vec<(String, u64)>,
    /// Who follows as a player would, if somebody does.
    history: Option<History>,
}

impl House {
    fn open(pairs: &[&str]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let config = config(folder.path(), pairs);
        let status = Rc::new(Status::new());
        let mut store = Store::open(&config, 0xab, Rc::clone(&status)).unwrap();
        let stream = store.publish("live/cam", Instant(0)).unwrap();
        Self {
            folder,
            config,
            store,
            status,
            stream,
            now: 0,
            segments: 0,
            seen: None,
            kept: Vec::new(),
            longest: Vec::new(),
            history: None,
        }
    }

    /// From now on a player follows `file` of the stream, by a clock that is right.
    fn follow(&mut self, file: &str) {
        let url = format!("{HOST}live/cam/{file}");
        // A camera may be away.
        let allowance = Allowance { stale: true, ..Allowance::default() };
        self.history = Some(History::new(&url, allowance, Some(decrypt_segment)));
        self.store.set_clock(|| Some(UnixMillis(WALL.get())));
    }

    /// Gives the player whatever it asks for now.
    fn serve(&mut self) {
        let Some(history) = &mut self.history else { return };
        let (store, now) = (&self.store, Instant(self.now));
        while let Next::Fetch(want) = history.next(now) {
            let path = want.url.strip_prefix(HOST).unwrap();
            let (content_type, body, expires_s) = if path.ends_with(".key") {
                let key = store.key(path, IpAddr::V4(Ipv4Addr::LOCALHOST));
                ("application/octet-stream", key.ok().map(|key| key.bytes().to_vec()), None)
            } else if let Some(view) = store.playlist(path) {
                ("application/vnd.apple.mpegurl", Some(view.body.to_vec()), None)
            } else {
                let view = store.segment(path);
                let planned = view.and_then(|view| view.planned);
                let body = view.and_then(|_| fs::read(store.root().join(path)).ok());
                ("video/mp2t", body, planned.map(|planned| planned.left(now).as_secs()))
            };
            history.answered(
                &want,
                &Answer {
                    asked: now,
                    now,
                    status: if body.is_some() { 200 } else { 404 },
                    content_type,
                    length: body.as_ref().map(|body| body.len() as u64),
                    expires_s,
                    is_coded: false,
                    body: body.as_deref().unwrap_or_default(),
                },
            );
        }
    }

    /// What the player has against it all; so many segments were seen.
    fn assert_clean(&mut self, what: &str, segments: u64) {
        let mut history = self.history.take().unwrap();
        history.finish();
        let breaches = history.findings().iter().filter(|one| one.class == Class::Breach);
        let breaches: Vec<String> = breaches.map(ToString::to_string).collect();
        assert!(breaches.is_empty(), "{what}: {breaches:?}");
        let seen = history.numbers().segments;
        assert!(seen >= segments, "{what}: {seen} segments were followed, not {segments}");
    }

    fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    /// Lets time pass, and looks at what there is.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms * 1000;
        while self.now < until {
            self.now = until.min(self.now + 100_000);
            WALL.set(TODAY + self.now / 1000);
            self.store.tick(Instant(self.now));
            self.serve();
        }
        self.look();
    }

    /// Reads the present version if it is a new one.
    fn look(&mut self) {
        let Some(view) = self.store.playlist(LIST) else {
            self.seen = None;
            return;
        };
        if self.seen.as_ref().is_some_and(|seen| seen.0 == view.version) {
            return;
        }
        let text = std::str::from_utf8(view.body).unwrap();
        let file = fs::read_to_string(self.folder.path().join(LIST)).unwrap();
        assert_eq!(file, text, "the folder shows what is served");
        let version = Version::read(text);
        let number = view.version;
        let ms = version.ms();
        if let Some((_, old)) = &self.seen {
            version.follows(old);
            let gone = (version.sequence - old.sequence) as usize;
            for (own, _, name) in &old.segments[..gone] {
                let at = self.longest.iter().position(|(known, _)| known == name).unwrap();
                let (_, longest) = self.longest.swap_remove(at);
                let view = self.store.segment(&format!("live/cam/{name}")).unwrap();
                let until = self.now + (own + longest) * 1000;
                self.kept.push((name.clone(), until, view.bytes));
            }
        }
        for (_, _, name) in &version.segments {
            match self.longest.iter_mut().find(|(known, _)| known == name) {
                Some((_, longest)) => *longest = ms.max(*longest),
                None => self.longest.push((name.clone(), ms)),
            }
        }
        self.seen = Some((number, version));
    }

    /// Everything that must be there is there, and it takes no more than it may.
    fn judge(&mut self) {
        self.store.check_invariants();
        let now = self.now;
        self.kept.retain(|(_, until, _)| *until > now);
        for (name, _, bytes) in &self.kept {
            let view = self.store.segment(&format!("live/cam/{name}"));
            assert_eq!(view.map(|view| view.bytes), Some(*bytes), "R35: {name} at {now}");
        }
        if let Some((_, version)) = &self.seen {
            for (_, _, name) in &version.segments {
                assert!(self.store.segment(&format!("live/cam/{name}")).is_some(), "{name}");
            }
        }
        assert!(self.taken() <= self.config.tmpfs_bytes(), "{} bytes of tmpfs", self.taken());
    }

    /// Bytes that the slots take of the tmpfs.
    fn taken(&self) -> u64 {
        let slots = fs::read_dir(self.folder.path().join(".slots")).unwrap();
        slots.map(|slot| slot.unwrap().metadata().unwrap().blocks() * 512).sum()
    }

    fn version(&self) -> &Version {
        &self.seen.as_ref().expect("a playlist").1
    }

    /// Writes a segment after `ms` of it have passed. Says whether there was room for it.
    fn segment(&mut self, ms: u64, bytes: usize) -> bool {
        self.pass(ms);
        let mut sink = self.store.sink(self.stream, Instant(self.now));
        if sink.begin().is_err() {
            return false;
        }
        let mut left = bytes / 188;
        while left > 0 && sink.reserve(188) {
            let room = sink.room();
            let n = room.len().min(left);
            room[..n].fill([self.segments as u8; 188]);
            sink.wrote(n);
            left -= n;
        }
        let bytes = sink.written();
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(ms as i64),
            bytes,
            discontinuity: self.segments % 10 == 9,
            independent: true,
            forced: false,
        });
        self.segments += 1;
        self.look();
        left == 0
    }
}

#[test]
fn r40_event_grows_until_its_end_and_the_end_is_final() {
    let mut house = House::open(&["hls.kind=event", "hls.event_minutes=10"]);
    for _ in 0..200 {
        assert!(house.segment(2_000, 20_000));
    }
    house.judge();
    assert_eq!(house.version().segments.len(), 200);
    assert!(house.version().event && !house.version().ended);
    assert!(house.store.end(house.stream, Instant(house.now), Cause::Command));
    house.look();
    assert!(house.version().ended, "R38");
    assert!(!house.segment(2_000, 20_000), "nothing comes after the end");
    assert_eq!(house.version().segments.len(), 200);
    assert_eq!(house.count(Counter::PlaylistsEnded), 1);
    assert!(house.store.end(house.stream, Instant(house.now), Cause::Command), "it has ended");
    assert_eq!(house.count(Counter::PlaylistsEnded), 1);
}

#[test]
fn r31_r41_playlist_that_ended_goes_and_the_next_one_counts_on() {
    let mut house = House::open(&["hls.kind=event", "hls.event_minutes=10"]);
    for _ in 0..10 {
        house.segment(2_000, 20_000);
    }
    house.store.leave(house.stream, Instant(house.now));
    house.store.end(house.stream, Instant(house.now), Cause::Command);
    house.look();
    let (number, last) = house.seen.clone().unwrap();
    house.pass(19_900);
    assert!(house.seen.is_some(), "it stays for as long as it lasts");
    house.pass(200);
    assert!(house.store.playlist(LIST).is_none(), "R41: gone");
    assert!(!house.folder.path().join(LIST).exists());
    let here = |house: &House, name: &str| house.store.segment(&format!("live/cam/{name}"));
    for (_, _, name) in &last.segments {
        assert!(here(&house, name).is_some(), "R41: {name}");
    }
    house.pass(19_800);
    assert!(here(&house, &last.segments[0].2).is_some(), "R41: for as long as the playlist was");
    house.pass(4_000);
    assert!(here(&house, &last.segments[9].2).is_none());
    house.stream = house.store.publish("live/cam", Instant(house.now)).unwrap();
    house.segment(2_000, 20_000);
    let (next, version) = house.seen.clone().unwrap();
    assert_eq!(version.sequence, 10, "R11");
    assert!(next > number, "no cache takes one for the other");
    assert!(!version.ended && version.segments.len() == 1);
    house.judge();
}

#[test]
fn r31_publisher_that_returns_after_the_end_begins_another_presentation() {
    let mut house = House::open(&["hls.away=end", "hls.away_end_s=5"]);
    for _ in 0..10 {
        house.segment(2_000, 20_000);
    }
    house.store.leave(house.stream, Instant(house.now));
    house.pass(4_000);
    assert!(!house.version().ended, "a camera that blinks ends nothing");
    house.pass(1_100);
    assert!(house.version().ended, "R38");
    let last = house.version().clone();
    assert_eq!(house.count(Counter::PlaylistsEnded), 1);
    house.stream = house.store.publish("live/cam", Instant(house.now)).unwrap();
    house.look();
    assert!(house.seen.is_none(), "404 until the first segment of the new one");
    house.segment(2_000, 20_000);
    assert_eq!(house.version().sequence, last.sequence + last.segments.len() as u64, "R11");
    let kept = format!("live/cam/{}", last.segments[5].2);
    assert!(house.store.segment(&kept).is_some(), "R41");
    house.judge();
}

#[test]
fn away_camera_that_may_wait_ends_nothing() {
    let mut house = House::open(&["hls.away_end_s=0"]);
    house.segment(2_000, 20_000);
    house.store.leave(house.stream, Instant(house.now));
    house.pass(3_600_000);
    assert!(!house.version().ended);
    assert_eq!(house.count(Counter::PlaylistsEnded), 0);
}

#[test]
fn streams_end_takes_the_publisher_and_ends_the_playlist() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let config = config(folder.path(), &[]);
    let status = Rc::new(Status::new());
    let store = Store::open(&config, 7, Rc::clone(&status)).unwrap();
    let store = Rc::new(RefCell::new(store));
    let streams = Streams::new(&config, Rc::clone(&store), Rc::clone(&status));
    assert!(!streams.end("live/cam", Instant(0)), "there is none");
    let id = streams.new_publisher();
    let publish = |now| streams.publish("live/cam", (id, Right::Own), now, Duration::ZERO);
    let (stream, _) = publish(Instant(0)).unwrap();
    assert!(!streams.end("live/cam", Instant(0)), "nothing is listed");
    assert!(streams.holder("live/cam").is_none(), "who published it gave way");
    let (stream, _) = publish(Instant(0)).unwrap_or((stream, None));
    {
        let mut store = store.borrow_mut();
        let mut sink = store.sink(stream, Instant(0));
        sink.begin().unwrap();
        assert!(sink.reserve(188));
        sink.wrote(1);
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2_000),
            bytes: 188,
            discontinuity: false,
            independent: true,
            forced: false,
        });
    }
    streams.end_all(Instant(SECOND));
    assert!(streams.end("live/cam", Instant(SECOND)), "it has ended");
    assert!(streams.holder("live/cam").is_none());
    let text = store.borrow().playlist(LIST).unwrap().body.to_vec();
    assert!(text.ends_with(b"#EXT-X-ENDLIST\n"), "R38");
    publish(Instant(2 * SECOND)).unwrap();
    assert!(store.borrow().playlist(LIST).is_none(), "R31: another presentation");
    streams.check_invariants();
}

#[test]
fn r35_dvr_window_reaches_back_and_what_left_it_is_kept() {
    let mut house = House::open(&["hls.dvr_minutes=10", "hls.tmpfs_mib=64"]);
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    house.segment(2_000, 40_000);
    let before = descriptors();
    for n in 0..1_000 {
        assert!(house.segment(2_000, 30_000 + n * 7 % 13 * 1_000));
        if n % 50 == 0 {
            house.judge();
        }
    }
    house.judge();
    assert_eq!(house.version().ms(), 600_000);
    assert!(descriptors() < before + 100, "slots are closed between uses");
    for counter in [Counter::RetentionCut, Counter::WindowCut, Counter::WindowShortened] {
        assert_eq!(house.count(counter), 0, "{counter:?}");
    }
    let name = house.version().segments[3].2.clone();
    let bytes = fs::read(house.folder.path().join("live/cam").join(&name)).unwrap();
    let number: u32 = name.split_once('-').unwrap().1.trim_end_matches(".ts").parse().unwrap();
    assert!(bytes.iter().all(|byte| *byte == number as u8), "{name} holds its own");
}

#[test]
fn r34_window_shrinks_before_anything_is_refused_and_grows_again() {
    let mut house = House::open(&["hls.dvr_minutes=10", "hls.tmpfs_mib=20"]);
    let mut windows = Vec::new();
    // 20 MiB hold 10 min of 20 kB twice over; then four times as much; then as before.
    for (bytes, segments) in [(20_000, 700), (80_000, 900), (20_000, 1_400)] {
        for n in 0..segments {
            assert!(house.segment(2_000, bytes), "nothing is refused");
            if n % 100 == 0 {
                house.judge();
            }
        }
        house.judge();
        windows.push(house.version().ms());
    }
    let [before, tight, after] = windows[..] else { panic!("{windows:?}") };
    assert_eq!((before, after), (600_000, 600_000), "it grows again");
    assert!((120_000..500_000).contains(&tight), "{tight} ms");
    assert!(house.count(Counter::WindowShortened) > 0);
    for counter in [Counter::RetentionCut, Counter::WindowCut, Counter::SlotsFull] {
        assert_eq!(house.count(counter), 0, "{counter:?}");
    }
}

#[test]
fn event_that_no_longer_fits_ends_and_another_follows_when_it_is_gone() {
    let mut house = House::open(&["hls.kind=event", "hls.tmpfs_mib=8"]);
    let mut n = 0;
    while house.segment(2_000, 100_000) {
        n += 1;
        assert!(n < 200, "it must end");
    }
    assert!((60..=83).contains(&n), "{n} segments of 100 kB in 8 MiB");
    house.look();
    assert!(house.version().ended, "R38");
    assert_eq!(house.version().segments.len(), n);
    assert_eq!(house.count(Counter::PlaylistsEnded), 1);
    house.judge();
    let lasted = house.version().ms();
    house.pass(lasted - 3_000);
    assert!(!house.segment(2_000, 100_000), "it stays for as long as it lasts");
    assert!(house.version().ended);
    house.pass(2_000);
    assert!(house.segment(2_000, 100_000), "the next one begins");
    assert_eq!(house.version().sequence, n as u64, "R11");
    assert!(!house.version().ended);
    assert!(house.taken() <= house.config.tmpfs_bytes());
}

#[test]
fn event_ends_when_its_minutes_are_over() {
    let mut house = House::open(&["hls.kind=event", "hls.event_minutes=1", "hls.tmpfs_mib=64"]);
    let most = house.config.entries_per_stream() as usize;
    for _ in 0..most {
        assert!(house.segment(2_000, 20_000));
    }
    assert!(!house.segment(2_000, 20_000));
    house.look();
    assert!(house.version().ended);
    assert_eq!(house.version().segments.len(), most);
}

/// A camera by numbers.
struct Camera {
    name: &'static str,
    fps: u32,
    /// Pictures from one keyframe to the next; none but the first if 0.
    gop: u32,
    bytes: usize,
    /// Sends audio beside the pictures.
    sound: bool,
    /// Milliseconds without any message, in the middle.
    gap_ms: u32,
}

const CAMERAS: [Camera; 7] = [
    Camera { name: "plain", fps: 25, gop: 50, bytes: 4_000, sound: true, gap_ms: 0 },
    Camera { name: "10 s keyframes", fps: 25, gop: 250, bytes: 2_000, sound: true, gap_ms: 0 },
    Camera { name: "no keyframes", fps: 25, gop: 0, bytes: 2_000, sound: true, gap_ms: 0 },
    Camera { name: "120 fps", fps: 120, gop: 240, bytes: 1_000, sound: true, gap_ms: 0 },
    Camera { name: "50 Mbit/s", fps: 25, gop: 50, bytes: 250_000, sound: false, gap_ms: 0 },
    Camera { name: "silence", fps: 25, gop: 50, bytes: 4_000, sound: false, gap_ms: 0 },
    Camera { name: "gaps", fps: 25, gop: 50, bytes: 4_000, sound: true, gap_ms: 45_000 },
];

/// What a camera goes through, with the real pipeline.
struct Studio {
    house: House,
    pipeline: Pipeline,
    ring: FrameRing,
}

impl Studio {
    fn send(&mut self, video: bool, at: u32, payload: &[u8]) {
        let place = self.ring.reserve(payload.len()).unwrap();
        self.ring.window(place).copy_from_slice(payload);
        self.ring.close(place);
        let behind = u64::from(at).saturating_sub(self.house.now / 1000);
        self.house.pass(behind);
        self.pipeline.set_limit(self.house.store.cut_limit(self.house.stream));
        let message = Message { video, at: Millis(at), place };
        let now = Instant(self.house.now);
        let status = Rc::clone(&self.house.status);
        let mut sink = self.house.store.sink(self.house.stream, now);
        self.pipeline.message(message, &self.ring, &mut sink, &status);
        self.house.look();
    }

    fn run(&mut self, camera: &Camera, ms: u32) {
        let sets = [
            &[0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4][..],
            &[0x67, 0x42, 0xc0, 0x1e],
            &[1, 0, 4],
            &[0x68, 0xce, 0x3c, 0x80],
        ];
        self.send(true, 0, &sets.concat());
        if camera.sound {
            self.send(false, 0, &[0xaf, 0, 0x11, 0x90]);
        }
        let (mut sounds, mut judged) = (0u32, 0);
        for n in 0..ms * camera.fps / 1000 {
            let media = n * 1000 / camera.fps;
            let at = media + if media > ms / 2 { camera.gap_ms } else { 0 };
            let key = n == 0 || (camera.gop > 0 && n % camera.gop == 0);
            let mut picture = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
            picture.extend((camera.bytes as u32).to_be_bytes());
            picture.push(if key { 0x65 } else { 0x41 });
            picture.resize(9 + camera.bytes, 0x33);
            self.send(true, at, &picture);
            while camera.sound && sounds * 64 / 3 < media {
                let at = at - (media - sounds * 64 / 3);
                self.send(false, at, &[&[0xaf, 1][..], &[0x21; 120]].concat());
                sounds += 1;
            }
            if at / 5_000 > judged {
                judged = at / 5_000;
                self.house.judge();
            }
        }
    }
}

fn studio(pairs: &[&str]) -> Studio {
    Studio {
        house: House::open(pairs),
        pipeline: Pipeline::new(Ticks::from_millis(2_000)),
        ring: FrameRing::new(4 << 20, 256),
    }
}

#[test]
fn r31_to_r37_hold_for_every_camera_under_a_tight_budget() {
    for camera in &CAMERAS {
        // Room for a few seconds of the fastest and some minutes of the others.
        let fast = camera.bytes > 100_000;
        let slot = if fast { "limits.slot_bytes=14MiB" } else { "limits.slot_bytes=256KiB" };
        let budget = if fast { "hls.tmpfs_mib=200" } else { "hls.tmpfs_mib=12" };
        let mut studio = studio(&["hls.dvr_minutes=5", slot, budget]);
        let ms = if fast { 60_000 } else { 240_000 };
        studio.run(camera, ms);
        let house = &mut studio.house;
        house.judge();
        let name = camera.name;
        let target = house.version().target;
        assert!(house.version().ms() >= 3_000 * target, "R34: {name}");
        assert!(house.count(Counter::WindowShortened) > 0, "{name}: the budget is tight");
        for counter in [Counter::MediaWithoutSlot, Counter::WindowCut, Counter::RetentionCut] {
            assert_eq!(house.count(counter), 0, "{name}: {counter:?}");
        }
        assert_eq!(house.count(Counter::MediaTooLarge), 0, "{name}");
    }
}

#[test]
fn segment_that_outgrows_its_slot_is_cut_early_and_nothing_is_dropped() {
    let camera = Camera { name: "wide", fps: 25, gop: 50, bytes: 20_000, sound: true, gap_ms: 0 };
    let mut studio = studio(&["hls.dvr_minutes=1", "limits.slot_bytes=512KiB"]);
    studio.run(&camera, 60_000);
    let house = &mut studio.house;
    house.judge();
    assert!(house.count(Counter::SlotsFull) > 20);
    for counter in [Counter::MediaWithoutSlot, Counter::MediaTooLarge, Counter::WindowCut] {
        assert_eq!(house.count(counter), 0, "{counter:?}");
    }
}

const PLAIN: &Camera = &CAMERAS[0];

#[test]
fn history_of_an_event_keeps_every_rule_until_it_is_gone_and_into_the_next() {
    for keys in [&[][..], &["hls.encryption=aes-128", "hls.key_segments=4"]] {
        let kind = ["hls.kind=event", "hls.event_minutes=5", "hls.start_offset_s=9"];
        let mut studio = studio(&[&kind, keys].concat());
        studio.house.follow("index.m3u8");
        studio.run(PLAIN, 120_000);
        let house = &mut studio.house;
        let listed = house.version().segments.len() as u64;
        assert!(house.version().event && listed >= 55, "{listed}");
        let text = house.store.playlist(LIST).unwrap().body.to_vec();
        let text = String::from_utf8(text).unwrap();
        for tag in ["START:", "INDEPENDENT-SEGMENTS", "PROGRAM-DATE-TIME:", "PLAYLIST-TYPE:EVENT"] {
            assert!(text.contains(&format!("#EXT-X-{tag}")), "{tag}: {text}");
        }
        assert_eq!(text.contains("#EXT-X-KEY:METHOD=AES-128"), !keys.is_empty());
        house.store.end(house.stream, Instant(house.now), Cause::Command);
        house.look();
        house.judge();
        let lasts = house.version().ms();
        assert!(house.version().ended, "R38");
        // R41: the playlist for as long as it lasts, and its segments for as long again.
        house.pass(2 * lasts + 10_000);
        assert!(house.store.playlist(LIST).is_none(), "R41");
        house.assert_clean(&format!("event {keys:?}"), listed);
    }
}

#[test]
fn history_of_a_dvr_window_keeps_every_rule_while_it_slides() {
    for keys in [&[][..], &["hls.encryption=aes-128", "hls.key_segments=4"]] {
        for camera in [PLAIN, &CAMERAS[1], &CAMERAS[3]] {
            let mut studio = studio(&[&["hls.dvr_minutes=1", "hls.tmpfs_mib=64"], keys].concat());
            studio.house.follow("index.m3u8");
            studio.run(camera, 180_000);
            let house = &mut studio.house;
            house.judge();
            assert!(house.version().sequence > 5, "R33: it slides");
            let seen = house.version().sequence + house.version().segments.len() as u64;
            house.pass(1_000);
            house.assert_clean(&format!("{} {keys:?}", camera.name), seen - 3);
        }
    }
}

/// A store on the folder of another that is gone, with one stream on the air.
fn again(house: House) -> House {
    let House { folder, config, store, segments, seen, status, .. } = house;
    drop((store, status));
    let status = Rc::new(Status::new());
    let mut store = Store::open(&config, 0xac, Rc::clone(&status)).unwrap();
    store.check_invariants();
    let text = store.playlist(LIST).map(|view| view.body.to_vec()).unwrap();
    let version = Version::read(std::str::from_utf8(&text).unwrap());
    assert_eq!(version, seen.unwrap().1, "R31: nothing changed meanwhile");
    let stream = store.publish("live/cam", Instant(0)).unwrap();
    let kept = Vec::new();
    let longest = Vec::new();
    let (now, seen, history) = (0, None, None);
    House { folder, config, store, status, stream, now, segments, seen, kept, longest, history }
}

#[test]
fn event_and_dvr_window_go_on_over_a_restart_without_one_descriptor_more() {
    for kind in ["hls.kind=event", "hls.dvr_minutes=10"] {
        let kind = &[kind, "hls.tmpfs_mib=64"];
        let mut house = House::open(kind);
        // Those of its own folder: other tests run beside this one.
        let folder = house.folder.path().to_owned();
        let descriptors = || {
            let all = fs::read_dir("/proc/self/fd").unwrap();
            let to = all.filter_map(|one| fs::read_link(one.ok()?.path()).ok());
            to.filter(|to| to.starts_with(&folder)).count()
        };
        for _ in 0..400 {
            assert!(house.segment(2_000, 20_000));
        }
        house.judge();
        let (before, taken) = (house.version().clone(), house.taken());
        let open = descriptors();
        let mut house = again(house);
        assert!(descriptors() <= open + 2, "slots are closed between uses");
        assert!(house.taken() <= house.config.tmpfs_bytes());
        assert!(house.segment(2_000, 20_000), "{kind:?}");
        house.version().follows(&before);
        assert!(house.version().segments.last().unwrap().1, "R14: it does not continue the last");
        for _ in 0..400 {
            assert!(house.segment(2_000, 20_000));
        }
        house.judge();
        assert!(house.taken() <= house.config.tmpfs_bytes(), "of {taken} before");
        assert_eq!(house.count(Counter::RetentionCut), 0, "{kind:?}");
        assert_eq!(house.count(Counter::WindowCut), 0, "{kind:?}");
        let listed = if before.event { 801 } else { 300 };
        assert_eq!(house.version().segments.len(), listed, "{kind:?}");
    }
}

#[test]
fn event_that_had_ended_before_a_restart_is_gone_in_its_time() {
    let mut house = House::open(&["hls.kind=event"]);
    for _ in 0..5 {
        assert!(house.segment(2_000, 20_000));
    }
    assert!(house.store.end(house.stream, Instant(house.now), Cause::Command));
    house.look();
    let House { folder, config, store, .. } = house;
    drop(store);
    let mut store = Store::open(&config, 0xac, Rc::new(Status::new())).unwrap();
    assert!(store.playlist(LIST).unwrap().is_ended, "R31: the end is final");
    store.tick(Instant(9_900_000));
    assert!(store.playlist(LIST).is_some());
    store.tick(Instant(10_100_000));
    assert!(store.playlist(LIST).is_none(), "R41");
    assert!(!folder.path().join(LIST).exists());
}

/// What a server that is turned by hand answers to `request`.
fn exchange(ctx: &HttpContext, address: SocketAddr, request: &str) -> String {
    let request = request.to_owned();
    let client = std::thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // In small pieces: the server cannot send all at once.
        let mut piece = [0; 5_000];
        while let Ok(n @ 1..) = socket.read(&mut piece) {
            answer.push_str(std::str::from_utf8(&piece[..n]).unwrap());
        }
        answer
    });
    let mut now = rillcast::service::http::Deadlines::STANDARD.idle.as_micros() as u64;
    while !client.is_finished() {
        ctx.turn();
        now += 1_000;
        ctx.tick(Instant(now));
        std::thread::sleep(Duration::from_millis(1));
    }
    client.join().unwrap()
}

#[test]
fn long_playlist_is_sent_whole_to_viewers_without_and_with_a_key() {
    let pairs = ["hls.kind=event", "hls.event_minutes=240", "hls.tmpfs_mib=64"];
    let mut house = House::open(&pairs);
    for n in 0..5_000 {
        // Each looks back at all: only now and then.
        house.seen = None;
        house.now += 2 * SECOND;
        let mut sink = house.store.sink(house.stream, Instant(house.now));
        sink.begin().unwrap();
        assert!(sink.reserve(188));
        sink.wrote(1);
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2_000),
            bytes: 188,
            discontinuity: n % 10 == 9,
            independent: true,
            forced: false,
        });
    }
    let body = house.store.playlist(LIST).unwrap().body.to_vec();
    let body = String::from_utf8(body).unwrap();
    assert!(body.len() > rillcast::limits::HTTP_BODY_BYTES + rillcast::limits::HTTP_PIECE_BYTES);
    let status = Rc::clone(&house.status);
    let store = Rc::new(RefCell::new(house.store));
    let settings = HttpSettings::standard(8, 1935);
    let ctx = HttpContext::new(store, Rc::clone(&status), settings).unwrap();
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 16, 1).unwrap();
    let address = listener.local_addr().unwrap();
    let _set = ctx.listen(listener).unwrap();
    let get = |query: &str| format!("GET /hls/{LIST}{query} HTTP/1.0\r\n\r\n");
    let answer = exchange(&ctx, address, &get(""));
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(text == body, "{} of {} bytes", text.len(), body.len());
    let mut draft = Draft::new();
    draft.set("stream.\"live/cam\".play_key", "k3y").unwrap();
    let config = draft.check().unwrap();
    let access = Access {
        publish_from: config.rtmp_publish_from.clone(),
        play_from: config.rtmp_play_from.clone(),
        rights: config.rights.clone(),
    };
    ctx.guard(Rc::new(Door::new(access, status)));
    let answer = exchange(&ctx, address, &get("?key=k3y"));
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let keyed = body.replace(".ts\n", ".ts?key=k3y\n");
    assert!(head.contains(&format!("Content-Length: {}", keyed.len())), "{head}");
    assert!(text == keyed, "{} of {} bytes", text.len(), keyed.len());
    let head = exchange(&ctx, address, &get("?key=k3y").replace("GET", "HEAD"));
    assert!(head.contains(&format!("Content-Length: {}", keyed.len())));
    assert!(head.ends_with("\r\n\r\n"));
    assert!(exchange(&ctx, address, &get("")).starts_with("HTTP/1.0 403"));
}

//! The program with a group of streams, encoders that feed it, and who looks at what comes out.

use rillcast::config::settings::Draft;
use rillcast::media::history::{Allowance, Answer, Class, History, Next};
use rillcast::service::store::Store;
use rillcast::service::stream::{PublisherId, Right, Streams};
use rillcast::status::{Counter, Status};
use rillcast::time::{Instant, Millis, UnixMillis};
use rillcast::wire::flv::TagKind;
use rillcast::wire::m3u8::{Line, MediaPlaylist};
use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Ticks in a second.
pub const S: i64 = 90_000;
/// A picture.
const FRAME: i64 = S / 25;
const HOST: &str = "http://box/hls/";
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

thread_local! {
    static WALL: Cell<u64> = const { Cell::new(0) };
}

/// One stream of an encoder.
pub struct Member {
    pub path: &'static str,
    pub video: bool,
    pub audio: bool,
    /// It sends a second track of sound, in messages of its own.
    pub second: bool,
    /// What it arrives after it was made, ticks.
    pub behind: i64,
    /// What the encoder's clock is ahead of true time, ticks.
    pub ahead: i64,
    /// Pictures from key frame to key frame.
    pub gop: i64,
    profile: u8,
    on_air: Option<(usize, PublisherId)>,
    /// Time of the next picture and sound that is made, ticks.
    picture: i64,
    sound: i64,
}

impl Member {
    pub fn new(path: &'static str, video: bool, audio: bool) -> Self {
        let (on_air, picture, sound) = (None, 0, 0);
        let (behind, ahead, gop, profile) = (0, 0, 50, 0x42);
        let second = false;
        Self { path, video, audio, second, behind, ahead, gop, profile, on_air, picture, sound }
    }

    pub fn behind(self, behind: i64) -> Self {
        Self { behind, ..self }
    }

    fn stamp(&self, at: i64) -> Millis {
        Millis((((at + self.ahead) / 90) as u64 & 0xffff_ffff) as u32)
    }
}

/// The program, and who follows its group.
pub struct Board {
    store: Rc<RefCell<Store>>,
    streams: Streams,
    status: Rc<Status>,
    /// True time, ticks.
    now: i64,
    history: Option<History>,
    folder: tempfile::TempDir,
    epoch: u32,
}

/// A life of the program, whose names begin with `epoch`.
fn life(folder: &Path, pairs: &[&str], epoch: u32) -> (Rc<RefCell<Store>>, Streams, Rc<Status>) {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
    let own = ["limits.streams=4", "limits.slot_bytes=256KiB", "hls.window_segments=4"];
    own.iter().chain(pairs).for_each(|pair| draft.set_pair(pair).unwrap());
    let config = draft.check().unwrap();
    let status = Rc::new(Status::new());
    let mut store = Store::open(&config, epoch, Rc::clone(&status)).unwrap();
    store.set_clock(|| Some(UnixMillis(WALL.get())));
    let store = Rc::new(RefCell::new(store));
    let streams = Streams::new(&config, Rc::clone(&store), Rc::clone(&status));
    (store, streams, status)
}

/// A message of AAC of track 1 alone (Enhanced RTMP, OneTrack), of this packet type.
fn second_track(packet_type: u8, data: &[u8]) -> Vec<u8> {
    [&[0x95, packet_type][..], b"mp4a", &[1], data].concat()
}

impl Board {
    pub fn new(pairs: &[&str]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let epoch = 0x5f3a_0c11;
        let (store, streams, status) = life(folder.path(), pairs, epoch);
        Self { store, streams, status, now: 0, history: None, folder, epoch }
    }

    /// The program is killed, and started again.
    pub fn restart(self, members: &mut [Member], pairs: &[&str]) -> Self {
        let Self { store, streams, now, mut history, folder, epoch, .. } = self;
        drop((store, streams));
        members.iter_mut().for_each(|member| member.on_air = None);
        let epoch = epoch + 1;
        let (store, streams, status) = life(folder.path(), pairs, epoch);
        let board = Self { store, streams, status, now, history: None, folder, epoch };
        if let Some(history) = &mut history {
            history.restarted(board.clock());
        }
        Self { history, ..board }
    }

    fn clock(&self) -> Instant {
        WALL.set(1_790_000_000_000 + (self.now / 90) as u64);
        Instant(u64::try_from(self.now / 9 * 100).unwrap())
    }

    /// They connect and say what they send.
    pub fn come(&mut self, members: &mut [Member]) {
        for member in members {
            let id = self.streams.new_publisher();
            let (stream, _) = self
                .streams
                .publish(member.path, (id, Right::Own), self.clock(), Duration::from_secs(5))
                .unwrap();
            member.on_air = Some((stream, id));
            // The encoder goes on; a new connection begins where it is.
            let made = self.now - member.behind;
            member.picture = ((made + FRAME - 1) / FRAME).max(0) * FRAME;
            member.sound = ((made + 1_919) / 1_920).max(0) * 1_920;
            let at = member.stamp(made.max(0));
            if member.video {
                self.configure(member, at);
            }
            if member.audio {
                self.send(member, TagKind::Audio, at, &[0xaf, 0, 0x11, 0x90]);
            }
            if member.second {
                self.send(member, TagKind::Audio, at, &second_track(0, &[0x11, 0x90]));
            }
        }
    }

    fn configure(&mut self, member: &Member, at: Millis) {
        let sps = [0x67, member.profile, 0xc0, 0x1e];
        let mut video = vec![0x17, 0, 0, 0, 0, 1, member.profile, 0xc0, 0x1e, 0xff, 0xe1, 0, 4];
        video.extend(sps);
        video.extend([1, 0, 4]);
        video.extend(PPS);
        self.send(member, TagKind::Video, at, &video);
    }

    /// What it sends from now on is another format.
    pub fn resize(&mut self, member: &mut Member) {
        member.profile = 0x4d;
        let at = member.stamp(self.now - member.behind);
        self.configure(member, at);
    }

    /// Why nobody may publish there.
    pub fn refusal(&self, path: &str) -> String {
        let by = (self.streams.new_publisher(), Right::Own);
        let refused = self.streams.publish(path, by, self.clock(), Duration::ZERO);
        refused.unwrap_err().to_string()
    }

    /// Ends the presentation at `path` for good.
    pub fn end(&mut self, path: &str) -> bool {
        self.streams.end(path, self.clock())
    }

    /// They are gone, those that were there.
    pub fn go(&mut self, members: &mut [Member]) {
        for member in members {
            if let Some((stream, id)) = member.on_air.take() {
                assert!(self.streams.leave(stream, id, self.clock()));
            }
        }
        self.turn();
    }

    /// The encoder begins anew: its clock too.
    pub fn reboot(&mut self, members: &mut [Member]) {
        for member in members {
            member.ahead = -self.now + member.behind.max(S);
        }
    }

    fn send(&mut self, member: &Member, kind: TagKind, at: Millis, payload: &[u8]) {
        let (stream, id) = member.on_air.unwrap();
        let place = {
            let ring = &mut self.streams.get(stream).unwrap().borrow_mut().ring;
            let place = ring.reserve(payload.len()).unwrap();
            ring.window(place).copy_from_slice(payload);
            ring.close(place);
            place
        };
        assert!(self.streams.media(stream, id, kind, at, place, self.clock()));
        self.streams.settle(stream);
    }

    /// So long on the air, those that are.
    pub fn run(&mut self, members: &mut [Member], ticks: i64) {
        let end = self.now + ticks;
        while self.now < end {
            for member in members.iter_mut().filter(|member| member.on_air.is_some()) {
                self.feed(member);
            }
            self.turn();
            self.now += FRAME / 2;
        }
        self.streams.check_invariants();
    }

    /// What has arrived of a member by now.
    fn feed(&mut self, member: &mut Member) {
        let made = self.now - member.behind;
        while member.audio && member.sound <= made {
            let at = member.stamp(member.sound);
            // The same sound in all that have the same language.
            let n = (member.sound / 1_920) as u8;
            self.send(member, TagKind::Audio, at, &[0xaf, 1, 0x21, 0x10, 0x05, 0x20, n]);
            if member.second {
                let other = second_track(1, &[0x21, 0x10, 0x05, 0x21, n]);
                self.send(member, TagKind::Audio, at, &other);
            }
            member.sound += 1_920;
        }
        while member.video && member.picture <= made {
            let key = (member.picture / FRAME) % member.gop == 0;
            let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0, 0, 0, 0, 40];
            payload.push(if key { 0x65 } else { 0x41 });
            payload.resize(9 + 40, 0x33);
            self.send(member, TagKind::Video, member.stamp(member.picture), &payload);
            member.picture += FRAME;
        }
    }

    /// Nobody sends for so long; the program ticks on.
    pub fn pause(&mut self, ticks: i64) {
        let end = self.now + ticks;
        while self.now < end {
            self.now += (S / 4).min(end - self.now);
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.clock();
        self.store.borrow_mut().tick(now);
        self.follow(now);
    }

    /// The program's own judge follows the group from now on.
    pub fn watch(&mut self) {
        let allowance = Allowance { stale: true, restart: true, ..Allowance::default() };
        self.history = Some(History::new(&format!("{HOST}live/cam/master.m3u8"), allowance, None));
    }

    fn follow(&mut self, now: Instant) {
        let Some(history) = &mut self.history else { return };
        let store = self.store.borrow();
        while let Next::Fetch(want) = history.next(now) {
            let path = want.url.strip_prefix(HOST).unwrap_or_else(|| panic!("{}", want.url));
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
            history.answered(&want, &answer);
        }
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    /// Whether the page says that something is wrong with the stream.
    pub fn is_wrong(&self, path: &str) -> bool {
        let store = self.store.borrow();
        let is = |app: &str, name: &str| format!("{app}/{name}") == path;
        store.streams().any(|stream| is(stream.app, stream.name) && stream.problem.is_some())
    }

    /// A playlist as it is served.
    pub fn text(&self, path: &str) -> String {
        let store = self.store.borrow();
        let view = store.playlist(path).unwrap_or_else(|| panic!("{path} is not there"));
        String::from_utf8(view.body.to_vec()).unwrap()
    }

    /// The same as it stands in the folder.
    pub fn file(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// What a stream lists now.
    pub fn listed(&self, path: &str) -> List {
        let text = self.text(&format!("{path}/index.m3u8"));
        let list = MediaPlaylist::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut number = list.discontinuity_sequence;
        let mut found = List {
            target_s: list.target_duration_s,
            is_video: false,
            first: number,
            starts: Vec::new(),
            micros: Vec::new(),
            numbers: Vec::new(),
        };
        for (at, line) in text.lines().enumerate() {
            let line = Line::parse(line, at + 1).unwrap();
            number += u64::from(line == Line::Discontinuity);
            if let Line::Segment { micros, .. } = line {
                found.micros.push(micros);
            }
            if let Line::Uri(uri) = line {
                let bytes = fs::read(self.folder.path().join(path).join(uri)).unwrap();
                let (start, is_video) = first_time(&bytes);
                found.is_video |= is_video;
                found.starts.push(start);
                found.numbers.push(number);
            }
        }
        found
    }

    /// Nothing was out of order.
    pub fn assert_clean(&mut self, what: &str) {
        let history = self.history.as_mut().unwrap();
        history.finish();
        let breaches = history.findings().iter().filter(|one| one.class == Class::Breach);
        let breaches: Vec<String> = breaches.map(ToString::to_string).collect();
        assert!(breaches.is_empty(), "{what}: {breaches:#?}");
        let seen = history.numbers();
        assert!(seen.playlists >= 2 && seen.segments >= 10, "{what}: {seen:?}");
        for counter in [
            Counter::UpdatesEarly,
            Counter::WindowCut,
            Counter::RetentionCut,
            Counter::SegmentsOverlong,
            Counter::MediaMalformed,
            Counter::MediaWithoutSlot,
            Counter::GroupLate,
        ] {
            assert_eq!(self.count(counter), 0, "{what}: {}", counter.name());
        }
    }
}

/// What a playlist lists.
#[derive(Debug)]
pub struct List {
    pub target_s: u64,
    pub is_video: bool,
    first: u64,
    /// Media times at which segments begin, ticks.
    pub starts: Vec<i64>,
    pub micros: Vec<u64>,
    /// Their discontinuity sequence numbers.
    pub numbers: Vec<u64>,
}

impl List {
    /// Tags that are listed.
    pub fn discontinuities(&self) -> u64 {
        self.behind_last() - self.first
    }

    /// Discontinuity sequence number of the newest segment.
    pub fn behind_last(&self) -> u64 {
        *self.numbers.last().unwrap()
    }

    /// Where segments with another number than the one before begin.
    pub fn marks(&self) -> Vec<i64> {
        let pairs = self.numbers.windows(2).zip(&self.starts[1..]);
        pairs.filter(|(pair, _)| pair[0] != pair[1]).map(|(_, start)| *start).collect()
    }
}

/// Segments of two members that begin at one time: exactly, where both have pictures, and within a
/// frame of sound otherwise; with the same numbers.
pub fn compare(one: &List, other: &List, exactly: bool) {
    let off = if exactly { 0 } else { 1_920 };
    let mut alike = 0;
    for (start, number) in one.starts.iter().zip(&one.numbers) {
        let near = |at: &i64| (at - start).abs() <= off;
        let Some(place) = other.starts.iter().position(near) else { continue };
        assert_eq!(other.numbers[place], *number, "at {start}");
        alike += 1;
    }
    let most = one.starts.len().min(other.starts.len());
    assert!(alike + 1 >= most, "{alike} of {:?} and {:?}", one.starts, other.starts);
}

/// The first presentation time in a segment of packets, that of a picture if there is one.
fn first_time(bytes: &[u8]) -> (i64, bool) {
    let mut first = None;
    for packet in bytes.chunks(188) {
        let begins = packet[1] & 0x40 != 0;
        let at = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
        let Some(pes) = packet.get(at..).filter(|pes| begins && pes.starts_with(&[0, 0, 1])) else {
            continue;
        };
        let video = pes[3] & 0xf0 == 0xe0;
        let pts = i64::from(pes[9] >> 1 & 7) << 30
            | i64::from(pes[10]) << 22
            | i64::from(pes[11] >> 1) << 15
            | i64::from(pes[12]) << 7
            | i64::from(pes[13] >> 1);
        if video {
            return (pts, true);
        }
        first = first.or(Some(pts));
    }
    (first.expect("a time"), false)
}

//! Master and I-frame playlists as a stream lives: through the pipeline, into the folder.
//!
//! `R` numbers are those of RFC 8216 rules in the reference sheet of the HLS side.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use rillcast::limits::{I_FRAMES_PER_SEGMENT_MAX, MASTER_BYTES_MAX, STREAM_AWAY_TIME_MIN};
use rillcast::media::pipeline::{Message, Pipeline};
use rillcast::service::store::Store;
use rillcast::status::Status;
use rillcast::storage::FrameRing;
use rillcast::time::{Instant, Millis, Ticks};
use rillcast::wire::m3u8::{MasterPlaylist, MediaPlaylist};

use super::{PPS, config, shm};

/// 1280x720 at 25 pictures a second, High, level 3.1 and 4.0.
const HD: &str = "6764001facd9405005bb011000000300100000030320f1831960";
const HD_40: &str = "67640028acd9405005bb011000000300100000030320f1831960";

/// A stream with its pipeline and all that it ever listed.
struct Live {
    store: Store,
    status: Rc<Status>,
    pipeline: Pipeline,
    ring: FrameRing,
    stream: usize,
    /// Milliseconds since the start, and on the sender's clock.
    now: u32,
    at: u32,
    /// Name and range of an I-frame to its duration and discontinuity sequence number.
    seen: BTreeMap<(String, u64), (u64, u64)>,
    /// How many of them have left.
    gone: u64,
    listed: usize,
    version: u64,
}

impl Live {
    fn new(folder: &Path) -> Self {
        let pairs = ["hls.window_segments=4", "hls.segment_ms=2000"];
        let status = Rc::new(Status::new());
        let mut store = Store::open(&config(folder, &pairs), 7, Rc::clone(&status)).unwrap();
        let stream = store.publish("live/cam", Instant(0)).unwrap();
        Self {
            store,
            status,
            pipeline: Pipeline::new(Ticks::from_millis(2_000)),
            ring: FrameRing::new(1 << 20, 64),
            stream,
            now: 0,
            at: 0,
            seen: BTreeMap::new(),
            gone: 0,
            listed: 0,
            version: 0,
        }
    }

    fn send(&mut self, video: bool, payload: &[u8]) {
        let place = self.ring.reserve(payload.len()).unwrap();
        self.ring.window(place).copy_from_slice(payload);
        self.ring.close(place);
        let now = Instant(u64::from(self.now) * 1_000);
        self.store.tick(now);
        let message = Message { video, at: Millis(self.at), place };
        let mut sink = self.store.sink(self.stream, now);
        self.pipeline.message(message, &self.ring, &mut sink, &self.status);
        self.store.check_invariants();
        self.judge();
    }

    fn configure(&mut self, sps: &str, audio: &[u8]) {
        let sps: Vec<u8> = (0..sps.len() / 2)
            .map(|i| u8::from_str_radix(&sps[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let mut record = vec![0x17, 0, 0, 0, 0, 1, sps[1], sps[2], sps[3], 0xff, 0xe1, 0];
        record.push(sps.len() as u8);
        record.extend(sps);
        record.extend([1, 0, 4]);
        record.extend(PPS);
        self.send(true, &record);
        self.send(false, &[&[0xaf, 0][..], audio].concat());
    }

    /// Pictures of 40 ms, every `gop`th a keyframe, and audio.
    fn run(&mut self, pictures: u32, gop: u32) {
        for n in 0..pictures {
            let key = n % gop == 0;
            let bytes: u32 = if key { 9_000 + n } else { 900 };
            let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
            payload.extend(bytes.to_be_bytes());
            payload.push(if key { 0x65 } else { 0x41 });
            payload.resize(9 + bytes as usize, 0x33);
            self.send(true, &payload);
            self.send(false, &[&[0xaf, 1][..], &[0x21; 160]].concat());
            (self.now, self.at) = (self.now + 40, self.at + 40);
        }
    }

    fn leave(&mut self) {
        let now = Instant(u64::from(self.now) * 1_000);
        let mut sink = self.store.sink(self.stream, now);
        self.pipeline.leave(&self.ring, &mut sink, &self.status);
        self.store.leave(self.stream, now);
    }

    fn text(&self, file: &str) -> Option<String> {
        let view = self.store.playlist(&format!("live/cam/{file}"))?;
        Some(String::from_utf8(view.body.to_vec()).unwrap())
    }

    /// Holds the present version of the I-frame playlist against that of the media playlist, and
    /// against all before.
    fn judge(&mut self) {
        let Some(view) = self.store.playlist("live/cam/index.m3u8") else {
            assert!(self.text("master.m3u8").is_none() && self.text("iframes.m3u8").is_none());
            return;
        };
        if core::mem::replace(&mut self.version, view.version) == view.version {
            return;
        }
        let media = self.text("index.m3u8").unwrap();
        let media = MediaPlaylist::parse(media.as_bytes()).unwrap();
        let text = self.text("iframes.m3u8").expect("there are keyframes");
        let frames = MediaPlaylist::parse(text.as_bytes()).unwrap();
        assert!(frames.i_frames_only && frames.version == 5, "R8: {text}");
        assert_eq!(frames.target_duration_s, media.target_duration_s, "R60");
        assert_eq!(frames.discontinuity_sequence, media.discontinuity_sequence, "R60");
        let numbers = |list: &MediaPlaylist<'_>| {
            let mut number = list.discontinuity_sequence;
            list.segments()
                .map(|segment| {
                    number += u64::from(segment.discontinuity);
                    (segment.uri.to_owned(), number)
                })
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(numbers(&frames), numbers(&media), "R60: the window and its discontinuities");
        let dsn = numbers(&frames);
        let mut sums = BTreeMap::<&str, u64>::new();
        let mut fresh = 0;
        for frame in frames.segments() {
            let range = frame.range.unwrap();
            let at = range.at.unwrap();
            self.picture(frame.uri, at, range.bytes);
            let key = (frame.uri.to_owned(), at);
            let said = (frame.micros, dsn[frame.uri]);
            fresh += usize::from(!self.seen.contains_key(&key));
            assert_eq!(*self.seen.entry(key).or_insert(said), said, "R31: it changed");
            *sums.entry(frame.uri).or_default() += frame.micros;
        }
        for segment in media.segments() {
            assert_eq!(sums[segment.uri], segment.micros, "pictures last as their segment does");
        }
        self.gone += (self.listed + fresh - frames.segments) as u64;
        self.listed = frames.segments;
        assert_eq!(frames.media_sequence, self.gone, "R33");
        let file = self.store.root().join("live/cam/iframes.m3u8");
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }

    /// A range begins with the first packet of a picture and ends with its last.
    fn picture(&self, name: &str, at: u64, bytes: u64) {
        let file = fs::read(self.store.root().join("live/cam").join(name)).unwrap();
        let part = &file[at as usize..(at + bytes) as usize];
        assert!(part.len().is_multiple_of(188) && at >= 376);
        for (n, packet) in part.chunks(188).enumerate() {
            assert_eq!(packet[..3], [0x47, if n == 0 { 0x41 } else { 1 }, 0], "packet {n}");
        }
        assert_eq!(part[5] & 0x40, 0x40, "decoding can start here");
        let next = file.get((at + bytes) as usize..).unwrap().chunks(188);
        let same = next.filter(|packet| packet[1] & 0x1f == 1 && packet[2] == 0).take(1);
        assert!(same.into_iter().all(|packet| packet[1] & 0x40 != 0), "all of the picture");
    }
}

#[test]
fn r60_i_frame_playlist_goes_with_the_media_playlist_over_its_life() {
    let folder = shm();
    let mut live = Live::new(folder.path());
    for (round, gop) in [50, 25, 10, 50, 1, 20].into_iter().enumerate() {
        live.configure(if round % 2 == 0 { HD } else { HD_40 }, &[0x11, 0x90]);
        live.run(300, gop);
        if round == 3 {
            // The sender begins anew.
            live.leave();
            live.at = 0;
            let now = Instant(u64::from(live.now) * 1_000);
            live.stream = live.store.publish("live/cam", now).unwrap();
        }
    }
    assert!(live.gone > 60, "{}", live.gone);
}

#[test]
fn r62_r63_master_names_what_is_listed_and_bounds_its_rates() {
    let folder = shm();
    let mut live = Live::new(folder.path());
    let mut codecs = Vec::new();
    let mut look = |live: &Live| {
        let Some(text) = live.text("master.m3u8") else { return };
        assert!(text.len() <= MASTER_BYTES_MAX);
        let file = fs::read_to_string(live.store.root().join("live/cam/master.m3u8")).unwrap();
        assert_eq!(file, text);
        let view = live.store.playlist("live/cam/master.m3u8").unwrap();
        assert!((5..=60).contains(&view.max_age_s));
        let master = MasterPlaylist::parse(text.as_bytes()).unwrap();
        let [(variant, "index.m3u8")] = master.variants().collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let [(pictures, "iframes.m3u8")] = master.i_frames().collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let media = live.text("index.m3u8").unwrap();
        let media = MediaPlaylist::parse(media.as_bytes()).unwrap();
        let mut all = (0, 0);
        for segment in media.segments() {
            let path = live.store.root().join("live/cam").join(segment.uri);
            let bytes = fs::metadata(path).unwrap().len();
            assert!(bytes * 8 * 1_000_000 <= variant.bandwidth * segment.micros, "R62: {text}");
            all = (all.0 + bytes, all.1 + segment.micros);
        }
        let average = all.0 * 8_000_000 / all.1;
        let stated = variant.average_bandwidth.unwrap();
        assert!(stated <= variant.bandwidth);
        assert!(stated * 5 >= average * 4 && stated * 4 <= average * 5, "{stated}, {average}");
        let frames = live.text("iframes.m3u8").unwrap();
        let frames = MediaPlaylist::parse(frames.as_bytes()).unwrap();
        for frame in frames.segments() {
            let bits = frame.range.unwrap().bytes * 8 * 1_000_000;
            assert!(bits <= pictures.bandwidth * frame.micros, "R62: {text}");
        }
        assert_eq!(
            (variant.resolution, variant.frame_millihertz),
            (Some((1280, 720)), Some(25_000))
        );
        assert!(!pictures.codecs.unwrap().contains("mp4a"));
        let name = variant.codecs.unwrap().to_owned();
        if codecs.last() != Some(&name) {
            codecs.push(name);
        }
    };
    live.configure(HD, &[0x11, 0x90]);
    for _ in 0..10 {
        live.run(50, 25);
        look(&live);
    }
    live.configure(HD_40, &[0x13, 0x10, 0x56, 0xe5, 0x98]);
    for _ in 0..12 {
        live.run(50, 50);
        look(&live);
    }
    let first = "avc1.64001f,mp4a.40.2";
    let both = "avc1.64001f,avc1.640028,mp4a.40.2,mp4a.40.5";
    assert_eq!(codecs, [first, both, "avc1.640028,mp4a.40.5"]);
}

#[test]
fn stream_that_is_given_up_takes_its_playlists_along() {
    let folder = shm();
    let mut live = Live::new(folder.path());
    live.configure(HD, &[0x11, 0x90]);
    live.run(300, 50);
    assert!(folder.path().join("live/cam/master.m3u8").exists());
    let before = live.text("iframes.m3u8").unwrap();
    let before = MediaPlaylist::parse(before.as_bytes()).unwrap();
    let last = before.media_sequence + before.segments as u64;
    let media = live.text("index.m3u8").unwrap();
    let media = MediaPlaylist::parse(media.as_bytes()).unwrap();
    let mut used = media.media_sequence + media.segments as u64;
    live.leave();
    // The last piece waits for its time.
    used += 1;
    let mut later = Instant(u64::from(live.now) * 1_000).after(STREAM_AWAY_TIME_MIN);
    live.store.publish("live/other", later).unwrap();
    assert!(live.text("master.m3u8").is_none() && live.text("iframes.m3u8").is_none());
    assert!(!folder.path().join("live/cam").exists());
    live.store.leave(0, later);
    later = later.after(STREAM_AWAY_TIME_MIN);
    live.now = u32::try_from(later.0 / 1_000).unwrap();
    live.stream = live.store.publish("live/cam", later).unwrap();
    live.gone = used * I_FRAMES_PER_SEGMENT_MAX as u64;
    assert!(live.gone >= last, "R11");
    (live.listed, live.version) = (0, 0);
    live.configure(HD, &[0x11, 0x90]);
    live.run(200, 50);
    assert!(live.text("master.m3u8").is_some());
}

//! Senders' clocks through the whole media layer: messages in, segments and playlist out.
//!
//! A camera stamps one true time in the way of its kind of clock. Whatever that does, the segments
//! must go on: no discontinuity at a wrap, `EXTINF` the distance of decode times to the
//! microsecond, audio where it was beside video, and the 33-bit clock of the transport stream
//! continuous over its own wrap. `tests/clocks.rs` asks the same of the timeline alone.

use crate::camera::{Camera, Judged, LEAD, adts, assert_nothing_is_lost};
use crate::wraps::{MILLIS, WRAPS, Wrap};
use rillcast::limits::{PLAYLIST_BYTES_MAX, TIMELINE_EPOCH};
use rillcast::media::playlist::{Closed, Playlist, PlaylistConfig, PlaylistKind};
use rillcast::media::sink::Segment;
use rillcast::status::Counter;
use rillcast::time::{Instant, Ticks};
use rillcast::wire::writer::Writer;
use std::collections::BTreeMap;

/// Ticks of an AAC frame at 48 kHz, and of a picture at 25 a second.
const SOUND: i64 = 1_920;
const PICTURE: i64 = 3_600;

/// The playlist of the segments, as a player with a long memory sees it.
struct Follower {
    playlist: Playlist,
    /// `EXTINF` in microseconds, by sequence number.
    seen: BTreeMap<u64, i64>,
    tags: usize,
    segments: Vec<Segment>,
    now: u64,
}

impl Follower {
    fn new() -> Self {
        let playlist = Playlist::new(PlaylistConfig {
            segment: Ticks::from_millis(2_000),
            window_segments: 6,
            listed_max: 13,
            kind: PlaylistKind::Live { window: Ticks(0) },
            target_duration_s: Some(3),
            media_sequence: 0,
            discontinuity_sequence: 0,
        });
        Self { playlist, seen: BTreeMap::new(), tags: 0, segments: Vec::new(), now: 0 }
    }

    /// Has followed a whole session, and found nothing wrong.
    fn of(camera: &Camera) -> Self {
        let mut follower = Self::new();
        follower.follow(&camera.tape.segments);
        follower.check();
        follower
    }

    /// Lists what the tape has new and reads the playlist.
    fn follow(&mut self, fresh: &[(Segment, Vec<u8>)]) {
        for (segment, _) in fresh {
            self.now += 2_000_000;
            let _change = self.playlist.closed(
                Instant(self.now),
                Closed {
                    duration: segment.duration,
                    discontinuity: segment.discontinuity,
                    independent: segment.independent,
                    slot: 0,
                },
            );
            self.segments.push(*segment);
            self.tags += usize::from(segment.discontinuity);
            self.read();
        }
    }

    fn read(&mut self) {
        let mut text = vec![0; PLAYLIST_BYTES_MAX];
        let mut w = Writer::new(&mut text);
        self.playlist.emit(&mut w, 1).unwrap();
        let text = String::from_utf8(w.written().to_vec()).unwrap();
        let mut sequence = 0;
        for line in text.lines() {
            if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                sequence = first.parse().unwrap();
            }
            if let Some(seconds) = line.strip_prefix("#EXTINF:") {
                let (whole, part) = seconds.trim_end_matches(',').split_once('.').unwrap();
                let micros = format!("{part:0<6}");
                let micros: i64 =
                    whole.parse::<i64>().unwrap() * 1_000_000 + micros.parse::<i64>().unwrap();
                let before = self.seen.insert(sequence, micros);
                assert!(before.is_none_or(|before| before == micros), "EXTINF never changes");
                sequence += 1;
            }
        }
    }

    /// Each `EXTINF` is its segment's duration and their sum is the media's, to the microsecond.
    fn check(&self) {
        assert_eq!(self.seen.len(), self.segments.len());
        let mut sum = (0, 0);
        for (micros, segment) in self.seen.values().zip(&self.segments) {
            let exact = segment.duration.0 * 100;
            assert!((micros * 9 - exact).abs() <= 9, "{micros} {exact}");
            sum = (sum.0 + micros, sum.1 + exact);
            assert!((sum.0 * 9 - sum.1).abs() <= 9, "the sum stays, {} {}", sum.0, sum.1);
        }
    }
}

#[derive(Clone, Copy)]
struct Sender {
    video: Wrap,
    audio: Wrap,
    /// True time of the first audio frame beside that of the first picture.
    audio_behind: i64,
    /// Added to audio's stamps: a base of its own.
    audio_base: i64,
    /// Audio's crystal, in parts per million of video's.
    audio_ppm: i64,
    b_frames: bool,
}

impl Sender {
    fn plain(clock: Wrap) -> Self {
        Self {
            video: clock,
            audio: clock,
            audio_behind: 0,
            audio_base: 0,
            audio_ppm: 0,
            b_frames: false,
        }
    }

    /// Sends from `start` for `pictures`; audio keeps up with video.
    fn send(self, camera: &mut Camera, start: i64, pictures: i64) {
        let mut sound = 0;
        for n in 0..pictures {
            let now = start + n * PICTURE;
            let cts = if self.b_frames { [80, 160, -40, -80][(n % 4) as usize] } else { 0 };
            let nal = camera.nal(if n % 50 == 0 { 0x65 } else { 0x41 }, 300);
            camera.access_unit(self.video.stamp(now).0, cts, &[&nal]);
            while sound * SOUND + self.audio_behind < (n + 1) * PICTURE {
                let true_time = start + sound * SOUND;
                let drift = sound * SOUND * self.audio_ppm / 1_000_000;
                let at = self.audio.stamp(true_time + drift + self.audio_base).0;
                camera.aac(at, 60);
                sound += 1;
            }
        }
    }
}

/// Where every audio frame is beside where it should be, in ticks, the first being right.
fn audio_offsets(judged: &[Judged]) -> Vec<i64> {
    let mut frame = 0;
    let mut offsets = Vec::new();
    let mut first = None;
    for sound in judged.iter().flat_map(|segment| &segment.sounds) {
        let first = *first.get_or_insert(sound.pts);
        offsets.push(sound.pts - first - frame * SOUND);
        frame += adts(&sound.data).len() as i64;
    }
    offsets
}

#[test]
fn five_wraps_pass_unseen_to_the_playlist() {
    for clock in WRAPS {
        let name = clock.name;
        for (audio_behind, b_frames) in [(0, false), (-45_000, true), (27_000, true)] {
            let mut camera = Camera::new(2_000);
            let start = clock.period - 10 * 90_000;
            camera.configure(clock.stamp(start).0);
            let sender = Sender { audio_behind, b_frames, ..Sender::plain(clock) };
            sender.send(&mut camera, start, 500);
            let judged = camera.end();
            assert_nothing_is_lost(&camera, &judged);
            let follower = Follower::of(&camera);
            assert_eq!(follower.tags, 0, "{name}");
            assert_eq!(camera.count(Counter::MediaJumps), 0, "{name}");
            assert_eq!(judged.len(), 10, "{name}");
            let units = judged.iter().flat_map(|segment| &segment.pictures);
            for (n, unit) in (0i64..).zip(units) {
                let true_time = TIMELINE_EPOCH.0 + n * PICTURE;
                assert!((unit.dts - true_time).abs() < 90, "{name}: picture {n}");
            }
            for (segment, next) in judged.iter().zip(&judged[1..]) {
                let distance = next.pictures[0].dts - segment.pictures[0].dts;
                assert_eq!(segment.segment.duration, Ticks(distance), "{name}");
            }
            let offsets = audio_offsets(&judged);
            assert!(offsets.iter().all(|offset| *offset == 0), "{name}: {offsets:?}");
            // Audio beside video, as it was sent: both present one lead after they decode.
            let sound = judged[0].sounds[0].pts - LEAD - TIMELINE_EPOCH.0;
            assert!(sound.abs() <= 180, "{name}: audio starts at {sound}");
        }
    }
}

#[test]
fn clock_of_the_transport_stream_wraps_after_26_hours_without_a_mark() {
    // 9 s between pictures carry the stream to its 33-bit wrap, 20 s around it as they are.
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    let mut now = 0;
    let wrap = (1 << 33) - TIMELINE_EPOCH.0;
    let keep = wrap - 15 * 90_000;
    let mut n = 0;
    while now < wrap + 10 * 90_000 {
        let fast = now < keep - 9 * 90_000;
        camera.frame((now / 90) as u32, fast || n % 25 == 0, 60);
        now += if fast { 9 * 90_000 } else { PICTURE };
        n = if fast { 0 } else { n + 1 };
        if fast && camera.tape.segments.len() > 1 {
            let drained: Vec<_> = camera.tape.segments.drain(..).collect();
            assert!(drained.iter().all(|(segment, _)| !segment.discontinuity));
            camera.pictures.clear();
        }
    }
    let judged = camera.end();
    let mut follower = Follower::new();
    follower.follow(&camera.tape.segments);
    assert_eq!(follower.tags, 0);
    assert_eq!(camera.count(Counter::MediaJumps), 0);
    let stamps: Vec<i64> =
        judged.iter().flat_map(|segment| &segment.pictures).map(|unit| unit.dts).collect();
    assert!(stamps[0] < 1 << 33 && *stamps.last().unwrap() > 1 << 33);
    let near: Vec<_> = stamps.windows(2).filter(|pair| pair[1] - pair[0] != PICTURE).collect();
    assert!(near.len() <= 2, "{near:?}");
    assert!(judged.iter().any(|segment| segment.pcrs.last().unwrap() / 300 > 1 << 33));
}

#[test]
fn jumps_of_both_tracks_are_marked_once_and_audio_stays_beside_video() {
    for shift in [3_600_000 * 90, -3_000 * 90_000, 20_000 * 90, -5_000 * 90] {
        let mut camera = Camera::new(2_000);
        let start = 4_000 * 90_000;
        camera.configure(MILLIS.stamp(start).0);
        let sender = Sender { b_frames: true, ..Sender::plain(MILLIS) };
        sender.send(&mut camera, start, 250);
        let jumped = start + 250 * PICTURE + shift;
        sender.send(&mut camera, jumped, 250);
        let judged = camera.end();
        assert_nothing_is_lost(&camera, &judged);
        let follower = Follower::of(&camera);
        assert_eq!(follower.tags, 1, "{shift}");
        let at = judged.iter().position(|segment| segment.segment.discontinuity).unwrap();
        assert_eq!(at, 5, "{shift}");
        let (video, audio) = (judged[at].pictures[0].dts, judged[at].sounds[0].pts - LEAD);
        assert!((video - audio).abs() <= 1_920 + 180, "{shift}: {video} {audio}");
        let total: i64 = judged.iter().map(|segment| segment.segment.duration.0).sum();
        assert!((total - 500 * PICTURE).abs() < 45_000, "{shift}: {total}");
    }
}

#[test]
fn separate_bases_that_drift_stay_together_without_a_mark() {
    let mut camera = Camera::with(2_000, 1 << 20, 1 << 20);
    camera.configure(0);
    let sender = Sender {
        audio_base: 1_000_000 * 90_000,
        audio_ppm: 100,
        b_frames: true,
        ..Sender::plain(MILLIS)
    };
    // 20 minutes: the crystals drift 120 ms apart.
    sender.send(&mut camera, 0, 20 * 60 * 25);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    let follower = Follower::of(&camera);
    assert_eq!(follower.tags, 0);
    assert_eq!(judged.len(), 600);
    let offsets = audio_offsets(&judged);
    let worst = offsets.iter().map(|offset| offset.abs()).max().unwrap();
    assert!(worst <= 60 * 90, "audio is {worst} ticks from where it was heard");
}

#[test]
fn audio_alone_passes_every_wrap() {
    for clock in WRAPS {
        let name = clock.name;
        let mut camera = Camera::new(2_000);
        let start = clock.period - 10 * 90_000;
        camera.aac_config(clock.stamp(start).0, [0x11, 0x90]);
        for n in 0..940 {
            camera.aac(clock.stamp(start + n * SOUND).0, 80);
        }
        let judged = camera.end();
        assert_nothing_is_lost(&camera, &judged);
        let follower = Follower::of(&camera);
        assert_eq!(follower.tags, 0, "{name}");
        assert!(audio_offsets(&judged).iter().all(|offset| *offset == 0), "{name}");
        let total: i64 = judged.iter().map(|segment| segment.segment.duration.0).sum();
        assert_eq!(total, 940 * SOUND, "{name}");
    }
}

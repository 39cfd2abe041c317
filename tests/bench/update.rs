//! What a playlist's update costs, from the end of a segment until all files are right.
//!
//! `update` prints one line: microseconds of an update of a live window of ten, and of an event of
//! one hour near its beginning and near its end, all medians. `update count SEGMENTS UPDATES` makes
//! an event of so many segments and then so many more, for a tool that counts instructions. The
//! segments hold one packet each: what is measured are the lists, not the media. All files are
//! there: the playlist, the master playlist, and that of I-frames.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::std_instead_of_core,
    reason = "a measuring tool owns its clock, prints, and stops at the first surprise"
)]

use nix::time::{ClockId, clock_gettime};
use rillcast::config::settings::Draft;
use rillcast::media::codecs::{Encoding, VideoEncoding};
use rillcast::media::sink::{Note, Segment, Sink as _};
use rillcast::service::store::Store;
use rillcast::status::Status;
use rillcast::time::{Instant, Ticks};
use std::rc::Rc;
use std::time::Duration;

/// Segments of one hour.
const HOUR: usize = 1_800;

/// Updates of which the median counts.
const UPDATES: usize = 200;

/// Turns that are measured.
const TURNS: usize = 5;

struct Stream {
    _folder: tempfile::TempDir,
    store: Store,
    number: usize,
    now: Instant,
}

impl Stream {
    fn open(pairs: &[&str]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
        for pair in ["limits.streams=1", "limits.slot_bytes=1MiB"].iter().chain(pairs) {
            draft.set_pair(pair).unwrap();
        }
        let mut store = Store::open(&draft.check().unwrap(), 7, Rc::new(Status::new())).unwrap();
        let number = store.publish("live/cam", Instant(0)).unwrap();
        Self { _folder: folder, store, number, now: Instant(0) }
    }

    fn event() -> Self {
        Self::open(&["hls.kind=event", "hls.event_minutes=120", "hls.tmpfs_mib=64"])
    }

    /// One segment; gives the processor time from its end until its playlist is there.
    fn update(&mut self) -> Duration {
        self.now = self.now.after(Duration::from_secs(2));
        self.store.tick(self.now);
        let mut sink = self.store.sink(self.number, self.now);
        sink.begin().unwrap();
        sink.note(Note::Encoding(&encoding()));
        assert!(sink.reserve(188));
        sink.wrote(1);
        sink.note(Note::KeyPicture { dts: Ticks(0), at: 0, bytes: 188 });
        sink.note(Note::Holds { pictures: 50, audio: true });
        let start = cpu();
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2_000),
            bytes: 188,
            discontinuity: false,
            independent: true,
            forced: false,
        });
        cpu().saturating_sub(start)
    }

    /// All playlists are there.
    fn assert_files(&self) {
        for file in ["index.m3u8", "master.m3u8", "iframes.m3u8"] {
            assert!(self.store.playlist(&format!("live/cam/{file}")).is_some(), "{file}");
        }
    }

    fn updates(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.update().as_secs_f64() * 1e6).collect()
    }
}

/// What a master playlist can name.
fn encoding() -> Encoding {
    let name = "avc1.64001f".try_into().unwrap();
    let video = VideoEncoding { name, size: Some((1280, 720)), frame_millihertz: Some(25_000) };
    Encoding { video: Some(video), audio: Some("mp4a.40.2") }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [verb, segments, updates] = words.as_slice()
        && verb == "count"
    {
        let mut event = Stream::event();
        event.updates(segments.parse().unwrap());
        event.updates(updates.parse().unwrap());
        return;
    }
    let (mut window, mut early, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut live = Stream::open(&["hls.window_segments=10"]);
        live.updates(50);
        window.push(median(live.updates(UPDATES)));
        live.assert_files();
        let mut event = Stream::event();
        event.updates(50);
        early.push(median(event.updates(UPDATES)));
        event.updates(HOUR - 50 - 2 * UPDATES);
        late.push(median(event.updates(UPDATES)));
    }
    println!(
        "update window_us={:.1} event_early_us={:.1} event_late_us={:.1}",
        median(window),
        median(early),
        median(late)
    );
}

//! Transport packets into recycled slots, against `write(2)` of the same payload to fresh files.
//!
//! `mux ROUNDS` prints one line: gigabytes of payload per second of processor time of each, and the
//! ratio; `mux count ROUNDS` only makes packets, for a tool that counts instructions. Both sides
//! take the same 16 groups of pictures of a 4 Mbit/s stream from the same memory, 16 MB that no
//! level 2 cache holds, and write 16 files of 1 MB again and again: ours into slots that have their
//! pages, the other as one `write` to a new file that replaces the oldest, which frees its pages.
//! Both have gone round once before the clock starts; they run in turns, and medians count.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::std_instead_of_core,
    reason = "a measuring tool owns its clock, prints, and stops at the first surprise"
)]

use nix::time::{ClockId, clock_gettime};
use rillcast::media::annexb::{AccessUnit, ParameterSets};
use rillcast::media::container::Container;
use rillcast::media::mux::{Head, Mux, Track};
use rillcast::media::sink::{NoRoom, Segment, Sink};
use rillcast::sys::slots::Slot;
use rillcast::time::Ticks;
use rillcast::wire::h264::AvcConfig;
use rillcast::wire::ts::pes::{PesHeader, STREAM_VIDEO};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const SLOTS: usize = 16;
const TURNS: usize = 9;
const SLOT_BYTES: usize = 3 << 20;
const CONFIG: [u8; 19] = [
    1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

struct Slots {
    all: Vec<Slot>,
    now: usize,
    at: usize,
}

impl Sink for Slots {
    fn begin_as(&mut self, _container: Container) -> Result<(), NoRoom> {
        self.now = (self.now + 1) % SLOTS;
        self.at = 0;
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        self.all[self.now].reserve(self.at + bytes).is_ok()
    }

    fn written(&self) -> usize {
        self.at
    }

    fn room(&mut self) -> &mut [[u8; 188]] {
        self.all[self.now].bytes_mut(self.at).as_chunks_mut().0
    }

    fn wrote(&mut self, packets: usize) {
        self.at += packets * 188;
    }

    fn append(&mut self, bytes: &[u8]) {
        self.all[self.now].bytes_mut(self.at)[..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn rewrite(&mut self, _at: usize, _packet: &[u8; 188]) {}

    fn capacity(&self) -> usize {
        SLOT_BYTES
    }

    fn discard(&mut self) {}

    fn finish(&mut self, _segment: &Segment) {
        self.all[self.now].end(self.at).unwrap();
    }
}

/// A two-second group of pictures, about 1 MB: a keyframe and 59 smaller ones.
struct Group {
    units: Vec<Vec<u8>>,
    /// The same bytes in one piece, as `write` takes them.
    payload: Vec<u8>,
}

impl Group {
    fn new(number: usize) -> Self {
        let unit = |kind: u8, bytes: usize| {
            let mut data = u32::try_from(bytes).unwrap().to_be_bytes().to_vec();
            data.push(kind);
            data.extend((1..bytes).map(|i| ((i + number) * 31 % 251) as u8 | 1));
            data
        };
        let mut units = vec![unit(0x65, 80_000)];
        units.extend((1..60).map(|i| unit(0x41, 12_000 + (i + number) * 137 % 8_000)));
        Self { payload: units.concat(), units }
    }
}

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let groups: Vec<Group> = (0..SLOTS).map(Group::new).collect();
    let rounds: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1500);
    let all = (0..SLOTS)
        .map(|i| Slot::create(&folder.path().join(i.to_string()), SLOT_BYTES).unwrap())
        .collect();
    let mut sink = Slots { all, now: 0, at: 0 };
    if std::env::args().any(|arg| arg == "count") {
        segments(&groups, &mut sink, rounds);
        println!("mux payload_KiB={}", bytes_of(&groups, rounds) / 1024);
        return;
    }
    segments(&groups, &mut sink, SLOTS);
    files(&groups, folder.path(), SLOTS);
    let rate = |time: Duration| bytes_of(&groups, rounds / TURNS) as f64 / time.as_secs_f64() / 1e9;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(rate(segments(&groups, &mut sink, rounds / TURNS)));
        plain.push(rate(files(&groups, folder.path(), rounds / TURNS)));
    }
    ours.sort_by(f64::total_cmp);
    plain.sort_by(f64::total_cmp);
    let (ours, plain) = (ours[TURNS / 2], plain[TURNS / 2]);
    println!("mux recycled_GBps={ours:.2} write_fresh_GBps={plain:.2} ratio={:.2}", ours / plain);
}

fn bytes_of(groups: &[Group], rounds: usize) -> usize {
    groups.iter().cycle().take(rounds).map(|group| group.payload.len()).sum()
}

/// Processor time of this process: what others do on the machine does not count.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn segments(groups: &[Group], sink: &mut Slots, rounds: usize) -> Duration {
    let (mut mux, mut unit, mut sets) = (Mux::new(), AccessUnit::new(), ParameterSets::new());
    sets.set(&AvcConfig::parse(&CONFIG).unwrap()).unwrap();
    let start = cpu();
    let mut dts = Ticks(1 << 20);
    for group in groups.iter().cycle().take(rounds) {
        sink.begin().unwrap();
        for data in &group.units {
            unit.gather(data, &mut sets).unwrap();
            assert!(sink.reserve(unit.len() * 2));
            dts = dts.plus(Ticks(3000));
            let head = Head {
                track: Track::Video,
                pes: PesHeader {
                    stream_id: STREAM_VIDEO,
                    length: None,
                    alignment: true,
                    pts: dts,
                    dts: None,
                },
                random_access: unit.is_random_access(),
                pcr: mux.clock_at(dts),
            };
            mux.pes(&head, unit.len(), unit.slices(data, &sets), sink);
        }
        let (start, duration) = (Ticks::ZERO, Ticks(180_000));
        let bytes = sink.written();
        sink.finish(&Segment {
            start,
            duration,
            bytes,
            discontinuity: false,
            independent: true,
            forced: false,
        });
    }
    cpu().saturating_sub(start)
}

fn files(groups: &[Group], folder: &Path, rounds: usize) -> Duration {
    let new = folder.join("new");
    let start = cpu();
    for (i, group) in groups.iter().cycle().take(rounds).enumerate() {
        let mut file = std::fs::File::create(&new).unwrap();
        file.write_all(&group.payload).unwrap();
        drop(file);
        std::fs::rename(&new, folder.join(format!("plain{}", i % SLOTS))).unwrap();
    }
    cpu().saturating_sub(start)
}

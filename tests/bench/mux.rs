//! Transport packets into recycled slots, against `write(2)` of the same payload to fresh files.
//!
//! Prints one line: gigabytes of payload per second of each, and the ratio. Both sides take the
//! same access units from the same memory, of a 4 Mbit/s stream: a keyframe and 59 smaller ones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::std_instead_of_core,
    reason = "a bench reads the clock, and a panic is how it speaks"
)]

use rillcast::media::annexb::{AccessUnit, ParameterSets};
use rillcast::media::mux::{Head, Mux, Track};
use rillcast::media::sink::{NoRoom, Segment, Sink};
use rillcast::sys::slots::Slot;
use rillcast::time::Ticks;
use rillcast::wire::h264::AvcConfig;
use rillcast::wire::ts::pes::{PesHeader, STREAM_VIDEO};
use std::io::Write as _;
use std::time::{Duration, Instant};

const SLOTS: usize = 16;
const SLOT_BYTES: usize = 3 << 20;
const CONFIG: [u8; 19] = [
    1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

struct Slots {
    slots: Vec<Slot>,
    now: usize,
    at: usize,
}

impl Sink for Slots {
    fn begin(&mut self) -> Result<(), NoRoom> {
        self.now = (self.now + 1) % SLOTS;
        self.at = 0;
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        self.slots[self.now].reserve(self.at + bytes).is_ok()
    }

    fn written(&self) -> usize {
        self.at
    }

    fn room(&mut self) -> &mut [[u8; 188]] {
        self.slots[self.now].bytes_mut(self.at).as_chunks_mut().0
    }

    fn wrote(&mut self, packets: usize) {
        self.at += packets * 188;
    }

    fn rewrite(&mut self, _at: usize, _packet: &[u8; 188]) {}

    fn capacity(&self) -> usize {
        SLOT_BYTES
    }

    fn discard(&mut self) {}

    fn finish(&mut self, _segment: &Segment) {
        self.slots[self.now].end(self.at).unwrap();
    }
}

/// The units of one two-second group of pictures, about 1 MB.
fn group() -> Vec<Vec<u8>> {
    let unit = |kind: u8, bytes: usize| {
        let mut data = u32::try_from(bytes).unwrap().to_be_bytes().to_vec();
        data.push(kind);
        data.extend((1..bytes).map(|i| (i * 31 % 251) as u8 | 1));
        data
    };
    let mut units = vec![unit(0x65, 80_000)];
    units.extend((1..60).map(|i| unit(0x41, 12_000 + i * 137 % 8_000)));
    units
}

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let units = group();
    let payload: usize = units.iter().map(Vec::len).sum();
    let rounds: usize = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(1500);
    let slots = (0..SLOTS)
        .map(|i| Slot::create(&folder.path().join(i.to_string()), SLOT_BYTES).unwrap())
        .collect();
    let mut sink = Slots { slots, now: 0, at: 0 };
    let (mut ours, mut plain) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        ours = ours.min(segments(&units, &mut sink, rounds / 5));
        plain = plain.min(files(&units, folder.path(), rounds / 5));
    }
    let rate = |time: Duration| (payload * (rounds / 5)) as f64 / time.as_secs_f64() / 1e9;
    let (ours, plain) = (rate(ours), rate(plain));
    println!("mux recycled_GBps={ours:.2} write_fresh_GBps={plain:.2} ratio={:.2}", ours / plain);
}

fn segments(units: &[Vec<u8>], sink: &mut Slots, rounds: usize) -> Duration {
    let (mut mux, mut unit, mut sets) = (Mux::new(), AccessUnit::new(), ParameterSets::new());
    sets.set(&AvcConfig::parse(&CONFIG).unwrap()).unwrap();
    let mut run = |rounds: usize| {
        let mut dts = Ticks(1 << 20);
        for _ in 0..rounds {
            sink.begin().unwrap();
            for data in units {
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
    };
    run(SLOTS);
    let start = Instant::now();
    run(rounds);
    start.elapsed()
}

fn files(units: &[Vec<u8>], folder: &std::path::Path, rounds: usize) -> Duration {
    let payload = units.concat();
    let start = Instant::now();
    for i in 0..rounds {
        let path = folder.join("plain");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(&payload).unwrap();
        drop(file);
        std::fs::rename(&path, folder.join(format!("plain{}", i % SLOTS))).unwrap();
    }
    start.elapsed()
}

//! A real `Store` in a folder on tmpfs, and segments of chosen bytes in it.
//!
//! Segments enter as they do in the program: packet by packet through the store's sink. The clock
//! of the store is this file's own and stands still between two segments, so that nothing leaves
//! the store while a test looks at it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;

use rillcast::config::settings::{Config, Draft};
use rillcast::media::sink::{Segment, Sink as _};
use rillcast::service::store::Store;
use rillcast::status::Status;
use rillcast::time::{Instant, Ticks};
use rillcast::wire::ts::packet::PACKET_BYTES;

/// First half of every segment's name and tag.
pub const EPOCH: u32 = 0x5f3a_0c11;

/// Seconds between two segments, and their duration.
const STEP: Duration = Duration::from_secs(2);

/// A store and the folder that goes with it.
pub struct Shelf {
    pub store: Rc<RefCell<Store>>,
    pub status: Rc<Status>,
    slots: usize,
    now: Cell<Instant>,
    _folder: tempfile::TempDir,
}

impl Shelf {
    /// A store with the settings `pairs` in a new folder; segments are dated by `wall`.
    pub fn new(pairs: &[&str], wall: fn() -> Option<u64>) -> Self {
        Self::in_epoch(EPOCH, pairs, wall)
    }

    /// As `new`, in another life of the program.
    pub fn in_epoch(epoch: u32, pairs: &[&str], wall: fn() -> Option<u64>) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").expect("a folder on tmpfs");
        let config = config(pairs, folder.path());
        let status = Rc::new(Status::new());
        let mut store = Store::open(&config, epoch, Rc::clone(&status)).expect("a store");
        store.set_wall(wall);
        let slots = config.limits_streams * config.slots_per_stream();
        Self {
            store: Rc::new(RefCell::new(store)),
            status,
            slots: slots.try_into().expect("few slots"),
            now: Cell::new(Instant(0)),
            _folder: folder,
        }
    }

    /// The number of the stream at `path`, with a publisher.
    pub fn stream(&self, path: &str) -> usize {
        self.store.borrow_mut().publish(path, self.now.get()).expect("a place for the stream")
    }

    /// Publishes `bytes`, a whole number of packets, as the stream's next segment.
    pub fn put(&self, stream: usize, bytes: &[u8]) {
        self.put_after(STEP, stream, bytes);
    }

    /// As `put`, `wait` after the segment before.
    fn put_after(&self, wait: Duration, stream: usize, bytes: &[u8]) {
        self.now.set(self.now.get().after(wait));
        let mut store = self.store.borrow_mut();
        let mut sink = store.sink(stream, self.now.get());
        sink.begin().expect("a slot");
        assert!(sink.reserve(bytes.len()), "{} bytes do not fit the slot", bytes.len());
        let (mut packets, odd) = bytes.as_chunks::<PACKET_BYTES>();
        assert!(odd.is_empty(), "{} bytes are not whole packets", bytes.len());
        while !packets.is_empty() {
            let room = sink.room();
            let count = room.len().min(packets.len());
            assert!(count > 0, "no room although it was reserved");
            room[..count].copy_from_slice(&packets[..count]);
            sink.wrote(count);
            packets = &packets[count..];
        }
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2000),
            bytes: bytes.len(),
            discontinuity: false,
            independent: true,
            forced: false,
        });
        store.check_invariants();
    }

    /// Publishes small segments until one of them is in `slot`: it was in use, and is used again.
    /// They come so fast that no segment may be forgotten, and every slot is needed.
    pub fn reuse(&self, stream: usize, slot: usize) {
        let before = self.store.borrow().generation(slot);
        for n in 0..=self.slots {
            self.put_after(Duration::from_millis(1), stream, &other(n));
            if self.store.borrow().generation(slot) != before {
                return;
            }
        }
        panic!("slot {slot} was not used again after {} segments", self.slots + 1);
    }

    /// The text of the playlist at `path` as it is now.
    pub fn playlist(&self, path: &str) -> String {
        let store = self.store.borrow();
        let body = store.playlist(path).expect("a playlist").body;
        core::str::from_utf8(body).expect("playlists are text").to_owned()
    }

    /// Holds on all slots together.
    pub fn holds(&self) -> u32 {
        let store = self.store.borrow();
        (0..self.slots).map(|slot| store.holds(slot)).sum()
    }
}

/// Content of the segments that `reuse` publishes: nothing else here has such bytes.
pub fn other(n: usize) -> Vec<u8> {
    vec![b'A' + n.to_le_bytes()[0]; PACKET_BYTES]
}

/// `text`, and dots to the end of its last packet.
pub fn padded(text: &str) -> String {
    let bytes = text.len().next_multiple_of(PACKET_BYTES);
    format!("{text:.<bytes$}")
}

fn config(pairs: &[&str], folder: &std::path::Path) -> Config {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().expect("text path")).expect("a folder");
    for pair in pairs {
        draft.set_pair(pair).expect("a setting");
    }
    draft.check().expect("settings that go together")
}

//! Memory that the media path takes while it runs: none.
//!
//! An allocator that counts. Three measures: every call between `recv` and the published segment
//! (socket, rings, pipeline, slots, playlist, names) makes no allocation at all; nor does any
//! between a message's ring and the sockets of three players; the whole server
//! with its executor and reactor stays within a small constant per hundred wake-ups.

#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads and clocks are theirs; an allocator is unsafe by its trait"
)]

#[path = "support/es.rs"]
mod es;
#[path = "support/flv.rs"]
mod flv;
#[path = "support/rtmp.rs"]
mod rtmp;

use rillcast::config::settings::{Config, Draft};
use rillcast::limits::{RTMPE_BLOCK_BYTES, RX_BYTES, SCRATCH_BYTES};
use rillcast::media::codecs::{Encoding, VideoEncoding};
use rillcast::media::pipeline::{Message, Pipeline};
use rillcast::media::sink::{Note, Segment, Sink as _};
use rillcast::proto::rtmp::dechunk::{Bin, Dechunker, Rings};
use rillcast::proto::rtmp::enchunk::Outbox;
use rillcast::proto::rtmp::encryption::Ciphers;
use rillcast::proto::rtmp::gather::Towards;
use rillcast::proto::rtmp::handshake::{Client, Encryption, Hello, Server};
use rillcast::proto::rtmp::seal::Seal;
use rillcast::service::feed::{Feed, Sent};
use rillcast::service::link::Link;
use rillcast::service::reactor::Reactor;
use rillcast::service::store::Store;
use rillcast::service::stream::{PublisherId, Right, Streams};
use rillcast::status::{Counter, Status};
use rillcast::storage::{ByteRing, FrameRing, Label};
use rillcast::sys::random;
use rillcast::time::{Instant, Millis, Ticks};
use rillcast::wire::flv::TagKind;
use rillcast::wire::rtmp::message::MessageType;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts what each thread takes: a thread that says so for itself, all others together.
struct Counting;

static OTHERS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OWN: Cell<Option<u64>> = const { Cell::new(None) };
}

fn note() {
    // A thread that is going has no cell any more.
    let own = OWN.try_with(|own| {
        own.set(own.get().map(|count| count + 1));
        own.get().is_some()
    });
    if !own.unwrap_or(true) {
        OTHERS.fetch_add(1, Ordering::Relaxed);
    }
}

/// What this thread takes from now on is its own.
fn count_apart() {
    OWN.with(|own| own.set(Some(own.get().unwrap_or(0))));
}

fn own() -> u64 {
    OWN.with(|own| own.get().unwrap())
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches no memory
// that is handed out, and takes none.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn config(folder: &std::path::Path, pairs: &[&str]) -> Config {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
    for pair in pairs {
        draft.set_pair(pair).unwrap();
    }
    draft.check().unwrap()
}

/// Messages of `seconds`: 25 pictures of 5 KB a second, a keyframe of 40 KB each second, and AAC.
fn messages(seconds: u32) -> Vec<rtmp::Message> {
    let sps = [0x67, 0x42, 0xc0, 0x1e];
    let pps = [0x68, 0xce, 0x3c, 0x80];
    let config =
        [&[0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4][..], &sps, &[1, 0, 4], &pps]
            .concat();
    let message = |kind: u8, ms: u32, body: Vec<u8>| rtmp::Message {
        csid: if kind == 8 { 4 } else { 6 },
        ms,
        kind,
        stream: 1,
        body,
    };
    let mut all = vec![message(9, 0, config), message(8, 0, vec![0xaf, 0, 0x11, 0x90])];
    let mut sound = 0;
    for at in (0..seconds * 1000).step_by(40) {
        let key = at % 1000 == 0;
        let bytes: u32 = if key { 40_000 } else { 5_000 };
        let mut body = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        body.extend(bytes.to_be_bytes());
        body.push(if key { 0x65 } else { 0x41 });
        body.resize(9 + bytes as usize, 0x5a);
        all.push(message(9, at, body));
        while sound * 1024 / 48 < at + 40 {
            let body = [&[0xaf, 1, 0x21][..], &[0x77; 180]].concat();
            all.push(message(8, sound * 1024 / 48, body));
            sound += 1;
        }
    }
    all
}

/// One connection's way to the segments, without the executor.
struct Path {
    socket: TcpStream,
    bytes: ByteRing,
    dechunker: Dechunker,
    scratch: FrameRing,
    media: FrameRing,
    pipeline: Pipeline,
    store: Store,
    stream: usize,
    status: Rc<Status>,
    now: Instant,
}

impl Path {
    /// One read and everything that follows from it. `false` at the end.
    fn turn(&mut self) -> bool {
        let n = self.socket.read(self.bytes.window()).unwrap();
        self.bytes.filled(n);
        loop {
            let media = [Some((1, &mut self.media)), None, None, None];
            let mut rings = Rings { scratch: &mut self.scratch, media };
            let progress = self.dechunker.advance(self.bytes.look(), &mut rings, &self.status);
            let progress = progress.unwrap();
            self.bytes.consume(progress.consumed);
            let Some(arrival) = progress.arrival else { break };
            assert_eq!(arrival.bin, Bin::Media(1));
            let video = arrival.kind == MessageType::Video;
            let label = Label { kind: if video { 9 } else { 8 }, at: arrival.at, keyframe: false };
            self.media.push(arrival.place, label);
            self.now = Instant(u64::from(arrival.at.0) * 1000);
            self.store.tick(self.now);
            self.pipeline.set_limit(self.store.cut_limit(self.stream));
            self.pipeline.message(
                Message { video, at: Millis(arrival.at.0), place: arrival.place },
                &self.media,
                &mut self.store.sink(self.stream, self.now),
                &self.status,
            );
        }
        n > 0
    }
}

#[test]
fn media_path_takes_no_memory_from_recv_to_published_segment() {
    media_path("off", &[]);
}

#[test]
fn media_path_takes_no_memory_where_streams_are_offered_side_by_side() {
    media_path("off", &["group.live/all.variants=live/cam,live/other", "limits.streams=2"]);
}

#[test]
fn media_path_takes_no_memory_where_segments_are_encrypted() {
    media_path("aes-128", &[]);
}

#[test]
fn media_path_takes_no_memory_where_samples_are_encrypted() {
    media_path("sample-aes", &[]);
}

fn media_path(encryption: &str, more: &[&str]) {
    count_apart();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let encryption = format!("hls.encryption={encryption}");
    let pairs = [
        encryption.as_str(),
        "hls.key_segments=3",
        "limits.streams=1",
        "limits.slot_bytes=1048576",
        "hls.segment_ms=1000",
        "hls.window_segments=4",
    ];
    let pairs: Vec<&str> = pairs.into_iter().chain(more.iter().copied()).collect();
    let config = config(folder.path(), &pairs);
    let status = Rc::new(Status::new());
    let mut store = Store::open(&config, 7, Rc::clone(&status)).unwrap();
    let stream = store.publish("live/cam", Instant(0)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // 40 s: every slot is used at least twice.
    let wire: Vec<u8> = messages(40).iter().flat_map(|m| rtmp::chunked(m, 128)).collect();
    let sender = std::thread::spawn(move || {
        count_apart();
        TcpStream::connect(address).unwrap().write_all(&wire).unwrap();
    });
    let mut pipeline = Pipeline::new(Ticks::from_millis(1_000));
    if encryption.ends_with("sample-aes") {
        pipeline.protect();
    }
    let mut path = Path {
        socket: listener.accept().unwrap().0,
        bytes: ByteRing::new(RX_BYTES),
        dechunker: Dechunker::new(),
        scratch: FrameRing::scratch(SCRATCH_BYTES),
        media: FrameRing::new(1 << 20, 256),
        pipeline,
        store,
        stream,
        status: Rc::clone(&status),
        now: Instant(0),
    };
    while status.get(Counter::Segments) < 12 && path.turn() {}
    let before = (own(), status.get(Counter::Segments));
    while path.turn() {}
    let after = (own(), status.get(Counter::Segments));
    sender.join().unwrap();
    assert_eq!(after.0 - before.0, 0, "allocations in {} segments", after.1 - before.1);
    assert!(after.1 - before.1 > 20, "{} segments", after.1);
    assert_eq!(status.get(Counter::MediaMalformed), 0);
    let cam = folder.path().join("live/cam");
    let text = std::fs::read_to_string(cam.join("index.m3u8")).unwrap();
    let last = text.lines().last().unwrap();
    assert!(std::fs::metadata(cam.join(last)).unwrap().len() > 100_000, "{last}");
    println!("memory path segments={} allocations=0", after.1 - before.1);
}

/// A stream with players, without the executor: what a message takes on its way from the ring to
/// the players' sockets.
struct Relay {
    streams: Streams,
    stream: usize,
    publisher: PublisherId,
    status: Rc<Status>,
    players: Vec<(Feed, Outbox, TcpStream)>,
}

impl Relay {
    /// One message comes, and every player is sent what there is.
    fn turn(&mut self, message: &rtmp::Message) {
        let place = {
            let mut stream = self.streams.get(self.stream).unwrap().borrow_mut();
            let place = stream.ring.reserve(message.body.len()).unwrap();
            stream.ring.window(place).copy_from_slice(&message.body);
            stream.ring.close(place);
            place
        };
        let kind = if message.kind == 9 { TagKind::Video } else { TagKind::Audio };
        let now = Instant(u64::from(message.ms) * 1000);
        assert!(self.streams.media(
            self.stream,
            self.publisher,
            kind,
            Millis(message.ms),
            place,
            now
        ));
        self.streams.settle(self.stream);
        for (feed, out, socket) in &mut self.players {
            let sent =
                feed.pump(&self.streams, out, &self.status, |slices| socket.write_vectored(slices));
            assert_eq!(sent.unwrap(), Sent::All);
        }
    }
}

#[test]
fn relayed_message_takes_no_memory_from_the_ring_to_the_players() {
    count_apart();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let pairs = ["limits.streams=1", "limits.slot_bytes=1048576", "hls.segment_ms=1000"];
    let config = config(folder.path(), &pairs);
    let status = Rc::new(Status::new());
    let store = Rc::new(RefCell::new(Store::open(&config, 7, Rc::clone(&status)).unwrap()));
    let streams = Streams::new(&config, store, Rc::clone(&status));
    let publisher = streams.new_publisher();
    let (stream, _) =
        streams.publish("live/cam", (publisher, Right::Own), Instant(0), Duration::ZERO).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut readers = Vec::new();
    let players = (1..=3).map(|id| {
        let socket = TcpStream::connect(address).unwrap();
        let mut other = listener.accept().unwrap().0;
        readers.push(std::thread::spawn(move || {
            count_apart();
            std::io::copy(&mut other, &mut std::io::sink()).unwrap()
        }));
        let mut feed = Feed::new(Towards::Player);
        assert!(feed.follow(id, stream, None, &streams));
        (feed, Outbox::new(), socket)
    });
    let players = players.collect();
    let mut relay = Relay { streams, stream, publisher, status: Rc::clone(&status), players };
    let all = messages(40);
    let (warm, rest) = all.split_at(all.len() / 4);
    for message in warm {
        relay.turn(message);
    }
    let before = own();
    for message in rest {
        relay.turn(message);
    }
    let taken = own() - before;
    assert_eq!(taken, 0, "allocations for {} messages to 3 players", rest.len());
    drop(relay);
    let payload: usize = all.iter().map(|message| message.body.len()).sum();
    for reader in readers {
        let read = reader.join().unwrap();
        assert!(read > payload as u64, "{read} bytes of {payload} and their headers");
    }
    assert_eq!(status.get(Counter::RtmpOverruns), 0);
    println!("memory relay messages={} players=3 allocations=0", rest.len());
}

#[test]
fn allocations_are_counted() {
    count_apart();
    let before = own();
    let bytes = std::hint::black_box(vec![1u8; 10]);
    assert_eq!(own() - before, 1);
    drop(bytes);
    assert_eq!(own() - before, 1);
}

/// The ciphers of both ends of one handshake.
fn ciphers() -> (Ciphers, Ciphers) {
    let (mut up, mut down) = (Outbox::new(), Outbox::new());
    let fill = &mut random::fill;
    let mut client = Client::start(Hello::Encrypted, Millis(0), fill, &mut up).unwrap();
    let mut server = Server::new(Encryption::Allowed);
    for _ in 0..2 {
        let used = server.advance(up.pending(), Millis(0), fill, &mut down).unwrap();
        up.sent(used);
        let used = client.advance(down.pending(), fill, &mut up).unwrap();
        down.sent(used);
    }
    (client.take_ciphers().unwrap(), server.take_ciphers().unwrap())
}

/// Allocations for 1900 messages over a link, each waited for.
fn taken_by_link(is_encrypted: bool) -> u64 {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = Link::new(&reactor, near).unwrap();
    let far = Link::new(&reactor, listener.accept().unwrap().0).unwrap();
    if is_encrypted {
        let (client, server) = ciphers();
        for (link, ciphers) in [(&near, client), (&far, server)] {
            link.encrypt(Seal::new(ciphers, vec![0; RTMPE_BLOCK_BYTES].into(), 0));
        }
    }
    let taken = reactor.run(async move {
        let (header, payload, mut room) = ([1; 12], vec![7; 3000], vec![0; 8000]);
        let (mut before, mut came) = (0, 0);
        for message in 0..2000 {
            if message == 100 {
                before = own();
            }
            let slices = [IoSlice::new(&header), IoSlice::new(&payload)];
            assert_eq!((&near).write_vectored(&slices).unwrap(), 3012);
            near.writable().await.unwrap();
            far.readable().await.unwrap();
            came += (&far).read(&mut room).unwrap();
        }
        assert_eq!(came, 2000 * 3012);
        own() - before
    });
    taken.unwrap()
}

#[test]
fn rtmpe_takes_no_memory_once_it_is_open() {
    count_apart();
    let (plain, encrypted) = (taken_by_link(false), taken_by_link(true));
    println!("memory link plain={plain} encrypted={encrypted}");
    // The executor takes a block of its queue for every 31 wake-ups.
    assert!(encrypted <= plain + 1, "{encrypted} allocations, {plain} without RTMPE");
}

/// Times that a thread gave the processor up: one for each wake-up.
fn wake_ups(thread: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// Allocations of the whole server for a hundred wake-ups of its thread. Measured: 12 in 372, for
/// 720 messages; those are not of the media path.
const PER_100_WAKE_UPS_MAX: u64 = 25;

#[test]
fn server_takes_next_to_nothing_for_a_wake_up() {
    count_apart();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (rtmp_address, http_address) = (free(), free());
    let listens = [format!("rtmp.listen={rtmp_address}"), format!("http.listen={http_address}")];
    let pairs = [
        listens[0].as_str(),
        &listens[1],
        "limits.streams=1",
        "limits.slot_bytes=1048576",
        "hls.segment_ms=1000",
        "hls.window_segments=4",
        "log.level=error",
    ];
    let config = config(folder.path(), &pairs);
    let (send, thread) = std::sync::mpsc::channel();
    // It serves until the test program ends.
    std::thread::spawn(move || {
        send.send(nix::unistd::gettid().to_string()).unwrap();
        rillcast::app::supervisor::serve(&config, false).unwrap();
    });
    let thread = thread.recv().unwrap();
    while TcpStream::connect(rtmp_address).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut publisher = rtmp::Raw::start(rtmp_address, "cam", 4096);
    let all = messages(20);
    let (warm, rest) = all.split_at(all.len() / 2);
    for message in warm {
        publisher.message(message);
    }
    std::thread::sleep(Duration::from_millis(300));
    let before = (OTHERS.load(Ordering::Relaxed), wake_ups(&thread));
    for message in rest {
        publisher.message(message);
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(300));
    let after = (OTHERS.load(Ordering::Relaxed), wake_ups(&thread));
    let (taken, woken) = (after.0 - before.0, after.1 - before.1);
    println!("memory server wake_ups={woken} allocations={taken} messages={}", rest.len());
    assert!(woken > 50, "{woken} wake-ups");
    let most = PER_100_WAKE_UPS_MAX * woken.max(100) / 100;
    assert!(taken <= most, "{taken} allocations in {woken} wake-ups");
    publisher.leave();
    let list = folder.path().join("live/cam/index.m3u8");
    assert!(std::fs::read_to_string(list).unwrap().contains("#EXTINF"));
}

/// Writes `count` segments of a packet each, two seconds apart.
fn close_segments(store: &mut Store, stream: usize, now: &mut Instant, count: u32) {
    for _ in 0..count {
        *now = now.after(Duration::from_secs(2));
        store.tick(*now);
        let mut sink = store.sink(stream, *now);
        sink.begin().unwrap();
        let name = "avc1.64001f".try_into().unwrap();
        let video = VideoEncoding { name, size: None, frame_millihertz: None };
        sink.note(Note::Encoding(&Encoding { video: Some(video), audio: None }));
        assert!(sink.reserve(188));
        sink.wrote(1);
        sink.note(Note::KeyPicture { dts: Ticks(0), at: 0, bytes: 188 });
        sink.note(Note::Holds { pictures: 50, audio: false });
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2_000),
            bytes: 188,
            discontinuity: false,
            independent: true,
            forced: false,
        });
    }
}

#[test]
fn playlist_update_takes_no_memory_whatever_its_kind() {
    count_apart();
    for kind in [
        &["hls.window_segments=10"][..],
        &["hls.kind=event", "hls.event_minutes=60", "hls.tmpfs_mib=64"],
        // The window is full after 150, and slots are used again after 300.
        &["hls.dvr_minutes=5", "hls.tmpfs_mib=64"],
        &["hls.window_segments=8", "hls.encryption=aes-128", "hls.key_segments=3"],
        &["hls.dvr_minutes=4", "hls.tmpfs_mib=64", "hls.encryption=aes-128", "hls.key_segments=3"],
    ] {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let pairs = [&["limits.streams=1", "limits.slot_bytes=1MiB"], kind].concat();
        let status = Rc::new(Status::new());
        let mut store = Store::open(&config(folder.path(), &pairs), 7, status).unwrap();
        let stream = store.publish("live/cam", Instant(0)).unwrap();
        let mut now = Instant(0);
        close_segments(&mut store, stream, &mut now, 20);
        let before = own();
        close_segments(&mut store, stream, &mut now, 600);
        assert_eq!(own() - before, 0, "{kind:?}");
        println!("memory update kind={} updates=600 allocations=0", kind[0]);
    }
}

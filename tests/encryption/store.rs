//! The store: which key at which position of the window, for how long, for whom.

use core::net::IpAddr;
use std::collections::BTreeMap;

use rillcast::media::sink::Sink as _;
use rillcast::service::store::KeyRefusal;

use crate::house::{EPOCH, Shelf};
use crate::player::{Entry, entries, number, openssl};

const HOME: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 168, 0, 7));
const AWAY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 7));
const INDEX: &str = "live/cam/index.m3u8";

fn shelf(pairs: &[&str]) -> Shelf {
    let base = ["limits.slot_bytes=262144", "limits.streams=2"];
    Shelf::new(&[&base[..], pairs].concat(), || None)
}

/// Packets that are like no other segment's.
fn clear(n: usize) -> Vec<u8> {
    let packets = 1 + n * 37 % 300;
    (0..packets * 188).map(|i| (i * 31 + n * 7 + i / 188) as u8).collect()
}

fn fetch(shelf: &Shelf, entry: &Entry) -> Vec<u8> {
    let path = format!("live/cam/{}", entry.uri);
    let store = shelf.store.borrow();
    let view = store.segment(&path).unwrap();
    let bytes = std::fs::read(store.root().join(&path)).unwrap();
    assert_eq!(bytes.len() as u64, view.bytes, "{path}: file and answer are of one size");
    bytes
}

fn key(shelf: &Shelf, entry: &Entry) -> [u8; 16] {
    let (method, uri) = entry.key.clone().expect("an encrypted segment");
    assert_eq!(method, "AES-128");
    *shelf.store.borrow().key(&format!("live/cam/{uri}"), HOME).unwrap().bytes()
}

#[test]
fn late_joiner_finds_the_key_of_every_segment_at_every_window_position() {
    for every in [1, 3, 100] {
        let rotate = format!("hls.key_segments={every}");
        let shelf = shelf(&["hls.encryption=aes-128", "hls.window_segments=5", &rotate]);
        let stream = shelf.stream("live/cam");
        let mut known: BTreeMap<u64, [u8; 16]> = BTreeMap::new();
        for n in 0..17 {
            shelf.put(stream, &clear(n));
            let text = shelf.playlist(INDEX);
            let listed = entries(&text);
            assert_eq!(listed.last().unwrap().sequence, n as u64);
            let first_key = text.find("#EXT-X-KEY:").expect("R52: a key above the first segment");
            assert!(first_key < text.find("#EXTINF").unwrap(), "R52\n{text}");
            for entry in &listed {
                let key = key(&shelf, entry);
                let begun = entry.sequence / every * every;
                assert_eq!(number(&entry.key.as_ref().unwrap().1), begun, "{text}");
                assert_eq!(*known.entry(begun).or_insert(key), key, "a key never changes");
                if entry.sequence % 4 == n as u64 % 4 {
                    let plain = openssl(&key, entry.sequence, &fetch(&shelf, entry));
                    assert_eq!(plain, clear(entry.sequence as usize), "R50, R51");
                }
            }
            let mut keys: Vec<_> = listed.iter().map(|entry| entry.key.clone()).collect();
            keys.dedup();
            assert_eq!(text.matches("#EXT-X-KEY:").count(), keys.len(), "once each\n{text}");
            assert!(text.contains("#EXT-X-VERSION:3\n"), "R8");
        }
        let mut keys: Vec<_> = known.values().collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), known.len(), "no two are the same");
        assert_eq!(known.len(), 17_usize.div_ceil(every as usize));
    }
}

#[test]
fn keys_stay_as_long_as_the_segments_that_need_them() {
    let pairs = ["hls.encryption=aes-128", "hls.window_segments=3", "hls.key_segments=1"];
    let shelf = shelf(&pairs);
    let stream = shelf.stream("live/cam");
    let mut all: Vec<Entry> = Vec::new();
    let mut retired = 0;
    for n in 0..30 {
        shelf.put(stream, &clear(n));
        let listed = entries(&shelf.playlist(INDEX));
        all.push(listed.last().unwrap().clone());
        for entry in &all {
            let path = format!("live/cam/{}", entry.uri);
            let there = shelf.store.borrow().segment(&path).is_some();
            let uri = format!("live/cam/{}", entry.key.as_ref().unwrap().1);
            let key = shelf.store.borrow().key(&uri, HOME);
            assert_eq!(key.is_ok(), there, "R41, R52: {uri}");
            retired += usize::from(there && !listed.contains(entry));
        }
    }
    assert!(retired > 50, "segments that left are still kept, and so are their keys");
}

#[test]
fn keys_are_not_files_and_have_one_name() {
    let shelf = shelf(&["hls.encryption=aes-128"]);
    let stream = shelf.stream("live/cam");
    shelf.put(stream, &clear(1));
    let entry = entries(&shelf.playlist(INDEX)).remove(0);
    let secret = key(&shelf, &entry);
    let mut folders = vec![shelf.store.borrow().root().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            if file.file_type().unwrap().is_dir() {
                folders.push(file.path());
                continue;
            }
            files += 1;
            assert!(file.path().extension().is_none_or(|end| end != "key"));
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(16).any(|window| window == secret), "{:?}", file.path());
        }
    }
    assert!(files >= 3, "slots, a segment and a playlist were looked at");
    let store = shelf.store.borrow();
    for other in [
        "live/cam/5F3A0C11-0.key",
        "live/cam/5f3a0c11-00.key",
        "live/cam/0-0.key",
        "live/cam/5f3a0c11-0",
        "live/other/5f3a0c11-0.key",
        "5f3a0c11-0.key",
    ] {
        assert_eq!(store.key(other, HOME), Err(KeyRefusal::Unknown), "{other}");
    }
}

#[test]
fn keys_differ_between_streams_and_between_runs() {
    let both = [1, 2].map(|_| {
        let shelf = shelf(&["hls.encryption=aes-128"]);
        let of = |path: &str| {
            let stream = shelf.stream(path);
            shelf.put(stream, &clear(1));
            let name = format!("{path}/{EPOCH:08x}-0.key");
            *shelf.store.borrow().key(&name, HOME).unwrap().bytes()
        };
        [of("live/cam"), of("live/hall")]
    });
    let mut keys = both.concat();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[test]
fn keys_go_only_where_the_setting_says() {
    let shelf = shelf(&["hls.encryption=aes-128", "hls.keys_from=203.0.113.0/24"]);
    let stream = shelf.stream("live/cam");
    shelf.put(stream, &clear(1));
    let name = format!("live/cam/{EPOCH:08x}-0.key");
    let store = shelf.store.borrow();
    assert!(store.key(&name, AWAY).is_ok());
    assert_eq!(store.key(&name, HOME), Err(KeyRefusal::Address));
    let nothing = store.key("live/cam/1-1.key", HOME);
    assert_eq!(nothing, Err(KeyRefusal::Address), "it does not say what there is");
}

#[test]
fn segment_that_fills_its_slot_keeps_room_for_the_padding() {
    for (encryption, spare) in [("off", 0), ("aes-128", 16)] {
        let shelf = shelf(&[&format!("hls.encryption={encryption}")]);
        let stream = shelf.stream("live/cam");
        let most = (262_144 - spare) / 188 * 188;
        let mut store = shelf.store.borrow_mut();
        let mut sink = store.sink(stream, rillcast::time::Instant(0));
        assert_eq!(sink.capacity(), 262_144 - spare);
        sink.begin().unwrap();
        assert!(sink.reserve(most));
        assert!(!sink.reserve(most + 188));
        sink.discard();
        drop(store);
        let plain: Vec<u8> = (0..most).map(|i| (i % 251) as u8).collect();
        shelf.put(stream, &plain);
        let entry = entries(&shelf.playlist(INDEX)).remove(0);
        let bytes = fetch(&shelf, &entry);
        if spare == 0 {
            assert_eq!((bytes, entry.key), (plain, None));
        } else {
            assert_eq!(openssl(&key(&shelf, &entry), 0, &bytes), plain);
        }
    }
}

//! Requests and files that were good until somebody changed them.
//!
//! What is right at its beginning gets further into the program than noise does. Seeds are fixed,
//! so that a failure is one for everybody. Connections of publishers have the same in
//! `src/service/ingest/tests.rs`, where their machine can be reached without a socket.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: a panic is how they speak"
)]

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use rillcast::config::settings::{Config, Draft};
use rillcast::limits::HTTP_REQUEST_BYTES;
use rillcast::media::testcard::{TestCard, TestCardConfig};
use rillcast::proto::http::{Machine, PathBuffer, Progress};
use rillcast::service::files::segment_file;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What is done to good bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        3 => (any::<Index>(), proptest::sample::select(b" \r\n:;,=-%/?\0\x09\xff".to_vec()))
            .prop_map(|(at, value)| Change::Set(at, value)),
        1 => (any::<Index>(), 1..40usize).prop_map(|(at, n)| Change::Remove(at, n)),
        1 => (any::<Index>(), 1..40usize).prop_map(|(at, n)| Change::Repeat(at, n)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    proptest::collection::vec(change, 1..4)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], within: usize) -> Vec<u8> {
    for change in changes {
        let size = bytes.len().min(within);
        if size == 0 {
            break;
        }
        match change {
            Change::Set(at, value) => bytes[at.index(size)] = *value,
            Change::Remove(at, n) => {
                let from = at.index(size);
                bytes.drain(from..(from + n).min(bytes.len()));
            }
            Change::Repeat(at, n) => {
                let from = at.index(size);
                let again = bytes[from..(from + n).min(bytes.len())].to_vec();
                bytes.splice(from..from, again);
            }
            Change::Cut(at) => bytes.truncate(at.index(size)),
        }
    }
    bytes
}

const REQUESTS: [&str; 6] = [
    "GET /hls/live/cam/index.m3u8 HTTP/1.1\r\nHost: box:8080\r\n\
     If-None-Match: \"1-2\", W/\"x\"\r\n\r\n",
    "GET /hls/live/cam/00000007-12.ts HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-187\r\n\
     If-Range: \"7-12\"\r\nConnection: keep-alive\r\n\r\n",
    "HEAD http://box/%61/../b?x=y HTTP/1.0\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
     Accept-Encoding: gzip;q=0.5,\r\n identity\r\n\r\n",
    "POST /status.json HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\
     Expect: 100-continue\r\n\r\nhello",
    "GET /\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

/// Two seconds of the test card as a file.
fn card() -> &'static [u8] {
    static CARD: OnceLock<Vec<u8>> = OnceLock::new();
    CARD.get_or_init(|| {
        let config =
            TestCardConfig { width: 160, height: 128, frames_per_second: 10, clock_start_ms: 0 };
        let mut card = TestCard::new(&config).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let n = card.flv_start(&mut buffer).unwrap();
        let mut file = buffer[..n].to_vec();
        while card.due_ms() < 2000 {
            let message = card.flv_next(&mut buffer).unwrap();
            file.extend(&buffer[..message.bytes]);
        }
        file
    })
}

fn config(folder: &Path) -> Config {
    let mut draft = Draft::new();
    draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
    draft.set_pair("limits.ring_bytes=262144").unwrap();
    draft.set_pair("hls.segment_ms=1000").unwrap();
    draft.check().unwrap()
}

/// Every segment is whole packets, whatever the file was.
fn check_segments(folder: &Path) -> usize {
    let mut segments = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ts") {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.is_empty(), "{}", path.display());
            assert_eq!(bytes.len() % 188, 0, "{}", path.display());
            assert!(bytes.chunks(188).all(|packet| packet[0] == 0x47), "{}", path.display());
            segments += 1;
        }
    }
    segments
}

#[test]
fn card_file_gives_segments_when_nothing_is_changed() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let input = folder.path().join("in.flv");
    fs::write(&input, card()).unwrap();
    let out = folder.path().join("out");
    let report = segment_file(&input, &out, &config(folder.path()), 7, |_, _| {}).unwrap();
    assert_eq!(report.segments, 2);
    assert_eq!(check_segments(&out), 2);
}

fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded(4000))]

    /// Requests behind each other, in pieces, as a connection offers them.
    #[test]
    fn changed_requests_are_answered_or_refused(
        which in proptest::collection::vec(0..REQUESTS.len(), 1..4),
        changes in changes(),
        piece in prop_oneof![Just(1usize), 1..100usize, Just(8192)],
    ) {
        let good: Vec<u8> = which.iter().flat_map(|n| REQUESTS[*n].bytes()).collect();
        let bytes = changed(good, &changes, usize::MAX);
        let mut machine = Machine::new();
        let mut path = PathBuffer::new();
        let mut held = Vec::new();
        'pieces: for piece in bytes.chunks(piece) {
            held.extend(piece);
            prop_assert!(held.len() < HTTP_REQUEST_BYTES);
            loop {
                let length = held.len();
                let used = match machine.advance(&mut held, &mut path) {
                    Progress::More => break,
                    Progress::Refused { .. } => break 'pieces,
                    Progress::Request { request, used } => {
                        prop_assert!(request.path == "*" || request.path.starts_with('/'));
                        prop_assert!(!request.path.split('/').any(|segment| segment == ".."));
                        prop_assert!(!request.path.contains('\0'));
                        prop_assert!(used > 0 && used <= length);
                        used
                    }
                };
                held.drain(..used);
                if held.is_empty() {
                    break;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn changed_files_give_whole_segments_or_a_fault(
        changes in changes(),
        within in prop_oneof![Just(usize::MAX), Just(600usize)],
    ) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let input = folder.path().join("in.flv");
        fs::write(&input, changed(card().to_vec(), &changes, within)).unwrap();
        let out = folder.path().join("out");
        let outcome = segment_file(&input, &out, &config(folder.path()), 7, |_, _| {});
        let segments = check_segments(&out);
        if let Ok(report) = outcome {
            prop_assert_eq!(report.segments, u64::try_from(segments).unwrap());
            prop_assert!(report.segments > 0);
        }
    }
}

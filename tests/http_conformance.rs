//! The responder over real sockets: the conformance table of HTTP/1.0, attacks, deadlines, slots.
//!
//! The store is the real one, with segments of known bytes (`support/house.rs`).
//! Server and clients share one executor, so that a test can look into the store between two
//! reads. A client from 127.0.0.2 counts as another machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says so when it fails"
)]

use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use rillcast::limits::{
    HTTP_BODY_BYTES, HTTP_DISCARD_BYTES, HTTP_FIRST_BYTE_TIME_MAX, HTTP_HEAD_TIME_MAX, HTTP_HOLDS,
    HTTP_IDLE_TIME_MAX, HTTP_LINGER_BYTES, HTTP_LINGER_TIME_MAX, HTTP_PER_ADDRESS,
    HTTP_QUERY_BYTES_KEPT, HTTP_REQUESTS_PER_CONNECTION, HTTP_SPILLS, HTTP_STALL_TIME_MAX,
};
use rillcast::service::clock;
use rillcast::service::http::{Deadlines, HttpContext, HttpSettings};
use rillcast::status::Counter;
use rillcast::sys::net::Listener;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

#[path = "support/house.rs"]
mod house;

use house::{Shelf, padded};

const T: u64 = 784_111_777;
const FILE: &str = "/hls/live/cam/5f3a0c11-0.ts";
const LIST: &str = "/hls/live/cam/index.m3u8";
const HERE: [u8; 4] = [127, 0, 0, 1];
const THERE: [u8; 4] = [127, 0, 0, 2];

/// Bytes of the segment that no socket takes at once, and of those of which a few fill one.
const BIG: usize = 66_932 * 188;
const PIECE: usize = 1596 * 188;

/// Nine slots that take the big segment, and 23 for everything else, where a segment may be kept
/// for a minute: twice the window's number of target durations.
const BIG_SLOTS: &[&str] =
    &["limits.streams=1", "limits.slot_bytes=13MiB", "hls.window_segments=3"];
const MANY_STREAMS: &[&str] =
    &["limits.streams=32", "limits.slot_bytes=256KiB", "hls.window_segments=3"];
const SLOTS: &[&str] = &[
    "limits.streams=1",
    "limits.slot_bytes=512KiB",
    "hls.window_segments=10",
    "hls.target_duration_s=3",
];

struct House {
    ctx: Rc<HttpContext>,
    shelf: Shelf,
    stream: usize,
    address: SocketAddr,
}

const QUICK: Deadlines = Deadlines {
    first_byte: Duration::from_millis(300),
    head: Duration::from_millis(500),
    idle: Duration::from_millis(400),
    stall: Duration::from_millis(500),
    slow_window: Duration::from_secs(30),
    linger: Duration::from_millis(200),
};

fn settings() -> HttpSettings {
    HttpSettings {
        wall: || Some(T + 1000),
        is_loopback: |address| address == IpAddr::from(HERE),
        ..HttpSettings::standard(64, 1935)
    }
}

fn quick() -> HttpSettings {
    HttpSettings { deadlines: QUICK, ..settings() }
}

/// What the first segment of every house holds.
fn hello() -> String {
    padded("hello")
}

fn piece(n: u8) -> Vec<u8> {
    vec![b'0' + n; PIECE]
}

/// Counts bytes up, so that each byte of a range is known by its value.
fn counted() -> Vec<u8> {
    (0..6 * 188u32).map(|i| i.to_le_bytes()[0]).collect()
}

fn big_bytes() -> Vec<u8> {
    (0..BIG).map(|i| (i % 251).to_le_bytes()[0]).collect()
}

/// Runs `test` against a server of its own, with a small segment, one of 1128 bytes and pieces.
fn with_server<F: Future<Output = ()>>(settings: HttpSettings, test: impl FnOnce(Rc<House>) -> F) {
    let shelf = Shelf::new(SLOTS, || Some(T));
    let stream = shelf.stream("live/cam");
    shelf.put(stream, hello().as_bytes());
    shelf.put(stream, &counted());
    for n in 0..6 {
        shelf.put(stream, &piece(n));
    }
    serve_shelf(shelf, stream, settings, test);
}

/// Runs `test` against a server whose only segment is a big one.
fn with_big<F: Future<Output = ()>>(settings: HttpSettings, test: impl FnOnce(Rc<House>) -> F) {
    let shelf = Shelf::new(BIG_SLOTS, || Some(T));
    let stream = shelf.stream("live/cam");
    shelf.put(stream, &big_bytes());
    serve_shelf(shelf, stream, settings, test);
}

fn serve_shelf<F: Future<Output = ()>>(
    shelf: Shelf,
    stream: usize,
    settings: HttpSettings,
    test: impl FnOnce(Rc<House>) -> F,
) {
    if let Some(facts) = shelf.store.borrow_mut().facts_mut(stream) {
        facts.width = 640;
        facts.height = 360;
        facts.problem.push_str("audio <G.711> cannot be carried").unwrap();
    }
    let (store, status) = (Rc::clone(&shelf.store), Rc::clone(&shelf.status));
    let ctx = HttpContext::new(store, status, settings).unwrap();
    let ctx = Rc::new(ctx);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 64, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let executor = LocalExecutor::new();
    let (serving, news) = (Rc::clone(&ctx), ctx.listen(listener).unwrap());
    let server = executor.spawn(async move {
        let news = Async::new_nonblocking(news).unwrap();
        loop {
            news.readable().await.unwrap();
            serving.turn();
        }
    });
    let ticking = Rc::clone(&ctx);
    let ticker = executor.spawn(async move {
        loop {
            Timer::after(Duration::from_millis(20)).await;
            ticking.tick(clock::now());
        }
    });
    let house = Rc::new(House { ctx, shelf, stream, address });
    let limited = smol::future::or(async { test(house).await }, async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("the test hangs");
    });
    smol::block_on(executor.run(limited));
    drop((server, ticker));
}

type Client = Async<TcpStream>;

impl House {
    /// A client on this machine.
    fn client(&self) -> Client {
        self.client_from(HERE)
    }

    fn client_from(&self, from: [u8; 4]) -> Client {
        self.client_with(from, 1 << 20)
    }

    /// A client whose kernel takes about `window` bytes ahead of it.
    fn client_with(&self, from: [u8; 4], window: usize) -> Client {
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        setsockopt(&socket, sockopt::RcvBuf, &window).unwrap();
        let own = SockaddrStorage::from(SocketAddr::from((from, 0)));
        bind(socket.as_raw_fd(), &own).unwrap();
        connect(socket.as_raw_fd(), &SockaddrStorage::from(self.address)).unwrap();
        Async::new(TcpStream::from(socket)).unwrap()
    }

    /// Sends `bytes` and reads to the end.
    async fn talk(&self, bytes: &[u8]) -> String {
        let mut client = self.client();
        client.write_all(bytes).await.unwrap();
        rest(&mut client).await
    }

    /// The first answer to `request`, whatever happens to the connection.
    async fn ask(&self, request: &str) -> String {
        let mut client = self.client();
        client.write_all(request.as_bytes()).await.unwrap();
        let bodiless = request.starts_with("HEAD");
        one(&mut client, bodiless).await
    }

    fn count(&self, counter: Counter) -> u64 {
        self.shelf.status.get(counter)
    }

    fn holds(&self) -> u32 {
        self.shelf.holds()
    }

    /// The slot of the segment at `path`.
    fn slot(&self, path: &str) -> usize {
        let name = path.strip_prefix("/hls/").unwrap();
        self.shelf.store.borrow().segment(name).unwrap().slot
    }

    /// The path of the segment that came last.
    fn newest(&self) -> String {
        let playlist = self.playlist();
        format!("/hls/live/cam/{}", playlist.lines().next_back().unwrap())
    }

    fn playlist(&self) -> String {
        self.shelf.playlist("live/cam/index.m3u8")
    }

    /// Waits until `fact` is true.
    async fn until(&self, what: &str, fact: impl Fn(&Self) -> bool) {
        for _ in 0..300 {
            if fact(self) {
                return;
            }
            Timer::after(Duration::from_millis(10)).await;
        }
        panic!("never came true: {what}");
    }
}

async fn rest(client: &mut Client) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads one answer: its head, and as much body as the head says.
async fn one(client: &mut Client, bodiless: bool) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut b = [0];
        let n = client.read(&mut b).await.unwrap();
        assert_eq!(n, 1, "ended within {:?}", String::from_utf8_lossy(&bytes));
        bytes.push(b[0]);
    }
    let head = String::from_utf8(bytes.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |n| n.parse().unwrap());
    if !bodiless && !head.contains(" 304 ") {
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.unwrap();
        bytes.extend(body);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status_of(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn simple_requests_get_a_body_and_nothing_else() {
    with_server(settings(), |house| async move {
        assert_eq!(house.talk(format!("GET {FILE}\r\n").as_bytes()).await, hello());
        assert_eq!(house.talk(format!("GET {LIST}\r\n").as_bytes()).await, house.playlist());
        let none = house.talk(b"GET /none\r\n").await;
        assert!(none.starts_with("404 Not Found: "), "{none}");
        let head = house.talk(format!("HEAD {FILE}\r\n").as_bytes()).await;
        assert_eq!(status_of(&head), "400");
    });
}

#[test]
fn table_of_statuses_holds() {
    let rows: &[(u8, String, &str)] = &[
        (4, format!("GET {FILE} HTTP/1.0\r\n\r\n"), "200"),
        (5, format!("GET {FILE} HTTP/1.0\n\n"), "200"),
        (6, format!("\r\nGET {FILE} HTTP/1.0\r\n\r\n"), "200"),
        (12, format!("GET {FILE} HTTP/1.1\r\n\r\n"), "400"),
        (13, format!("GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n"), "200"),
        (14, format!("GET {FILE} HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), "400"),
        (15, format!("GET http://x{FILE} HTTP/1.1\r\nHost: y\r\n\r\n"), "200"),
        (16, "POST /api HTTP/1.0\r\n\r\n".into(), "400"),
        (17, "POST /api HTTP/1.1\r\nHost: x\r\n\r\n".into(), "411"),
        (
            18,
            "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
                .into(),
            "400",
        ),
        (19, "POST /api HTTP/1.0\r\nContent-Length: -1\r\n\r\n".into(), "400"),
        (19, "POST /api HTTP/1.0\r\nContent-Length: 5x\r\n\r\n".into(), "400"),
        (19, "POST /api HTTP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n".into(), "400"),
        (
            20,
            "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n"
                .into(),
            "405",
        ),
        (21, format!("BREW {FILE} HTTP/1.0\r\n\r\n"), "501"),
        (22, format!("DELETE {FILE} HTTP/1.1\r\nHost: x\r\n\r\n"), "405"),
        (23, "GET /../x HTTP/1.0\r\n\r\n".into(), "400"),
        (24, "GET /%zz HTTP/1.0\r\n\r\n".into(), "400"),
        (25, format!("GET {FILE} HTTP/3.0\r\n\r\n"), "505"),
        (26, format!("GET  {FILE} HTTP/1.0\r\n\r\n"), "400"),
        (27, format!("GET {FILE} HTTP/1.0\r\nX : y\r\n\r\n"), "400"),
        (28, format!("GET {FILE} HTTP/1.0\r\nA: b\r\n c\r\n\r\n"), "200"),
        (29, format!("GET {FILE} HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"), "400"),
        (31, format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(5000)), "414"),
        (32, format!("GET {FILE} HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100)), "431"),
        (39, "GET * HTTP/1.1\r\nHost: x\r\n\r\n".into(), "400"),
    ];
    with_server(settings(), |house| async move {
        for (row, request, status) in rows {
            let answer = house.ask(request).await;
            assert_eq!(status_of(&answer), *status, "row {row}: {answer}");
        }
        let of_row = |n| &rows.iter().find(|(row, ..)| *row == n).unwrap().1;
        let refused = house.ask(of_row(24)).await;
        assert!(refused.contains("Connection: close\r\n"));
        let delete = house.ask(of_row(22)).await;
        assert!(delete.contains("Allow: GET, HEAD, OPTIONS\r\n"), "{delete}");
    });
}

#[test]
fn paths_that_attack_are_refused_or_unknown() {
    with_server(settings(), |house| async move {
        for (path, status) in [
            ("/../etc/passwd", "400"),
            ("/a/../../b", "400"),
            ("/%2e%2e/x", "400"),
            ("/..%2fx", "400"),
            ("/%252e%252e/x", "404"),
            ("//x", "404"),
            ("/a/./b", "404"),
            ("/a%00.ts", "400"),
            ("/c:/x", "404"),
            ("\\..\\x", "400"),
            ("/hls/live/cam/../cam/./5f3a0c11-0.ts", "200"),
            ("//hls//live/cam/5f3a0c11-0.ts?x=/../..", "200"),
            ("/hls/live/cam/5f3a0c11-0.ts/", "404"),
            ("/hls/live/cam/5F3A0C11-0.ts", "404"),
            ("/hls/live/cam/5f3a0c11-00.ts", "404"),
            ("/hls/live/cam/5f3a0c11-+0.ts", "404"),
            ("/hls/live/cam/5f3a0c12-0.ts", "404"),
            ("/hls/live/cam/5f3a0c11-8.ts", "404"),
            ("/hls/.slots/0", "404"),
            ("/hls/", "404"),
            ("/hls", "404"),
        ] {
            let answer = house.ask(&format!("GET {path} HTTP/1.0\r\n\r\n")).await;
            assert_eq!(status_of(&answer), status, "{path}: {answer}");
        }
    });
}

#[test]
fn segment_answers_carry_their_headers_and_conditions() {
    with_server(settings(), |house| async move {
        let get = |fields: &str| format!("GET {FILE} HTTP/1.0\r\n{fields}\r\n");
        let whole = house.ask(&get("")).await;
        for line in [
            "HTTP/1.0 200 OK\r\n",
            "Date: Sun, 06 Nov 1994 09:06:17 GMT\r\n",
            "Content-Type: video/mp2t\r\n",
            "Content-Length: 188\r\n",
            "ETag: \"5f3a0c1100000000\"\r\n",
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "Cache-Control: public, max-age=",
            ", immutable\r\nExpires: Sun, 06 Nov 1994 09:0",
            "Accept-Ranges: bytes\r\n",
            "Access-Control-Allow-Origin: *\r\n",
        ] {
            assert!(whole.contains(line), "{line} is not in {whole}");
        }
        assert_eq!(body_of(&whole), hello());
        let head = house.talk(get("").replace("GET", "HEAD").as_bytes()).await;
        assert_eq!(head, whole.strip_suffix(hello().as_str()).unwrap());
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let field = format!("If-Modified-Since: {date}\r\n");
            let answer = house.talk(get(&field).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.0 304 "), "{answer}");
            assert!(answer.contains("Date: ") && answer.contains("Expires: "));
            assert!(answer.ends_with("\r\n\r\n"));
        }
        for field in [
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
            "If-Modified-Since: Wed, 01 Jan 2200 00:00:00 GMT\r\n",
            "If-Modified-Since: garbage\r\n",
            "If-None-Match: \"x\"\r\n",
            "Accept-Encoding: gzip;q=0\r\n",
        ] {
            assert_eq!(status_of(&house.ask(&get(field)).await), "200", "{field}");
        }
        let known = get("If-None-Match: \"x\", W/\"5f3a0c1100000000\"\r\n");
        assert_eq!(status_of(&house.ask(&known).await), "304");
    });
}

#[test]
fn range_table_holds() {
    with_server(settings(), |house| async move {
        for (range, status, content_range) in [
            ("bytes=0-1", "206", "0-1/1128"),
            ("bytes=990-", "206", "990-1127/1128"),
            ("bytes=-10", "206", "1118-1127/1128"),
            ("bytes=-5000", "206", "0-1127/1128"),
            ("bytes=0-5000", "206", "0-1127/1128"),
            ("bytes=1128-", "416", "*/1128"),
            ("bytes=-0", "416", "*/1128"),
            ("bytes=5-2", "200", ""),
            ("items=0-1", "200", ""),
            ("bytes=0-1,5-6", "200", ""),
        ] {
            let request =
                format!("GET /hls/live/cam/5f3a0c11-1.ts HTTP/1.0\r\nRange: {range}\r\n\r\n");
            let answer = house.ask(&request).await;
            assert_eq!(status_of(&answer), status, "{range}");
            let said = answer.contains(&format!("Content-Range: bytes {content_range}\r\n"));
            assert_eq!(said, !content_range.is_empty(), "{range}: {answer}");
        }
        let mut client = house.client();
        let request = b"GET /hls/live/cam/5f3a0c11-1.ts HTTP/1.0\r\nRange: bytes=250-252\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes.ends_with(b"\r\n\r\n\xfa\xfb\xfc"));
        let other = "GET /hls/live/cam/5f3a0c11-1.ts HTTP/1.0\r\n\
                     Range: bytes=0-1\r\nIf-Range: \"x\"\r\n\r\n";
        assert_eq!(status_of(&house.ask(other).await), "200");
        let head = "HEAD /hls/live/cam/5f3a0c11-1.ts HTTP/1.0\r\nRange: bytes=0-1\r\n\r\n";
        assert_eq!(status_of(&house.ask(head).await), "200");
    });
}

#[test]
fn playlist_is_tagged_and_never_kept() {
    with_server(settings(), |house| async move {
        let answer = house.ask(&format!("GET {LIST} HTTP/1.0\r\n\r\n")).await;
        for line in [
            "Content-Type: application/vnd.apple.mpegurl\r\n",
            "Cache-Control: no-cache\r\n",
            "Pragma: no-cache\r\n",
            "Expires: 0\r\n",
            "ETag: \"5f3a0c1100000008\"\r\n",
        ] {
            assert!(answer.contains(line), "{line} is not in {answer}");
        }
        assert_eq!(body_of(&answer), house.playlist());
        let known = format!(
            "GET {LIST} HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"5f3a0c1100000008\"\r\n\r\n"
        );
        assert_eq!(status_of(&house.ask(&known).await), "304");
        for n in 0..8 {
            assert!(house.playlist().contains(&format!("\n5f3a0c11-{n}.ts\n")), "{n}");
        }
        let short = house.ask("GET /hls/live/cam/ HTTP/1.0\r\n\r\n").await;
        assert_eq!(body_of(&short), house.playlist());
        let moved = house.ask("GET /hls/live/cam HTTP/1.0\r\nHost: box:81\r\n\r\n").await;
        assert_eq!(status_of(&moved), "301");
        assert!(moved.contains("Location: http://box:81/hls/live/cam/\r\n"), "{moved}");
        let own = house.ask("GET /hls/live/cam HTTP/1.0\r\n\r\n").await;
        assert!(own.contains(&format!("Location: http://{}/hls/live/cam/\r\n", house.address)));
        // What lets a viewer in comes along.
        let kept = "k".repeat(HTTP_QUERY_BYTES_KEPT);
        let get = format!("GET /hls/live/cam?{kept} HTTP/1.0\r\nHost: box:81\r\n\r\n");
        let line = format!("Location: http://box:81/hls/live/cam/?{kept}\r\n");
        assert!(house.ask(&get).await.contains(&line));
        let longer = house.ask(&get.replace("kk ", "kkk ")).await;
        assert_eq!(status_of(&longer), "404");
        let other = house.ask("GET /hls/live/other/index.m3u8 HTTP/1.0\r\n\r\n").await;
        assert_eq!(status_of(&other), "404");
    });
}

#[test]
fn page_and_its_parts_are_served_with_their_policy() {
    with_server(settings(), |house| async move {
        let page = house.ask("GET / HTTP/1.1\r\nHost: box:81\r\n\r\n").await;
        assert_eq!(status_of(&page), "200");
        assert!(page.contains("Content-Security-Policy: default-src 'self'\r\n"));
        assert!(page.contains("X-Content-Type-Options: nosniff\r\n"));
        assert!(page.contains("http://box:81/hls/live/cam/index.m3u8"));
        assert!(page.contains("audio &lt;G.711&gt; cannot be carried"));
        let tag = page.lines().find_map(|l| l.strip_prefix("ETag: ")).unwrap();
        let again = format!("GET / HTTP/1.1\r\nHost: box:81\r\nIf-None-Match: {tag}\r\n\r\n");
        assert_eq!(status_of(&house.ask(&again).await), "304");
        for path in ["/style.css", "/page.js", "/icon.svg", "/index.html"] {
            let answer = house.ask(&format!("GET {path} HTTP/1.0\r\n\r\n")).await;
            assert_eq!(status_of(&answer), "200", "{path}");
        }
        let status = house.ask("GET /status.json HTTP/1.0\r\n\r\n").await;
        assert!(status.contains("Cache-Control: no-store\r\n"));
        for counter in Counter::ALL {
            let name = format!("\"{}\":", counter.name());
            assert_eq!(body_of(&status).matches(&name).count(), 1, "{name}");
        }
        let evil = house.ask("GET / HTTP/1.0\r\nHost: \"><script>\r\n\r\n").await;
        assert!(!evil.contains("\"><script>"));
    });
}

#[test]
fn preflight_names_methods_and_origins() {
    with_server(settings(), |house| async move {
        let request = format!("OPTIONS {FILE} HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\n\r\n");
        let answer = house.ask(&request).await;
        assert_eq!(status_of(&answer), "204");
        assert!(answer.contains("Access-Control-Allow-Origin: *\r\n"));
        assert!(answer.contains("Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"));
        assert!(!answer.contains("\r\nContent-Length: "));
    });
}

#[test]
fn connection_persists_when_both_sides_say_so() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let request = format!("GET {FILE} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        for _ in 0..2 {
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = one(&mut client, false).await;
            assert!(answer.contains("Connection: Keep-Alive\r\n"));
            assert_eq!(body_of(&answer), hello());
        }
        let mut client = house.client();
        for path in [FILE, LIST, "/", FILE] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = one(&mut client, false).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(!answer.contains("Connection:"));
        }
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut client).await.contains("Connection: close\r\n"));
        assert_eq!(house.count(Counter::HttpRequests), 7);
        assert_eq!(house.count(Counter::HttpAccepted), 2);
    });
}

#[test]
fn connection_ends_at_its_last_request() {
    let settings = HttpSettings { requests_max: 2, ..settings() };
    with_server(settings, |house| async move {
        let mut client = house.client();
        let request = format!("GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.write_all(request.repeat(3).as_bytes()).await.unwrap();
        let answers = rest(&mut client).await;
        assert_eq!(answers.matches("hello").count(), 2);
        assert_eq!(answers.matches("Connection: close").count(), 1);
    });
}

#[test]
fn connection_takes_so_many_requests_in_its_life() {
    with_server(settings(), |house| async move {
        let client = house.client();
        let request = b"HEAD /icon.svg HTTP/1.1\r\nHost: x\r\n\r\n";
        let most = usize::try_from(HTTP_REQUESTS_PER_CONNECTION).unwrap();
        let all = request.repeat(most + 1);
        let reads = async {
            let mut bytes = Vec::new();
            (&client).read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let (sent, bytes) = smol::future::zip((&client).write_all(&all), reads).await;
        sent.unwrap();
        let answers = String::from_utf8(bytes).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), most);
        assert_eq!(answers.matches("Connection: close").count(), 1);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let mut requests = String::new();
        for n in 0..40 {
            let path = if n % 2 == 0 { FILE } else { LIST };
            requests.extend(["GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"]);
        }
        client.write_all(requests.as_bytes()).await.unwrap();
        for n in 0..40 {
            let answer = one(&mut client, false).await;
            assert_eq!(body_of(&answer), if n % 2 == 0 { hello() } else { house.playlist() });
        }
    });
}

#[test]
fn more_pipelined_requests_than_a_buffer_holds_are_all_answered() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let request = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        client.write_all(request.as_bytes()).await.unwrap();
        for _ in 0..1000 {
            assert_eq!(status_of(&one(&mut client, true).await), "200");
        }
    });
}

#[test]
fn body_of_a_get_is_thrown_away_or_ends_the_connection() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let get =
            |n: usize| format!("GET {FILE} HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n");
        client.write_all((get(5) + "abc").as_bytes()).await.unwrap();
        assert_eq!(body_of(&one(&mut client, false).await), hello());
        client.write_all(("de".to_owned() + &get(0)).as_bytes()).await.unwrap();
        assert_eq!(body_of(&one(&mut client, false).await), hello());
        let most = usize::try_from(HTTP_DISCARD_BYTES).unwrap();
        client.write_all((get(most) + &"x".repeat(most)).as_bytes()).await.unwrap();
        assert_eq!(body_of(&one(&mut client, false).await), hello());
        client.write_all((get(most + 1) + &"x".repeat(most + 1)).as_bytes()).await.unwrap();
        let last = rest(&mut client).await;
        assert!(last.contains("Connection: close\r\n") && last.ends_with(&hello()));
    });
}

#[test]
fn request_in_single_bytes_is_the_same_request() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let request = format!("GET {FILE} HTTP/1.0\r\nA: b\r\n c\r\n\r\n");
        for b in request.bytes() {
            client.write_all(&[b]).await.unwrap();
            smol::future::yield_now().await;
        }
        let answer = rest(&mut client).await;
        assert_eq!(body_of(&answer), hello());
    });
}

#[test]
fn half_closed_client_gets_its_whole_answer() {
    with_server(settings(), |house| async move {
        for version in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let mut client = house.client();
            let request = format!("GET /hls/live/cam/5f3a0c11-5.ts {version}");
            client.write_all(request.as_bytes()).await.unwrap();
            client.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
            let answer = rest(&mut client).await;
            assert_eq!(body_of(&answer).len(), PIECE);
        }
        house.until("places are free", |h| h.ctx.connections() == 0).await;
    });
}

#[test]
fn tls_hello_is_turned_away_at_once() {
    with_server(settings(), |house| async move {
        let answer = house.talk(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
        assert_eq!(status_of(&answer), "400");
    });
}

#[test]
fn error_is_read_even_when_more_was_sent_than_is_read() {
    with_server(settings(), |house| async move {
        let mut client = house.client();
        let junk = vec![b'A'; 60_000];
        client.write_all(b"GET /%zz HTTP/1.0\r\n\r\n").await.unwrap();
        client.write_all(&junk).await.unwrap();
        let answer = rest(&mut client).await;
        assert_eq!(status_of(&answer), "400");
        drop(client);
        house.until("place is free", |h| h.ctx.connections() == 0).await;
    });
}

#[test]
fn client_that_goes_on_after_its_last_answer_is_read_up_to_a_limit() {
    let deadlines = Deadlines { linger: Duration::from_mins(1), ..Deadlines::STANDARD };
    with_server(HttpSettings { deadlines, ..settings() }, |house| async move {
        let mut client = house.client();
        client.write_all(b"GET /%zz HTTP/1.0\r\n\r\n").await.unwrap();
        assert_eq!(status_of(&one(&mut client, false).await), "400");
        client.write_all(&vec![b'A'; HTTP_LINGER_BYTES - 1]).await.unwrap();
        Timer::after(Duration::from_millis(100)).await;
        assert_eq!(house.ctx.connections(), 1);
        client.write_all(b"A").await.unwrap();
        house.until("place is free", |h| h.ctx.connections() == 0).await;
    });
}

#[test]
fn silent_slow_and_idle_clients_meet_their_deadlines() {
    with_server(quick(), |house| async move {
        let mut silent = house.client();
        assert_eq!(rest(&mut silent).await, "");
        assert_eq!(house.count(Counter::HttpTimeouts), 1);

        let mut slow = house.client();
        let mut sent = 0;
        for b in b"GET / HTTP/1.0\r\nAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
            if slow.write_all(&[*b]).await.is_err() || house.count(Counter::HttpTimeouts) > 1 {
                break;
            }
            sent += 1;
            Timer::after(Duration::from_millis(25)).await;
        }
        assert!((10..40).contains(&sent), "closed after {sent} bytes");
        assert_eq!(status_of(&rest(&mut slow).await), "408");

        let mut idle = house.client();
        let request = format!("GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n");
        idle.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status_of(&one(&mut idle, false).await), "200");
        assert_eq!(rest(&mut idle).await, "");
        assert_eq!(house.count(Counter::HttpTimeouts), 2);
        drop((silent, slow, idle));
        house.until("places are free", |h| h.ctx.connections() == 0).await;
    });
}

#[test]
fn deadlines_of_the_product_end_a_place_then_and_not_before() {
    const SHORT: Duration = Duration::from_secs(1);
    let kept = format!("GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n");
    with_server(settings(), |house| async move {
        for (sent, limit, last) in [
            ("", HTTP_FIRST_BYTE_TIME_MAX, None),
            ("GET / HT", HTTP_HEAD_TIME_MAX, Some("408")),
            (&kept, HTTP_IDLE_TIME_MAX, None),
        ] {
            let mut client = house.client();
            client.write_all(sent.as_bytes()).await.unwrap();
            house.until("it has a place", |h| h.ctx.connections() == 1).await;
            if sent.len() == kept.len() {
                assert_eq!(status_of(&one(&mut client, false).await), "200");
            }
            Timer::after(Duration::from_millis(50)).await;
            house.ctx.tick(clock::now().after(limit.saturating_sub(SHORT)));
            assert_eq!(house.ctx.connections(), 1, "{sent:?}: before its time");
            house.ctx.tick(clock::now().after(limit));
            let answer = rest(&mut client).await;
            assert_eq!(last, (!answer.is_empty()).then(|| status_of(&answer)), "{sent:?}");
            drop(client);
            house.until("place is free", |h| h.ctx.connections() == 0).await;
        }

        let mut client = house.client();
        client.write_all(b"GET /%zz HTTP/1.0\r\n\r\n").await.unwrap();
        assert_eq!(status_of(&one(&mut client, false).await), "400");
        client.write_all(b"more").await.unwrap();
        house.ctx.tick(clock::now().after(HTTP_LINGER_TIME_MAX.saturating_sub(SHORT)));
        assert_eq!(house.ctx.connections(), 1, "lingers");
        house.ctx.tick(clock::now().after(HTTP_LINGER_TIME_MAX));
        assert_eq!(house.ctx.connections(), 0, "lingers no more");
    });
    with_big(settings(), |house| async move {
        let mut client = house.client_from(THERE);
        let request = format!("GET {FILE} HTTP/1.0\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        Timer::after(Duration::from_millis(300)).await;
        house.ctx.tick(clock::now().after(HTTP_STALL_TIME_MAX.saturating_sub(SHORT)));
        assert_eq!(house.ctx.connections(), 1, "stands still, but not long enough");
        house.ctx.tick(clock::now().after(HTTP_STALL_TIME_MAX));
        assert_eq!(house.ctx.connections(), 0, "stood still");
        assert_eq!(house.count(Counter::HttpTimeouts), 1);
    });
}

#[test]
fn full_house_answers_503_and_recovers() {
    let settings = HttpSettings { viewers: 2, ..settings() };
    with_server(settings, |house| async move {
        let (one, two) = (house.client(), house.client());
        house.until("both have places", |h| h.ctx.connections() == 2).await;
        let request = format!("GET {LIST} HTTP/1.0\r\n\r\n");
        let answer = house.talk(request.as_bytes()).await;
        assert_eq!(status_of(&answer), "503");
        assert!(answer.contains("Retry-After: 2\r\n"));
        let length = format!("Content-Length: {}\r\n", body_of(&answer).len());
        assert!(answer.contains(&length), "{answer}");
        assert_eq!(house.count(Counter::HttpRefused), 1);
        drop((one, two));
        house.until("places are free", |h| h.ctx.connections() == 0).await;
        assert_eq!(status_of(&house.ask(&request).await), "200");
    });
}

#[test]
fn one_address_gets_its_share_and_the_loopback_all() {
    let settings = HttpSettings { viewers: 2 * HTTP_PER_ADDRESS + 2, ..settings() };
    with_server(settings, |house| async move {
        let held: Vec<Client> = (0..HTTP_PER_ADDRESS).map(|_| house.client_from(THERE)).collect();
        let local: Vec<Client> = (0..=HTTP_PER_ADDRESS).map(|_| house.client()).collect();
        let all = held.len() + local.len();
        house.until("all have places", |h| h.ctx.connections() == all).await;
        let mut next = house.client_from(THERE);
        next.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        assert_eq!(status_of(&rest(&mut next).await), "503");
        drop((held, local));
    });
}

const GET_BIG: &[u8] = b"GET /hls/live/cam/5f3a0c11-0.ts HTTP/1.0\r\n\r\n";

#[test]
fn big_segment_arrives_whole_and_its_slot_is_let_go_after_it_drained() {
    with_big(settings(), |house| async move {
        let mut client = house.client_from(THERE);
        client.write_all(GET_BIG).await.unwrap();
        house.until("the slot is held", |h| h.holds() == 1).await;
        let mut bytes = Vec::new();
        let mut room = vec![0; 64 << 10];
        loop {
            let n = client.read(&mut room).await.unwrap();
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(&room[..n]);
        }
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert!(bytes[head..] == big_bytes(), "{} bytes", bytes.len() - head);
        house.until("the slot is free", |h| h.holds() == 0).await;
        house.until("the place is free", |h| h.ctx.connections() == 0).await;
        assert!(!house.shelf.store.borrow().is_local(house.slot(FILE)));
        assert!(house.count(Counter::HttpBytesOut) >= u64::try_from(BIG).unwrap());
    });
}

#[test]
fn slot_is_held_while_the_last_bytes_are_not_acknowledged() {
    with_server(settings(), |house| async move {
        let mut client = house.client_with(THERE, 16 << 10);
        let request = b"GET /hls/live/cam/5f3a0c11-2.ts HTTP/1.0\r\n\r\n";
        client.write_all(request).await.unwrap();
        // All is queued and the server would like to close.
        house.until("all is queued", |h| h.count(Counter::HttpBytesOut) == 300_048).await;
        Timer::after(Duration::from_millis(300)).await;
        assert_eq!((house.holds(), house.ctx.connections()), (1, 1));
        let mut room = vec![0; 64 << 10];
        while client.read(&mut room).await.unwrap() > 0 {}
        house.until("the slot is free", |h| h.holds() == 0).await;
        house.until("the place is free", |h| h.ctx.connections() == 0).await;
    });
}

#[test]
fn receiver_on_this_machine_marks_the_slot_and_lets_go_at_the_end() {
    with_big(settings(), |house| async move {
        let mut client = house.client();
        client.write_all(GET_BIG).await.unwrap();
        house.until("the slot is held", |h| h.holds() == 1).await;
        assert!(house.shelf.store.borrow().is_local(house.slot(FILE)));
        let mut room = vec![0; 64 << 10];
        while client.read(&mut room).await.unwrap() > 0 {}
        assert_eq!((house.holds(), house.ctx.connections()), (0, 0));
    });
}

#[test]
fn slow_reader_is_reset_when_its_slot_is_needed() {
    with_big(settings(), |house| async move {
        for from in [HERE, THERE] {
            let resets = house.count(Counter::HttpResets);
            let mut client = house.client_from(from);
            let path = house.newest();
            client.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
            house.until("the slot is held", |h| h.holds() == 1).await;
            let renewed = house.count(Counter::SlotsRenewed);
            house.shelf.reuse(house.stream, house.slot(&path));
            assert_eq!(house.count(Counter::SlotsRenewed), renewed + 1);
            house.until("the slot is free", |h| h.holds() == 0).await;
            assert_eq!(house.count(Counter::HttpResets), resets + 1);
            let mut bytes = Vec::new();
            let outcome = client.read_to_end(&mut bytes).await;
            assert!(outcome.is_err(), "a cut segment must not look whole");
            let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            assert!(big_bytes().starts_with(&bytes[head..]), "bytes of another segment");
            assert!(bytes.len() < BIG);
            assert_eq!(house.ctx.connections(), 0);
            house.shelf.put(house.stream, &big_bytes());
        }
    });
}

#[test]
fn answer_that_is_queued_whole_keeps_its_pages_when_its_slot_is_used_again() {
    with_server(settings(), |house| async move {
        let mut client = house.client_with(HERE, 16 << 10);
        let path = "/hls/live/cam/5f3a0c11-2.ts";
        client.write_all(format!("GET {path}\r\n").as_bytes()).await.unwrap();
        house.until("all is queued", |h| h.count(Counter::HttpBytesOut) == 300_048).await;
        assert_eq!(house.holds(), 0);
        house.shelf.reuse(house.stream, house.slot(path));
        assert_eq!(house.count(Counter::SlotsRenewed), 1);
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == piece(0), "{} bytes", bytes.len());
        assert_eq!(house.count(Counter::HttpResets), 0);
    });
}

#[test]
fn client_that_reads_nothing_is_reset_and_one_that_reads_slowly_is_not() {
    with_big(quick(), |house| async move {
        let mut slow = house.client_from(THERE);
        slow.write_all(GET_BIG).await.unwrap();
        let mut stuck = house.client_from(THERE);
        stuck.write_all(GET_BIG).await.unwrap();
        let mut room = vec![0; 128 << 10];
        for _ in 0..15 {
            assert!(slow.read(&mut room).await.unwrap() > 0);
            Timer::after(Duration::from_millis(100)).await;
        }
        assert_eq!(house.count(Counter::HttpTimeouts), 1);
        assert_eq!((house.holds(), house.ctx.connections()), (1, 1));
        assert!(stuck.read_to_end(&mut Vec::new()).await.is_err());
    });
}

#[test]
fn more_pipelined_segments_than_holds_wait_and_arrive() {
    with_server(settings(), |house| async move {
        let mut client = house.client_with(THERE, 16 << 10);
        let get =
            |name| format!("GET /hls/live/cam/5f3a0c11-{name}.ts HTTP/1.1\r\nHost: x\r\n\r\n");
        // The first fills the client's window, so that nothing behind it is acknowledged.
        let names = ["2", "1", "0", "1", "0", "1", "0"];
        assert!(names.len() > HTTP_HOLDS);
        let requests: String = names.map(get).concat();
        client.write_all(requests.as_bytes()).await.unwrap();
        Timer::after(Duration::from_millis(300)).await;
        let held = usize::try_from(house.holds()).unwrap();
        let answered = usize::try_from(house.count(Counter::HttpRequests)).unwrap();
        assert_eq!((held, answered), (HTTP_HOLDS, HTTP_HOLDS));
        for name in names {
            let mut lengths = [("2", PIECE), ("1", 1128), ("0", 188)].into_iter();
            let length = lengths.find(|(of, _)| *of == name).unwrap().1;
            let answer = one(&mut client, false).await;
            assert!(answer.contains(&format!("Content-Length: {length}\r\n")), "{name}");
        }
        house.until("all slots are free", |h| h.holds() == 0).await;
        assert_eq!(house.ctx.connections(), 1);
    });
}

#[test]
fn answers_that_a_socket_takes_in_part_wait_in_memory_for_a_few() {
    // The page is the longest answer that is made in memory: many streams with odd names.
    let shelf = Shelf::new(MANY_STREAMS, || Some(T));
    for n in 0..32 {
        let stream = shelf.stream(&format!("live/{n}{}", "\"".repeat(125)));
        shelf.put(stream, hello().as_bytes());
    }
    serve_shelf(shelf, 0, settings(), |house| async move {
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let long = body_of(&house.ask(request).await).to_owned();
        assert!((80_000..HTTP_BODY_BYTES).contains(&long.len()), "{} bytes", long.len());
        let request = request.repeat(80);
        let mut clients = Vec::new();
        for _ in 0..HTTP_SPILLS + 2 {
            let mut client = house.client_with(THERE, 16 << 10);
            client.write_all(request.as_bytes()).await.unwrap();
            clients.push(client);
        }
        house.until("two are turned away", |h| h.ctx.connections() == HTTP_SPILLS).await;
        assert_eq!(house.count(Counter::HttpTimeouts), 2);
        let mut served = 0;
        for client in &mut clients {
            let mut bytes = Vec::new();
            let mut room = vec![0; 64 << 10];
            while bytes.len() < 80 * long.len() {
                match client.read(&mut room).await {
                    Ok(n) if n > 0 => bytes.extend_from_slice(&room[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8(bytes).unwrap();
            served += usize::from(text.matches(&long).count() >= 79);
        }
        assert_eq!(served, HTTP_SPILLS);
    });
}

#[test]
fn body_that_trickles_meets_the_deadline_of_a_head() {
    with_server(quick(), |house| async move {
        let mut client = house.client();
        let request = format!("GET {FILE} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status_of(&one(&mut client, false).await), "200");
        let mut sent = 0;
        while house.count(Counter::HttpTimeouts) == 0 && sent < 90 {
            let _ = client.write_all(b"x").await;
            sent += 1;
            Timer::after(Duration::from_millis(25)).await;
        }
        assert!((10..40).contains(&sent), "closed after {sent} bytes");
    });
}

#[test]
fn dates_are_left_out_while_the_clock_is_not_set() {
    let settings = HttpSettings { wall: || None, ..settings() };
    with_server(settings, |house| async move {
        let answer = house.ask(&format!("GET {FILE} HTTP/1.0\r\n\r\n")).await;
        assert!(!answer.contains("Date: ") && !answer.contains("Expires: "));
        assert!(answer.contains("Cache-Control: public, max-age="));
    });
}

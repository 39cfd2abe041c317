//! From a request to an answer: routes, conditions, the response head and the small bodies.
//!
//! An answer is a piece of the one output buffer, head and small body side by side, and for a
//! segment the part of a slot that follows (for a long playlist, of its file: see `long`). Sends
//! nothing: `connection` does.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/index.html` | the page |
//! | `/status.json` | counters and streams |
//! | `/style.css`, `/page.js`, `/icon.svg` | parts of the page |
//! | `/hls/<app>/<name>/index.m3u8` | the playlist |
//! | `/hls/<app>/<name>/master.m3u8`, `iframes.m3u8` | the playlists beside it |
//! | `/hls/<app>/<name>/` | the playlist too: its relative addresses resolve the same |
//! | `/hls/<app>/<name>` | 301 to the one with the slash |
//! | `/hls/<app>/<name>/<segment>.ts` | the segment, or `.aac` and so on |
//! | `/hls/<app>/<name>/<key>.key` | the key of segments, see `key` |
//! | `/open`, `/send`, `/idle`, `/close` | RTMPT, see `tunnelled`; within TLS nothing else |

use core::cell::RefCell;
use core::fmt::{self, Write as _};
use core::net::IpAddr;
use core::ops::Range;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::HttpSettings;
use super::caching;
use super::guard;
use super::long::Source;
use super::tunnelled::Tunnelled;
use crate::config::secret::Secret;
use crate::limits::{HTTP_BODY_BYTES, HTTP_HEAD_OUT_BYTES, HTTP_QUERY_BYTES_KEPT, HTTP_SPILLS};
use crate::proto::http::{Request, RequestError, Resource, Verdict, judge};
use crate::service::door::Door;
use crate::service::relay::Relays;
use crate::service::store::{SegmentView, Store};
use crate::service::tunnel::Tunnels;
use crate::service::web::{self, Asset, PageFacts, fnv1a};
use crate::status::{Counter, Status};
use crate::storage::widen;
use crate::sys::net;
use crate::time::Instant;
use crate::wire::http::{
    After, Cache, Code, DateText, EntityTag, Location, Method, ResponseHead, Span, Text, Version,
    date_text,
};
use crate::wire::writer::Writer;

/// Bytes of the output buffer: head, then body.
const OUT_BYTES: usize = HTTP_HEAD_OUT_BYTES + HTTP_BODY_BYTES;

/// The part of a file that an answer sends after its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) source: Source,
    pub(super) at: u64,
    pub(super) end: u64,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Head and small body: where they are in `Desk::out`.
    pub(super) text: Range<usize>,
    pub(super) part: Option<Part>,
    pub(super) after: After,
    /// There is no text yet: a tunnel has to do with it.
    pub(super) tunnel: Option<Tunnelled>,
    /// There is no text yet: what is asked for will soon be there. The request is to be put again.
    pub(super) waits: bool,
}

/// What all connections share while one of them is served.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) store: Rc<RefCell<Store>>,
    pub(super) status: Rc<Status>,
    pub(super) settings: HttpSettings,
    pub(super) relays: Rc<Relays>,
    pub(super) now: Instant,
    pub(super) own: heapless::Vec<IpAddr, { net::OWN_ADDRESSES }>,
    pub(super) out: Box<[u8]>,
    /// Buffers for answers that a socket took only in part.
    pub(super) spills: Vec<Box<[u8]>>,
    /// Who asks viewers for a key, if somebody does.
    pub(super) door: Option<Rc<Door>>,
    /// Where RTMPT is answered, if it is.
    pub(super) tunnels: Option<Rc<Tunnels>>,
    /// The place that is served, and its peer.
    pub(super) token: u64,
    pub(super) peer: IpAddr,
    /// Whether its request can wait for what will soon be there.
    pub(super) patient: bool,
    /// Whether it came by the port for TLS, where tunnels alone are served.
    pub(super) is_within_tls: bool,
    pub(super) wall: Option<u64>,
    pub(super) date: Option<DateText>,
}

impl Desk {
    /// What `new` takes: the answer being made, and those that wait.
    pub(super) const BYTES: usize = (1 + HTTP_SPILLS) * OUT_BYTES;

    pub(super) fn new(
        store: Rc<RefCell<Store>>,
        status: Rc<Status>,
        settings: HttpSettings,
    ) -> Self {
        let buffer = || vec![0; OUT_BYTES].into_boxed_slice();
        Self {
            store,
            status,
            settings,
            relays: Rc::default(),
            now: Instant(0),
            own: net::own_addresses(),
            out: buffer(),
            spills: (0..HTTP_SPILLS).map(|_| buffer()).collect(),
            door: None,
            tunnels: None,
            token: 0,
            peer: IpAddr::from([0, 0, 0, 0]),
            patient: false,
            is_within_tls: false,
            wall: None,
            date: None,
        }
    }

    /// Takes the time, once per turn of the tick.
    pub(super) fn set_time(&mut self, now: Instant) {
        self.now = now;
        let wall = (self.settings.wall)();
        if wall != self.wall {
            self.wall = wall;
            self.date = wall.and_then(date_text);
        }
    }

    /// What a clock that is known to be right says, for answers.
    pub(super) const fn date(&self) -> Option<DateText> {
        self.date
    }

    /// Lets the RTMP side of tunnels have its turn, and then those that wait for it.
    pub(super) fn hurry(&self) {
        if let Some(tunnels) = &self.tunnels {
            tunnels.due.ring();
        }
    }

    pub(super) fn count(&self, counter: Counter) {
        self.status.add(counter, 1);
    }

    /// The answer to a request; `after` is what the connection would do.
    pub(super) fn answer(
        &mut self,
        request: &Request<'_>,
        after: After,
        socket: BorrowedFd<'_>,
    ) -> Answer {
        let head = ResponseHead::new(request.version, Code::Ok, after);
        match request.method {
            Method::Get | Method::Head | Method::Options if self.is_within_tls => {
                return self.tunnel(head, request).unwrap_or_else(|| self.elsewhere(head, request));
            }
            Method::Get | Method::Head => {}
            Method::Options => return self.preflight(head),
            Method::Post | Method::Other => {
                if let Some(answer) = self.tunnel(head, request) {
                    return answer;
                }
                let head = ResponseHead { allow: true, code: Code::MethodNotAllowed, ..head };
                return self.plain(head, request, &"nothing here takes this method");
            }
        }
        match request.path {
            "/" | "/index.html" => self.page(head, request, socket),
            "/status.json" => self.status(head, request),
            path => match path.strip_prefix("/hls/") {
                Some(name) => {
                    self.media(ResponseHead { cors: true, ..head }, request, name, socket)
                }
                None => match web::asset(path) {
                    Some(asset) => self.asset(head, request, asset),
                    None => match self.tunnel(head, request) {
                        Some(refusal) => refusal,
                        None => self.not_found(head, request, &"nothing is at this address"),
                    },
                },
            },
        }
    }

    /// The answer to what is no request; the connection ends after it.
    pub(super) fn refusal(&mut self, error: RequestError, version: Version) -> Answer {
        let code = error.code(version);
        log::debug!("http refused code={} cause=\"{error}\"", code.line());
        let head = ResponseHead::new(version, code, After::Close);
        self.text(head, true, &error)
    }

    /// The answer to a head that did not come in time.
    pub(super) fn too_late(&mut self) -> Answer {
        let head = ResponseHead::new(Version::Http10, Code::RequestTimeout, After::Close);
        self.text(head, true, &"the request did not come in time")
    }

    fn media(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        name: &str,
        socket: BorrowedFd<'_>,
    ) -> Answer {
        let door = self.door.clone();
        let key = match guard::judge(door.as_deref(), name, request, self.peer, self.now) {
            Ok(key) => key,
            Err(denial) => {
                let head = ResponseHead { code: Code::Forbidden, ..head };
                return self.plain(head, request, &denial);
            }
        };
        if guard::is_segment(name) {
            let segment = self.store.borrow().segment(name);
            return match segment {
                Some(segment) => self.segment(head, request, &segment),
                None => self.not_found(head, request, &"this segment is gone or never was"),
            };
        }
        if name.strip_suffix(".key").is_some() {
            return self.key(head, request, name);
        }
        if name.ends_with('/') {
            return match index_of(name, "index.m3u8") {
                Some(index) => self.playlist(head, request, &index, key),
                None => self.not_found(head, request, &"no such stream is live"),
            };
        }
        let is_stream = index_of(name, "/index.m3u8")
            .is_some_and(|index| self.store.borrow().playlist(&index).is_some());
        if is_stream {
            return self.redirect(head, request, socket);
        }
        self.playlist(head, request, name, key)
    }

    fn playlist(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        name: &str,
        key: Option<&Secret>,
    ) -> Answer {
        let is_fetched = match name.rsplit_once('/') {
            Some((path, "index.m3u8" | "master.m3u8")) => self.relays.want(path, self.now),
            _ => false,
        };
        let store = Rc::clone(&self.store);
        let store = store.borrow();
        let Some(playlist) = store.playlist(name) else {
            if !is_fetched && !store.expects(name, self.now) {
                return self.not_found(head, request, &"no such stream is live");
            }
            if self.patient {
                return Answer {
                    text: 0..0,
                    part: None,
                    after: head.after,
                    tunnel: None,
                    waits: true,
                };
            }
            self.count(Counter::HttpExpected);
            let head = ResponseHead { code: Code::Unavailable, retry_after_s: Some(1), ..head };
            return self.plain(head, request, &"the stream is expected, and not there yet");
        };
        let head = ResponseHead {
            content_type: Some("application/vnd.apple.mpegurl"),
            cache: Some(caching::playlist(&playlist, self.wall)),
            varies: true,
            ..head
        };
        let etag = EntityTag(playlist.version);
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        if key.is_none()
            && request.gzip
            && let Some(bytes) = playlist.gzip(room, &self.status)
        {
            let head = ResponseHead { gzip: true, ..head };
            return self.tagged(head, request, etag.gzip(), bytes);
        }
        if playlist.body.len() <= HTTP_BODY_BYTES {
            let Some(key) = key else { return self.small(head, request, etag, playlist.body) };
            let bytes = guard::with_key(playlist.body, key, &mut Writer::new(room));
            if bytes > 0 {
                return self.tagged(head, request, etag, bytes);
            }
        }
        self.long(head, request, &playlist, key)
    }

    fn asset(&mut self, head: ResponseHead<'_>, request: &Request<'_>, asset: Asset) -> Answer {
        let head = ResponseHead {
            content_type: Some(asset.content_type),
            cache: Some(Cache::NoCache),
            page: true,
            ..head
        };
        self.small(head, request, asset.etag, asset.body)
    }

    /// A body that lies elsewhere and fits the output buffer.
    fn small(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        etag: EntityTag,
        body: &[u8],
    ) -> Answer {
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let Some(place) = room.get_mut(..body.len()) else {
            let head =
                ResponseHead { code: Code::Unavailable, content_type: None, cache: None, ..head };
            return self.plain(head, request, &"the answer is too long");
        };
        place.copy_from_slice(body);
        self.tagged(head, request, etag, body.len())
    }

    /// A body of `bytes` bytes that stands in the output buffer, or word that it is known.
    fn tagged(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        etag: EntityTag,
        bytes: usize,
    ) -> Answer {
        let resource = Resource { etag, modified: None, bytes: widen(bytes), ranges: false };
        let head = ResponseHead { date: self.date, etag: Some(etag), ..head };
        if judge(request, &resource, self.wall) == Verdict::NotModified {
            return self.not_modified(head);
        }
        let head = ResponseHead { content_length: Some(widen(bytes)), ..head };
        self.compose(&head, if request.method == Method::Head { 0 } else { bytes })
    }

    fn segment(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        segment: &SegmentView,
    ) -> Answer {
        let resource = Resource {
            etag: EntityTag(segment.version),
            modified: segment.created_unix,
            bytes: segment.bytes,
            ranges: true,
        };
        let mut head = ResponseHead {
            date: self.date,
            etag: Some(resource.etag),
            last_modified: segment.created_unix.and_then(date_text),
            cache: Some(caching::segment(segment, self.now, self.wall)),
            ..head
        };
        let span = match judge(request, &resource, self.wall) {
            Verdict::NotModified => return self.not_modified(head),
            Verdict::Unsatisfiable => {
                head.code = Code::RangeNotSatisfiable;
                head.content_range = Some((None, segment.bytes));
                head.cache = None;
                return self.plain(head, request, &"the segment has no such bytes");
            }
            Verdict::Full => Span { first: 0, last: segment.bytes.saturating_sub(1) },
            Verdict::Part(span) => {
                head.code = Code::PartialContent;
                head.content_range = Some((Some(span), segment.bytes));
                span
            }
        };
        let bytes = span.bytes().min(segment.bytes);
        head.content_type = Some(segment.content_type);
        head.content_length = Some(bytes);
        head.accept_ranges = true;
        let mut answer = self.compose(&head, 0);
        if request.method == Method::Get && bytes > 0 {
            answer.part = Some(Part {
                source: Source::Slot { slot: segment.slot, generation: segment.generation },
                at: span.first,
                end: span.first + bytes,
            });
        }
        answer
    }

    pub(super) fn not_modified(&mut self, head: ResponseHead<'_>) -> Answer {
        let head =
            ResponseHead { code: Code::NotModified, content_type: None, gzip: false, ..head };
        self.compose(&head, 0)
    }

    fn page(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        socket: BorrowedFd<'_>,
    ) -> Answer {
        let own = Authority::of(request, socket);
        let facts = PageFacts {
            authority: &own.0,
            rtmp_port: self.settings.rtmp_port,
            rtmpe_refused: self.status.get(Counter::RtmpeRefused),
        };
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let mut w = Writer::new(room);
        let store = self.store.borrow();
        let rendered = web::page(&mut w, || store.streams(), &facts, &self.relays);
        let etag = EntityTag(fnv1a(w.written()));
        let bytes = w.position();
        drop(store);
        if rendered.is_err() {
            return self.too_much(head, request);
        }
        let head = ResponseHead {
            content_type: Some("text/html; charset=utf-8"),
            cache: Some(Cache::NoCache),
            page: true,
            ..head
        };
        self.tagged(head, request, etag, bytes)
    }

    fn status(&mut self, head: ResponseHead<'_>, request: &Request<'_>) -> Answer {
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let mut w = Writer::new(room);
        let store = self.store.borrow();
        let rendered =
            web::status_json(&mut w, store.streams(), &self.relays, &self.status, self.now);
        let bytes = w.position();
        drop(store);
        if rendered.is_err() {
            return self.too_much(head, request);
        }
        let head = ResponseHead {
            date: self.date,
            content_type: Some("application/json"),
            content_length: Some(widen(bytes)),
            cache: Some(Cache::NoStore),
            page: true,
            ..head
        };
        self.compose(&head, if request.method == Method::Head { 0 } else { bytes })
    }

    pub(super) fn too_much(&mut self, head: ResponseHead<'_>, request: &Request<'_>) -> Answer {
        let head = ResponseHead { code: Code::Unavailable, ..head };
        self.plain(head, request, &"there is more to say than fits")
    }

    /// What only the other port has.
    fn elsewhere(&mut self, head: ResponseHead<'_>, request: &Request<'_>) -> Answer {
        self.count(Counter::HttpsRefused);
        self.not_found(head, request, &"pages and streams are at the port of http.listen")
    }

    fn preflight(&mut self, head: ResponseHead<'_>) -> Answer {
        let head = ResponseHead {
            code: Code::NoContent,
            date: self.date,
            cors: true,
            preflight: true,
            allow: true,
            ..head
        };
        self.compose(&head, 0)
    }

    fn redirect(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        socket: BorrowedFd<'_>,
    ) -> Answer {
        let own = Authority::of(request, socket);
        let mut path = crate::proto::http::PathBuffer::new();
        let whole =
            path.extend_from_slice(request.path.as_bytes()).is_ok() && path.push(b'/').is_ok();
        let whole = whole && request.query.len() <= HTTP_QUERY_BYTES_KEPT;
        let (true, Ok(path)) = (whole, core::str::from_utf8(&path)) else {
            return self.not_found(head, request, &"the address is too long");
        };
        let head = ResponseHead {
            code: Code::MovedPermanently,
            location: Some(Location { authority: &own.0, path, query: request.query }),
            ..head
        };
        self.plain(head, request, &"the address ends with a slash")
    }

    pub(super) fn not_found(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        why: &dyn fmt::Display,
    ) -> Answer {
        let head = ResponseHead { code: Code::NotFound, ..head };
        self.plain(head, request, why)
    }

    pub(super) fn plain(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        why: &dyn fmt::Display,
    ) -> Answer {
        self.text(head, request.method != Method::Head, why)
    }

    /// Status and reason as a line of text.
    fn text(&mut self, head: ResponseHead<'_>, body: bool, why: &dyn fmt::Display) -> Answer {
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let mut w = Writer::new(room);
        let written = writeln!(Text(&mut w), "{}: {why}", head.code.line());
        debug_assert!(written.is_ok());
        let bytes = w.position();
        let head = ResponseHead {
            date: self.date,
            content_type: Some("text/plain"),
            content_length: Some(widen(bytes)),
            cache: Some(Cache::NoStore),
            ..head
        };
        self.compose(&head, if body { bytes } else { 0 })
    }

    /// Writes the head so that it ends where the body begins, and counts the answer.
    pub(super) fn compose(&mut self, head: &ResponseHead<'_>, body_bytes: usize) -> Answer {
        let (room, _) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let mut w = Writer::new(room);
        let emitted = head.emit(&mut w);
        debug_assert!(emitted.is_ok());
        let head_bytes = w.position();
        let start = HTTP_HEAD_OUT_BYTES - head_bytes;
        room.copy_within(..head_bytes, start);
        self.count(Counter::HttpRequests);
        if head.code.is_error() {
            self.count(Counter::HttpErrors);
        }
        self.status.add(Counter::HttpBytesOut, widen(body_bytes));
        Answer {
            text: start..HTTP_HEAD_OUT_BYTES + body_bytes,
            part: None,
            after: head.after,
            tunnel: None,
            waits: false,
        }
    }
}

/// Path of a stream's playlist; `None` if it is longer than any stream's.
fn index_of(stream: &str, index: &str) -> Option<heapless::String<512>> {
    let mut path = heapless::String::new();
    path.push_str(stream).ok()?;
    path.push_str(index).ok()?;
    Some(path)
}

/// Host and port by which a client finds us: as it says, or our end of the connection.
struct Authority(heapless::String<256>);

impl Authority {
    fn of(request: &Request<'_>, socket: BorrowedFd<'_>) -> Self {
        let mut text = heapless::String::new();
        if let Some(authority) = request.authority
            && text.push_str(authority).is_ok()
        {
            return Self(text);
        }
        if let Ok(address) = net::local_addr(socket) {
            // 256 bytes hold any address.
            let _ = write!(text, "{address}");
        }
        Self(text)
    }
}

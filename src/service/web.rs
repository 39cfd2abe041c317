//! The page and the status document, rendered into the caller's buffer.
//!
//! The page lists what is live with a player, an address to copy and what is wrong, in plain
//! words; with nothing live it says how to publish. It works without its script and loads nothing
//! from outside. Everything that came from a camera or a client is escaped here, at the one place
//! where it is written. Decides no caching and sends nothing.

use core::fmt::{self, Write as _};

use super::relay::{Relay, Relays};
use super::store::StreamView;
use crate::status::{Counter, Status};
use crate::time::Instant;
use crate::wire::http::{EntityTag, Text};
use crate::wire::writer::{Full, Writer};

/// A file that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its bytes.
    pub body: &'static [u8],
    /// Its media type.
    pub content_type: &'static str,
    /// Its tag, made of its bytes.
    pub etag: EntityTag,
}

impl Asset {
    const fn new(text: &'static str, content_type: &'static str) -> Self {
        Self { body: text.as_bytes(), content_type, etag: EntityTag(fnv1a(text.as_bytes())) }
    }
}

/// The asset at `path`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    const STYLE: Asset =
        Asset::new(include_str!("../app/assets/style.css"), "text/css; charset=utf-8");
    const SCRIPT: Asset =
        Asset::new(include_str!("../app/assets/page.js"), "text/javascript; charset=utf-8");
    const ICON: Asset = Asset::new(include_str!("../app/assets/icon.svg"), "image/svg+xml");
    match path {
        "/style.css" => Some(STYLE),
        "/page.js" => Some(SCRIPT),
        "/icon.svg" => Some(ICON),
        _ => None,
    }
}

/// FNV-1a, 64 bits: tells texts apart that nobody forges, for entity tags.
#[must_use]
pub const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = bytes;
    while let [b, tail @ ..] = rest {
        #[expect(clippy::as_conversions, reason = "in a const fn")]
        let b = *b as u64;
        hash = (hash ^ b).wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    hash
}

/// What the page tells besides the streams.
#[derive(Clone, Copy, Debug)]
pub struct PageFacts<'a> {
    /// Host and port by which the client found us.
    pub authority: &'a str,
    /// Port that publishers use.
    pub rtmp_port: u16,
    /// Connections that wanted RTMPE and were refused.
    pub rtmpe_refused: u64,
}

/// Renders the page; `streams` gives all streams each time it is called.
///
/// # Errors
/// `Full` if the buffer is too small; nothing of the page is of use then.
pub fn page<'a, S: Iterator<Item = StreamView<'a>>>(
    w: &mut Writer<'_>,
    streams: impl Fn() -> S,
    facts: &PageFacts<'_>,
    relays: &Relays,
) -> Result<(), Full> {
    let live = || streams().filter(|stream| stream.live);
    let none_live = live().next().is_none();
    // A browser without scripts looks again only while there is nothing to interrupt.
    let again = if none_live { REFRESH } else { "" };
    put(w, format_args!("{TOP}{again}</head>\n<body data-live=\""))?;
    for (index, stream) in live().enumerate() {
        let (app, name) = (Escaped(stream.app), Escaped(stream.name));
        let gap = if index > 0 { " " } else { "" };
        put(w, format_args!("{gap}{app}/{name}"))?;
    }
    put(w, format_args!("{HEADER}"))?;
    if none_live {
        how_to_publish(w, facts)?;
    }
    for (index, stream) in live().enumerate() {
        article(w, index, &stream, facts)?;
    }
    for stream in streams().filter(|stream| !stream.live) {
        let (app, name) = (Escaped(stream.app), Escaped(stream.name));
        put(w, format_args!("<article><h2>{app}/{name}</h2><p class=\"facts\">not live</p>"))?;
        problem(w, &stream)?;
        put(w, format_args!("</article>\n"))?;
    }
    relays.each(|index, relay| relay_lines(w, index, relay))?;
    if facts.rtmpe_refused > 0 {
        why_no_rtmpe(w, facts.rtmpe_refused)?;
    }
    put(w, format_args!("{BOTTOM}"))
}

/// What a person needs to know of an upstream; the last one ends nothing.
fn relay_lines(w: &mut Writer<'_>, index: usize, relay: &Relay) -> Result<(), Full> {
    let (way, state) = (relay.way.name(), relay.state().name());
    let (name, stream) = (Escaped(&relay.name), Escaped(&relay.stream));
    put(w, format_args!("<article id=\"relay-{index}\"><h2>{way} {name}</h2>"))?;
    put(w, format_args!("<p class=\"facts\">{stream} · {state}</p>"))?;
    relay.reason(|reason| match reason {
        "" => Ok(()),
        reason => put(w, format_args!("<p class=\"problem\">{}</p>", Escaped(reason))),
    })?;
    put(w, format_args!("</article>\n"))
}

const TOP: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <title>rillcast</title><link rel=\"stylesheet\" href=\"/style.css\">\
    <link rel=\"icon\" href=\"/icon.svg\"><script src=\"/page.js\" defer></script>";
const REFRESH: &str = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>";
const HEADER: &str = "\"><header><h1>rillcast</h1><span>live streams of this box</span></header>\n\
    <main>\n";
const BOTTOM: &str = "</main>\n<footer>If the picture does not start in this browser, open the \
    address in VLC or on a phone. <a href=\"/status.json\">Status</a></footer></body></html>\n";

fn article(
    w: &mut Writer<'_>,
    index: usize,
    stream: &StreamView<'_>,
    facts: &PageFacts<'_>,
) -> Result<(), Full> {
    let (app, name) = (Escaped(stream.app), Escaped(stream.name));
    put(
        w,
        format_args!(
            "<article data-stream=\"{app}/{name}\"><h2>{app}/{name}</h2><p class=\"facts\">live"
        ),
    )?;
    if stream.width > 0 && stream.height > 0 {
        put(w, format_args!(" · {}×{}", stream.width, stream.height))?;
    }
    if stream.kbit_s > 0 {
        let tenths = stream.kbit_s.saturating_add(50) / 100;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        put(w, format_args!(" · {whole}.{tenth} Mbit/s"))?;
    }
    put(w, format_args!("</p>"))?;
    problem(w, stream)?;
    let path = StreamPath(stream);
    // One picture moves at once; the others wait for a click, or they would share the decoder.
    let start = if index == 0 { "autoplay" } else { "preload=\"none\"" };
    put(w, format_args!("<video controls muted playsinline {start} src=\"{path}\"></video>"))?;
    put(
        w,
        format_args!(
            "<p class=\"address\"><input id=\"address-{index}\" readonly aria-label=\"address\" \
             value=\"http://{}{path}\"><button data-copy=\"address-{index}\" hidden>Copy</button>\
             </p></article>\n",
            Escaped(facts.authority)
        ),
    )
}

fn problem(w: &mut Writer<'_>, stream: &StreamView<'_>) -> Result<(), Full> {
    // There when there is none too: the script fills it when one comes.
    let (hidden, problem) = stream.problem.map_or((" hidden", ""), |problem| ("", problem));
    put(w, format_args!("<p class=\"problem\"{hidden}>{}</p>", Escaped(problem)))
}

fn how_to_publish(w: &mut Writer<'_>, facts: &PageFacts<'_>) -> Result<(), Full> {
    let host = Escaped(host_of(facts.authority));
    let port = facts.rtmp_port;
    put(
        w,
        format_args!(
            "<article><h2>No stream is live</h2><p>Set the camera or encoder to publish to \
             <code>rtmp://{host}:{port}/live/cam</code>. Where server and stream key are two \
             fields, the server is <code>rtmp://{host}:{port}/live</code> and the key \
             <code>cam</code>. The picture appears here by itself.</p></article>\n"
        ),
    )
}

fn why_no_rtmpe(w: &mut Writer<'_>, times: u64) -> Result<(), Full> {
    put(
        w,
        format_args!(
            "<article id=\"rtmpe\"><h2>RTMPE was refused</h2><p class=\"problem\">{times} \
             connections asked for <code>rtmpe://</code>. It is off unless \
             <code>rtmp.encryption</code> is set, for it hides a stream without proving who is at \
             the other end. Use <code>rtmp://</code> in this network, or \
             <code>rtmps://</code>.</p></article>\n"
        ),
    )
}

/// The host of `host:port`, with the brackets of a v6 address.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    }
}

/// Renders counters and streams as JSON.
///
/// # Errors
/// `Full` if the buffer is too small.
pub fn status_json<'a>(
    w: &mut Writer<'_>,
    streams: impl Iterator<Item = StreamView<'a>>,
    relays: &Relays,
    status: &Status,
    now: Instant,
) -> Result<(), Full> {
    put(w, format_args!("{{\"streams\":["))?;
    for (index, stream) in streams.enumerate() {
        let gap = if index > 0 { "," } else { "" };
        let (app, name) = (Json(stream.app), Json(stream.name));
        let live = stream.live;
        put(w, format_args!("{gap}{{\"app\":{app},\"name\":{name},\"live\":{live}"))?;
        let (width, height) = (stream.width, stream.height);
        let (kbit_s, since_s) = (stream.kbit_s, now.since(stream.since).as_secs());
        put(w, format_args!(",\"width\":{width},\"height\":{height},\"kbit_s\":{kbit_s}"))?;
        put(w, format_args!(",\"since_s\":{since_s},\"problem\":"))?;
        match stream.problem {
            Some(problem) => put(w, format_args!("{}}}", Json(problem)))?,
            None => put(w, format_args!("null}}"))?,
        }
    }
    put(w, format_args!("],\"relays\":["))?;
    relays.each(|index, relay| relay_json(w, index, relay, now))?;
    put(w, format_args!("],\"counters\":{{"))?;
    for (index, &counter) in Counter::ALL.iter().enumerate() {
        let gap = if index > 0 { "," } else { "" };
        put(w, format_args!("{gap}\"{}\":{}", counter.name(), status.get(counter)))?;
    }
    put(w, format_args!("}}}}\n"))
}

fn relay_json(w: &mut Writer<'_>, index: usize, relay: &Relay, now: Instant) -> Result<(), Full> {
    let gap = if index > 0 { "," } else { "" };
    let (way, name, stream) = (relay.way.name(), Json(&relay.name), Json(&relay.stream));
    put(w, format_args!("{gap}{{\"way\":\"{way}\",\"name\":{name},\"stream\":{stream}"))?;
    let (state, since_s) = (relay.state().name(), now.since(relay.since()).as_secs());
    put(w, format_args!(",\"state\":\"{state}\",\"since_s\":{since_s}"))?;
    put(w, format_args!(",\"failures\":{},\"reason\":", relay.failures()))?;
    relay.reason(|reason| match reason {
        "" => put(w, format_args!("null}}")),
        reason => put(w, format_args!("{}}}", Json(reason))),
    })
}

fn put(w: &mut Writer<'_>, text: fmt::Arguments<'_>) -> Result<(), Full> {
    Text(w).write_fmt(text).map_err(|_| Full { need: 1, have: 0 })
}

/// Text as it may stand in HTML, also between quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A string of JSON with its quotes.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// The path of a stream's playlist, percent-encoded: safe in HTML as it is.
struct StreamPath<'a>(&'a StreamView<'a>);

impl fmt::Display for StreamPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/hls/")?;
        encode(f, self.0.app)?;
        f.write_char('/')?;
        encode(f, self.0.name)?;
        f.write_str("/index.m3u8")
    }
}

fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            f.write_char(char::from(b))?;
        } else {
            write!(f, "%{b:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAM: StreamView<'_> = StreamView {
        app: "live",
        name: "cam",
        live: true,
        width: 1920,
        height: 1080,
        kbit_s: 4280,
        since: Instant(0),
        problem: None,
    };
    const FACTS: PageFacts<'_> =
        PageFacts { authority: "box:8080", rtmp_port: 1935, rtmpe_refused: 0 };

    fn rendered(streams: &[StreamView<'_>]) -> String {
        let mut buffer = vec![0; 64 << 10];
        let mut w = Writer::new(&mut buffer);
        page(&mut w, || streams.iter().copied(), &FACTS, &Relays::default()).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    fn relays() -> Relays {
        use crate::config::relay::Way;
        use crate::service::upstream::Reason;
        let relays = Relays::default();
        let relay =
            |way, name| Relay::new(way, name, "live/cam", std::rc::Rc::default(), Instant(0));
        relays.add(relay(Way::Push, "cloud")).fail(&Reason::Goodbye);
        relays.add(relay(Way::Pull, "door"));
        relays
    }

    #[test]
    fn upstreams_are_shown_with_state_and_reason() {
        let (mut buffer, streams) = (vec![0; 64 << 10], [CAM; 0]);
        let mut w = Writer::new(&mut buffer);
        page(&mut w, || streams.iter().copied(), &FACTS, &relays()).unwrap();
        let html = String::from_utf8(w.written().to_vec()).unwrap();
        assert!(html.contains("<h2>push cloud</h2><p class=\"facts\">live/cam · waiting</p>"));
        assert!(html.contains("<p class=\"problem\">upstream said goodbye</p>"));
        let mut w = Writer::new(&mut buffer);
        let status = Status::new();
        status_json(&mut w, streams.iter().copied(), &relays(), &status, Instant(0)).unwrap();
        let json = String::from_utf8(w.written().to_vec()).unwrap();
        let want = "\"relays\":[{\"way\":\"push\",\"name\":\"cloud\",\"stream\":\"live/cam\",\
            \"state\":\"waiting\",\"since_s\":0,\"failures\":1,\
            \"reason\":\"upstream said goodbye\"},{\"way\":\"pull\"";
        assert!(json.contains(want), "{json}");
    }

    #[test]
    fn page_shows_a_live_stream_with_its_address() {
        let page = rendered(&[CAM]);
        assert!(page.contains("src=\"/hls/live/cam/index.m3u8\""));
        assert!(page.contains("value=\"http://box:8080/hls/live/cam/index.m3u8\""));
        assert!(page.contains("1920×1080 · 4.3 Mbit/s"));
        assert!(!page.contains("No stream is live") && !page.contains("refresh"));
        assert!(page.contains("<p class=\"problem\" hidden></p>"));
    }

    #[test]
    fn page_starts_the_first_picture_and_no_other() {
        let page = rendered(&[CAM, StreamView { name: "two", ..CAM }]);
        let first = "autoplay src=\"/hls/live/cam/";
        let second = "preload=\"none\" src=\"/hls/live/two/";
        assert!(page.contains(first) && page.contains(second), "{page}");
        assert_eq!(page.matches("autoplay").count(), 1);
    }

    #[test]
    fn page_says_how_to_publish_when_nothing_is_live() {
        let page = rendered(&[StreamView { live: false, ..CAM }]);
        assert!(page.contains("rtmp://box:1935/live/cam"));
        assert!(page.contains("not live") && page.contains(REFRESH));
        assert!(!page.contains("<video"));
    }

    #[test]
    fn page_says_why_rtmpe_is_refused_once_somebody_asked_for_it() {
        let mut buffer = vec![0; 64 << 10];
        let mut asked = |rtmpe_refused| {
            let mut w = Writer::new(&mut buffer);
            let facts = PageFacts { rtmpe_refused, ..FACTS };
            page(&mut w, || [CAM].into_iter(), &facts, &Relays::default()).unwrap();
            String::from_utf8(w.written().to_vec()).unwrap()
        };
        assert!(!asked(0).contains("RTMPE"));
        let page = asked(3);
        assert!(page.contains("3 connections asked for <code>rtmpe://</code>"), "{page}");
        assert!(page.contains("rtmp.encryption") && page.contains("rtmps://"));
    }

    #[test]
    fn page_escapes_what_a_camera_or_a_client_chose() {
        let page =
            rendered(&[StreamView { name: "<script>\"'&", problem: Some("audio <b>"), ..CAM }]);
        assert!(page.contains("<p class=\"problem\">"));
        assert!(!page.contains("<script>\""));
        assert!(page.contains("&lt;script&gt;&quot;&#39;&amp;"));
        assert!(page.contains("/hls/live/%3Cscript%3E%22%27%26/index.m3u8"));
        assert!(page.contains("audio &lt;b&gt;"));
    }

    #[test]
    fn page_that_does_not_fit_is_an_error() {
        let mut buffer = [0; 512];
        let streams = || [CAM].into_iter();
        let outcome = page(&mut Writer::new(&mut buffer), streams, &FACTS, &Relays::default());
        assert!(outcome.is_err());
    }

    #[test]
    fn status_document_is_json_with_escaped_names() {
        let status = Status::new();
        status.add(Counter::Segments, 3);
        let odd = StreamView { name: "a\"\\\n", ..CAM };
        let mut buffer = vec![0; 16 << 10];
        let mut w = Writer::new(&mut buffer);
        let streams = [CAM, odd];
        status_json(&mut w, streams.iter().copied(), &relays(), &status, Instant(5_000_000))
            .unwrap();
        let text = core::str::from_utf8(w.written()).unwrap();
        assert!(
            text.starts_with("{\"streams\":[{\"app\":\"live\",\"name\":\"cam\",\"live\":true,")
        );
        assert!(text.contains("\"name\":\"a\\\"\\\\\\u000a\""));
        assert!(text.contains("\"since_s\":5,\"problem\":null"));
        assert!(text.contains("\"segments\":3,"));
    }

    #[test]
    fn asset_tags_differ_by_content() {
        let style = asset("/style.css").unwrap();
        let script = asset("/page.js").unwrap();
        assert_ne!(style.etag, script.etag);
        assert!(asset("/../style.css").is_none());
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}

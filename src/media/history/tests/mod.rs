//! Histories that keep every rule, and such as break one: a server in a table, a client's clock.
//!
//! `Live` is a presentation as a good server has it; a test changes one thing of it. `Bench` holds
//! what there is at which time and lets the history fetch it. `Mux` makes the segments.

mod keys;
mod live;
mod media;
mod text;
mod variants;

use super::{Allowance, Answer, Class, History, Next};
use crate::limits::{
    HISTORY_FINDINGS_MAX, HISTORY_PLACE_BYTES_MAX, HISTORY_PLAYLISTS_MAX, HISTORY_POLL_MILLIS_MAX,
    HISTORY_POLL_MILLIS_MIN,
};
use crate::time::{Instant, Ticks};
use crate::wire::ts::packet::{AdaptationField, Header, PACKET_BYTES, PAYLOAD_BYTES, Pcr};
use crate::wire::ts::pes::{HEADER_BYTES_MAX, PesHeader, STREAM_AUDIO, STREAM_VIDEO};
use crate::wire::ts::psi::{Pmt, PmtStream, STREAM_TYPE_AAC, STREAM_TYPE_H264, emit_pat, emit_pmt};
use crate::wire::writer::Writer;

/// What a server has under one address from one time on.
#[derive(Clone, Debug)]
struct Page {
    from_ms: u64,
    url: String,
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
    length: Option<u64>,
    expires_s: Option<u64>,
    is_coded: bool,
}

impl Page {
    fn new(from_ms: u64, url: &str, body: impl Into<Vec<u8>>) -> Self {
        let (url, body) = (url.to_owned(), body.into());
        let kind = if url.contains("m3u8") { "application/vnd.apple.mpegurl" } else { "" };
        Self {
            from_ms,
            url,
            status: 200,
            kind,
            body,
            length: None,
            expires_s: None,
            is_coded: false,
        }
    }

    fn gone(from_ms: u64, url: &str) -> Self {
        Self { status: 404, ..Self::new(from_ms, url, "") }
    }
}

/// A server, and a client that follows it.
struct Bench {
    history: History,
    pages: Vec<Page>,
    /// Milliseconds at which nobody takes connections.
    down: core::ops::Range<u64>,
}

impl Bench {
    fn new(url: &str, allowance: Allowance) -> Self {
        let history = History::new(url, allowance, Some(keys::decipher));
        Self { history, pages: Vec::new(), down: 0..0 }
    }

    /// Follows for so long; what is found, as `R10` or, if it is no breach, `R37 stale`.
    fn run(mut self, until_ms: u64) -> Vec<String> {
        self.drive(until_ms);
        self.history.finish();
        found(&self.history)
    }

    fn drive(&mut self, until_ms: u64) {
        let mut now = Instant(0);
        while now.0 < until_ms * 1000 {
            let want = match self.history.next(now) {
                Next::Wait(until) => {
                    assert!(until > now, "time goes on");
                    now = until;
                    continue;
                }
                Next::Fetch(want) => want,
            };
            let asked = now;
            now = Instant(now.0 + 1000);
            let ms = asked.0 / 1000;
            if self.down.contains(&ms) {
                self.history.refused(&want, now);
                continue;
            }
            let there = |page: &&Page| page.url == want.url && page.from_ms <= ms;
            let nothing = Page::gone(0, &want.url);
            let newest = self.pages.iter().filter(there).max_by_key(|page| page.from_ms);
            let page = newest.unwrap_or(&nothing);
            let answer = Answer {
                asked,
                now,
                status: page.status,
                content_type: page.kind,
                length: page.length,
                expires_s: page.expires_s,
                is_coded: page.is_coded,
                body: &page.body,
            };
            self.history.answered(&want, &answer);
        }
    }
}

fn found(history: &History) -> Vec<String> {
    let name = |f: &super::Finding| match f.class {
        Class::Breach => f.rule.to_string(),
        class => format!("{} {}", f.rule, class.word()),
    };
    history.findings().iter().map(name).collect()
}

/// A segment of a presentation.
#[derive(Clone, Debug)]
struct Segment {
    ms: u64,
    discontinuity: bool,
    /// Lines in front of EXTINF.
    tags: String,
    bytes: Vec<u8>,
}

/// A live presentation: segment `n` appears when it ends, a window of `window` is listed.
#[derive(Clone, Debug)]
struct Live {
    folder: &'static str,
    target_s: u64,
    window: usize,
    header: &'static str,
    segments: Vec<Segment>,
}

/// What a test does to the text of the version that a segment's end brings, counted from 0.
type Edit = fn(usize, String) -> String;

impl Live {
    /// Fifteen segments of 2 s whose times wrap on the way.
    fn new() -> Self {
        Self::of(&mut Mux::new(), &[2000; 15])
    }

    fn of(mux: &mut Mux, durations: &[u64]) -> Self {
        let segment = |ms: &u64| Segment {
            ms: *ms,
            discontinuity: false,
            tags: String::new(),
            bytes: mux.segment(*ms),
        };
        let segments = durations.iter().map(segment).collect();
        Self { folder: "http://box/", target_s: 2, window: 6, header: "", segments }
    }

    fn url(&self) -> String {
        format!("{}index.m3u8", self.folder)
    }

    fn segment_url(&self, n: usize) -> String {
        format!("{}{n}.ts", self.folder)
    }

    /// When segment `n` is listed.
    fn listed_ms(&self, n: usize) -> u64 {
        self.segments[..=n].iter().map(|segment| segment.ms).sum()
    }

    /// The text of the version whose last segment is `n`.
    fn text(&self, n: usize) -> String {
        let first = (n + 1).saturating_sub(self.window);
        let gone = self.segments[..first].iter().filter(|segment| segment.discontinuity).count();
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{gone}\n{}",
            self.target_s, self.header
        );
        for (number, segment) in (first..).zip(&self.segments[first..=n]) {
            if segment.discontinuity {
                text += "#EXT-X-DISCONTINUITY\n";
            }
            text += &segment.tags;
            text += &format!("#EXTINF:{}.{:03},\n", segment.ms / 1000, segment.ms % 1000);
            text += &format!("{number}.ts\n");
        }
        text
    }

    /// All pages; segments go when they may and no sooner.
    fn pages(&self, edit: Edit) -> Vec<Page> {
        let mut pages = Vec::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let at = self.listed_ms(n);
            pages.push(Page::new(at, &self.segment_url(n), segment.bytes.clone()));
            pages.push(Page::new(at, &self.url(), edit(n, self.text(n))));
            if n + self.window < self.segments.len() {
                let left = self.listed_ms(n + self.window);
                let window: u64 = self.segments[n..n + self.window].iter().map(|s| s.ms).sum();
                // A window may have listed more than this one for a moment.
                let keep = segment.ms + window + 2000;
                pages.push(Page::gone(left + keep, &self.segment_url(n)));
            }
        }
        pages
    }

    /// Its end.
    fn until_ms(&self) -> u64 {
        self.listed_ms(self.segments.len() - 1) + 1000
    }

    fn bench(&self, edit: Edit) -> Bench {
        let mut bench = Bench::new(&self.url(), Allowance::default());
        bench.pages = self.pages(edit);
        bench
    }

    /// What a client finds in it, with every text changed by `edit`.
    fn found(&self, edit: Edit) -> Vec<String> {
        self.bench(edit).run(self.until_ms())
    }
}

/// Leaves a text as it is.
fn same(_: usize, text: String) -> String {
    text
}

/// Makes segments of 25 pictures and 10 packets of audio a second.
#[derive(Clone, Debug)]
struct Mux {
    at: Ticks,
    /// Continuity counters of PAT, PMT, video, audio.
    counters: [u8; 4],
    types: [u8; 2],
    sps: u8,
    channels: u8,
    audio: u8,
}

const PIDS: [u16; 4] = [0, 0x1000, 0x100, 0x101];

impl Mux {
    /// Five seconds before the 33 bits wrap.
    fn new() -> Self {
        let types = [STREAM_TYPE_H264, STREAM_TYPE_AAC];
        Self {
            at: Ticks((1 << 33) - 450_000),
            counters: [0; 4],
            types,
            sps: 1,
            channels: 2,
            audio: 0,
        }
    }

    fn count(&mut self, which: usize) -> u8 {
        let counter = self.counters[which];
        self.counters[which] = (counter + 1) & 15;
        counter
    }

    fn tables(&mut self, out: &mut Vec<u8>) {
        let mut bytes = [0; 2 * PACKET_BYTES];
        let mut w = Writer::new(&mut bytes);
        emit_pat(&mut w, self.count(0)).unwrap();
        let stream = |at: usize| PmtStream {
            stream_type: self.types[at],
            pid: PIDS[2 + at],
            descriptors: &[],
        };
        let streams = [stream(0), stream(1)];
        let pmt = Pmt { pcr_pid: PIDS[2], version: 0, program_descriptors: &[], streams: &streams };
        let counter = self.count(1);
        emit_pmt(&mut w, &pmt, counter).unwrap();
        out.extend_from_slice(&bytes);
    }

    /// One access unit in one packet.
    fn unit(&mut self, out: &mut Vec<u8>, track: usize, at: Ticks, data: &[u8]) {
        let stream_id = if track == 0 { STREAM_VIDEO } else { STREAM_AUDIO };
        let length = (track == 1).then(|| u16::try_from(data.len()).unwrap());
        let header = PesHeader { stream_id, length, alignment: false, pts: at, dts: None };
        let mut pes = [0; HEADER_BYTES_MAX];
        let mut w = Writer::new(&mut pes);
        header.emit(&mut w).unwrap();
        let mut payload = w.written().to_vec();
        payload.extend_from_slice(data);
        let clock = Pcr::from_ticks(at.minus(Ticks(9000)));
        let adaptation =
            AdaptationField { pcr: (track == 0).then_some(clock), ..AdaptationField::STUFFING };
        let counter = self.count(2 + track);
        let pid = PIDS[2 + track];
        let header = Header { pid, start: true, adaptation: true, payload: true, counter };
        out.extend_from_slice(&header.bytes());
        let mut room = [0; PAYLOAD_BYTES];
        let total = PAYLOAD_BYTES - payload.len();
        adaptation.emit(&mut Writer::new(&mut room), total).unwrap();
        out.extend_from_slice(&room[..total]);
        out.extend_from_slice(&payload);
    }

    fn picture(&self, is_key: bool) -> Vec<u8> {
        let sps = [0, 0, 0, 1, 0x67, 0x42, self.sps, 0x1e, 0, 0, 0, 1, 0x68, 0xce, 0x80];
        let slice: &[u8] =
            if is_key { &[0, 0, 0, 1, 0x65, 0x88] } else { &[0, 0, 0, 1, 0x41, 0x9a] };
        let mut unit = vec![0, 0, 0, 1, 9, 0xf0];
        if is_key {
            unit.extend_from_slice(&sps);
        }
        unit.extend_from_slice(slice);
        unit
    }

    fn segment(&mut self, ms: u64) -> Vec<u8> {
        self.segment_of(ms, |at| at == 0)
    }

    /// A segment whose pictures are keys where `is_key` says so.
    fn segment_of(&mut self, ms: u64, is_key: fn(u64) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        self.tables(&mut out);
        for frame in 0..ms / 40 {
            let at = self.at.plus(Ticks::from_millis(i64::try_from(frame * 40).unwrap()));
            let picture = self.picture(is_key(frame));
            self.unit(&mut out, 0, at, &picture);
            if frame % 2 == 0 {
                let b3 = self.channels << 6;
                let adts = [0xff, 0xf1, 0x50, b3, 1, 0x3f, 0xfc, self.audio, 0];
                self.unit(&mut out, 1, at, &adts);
            }
        }
        self.at = self.at.plus(Ticks::from_millis(i64::try_from(ms).unwrap()));
        assert_eq!(out.len() % PACKET_BYTES, 0);
        out
    }
}

#[test]
fn a_presentation_that_keeps_every_rule_passes() {
    let live = Live::new();
    let mut bench = live.bench(same);
    bench.drive(live.until_ms());
    assert_eq!(found(&bench.history), Vec::<String>::new());
    let numbers = bench.history.numbers();
    assert_eq!((numbers.playlists, numbers.versions, numbers.segments), (1, 15, 15));
    assert!(numbers.again >= 9, "{numbers:?}");
    bench.history.finish();
    assert!(bench.history.findings().is_empty());
}

#[test]
fn findings_say_rule_weight_numbers_and_place_in_one_line() {
    let live = Live::new();
    let mut bench = live.bench(|n, text| match n {
        0..9 => text,
        _ => text.replace("TARGETDURATION:2", "TARGETDURATION:3"),
    });
    bench.drive(live.until_ms());
    let line = bench.history.findings()[0].to_string();
    let said = "R10 breach: the target duration went from 2 s to 3 s: http://box/index.m3u8";
    assert_eq!(line, said);
    assert_eq!(bench.history.findings()[0].place(), "http://box/index.m3u8");
}

#[test]
fn what_is_found_again_is_counted_and_too_much_is_not_kept() {
    use super::finding::{Report, Site};
    let mut report = Report::new(Allowance::default());
    for n in 0..HISTORY_FINDINGS_MAX + 7 {
        let place = format!("{}{n}", "ä".repeat(HISTORY_PLACE_BYTES_MAX));
        report.breach(Site::new(Instant(0), &place), 1, "x", [0; 2]);
    }
    assert_eq!((report.findings().len(), report.more()), (HISTORY_FINDINGS_MAX, 7));
    assert!(report.findings().iter().all(|f| f.place().len() <= HISTORY_PLACE_BYTES_MAX));
    let place = report.findings()[3].place().to_owned();
    report.breach(Site::new(Instant(9), &place), 1, "x", [1; 2]);
    assert_eq!((report.findings()[3].times, report.findings()[3].at), (2, Instant(0)));
    assert!(report.findings()[3].to_string().ends_with("(2 times)"));
}

#[test]
fn playlists_are_asked_for_between_the_two_bounds_of_time() {
    for (target_s, wait_ms) in [(1, 125), (2, 250), (60, HISTORY_POLL_MILLIS_MAX)] {
        let mut live = Live::of(&mut Mux::new(), &[1000]);
        live.target_s = target_s;
        let mut bench = live.bench(same);
        bench.drive(1020);
        let Next::Wait(until) = bench.history.next(Instant(1_100_000)) else {
            panic!("nothing is due");
        };
        let waited = until.0 / 1000 - 1001;
        assert!(waited.abs_diff(wait_ms) <= HISTORY_POLL_MILLIS_MIN, "{target_s} s: {waited}");
    }
}

#[test]
fn more_playlists_than_the_limit_are_not_followed() {
    let mut master = "#EXTM3U\n".to_owned();
    for n in 0..HISTORY_PLAYLISTS_MAX + 3 {
        master += &format!("#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42001e\"\n{n}/i.m3u8\n");
    }
    let mut bench = Bench::new("http://box/m.m3u8", Allowance::default());
    bench.pages.push(Page::new(0, "http://box/m.m3u8", master));
    bench.drive(50);
    let playlists = usize::try_from(bench.history.numbers().playlists).unwrap();
    assert_eq!(playlists, HISTORY_PLAYLISTS_MAX);
}

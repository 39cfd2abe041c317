//! A store that is opened again and again on one folder, and the history of what a player sees.
//!
//! `Run` is one life of the program, with a clock that begins at zero; dropping it is its end by
//! any signal, since a store does nothing when it ends. `History` is asked to look after each step
//! and holds the rules over all lives together; time runs on in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rillcast::config::settings::Draft;
use rillcast::media::sink::{Segment, Sink as _};
use rillcast::service::ledger::Ledger;
use rillcast::service::store::Store;
use rillcast::status::{Counter, Status};
use rillcast::time::{Instant, Ticks};

/// A folder on tmpfs.
pub fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// One life of the program.
pub struct Run {
    pub store: Store,
    status: Rc<Status>,
    folder: PathBuf,
    path: String,
    stream: usize,
    now: u64,
    resumes: bool,
    /// Media sequence and discontinuity sequence of the first version that was seen.
    pub first: (u64, u64),
}

impl Run {
    /// A store with the settings `pairs` on the folder as it was left.
    pub fn start(folder: &Path, epoch: u32, pairs: &[&str]) -> Self {
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.to_str().unwrap()).unwrap();
        let own = ["limits.slot_bytes=262144", "limits.streams=1", "hls.dates=false"];
        for pair in own.iter().chain(pairs) {
            draft.set_pair(pair).unwrap();
        }
        let status = Rc::new(Status::new());
        let store = Store::open(&draft.check().unwrap(), epoch, Rc::clone(&status)).unwrap();
        store.check_invariants();
        let (path, folder) = ("live/cam".to_owned(), folder.to_owned());
        let first = (u64::MAX, u64::MAX);
        Self { store, status, folder, path, stream: 0, now: 0, resumes: false, first }
    }

    /// Numbers are kept in `state` from now on.
    pub fn remember(&mut self, state: &Path) {
        self.store.set_ledger(Ledger::open(state, None));
    }

    /// The camera comes.
    pub fn publish(&mut self) {
        self.publish_as("live/cam");
    }

    /// A camera comes to `path`; what follows is about that stream.
    pub fn publish_as(&mut self, path: &str) {
        self.stream = self.store.publish(path, Instant(self.now)).unwrap();
        self.path = path.to_owned();
    }

    /// The camera was away for a moment: its next segment does not continue the last.
    pub fn resumes(&mut self) {
        self.resumes = true;
    }

    /// Lets `ms` pass, with a tick each 100 ms.
    pub fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now += 100_000;
            let now = Instant(self.now);
            self.store.tick(now);
            self.store.check_invariants();
            if let Some(job) = self.store.ledger_mut().due(now) {
                let outcome = job.run();
                self.store.ledger_mut().settle(outcome, now);
            }
        }
    }

    /// Begins a segment that is never finished.
    pub fn begin_segment(&mut self) {
        let mut sink = self.store.sink(self.stream, Instant(self.now));
        sink.begin().unwrap();
        assert!(sink.reserve(188));
        sink.room()[0] = [0xee; 188];
        sink.wrote(1);
    }

    /// Publishes a segment of `packets` after `ms` of it have passed, filled with its number.
    pub fn segment(&mut self, ms: u64, packets: usize) {
        self.wait(ms);
        let mut sink = self.store.sink(self.stream, Instant(self.now));
        sink.begin().unwrap();
        let packets = packets.min(sink.capacity() / 188);
        let mut left = packets;
        while left > 0 {
            assert!(sink.reserve(188));
            let room = sink.room();
            let n = room.len().min(left);
            room[..n].fill([packets as u8; 188]);
            sink.wrote(n);
            left -= n;
        }
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(ms as i64),
            bytes: packets * 188,
            discontinuity: std::mem::take(&mut self.resumes),
            independent: true,
            forced: false,
        });
        self.store.check_invariants();
        if let Some(text) = self.playlist().filter(|_| self.first.0 == u64::MAX) {
            let seen = Version::read(&text);
            self.first = (seen.sequence, seen.discontinuity_sequence);
        }
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }

    /// The playlist as it is served; it is what stands in the folder.
    pub fn playlist(&self) -> Option<String> {
        let view = self.store.playlist(&format!("{}/index.m3u8", self.path))?;
        let text = std::str::from_utf8(view.body).unwrap().to_owned();
        let file = fs::read_to_string(self.folder.join(&self.path).join("index.m3u8")).unwrap();
        assert_eq!(file, text);
        Some(text)
    }

    /// Names that the playlist lists.
    pub fn names(&self) -> Vec<String> {
        let text = self.playlist().unwrap_or_default();
        text.lines().filter(|line| line.ends_with(".ts")).map(str::to_owned).collect()
    }

    /// Names of the segments in the folder.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join(&self.path)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".ts")).collect();
        names.sort_by_key(|name| name.split_once('-').map(|(_, n)| (n.len(), n.to_owned())));
        names
    }

    /// The bytes of a segment, as they are served.
    pub fn fetch(&self, name: &str) -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let view = self.store.segment(&format!("{}/{name}", self.path))?;
        assert_eq!(view.generation, self.store.generation(view.slot));
        let file = self.store.file(view.slot)?.try_clone_to_owned().unwrap();
        let mut bytes = vec![0; view.bytes as usize];
        fs::File::from(file).read_exact_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }
}

/// A playlist, read by hand.
struct Version {
    target: u64,
    sequence: u64,
    discontinuity_sequence: u64,
    /// All lines of each segment, and its duration in microseconds.
    segments: Vec<(String, u64)>,
}

impl Version {
    fn read(text: &str) -> Self {
        let value = |tag: &str| -> u64 {
            let found = text.lines().find_map(|line| line.strip_prefix(tag));
            found.unwrap_or_else(|| panic!("{tag}: {text}")).parse().unwrap()
        };
        let mut segments = Vec::new();
        let (mut lines, mut micros) = (String::new(), 0);
        for line in text.lines() {
            if let Some(duration) = line.strip_prefix("#EXTINF:") {
                let (seconds, rest) = duration.split_once('.').unwrap();
                let fraction: u64 = rest.trim_end_matches(',').parse().unwrap();
                micros = seconds.parse::<u64>().unwrap() * 1_000_000 + fraction;
            }
            if line.starts_with("#EXTINF") || line == "#EXT-X-DISCONTINUITY" {
                lines += line;
                lines += "\n";
            } else if !line.starts_with('#') {
                lines += line;
                segments.push((std::mem::take(&mut lines), micros));
            }
        }
        Self {
            target: value("#EXT-X-TARGETDURATION:"),
            sequence: value("#EXT-X-MEDIA-SEQUENCE:"),
            discontinuity_sequence: value("#EXT-X-DISCONTINUITY-SEQUENCE:"),
            segments,
        }
    }
}

/// What a player has seen of one stream.
pub struct History {
    folder: PathBuf,
    last: String,
    target: Option<u64>,
    /// The lines of each number, its bytes, its discontinuity sequence number, its duration.
    known: BTreeMap<u64, Known>,
    sequence: u64,
    discontinuity_sequence: u64,
    /// Time of this run, and of those before.
    run_now: u64,
    before: u64,
    /// Whether R35 is held: slots are for one restart within a window, not for many.
    pub holds_retention: bool,
}

struct Known {
    lines: String,
    bytes: Vec<u8>,
    discontinuities: u64,
    micros: u64,
    longest: u64,
    left_at: Option<u64>,
}

impl History {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            last: String::new(),
            target: None,
            known: BTreeMap::new(),
            sequence: 0,
            discontinuity_sequence: 0,
            run_now: 0,
            before: 0,
            holds_retention: true,
        }
    }

    /// The last version that was seen.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// How many segments were seen.
    pub fn segments(&self) -> usize {
        self.known.len()
    }

    /// Numbers of the segments that a discontinuity tag applies to.
    pub fn discontinuities(&self) -> Vec<u64> {
        let marked = self.known.iter().filter(|(_, known)| known.lines.starts_with("#EXT-X-DISC"));
        marked.map(|(&sequence, _)| sequence).collect()
    }

    /// Holds what `run` shows to the rules.
    pub fn look(&mut self, run: &Run) {
        if run.now < self.run_now {
            self.before += self.run_now;
        }
        self.run_now = run.now;
        let now = self.before + run.now;
        let Some(text) = run.playlist() else { return };
        let version = Version::read(&text);
        assert_eq!(*self.target.get_or_insert(version.target), version.target, "R10: {text}");
        assert!(version.sequence >= self.sequence, "R11: {text}");
        assert!(version.discontinuity_sequence >= self.discontinuity_sequence, "R12: {text}");
        let total: u64 = version.segments.iter().map(|(_, micros)| micros).sum();
        let mut discontinuities = version.discontinuity_sequence;
        for ((lines, micros), sequence) in version.segments.iter().zip(version.sequence..) {
            assert!((micros + 500_000) / 1_000_000 <= version.target, "R9: {lines}");
            discontinuities += u64::from(lines.starts_with("#EXT-X-DISCONTINUITY"));
            let name = lines.lines().last().unwrap();
            let bytes = run.fetch(name).unwrap_or_else(|| panic!("R26: {name}"));
            let newest = self.known.keys().last().copied();
            let known = self.known.entry(sequence).or_insert_with(|| {
                assert!(newest.is_none_or(|newest| sequence == newest + 1), "R31: only appended");
                let (lines, bytes) = (lines.clone(), bytes.clone());
                let micros = *micros;
                Known { lines, bytes, discontinuities, micros, longest: 0, left_at: None }
            });
            assert_eq!(&known.lines, lines, "R31: lines of {sequence} changed");
            assert_eq!(known.bytes, bytes, "bytes of {sequence} changed");
            assert_eq!(known.discontinuities, discontinuities, "R36: of {sequence}");
            assert_eq!(known.left_at, None, "R32: {sequence} came back");
            known.longest = known.longest.max(total);
        }
        let newest = version.sequence + version.segments.len() as u64 - 1;
        assert_eq!(self.known.keys().last(), Some(&newest), "R31: the newest stays listed");
        self.kept(run, version.sequence, now);
        // Pieces that were cut are listed together: what may leave is counted from the last.
        if version.sequence > self.sequence {
            assert!(total >= 3 * version.target * 1_000_000, "R34: {text}");
        }
        self.sequence = version.sequence;
        self.discontinuity_sequence = version.discontinuity_sequence;
        self.last = text;
    }

    /// Holds what has left to R33 and R35.
    fn kept(&mut self, run: &Run, first: u64, now: u64) {
        for (sequence, known) in self.known.range_mut(..first) {
            let left_at = *known.left_at.get_or_insert(now);
            let until = left_at + known.micros + known.longest;
            let name = known.lines.lines().last().unwrap();
            if now < until && self.holds_retention {
                let bytes = run.fetch(name).unwrap_or_else(|| panic!("R35: {sequence} at {now}"));
                assert_eq!(bytes, known.bytes, "R35: {sequence} is another");
                let file = self.folder.join("live/cam").join(name);
                assert_eq!(fs::read(file).unwrap(), known.bytes, "R35: in the folder too");
            }
        }
    }
}

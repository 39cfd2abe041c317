//! Follows a live playlist over HTTP and keeps every segment once, with what the playlist said of
//! it.
//!
//! Does NOT play: it fetches as fast as segments appear, and judges each version of the playlist.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::m3u8::{self, Entry, Playlist};
use super::{es, faults, http, ts};

/// One segment as a player received it.
#[derive(Clone, Debug)]
pub struct Got {
    pub entry: Entry,
    pub bytes: Vec<u8>,
}

/// Segments taken apart, in order; counters begin anew where the playlist says so.
pub fn apart(got: &[Got]) -> impl Iterator<Item = (&Got, ts::Segment)> {
    let mut demux = ts::Demux::default();
    got.iter().map(move |one| {
        if one.entry.discontinuity {
            demux.restart();
        }
        (one, demux.segment(&one.bytes))
    })
}

/// A player that keeps everything.
pub struct Follower {
    address: SocketAddr,
    path: String,
    pub segments: Vec<Got>,
    pub last: Option<Playlist>,
    pub last_text: String,
    pub versions: usize,
    pub faults: Vec<String>,
    /// Video access units and audio frames so far.
    pub units: (usize, usize),
    /// When the playlist last changed.
    pub changed: Option<Instant>,
}

impl Follower {
    /// Nothing is fetched until [`Self::poll`].
    pub fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            address,
            path: path.to_owned(),
            segments: Vec::new(),
            last: None,
            last_text: String::new(),
            versions: 0,
            faults: Vec::new(),
            units: (0, 0),
            changed: None,
        }
    }

    /// Fetches the playlist and what is new in it; true when something was.
    pub fn poll(&mut self) -> bool {
        let answer = match http::get(self.address, &self.path) {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => {
                if self.last.is_some() {
                    self.faults.push(format!("playlist is gone: {}", answer.status));
                }
                return false;
            }
            Err(error) => {
                self.faults.push(error);
                return false;
            }
        };
        let kind = answer.header("content-type").unwrap_or("").to_ascii_lowercase();
        if !kind.starts_with("application/vnd.apple.mpegurl")
            && !kind.starts_with("application/x-mpegurl")
        {
            self.faults.push(format!("playlist's Content-Type is `{kind}`"));
        }
        let text = answer.text();
        if text == self.last_text {
            return false;
        }
        let list = match m3u8::parse(&text) {
            Ok(list) => list,
            Err(error) => {
                self.faults.push(format!("playlist: {error}\n{text}"));
                self.last_text = text;
                return false;
            }
        };
        if let Some(old) = &self.last {
            self.faults.extend(m3u8::step_faults(old, &list));
        }
        let next = self.segments.last().map_or(list.sequence, |got| got.entry.sequence + 1);
        if list.sequence > next {
            self.faults
                .push(format!("segments {next}..{} left before they were seen", list.sequence));
        }
        for entry in list.entries.iter().filter(|entry| entry.sequence >= next) {
            self.fetch(entry);
        }
        self.versions += 1;
        self.last = Some(list);
        self.last_text = text;
        self.changed = Some(Instant::now());
        true
    }

    fn fetch(&mut self, entry: &Entry) {
        match http::get(self.address, &self.resolve(&entry.uri)) {
            Ok(answer) if answer.status == 200 => {
                let kind = match entry.uri.rsplit_once('.') {
                    Some((_, "aac")) => "audio/aac",
                    Some((_, "mp3")) => "audio/mpeg",
                    _ => "video/mp2t",
                };
                if answer.header("content-type") != Some(kind) {
                    self.faults.push(format!(
                        "{}: Content-Type {:?}",
                        entry.uri,
                        answer.header("content-type")
                    ));
                }
                if kind.starts_with("audio/") {
                    self.units.1 += packed_frames(&answer.body);
                    self.segments.push(Got { entry: entry.clone(), bytes: answer.body });
                    return;
                }
                let seen = ts::Demux::default().segment(&answer.body);
                self.units.0 += seen.video_pid().map_or(0, |pid| seen.of(pid).count());
                self.units.1 += seen.audio_pid().map_or(0, |pid| {
                    let frames = |data: &[u8]| {
                        es::adts(data).or_else(|_| es::mpeg_audio(data)).map_or(0, |f| f.len())
                    };
                    seen.of(pid).map(|pes| frames(&pes.data)).sum()
                });
                self.segments.push(Got { entry: entry.clone(), bytes: answer.body });
            }
            Ok(answer) => {
                self.faults.push(format!("listed segment {}: {}", entry.uri, answer.status))
            }
            Err(error) => self.faults.push(format!("listed segment {}: {error}", entry.uri)),
        }
    }

    /// The path of a URI in the playlist.
    pub fn resolve(&self, uri: &str) -> String {
        if uri.starts_with('/') {
            return uri.to_owned();
        }
        let folder = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
        format!("{folder}{uri}")
    }

    /// Polls until `done` says so; false when the time is over first.
    pub fn until(&mut self, deadline: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::now() + deadline;
        loop {
            self.poll();
            if done(self) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails the test when any version of the playlist or any answer was wrong.
    pub fn assert_clean(&self) {
        faults::assert_none(&self.path, &self.faults);
    }
}

/// Frames of packed audio, behind its tag of 73 bytes.
fn packed_frames(bytes: &[u8]) -> usize {
    assert_eq!(&bytes[..20], b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0", "R24");
    es::adts(&bytes[73..]).or_else(|_| es::mpeg_audio(&bytes[73..])).map_or(0, |f| f.len())
}

/// A finished playlist from a folder, as if it had been followed.
pub fn from_folder(folder: &std::path::Path, name: &str) -> Result<(Playlist, Vec<Got>), String> {
    let text = std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    let list = m3u8::parse(&text)?;
    let segments = list
        .entries
        .iter()
        .map(|entry| {
            let bytes = std::fs::read(folder.join(&entry.uri))
                .map_err(|e| format!("{}: {e}", entry.uri))?;
            Ok(Got { entry: entry.clone(), bytes })
        })
        .collect::<Result<_, String>>()?;
    Ok((list, segments))
}

//! What the store says of its streams, playlists and segments to those who answer requests.
//!
//! Plain values; they hold no lock and keep nothing alive but borrows.

use crate::limits::{STREAM_AWAY_TIME_MIN, STREAM_EXPECTED_TIME, STREAM_PROBLEM_BYTES_MAX};
use crate::media::playlist::Planned;
use crate::service::store::Store;
use crate::service::store::names::{MASTER, PLAYLIST};
use crate::service::store::packed::Packed;
use crate::service::store::stream::Stream;
use crate::status::Status;
use crate::time::Instant;
use core::time::Duration;

/// A playlist as it is now.
#[derive(Clone, Copy, Debug)]
pub struct PlaylistView<'a> {
    /// The whole text.
    pub body: &'a [u8],
    /// Changes with every change of the text, also over restarts.
    pub version: u64,
    /// The file that holds it too, if it is a long one: the stream's number, and the file's.
    pub edition: Option<(usize, u64)>,
    /// Target duration in milliseconds.
    pub target_ms: u32,
    /// Seconds it may be kept; 0 if it must be asked for each time.
    pub max_age_s: u32,
    /// Whether it is the last version.
    pub is_ended: bool,
    pub(super) packed: &'a Packed,
}

impl PlaylistView<'_> {
    /// Copies the whole text into `room` as a gzip member, and says how long it is. It is
    /// compressed when a version is first asked for so. `None` if it has no room, here or there:
    /// then it is sent as it is.
    #[must_use]
    pub fn gzip(&self, room: &mut [u8], status: &Status) -> Option<usize> {
        self.packed.copy((self.version, self.body), room, status)
    }
}

/// Where a segment is and what can be said about it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentView {
    /// Slot that holds it.
    pub slot: usize,
    /// Use of the slot that it belongs to.
    pub generation: u32,
    /// Size in bytes.
    pub bytes: u64,
    /// Never the same for two segments.
    pub version: u64,
    /// When it was made, in seconds since 1970, if a clock knew.
    pub created_unix: Option<u64>,
    /// When it goes; `None` if nothing leaves its playlist any more.
    pub planned: Option<Planned>,
    /// Media type.
    pub content_type: &'static str,
}

/// What the page says about one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamView<'a> {
    /// Application, may hold slashes.
    pub app: &'a str,
    /// Name.
    pub name: &'a str,
    /// Whether a publisher is connected and a playlist is there.
    pub live: bool,
    /// Picture width in pixels, 0 if unknown.
    pub width: u32,
    /// Picture height in pixels, 0 if unknown.
    pub height: u32,
    /// Mean bit rate of the last segment, 0 if unknown.
    pub kbit_s: u32,
    /// When the publisher came.
    pub since: Instant,
    /// What is wrong with the stream and what to do, in plain words.
    pub problem: Option<&'a str>,
}

/// What the pipeline has found out about a stream, for the page.
#[derive(Clone, Debug, Default)]
pub struct StreamFacts {
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// What is wrong, in plain words.
    pub problem: heapless::String<STREAM_PROBLEM_BYTES_MAX>,
}

/// A stream whose camera is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Its path, `live/cam`.
    pub path: String,
    /// Width and height of the camera's pictures, if they are known.
    pub size: Option<(u16, u16)>,
}

impl Store {
    /// The stream with this number, if it is listed and its camera has been away for a quarter of a
    /// target duration.
    #[must_use]
    pub fn away(&self, stream: usize, now: Instant) -> Option<Away> {
        let stream = self.streams.get(stream)?.as_ref()?;
        let playlist = &stream.playlist;
        let target_ms = u64::from(playlist.target_duration_s()?) * 1000;
        let since = stream.away_since.after(Duration::from_millis(target_ms / 4));
        let is_away = stream.publisher.is_none() && playlist.is_listed() && !playlist.is_ended();
        let size = (stream.facts.width.try_into().ok(), stream.facts.height.try_into().ok());
        let size = match size {
            (Some(width), Some(height)) => Some((width, height)),
            _ => None,
        };
        let path = stream.path.as_str().to_owned();
        (is_away && now >= since).then_some(Away { path, size })
    }

    /// The stream whose place is given to the next one that has none: nobody has published it for
    /// `STREAM_AWAY_TIME_MIN`, and it has been away longest. None if there is a free place.
    #[must_use]
    pub fn evictable(&self, now: Instant) -> Option<usize> {
        if self.streams.iter().any(Option::is_none) {
            return None;
        }
        let gone = |since: &Instant| now.since(*since) >= STREAM_AWAY_TIME_MIN;
        let away =
            |stream: &Stream| stream.publisher.is_none().then_some(stream.away_since).filter(gone);
        let streams = self.streams.iter().enumerate();
        let candidates = streams.filter_map(|(i, s)| Some((i, s.as_ref().and_then(away)?)));
        Some(candidates.min_by_key(|(_, since)| *since)?.0)
    }

    /// Whether the playlist at `path`, which is not there, is expected: a camera has just begun, or
    /// the program has, and the camera was here before.
    #[must_use]
    pub fn expects(&self, path: &str, now: Instant) -> bool {
        let Some((path, PLAYLIST | MASTER)) = path.rsplit_once('/') else { return false };
        let stream = self.stream(path).and_then(|index| self.streams.get(index)?.as_ref());
        // The clock of a run begins with it. A stream that goes on lacks a master, no playlist.
        let was_here = match stream {
            Some(stream) => stream.playlist.is_listed(),
            None => self.ledger.knows(path),
        };
        let camera = stream.and_then(|stream| stream.publisher);
        let begun = camera.or(was_here.then_some(Instant(0)));
        begun.is_some_and(|since| now < since.after(STREAM_EXPECTED_TIME))
    }
}

//! What the store's files are called, which files are the store's, and what a log calls a stream.
//!
//! Formats names; touches no file.

use crate::limits::SEGMENT_NAME_BYTES_MAX;
use crate::media::container::Container;
use crate::media::playlist::{SegmentId, segment_name};
use crate::wire::writer::Writer;
use core::fmt;
use std::ffi::OsStr;

/// Name of a stream's playlist.
pub(super) const PLAYLIST: &str = "index.m3u8";

/// Name of a playlist before it is complete.
pub(super) const TEMPORARY: &str = ".index.m3u8.new";

/// Name of a stream's master playlist.
pub(super) const MASTER: &str = "master.m3u8";

/// Name of the same before it is complete.
pub(super) const MASTER_TEMPORARY: &str = ".master.m3u8.new";

/// Name of a stream's I-frame playlist.
pub(super) const I_FRAMES: &str = "iframes.m3u8";

/// Name of the same before it is complete.
pub(super) const I_FRAMES_TEMPORARY: &str = ".iframes.m3u8.new";

/// Names of the two files of a playlist that only grows; they take turns.
pub(super) const TURNS: [&str; 2] = [".index.m3u8.0", ".index.m3u8.1"];

/// Folder of the slots.
pub(super) const SLOTS: &str = ".slots";

/// The file name of a segment.
pub(super) struct SegmentName {
    name: [u8; SEGMENT_NAME_BYTES_MAX],
    bytes: usize,
}

impl SegmentName {
    pub(super) fn new(id: SegmentId) -> Self {
        let SegmentId { epoch, sequence, container } = id;
        let mut name = [0; SEGMENT_NAME_BYTES_MAX];
        let mut w = Writer::new(&mut name);
        let written = segment_name(&mut w, epoch, sequence, container);
        debug_assert!(written.is_ok());
        let bytes = w.position();
        Self { name, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.name.get(..self.bytes).unwrap_or_default()
    }
}

/// A stream's path with all but the first two characters of its key hidden.
pub(crate) fn masked(path: &str) -> impl fmt::Display {
    let (app, key) = path.rsplit_once('/').unwrap_or(("", path));
    masked_pair(app, key)
}

/// Application and name, with all but the first two characters of the name hidden.
pub(crate) fn masked_pair(app: &str, key: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "{app}/{}…", key.get(..2).unwrap_or(key)))
}

/// Digits of the number of a slot.
const SLOT_NAME_BYTES_MAX: usize = 10;

/// File name of a slot, in the folder of the slots.
pub(super) type SlotName = heapless::String<SLOT_NAME_BYTES_MAX>;

/// Names that this program makes in its folder, and no others.
pub(super) fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let segment = Container::of_name(name).is_some_and(|(_, epoch, sequence)| {
        epoch.len() == 8
            && epoch.bytes().all(|b| b.is_ascii_hexdigit())
            && sequence.bytes().all(|b| b.is_ascii_digit())
    });
    let slot = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    segment || slot || FILES.contains(&name) || TURNS.contains(&name)
}

const FILES: [&str; 6] =
    [PLAYLIST, TEMPORARY, MASTER, MASTER_TEMPORARY, I_FRAMES, I_FRAMES_TEMPORARY];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_shows_the_application_and_two_characters_of_the_key() {
        assert_eq!(masked("live/camera-7").to_string(), "live/ca…");
        assert_eq!(masked("live/hall/x").to_string(), "live/hall/x…");
    }

    #[test]
    fn longest_segment_name_fits_and_is_ours() {
        for container in Container::ALL {
            let name =
                SegmentName::new(SegmentId { epoch: u32::MAX, sequence: u64::MAX, container });
            let text = core::str::from_utf8(name.bytes()).unwrap();
            assert!(text.ends_with(container.suffix()));
            let longest = container.suffix().len() == 4;
            assert_eq!(text.len() == SEGMENT_NAME_BYTES_MAX, longest);
            assert!(is_ours(OsStr::new(text)));
        }
        assert!(FILES.iter().all(|name| is_ours(OsStr::new(name))));
        assert!(!is_ours(OsStr::new("notes.m3u8")));
    }
}

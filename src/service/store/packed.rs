//! The compressed form of one playlist: made at most once per version, and not before a viewer
//! that takes it asks.
//!
//! A box whose players do not ask for gzip pays nothing. The room is taken at start. A text longer
//! than any window of segments is not compressed: all others would wait for it with each version.
//! Whether a viewer takes it is decided elsewhere.
//! Source: rule R42, draft-pantos-http-live-streaming-12 §6.2.1.

use core::cell::RefCell;

use crate::limits::{GZIP_SHARE, PLAYLIST_BYTES_MAX};
use crate::status::{Counter, Status};
use crate::wire::gzip::gzip;
use crate::wire::writer::Writer;

/// Room for a compressed playlist.
#[derive(Debug)]
pub(super) struct Packed(RefCell<Made>);

#[derive(Debug)]
struct Made {
    room: Box<[u8]>,
    /// Which version it was made of, and how long it is unless it has no room.
    of: Option<(u64, Option<usize>)>,
}

impl Packed {
    /// Nothing yet, and room for a text of `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        let room = vec![0; Self::room(bytes)].into_boxed_slice();
        Self(RefCell::new(Made { room, of: None }))
    }

    /// Bytes of the room for a text of `bytes`.
    pub(super) const fn room(bytes: usize) -> usize {
        (if bytes < PLAYLIST_BYTES_MAX { bytes } else { PLAYLIST_BYTES_MAX }) / GZIP_SHARE
    }

    /// The text is another one's now.
    pub(super) fn forget(&mut self) {
        self.0.get_mut().of = None;
    }

    /// Copies the member that holds `text`, which is that version, into `room`; gives its bytes.
    pub(super) fn copy(
        &self,
        (version, text): (u64, &[u8]),
        room: &mut [u8],
        status: &Status,
    ) -> Option<usize> {
        let mut made = self.0.try_borrow_mut().ok()?;
        let Made { room: from, of } = &mut *made;
        let bytes = match *of {
            Some((made, bytes)) if made == version => bytes,
            _ if text.len() > PLAYLIST_BYTES_MAX => None,
            _ => {
                status.add(Counter::PlaylistsPacked, 1);
                let mut w = Writer::new(from);
                let bytes = gzip(text, &mut w).ok().map(|()| w.position());
                *of = Some((version, bytes));
                bytes
            }
        }?;
        room.get_mut(..bytes)?.copy_from_slice(from.get(..bytes)?);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no copy can stand for.
    fn noise(bytes: u32) -> Vec<u8> {
        (0..bytes).map(|n| (n * n).wrapping_mul(0x9e37_79b1).to_be_bytes()[0] & 0x7f).collect()
    }

    #[test]
    fn version_is_packed_once_however_often_it_is_asked_for() {
        let (status, mut room) = (Status::new(), [0; 600]);
        let packed = Packed::new(1_000);
        let text = "#EXTINF:2.000000,\n".repeat(20);
        let bytes = packed.copy((1, text.as_bytes()), &mut room, &status).unwrap();
        let first = room;
        assert_eq!(packed.copy((1, text.as_bytes()), &mut room, &status), Some(bytes));
        assert_eq!((first, status.get(Counter::PlaylistsPacked)), (room, 1));
        assert_eq!(packed.copy((1, text.as_bytes()), &mut room[..bytes - 1], &status), None);
        let short = packed.copy((2, b"#EXTM3U\n"), &mut room, &status).unwrap();
        assert!(short < bytes);
        assert_eq!(status.get(Counter::PlaylistsPacked), 2);
    }

    #[test]
    fn version_longer_than_any_window_is_not_packed() {
        let (status, mut room) = (Status::new(), vec![0; PLAYLIST_BYTES_MAX]);
        let packed = Packed::new(2 * PLAYLIST_BYTES_MAX);
        assert_eq!(Packed::room(2 * PLAYLIST_BYTES_MAX), PLAYLIST_BYTES_MAX / GZIP_SHARE);
        let text = vec![b'a'; PLAYLIST_BYTES_MAX + 1];
        assert_eq!(packed.copy((1, &text), &mut room, &status), None);
        assert_eq!(status.get(Counter::PlaylistsPacked), 0, "it is not tried");
        assert!(packed.copy((2, &text[1..]), &mut room, &status).is_some());
    }

    #[test]
    fn version_that_comes_out_longer_than_its_share_is_not_packed() {
        let (status, mut room) = (Status::new(), [0; 2_000]);
        let mut packed = Packed::new(1_000);
        assert_eq!(Packed::room(1_000), 1_000 / GZIP_SHARE);
        assert_eq!(packed.copy((7, &noise(700)), &mut room, &status), None);
        assert_eq!(packed.copy((7, &noise(700)), &mut room, &status), None);
        assert_eq!(status.get(Counter::PlaylistsPacked), 1, "it is tried once");
        packed.forget();
        assert!(packed.copy((7, &noise(400)), &mut room, &status).is_some());
    }
}

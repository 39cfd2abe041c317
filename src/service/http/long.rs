//! A playlist that is too long for the output buffer: sent from its file, as segments are from
//! theirs.
//!
//! What a file of a playlist holds does not change, so that nothing has to be held; a version that
//! was replaced more than once while it was sent is gone, and the answer is reset. For viewers with
//! a key the lines are read and rewritten piece by piece, each time the socket takes some, so that
//! no answer has memory of its own.

use super::answer::{Answer, Desk, Part};
use super::guard;
use crate::config::secret::Secret;
use crate::limits::{HTTP_HEAD_OUT_BYTES, HTTP_PIECE_BYTES};
use crate::proto::http::{Request, Resource, Verdict, judge};
use crate::service::store::PlaylistView;
use crate::status::Counter;
use crate::storage::widen;
use crate::sys::net::{self, Transfer};
use crate::wire::http::{EntityTag, Method, ResponseHead};
use crate::wire::writer::Writer;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;

/// Where a part is sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A slot, and its use.
    Slot { slot: usize, generation: u32 },
    /// The file of a playlist.
    Text { edition: (usize, u64) },
    /// The same for a viewer with a key; `skip` bytes of the next piece are sent.
    Keyed { edition: (usize, u64), skip: usize },
}

impl Desk {
    /// A playlist from its file.
    pub(super) fn long(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        playlist: &PlaylistView<'_>,
        key: Option<&Secret>,
    ) -> Answer {
        let Some(edition) = playlist.edition else { return self.too_much(head, request) };
        let (source, bytes) = match key {
            None => (Source::Text { edition }, playlist.body.len()),
            Some(key) => {
                let bytes = self.keyed_bytes(playlist.body, key);
                (Source::Keyed { edition, skip: 0 }, bytes)
            }
        };
        let etag = EntityTag(playlist.version);
        let resource = Resource { etag, modified: None, bytes: widen(bytes), ranges: false };
        let head = ResponseHead { date: self.date, etag: Some(etag), ..head };
        if judge(request, &resource, self.wall) == Verdict::NotModified {
            return self.not_modified(head);
        }
        let head = ResponseHead { content_length: Some(widen(bytes)), ..head };
        let mut answer = self.compose(&head, 0);
        if request.method == Method::Get {
            answer.part = Some(Part { source, at: 0, end: widen(playlist.body.len()) });
        }
        answer
    }

    /// Bytes of a playlist whose addresses end with the key.
    fn keyed_bytes(&mut self, body: &[u8], key: &Secret) -> usize {
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        let (mut rest, mut bytes) = (body, 0);
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(whole_lines(rest));
            bytes += guard::with_key(piece, key, &mut Writer::new(room));
            rest = more;
        }
        bytes
    }
}

impl Part {
    /// The slot that has to be held while it is sent, and its use.
    pub(super) const fn slot(&self) -> Option<(usize, u32)> {
        match self.source {
            Source::Slot { slot, generation } => Some((slot, generation)),
            Source::Text { .. } | Source::Keyed { .. } => None,
        }
    }

    /// Sends from the file, at most `most` bytes; `None` if it holds something else now.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        desk: &mut Desk,
        most: u64,
    ) -> Option<Transfer> {
        let count = usize::try_from((self.end - self.at).min(most)).unwrap_or(usize::MAX);
        let store = desk.store.borrow();
        let file = match self.source {
            Source::Slot { slot, generation } if store.generation(slot) != generation => {
                return None;
            }
            Source::Slot { slot, .. } => store.file(slot)?,
            Source::Text { edition } => store.edition(edition)?.as_fd(),
            Source::Keyed { edition, skip } => {
                drop(store);
                return self.send_keyed(socket, desk, edition, skip);
            }
        };
        let moved = net::transmit_file(socket, file, self.at, count);
        if let Transfer::Moved(n) = moved {
            self.at += widen(n);
            desk.status.add(Counter::HttpBytesOut, widen(n));
        }
        Some(moved)
    }

    /// Sends the next piece with its key, but for the `skip` bytes of it that are sent.
    fn send_keyed(
        &mut self,
        socket: BorrowedFd<'_>,
        desk: &mut Desk,
        edition: (usize, u64),
        skip: usize,
    ) -> Option<Transfer> {
        let store = desk.store.borrow();
        let key = desk.door.as_ref()?.play_key(store.path(edition.0)?)?;
        let (raw, room) = desk.out.split_at_mut(HTTP_PIECE_BYTES);
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let raw = raw.get_mut(..left.min(HTTP_PIECE_BYTES))?;
        store.edition(edition)?.read_exact_at(raw, self.at).ok()?;
        let piece = raw.get(..whole_lines(raw))?;
        let mut w = Writer::new(room);
        if guard::with_key(piece, key, &mut w) == 0 {
            return None;
        }
        let more = self.at + widen(piece.len()) < self.end;
        let moved = net::transmit(socket, w.written().get(skip..)?, more);
        if let Transfer::Moved(n) = moved {
            let sent = skip + n;
            let is_whole = sent == w.position();
            self.at += if is_whole { widen(piece.len()) } else { 0 };
            self.source = Source::Keyed { edition, skip: if is_whole { 0 } else { sent } };
            desk.status.add(Counter::HttpBytesOut, widen(n));
        }
        Some(moved)
    }
}

/// Bytes of the lines that are whole in a piece of `text`; all of it if it has no line end.
fn whole_lines(text: &[u8]) -> usize {
    let piece = text.get(..HTTP_PIECE_BYTES).unwrap_or(text);
    piece.iter().rposition(|byte| *byte == b'\n').map_or(piece.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_ends_with_a_line() {
        assert_eq!(whole_lines(b"a\nbc\nd"), 5);
        assert_eq!(whole_lines(b"abc"), 3);
        let long = [b"x".repeat(HTTP_PIECE_BYTES - 1), b"\n\n".to_vec()].concat();
        assert_eq!(whole_lines(&long), HTTP_PIECE_BYTES);
    }
}

//! One playlist as it is served and as it stands in the folder.
//!
//! A fixed buffer, written whole for each version; the file is replaced by rename, so that nobody
//! ever reads half of one (rule R30). `scroll` writes long ones in parts instead. Beside it is room
//! for its compressed form. Knows no playlist rules. Source: RFC 8216 §6.2.1.

use crate::service::store::names::masked;
use crate::service::store::packed::Packed;
use crate::service::store::scroll::Scroll;
use crate::sys::folder::Folder;
use crate::wire::writer::{Full, Writer};

/// The text of one playlist, and the room it is written in.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) room: Box<[u8]>,
    pub(super) start: usize,
    pub(super) bytes: usize,
    /// How a long one is written.
    pub(super) scroll: Scroll,
    pub(super) packed: Packed,
}

impl Text {
    /// No version yet, and room for `bytes` of one.
    pub(super) fn new(bytes: usize) -> Self {
        let room = vec![0; bytes].into_boxed_slice();
        let packed = Packed::new(bytes);
        Self { room, start: 0, bytes: 0, scroll: Scroll::new(), packed }
    }

    /// Private memory of a text with room for `bytes`, in bytes.
    pub(super) const fn footprint(bytes: usize) -> usize {
        bytes + Packed::room(bytes)
    }

    /// There is no version again.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.bytes = 0;
        self.scroll = Scroll::new();
        self.packed.forget();
    }

    /// Takes a new version, as `emit` writes it, and puts it into `folder` under `name`. One that
    /// does not fit is cut off and said so; a folder that takes none is said so too.
    pub(super) fn replace(
        &mut self,
        (folder, name, temporary): (Option<&Folder>, &str, &str),
        stream: &str,
        emit: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) {
        let mut w = Writer::new(&mut self.room);
        let emitted = emit(&mut w);
        self.bytes = w.position();
        if emitted.is_err() {
            let (stream, room) = (masked(stream), self.room.len());
            log::error!("playlist is longer than {room} bytes stream={stream} name={name}");
        }
        if let Some(folder) = folder
            && let Err(cause) = folder.replace(name.as_bytes(), temporary.as_bytes(), self.body())
        {
            let stream = masked(stream);
            log::error!("playlist cannot be written stream={stream} name={name} cause=\"{cause}\"");
        }
    }

    /// The version there is; empty if there is none.
    pub(super) fn body(&self) -> &[u8] {
        self.room.get(self.start..self.bytes).unwrap_or_default()
    }

    /// Its compressed form, made when it is first asked for.
    pub(super) const fn packed(&self) -> &Packed {
        &self.packed
    }
}

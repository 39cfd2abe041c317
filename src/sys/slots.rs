//! A slot: a file of the segment folder, mapped once and written again and again.
//!
//! Allocating and zeroing pages is what a segment on tmpfs costs; a slot keeps its pages from one
//! segment to the next. Its file is always exactly as long as the segment in it, so that any
//! program may read it: the end is cut off when a segment is done, and grown again, in steps and
//! with `fallocate`, when the next one is longer. A full tmpfs is so an error here and never a
//! fault on access. Knows no names and no playlists.

use crate::limits::SLOT_STEP_BYTES;
use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::ftruncate;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// One mapped file.
#[derive(Debug)]
pub struct Slot {
    file: File,
    map: MmapMut,
    /// Bytes of the file that have pages; what lies behind must not be touched.
    allocated: usize,
}

impl Slot {
    /// Creates the file at `path` with pages for `capacity` bytes, and maps it.
    ///
    /// # Errors
    /// The file cannot be made, or there is no room for its pages.
    pub fn create(path: &Path, capacity: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(true).mode(0o644).open(path)?;
        let map = map(&file, capacity)?;
        let mut slot = Self { file, map, allocated: 0 };
        slot.grow(capacity)?;
        Ok(slot)
    }

    /// Takes over a file that was a slot before, whatever its length, with the segment in it.
    ///
    /// # Errors
    /// There are no addresses for `capacity` bytes.
    pub fn adopt(file: File, capacity: usize) -> io::Result<Self> {
        let map = map(&file, capacity)?;
        // It may have holes: what is written is reserved anew.
        Ok(Self { file, map, allocated: 0 })
    }

    /// Makes sure that the first `bytes` of the slot can be written.
    ///
    /// # Errors
    /// `EFBIG` beyond the capacity, `ENOSPC` if the tmpfs is full; nothing is changed then.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Errno> {
        if bytes <= self.allocated {
            return Ok(());
        }
        if bytes > self.map.len() {
            return Err(Errno::EFBIG);
        }
        self.grow(bytes.next_multiple_of(SLOT_STEP_BYTES).min(self.map.len()))
    }

    /// The bytes from `from` to the end of what was reserved.
    pub fn bytes_mut(&mut self, from: usize) -> &mut [u8] {
        debug_assert!(self.allocated <= self.map.len());
        self.map.get_mut(from..self.allocated).unwrap_or_default()
    }

    /// Cuts the file off behind `bytes`: the segment is done.
    ///
    /// # Errors
    /// The kernel's; the file may then be longer than the segment.
    pub fn end(&mut self, bytes: usize) -> Result<(), Errno> {
        let bytes = bytes.min(self.allocated);
        ftruncate(&self.file, offset(bytes))?;
        self.allocated = bytes;
        Ok(())
    }

    /// Gives the slot new pages: somebody may still hold the old ones, which stay as they are
    /// until he lets go.
    ///
    /// # Errors
    /// The kernel's; the slot may then be empty, and `reserve` fails if the tmpfs is full.
    pub fn renew(&mut self) -> Result<(), Errno> {
        self.end(0)
    }

    /// The file, to send from.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Bytes that can be written at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.map.len()
    }

    /// Bytes that have pages.
    #[must_use]
    pub const fn allocated(&self) -> usize {
        self.allocated
    }

    fn grow(&mut self, to: usize) -> Result<(), Errno> {
        let flags = FallocateFlags::empty();
        // Only the new range: what lies before has its pages.
        fallocate(&self.file, flags, offset(self.allocated), offset(to - self.allocated))?;
        self.allocated = to;
        Ok(())
    }
}

#[expect(unsafe_code, reason = "a mapped file is the one place where memory is shared")]
fn map(file: &File, bytes: usize) -> io::Result<MmapMut> {
    // SAFETY: the file was made by us, in this run or one before, in a folder that only our user
    // may write. `Slot` hands out no byte behind `allocated`, whose pages `fallocate` has taken, so
    // no access can fault; and it hands out bytes only through `&mut self`. Other processes map
    // the file for reading at most.
    unsafe { MmapOptions::new().len(bytes).map_mut(file) }
}

fn offset(bytes: usize) -> nix::libc::off_t {
    nix::libc::off_t::try_from(bytes).unwrap_or(nix::libc::off_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(capacity: usize) -> (tempfile::TempDir, std::path::PathBuf, Slot) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("0");
        let slot = Slot::create(&path, capacity).unwrap();
        (folder, path, slot)
    }

    #[test]
    fn slot_file_is_as_long_as_its_segment() {
        let (_folder, path, mut slot) = slot(1 << 20);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
        slot.bytes_mut(0)[..4].copy_from_slice(b"abcd");
        slot.end(4).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
        slot.reserve(10).unwrap();
        slot.bytes_mut(4)[..3].copy_from_slice(b"efg");
        slot.end(7).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdefg");
    }

    #[test]
    fn slot_refuses_more_than_its_capacity() {
        let (_folder, _path, mut slot) = slot(SLOT_STEP_BYTES + 5);
        assert_eq!(slot.reserve(SLOT_STEP_BYTES + 6), Err(Errno::EFBIG));
        slot.end(0).unwrap();
        assert!(slot.bytes_mut(0).is_empty());
        slot.reserve(SLOT_STEP_BYTES + 5).unwrap();
        assert_eq!(slot.bytes_mut(0).len(), SLOT_STEP_BYTES + 5);
    }

    #[test]
    fn slot_adopted_keeps_its_segment_until_it_is_written_again() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("0");
        for (before, capacity) in [(5, 1 << 16), (1 << 16, 5000)] {
            std::fs::write(&path, vec![7; before]).unwrap();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let mut slot = Slot::adopt(file, capacity).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; before]);
            assert!(slot.bytes_mut(0).is_empty());
            slot.reserve(4000).unwrap();
            slot.bytes_mut(0)[..3].copy_from_slice(b"new");
            slot.end(3).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
        }
    }

    #[test]
    fn slot_renewed_leaves_old_pages_to_those_who_hold_them() {
        use std::os::unix::fs::FileExt as _;
        let (_folder, path, mut slot) = slot(1 << 16);
        slot.bytes_mut(0)[..3].copy_from_slice(b"old");
        slot.end(3).unwrap();
        // A pipe holds the page by reference, as a socket's send queue does.
        let reader = File::open(&path).unwrap();
        let (out, input) = nix::unistd::pipe().unwrap();
        let flags = nix::fcntl::SpliceFFlags::empty();
        nix::fcntl::splice(&reader, None, &input, None, 3, flags).unwrap();
        slot.renew().unwrap();
        slot.reserve(3).unwrap();
        slot.bytes_mut(0)[..3].copy_from_slice(b"new");
        let mut seen = [0; 3];
        nix::unistd::read(&out, &mut seen).unwrap();
        assert_eq!(&seen, b"old");
        reader.read_exact_at(&mut seen, 0).unwrap();
        assert_eq!(&seen, b"new");
    }
}

//! A slot: a file of the segment folder, mapped once and written again and again.
//!
//! Allocating and zeroing pages is what a segment on tmpfs costs; a slot keeps its pages from one
//! segment to the next. Its file is always exactly as long as the segment in it, so that any
//! program may read it: the end is cut off when a segment is done, and grown again, in steps and
//! with `fallocate`, when the next one is longer. A full tmpfs is so an error here and never a
//! fault on access.
//!
//! A slot that is not needed every minute can be closed: its pages stay in its file, and neither
//! descriptor nor address is taken for it until it is opened again. Knows no playlists.

use crate::limits::SLOT_STEP_BYTES;
use crate::sys::folder::Folder;
use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::ftruncate;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// One file, mapped while it is open for writing.
#[derive(Debug)]
pub struct Slot {
    file: Option<File>,
    map: Option<MmapMut>,
    capacity: usize,
    /// Bytes of the file that have pages; what lies behind must not be touched.
    allocated: usize,
}

impl Slot {
    /// Creates the file at `path` with pages for `capacity` bytes, and maps it.
    ///
    /// # Errors
    /// The file cannot be made, or there is no room for its pages.
    pub fn create(path: &Path, capacity: usize) -> io::Result<Self> {
        Self::create_with(path, capacity, capacity)
    }

    /// As `create`, with pages for `bytes` of the `capacity`.
    ///
    /// # Errors
    /// As `create`.
    pub fn create_with(path: &Path, capacity: usize, bytes: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(true).mode(0o644).open(path)?;
        let map = Some(map(&file, capacity)?);
        let mut slot = Self { file: Some(file), map, capacity, allocated: 0 };
        slot.grow(bytes.min(capacity))?;
        Ok(slot)
    }

    /// A slot without a file: `open` makes it.
    #[must_use]
    pub const fn unmade(capacity: usize) -> Self {
        Self { file: None, map: None, capacity, allocated: 0 }
    }

    /// Opens the file, which is `name` in `folder`, to be sent from; and maps it if it is to be
    /// written.
    ///
    /// # Errors
    /// The kernel's: descriptors or addresses are used up.
    pub fn open(&mut self, folder: &Folder, name: &[u8], writes: bool) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(folder.create(name)?);
        }
        if let Some(file) = self.file.as_ref().filter(|_| writes && self.map.is_none()) {
            self.map = Some(map(file, self.capacity)?);
        }
        Ok(())
    }

    /// Gives descriptor and addresses back; the pages stay in the file.
    pub fn close(&mut self) {
        self.map = None;
        self.file = None;
    }

    /// Removes the file: its pages go when nobody refers to them any more. `open` makes another.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmake(&mut self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        self.close();
        if core::mem::take(&mut self.allocated) > 0 { folder.remove(name) } else { Ok(()) }
    }

    /// Takes over a file that was a slot before, with the segment of `bytes` in it, and maps it.
    ///
    /// # Errors
    /// There are no addresses for `capacity` bytes, or no pages where the file has holes.
    pub fn adopt(file: File, capacity: usize, bytes: usize) -> io::Result<Self> {
        let map = Some(map(&file, capacity)?);
        let mut slot = Self { file: Some(file), map, capacity, allocated: 0 };
        slot.grow(bytes.min(capacity))?;
        Ok(slot)
    }

    /// Makes sure that the first `bytes` of the slot can be written.
    ///
    /// # Errors
    /// `EFBIG` beyond the capacity, `ENOSPC` if the tmpfs is full; nothing is changed then.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Errno> {
        if bytes <= self.allocated {
            return Ok(());
        }
        if bytes > self.capacity {
            return Err(Errno::EFBIG);
        }
        self.grow(self.step(bytes))
    }

    /// Bytes that have pages once `bytes` are reserved.
    #[must_use]
    pub const fn step(&self, bytes: usize) -> usize {
        let step = bytes.next_multiple_of(SLOT_STEP_BYTES);
        if step < self.capacity { step } else { self.capacity }
    }

    /// The bytes from `from` to the end of what was reserved; none while it is not open.
    pub fn bytes_mut(&mut self, from: usize) -> &mut [u8] {
        debug_assert!(self.allocated <= self.capacity);
        let map = self.map.as_mut();
        map.and_then(|map| map.get_mut(from..self.allocated)).unwrap_or_default()
    }

    /// Cuts the file off behind `bytes`: the segment is done.
    ///
    /// # Errors
    /// The kernel's; the file may then be longer than the segment.
    pub fn end(&mut self, bytes: usize) -> Result<(), Errno> {
        let bytes = bytes.min(self.allocated);
        ftruncate(self.file.as_ref().ok_or(Errno::EBADF)?, offset(bytes))?;
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

    /// The file, to send from, while it is open.
    #[must_use]
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(File::as_fd)
    }

    /// Bytes that can be written at most.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that have pages.
    #[must_use]
    pub const fn allocated(&self) -> usize {
        self.allocated
    }

    fn grow(&mut self, to: usize) -> Result<(), Errno> {
        if to == self.allocated {
            return Ok(());
        }
        let flags = FallocateFlags::empty();
        // Only the new range: what lies before has its pages.
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        fallocate(file, flags, offset(self.allocated), offset(to - self.allocated))?;
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
    fn slot_that_was_closed_has_its_segment_and_is_written_again() {
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let mut slot = Slot::unmade(1 << 20);
        assert!(slot.file().is_none() && slot.bytes_mut(0).is_empty());
        assert_eq!(slot.reserve(5), Err(Errno::EBADF));
        slot.open(&folder, b"7", true).unwrap();
        slot.reserve(5).unwrap();
        slot.bytes_mut(0)[..5].copy_from_slice(b"first");
        slot.end(5).unwrap();
        slot.close();
        assert!(slot.file().is_none() && slot.bytes_mut(0).is_empty());
        assert_eq!(slot.allocated(), 5);
        assert_eq!(std::fs::read(root.path().join("7")).unwrap(), b"first");
        slot.open(&folder, b"7", false).unwrap();
        assert!(slot.file().is_some() && slot.bytes_mut(0).is_empty(), "not to be written");
        slot.open(&folder, b"7", true).unwrap();
        assert_eq!(slot.bytes_mut(0), b"first");
        slot.unmake(&folder, b"7").unwrap();
        slot.unmake(&folder, b"7").unwrap();
        assert!(!root.path().join("7").exists());
        assert_eq!(slot.allocated(), 0);
    }

    #[test]
    fn slot_adopted_keeps_its_segment_until_it_is_written_again() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("0");
        for (before, capacity) in [(5, 1 << 16), (1 << 16, 5000)] {
            std::fs::write(&path, vec![7; before]).unwrap();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let mut slot = Slot::adopt(file, capacity, before).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; before]);
            assert_eq!(slot.allocated(), before.min(capacity), "no byte without a page");
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

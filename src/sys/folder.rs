//! A folder that is kept open: names in it are linked, read, replaced and removed without a path.
//!
//! The kernel looks one name up instead of a whole path, and nothing is allocated: names come as
//! bytes and are made into C strings on the stack. Writing to a file on tmpfs does not block.
//! Knows nothing of what the names mean.
//! Source: openat(2), linkat(2), renameat(2), unlinkat(2).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat};

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

impl Folder {
    /// Opens the folder at `path`, which must be one and no link to one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        Ok(Self { fd: open(path, flags, Mode::empty())? })
    }

    /// Gives the file `from` of this folder the name `name` in `folder` as well, whatever bore
    /// that name before. A reader finds the old file, none for a moment, or the new one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn link(&self, from: &[u8], folder: &Self, name: &[u8]) -> io::Result<()> {
        let link = || linkat(&self.fd, from, &folder.fd, name, AtFlags::empty());
        match link() {
            Err(Errno::EEXIST) => {
                folder.remove(name)?;
                Ok(link()?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Takes the name of a file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Opens the file `name`, to be read and written; makes it if it is not there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        Ok(File::from(openat(&self.fd, name, flags, mode)?))
    }

    /// A new, empty file `name`, whatever bore that name before: who has that open keeps it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn fresh(&self, name: &[u8]) -> io::Result<File> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => self.create(name),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Puts a file holding `bytes` in place of `name` at one stroke; it is written as `temporary`
    /// first, so that a reader finds the whole old file or the whole new one. Gives the file.
    ///
    /// # Errors
    /// The kernel's; the old file is then still there.
    pub fn replace(&self, name: &[u8], temporary: &[u8], bytes: &[u8]) -> io::Result<File> {
        let mut file = self.fresh(temporary)?;
        file.write_all(bytes)?;
        renameat(&self.fd, temporary, &self.fd, name)?;
        Ok(file)
    }

    /// Makes the file `from` bear `name` too, at one stroke, in place of another file; for a moment
    /// it is `temporary` as well.
    ///
    /// # Errors
    /// The kernel's; the other file is then still there.
    pub fn rename_link(&self, from: &[u8], temporary: &[u8], name: &[u8]) -> io::Result<()> {
        self.link(from, self, temporary)?;
        Ok(renameat(&self.fd, temporary, &self.fd, name)?)
    }

    /// The same for storage that can lose its power at any moment: there is a whole file under
    /// `name` from first to last, the old one or the new one, and when this returns the new one
    /// stays. The old one is kept as `previous`, if it is to be and the file system has links.
    /// Blocks for as long as the storage takes.
    ///
    /// # Errors
    /// The kernel's; the old file is then still there.
    pub fn replace_durably(
        &self,
        name: &[u8],
        (temporary, previous): (&[u8], Option<&[u8]>),
        bytes: &[u8],
    ) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let mut file = File::from(openat(&self.fd, temporary, flags | OFlag::O_NOFOLLOW, mode)?);
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        // The first has none before it, and FAT has no links.
        let _kept = previous.map(|previous| self.link(name, self, previous));
        renameat(&self.fd, temporary, &self.fd, name)?;
        Ok(fsync(&self.fd)?)
    }

    /// Opens a file in the folder, for reading, and for writing if `writable`. Links and what is no
    /// file are refused; a pipe is not waited for.
    ///
    /// # Errors
    /// The kernel's, or `InvalidInput` for what is no file.
    pub fn file(&self, name: &[u8], writable: bool) -> io::Result<File> {
        let access = if writable { OFlag::O_RDWR } else { OFlag::O_RDONLY };
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// The whole of a file of at most `max` bytes.
    ///
    /// # Errors
    /// As `file`, or `FileTooLarge`.
    pub fn read(&self, name: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let file = self.file(name, false)?;
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folder_links_replaces_and_removes_by_name() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("a")).unwrap();
        fs::create_dir(path("b")).unwrap();
        fs::write(path("a/0"), b"zero").unwrap();
        fs::write(path("a/1"), b"one").unwrap();
        let (a, b) = (Folder::open(&path("a")).unwrap(), Folder::open(&path("b")).unwrap());
        a.link(b"0", &b, b"x.ts").unwrap();
        assert_eq!(fs::read(path("b/x.ts")).unwrap(), b"zero");
        a.link(b"1", &b, b"x.ts").unwrap();
        assert_eq!(fs::read(path("b/x.ts")).unwrap(), b"one");
        b.remove(b"x.ts").unwrap();
        assert!(!path("b/x.ts").exists());
        assert_eq!(fs::read(path("a/1")).unwrap(), b"one");
        assert_eq!(b.remove(b"x.ts").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn folder_replaces_a_file_whole_and_leaves_the_old_one_to_its_readers() {
        use std::io::Read as _;
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        folder.replace(b"list", b".list.new", b"a long first text").unwrap();
        let mut old = File::open(root.path().join("list")).unwrap();
        folder.replace(b"list", b".list.new", b"short").unwrap();
        assert_eq!(fs::read(root.path().join("list")).unwrap(), b"short");
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a long first text");
        assert!(!root.path().join(".list.new").exists());
    }

    #[test]
    fn folder_renames_a_link_and_leaves_the_old_file_to_its_readers() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for turn in [b"a", b"b", b"a"] {
            use std::io::Read as _;
            let before = File::open(root.path().join("list"));
            folder.create(turn).unwrap().write_all(turn).unwrap();
            folder.rename_link(turn, b".new", b"list").unwrap();
            assert_eq!(fs::read(root.path().join("list")).unwrap(), turn);
            assert!(!root.path().join(".new").exists());
            let mut seen = Vec::new();
            before.map(|mut file| file.read_to_end(&mut seen).unwrap()).unwrap_or_default();
            assert!(seen != turn, "{seen:?}");
        }
        folder.fresh(b"a").unwrap();
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"");
        assert_eq!(fs::read(root.path().join("list")).unwrap(), b"a");
    }

    #[test]
    fn folder_replaces_durably_and_keeps_the_file_before() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let names = (&b"n.new"[..], Some(&b"n.old"[..]));
        let put = |bytes: &[u8]| folder.replace_durably(b"n", names, bytes).unwrap();
        put(b"first");
        assert!(!root.path().join("n.old").exists());
        for (new, old) in [(&b"second"[..], &b"first"[..]), (b"3", b"second")] {
            put(new);
            assert_eq!(folder.read(b"n", 6).unwrap(), new);
            assert_eq!(folder.read(b"n.old", 6).unwrap(), old);
            assert!(!root.path().join("n.new").exists());
        }
    }

    #[test]
    fn folder_reads_files_of_a_size_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        fs::write(root.path().join("file"), b"12345").unwrap();
        std::os::unix::fs::symlink("file", root.path().join("link")).unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        nix::unistd::mkfifo(&root.path().join("pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert_eq!(folder.read(b"file", 5).unwrap(), b"12345");
        assert_eq!(folder.read(b"file", 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for name in [&b"link"[..], b"folder", b"pipe", b"none"] {
            assert!(folder.read(name, 5).is_err());
        }
        assert!(folder.file(b"file", true).unwrap().write_all(b"9").is_ok());
    }

    #[test]
    fn folder_is_not_opened_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert!(Folder::open(&link).is_err());
        assert!(Folder::open(&root.path().join("none")).is_err());
    }
}

//! The folder of the segments: what it lies on, that it is ours, and that nothing stays in it.
//!
//! Segments belong in memory: on flash they would wear it out. `Facts` tells whether they are
//! and whether there is room for all slots before the first is taken. Left-over files of an
//! earlier run are removed, and nothing else ever: the caller says which files are ours, links
//! are not followed, and a folder that belongs to another user is refused (anybody may make a
//! folder in `/dev/shm`). A second process on the same folder is refused by `Claim`. Called at
//! start only; these calls may block. Source: statfs(2), statvfs(2), tmpfs(5).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::statfs;
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::limits::{LEFTOVER_DEPTH_MAX, LEFTOVERS_MAX};

/// What a folder lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether it is a tmpfs or ramfs.
    pub in_memory: bool,
    /// Bytes of the whole file system; none when it has no limit of its own.
    pub bytes_size: Option<u64>,
    /// Bytes that we may still take; none when it has no limit of its own.
    pub bytes_free: Option<u64>,
}

impl Facts {
    /// Asks the kernel about the file system under `folder`.
    ///
    /// # Errors
    /// The folder is not there or may not be looked at.
    pub fn read(folder: &Path) -> Result<Self, TmpfsError> {
        let fault = |errno: nix::Error| TmpfsError::io(folder, errno.into());
        let magic = magic(statfs(folder).map_err(fault)?.filesystem_type().0);
        let size = statvfs(folder).map_err(fault)?;
        let fragment = wide(size.fragment_size());
        let bytes = |blocks| wide(blocks) * fragment;
        // A ramfs and a tmpfs of size 0 have no blocks of their own: they grow with the memory.
        let limited = wide(size.blocks()) > 0;
        Ok(Self {
            in_memory: magic == TMPFS_MAGIC || magic == RAMFS_MAGIC,
            bytes_size: limited.then(|| bytes(size.blocks())),
            bytes_free: limited.then(|| bytes(size.blocks_available())),
        })
    }

    /// Checks that `need` bytes are still free under `folder`.
    ///
    /// # Errors
    /// `TmpfsError::Full`.
    pub fn require(&self, folder: &Path, need: u64) -> Result<(), TmpfsError> {
        match self.bytes_free {
            Some(free) if free < need => Err(TmpfsError::Full {
                path: folder.to_owned(),
                need_mib: need.div_ceil(1 << 20),
                free_mib: free >> 20,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Makes a folder and those above it that are missing, each with `mode` less the umask; one that
/// is there already is taken when it is a folder of ours.
///
/// # Errors
/// It cannot be made, or what is there is a link, a file or another user's.
pub fn create_folder(folder: &Path, mode: u32) -> Result<(), TmpfsError> {
    let mut builder = DirBuilder::new();
    let outcome = builder.recursive(true).mode(mode).create(folder);
    outcome.map_err(|cause| TmpfsError::io(folder, cause))?;
    require_ours(folder)
}

/// The right to write in a folder; it ends with the value, and with the process however that ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl Claim {
    /// Takes the right to `folder` for this process alone. The lock is on the folder itself, so
    /// that nothing is left behind in it.
    ///
    /// # Errors
    /// `TmpfsError::Taken` if another process has it, or the folder cannot be opened.
    pub fn take(folder: &Path) -> Result<Self, TmpfsError> {
        let opened = File::open(folder).map_err(|cause| TmpfsError::io(folder, cause))?;
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Err(TmpfsError::Taken { path: folder.to_owned() }),
            Err((_, errno)) => Err(TmpfsError::io(folder, errno.into())),
        }
    }
}

/// Removes the files below `folder` whose paths `is_ours`, and folders that are empty.
/// `folder` itself stays. Returns how many files went.
///
/// # Errors
/// The folder is not ours, holds more than `LEFTOVERS_MAX` entries, or one of ours will not go.
pub fn clear_leftovers(
    folder: &Path,
    is_ours: impl Fn(&Path) -> bool,
) -> Result<usize, TmpfsError> {
    require_ours(folder)?;
    let mut sweep = Sweep { is_ours, seen: 0, removed: 0 };
    sweep.clear(folder, LEFTOVER_DEPTH_MAX)?;
    Ok(sweep.removed)
}

/// Why the folder of the segments cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TmpfsError {
    /// The system refuses.
    #[error("{}: {cause}; choose another hls.dir or give this one to our user", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Misbehaved: a link, a file or another user's folder.
    #[error("{}: not a folder of our own user; choose another hls.dir", path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
    },
    /// Misbehaved: two processes on one folder.
    #[error(
        "{}: another rillcast uses this folder; stop that one, or choose another with \
         --set hls.dir=FOLDER", path.display()
    )]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Exhausted: too many entries for a folder of ours.
    #[error("{}: more than {max} files; choose an hls.dir of its own", path.display())]
    TooMany {
        /// Where.
        path: PathBuf,
        /// Entries looked at.
        max: u32,
    },
    /// Exhausted: the file system has no room for all slots.
    #[error(
        "{}: {need_mib} MiB needed, {free_mib} MiB free; enlarge the tmpfs, or lower \
         limits.slot_bytes, limits.streams, hls.window_segments or hls.tmpfs_mib", path.display()
    )]
    Full {
        /// Where.
        path: PathBuf,
        /// MiB that the slots take.
        need_mib: u64,
        /// MiB that are free.
        free_mib: u64,
    },
}

impl TmpfsError {
    fn io(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, cause }
    }
}

/// Magic numbers of statfs(2); as numbers, since the width of its field differs by target.
const TMPFS_MAGIC: i64 = 0x0102_1994;
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// One clearing, with what it has met so far.
struct Sweep<F> {
    is_ours: F,
    seen: u32,
    removed: usize,
}

impl<F: Fn(&Path) -> bool> Sweep<F> {
    /// Clears `folder` and up to `depth` levels below it.
    fn clear(&mut self, folder: &Path, depth: usize) -> Result<(), TmpfsError> {
        let fault = |cause| TmpfsError::io(folder, cause);
        for entry in fs::read_dir(folder).map_err(fault)? {
            self.seen += 1;
            if self.seen > LEFTOVERS_MAX {
                return Err(TmpfsError::TooMany { path: folder.to_owned(), max: LEFTOVERS_MAX });
            }
            let entry = entry.map_err(fault)?;
            // Of the entry itself: a link is neither folder nor file and stays.
            let kind = entry.file_type().map_err(fault)?;
            if kind.is_dir() && depth > 0 {
                self.clear_below(&entry.path(), depth - 1)?;
            } else if kind.is_file() && (self.is_ours)(&entry.path()) {
                fs::remove_file(entry.path()).map_err(fault)?;
                self.removed += 1;
            }
        }
        Ok(())
    }

    /// Clears a folder below the root, and removes it when it is empty.
    fn clear_below(&mut self, folder: &Path, depth: usize) -> Result<(), TmpfsError> {
        self.clear(folder, depth)?;
        match fs::remove_dir(folder) {
            Err(cause) if cause.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(TmpfsError::io(folder, cause))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn require_ours(folder: &Path) -> Result<(), TmpfsError> {
    let found = fs::symlink_metadata(folder).map_err(|cause| TmpfsError::io(folder, cause))?;
    if found.is_dir() && found.uid() == geteuid().as_raw() {
        Ok(())
    } else {
        let path = folder.to_owned();
        Err(TmpfsError::NotOurs { path })
    }
}

/// A count of the kernel's in 64 bits; its width and sign differ by target.
fn wide<T: TryInto<u64>>(count: T) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

/// A magic number without the sign that some targets see in its top bit.
fn magic<T: TryInto<i64>>(number: T) -> i64 {
    number.try_into().map_or(0, |number| number & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn is_ours(path: &Path) -> bool {
        let name = path.file_name().unwrap().as_encoded_bytes();
        name.ends_with(b".ts") || name == b"index.m3u8"
    }

    fn touch(path: PathBuf) -> PathBuf {
        fs::write(&path, b"x").unwrap();
        path
    }

    #[test]
    fn facts_know_memory_from_disk() {
        let shm = Facts::read(Path::new("/dev/shm")).unwrap();
        assert!(shm.in_memory);
        assert!(shm.bytes_free <= shm.bytes_size);
        let proc = Facts::read(Path::new("/proc")).unwrap();
        assert!(!proc.in_memory);
        assert_eq!(proc.bytes_free, None);
        assert!(Facts::read(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn magic_ignores_the_sign_of_the_field() {
        assert_eq!(magic(-2_054_924_042i32), RAMFS_MAGIC);
        assert_eq!(magic(0x8584_58f6u64), RAMFS_MAGIC);
        assert_eq!(magic(0x0102_1994i64), TMPFS_MAGIC);
    }

    #[test]
    fn room_is_required_to_the_byte_and_told_in_mib() {
        let facts = Facts { in_memory: true, bytes_size: Some(8 << 20), bytes_free: Some(4 << 20) };
        let folder = Path::new("/dev/shm/x");
        assert!(facts.require(folder, 4 << 20).is_ok());
        let line = facts.require(folder, (4 << 20) + 1).unwrap_err().to_string();
        assert!(line.starts_with("/dev/shm/x: 5 MiB needed, 4 MiB free; "), "{line}");
        let unlimited = Facts { bytes_free: None, ..facts };
        assert!(unlimited.require(folder, u64::MAX).is_ok());
    }

    #[test]
    fn folder_tree_is_made_with_its_mode_and_taken_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        create_folder(&folder, 0o700).unwrap();
        create_folder(&folder, 0o700).unwrap();
        for folder in [root.path().join("a"), folder] {
            assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn folder_claimed_is_refused_until_its_claim_ends() {
        let root = tempfile::tempdir().unwrap();
        let claim = Claim::take(root.path()).unwrap();
        let refused = Claim::take(root.path());
        assert!(matches!(refused, Err(TmpfsError::Taken { .. })), "{refused:?}");
        drop(claim);
        assert!(Claim::take(root.path()).is_ok());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_files_and_other_users_folders_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        symlink(root.path(), &link).unwrap();
        let refused = create_folder(&link, 0o755);
        assert!(matches!(refused, Err(TmpfsError::NotOurs { .. })), "{refused:?}");
        let refused = clear_leftovers(&link, is_ours);
        assert!(matches!(refused, Err(TmpfsError::NotOurs { .. })), "{refused:?}");
        let file = touch(root.path().join("file"));
        assert!(create_folder(&file, 0o755).is_err());
        assert!(clear_leftovers(&file, is_ours).is_err());
        if geteuid().is_root() {
            let other = root.path().join("other");
            create_folder(&other, 0o755).unwrap();
            std::os::unix::fs::chown(&other, Some(65_534), None).unwrap();
            let refused = create_folder(&other, 0o755);
            assert!(matches!(refused, Err(TmpfsError::NotOurs { .. })), "{refused:?}");
        }
    }

    #[test]
    fn clearing_removes_ours_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["live/cam", "live/kept", "empty"] {
            create_folder(&at(folder), 0o755).unwrap();
        }
        for ours in ["0.ts", "live/cam/1.ts", "live/cam/index.m3u8", "live/kept/2.ts"] {
            touch(at(ours));
        }
        let kept = ["notes.txt", "live/kept/photo.jpg"].map(|name| touch(at(name)));
        let outside = tempfile::tempdir().unwrap();
        let target = touch(outside.path().join("9.ts"));
        symlink(&target, at("link.ts")).unwrap();
        symlink(outside.path(), at("away")).unwrap();

        assert_eq!(clear_leftovers(root.path(), is_ours).unwrap(), 4);
        assert!(kept.iter().all(|path| path.exists()));
        assert!(target.exists());
        assert!(at("link.ts").exists() && !at("empty").exists());
        assert!(!at("live/cam").exists());
        assert!(!at("live/kept/2.ts").exists());
        assert_eq!(clear_leftovers(root.path(), is_ours).unwrap(), 0);
    }

    #[test]
    fn clearing_looks_so_deep_and_no_deeper() {
        let root = tempfile::tempdir().unwrap();
        let deepest = root.path().join(["a"; LEFTOVER_DEPTH_MAX].join("/"));
        create_folder(&deepest.join("a"), 0o755).unwrap();
        let (cleared, kept) = (touch(deepest.join("0.ts")), touch(deepest.join("a/0.ts")));
        assert_eq!(clear_leftovers(root.path(), is_ours).unwrap(), 1);
        assert!(!cleared.exists() && kept.exists());
    }

    #[test]
    fn clearing_refuses_a_folder_with_too_many_entries() {
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        for n in 0..LEFTOVERS_MAX {
            File::create(root.path().join(format!("{n}.txt"))).unwrap();
        }
        assert_eq!(clear_leftovers(root.path(), is_ours).unwrap(), 0);
        touch(root.path().join("0.ts"));
        let refused = clear_leftovers(root.path(), is_ours);
        assert!(matches!(refused, Err(TmpfsError::TooMany { max: LEFTOVERS_MAX, .. })));
    }
}

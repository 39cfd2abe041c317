//! The folder of the file of numbers, and the writing of it.
//!
//! | file | is |
//! |---|---|
//! | `numbers` | whole from first to last: put in place by rename, after it is on storage |
//! | `numbers.previous` | the one before |
//! | `numbers.new` | one that was being written when the power failed; never read |
//!
//! A `numbers` that is torn or foreign (a card that loses what it has said it holds) is not
//! believed. Of the previous one it is known that it is one write older at least, so everything
//! goes on a block further than it says; a stream that only the lost file knew begins above all
//! others. With neither, a clock that is right says where no number can have been.
//! Source: fsync(2), rename(2).

use super::{BLOCK, Numbers};
use crate::limits::{LEDGER_BYTES_MAX, SEQUENCES_PER_SECOND_MAX};
use crate::sys::clock::BELIEVABLE_FROM;
use crate::sys::folder::Folder;
use crate::sys::tmpfs::Claim;
use crate::wire::ledger::{self, LedgerError};
use crate::wire::writer::Writer;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAME: &str = "numbers";
const PREVIOUS: &str = "numbers.previous";
const TEMPORARY: &str = "numbers.new";

/// The folder, ours for as long as this lives.
#[derive(Debug)]
pub(super) struct Home {
    folder: Arc<Folder>,
    path: PathBuf,
    /// The file there is a whole one: worth to be kept as the previous one.
    pub(super) is_whole: bool,
    _claim: Claim,
}

/// What earlier runs have left.
pub(super) struct Found {
    pub(super) others: Numbers,
    pub(super) streams: Vec<(Box<str>, Numbers)>,
}

/// One write.
#[derive(Debug)]
pub struct Job {
    folder: Arc<Folder>,
    text: Vec<u8>,
    keeps_previous: bool,
}

impl Job {
    /// Writes; returns when the bytes are on storage. Blocks.
    ///
    /// # Errors
    /// The kernel's; the file is then as it was.
    pub fn run(self) -> io::Result<()> {
        let previous = self.keeps_previous.then_some(PREVIOUS.as_bytes());
        self.folder.replace_durably(NAME.as_bytes(), (TEMPORARY.as_bytes(), previous), &self.text)
    }

    /// What it writes.
    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

impl Home {
    /// Makes the folder if need be, claims it and reads what is there. Says what is wrong.
    pub(super) fn open(path: &Path, wall: Option<u64>) -> (Option<Self>, Found) {
        let nothing = |others| Found { others, streams: Vec::new() };
        // Often a link to where data is kept, so what it means is opened.
        let real = fs::create_dir_all(path).and_then(|()| fs::canonicalize(path));
        let opened = real.and_then(|real| {
            let claim = Claim::take(&real).map_err(|_| io::ErrorKind::ResourceBusy)?;
            Ok((Folder::open(&real)?, claim))
        });
        let (folder, claim) = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                complain(path, &cause);
                return (None, nothing(unused(wall)));
            }
        };
        let (is_whole, found) = match (read(&folder, NAME), read(&folder, PREVIOUS)) {
            (Ok(found), _) => (true, found),
            (Err(Unread::None), Err(Unread::None)) => (false, nothing(Numbers::ZERO)),
            (Err(cause), Ok(previous)) => {
                log::warn!(
                    "numbers not believed file={}/{NAME} cause=\"{cause}\" cure=\"the previous \
                     ones are used, and a block more\"",
                    path.display()
                );
                (false, previous.further_on())
            }
            (Err(cause), Err(_)) => {
                log::warn!(
                    "numbers lost file={}/{NAME} cause=\"{cause}\" cure=\"reload players that \
                     stand still\"",
                    path.display()
                );
                (false, nothing(unused(wall)))
            }
        };
        let (folder, path) = (Arc::new(folder), path.to_owned());
        (Some(Self { folder, path, is_whole, _claim: claim }), found)
    }

    /// The write of these numbers.
    pub(super) fn job<'a>(
        &self,
        others: Numbers,
        streams: impl Iterator<Item = (&'a str, Numbers)>,
    ) -> Job {
        let mut text = vec![0; LEDGER_BYTES_MAX];
        let mut w = Writer::new(&mut text);
        let emitted = ledger::emit(&mut w, others, streams);
        debug_assert!(emitted.is_ok());
        let bytes = w.position();
        text.truncate(bytes);
        Job { folder: Arc::clone(&self.folder), text, keeps_previous: self.is_whole }
    }

    /// Says that a write was not possible.
    pub(super) fn complain(&self, cause: &io::Error) {
        complain(&self.path, cause);
    }
}

impl Found {
    /// As far on as a write that was lost can have promised.
    fn further_on(mut self) -> Self {
        for (_, numbers) in &mut self.streams {
            *numbers = numbers.plus(BLOCK);
        }
        let highest = self.streams.iter().fold(self.others, |most, (_, n)| most.max(*n));
        self.others = highest.plus(BLOCK);
        self
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("it is not there")]
    None,
    #[error("{0}")]
    Io(io::Error),
    #[error(transparent)]
    Malformed(#[from] LedgerError),
}

/// Numbers that cannot have been used, if the clock is right: streams do not make so many in a
/// second. The first there are, if nothing is known at all.
pub(super) fn unused(wall: Option<u64>) -> Numbers {
    let seconds = wall.unwrap_or(0).saturating_sub(BELIEVABLE_FROM);
    let sequence = seconds.saturating_mul(SEQUENCES_PER_SECOND_MAX);
    Numbers::ZERO.plus(Numbers { sequence, discontinuity: seconds, version: sequence })
}

fn read(folder: &Folder, name: &str) -> Result<Found, Unread> {
    let bytes = folder.read(name.as_bytes(), LEDGER_BYTES_MAX).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { Unread::None } else { Unread::Io(error) }
    })?;
    let ledger = ledger::Ledger::parse(&bytes)?;
    let streams = ledger.streams().map(|(path, numbers)| (path.into(), numbers)).collect();
    Ok(Found { others: ledger.others, streams })
}

fn complain(path: &Path, cause: &io::Error) {
    log::warn!(
        "numbers not kept folder={} cause=\"{cause}\" cost=\"after a reboot players may stand \
         still until they are reloaded\" cure=\"set state.dir to a folder that can be written, \
         of this program alone\"",
        path.display()
    );
}

//! Numbers of playlists that never come again: not in this run, not after it, not after the power
//! has failed.
//!
//! A player, or a cache between, may know a number under the same address for as long as it likes
//! (rules R11, R12). So the first free numbers of every stream are kept in a file, and reserved in
//! blocks: what the file says lies ahead of what is in use, and a write comes when half a block is
//! left. Nothing that was ever shown is then below what a later run reads.
//!
//! ```text
//!   in use            promised                  after the next write
//!  ───┼──────────────────┼─────────────────────────┼──► numbers of one stream
//!     └── half a block or less: write ──────────────┘
//! ```
//!
//! * The table is bounded. The stream that has been silent longest is forgotten, and its numbers go
//!   into those from which all strangers begin: higher than need be, never again.
//! * Without a folder it remembers within the run.
//!
//! Writes nothing itself: `due` gives a `Job`, which blocks, and `settle` takes what came of it.
//! Source: RFC 8216 §6.2.1, §6.2.2.

mod home;

pub use home::Job;

use crate::limits::{
    LEDGER_DISCONTINUITY_BLOCK, LEDGER_DISCONTINUITY_SPARE, LEDGER_RETRY_TIME,
    LEDGER_SEQUENCE_BLOCK, LEDGER_SEQUENCE_SPARE, LEDGER_STREAMS_MAX,
};
use crate::service::blocking::unblock;
use crate::service::clock;
use crate::service::reactor::Reactor;
use crate::service::store::Store;
use crate::time::Instant;
pub use crate::wire::ledger::Numbers;
use core::cell::RefCell;
use home::Home;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// What a write reserves for a stream that is in use.
const BLOCK: Numbers = Numbers {
    sequence: LEDGER_SEQUENCE_BLOCK,
    discontinuity: LEDGER_DISCONTINUITY_BLOCK,
    version: LEDGER_SEQUENCE_BLOCK,
};

/// What must be left of it; with less there is a write.
const HALF: Numbers = Numbers {
    sequence: BLOCK.sequence / 2,
    discontinuity: BLOCK.discontinuity / 2,
    version: BLOCK.version / 2,
};

/// What a write reserves for one that is not.
const SPARE: Numbers = Numbers {
    sequence: LEDGER_SEQUENCE_SPARE,
    discontinuity: LEDGER_DISCONTINUITY_SPARE,
    version: LEDGER_SEQUENCE_SPARE,
};

/// The numbers of all streams.
#[derive(Debug)]
pub struct Ledger {
    records: Vec<Record>,
    /// Of streams that have no record.
    others: Reserved,
    /// Counts uses, to tell which was the last.
    uses: u64,
    /// Where they are kept, if they are.
    home: Option<Home>,
    /// A write is under way.
    busy: bool,
    /// The last one failed; the next comes not before then.
    retry_at: Option<Instant>,
}

/// One stream.
#[derive(Debug)]
struct Record {
    path: Box<str>,
    numbers: Reserved,
    /// When it was used last; 0 if not in this run.
    used_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Reserved {
    /// The first that are free.
    free: Numbers,
    /// What is on storage: below it nothing comes again.
    promised: Numbers,
    /// What will be, when the present write is done.
    asked: Numbers,
}

impl Reserved {
    const fn from(numbers: Numbers) -> Self {
        Self { free: numbers, promised: numbers, asked: numbers }
    }
}

impl Ledger {
    /// Remembers within this run.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty one is nobody's default")]
    pub const fn new() -> Self {
        Self {
            records: Vec::new(),
            others: Reserved::from(Numbers::ZERO),
            uses: 0,
            home: None,
            busy: false,
            retry_at: None,
        }
    }

    /// Goes on with what earlier runs have left in `folder`, and makes the first reservation
    /// there. If that cannot be, it is said once, and all numbers begin where `wall`, in seconds
    /// since 1970, says that none can have been. Blocks.
    #[must_use]
    pub fn open(folder: &Path, wall: Option<u64>) -> Self {
        let mut ledger = Self::new();
        let (home, found) = Home::open(folder, wall);
        ledger.home = home;
        ledger.others = Reserved::from(found.others);
        for (path, numbers) in found.streams {
            ledger.records.push(Record { path, numbers: Reserved::from(numbers), used_at: 0 });
        }
        if let Some(job) = ledger.job() {
            ledger.settle(job.run(), Instant(0));
        }
        if ledger.home.is_none() || ledger.retry_at.is_some() {
            let unused = home::unused(wall);
            for numbers in ledger.all() {
                numbers.free = numbers.free.max(unused);
            }
        }
        ledger
    }

    /// Takes what another one remembers.
    pub fn merge(&mut self, other: &Self) {
        for record in &other.records {
            self.note(&record.path, record.numbers.free);
        }
    }

    /// Whether the stream at `path` has been here, in this run or before.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.records.iter().any(|record| *record.path == *path)
    }

    /// Where the stream at `path` begins.
    pub fn begin(&mut self, path: &str) -> Numbers {
        self.used(path, Numbers::ZERO)
    }

    /// Notes that the stream at `path` has used all numbers below these.
    pub fn note(&mut self, path: &str, free: Numbers) {
        let _further_on = self.used(path, free);
    }

    /// What is to be written now, if something is; `settle` is to be called with its outcome.
    pub fn due(&mut self, now: Instant) -> Option<Job> {
        let waits = self.busy || self.retry_at.is_some_and(|at| now < at);
        if waits || self.home.is_none() {
            return None;
        }
        let is_short = |record: &Record| {
            let Reserved { free, promised, .. } = record.numbers;
            record.used_at > 0 && !promised.covers(free.plus(HALF))
        };
        if self.records.iter().any(is_short) { self.job() } else { None }
    }

    /// Takes the outcome of a write.
    pub fn settle(&mut self, outcome: io::Result<()>, now: Instant) {
        self.busy = false;
        match outcome {
            Ok(()) => {
                self.retry_at = None;
                for numbers in self.all() {
                    numbers.promised = numbers.promised.max(numbers.asked);
                }
                if let Some(home) = &mut self.home {
                    home.is_whole = true;
                }
            }
            Err(cause) => {
                // Said once, until one succeeds.
                if let (Some(home), None) = (&self.home, self.retry_at) {
                    home.complain(&cause);
                }
                self.retry_at = Some(now.after(LEDGER_RETRY_TIME));
            }
        }
    }

    /// Below what the numbers of the stream at `path` are on storage: a later run begins there.
    #[must_use]
    pub fn promised(&self, path: &str) -> Numbers {
        let record = self.records.iter().find(|record| *record.path == *path);
        record.map_or(self.others.promised, |record| record.numbers.promised)
    }

    fn job(&mut self) -> Option<Job> {
        let home = self.home.as_ref()?;
        for Record { numbers, used_at, .. } in &mut self.records {
            let block = if *used_at > 0 { BLOCK } else { SPARE };
            numbers.asked = numbers.free.plus(block).max(numbers.promised);
        }
        let others = &mut self.others;
        others.asked = others.free.plus(SPARE).max(others.promised);
        let streams = self.records.iter().map(|record| (&*record.path, record.numbers.asked));
        let job = home.job(self.others.asked, streams);
        self.busy = true;
        Some(job)
    }

    /// Notes a use; a stream without a record gets one. Gives its first free numbers.
    fn used(&mut self, path: &str, free: Numbers) -> Numbers {
        self.uses += 1;
        let used_at = self.uses;
        if let Some(record) = self.records.iter_mut().find(|record| *record.path == *path) {
            record.used_at = used_at;
            record.numbers.free = record.numbers.free.max(free);
            return record.numbers.free;
        }
        if self.records.len() >= LEDGER_STREAMS_MAX {
            self.forget();
        }
        // What storage says of strangers holds for this one too.
        let numbers = Reserved { free: self.others.free.max(free), ..self.others };
        self.records.push(Record { path: path.into(), numbers, used_at });
        numbers.free
    }

    /// Forgets the stream that was in use longest ago.
    fn forget(&mut self) {
        let oldest = self.records.iter().enumerate().min_by_key(|(_, record)| record.used_at);
        if let Some((at, _)) = oldest {
            let Record { numbers, .. } = self.records.swap_remove(at);
            self.others.free = self.others.free.max(numbers.free);
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Reserved> {
        self.records.iter_mut().map(|record| &mut record.numbers).chain([&mut self.others])
    }
}

/// Does `job` away from the loop, and tells the ledger of `store` what came of it.
pub async fn keep(job: Job, store: Rc<RefCell<Store>>, reactor: Rc<Reactor>) {
    let outcome = unblock(&reactor, || job.run()).await;
    store.borrow_mut().ledger_mut().settle(outcome, clock::now());
}

#[cfg(test)]
mod tests;

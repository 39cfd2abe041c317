//! The commands that talk to one RTMP server and end: `push` and `pull`.
//!
//! Shows progress when standard error is a terminal, and only then.

use crate::app::offline::card_config;
use crate::media::testcard::TestCard;
use crate::service::transfer::source::{CardTags, FileTags, SourceFault, TagSource};
use crate::service::transfer::{self, Moved, TransferFault};
use crate::service::upstream::Target;
use core::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// The input that is no file.
const CARD: &str = "testcard";

/// Publishes a file, or the test card until a signal comes.
///
/// # Errors
/// `TransferFault`.
pub fn push(input: &Path, target: Target, fast: bool) -> Result<Moved, TransferFault> {
    let source = if input == Path::new(CARD) {
        let card = TestCard::new(&card_config(0)).map_err(SourceFault::from)?;
        TagSource::Card(Box::new(CardTags::new(card)))
    } else {
        TagSource::File(FileTags::open(input)?)
    };
    let mut meter = Meter::new();
    transfer::run(|frame| {
        transfer::push::push(frame, target, source, fast, move |moved| meter.show(moved))
    })
}

/// Writes a stream to a file.
///
/// # Errors
/// `TransferFault`; what came before it was written.
pub fn pull(target: Target, output: PathBuf, seconds: Option<u32>) -> Result<Moved, TransferFault> {
    let mut meter = Meter::new();
    transfer::run(|frame| {
        transfer::pull::pull(frame, target, output, seconds, move |moved| meter.show(moved))
    })
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        write!(f, "{} messages, {seconds}.{millis:03} s, {} bytes", self.messages, self.bytes)
    }
}

/// A line that overwrites itself, once for every second of the stream.
struct Meter {
    shown: Option<u64>,
    terminal: bool,
}

impl Meter {
    fn new() -> Self {
        Self { shown: None, terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, moved: &Moved) {
        let second = moved.millis / 1000;
        if self.terminal && self.shown != Some(second) {
            self.shown = Some(second);
            // A terminal that is gone does not need to see progress.
            let _shown = write!(io::stderr(), "\r{second} s, {} KiB ", moved.bytes >> 10);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _shown = writeln!(io::stderr());
        }
    }
}

//! The commands that work on files and end: `segment` and `testcard`.
//!
//! Shows progress when standard error is a terminal, and only then.

use crate::config::settings::Config;
use crate::limits::{
    CARD_FRAMES_DEFAULT, CARD_HEIGHT_DEFAULT, CARD_MESSAGE_BYTES_MAX, CARD_WIDTH_DEFAULT,
};
use crate::media::testcard::{CardKind, TestCard, TestCardConfig, TestCardError};
use crate::service::files::{FileFault, Report, segment_file};
use crate::sys::random;
use core::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;

/// Cuts an FLV file.
///
/// # Errors
/// `FileFault`; what came before it was kept.
pub fn segment(input: &Path, folder: &Path, config: &Config) -> Result<Report, FileFault> {
    let mut meter = Meter::new();
    let report =
        segment_file(input, folder, config, random::u32(), |done, whole| meter.show(done, whole));
    meter.end();
    report
}

/// A fault of `segment` with the file it is about and what to do.
#[derive(Debug)]
pub struct Complaint<'a> {
    /// The FLV file.
    pub input: &'a Path,
    /// What is wrong.
    pub fault: &'a FileFault,
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cure = match self.fault {
            // Names its own file, which may be one of the output.
            FileFault::Io { .. } => {
                return write!(f, "{}; check that the path is right and allowed", self.fault);
            }
            FileFault::Header(_) => "give an FLV file: `ffmpeg -i IN -c copy OUT.flv` makes one",
            FileFault::Truncated { .. } | FileFault::NotATag { .. } => {
                "what came before it was kept; make the file again for the rest"
            }
            FileFault::TooLong { .. } => "what came before it was kept",
            FileFault::Nothing { .. } => "give one with H.264 video, or AAC or MP3 audio",
        };
        write!(f, "{}: {}; {cure}", self.input.display(), self.fault)
    }
}

/// Why the test card could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TestcardFault {
    /// The file cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The card cannot be made.
    #[error("{0}")]
    Card(#[from] TestCardError),
}

/// Writes `seconds` of test card as an FLV file.
///
/// # Errors
/// `TestcardFault`.
pub fn testcard(output: &Path, seconds: u32) -> Result<(), TestcardFault> {
    let mut card = TestCard::new(&card_config(0))?;
    let mut file = BufWriter::new(File::create(output)?);
    let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
    let bytes = card.flv_start(&mut buffer)?;
    file.write_all(buffer.get(..bytes).unwrap_or_default())?;
    let mut meter = Meter::new();
    let whole = u64::from(seconds) * 1000;
    while card.due_ms() < whole {
        let at = card.due_ms();
        let message = card.flv_next(&mut buffer)?;
        file.write_all(buffer.get(..message.bytes).unwrap_or_default())?;
        if message.kind == CardKind::Video {
            meter.show(at, whole);
        }
    }
    meter.show(whole, whole);
    meter.end();
    Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?.flush()?)
}

/// The test card as it is made unless a setting says otherwise, with its clock at `clock_ms` since
/// midnight.
#[must_use]
pub const fn card_config(clock_ms: u32) -> TestCardConfig {
    TestCardConfig {
        width: CARD_WIDTH_DEFAULT,
        height: CARD_HEIGHT_DEFAULT,
        frames_per_second: CARD_FRAMES_DEFAULT,
        clock_start_ms: clock_ms,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.duration.micros();
        let (seconds, millis) = (micros / 1_000_000, micros / 1000 % 1000);
        write!(f, "{} segments, {seconds}.{millis:03} s, {} tags", self.segments, self.tags)
    }
}

/// A percentage that overwrites itself.
struct Meter {
    shown: Option<u64>,
    terminal: bool,
}

impl Meter {
    fn new() -> Self {
        Self { shown: None, terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64, whole: u64) {
        let percent = done.saturating_mul(100) / whole.max(1);
        if self.terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            // A terminal that is gone does not need to see progress.
            let _shown = write!(io::stderr(), "\r{percent:3} %");
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _shown = writeln!(io::stderr());
        }
    }
}

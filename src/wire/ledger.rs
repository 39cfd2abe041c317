//! Numbers of playlists that must not come again, as they stand in a file.
//!
//! ```text
//! rillcast numbers 1
//! 4160 68 4160
//! 8311 70 8300 live/cam
//! end 1c291ca3
//! ```
//!
//! Text, so that a person can read it. Each line of three holds the first numbers that are free:
//! media sequence, discontinuity sequence, version. The one without a path is for streams that
//! have no line. The last line closes it: CRC-32/MPEG-2 (H.222.0 annex A) of all bytes before.
//! A file that was torn by a power failure is so told from a whole one; of a torn one nothing is
//! used. Does not know what a block is, or when to write: `service::ledger` does.

use core::fmt;

use crate::limits::{LEDGER_STREAMS_MAX, SEQUENCE_MAX, STREAM_PATH_BYTES_MAX};
use crate::wire::ts::psi::crc32;
use crate::wire::writer::{Full, Writer};

/// Numbers of one stream's playlist: the first that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Media sequence number.
    pub sequence: u64,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// Number of a version.
    pub version: u64,
}

impl Numbers {
    /// Where a stream begins of which nothing was ever heard.
    pub const ZERO: Self = Self { sequence: 0, discontinuity: 0, version: 0 };

    /// Each number the larger of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// Each number further on by that of `block`, up to `SEQUENCE_MAX`.
    #[must_use]
    pub fn plus(self, block: Self) -> Self {
        self.with(block, |a, b| a.saturating_add(b).min(SEQUENCE_MAX))
    }

    /// Whether each number is at least that of `other`.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.sequence >= other.sequence
            && self.discontinuity >= other.discontinuity
            && self.version >= other.version
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            sequence: of(self.sequence, other.sequence),
            discontinuity: of(self.discontinuity, other.discontinuity),
            version: of(self.version, other.version),
        }
    }
}

/// Why a file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Malformed: another kind of file, or of a later program.
    #[error("the file does not begin with \"rillcast numbers 1\"")]
    Foreign,
    /// Malformed: the end is missing, or bytes have changed.
    #[error("the file is torn: {bytes} bytes, and no end that goes with them")]
    Torn {
        /// Bytes of the file.
        bytes: usize,
    },
    /// Malformed: a line is not three numbers within bounds and a path.
    #[error("line {line} is no line of numbers")]
    Line {
        /// Line number from 1.
        line: usize,
    },
    /// Exhausted: more streams than are ever written.
    #[error("the file has more than {max} streams")]
    TooMany {
        /// Streams allowed.
        max: usize,
    },
}

/// A whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger<'a> {
    /// For streams that have no line.
    pub others: Numbers,
    lines: &'a str,
}

impl<'a> Ledger<'a> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// `LedgerError`; of such a file nothing can be believed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LedgerError> {
        let body = bytes.strip_prefix(HEAD.as_bytes()).ok_or(LedgerError::Foreign)?;
        let torn = LedgerError::Torn { bytes: bytes.len() };
        let (text, end) = body.split_at_checked(body.len().wrapping_sub(END_BYTES)).ok_or(torn)?;
        let (summed, _) = bytes.split_at_checked(bytes.len() - END_BYTES).ok_or(torn)?;
        let mut wanted = [0; END_BYTES];
        let written = end_line(&mut Writer::new(&mut wanted), summed);
        if written.is_err() || wanted != *end {
            return Err(torn);
        }
        let text = core::str::from_utf8(text).map_err(|_| LedgerError::Line { line: 2 })?;
        let (first, lines) = text.split_once('\n').ok_or(LedgerError::Line { line: 2 })?;
        let Some((others, "")) = numbers(first) else {
            return Err(LedgerError::Line { line: 2 });
        };
        for (at, line) in lines.lines().enumerate() {
            if at >= LEDGER_STREAMS_MAX {
                return Err(LedgerError::TooMany { max: LEDGER_STREAMS_MAX });
            }
            stream(line).ok_or(LedgerError::Line { line: at + 3 })?;
        }
        Ok(Self { others, lines })
    }

    /// The streams that have a line, in their order.
    pub fn streams(&self) -> impl Iterator<Item = (&'a str, Numbers)> + use<'a> {
        self.lines.lines().filter_map(stream)
    }
}

/// Writes a whole file; of `streams` those that have a line are taken, as many as it may hold.
///
/// # Errors
/// `Full` if it does not fit; a part of it may have been written.
pub fn emit<'a>(
    w: &mut Writer<'_>,
    others: Numbers,
    streams: impl Iterator<Item = (&'a str, Numbers)>,
) -> Result<(), Full> {
    w.bytes(HEAD.as_bytes())?;
    line(w, "", others)?;
    for (path, numbers) in streams.filter(|(path, _)| has_line(path)).take(LEDGER_STREAMS_MAX) {
        line(w, path, numbers)?;
    }
    let mut end = [0; END_BYTES];
    end_line(&mut Writer::new(&mut end), w.written())?;
    w.bytes(&end)
}

/// Whether a stream can have a line: its path is not empty, not too long, and without control
/// characters.
#[must_use]
pub fn has_line(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= STREAM_PATH_BYTES_MAX
        && !path.bytes().any(|byte| byte.is_ascii_control())
}

/// First line, with the version of the format.
const HEAD: &str = "rillcast numbers 1\n";

/// Bytes of the last line.
const END_BYTES: usize = "end 01234567\n".len();

/// Writes the line that closes the file behind `bytes`.
fn end_line(w: &mut Writer<'_>, bytes: &[u8]) -> Result<(), Full> {
    put(w, format_args!("end {:08x}\n", crc32(bytes)))
}

fn line(w: &mut Writer<'_>, path: &str, numbers: Numbers) -> Result<(), Full> {
    let Numbers { sequence, discontinuity, version } = numbers;
    let space = if path.is_empty() { "" } else { " " };
    put(w, format_args!("{sequence} {discontinuity} {version}{space}{path}\n"))
}

fn put(w: &mut Writer<'_>, text: fmt::Arguments<'_>) -> Result<(), Full> {
    crate::wire::m3u8::put(w, text)
}

/// A line of a stream.
fn stream(line: &str) -> Option<(&str, Numbers)> {
    let (numbers, path) = numbers(line)?;
    has_line(path).then_some((path, numbers))
}

/// Three numbers, and what is behind them.
fn numbers(line: &str) -> Option<(Numbers, &str)> {
    let mut parts = line.splitn(4, ' ');
    let mut number = || decimal(parts.next()?);
    let numbers = Numbers { sequence: number()?, discontinuity: number()?, version: number()? };
    Some((numbers, parts.next().unwrap_or("")))
}

/// Digits only, up to `SEQUENCE_MAX`.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&number| number <= SEQUENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LEDGER_BYTES_MAX;
    use proptest::prelude::*;

    fn three(sequence: u64, discontinuity: u64, version: u64) -> Numbers {
        Numbers { sequence, discontinuity, version }
    }

    fn emitted(others: Numbers, streams: &[(&str, Numbers)]) -> Vec<u8> {
        let mut room = vec![0; LEDGER_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        emit(&mut w, others, streams.iter().copied()).unwrap();
        w.written().to_vec()
    }

    /// `body` with a right head and end.
    fn closed(body: &str) -> Vec<u8> {
        let mut bytes = format!("rillcast numbers 1\n{body}").into_bytes();
        let end = format!("end {:08x}\n", crc32(&bytes));
        bytes.extend(end.bytes());
        bytes
    }

    #[test]
    fn ledger_reads_what_it_writes() {
        let streams = [("live/cam", three(8311, 70, 8300)), ("live/an other", three(1, 2, 3))];
        let bytes = emitted(three(4160, 68, 4160), &streams);
        assert_eq!(
            core::str::from_utf8(&bytes).unwrap().lines().take(4).collect::<Vec<_>>(),
            ["rillcast numbers 1", "4160 68 4160", "8311 70 8300 live/cam", "1 2 3 live/an other"]
        );
        let read = Ledger::parse(&bytes).unwrap();
        assert_eq!(read.others, three(4160, 68, 4160));
        assert_eq!(read.streams().collect::<Vec<_>>(), streams);
    }

    #[test]
    fn ledger_cut_off_anywhere_is_refused() {
        let bytes = emitted(three(5, 6, 7), &[("live/cam", three(8, 9, 10))]);
        for end in 0..bytes.len() {
            let refused = Ledger::parse(&bytes[..end]);
            assert!(refused.is_err(), "{end} bytes: {refused:?}");
        }
        assert_eq!(Ledger::parse(b""), Err(LedgerError::Foreign));
        let torn = Ledger::parse(&bytes[..bytes.len() - 1]).unwrap_err();
        assert!(torn.to_string().starts_with("the file is torn: "), "{torn}");
    }

    #[test]
    fn ledger_with_any_byte_changed_is_refused() {
        let bytes = emitted(three(5, 6, 7), &[("live/cam", three(8, 9, 10))]);
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                assert!(Ledger::parse(&changed).is_err(), "byte {at} by {flip:#04x}");
            }
        }
    }

    #[test]
    fn ledger_lines_are_three_numbers_and_a_path() {
        assert!(Ledger::parse(&closed("0 0 0\n1 2 3 a\n")).is_ok());
        for (body, line) in [
            ("", 2),
            ("0 0\n", 2),
            ("0 0 0 path\n", 2),
            ("0 0 0\n1 2 3\n", 3),
            ("0 0 0\n1 2 3 a\n1 2 -3 b\n", 4),
            ("0 0 0\n1 2 +3 b\n", 3),
            ("0 0 0\n1  2 3 b\n", 3),
            ("0 0 0\n1 2 3 a\tb\n", 3),
        ] {
            assert_eq!(Ledger::parse(&closed(body)), Err(LedgerError::Line { line }), "{body:?}");
        }
        let most = format!("{SEQUENCE_MAX} 0 0\n");
        assert!(Ledger::parse(&closed(&most)).is_ok());
        let more = format!("{} 0 0\n", SEQUENCE_MAX + 1);
        assert_eq!(Ledger::parse(&closed(&more)), Err(LedgerError::Line { line: 2 }));
    }

    #[test]
    fn largest_ledger_fits_and_a_larger_one_is_refused() {
        let long = "p".repeat(STREAM_PATH_BYTES_MAX);
        let most = three(SEQUENCE_MAX, SEQUENCE_MAX, SEQUENCE_MAX);
        let bytes = emitted(most, &[(long.as_str(), most); LEDGER_STREAMS_MAX + 1]);
        assert!(bytes.len() <= LEDGER_BYTES_MAX, "{}", bytes.len());
        assert_eq!(Ledger::parse(&bytes).unwrap().streams().count(), LEDGER_STREAMS_MAX);
        let body = format!("0 0 0\n{}", "1 2 3 a\n".repeat(LEDGER_STREAMS_MAX + 1));
        let refused = Err(LedgerError::TooMany { max: LEDGER_STREAMS_MAX });
        assert_eq!(Ledger::parse(&closed(&body)), refused);
    }

    #[test]
    fn paths_that_would_break_a_line_have_none() {
        let long = "p".repeat(STREAM_PATH_BYTES_MAX + 1);
        let odd = ["", "a\nb", "a\u{7f}", long.as_str()].map(|path| (path, Numbers::ZERO));
        let bytes = emitted(Numbers::ZERO, &odd);
        assert_eq!(Ledger::parse(&bytes).unwrap().streams().count(), 0);
    }

    proptest! {
        #[test]
        fn any_ledger_is_read_as_it_was_written(
            others in [0..=SEQUENCE_MAX, 0..=SEQUENCE_MAX, 0..=SEQUENCE_MAX],
            paths in proptest::collection::vec("[a-z/ é]{1,20}", 0..8),
            numbers in proptest::collection::vec(0..=SEQUENCE_MAX, 8),
        ) {
            let streams: Vec<(&str, Numbers)> = paths
                .iter()
                .zip(&numbers)
                .map(|(path, &n)| (path.as_str(), three(n, n / 2, n / 3)))
                .collect();
            let others = three(others[0], others[1], others[2]);
            let bytes = emitted(others, &streams);
            let read = Ledger::parse(&bytes).unwrap();
            prop_assert_eq!(read.others, others);
            prop_assert_eq!(read.streams().collect::<Vec<_>>(), streams);
        }

        #[test]
        fn bytes_of_any_kind_are_refused_or_read(bytes: Vec<u8>) {
            let mut whole = HEAD.as_bytes().to_vec();
            whole.extend(&bytes);
            let _read = Ledger::parse(&bytes);
            prop_assert!(Ledger::parse(&whole).is_err());
        }
    }
}

//! The kinds of value that a setting can have: a person's text in, a bounded value out, and back.
//!
//! `Kind` is what the table says of a setting, `Value` what one text became under it. Knows no
//! setting by name; `settings` does. Text that a kind does not take is answered with which side
//! of the bounds it is on, so that the message can name the cure.

use core::fmt;
use core::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use log::LevelFilter;

use super::networks::Networks;
use crate::limits::{FOLDER_BYTES_MAX, SEEN_CHARS_MAX};

/// What texts a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address with its port; port 0 lets the kernel choose.
    Address,
    /// The same, or `off`.
    Port,
    /// An absolute file, or `none`.
    File,
    /// An absolute folder, at least two names deep, without `.` and `..`.
    Folder,
    /// A whole number, both bounds allowed.
    Number {
        /// Smallest allowed.
        min: u32,
        /// Largest allowed.
        max: u32,
        /// Unit in singular or symbol, empty for a plain count.
        unit: &'static str,
    },
    /// A number of bytes, both bounds allowed; `KiB`, `MiB` and `GiB` may follow the number.
    Bytes {
        /// Smallest allowed.
        min: u32,
        /// Largest allowed.
        max: u32,
    },
    /// How much is logged.
    Level,
    /// Whether something is done.
    Flag,
    /// Ranges of IP addresses.
    Networks,
    /// Number of a track, or the first that comes.
    Track,
    /// How segments are encrypted.
    Encryption,
    /// One of a few words.
    Word {
        /// Which.
        of: &'static [&'static str],
    },
}

/// How segments are encrypted (RFC 8216 §4.3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    Off,
    /// Whole segments.
    Aes128,
    /// Their samples.
    SampleAes,
}

/// One value that its kind has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few at a time, at start")]
pub enum Value {
    /// Of `Kind::Address`.
    Address(SocketAddr),
    /// Of `Kind::Port`; `None` is `off`.
    Port(Option<SocketAddr>),
    /// Of `Kind::File`; `None` is `none`.
    File(Option<PathBuf>),
    /// Of `Kind::Folder`.
    Folder(PathBuf),
    /// Of `Kind::Number`.
    Number(u32),
    /// Of `Kind::Bytes`, in bytes.
    Bytes(u32),
    /// Of `Kind::Level`.
    Level(LevelFilter),
    /// Of `Kind::Flag`.
    Flag(bool),
    /// Of `Kind::Networks`.
    Networks(Networks),
    /// Of `Kind::Track`; none is the first that comes.
    Track(Option<u8>),
    /// Of `Kind::Encryption`.
    Encryption(Encryption),
    /// Of `Kind::Word`.
    Word(&'static str),
}

/// Why a kind does not take a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not of this kind at all.
    Malformed,
    /// It is below the least.
    TooSmall,
    /// It is above the most.
    TooLarge,
}

impl Kind {
    /// The value that `text` means; blanks around it do not count.
    ///
    /// # Errors
    /// `Refusal` says on which side of the bounds the text is.
    pub fn parse(self, text: &str) -> Result<Value, Refusal> {
        let text = text.trim();
        match self {
            Self::Address => text.parse().map(Value::Address).ok(),
            Self::Port if text == OFF => Some(Value::Port(None)),
            Self::Port => text.parse().map(|address| Value::Port(Some(address))).ok(),
            Self::File if text == NONE => Some(Value::File(None)),
            // A file lies in a folder: two names at least, too.
            Self::File => folder(text).map(|file| Value::File(Some(file))),
            Self::Folder => folder(text).map(Value::Folder),
            Self::Number { min, max, .. } => {
                return bounded(digits(text), min, max).map(Value::Number);
            }
            Self::Bytes { min, max } => return bounded(bytes(text), min, max).map(Value::Bytes),
            Self::Level => text.parse().map(Value::Level).ok(),
            Self::Flag => text.parse().map(Value::Flag).ok(),
            Self::Networks => Networks::parse(text).map(Value::Networks),
            Self::Track if text == FIRST => Some(Value::Track(None)),
            Self::Track => digits(text)
                .and_then(|number| u8::try_from(number).ok())
                .map(|number| Value::Track(Some(number))),
            Self::Encryption => Encryption::parse(text).map(Value::Encryption),
            Self::Word { of } => of.iter().find(|word| **word == text).copied().map(Value::Word),
        }
        .ok_or(Refusal::Malformed)
    }

    /// The cure for a refused text; `example` is one that is accepted.
    pub(crate) const fn cure(self, refusal: Refusal, example: &Value) -> Cure<'_> {
        match (self, refusal) {
            (Self::Number { min, .. }, Refusal::TooSmall) => Cure::AtLeast(Value::Number(min)),
            (Self::Number { max, .. }, Refusal::TooLarge) => Cure::AtMost(Value::Number(max)),
            (Self::Bytes { min, .. }, Refusal::TooSmall) => Cure::AtLeast(Value::Bytes(min)),
            (Self::Bytes { max, .. }, Refusal::TooLarge) => Cure::AtMost(Value::Bytes(max)),
            (
                Self::Address
                | Self::Port
                | Self::File
                | Self::Folder
                | Self::Level
                | Self::Flag
                | Self::Networks
                | Self::Track
                | Self::Encryption
                | Self::Word { .. },
                _,
            )
            | (_, Refusal::Malformed) => Cure::Like(example),
        }
    }
}

/// What is allowed, as it stands in messages, help and the README.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address => f.write_str("address:port"),
            Self::Port => f.write_str("address:port, or off"),
            Self::File => f.write_str("absolute file, or none"),
            Self::Folder => f.write_str("absolute folder"),
            Self::Number { min, max, unit } => {
                let gap = if unit.is_empty() { "" } else { " " };
                write!(f, "{min} to {max}{gap}{unit}")
            }
            Self::Bytes { min, max } => {
                write!(f, "{} to {}", Size(min.into()), Size(max.into()))
            }
            Self::Level => f.write_str("off, error, warn, info, debug, trace"),
            Self::Flag => f.write_str("true, false"),
            Self::Networks => f.write_str("any, private, networks like 203.0.113.0/24"),
            Self::Track => write!(f, "{FIRST}, 0 to {}", u8::MAX),
            Self::Encryption => f.write_str("off, aes-128, sample-aes"),
            Self::Word { of } => of.iter().enumerate().try_for_each(|(n, word)| {
                f.write_str(if n > 0 { ", " } else { "" })?;
                f.write_str(word)
            }),
        }
    }
}

/// The text that parses back to this value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) | Self::Port(Some(address)) => address.fmt(f),
            Self::Port(None) => f.write_str(OFF),
            Self::File(None) => f.write_str(NONE),
            Self::File(Some(path)) | Self::Folder(path) => path.display().fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Bytes(bytes) => Size(u64::from(*bytes)).fmt(f),
            Self::Level(level) => f.write_str(&level.as_str().to_ascii_lowercase()),
            Self::Flag(flag) => flag.fmt(f),
            Self::Networks(networks) => networks.fmt(f),
            Self::Track(None) => f.write_str(FIRST),
            Self::Track(Some(number)) => number.fmt(f),
            Self::Encryption(encryption) => f.write_str(encryption.name()),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl Encryption {
    const ALL: [Self; 3] = [Self::Off, Self::Aes128, Self::SampleAes];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == text)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Off => OFF,
            Self::Aes128 => "aes-128",
            Self::SampleAes => "sample-aes",
        }
    }
}

/// The track that comes first, whatever its number.
const FIRST: &str = "first";

/// What a person can do about a refused text.
pub(crate) enum Cure<'a> {
    /// Go up to this.
    AtLeast(Value),
    /// Go down to this.
    AtMost(Value),
    /// Write it like this.
    Like(&'a Value),
}

impl fmt::Display for Cure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(value) => write!(f, "set it to {value} or more"),
            Self::AtMost(value) => write!(f, "set it to {value} or less"),
            Self::Like(value) => write!(f, "write it like {value}"),
        }
    }
}

/// A number of bytes in the largest binary unit that is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact =
            UNITS.iter().rev().find(|(_, shift)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        match exact {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A text that was refused, cut to `SEEN_CHARS_MAX` and made printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Box<str>);

impl Seen {
    /// Takes what fits of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept: String =
            text.chars().take(SEEN_CHARS_MAX).flat_map(char::escape_debug).collect();
        if text.chars().nth(SEEN_CHARS_MAX).is_some() {
            kept.push('…');
        }
        Self(kept.into())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A port that is not opened.
const OFF: &str = "off";

/// A file that is not there.
const NONE: &str = "none";

/// Units of `Size` with the powers of two that they stand for.
const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

fn bounded(number: Option<u64>, min: u32, max: u32) -> Result<u32, Refusal> {
    let number = number.ok_or(Refusal::Malformed)?;
    let number = u32::try_from(number).map_err(|_| Refusal::TooLarge)?;
    if number < min {
        Err(Refusal::TooSmall)
    } else if number > max {
        Err(Refusal::TooLarge)
    } else {
        Ok(number)
    }
}

/// Decimal digits only: `+6`, `0x6` and `6.0` are somebody's mistake. Saturates.
fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A number with an optional unit; `MB` is refused, since people disagree about what it is.
fn bytes(text: &str) -> Option<u64> {
    for (unit, shift) in UNITS {
        let split = text.len().checked_sub(unit.len())?;
        let Some((number, end)) = text.split_at_checked(split) else {
            continue;
        };
        if end.eq_ignore_ascii_case(unit) {
            return digits(number.trim_end()).map(|n| n.saturating_mul(1 << shift));
        }
    }
    digits(text)
}

fn folder(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let names = path.components().filter(|part| matches!(part, Component::Normal(_))).count();
    // `components` drops inner dots, so they are looked for in the text.
    let plain = text.split('/').all(|name| name != "." && name != "..");
    let printable = !text.chars().any(char::is_control);
    let fits = text.len() <= FOLDER_BYTES_MAX;
    (path.is_absolute() && names >= 2 && plain && printable && fits)
        .then(|| path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMBER: Kind = Kind::Number { min: 500, max: 20_000, unit: "ms" };
    const BYTES: Kind = Kind::Bytes { min: 256 << 10, max: 64 << 20 };

    #[test]
    fn bytes_take_units_and_plain_numbers() {
        for (text, bytes) in [
            ("4MiB", 4 << 20),
            ("512KiB", 512 << 10),
            ("512 kib", 512 << 10),
            (" 1048576 ", 1 << 20),
        ] {
            assert_eq!(BYTES.parse(text), Ok(Value::Bytes(bytes)), "{text}");
        }
        for text in ["4MB", "4M", "MiB", "", "-4MiB", "4.5MiB", "4 Mi B", "é"] {
            assert_eq!(BYTES.parse(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn bounds_are_inclusive_and_sides_are_told() {
        assert_eq!(NUMBER.parse("500"), Ok(Value::Number(500)));
        assert_eq!(NUMBER.parse("20000"), Ok(Value::Number(20_000)));
        assert_eq!(NUMBER.parse("499"), Err(Refusal::TooSmall));
        assert_eq!(NUMBER.parse("20001"), Err(Refusal::TooLarge));
        let huge = "9".repeat(400);
        assert_eq!(NUMBER.parse(&huge), Err(Refusal::TooLarge));
        assert_eq!(BYTES.parse("99999999999GiB"), Err(Refusal::TooLarge));
        for text in ["", "+500", "0x500", "5e3", "600ms", "-1"] {
            assert_eq!(NUMBER.parse(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn folder_is_absolute_deep_and_plain() {
        let parsed = Kind::Folder.parse("/dev/shm//rillcast/");
        assert_eq!(parsed, Ok(Value::Folder("/dev/shm/rillcast".into())));
        let mut long = format!("/dev/{:a<1$}", "", FOLDER_BYTES_MAX - 5);
        assert!(Kind::Folder.parse(&long).is_ok());
        long.push('a');
        for text in ["", "/", "/dev", "hls/x", "/dev/../etc", "/dev/shm/.", "/a\n/b", &long] {
            assert_eq!(Kind::Folder.parse(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn address_needs_its_port() {
        assert!(Kind::Address.parse("0.0.0.0:1935").is_ok());
        assert!(Kind::Address.parse("[::]:8080").is_ok());
        for text in ["1935", ":1935", "localhost:1935", "0.0.0.0", "1.2.3.4:65536"] {
            assert_eq!(Kind::Address.parse(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn level_is_one_of_six_words() {
        assert_eq!(Kind::Level.parse("warn"), Ok(Value::Level(LevelFilter::Warn)));
        assert_eq!(Kind::Level.parse("verbose"), Err(Refusal::Malformed));
        assert_eq!(Value::Level(LevelFilter::Off).to_string(), "off");
    }

    #[test]
    fn flag_is_true_or_false() {
        assert_eq!(Kind::Flag.parse(" true "), Ok(Value::Flag(true)));
        assert_eq!(Kind::Flag.parse("false"), Ok(Value::Flag(false)));
        for text in ["", "yes", "1", "True"] {
            assert_eq!(Kind::Flag.parse(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn seen_is_cut_and_printable() {
        assert_eq!(Seen::new("a\nb").to_string(), r#""a\nb""#);
        let seen = Seen::new(&"x".repeat(1000)).to_string();
        assert_eq!(seen.chars().count(), SEEN_CHARS_MAX + 3);
    }

    #[test]
    fn track_is_the_first_or_a_number_of_one_byte() {
        let track = |text: &str| Kind::Track.parse(text);
        assert_eq!(track("first"), Ok(Value::Track(None)));
        for number in [0, 7, u8::MAX] {
            assert_eq!(track(&number.to_string()), Ok(Value::Track(Some(number))));
        }
        for text in ["256", "-1", "", "First", "1.0"] {
            assert_eq!(track(text), Err(Refusal::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_parse_back_from_their_text(bytes in (256u32 << 10)..=(64 << 20)) {
            let value = Value::Bytes(bytes);
            prop_assert_eq!(BYTES.parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn kinds_never_panic_on_any_text(text in ".*") {
            let kinds = [Kind::Address, Kind::Folder, Kind::Level, Kind::Flag, Kind::Networks];
            for kind in kinds.into_iter().chain([NUMBER, BYTES, Kind::Track]) {
                if let Ok(value) = kind.parse(&text) {
                    prop_assert_eq!(kind.parse(&value.to_string()), Ok(value));
                }
            }
        }
    }
}

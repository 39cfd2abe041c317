//! HTTP text: request line, header fields, dates, ranges, entity tags; `head` has our answers,
//! `answer` those of others.
//!
//! One value per line of the protocol, no state: `proto::http` finds the lines and decides what
//! they mean together. Knows nothing of sockets, routes or bodies.
//! Source: RFC 1945 (HTTP/1.0), RFC 9110 §8.8, §13, §14 and RFC 9112 for clients that speak 1.1.
//!
//! Quirks: `If-Modified-Since` may carry `; length=` after the date (Netscape); a space after the
//! version is tolerated.

use core::fmt::Write as _;
use core::time::Duration;
use std::time::UNIX_EPOCH;

use super::writer::Writer;

mod answer;
mod head;

pub use answer::{AnswerError, AnswerHead};
pub use head::{After, CONTINUE, Cache, Code, Location, ResponseHead, Text, is_authority};

/// Methods that exist; which of them a resource allows is not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST.
    Post,
    /// A known method that nothing here allows: PUT, DELETE, PATCH, LINK, UNLINK, TRACE, CONNECT.
    Other,
}

impl Method {
    /// The method with this name, `None` if there is none. Names are case-sensitive.
    #[must_use]
    pub const fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"GET" => Some(Self::Get),
            b"HEAD" => Some(Self::Head),
            b"OPTIONS" => Some(Self::Options),
            b"POST" => Some(Self::Post),
            b"PUT" | b"DELETE" | b"PATCH" | b"LINK" | b"UNLINK" | b"TRACE" | b"CONNECT" => {
                Some(Self::Other)
            }
            _ => None,
        }
    }
}

/// Protocol version of a request; a minor version above 1 is 1.1 (RFC 9110 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/0.9: no version, no header, no status line in the answer (RFC 1945 §4.1).
    Simple,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Why a line of a request head is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not `Method SP URI [SP HTTP/x.y]`.
    #[error("request line is malformed")]
    RequestLine,
    /// A major version that is not spoken here.
    #[error("http version {major} is not supported: use 1.0 or 1.1")]
    Version {
        /// Major version, saturated.
        major: u8,
    },
    /// Not `name: value`.
    #[error("header field is malformed")]
    Field,
}

/// The first line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// Method name, a token.
    pub method: &'a [u8],
    /// Target as sent: visible bytes, not decoded.
    pub target: &'a [u8],
    /// Version; `Simple` when the line has none.
    pub version: Version,
}

impl<'a> RequestLine<'a> {
    /// Parses a line without its CR LF: exactly one space between the parts.
    ///
    /// # Errors
    /// `LineError` as its variants say; never `Field`.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        let line = line.strip_suffix(b" ").unwrap_or(line);
        if line.iter().any(u8::is_ascii_control) {
            return Err(LineError::RequestLine);
        }
        let mut parts = line.split(|&b| b == b' ');
        let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
            return Err(LineError::RequestLine);
        };
        let version = parts.next().map_or(Ok(Version::Simple), version)?;
        if !is_token(method) || target.is_empty() || parts.next().is_some() {
            return Err(LineError::RequestLine);
        }
        Ok(Self { method, target, version })
    }
}

fn version(text: &[u8]) -> Result<Version, LineError> {
    let numbers = text.strip_prefix(b"HTTP/").ok_or(LineError::RequestLine)?;
    let mut numbers = numbers.split(|&b| b == b'.');
    let (Some(major), Some(minor), None) = (numbers.next(), numbers.next(), numbers.next()) else {
        return Err(LineError::RequestLine);
    };
    let (Some(major), Some(minor)) = (decimal_saturating(major), decimal_saturating(minor)) else {
        return Err(LineError::RequestLine);
    };
    match (major, minor) {
        (0, _) => Err(LineError::RequestLine),
        (1, 0) => Ok(Version::Http10),
        (1, _) => Ok(Version::Http11),
        _ => Err(LineError::Version { major: u8::try_from(major).unwrap_or(u8::MAX) }),
    }
}

/// One header field, unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name, a token; compare without case.
    pub name: &'a [u8],
    /// Value without the white space around it.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Parses a line without its CR LF. A space before the colon is refused (RFC 9112 §5.1).
    ///
    /// # Errors
    /// `LineError::Field`.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        let at = line.iter().position(|&b| b == b':');
        let Some((name, [_, value @ ..])) = at.and_then(|at| line.split_at_checked(at)) else {
            return Err(LineError::Field);
        };
        if !is_token(name) || value.iter().any(|&b| b != b'\t' && b.is_ascii_control()) {
            return Err(LineError::Field);
        }
        Ok(Self { name, value: value.trim_ascii() })
    }

    /// Whether the field is called `name`, without case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Whether `text` is a token (RFC 9110 §5.6.2): not empty, no separators, no control bytes.
fn is_token(text: &[u8]) -> bool {
    let tchar = |&b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.iter().all(tchar)
}

/// The elements of a comma-separated list, without the white space around them.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

/// A decimal number of digits only; `None` when empty, signed, spaced, or beyond 64 bits.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b & 0x0f))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn decimal_saturating(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| decimal(text).unwrap_or(u64::MAX))
}

/// Whether an `Accept-Encoding` value admits gzip: named (also as `x-gzip`) or by `*`, with a
/// quality above zero.
#[must_use]
pub fn accepts_gzip(value: &[u8]) -> bool {
    let mut star = false;
    for coding in list(value) {
        let mut parts = coding.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let forbidden = parts.any(|p| {
            let q = p.strip_prefix(b"q=").or_else(|| p.strip_prefix(b"Q="));
            q.is_some_and(|q| !q.iter().any(|b| (b'1'..=b'9').contains(b)))
        });
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            return !forbidden;
        }
        star |= name == b"*" && !forbidden;
    }
    star
}

/// A date as it is sent: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type DateText = [u8; 29];

/// Seconds since 1970 of a date in any of the three forms of RFC 1945 §3.3; `None` for all else.
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<u64> {
    let date = value.split(|&b| b == b';').next().unwrap_or_default();
    let date = core::str::from_utf8(date.trim_ascii()).ok()?;
    let time = httpdate::parse_http_date(date).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The date `unix` seconds after 1970, `None` beyond the year 9999.
#[must_use]
pub fn date_text(unix: u64) -> Option<DateText> {
    const YEAR_10000: u64 = 253_402_300_800;
    if unix >= YEAR_10000 {
        return None;
    }
    let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix));
    let mut text = [0; 29];
    let mut w = Writer::new(&mut text);
    write!(Text(&mut w), "{date}").ok()?;
    (w.position() == text.len()).then_some(text)
}

/// A `Range` of bytes (RFC 9110 §14.1.2), not yet compared with a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both inclusive, first not above last.
    Between {
        /// First byte.
        first: u64,
        /// Last byte, inclusive.
        last: u64,
    },
    /// `first-`.
    From(u64),
    /// `-count`: the last `count` bytes.
    Last(u64),
}

/// First and last byte of a part, inclusive; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

impl Span {
    /// Bytes in the span, at least 1.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

impl ByteRange {
    /// Parses the value of a `Range` field; `None` for what is to be ignored: other units, several
    /// ranges, a range that ends before it begins, anything malformed.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, ranges) = value.split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        let ranges = ranges.trim_ascii();
        let dash = ranges.iter().position(|&b| b == b'-')?;
        let (first, [_, last @ ..]) = ranges.split_at_checked(dash)? else {
            return None;
        };
        match (first, last) {
            ([], last) => Some(Self::Last(decimal(last)?)),
            (first, []) => Some(Self::From(decimal(first)?)),
            (first, last) => {
                let (first, last) = (decimal(first)?, decimal(last)?);
                (first <= last).then_some(Self::Between { first, last })
            }
        }
    }

    /// The part of a body of `bytes` bytes, `None` when no byte of it is asked for (416).
    #[must_use]
    pub fn resolve(self, bytes: u64) -> Option<Span> {
        let end = bytes.checked_sub(1)?;
        let (first, last) = match self {
            Self::Between { first, last } => (first, last.min(end)),
            Self::From(first) => (first, end),
            Self::Last(0) => return None,
            Self::Last(count) => (bytes.saturating_sub(count), end),
        };
        (first <= end).then_some(Span { first, last })
    }
}

/// An entity tag made of a version number: sixteen hex digits in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag(pub u64);

impl EntityTag {
    /// The tag of the same version as a gzip member. The low half counts versions, which do not
    /// reach its highest bit: at two a second it would take 34 years. Where all bits are a digest,
    /// it is another one.
    #[must_use]
    pub const fn gzip(self) -> Self {
        Self(self.0 ^ 1 << 31)
    }

    /// The tag as sent, with its quotes.
    #[must_use]
    pub fn text(self) -> [u8; 18] {
        let mut text = [b'"'; 18];
        let digits = text.iter_mut().skip(1).take(16);
        for (digit, shift) in digits.zip((0u32..16).rev()) {
            let nibble = self.0 >> (shift * 4) & 0x0f;
            *digit = hex_digit(u8::try_from(nibble).unwrap_or_default(), b'a');
        }
        text
    }

    /// Weak comparison with the list of an `If-None-Match` field (RFC 9110 §13.1.2).
    #[must_use]
    pub fn is_in(self, value: &[u8]) -> bool {
        let text = self.text();
        list(value).any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == text)
    }
}

const fn hex_digit(nibble: u8, ten: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => ten + (nibble & 0x0f) - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn date_is_read_in_all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 GMT; length=5",
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_date(b"yesterday"), None);
        assert_eq!(parse_date(b""), None);
    }

    #[test]
    fn date_is_sent_in_the_fixed_form() {
        assert_eq!(date_text(784_111_777), Some(*b"Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(date_text(u64::MAX), None);
    }

    #[test]
    fn request_line_has_three_parts_or_two() {
        let line = RequestLine::parse(b"GET /a.txt HTTP/1.0").unwrap();
        assert_eq!((line.method, line.target), (&b"GET"[..], &b"/a.txt"[..]));
        assert_eq!(line.version, Version::Http10);
        let simple = RequestLine::parse(b"GET /a.txt").unwrap();
        assert_eq!(simple.version, Version::Simple);
        assert_eq!(RequestLine::parse(b"GET / HTTP/1.7 ").unwrap().version, Version::Http11);
    }

    #[test]
    fn request_line_refuses_what_is_not_one() {
        for line in [
            &b"GET  /a.txt HTTP/1.0"[..],
            b"GET /a HTTP/1.0 x",
            b"GET",
            b"",
            b"GET /a\tb HTTP/1.0",
            b"G(T / HTTP/1.0",
            b"GET / HTTP/1",
            b"GET / HTTP/0.9",
            b"GET / HTTP/1.x",
            b"GET / http/1.0",
        ] {
            assert_eq!(RequestLine::parse(line), Err(LineError::RequestLine));
        }
        assert_eq!(RequestLine::parse(b"PRI * HTTP/2.0"), Err(LineError::Version { major: 2 }));
    }

    #[test]
    fn field_refuses_space_before_colon_and_control_bytes() {
        let field = Field::parse(b"HOST: \t x ").unwrap();
        assert!(field.is("host"));
        assert_eq!(field.value, b"x");
        for line in [&b"X : y"[..], b": y", b"X", b"X: a\rb", b"X: a\0b"] {
            assert_eq!(Field::parse(line), Err(LineError::Field));
        }
    }

    #[test]
    fn range_table_of_a_thousand_bytes() {
        let span = |text: &str| ByteRange::parse(text.as_bytes()).map(|r| r.resolve(1000));
        let part = |first, last| Some(Some(Span { first, last }));
        assert_eq!(span("bytes=0-1"), part(0, 1));
        assert_eq!(span("bytes=990-"), part(990, 999));
        assert_eq!(span("bytes=-10"), part(990, 999));
        assert_eq!(span("bytes=-5000"), part(0, 999));
        assert_eq!(span("bytes=0-5000"), part(0, 999));
        assert_eq!(span("bytes=1000-"), Some(None));
        assert_eq!(span("bytes=-0"), Some(None));
        for ignored in ["bytes=5-2", "items=0-1", "bytes=a-", "bytes=0-1,5-6", "bytes=-", ""] {
            assert_eq!(span(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn entity_tag_matches_weakly_in_a_list() {
        let tag = EntityTag(0x1f);
        assert_eq!(&tag.text(), b"\"000000000000001f\"");
        assert!(tag.is_in(b"\"a\", W/\"000000000000001f\""));
        assert!(tag.is_in(b"*"));
        assert!(!tag.is_in(b"\"1f\""));
    }

    #[test]
    fn gzip_is_accepted_only_with_quality_above_zero() {
        assert!(accepts_gzip(b"gzip"));
        assert!(accepts_gzip(b"deflate, x-gzip;q=0.5"));
        assert!(accepts_gzip(b"*"));
        assert!(!accepts_gzip(b"gzip;q=0"));
        assert!(!accepts_gzip(b"gzip;q=0.000, *"));
        assert!(!accepts_gzip(b"deflate"));
    }

    proptest! {
        #[test]
        fn parsing_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = RequestLine::parse(&bytes);
            let _ = Field::parse(&bytes);
            let _ = parse_date(&bytes);
            let _ = accepts_gzip(&bytes);
            let _ = EntityTag(7).is_in(&bytes);
            let _ = ByteRange::parse(&bytes).map(|r| r.resolve(1000));
        }

        #[test]
        fn date_comes_back_as_sent(unix in 0u64..253_402_300_800) {
            prop_assert_eq!(parse_date(&date_text(unix).unwrap()), Some(unix));
        }
    }
}

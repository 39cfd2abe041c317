//! Response heads: status line and header fields, in one fixed order.
//!
//! A head is a value of optional fields; `emit` writes it. What goes into it is decided by the
//! caller. Fields that only old or only new clients know are paired here.
//! Source: RFC 1945 §6, §10; RFC 9110 §15 for the codes younger than 1.0.

use core::fmt::{self, Write as _};

use super::{DateText, EntityTag, Span, Version, hex_digit};
use crate::wire::writer::{Full, Writer};

/// The interim answer to a client that sends its body when it is told to (RFC 9110 §10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Status codes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 200.
    Ok,
    /// 204.
    NoContent,
    /// 206.
    PartialContent,
    /// 301.
    MovedPermanently,
    /// 304.
    NotModified,
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408.
    RequestTimeout,
    /// 411.
    LengthRequired,
    /// 413.
    ContentTooLarge,
    /// 414.
    UriTooLong,
    /// 416.
    RangeNotSatisfiable,
    /// 417.
    ExpectationFailed,
    /// 431.
    HeaderTooLarge,
    /// 501.
    NotImplemented,
    /// 503.
    Unavailable,
    /// 505.
    VersionNotSupported,
}

impl Code {
    /// Number and reason phrase.
    #[must_use]
    pub const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::NoContent => "204 No Content",
            Self::PartialContent => "206 Partial Content",
            Self::MovedPermanently => "301 Moved Permanently",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::LengthRequired => "411 Length Required",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::UriTooLong => "414 URI Too Long",
            Self::RangeNotSatisfiable => "416 Range Not Satisfiable",
            Self::ExpectationFailed => "417 Expectation Failed",
            Self::HeaderTooLarge => "431 Request Header Fields Too Large",
            Self::NotImplemented => "501 Not Implemented",
            Self::Unavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// Whether the code is 4xx or 5xx.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.line().starts_with(['4', '5'])
    }
}

/// How long an answer may be kept, told to both versions: 1.0 knows `Expires` and `Pragma`, 1.1
/// knows `Cache-Control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Ask again each time, with the entity tag.
    NoCache,
    /// Keep nothing.
    NoStore,
    /// It may be kept so long, though the bytes behind this address may change.
    For {
        /// Seconds the answer may be kept.
        max_age_s: u32,
        /// `Date` plus `max_age_s`; `None` while the clock is not set.
        expires: Option<DateText>,
    },
    /// The bytes behind this address never change.
    Immutable {
        /// Seconds the answer may be kept.
        max_age_s: u32,
        /// `Date` plus `max_age_s`; `None` while the clock is not set.
        expires: Option<DateText>,
    },
}

/// Where a redirect points: `http://authority/path`.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    /// Host and port, already checked by `is_authority`.
    pub authority: &'a str,
    /// Decoded path, from its first slash; encoded again here.
    pub path: &'a str,
    /// What follows the path behind a `?`, as it came; left out if it is empty.
    pub query: &'a str,
}

/// Whether `text` can stand as host and port in an address that we send.
#[must_use]
pub fn is_authority(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// What the connection does after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It ends.
    Close,
    /// It stays open.
    Keep,
}

/// A response head. `None` and `false` leave the field out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one optional header field")]
pub struct ResponseHead<'a> {
    /// Version of the answer: never above the request's; `Simple` emits nothing.
    pub version: Version,
    /// Status.
    pub code: Code,
    /// Date, while the clock is set (RFC 1945 §10.6).
    pub date: Option<DateText>,
    /// Media type.
    pub content_type: Option<&'static str>,
    /// Body bytes that GET would bring.
    pub content_length: Option<u64>,
    /// `bytes first-last/size`, or `bytes */size` when there is no span.
    pub content_range: Option<(Option<Span>, u64)>,
    /// Entity tag.
    pub etag: Option<EntityTag>,
    /// Last modification.
    pub last_modified: Option<DateText>,
    /// How long to keep it.
    pub cache: Option<Cache>,
    /// The body is a gzip member.
    pub gzip: bool,
    /// Who takes gzip gets another body.
    pub varies: bool,
    /// `Accept-Ranges: bytes`.
    pub accept_ranges: bool,
    /// Any origin may read this.
    pub cors: bool,
    /// The answer to a preflight: methods and headers that may be used.
    pub preflight: bool,
    /// The headers of a page: no sniffing, no frames, no foreign content.
    pub page: bool,
    /// `Allow: GET, HEAD, OPTIONS`.
    pub allow: bool,
    /// Redirect target.
    pub location: Option<Location<'a>>,
    /// Seconds to wait.
    pub retry_after_s: Option<u32>,
    /// What the connection does next.
    pub after: After,
}

impl ResponseHead<'static> {
    /// A head with nothing but a status.
    #[must_use]
    pub const fn new(version: Version, code: Code, after: After) -> Self {
        Self {
            version,
            code,
            date: None,
            content_type: None,
            content_length: None,
            content_range: None,
            etag: None,
            last_modified: None,
            cache: None,
            gzip: false,
            varies: false,
            accept_ranges: false,
            cors: false,
            preflight: false,
            page: false,
            allow: false,
            location: None,
            retry_after_s: None,
            after,
        }
    }
}

const CORS: &str = "Access-Control-Allow-Origin: *\r\n\
    Access-Control-Expose-Headers: Content-Length, Content-Range, Date\r\n";
const PREFLIGHT: &str = "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
    Access-Control-Allow-Headers: Range\r\nAccess-Control-Max-Age: 86400\r\n";
const PAGE: &str = "X-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: default-src 'self'\r\nX-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\n";

impl ResponseHead<'_> {
    /// Writes the head with the empty line that ends it.
    ///
    /// # Errors
    /// `Full` if the buffer is too small; `limits::HTTP_HEAD_OUT_BYTES` is enough for any head.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match self.version {
            Version::Simple => return Ok(()),
            Version::Http10 => w.bytes(b"HTTP/1.0 ")?,
            Version::Http11 => w.bytes(b"HTTP/1.1 ")?,
        }
        w.bytes(self.code.line().as_bytes())?;
        w.bytes(b"\r\n")?;
        if let Some(date) = &self.date {
            field(w, "Date: ", date)?;
        }
        self.entity(w)?;
        self.caching(w)?;
        self.fixed(w)?;
        if let Some(location) = &self.location {
            w.bytes(b"Location: http://")?;
            w.bytes(location.authority.as_bytes())?;
            encode_path(w, location.path)?;
            let is_plain = location.query.bytes().all(|b| b.is_ascii_graphic());
            if is_plain && !location.query.is_empty() {
                w.bytes(b"?")?;
                w.bytes(location.query.as_bytes())?;
            }
            w.bytes(b"\r\n")?;
        }
        if let Some(seconds) = self.retry_after_s {
            number(w, "Retry-After: ", u64::from(seconds))?;
        }
        w.bytes(b"\r\n")
    }

    fn entity(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if let Some(kind) = self.content_type {
            field(w, "Content-Type: ", kind.as_bytes())?;
        }
        if let Some(length) = self.content_length {
            number(w, "Content-Length: ", length)?;
        }
        match self.content_range {
            Some((Some(Span { first, last }), size)) => {
                print(w, format_args!("Content-Range: bytes {first}-{last}/{size}\r\n"))?;
            }
            Some((None, size)) => print(w, format_args!("Content-Range: bytes */{size}\r\n"))?,
            None => {}
        }
        if let Some(tag) = self.etag {
            field(w, "ETag: ", &tag.text())?;
        }
        if let Some(date) = &self.last_modified {
            field(w, "Last-Modified: ", date)?;
        }
        Ok(())
    }

    fn caching(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let old = self.version == Version::Http10;
        match &self.cache {
            Some(Cache::NoCache) => w.bytes(b"Cache-Control: no-cache\r\n")?,
            Some(Cache::NoStore) => w.bytes(b"Cache-Control: no-store\r\n")?,
            Some(Cache::For { max_age_s, expires }) => {
                return kept(w, *max_age_s, "\r\n", expires.as_ref());
            }
            Some(Cache::Immutable { max_age_s, expires }) => {
                return kept(w, *max_age_s, ", immutable\r\n", expires.as_ref());
            }
            None => return Ok(()),
        }
        if old {
            // An invalid date such as 0 means already stale (RFC 1945 §10.7).
            w.bytes(b"Pragma: no-cache\r\nExpires: 0\r\n")?;
        }
        Ok(())
    }

    fn fixed(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let keep = match (self.after, self.version) {
            (After::Keep, Version::Http10) => "Connection: Keep-Alive\r\n",
            (After::Close, Version::Http11) => "Connection: close\r\n",
            (After::Close, _) if self.code.is_error() => "Connection: close\r\n",
            _ => "",
        };
        let optional = [
            (self.gzip, "Content-Encoding: gzip\r\n"),
            (self.varies, "Vary: Accept-Encoding\r\n"),
            (self.accept_ranges, "Accept-Ranges: bytes\r\n"),
            (self.cors, CORS),
            (self.preflight, PREFLIGHT),
            (self.page, PAGE),
            (self.allow, "Allow: GET, HEAD, OPTIONS\r\n"),
            (true, keep),
        ];
        for (wanted, text) in optional {
            if wanted {
                w.bytes(text.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn kept(
    w: &mut Writer<'_>,
    max_age_s: u32,
    end: &str,
    expires: Option<&DateText>,
) -> Result<(), Full> {
    number_with(w, "Cache-Control: public, max-age=", u64::from(max_age_s), end)?;
    expires.map_or(Ok(()), |date| field(w, "Expires: ", date))
}

fn field(w: &mut Writer<'_>, name: &str, value: &[u8]) -> Result<(), Full> {
    w.bytes(name.as_bytes())?;
    w.bytes(value)?;
    w.bytes(b"\r\n")
}

fn number(w: &mut Writer<'_>, name: &str, value: u64) -> Result<(), Full> {
    number_with(w, name, value, "\r\n")
}

fn number_with(w: &mut Writer<'_>, name: &str, mut value: u64, end: &str) -> Result<(), Full> {
    w.bytes(name.as_bytes())?;
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' | u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    let (_, text) = digits.split_at(digits.len() - count);
    w.bytes(text)?;
    w.bytes(end.as_bytes())
}

fn encode_path(w: &mut Writer<'_>, path: &str) -> Result<(), Full> {
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            w.u8(b)?;
        } else {
            w.bytes(&[b'%', hex_digit(b >> 4, b'A'), hex_digit(b & 0x0f, b'A')])?;
        }
    }
    Ok(())
}

/// Formats into a writer; for what is not on the hot path.
fn print(w: &mut Writer<'_>, text: fmt::Arguments<'_>) -> Result<(), Full> {
    Text(w).write_fmt(text).map_err(|_| Full { need: 1, have: 0 })
}

/// A `Writer` as the formatting machinery wants it.
#[derive(Debug)]
pub struct Text<'w, 'b>(pub &'w mut Writer<'b>);

impl fmt::Write for Text<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.bytes(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{date_text, decimal};
    use super::*;
    use crate::limits::{HTTP_HEAD_OUT_BYTES, HTTP_PATH_BYTES, HTTP_QUERY_BYTES_KEPT};
    use proptest::prelude::*;

    fn emitted(head: &ResponseHead<'_>) -> String {
        let mut buffer = vec![0; HTTP_HEAD_OUT_BYTES];
        let mut w = Writer::new(&mut buffer);
        head.emit(&mut w).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    #[test]
    fn head_of_a_segment_is_as_the_sheet_says() {
        let mut head = ResponseHead::new(Version::Http10, Code::PartialContent, After::Keep);
        head.date = date_text(784_111_777);
        head.content_type = Some("video/mp2t");
        head.content_length = Some(2);
        head.content_range = Some((Some(Span { first: 0, last: 1 }), 1000));
        head.etag = Some(EntityTag(0xabc));
        head.accept_ranges = true;
        head.cache = Some(Cache::Immutable { max_age_s: 60, expires: date_text(784_111_837) });
        assert_eq!(
            emitted(&head),
            "HTTP/1.0 206 Partial Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: video/mp2t\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/1000\r\n\
             ETag: \"0000000000000abc\"\r\nCache-Control: public, max-age=60, immutable\r\n\
             Expires: Sun, 06 Nov 1994 08:50:37 GMT\r\nAccept-Ranges: bytes\r\n\
             Connection: Keep-Alive\r\n\r\n"
        );
    }

    #[test]
    fn location_never_carries_line_ends_from_input() {
        let mut head = ResponseHead::new(Version::Http11, Code::MovedPermanently, After::Keep);
        let (authority, path) = ("box:8080", "/hls/a b\r\nX: y/");
        head.location = Some(Location { authority, path, query: "" });
        let line = "Location: http://box:8080/hls/a%20b%0D%0AX%3A%20y/";
        assert!(emitted(&head).contains(&format!("{line}\r\n")));
        head.location = Some(Location { authority, path, query: "key=a%20b&c" });
        assert!(emitted(&head).contains(&format!("{line}?key=a%20b&c\r\n")));
        head.location = Some(Location { authority, path, query: "key\r\nX: y" });
        assert!(emitted(&head).contains(&format!("{line}\r\n")));
        assert!(!is_authority("a\r\nb") && !is_authority("") && is_authority("[::1]:80"));
    }

    #[test]
    fn fullest_head_with_the_longest_path_fits() {
        let date = date_text(784_111_777);
        let (authority, path) = ("x".repeat(256), "\"".repeat(HTTP_PATH_BYTES));
        let query = "x".repeat(HTTP_QUERY_BYTES_KEPT);
        let head = ResponseHead {
            date,
            content_type: Some("application/vnd.apple.mpegurl"),
            content_length: Some(u64::MAX),
            content_range: Some((Some(Span { first: u64::MAX, last: u64::MAX }), u64::MAX)),
            etag: Some(EntityTag(u64::MAX)),
            last_modified: date,
            cache: Some(Cache::Immutable { max_age_s: u32::MAX, expires: date }),
            location: Some(Location { authority: &authority, path: &path, query: &query }),
            gzip: true,
            varies: true,
            accept_ranges: true,
            cors: true,
            preflight: true,
            page: true,
            allow: true,
            retry_after_s: Some(u32::MAX),
            ..ResponseHead::new(Version::Http10, Code::RangeNotSatisfiable, After::Close)
        };
        assert!(emitted(&head).len() > 3 * HTTP_PATH_BYTES);
    }

    #[test]
    fn simple_answer_has_no_head() {
        let head = ResponseHead::new(Version::Simple, Code::Ok, After::Close);
        assert_eq!(emitted(&head), "");
    }

    proptest! {
        #[test]
        fn decimal_reads_what_number_writes(value: u64) {
            let mut buffer = [0; 32];
            let mut w = Writer::new(&mut buffer);
            number_with(&mut w, "", value, "").unwrap();
            prop_assert_eq!(decimal(w.written()), Some(value));
        }
    }
}

//! The request machine: bytes in; a request, or the reason why there is none, out.
//!
//! Holds no bytes: it is shown the whole buffer again with each arrival and remembers how far it
//! has looked. Knows no resources, sends nothing; bodies are the caller's to skip.
//! Source: RFC 1945 §4 to §5, §8; RFC 9112 §2 to §6 for 1.1.
//!
//! Quirks: a bare LF ends a line; up to two empty lines may come before a request; folded fields
//! are joined for 1.0 and refused for 1.1.

mod condition;
mod path;

pub use condition::{Resource, Verdict, judge};
pub use path::PathBuffer;

use crate::limits::{HTTP_FIELDS, HTTP_LINE_BYTES, HTTP_REQUEST_BYTES};
use crate::wire::http::{
    ByteRange, Code, Field, LineError, Method, RequestLine, Version, accepts_gzip, decimal,
    is_authority, list, parse_date,
};

/// Empty lines before a request that are skipped (RFC 9112 §2.2).
const EMPTY_LINES_MAX: usize = 2;

/// Why a request is refused. All but the first group end the connection with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    // Malformed.
    /// A line is not what it should be.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The target is not a path, an address, or `*` with OPTIONS.
    #[error("target is neither a path nor an http address")]
    Target,
    /// The path holds a bad escape, a forbidden byte, or leaves the root.
    #[error("path holds a bad escape or a forbidden byte, or leaves the root")]
    Path,
    /// A continuation line where none is allowed.
    #[error("header field is folded: write it on one line")]
    Folded,
    /// HTTP/1.1 without exactly one Host.
    #[error("http/1.1 needs exactly one host field")]
    Host,
    /// A field that must be single came twice.
    #[error("header field {0} is repeated")]
    Repeated(&'static str),
    /// Content-Length is no number or not there although 1.0 demands it.
    #[error("content-length is missing or no number")]
    Length,
    /// Transfer-Encoding together with Content-Length, or from a 1.0 client.
    #[error("transfer-encoding does not go with content-length or http/1.0")]
    Framing,
    // Misbehaved.
    /// HTTP/0.9 with another method than GET.
    #[error("a request without a version can only be GET")]
    SimpleMethod,
    // Unsupported.
    /// A method nobody knows.
    #[error("method is unknown: use GET or HEAD")]
    Method,
    /// A body without a length.
    #[error("a body needs a content-length")]
    LengthRequired,
    /// An Expect other than 100-continue.
    #[error("only 100-continue can be expected")]
    Expectation,
    // Exhausted.
    /// The request line is longer than allowed.
    #[error("request line is longer than {HTTP_LINE_BYTES} bytes")]
    LineTooLong,
    /// The path is longer than allowed.
    #[error("path is too long")]
    PathTooLong,
    /// The head is longer than allowed.
    #[error("request head is longer than {HTTP_REQUEST_BYTES} bytes")]
    HeadTooLong,
    /// More fields than allowed.
    #[error("request has more than {HTTP_FIELDS} header fields")]
    TooManyFields,
}

impl RequestError {
    /// The status that says so to a client of `version`.
    #[must_use]
    pub const fn code(self, version: Version) -> Code {
        match self {
            Self::Line(LineError::Version { .. }) => Code::VersionNotSupported,
            Self::Line(LineError::RequestLine | LineError::Field)
            | Self::Target
            | Self::Path
            | Self::Folded
            | Self::Host
            | Self::Repeated(_)
            | Self::Length
            | Self::Framing
            | Self::SimpleMethod => Code::BadRequest,
            Self::Method => Code::NotImplemented,
            Self::LengthRequired => Code::LengthRequired,
            Self::Expectation => Code::ExpectationFailed,
            Self::LineTooLong | Self::PathTooLong => Code::UriTooLong,
            // 431 is younger than 1.0 (RFC 6585).
            Self::HeadTooLong | Self::TooManyFields => match version {
                Version::Simple | Version::Http10 => Code::BadRequest,
                Version::Http11 => Code::HeaderTooLarge,
            },
        }
    }
}

/// A complete request head.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of the head")]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Version the client speaks.
    pub version: Version,
    /// Decoded, normal path from its first slash, without the query; `*` when there is none.
    pub path: &'a str,
    /// What followed the path's `?`, not decoded; empty if it is no text.
    pub query: &'a str,
    /// Host and port that the client believes to speak to, if they can be repeated to it.
    pub authority: Option<&'a str>,
    /// Whether the client wants the connection to stay.
    pub keep_alive: bool,
    /// Bytes of body behind the head.
    pub body_bytes: u64,
    /// Whether a 1.1 client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the client takes gzip.
    pub gzip: bool,
    /// Range, with GET only.
    pub range: Option<ByteRange>,
    /// `If-Modified-Since` in seconds since 1970, with GET only.
    pub modified_since: Option<u64>,
    if_range: Option<&'a [u8]>,
    if_none_match: bool,
    fields: &'a [u8],
}

impl<'a> Request<'a> {
    /// The values of all fields called `name`, in order.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        lines(self.fields)
            .filter_map(|line| Field::parse(line).ok())
            .filter(move |field| field.is(name))
            .map(|field| field.value)
    }
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub enum Progress<'a> {
    /// No whole request yet.
    More,
    /// A request whose head took `used` bytes of the buffer.
    Request {
        /// The request.
        request: Request<'a>,
        /// Bytes to consume.
        used: usize,
    },
    /// No request can come of it; answer and close.
    Refused {
        /// Why.
        error: RequestError,
        /// Version to answer in.
        version: Version,
    },
}

/// Where the look at one request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request line has not ended.
    Line,
    /// The request line is good and ends at `line_end`; the head has no end before `scanned`.
    Fields { line_end: usize, scanned: usize },
}

/// The machine of one connection; ready for the next request after each it has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    state: State,
}

impl Machine {
    /// At the start of a request.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a machine starts at a request's first byte")]
    pub const fn new() -> Self {
        Self { state: State::Line }
    }

    /// Looks at `bytes`, which begin with the request and grow from call to call; `path` is room
    /// for a path that has to be decoded. Folded fields are joined in place.
    pub fn advance<'a>(&mut self, bytes: &'a mut [u8], path: &'a mut PathBuffer) -> Progress<'a> {
        let start = skip_empty_lines(bytes);
        let (line_end, scanned) = match self.state {
            State::Fields { line_end, scanned } => (line_end, scanned),
            State::Line => match first_line(bytes, start) {
                Ok(None) => return Progress::More,
                Ok(Some(end)) => (end, end),
                Err(error) => return self.refuse(error, Version::Http10),
            },
        };
        let line = trim_line(bytes.get(start..line_end).unwrap_or_default());
        let version = match RequestLine::parse(line) {
            Ok(line) => line.version,
            Err(error) => return self.refuse(error.into(), Version::Http10),
        };
        let head_end = if version == Version::Simple {
            line_end
        } else {
            match find_head_end(bytes, scanned) {
                Ok(end) => end,
                Err(_) if bytes.len() >= HTTP_REQUEST_BYTES => {
                    return self.refuse(RequestError::HeadTooLong, version);
                }
                Err(scanned) => {
                    self.state = State::Fields { line_end, scanned };
                    return Progress::More;
                }
            }
        };
        self.state = State::Line;
        let Some((head, _)) = bytes.split_at_mut_checked(head_end) else {
            return Progress::More;
        };
        match read_head(head, start, line_end, path) {
            Ok(request) => Progress::Request { request, used: head_end },
            // Who asks HEAD without a version expects a head all the same.
            Err(error @ RequestError::SimpleMethod) => self.refuse(error, Version::Http10),
            Err(error) => self.refuse(error, version),
        }
    }

    fn refuse<'a>(&mut self, error: RequestError, version: Version) -> Progress<'a> {
        self.state = State::Line;
        Progress::Refused { error, version }
    }
}

fn skip_empty_lines(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for _ in 0..EMPTY_LINES_MAX {
        rest = match rest {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            _ => break,
        };
    }
    bytes.len() - rest.len()
}

/// Where the request line ends, `None` if it has not yet.
fn first_line(bytes: &[u8], start: usize) -> Result<Option<usize>, RequestError> {
    let rest = bytes.get(start..).unwrap_or_default();
    match rest.iter().position(|&b| b == b'\n') {
        Some(at) if at < HTTP_LINE_BYTES => Ok(Some(start + at + 1)),
        None if rest.len() < HTTP_LINE_BYTES => match rest.first() {
            // A TLS hello has no line end to wait for.
            Some(b) if !b.is_ascii_uppercase() && *b != b'\r' => Err(LineError::RequestLine.into()),
            _ => Ok(None),
        },
        _ => Err(RequestError::LineTooLong),
    }
}

/// The end of the empty line that ends the head, or where to look from the next time.
fn find_head_end(bytes: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from;
    for line in bytes.get(from..).unwrap_or_default().split_inclusive(|&b| b == b'\n') {
        match line {
            b"\n" | b"\r\n" => return Ok(at + line.len()),
            [.., b'\n'] => at += line.len(),
            _ => break,
        }
    }
    Err(at)
}

fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The lines of a field block, without their ends and without the empty line behind them.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split_inclusive(|&b| b == b'\n').map(trim_line).take_while(|line| !line.is_empty())
}

fn read_head<'a>(
    head: &'a mut [u8],
    start: usize,
    line_end: usize,
    path: &'a mut PathBuffer,
) -> Result<Request<'a>, RequestError> {
    let Some((first, block)) = head.split_at_mut_checked(line_end) else {
        return Err(LineError::RequestLine.into());
    };
    let first: &'a [u8] = first;
    let line = RequestLine::parse(trim_line(first.get(start..).unwrap_or_default()))?;
    let block: &'a [u8] = unfold(block, line.version)?;
    let method = Method::parse(line.method).ok_or(RequestError::Method)?;
    if line.version == Version::Simple && method != Method::Get {
        return Err(RequestError::SimpleMethod);
    }
    let facts = Facts::read(block)?;
    let body_bytes = facts.body(method, line.version)?;
    if line.version == Version::Http11 && facts.hosts != 1 {
        return Err(RequestError::Host);
    }
    let (target_authority, target_path, query) = split_target(line.target, method)?;
    let authority = target_authority.or(facts.host).and_then(|host| {
        let host = core::str::from_utf8(host).ok()?;
        is_authority(host).then_some(host)
    });
    let get = method == Method::Get;
    Ok(Request {
        method,
        version: line.version,
        path: match target_path {
            b"*" => "*",
            target => path::normalise(target, path)?,
        },
        query: core::str::from_utf8(query).unwrap_or_default(),
        authority,
        keep_alive: match line.version {
            Version::Simple => false,
            Version::Http10 => facts.keep && !facts.close,
            Version::Http11 => !facts.close,
        },
        body_bytes,
        expects_continue: facts.expects_continue && line.version == Version::Http11,
        gzip: facts.gzip,
        range: facts.range.filter(|_| get).and_then(ByteRange::parse),
        modified_since: facts.modified_since.filter(|_| get).and_then(parse_date),
        if_range: facts.if_range,
        if_none_match: facts.if_none_match,
        fields: block,
    })
}

/// Joins continuation lines by making spaces of the line ends between (RFC 9112 §5.2): the head
/// is as long as it was, and read again it is the same.
fn unfold(block: &mut [u8], version: Version) -> Result<&[u8], RequestError> {
    let folded = |line: &[u8]| matches!(line, [b' ' | b'\t', ..]);
    if !block.split(|&b| b == b'\n').any(folded) {
        return Ok(block);
    }
    if version == Version::Http11 || folded(block) {
        return Err(RequestError::Folded);
    }
    for at in 1..block.len() {
        if let Some([before, end @ b'\n', b' ' | b'\t']) = block.get_mut(at - 1..at + 2) {
            *end = b' ';
            if *before == b'\r' {
                *before = b' ';
            }
        }
    }
    Ok(block)
}

/// Authority, path and query of a target.
fn split_target(target: &[u8], method: Method) -> Result<Target<'_>, RequestError> {
    let scheme = target.split_at_checked(7);
    let (authority, path) = match (target, scheme) {
        ([b'/', ..], _) => (None, target),
        (b"*", _) if method == Method::Options => (None, target),
        (_, Some((scheme, rest))) if scheme.eq_ignore_ascii_case(b"http://") => {
            let slash = rest.iter().position(|&b| b == b'/' || b == b'?');
            let (authority, path) = rest.split_at(slash.unwrap_or(rest.len()));
            (Some(authority), if path.is_empty() { b"/" } else { path })
        }
        // CONNECT names an authority; it is refused by its method.
        _ if method == Method::Other => (None, &b"*"[..]),
        _ => return Err(RequestError::Target),
    };
    let end = path.iter().position(|&b| b == b'?');
    let (path, query) = path.split_at(end.unwrap_or(path.len()));
    let query = query.strip_prefix(b"?").unwrap_or_default();
    Ok((authority, if path.is_empty() { b"/" } else { path }, query))
}

/// Authority, if there is one, path, and query without its `?`.
type Target<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8]);

/// What the fields say, each before it is judged.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of the head")]
struct Facts<'a> {
    hosts: usize,
    host: Option<&'a [u8]>,
    keep: bool,
    close: bool,
    length: Option<u64>,
    coding: bool,
    expects_continue: bool,
    expects_other: bool,
    gzip: bool,
    range: Option<&'a [u8]>,
    modified_since: Option<&'a [u8]>,
    if_range: Option<&'a [u8]>,
    if_none_match: bool,
    authorization: bool,
}

impl<'a> Facts<'a> {
    const NONE: Self = Self {
        hosts: 0,
        host: None,
        keep: false,
        close: false,
        length: None,
        coding: false,
        expects_continue: false,
        expects_other: false,
        gzip: false,
        range: None,
        modified_since: None,
        if_range: None,
        if_none_match: false,
        authorization: false,
    };

    fn read(block: &'a [u8]) -> Result<Self, RequestError> {
        let mut facts = Self::NONE;
        for (count, line) in lines(block).enumerate() {
            if count >= HTTP_FIELDS {
                return Err(RequestError::TooManyFields);
            }
            facts.take(Field::parse(line)?)?;
        }
        Ok(facts)
    }

    fn take(&mut self, field: Field<'a>) -> Result<(), RequestError> {
        let value = field.value;
        // Most fields are none of these; the length tells most of them apart.
        match field.name.len() {
            4 if field.is("host") => {
                self.hosts += 1;
                self.host = Some(value);
            }
            5 if field.is("range") => once(&mut self.range, value, "range")?,
            6 if field.is("expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                self.expects_other |= !known;
            }
            8 if field.is("if-range") => once(&mut self.if_range, value, "if-range")?,
            10 if field.is("connection") => {
                for option in list(value) {
                    self.keep |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.close |= option.eq_ignore_ascii_case(b"close");
                }
            }
            13 if field.is("if-none-match") => self.if_none_match = true,
            13 if field.is("authorization") => {
                if self.authorization {
                    return Err(RequestError::Repeated("authorization"));
                }
                self.authorization = true;
            }
            14 if field.is("content-length") => {
                let length = decimal(value).ok_or(RequestError::Length)?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(RequestError::Repeated("content-length"));
                }
                self.length = Some(length);
            }
            15 if field.is("accept-encoding") => self.gzip |= accepts_gzip(value),
            17 if field.is("transfer-encoding") => self.coding = true,
            17 if field.is("if-modified-since") => self.modified_since = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// Body bytes behind the head.
    fn body(&self, method: Method, version: Version) -> Result<u64, RequestError> {
        let old = version != Version::Http11;
        if self.coding && (old || self.length.is_some()) {
            return Err(RequestError::Framing);
        }
        if self.expects_other && !old {
            return Err(RequestError::Expectation);
        }
        match self.length {
            Some(length) => Ok(length),
            None if self.coding => Err(RequestError::LengthRequired),
            None if method == Method::Post && old => Err(RequestError::Length),
            None if method == Method::Post => Err(RequestError::LengthRequired),
            None => Ok(0),
        }
    }
}

fn once<'a>(
    place: &mut Option<&'a [u8]>,
    value: &'a [u8],
    name: &'static str,
) -> Result<(), RequestError> {
    if place.replace(value).is_some() {
        return Err(RequestError::Repeated(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

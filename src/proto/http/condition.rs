//! Decides how much of a resource a request gets: all, a part, or word that nothing changed.
//!
//! Order of the questions: RFC 9110 §13.2.2. Knows neither where the bytes are nor how they go.

use super::Request;
use crate::wire::http::{EntityTag, Method, Span};

/// What can be said about a resource without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// Entity tag.
    pub etag: EntityTag,
    /// Last modification in seconds since 1970, if a clock knew.
    pub modified: Option<u64>,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether parts may be asked for.
    pub ranges: bool,
}

/// The answer to a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200: everything.
    Full,
    /// 206: a part.
    Part(Span),
    /// 304: the client has it.
    NotModified,
    /// 416: no byte of it was asked for.
    Unsatisfiable,
}

/// Judges a request's conditions; `now_unix` is `None` while the clock is not set.
#[must_use]
pub fn judge(request: &Request<'_>, resource: &Resource, now_unix: Option<u64>) -> Verdict {
    if request.if_none_match {
        let mut tags = request.values("if-none-match");
        if tags.any(|value| resource.etag.is_in(value)) {
            return Verdict::NotModified;
        }
    } else if unmodified(request, resource, now_unix) {
        return Verdict::NotModified;
    }
    let range = request.range.filter(|_| resource.ranges && request.method == Method::Get);
    match range {
        Some(range) if same(request, resource) => match range.resolve(resource.bytes) {
            Some(span) => Verdict::Part(span),
            None => Verdict::Unsatisfiable,
        },
        _ => Verdict::Full,
    }
}

/// A date later than now is invalid (RFC 1945 §10.9).
fn unmodified(request: &Request<'_>, resource: &Resource, now_unix: Option<u64>) -> bool {
    let (Some(since), Some(modified), Some(now)) =
        (request.modified_since, resource.modified, now_unix)
    else {
        return false;
    };
    since <= now && modified <= since
}

/// Whether `If-Range` is absent or names what is here now: strong tag or exact date.
fn same(request: &Request<'_>, resource: &Resource) -> bool {
    match request.if_range {
        None => true,
        Some(tag) if tag.starts_with(b"\"") => tag == resource.etag.text(),
        Some(date) => {
            let date = crate::wire::http::parse_date(date);
            date.is_some() && date == resource.modified
        }
    }
}

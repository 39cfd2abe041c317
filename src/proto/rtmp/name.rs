//! Application and stream names: what a peer says, made safe to be a path.
//!
//! Allowed are `A-Z a-z 0-9 . _ -`, and `/` between the segments of an application. No segment
//! starts with a dot, so that none is `.` or `..` or hidden. A query after `?` is kept apart and
//! never becomes a name. Escapes are decoded once, and what comes out is held to the same rules:
//! most clients do not encode, those that do mean the same stream.
//! Queries are joined in the order in which they count, so that the first of a name wins: stream
//! name, application, tcUrl. Their values are not decoded.
//! Source: RTMP URI memo §5; what ffmpeg, OBS and librtmp make of a URL, as measured.
//!
//! Quirks: leading and trailing slashes of an application go (`rtmp://h//app/key`); so does a last
//! segment `_definst_`; an empty stream name is the application's last segment (`rtmp://h/key`);
//! `path#key` as stream name, from a client without fragments, adds `path` to the application.

use core::ascii::escape_default;

use crate::limits;
use crate::wire::rtmp::url::unescape;

/// What follows `?`, of the application and then of the tcUrl.
pub type Query = heapless::String<{ limits::QUERY_BYTES_MAX }>;

/// An application, or a stream name: allowed characters alone.
pub type Name = heapless::String<{ limits::NAME_BYTES_MAX }>;

/// Which name is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The application of connect.
    App,
    /// The name of publish.
    Stream,
}

impl core::fmt::Display for What {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::App => "application",
            Self::Stream => "stream name",
        })
    }
}

/// Why a name was refused; shown to the person at the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Misbehaved: no name, or two slashes with none between them.
    #[error("{0} is empty or has an empty segment")]
    Empty(What),
    /// Misbehaved: a character that does not belong into a path.
    #[error("{what} holds '{}': allowed are A-Z a-z 0-9 . _ -", escape_default(*byte))]
    Character {
        /// Which name.
        what: What,
        /// The first such byte.
        byte: u8,
    },
    /// Misbehaved: `.`, `..` or a hidden file.
    #[error("{0} has a segment that starts with '.'")]
    Dot(What),
    /// Misbehaved: what our files are called; a stream's folder would take their place.
    #[error("{0} has a segment that ends in .m3u8 or .ts")]
    File(What),
    /// Exhausted: the name.
    #[error("{what} is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Which name.
        what: What,
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Exhausted: segments of an application, each a folder.
    #[error("application has {segments} segments, at most {max} are allowed")]
    TooDeep {
        /// Its segments.
        segments: usize,
        /// The limit.
        max: usize,
    },
    /// Misbehaved: a query with bytes that are no text.
    #[error("query of {0} is not text")]
    QueryText(What),
    /// Exhausted: the query.
    #[error("query of {what} is {len} bytes long, at most {max} are allowed")]
    QueryTooLong {
        /// Of which name.
        what: What,
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// Where a publisher wants to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Application without query; empty if the URL had but one segment.
    pub app: Name,
    /// Stream name without query.
    pub name: Name,
}

impl Target {
    /// Reads what publish says on a connection to `app`; gives the query too.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse<'a>(app: &str, said: &'a [u8]) -> Result<(Self, &'a str), NameError> {
        let (said, query) = cut(said, What::Stream)?;
        let (added, said) = match split(said, b'#') {
            (path, Some(fragment)) => (path, fragment),
            (name, None) => (&[][..], name),
        };
        let path = join(app, added)?;
        let target = if said.is_empty() {
            let (app, name) = path.rsplit_once('/').unwrap_or(("", &path));
            Self {
                app: checked(app.as_bytes(), What::App)?,
                name: checked(name.as_bytes(), What::Stream)?,
            }
        } else {
            Self { app: path, name: checked(said, What::Stream)? }
        };
        Ok((target, query))
    }
}

/// Reads the application of a connect, from `app` or, if that is empty, from the URL; gives the
/// queries of both too. The URL's is left out where it says nothing new or is no text.
///
/// # Errors
/// What is wrong with the application.
pub fn application(app: &[u8], tc_url: &[u8]) -> Result<(Name, Query), NameError> {
    let (path, query) = cut(app, What::App)?;
    let (url_path, url_query) = url_target(tc_url);
    let mut path = trim(path);
    if path.is_empty() {
        path = trim(url_path);
    }
    let path = match path.strip_suffix(b"_definst_") {
        Some(b"") => b"",
        Some(rest) if rest.ends_with(b"/") => trim(rest),
        _ => path,
    };
    Ok((checked(path, What::App)?, merged(query, url_query)))
}

/// The value of the first parameter `name` in the first of `queries` that has one: empty if it
/// stands without `=`. Not decoded.
#[must_use]
pub fn query_value<'a>(name: &str, queries: &[&'a str]) -> Option<&'a str> {
    let pairs = queries.iter().flat_map(|query| query.split('&'));
    let mut parameters = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    parameters.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// One query behind the other.
fn merged(query: &str, url_query: &[u8]) -> Query {
    let mut all = Query::try_from(query).unwrap_or_default();
    let said = core::str::from_utf8(url_query).unwrap_or_default();
    let is_text = !said.chars().any(char::is_control);
    let joint = if query.is_empty() { "" } else { "&" };
    let fits = query.len() + joint.len() + said.len() <= all.capacity();
    if !said.is_empty() && said != query && is_text && fits {
        for piece in [joint, said] {
            let pushed = all.push_str(piece);
            debug_assert!(pushed.is_ok());
        }
    }
    all
}

/// Path and query of a URL.
fn url_target(url: &[u8]) -> (&[u8], &[u8]) {
    let (url, _) = split(url, b'#');
    let (url, query) = split(url, b'?');
    let after = url.windows(2).position(|pair| pair == b"//");
    let authority = after.and_then(|at| url.get(at + 2..)).unwrap_or_default();
    let (_, path) = split(authority, b'/');
    (path.unwrap_or_default(), query.unwrap_or_default())
}

fn join(app: &str, added: &[u8]) -> Result<Name, NameError> {
    if added.is_empty() {
        return checked(app.as_bytes(), What::App);
    }
    let added = checked(added, What::App)?;
    let mut path = Name::new();
    let slash = if app.is_empty() { "" } else { "/" };
    for part in [app, slash, &added] {
        path.push_str(part).map_err(|_| NameError::TooLong {
            what: What::App,
            len: app.len() + 1 + added.len(),
            max: limits::NAME_BYTES_MAX,
        })?;
    }
    checked(path.as_bytes(), What::App)
}

/// Splits off a query and checks it.
fn cut(said: &[u8], what: What) -> Result<(&[u8], &str), NameError> {
    let (path, query) = split(said, b'?');
    let query = query.unwrap_or_default();
    if query.len() > limits::QUERY_BYTES_MAX {
        return Err(NameError::QueryTooLong {
            what,
            len: query.len(),
            max: limits::QUERY_BYTES_MAX,
        });
    }
    let text = core::str::from_utf8(query).map_err(|_| NameError::QueryText(what))?;
    if text.chars().any(char::is_control) {
        return Err(NameError::QueryText(what));
    }
    Ok((path, text))
}

/// A decoded copy of a name that holds allowed characters alone. An empty application is allowed.
fn checked(said: &[u8], what: What) -> Result<Name, NameError> {
    let said = decoded(said, what)?;
    if said.is_empty() && what == What::App {
        return Ok(Name::new());
    }
    let segments = || said.split(|&byte| byte == b'/' && what == What::App);
    for segment in segments() {
        match segment.first() {
            None => return Err(NameError::Empty(what)),
            Some(b'.') => return Err(NameError::Dot(what)),
            Some(_) => {}
        }
        if segment.ends_with(b".m3u8") || segment.ends_with(b".ts") {
            return Err(NameError::File(what));
        }
        let foreign = |byte: &&u8| !(byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        if let Some(&byte) = segment.iter().find(foreign) {
            return Err(NameError::Character { what, byte });
        }
    }
    let (deep, max) = (segments().count(), limits::APP_SEGMENTS_MAX);
    if deep > max {
        return Err(NameError::TooDeep { segments: deep, max });
    }
    let text = core::str::from_utf8(&said).map_err(|_| NameError::Empty(what))?;
    Name::try_from(text).map_err(|_| NameError::Empty(what))
}

/// One decoding of a name; an escape that is none is left, and refused for its `%`.
fn decoded(
    said: &[u8],
    what: What,
) -> Result<heapless::Vec<u8, { limits::NAME_BYTES_MAX }>, NameError> {
    let (len, max) = (unescape(said).count(), limits::NAME_BYTES_MAX);
    if len > max {
        return Err(NameError::TooLong { what, len, max });
    }
    Ok(unescape(said).take(max).collect())
}

fn trim(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// What stands before and after the first `byte`.
fn split(bytes: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    let Some(at) = bytes.iter().position(|&b| b == byte) else {
        return (bytes, None);
    };
    let (before, rest) = bytes.split_at(at);
    (before, rest.get(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(app: &str, said: &str) -> Result<(String, String, String), NameError> {
        let (app, app_query) = application(app.as_bytes(), b"")?;
        let (target, query) = Target::parse(&app, said.as_bytes())?;
        let queries = [query, &app_query].join("|");
        Ok((target.app.to_string(), target.name.to_string(), queries))
    }

    #[test]
    fn target_maps_every_row_of_the_table() {
        for (app, said, want) in [
            ("live", "key?tok=1", ("live", "key", "tok=1|")),
            ("live?tok=1", "key", ("live", "key", "|tok=1")),
            ("live/inst", "key", ("live/inst", "key", "|")),
            ("live/_definst_", "key", ("live", "key", "|")),
            ("live/key", "", ("live", "key", "|")),
            ("key", "", ("", "key", "|")),
            ("three/segment", "path#Big", ("three/segment/path", "Big", "|")),
            ("live?authmod=adobe&user=bob", "key", ("live", "key", "|authmod=adobe&user=bob")),
            ("/app", "key", ("app", "key", "|")),
            // Beyond the table.
            ("app/", "key?a=b/c#d", ("app", "key", "a=b/c#d|")),
            ("app?x=1", "key?y=2", ("app", "key", "y=2|x=1")),
            ("_definst_", "key", ("", "key", "|")),
            ("/live/inst/_definst_/", "key", ("live/inst", "key", "|")),
            ("live", "#key", ("live", "key", "|")),
            ("live", "Key", ("live", "Key", "|")),
        ] {
            let (a, n, q) = place(app, said).unwrap();
            assert_eq!((&*a, &*n, &*q), want, "{app} {said}");
        }
        assert_eq!(place("live", "../x"), Err(NameError::Dot(What::Stream)));
    }

    #[test]
    fn escapes_are_decoded_once_and_held_to_the_same_rules() {
        for (app, said, want) in [
            ("live", "cam%2D1", ("live", "cam-1")),
            ("live%2finst", "k%65y", ("live/inst", "key")),
            ("live", "a%2Fb#k%5F", ("live/a/b", "k_")),
        ] {
            let (a, n, _) = place(app, said).unwrap();
            assert_eq!((&*a, &*n), want, "{app} {said}");
        }
        let what = What::Stream;
        for (said, byte) in [
            ("ke%20y", b' '),
            ("a%2Fb", b'/'),
            ("a%00", 0),
            ("a%3Ftok", b'?'),
            ("%2541", b'%'),
            ("100%", b'%'),
            ("%zz", b'%'),
            ("%ff", 0xff),
        ] {
            assert_eq!(place("live", said), Err(NameError::Character { what, byte }), "{said}");
        }
        assert_eq!(place("live", "%2e%2e"), Err(NameError::Dot(what)));
        assert_eq!(place("%2e%2e/live", "k"), Err(NameError::Dot(What::App)));
        assert_eq!(place("live", "x%2Em3u8"), Err(NameError::File(what)));
        assert!(place("live", &"%41".repeat(limits::NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn first_query_wins_and_the_url_comes_last() {
        let connect = |app: &str, url: &str| {
            let (_, query) = application(app.as_bytes(), url.as_bytes()).unwrap();
            query.to_string()
        };
        assert_eq!(connect("live?a=1", "rtmp://h/live?a=2&b=3"), "a=1&a=2&b=3");
        assert_eq!(connect("live?a=1", "rtmp://h/live?a=1"), "a=1");
        assert_eq!(connect("live", "rtmp://h/live?b=//c/d#e"), "b=//c/d");
        assert_eq!(connect("", "rtmp://h/live?b=3"), "b=3");
        // What cannot be used of the URL is not held against the client.
        assert_eq!(connect("live?a=1", "rtmp://h/live?b=\n"), "a=1");
        let long = format!("rtmp://h?b={}", "x".repeat(limits::QUERY_BYTES_MAX - 5));
        assert_eq!(connect("live?a=1", &long), "a=1");
        assert_eq!(connect("live?a=1", &long[..long.len() - 1]).len(), limits::QUERY_BYTES_MAX);

        let queries = ["pass=x=/y&flag&pass=z", "user=bob&pass=app", "user=url&key=k%20"];
        for (name, want) in [
            ("pass", Some("x=/y")),
            ("user", Some("bob")),
            ("key", Some("k%20")),
            ("flag", Some("")),
            ("Pass", None),
            ("pas", None),
        ] {
            assert_eq!(query_value(name, &queries), want, "{name}");
        }
        assert_eq!(query_value("a", &[]), None);
    }

    #[test]
    fn application_comes_from_the_url_when_empty() {
        let app = |app: &str, url: &str| {
            let (name, query) = application(app.as_bytes(), url.as_bytes()).unwrap();
            (name.to_string(), query.to_string())
        };
        assert_eq!(app("", "rtmp://h:1935/live?x=1").0, "live");
        assert_eq!(app("", "rtmp://h").0, "");
        assert_eq!(app("", "").0, "");
        assert_eq!(app("?x=1", "rtmp://h?x=1"), (String::new(), "x=1".into()));
        assert_eq!(app("live", "rtmp://h/other").0, "live");
    }

    #[test]
    fn names_that_are_no_safe_path_are_refused_with_the_character() {
        let error = |app: &str, said: &str| place(app, said).unwrap_err().to_string();
        assert_eq!(error("live", "../x"), "stream name has a segment that starts with '.'");
        for said in [".", "..", ".hidden"] {
            assert_eq!(place("live", said).unwrap_err(), NameError::Dot(What::Stream));
        }
        assert_eq!(error("live", "a b"), "stream name holds ' ': allowed are A-Z a-z 0-9 . _ -");
        for (said, byte) in
            [("a/b", b'/'), ("a\\b", b'\\'), ("a\0", 0), ("mp4:a", b':'), ("ü", 0xc3)]
        {
            let what = What::Stream;
            assert_eq!(place("live", said).unwrap_err(), NameError::Character { what, byte });
        }
        assert_eq!(place("a/../b", "k").unwrap_err(), NameError::Dot(What::App));
        assert_eq!(place("a//b", "k").unwrap_err(), NameError::Empty(What::App));
        assert_eq!(place("", "").unwrap_err(), NameError::Empty(What::Stream));
        assert_eq!(place("live", "..#x").unwrap_err(), NameError::Dot(What::App));
        assert_eq!(place("live", "k?\n").unwrap_err(), NameError::QueryText(What::Stream));
    }

    #[test]
    fn names_of_our_own_files_are_refused() {
        assert_eq!(place("live/cam", "index.m3u8"), Err(NameError::File(What::Stream)));
        assert_eq!(place("live", "5f3a0c11-12.ts"), Err(NameError::File(What::Stream)));
        assert!(place("live", "cam.tsx").is_ok());
    }

    #[test]
    fn names_are_bounded() {
        let long = |n| "x".repeat(n);
        let max = limits::NAME_BYTES_MAX;
        let too_long = |what| Err(NameError::TooLong { what, len: max + 1, max });
        assert!(place(&long(max), &long(max)).is_ok());
        assert_eq!(place("live", &long(max + 1)), too_long(What::Stream));
        assert_eq!(place(&long(max + 1), "k"), too_long(What::App));
        assert!(place(&long(max - 51), &format!("{}#k", long(50))).is_ok());
        assert_eq!(place(&long(max - 50), &format!("{}#k", long(50))), too_long(What::App));
        let (what, max) = (What::Stream, limits::QUERY_BYTES_MAX);
        assert!(place("live", &format!("k?{}", long(max))).is_ok());
        let refused = Err(NameError::QueryTooLong { what, len: max + 1, max });
        assert_eq!(place("live", &format!("k?{}", long(max + 1))), refused);
    }

    #[test]
    fn application_has_so_many_segments_and_no_more() {
        let max = limits::APP_SEGMENTS_MAX;
        let too_deep = Err(NameError::TooDeep { segments: max + 1, max });
        assert!(place(&vec!["a"; max].join("/"), "k").is_ok());
        assert_eq!(place(&vec!["a"; max + 1].join("/"), "k"), too_deep);
        assert_eq!(place(&vec!["a"; max].join("/"), "b#k"), too_deep);
    }

    proptest! {
        #[test]
        fn names_are_safe_whatever_was_said(
            app in proptest::collection::vec(any::<u8>(), 0..30),
            said in proptest::collection::vec(
                prop_oneof![b'a'..b'd', Just(b'%'), Just(b'2'), any::<u8>()],
                0..30,
            ),
        ) {
            let target = application(&app, b"").and_then(|(app, _)| Target::parse(&app, &said));
            if let Ok((target, _)) = target {
                prop_assert!(!target.name.is_empty());
                prop_assert!(!target.name.contains('/'));
                let path = format!("{}/{}", target.app, target.name);
                prop_assert!(!path.split('/').any(|part| part.starts_with('.')));
                prop_assert!(path.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}

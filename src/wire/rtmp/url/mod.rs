//! RTMP URLs: parsed whole, borrowed, and read in the two ways that there are.
//!
//! ```text
//! rtmp://userinfo@host:port/path?query#fragment
//!        └ args ┘           └ app ───┘ └stream┘   strict: the memo says which is which
//!        └ user:password    └ app/name┘           conventional: encoders guess (`reading`)
//! ```
//!
//! Scheme and authority are held to the grammar; path and query only to being printable and
//! without spaces, as stream keys hold anything. Escapes are checked where they will be decoded:
//! in userinfo and fragment. Nothing is looked up and nothing connects.
//! Source: "RTMP Family URI Schemes" memo §3, §4, §6; RFC 3986 §3; Errata §8.1.2.
//!
//! Quirks: schemes of tunnels, which the memo leaves out, are read like the others. A port may be
//! empty. `%` in path and query is left alone: clients do not encode.

mod encoded;
mod reading;
mod resolve;

pub use encoded::{Arguments, Encoded, Fault, Unescaped, Userinfo, unescape};
pub use reading::{Conventional, Credentials, Playpath, Strict, TcUrl, clean_tc_url};
pub use resolve::resolve;

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::limits;

/// A text made of pieces of a URL: an application, a tcUrl, a stream name.
pub type Text = heapless::String<{ limits::URL_BYTES_MAX }>;

/// Part of a URL, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Before `@`.
    Userinfo,
    /// A name or an address.
    Host,
    /// After the host's `:`.
    Port,
    /// From the first `/` after the authority.
    Path,
    /// After `?`.
    Query,
    /// After `#`.
    Fragment,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Userinfo => "userinfo",
            Self::Host => "host",
            Self::Port => "port",
            Self::Path => "path",
            Self::Query => "query",
            Self::Fragment => "fragment",
        })
    }
}

/// Why a text is no RTMP URL. Positions count bytes of the whole text from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Malformed or unsupported: it begins otherwise.
    #[error(
        "URL does not begin with rtmp://, rtmps://, rtmpt://, rtmpe://, rtmpte:// or rtmpts://"
    )]
    Scheme,
    /// Unsupported: Flash's protocol over UDP.
    #[error("rtmfp is not supported, it goes over UDP between peers: use rtmp:// or rtmps://")]
    Rtmfp,
    /// Malformed: a character that the part cannot hold.
    #[error("{part} of the URL has {character:?} at byte {at}{}", hint(*part, *character))]
    Character {
        /// Where it stands.
        part: Part,
        /// The first such character.
        character: char,
        /// Its position.
        at: usize,
    },
    /// Malformed: `%` without two hexadecimal digits, where escapes are decoded.
    #[error("{part} of the URL has an incomplete escape at byte {at}: write % as %25")]
    Escape {
        /// Where it stands.
        part: Part,
        /// Position of the `%`.
        at: usize,
    },
    /// Malformed: escapes that do not decode to UTF-8.
    #[error("{part} of the URL does not decode to text")]
    NotText {
        /// Which part.
        part: Part,
    },
    /// Malformed: nothing between `//` and the path.
    #[error("URL has no host")]
    NoHost,
    /// Malformed: brackets around something else, or none around an IPv6 address.
    #[error("host of the URL at byte {at} is no IPv6 address in brackets: write it like [::1]")]
    Address {
        /// Position of the host.
        at: usize,
    },
    /// Malformed: a port that there is not.
    #[error("port of the URL is not 1 to 65535")]
    PortRange,
    /// Exhausted: the URL, or what a reference resolves to.
    #[error("URL is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Exhausted: the host's name.
    #[error("host of the URL is {len} bytes long, at most {max} are allowed")]
    HostTooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Exhausted: connect arguments in the userinfo.
    #[error("userinfo of the URL has {count} arguments, at most {max} are allowed")]
    TooManyArguments {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// What a person probably meant.
const fn hint(part: Part, character: char) -> &'static str {
    match (part, character) {
        (Part::Userinfo, '@') => ": write @ as %40",
        (Part::Port, _) => ": a / or ? in a password is written %2F or %3F",
        (Part::Path | Part::Query | Part::Fragment, ' ') => ": options do not belong into the URL",
        (Part::Fragment, '#') => ": write # as %23",
        _ => "",
    }
}

/// How the bytes travel. The last four are outside of the memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Rtmp,
    /// TLS.
    Rtmps,
    /// HTTP requests.
    Rtmpt,
    /// TCP with the handshake's own encryption.
    Rtmpe,
    /// HTTP requests with the handshake's own encryption.
    Rtmpte,
    /// HTTPS requests.
    Rtmpts,
}

impl Scheme {
    const ALL: [Self; 6] =
        [Self::Rtmp, Self::Rtmps, Self::Rtmpt, Self::Rtmpe, Self::Rtmpte, Self::Rtmpts];

    /// The scheme of this name, in either case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }

    /// As it is written, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Rtmpt => "rtmpt",
            Self::Rtmpe => "rtmpe",
            Self::Rtmpte => "rtmpte",
            Self::Rtmpts => "rtmpts",
        }
    }

    /// Port where none is given.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Rtmp | Self::Rtmpe => 1935,
            Self::Rtmpt | Self::Rtmpte => 80,
            Self::Rtmps | Self::Rtmpts => 443,
        }
    }

    /// Whether TLS comes first.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Rtmps | Self::Rtmpts)
    }

    /// Whether HTTP requests carry the bytes.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Rtmpt | Self::Rtmpte | Self::Rtmpts)
    }

    /// Whether the handshake agrees on its own encryption. Protects from nobody: no one is
    /// authenticated.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Rtmpe | Self::Rtmpte)
    }
}

/// Whom to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A registered name; escapes in it are as they stand.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, in brackets when written.
    V6(Ipv6Addr),
}

/// An RTMP URL. Equal when written alike but for the case of the scheme.
///
/// `Display` gives all of it, with userinfo and with what may be a stream key: for a log, take
/// `TcUrl::without_query`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// How to connect.
    pub scheme: Scheme,
    /// What stands before `@`.
    pub userinfo: Option<Userinfo<'a>>,
    /// Whom to connect to.
    pub host: Host<'a>,
    /// The port that is given; `port()` fills in the default.
    pub given_port: Option<u16>,
    /// Path, from its first `/` or empty, with the query behind it.
    pub target: &'a str,
    /// What stands behind `#`: none is not the same as empty.
    pub fragment: Option<Encoded<'a>>,
    /// Host and port as written.
    authority: &'a str,
}

impl<'a> Url<'a> {
    /// Reads a whole text; blanks around it are not part of a URL.
    ///
    /// # Errors
    /// The first part that is wrong, with its position.
    pub fn parse(text: &'a str) -> Result<Self, UrlError> {
        if text.len() > limits::URL_BYTES_MAX {
            return Err(UrlError::TooLong { len: text.len(), max: limits::URL_BYTES_MAX });
        }
        let (name, rest) = text.split_once(':').ok_or(UrlError::Scheme)?;
        if name.eq_ignore_ascii_case("rtmfp") {
            return Err(UrlError::Rtmfp);
        }
        let scheme = Scheme::parse(name).ok_or(UrlError::Scheme)?;
        let rest = rest.strip_prefix("//").ok_or(UrlError::Scheme)?;
        let at = name.len() + "://".len();
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let tail_at = at + authority.len();
        let (userinfo, authority, at) = match authority.rsplit_once('@') {
            Some((raw, host)) => (Some(userinfo(raw, at)?), host, at + raw.len() + 1),
            None => (None, authority, at),
        };
        let (host, given_port) = host_and_port(authority, at)?;
        let (target, fragment) = match tail.split_once('#') {
            Some((target, raw)) => (target, Some(fragment(raw, tail_at + target.len() + 1)?)),
            None => (tail, None),
        };
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        check(Part::Path, path, tail_at, is_printable)?;
        check(Part::Query, query, tail_at + path.len(), is_printable)?;
        Ok(Self { scheme, userinfo, host, given_port, target, fragment, authority })
    }

    /// The port to connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self.given_port {
            Some(port) => port,
            None => self.scheme.default_port(),
        }
    }

    /// The path, from its first `/` or empty.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// What stands behind the first `?` of the target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        if let Some(userinfo) = self.userinfo {
            write!(f, "{}@", userinfo.raw())?;
        }
        write!(f, "{}{}", self.authority, self.target)?;
        if let Some(fragment) = self.fragment {
            write!(f, "#{}", fragment.raw())?;
        }
        Ok(())
    }
}

/// Scheme and authority alone: what follows may be secret.
impl fmt::Debug for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({}://{}…)", self.scheme.name(), self.authority)
    }
}

fn userinfo(raw: &str, at: usize) -> Result<Userinfo<'_>, UrlError> {
    check(Part::Userinfo, raw, at, |c| is_name(c) || c == ':')?;
    let userinfo = Userinfo::parse(raw).map_err(|fault| fault.of(Part::Userinfo, at))?;
    let (count, max) = (userinfo.arguments().count(), limits::CONNECT_ARGUMENTS_MAX);
    if count > max {
        return Err(UrlError::TooManyArguments { count, max });
    }
    Ok(userinfo)
}

fn fragment(raw: &str, at: usize) -> Result<Encoded<'_>, UrlError> {
    check(Part::Fragment, raw, at, |c| is_printable(c) && c != '#')?;
    Encoded::parse(raw).map_err(|fault| fault.of(Part::Fragment, at))
}

fn host_and_port(authority: &str, at: usize) -> Result<(Host<'_>, Option<u16>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(UrlError::Address { at })?;
        let address = inside.parse().map_err(|_| UrlError::Address { at })?;
        let port = port(after, at + inside.len() + 2)?;
        return Ok((Host::V6(address), port));
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Err(UrlError::Address { at });
    }
    let (name, after) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    if name.is_empty() {
        return Err(UrlError::NoHost);
    }
    check(Part::Host, name, at, is_name)?;
    Encoded::parse(name).map_err(|fault| fault.of(Part::Host, at))?;
    if name.len() > limits::HOST_BYTES_MAX {
        return Err(UrlError::HostTooLong { len: name.len(), max: limits::HOST_BYTES_MAX });
    }
    let host = name.parse().map_or(Host::Name(name), Host::V4);
    Ok((host, port(after, at + name.len())?))
}

/// Reads nothing, or a colon with a port or nothing behind it.
fn port(text: &str, at: usize) -> Result<Option<u16>, UrlError> {
    let Some(digits) = text.strip_prefix(':') else {
        check(Part::Port, text, at, |_| false)?;
        return Ok(None);
    };
    check(Part::Port, digits, at + 1, |c| c.is_ascii_digit())?;
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(UrlError::PortRange),
        Ok(port) => Ok(Some(port)),
    }
}

/// Refuses the first character that is not `allowed`; `at` is where the part begins.
fn check(
    part: Part,
    text: &str,
    at: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<(), UrlError> {
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((i, character)) => Err(UrlError::Character { part, character, at: at + i }),
        None => Ok(()),
    }
}

/// Unreserved characters, sub-delimiters and `%` (RFC 3986 §2.2, §2.3).
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=%".contains(c)
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn schemes_have_their_ports_and_ways() {
        for (name, port, tls, http, encrypted) in [
            ("rtmp", 1935, false, false, false),
            ("rtmps", 443, true, false, false),
            ("rtmpt", 80, false, true, false),
            ("rtmpe", 1935, false, false, true),
            ("rtmpte", 80, false, true, true),
            ("rtmpts", 443, true, true, false),
        ] {
            let scheme = Scheme::parse(&name.to_uppercase()).unwrap();
            assert_eq!(scheme.name(), name);
            assert_eq!(scheme.default_port(), port, "{name}");
            let ways = (scheme.is_tls(), scheme.is_http(), scheme.is_encrypted());
            assert_eq!(ways, (tls, http, encrypted), "{name}");
        }
        assert_eq!(Scheme::parse("rtmptse"), None);
    }

    #[test]
    fn parts_are_told_apart() {
        let url = Url::parse("RTMPS://u:p@h.example:1943/a/b?c/d?e#f?g").unwrap();
        assert_eq!(url.scheme, Scheme::Rtmps);
        assert_eq!(url.userinfo.unwrap().raw(), "u:p");
        assert_eq!(url.host, Host::Name("h.example"));
        assert_eq!((url.given_port, url.port()), (Some(1943), 1943));
        assert_eq!((url.path(), url.query()), ("/a/b", Some("c/d?e")));
        assert_eq!(url.fragment.unwrap().raw(), "f?g");
        assert_eq!(url.to_string(), "rtmps://u:p@h.example:1943/a/b?c/d?e#f?g");
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let host = |text| Url::parse(text).unwrap().host;
        assert_eq!(host("rtmp://192.0.2.7/x"), Host::V4(Ipv4Addr::new(192, 0, 2, 7)));
        assert_eq!(host("rtmp://192.0.2.700"), Host::Name("192.0.2.700"));
        assert_eq!(host("rtmp://[::1]:1/x"), Host::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(host("rtmp://a_b~c!"), Host::Name("a_b~c!"));
        assert_eq!(Url::parse("rtmp://[::1]").unwrap().port(), 1935);
    }

    #[test]
    fn no_port_and_an_empty_one_mean_the_default() {
        for (text, given, port) in [
            ("rtmp://h", None, 1935),
            ("rtmp://h:/live#a", None, 1935),
            ("rtmps://h:", None, 443),
            ("rtmpt://h:080", Some(80), 80),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.given_port, url.port()), (given, port), "{text}");
        }
    }

    #[test]
    fn schemes_that_are_not_ours_are_refused() {
        for text in
            ["", "h/live", "http://h/", "rtmp:", "rtmp:/h", "rtmp", "h:1935/live", " rtmp://h"]
        {
            assert_eq!(Url::parse(text), Err(UrlError::Scheme), "{text}");
        }
        for text in ["rtmfp:", "RTMFP://h/live"] {
            assert_eq!(Url::parse(text), Err(UrlError::Rtmfp), "{text}");
        }
    }

    #[test]
    fn errors_name_part_character_and_position() {
        let error = |text| Url::parse(text).unwrap_err();
        for (text, part, character, at) in [
            ("rtmp://a b/x", Part::Host, ' ', 8),
            ("rtmp://ü/x", Part::Host, 'ü', 7),
            ("rtmp://h\n/x", Part::Host, '\n', 8),
            ("rtmp://u@v@h/x", Part::Userinfo, '@', 8),
            ("rtmp://u<:p@h/x", Part::Userinfo, '<', 8),
            ("rtmp://u:p/w@h/x", Part::Port, 'p', 9),
            ("rtmp://h:19x/x", Part::Port, 'x', 11),
            ("rtmp://[::1]x/x", Part::Port, 'x', 12),
            ("rtmp://h/a b", Part::Path, ' ', 10),
            ("rtmp://h/a?b\tc", Part::Query, '\t', 12),
            ("rtmp://h/a#b\u{7f}", Part::Fragment, '\u{7f}', 12),
            ("rtmp://h/a#b#c", Part::Fragment, '#', 12),
        ] {
            assert_eq!(error(text), UrlError::Character { part, character, at }, "{text:?}");
        }
        assert_eq!(
            error("rtmp://u@v@h/x").to_string(),
            "userinfo of the URL has '@' at byte 8: write @ as %40"
        );
        assert_eq!(
            error("rtmp://h/a live=1").to_string(),
            "path of the URL has ' ' at byte 10: options do not belong into the URL"
        );
    }

    #[test]
    fn escapes_are_checked_where_they_are_decoded() {
        let error = |text| Url::parse(text).unwrap_err();
        let escape = |part, at| UrlError::Escape { part, at };
        assert_eq!(error("rtmp://a%2:b@h/x"), escape(Part::Userinfo, 8));
        assert_eq!(error("rtmp://a:b%zz@h/x"), escape(Part::Userinfo, 10));
        assert_eq!(error("rtmp://h%/x"), escape(Part::Host, 8));
        assert_eq!(error("rtmp://h/x#y%2"), escape(Part::Fragment, 12));
        assert_eq!(error("rtmp://h/x#%ff"), UrlError::NotText { part: Part::Fragment });
        assert_eq!(Url::parse("rtmp://h/100%/%zz?%").unwrap().target, "/100%/%zz?%");
    }

    #[test]
    fn hosts_and_ports_that_cannot_be_are_refused() {
        let error = |text| Url::parse(text).unwrap_err();
        for text in ["rtmp://", "rtmp:///live", "rtmp://:1935/x", "rtmp://u@/x", "rtmp://?x"] {
            assert_eq!(error(text), UrlError::NoHost, "{text}");
        }
        for text in ["rtmp://[::1/x", "rtmp://[]/x", "rtmp://[h]/x", "rtmp://[fe80::1%25eth0]/x"] {
            assert_eq!(error(text), UrlError::Address { at: 7 }, "{text}");
        }
        assert_eq!(error("rtmp://2001:db8::2/x"), UrlError::Address { at: 7 });
        for text in ["rtmp://h:0/x", "rtmp://h:65536", "rtmp://h:99999999999999999999"] {
            assert_eq!(error(text), UrlError::PortRange, "{text}");
        }
        assert_eq!(Url::parse("rtmp://h:65535").unwrap().port(), 65_535);
    }

    #[test]
    fn urls_are_bounded() {
        let max = limits::URL_BYTES_MAX;
        let long = |n| format!("rtmp://h/{}", "x".repeat(n - "rtmp://h/".len()));
        assert!(Url::parse(&long(max)).is_ok());
        let error = UrlError::TooLong { len: max + 1, max };
        assert_eq!(Url::parse(&long(max + 1)), Err(error));

        let max = limits::HOST_BYTES_MAX;
        assert!(Url::parse(&format!("rtmp://{}", "h".repeat(max))).is_ok());
        let error = UrlError::HostTooLong { len: max + 1, max };
        assert_eq!(Url::parse(&format!("rtmp://{}", "h".repeat(max + 1))), Err(error));

        let max = limits::CONNECT_ARGUMENTS_MAX;
        assert!(Url::parse(&format!("rtmp://{}@h", ":".repeat(max - 1))).is_ok());
        let error = UrlError::TooManyArguments { count: max + 1, max };
        assert_eq!(Url::parse(&format!("rtmp://{}@h", ":".repeat(max))), Err(error));
    }

    #[test]
    fn debug_output_keeps_secrets() {
        for text in ["rtmp://user:secret@h/live/key?secret", "rtmp://h/live?secret#secret"] {
            let url = Url::parse(text).unwrap();
            let (strict, conventional) = (url.strict(), url.conventional());
            let shown = format!("{url:?} {:?} {strict:?} {conventional:?}", url.userinfo);
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    /// Texts that are mostly URLs.
    fn texts() -> impl Strategy<Value = String> {
        let scheme = "[rR][tT]mp(s|t|e|te|ts)?";
        let userinfo = "([a-z:]{0,5}(%4[0-9])?@)?";
        let host = "([a-z0-9.-]{1,8}|192\\.0\\.2\\.1|\\[2001:db8::[0-9a-f]{1,4}\\])";
        let rest = "(:[0-9]{0,6})?([/?#][/?a-z%é@:#.=-]{0,20})?";
        let likely =
            (scheme, userinfo, host, rest).prop_map(|(s, u, h, r)| format!("{s}://{u}{h}{r}"));
        prop_oneof![likely, "rtmp://.{0,30}", ".{0,40}"]
    }

    proptest! {
        #[test]
        fn urls_parse_back_from_their_text(text in texts()) {
            if let Ok(url) = Url::parse(&text) {
                let shown = url.to_string();
                prop_assert!(shown.eq_ignore_ascii_case(&text));
                prop_assert_eq!(Url::parse(&shown), Ok(url));
            }
        }

        #[test]
        fn readings_of_any_text_never_panic(text in texts(), other in texts()) {
            if let Ok(url) = Url::parse(&text) {
                let strict = url.strict();
                strict.arguments.for_each(|argument| drop(argument.text()));
                let _ = strict.stream.map(Encoded::text);
                let conventional = url.conventional();
                let _ = (conventional.playpath.text(), conventional.tc_url.text());
                let _ = conventional.with_app("app");
                let _ = resolve(&url, &other);
            }
        }

        #[test]
        fn cleaning_is_what_a_strict_reading_sends(text in texts()) {
            if let Ok(url) = Url::parse(&text) {
                let sent = url.strict().tc_url.to_string();
                prop_assert_eq!(clean_tc_url(&url.to_string()).to_string(), sent);
            }
        }
    }
}

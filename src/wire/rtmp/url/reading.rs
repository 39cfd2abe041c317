//! What a client makes of a URL: the memo's reading and the field's.
//!
//! The memo's is exact: path and query are the application, the fragment is the stream. The
//! field's guesses, since its URLs carry application, instance and stream name in one path; with
//! a fragment nothing is left to guess and both agree.
//! Source: RTMP URI memo §4.2, §5, §6; Errata §8.1.2, §8.1.3; what ffmpeg 5.1 sends, as measured.
//!
//! Where the conventional reading leaves ffmpeg's: fragments are understood; a slash in a query
//! never ends an application that came before it (`app/key?token=a/b` publishes `key`, not `b`);
//! `slist` must be a parameter of its own; a port that is not written is not added to tcUrl.

use core::fmt;

use super::encoded::text;
use super::{Arguments, Encoded, Text, Url, UrlError, Userinfo};

/// The memo's reading.
#[derive(Clone)]
pub struct Strict<'a> {
    /// Path and query without the first `/`; not decoded.
    pub app: &'a str,
    /// The URL without userinfo and fragment.
    pub tc_url: TcUrl<'a>,
    /// Sent as strings behind the command object of connect.
    pub arguments: Arguments<'a>,
    /// Name of the stream, if the URL names one; may be empty.
    pub stream: Option<Encoded<'a>>,
}

/// The field's reading.
#[derive(Clone, Copy)]
pub struct Conventional<'a> {
    /// Application, often with its instance; not decoded.
    pub app: &'a str,
    /// Scheme, authority and application.
    pub tc_url: TcUrl<'a>,
    /// Name of the stream; empty if the URL has but one segment.
    pub playpath: Playpath<'a>,
    /// For a server that asks for them; never sent as connect arguments.
    pub credentials: Option<Credentials<'a>>,
    /// Whether the URL has but one segment, which may be either.
    is_single: bool,
}

/// What is no secret of it.
impl fmt::Debug for Strict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Strict({:?}, {:?})", self.tc_url, self.stream)
    }
}

/// What is no secret of it.
impl fmt::Debug for Conventional<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conventional({:?}, {:?})", self.tc_url, self.playpath)
    }
}

/// User and password of a URL, decoded when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Who publishes.
    pub user: Encoded<'a>,
    /// A secret.
    pub password: Encoded<'a>,
}

impl<'a> Url<'a> {
    /// Reads the URL as the memo says.
    #[must_use]
    pub fn strict(&self) -> Strict<'a> {
        Strict {
            app: self.app(),
            tc_url: TcUrl {
                head: [self.scheme.name(), "://"],
                authority: self.authority,
                slash: "",
                target: self.target,
            },
            arguments: self.userinfo.map_or(Arguments::NONE, Userinfo::arguments),
            stream: self.fragment,
        }
    }

    /// Reads the URL as encoders do.
    #[must_use]
    pub fn conventional(&self) -> Conventional<'a> {
        let credentials = self.userinfo.and_then(Userinfo::credentials);
        if let Some(stream) = self.fragment {
            let Strict { app, tc_url, .. } = self.strict();
            let playpath = Playpath::Fragment(stream);
            return Conventional { app, tc_url, playpath, credentials, is_single: false };
        }
        let whole = self.app();
        let (app, name) = split(whole, self.query());
        Conventional {
            app,
            tc_url: self.tc_url_of(app),
            playpath: Playpath::file(name.unwrap_or_default()),
            credentials,
            is_single: name.is_none(),
        }
    }

    /// The tcUrl of another application on this URL's host.
    #[must_use]
    pub fn tc_url_of(&self, app: &'a str) -> TcUrl<'a> {
        self.strict().tc_url.with_app(app)
    }

    fn app(&self) -> &'a str {
        self.target.strip_prefix('/').unwrap_or(self.target)
    }
}

impl<'a> Conventional<'a> {
    /// What becomes of the reading when the application is known: a single segment is then the
    /// name of the stream.
    #[must_use]
    pub fn with_app(self, app: &'a str) -> Self {
        let playpath = if self.is_single { Playpath::file(self.app) } else { self.playpath };
        Self { app, tc_url: self.tc_url.with_app(app), playpath, is_single: false, ..self }
    }
}

/// Application and name of the stream in `whole`, which ends with the `query`.
fn split<'a>(whole: &'a str, query: Option<&'a str>) -> (&'a str, Option<&'a str>) {
    let listed = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("slist="));
    if listed.is_some() {
        return (whole, listed);
    }
    let Some((first, rest)) = whole.split_once('/') else {
        return (whole, None);
    };
    if first == "ondemand" {
        return (first, Some(rest));
    }
    // An instance is a second segment; a colon in it says that it is a name of a file.
    let second = rest.find(['/', '?', ':']);
    let instance = second.and_then(|at| rest.split_at_checked(at));
    match instance.and_then(|(instance, name)| Some((instance, name.strip_prefix('/')?))) {
        Some((instance, name)) => {
            let app = whole.get(..first.len() + 1 + instance.len());
            (app.unwrap_or(whole), Some(name))
        }
        None => (first, Some(rest)),
    }
}

/// The name of a stream as it is sent. May be a secret.
#[derive(Clone, Copy)]
pub enum Playpath<'a> {
    /// As it stands.
    Given(&'a str),
    /// Behind `mp4:`, which servers of files want to see.
    Mp4(&'a str),
    /// To be decoded.
    Fragment(Encoded<'a>),
}

impl<'a> Playpath<'a> {
    /// A name of a path: `.f4v` and `.mp4` are announced, `.flv` is not said.
    fn file(name: &'a str) -> Self {
        let is_mp4 = [".f4v", ".mp4"].iter().any(|end| name.ends_with(end));
        if is_mp4 && !name.contains(':') {
            return Self::Mp4(name);
        }
        Self::Given(name.strip_suffix(".flv").unwrap_or(name))
    }

    /// The name.
    ///
    /// # Errors
    /// It is longer than any URL.
    pub fn text(&self) -> Result<Text, UrlError> {
        text(self)
    }
}

impl fmt::Display for Playpath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(name) => f.write_str(name),
            Self::Mp4(name) => write!(f, "mp4:{name}"),
            Self::Fragment(name) => name.fmt(f),
        }
    }
}

/// Its length alone.
impl fmt::Debug for Playpath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Given(raw) | Self::Mp4(raw)) = self else {
            return f.write_str("Playpath(fragment)");
        };
        write!(f, "Playpath({} bytes)", raw.len())
    }
}

/// A URL without userinfo and fragment, in pieces.
#[derive(Clone, Copy)]
pub struct TcUrl<'a> {
    /// Scheme with `://`, or what stands in their place.
    head: [&'a str; 2],
    authority: &'a str,
    /// `/` if the target lacks it.
    slash: &'static str,
    target: &'a str,
}

impl<'a> TcUrl<'a> {
    /// Another application in place of path and query.
    const fn with_app(self, app: &'a str) -> Self {
        Self { slash: "/", target: app, ..self }
    }

    /// The text.
    ///
    /// # Errors
    /// It is longer than any URL.
    pub fn text(&self) -> Result<Text, UrlError> {
        text(self)
    }

    /// The same for a log: queries may hold tokens.
    #[must_use]
    pub fn without_query(self) -> Self {
        let target = self.target.split_once('?').map_or(self.target, |(path, _)| path);
        Self { target, ..self }
    }
}

impl fmt::Display for TcUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [scheme, colon] = self.head;
        write!(f, "{scheme}{colon}{}{}{}", self.authority, self.slash, self.target)
    }
}

/// Without query.
impl fmt::Debug for TcUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcUrl({})", self.without_query())
    }
}

/// A tcUrl without userinfo and fragment, which old clients leak; all else is as it was. Takes
/// any text: what has no authority keeps all but its fragment.
#[must_use]
pub fn clean_tc_url(text: &str) -> TcUrl<'_> {
    let (text, _) = text.split_once('#').unwrap_or((text, ""));
    let bare = TcUrl { head: ["", ""], authority: "", slash: "", target: text };
    // The first slash must be one of two, or they stand in a path.
    let Some((scheme, rest)) = text.find(['/', '?']).and_then(|at| text.split_at_checked(at))
    else {
        return bare;
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return bare;
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    TcUrl { head: [scheme, "//"], authority, slash: "", target }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use proptest::prelude::*;

    /// URL, port, application, tcUrl, connect arguments between `|`, stream.
    type Row = (&'static str, u16, &'static str, &'static str, Maybe, Maybe);
    type Maybe = Option<&'static str>;

    /// The memo's examples in its order, then ours. No tcUrl means the whole URL. The two of rtmfp
    /// that name a host stand as rtmp.
    #[rustfmt::skip]
    const MEMO: &[Row] = &[
        ("rtmp://server.example/three/segment/path", 1935, "three/segment/path", "", None, None),
        ("rtmp://server.example/three/segment/path#BigBuckBunny", 1935, "three/segment/path",
            "rtmp://server.example/three/segment/path", None, Some("BigBuckBunny")),
        ("rtmp://[2001:db8:1::2]:19350/something?else", 19_350, "something?else", "", None, None),
        ("rtmps://server.example/something?else#CosmosLaundromat?aFlag", 443, "something?else",
            "rtmps://server.example/something?else", None, Some("CosmosLaundromat?aFlag")),
        ("rtmps://arg1:arg2::arg4@server.example:1943", 1943, "",
            "rtmps://server.example:1943", Some("arg1|arg2||arg4"), None),
        ("rtmps://name=Mike;pri=5;exi=3600:7c412a7b6e@server.example/path#Caves", 443, "path",
            "rtmps://server.example/path", Some("name=Mike;pri=5;exi=3600|7c412a7b6e"),
            Some("Caves")),
        ("rtmp://:arg2@redirectors.example/two/segments?key=value&flag", 1935,
            "two/segments?key=value&flag",
            "rtmp://redirectors.example/two/segments?key=value&flag", Some("|arg2"), None),
        ("rtmp://arg%3Aone:arg2@redirectors.example/something#BigBuck%42unny", 1935,
            "something", "rtmp://redirectors.example/something", Some("arg:one|arg2"),
            Some("BigBuckBunny")),
        ("rtmp://server.example:/live#a", 1935, "live", "rtmp://server.example:/live", None,
            Some("a")),
        ("rtmp://u@h/live", 1935, "live", "rtmp://h/live", Some("u"), None),
        ("rtmp://h?x=1", 1935, "?x=1", "", None, None),
        ("rtmp://h/live#", 1935, "live", "rtmp://h/live", None, Some("")),
        ("rtmp://@h/live", 1935, "live", "rtmp://h/live", Some(""), None),
    ];

    #[test]
    fn strict_reading_maps_every_example_of_the_memo() {
        for &(text, port, app, tc_url, arguments, stream) in MEMO {
            let tc_url = if tc_url.is_empty() { text } else { tc_url };
            let url = Url::parse(text).unwrap();
            let strict = url.strict();
            assert_eq!(url.port(), port, "{text}");
            assert_eq!(strict.app, app, "{text}");
            assert_eq!(strict.tc_url.to_string(), tc_url, "{text}");
            let want: Vec<_> = arguments.iter().flat_map(|all| all.split('|')).collect();
            let read: Vec<_> = strict.arguments.map(|argument| argument.to_string()).collect();
            assert_eq!(read, want, "{text}");
            assert_eq!(strict.stream.map(|name| name.to_string()).as_deref(), stream, "{text}");
            assert_eq!(clean_tc_url(text).to_string(), tc_url, "{text}");
        }
    }

    #[test]
    fn rtmfp_of_the_memo_is_refused_by_name() {
        for text in [
            "rtmfp://:arg2@redirectors.example/two/segments?key=value&flag",
            "rtmfp://arg%3Aone:arg2@redirectors.example/something#BigBuck%42unny",
            "rtmfp:",
        ] {
            assert_eq!(Url::parse(text), Err(UrlError::Rtmfp), "{text}");
        }
        assert_eq!(Url::parse("rtmp:///live"), Err(UrlError::NoHost));
    }

    /// Application, tcUrl and name of a conventional reading.
    fn conventionally(text: &str) -> (String, String, String) {
        let Conventional { app, tc_url, playpath, .. } = Url::parse(text).unwrap().conventional();
        (app.into(), tc_url.to_string(), playpath.to_string())
    }

    #[test]
    fn conventional_reading_is_what_ffmpeg_sends() {
        for (text, app, tc_url, name) in [
            ("rtmp://h:19351", "", "rtmp://h:19351/", ""),
            ("rtmp://h:19351/", "", "rtmp://h:19351/", ""),
            ("rtmp://h/stream", "stream", "rtmp://h/stream", ""),
            ("rtmp://h/app/stream", "app", "rtmp://h/app", "stream"),
            ("rtmp://h/app/", "app", "rtmp://h/app", ""),
            ("rtmp://h/app/inst/stream", "app/inst", "rtmp://h/app/inst", "stream"),
            ("rtmp://h/app/inst/a/b", "app/inst", "rtmp://h/app/inst", "a/b"),
            ("rtmp://h/app/mp4:dir/file.mp4", "app", "rtmp://h/app", "mp4:dir/file.mp4"),
            ("rtmp://h/app/file.flv", "app", "rtmp://h/app", "file"),
            ("rtmp://h/app/file.mp4", "app", "rtmp://h/app", "mp4:file.mp4"),
            ("rtmp://h/ondemand/dir/file.f4v", "ondemand", "rtmp://h/ondemand", "mp4:dir/file.f4v"),
            ("rtmp://h/app?slist=clip", "app?slist=clip", "rtmp://h/app?slist=clip", "clip"),
            ("rtmp://h/app/inst/key?tok=a/b", "app/inst", "rtmp://h/app/inst", "key?tok=a/b"),
            ("rtmp://h/app?x=1/key", "app?x=1", "rtmp://h/app?x=1", "key"),
            ("rtmp://u:p@h/app/key", "app", "rtmp://h/app", "key"),
            ("rtmp://h/app/ke%20y", "app", "rtmp://h/app", "ke%20y"),
            ("rtmp://h//app/key", "/app", "rtmp://h//app", "key"),
            // Beyond the table, from the same client.
            (
                "rtmp://h/app?x=1/inst/key?t=a/b",
                "app?x=1/inst",
                "rtmp://h/app?x=1/inst",
                "key?t=a/b",
            ),
            ("rtmp://h/app/file.mp4?x=1", "app", "rtmp://h/app", "file.mp4?x=1"),
            (
                "rtmp://h/app?slist=clip&z=2",
                "app?slist=clip&z=2",
                "rtmp://h/app?slist=clip&z=2",
                "clip",
            ),
            ("rtmps://[::1]:443/app/key", "app", "rtmps://[::1]:443/app", "key"),
        ] {
            let want = (app.into(), tc_url.into(), name.into());
            assert_eq!(conventionally(text), want, "{text}");
        }
    }

    #[test]
    fn conventional_reading_differs_from_ffmpeg_where_that_loses_something() {
        for (text, app, tc_url, name) in [
            // ffmpeg: app `three/segment`, name `path#BigBuckBunny`.
            (
                "rtmp://h/three/segment/path#BigBuck%42unny",
                "three/segment/path",
                "rtmp://h/three/segment/path",
                "BigBuckBunny",
            ),
            // ffmpeg: app `app/key?tok=a`, name `b`.
            ("rtmp://h/app/key?tok=a/b", "app", "rtmp://h/app", "key?tok=a/b"),
            // ffmpeg: the whole as app, name `x`.
            (
                "rtmp://h/app/inst/key?playslist=x",
                "app/inst",
                "rtmp://h/app/inst",
                "key?playslist=x",
            ),
            // ffmpeg: name and app as here, tcUrl with `:1935`.
            ("rtmp://h/app/key", "app", "rtmp://h/app", "key"),
        ] {
            let want = (app.into(), tc_url.into(), name.into());
            assert_eq!(conventionally(text), want, "{text}");
        }
    }

    #[test]
    fn conventional_reading_agrees_with_librtmp_but_for_what_it_breaks() {
        for (text, app, name) in [
            // Both alike.
            ("rtmp://h/app/stream", "app", "stream"),
            ("rtmp://h/app/inst/stream", "app/inst", "stream"),
            ("rtmp://h/app/file.flv", "app", "file"),
            ("rtmp://h/app?slist=clip", "app?slist=clip", "clip"),
            ("rtmp://h/app", "app", ""),
            // librtmp: app `a/b/c` with three segments, name `d` and `d/e`.
            ("rtmp://h/a/b/c/d", "a/b", "c/d"),
            ("rtmp://h/a/b/c/d/e", "a/b", "c/d/e"),
            // librtmp: app `app/key?tok=a`, name `b`.
            ("rtmp://h/app/key?tok=a/b", "app", "key?tok=a/b"),
            // librtmp: `mp4:file`, `mp3:song`, `mp4:dir/file`.
            ("rtmp://h/app/file.mp4", "app", "mp4:file.mp4"),
            ("rtmp://h/app/song.mp3", "app", "song.mp3"),
            ("rtmp://h/ondemand/dir/file.f4v", "ondemand", "mp4:dir/file.f4v"),
            // librtmp: `ke y`.
            ("rtmp://h/app/ke%20y", "app", "ke%20y"),
        ] {
            let (a, _, n) = conventionally(text);
            assert_eq!((&*a, &*n), (app, name), "{text}");
        }
        // librtmp connects to host `u` and to host `[2001`.
        let host = |text: &str| Url::parse(text).unwrap().strict().tc_url.authority.to_owned();
        assert_eq!(host("rtmp://u:p@h/app/key"), "h");
        assert_eq!(host("rtmp://[2001:db8::2]:19350/app/key"), "[2001:db8::2]:19350");
    }

    #[test]
    fn known_application_leaves_the_rest_to_the_stream() {
        let read = |text: &'static str, app: &'static str| {
            let reading = Url::parse(text).unwrap().conventional().with_app(app);
            (reading.app, reading.tc_url.to_string(), reading.playpath.to_string())
        };
        // As ffmpeg does with `rtmp_app`.
        assert_eq!(read("rtmp://h/key", "live"), ("live", "rtmp://h/live".into(), "key".into()));
        assert_eq!(
            read("rtmp://h/a/b/key", "live"),
            ("live", "rtmp://h/live".into(), "key".into())
        );
        assert_eq!(read("rtmp://h", ""), ("", "rtmp://h/".into(), String::new()));
        // As OBS does with a server `rtmp://h/live/inst` and a key of its own: it does not guess.
        assert_eq!(read("rtmp://h/live/inst", "live/inst").0, "live/inst");
        let obs = Url::parse("rtmp://[::1]/live/inst").unwrap().strict();
        assert_eq!(
            (obs.app, obs.tc_url.to_string()),
            ("live/inst", "rtmp://[::1]/live/inst".into())
        );
    }

    #[test]
    fn credentials_need_a_colon_and_are_decoded() {
        let credentials = |text: &'static str| {
            let read = Url::parse(text).unwrap().conventional().credentials;
            read.map(|c| (c.user.to_string(), c.password.to_string()))
        };
        assert_eq!(credentials("rtmp://u:p@h/app/key"), Some(("u".into(), "p".into())));
        assert_eq!(credentials("rtmp://u:p:q@h/app/key"), Some(("u".into(), "p:q".into())));
        assert_eq!(credentials("rtmp://u%40x:p%2F@h/a#k"), Some(("u@x".into(), "p/".into())));
        assert_eq!(credentials("rtmp://u@h/app/key"), None);
        assert_eq!(credentials("rtmp://h/app/key"), None);
    }

    #[test]
    fn cleaning_removes_userinfo_and_fragment_alone() {
        for (text, want) in [
            ("rtmp://u:p@h:1935/app", "rtmp://h:1935/app"),
            ("rtmp://u@v@h/app?x=a@b", "rtmp://h/app?x=a@b"),
            ("RTMP://h:/app#x@y", "RTMP://h:/app"),
            ("rtmp://u@h?x=//c@d", "rtmp://h?x=//c@d"),
            ("rtmp://u@", "rtmp://"),
            ("//u@h/app", "//h/app"),
            ("app?next=http://c@d", "app?next=http://c@d"),
            ("app/x//c@d", "app/x//c@d"),
            ("u@h", "u@h"),
            ("#u@h", ""),
            ("", ""),
        ] {
            assert_eq!(clean_tc_url(text).to_string(), want, "{text}");
        }
        let shown = clean_tc_url("rtmp://u@h/app?token=x").without_query();
        assert_eq!(shown.to_string(), "rtmp://h/app");
    }

    #[test]
    fn texts_are_bounded() {
        let max = limits::URL_BYTES_MAX;
        let long = "x".repeat(max + 1);
        assert_eq!(clean_tc_url(&long).text(), Err(UrlError::TooLong { len: max + 1, max }));
        assert_eq!(Playpath::Given(&long[1..]).text().unwrap(), long[1..]);
        assert!(Playpath::Mp4(&long[1..]).text().is_err());
    }

    proptest! {
        #[test]
        fn cleaning_any_text_is_idempotent(
            text in prop_oneof!["(rtmp:)?/{0,2}[a@/?#:é]{0,20}", ".{0,40}"],
        ) {
            let once = clean_tc_url(&text).to_string();
            prop_assert_eq!(clean_tc_url(&once).to_string(), once);
        }
    }
}

//! What a client will say: a URL and its options, put together before anything is sent.
//!
//! Pure, borrowed, and made anew for each connection. The client's session says it; whom to
//! connect to and how stays with the `Url`.
//! Source: ffmpeg-protocols, "rtmp", and what ffmpeg 5.1 sends; RTMP URI memo §4.2, §6.
//!
//! Quirks: a given tcUrl loses userinfo and fragment, which ffmpeg would send. Without
//! `rtmp_swfurl` the file of `rtmp_swfverify` is the player.

use core::fmt;

use crate::proto::rtmp::connect_arguments::ConnectArguments;
use crate::proto::rtmp::options::{ClientOptions, Codecs, Live};
use crate::wire::amf0::Emitter;
use crate::wire::rtmp::url::{Arguments, Credentials, Playpath, Strict, TcUrl, Url, clean_tc_url};
use crate::wire::writer::Full;

/// What the client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends a stream.
    Publish,
    /// It receives one.
    Play,
}

impl Role {
    /// What the client says it is, unless told otherwise: what servers have been tested with.
    #[must_use]
    pub const fn flash_version(self) -> &'static str {
        match self {
            Self::Publish => "FMLE/3.0 (compatible; rillcast)",
            Self::Play => "LNX 9,0,124,2",
        }
    }
}

/// How the URL is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As encoders do: the path holds the stream name, the userinfo credentials.
    Conventional,
    /// As the memo says: the fragment is the stream name, the userinfo connect arguments.
    Strict,
}

/// Why there is nothing to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Malformed: a strict URL without fragment, and no `rtmp_playpath`.
    #[error("URL names no stream: add #name, or set rtmp_playpath")]
    NoStream,
    /// Malformed: a hash without its size.
    #[error("rtmp_swfhash needs rtmp_swfsize beside it")]
    SwfSize,
}

/// What proves that the client is a certain player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swf {
    /// HMAC-SHA256 of the decompressed file, under the players' key.
    pub hash: [u8; 32],
    /// Its bytes, not 0.
    pub bytes: u32,
}

/// What the client says to connect, and then to publish or play.
#[derive(Clone)]
pub struct ConnectPlan<'a> {
    /// What it is for.
    pub role: Role,
    /// Property `app`.
    pub app: &'a str,
    /// Property `tcUrl`.
    pub tc_url: TcUrl<'a>,
    /// Property `flashVer`.
    pub flash_version: &'a str,
    /// Property `swfUrl`.
    pub swf_url: Option<&'a str>,
    /// Property `pageUrl`.
    pub page_url: Option<&'a str>,
    /// Property `fourCcList`, if it holds any.
    pub codecs: Codecs<'a>,
    /// Name for publish or play. May be a secret.
    pub playpath: Playpath<'a>,
    /// Name for `FCSubscribe`.
    pub subscribe: Option<Playpath<'a>>,
    /// Start argument of play.
    pub start: i32,
    /// For Set Buffer Length, in milliseconds.
    pub buffer_ms: u32,
    /// Answers a server that asks who publishes.
    pub credentials: Option<Credentials<'a>>,
    /// Answers a server that asks for the player.
    pub swf: Option<Swf>,
    /// Where the file is that `swf` is to be made of, if that is not given.
    pub player: Option<&'a str>,
    url_arguments: Arguments<'a>,
    conn: ConnectArguments<'a>,
}

impl<'a> ConnectPlan<'a> {
    /// Puts a URL and its options together.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(
        url: &Url<'a>,
        options: &ClientOptions<'a>,
        role: Role,
        reading: Reading,
    ) -> Result<Self, PlanError> {
        let mut plan = match reading {
            Reading::Conventional => Self::conventional(url, options, role),
            Reading::Strict => Self::strict(url, options, role)?,
        };
        if let Some(given) = options.tc_url {
            plan.tc_url = clean_tc_url(given);
        }
        plan.swf = swf(options)?;
        if plan.swf.is_none() {
            plan.player = options.swf_verify;
        }
        if role == Role::Play {
            plan.page_url = options.page_url;
            plan.subscribe = match options.subscribe {
                Some(given) => Some(Playpath::Given(given)),
                None => (options.live == Live::Live).then_some(plan.playpath),
            };
        }
        Ok(plan)
    }

    /// The same on another server, where a redirect or a reconnect request points: `tc_url` names
    /// the application alone.
    #[must_use]
    pub fn moved(self, tc_url: &Url<'a>) -> Self {
        let Strict { app, tc_url, .. } = tc_url.strict();
        Self { app, tc_url, ..self }
    }

    /// Writes what stands behind the command object of connect: the arguments of the URL, if it
    /// was read strictly, then those of `rtmp_conn`.
    ///
    /// # Errors
    /// `Full` if they do not fit; part of them may then be written.
    pub fn emit_arguments(&self, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
        for argument in self.url_arguments.clone() {
            let text = argument.text().map_err(|_| Full { need: argument.raw().len(), have: 0 })?;
            e.string(text.as_bytes())?;
        }
        self.conn.emit(e)
    }

    fn conventional(url: &Url<'a>, options: &ClientOptions<'a>, role: Role) -> Self {
        let mut read = url.conventional();
        if let Some(app) = options.app {
            read = read.with_app(app);
        }
        let playpath = options.playpath.map_or(read.playpath, Playpath::Given);
        let credentials = read.credentials;
        Self { credentials, ..Self::bare(read.app, read.tc_url, playpath, role, options) }
    }

    fn strict(url: &Url<'a>, options: &ClientOptions<'a>, role: Role) -> Result<Self, PlanError> {
        let read = url.strict();
        let named = read.stream.map(Playpath::Fragment);
        let playpath = options.playpath.map(Playpath::Given).or(named);
        let playpath = playpath.ok_or(PlanError::NoStream)?;
        let (app, tc_url) = match options.app {
            Some(app) => (app, url.tc_url_of(app)),
            None => (read.app, read.tc_url),
        };
        let url_arguments = read.arguments;
        Ok(Self { url_arguments, ..Self::bare(app, tc_url, playpath, role, options) })
    }

    /// What does not depend on how the URL is read.
    const fn bare(
        app: &'a str,
        tc_url: TcUrl<'a>,
        playpath: Playpath<'a>,
        role: Role,
        options: &ClientOptions<'a>,
    ) -> Self {
        Self {
            role,
            app,
            tc_url,
            flash_version: match options.flash_version {
                Some(given) => given,
                None => role.flash_version(),
            },
            swf_url: match options.swf_url {
                Some(given) => Some(given),
                None => options.swf_verify,
            },
            page_url: None,
            codecs: options.codecs,
            playpath,
            subscribe: None,
            start: options.live.start(),
            buffer_ms: options.buffer_ms,
            credentials: None,
            swf: None,
            player: None,
            url_arguments: Arguments::NONE,
            conn: options.conn,
        }
    }
}

/// What is no secret of it.
impl fmt::Debug for ConnectPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectPlan({:?}, {:?}, {:?})", self.role, self.tc_url, self.playpath)
    }
}

const fn swf(options: &ClientOptions<'_>) -> Result<Option<Swf>, PlanError> {
    match (options.swf_hash, options.swf_bytes) {
        (None, _) => Ok(None),
        (Some(_), 0) => Err(PlanError::SwfSize),
        (Some(hash), bytes) => Ok(Some(Swf { hash, bytes })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::writer::Writer;
    use proptest::prelude::*;

    fn planned<'a>(
        url: &'a str,
        options: &[(&str, &'a str)],
        role: Role,
        reading: Reading,
    ) -> Result<ConnectPlan<'a>, PlanError> {
        let mut set = ClientOptions::new();
        for (name, text) in options {
            set.set(name, text).unwrap();
        }
        ConnectPlan::new(&Url::parse(url).unwrap(), &set, role, reading)
    }

    fn plan<'a>(url: &'a str, options: &[(&str, &'a str)], role: Role) -> ConnectPlan<'a> {
        planned(url, options, role, Reading::Conventional).unwrap()
    }

    fn arguments(plan: &ConnectPlan<'_>) -> Vec<u8> {
        let mut buffer = [0; 256];
        let mut w = Writer::new(&mut buffer);
        plan.emit_arguments(&mut Emitter::new(&mut w)).unwrap();
        w.finish().to_vec()
    }

    #[test]
    fn publishing_says_what_ffmpeg_says_by_default() {
        let plan = plan("rtmp://u:p@h:1936/live/inst/key?tok=1", &[], Role::Publish);
        assert_eq!(plan.app, "live/inst");
        assert_eq!(plan.tc_url.to_string(), "rtmp://h:1936/live/inst");
        assert_eq!(plan.flash_version, "FMLE/3.0 (compatible; rillcast)");
        assert_eq!((plan.swf_url, plan.page_url), (None, None));
        assert_eq!(plan.playpath.to_string(), "key?tok=1");
        assert_eq!(plan.codecs.iter().count(), 0);
        assert_eq!(plan.buffer_ms, 3000);
        assert!(plan.subscribe.is_none() && plan.swf.is_none());
        assert_eq!(plan.credentials.unwrap().password.to_string(), "p");
        // Credentials are no connect arguments.
        assert_eq!(arguments(&plan), b"");
    }

    #[test]
    fn playing_says_what_ffmpeg_says_by_default() {
        let plan = plan("rtmp://h/live/key", &[], Role::Play);
        assert_eq!((plan.app, plan.tc_url.to_string()), ("live", "rtmp://h/live".to_owned()));
        assert_eq!(plan.flash_version, "LNX 9,0,124,2");
        assert_eq!((plan.start, plan.buffer_ms), (-2000, 3000));
        assert_eq!((plan.swf_url, plan.page_url), (None, None));
        assert!(plan.subscribe.is_none() && plan.credentials.is_none());
    }

    #[test]
    fn options_take_the_place_of_what_the_url_says() {
        let options = [
            ("rtmp_app", "other?x=1"),
            ("rtmp_playpath", "pp.mp4"),
            ("rtmp_flashver", "me"),
            ("rtmp_swfurl", "http://s/"),
            ("rtmp_buffer", "100"),
            ("rtmp_enhanced_codecs", "hvc1"),
        ];
        let plan = plan("rtmp://h/app/key", &options, Role::Publish);
        assert_eq!((plan.app, plan.tc_url.to_string()), ("other?x=1", "rtmp://h/other?x=1".into()));
        assert_eq!(plan.playpath.to_string(), "pp.mp4");
        assert_eq!((plan.flash_version, plan.swf_url), ("me", Some("http://s/")));
        assert_eq!((plan.buffer_ms, plan.codecs.iter().next()), (100, Some("hvc1")));
    }

    #[test]
    fn single_segment_is_the_stream_when_the_application_is_given() {
        let read = plan("rtmp://h/key", &[("rtmp_app", "live")], Role::Publish);
        assert_eq!((read.app, read.playpath.to_string()), ("live", "key".into()));
        let read = plan("rtmp://h/key", &[], Role::Publish);
        assert_eq!((read.app, read.playpath.to_string()), ("key", String::new()));
    }

    #[test]
    fn given_tc_url_is_cleaned() {
        let options = [("rtmp_tcurl", "rtmp://u:p@other/x?y#z")];
        let plan = plan("rtmp://h/app/key", &options, Role::Publish);
        assert_eq!((plan.app, plan.tc_url.to_string()), ("app", "rtmp://other/x?y".into()));
    }

    #[test]
    fn options_of_a_page_count_when_playing_alone_and_those_of_a_player_always() {
        let hash = "ab".repeat(32);
        let options = [
            ("rtmp_pageurl", "http://p/"),
            ("rtmp_swfverify", "http://s/x.swf"),
            ("rtmp_swfhash", hash.as_str()),
            ("rtmp_swfsize", "64"),
            ("rtmp_live", "live"),
        ];
        let player = plan("rtmp://h/app/key", &options, Role::Play);
        assert_eq!(player.page_url, Some("http://p/"));
        assert_eq!(player.swf_url, Some("http://s/x.swf"));
        assert_eq!(player.swf, Some(Swf { hash: [0xab; 32], bytes: 64 }));
        assert_eq!(player.start, -1000);
        assert_eq!(player.subscribe.unwrap().to_string(), "key");
        let publisher = plan("rtmp://h/app/key", &options, Role::Publish);
        assert_eq!((publisher.page_url, publisher.swf), (None, player.swf));
        assert_eq!((player.player, publisher.player), (None, None));
        let fetched = plan("rtmp://h/app/key", &options[1..2], Role::Publish);
        assert_eq!((fetched.swf, fetched.player), (None, Some("http://s/x.swf")));
        assert!(publisher.subscribe.is_none());
        let named = plan("rtmp://h/app/key", &[("rtmp_subscribe", "sub")], Role::Play);
        assert_eq!((named.subscribe.unwrap().to_string(), named.start), ("sub".into(), -2000));
    }

    #[test]
    fn strict_reading_sends_userinfo_as_arguments_before_conn() {
        let url = "rtmp://a%3Ab:@h/three/segment/path#Big%42uck";
        let conn = [("rtmp_conn", "S:tok")];
        let plan = planned(url, &conn, Role::Play, Reading::Strict).unwrap();
        assert_eq!(plan.app, "three/segment/path");
        assert_eq!(plan.tc_url.to_string(), "rtmp://h/three/segment/path");
        assert_eq!(plan.playpath.to_string(), "BigBuck");
        assert!(plan.credentials.is_none());
        assert_eq!(arguments(&plan), b"\x02\x00\x03a:b\x02\x00\x00\x02\x00\x03tok");
        let given = [("rtmp_app", "x"), ("rtmp_playpath", "y")];
        let plan = planned("rtmp://h/a/b", &given, Role::Play, Reading::Strict).unwrap();
        assert_eq!((plan.app, plan.tc_url.to_string()), ("x", "rtmp://h/x".into()));
        assert_eq!(plan.playpath.to_string(), "y");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = planned("rtmp://h/a/b", &[], Role::Play, Reading::Strict).unwrap_err();
        assert_eq!(error, PlanError::NoStream);
        let hash = "ab".repeat(32);
        let options = [("rtmp_swfhash", hash.as_str())];
        let error = planned("rtmp://h/a/b", &options, Role::Play, Reading::Conventional);
        assert_eq!(error.unwrap_err().to_string(), "rtmp_swfhash needs rtmp_swfsize beside it");
    }

    #[test]
    fn moved_client_keeps_its_stream() {
        let elsewhere = Url::parse("rtmps://[::1]/live/inst?tok=2").unwrap();
        let plan = plan("rtmp://u:p@h/app/key", &[], Role::Publish).moved(&elsewhere);
        assert_eq!((plan.app, plan.playpath.to_string()), ("live/inst?tok=2", "key".into()));
        assert_eq!(plan.tc_url.to_string(), "rtmps://[::1]/live/inst?tok=2");
        assert!(plan.credentials.is_some());
    }

    proptest! {
        #[test]
        fn plans_of_any_url_never_panic(rest in "[a-z:@/?#.%4]{0,30}", app in "[a-z/?]{0,5}") {
            let text = format!("rtmp://h{rest}");
            let mut options = ClientOptions::new();
            options.set("rtmp_app", &app).unwrap();
            if let Ok(url) = Url::parse(&text) {
                for reading in [Reading::Conventional, Reading::Strict] {
                    if let Ok(plan) = ConnectPlan::new(&url, &options, Role::Publish, reading) {
                        prop_assert_eq!(plan.app, &app);
                        prop_assert!(!plan.tc_url.to_string().contains(['@', '#']));
                        prop_assert!(plan.playpath.text().is_ok());
                    }
                }
            }
        }
    }
}

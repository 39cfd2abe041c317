//! The RTMP options of ffmpeg, by their names there: one table, one typed set.
//!
//! Command line and settings both call `ClientOptions::set`; help is drawn from `TABLE`. Texts are
//! borrowed and stay as they are given. What the options make of a connection is `plan`'s affair,
//! and nothing is sent from here.
//! Source: ffmpeg-protocols, "rtmp"; names, bounds and defaults as ffmpeg 5.1 lists them.
//!
//! Quirks: `rtmp_listen` and `listen` are one option; `timeout` implies it. The file of
//! `rtmp_swfverify` is not fetched where `rtmp_swfhash` and `rtmp_swfsize` are given, and it counts
//! when publishing too.

use core::fmt;

use crate::limits;
use crate::proto::rtmp::connect_arguments::{ConnectArguments, ItemError};

/// What `rtmp_live` says of a stream that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Live, or recorded if there is none.
    Any,
    /// Live alone.
    Live,
    /// Recorded alone.
    Recorded,
}

impl Live {
    /// The start argument of play.
    #[must_use]
    pub const fn start(self) -> i32 {
        match self {
            Self::Any => -2000,
            Self::Live => -1000,
            Self::Recorded => 0,
        }
    }
}

/// Codecs that a client announces as `fourCcList`; checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codecs<'a>(&'a str);

impl<'a> Codecs<'a> {
    /// No list is sent.
    pub const NONE: Self = Self("");

    /// The fourCCs in order; `*` stands for any.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split(',').filter(|code| !code.is_empty())
    }

    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let codecs = Self(text);
        let is_code = |code: &str| code.len() == 4 && code.bytes().all(|b| b.is_ascii_graphic());
        let all = || text.split(',');
        let fits = all().count() <= limits::CLIENT_CODECS_MAX;
        if text.is_empty() || (fits && all().all(|code| code == "*" || is_code(code))) {
            return Ok(codecs);
        }
        Err(Refusal::Codecs { max: limits::CLIENT_CODECS_MAX })
    }
}

/// The options of one connection; each `None` leaves it to the URL or sends nothing.
#[derive(Clone, Copy)]
pub struct ClientOptions<'a> {
    /// `rtmp_app`: in place of the URL's application.
    pub app: Option<&'a str>,
    /// `rtmp_playpath`: in place of the URL's stream name. May be a secret.
    pub playpath: Option<&'a str>,
    /// `rtmp_tcurl`: in place of the one made of the URL.
    pub tc_url: Option<&'a str>,
    /// `rtmp_conn`: sent behind the command object of connect. May be secrets.
    pub conn: ConnectArguments<'a>,
    /// `rtmp_flashver`: who we say we are.
    pub flash_version: Option<&'a str>,
    /// `rtmp_swfurl`: the player that we say we are in.
    pub swf_url: Option<&'a str>,
    /// `rtmp_pageurl`: the page that we say we are in, when playing.
    pub page_url: Option<&'a str>,
    /// `rtmp_buffer`, in milliseconds.
    pub buffer_ms: u32,
    /// `rtmp_live`, when playing.
    pub live: Live,
    /// `rtmp_subscribe`: for `FCSubscribe`, when playing.
    pub subscribe: Option<&'a str>,
    /// `rtmp_flush_interval`: packets in one request of RTMPT, when publishing.
    pub flush_packets: u32,
    /// `rtmp_swfhash`: HMAC-SHA256 of the decompressed player.
    pub swf_hash: Option<[u8; 32]>,
    /// `rtmp_swfsize`: bytes of the decompressed player; 0 if not known.
    pub swf_bytes: u32,
    /// `rtmp_swfverify`: the player that the two are of; fetched if they are not given.
    pub swf_verify: Option<&'a str>,
    /// `listen`, `rtmp_listen`: wait for a connection instead of making one.
    pub listen: bool,
    /// `timeout`: seconds to wait for it; none is for ever.
    pub listen_s: Option<u32>,
    /// `tcp_nodelay`.
    pub no_delay: bool,
    /// `rtmp_enhanced_codecs`.
    pub codecs: Codecs<'a>,
    /// `ca_file`: authorities that vouch for a server within TLS, in place of those built in.
    pub ca_file: Option<&'a str>,
    /// `pin`: the one key that a server within TLS is believed by.
    pub pin: Option<&'a str>,
}

impl<'a> ClientOptions<'a> {
    /// Every option at its default.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default here is the table's, not zero")]
    pub const fn new() -> Self {
        Self {
            app: None,
            playpath: None,
            tc_url: None,
            conn: ConnectArguments::NONE,
            flash_version: None,
            swf_url: None,
            page_url: None,
            buffer_ms: BUFFER_MS_DEFAULT,
            live: Live::Any,
            subscribe: None,
            flush_packets: FLUSH_PACKETS_DEFAULT,
            swf_hash: None,
            swf_bytes: 0,
            swf_verify: None,
            listen: false,
            listen_s: None,
            no_delay: false,
            codecs: Codecs::NONE,
            ca_file: None,
            pin: None,
        }
    }

    /// Sets one option from its text; the last one set wins.
    ///
    /// # Errors
    /// No option has this name, or it does not take the text; nothing is changed then.
    pub fn set(&mut self, name: &str, text: &'a str) -> Result<(), OptionError> {
        let Some(option) = ClientOption::find(name) else {
            return Err(OptionError::Unknown);
        };
        let refused = |refusal| OptionError::Refused { option: option.name, refusal };
        let (len, max) = (text.len(), limits::CLIENT_OPTION_BYTES_MAX);
        if len > max {
            return Err(refused(Refusal::TooLong { len, max }));
        }
        if let Some(at) = text.find(char::is_control) {
            return Err(refused(Refusal::Control { at }));
        }
        (option.put)(self, text).map_err(refused)
    }
}

/// Nothing of it: much of it may be secret.
impl fmt::Debug for ClientOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions").finish_non_exhaustive()
    }
}

/// Why an option was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Unsupported: no option has the name.
    #[error("no RTMP option has this name: there are rtmp_app, rtmp_playpath, rtmp_live and more")]
    Unknown,
    /// Malformed or exhausted: the text.
    #[error("{option} {refusal}")]
    Refused {
        /// The option's name.
        option: &'static str,
        /// What it does not take.
        refusal: Refusal,
    },
}

/// What an option does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Malformed or out of bounds: a number.
    #[error("takes a whole number from {min} to {max}")]
    Number {
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// Malformed: none of its words.
    #[error("takes one of {0}")]
    Word(&'static str),
    /// Malformed: not a hash.
    #[error("takes 64 hexadecimal digits, the HMAC-SHA256 of the decompressed SWF file")]
    Hash,
    /// Malformed or exhausted: not a list of codecs.
    #[error("takes up to {max} fourCCs with commas between them, like hvc1,av01")]
    Codecs {
        /// The limit.
        max: usize,
    },
    /// Malformed or exhausted: an item of `rtmp_conn`.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// Malformed: a character that nobody can have meant.
    #[error("has a control character at byte {at}")]
    Control {
        /// Its position, from 0.
        at: usize,
    },
    /// Exhausted: the text.
    #[error("is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// When an option counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Always.
    Both,
    /// When playing.
    Play,
    /// When publishing.
    Publish,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ClientOption {
    /// Name, as ffmpeg has it.
    pub name: &'static str,
    /// When it counts.
    pub way: Way,
    /// What texts it takes.
    pub takes: &'static str,
    /// What holds when it is not set.
    pub default: &'static str,
    /// What it is for, one sentence.
    pub help: &'static str,
    put: for<'o, 'a> fn(&'o mut ClientOptions<'a>, &'a str) -> Result<(), Refusal>,
}

impl ClientOption {
    /// The row with this name, if there is one.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|option| option.name == name)
    }
}

const BUFFER_MS_DEFAULT: u32 = 3000;

const FLUSH_PACKETS_DEFAULT: u32 = 10;

/// Every option, in the order of ffmpeg's manual.
#[rustfmt::skip]
pub const TABLE: &[ClientOption] = &[
    ClientOption {
        name: "rtmp_app", way: Way::Both,
        takes: "text",
        default: "from the URL",
        help: "Application to connect to, with its instance.",
        put: |to, text| { to.app = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_buffer", way: Way::Both,
        takes: "milliseconds",
        default: "3000",
        help: "Buffer time that the server is told.",
        put: |to, text| { to.buffer_ms = number(text, limits::CLIENT_BUFFER_MS_MAX)?; Ok(()) },
    },
    ClientOption {
        name: "rtmp_conn", way: Way::Both,
        takes: "B:1 S:text N:3 O:1 NS:name:text O:0 Z:",
        default: "none",
        help: "Arguments behind the command object of connect.",
        put: |to, text| { to.conn = ConnectArguments::parse(text)?; Ok(()) },
    },
    ClientOption {
        name: "rtmp_flashver", way: Way::Both,
        takes: "text",
        default: "LNX 9,0,124,2; FMLE/3.0 (compatible; rillcast) when publishing",
        help: "What the client says it is.",
        put: |to, text| { to.flash_version = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_flush_interval", way: Way::Publish,
        takes: "packets",
        default: "10",
        help: "Packets in one HTTP request; RTMPT only.",
        put: |to, text| {
            to.flush_packets = number(text, limits::CLIENT_FLUSH_PACKETS_MAX)?;
            Ok(())
        },
    },
    ClientOption {
        name: "rtmp_live", way: Way::Play,
        takes: "any, live or recorded",
        default: "any",
        help: "Whether a live stream is wanted.",
        put: |to, text| { to.live = live(text)?; Ok(()) },
    },
    ClientOption {
        name: "rtmp_pageurl", way: Way::Play,
        takes: "URL",
        default: "not sent",
        help: "Web page that the player is said to be in.",
        put: |to, text| { to.page_url = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_playpath", way: Way::Both,
        takes: "text",
        default: "from the URL",
        help: "Name of the stream to play or publish.",
        put: |to, text| { to.playpath = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_subscribe", way: Way::Play,
        takes: "text",
        default: "rtmp_playpath with rtmp_live=live, else not sent",
        help: "Name of the live stream to subscribe to.",
        put: |to, text| { to.subscribe = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_swfhash", way: Way::Both,
        takes: "64 hexadecimal digits",
        default: "none",
        help: "HMAC-SHA256 of the decompressed SWF file, under the players' key.",
        put: |to, text| { to.swf_hash = Some(hash(text)?); Ok(()) },
    },
    ClientOption {
        name: "rtmp_swfsize", way: Way::Both,
        takes: "bytes",
        default: "0",
        help: "Size of the decompressed SWF file; goes with rtmp_swfhash.",
        put: |to, text| { to.swf_bytes = number(text, limits::CLIENT_SWF_BYTES_MAX)?; Ok(()) },
    },
    ClientOption {
        name: "rtmp_swfurl", way: Way::Both,
        takes: "URL",
        default: "rtmp_swfverify, or not sent",
        help: "SWF player that the client is said to be.",
        put: |to, text| { to.swf_url = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_swfverify", way: Way::Both,
        takes: "URL",
        default: "none",
        help: "SWF player, http or https: fetched once to make rtmp_swfhash and rtmp_swfsize of it.",
        put: |to, text| { to.swf_verify = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_tcurl", way: Way::Both,
        takes: "URL",
        default: "scheme://host[:port]/app",
        help: "URL that the server is told.",
        put: |to, text| { to.tc_url = Some(text); Ok(()) },
    },
    ClientOption {
        name: "rtmp_listen", way: Way::Play,
        takes: "0 or 1",
        default: "0",
        help: "Wait for a connection instead of making one.",
        put: |to, text| { to.listen = flag(text)?; Ok(()) },
    },
    ClientOption {
        name: "listen", way: Way::Play,
        takes: "0 or 1",
        default: "0",
        help: "The same as rtmp_listen.",
        put: |to, text| { to.listen = flag(text)?; Ok(()) },
    },
    ClientOption {
        name: "timeout", way: Way::Play,
        takes: "seconds, or -1 for ever",
        default: "-1",
        help: "How long to wait for a connection; implies listen.",
        put: |to, text| {
            to.listen_s = seconds(text)?;
            to.listen |= to.listen_s.is_some();
            Ok(())
        },
    },
    ClientOption {
        name: "tcp_nodelay", way: Way::Both,
        takes: "0 or 1",
        default: "0",
        help: "Send small messages at once.",
        put: |to, text| { to.no_delay = flag(text)?; Ok(()) },
    },
    ClientOption {
        name: "rtmp_enhanced_codecs", way: Way::Both,
        takes: "fourCCs with commas between",
        default: "not sent",
        help: "Codecs beyond FLV's own that the client announces.",
        put: |to, text| { to.codecs = Codecs::parse(text)?; Ok(()) },
    },
    ClientOption {
        name: "ca_file", way: Way::Both,
        takes: "file",
        default: "the system's",
        help: "Certificates in PEM that vouch for the server; RTMPS only.",
        put: |to, text| { to.ca_file = Some(text); Ok(()) },
    },
    ClientOption {
        name: "pin", way: Way::Both,
        takes: "sha256/BASE64",
        default: "none",
        help: "SHA-256 of the server's key (SPKI), which alone counts then; RTMPS only.",
        put: |to, text| { to.pin = Some(text); Ok(()) },
    },
];

/// Decimal digits only: `+6`, `0x6` and `6.0` are somebody's mistake.
fn number(text: &str, max: u32) -> Result<u32, Refusal> {
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let bounded = number.filter(|number| *number <= max);
    bounded.ok_or(Refusal::Number { min: 0, max: i64::from(max) })
}

fn seconds(text: &str) -> Result<Option<u32>, Refusal> {
    if text == "-1" {
        return Ok(None);
    }
    let max = limits::CLIENT_LISTEN_S_MAX;
    let number = number(text, max).map_err(|_| Refusal::Number { min: -1, max: i64::from(max) })?;
    Ok(Some(number))
}

fn flag(text: &str) -> Result<bool, Refusal> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Refusal::Word("0, 1")),
    }
}

/// The words, or the numbers behind them.
fn live(text: &str) -> Result<Live, Refusal> {
    match text {
        "any" | "-2" => Ok(Live::Any),
        "live" | "-1" => Ok(Live::Live),
        "recorded" | "0" => Ok(Live::Recorded),
        _ => Err(Refusal::Word("any, live, recorded")),
    }
}

fn hash(text: &str) -> Result<[u8; 32], Refusal> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut hash = [0; 32];
    if pairs.len() != hash.len() || !rest.is_empty() {
        return Err(Refusal::Hash);
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err(Refusal::Hash);
        };
        *byte = high << 4 | low;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rtmp::connect_arguments::ItemFault;
    use proptest::prelude::*;

    fn set(name: &str, text: &'static str) -> Result<ClientOptions<'static>, Refusal> {
        let mut options = ClientOptions::new();
        match options.set(name, text) {
            Ok(()) => Ok(options),
            Err(OptionError::Refused { option, refusal }) => {
                assert_eq!(option, name);
                Err(refusal)
            }
            Err(OptionError::Unknown) => panic!("{name}"),
        }
    }

    #[test]
    fn table_holds_every_option_once_with_its_help() {
        for name in [
            "rtmp_app",
            "rtmp_buffer",
            "rtmp_conn",
            "rtmp_flashver",
            "rtmp_flush_interval",
            "rtmp_live",
            "rtmp_pageurl",
            "rtmp_playpath",
            "rtmp_subscribe",
            "rtmp_swfhash",
            "rtmp_swfsize",
            "rtmp_swfurl",
            "rtmp_swfverify",
            "rtmp_tcurl",
            "rtmp_listen",
            "listen",
            "timeout",
            "tcp_nodelay",
            "rtmp_enhanced_codecs",
            "ca_file",
            "pin",
        ] {
            assert_eq!(TABLE.iter().filter(|option| option.name == name).count(), 1, "{name}");
        }
        assert_eq!(TABLE.len(), 21);
        for option in TABLE {
            assert!(option.help.ends_with('.') && !option.takes.is_empty(), "{}", option.name);
            assert!(!option.default.is_empty(), "{}", option.name);
        }
        assert_eq!(ClientOptions::new().set("rtmp_token", ""), Err(OptionError::Unknown));
    }

    #[test]
    fn defaults_are_those_of_ffmpeg() {
        let options = ClientOptions::new();
        assert_eq!((options.buffer_ms, options.flush_packets), (3000, 10));
        assert_eq!((options.live, options.swf_bytes), (Live::Any, 0));
        assert_eq!((options.listen, options.listen_s, options.no_delay), (false, None, false));
        // The defaults that the table prints are what leaves all as it is.
        for (name, of) in [
            ("rtmp_buffer", options.buffer_ms),
            ("rtmp_flush_interval", options.flush_packets),
            ("rtmp_swfsize", options.swf_bytes),
        ] {
            assert_eq!(ClientOption::find(name).unwrap().default.parse(), Ok(of), "{name}");
        }
    }

    #[test]
    fn texts_are_kept_as_given() {
        assert_eq!(set("rtmp_app", " live?x ").unwrap().app, Some(" live?x "));
        assert_eq!(set("rtmp_playpath", "").unwrap().playpath, Some(""));
        assert_eq!(set("rtmp_tcurl", "x").unwrap().tc_url, Some("x"));
        assert_eq!(set("rtmp_flashver", "x").unwrap().flash_version, Some("x"));
        assert_eq!(set("rtmp_swfurl", "x").unwrap().swf_url, Some("x"));
        assert_eq!(set("rtmp_swfverify", "x").unwrap().swf_verify, Some("x"));
        assert_eq!(set("rtmp_pageurl", "x").unwrap().page_url, Some("x"));
        assert_eq!(set("rtmp_subscribe", "x").unwrap().subscribe, Some("x"));
        assert!(!set("rtmp_conn", "S:x").unwrap().conn.is_empty());
    }

    #[test]
    fn words_and_flags_are_read() {
        for (text, live, start) in [
            ("any", Live::Any, -2000),
            ("live", Live::Live, -1000),
            ("recorded", Live::Recorded, 0),
            ("-1", Live::Live, -1000),
        ] {
            let read = set("rtmp_live", text).unwrap().live;
            assert_eq!((read, read.start()), (live, start), "{text}");
        }
        let error = OptionError::Refused {
            option: "rtmp_live",
            refusal: set("rtmp_live", "maybe").unwrap_err(),
        };
        assert_eq!(error.to_string(), "rtmp_live takes one of any, live, recorded");
        assert!(set("listen", "1").unwrap().listen);
        assert!(set("rtmp_listen", "1").unwrap().listen);
        assert!(set("tcp_nodelay", "1").unwrap().no_delay);
        assert!(set("listen", "yes").is_err());
        let timeout = set("timeout", "20").unwrap();
        assert_eq!((timeout.listen, timeout.listen_s), (true, Some(20)));
        let timeout = set("timeout", "-1").unwrap();
        assert_eq!((timeout.listen, timeout.listen_s), (false, None));
    }

    #[test]
    fn numbers_and_texts_are_bounded() {
        for (name, max) in [
            ("rtmp_buffer", limits::CLIENT_BUFFER_MS_MAX),
            ("rtmp_flush_interval", limits::CLIENT_FLUSH_PACKETS_MAX),
            ("rtmp_swfsize", limits::CLIENT_SWF_BYTES_MAX),
            ("timeout", limits::CLIENT_LISTEN_S_MAX),
        ] {
            let (most, more) = (max.to_string(), (max + 1).to_string());
            assert_eq!(ClientOptions::new().set(name, &most), Ok(()), "{name}");
            for text in [&more, "", "-2", "+1", "1.5", "x", "99999999999999999999"] {
                let error = ClientOptions::new().set(name, text).unwrap_err();
                let is_number = matches!(
                    error,
                    OptionError::Refused { refusal: Refusal::Number { max: m, .. }, .. }
                        if m == i64::from(max)
                );
                assert!(is_number, "{name} {text}");
            }
        }
        let max = limits::CLIENT_OPTION_BYTES_MAX;
        let long = "x".repeat(max + 1);
        let mut options = ClientOptions::new();
        assert_eq!(options.set("rtmp_app", &long[1..]), Ok(()));
        let refusal = Refusal::TooLong { len: max + 1, max };
        let error = OptionError::Refused { option: "rtmp_app", refusal };
        assert_eq!(options.set("rtmp_app", &long), Err(error));
        assert_eq!(options.app, Some(&long[1..]));
        assert_eq!(set("rtmp_playpath", "a\n").unwrap_err(), Refusal::Control { at: 1 });
    }

    #[test]
    fn hash_is_sixty_four_digits() {
        let text = "00ffAb0000000000000000000000000000000000000000000000000000000001";
        let hash = set("rtmp_swfhash", text).unwrap().swf_hash.unwrap();
        assert_eq!((hash[..4].to_vec(), hash[31]), (vec![0, 0xff, 0xab, 0], 1));
        for text in ["", &text[1..], "é0", &text.replace('b', "g"), &format!("{text}00")] {
            let text = text.to_owned().leak();
            assert_eq!(set("rtmp_swfhash", text).unwrap_err(), Refusal::Hash, "{text}");
        }
    }

    #[test]
    fn codecs_are_four_characters_each() {
        let codecs = set("rtmp_enhanced_codecs", "hvc1,av01,*,.mp3").unwrap().codecs;
        assert_eq!(codecs.iter().collect::<Vec<_>>(), ["hvc1", "av01", "*", ".mp3"]);
        assert_eq!(set("rtmp_enhanced_codecs", "").unwrap().codecs.iter().count(), 0);
        let max = limits::CLIENT_CODECS_MAX;
        for text in ["hevc1", "hvc1,", "hvc1, av01", ",", "hé1"] {
            assert_eq!(set("rtmp_enhanced_codecs", text).unwrap_err(), Refusal::Codecs { max });
        }
        let many = |n| vec!["hvc1"; n].join(",");
        assert_eq!(ClientOptions::new().set("rtmp_enhanced_codecs", &many(max)), Ok(()));
        assert!(ClientOptions::new().set("rtmp_enhanced_codecs", &many(max + 1)).is_err());
    }

    #[test]
    fn items_of_conn_are_named() {
        let refusal = set("rtmp_conn", "S:a N:x").unwrap_err();
        assert_eq!(refusal, Refusal::Item(ItemError { item: 2, fault: ItemFault::Number }));
        let error = OptionError::Refused { option: "rtmp_conn", refusal };
        assert_eq!(error.to_string(), "rtmp_conn item 2 needs a number");
    }

    proptest! {
        #[test]
        fn setting_any_text_never_panics(text in ".{0,80}") {
            for option in TABLE {
                let _ = ClientOptions::new().set(option.name, &text);
            }
        }
    }
}

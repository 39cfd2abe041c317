//! THE table of settings, and the checked configuration that comes out of it.
//!
//! Everything that shows or takes a setting is drawn from `TABLE`: the settings file, `--set`,
//! `--help`, the README's table, forms. A setting is added here, in one place, and nowhere else.
//! A `Draft` takes texts one at a time, each checked by its kind; `Draft::check` looks at the
//! whole and gives the `Config` that the program runs on. Reads no file and knows no TOML:
//! `document` does.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use log::LevelFilter;

use super::group::{self, GroupConfig, GroupError};
pub use super::markdown::markdown_table;
use super::networks::Networks;
use super::relay::{self, RelayConfig, RelayError};
use super::rights::{self, Rights, RightsError};
use super::sizes;
use super::value::{Encryption, Kind, Refusal, Seen, Size, Value};
use crate::limits;

/// Writes the table once: doc comment (also the help), field, type, key, kind, default, when a
/// change applies.
macro_rules! settings {
    ($($(#[doc = $help:literal])+
       $field:ident: $type:ty = $key:literal, $variant:ident $({ $($bound:tt)* })?,
       $default:expr, $applies:ident;)*) => {
        /// A configuration in which every value is within its bounds and all of them together
        /// make sense. Comes from `Draft::check` only.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Config {
            $($(#[doc = $help])+ pub $field: $type,)*
            /// Sections of upstreams.
            pub relays: Vec<RelayConfig>,
            /// Sections of streams and users.
            pub rights: Rights,
            /// Sections of streams that are offered side by side.
            pub groups: Vec<GroupConfig>,
        }

        impl Config {
            fn defaults() -> Self {
                let (relays, rights, groups) = (Vec::new(), Rights::default(), Vec::new());
                Self { $($field: $default,)* relays, rights, groups }
            }
        }

        /// All settings, in the order they are shown.
        pub const TABLE: &[Setting] = &[$(Setting {
            key: $key,
            kind: Kind::$variant $({ $($bound)* })?,
            help: &[$($help),+],
            applies: Applies::$applies,
            get: |config| Value::$variant(config.$field.clone()),
            put: |config, value| {
                if let Value::$variant(value) = value {
                    config.$field = value;
                }
            },
        },)*];
    };
}

settings! {
    /// Address and port on which cameras publish by RTMP.
    rtmp_listen: SocketAddr = "rtmp.listen", Address,
        any_address(1935), Restart;
    /// From where publishers may come; private is this device and local networks.
    rtmp_publish_from: Networks = "rtmp.publish_from", Networks,
        Networks::private(), Restart;
    /// From where RTMP players may come.
    rtmp_play_from: Networks = "rtmp.play_from", Networks,
        Networks::private(), Restart;
    /// How long an RTMP player waits for a stream that is not there; 0 refuses it at once.
    rtmp_play_wait_s: u32 = "rtmp.play_wait_s",
        Number { min: 0, max: limits::PLAY_WAIT_S_MAX, unit: "s" },
        10, Restart;
    /// Whether RTMPE is answered: obscurity, no security, for old players; use RTMPS.
    rtmp_encryption: bool = "rtmp.encryption", Flag,
        false, Restart;
    /// Address and port on which cameras publish by RTMP within TLS, such as 0.0.0.0:443, or off.
    rtmps_listen: Option<SocketAddr> = "rtmps.listen", Port,
        None, Restart;
    /// Certificates in PEM, the box's own first; none shows one that the box makes for itself.
    tls_certificate: Option<PathBuf> = "tls.certificate", File,
        None, Restart;
    /// Key of the certificate, in PEM.
    tls_key: Option<PathBuf> = "tls.key", File,
        None, Restart;
    /// Folder in which the box keeps the certificate that it makes for itself.
    tls_dir: PathBuf = "tls.dir", Folder,
        PathBuf::from("/var/lib/rillcast"), Restart;
    /// Address and port on which players and browsers are answered.
    http_listen: SocketAddr = "http.listen", Address,
        any_address(8080), Restart;
    /// Whether RTMP may also come in HTTP requests (RTMPT), on the ports of HTTP and RTMPS.
    rtmpt_enabled: bool = "rtmpt.enabled", Flag,
        true, Restart;
    /// Video track that HLS takes of an encoder that sends several.
    media_video_track: Option<u8> = "media.video_track", Track,
        None, Restart;
    /// Audio track that HLS takes of an encoder that sends several.
    media_audio_track: Option<u8> = "media.audio_track", Track,
        None, Restart;
    /// Whether audio that stops goes on as silence: a browser would wait for it for good.
    media_fill_silence: bool = "media.fill_silence", Flag,
        true, Restart;
    /// Folder of the segments; belongs on a tmpfs, so that no flash is worn.
    hls_dir: PathBuf = "hls.dir", Folder,
        PathBuf::from("/dev/shm/rillcast"), Restart;
    /// Wanted segment duration: the cut is at the first keyframe at or after it.
    hls_segment_ms: u32 = "hls.segment_ms",
        Number { min: limits::SEGMENT_MS_MIN, max: limits::SEGMENT_MS_MAX, unit: "ms" },
        2000, Restart;
    /// Promised longest segment; 0 settles it from the first keyframe distances.
    hls_target_duration_s: u32 = "hls.target_duration_s",
        Number { min: 0, max: limits::TARGET_DURATION_S_MAX, unit: "s" },
        0, Restart;
    /// Segments that a playlist lists.
    hls_window_segments: u32 = "hls.window_segments",
        Number { min: limits::WINDOW_SEGMENTS_MIN, max: limits::WINDOW_SEGMENTS_MAX, unit: "" },
        6, Restart;
    /// Whether a playlist slides (live), or grows until its end (event).
    hls_kind: &'static str = "hls.kind", Word { of: &["live", "event"] },
        "live", Restart;
    /// How far back a live playlist reaches; 0 is `hls.window_segments`.
    hls_dvr_minutes: u32 = "hls.dvr_minutes",
        Number { min: 0, max: limits::DVR_MINUTES_MAX, unit: "min" },
        0, Restart;
    /// How long an event may last; it ends there, or where `hls.tmpfs_mib` is full.
    hls_event_minutes: u32 = "hls.event_minutes",
        Number { min: 1, max: limits::DVR_MINUTES_MAX, unit: "min" },
        240, Restart;
    /// Most that the segments of all streams may take; 0 is what live windows of full slots take.
    hls_tmpfs_mib: u32 = "hls.tmpfs_mib",
        Number { min: 0, max: limits::TMPFS_MIB_MAX, unit: "MiB" },
        0, Restart;
    /// What becomes of a playlist whose camera is away: it waits, shows a slate, or ends.
    hls_away: &'static str = "hls.away", Word { of: &["wait", "slate", "end"] },
        "wait", Restart;
    /// How long a camera may be away before its playlist ends, with `hls.away` end.
    hls_away_end_s: u32 = "hls.away_end_s",
        Number { min: 0, max: limits::AWAY_END_S_MAX, unit: "s" },
        30, Restart;
    /// Whether segments from a second on are dated, while the kernel says the clock is right.
    hls_dates: bool = "hls.dates", Flag,
        true, Restart;
    /// Whether segments hold cue points and texts as timed ID3 metadata.
    hls_id3: bool = "hls.id3", Flag,
        false, Restart;
    /// Seconds before the live end where players are told to start, 3 targets at least; 0: nothing.
    hls_start_offset_s: u32 = "hls.start_offset_s",
        Number { min: 0, max: limits::START_OFFSET_S_MAX, unit: "s" },
        0, Restart;
    /// Whether playlists say that each segment can be decoded alone, as long as it is so.
    hls_independent_segments: bool = "hls.independent_segments", Flag,
        true, Restart;
    /// Whether the segments of a stream without video are plain audio files, not MPEG-TS.
    hls_packed_audio: bool = "hls.packed_audio", Flag,
        false, Restart;
    /// Encryption of segments; their keys go by HTTP, with `segment` they lie beside its playlist.
    hls_encryption: Encryption = "hls.encryption", Encryption,
        Encryption::Off, Restart;
    /// Segments after which the key changes; 0 is never while the program runs.
    hls_key_segments: u32 = "hls.key_segments",
        Number { min: 0, max: limits::KEY_SEGMENTS_MAX, unit: "" },
        60, Restart;
    /// From where keys of segments may be fetched; a stream's `play_key` is asked for as well.
    hls_keys_from: Networks = "hls.keys_from", Networks,
        Networks::private(), Restart;
    /// Streams on the air at once.
    limits_streams: u32 = "limits.streams",
        Number { min: 1, max: limits::STREAMS_MAX, unit: "" },
        4, Restart;
    /// RTMP connections that publish, or have not said yet what they want, at once.
    limits_publishers: u32 = "limits.publishers",
        Number { min: 1, max: limits::PUBLISHERS_MAX, unit: "" },
        8, Restart;
    /// RTMP connections that play at once.
    limits_players: u32 = "limits.players",
        Number { min: 0, max: limits::PLAYERS_MAX, unit: "" },
        64, Restart;
    /// RTMP connections from one address at once; from this device there may be more.
    limits_connections_per_address: u32 = "limits.connections_per_address",
        Number { min: 1, max: limits::CONNECTIONS_PER_ADDRESS_MAX, unit: "" },
        32, Restart;
    /// RTMP connections in HTTP requests at once, where `rtmpt.enabled`.
    limits_tunnels: u32 = "limits.tunnels",
        Number { min: 1, max: limits::TUNNELS_MAX, unit: "" },
        4, Restart;
    /// Connections within TLS at once, where `rtmps.listen` is a port.
    limits_tls: u32 = "limits.tls",
        Number { min: 1, max: limits::TLS_PLACES_MAX, unit: "" },
        16, Restart;
    /// HTTP connections at once.
    limits_viewers: u32 = "limits.viewers",
        Number { min: 1, max: limits::VIEWERS_MAX, unit: "" },
        256, Restart;
    /// Memory of one stream for its recent messages; no keyframe may exceed half.
    limits_ring_bytes: u32 = "limits.ring_bytes",
        Bytes { min: limits::RING_BYTES_MIN, max: limits::RING_BYTES_MAX },
        4 << 20, Restart;
    /// Room of one segment; a segment that fills it is cut early.
    limits_slot_bytes: u32 = "limits.slot_bytes",
        Bytes { min: limits::SLOT_BYTES_MIN, max: limits::SLOT_BYTES_MAX },
        3 << 20, Restart;
    /// Folder in which the numbers of playlists are kept, so that they go on after a reboot.
    state_dir: PathBuf = "state.dir", Folder,
        PathBuf::from("/var/lib/rillcast"), Restart;
    /// How much is logged on standard error.
    log_level: LevelFilter = "log.level", Level,
        LevelFilter::Info, Live;
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name with its group: `hls.segment_ms`.
    pub key: &'static str,
    /// What texts it takes.
    pub kind: Kind,
    /// When a change takes effect.
    pub applies: Applies,
    help: &'static [&'static str],
    get: fn(&Config) -> Value,
    put: fn(&mut Config, Value),
}

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At once, in the running program.
    Live,
    /// When the program starts again.
    Restart,
}

impl Setting {
    /// The row with this key, if there is one.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        TABLE.iter().find(|setting| setting.key == key)
    }

    /// What it is for, one sentence.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.first().map_or("", |line| line.trim())
    }

    /// Its value in `config`.
    #[must_use]
    pub fn value(&self, config: &Config) -> Value {
        (self.get)(config)
    }

    /// Its value when nothing is set.
    #[must_use]
    pub fn default_value(&self) -> Value {
        (self.get)(&Config::defaults())
    }

    /// The value that `text` means for it.
    ///
    /// # Errors
    /// `SettingError::Refused`.
    pub fn parse(&'static self, text: &str) -> Result<Value, SettingError> {
        self.kind.parse(text).map_err(|refusal| SettingError::Refused {
            setting: self,
            seen: Seen::new(text.trim()),
            refusal,
        })
    }
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Restart => "at restart",
        })
    }
}

/// Settings that are each right by themselves; `check` says whether they are together.
#[derive(Clone, Debug)]
pub struct Draft(Config);

impl Draft {
    /// Every setting at its default.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default here is the table's, not zero")]
    pub fn new() -> Self {
        Self(Config::defaults())
    }

    /// Sets one setting from text; the last one set wins.
    ///
    /// # Errors
    /// The key is unknown, or its kind does not take the text.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), SettingError> {
        if relay::is_relay(key) {
            return Ok(relay::set(&mut self.0.relays, key, text)?);
        }
        if rights::is_right(key) {
            return Ok(self.0.rights.set(key, text)?);
        }
        if group::is_group(key) {
            return Ok(group::set(&mut self.0.groups, key, text)?);
        }
        let setting = Setting::find(key).ok_or_else(|| SettingError::unknown(key))?;
        let value = setting.parse(text)?;
        (setting.put)(&mut self.0, value);
        Ok(())
    }

    /// Sets one setting from `KEY=VALUE`.
    ///
    /// # Errors
    /// As `set`, and when there is no `=`.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), SettingError> {
        let Some((key, text)) = pair.split_once('=') else {
            let seen = Seen::new(pair);
            return Err(SettingError::NoValue { seen });
        };
        self.set(key.trim(), text)
    }

    /// Looks at the settings together.
    ///
    /// # Errors
    /// Two of them contradict each other, or all of them ask for too much memory.
    pub fn check(self) -> Result<Config, SettingError> {
        let config = self.0;
        check_addresses(&config)?;
        check_durations(&config)?;
        check_memory(&config)?;
        sizes::check(&config)?;
        relay::check(&config.relays)?;
        config.rights.check()?;
        group::check(&config.groups, config.limits_streams)?;
        Ok(config)
    }
}

/// Why a setting or the settings together cannot be used. Each names the setting, what was seen,
/// what is allowed and the cure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettingError {
    /// Malformed: a `KEY=VALUE` without its `=`.
    #[error("{seen} has no value: write it like hls.segment_ms=2000")]
    NoValue {
        /// What was given.
        seen: Seen,
    },
    /// Malformed or out of bounds: the setting's kind does not take the text.
    #[error(
        "{} is {seen}: allowed is {}; {}",
        setting.key, setting.kind, setting.kind.cure(*refusal, &setting.default_value())
    )]
    Refused {
        /// The setting.
        setting: &'static Setting,
        /// The text.
        seen: Seen,
        /// Which side of the bounds it is on.
        refusal: Refusal,
    },
    /// Unsupported: no setting has this name.
    #[error("unknown setting {seen}: did you mean {nearest}?")]
    Misspelt {
        /// The name.
        seen: Seen,
        /// The known name that is nearest to it.
        nearest: &'static str,
    },
    /// Unsupported: no setting has a name like this.
    #[error("unknown setting {seen}: `rillcast --help` lists all of them")]
    Unknown {
        /// The name.
        seen: Seen,
    },
    /// A section of an upstream.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// A section of a stream or user.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// A section of streams side by side.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Misbehaved: two services on one port.
    #[error(
        "rtmp.listen is {rtmp} and http.listen is {http}: two services cannot share a port; \
         change one of them"
    )]
    SamePort {
        /// `rtmp.listen`.
        rtmp: SocketAddr,
        /// `http.listen`.
        http: SocketAddr,
    },
    /// Misbehaved: the promised longest segment is shorter than the wanted one.
    #[error(
        "hls.target_duration_s is {target_s}: hls.segment_ms {segment_ms} is longer than that; \
         set it to {need} or more, or to 0"
    )]
    TargetTooShort {
        /// `hls.target_duration_s`.
        target_s: u32,
        /// `hls.segment_ms`.
        segment_ms: u32,
        /// Least target duration that fits.
        need: u32,
    },
    /// Misbehaved: no allowed window could hold three target durations (RFC 8216 §6.2.2).
    #[error(
        "hls.target_duration_s is {target_s}: the longest window of {segment_ms} ms segments \
         is under 3 times that; set it to {most} or less, or to 0"
    )]
    TargetTooLong {
        /// `hls.target_duration_s`.
        target_s: u32,
        /// `hls.segment_ms`.
        segment_ms: u32,
        /// Largest target duration that fits.
        most: u32,
    },
    /// Misbehaved: the window does not hold three target durations (RFC 8216 §6.2.2).
    #[error(
        "hls.window_segments is {window}: {window} segments of {segment_ms} ms are under 3 \
         target durations of {target_s} s; set it to {need} or more"
    )]
    WindowTooShort {
        /// `hls.window_segments`.
        window: u32,
        /// `hls.segment_ms`.
        segment_ms: u32,
        /// `hls.target_duration_s`, or the least it can settle at.
        target_s: u32,
        /// Least window that fits.
        need: u32,
    },
    /// Exhausted: what is kept of streams, or room for it.
    #[error(transparent)]
    Budget(#[from] sizes::SizesError),
    /// Misbehaved: players would start where the end may overtake them (RFC 8216 §4.3.5.2).
    #[error(
        "hls.start_offset_s is {offset_s}: that is under 3 target durations of {target_s} s; set \
         it to {} or more, or to 0", 3 * target_s
    )]
    StartTooLate {
        /// `hls.start_offset_s`.
        offset_s: u32,
        /// `hls.target_duration_s`, or the least it can settle at.
        target_s: u32,
    },
    /// Exhausted: rings and slots together are more than the process can hold.
    #[error(
        "limits.streams is {streams}: their rings and slots take {}, allowed is {}; lower it, \
         limits.ring_bytes, limits.slot_bytes or hls.window_segments",
        Size(*bytes), Size(limits::MEDIA_BYTES_MAX)
    )]
    TooMuchMemory {
        /// `limits.streams`.
        streams: u32,
        /// Bytes of rings and slots.
        bytes: u64,
    },
}

impl SettingError {
    /// The error for a key that is not in the table.
    pub(crate) fn unknown(key: &str) -> Self {
        let seen = Seen::new(key);
        match nearest(key) {
            Some(nearest) => Self::Misspelt { seen, nearest },
            None => Self::Unknown { seen },
        }
    }
}

/// Rows of the settings that stand in sections: key, allowed, default, what it is.
pub fn sections() -> impl Iterator<Item = &'static [&'static str; 4]> {
    relay::TABLE.iter().chain(rights::TABLE).chain(group::TABLE)
}

/// The known key nearest to `key`, if any is near enough to be meant.
fn nearest(key: &str) -> Option<&'static str> {
    let meant = |setting: &&Setting| {
        let name = setting.key.split_once('.').map_or("", |(_, name)| name);
        name == key
    };
    if let Some(setting) = TABLE.iter().find(meant) {
        return Some(setting.key);
    }
    TABLE
        .iter()
        .map(|setting| (distance(key, setting.key), setting.key))
        .min()
        // A third of the letters wrong is a typing mistake; more is another word.
        .filter(|&(distance, known)| distance * 3 <= known.len())
        .map(|(_, known)| known)
}

/// Letters to insert, drop or change to make one key of the other. A key longer than any that is
/// known is as far away as it is long.
fn distance(key: &str, known: &str) -> usize {
    const COLUMNS: usize = limits::SEEN_CHARS_MAX;
    if key.len() > COLUMNS {
        return key.len();
    }
    let mut row: heapless::Vec<usize, { COLUMNS + 1 }> = (0..=key.len()).collect();
    for (i, a) in known.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = heapless::Vec::new();
        for (b, &up) in key.bytes().zip(row.iter().skip(1)) {
            next.extend([left]);
            let change = diagonal + usize::from(a != b);
            diagonal = up;
            left = change.min(up + 1).min(left + 1);
        }
        next.extend([left]);
        row = next;
    }
    row.last().copied().unwrap_or(known.len())
}

const fn any_address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn check_addresses(config: &Config) -> Result<(), SettingError> {
    let (rtmp, http) = (config.rtmp_listen, config.http_listen);
    let any = rtmp.ip().is_unspecified() || http.ip().is_unspecified();
    let same_ip = any || rtmp.ip() == http.ip();
    if rtmp.port() != 0 && rtmp.port() == http.port() && same_ip {
        return Err(SettingError::SamePort { rtmp, http });
    }
    Ok(())
}

fn check_durations(config: &Config) -> Result<(), SettingError> {
    let segment_ms = config.hls_segment_ms;
    let window = config.hls_window_segments;
    // RFC 8216 §4.3.3.1: a duration rounded to the nearest second is at most the target.
    let least_s = ((segment_ms + 500) / 1000).max(1);
    let target_s = match config.hls_target_duration_s {
        0 => least_s,
        target_s => target_s,
    };
    if target_s < least_s {
        return Err(SettingError::TargetTooShort { target_s, segment_ms, need: least_s });
    }
    let need = (3000 * target_s).div_ceil(segment_ms);
    if need > limits::WINDOW_SEGMENTS_MAX {
        return Err(SettingError::TargetTooLong {
            target_s,
            segment_ms,
            most: limits::WINDOW_SEGMENTS_MAX * segment_ms / 3000,
        });
    }
    if window < need {
        return Err(SettingError::WindowTooShort { window, segment_ms, target_s, need });
    }
    let offset_s = config.hls_start_offset_s;
    if offset_s > 0 && offset_s < 3 * target_s {
        return Err(SettingError::StartTooLate { offset_s, target_s });
    }
    Ok(())
}

fn check_memory(config: &Config) -> Result<(), SettingError> {
    let bytes = config.rings_bytes() + config.slots_bytes();
    if bytes > limits::MEDIA_BYTES_MAX {
        return Err(SettingError::TooMuchMemory { streams: config.limits_streams, bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[&str]) -> Result<Config, String> {
        let mut draft = Draft::new();
        for pair in pairs {
            draft.set_pair(pair).map_err(|e| e.to_string())?;
        }
        draft.check().map_err(|e| e.to_string())
    }

    #[test]
    fn r34_r35_slots_hold_three_target_durations_and_as_many_again() {
        for (settings, listed) in [
            (["hls.segment_ms=2000", "hls.window_segments=6", "hls.target_duration_s=0"], 6),
            (["hls.segment_ms=2000", "hls.window_segments=9", "hls.target_duration_s=0"], 9),
            // A first segment of 1.43 s makes a target of two.
            (["hls.segment_ms=1000", "hls.window_segments=4", "hls.target_duration_s=0"], 7),
            (["hls.segment_ms=1000", "hls.window_segments=9", "hls.target_duration_s=3"], 10),
            (["hls.segment_ms=500", "hls.window_segments=60", "hls.target_duration_s=10"], 60),
        ] {
            let slots = config(&settings).unwrap().slots_per_stream();
            assert_eq!(slots, 2 * listed + 1 + limits::SLOTS_SPARE, "{settings:?}");
        }
    }

    #[test]
    fn defaults_pass_their_own_checks() {
        let config = config(&[]).unwrap();
        assert_eq!(config.rtmp_listen.to_string(), "0.0.0.0:1935");
        assert_eq!(config.hls_segment_ms, 2000);
        assert_eq!(config.slots_per_stream(), 2 * 6 + 1 + limits::SLOTS_SPARE);
        assert_eq!(config.slots_bytes(), 4 * 15 * (3 << 20));
        for setting in TABLE {
            let default = setting.default_value();
            assert_eq!(setting.parse(&default.to_string()).unwrap(), default);
        }
    }

    #[test]
    fn every_row_sets_its_own_field_and_no_other() {
        for setting in TABLE {
            let other = match setting.kind {
                Kind::Address => "127.0.0.1:7".to_owned(),
                Kind::Port => "127.0.0.1:8".to_owned(),
                Kind::File => "/run/other.pem".to_owned(),
                Kind::Folder => "/run/other".to_owned(),
                Kind::Number { max, .. } | Kind::Bytes { max, .. } => max.to_string(),
                Kind::Level => "trace".to_owned(),
                Kind::Flag => (setting.default_value().to_string() == "false").to_string(),
                Kind::Networks => "any".to_owned(),
                Kind::Track => "2".to_owned(),
                Kind::Encryption => "sample-aes".to_owned(),
                Kind::Word { of } => of[1].to_owned(),
            };
            let mut draft = Draft::new();
            draft.set(setting.key, &other).unwrap();
            for row in TABLE {
                let changed = row.value(&draft.0) != row.default_value();
                assert_eq!(changed, row.key == setting.key, "{other} {}", row.key);
            }
        }
    }

    #[test]
    fn numbers_are_taken_up_to_their_bounds_and_no_further() {
        for (key, min, max) in [
            ("hls.segment_ms", limits::SEGMENT_MS_MIN, limits::SEGMENT_MS_MAX),
            ("hls.target_duration_s", 0, limits::TARGET_DURATION_S_MAX),
            ("hls.window_segments", limits::WINDOW_SEGMENTS_MIN, limits::WINDOW_SEGMENTS_MAX),
            ("hls.dvr_minutes", 0, limits::DVR_MINUTES_MAX),
            ("hls.event_minutes", 1, limits::DVR_MINUTES_MAX),
            ("hls.tmpfs_mib", 0, limits::TMPFS_MIB_MAX),
            ("hls.away_end_s", 0, limits::AWAY_END_S_MAX),
            ("hls.start_offset_s", 0, limits::START_OFFSET_S_MAX),
            ("hls.key_segments", 0, limits::KEY_SEGMENTS_MAX),
            ("limits.streams", 1, limits::STREAMS_MAX),
            ("limits.publishers", 1, limits::PUBLISHERS_MAX),
            ("limits.players", 0, limits::PLAYERS_MAX),
            ("limits.connections_per_address", 1, limits::CONNECTIONS_PER_ADDRESS_MAX),
            ("rtmp.play_wait_s", 0, limits::PLAY_WAIT_S_MAX),
            ("limits.viewers", 1, limits::VIEWERS_MAX),
            ("limits.ring_bytes", limits::RING_BYTES_MIN, limits::RING_BYTES_MAX),
            ("limits.slot_bytes", limits::SLOT_BYTES_MIN, limits::SLOT_BYTES_MAX),
        ] {
            let taken = |value: i64| Draft::new().set(key, &value.to_string()).is_ok();
            let (min, max) = (i64::from(min), i64::from(max));
            assert!(taken(min) && taken(max), "{key}");
            assert!(!taken(min - 1) && !taken(max + 1), "{key}");
        }
    }

    #[test]
    fn start_is_three_targets_before_the_live_end_or_not_said() {
        for (pairs, line) in [
            (&["hls.start_offset_s=6"][..], None),
            (&["hls.start_offset_s=5"], Some("under 3 target durations of 2 s; set it to 6 or")),
            (
                &["hls.start_offset_s=11", "hls.target_duration_s=4"],
                Some("under 3 target durations of 4 s; set it to 12 or more, or to 0"),
            ),
        ] {
            let error = config(pairs).err();
            assert_eq!(error.is_some(), line.is_some(), "{error:?}");
            assert!(error.is_none_or(|error| error.contains(line.unwrap())), "{pairs:?}");
        }
    }

    #[test]
    fn table_is_well_kept() {
        for (i, setting) in TABLE.iter().enumerate() {
            let (group, name) = setting.key.split_once('.').unwrap();
            assert!(!group.is_empty() && !name.is_empty());
            assert!(setting.key.len() <= limits::SEEN_CHARS_MAX);
            assert!(!setting.help().contains('|'));
            assert!(setting.help().ends_with('.'), "{}", setting.key);
            assert_eq!(setting.help.len(), 1, "{}", setting.key);
            assert!(TABLE.iter().skip(i + 1).all(|row| row.key != setting.key));
        }
    }

    #[test]
    fn errors_name_setting_value_bounds_and_cure() {
        for (pair, line) in [
            (
                "hls.segment_ms=100",
                "hls.segment_ms is \"100\": allowed is 500 to 20000 ms; set it to 500 or more",
            ),
            (
                "limits.ring_bytes=1GiB",
                "limits.ring_bytes is \"1GiB\": allowed is 256KiB to 64MiB; \
                 set it to 64MiB or less",
            ),
            (
                "limits.viewers=many",
                "limits.viewers is \"many\": allowed is 1 to 4096; write it like 256",
            ),
            (
                "rtmp.listen=1935",
                "rtmp.listen is \"1935\": allowed is address:port; write it like 0.0.0.0:1935",
            ),
            (
                "log.level=loud",
                "log.level is \"loud\": allowed is off, error, warn, info, debug, trace; \
                 write it like info",
            ),
            ("hls.dir", "\"hls.dir\" has no value: write it like hls.segment_ms=2000"),
        ] {
            assert_eq!(config(&[pair]).unwrap_err(), line);
        }
    }

    #[test]
    fn unknown_setting_suggests_the_nearest() {
        for (key, meant) in [
            ("hls.segmnt_ms", Some("hls.segment_ms")),
            ("hls.segments_ms", Some("hls.segment_ms")),
            ("segment_ms", Some("hls.segment_ms")),
            ("rtmp.port", None),
            ("http_listen", Some("http.listen")),
            ("limit.viewer", Some("limits.viewers")),
            ("", None),
            ("zebra", None),
        ] {
            assert_eq!(nearest(key), meant, "{key}");
        }
        assert_eq!(nearest(&"h".repeat(100_000)), None);
        let line = config(&["hls.segmnt_ms=1"]).unwrap_err();
        assert_eq!(line, "unknown setting \"hls.segmnt_ms\": did you mean hls.segment_ms?");
    }

    #[test]
    fn distance_counts_letters() {
        for (a, b, letters) in
            [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("abcdef", "bcdef", 1)]
        {
            assert_eq!(distance(a, b), letters, "{a} {b}");
            assert_eq!(distance(b, a), letters, "{b} {a}");
        }
    }

    #[test]
    fn window_holds_three_target_durations() {
        assert!(config(&["hls.segment_ms=2000", "hls.window_segments=3"]).is_ok());
        assert_eq!(
            config(&["hls.segment_ms=1500", "hls.window_segments=3"]).unwrap_err(),
            "hls.window_segments is 3: 3 segments of 1500 ms are under 3 target durations \
             of 2 s; set it to 4 or more"
        );
        assert!(config(&["hls.segment_ms=1500", "hls.window_segments=4"]).is_ok());
        assert!(config(&["hls.target_duration_s=4"]).is_ok());
        assert!(config(&["hls.target_duration_s=5"]).is_err());
        let line = config(&["hls.segment_ms=500", "hls.target_duration_s=30"]).unwrap_err();
        assert!(line.ends_with("set it to 10 or less, or to 0"), "{line}");
        let most = ["hls.segment_ms=500", "hls.target_duration_s=10", "hls.window_segments=60"];
        assert!(config(&most).is_ok());
    }

    #[test]
    fn target_duration_covers_the_wanted_segment() {
        let line = config(&["hls.target_duration_s=1"]).unwrap_err();
        assert!(line.contains("set it to 2 or more, or to 0"), "{line}");
        assert!(config(&["hls.target_duration_s=2"]).is_ok());
    }

    #[test]
    fn services_do_not_share_a_port() {
        assert!(config(&["http.listen=127.0.0.1:1935"]).is_err());
        assert!(config(&["http.listen=0.0.0.0:0", "rtmp.listen=0.0.0.0:0"]).is_ok());
        let apart = ["http.listen=127.0.0.1:80", "rtmp.listen=127.0.0.2:80"];
        assert!(config(&apart).is_ok());
    }

    #[test]
    fn memory_of_all_streams_is_bounded() {
        let most = [
            "limits.streams=32",
            "limits.slot_bytes=64MiB",
            "limits.ring_bytes=64MiB",
            "hls.window_segments=60",
        ];
        let line = config(&most).unwrap_err();
        let start = "limits.streams is 32: their rings and slots take 248GiB, allowed is";
        assert!(line.starts_with(start), "{line}");
    }

    #[test]
    fn memory_of_all_streams_is_taken_up_to_its_bound() {
        // A ring and 31 slots at their largest are 2 GiB a stream.
        let window = |segments: u32| {
            let streams = limits::MEDIA_BYTES_MAX >> 31;
            config(&[
                &format!("limits.streams={streams}"),
                &format!("limits.slot_bytes={}", limits::SLOT_BYTES_MAX),
                &format!("limits.ring_bytes={}", limits::RING_BYTES_MAX),
                &format!("hls.window_segments={segments}"),
            ])
        };
        let most = window(14).unwrap();
        assert_eq!(most.rings_bytes() + most.slots_bytes(), limits::MEDIA_BYTES_MAX);
        assert!(window(15).is_err());
    }

    #[test]
    fn markdown_table_has_a_row_for_each_setting() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), 2 + TABLE.len() + sections().count());
        let row = "| `limits.slot_bytes` | `3MiB` | 256KiB to 64MiB | at restart | \
                   Room of one segment; a segment that fills it is cut early. |";
        assert!(table.lines().any(|line| line == row), "{table}");
    }
}

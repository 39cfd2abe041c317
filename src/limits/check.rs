//! Bounds of the history checker, which runs alone.

use crate::time::Ticks;
use core::time::Duration;

/// Findings that a history keeps, each once; further ones are counted. A page of them is enough.
pub const HISTORY_FINDINGS_MAX: usize = 256;

/// Bytes of the address in a finding: its end, which tells segments apart.
pub const HISTORY_PLACE_BYTES_MAX: usize = 256;

/// Media playlists of one presentation that are followed at once.
pub const HISTORY_PLAYLISTS_MAX: usize = 16;

/// Segments of one version that are looked at: 18 h of 2 s.
pub const HISTORY_SEGMENTS_MAX: usize = 32_768;

/// Keys that are remembered at once: one for each segment of the longest window, and then some.
pub const HISTORY_KEYS_MAX: usize = 256;

/// Tracks of a segment that are looked at.
pub const HISTORY_TRACKS_MAX: usize = 8;

/// Packet identifiers of a segment whose counters are looked at: tables, tracks, and a few more.
pub const HISTORY_PIDS_MAX: usize = 16;

/// Bytes at the beginning of an access unit in which key frame and parameters are looked for.
pub const HISTORY_UNIT_HEAD_BYTES: usize = 4 << 10;

/// Fetches of one thing that may fail in a row: a server that is started anew is back by then.
pub const HISTORY_TRIES_MAX: u32 = 3;

/// Between two fetches where one failed, microseconds. Longer than between two of a playlist, so
/// that a server in its new life is noticed first.
pub const HISTORY_RETRY_MICROS: u64 = 600_000;
const _: () = assert!(HISTORY_RETRY_MICROS > 1000 * HISTORY_POLL_MILLIS_MAX);

/// Least time between two fetches of one playlist, milliseconds; else an eighth of its target.
pub const HISTORY_POLL_MILLIS_MIN: u64 = 100;

/// Most of the same, milliseconds.
pub const HISTORY_POLL_MILLIS_MAX: u64 = 500;

/// Between two fetches of a key that is in use.
pub const HISTORY_KEY_TIME: Duration = Duration::from_secs(10);

/// What EXTINF may be beside the content's own duration: more than any rounding and a frame, less
/// than a player's buffer would forgive for long.
pub const HISTORY_EXTINF_TICKS_OFF_MAX: Ticks = Ticks::from_millis(250);

/// A forward step of a track's time from one segment to the next beyond this is a break. A gap
/// that a camera left within one session is shorter.
pub const HISTORY_BREAK_TICKS: Ticks = Ticks::from_millis(10_500);

/// What a date may be beside another one of the same media, microseconds.
pub const HISTORY_DATE_MICROS_OFF_MAX: u64 = 100_000;

/// Comparisons in a row that find two variants apart before it is no matter of the moment.
pub const HISTORY_APART_MAX: u32 = 6;

/// Bits per second of a segment, in hundredths of BANDWIDTH, beyond which that is wrong.
pub const HISTORY_BANDWIDTH_PERCENT_MAX: u64 = 125;

/// Target durations that remain when a segment leaves a playlist (RFC 8216 §6.2.2).
pub const PLAYLIST_TARGETS_MIN: u32 = 3;

/// Bytes of the head of an answer that `check` reads; servers send a few hundred.
pub const CHECK_HEAD_BYTES_MAX: usize = 16 << 10;

/// Bytes of a body that `check` reads: the largest slot, and more than any playlist.
pub const CHECK_BODY_BYTES_MAX: usize = 64 << 20;

/// How long `check` waits for a connection; on a local network it is there at once.
pub const CHECK_CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// How long `check` waits for the next bytes of an answer.
pub const CHECK_READ_TIME_MAX: Duration = Duration::from_secs(5);

/// Seconds that `check` watches unless asked otherwise: a window and its grace with usual settings.
pub const CHECK_SECONDS_DEFAULT: u32 = 60;

/// Seconds that `check` watches at most: a week, in which every clock of a stream wraps.
pub const CHECK_SECONDS_MAX: u32 = 604_800;

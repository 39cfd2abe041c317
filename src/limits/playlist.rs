//! Bounds of long playlists, and of what their segments may take.

use super::{DATE_RANGE_BYTES_MAX, DATE_RANGES_MAX, KEY_LINE_BYTES_MAX};

/// Segments of one playlist at most, whatever its kind: nine hours of two seconds, or a day of six.
/// Each takes 1 KiB of private memory, 300 bytes in the playlist and two rows of the store, and its
/// name is looked up in one folder.
pub const PLAYLIST_ENTRIES_MAX: u32 = 16_384;

/// Segments of all streams at most, listed or kept: what a start can clear in a second.
pub const ROWS_MAX: u32 = 65_536;
const _: () = assert!(ROWS_MAX >= 2 * (2 * PLAYLIST_ENTRIES_MAX), "two streams of the longest");

/// Minutes that a playlist may reach back, or an event last: a day.
pub const DVR_MINUTES_MAX: u32 = 1_440;

/// MiB of tmpfs that segments may be given: as `MEDIA_BYTES_MAX` on 64 bits. What is not being
/// written is not mapped, so that a narrow process may have as much.
pub const TMPFS_MIB_MAX: u32 = 64 << 10;

/// Full slots that the share of one stream holds at least: three segments to list (RFC 8216
/// §6.2.2) and the one being written.
pub const SHARE_SLOTS_MIN: u32 = 4;

/// Seconds that a camera may be away before its playlist ends, at most: a day.
pub const AWAY_END_S_MAX: u32 = 86_400;

/// A segment shorter than this is a rest: it does not end a playlist that has dates, by which a
/// player takes segments within a second for one another. Where such are wanted there are no dates.
/// Microseconds.
pub const REST_US_MAX: u64 = 1_000_000;

/// Bytes of what stands in a playlist before its first segment: the head, all date ranges, a key.
pub const PLAYLIST_HEAD_BYTES_MAX: usize =
    320 + DATE_RANGES_MAX * (DATE_RANGE_BYTES_MAX + 1) + KEY_LINE_BYTES_MAX;

/// What has ended may be kept so long by players and caches: it does not change, but somebody may
/// publish under its name again. Seconds.
pub const ENDED_AGE_S: u32 = 3_600;

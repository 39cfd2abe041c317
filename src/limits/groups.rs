//! Bounds of streams that are offered side by side under one master playlist.

use super::{CODEC_LIST_BYTES_MAX, KEY_LINE_BYTES_MAX, STREAM_PATH_BYTES_MAX};
use core::time::Duration;

/// Groups of streams: with two streams each, a third of the streams that can be on the air.
pub const GROUPS_MAX: usize = 8;

/// Variants of one group. Ladders of renditions have six steps; one board makes none of them.
pub const GROUP_VARIANTS_MAX: usize = 6;

/// Audio renditions of one group: the languages of one building.
pub const GROUP_AUDIO_MAX: usize = 8;

/// Sound tracks that are taken from one stream: as many as one group has streams without pictures.
pub const GROUP_TRACKS_MAX: usize = GROUP_AUDIO_MAX + 1;

/// Streams of one group: its variants, its audio renditions, and the variant without pictures.
pub const GROUP_MEMBERS_MAX: usize = GROUP_VARIANTS_MAX + GROUP_AUDIO_MAX + 1;

/// Bytes of the name of a rendition: what a player has room for in a menu.
pub const RENDITION_NAME_BYTES_MAX: usize = 64;

/// Bytes of a language tag (RFC 5646 §4.4.1 asks for at least 35).
pub const LANGUAGE_BYTES_MAX: usize = 35;

/// What two senders' clocks may be apart on arrival and still be one: encoders look ahead for up to
/// two seconds where there are pictures, and networks hold one connection back. Milliseconds.
pub const GROUP_APART_MS_MAX: i64 = 5_000;

/// A member that has sent nothing for so long is no measure for the others.
pub const GROUP_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Places where members cut that are remembered: for members that are behind, by as many segments.
pub const GROUP_CUTS_MAX: usize = 8;

/// Discontinuities that are remembered with their place: those that some member has yet to reach.
pub const GROUP_MARKS_MAX: usize = 16;

/// Discontinuity tags in front of one segment: a member that was away while others broke off more
/// often takes several segments to come up with them.
pub const GROUP_TAGS_MAX: u8 = 3;

/// Bytes of those tags beyond the first.
#[expect(clippy::as_conversions, reason = "a u8 always fits, in a const")]
pub const GROUP_TAGS_BYTES_MAX: usize = (GROUP_TAGS_MAX as usize - 1) * 21;

/// Bytes of the master playlist of a group: for each variant two lines with two lists of names and
/// an address each, for each rendition one line, and the keys.
pub const GROUP_MASTER_BYTES_MAX: usize = 64
    + (GROUP_VARIANTS_MAX + 1) * (400 + 3 * CODEC_LIST_BYTES_MAX + 2 * GROUP_ADDRESS_BYTES_MAX)
    + GROUP_AUDIO_MAX * (160 + RENDITION_NAME_BYTES_MAX + GROUP_ADDRESS_BYTES_MAX)
    + GROUP_MEMBERS_MAX * (KEY_LINE_BYTES_MAX + GROUP_ADDRESS_BYTES_MAX);

/// Parts of the path of a group: names of applications seldom have two.
pub const GROUP_PARTS_MAX: usize = 8;

/// Bytes of the address of a member's playlist or key, seen from the group's: up and down again.
pub const GROUP_ADDRESS_BYTES_MAX: usize = 3 * GROUP_PARTS_MAX + STREAM_PATH_BYTES_MAX + 40;

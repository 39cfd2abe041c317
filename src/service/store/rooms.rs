//! The rooms that a store takes when it starts: rows and their slots, texts, playlists.
//!
//! Sizes come from the settings; nothing here is done again later. Source: RFC 8216 §6.2.2.

use crate::config::settings::Config;
use crate::limits::PLAYLIST_BYTES_MAX;
use crate::media::playlist::{Advice, Playlist, PlaylistConfig, PlaylistKind};
use crate::service::store::adopt::{self, Left, Space};
use crate::service::store::governor::PAGE_BYTES;
use crate::service::store::names::{SLOTS, SlotName};
use crate::service::store::row::Row;
use crate::service::store::stream::Stream;
use crate::service::store::text::Text;
use crate::service::store::variant::Variant;
use crate::service::store::{Store, StoreError, encryption_method};
use crate::storage::{narrow, widen};
use crate::sys::folder::Folder;
use crate::sys::slots::Slot;
use crate::time::Ticks;
use core::fmt::Write as _;
use std::path::Path;

impl Store {
    /// Private memory of one stream's playlist, in bytes.
    #[must_use]
    pub fn playlist_bytes(config: &Config) -> usize {
        let entries = narrow(config.entries_per_stream());
        Text::footprint(text_bytes(config)) + Playlist::bytes(entries) + size_of::<Option<Stream>>()
    }

    /// Private memory of one slot's row, in bytes; its pages are tmpfs.
    pub const ROW_BYTES: usize = size_of::<Row>();

    /// Private memory of the playlists beside it, in bytes.
    #[must_use]
    pub fn variant_bytes(config: &Config) -> usize {
        Variant::bytes(pictured(config))
    }
}

/// What there is room for.
pub(super) fn space(config: &Config, in_memory: bool) -> Space {
    Space {
        config: playlist_config(config),
        advice: Advice {
            start_offset_s: config.hls_start_offset_s,
            independent: config.hls_independent_segments,
        },
        streams: narrow(config.limits_streams),
        slots: narrow(config.rows_per_stream()),
        share_bytes: config.share_bytes(),
        text_bytes: text_bytes(config),
        in_memory,
    }
}

/// How playlists are kept; the first segment has the number 0.
fn playlist_config(config: &Config) -> PlaylistConfig {
    let target = config.hls_target_duration_s;
    let window = Ticks::from_millis(i64::from(config.hls_dvr_minutes) * 60_000);
    PlaylistConfig {
        segment: Ticks::from_millis(config.hls_segment_ms.into()),
        window_segments: narrow(config.hls_window_segments),
        listed_max: narrow(config.entries_per_stream()),
        kind: if config.is_event() { PlaylistKind::Event } else { PlaylistKind::Live { window } },
        target_duration_s: (target > 0).then_some(target),
        media_sequence: 0,
        discontinuity_sequence: 0,
    }
}

/// Room for a playlist's text.
fn text_bytes(config: &Config) -> usize {
    let entries = narrow(config.entries_per_stream());
    let keys = match (encryption_method(config.hls_encryption), config.hls_key_segments) {
        (None, _) => 0,
        (Some(_), 0) => 1,
        (Some(_), segments) => 1 + entries.div_ceil(narrow(segments)),
    };
    Text::scroll_bytes(entries, keys).max(PLAYLIST_BYTES_MAX)
}

/// Segments whose pictures a playlist of I-frames lists: there is none beside a long one.
pub(super) fn pictured(config: &Config) -> usize {
    if config.is_long() { 0 } else { narrow(config.entries_per_stream()) }
}

/// All rows, with the segments that go on. The slots of live windows are made, as full as these
/// leave the shares.
pub(super) fn rows(
    config: &Config,
    (root, folder): (&Path, &Folder),
    left: &[Left],
) -> Result<Box<[Row]>, StoreError> {
    let capacity = narrow(config.limits_slot_bytes);
    let rows_per_stream = narrow(config.rows_per_stream());
    let live = narrow(config.slots_per_stream());
    let streams = narrow(config.limits_streams);
    let mut rows = Vec::with_capacity(rows_per_stream * streams);
    for stream in 0..streams {
        let left = left.get(stream);
        let bytes = config.share_bytes().saturating_sub(left.map_or(0, Left::bytes));
        let slots = live - left.map_or(0, |left| left.slots(live));
        let each = bytes / widen(slots.max(1)) / PAGE_BYTES * PAGE_BYTES;
        let each = usize::try_from(each).unwrap_or(capacity).min(capacity);
        for at in 0..rows_per_stream {
            let number = rows.len();
            let error = |cause| StoreError::Slot { number, slots: live * streams, cause };
            let mut name = SlotName::new();
            let named = write!(name, "{number}");
            debug_assert!(named.is_ok());
            let closes = at >= live;
            let adopted = adopt::row(left, at, (folder, &name), (capacity, closes));
            rows.push(match adopted.map_err(error)? {
                Some(row) => row,
                None if closes => Row::new(Slot::unmade(capacity), name, closes),
                None => {
                    let path = root.join(SLOTS).join(name.as_str());
                    let slot = Slot::create_with(&path, capacity, each).map_err(error)?;
                    Row::new(slot, name, closes)
                }
            });
        }
    }
    Ok(rows.into_boxed_slice())
}

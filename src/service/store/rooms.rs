//! The rooms that a store takes when it starts: rows and their slots, texts, playlists.
//!
//! Sizes come from the settings; nothing here is done again later. Source: RFC 8216 §6.2.2.

use crate::config::settings::Config;
use crate::limits::PLAYLIST_BYTES_MAX;
use crate::media::playlist::{Playlist, PlaylistConfig, PlaylistKind};
use crate::service::store::governor::PAGE_BYTES;
use crate::service::store::names::SLOTS;
use crate::service::store::row::Row;
use crate::service::store::stream::Stream;
use crate::service::store::text::Text;
use crate::service::store::variant::Variant;
use crate::service::store::{Store, StoreError, encryption_method};
use crate::storage::{narrow, widen};
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

/// How playlists are kept; the first segment has the number 0.
pub(super) fn playlist_config(config: &Config) -> PlaylistConfig {
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
pub(super) fn text_bytes(config: &Config) -> usize {
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

/// All rows. The slots of live windows are made, as full as the shares allow.
pub(super) fn rows(config: &Config, root: &Path) -> Result<Box<[Row]>, StoreError> {
    let capacity = narrow(config.limits_slot_bytes);
    let rows_per_stream = narrow(config.rows_per_stream());
    let live = narrow(config.slots_per_stream());
    let each = config.share_bytes() / widen(live.max(1)) / PAGE_BYTES * PAGE_BYTES;
    let bytes = usize::try_from(each).unwrap_or(capacity).min(capacity);
    let slots_made = live * narrow(config.limits_streams);
    let mut rows = Vec::with_capacity(rows_per_stream * narrow(config.limits_streams));
    for number in 0..rows.capacity() {
        let mut name = heapless::String::new();
        let named = write!(name, "{number}");
        debug_assert!(named.is_ok());
        let closes = number % rows_per_stream >= live;
        let slot = if closes {
            Slot::unmade(capacity)
        } else {
            let path = root.join(SLOTS).join(name.as_str());
            Slot::create_with(&path, capacity, bytes).map_err(|cause| StoreError::Slot {
                number,
                slots: slots_made,
                cause,
            })?
        };
        rows.push(Row::new(slot, name, closes));
    }
    Ok(rows.into_boxed_slice())
}

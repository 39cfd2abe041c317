//! What the settings together make of memory: slots, places, bytes; and whether it can be had.
//!
//! Each stream has an equal share of `hls.tmpfs_mib`, and as many slots made at start as a live
//! window of full slots needs; what lies beyond is made when it is first used. Computes; takes
//! nothing: `service::store` keeps to it. Source: RFC 8216 §6.2.2 for how long segments are kept.

use super::settings::Config;
use super::value::Size;
use crate::limits::{
    self, PENDING_SEGMENTS_MAX, PLAYLIST_ENTRIES_MAX, PLAYLIST_SEGMENTS_MAX, REST_US_MAX, ROWS_MAX,
    SHARE_SLOTS_MIN, SLOTS_SPARE,
};

/// Why the segments that the settings ask for cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SizesError {
    /// Exhausted: one playlist would be too long.
    #[error(
        "{key} is {minutes}: of hls.segment_ms {segment_ms} that is {segments} segments, allowed \
         is {PLAYLIST_ENTRIES_MAX}; set it to {most} or less, or raise hls.segment_ms"
    )]
    TooLong {
        /// The setting.
        key: &'static str,
        /// Its value.
        minutes: u32,
        /// `hls.segment_ms`.
        segment_ms: u32,
        /// Segments that it asks for.
        segments: u64,
        /// Largest value that fits.
        most: u64,
    },
    /// Exhausted: all playlists together would be too long.
    #[error(
        "limits.streams is {streams}: their playlists keep {segments} segments, allowed is \
         {ROWS_MAX}; lower it, hls.dvr_minutes or hls.event_minutes"
    )]
    TooMany {
        /// `limits.streams`.
        streams: u32,
        /// Segments listed and kept.
        segments: u64,
    },
    /// Exhausted: a share does not hold what must be listed.
    #[error(
        "hls.tmpfs_mib is {mib}: {SHARE_SLOTS_MIN} segments of limits.slot_bytes for each of \
         limits.streams take {}; set it to {need} or more, or to 0", Size(*bytes)
    )]
    TooLittle {
        /// `hls.tmpfs_mib`.
        mib: u32,
        /// Bytes that are needed.
        bytes: u64,
        /// Least value that fits.
        need: u64,
    },
}

impl Config {
    /// Slots of one stream: those listed, those that left the list and may still be fetched
    /// (RFC 8216 §6.2.2: a segment's own duration and the longest playlist's), and spare ones.
    #[must_use]
    pub const fn slots_per_stream(&self) -> u32 {
        let listed = self.listed_segments();
        listed + (listed + 1) + SLOTS_SPARE
    }

    /// Segments that are listed at once: the window, or more where three target durations hold
    /// more (RFC 8216 §6.2.2). A target that is not set is settled by the first segment, which may
    /// well be 1.4 times as long as those behind it.
    const fn listed_segments(&self) -> u32 {
        let target_s = match self.hls_target_duration_s {
            0 => self.hls_segment_ms * 143 / 100_000 + 1,
            set => set,
        };
        let least = (3_000 * target_s).div_ceil(self.hls_segment_ms) + 1;
        let least =
            if least < limits::WINDOW_SEGMENTS_MAX { least } else { limits::WINDOW_SEGMENTS_MAX };
        if least < self.hls_window_segments { self.hls_window_segments } else { least }
    }

    /// Bytes of all slots, in tmpfs.
    #[must_use]
    pub fn slots_bytes(&self) -> u64 {
        let slots = u64::from(self.limits_streams) * u64::from(self.slots_per_stream());
        slots * u64::from(self.limits_slot_bytes)
    }

    /// Tunnels of RTMPT that have a place.
    #[must_use]
    pub const fn tunnels(&self) -> u32 {
        if self.rtmpt_enabled { self.limits_tunnels } else { 0 }
    }

    /// Connections within TLS that have a place.
    #[must_use]
    pub const fn tls_places(&self) -> u32 {
        if self.rtmps_listen.is_some() { self.limits_tls } else { 0 }
    }

    /// Bytes of all rings, in private memory.
    #[must_use]
    pub fn rings_bytes(&self) -> u64 {
        u64::from(self.limits_streams) * u64::from(self.limits_ring_bytes)
    }

    /// Whether playlists grow until their end.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.hls_kind == "event"
    }

    /// Whether playlists may list more than a window of segments.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.reach().1 > 0
    }

    /// Whether a slate is shown while a camera is away.
    #[must_use]
    pub fn shows_slates(&self) -> bool {
        self.hls_away == "slate"
    }

    /// Whether live playlists have dates: not where each segment would be a rest.
    #[must_use]
    pub fn dates_live(&self) -> bool {
        self.hls_dates && u64::from(self.hls_segment_ms) * 1_000 >= REST_US_MAX
    }

    /// Whether a playlist ends when its camera stays away.
    #[must_use]
    pub fn ends_away(&self) -> bool {
        self.hls_away == "end"
    }

    /// Segments of one playlist at most, listed and waiting.
    #[must_use]
    pub fn entries_per_stream(&self) -> u32 {
        let (_, minutes) = self.reach();
        let live = self.slots_per_stream().saturating_sub(2).min(short());
        let long = if minutes > 0 { self.entries_of(minutes) } else { 0 };
        u32::try_from(long).unwrap_or(u32::MAX).max(live)
    }

    /// Segments of one stream at most: those listed, and those that left the list and may still be
    /// fetched. An event loses none.
    #[must_use]
    pub fn rows_per_stream(&self) -> u32 {
        let entries = self.entries_per_stream();
        let rows = match self.reach() {
            (_, 0) => 0,
            _ if self.is_event() => entries.saturating_add(SLOTS_SPARE),
            _ => entries.saturating_mul(2).saturating_add(SLOTS_SPARE),
        };
        rows.max(self.slots_per_stream())
    }

    /// Bytes of tmpfs that the segments of all streams may take.
    #[must_use]
    pub fn tmpfs_bytes(&self) -> u64 {
        match self.hls_tmpfs_mib {
            0 => self.slots_bytes(),
            mib => u64::from(mib) << 20,
        }
    }

    /// What one stream may take of them.
    #[must_use]
    pub fn share_bytes(&self) -> u64 {
        self.tmpfs_bytes() / u64::from(self.limits_streams.max(1))
    }

    /// The setting that says how long a playlist reaches, and its minutes.
    fn reach(&self) -> (&'static str, u32) {
        if self.is_event() {
            ("hls.event_minutes", self.hls_event_minutes)
        } else {
            ("hls.dvr_minutes", self.hls_dvr_minutes)
        }
    }

    /// Segments in so many minutes. A quarter more, since some come out shorter than they should.
    fn entries_of(&self, minutes: u32) -> u64 {
        let segments = u64::from(minutes) * 60_000 / u64::from(self.hls_segment_ms.max(1));
        segments + segments / 4 + u64::try_from(PENDING_SEGMENTS_MAX).unwrap_or(0) + 1
    }
}

/// Looks at the settings of one memory together.
pub(super) fn check(config: &Config) -> Result<(), SizesError> {
    let (key, minutes) = config.reach();
    let segment_ms = config.hls_segment_ms;
    let segments = config.entries_of(minutes);
    if segments > u64::from(PLAYLIST_ENTRIES_MAX) {
        let spare = u64::try_from(PENDING_SEGMENTS_MAX + 2).unwrap_or(0);
        let whole = (u64::from(PLAYLIST_ENTRIES_MAX) - spare) * 4 / 5;
        let most = whole * u64::from(segment_ms) / 60_000;
        return Err(SizesError::TooLong { key, minutes, segment_ms, segments, most });
    }
    let streams = config.limits_streams;
    let segments = u64::from(streams) * u64::from(config.rows_per_stream());
    if segments > u64::from(ROWS_MAX) {
        return Err(SizesError::TooMany { streams, segments });
    }
    let slots = u64::from(streams) * u64::from(SHARE_SLOTS_MIN);
    let bytes = slots * u64::from(config.limits_slot_bytes);
    if config.tmpfs_bytes() < bytes {
        let (mib, need) = (config.hls_tmpfs_mib, bytes.div_ceil(1 << 20));
        return Err(SizesError::TooLittle { mib, bytes, need });
    }
    Ok(())
}

/// Segments of a playlist without reach.
fn short() -> u32 {
    u32::try_from(PLAYLIST_SEGMENTS_MAX).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;

    fn config(pairs: &[&str]) -> Result<Config, String> {
        let mut draft = Draft::new();
        for pair in pairs {
            draft.set_pair(pair).unwrap();
        }
        draft.check().map_err(|error| error.to_string())
    }

    #[test]
    fn live_windows_take_what_their_slots_take() {
        let config = config(&[]).unwrap();
        assert_eq!(config.rows_per_stream(), config.slots_per_stream());
        assert_eq!(config.entries_per_stream(), 13);
        assert_eq!(config.tmpfs_bytes(), config.slots_bytes());
        assert_eq!(config.share_bytes(), 15 * (3 << 20));
        assert!(!config.is_event() && !config.ends_away());
    }

    #[test]
    fn segments_below_a_second_have_no_dates() {
        let dates = |pairs: &[&str]| config(pairs).unwrap().dates_live();
        assert!(dates(&[]) && dates(&["hls.segment_ms=1000"]));
        assert!(!dates(&["hls.segment_ms=999"]) && !dates(&["hls.dates=false"]));
    }

    #[test]
    fn r35_dvr_window_has_rows_for_what_left_it() {
        let dvr = config(&["hls.dvr_minutes=60"]).unwrap();
        assert_eq!(dvr.entries_per_stream(), 1_800 + 450 + 3);
        assert_eq!(dvr.rows_per_stream(), 2 * 2_253 + SLOTS_SPARE);
        let event = config(&["hls.kind=event", "hls.event_minutes=60"]).unwrap();
        assert_eq!(event.entries_per_stream(), 2_253);
        assert_eq!(event.rows_per_stream(), 2_253 + SLOTS_SPARE);
    }

    #[test]
    fn reach_is_bounded_by_segments_of_one_playlist_and_of_all() {
        let line = config(&["hls.dvr_minutes=1440"]).unwrap_err();
        assert!(line.starts_with("hls.dvr_minutes is 1440: of hls.segment_ms 2000 that is 54003"));
        assert!(line.contains("set it to 436 or less"), "{line}");
        let most = config(&["hls.dvr_minutes=436", "limits.streams=2"]).unwrap();
        assert!(most.entries_per_stream() <= PLAYLIST_ENTRIES_MAX);
        assert!(most.limits_streams * most.rows_per_stream() <= ROWS_MAX);
        assert!(config(&["hls.dvr_minutes=437", "limits.streams=2"]).is_err());
        let line = config(&["hls.dvr_minutes=436", "limits.streams=3"]).unwrap_err();
        assert!(line.contains(&format!("allowed is {ROWS_MAX}")), "{line}");
        let six = ["hls.segment_ms=6000", "hls.dvr_minutes=1310", "limits.streams=1"];
        assert!(config(&six).is_ok());
    }

    #[test]
    fn share_holds_the_least_that_may_be_listed() {
        let line = config(&["hls.tmpfs_mib=47"]).unwrap_err();
        assert!(line.contains("take 48MiB; set it to 48 or more, or to 0"), "{line}");
        let slots = u64::from(SHARE_SLOTS_MIN);
        assert_eq!(config(&["hls.tmpfs_mib=48"]).unwrap().share_bytes(), slots * (3 << 20));
    }
}

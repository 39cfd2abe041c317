//! What the settings together make of memory: slots, places, bytes.
//!
//! Computes; takes nothing. Source: RFC 8216 §6.2.2 for how long segments are kept.

use super::settings::Config;
use crate::limits;

impl Config {
    /// Slots of one stream: those listed, those that left the list and may still be fetched
    /// (RFC 8216 §6.2.2: a segment's own duration and the longest playlist's), and spare ones.
    #[must_use]
    pub const fn slots_per_stream(&self) -> u32 {
        let listed = self.listed_segments();
        listed + (listed + 1) + limits::SLOTS_SPARE
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
}

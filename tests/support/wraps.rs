//! The wraps of senders' clocks: how a sender that has the true time at 90 kHz writes it down.
//!
//! Knows nothing of what reads it.

use rillcast::time::Millis;

/// A clock that wraps.
#[derive(Clone, Copy, Debug)]
pub struct Wrap {
    pub name: &'static str,
    /// True time of the wrap, in ticks.
    pub period: i64,
}

pub const WRAPS: [Wrap; 5] = [
    Wrap { name: "24-bit ms, 4.66 h", period: (1 << 24) * 90 },
    Wrap { name: "32-bit 90 kHz, 13.26 h", period: 1 << 32 },
    Wrap { name: "31-bit ms, 24.86 d", period: (1 << 31) * 90 },
    Wrap { name: "33-bit 90 kHz, 26.51 h", period: 1 << 33 },
    MILLIS,
];

/// RTMP's own.
pub const MILLIS: Wrap = Wrap { name: "32-bit ms, 49.71 d", period: (1 << 32) * 90 };

impl Wrap {
    /// What the clock says at a true time in ticks.
    pub fn stamp(self, ticks: i64) -> Millis {
        Millis(u32::try_from(ticks.rem_euclid(self.period) / 90).unwrap())
    }
}

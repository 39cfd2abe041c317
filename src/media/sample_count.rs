//! Audio time counted in samples, and the drift between separate audio and video clocks.
//!
//! The two helpers of `timeline`, whose page says when they apply. Positions are ticks on its
//! decode axis; neither knows about wraps or jumps.

use crate::limits::{AUDIO_BEHIND_MS_MAX, AUDIO_DRIFT_MS_MAX, TIME_GAP_MS_MAX};
use crate::time::TICKS_PER_SECOND;

const TICKS_PER_MS: i64 = TICKS_PER_SECOND / 1_000;

/// Audio time as a number of samples from an anchor.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleCount {
    anchor: i64,
    /// Samples since the anchor; whole seconds are moved into the anchor, exactly.
    samples: u64,
    /// 0 while unknown.
    sample_rate: u32,
    /// Counted time when the wire was first seen behind.
    behind_since: Option<i64>,
}

impl SampleCount {
    pub(super) const fn new(anchor: i64) -> Self {
        Self { anchor, samples: 0, sample_rate: 0, behind_since: None }
    }

    /// Moves everything counted from here on.
    pub(super) const fn move_by(&mut self, ticks: i64) {
        self.anchor += ticks;
    }

    /// Prepares for a frame that the wire puts at `position`. Says whether drift was corrected.
    pub(super) fn settle(&mut self, position: i64, fresh: bool, sample_rate: u32) -> bool {
        let drift = AUDIO_DRIFT_MS_MAX * TICKS_PER_MS;
        let now = self.now();
        if fresh || self.sample_rate == 0 || sample_rate == 0 {
            *self = Self::new(position);
            self.sample_rate = sample_rate;
            return false;
        }
        if sample_rate != self.sample_rate {
            *self = Self::new(now);
            self.sample_rate = sample_rate;
        }
        let off = position - now;
        if off >= -drift {
            self.behind_since = None;
        }
        let behind = off < -drift
            && now - *self.behind_since.get_or_insert(now) >= AUDIO_BEHIND_MS_MAX * TICKS_PER_MS;
        if off > drift || behind {
            *self = Self::new(position);
            self.sample_rate = sample_rate;
            return true;
        }
        false
    }

    /// Passes `samples`, if they last less than a gap would.
    pub(super) fn add(&mut self, samples: u32) {
        let rate = u64::from(self.sample_rate);
        if u64::from(samples) * 1_000 > rate * TIME_GAP_MS_MAX.unsigned_abs() {
            self.sample_rate = 0;
            return;
        }
        self.samples += u64::from(samples);
        while rate > 0 && self.samples >= rate {
            self.samples -= rate;
            self.anchor += TICKS_PER_SECOND;
        }
    }

    /// The time of the next sample, to the nearest tick.
    pub(super) fn now(&self) -> i64 {
        let rate = i64::from(self.sample_rate);
        if rate == 0 {
            return self.anchor;
        }
        let samples = i64::try_from(self.samples).unwrap_or(0);
        self.anchor + (2 * samples * TICKS_PER_SECOND + rate) / (2 * rate)
    }
}

/// Follows the drift between two separate clocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Skew {
    /// Both tracks use one clock: nothing to follow.
    OneClock,
    /// `seen` distances averaged so far, in 1/256 tick.
    Measuring { average: i64, seen: u32 },
    /// The average is held at `target`, both in 1/256 tick.
    Holding { average: i64, target: i64 },
}

impl Skew {
    const SETTLED: u32 = 512;
    const WEIGHT: i64 = 256;

    pub(super) const fn new() -> Self {
        Self::Measuring { average: 0, seen: 0 }
    }

    /// Takes the distance audio − video on arrival and says by how much to move audio, which has
    /// just passed `step` ticks.
    pub(super) fn nudge(&mut self, distance: i64, step: i64) -> i64 {
        match *self {
            Self::OneClock => 0,
            Self::Measuring { average, seen } => {
                let average = match seen {
                    0 => distance * Self::WEIGHT,
                    _ => average + distance - average / Self::WEIGHT,
                };
                *self = if seen < Self::SETTLED {
                    Self::Measuring { average, seen: seen + 1 }
                } else {
                    Self::Holding { average, target: average }
                };
                0
            }
            Self::Holding { average, target } => {
                if (distance - target / Self::WEIGHT).abs() > TICKS_PER_SECOND {
                    return 0;
                }
                let average = average + distance - average / Self::WEIGHT;
                *self = Self::Holding { average, target };
                let off = (average - target) / Self::WEIGHT;
                if off.abs() <= 10 * TICKS_PER_MS || step <= 0 {
                    return 0;
                }
                -off.signum() * (step / 1_000).clamp(1, TICKS_PER_MS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_count_rounds_each_time_to_the_nearest_tick() {
        let mut count = SampleCount::new(0);
        count.settle(0, true, 44_100);
        count.add(1);
        assert_eq!(count.now(), 2, "2.04 ticks");
        count.add(1023);
        assert_eq!(count.now(), 2_090, "2089.8 ticks");
        count.add(44_100 - 1024);
        assert_eq!(count.now(), 90_000);
    }

    #[test]
    fn sample_count_gives_up_on_a_message_longer_than_a_gap() {
        let mut count = SampleCount::new(0);
        count.settle(0, true, 8_000);
        count.add(80_000);
        assert_eq!(count.now(), 900_000);
        count.add(80_001);
        assert_eq!(count.now(), 900_000, "not believed");
    }

    #[test]
    fn sample_count_is_corrected_when_the_wire_is_too_far_ahead() {
        let drift = AUDIO_DRIFT_MS_MAX * TICKS_PER_MS;
        for (ahead, corrected) in [(drift, false), (drift + 1, true)] {
            let mut count = SampleCount::new(0);
            count.settle(0, true, 48_000);
            assert_eq!(count.settle(ahead, false, 48_000), corrected, "{ahead}");
        }
    }

    #[test]
    fn sample_count_is_corrected_when_the_wire_stays_too_far_behind() {
        let drift = AUDIO_DRIFT_MS_MAX * TICKS_PER_MS;
        for (behind, corrected) in [(drift, false), (drift + 1, true)] {
            let mut count = SampleCount::new(0);
            count.settle(0, true, 1_000);
            for _ in 0..AUDIO_BEHIND_MS_MAX {
                assert!(!count.settle(count.now() - behind, false, 1_000));
                count.add(1);
            }
            assert_eq!(count.settle(count.now() - behind, false, 1_000), corrected, "{behind}");
        }
    }

    #[test]
    fn skew_holds_still_until_it_has_a_target_and_then_moves_slowly() {
        let mut skew = Skew::new();
        for _ in 0..=Skew::SETTLED {
            assert_eq!(skew.nudge(5_000, 1_920), 0);
        }
        let mut moved = 0;
        for _ in 0..5_000 {
            let nudge = skew.nudge(5_000 + 4_000 + moved, 1_920);
            assert!(nudge == 0 || nudge == -1);
            moved += nudge;
        }
        assert!((-4_000..-3_000).contains(&moved), "{moved}");
        assert_eq!(skew.nudge(1_000_000, 1_920), 0, "a stalled track is not followed");
    }
}

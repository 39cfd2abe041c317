//! Bit rates as a master playlist states them, measured over the segments that are listed.
//!
//! The peak is the rate of the fastest segment. The draft asks for that (an upper bound of each
//! segment's rate); RFC 8216 asks for the fastest run of segments of 0.5 to 1.5 target durations
//! together, and no run is faster than the fastest segment in it.
//!
//! A figure holds what is listed and, for up to as long again, what was: it falls only when the
//! segments that it came from are gone. Source: RFC 8216 §4.3.4.2;
//! draft-pantos-http-live-streaming-12 §3.4.10.

/// What was measured over some segments.
#[derive(Clone, Copy, Debug)]
struct Tally {
    /// Fastest segment, bit/s.
    peak: u64,
    bytes: u64,
    micros: u64,
    /// Greatest frame rate, frames in 1000 s.
    frame_millihertz: u64,
    /// Media sequence number of the first segment.
    since: u64,
}

impl Tally {
    const fn new(since: u64) -> Self {
        Self { peak: 0, bytes: 0, micros: 0, frame_millihertz: 0, since }
    }
}

/// Bit rates of one variant stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitRate {
    before: Tally,
    now: Tally,
}

impl BitRate {
    /// Nothing measured; the first segment has the number `sequence`.
    pub(super) const fn new(sequence: u64) -> Self {
        Self { before: Tally::new(sequence), now: Tally::new(sequence) }
    }

    /// Takes a piece of `bytes` that lasts `micros`.
    pub(super) fn add(&mut self, bytes: u64, micros: u64) {
        let now = &mut self.now;
        now.peak = now.peak.max(rate(bytes, micros));
        now.bytes = now.bytes.saturating_add(bytes);
        now.micros = now.micros.saturating_add(micros);
    }

    /// Takes a frame rate.
    pub(super) fn add_frames(&mut self, millihertz: u64) {
        self.now.frame_millihertz = self.now.frame_millihertz.max(millihertz);
    }

    /// The oldest segment that is listed has the number `first`, the next one `next`.
    pub(super) fn listed(&mut self, first: u64, next: u64) {
        debug_assert!(first <= next);
        if first >= self.now.since && next > self.now.since {
            self.before = self.now;
            self.now = Tally::new(next);
        }
    }

    /// Peak in bit/s, biased high: a master playlist is read once, and a camera may find more to
    /// say. 6 to 14 % above what was measured, in steps, so that the text seldom changes.
    pub(super) fn bandwidth(&self) -> u64 {
        let peak = self.now.peak.max(self.before.peak);
        stepped(peak.saturating_add(peak / 16), 4)
    }

    /// Average in bit/s, at most 4 % above what was measured; 0 if nothing was.
    pub(super) fn average(&self) -> u64 {
        let bytes = self.now.bytes.saturating_add(self.before.bytes);
        let micros = self.now.micros.saturating_add(self.before.micros);
        stepped(rate(bytes, micros), 5)
    }

    /// Greatest frame rate, if one was measured.
    pub(super) fn frame_millihertz(&self) -> Option<u64> {
        let greatest = self.now.frame_millihertz.max(self.before.frame_millihertz);
        (greatest > 0).then_some(greatest)
    }
}

/// Bits in a second, rounded up.
fn rate(bytes: u64, micros: u64) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000;
    u64::try_from(bits.div_ceil(u128::from(micros.max(1)))).unwrap_or(u64::MAX)
}

/// Rounds up to a number of which only the first `digits` binary digits behind the highest are set.
fn stepped(value: u64, digits: u32) -> u64 {
    let step = 1u64 << value.checked_ilog2().unwrap_or(0).saturating_sub(digits);
    value.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

/// The frame rate to state: what the encoder says where that is what comes, otherwise what comes.
/// All in frames in 1000 s.
pub(super) fn stated_frame_rate(said: Option<u64>, pictures: u32, micros: u64) -> u64 {
    let measured = u64::from(pictures).saturating_mul(1_000_000_000) / micros.max(1);
    let is_near = |rate: u64, part: u64| measured.abs_diff(rate).saturating_mul(part) <= rate;
    let whole = measured.saturating_add(500) / 1000 * 1000;
    match said {
        Some(said) if is_near(said, 50) => said,
        _ if is_near(whole, 100) => whole,
        _ => measured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frame_rate_is_the_encoders_word_where_it_keeps_it() {
        for (said, pictures, ms, stated) in [
            (Some(29_970), 60, 2_001, 29_970),
            (Some(30_000), 60, 2_001, 30_000),
            (Some(25_000), 30, 2_000, 15_000),
            (None, 50, 2_001, 25_000),
            (None, 73, 3_000, 24_333),
            (Some(0), 0, 2_000, 0),
        ] {
            assert_eq!(stated_frame_rate(said, pictures, ms * 1000), stated, "{said:?} {pictures}");
        }
    }

    #[test]
    fn rates_hold_until_their_segments_are_gone() {
        let mut rate = BitRate::new(10);
        // 8 Mbit/s once, 1 Mbit/s from then on; three are listed.
        for sequence in 10..30 {
            let bytes = if sequence == 10 { 1_000_000 } else { 125_000 };
            rate.add(bytes, 1_000_000);
            let first = (sequence + 1u64).saturating_sub(3).max(10);
            rate.listed(first, sequence + 1);
            let (peak, average) = (rate.bandwidth(), rate.average());
            assert!(average <= peak, "{sequence}");
            if first <= 10 {
                assert!((8_500_000..=9_120_000).contains(&peak), "{sequence}: {peak}");
            } else if first > 16 {
                assert!((1_062_500..=1_140_000).contains(&peak), "{sequence}: {peak}");
                assert!((1_000_000..=1_040_000).contains(&average), "{sequence}: {average}");
            }
        }
        assert_eq!(BitRate::new(0).average(), 0);
    }

    proptest! {
        /// RFC 8216: the largest over any set of contiguous segments of 0.5 to 1.5 targets.
        #[test]
        fn r62_bandwidth_bounds_each_segment_and_each_run_of_them(
            segments in proptest::collection::vec((1u64..1 << 26, 1u64..20_000_000), 1..40),
            target_s in 1u64..20,
        ) {
            let mut measured = BitRate::new(0);
            for (next, (bytes, micros)) in (1..).zip(&segments) {
                measured.add(*bytes, *micros);
                measured.listed(0, next);
            }
            for from in 0..segments.len() {
                let (mut bytes, mut micros) = (0, 0);
                for (b, m) in &segments[from..] {
                    (bytes, micros) = (bytes + b, micros + m);
                    let is_run = (target_s * 500_000..=target_s * 1_500_000).contains(&micros);
                    let alone = bytes == *b;
                    prop_assert!(!is_run && !alone || rate(bytes, micros) <= measured.bandwidth());
                }
            }
            prop_assert!(measured.average() <= measured.bandwidth());
            let all: (u64, u64) =
                segments.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            prop_assert!(measured.average() >= rate(all.0, all.1));
        }
    }
}

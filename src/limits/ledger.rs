//! Bounds of the numbers that go on over restarts, and of the file that keeps them.

use super::{SEGMENT_MS_MIN, STREAM_PATH_BYTES_MAX};
use core::time::Duration;

/// Sequence numbers and versions at most: players written in JavaScript count exactly so far, and
/// at two segments a second it takes 140 million years. Larger ones are of no playlist of ours.
pub const SEQUENCE_MAX: u64 = 1 << 53;

/// Streams whose numbers are remembered over restarts. More than a box ever has; who publishes
/// under ever new names makes the others begin further on, and nothing worse.
pub const LEDGER_STREAMS_MAX: usize = 64;

/// Bytes of the file of numbers: each line has three of up to 16 digits and a path.
pub const LEDGER_BYTES_MAX: usize =
    64 + (LEDGER_STREAMS_MAX + 1) * (3 * 17 + 1 + STREAM_PATH_BYTES_MAX);

/// Media sequence numbers, and versions, that one write of the file of numbers reserves. A write
/// comes when half are used: with segments of 2 s each 68 minutes, whatever the number of
/// streams.
pub const LEDGER_SEQUENCE_BLOCK: u64 = 4096;

/// Discontinuity sequence numbers that one write reserves: a camera that blinks costs none.
pub const LEDGER_DISCONTINUITY_BLOCK: u64 = 64;
const _: () = assert!(LEDGER_DISCONTINUITY_BLOCK < LEDGER_SEQUENCE_BLOCK / 2);

/// Media sequence numbers reserved for a stream that is not on the air: a program that is started
/// again and again uses up so many each time, and a stream that comes can make its first segments
/// before the next write is done.
pub const LEDGER_SEQUENCE_SPARE: u64 = 64;

/// Discontinuity sequence numbers reserved likewise.
pub const LEDGER_DISCONTINUITY_SPARE: u64 = 4;
const _: () = assert!(LEDGER_DISCONTINUITY_SPARE < LEDGER_SEQUENCE_SPARE);

/// Pause before the file of numbers is written again after it could not be: a card that has died
/// is not asked each second, and a full one may have room again.
pub const LEDGER_RETRY_TIME: Duration = Duration::from_mins(1);

/// Sequence numbers that a stream can use up in a second: twice what the shortest segments make.
/// Where nothing is remembered but the clock is right, numbers begin at this many a second.
pub const SEQUENCES_PER_SECOND_MAX: u64 = 4;
const _: () = assert!(SEGMENT_MS_MIN >= 500);

//! Every bound of the program, with its reason.
//!
//! A peer-chosen length, count, depth, time or queue is compared with its bound here before it is
//! used for anything. Settings choose values within these bounds; they never exceed them.

use crate::time::Ticks;

// ---- RTMP: chunk stream ---------------------------------------------------------------------

/// Bytes held per ingest connection between two reads: one whole default-size chunk and its
/// header can always arrive, and a large read amortises the system call.
pub const RX_BYTES: usize = 64 << 10;
const _: () = assert!(RX_BYTES.is_power_of_two());
const _: () = assert!(RX_BYTES > 2 * HANDSHAKE_BYTES, "C2 and the first commands arrive together");

/// Bytes of C1, S1, C2 and S2 each (RTMP 1.0 §5.2.3).
pub const HANDSHAKE_BYTES: usize = 1536;

/// Payload bytes of an audio or video message. 4K keyframes pass 1 MiB; 8 MiB is far beyond any
/// that fits the boards this runs on. The wire allows 16 MiB less one (u24).
pub const MESSAGE_BYTES_MAX: u32 = 8 << 20;
const _: () = assert!(MESSAGE_BYTES_MAX < 1 << 24, "message length is a u24 on the wire");

/// Payload bytes of a command or data message before publishing: a large connect is under 2 KiB,
/// metadata under 16 KiB.
pub const COMMAND_BYTES_MAX: u32 = 64 << 10;

/// Payload bytes of a protocol control or user control message; the longest defined is 42.
pub const CONTROL_BYTES_MAX: u32 = 64;

/// Chunk streams with state on one connection. OBS uses 3, FMLE 7; nginx-rtmp allows 32.
pub const CHUNK_STREAMS_MAX: usize = 64;

/// The largest chunk size a peer may announce and have it believed; larger values behave as this
/// one does, since no message is longer than a u24 (RTMP 1.0 §5.4.1).
pub const CHUNK_BYTES_MAX: u32 = (1 << 24) - 1;

/// Chunk size that we announce. Publishers such as ffmpeg adopt it for their own output: large
/// chunks let payload be received straight into its place.
pub const CHUNK_BYTES_OUT: u32 = 64 << 10;

/// Chunk size of both directions until a Set Chunk Size arrives (RTMP 1.0 §5.4.1).
pub const CHUNK_BYTES_DEFAULT: u32 = 128;

/// A chunk with at least this much payload still to come is received straight into its message's
/// place; below, one copy is cheaper than a second I/O vector.
pub const DIRECT_BYTES_MIN: u32 = 2 << 10;

/// Streams that one connection may publish at once. FMLE publishes its renditions on one.
pub const PUBLISHES_PER_CONNECTION_MAX: usize = 4;

// ---- Storage --------------------------------------------------------------------------------

/// Messages being assembled at once in one ring. Audio, video and data interleave: three; FMLE
/// with several streams on one connection: seven.
pub const RESERVATIONS_MAX: usize = 16;

/// Keyframes a ring remembers, for readers that join or were overrun.
pub const KEYFRAMES_INDEXED: usize = 32;

/// Bytes of one sequence header or metadata kept aside. ffmpeg's HEVC configuration with its SEI
/// is 2.4 KiB, OBS metadata 1 KiB.
pub const ASIDE_BYTES_MAX: usize = 16 << 10;

/// Messages a stream's ring lists: 30 s at 30 frames and 47 audio frames a second, and then some.
pub const RING_MESSAGES: usize = 4096;

// ---- RTMP: commands -------------------------------------------------------------------------

// ---- Media ----------------------------------------------------------------------------------

/// Program clock ahead of decode time: a player may buffer this much before it must decode.
pub const PCR_LEAD_TICKS: Ticks = Ticks::from_millis(700);

/// Distance of two clock references; H.222.0 §2.7.2 asks for at most 100 ms.
pub const PCR_INTERVAL_TICKS_MAX: Ticks = Ticks::from_millis(99);

/// Audio frames held back: until the first keyframe tells where the first segment starts, and
/// while new parameters wait for their keyframe. 64 AAC frames at 48 kHz are 1.4 s.
pub const AUDIO_FRAMES_HELD: usize = 64;

/// Audio in one PES packet. Several frames share its overhead; 100 ms also keeps the clock due.
pub const AUDIO_PES_TICKS_MAX: Ticks = Ticks::from_millis(95);

/// Payload bytes of one audio PES packet: its length field has 16 bits, its header takes 8.
pub const AUDIO_PES_BYTES_MAX: usize = 65_535 - 8;

/// NAL units in one access unit. Encoders cut a picture into at most a few dozen slices.
pub const NAL_UNITS_MAX: usize = 256;

/// Bytes of SPS and PPS kept of one track; real ones take under 200.
pub const PARAMETER_BYTES_MAX: usize = 4 << 10;

/// A keyframe this much before the target still ends the segment: millisecond timestamps put a
/// keyframe that is due at 2.000 s at 1.999 s as often as not.
pub const CUT_SLACK_TICKS: Ticks = Ticks::from_millis(60);

/// A track that has had no packet for so long is no longer named in the PMT.
pub const TRACK_GONE_TICKS: Ticks = Ticks::from_millis(5_000);

/// Media time to wait for a first keyframe before starting without one.
pub const FIRST_KEYFRAME_TICKS_MAX: Ticks = Ticks::from_millis(10_000);

/// Longest segment while the target duration is not settled.
pub const SEGMENT_TICKS_MAX: Ticks = Ticks::from_millis(20_000);
/// Pixels along one side of a picture that are believed: level 6.2 allows no more (H.264 table
/// A-1, the square root of 8 · `MaxFS` macroblocks), and no player here shows more.
pub const VIDEO_SIDE_PIXELS_MAX: u32 = 16_896;
const _: () = assert!(VIDEO_SIDE_PIXELS_MAX.is_multiple_of(16));

// ---- HLS ------------------------------------------------------------------------------------

// ---- HTTP -----------------------------------------------------------------------------------

// ---- Settings and program -------------------------------------------------------------------

//! Every bound of the program, with its reason.
//!
//! A peer-chosen length, count, depth, time or queue is compared with its bound here before it is
//! used for anything. Settings choose values within these bounds; they never exceed them.

// ---- RTMP: chunk stream ---------------------------------------------------------------------

/// Bytes held per ingest connection between two reads: one whole default-size chunk and its
/// header can always arrive, and a large read amortises the system call.
pub const RX_BYTES: usize = 64 << 10;
const _: () = assert!(RX_BYTES.is_power_of_two());
const _: () = assert!(
    RX_BYTES > 2 * HANDSHAKE_BYTES,
    "C2 and the first commands arrive together"
);

/// Bytes of C1, S1, C2 and S2 each (RTMP 1.0 §5.2.3).
pub const HANDSHAKE_BYTES: usize = 1536;

/// Payload bytes of an audio or video message. 4K keyframes pass 1 MiB; 8 MiB is far beyond any
/// that fits the boards this runs on. The wire allows 16 MiB less one (u24).
pub const MESSAGE_BYTES_MAX: u32 = 8 << 20;
const _: () = assert!(
    MESSAGE_BYTES_MAX < 1 << 24,
    "message length is a u24 on the wire"
);

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

// ---- RTMP: commands -------------------------------------------------------------------------

// ---- Media ----------------------------------------------------------------------------------

/// A forward step of one track's time beyond this is a jump, not a gap, unless the other track
/// made the same way without one. Milliseconds.
pub const TIME_GAP_MS_MAX: i64 = 10_000;

/// A step back of one track's time up to this is clamped; beyond it is a jump. Milliseconds.
pub const TIME_REGRESS_MS_MAX: i64 = 1_000;

/// Two tracks whose times are further apart than this do not share a clock. Milliseconds.
pub const TRACKS_APART_MS_MAX: i64 = 10_000;

/// A track that jumps within this much media time after the other shares its discontinuity.
/// Senders interleave within a second; a slow one may hold a track for a few. Milliseconds.
pub const JUMP_FOLLOW_MS_MAX: i64 = 5_000;

/// Composition times outside these bounds are taken as 0. Milliseconds.
pub const COMPOSITION_MS_MIN: i64 = -1_000;
/// See `COMPOSITION_MS_MIN`.
pub const COMPOSITION_MS_MAX: i64 = 10_000;

/// Constant distance from a track's decode time to its presentation time at composition time 0,
/// so that no accepted negative composition time ever presents before it decodes. Milliseconds.
pub const COMPOSITION_LEAD_MS: i64 = 1_000;
const _: () = assert!(COMPOSITION_LEAD_MS + COMPOSITION_MS_MIN >= 0);

/// Audio time is counted in samples until the wire's time is further away than this; RTMP's
/// rounding to milliseconds and bursty senders stay below. Milliseconds.
pub const AUDIO_DRIFT_MS_MAX: i64 = 50;

/// The wire's audio time must stay behind the counted time for this long before the count steps
/// back to it: senders that stamp bursts alike fall behind and catch up again. Milliseconds.
pub const AUDIO_BEHIND_MS_MAX: i64 = 500;

/// One video frame while no two have been seen. Milliseconds.
pub const FRAME_MS_DEFAULT: i64 = 40;

// ---- HLS ------------------------------------------------------------------------------------

/// Segments that a setting may ask the playlist to list.
pub const WINDOW_SEGMENTS_MAX: usize = 60;

/// Segments held by one playlist, listed and waiting. Where segments come out shorter than
/// configured, three target durations (RFC 8216 §6.2.2) take more of them than the window says.
pub const PLAYLIST_SEGMENTS_MAX: usize = 128;
const _: () = assert!(PLAYLIST_SEGMENTS_MAX > 2 * WINDOW_SEGMENTS_MAX);

/// Segments that may wait for the playlist's next version; with more the version is early.
pub const PENDING_SEGMENTS_MAX: usize = 2;
const _: () = assert!(WINDOW_SEGMENTS_MAX + PENDING_SEGMENTS_MAX < PLAYLIST_SEGMENTS_MAX);

/// Segments that leave the playlist in one version; the window is reached over several.
pub const RETIRED_PER_UPDATE_MAX: usize = 8;
const _: () = assert!(
    RETIRED_PER_UPDATE_MAX > PENDING_SEGMENTS_MAX + 1,
    "a version removes at least what it adds"
);

/// Longest target duration that a setting may ask for or a first segment bring about. Seconds.
pub const TARGET_DURATION_S_MAX: u32 = 60;

/// A segment is cut here while no target duration is settled, unless it is meant to be longer.
/// Encoders' key frame intervals reach 10 s. Milliseconds.
pub const FIRST_SEGMENT_MS_MAX: i64 = 10_500;

/// What a segment may exceed the target duration by: rounded to the nearest second it must not be
/// more (RFC 8216 §4.3.3.1). Milliseconds.
pub const TARGET_EXCESS_MS_MAX: i64 = 499;

/// Bytes of a rendered playlist: the header, and per segment a discontinuity tag (21), a duration
/// (at most 19 in front of the comma) and a name of at most 32.
pub const PLAYLIST_BYTES_MAX: usize = 256 + 80 * PLAYLIST_SEGMENTS_MAX;

// ---- HTTP -----------------------------------------------------------------------------------

// ---- Settings and program -------------------------------------------------------------------

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

/// Widths of a test card or slate: the smallest that can be read, the largest that level 5.2 takes.
pub const CARD_WIDTH: core::ops::RangeInclusive<u16> = 160..=4096;

/// Heights of a test card or slate, as its widths.
pub const CARD_HEIGHT: core::ops::RangeInclusive<u16> = 128..=2304;

/// Pictures per second of a test card. Not 1: two IDR pictures in a row would need different ids.
pub const CARD_FRAMES_PER_SECOND: core::ops::RangeInclusive<u32> = 2..=60;

/// Bytes of a test card's message: keyframes of 1280x720 take 55 KiB, of 4096x2304 half of this.
pub const CARD_MESSAGE_BYTES_MAX: usize = 512 << 10;
const _: () = assert!(CARD_MESSAGE_BYTES_MAX < 1 << 24, "FLV lengths are u24");

/// Milliseconds in the day that the test card's clock shows.
pub const DAY_MS: u32 = 86_400_000;

// ---- HLS ------------------------------------------------------------------------------------

// ---- HTTP -----------------------------------------------------------------------------------

// ---- Settings and program -------------------------------------------------------------------

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

/// Objects inside each other in one AMF value; metadata of the richest encoder nests 3 deep. Walks
/// recurse this far, so it also bounds the stack.
pub const AMF_DEPTH_MAX: u8 = 16;

/// Properties of all objects of one AMF message together; a large onMetaData has 40.
pub const AMF_PROPERTIES_MAX: u32 = 1024;

/// Strings that one AMF3 value may refer back to.
pub const AMF3_STRINGS_MAX: usize = 512;

/// Complex values that one AMF3 value may refer back to.
pub const AMF3_OBJECTS_MAX: usize = 256;

/// Class descriptions that one AMF3 value may refer back to.
pub const AMF3_TRAITS_MAX: usize = 64;
const _: () = assert!(
    16 * (AMF3_STRINGS_MAX + AMF3_OBJECTS_MAX) + 64 * AMF3_TRAITS_MAX <= 16 << 10,
    "the AMF3 tables live on the stack"
);

/// Bytes of an application name and of a stream name each; both become parts of a path.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of the query behind a stream name: stream keys and signed tokens.
pub const QUERY_BYTES_MAX: usize = 1024;

/// Message streams that one connection may create; multitrack encoders use up to 4.
pub const MESSAGE_STREAMS_MAX: usize = 8;

/// Streams that one connection may publish at the same time.
pub const PUBLISHES_MAX: usize = 4;
const _: () = assert!(PUBLISHES_MAX <= MESSAGE_STREAMS_MAX);

/// Bytes of replies that wait for a peer that does not read. The longest exchange before a peer
/// must have read something, connect to publish on every message stream, is under 4 KiB.
pub const OUTBOX_BYTES: usize = 16 << 10;
const _: () = assert!(
    OUTBOX_BYTES > 2 * HANDSHAKE_BYTES + 1,
    "the handshake's answer goes through it too"
);

/// Bytes of one reply before chunking.
pub const REPLY_BYTES_MAX: usize = 1024;
const _: () = assert!(REPLY_BYTES_MAX >= 512 + NAME_BYTES_MAX);

/// Bytes after which we ask the peer to acknowledge, and allow it unacknowledged; the number that
/// other servers send and that publishers have been tested with.
pub const ACK_WINDOW_BYTES: u32 = 2_500_000;

// ---- Media ----------------------------------------------------------------------------------

// ---- HLS ------------------------------------------------------------------------------------

// ---- HTTP -----------------------------------------------------------------------------------

// ---- Settings and program -------------------------------------------------------------------

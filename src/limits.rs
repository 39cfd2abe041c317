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

// ---- HLS ------------------------------------------------------------------------------------

// ---- HTTP -----------------------------------------------------------------------------------

/// Connections at once, each a fixed place of `HTTP_REQUEST_BYTES`. A playing viewer uses one or
/// two; a Pi's Ethernet port is full long before.
pub const HTTP_VIEWERS_MAX: usize = 512;

/// Connections from one address that is not this machine's. A browser opens six per host; a NAT
/// in front of a classroom is why this is not smaller.
pub const HTTP_PER_ADDRESS: usize = 32;

/// Bytes of a request head, and of the requests that wait behind it.
pub const HTTP_REQUEST_BYTES: usize = 8 << 10;

/// Bytes of a request line, with its line end.
pub const HTTP_LINE_BYTES: usize = 4 << 10;
const _: () = assert!(HTTP_LINE_BYTES < HTTP_REQUEST_BYTES);

/// Bytes of a path before decoding; the longest that names anything here is far shorter.
pub const HTTP_PATH_BYTES: usize = 2 << 10;
const _: () = assert!(
    HTTP_PATH_BYTES < HTTP_LINE_BYTES,
    "a path that is too long is named as such"
);

/// Header fields of a request; browsers send about 20.
pub const HTTP_FIELDS: usize = 64;

/// Body bytes of a request that are read and thrown away so that the connection can stay open;
/// nothing here takes a body.
pub const HTTP_DISCARD_BYTES: u64 = 8 << 10;

/// Bytes of a response head: every field at its longest, with a redirect to an encoded path.
pub const HTTP_HEAD_OUT_BYTES: usize = 8 << 10;
const _: () = assert!(
    HTTP_HEAD_OUT_BYTES >= 3 * HTTP_PATH_BYTES + 1024,
    "a byte of a path is three when encoded"
);

/// Bytes of a rendered answer that is not a segment: a playlist of two hours of 6 s segments, or
/// the page with every stream on it.
pub const HTTP_BODY_BYTES: usize = 128 << 10;

/// Answers whose rest waits in memory because the socket took only part of it. A playlist fits
/// any socket buffer; who needs this is slow, and beyond this many is closed.
pub const HTTP_SPILLS: usize = 4;

/// Segments whose pages the send queue of one connection may refer to. Pipelining more waits.
pub const HTTP_HOLDS: usize = 4;

/// Requests on one connection. RFC-era servers count to 100 to share few processes; a place here
/// costs 8 KiB whether it is used once or often, a new connection costs more than a request, and
/// idle and absolute deadlines already bound a place's time. The count only ends what runs wild.
pub const HTTP_REQUESTS_PER_CONNECTION: u32 = 100_000;

/// Connections taken in one turn before anything else runs.
pub const HTTP_ACCEPT_BURST: usize = 32;

/// Events taken in one turn before anything else runs.
pub const HTTP_EVENTS: usize = 64;

/// Segment bytes sent on one connection in one turn. Over a real link the send queue ends a turn
/// long before; on the loopback a whole segment goes at once, which costs a third less than
/// pieces of 256 KiB in turns (measured with 100 clients).
pub const HTTP_TURN_BYTES: u64 = 2 << 20;

/// Bytes a second that a client has to acknowledge while an answer waits for it: below this even
/// a sound-only stream cannot be followed.
pub const HTTP_SLOW_BYTES_S: u64 = 8 << 10;

/// Bytes read and thrown away after the last answer, so that a reset does not eat it.
pub const HTTP_LINGER_BYTES: usize = 64 << 10;

/// Connections the kernel queues before `accept`.
pub const HTTP_BACKLOG: i32 = 511;

// ---- Settings and program -------------------------------------------------------------------

//! Bounds of RTMP: chunk stream, commands, upstreams, who may publish, tunnels.

use super::{LEFTOVER_DEPTH_MAX, PUBLISHERS_MAX};
use core::time::Duration;

// ---- RTMP: chunk stream ---------------------------------------------------------------------

/// Bytes held per ingest connection between two reads: one whole default-size chunk and its
/// header can always arrive, and a large read amortises the system call: half as much costs a
/// publisher that sends as fast as it can a fourteenth more.
pub const RX_BYTES: usize = 128 << 10;
const _: () = assert!(RX_BYTES.is_power_of_two());
const _: () = assert!(RX_BYTES > 2 * HANDSHAKE_BYTES, "C2 and the first commands arrive together");

/// Bytes of C1, S1, C2 and S2 each (RTMP 1.0 §5.2.3).
pub const HANDSHAKE_BYTES: usize = 1536;

/// Keys that a server tries in one RTMPE handshake: each has one chance in 256 that the shared
/// bytes begin with a zero, on which clients disagree. Four leave one handshake in 2^32, and 8
/// exponentiations at the worst.
pub const RTMPE_KEY_TRIES_MAX: usize = 4;

/// Bytes that one RTMPE connection encrypts at a time, since media in a ring is for others too: as
/// much as a socket takes in one go.
pub const RTMPE_BLOCK_BYTES: usize = 16 << 10;

/// RTMPE handshakes that a server takes part in at once. Programs that are asked who they are
/// connect three times.
pub const RTMPE_HANDSHAKES_BURST: u64 = 8;

/// RTMPE handshakes of each second after that: some 12 ms each on an ARM core of 1 GHz, so that
/// whoever knocks on and on costs the others 5 % of it.
pub const RTMPE_HANDSHAKES_PER_S: u64 = 4;

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
/// chunks let payload be received straight into its place. From 32 KiB on, the analyser that
/// technicians use (Wireshark 4.0) no longer follows.
pub const CHUNK_BYTES_OUT: u32 = 16 << 10;

/// Chunk size of both directions until a Set Chunk Size arrives (RTMP 1.0 §5.4.1).
pub const CHUNK_BYTES_DEFAULT: u32 = 128;

/// A chunk with at least this much payload still to come is received straight into its message's
/// place; below, one copy is cheaper than a second I/O vector.
pub const DIRECT_BYTES_MIN: u32 = 2 << 10;

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

/// Segments of an application. Each is a folder that the next start must find and clear: what is
/// deeper would keep its segments, and their memory, for ever.
pub const APP_SEGMENTS_MAX: usize = 3;
const _: () = assert!(APP_SEGMENTS_MAX < LEFTOVER_DEPTH_MAX, "the stream's own folder is one more");

/// Bytes of the query behind a stream name: stream keys and signed tokens.
pub const QUERY_BYTES_MAX: usize = 1024;

/// Bytes of an RTMP URL, and of an application, tcUrl or stream name made of it. Real ones with a
/// signed token are under 600; ffmpeg stops at 1024.
pub const URL_BYTES_MAX: usize = 2 << 10;
const _: () = assert!(URL_BYTES_MAX >= 512 + 2 * NAME_BYTES_MAX + QUERY_BYTES_MAX);

/// Bytes of a host's name: a DNS name as text (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Connect arguments in the userinfo of a URL; the richest in the field has 2.
pub const CONNECT_ARGUMENTS_MAX: usize = 16;

/// Items of `rtmp_conn`, those that begin and end objects included.
pub const CONNECT_ITEMS_MAX: usize = 64;

/// Objects inside each other in `rtmp_conn`; servers in the field ask for 2.
pub const CONNECT_DEPTH_MAX: usize = 8;
#[expect(clippy::as_conversions, reason = "a u8 always fits")]
const _: () = assert!(CONNECT_DEPTH_MAX <= AMF_DEPTH_MAX as usize, "our own server reads it");

/// Bytes of one option of the RTMP client. Fits a URL with a signed token, and `rtmp_conn`.
pub const CLIENT_OPTION_BYTES_MAX: usize = 1024;
const _: () = assert!(CLIENT_OPTION_BYTES_MAX + HOST_BYTES_MAX + 32 < URL_BYTES_MAX, "a tcUrl");

/// Buffer time that the client announces, in milliseconds: ffmpeg's bound. It is only sent.
pub const CLIENT_BUFFER_MS_MAX: u32 = (1 << 31) - 1;

/// Packets that RTMPT may gather for one HTTP request, each held until then.
pub const CLIENT_FLUSH_PACKETS_MAX: u32 = 100;

/// Bytes of a player's SWF file that a server may ask about: FWS files say their size in a u32,
/// real players are below 4 MiB.
pub const CLIENT_SWF_BYTES_MAX: u32 = (1 << 31) - 1;

/// Seconds to wait for an incoming connection: a day. Longer is for ever.
pub const CLIENT_LISTEN_S_MAX: u32 = 86_400;

/// Codecs that a client may announce; Enhanced RTMP 2 defines 14.
pub const CLIENT_CODECS_MAX: usize = 16;

/// Message streams that one connection may create; multitrack encoders use up to 4.
pub const MESSAGE_STREAMS_MAX: usize = 8;

/// Streams that one connection may publish at the same time. FMLE publishes its renditions on one.
pub const PUBLISHES_MAX: usize = 4;
const _: () = assert!(PUBLISHES_MAX <= MESSAGE_STREAMS_MAX);

/// Streams that one connection may play at the same time.
pub const PLAYS_MAX: usize = 4;
const _: () = assert!(PLAYS_MAX <= MESSAGE_STREAMS_MAX);

/// Messages that are gathered for one write to a player: two pictures and their audio are 6.
pub const FEED_MESSAGES: usize = 8;

/// Buffers of a connection that only plays: what it says is short.
pub const PLAYER_RX_BYTES: usize = 2 << 10;
/// See `PLAYER_RX_BYTES`; a message may take half of it.
pub const PLAYER_SCRATCH_BYTES: usize = 4 << 10;
/// See `PLAYER_RX_BYTES`: replies and statuses that wait.
pub const PLAYER_OUTBOX_BYTES: usize = 4 << 10;

/// Most that `limits.players` may be.
pub const PLAYERS_MAX: u32 = 1024;

/// Most seconds that a player may wait for a stream that is not there.
pub const PLAY_WAIT_S_MAX: u32 = 3600;

/// Time in which a player must take something of what waits for it.
pub const PLAYER_STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes that a player is sent before others have their turn.
pub const FEED_TURN_BYTES: usize = 256 << 10;

/// Bytes of replies that wait for a peer that does not read. The longest exchange before a peer
/// must have read something, connect to publish on every message stream, is under 4 KiB.
pub const OUTBOX_BYTES: usize = 16 << 10;
const _: () =
    assert!(OUTBOX_BYTES > 2 * HANDSHAKE_BYTES + 1, "the handshake's answer goes through it too");

/// Bytes of one reply before chunking.
pub const REPLY_BYTES_MAX: usize = 1024;
const _: () = assert!(REPLY_BYTES_MAX >= 512 + NAME_BYTES_MAX);

/// Bytes after which we ask the peer to acknowledge, and allow it unacknowledged; the number that
/// other servers send and that publishers have been tested with.
pub const ACK_WINDOW_BYTES: u32 = 2_500_000;

/// Bytes of the ring for commands and data of one connection: the longest message, twice.
pub const SCRATCH_BYTES: usize = 128 << 10;
#[expect(clippy::as_conversions, reason = "a small u32 always fits")]
const _: () = assert!(SCRATCH_BYTES >= 2 * COMMAND_BYTES_MAX as usize);

/// Connections that are told that every place is taken; more than that are just closed.
pub const REFUSAL_PLACES: usize = 2;

/// From accept to C2: a slow peer on a bad link needs two round trips.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// From C2 to an accepted publish. A technician's player that came to the wrong port goes too.
pub const SETUP_TIME_MAX: Duration = Duration::from_secs(20);

/// Without a complete audio or video message from a publisher: the connection is gone and TCP does
/// not know it yet, or it sends just enough to keep a name.
pub const SILENCE_TIME_MAX: Duration = Duration::from_secs(30);

/// A publisher that has been silent for so long gives way to another with the same name: encoders
/// reconnect faster than TCP notices.
pub const TAKEOVER_TIME_MIN: Duration = Duration::from_secs(5);

/// A publisher without a byte for so long gives way to its own sender on a new connection: the old
/// one hangs, or is gone without a word. Encoders send audio or pictures many times a second.
pub const TAKEOVER_QUIET_TIME: Duration = Duration::from_secs(1);

/// Bytes of a publisher that come this long after another has asked for its stream show that it is
/// well; those before may have been on their way.
pub const TAKEOVER_PROOF_TIME: Duration = Duration::from_millis(500);
const _: () = assert!(
    TAKEOVER_QUIET_TIME.as_millis() + TAKEOVER_PROOF_TIME.as_millis() < 2_000,
    "an encoder that comes back is on the air within 2 s"
);
const _: () = assert!(GATHER_PAUSE_MAX.as_millis() < TAKEOVER_PROOF_TIME.as_millis());

/// For a refused peer to take the refusal and close.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Most that `limits.connections_per_address` may be: every place there can be.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = PLAYERS_MAX + PUBLISHERS_MAX;

/// Pause between two lines that say that an address has too many connections.
pub const CROWD_PAUSE: Duration = Duration::from_secs(10);

/// Media bytes on a message stream that nobody publishes before the peer is sent away.
pub const STRAY_BYTES_MAX: u64 = 64 << 10;

/// Publishes that one connection may begin in its life. Encoders that stop and start without a new
/// connection do so by hand; each time may make and remove files, and is logged.
pub const PUBLISHES_PER_CONNECTION: u32 = 256;

/// Connections taken in a row before other tasks get their turn: a storm of them keeps the queue
/// of the kernel full.
pub const ACCEPTS_PER_TURN: u32 = 32;

/// Log lines about peers at once, and then each second: a technician's whole visit, but no disk
/// full of strangers.
pub const LOG_LINES_BURST: u64 = 100;
/// See `LOG_LINES_BURST`.
pub const LOG_LINES_PER_S: u64 = 5;

/// Pause between two lines that say how many were withheld.
pub const LOG_WITHHELD_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a peer's description of itself that are logged.
pub const AGENT_BYTES_SHOWN: usize = 64;

/// Messages in one aggregate: senders put some dozens into one. Each may end a segment, and
/// nothing else has a turn before the last.
pub const AGGREGATE_MESSAGES_MAX: u32 = 512;

/// Reads in a row before other connections get their turn: a megabyte, which takes a PC less than
/// `READ_TIME_MAX`.
pub const READS_PER_TURN: u32 = 8;

/// Time of a row of reads, after which other connections get their turn as well: bytes in chunks
/// of one cost many times those in chunks of 4096, and a Pi is slow. One read is the least.
pub const READ_TIME_MAX: Duration = Duration::from_millis(2);

/// Media time that may gather in the kernel between two messages before a publisher's bytes are
/// read: two pictures of 30 a second, and the audio with them. Not near the end of a segment.
pub const GATHER_TIME: Duration = Duration::from_millis(45);

/// The same while `GATHER_CROWD` players follow the stream, each of whom costs a write whenever
/// something has come: three pictures of 30 a second.
pub const GATHER_TIME_CROWD: Duration = Duration::from_millis(78);
const _: () = assert!(GATHER_TIME_CROWD.as_millis() < GATHER_PAUSE_MAX.as_millis());

/// Players of one stream that are a crowd.
pub const GATHER_CROWD: usize = 16;

/// Bytes that may gather at most; far below what the kernel holds.
pub const GATHER_BYTES_MAX: u32 = 48 << 10;

/// Silence after which a publisher's bytes are no longer gathered: what waits may be a command.
pub const GATHER_PAUSE_MAX: Duration = Duration::from_millis(100);

/// Pause after a failed accept: most likely no descriptor is left, and trying at once would burn
/// the processor.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// ---- RTMP: upstream -------------------------------------------------------------------------

/// For each answer of an upstream: to connect, to createStream, to publish or play. Servers that
/// ask another program first take a few seconds.
pub const UPSTREAM_STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of each text that we say to an upstream: an address, or a name with its query.
pub const UPSTREAM_TEXT_BYTES_MAX: usize = 1536;
const _: () = assert!(UPSTREAM_TEXT_BYTES_MAX > NAME_BYTES_MAX + 1 + QUERY_BYTES_MAX);

/// Bytes of the values that follow the command object of connect.
pub const UPSTREAM_ARGUMENTS_BYTES_MAX: usize = 512;

/// Codecs in one announcement of Enhanced RTMP; fewer exist.
pub const UPSTREAM_CODECS_MAX: usize = 32;

/// Bytes of a sentence from an upstream that are passed on; Adobe's challenge is under 200.
pub const UPSTREAM_WORDS_BYTES_MAX: usize = 512;

/// Bytes of one call before chunking. Connect says application and address, which repeats it; the
/// other calls say one name.
pub const CALL_BYTES_MAX: usize = 4 << 10;
const _: () = assert!(
    CALL_BYTES_MAX >= 2 * UPSTREAM_TEXT_BYTES_MAX + UPSTREAM_ARGUMENTS_BYTES_MAX + 512,
    "an address of full length can be said"
);
const _: () = assert!(OUTBOX_BYTES >= 2 * CALL_BYTES_MAX, "in chunks of the default size too");

/// Slices of one `writev`: half a megabyte in chunks of the size that we announce. The kernel takes
/// 1024.
pub const GATHER_SLICES: usize = 64;
// ---- RTMP: who may publish ------------------------------------------------------------------

/// Bytes of a description that asks a publisher who it is: ffmpeg reads no more.
pub const AUTH_DESCRIPTION_BYTES_MAX: usize = 255;

/// Bytes of a user's name; the description repeats it beside 158 bytes of its own.
pub const AUTH_USER_BYTES_MAX: usize = 64;
const _: () = assert!(AUTH_USER_BYTES_MAX + 158 <= AUTH_DESCRIPTION_BYTES_MAX);

/// From a challenge to its response: the encoder closes, connects again and shakes hands.
pub const AUTH_CHALLENGE_TIME: Duration = Duration::from_mins(1);
const _: () = assert!(AUTH_CHALLENGE_TIME.as_secs() > HANDSHAKE_TIME_MAX.as_secs());

/// Challenges that wait for their response. All encoders of a building that come back at once
/// after a power cut; the oldest goes, and that encoder asks again.
pub const AUTH_CHALLENGES_MAX: usize = 32;

/// The same from one address: encoders behind one that translates, and no flood.
pub const AUTH_CHALLENGES_PER_ADDRESS: usize = 8;
const _: () = assert!(AUTH_CHALLENGES_PER_ADDRESS < AUTH_CHALLENGES_MAX);

/// Wrong responses from one address before it is no longer listened to. A person mistypes thrice.
pub const AUTH_ATTEMPTS_MAX: u32 = 10;

/// Time after which one wrong response is forgiven: a password of six letters is guessed in 300
/// years at this rate.
pub const AUTH_FORGIVEN_TIME: Duration = Duration::from_secs(30);

/// Addresses whose wrong responses are remembered.
pub const AUTH_ADDRESSES_MAX: usize = 64;

/// To look an upstream's name up and connect: a person who watches waits no longer.
pub const UPSTREAM_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried: two of each family, within the time of one.
pub const UPSTREAM_ADDRESSES_MAX: usize = 4;

/// Times that one attempt lets upstreams send it elsewhere.
pub const UPSTREAM_REDIRECTS_MAX: usize = 3;

/// Least pause before an upstream is tried again.
pub const UPSTREAM_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest such pause: an upstream that comes back is found within a minute.
pub const UPSTREAM_PAUSE_MAX: Duration = Duration::from_mins(1);
const _: () = assert!(UPSTREAM_PAUSE_MIN.as_millis() < UPSTREAM_PAUSE_MAX.as_millis());

/// An upstream that held for so long is tried again as if it were the first time.
pub const UPSTREAM_STEADY_TIME: Duration = Duration::from_mins(1);

/// How often the deadlines of an upstream that is being asked are looked at.
pub const UPSTREAM_LOOK_TIME: Duration = Duration::from_secs(1);

/// Bytes of a player's file that is fetched to be hashed, as they come and inflated: real players
/// are below 4 MiB.
pub const PLAYER_FILE_BYTES_MAX: u32 = 16 << 20;
const _: () = assert!(PLAYER_FILE_BYTES_MAX <= CLIENT_SWF_BYTES_MAX);

/// Bytes of an inflated player that are held: what zlib may refer back to (RFC 1950 §2.2, CINFO 7).
/// Others have their turn after each of them.
pub const PLAYER_WINDOW_BYTES: usize = 32 << 10;
const _: () = assert!(PLAYER_WINDOW_BYTES.is_power_of_two());

/// Bytes of the head of the answer that brings a player, cookies included; its body comes through
/// the same buffer.
pub const PLAYER_HEAD_BYTES_MAX: usize = 8 << 10;

/// Times that a web server may send us elsewhere for a player: to https, to `www`, to its storage.
pub const PLAYER_REDIRECTS_MAX: usize = 3;

/// To fetch a player, redirects included: real ones are below 4 MiB, 17 s over 2 Mbit/s.
pub const PLAYER_TIME_MAX: Duration = Duration::from_secs(20);

/// Ring of `rillcast pull`: two messages of full length, and what comes beside them.
pub const PULL_FILE_RING_BYTES: usize = 20 << 20;
const _: () = assert!(PULL_FILE_RING_BYTES / 2 >= 8 << 20, "a message may take half of a ring");

/// Longest gap between two tags of a file that `rillcast push` waits for: a longer one is a jump.
pub const PUSH_FILE_GAP_MAX: Duration = Duration::from_secs(10);

/// Seconds that `rillcast pull` may be asked for: a day.
pub const PULL_FILE_SECONDS_MAX: u32 = 86_400;

/// Upstreams that streams are sent to, and as many that streams are fetched from. Each has a place
/// of its own.
pub const RELAYS_MAX: usize = 4;

/// Bytes of the name of such a section.
pub const RELAY_NAME_BYTES_MAX: usize = 32;

/// Bytes of one of its texts: a whole URL.
pub const RELAY_TEXT_BYTES_MAX: usize = URL_BYTES_MAX;

/// Options of one such section; there are fewer kinds.
pub const RELAY_OPTIONS_MAX: usize = 24;

/// Bytes of the reason that page and status show for it.
pub const RELAY_REASON_BYTES_MAX: usize = 256;

/// Seconds for which a stream is fetched on after its last viewer: an hour is always.
pub const WATCHED_IDLE_S_MAX: u32 = 3600;
// ---- RTMP: who may publish ------------------------------------------------------------------

/// Bytes of a stream key or password: the largest platforms' keys are under 128. A query has room
/// for it, and for what else stands there.
pub const SECRET_BYTES_MAX: usize = 256;
const _: () = assert!(2 * SECRET_BYTES_MAX + AUTH_USER_BYTES_MAX < QUERY_BYTES_MAX);

/// Streams with settings of their own: twice as many as can be on the air.
pub const STREAM_RIGHTS_MAX: usize = 64;

/// Users that can sign in: one for each stream that can be on the air.
pub const USERS_MAX: usize = 32;

/// Users that one stream names.
pub const STREAM_USERS_MAX: usize = 16;

// ---- RTMPT ----------------------------------------------------------------------------------

/// Most that `limits.tunnels` may be. Each costs both queues and, in use, a publisher's or a
/// player's place.
pub const TUNNELS_MAX: u32 = 64;

/// Bytes of requests that wait for the RTMP side of a tunnel: what one read of it takes.
pub const TUNNEL_IN_BYTES: usize = 64 << 10;

/// Bytes that wait for the client of a tunnel, those included that it may yet ask for again.
pub const TUNNEL_OUT_BYTES: usize = 64 << 10;

/// Bytes of one answer; as much again may be written while it is on its way.
pub const TUNNEL_ANSWER_BYTES_MAX: usize = 32 << 10;
const _: () = assert!(2 * TUNNEL_ANSWER_BYTES_MAX <= TUNNEL_OUT_BYTES);

/// Bytes of one request's body. They are passed on as they come; the bound is for senders that
/// never end. Ten packets are sent at once, of which one is a large keyframe.
pub const TUNNEL_BODY_BYTES_MAX: u64 = 16 << 20;
#[expect(clippy::as_conversions, reason = "a u32 always fits")]
const _: () = assert!(TUNNEL_BODY_BYTES_MAX > MESSAGE_BYTES_MAX as u64);

/// From the head of a tunnelled request to the end of its answer: a large keyframe over a slow
/// uplink.
pub const TUNNEL_REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Without a request: the client is gone. The slowest polls twice a second.
pub const TUNNEL_IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of the head of a tunnelled request, and of its answer's: those of proxies are below 1 KiB.
pub const TUNNEL_HEAD_BYTES_MAX: usize = 2 << 10;
const _: () = assert!(TUNNEL_HEAD_BYTES_MAX >= HOST_BYTES_MAX + TUNNEL_NAME_BYTES_MAX + 512);

/// Bytes of the name that a server gives to a session: ffmpeg takes as many.
pub const TUNNEL_NAME_BYTES_MAX: usize = 63;

/// Pause of a client after an answer without bytes: ffmpeg's, whatever the interval byte says.
pub const TUNNEL_PAUSE: Duration = Duration::from_millis(50);

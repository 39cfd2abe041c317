//! Every bound of the program, with its reason.
//!
//! A peer-chosen length, count, depth, time or queue is compared with its bound here before it is
//! used for anything. Settings choose values within these bounds; they never exceed them.

mod check;
mod groups;
mod ledger;
mod playlist;
mod rtmp;

pub use check::*;
pub use groups::*;
pub use ledger::*;
pub use playlist::*;
pub use rtmp::*;

use crate::time::Ticks;
use core::time::Duration;

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

// ---- Media ----------------------------------------------------------------------------------

/// Media time of a stream's first sample: the clock runs ahead of it and must not begin below 0.
pub const TIMELINE_EPOCH: Ticks = Ticks::from_millis(3_000);
const _: () = assert!(TIMELINE_EPOCH.0 > PCR_LEAD_TICKS.0 + AUDIO_EARLY_MS * 90);

/// Program clock behind decode time: a player may buffer this much before it must decode. With
/// the composition lead and audio ahead of video it must stay below 1 s (H.222.0 §2.4.2.6).
pub const PCR_LEAD_TICKS: Ticks = Ticks::from_millis(500);

/// Distance of two clock references; H.222.0 §2.7.2 asks for at most 100 ms.
pub const PCR_INTERVAL_TICKS_MAX: Ticks = Ticks::from_millis(99);

/// Audio that may come before the first video sample in media time. Encoders that start audio
/// first are ahead by less. Milliseconds.
pub const AUDIO_EARLY_MS: i64 = 1_000;

/// Audio frames held back: until the first keyframe tells where the first segment starts, and
/// while new parameters wait for their keyframe. 64 AAC frames at 48 kHz are 1.4 s.
pub const AUDIO_FRAMES_HELD: usize = 64;

/// Audio frames in one message: encoders send one, some a dozen. Each may end a segment, and
/// nothing else has a turn before the last.
pub const AUDIO_FRAMES_PER_MESSAGE_MAX: u32 = 32;

/// Audio this far behind the pictures has stopped, whatever the sender: silence goes on in its
/// place. Senders that interleave badly hold one track back for up to a second.
pub const AUDIO_MISSED_TICKS_MAX: Ticks = Ticks::from_millis(1_500);

/// The same where the sender keeps step: before the clock of the program is past it.
pub const AUDIO_MISSED_TICKS_MIN: Ticks = Ticks::from_millis(400);
const _: () = assert!(AUDIO_MISSED_TICKS_MIN.0 < PCR_LEAD_TICKS.0);

/// Silence goes on until it is this much less behind than that.
pub const SILENCE_AHEAD_TICKS: Ticks = Ticks::from_millis(100);
const _: () = assert!(SILENCE_AHEAD_TICKS.0 < AUDIO_MISSED_TICKS_MIN.0);

/// Silent frames written with one picture: what a gap inside one track's time may need, of the
/// shortest frames there are (576 samples at 48 kHz).
pub const SILENT_FRAMES_AT_ONCE: usize = 1_024;

/// Audio in one PES packet. Several frames share its overhead; 100 ms also keeps the clock due.
pub const AUDIO_PES_TICKS_MAX: Ticks = Ticks::from_millis(95);

/// Payload bytes of one audio PES packet: its length field has 16 bits, its header takes 8.
pub const AUDIO_PES_BYTES_MAX: usize = 65_535 - 8;

/// Bytes of one Opus packet: 48 frames of at most 1275 each (RFC 6716 §3.2.1, §3.2.5).
pub const OPUS_PACKET_BYTES_MAX: usize = 48 * 1275;
const _: () = assert!(
    OPUS_PACKET_BYTES_MAX + OPUS_PACKET_BYTES_MAX / 255 + 3 <= AUDIO_PES_BYTES_MAX,
    "the longest packet fits a PES packet with its control header"
);

/// NAL units in one access unit. Encoders cut a picture into at most a few dozen slices.
pub const NAL_UNITS_MAX: usize = 256;

/// Bytes of SPS and PPS kept of one track; real ones take under 200.
pub const PARAMETER_BYTES_MAX: usize = 4 << 10;

/// A keyframe this much before the target still ends the segment: millisecond timestamps put a
/// keyframe that is due at 2.000 s at 1.999 s as often as not.
pub const CUT_SLACK_TICKS: Ticks = Ticks::from_millis(60);

/// Media time to wait for a first keyframe before starting without one.
pub const FIRST_KEYFRAME_TICKS_MAX: Ticks = Ticks::from_millis(10_000);

/// Media time that audio waits for a first word of video before it goes on alone. Encoders send
/// both configurations within a frame of each other.
pub const AUDIO_ALONE_TICKS: Ticks = Ticks::from_millis(1_500);

/// Media time that audio of another encoding waits for its keyframe, and audio after a jump for
/// its picture: held longer, it would be behind the clock of that picture.
pub const AUDIO_HELD_TICKS_MAX: Ticks = PCR_LEAD_TICKS;
const _: () = assert!(AUDIO_HELD_TICKS_MAX.0 < PCR_LEAD_TICKS.0 + COMPOSITION_LEAD_MS * 90);

/// Audio this much ahead of the last picture no longer waits for video to end a segment.
pub const VIDEO_STARVED_TICKS: Ticks = Ticks::from_millis(1_000);

/// Audio this much ahead of the last picture carries the clock on in the picture's stead.
pub const VIDEO_LATE_TICKS: Ticks = Ticks::from_millis(200);

/// Longest segment while the target duration is not settled.
pub const SEGMENT_TICKS_MAX: Ticks = Ticks::from_millis(20_000);
/// Pixels along one side of a picture that are believed: level 6.2 allows no more (H.264 table
/// A-1, the square root of 8 · `MaxFS` macroblocks), and no player here shows more.
pub const VIDEO_SIDE_PIXELS_MAX: u32 = 16_896;
const _: () = assert!(VIDEO_SIDE_PIXELS_MAX.is_multiple_of(16));
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
pub const COMPOSITION_MS_MIN: i64 = -200;
/// See `COMPOSITION_MS_MIN`.
pub const COMPOSITION_MS_MAX: i64 = 10_000;

/// Constant distance from a track's decode time to its presentation time at composition time 0,
/// so that no accepted negative composition time ever presents before it decodes. Milliseconds.
pub const COMPOSITION_LEAD_MS: i64 = 200;
const _: () = assert!(COMPOSITION_LEAD_MS + COMPOSITION_MS_MIN >= 0);

/// Audio time is counted in samples until the wire's time is further away than this; RTMP's
/// rounding to milliseconds and bursty senders stay below. Milliseconds.
pub const AUDIO_DRIFT_MS_MAX: i64 = 50;

/// The wire's audio time must stay behind the counted time for this long before the count steps
/// back to it: senders that stamp bursts alike fall behind and catch up again. Milliseconds.
pub const AUDIO_BEHIND_MS_MAX: i64 = 500;

/// One video frame while no two have been seen. Milliseconds.
pub const FRAME_MS_DEFAULT: i64 = 40;
/// Widths of a test card or slate: the smallest that can be read, the largest that level 5.2 takes.
pub const CARD_WIDTH: core::ops::RangeInclusive<u16> = 160..=4096;

/// Heights of a test card or slate, as its widths.
pub const CARD_HEIGHT: core::ops::RangeInclusive<u16> = 128..=2304;

/// Pictures per second of a test card. Not 1: two IDR pictures in a row would need different ids.
pub const CARD_FRAMES_PER_SECOND: core::ops::RangeInclusive<u32> = 2..=60;

/// Bytes of a test card's message: keyframes of 1280x720 take 55 KiB, of 4096x2304 half of this.
pub const CARD_MESSAGE_BYTES_MAX: usize = 512 << 10;
const _: () = assert!(CARD_MESSAGE_BYTES_MAX < 1 << 24, "FLV lengths are u24");

/// Pictures per second of a slate: nothing moves, and players stay awake.
pub const SLATE_FRAMES_PER_SECOND: u32 = 5;
const _: () = assert!(SLATE_FRAMES_PER_SECOND >= *CARD_FRAMES_PER_SECOND.start());

/// Milliseconds in the day that the test card's clock shows.
pub const DAY_MS: u32 = 86_400_000;

/// Width of the test card unless asked otherwise: every player decodes 720p.
pub const CARD_WIDTH_DEFAULT: u16 = 1280;

/// Height of the test card unless asked otherwise.
pub const CARD_HEIGHT_DEFAULT: u16 = 720;

/// Pictures per second of the test card unless asked otherwise.
pub const CARD_FRAMES_DEFAULT: u32 = 25;

// ---- HLS ------------------------------------------------------------------------------------

/// A slot that is too short for its segment grows by this much at a time.
pub const SLOT_STEP_BYTES: usize = 64 << 10;

/// Bytes of a segment's file name: eight digits, a hyphen, twenty digits, and a suffix
/// such as `.ts` or `.aac`.
pub const SEGMENT_NAME_BYTES_MAX: usize = 33;

/// Bytes of a stream's path, `app/name`: app and name have 128 each at most.
pub const STREAM_PATH_BYTES_MAX: usize = 260;

/// A stream keeps its place for so long after its publisher has left: a camera that reboots comes
/// back within this.
pub const STREAM_AWAY_TIME_MIN: Duration = Duration::from_mins(2);

/// A camera that begins, or one that was here before the program was started, is expected to have
/// a segment within this. Who asks for its playlist meanwhile is asked to be patient.
pub const STREAM_EXPECTED_TIME: Duration = Duration::from_mins(1);

/// Bytes of the sentence that says what is wrong with a stream.
pub const STREAM_PROBLEM_BYTES_MAX: usize = 240;
/// Segments held by one playlist, listed and waiting. Where segments come out shorter than
/// configured, three target durations (RFC 8216 §6.2.2) take more of them than the window says.
pub const PLAYLIST_SEGMENTS_MAX: usize = 128;
const _: () = assert!(PLAYLIST_SEGMENTS_MAX > 2 * WINDOW_MAX);

/// Segments that may wait for the playlist's next version; with more the version is early.
pub const PENDING_SEGMENTS_MAX: usize = 2;
const _: () = assert!(WINDOW_MAX + PENDING_SEGMENTS_MAX < PLAYLIST_SEGMENTS_MAX);

/// Segments that leave the playlist in one version; the window is reached over several.
pub const RETIRED_PER_UPDATE_MAX: usize = 8;
const _: () = assert!(
    RETIRED_PER_UPDATE_MAX > PENDING_SEGMENTS_MAX + 1,
    "a version removes at least what it adds"
);

/// A segment is cut here while no target duration is settled, unless it is meant to be longer.
/// Encoders' key frame intervals reach 10 s. Milliseconds.
pub const FIRST_SEGMENT_MS_MAX: i64 = 10_500;

/// What a segment may exceed the target duration by: rounded to the nearest second it must not be
/// more (RFC 8216 §4.3.3.1). Milliseconds.
pub const TARGET_EXCESS_MS_MAX: i64 = 499;

/// Bytes of a rendered playlist: the header, and per segment a discontinuity tag (21), a date (50),
/// a duration (at most 19 in front of the comma), a name of at most 33 and a key; then its date
/// ranges.
pub const PLAYLIST_BYTES_MAX: usize = 320
    + (130 + GROUP_TAGS_BYTES_MAX + KEY_LINE_BYTES_MAX) * PLAYLIST_SEGMENTS_MAX
    + DATE_RANGES_MAX * (DATE_RANGE_BYTES_MAX + 1);

/// A compressed playlist has room for one byte in so many of the plain one: it comes out at a
/// fourth to a tenth, and where every line has its own key at a half. One that does not fit is
/// sent as it is.
pub const GZIP_SHARE: usize = 2;
/// Bytes of a key tag with its name (19), method (18), address (41), vector (38) and line end.
pub const KEY_LINE_BYTES_MAX: usize = 120;

/// Segments that a key may last at most: a day of two-second segments, which nobody who changes
/// keys wants to exceed; 0 is for those who do not.
pub const KEY_SEGMENTS_MAX: u32 = 43_200;

/// Ring for files, small enough to stay in the second-level cache.
pub const FILE_RING_BYTES: usize = 1 << 20;

/// Bytes read from a file at once: stays in the second-level cache until it is in packets.
pub const FILE_READ_BYTES: usize = 256 << 10;
const _: () = assert!(FILE_RING_BYTES >= 4 * FILE_READ_BYTES);

/// Packets collected before a write to a file: 47 whole pages, so that no page is written twice.
pub const FILE_WRITE_PACKETS: usize = 1024;
const _: () = assert!((FILE_WRITE_PACKETS * 188).is_multiple_of(4096));

/// Bytes that a segment takes in a playlist: four lines.
pub const PLAYLIST_LINE_BYTES_MAX: usize = 160 + GROUP_TAGS_BYTES_MAX;

/// The wall clock is moved if it gains or loses this between two segments: what keeps a clock right
/// turns it by 500 ppm at most, 10 ms in the longest segment. Microseconds.
pub const CLOCK_STEP_US_MIN: i64 = 250_000;

/// Segments may come this much sooner or later than their dates say before the dates follow: what
/// networks and encoders hold back passes. Microseconds.
pub const DATE_SLACK_US: i64 = 500_000;

/// So many segments in a row must come beside their dates, on one side, before the dates follow.
pub const DATE_DRIFT_SEGMENTS: u8 = 16;

/// What dates are moved by with each segment, where the sender's clock runs away from ours: below
/// what a date can say, and 50 ppm of the longest segment, as much as a crystal is off.
pub const DATE_SLEW_US_MAX: i64 = 1_000;

/// Date ranges that a playlist holds: a cue point every second in a window of sixteen.
pub const DATE_RANGES_MAX: usize = 16;

/// Bytes of the line of a date range: the fixed part takes 110, the rest is the sender's own.
pub const DATE_RANGE_BYTES_MAX: usize = 320;

/// Properties of a message of timed data that are read.
pub const CUE_PROPERTIES_MAX: usize = 16;

/// Bytes of the ID3 tag that is made of one message: eleven packets.
pub const ID3_TAG_BYTES_MAX: usize = 2 << 10;

/// Seconds before the live end at which a playlist may tell players to start: more than any window.
pub const START_OFFSET_S_MAX: u32 = 7_200;

/// Dates further from the truth than this for `DATE_DRIFT_SEGMENTS` are not led back but dropped: a
/// sender that paused and went on. Microseconds.
pub const DATE_FAULT_US_MAX: i64 = 5_000_000;
/// Key pictures of one segment that its I-frame playlist lists. Players that scroll show a few in a
/// second at most; an encoder that sends more has only some of them listed.
pub const I_FRAMES_PER_SEGMENT_MAX: usize = 12;

/// Bytes that one segment takes in an I-frame playlist: a discontinuity (21), its key and where its
/// tables are (71), and for each picture a duration (31), a range (39) and a name (33).
pub const I_FRAME_LINES_BYTES_MAX: usize =
    96 + GROUP_TAGS_BYTES_MAX + KEY_LINE_BYTES_MAX + 104 * I_FRAMES_PER_SEGMENT_MAX;

/// Encodings of one track that a master playlist names: the present one, and those before it that
/// are still listed. A camera that changes more often than a window lasts is out of order.
pub const ENCODINGS_LISTED_MAX: usize = 4;

/// Bytes of all names that a master playlist lists: 40 for a video codec, 10 for an audio codec,
/// each with its comma.
pub const CODEC_LIST_BYTES_MAX: usize = ENCODINGS_LISTED_MAX * (40 + 1 + 10 + 1);

/// Bytes of a master playlist: two lines with names, figures of at most 20 digits, and addresses;
/// and a key.
pub const MASTER_BYTES_MAX: usize = 1024 + KEY_LINE_BYTES_MAX;
const _: () = assert!(MASTER_BYTES_MAX > 3 * CODEC_LIST_BYTES_MAX);

/// Seconds that a master playlist may be kept: it names what seldom changes.
pub const MASTER_AGE_S: core::ops::RangeInclusive<u32> = 5..=60;

// ---- HTTP -----------------------------------------------------------------------------------

/// Connections at once, each a fixed place of `HTTP_REQUEST_BYTES`. A playing viewer uses one or
/// two; a Pi's Ethernet port is full long before.
#[expect(clippy::as_conversions, reason = "a small u32 always fits")]
pub const HTTP_VIEWERS_MAX: usize = VIEWERS_MAX as usize;

/// Connections from one address that is not this machine's. A browser opens six per host; a NAT
/// in front of a classroom is why this is not smaller.
pub const HTTP_PER_ADDRESS: usize = 32;

/// A request for the playlist of a stream that is expected waits for it so long. Players give a
/// server 10 s for its first byte, and up when it says no.
pub const PLAYLIST_WAIT_TIME: Duration = Duration::from_secs(9);

/// Bytes of a request head, and of the requests that wait behind it.
pub const HTTP_REQUEST_BYTES: usize = 8 << 10;

/// Bytes of a request line, with its line end.
pub const HTTP_LINE_BYTES: usize = 4 << 10;
const _: () = assert!(HTTP_LINE_BYTES < HTTP_REQUEST_BYTES);

/// Bytes of a path before decoding; the longest that names anything here is far shorter.
pub const HTTP_PATH_BYTES: usize = 2 << 10;
const _: () =
    assert!(HTTP_PATH_BYTES < HTTP_LINE_BYTES, "a path that is too long is named as such");

/// Header fields of a request; browsers send about 20.
pub const HTTP_FIELDS: usize = 64;

/// Body bytes of a request that are read and thrown away so that the connection can stay open;
/// nothing here takes a body.
pub const HTTP_DISCARD_BYTES: u64 = 8 << 10;

/// Bytes of a query that a redirect repeats: more than a key has.
pub const HTTP_QUERY_BYTES_KEPT: usize = 512;

/// Bytes of a response head: every field at its longest, with a redirect to an encoded path.
pub const HTTP_HEAD_OUT_BYTES: usize = 8 << 10;
const _: () = assert!(
    HTTP_HEAD_OUT_BYTES >= 3 * HTTP_PATH_BYTES + HTTP_QUERY_BYTES_KEPT + 1024,
    "a byte of a path is three when encoded"
);

/// Bytes of a rendered answer that is not a segment: a playlist of two hours of 6 s segments, or
/// the page with every stream on it.
pub const HTTP_BODY_BYTES: usize = 128 << 10;

/// Bytes of a long playlist that are rewritten at once for a viewer with a key. An address of 38
/// bytes may grow by a key of 256: the result fits the rest of the output buffer.
pub const HTTP_PIECE_BYTES: usize = 8 << 10;
const _: () = assert!(HTTP_PIECE_BYTES * (1 + 262 / 38) <= HTTP_BODY_BYTES);

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

/// From accept to a viewer's first byte.
pub const HTTP_FIRST_BYTE_TIME_MAX: Duration = Duration::from_secs(5);

/// From the first byte of a request head to its end, however it trickles.
pub const HTTP_HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Between two requests of one connection: more than any target duration that is chosen.
pub const HTTP_IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// Without anything acknowledged while an answer waits for it.
pub const HTTP_STALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Below the least rate while an answer waits for it.
pub const HTTP_SLOW_TIME_MAX: Duration = Duration::from_secs(30);
const _: () = assert!(HTTP_SLOW_TIME_MAX.as_secs() > HTTP_STALL_TIME_MAX.as_secs());

/// Reading on after the last answer.
pub const HTTP_LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// Bytes a second that a client has to acknowledge while an answer waits for it: below this even
/// a sound-only stream cannot be followed.
pub const HTTP_SLOW_BYTES_S: u64 = 8 << 10;

/// Bytes read and thrown away after the last answer, so that a reset does not eat it.
pub const HTTP_LINGER_BYTES: usize = 64 << 10;

/// Connections the kernel queues before `accept`.
pub const HTTP_BACKLOG: i32 = 511;

/// Seconds that the kernel keeps a connection to itself until its first bytes have come.
pub const HTTP_DEFER_S: u32 = 5;

// ---- Settings and program -------------------------------------------------------------------

/// The one tick that drives all deadlines.
pub const TICK: Duration = Duration::from_millis(100);

/// The tick may come so much early, with a message that wakes the loop anyway.
pub const TICK_EARLY_MAX: Duration = Duration::from_millis(40);

/// Descriptors that one wait reports; the rest are reported by the next.
pub const POLL_EVENTS: usize = 64;

/// Tasks that run before the loop looks for news again.
pub const TASKS_PER_TURN: u32 = 64;

/// Time that they run before it does.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(4);
const _: () = assert!(TURN_TIME_MAX.as_millis() >= 2 * READ_TIME_MAX.as_millis());

/// Descriptors beside connections and slots: listeners, folders, epoll, standard streams, and
/// connections that are still draining.
pub const DESCRIPTORS_SPARE: u64 = 64;

/// Sockets that a service manager may pass to the program: one for each port, and some for boards
/// that listen on several addresses.
pub const INHERITED_SOCKETS_MAX: i32 = 8;

/// Pause before a task that ended is started again.
pub const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Names on the air at once. Each costs a ring and its slots; 32 fill the largest board.
pub const STREAMS_MAX: u32 = 32;

/// Connections that may publish at once, those still shaking hands included.
pub const PUBLISHERS_MAX: u32 = 64;

/// HTTP connections at once. Beyond this one thread on a small core cannot keep its deadlines.
pub const VIEWERS_MAX: u32 = 4096;

/// Bytes of one stream's ring at least: a 720p keyframe with its audio fits.
pub const RING_BYTES_MIN: u32 = 256 << 10;

/// Bytes of one stream's ring at most: 8 s at 64 Mbit/s, far beyond what the boards carry.
pub const RING_BYTES_MAX: u32 = 64 << 20;
const _: () = assert!(
    RING_BYTES_MAX >= 2 * MESSAGE_BYTES_MAX,
    "the largest message fits the largest ring beside another"
);

/// Bytes of one segment's slot at least: one second at 2 Mbit/s.
pub const SLOT_BYTES_MIN: u32 = 256 << 10;

/// Bytes of one segment's slot at most: eight seconds at 64 Mbit/s.
pub const SLOT_BYTES_MAX: u32 = 64 << 20;

/// Wanted segment duration at least. Shorter ones cost a playlist request each half second from
/// every player, and `EXTINF` rounds below half a second to nothing (RFC 8216 §4.3.3.1).
pub const SEGMENT_MS_MIN: u32 = 500;

/// Wanted segment duration at most: a player starts three of them behind (RFC 8216 §6.3.3).
pub const SEGMENT_MS_MAX: u32 = 20_000;

/// `EXT-X-TARGETDURATION` at most, in seconds, by setting or by a first segment: the longest
/// segment and a late keyframe.
pub const TARGET_DURATION_S_MAX: u32 = 60;
const _: () = assert!(TARGET_DURATION_S_MAX * 1000 >= SEGMENT_MS_MAX);

/// Segments a playlist lists at least: it may not become shorter than three target durations
/// (RFC 8216 §6.2.2).
pub const WINDOW_SEGMENTS_MIN: u32 = 3;

/// Segments a playlist lists at most: a minute of one-second segments to scroll back.
pub const WINDOW_SEGMENTS_MAX: u32 = 60;

/// The same as a count of places.
#[expect(clippy::as_conversions, reason = "a small u32 always fits")]
pub const WINDOW_MAX: usize = WINDOW_SEGMENTS_MAX as usize;

/// Slots of a stream beside its window and what players may still be fetching: the one being
/// written, and one so that a slow response does not hold up the next segment.
pub const SLOTS_SPARE: u32 = 2;

/// Bytes of rings and mapped slots together. A 32-bit process has 3 GiB of addresses at best and
/// libraries, stacks and fragments need some of them; a 64-bit one is held by its memory only.
pub const MEDIA_BYTES_MAX: u64 = if cfg!(target_pointer_width = "32") { 2 << 30 } else { 64 << 30 };

/// Address ranges in one setting: more than a site has networks.
pub const NETWORKS_MAX: usize = 16;

/// Bytes of a settings file: the default one with all its comments is under 4 KiB.
pub const SETTINGS_TEXT_BYTES_MAX: usize = 64 << 10;

/// Characters of a wrong value or name that an error message repeats.
pub const SEEN_CHARS_MAX: usize = 48;

/// Bytes of a folder's path. Leaves room for our file names below it within the kernel's 4096
/// and keeps paths in log lines readable.
pub const FOLDER_BYTES_MAX: usize = 240;

/// Seconds of test card that can be made into a file: a day, past the 24-bit timestamp wrap.
pub const TESTCARD_SECONDS_MAX: u32 = 86_400;

/// Files and folders that one clearing of left-over files looks at; more means that the folder
/// is not ours.
pub const LEFTOVERS_MAX: u32 = 2 * ROWS_MAX + 16_384;
const _: () = assert!(
    LEFTOVERS_MAX > 2 * ROWS_MAX + 8 * STREAMS_MAX,
    "all slots and playlists of the largest configuration are ours"
);

/// Depth of folders below `hls.dir`: application, then stream.
pub const LEFTOVER_DEPTH_MAX: usize = 4;

// ---- TLS ------------------------------------------------------------------------------------

/// Bytes of ciphertext held for a connection: a whole record and most of the next, so that one
/// `recv` takes more than one; the certificates of a server must fit as well.
pub const TLS_RX_BYTES: usize = 40 << 10;
const _: () = assert!(TLS_RX_BYTES >= 2 * (TLS_PLAIN_BYTES + 2048 + 5), "RFC 5246 §6.2.3");

/// Bytes of plaintext in one record that we send: as many as a record may hold (RFC 8446 §5.1).
pub const TLS_PLAIN_BYTES: usize = 16 << 10;

/// Bytes of ciphertext that wait to be sent: one record with what encryption adds.
pub const TLS_TX_BYTES: usize = TLS_PLAIN_BYTES + 512;

/// Bytes that rustls holds for a connection, at most: the state of its handshake, a message of it
/// in parts, and the keys.
pub const TLS_STATE_BYTES: usize = 24 << 10;

/// Bytes of the authorities that a client knows: a list like Mozilla's takes 80 KiB in memory.
pub const TLS_ROOTS_BYTES: usize = 128 << 10;

/// Most that `limits.tls` may be: every publisher, and a few hundred players.
pub const TLS_PLACES_MAX: u32 = 512;

/// Sessions that can be resumed without a whole handshake: each camera and player of a box once.
pub const TLS_SESSIONS_MAX: usize = 64;

/// Bytes of a file of certificates or keys: a system's whole list of authorities is under 256 KiB.
pub const TLS_FILE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of the pin of a key: SHA-256.
pub const TLS_PIN_BYTES: usize = 32;

/// Bytes of a certificate that the box makes for itself; it takes about 460.
pub const TLS_OWN_BYTES_MAX: usize = 1 << 10;

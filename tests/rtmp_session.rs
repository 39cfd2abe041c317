//! The RTMP server session, as publishers of the field talk to it.
//!
//! Each conversation is what that client was seen to send, message by message; replies are read
//! back from the outbox by a reader of chunks that is only good enough for this.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "shared by tests; the settings allow it in test functions alone"
)]

#[path = "support/vectors.rs"]
mod vectors;

use core::fmt::Write as _;

use proptest::prelude::*;
use rillcast::limits;
use rillcast::proto::rtmp::enchunk::Outbox;
use rillcast::proto::rtmp::event::{Admission, Event, PlayRefusal, PlayWish, PublishKind, Reason};
use rillcast::proto::rtmp::server::{Session, SessionError};
use rillcast::status::{Counter, Status};
use rillcast::time::Millis;
use rillcast::wire::amf0::{Value, Values};
use rillcast::wire::reader::Reader;
use rillcast::wire::rtmp::chunk::{BasicHeader, MessageHeader};
use rillcast::wire::rtmp::command::Command;
use rillcast::wire::rtmp::message::{MessageType, SetChunkSize};
use vectors::{amf, hex};

const COMMAND: MessageType = MessageType::CommandAmf0;
const DATA: MessageType = MessageType::DataAmf0;

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
enum Arg<'a> {
    B(bool),
    N(f64),
    S(&'a str),
}

fn call(name: &str, transaction: f64, arguments: &[Arg<'_>]) -> Vec<u8> {
    amf(|e| {
        e.string(name.as_bytes()).unwrap();
        e.number(transaction).unwrap();
        e.null().unwrap();
        for argument in arguments {
            match argument {
                Arg::B(b) => e.boolean(*b).unwrap(),
                Arg::N(n) => e.number(*n).unwrap(),
                Arg::S(s) => e.string(s.as_bytes()).unwrap(),
            }
        }
    })
}

fn connect(properties: &[(&str, &str)]) -> Vec<u8> {
    amf(|e| {
        e.string(b"connect").unwrap();
        e.number(1.0).unwrap();
        e.object().unwrap();
        for (name, value) in properties {
            e.key(name.as_bytes()).unwrap();
            e.string(value.as_bytes()).unwrap();
        }
        e.end().unwrap();
    })
}

/// `first` and `second`, then metadata as ECMA array or object.
fn metadata(names: &[&str], ecma: bool) -> Vec<u8> {
    amf(|e| {
        for name in names {
            e.string(name.as_bytes()).unwrap();
        }
        if ecma {
            e.ecma_array(20).unwrap();
        } else {
            e.object().unwrap();
        }
        e.key(b"width").unwrap();
        e.number(1280.0).unwrap();
        e.end().unwrap();
    })
}

/// A reply as a test reads it: message stream, what it is, what it says.
#[derive(Debug, PartialEq)]
struct Said(u32, String);

/// A peer with the server's session.
struct Peer {
    session: Session,
    out: Outbox,
    status: Status,
    chunk_bytes: usize,
    /// Of the last play.
    wish: Option<PlayWish>,
}

impl Peer {
    fn new() -> Self {
        Self {
            session: Session::new(Admission::Open),
            out: Outbox::new(),
            status: Status::new(),
            chunk_bytes: 128,
            wish: None,
        }
    }

    /// After a connect to `live` whose answers were read.
    fn connected() -> Self {
        let mut peer = Self::new();
        peer.send(COMMAND, 0, &connect(&[("app", "live")])).unwrap();
        peer.replies();
        peer
    }

    /// After a publish of `live/key` on message stream 1 whose answers were read.
    fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.calls(0, "createStream", 4.0, &[]);
        peer.calls(1, "publish", 5.0, &[Arg::S("key"), Arg::S("live")]);
        peer.session.accept_publish(1, &mut peer.out).unwrap();
        peer.replies();
        peer
    }

    /// The event in words.
    fn send(
        &mut self,
        kind: MessageType,
        stream: u32,
        payload: &[u8],
    ) -> Result<String, SessionError> {
        let (out, status) = (&mut self.out, &self.status);
        let event = self.session.message(kind, stream, Millis(77), payload, out, status)?;
        Ok(match event {
            None => String::new(),
            Some(Event::Connect { app, said, query, agent, publishes }) => {
                let (said, agent) = (said.escape_ascii(), agent.escape_ascii());
                format!("connect {app} {said} {query} {agent} {publishes}")
            }
            Some(Event::Connected { app, query, agent }) => {
                format!("connected {app} {query} {}", agent.escape_ascii())
            }
            Some(Event::Publish { stream, app, name, query, app_query, kind }) => {
                format!("publish {stream} {app} {name} {query} {app_query} {kind:?}")
            }
            Some(Event::Unpublish { stream }) => format!("unpublish {stream}"),
            Some(Event::Play { stream, app, name, query, app_query, wish }) => {
                self.wish = Some(wish);
                format!("play {stream} {app} {name} {query} {app_query} {:?}", wish.start)
            }
            Some(Event::Stop { stream }) => format!("stop {stream}"),
            Some(Event::Pause { stream, paused }) => format!("pause {stream} {paused}"),
            Some(Event::ReceiveAudio { stream, wanted }) => format!("audio {stream} {wanted}"),
            Some(Event::ReceiveVideo { stream, wanted }) => format!("video {stream} {wanted}"),
            Some(Event::Metadata { stream, body }) => {
                let mut values = Values::new(body);
                let object = values.next().unwrap().unwrap().object().unwrap();
                assert!(values.next().is_none());
                format!("metadata {stream} {:?}", object.get("width").unwrap())
            }
            Some(Event::MetadataCleared { stream }) => format!("cleared {stream}"),
            Some(Event::Data { stream, timestamp, body }) => {
                assert_eq!(timestamp, Millis(77));
                let name = Values::new(body).next().unwrap().unwrap();
                format!("data {stream} {}", name.text().unwrap())
            }
        })
    }

    fn calls(&mut self, stream: u32, name: &str, transaction: f64, args: &[Arg<'_>]) -> String {
        let payload = call(name, transaction, args);
        self.send(COMMAND, stream, &payload).unwrap()
    }

    /// All that waits to be sent, read and gone.
    fn replies(&mut self) -> Vec<Said> {
        let bytes = self.out.pending().to_vec();
        self.out.sent(bytes.len());
        let mut r = Reader::new(&bytes);
        let mut said = Vec::new();
        while !r.is_empty() {
            let basic = BasicHeader::parse(&mut r).unwrap();
            let (header, _) = MessageHeader::parse(basic.fmt, &mut r).unwrap();
            let MessageHeader::Full { length, kind, stream, .. } = header else {
                panic!("replies begin with type 0")
            };
            let mut left = usize::try_from(length).unwrap();
            let mut payload = Vec::new();
            loop {
                let n = left.min(self.chunk_bytes);
                payload.extend(r.take(n, "data").unwrap());
                left -= n;
                if left == 0 {
                    break;
                }
                assert_eq!(BasicHeader::parse(&mut r).unwrap().fmt, 3);
            }
            if kind == 1 {
                let size = SetChunkSize::parse(&payload).unwrap().bytes;
                self.chunk_bytes = usize::try_from(size).unwrap();
            }
            said.push(Said(stream, words(kind, &payload)));
        }
        said
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.status.get(counter)
    }
}

fn words(kind: u8, payload: &[u8]) -> String {
    if kind != 20 {
        let mut words = format!("type {kind} ");
        for byte in payload {
            write!(words, "{byte:02x}").unwrap();
        }
        return words;
    }
    let command = Command::parse(COMMAND, payload).unwrap();
    let name = core::str::from_utf8(command.name).unwrap();
    let what = match command.arguments().next() {
        None => String::new(),
        Some(Ok(Value::Number(n))) => format!(" {n}"),
        Some(Ok(Value::Undefined)) => " undefined".into(),
        Some(Ok(value)) => {
            let object = value.object().unwrap();
            let text = |key| {
                let value = object.get(key);
                value.map_or("-", |value| value.text().unwrap()).to_owned()
            };
            format!(" {} {}", text("level"), text("code"))
        }
        Some(Err(error)) => panic!("{error}"),
    };
    format!("{name} {}{what}", command.transaction)
}

fn said(list: &[(u32, &str)]) -> Vec<Said> {
    list.iter().map(|(id, s)| Said(*id, (*s).into())).collect()
}

const START: &str = "onStatus 0 status NetStream.Publish.Start";
const STOP: &str = "onStatus 0 status NetStream.Unpublish.Success";
const BAD_NAME: &str = "onStatus 0 error NetStream.Publish.BadName";
const DENIED: &str = "onStatus 0 error NetStream.Publish.Denied";
const FAILED: &str = "_error 9 error NetConnection.Call.Failed";
const FC: &str = "onFCPublish 0 - NetStream.Publish.Start";

/// Captured: ffmpeg 5.1 publishing to app live/inst.
const FFMPEG_CONNECT: &str = "\
    020007636f6e6e656374003ff00000000000000300036170700200096c6976652f696e737400\
    047479706502000a6e6f6e707269766174650008666c617368566572020024464d4c452f332e\
    302028636f6d70617469626c653b204c61766635392e32372e313030290005746355726c0200\
    2072746d703a2f2f3132372e302e302e313a31393335312f6c6976652f696e7374000009";

#[test]
fn session_announces_no_chunk_size_over_rtmpe() {
    let mut peer = Peer::new();
    peer.session.encrypted();
    peer.send(COMMAND, 0, &connect(&[("app", "live")])).unwrap();
    peer.replies();
    assert_eq!(peer.chunk_bytes, 128);
    assert_ne!(Peer::connected().chunk_bytes, 128);
}

#[test]
fn session_publishes_with_ffmpeg() {
    let mut peer = Peer::new();
    assert_eq!(
        peer.send(COMMAND, 0, &hex(FFMPEG_CONNECT)).unwrap(),
        "connected live/inst  FMLE/3.0 (compatible; Lavf59.27.100)"
    );
    let (window, chunk) = (limits::ACK_WINDOW_BYTES, limits::CHUNK_BYTES_OUT);
    let head = hex(&format!(
        "020000000000040500000000 {window:08x} \
         020000000000050600000000 {window:08x}02 \
         020000000000040100000000 {chunk:08x} \
         030000000000be1400000000"
    ));
    assert_eq!(peer.out.pending()[..head.len()], head);
    assert_eq!(peer.out.pending().len(), head.len() + 190);
    peer.replies();

    assert_eq!(peer.calls(0, "releaseStream", 2.0, &[Arg::S("key?tok=1")]), "");
    assert_eq!(peer.calls(0, "FCPublish", 3.0, &[Arg::S("key?tok=1")]), "");
    assert_eq!(peer.calls(0, "createStream", 4.0, &[]), "");
    let want =
        [(0, "_result 2 undefined"), (0, "_result 3 undefined"), (0, FC), (0, "_result 4 1")];
    assert_eq!(peer.replies(), said(&want));

    let args = [Arg::S("key?tok=1"), Arg::S("live")];
    assert_eq!(peer.calls(1, "publish", 5.0, &args), "publish 1 live/inst key tok=1  Live");
    assert!(peer.replies().is_empty());
    assert!(!peer.session.is_publishing(1));
    peer.session.accept_publish(1, &mut peer.out).unwrap();
    assert!(peer.session.is_publishing(1));
    // StreamBegin 1 as the vector has it, then a type 0 header for stream 1 and the 105 bytes.
    let head = hex("020000000000060400000000 000000000001 050000000000691401000000");
    assert_eq!(peer.out.pending()[..head.len()], head);
    assert_eq!(
        peer.out.pending()[head.len()..],
        hex("0200086f6e537461747573000000000000000000050300056c6576656c020006737461747573\
    0004636f64650200174e657453747265616d2e5075626c6973682e5374617274000b64657363\
    72697074696f6e0200105374617274207075626c697368696e67000009")
    );
    peer.replies();

    let meta = metadata(&["@setDataFrame", "onMetaData"], true);
    assert_eq!(peer.send(DATA, 1, &meta).unwrap(), "metadata 1 Number(1280.0)");
    assert_eq!(peer.calls(0, "FCUnpublish", 6.0, &[Arg::S("key?tok=1")]), "unpublish 1");
    assert_eq!(peer.replies(), said(&[(0, "_result 6 undefined"), (1, STOP)]));
    assert_eq!(peer.calls(0, "deleteStream", 7.0, &[Arg::N(1.0)]), "");
    assert!(peer.replies().is_empty());
}

#[test]
fn session_publishes_with_obs() {
    let mut peer = Peer::new();
    let properties = [
        ("app", "live"),
        ("type", "nonprivate"),
        ("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)"),
        ("swfUrl", "rtmp://box/live"),
        ("tcUrl", "rtmp://box/live"),
    ];
    assert_eq!(
        peer.send(COMMAND, 0, &connect(&properties)).unwrap(),
        "connected live  FMLE/3.0 (compatible; FMSc/1.0)"
    );
    peer.replies();
    peer.calls(0, "releaseStream", 2.0, &[Arg::S("cam_1")]);
    peer.calls(0, "FCPublish", 3.0, &[Arg::S("cam_1")]);
    peer.calls(0, "createStream", 4.0, &[]);
    peer.calls(0, "_checkbw", 0.0, &[]);
    assert_eq!(peer.replies().len(), 4);
    let args = [Arg::S("cam_1"), Arg::S("live")];
    assert_eq!(peer.calls(1, "publish", 5.0, &args), "publish 1 live cam_1   Live");
    peer.session.accept_publish(1, &mut peer.out).unwrap();
    let want = [(0, "type 4 000000000001"), (1, START)];
    assert_eq!(peer.replies(), said(&want));
    let meta = metadata(&["@setDataFrame", "onMetaData"], true);
    assert_eq!(peer.send(DATA, 1, &meta).unwrap(), "metadata 1 Number(1280.0)");
    assert_eq!(peer.calls(0, "FCUnpublish", 6.0, &[Arg::S("cam_1")]), "unpublish 1");
    assert_eq!(peer.calls(0, "deleteStream", 7.0, &[Arg::N(1.0)]), "");
    assert_eq!(peer.counted(Counter::RtmpUnknown), 0);
}

#[test]
fn session_publishes_with_librtmp() {
    let mut peer = Peer::connected();
    // Ping as librtmp and Flash send it, and their window and buffer length.
    peer.send(MessageType::WindowAckSize, 0, &hex("002625a0")).unwrap();
    peer.send(MessageType::UserControl, 0, &hex("0003000000000000012c")).unwrap();
    peer.send(MessageType::UserControl, 0, &hex("00060001e240")).unwrap();
    assert_eq!(peer.replies(), said(&[(0, "type 4 00070001e240")]));
    peer.calls(0, "releaseStream", 2.0, &[Arg::S("key")]);
    peer.calls(0, "FCPublish", 3.0, &[Arg::S("key")]);
    peer.calls(0, "createStream", 4.0, &[]);
    // Type 17 with its format byte.
    let mut publish = vec![0];
    publish.extend(call("publish", 5.0, &[Arg::S("key"), Arg::S("record")]));
    assert_eq!(
        peer.send(MessageType::CommandAmf3, 1, &publish).unwrap(),
        "publish 1 live key   Record"
    );
    peer.session.accept_publish(1, &mut peer.out).unwrap();
    let bare = metadata(&["onMetaData"], false);
    assert_eq!(peer.send(DATA, 1, &bare).unwrap(), "metadata 1 Number(1280.0)");
    // Gone by closeStream: on the stream, without arguments.
    assert_eq!(peer.calls(1, "closeStream", 0.0, &[]), "unpublish 1");
    assert!(!peer.session.is_publishing(1));
}

#[test]
fn session_publishes_with_gstreamer() {
    let mut peer = Peer::connected();
    peer.calls(0, "releaseStream", 0.0, &[Arg::S("key")]);
    peer.calls(0, "FCPublish", 0.0, &[Arg::S("key")]);
    peer.calls(0, "createStream", 2.0, &[]);
    assert_eq!(peer.replies(), said(&[(0, FC), (0, "_result 2 1")]));
    peer.calls(1, "publish", 0.0, &[Arg::S("key"), Arg::S("live")]);
    peer.session.accept_publish(1, &mut peer.out).unwrap();
    assert_eq!(peer.replies()[1], Said(1, START.into()));
    // The name where a number should be, on message stream 0.
    let none = peer.calls(0, "deleteStream", 0.0, &[Arg::S("other")]);
    assert_eq!(none, "");
    let some = peer.calls(0, "deleteStream", 0.0, &[Arg::S("key")]);
    assert_eq!(some, "unpublish 1");
    assert_eq!(peer.replies(), said(&[(1, STOP)]));
}

#[test]
fn session_publishes_with_encoders_that_skip_steps() {
    // Haivision: FCPublish after createStream.
    let mut peer = Peer::connected();
    peer.calls(0, "createStream", 2.0, &[]);
    peer.calls(0, "FCPublish", 3.0, &[Arg::S("key")]);
    assert_eq!(peer.calls(1, "publish", 4.0, &[Arg::S("key")]), "publish 1 live key   Live");
    // On stream 0, without createStream; and on a number nobody made.
    for stream in [0, 7] {
        let mut peer = Peer::connected();
        let event = peer.calls(stream, "publish", 4.0, &[Arg::S("key")]);
        assert_eq!(event, format!("publish {stream} live key   Live"));
        peer.session.accept_publish(stream, &mut peer.out).unwrap();
        assert_eq!(peer.replies()[1], Said(stream, START.into()));
        assert!(peer.session.is_publishing(stream));
    }
    // One URL box: the name is the application's last segment.
    let mut peer = Peer::new();
    peer.send(COMMAND, 0, &connect(&[("app", "live/key?tok=1")])).unwrap();
    assert_eq!(peer.calls(1, "publish", 2.0, &[Arg::S("")]), "publish 1 live key  tok=1 Live");
}

#[test]
fn session_refuses_names_that_are_no_safe_path() {
    let mut peer = Peer::connected();
    for name in ["../x", "a/b", "", ".", "a b", "ü", "x\0y"] {
        let mut peer = Peer::new();
        peer.send(COMMAND, 0, &connect(&[("app", "")])).unwrap();
        peer.replies();
        assert_eq!(peer.calls(1, "publish", 5.0, &[Arg::S(name)]), "");
        assert_eq!(peer.replies(), said(&[(1, BAD_NAME)]), "{name}");
    }
    peer.calls(1, "publish", 5.0, &[Arg::S("a b")]);
    let words = "stream name holds ' ': allowed are A-Z a-z 0-9 . _ -";
    let pending = peer.out.pending();
    assert!(pending.windows(words.len()).any(|w| w == words.as_bytes()));

    let mut peer = Peer::new();
    let refused = peer.send(COMMAND, 0, &connect(&[("app", "live/../etc")]));
    assert!(matches!(refused, Err(SessionError::App(_))));
    let want = "_error 1 error NetConnection.Connect.InvalidApp";
    assert_eq!(peer.replies(), said(&[(0, want)]));
    let after = peer.send(COMMAND, 0, &connect(&[("app", "live")]));
    assert_eq!(after, Err(SessionError::Closed));
}

#[test]
fn session_rejects_publish_with_the_reason_of_the_service() {
    for (reason, status) in [(Reason::BadName, BAD_NAME), (Reason::Denied, DENIED)] {
        let mut peer = Peer::connected();
        peer.calls(1, "publish", 5.0, &[Arg::S("key")]);
        peer.session.reject_publish(1, reason, "name is taken", &mut peer.out).unwrap();
        assert_eq!(peer.replies(), said(&[(1, status)]));
        assert!(!peer.session.is_publishing(1));
        let again = peer.session.accept_publish(1, &mut peer.out);
        assert!(matches!(again, Err(SessionError::Stream(_))));
        // The same stream may ask again.
        assert_ne!(peer.calls(1, "publish", 6.0, &[Arg::S("key")]), "");
    }
}

#[test]
fn session_rejects_connect_when_the_service_is_full() {
    let mut peer = Peer::new();
    peer.session = Session::new(Admission::Refused("every place is taken"));
    let refused = peer.send(COMMAND, 0, &connect(&[("app", "live")]));
    assert_eq!(refused, Err(SessionError::Refused("every place is taken")));
    let want = "_error 1 error NetConnection.Connect.Rejected";
    assert_eq!(peer.replies(), said(&[(0, want)]));
}

#[test]
fn session_fails_on_second_connect_and_on_calls_before_the_first() {
    let mut peer = Peer::connected();
    let again = peer.send(COMMAND, 0, &connect(&[("app", "live")]));
    assert_eq!(again, Err(SessionError::ConnectedTwice));
    for name in ["publish", "createStream", "FCPublish", "play"] {
        let mut peer = Peer::new();
        let early = peer.send(COMMAND, 0, &call(name, 2.0, &[Arg::S("key")]));
        assert_eq!(early, Err(SessionError::NotConnected), "{name}");
    }
}

#[test]
fn session_answers_unknown_calls_only_when_asked_to() {
    let mut peer = Peer::connected();
    peer.calls(0, "flyToTheMoon", 9.0, &[]);
    assert_eq!(peer.replies(), said(&[(0, FAILED)]));
    peer.calls(0, "flyToTheMoon", 0.0, &[]);
    assert!(peer.replies().is_empty());
    assert_eq!(peer.counted(Counter::RtmpUnknown), 2);
    for name in ["_result", "_error", "set_playlist", "secureTokenResponse"] {
        peer.calls(0, name, 9.0, &[]);
    }
    assert!(peer.replies().is_empty());
    peer.calls(0, "getStreamLength", 3.0, &[Arg::S("key")]);
    peer.calls(0, "_checkbw", 4.0, &[]);
    let want = [(0, "_result 3 0"), (0, "_result 4 undefined")];
    assert_eq!(peer.replies(), said(&want));
}

/// What a player hears before media: Stream Begin, Reset, Start, and that it may sample.
const STARTED: [(u32, &str); 4] = [
    (0, "type 4 000000000001"),
    (1, "onStatus 0 status NetStream.Play.Reset"),
    (1, "onStatus 0 status NetStream.Play.Start"),
    (1, "type 18 0200117c52746d7053616d706c6541636365737301010101"),
];

impl Peer {
    fn playing() -> Self {
        let mut peer = Self::connected();
        let asked = peer.calls(1, "play", 4.0, &[Arg::S("key?tok=1"), Arg::N(-2000.0)]);
        assert_eq!(asked, "play 1 live key tok=1  LiveOrWait");
        peer.session.accept_play(1, true, &mut peer.out).unwrap();
        assert_eq!(peer.replies(), said(&STARTED));
        peer
    }
}

#[test]
fn session_lets_play_and_says_when_the_camera_goes_and_comes() {
    let mut peer = Peer::playing();
    peer.session.notify_play(1, false, &mut peer.out).unwrap();
    peer.session.notify_play(1, true, &mut peer.out).unwrap();
    let want = [
        (1, "onStatus 0 status NetStream.Play.UnpublishNotify"),
        (0, "type 4 000100000001"),
        (0, "type 4 000000000001"),
        (1, "onStatus 0 status NetStream.Play.PublishNotify"),
    ];
    assert_eq!(peer.replies(), said(&want));
    assert_eq!(peer.calls(0, "deleteStream", 0.0, &[Arg::N(1.0)]), "stop 1");
    assert_eq!(peer.replies(), said(&[(1, "onStatus 0 status NetStream.Play.Stop")]));
    assert_eq!(peer.session.accept_play(1, true, &mut peer.out), Err(not_asked(1)));
}

#[test]
fn session_reads_how_long_a_player_plays_and_whether_it_wants_to_be_reset() {
    let mut peer = Peer::connected();
    for (arguments, want) in [
        (&[][..], (None, true)),
        (&[Arg::N(-1.0)], (None, true)),
        (&[Arg::N(-1000.0), Arg::B(true)], (None, true)),
        (&[Arg::N(0.0), Arg::B(false)], (Some(Millis(0)), false)),
        (&[Arg::N(1500.0), Arg::N(0.0)], (Some(Millis(1500)), false)),
        (&[Arg::N(1500.7), Arg::N(1.0)], (Some(Millis(1500)), true)),
        (&[Arg::N(1e20)], (None, true)),
        (&[Arg::N(f64::NAN)], (None, true)),
    ] {
        let all = [&[Arg::S("key"), Arg::N(-2000.0)][..], arguments].concat();
        assert_eq!(peer.calls(1, "play", 4.0, &all), "play 1 live key   LiveOrWait");
        let wish = peer.wish.take().unwrap();
        assert_eq!((wish.length, wish.reset), want, "{arguments:?}");
    }
    peer.session.accept_play(1, false, &mut peer.out).unwrap();
    assert_eq!(peer.replies(), said(&[STARTED[0], STARTED[2], STARTED[3]]), "no reset is told");
    let complete = amf(|e| {
        e.string(b"onPlayStatus").unwrap();
        e.object().unwrap();
        for (name, value) in [("level", "status"), ("code", "NetStream.Play.Complete")] {
            e.key(name.as_bytes()).unwrap();
            e.string(value.as_bytes()).unwrap();
        }
        e.key(b"duration").unwrap();
        e.number(1.5).unwrap();
        e.end().unwrap();
    });
    peer.session.complete_play(1, Millis(1500), &mut peer.out).unwrap();
    let want = [
        (1, &words(18, &complete)[..]),
        (1, "onStatus 0 status NetStream.Play.Stop"),
        (0, "type 4 000100000001"),
    ];
    assert_eq!(peer.replies(), said(&want));
    assert_eq!(peer.session.accept_play(1, true, &mut peer.out), Err(not_asked(1)));
}

fn not_asked(id: u32) -> SessionError {
    rillcast::proto::rtmp::server::StreamError::NotAsked { id }.into()
}

#[test]
fn session_refuses_play_in_plain_words() {
    let mut peer = Peer::connected();
    for (start, want) in [
        (-2.0, "LiveOrWait"),
        (-2000.0, "LiveOrWait"),
        (-1.0, "Live"),
        (-1000.0, "Live"),
        (0.0, "Recorded"),
        (4.5, "Recorded"),
    ] {
        let asked = peer.calls(1, "play", 4.0, &[Arg::S("key"), Arg::N(start)]);
        assert_eq!(asked, format!("play 1 live key   {want}"));
    }
    let reason = PlayRefusal::NotFound;
    peer.session.reject_play(1, reason, "no such stream", &mut peer.out).unwrap();
    let want = [(1, "onStatus 0 error NetStream.Play.StreamNotFound")];
    assert_eq!(peer.replies(), said(&want));
    assert_eq!(peer.calls(1, "play", 4.0, &[Arg::S("../x"), Arg::N(-2000.0)]), "");
    assert_eq!(peer.replies(), said(&want));
}

#[test]
fn session_answers_pause_seek_and_receive_as_live() {
    let mut peer = Peer::playing();
    assert_eq!(peer.calls(1, "pause", 0.0, &[Arg::B(true), Arg::N(900.0)]), "pause 1 true");
    assert_eq!(peer.calls(1, "pauseRaw", 0.0, &[Arg::B(false)]), "pause 1 false");
    let want = ["NetStream.Pause.Notify", "NetStream.Unpause.Notify"];
    let want = want.map(|code| Said(1, format!("onStatus 0 status {code}")));
    assert_eq!(peer.replies(), want);
    assert_eq!(peer.calls(1, "receiveAudio", 0.0, &[Arg::B(false)]), "audio 1 false");
    assert!(peer.replies().is_empty(), "no answer to false (RTMP 1.0 §7.2.2.4)");
    assert_eq!(peer.calls(1, "receiveVideo", 0.0, &[Arg::B(true)]), "video 1 true");
    let want = ["NetStream.Seek.Notify", "NetStream.Play.Start"];
    let want = want.map(|code| Said(1, format!("onStatus 0 status {code}")));
    assert_eq!(peer.replies(), want);
    assert_eq!(peer.calls(1, "seek", 7.0, &[Arg::N(1000.0)]), "");
    assert_eq!(peer.replies(), said(&[(0, "_error 7 error NetStream.Seek.Failed")]));
    assert_eq!(peer.calls(1, "seek", 0.0, &[Arg::N(1000.0)]), "");
    assert_eq!(peer.replies(), said(&[(1, "onStatus 0 warning NetStream.Seek.Failed")]));
    assert_eq!(peer.calls(1, "play", 0.0, &[Arg::B(false)]), "stop 1");
}

#[test]
fn session_bounds_plays() {
    let mut peer = Peer::connected();
    for n in 1..=limits::PLAYS_MAX + 1 {
        let id = u32::try_from(n).unwrap();
        let event = peer.calls(id, "play", 4.0, &[Arg::S("key"), Arg::N(-1000.0)]);
        assert_eq!(event.is_empty(), n > limits::PLAYS_MAX, "{n}");
    }
    let id = u32::try_from(limits::PLAYS_MAX + 1).unwrap();
    assert_eq!(peer.replies(), said(&[(id, "onStatus 0 error NetStream.Play.Failed")]));
    assert_eq!(peer.counted(Counter::RtmpCallsRefused), 1);
}

#[test]
fn session_bounds_streams_and_publishes() {
    let mut peer = Peer::connected();
    for n in 1..=limits::MESSAGE_STREAMS_MAX {
        peer.calls(0, "createStream", 2.0, &[]);
        let want = format!("_result 2 {n}");
        assert_eq!(peer.replies(), said(&[(0, &want)]));
    }
    peer.calls(0, "createStream", 9.0, &[]);
    assert_eq!(peer.replies(), said(&[(0, FAILED)]));
    // Stream 0 takes none of the places.
    assert_ne!(peer.calls(0, "publish", 5.0, &[Arg::S("zero")]), "");
    assert_eq!(peer.calls(0, "closeStream", 0.0, &[]), "unpublish 0");
    peer.replies();
    peer.calls(0, "deleteStream", 0.0, &[Arg::N(3.0)]);
    peer.calls(0, "createStream", 2.0, &[]);
    let want = format!("_result 2 {}", limits::MESSAGE_STREAMS_MAX + 1);
    assert_eq!(peer.replies(), said(&[(0, &want)]));
    for (stream, name) in [(1, "a"), (2, "b"), (4, "c"), (5, "d")] {
        assert_ne!(peer.calls(stream, "publish", 5.0, &[Arg::S(name)]), "");
    }
    assert_eq!(peer.calls(6, "publish", 5.0, &[Arg::S("e")]), "");
    assert_eq!(peer.replies(), said(&[(6, DENIED)]));
    assert_eq!(peer.calls(77, "publish", 5.0, &[Arg::S("e")]), "");
    assert_eq!(peer.replies(), said(&[(77, DENIED)]));
    assert_eq!(peer.counted(Counter::RtmpCallsRefused), 3);
}

#[test]
fn session_publishes_one_name_once_and_one_stream_once() {
    let mut peer = Peer::publishing();
    assert_eq!(peer.calls(2, "publish", 6.0, &[Arg::S("key?x")]), "");
    assert_eq!(peer.replies(), said(&[(2, BAD_NAME)]));
    assert_eq!(peer.calls(1, "publish", 6.0, &[Arg::S("other")]), "");
    assert_eq!(peer.replies(), said(&[(1, BAD_NAME)]));
    assert!(peer.session.is_publishing(1));
}

#[test]
fn session_sorts_data_messages() {
    let mut peer = Peer::publishing();
    let text = |names: &[&str]| {
        amf(|e| {
            for name in names {
                e.string(name.as_bytes()).unwrap();
            }
        })
    };
    let mut send = |kind, payload: &[u8]| peer.send(kind, 1, payload).unwrap();
    let clear = text(&["@clearDataFrame", "onMetaData"]);
    assert_eq!(send(DATA, &clear), "cleared 1");
    assert_eq!(send(DATA, &text(&["onTextData", "hi"])), "data 1 onTextData");
    let wrapped = text(&["@setDataFrame", "onFI", "x"]);
    assert_eq!(send(DATA, &wrapped), "data 1 onFI");
    let extended = [vec![0], metadata(&["onMetaData"], true)].concat();
    let meta = "metadata 1 Number(1280.0)";
    assert_eq!(send(MessageType::DataAmf3, &extended), meta);
    assert_eq!(send(MessageType::DataAmf3, &extended[1..]), meta);
    // Without its end marker, with a second value behind it.
    let wrapped = metadata(&["@setDataFrame", "onMetaData"], true);
    assert_eq!(send(DATA, &wrapped[..wrapped.len() - 3]), meta);
    assert_eq!(send(DATA, &[&wrapped[..], &[5]].concat()), meta);
}

#[test]
fn session_counts_and_drops_data_that_does_not_parse() {
    let mut peer = Peer::publishing();
    let broken = [
        vec![],
        vec![5],
        hex("02000a6f6e4d65746144617461"),
        hex("02000a6f6e4d65746144617461 05"),
        hex("02000a6f6e4d65746144617461 03 0001"),
        hex("020001 78 ff"),
    ];
    for (n, payload) in broken.iter().enumerate() {
        assert_eq!(peer.send(DATA, 1, payload).unwrap(), "");
        let dropped = peer.counted(Counter::RtmpDataDropped);
        assert_eq!(dropped, u64::try_from(n).unwrap() + 1);
    }
    let stray = metadata(&["onMetaData"], true);
    assert_eq!(peer.send(DATA, 2, &stray).unwrap(), "");
    assert_eq!(peer.counted(Counter::RtmpStrayMedia), 1);
}

#[test]
fn session_reads_padded_control_messages_and_refuses_short_ones() {
    let mut peer = Peer::connected();
    for (kind, payload) in [
        (MessageType::Acknowledgement, "12345678 00"),
        (MessageType::WindowAckSize, "00000400 00"),
        (MessageType::SetPeerBandwidth, "002625a0 02 00"),
        (MessageType::UserControl, "0007 0001e240 00"),
        (MessageType::UserControl, "0063 00"),
    ] {
        assert_eq!(peer.send(kind, 0, &hex(payload)).unwrap(), "");
    }
    assert_eq!(peer.counted(Counter::RtmpUnknown), 1);
    for (kind, payload) in [
        (MessageType::Acknowledgement, "123456"),
        (MessageType::WindowAckSize, ""),
        (MessageType::SetPeerBandwidth, "002625a0"),
        (MessageType::UserControl, "0006 00"),
    ] {
        assert!(peer.send(kind, 0, &hex(payload)).is_err(), "{kind:?}");
    }
}

#[test]
fn session_acknowledges_each_window_and_pings() {
    let mut peer = Peer::connected();
    peer.send(MessageType::WindowAckSize, 0, &hex("00000400")).unwrap();
    peer.session.bytes_received(1023, &mut peer.out);
    peer.session.bytes_received(1024, &mut peer.out);
    peer.session.bytes_received(2047, &mut peer.out);
    assert_eq!(peer.replies(), said(&[(0, "type 3 00000400")]));
    peer.session.ping(Millis(123_456), &mut peer.out).unwrap();
    assert_eq!(peer.replies(), said(&[(0, "type 4 00060001e240")]));
    peer.send(MessageType::SetPeerBandwidth, 0, &hex("00010000 00")).unwrap();
    assert_eq!(peer.replies(), said(&[(0, "type 5 00010000")]));
    peer.send(MessageType::Acknowledgement, 0, &hex("00000010")).unwrap();
    let total = u32::try_from(peer.out.total_sent()).unwrap();
    assert_eq!(peer.session.unacknowledged(&peer.out), total - 0x10);
}

#[test]
fn session_ends_with_full_when_the_peer_calls_and_never_reads() {
    let mut peer = Peer::connected();
    let flood = call("x", 1.0, &[]);
    let error = (0..100_000).find_map(|_| peer.send(COMMAND, 0, &flood).err()).unwrap();
    assert!(matches!(error, SessionError::Full(_)));
    assert!(peer.out.pending().len() <= limits::OUTBOX_BYTES);
}

#[test]
fn session_says_what_fits_a_reply_and_no_more() {
    let refusal = |bytes: usize| {
        let mut peer = Peer::connected();
        peer.calls(1, "publish", 5.0, &[Arg::S("key")]);
        let description = "x".repeat(bytes);
        peer.session.reject_publish(1, Reason::Denied, &description, &mut peer.out)?;
        Ok(peer.out.pending().len())
    };
    let max = limits::REPLY_BYTES_MAX;
    let header = 12;
    let most = max + header - refusal(0).unwrap();
    assert_eq!(refusal(most), Ok(header + max));
    assert_eq!(refusal(most + 1), Err(SessionError::Reply { max }));
}

#[test]
fn session_refuses_hostile_commands() {
    for payload in [
        vec![],
        vec![5],
        hex("020007 636f6e6e"),
        [hex("020007636f6e6e656374 003ff0000000000000"), hex("03 0001 61").repeat(5000)].concat(),
        [hex("020007636f6e6e656374 003ff0000000000000 0a"), hex("ffffffff")].concat(),
    ] {
        let mut peer = Peer::new();
        let error = peer.send(COMMAND, 0, &payload).unwrap_err();
        assert!(matches!(error, SessionError::Command(_)), "{error}");
    }
}

/// Encoders with Enhanced RTMP list their codecs in a strict array; a server without a reader for
/// it turned them all away (bluenviron/mediamtx#3188).
#[test]
fn mediamtx_3188_connect_with_strict_array_is_read() {
    let payload = amf(|e| {
        e.string(b"connect").unwrap();
        e.number(1.0).unwrap();
        e.object().unwrap();
        e.key(b"fourCcList").unwrap();
        e.strict_array(3).unwrap();
        for codec in [b"av01", b"hvc1", b"vp09"] {
            e.string(codec).unwrap();
        }
        e.key(b"videoFourCcInfoMap").unwrap();
        e.object().unwrap();
        e.key(b"*").unwrap();
        e.number(4.0).unwrap();
        e.end().unwrap();
        e.key(b"app").unwrap();
        e.string(b"live").unwrap();
        e.key(b"flashver").unwrap();
        e.string(b"enc/1").unwrap();
        e.end().unwrap();
        e.boolean(true).unwrap();
        e.string(b"token").unwrap();
    });
    let mut peer = Peer::new();
    let event = peer.send(COMMAND, 0, &payload).unwrap();
    assert_eq!(event, "connected live  enc/1");
}

/// ffmpeg copies a camera's time code track into a data message that holds nothing
/// (ossrs/srs#3803).
#[test]
fn srs_3803_empty_data_message_is_dropped() {
    let mut peer = Peer::publishing();
    assert_eq!(peer.send(DATA, 1, &[]).unwrap(), "");
    assert!(peer.session.is_publishing(1));
}

/// A name of 256 bytes overflowed a buffer (winshining/nginx-http-flv-module#170).
#[test]
fn nginx_http_flv_170_long_name_is_refused() {
    let name = "x".repeat(256);
    let mut peer = Peer::connected();
    assert_eq!(peer.calls(1, "publish", 5.0, &[Arg::S(&name)]), "");
    assert_eq!(peer.replies(), said(&[(1, BAD_NAME)]));
    assert_eq!(peer.counted(Counter::RtmpCallsRefused), 1);
    let app = "y".repeat(256);
    let refused = Peer::new().send(COMMAND, 0, &connect(&[("app", &app)]));
    assert!(matches!(refused, Err(SessionError::App(_))));
}

#[test]
fn session_fits_its_place() {
    assert!(size_of::<Session>() <= 5 << 10);
}

#[test]
fn publish_kind_keeps_what_it_does_not_know() {
    assert_eq!(PublishKind::parse(None), PublishKind::Live);
    assert_eq!(PublishKind::parse(Some(b"append")), PublishKind::Append);
    assert_eq!(PublishKind::parse(Some(b"LIVE")), PublishKind::Unknown);
}

/// Any message a publisher might send, in any order.
fn messages() -> impl Strategy<Value = (u8, u32, Vec<u8>)> {
    let names = prop_oneof![
        Just("createStream"),
        Just("publish"),
        Just("deleteStream"),
        Just("closeStream"),
        Just("FCPublish"),
        Just("FCUnpublish"),
        Just("play"),
        Just("other"),
    ];
    let arguments = prop_oneof![Just("a"), Just("b"), Just(""), Just("..")];
    let calls = (names, 0..3u32, 0..10u32, arguments, 0..3u32).prop_map(
        |(name, transaction, stream, argument, form)| {
            let args = [Arg::S(argument)];
            let number = [Arg::N(f64::from(stream))];
            let args: &[Arg<'_>] = match form {
                0 => &args,
                1 => &number,
                _ => &[],
            };
            (20, stream, call(name, f64::from(transaction), args))
        },
    );
    let noise = (any::<u8>(), 0..3u32, proptest::collection::vec(any::<u8>(), 0..40));
    prop_oneof![4 => calls, 1 => noise]
}

proptest! {
    #[test]
    fn session_holds_its_bounds_in_any_order(
        messages in proptest::collection::vec(messages(), 0..40),
    ) {
        let mut peer = Peer::connected();
        for (kind, stream, payload) in messages {
            let event = peer.send(kind.into(), stream, &payload).unwrap_or_default();
            if event.starts_with("publish") {
                prop_assert!(peer.session.accept_publish(stream, &mut peer.out).is_ok());
                prop_assert!(peer.session.is_publishing(stream));
            }
            if event.starts_with("unpublish") {
                let id = event[10..].parse().unwrap();
                prop_assert!(!peer.session.is_publishing(id));
            }
            let publishing = (0..10).filter(|&id| peer.session.is_publishing(id)).count();
            prop_assert!(publishing <= limits::PUBLISHES_MAX);
            peer.replies();
        }
    }
}

#[test]
fn connect_is_answered_by_the_service_where_it_wants_to_be_asked() {
    let mut peer = Peer::new();
    peer.session = Session::new(Admission::Asked);
    let properties =
        [("app", "/live/?authmod=adobe&user=bob"), ("type", "nonprivate"), ("flashVer", "X")];
    let event = peer.send(COMMAND, 0, &connect(&properties)).unwrap();
    assert_eq!(event, "connect live /live/ authmod=adobe&user=bob X true");
    assert_eq!(peer.replies(), [], "nothing before the service has said so");
    let early = peer.send(COMMAND, 0, &call("createStream", 2.0, &[]));
    assert_eq!(early, Err(SessionError::NotConnected));
    peer.session.accept_connect(&mut peer.out).unwrap();
    let replies = peer.replies();
    assert_eq!(replies.last().unwrap().1, "_result 1 status NetConnection.Connect.Success");
    assert_eq!(replies.len(), 4);
    assert_eq!(peer.session.accept_connect(&mut peer.out), Err(SessionError::NotConnected));
    assert_eq!(peer.send(COMMAND, 0, &connect(&properties)), Err(SessionError::ConnectedTwice));
}

#[test]
fn connect_that_the_service_rejects_is_told_so_and_over() {
    let mut peer = Peer::new();
    peer.session = Session::new(Admission::Asked);
    for (properties, publishes) in [
        (&[("app", "live"), ("flashVer", "LNX 9,0,124,2")][..], false),
        (&[("app", "live"), ("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)")], true),
    ] {
        let mut other = Session::new(Admission::Asked);
        core::mem::swap(&mut peer.session, &mut other);
        let event = peer.send(COMMAND, 0, &connect(properties)).unwrap();
        assert!(event.ends_with(&publishes.to_string()), "{event}");
    }
    peer.session.reject_connect("[ authmod=adobe ] : ?reason=needauth", &mut peer.out).unwrap();
    let sent = peer.out.pending().to_vec();
    assert!(sent.windows(16).any(|window| window == b"?reason=needauth"));
    assert_eq!(peer.replies(), said(&[(0, "_error 1 error NetConnection.Connect.Rejected")]));
    let again = peer.session.reject_connect("", &mut peer.out);
    assert_eq!(again, Err(SessionError::NotConnected));
    assert_eq!(peer.send(COMMAND, 0, &connect(&[("app", "live")])), Err(SessionError::Closed));
}

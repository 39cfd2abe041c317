//! The RTMP client's session: against the program's own server over a simulated link, against
//! scripted servers of the field, and against servers that misbehave.
//!
//! The link carries bytes, through handshake and chunk stream of both ends, in pieces of any size;
//! a relay on it may cut messages into other chunks and interleave those of different chunk
//! streams.

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
use std::collections::BTreeMap;

use proptest::prelude::*;
use rillcast::limits;
use rillcast::proto::rtmp::client::{
    ClientError, ClientEvent, Enhanced, Plan, PlanError, Play, PublishType, Refusal, Role, Session,
    Start, Step, Swf, Text,
};
use rillcast::proto::rtmp::dechunk::{Bin, ChunkError, Dechunker, Rings};
use rillcast::proto::rtmp::enchunk::{Enchunker, Outbox, Outgoing};
use rillcast::proto::rtmp::event::{Admission, Event, Reason};
use rillcast::proto::rtmp::gather::{Gather, Towards};
use rillcast::proto::rtmp::{handshake, server};
use rillcast::status::{Counter, Status};
use rillcast::storage::{FrameRing, Label};
use rillcast::time::{Instant, Millis};
use rillcast::wire::amf0::{Emitter, Value, Values};
use rillcast::wire::rtmp::command::Command;
use rillcast::wire::rtmp::message::MessageType;
use vectors::{amf, hex};

const COMMAND: MessageType = MessageType::CommandAmf0;
const DATA: MessageType = MessageType::DataAmf0;
const CONTROL: MessageType = MessageType::UserControl;

const PUBLISH: Plan<'static> = Plan {
    app: "live/inst",
    tc_url: "rtmp://127.0.0.1:19351/live/inst",
    agent: "FMLE/3.0 (compatible; Lavf59.27.100)",
    swf_url: "",
    swf: None,
    page_url: "",
    arguments: &[],
    enhanced: Enhanced::NONE,
    name: "key?tok=1",
    role: Role::Publish(PublishType::Live),
};

const PLAY: Plan<'static> = Plan {
    app: "live",
    tc_url: "rtmp://h/live",
    agent: "LNX 9,0,124,2",
    name: "key",
    role: Role::Play(Play::USUAL),
    ..PUBLISH
};

fn play_live() -> Plan<'static> {
    Plan { role: Role::Play(Play { start: Start::Live, ..Play::USUAL }), ..PLAY }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// `_result` or `_error` and the like: name, transaction, null, then what `write` adds.
fn reply(name: &str, transaction: f64, write: impl FnOnce(&mut Emitter<'_, '_>)) -> Vec<u8> {
    amf(|e| {
        e.string(name.as_bytes()).unwrap();
        e.number(transaction).unwrap();
        e.null().unwrap();
        write(e);
    })
}

fn info(e: &mut Emitter<'_, '_>, properties: &[(&str, &str)]) {
    e.object().unwrap();
    for (name, value) in properties {
        e.key(name.as_bytes()).unwrap();
        e.string(value.as_bytes()).unwrap();
    }
    e.end().unwrap();
}

fn on_status(level: &str, code: &str) -> Vec<u8> {
    reply("onStatus", 0.0, |e| info(e, &[("level", level), ("code", code)]))
}

/// `_error` with level, code and description.
fn on_error(transaction: f64, code: &str, description: &str) -> Vec<u8> {
    let properties = [("level", "error"), ("code", code), ("description", description)];
    reply("_error", transaction, |e| info(e, &properties))
}

/// As the vector has it: `_result` to connect.
fn connected() -> Vec<u8> {
    hex("0200075f726573756c74003ff0000000000000030006666d7356657202000d464d532f332c302c\
        312c313233000c6361706162696c697469657300403f0000000000000000090300056c6576656c\
        0200067374617475730004636f646502001d4e6574436f6e6e656374696f6e2e436f6e6e656374\
        2e53756363657373000b6465736372697074696f6e020015436f6e6e656374696f6e2073756363\
        65656465642e000e6f626a656374456e636f64696e67000000000000000000000009")
}

fn created(transaction: f64, stream: f64) -> Vec<u8> {
    reply("_result", transaction, |e| e.number(stream).unwrap())
}

fn metadata() -> Vec<u8> {
    amf(|e| {
        e.ecma_array(1).unwrap();
        e.key(b"width").unwrap();
        e.number(1280.0).unwrap();
        e.end().unwrap();
    })
}

/// A message as a test reads it.
fn words(stream: u32, kind: MessageType, payload: &[u8]) -> String {
    if kind != COMMAND {
        return format!("{stream} type {} {}", u8::from(kind), to_hex(payload));
    }
    let command = Command::parse(COMMAND, payload).unwrap();
    let name = core::str::from_utf8(command.name).unwrap();
    let mut words = format!("{stream} {name} {}", command.transaction);
    for argument in command.arguments() {
        match argument.unwrap() {
            Value::Number(n) => write!(words, " {n}").unwrap(),
            Value::String(s) => write!(words, " {}", s.escape_ascii()).unwrap(),
            other => write!(words, " {other:?}").unwrap(),
        }
    }
    words
}

fn event_words(event: ClientEvent<'_>) -> String {
    match event {
        ClientEvent::Connected { agent, .. } => format!("connected {agent}"),
        ClientEvent::Metadata { stream, body } => {
            let value = Values::new(body).next().unwrap().unwrap();
            format!("metadata {stream} {:?}", value.object().unwrap().get("width"))
        }
        ClientEvent::Data { stream, timestamp, body } => {
            let name = Values::new(body).next().unwrap().unwrap();
            format!("data {stream} {} {}", timestamp.0, name.text().unwrap())
        }
        other => format!("{other:?}"),
    }
}

/// A client's handshake that is over, with an S1 that ends in these bytes.
fn opened(salt: [u8; 32]) -> handshake::Client {
    let mut out = Outbox::new();
    let mut client =
        handshake::Client::start(handshake::Hello::Simple, Millis(0), &mut |_| {}, &mut out)
            .unwrap();
    let mut answer = vec![0; 3073];
    answer[0] = 3;
    answer[1537 - 32..1537].copy_from_slice(&salt);
    client.advance(&answer, &mut |_| {}, &mut out).unwrap();
    assert!(client.is_open());
    client
}

/// One message of a chunk stream.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    csid: u32,
    kind: MessageType,
    stream: u32,
    at: Millis,
    payload: Vec<u8>,
}

fn message(csid: u32, kind: MessageType, stream: u32, payload: Vec<u8>) -> Message {
    Message { csid, kind, stream, at: Millis(0), payload }
}

/// The receiving half of one end.
struct Receiver {
    dechunker: Dechunker,
    scratch: FrameRing,
    media: FrameRing,
    stream: u32,
    status: Status,
    held: Vec<u8>,
}

impl Receiver {
    fn new() -> Self {
        Self {
            dechunker: Dechunker::new(),
            scratch: FrameRing::new(limits::SCRATCH_BYTES, 8),
            media: FrameRing::new(128 << 10, 8),
            stream: 1,
            status: Status::new(),
            held: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
        self.held.extend_from_slice(bytes);
        let mut got = Vec::new();
        loop {
            let media = [Some((self.stream, &mut self.media)), None, None, None];
            let mut rings = Rings { scratch: &mut self.scratch, media };
            let progress = self.dechunker.advance(&self.held, &mut rings, &self.status)?;
            self.held.drain(..progress.consumed);
            let Some(arrival) = progress.arrival else { return Ok(got) };
            let payload = match arrival.bin {
                Bin::Scratch => self.scratch.bytes(arrival.place).unwrap().to_vec(),
                Bin::Media(_) => self.media.bytes(arrival.place).unwrap().to_vec(),
                Bin::Nowhere => Vec::new(),
            };
            got.push(Message {
                csid: arrival.csid,
                kind: arrival.kind,
                stream: arrival.stream,
                at: arrival.at,
                payload,
            });
        }
    }
}

/// A client's session that hears messages directly.
struct Peer<'p> {
    session: Session<'p>,
    out: Outbox,
    status: Status,
    receiver: Box<Receiver>,
}

impl<'p> Peer<'p> {
    fn new(plan: Plan<'p>) -> Self {
        let mut out = Outbox::new();
        let session = Session::start(plan, &opened([9; 32]), &mut out).unwrap();
        Self { session, out, status: Status::new(), receiver: Box::new(Receiver::new()) }
    }

    /// After the answer to connect, with what was said until then gone.
    fn connected(plan: Plan<'p>) -> Self {
        let mut peer = Self::new(plan);
        peer.says(&connected());
        peer.said();
        peer
    }

    /// After everything.
    fn open(plan: Plan<'p>) -> Self {
        let mut peer = Self::connected(plan);
        let is_publisher = matches!(plan.role, Role::Publish(_));
        let (transaction, code) = if is_publisher {
            (4.0, "NetStream.Publish.Start")
        } else {
            (2.0, "NetStream.Play.Start")
        };
        peer.says(&created(transaction, 1.0));
        peer.hears(COMMAND, 1, &on_status("status", code)).unwrap();
        assert_eq!(peer.session.step(), Step::Stream);
        peer.said();
        peer
    }

    /// The event in words.
    fn hears(
        &mut self,
        kind: MessageType,
        stream: u32,
        payload: &[u8],
    ) -> Result<String, ClientError> {
        let (out, status) = (&mut self.out, &self.status);
        let event = self.session.message(kind, stream, Millis(77), payload, out, status)?;
        Ok(event.map(event_words).unwrap_or_default())
    }

    /// The server says a command on stream 0.
    fn says(&mut self, payload: &[u8]) -> String {
        self.hears(COMMAND, 0, payload).unwrap()
    }

    /// All that waits to be sent, read and gone.
    fn messages(&mut self) -> Vec<Message> {
        let bytes = self.out.pending().to_vec();
        self.out.sent(bytes.len());
        self.receiver.feed(&bytes).unwrap()
    }

    fn said(&mut self) -> Vec<String> {
        self.messages().iter().map(|m| words(m.stream, m.kind, &m.payload)).collect()
    }
}

#[test]
fn client_publishes_as_ffmpeg_does() {
    let mut peer = Peer::new(PUBLISH);
    // Captured: ffmpeg 5.1 publishing to app live/inst, behind our chunk size.
    let connect = "\
        020007636f6e6e656374003ff00000000000000300036170700200096c6976652f696e737400\
        047479706502000a6e6f6e707269766174650008666c617368566572020024464d4c452f332e\
        302028636f6d70617469626c653b204c61766635392e32372e313030290005746355726c0200\
        2072746d703a2f2f3132372e302e302e313a31393335312f6c6976652f696e7374000009";
    let head = hex("020000000000040100000000 00004000 03000000 000096 14 00000000");
    assert_eq!(peer.out.pending(), [head, hex(connect)].concat());
    peer.said();
    assert_eq!(peer.says(&connected()), "connected FMS/3,0,1,123");
    let want = ["0 releaseStream 2 key?tok=1", "0 FCPublish 3 key?tok=1", "0 createStream 4"];
    assert_eq!(peer.said(), want);
    assert_eq!(peer.says(&created(4.0, 1.0)), "");
    let calls = peer.messages();
    assert_eq!((calls[0].csid, calls.len()), (8, 1));
    assert_eq!(words(1, COMMAND, &calls[0].payload), "1 publish 5 key?tok=1 live");
    assert_eq!(peer.session.stream(), Some(1));
    let begin = peer.hears(CONTROL, 0, &hex("000000000001")).unwrap();
    assert_eq!(begin, "StreamBegin { stream: 1 }");
    let start = on_status("status", "NetStream.Publish.Start");
    assert_eq!(peer.hears(COMMAND, 1, &start).unwrap(), "Publishing { stream: 1 }");
    assert_eq!(peer.hears(COMMAND, 1, &start).unwrap(), "");
    peer.session.leave(&mut peer.out).unwrap();
    assert_eq!(peer.said(), ["0 FCUnpublish 6 key?tok=1", "0 deleteStream 7 1"]);
    assert_eq!(peer.session.step(), Step::Over);
    assert_eq!(peer.says(&created(4.0, 1.0)), "");
}

#[test]
fn client_plays_as_ffmpeg_does() {
    for (start, number) in [(Start::Any, "-2000"), (Start::Recorded, "0")] {
        let plan = Plan { role: Role::Play(Play { start, ..Play::USUAL }), ..PLAY };
        let mut peer = Peer::new(plan);
        let said = peer.messages();
        assert_eq!(said.len(), 1);
        let command = Command::parse(COMMAND, &said[0].payload).unwrap();
        let object = command.object().unwrap();
        let keys: Vec<_> = object.iter().map(|(key, _)| key.escape_ascii().to_string()).collect();
        let want = "app flashVer tcUrl fpad capabilities audioCodecs videoCodecs videoFunction";
        assert_eq!(keys.join(" "), want);
        assert_eq!(object.get("audioCodecs"), Some(Value::Number(4071.0)));
        assert_eq!(peer.says(&connected()), "connected FMS/3,0,1,123");
        assert_eq!(peer.said(), ["0 type 5 002625a0", "0 createStream 2"]);
        peer.says(&created(2.0, 1.0));
        let call = format!("1 play 4 key {number}");
        let buffer = "0 type 4 00030000000100000bb8";
        assert_eq!(peer.said(), ["0 getStreamLength 3 key", &call, buffer]);
        assert_eq!(peer.session.step(), Step::Play);
        assert_eq!(
            peer.hears(COMMAND, 1, &on_status("status", "NetStream.Play.Reset")).unwrap(),
            ""
        );
        let start = on_status("status", "NetStream.Play.Start");
        assert_eq!(peer.hears(COMMAND, 1, &start).unwrap(), "Playing { stream: 1 }");
        peer.session.leave(&mut peer.out).unwrap();
        assert_eq!(peer.said(), ["0 deleteStream 5 1"]);
    }
}

#[test]
fn client_subscribes_to_live_streams_and_when_asked() {
    let named = Play { subscribe: Some("other"), ..Play::USUAL };
    for (plan, call) in [
        (play_live(), "0 FCSubscribe 3 key"),
        (Plan { role: Role::Play(named), ..PLAY }, "0 FCSubscribe 3 other"),
    ] {
        let mut peer = Peer::new(plan);
        peer.said();
        peer.says(&connected());
        assert_eq!(peer.said(), ["0 type 5 002625a0", "0 createStream 2", call]);
        peer.says(&reply("onFCSubscribe", 0.0, |e| info(e, &[("code", "NetStream.Play.Start")])));
        peer.says(&created(2.0, 1.0));
        assert!(peer.said().iter().any(|said| said.contains(" play ")));
    }
    let mut peer = Peer::connected(play_live());
    peer.says(&created(2.0, 1.0));
    assert_eq!(peer.said()[0], "1 play 4 key -1000");
}

#[test]
fn client_says_all_of_its_plan() {
    let arguments = amf(|e| {
        e.boolean(true).unwrap();
        e.string(b"secret").unwrap();
    });
    let plan = Plan {
        swf_url: "http://h/p.swf",
        page_url: "http://h/p",
        arguments: &arguments,
        enhanced: Enhanced {
            codecs: &["hvc1", "*"],
            video: &[("hvc1", 4)],
            audio: &[("Opus", 7)],
            caps_ex: 1,
        },
        ..PLAY
    };
    let mut peer = Peer::new(plan);
    let said = peer.messages();
    let command = Command::parse(COMMAND, &said[0].payload).unwrap();
    let object = command.object().unwrap();
    assert_eq!(command.property("swfUrl"), Some(&b"http://h/p.swf"[..]));
    assert_eq!(command.property("pageUrl"), Some(&b"http://h/p"[..]));
    assert_eq!(object.get("capsEx"), Some(Value::Number(1.0)));
    let map = object.get("audioFourCcInfoMap").unwrap().object().unwrap();
    assert_eq!(map.get("Opus"), Some(Value::Number(7.0)));
    let Some(Value::StrictArray(list)) = object.get("fourCcList") else { panic!("no list") };
    assert_eq!(list.len(), 2);
    assert_eq!(command.argument(0), Some(Value::Boolean(true)));
    assert_eq!(command.string(1), Some(&b"secret"[..]));
    assert_eq!(format!("{plan:?}"), "Plan(play)");
}

#[test]
fn client_refuses_plans_beyond_their_bounds() {
    let refused = |plan: Plan<'_>| {
        let mut out = Outbox::new();
        let error = Session::start(plan, &opened([0; 32]), &mut out).unwrap_err();
        assert!(out.pending().is_empty() || matches!(plan.role, Role::Publish(_)));
        error
    };
    let max = limits::UPSTREAM_TEXT_BYTES_MAX;
    let long = "x".repeat(max + 1);
    let (text, len) = (Text::Name, max + 1);
    let want = ClientError::Plan(PlanError::TooLong { text, len, max });
    assert_eq!(refused(Plan { name: &long, ..PLAY }), want);
    for plan in [
        Plan { app: &long, ..PLAY },
        Plan { tc_url: &long, ..PLAY },
        Plan { agent: &long, ..PLAY },
        Plan { swf_url: &long, ..PLAY },
        Plan { page_url: &long, ..PLAY },
        Plan { role: Role::Play(Play { subscribe: Some(&long), ..Play::USUAL }), ..PLAY },
    ] {
        assert!(matches!(refused(plan), ClientError::Plan(PlanError::TooLong { .. })));
    }
    let zeros = vec![5; limits::UPSTREAM_ARGUMENTS_BYTES_MAX + 1];
    let plan = Plan { arguments: &zeros, ..PUBLISH };
    assert!(matches!(refused(plan), ClientError::Plan(PlanError::TooLong { .. })));
    let plan = Plan { arguments: &[2, 0, 9], ..PUBLISH };
    assert!(matches!(refused(plan), ClientError::Plan(PlanError::Arguments(_))));
    let codecs = vec!["hvc1"; limits::UPSTREAM_CODECS_MAX + 1];
    let plan = Plan { enhanced: Enhanced { codecs: &codecs, ..Enhanced::NONE }, ..PLAY };
    assert!(matches!(refused(plan), ClientError::Plan(PlanError::Codecs { .. })));
    let all = &long[1..];
    let plan = Plan { app: all, tc_url: all, swf_url: all, ..PLAY };
    let full = PlanError::Connect { max: limits::CALL_BYTES_MAX };
    assert_eq!(refused(plan), ClientError::Plan(full));
    // The longest address fits, with the longest name.
    let plan = Plan { app: all, tc_url: all, name: all, ..PUBLISH };
    let mut peer = Peer::connected(plan);
    peer.says(&created(4.0, 1.0));
    assert_eq!(peer.said().len(), 1);
}

#[test]
fn client_takes_answers_in_any_order_and_misses_none_that_it_does_not_need() {
    let undefined = |transaction| reply("_result", transaction, |e| e.undefined().unwrap());
    let start = on_status("status", "NetStream.Publish.Start");
    let notice = reply("onFCPublish", 0.0, |e| info(e, &[("code", "NetStream.Publish.Start")]));
    let failed = on_error(2.0, "NetConnection.Call.Failed", "no");
    let extras: [&[u8]; 5] = [&undefined(2.0), &undefined(3.0), &notice, &failed, &[]];
    for before in extras {
        for after in extras {
            let mut peer = Peer::connected(PUBLISH);
            let mut hears = |payload: &[u8]| match payload {
                [] => String::new(),
                payload => peer.says(payload),
            };
            assert_eq!(hears(before), "");
            assert_eq!(hears(&created(4.0, 3.0)), "");
            assert_eq!(hears(after), "");
            // On any message stream.
            assert_eq!(hears(&start), "Publishing { stream: 3 }");
            assert_eq!(hears(before), "");
        }
    }
}

#[test]
fn client_reads_transactions_and_stream_ids_that_are_text() {
    let mut peer = Peer::connected(PUBLISH);
    let text = amf(|e| {
        e.string(b"_result").unwrap();
        e.string(b"4").unwrap();
        e.null().unwrap();
        e.string(b"12").unwrap();
    });
    assert_eq!(peer.says(&text), "");
    assert_eq!(peer.said(), ["12 publish 5 key?tok=1 live"]);
    for stream in [-1.0, 0.5, f64::NAN, 5e9] {
        let mut peer = Peer::connected(PUBLISH);
        let error = peer.hears(COMMAND, 0, &created(4.0, stream)).unwrap_err();
        assert_eq!(error, ClientError::StreamId, "{stream}");
    }
    let mut peer = Peer::connected(PUBLISH);
    let nothing = reply("_result", 4.0, |_| {});
    assert_eq!(peer.hears(COMMAND, 0, &nothing), Err(ClientError::StreamId));
}

#[test]
fn client_takes_a_result_to_publish_and_play_as_its_status() {
    let done = |transaction| reply("_result", transaction, |e| e.undefined().unwrap());
    let mut peer = Peer::connected(PUBLISH);
    peer.says(&created(4.0, 1.0));
    assert_eq!(peer.says(&done(5.0)), "Publishing { stream: 1 }");
    let mut peer = Peer::connected(PLAY);
    peer.says(&created(2.0, 1.0));
    assert_eq!(peer.says(&done(3.0)), "", "getStreamLength");
    assert_eq!(peer.says(&done(4.0)), "Playing { stream: 1 }");
}

#[test]
fn client_answers_bandwidth_checks_and_pings_whenever_they_come() {
    let done = reply("onBWDone", 0.0, |_| {});
    let mut peer = Peer::new(PUBLISH);
    peer.said();
    assert_eq!(peer.says(&done), "");
    assert_eq!(peer.said(), ["0 _checkbw 2"]);
    peer.says(&done);
    assert!(peer.said().is_empty(), "once");
    peer.says(&connected());
    assert_eq!(peer.said().last().unwrap(), "0 createStream 5");
    assert_eq!(peer.says(&on_error(2.0, "NetConnection.Call.Failed", "")), "", "of _checkbw");
    peer.says(&created(5.0, 1.0));
    assert_eq!(peer.said(), ["1 publish 6 key?tok=1 live"]);

    let mut peer = Peer::connected(PUBLISH);
    peer.says(&done);
    assert_eq!(peer.said(), ["0 _checkbw 5"]);
    peer.says(&reply("_onbwcheck", 9.0, |_| {}));
    peer.says(&reply("ping", 8.0, |_| {}));
    assert_eq!(peer.said(), ["0 _result 9 0", "0 pong 8"]);
    assert_eq!(peer.hears(CONTROL, 0, &hex("00060001e240")).unwrap(), "");
    assert_eq!(peer.said(), ["0 type 4 00070001e240"]);
    peer.hears(MessageType::SetPeerBandwidth, 0, &hex("00010000 00")).unwrap();
    assert_eq!(peer.said(), ["0 type 5 00010000"]);
    peer.hears(MessageType::WindowAckSize, 0, &hex("00000400")).unwrap();
    peer.session.bytes_received(1024, &mut peer.out);
    assert_eq!(peer.said(), ["0 type 3 00000400"]);
    peer.hears(MessageType::Acknowledgement, 0, &hex("00000010")).unwrap();
    assert_eq!(peer.session.unacknowledged(0x30), 0x20);
}

#[test]
fn client_proves_its_file_when_it_knows_it() {
    // HMAC-SHA256 with a key of 32 bytes 0x09 and a message of 32 bytes 0x07, by another program.
    let swf = Swf { hash: [7; 32], bytes: 0x01_e240 };
    let plan = Plan { swf: Some(swf), ..PLAY };
    for request in ["001a", "001a00"] {
        let mut peer = Peer::connected(plan);
        peer.hears(CONTROL, 0, &hex(request)).unwrap();
        let digest = "16cd0b998e8a984ad1fd3f8c93fca1545286e5b55c94c07f97cc05a3751481d3";
        assert_eq!(peer.said(), [format!("0 type 4 001b01010001e2400001e240{digest}")]);
    }
    let mut peer = Peer::connected(PLAY);
    peer.hears(CONTROL, 0, &hex("001a")).unwrap();
    assert!(peer.said().is_empty());
    assert_eq!(peer.status.get(Counter::RtmpUnknown), 1);
}

#[test]
fn client_reads_type_15_and_17_and_amf3_information() {
    let mut peer = Peer::connected(PLAY);
    let extended = |payload: Vec<u8>| [vec![0], payload].concat();
    let kind = MessageType::CommandAmf3;
    peer.hears(kind, 0, &extended(created(2.0, 1.0))).unwrap();
    // {code: "NetStream.Play.Start"} in AMF3.
    let start = reply("onStatus", 0.0, |e| e.avm().unwrap());
    let object = [hex("0a0b01 09 636f6465 06 29"), b"NetStream.Play.Start".to_vec(), hex("01")];
    let start = [start, object.concat()].concat();
    assert_eq!(peer.hears(kind, 1, &extended(start)).unwrap(), "Playing { stream: 1 }");
    let meta = [hex("02000a6f6e4d65746144617461"), metadata()].concat();
    let want = "metadata 1 Some(Number(1280.0))";
    assert_eq!(peer.hears(MessageType::DataAmf3, 1, &extended(meta.clone())).unwrap(), want);
    assert_eq!(peer.hears(DATA, 1, &meta).unwrap(), want);
}

#[test]
fn client_sorts_data_messages_of_a_player() {
    let mut peer = Peer::open(PLAY);
    let text =
        |names: &[&str]| amf(|e| names.iter().for_each(|name| e.string(name.as_bytes()).unwrap()));
    let mut hears = |payload: &[u8]| peer.hears(DATA, 1, payload).unwrap();
    assert_eq!(hears(&hex("0200117c52746d7053616d706c6541636365737301010101")), "");
    assert_eq!(hears(&text(&["onTextData", "hi"])), "data 1 77 onTextData");
    let wrapped = [text(&["@setDataFrame", "onMetaData"]), metadata()].concat();
    assert_eq!(hears(&wrapped), "metadata 1 Some(Number(1280.0))");
    let status = |name: &str, code| {
        amf(|e| {
            e.string(name.as_bytes()).unwrap();
            info(e, &[("code", code)]);
        })
    };
    assert_eq!(hears(&status("onStatus", "NetStream.Data.Start")), "");
    assert_eq!(hears(&status("onPlayStatus", "NetStream.Play.Switch")), "");
    assert_eq!(hears(&status("onPlayStatus", "NetStream.Play.Complete")), "Ended");
    for broken in ["", "05", "02000a6f6e4d65746144617461", "02000178 ff"] {
        assert_eq!(hears(&hex(broken)), "");
    }
    assert_eq!(peer.status.get(Counter::RtmpDataDropped), 4);
    let mut peer = Peer::open(PUBLISH);
    assert_eq!(peer.hears(DATA, 1, &wrapped).unwrap(), "");
    assert_eq!(peer.status.get(Counter::RtmpStrayMedia), 1);
}

#[test]
fn client_tells_of_publishers_that_come_and_go() {
    let mut peer = Peer::connected(PLAY);
    peer.says(&created(2.0, 1.0));
    let mut hears = |code| peer.says(&on_status("status", code));
    assert_eq!(hears("NetStream.Play.PublishNotify"), "Playing { stream: 1 }");
    assert_eq!(hears("NetStream.Play.UnpublishNotify"), "UnpublishNotify");
    assert_eq!(hears("NetStream.Play.PublishNotify"), "PublishNotify");
    assert_eq!(hears("NetStream.Play.Start"), "Playing { stream: 1 }");
    assert_eq!(hears("NetStream.Play.InsufficientBW"), "");
    assert_eq!(hears("NetStream.Play.Stop"), "Ended");
    let eof = peer.hears(CONTROL, 0, &hex("000100000001")).unwrap();
    assert_eq!(eof, "StreamEof { stream: 1 }");
    assert_eq!(peer.says(&reply("onFCUnsubscribe", 0.0, |_| {})), "UnpublishNotify");
    assert_eq!(peer.session.step(), Step::Stream);
}

#[test]
fn client_reads_capabilities_and_requests_to_reconnect() {
    let mut peer = Peer::new(PUBLISH);
    let answer = amf(|e| {
        e.string(b"_result").unwrap();
        e.number(1.0).unwrap();
        e.object().unwrap();
        e.key(b"capsEx").unwrap();
        e.number(5.0).unwrap();
        e.key(b"fourCcList").unwrap();
        e.strict_array(1).unwrap();
        e.string(b"av01").unwrap();
        e.key(b"videoFourCcInfoMap").unwrap();
        e.object().unwrap();
        e.key(b"*").unwrap();
        e.number(4.0).unwrap();
        e.key(b"hvc1").unwrap();
        e.number(1.0).unwrap();
        e.end().unwrap();
        e.end().unwrap();
        info(e, &[("level", "status"), ("code", "NetConnection.Connect.Success")]);
    });
    let (out, status) = (&mut peer.out, &peer.status);
    let event = peer.session.message(COMMAND, 0, Millis(0), &answer, out, status).unwrap();
    let Some(ClientEvent::Connected { agent: "", enhanced }) = event else { panic!("{event:?}") };
    assert_eq!(enhanced.caps_ex, 5);
    assert_eq!((enhanced.video("hvc1"), enhanced.video("vp09"), enhanced.audio("Opus")), (5, 4, 0));
    assert!(enhanced.lists("av01"));
    assert!(!enhanced.lists("hvc1"));
    assert!(!enhanced.is_silent());

    let code = ("code", "NetConnection.Connect.ReconnectRequest");
    let mut peer = Peer::open(PUBLISH);
    let there = reply("onStatus", 0.0, |e| info(e, &[code, ("tcUrl", "//other/live")]));
    assert_eq!(peer.says(&there), "Reconnect { tc_url: Some(\"//other/live\") }");
    let again = reply("onStatus", 0.0, |e| info(e, &[code]));
    assert_eq!(peer.says(&again), "Reconnect { tc_url: None }");
    assert_eq!(peer.session.step(), Step::Stream);
}

#[test]
fn client_follows_redirects_in_both_forms() {
    let ex = |name: &str, transaction, code: f64, full: bool| {
        reply(name, transaction, |e| {
            e.object().unwrap();
            e.key(b"level").unwrap();
            e.string(b"error").unwrap();
            e.key(b"code").unwrap();
            e.string(b"NetConnection.Connect.Rejected").unwrap();
            e.key(b"ex").unwrap();
            e.object().unwrap();
            e.key(b"code").unwrap();
            e.number(code).unwrap();
            e.key(b"redirect").unwrap();
            e.string(b"rtmp://b/live").unwrap();
            if full {
                e.key(b"redirect2").unwrap();
                e.string(b"rtmp://b/live/key").unwrap();
            }
            e.end().unwrap();
            e.end().unwrap();
        })
    };
    let want = "Redirect { target: \"rtmp://b/live\", stream_url: None }";
    assert_eq!(Peer::new(PUBLISH).says(&ex("_error", 1.0, 302.0, false)), want);
    let want = "Redirect { target: \"rtmp://b/live\", stream_url: Some(\"rtmp://b/live/key\") }";
    let mut peer = Peer::new(PUBLISH);
    assert_eq!(peer.says(&ex("onStatus", 0.0, 302.0, true)), want);
    assert_eq!(peer.session.step(), Step::Over);
    let other = Peer::new(PUBLISH).says(&ex("_error", 1.0, 403.0, false));
    assert!(other.starts_with("Refused { refusal: Connection"), "{other}");
}

#[test]
fn client_hands_on_what_a_server_wants_for_signing_in() {
    let words = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let mut peer = Peer::new(PUBLISH);
    let event = peer.says(&on_error(1.0, "NetConnection.Connect.Rejected", words));
    assert_eq!(event, format!("NeedsAuth {{ description: {words:?} }}"));
    // Servers that forget the transaction, and those that forget the command object.
    let mut peer = Peer::new(PUBLISH);
    let event = peer.says(&on_error(0.0, "", "[ authmod=llnw ] : ?reason=needauth&nonce=1"));
    assert!(event.starts_with("NeedsAuth"));
    let bare = amf(|e| {
        e.string(b"_error").unwrap();
        e.number(1.0).unwrap();
        info(e, &[("description", "authmod=adobe")]);
    });
    assert!(Peer::new(PUBLISH).says(&bare).starts_with("NeedsAuth"));
}

#[test]
fn client_names_each_refusal() {
    let refused = |plan, steps: u8, payload: &[u8]| {
        let mut peer = match steps {
            0 => Peer::new(plan),
            1 => Peer::connected(plan),
            _ => Peer::open(plan),
        };
        let (out, status) = (&mut peer.out, &peer.status);
        let event = peer.session.message(COMMAND, 1, Millis(0), payload, out, status).unwrap();
        let Some(ClientEvent::Refused { refusal, .. }) = event else { panic!("{event:?}") };
        assert_eq!(peer.session.step(), Step::Over);
        assert_eq!(peer.session.stream(), None);
        refusal
    };
    let error = |code| on_error(1.0, code, "words");
    let connect = |code| refused(PUBLISH, 0, &error(code));
    assert_eq!(connect("NetConnection.Connect.InvalidApp"), Refusal::Application);
    assert_eq!(connect("NetConnection.Connect.Rejected"), Refusal::Connection);
    assert_eq!(connect("NetConnection.Connect.AppShutdown"), Refusal::Shutdown);
    assert_eq!(connect("no such code"), Refusal::Failed);
    assert_eq!(refused(PUBLISH, 1, &on_error(4.0, "", "")), Refusal::Failed);
    for (plan, code, refusal) in [
        (PUBLISH, "NetStream.Publish.BadName", Refusal::Name),
        (PUBLISH, "NetStream.Publish.Denied", Refusal::Denied),
        (PUBLISH, "NetStream.Publish.Rejected", Refusal::Denied),
        (PLAY, "NetStream.Play.StreamNotFound", Refusal::NotFound),
        (PLAY, "NetStream.Play.Failed", Refusal::Failed),
    ] {
        for level in ["error", "status"] {
            assert_eq!(refused(plan, 2, &on_status(level, code)), refusal, "{code}");
        }
        let words = refusal.to_string();
        assert!(words.starts_with("upstream "), "{words}");
    }
    let other = on_status("error", "NetStream.Record.Failed");
    assert_eq!(refused(PUBLISH, 2, &other), Refusal::Failed);
}

#[test]
fn client_bounds_the_words_of_a_server() {
    let max = limits::UPSTREAM_WORDS_BYTES_MAX;
    // One byte, then letters of two: the last does not fit whole.
    let words = format!("x{}", "é".repeat(max));
    let payload = on_error(1.0, "x", &words);
    let mut peer = Peer::new(PUBLISH);
    let (out, status) = (&mut peer.out, &peer.status);
    let event = peer.session.message(COMMAND, 0, Millis(0), &payload, out, status).unwrap();
    let Some(ClientEvent::Refused { description, .. }) = event else { panic!("{event:?}") };
    assert_eq!(description, &words[..max - 1]);
    // An address is taken whole or not at all.
    let max = limits::UPSTREAM_TEXT_BYTES_MAX;
    for (len, has_address) in [(max, true), (max + 1, false)] {
        let address = "x".repeat(len);
        let code = "NetConnection.Connect.ReconnectRequest";
        let request = reply("onStatus", 0.0, |e| info(e, &[("code", code), ("tcUrl", &address)]));
        let mut peer = Peer::open(PUBLISH);
        assert_eq!(peer.says(&request).contains(&address), has_address);
    }
}

#[test]
fn client_ends_when_the_server_says_goodbye() {
    for payload in
        [reply("close", 0.0, |_| {}), on_status("status", "NetConnection.Connect.Closed")]
    {
        let mut peer = Peer::open(PUBLISH);
        assert_eq!(peer.says(&payload), "Closed");
        assert_eq!(peer.says(&payload), "");
        assert_eq!(peer.session.hung_up().to_string(), HUNG_UP.replace('*', "the goodbye"));
    }
    let mut peer = Peer::open(PUBLISH);
    let gone = on_status("status", "NetStream.Unpublish.Success");
    assert_eq!(peer.says(&gone), "Ended");
}

const HUNG_UP: &str = "upstream closed the connection during *";

#[test]
fn client_gives_each_step_its_time_and_names_it() {
    let at = |tenths: u64| Instant(5_000_000 + tenths * 100_000);
    let mut peer = Peer::new(PUBLISH);
    peer.session.tick(at(0)).unwrap();
    peer.session.tick(at(99)).unwrap();
    peer.says(&connected());
    peer.session.tick(at(100)).unwrap();
    peer.session.tick(at(199)).unwrap();
    peer.says(&created(4.0, 1.0));
    peer.session.tick(at(200)).unwrap();
    let error = peer.session.tick(at(300)).unwrap_err();
    let seconds = limits::UPSTREAM_STEP_TIME_MAX.as_secs();
    assert_eq!(error, ClientError::NoAnswer { step: Step::Publish, seconds });
    let words = "upstream did not answer publish for 10 s: check address and network";
    assert_eq!(error.to_string(), words);
    assert_eq!(peer.session.tick(at(400)), Ok(()));
    for (mut peer, step) in [
        (Peer::new(PLAY), Step::Connect),
        (Peer::connected(PLAY), Step::CreateStream),
        (
            {
                let mut peer = Peer::connected(PLAY);
                peer.says(&created(2.0, 1.0));
                peer
            },
            Step::Play,
        ),
    ] {
        peer.session.tick(at(0)).unwrap();
        let late = peer.session.tick(at(100)).unwrap_err();
        assert_eq!(late, ClientError::NoAnswer { step, seconds: 10 });
    }
    let mut peer = Peer::open(PLAY);
    peer.session.tick(at(0)).unwrap();
    peer.session.tick(at(1_000_000)).unwrap();
}

#[test]
fn client_counts_what_it_does_not_know_and_refuses_what_is_broken() {
    let mut peer = Peer::open(PUBLISH);
    peer.says(&reply("flyToTheMoon", 9.0, |_| {}));
    peer.hears(MessageType::Unknown(77), 0, &[]).unwrap();
    peer.hears(MessageType::SharedObject, 0, &[]).unwrap();
    peer.hears(CONTROL, 0, &hex("0063 00")).unwrap();
    assert_eq!(peer.status.get(Counter::RtmpUnknown), 4);
    assert!(peer.said().is_empty());
    for (kind, payload) in [
        (COMMAND, ""),
        (COMMAND, "05"),
        (COMMAND, "020007 636f6e6e"),
        (CONTROL, "0006 00"),
        (MessageType::Acknowledgement, "123456"),
        (MessageType::WindowAckSize, ""),
        (MessageType::SetPeerBandwidth, "002625a0"),
    ] {
        let error = peer.hears(kind, 0, &hex(payload)).unwrap_err();
        assert!(error.to_string().starts_with("upstream: "), "{error}");
    }
}

#[test]
fn client_ends_with_full_when_the_server_asks_and_never_reads() {
    let mut peer = Peer::open(PUBLISH);
    let ping = reply("ping", 1.0, |_| {});
    let error = (0..100_000).find_map(|_| peer.hears(COMMAND, 0, &ping).err()).unwrap();
    assert!(matches!(error, ClientError::Full(_)));
}

#[test]
fn client_fits_its_place() {
    assert!(size_of::<Session<'_>>() <= 1 << 10);
}

/// Sizes to cut at, for ever.
type Cuts<'c> = core::iter::Cycle<core::slice::Iter<'c, usize>>;

/// Cuts messages anew, in chunks of another size, and interleaves chunk streams.
struct Relay {
    receiver: Box<Receiver>,
    enchunker: Enchunker,
    chunk_bytes: u32,
    has_announced: bool,
    /// Picks whose chunk comes next.
    seed: u64,
}

impl Relay {
    fn new(chunk_bytes: u32, seed: u64) -> Self {
        let mut enchunker = Enchunker::new();
        enchunker.set_chunk_bytes(chunk_bytes);
        Self {
            receiver: Box::new(Receiver::new()),
            enchunker,
            chunk_bytes,
            has_announced: false,
            seed,
        }
    }

    fn pick(&mut self, n: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.seed >> 33).unwrap() % n
    }

    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        if !self.has_announced {
            self.has_announced = true;
            wire.extend(hex("020000000000040100000000"));
            wire.extend(self.chunk_bytes.to_be_bytes());
        }
        let messages = self.receiver.feed(bytes).unwrap();
        wire.extend(self.chunks(&messages));
        wire
    }

    fn chunks(&mut self, messages: &[Message]) -> Vec<u8> {
        let mut queues: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for m in messages {
            let length = u32::try_from(m.payload.len()).unwrap();
            let Message { csid, kind, stream, at: timestamp, .. } = *m;
            let mut rest = &m.payload[..];
            for chunk in self.enchunker.begin(Outgoing { csid, kind, stream, timestamp, length }) {
                let (now, later) = rest.split_at(chunk.data_len);
                queues.entry(csid).or_default().push([chunk.header(), now].concat());
                rest = later;
            }
        }
        let mut wire = Vec::new();
        while !queues.is_empty() {
            let n = self.pick(queues.len());
            let csid = *queues.keys().nth(n).unwrap();
            let queue = queues.get_mut(&csid).unwrap();
            wire.extend(queue.remove(0));
            if queue.is_empty() {
                queues.remove(&csid);
            }
        }
        wire
    }
}

/// The client's end of a link.
struct Near<'p> {
    handshake: handshake::Client,
    session: Option<Session<'p>>,
    plan: Plan<'p>,
    out: Outbox,
    receiver: Box<Receiver>,
    held: Vec<u8>,
    heard: Vec<String>,
    media: Vec<Message>,
}

/// Why a link broke, at either layer.
#[derive(Debug, PartialEq)]
enum Broken {
    Chunk(ChunkError),
    Client(ClientError),
}

impl<'p> Near<'p> {
    fn new(plan: Plan<'p>) -> Self {
        let mut out = Outbox::new();
        let fill = &mut |room: &mut [u8]| room.fill(0x5a);
        let handshake =
            handshake::Client::start(handshake::Hello::Signed, Millis(1), fill, &mut out).unwrap();
        Self {
            handshake,
            session: None,
            plan,
            out,
            receiver: Box::new(Receiver::new()),
            held: Vec::new(),
            heard: Vec::new(),
            media: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some(session) = &mut self.session else {
            self.held.extend(bytes);
            let fill = &mut |room: &mut [u8]| room.fill(0xa5);
            let taken = self.handshake.advance(&self.held, fill, &mut self.out).unwrap();
            self.held.drain(..taken);
            if !self.handshake.is_open() {
                return Ok(());
            }
            let session = Session::start(self.plan, &self.handshake, &mut self.out);
            self.session = Some(session.unwrap());
            let rest = core::mem::take(&mut self.held);
            return self.feed(&rest);
        };
        for m in self.receiver.feed(bytes).map_err(Broken::Chunk)? {
            if matches!(m.kind, MessageType::Audio | MessageType::Video) {
                self.media.push(m);
                continue;
            }
            let (out, status) = (&mut self.out, &self.receiver.status);
            let event = session.message(m.kind, m.stream, m.at, &m.payload, out, status);
            if let Some(event) = event.map_err(Broken::Client)? {
                self.heard.push(event_words(event));
            }
            session.bytes_received(self.receiver.dechunker.position(), &mut self.out);
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = self.out.pending().to_vec();
        self.out.sent(bytes.len());
        bytes
    }
}

/// The server's end, with the program's own session.
struct Far {
    handshake: handshake::Server,
    session: server::Session,
    out: Outbox,
    receiver: Box<Receiver>,
    held: Vec<u8>,
    heard: Vec<String>,
    media: Vec<Message>,
    refusal: Option<Reason>,
}

impl Far {
    fn new(refusal: Option<Reason>) -> Self {
        Self {
            handshake: handshake::Server::new(handshake::Encryption::Refused),
            session: server::Session::new(Admission::Open),
            out: Outbox::new(),
            receiver: Box::new(Receiver::new()),
            held: Vec::new(),
            heard: Vec::new(),
            media: Vec::new(),
            refusal,
        }
    }

    fn is_open(&self) -> bool {
        self.handshake.is_open()
    }

    fn feed(&mut self, bytes: &[u8]) {
        if !self.is_open() {
            self.held.extend(bytes);
            let fill = &mut |room: &mut [u8]| room.fill(0x11);
            let taken = self.handshake.advance(&self.held, Millis(2), fill, &mut self.out);
            self.held.drain(..taken.unwrap());
            return;
        }
        for m in self.receiver.feed(bytes).unwrap() {
            if matches!(m.kind, MessageType::Audio | MessageType::Video) {
                assert!(self.session.is_publishing(m.stream), "media before it was allowed");
                self.media.push(m);
                continue;
            }
            let (out, status) = (&mut self.out, &self.receiver.status);
            let event = self.session.message(m.kind, m.stream, m.at, &m.payload, out, status);
            let asked = match event.unwrap() {
                Some(Event::Publish { stream, app, name, query, .. }) => {
                    self.heard.push(format!("publish {app} {name} {query}"));
                    Some(stream)
                }
                Some(Event::Metadata { body, .. }) => {
                    self.heard.push(format!("metadata {}", to_hex(body)));
                    None
                }
                Some(Event::Unpublish { .. }) => {
                    self.heard.push("unpublish".into());
                    None
                }
                _ => None,
            };
            match (asked, self.refusal) {
                (Some(stream), None) => self.session.accept_publish(stream, out).unwrap(),
                (Some(stream), Some(why)) => {
                    self.session.reject_publish(stream, why, "in use", out).unwrap();
                }
                (None, _) => {}
            }
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = self.out.pending().to_vec();
        self.out.sent(bytes.len());
        bytes
    }
}

fn pieces<'b>(mut bytes: &'b [u8], cuts: &mut Cuts<'_>) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at((*cuts.next().unwrap()).min(bytes.len()));
        pieces.push(now);
        bytes = later;
    }
    pieces
}

/// What one exchange leaves: what either end heard.
type Heard = (Vec<String>, Vec<String>, Vec<Message>);

/// A publish from handshake to goodbye, with media, over a link that cuts as told; through a relay
/// once the handshake is over, if one is given.
fn exchange(
    cuts: &[usize],
    mut relay: Option<[Relay; 2]>,
    refusal: Option<Reason>,
    media: &[Message],
) -> Heard {
    let mut cuts = cuts.iter().cycle();
    let (mut near, mut far) = (Near::new(PUBLISH), Far::new(refusal));
    let mut has_left = false;
    // The relay joins when both ends are past the handshake: before, bytes go as they are.
    loop {
        let (is_open, mut up) = (near.session.is_some(), near.take());
        if let (Some([relay, _]), true) = (&mut relay, is_open) {
            // C2 may stand before the first chunk.
            let c2 = if far.is_open() { 0 } else { 1536 };
            let chunks = relay.pass(&up[c2..]);
            up.truncate(c2);
            up.extend(chunks);
        }
        for piece in pieces(&up, &mut cuts) {
            if far.is_open() {
                far.feed(piece);
                continue;
            }
            far.feed(piece);
            let rest = core::mem::take(&mut far.held);
            if far.is_open() {
                far.feed(&rest);
            } else {
                far.held = rest;
            }
        }
        let mut down = far.take();
        if let (Some([_, relay]), true) = (&mut relay, near.session.is_some()) {
            down = relay.pass(&down);
        }
        for piece in pieces(&down, &mut cuts) {
            near.feed(piece).unwrap();
        }
        let open = near.session.as_ref().is_some_and(|s| s.step() == Step::Stream);
        if open && !has_left {
            has_left = true;
            let wire = stream_out(&mut near, media, &mut cuts);
            let wire = match &mut relay {
                Some([relay, _]) => relay.pass(&wire),
                None => wire,
            };
            for piece in pieces(&wire, &mut cuts) {
                far.feed(piece);
            }
            let session = near.session.as_mut().unwrap();
            session.leave(&mut near.out).unwrap();
        }
        if up.is_empty() && down.is_empty() && near.out.pending().is_empty() {
            break;
        }
    }
    (near.heard, far.heard, far.media)
}

/// Metadata and media as a publisher sends them, taken with writes as told.
fn stream_out(near: &mut Near<'_>, media: &[Message], cuts: &mut Cuts<'_>) -> Vec<u8> {
    let mut wire = near.take();
    let enchunker = near.out.enchunker();
    let meta = metadata();
    let mut gathers = vec![(
        Gather::metadata(enchunker, 1, Towards::Server, Millis(0), meta.len()).unwrap(),
        &meta,
    )];
    for m in media {
        let label = Label { kind: m.kind.into(), at: m.at, keyframe: false };
        let gather = Gather::message(enchunker, 1, label, m.payload.len()).unwrap();
        gathers.push((gather, &m.payload));
    }
    for (mut gather, payload) in gathers {
        while !gather.is_complete() {
            let n = *cuts.next().unwrap();
            let bytes: Vec<u8> = gather.pieces(payload).flatten().copied().take(n).collect();
            gather.sent(bytes.len());
            wire.extend(bytes);
        }
    }
    wire
}

fn media() -> Vec<Message> {
    let frame = |kind, at, n: usize| Message {
        csid: if kind == MessageType::Audio { 4 } else { 6 },
        kind,
        stream: 1,
        at: Millis(at),
        payload: (0..=255).cycle().take(n).collect(),
    };
    vec![
        frame(MessageType::Audio, 0, 4),
        frame(MessageType::Video, 16_777_200, 20_000),
        frame(MessageType::Video, 16_777_240, 1),
        frame(MessageType::Audio, 23, 500),
        frame(MessageType::Video, 0, 0),
    ]
}

/// Media of each kind comes in its order; between kinds a relay may have changed it.
fn by_kind(messages: &[Message]) -> Vec<Message> {
    let mut sorted = messages.to_vec();
    sorted.sort_by_key(|m| u8::from(m.kind));
    sorted
}

fn assert_published((near, far, media_got): &Heard, case: &str) {
    let want = ["connected FMS/3,0,1,123", "Publishing { stream: 1 }"];
    let events: Vec<_> = near.iter().filter(|event| !event.starts_with("Stream")).collect();
    assert_eq!(events, want, "{case}");
    assert!(near.contains(&"StreamBegin { stream: 1 }".to_owned()), "{case}");
    let meta = format!("metadata {}", to_hex(&metadata()));
    assert_eq!(far, &["publish live/inst key tok=1", &meta, "unpublish"], "{case}");
    assert_eq!(by_kind(media_got), by_kind(&media()), "{case}");
}

#[test]
fn client_publishes_to_our_server_however_the_link_cuts() {
    for cut in (1..64).chain([100, 127, 128, 129, 1535, 1536, 1537, 3073, usize::MAX]) {
        let heard = exchange(&[cut], None, None, &media());
        assert_published(&heard, &format!("cut {cut}"));
    }
    for cut in 1..1700 {
        let heard = exchange(&[cut, usize::MAX], None, None, &media());
        assert_published(&heard, &format!("cut {cut}, then none"));
    }
}

#[test]
fn client_publishes_to_our_server_with_every_chunk_size() {
    let sizes = (1..140).chain((140..65_537).step_by(997)).chain([4096, 16_384, 65_536]);
    for (seed, bytes) in (0..).zip(sizes) {
        let relay = [Relay::new(bytes, seed), Relay::new(65_537 - bytes, seed)];
        let heard = exchange(&[usize::MAX], Some(relay), None, &media());
        assert_published(&heard, &format!("chunk size {bytes}"));
    }
}

#[test]
fn client_hears_from_our_server_that_the_name_is_taken() {
    let (near, far, _) = exchange(&[50], None, Some(Reason::BadName), &[]);
    let words = "Refused { refusal: Name, code: \"NetStream.Publish.BadName\", \
                 description: \"in use\" }";
    assert_eq!(near.last().unwrap(), words);
    assert_eq!(far.len(), 1);
}

/// What a server of the field says to a player, after each of its calls.
fn play_script() -> [(&'static str, Vec<Message>); 3] {
    let frame = |kind, csid, at, n: usize| Message {
        at: Millis(at),
        ..message(csid, kind, 1, (0..=255).cycle().take(n).collect())
    };
    let meta = [hex("02000a6f6e4d65746144617461"), metadata()].concat();
    let connect = vec![
        message(2, MessageType::WindowAckSize, 0, hex("002625a0")),
        message(2, MessageType::SetPeerBandwidth, 0, hex("002625a002")),
        message(3, COMMAND, 0, reply("onBWDone", 0.0, |_| {})),
        message(3, COMMAND, 0, connected()),
    ];
    let play = vec![
        message(2, CONTROL, 0, hex("000000000001")),
        message(5, COMMAND, 1, on_status("status", "NetStream.Play.Reset")),
        message(5, COMMAND, 1, on_status("status", "NetStream.Play.Start")),
        message(5, DATA, 1, hex("0200117c52746d7053616d706c6541636365737301010101")),
        message(5, DATA, 1, meta),
        frame(MessageType::Video, 7, 0, 40),
        frame(MessageType::Audio, 6, 0, 4),
        frame(MessageType::Video, 7, 16_777_300, 2000),
        frame(MessageType::Audio, 6, 23, 300),
    ];
    [
        ("connect", connect),
        ("createStream", vec![message(3, COMMAND, 0, created(3.0, 1.0))]),
        ("play", play),
    ]
}

/// The bytes of a whole script as one server would send them.
fn play_bytes(relay: &mut Relay) -> [Vec<u8>; 3] {
    play_script().map(|(_, messages)| {
        let mut wire = Vec::new();
        if !relay.has_announced {
            wire = relay.pass(&[]);
        }
        wire.extend(relay.chunks(&messages));
        wire
    })
}

/// Plays from scripted bytes, each part when the client has made its call.
fn play_from(parts: &[Vec<u8>; 3], cuts: &[usize]) -> (Vec<String>, Vec<Message>) {
    let mut cuts = cuts.iter().cycle();
    let mut near = Near::new(play_live());
    near.take();
    let mut answer = vec![0; 3073];
    answer[0] = 3;
    for piece in pieces(&answer, &mut cuts) {
        near.feed(piece).unwrap();
    }
    let mut server = Receiver::new();
    server.feed(&near.take()[1536..]).unwrap();
    for (part, step) in parts.iter().zip([Step::Connect, Step::CreateStream, Step::Play]) {
        assert_eq!(near.session.as_ref().unwrap().step(), step);
        for piece in pieces(part, &mut cuts) {
            near.feed(piece).unwrap();
        }
        server.feed(&near.take()).unwrap();
    }
    (near.heard, near.media)
}

#[test]
fn client_plays_from_a_scripted_server_however_it_cuts_and_interleaves() {
    let script = play_script();
    let sent: Vec<Message> = script[2].1[5..].to_vec();
    let sizes = (1..140).chain((140..65_537).step_by(1499)).chain([4096, 65_536]);
    for (seed, bytes) in (0..).zip(sizes) {
        let parts = play_bytes(&mut Relay::new(bytes, seed));
        let cut = 1 + usize::try_from(seed).unwrap() * 7;
        let (mut heard, media) = play_from(&parts, &[cut, 3, usize::MAX]);
        heard.sort();
        let want = [
            "Playing { stream: 1 }",
            "StreamBegin { stream: 1 }",
            "connected FMS/3,0,1,123",
            "metadata 1 Some(Number(1280.0))",
        ];
        assert_eq!(heard, want, "chunk size {bytes}");
        assert_eq!(by_kind(&media), by_kind(&sent), "chunk size {bytes}");
    }
    let parts = play_bytes(&mut Relay::new(128, 0));
    for cut in 1..parts.iter().map(Vec::len).max().unwrap() {
        let (heard, media) = play_from(&parts, &[cut, usize::MAX]);
        assert_eq!((heard.len(), media.len()), (4, 4), "cut {cut}");
    }
}

/// The last word of a session whose server sends these bytes and closes.
fn closed_after(plan: Plan<'_>, bytes: &[u8]) -> Result<String, Broken> {
    let mut near = Near::new(plan);
    near.session = Some(Session::start(plan, &opened([0; 32]), &mut near.out).unwrap());
    near.feed(bytes)?;
    Ok(near.session.unwrap().hung_up().to_string())
}

#[test]
fn client_names_the_step_at_which_a_server_closes() {
    let parts = play_bytes(&mut Relay::new(128, 0));
    let whole = parts.concat();
    let ends = [parts[0].len(), parts[0].len() + parts[1].len(), whole.len()];
    let mut seen = Vec::new();
    for n in 0..=whole.len() {
        let words = closed_after(play_live(), &whole[..n]).unwrap();
        let step = words.rsplit("during ").next().unwrap().to_owned();
        let want = match n {
            n if n < ends[0] => "connect",
            n if n < ends[1] => "createStream",
            _ => "play",
        };
        // Play.Start stands within the last part.
        assert!(step == want || (want == "play" && step == "the stream"), "{n}: {step}");
        seen.push(step);
    }
    seen.dedup();
    assert_eq!(seen, ["connect", "createStream", "play", "the stream"]);
}

#[test]
fn client_refuses_servers_that_lie_about_sizes() {
    let broken = |bytes: &str| closed_after(PUBLISH, &hex(bytes)).unwrap_err();
    let zero = broken("020000000000040100000000 00000000");
    assert_eq!(zero, Broken::Chunk(ChunkError::ChunkSize { bytes: 0 }));
    let long = broken("03 000000 ffffff 14 00000000");
    assert!(matches!(long, Broken::Chunk(ChunkError::MessageTooLong { .. })), "{long:?}");
    let text = broken("030000000000051400000000 02ffff6162");
    assert!(matches!(text, Broken::Client(ClientError::Command(_))), "{text:?}");
    let call = "0200075f726573756c74 003ff0000000000000";
    let array = broken(&format!("03 000000 000019 14 00000000 {call} 0a ffffffff 05"));
    assert!(matches!(array, Broken::Client(ClientError::Command(_))), "{array:?}");
    let ping = broken("020000000000030400000000 000600");
    assert!(matches!(ping, Broken::Client(ClientError::UserControl(_))), "{ping:?}");
}

/// Any message a server might send, in any order.
fn noise() -> impl Strategy<Value = (u8, u32, Vec<u8>)> {
    let codes = prop_oneof![
        Just("NetStream.Publish.Start"),
        Just("NetStream.Play.Start"),
        Just("NetStream.Play.UnpublishNotify"),
        Just("NetStream.Play.Stop"),
        Just("NetConnection.Connect.ReconnectRequest"),
        Just("x"),
    ];
    let status = codes.prop_map(|code| (20, 1, on_status("status", code)));
    let name = prop_oneof![Just("_result"), Just("_error"), Just("onBWDone"), Just("ping")];
    let answers = (name, 0..8u32, 0..4u32).prop_map(|(name, transaction, stream)| {
        let payload = reply(name, f64::from(transaction), |e| e.number(f64::from(stream)).unwrap());
        (20, 0, payload)
    });
    let bytes = (any::<u8>(), 0..3u32, proptest::collection::vec(any::<u8>(), 0..40));
    prop_oneof![3 => status, 3 => answers, 1 => bytes]
}

proptest! {
    #[test]
    fn client_and_server_agree_over_any_link(
        cuts in proptest::collection::vec(1..3000usize, 1..20),
        up in 1..65_537u32,
        down in prop_oneof![1..300u32, 1..65_537u32],
        seed in any::<u64>(),
        is_direct in any::<bool>(),
    ) {
        let relay = [Relay::new(up, seed), Relay::new(down, !seed)];
        let heard = exchange(&cuts, (!is_direct).then_some(relay), None, &media());
        assert_published(&heard, "any link");
    }

    #[test]
    fn client_asks_once_and_opens_only_when_told_in_any_order(
        messages in proptest::collection::vec(noise(), 0..40),
        is_publisher in any::<bool>(),
    ) {
        let mut peer = Peer::new(if is_publisher { PUBLISH } else { PLAY });
        let mut asked = 0;
        let mut said = peer.said();
        for (kind, stream, payload) in messages {
            let before = peer.session.step();
            let heard = peer.hears(kind.into(), stream, &payload).unwrap_or_default();
            said.extend(peer.said());
            let asks = |s: &&String| s.contains(" publish ") || s.contains(" play ");
            asked = said.iter().filter(asks).count();
            let after = peer.session.step();
            let opened = before != Step::Stream && after == Step::Stream;
            prop_assert!(!opened || heard.starts_with('P'), "{heard}");
            prop_assert!(!opened || matches!(before, Step::Publish | Step::Play));
            let has_stream = matches!(after, Step::Publish | Step::Play | Step::Stream);
            prop_assert_eq!(peer.session.stream().is_some(), has_stream);
        }
        prop_assert!(asked <= 1);
    }

    #[test]
    fn client_survives_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0..700usize,
        is_publisher in any::<bool>(),
    ) {
        let plan = if is_publisher { PUBLISH } else { play_live() };
        let mut wire = play_bytes(&mut Relay::new(128, 0)).concat();
        for (to, from) in wire.iter_mut().skip(at).zip(&bytes) {
            *to = *from;
        }
        let words = match closed_after(plan, &wire) {
            Ok(words) => words,
            Err(Broken::Chunk(error)) => error.to_string(),
            Err(Broken::Client(error)) => error.to_string(),
        };
        prop_assert!(words.len() > 20, "{}", words);
    }
}

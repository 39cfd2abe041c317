//! The least RTMP server that the machines make, one connection at a time.
//!
//! What came out of a connection is noted for the test to judge. Not here: more than one stream,
//! deadlines other than patience.

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rillcast::limits::{OUTBOX_BYTES, REPLY_BYTES_MAX, RX_BYTES, SCRATCH_BYTES};
use rillcast::proto::rtmp::dechunk::{Arrival, Bin, Dechunker, Rings};
use rillcast::proto::rtmp::enchunk::Outbox;
use rillcast::proto::rtmp::event::{Admission, Event};
use rillcast::proto::rtmp::handshake::{Encryption, Server};
use rillcast::proto::rtmp::seal::Seal;
use rillcast::proto::rtmp::server::Session;
use rillcast::status::Status;
use rillcast::storage::{ByteRing, FrameRing};
use rillcast::sys::random;
use rillcast::time::Millis;
use rillcast::wire::rtmp::command::{Command as Call, Reply};
use rillcast::wire::rtmp::message::MessageType;
use rillcast::wire::writer::Writer;

use crate::process::{self, Running, Scratch};

/// Between two reads at most; a peer that lost the chunk stream says nothing more.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Messages of media after which a publisher is believed.
pub const MEDIA: usize = 100;

/// Says to an application and the query behind it why it is rejected, if it is.
pub type Door<'d> = &'d mut dyn FnMut(&str, &str) -> Option<String>;

/// What came out of a connection.
#[derive(Debug, Default)]
pub struct Heard {
    pub encrypted: bool,
    pub commands: Vec<String>,
    pub app: String,
    pub rejected: Option<String>,
    pub published: String,
    pub media: usize,
}

/// The receiving end of a connection: what was decrypted, and the messages in it.
pub struct Receiver {
    pub rx: ByteRing,
    dechunker: Dechunker,
    scratch: FrameRing,
    media: FrameRing,
    status: Status,
}

impl Receiver {
    pub fn new() -> Self {
        Self {
            rx: ByteRing::new(RX_BYTES),
            dechunker: Dechunker::new(),
            scratch: FrameRing::scratch(SCRATCH_BYTES),
            media: FrameRing::new(1 << 20, 64),
            status: Status::new(),
        }
    }

    /// Reads once; 0 at the end.
    pub fn read(&mut self, socket: &mut impl Read) -> usize {
        let n = socket.read(self.rx.window()).unwrap_or(0);
        self.rx.filled(n);
        n
    }

    /// Decrypts the last `n` bytes.
    pub fn decrypt(&mut self, n: usize, seal: &mut Seal) {
        let held = self.rx.len();
        seal.decrypt(&mut self.rx.look_mut()[held - n..]);
    }

    fn next(&mut self) -> Option<Arrival> {
        let media = [Some((1, &mut self.media)), None, None, None];
        let mut rings = Rings { scratch: &mut self.scratch, media };
        let progress =
            self.dechunker.advance(self.rx.look(), &mut rings, &self.status).expect("chunks");
        self.rx.consume(progress.consumed);
        progress.arrival
    }
}

/// One connection.
struct Serving<'d> {
    session: Session,
    out: Outbox,
    heard: Heard,
    door: Door<'d>,
}

impl Serving<'_> {
    /// Answers one message and notes it.
    fn message(&mut self, arrival: &Arrival, receiver: &Receiver) {
        if arrival.bin != Bin::Scratch {
            self.heard.media += 1;
            return;
        }
        let payload = receiver.scratch.bytes(arrival.place).unwrap();
        if arrival.kind == MessageType::CommandAmf0 {
            let call = Call::parse(arrival.kind, payload).expect("a well-formed command");
            self.command(&call);
        }
        if self.heard.rejected.is_some() {
            return;
        }
        let (out, status) = (&mut self.out, &receiver.status);
        let event = self
            .session
            .message(arrival.kind, arrival.stream, arrival.at, payload, out, status)
            .expect("a session");
        if let Some(Event::Publish { stream, app, name, .. }) = event {
            self.heard.published = format!("{app}/{name}");
            self.session.accept_publish(stream, &mut self.out).unwrap();
        }
    }

    fn command(&mut self, call: &Call<'_>) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        self.heard.commands.push(text(call.name));
        if call.name != b"connect" {
            return;
        }
        self.heard.app = text(call.property("app").expect("connect says an application"));
        let (app, query) = self.heard.app.split_once('?').unwrap_or((&self.heard.app, ""));
        self.heard.rejected = (self.door)(app, query);
        if let Some(description) = &self.heard.rejected {
            let code = "NetConnection.Connect.Rejected";
            let reply = Reply::Refused { transaction: 1.0, code, description };
            let mut buffer = [0; REPLY_BYTES_MAX];
            let mut w = Writer::new(&mut buffer);
            reply.emit(&mut w).unwrap();
            self.out.message(3, MessageType::CommandAmf0, 0, Millis(0), w.written()).unwrap();
        }
    }
}

/// Serves one connection until `enough`, its end or its rejection, as the service would.
pub fn serve(mut socket: TcpStream, door: Door<'_>, enough: impl Fn(&Heard) -> bool) -> Heard {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut receiver = Receiver::new();
    let mut server = Server::new(Encryption::Allowed);
    let mut seal: Option<Seal> = None;
    let (session, out) = (Session::new(Admission::Open), Outbox::new());
    let mut serving = Serving { session, out, heard: Heard::default(), door };
    let end = Instant::now() + PATIENCE;
    while !enough(&serving.heard) && serving.heard.rejected.is_none() && Instant::now() < end {
        let n = receiver.read(&mut socket);
        if n == 0 {
            break;
        }
        if let Some(seal) = &mut seal {
            receiver.decrypt(n, seal);
        }
        if !server.is_open() {
            let fill = &mut random::fill;
            let out = &mut serving.out;
            let used = server.advance(receiver.rx.look(), Millis(0), fill, out).unwrap();
            receiver.rx.consume(used);
            if let Some(ciphers) = server.take_ciphers() {
                serving.heard.encrypted = true;
                serving.session.encrypted();
                let block = vec![0; OUTBOX_BYTES].into();
                let fresh = Seal::new(ciphers, block, serving.out.pending().len());
                receiver.decrypt(receiver.rx.len(), seal.insert(fresh));
            }
        }
        while server.is_open()
            && let Some(arrival) = receiver.next()
        {
            serving.message(&arrival, &receiver);
        }
        let out = &mut serving.out;
        let wire = seal.as_mut().map(|seal| {
            assert_eq!(seal.take(&[IoSlice::new(out.pending())]), out.pending().len());
            let wire = seal.pending().to_vec();
            seal.sent(wire.len());
            wire
        });
        if socket.write_all(wire.as_deref().unwrap_or(out.pending())).is_err() {
            break;
        }
        out.sent(out.pending().len());
    }
    serving.heard
}

pub fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Serves the connections that `command` makes, one after another, until one is not rejected; then
/// until `enough`. Gives all of them.
pub fn serve_program(
    name: &str,
    listener: &TcpListener,
    command: &mut Command,
    door: Door<'_>,
    enough: impl Fn(&Heard) -> bool,
) -> Vec<Heard> {
    let scratch = Scratch::new(name);
    let mut running = Running::start(name, command, &scratch.join("output"));
    let mut all = Vec::new();
    loop {
        let next = process::wait_for("a connection", PATIENCE, || match listener.accept() {
            Ok((socket, _)) => Some(Some(socket)),
            Err(_) => running.ended().map(|_| None),
        });
        let Some(socket) = next else { break };
        socket.set_nonblocking(false).unwrap();
        let heard = serve(socket, &mut *door, &enough);
        println!("{name}: {heard:?}");
        let is_last = heard.rejected.is_none();
        all.push(heard);
        if is_last {
            break;
        }
    }
    println!("{}", running.text());
    all
}

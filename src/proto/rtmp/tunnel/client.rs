//! The client's side of a tunnel: which request is next and when, and what an answer carries.
//!
//! One request is under way at a time. Bytes wait until enough packets were written or the pause
//! between two requests is over; without any, the pause ends in an `idle`. The interval byte is
//! read and ignored, as ffmpeg does. Holds no payload and knows no connection: who carries the
//! bytes asks for the next request, writes it, and shows what comes back.
//! Source: as the folder's page; answers are HTTP/1.1 with a Content-Length (RFC 9112 §6.2).

use super::{CONTENT_TYPE, TunnelError, Verb};
use crate::limits::{
    CLIENT_FLUSH_PACKETS_MAX, TUNNEL_BODY_BYTES_MAX, TUNNEL_HEAD_BYTES_MAX, TUNNEL_NAME_BYTES_MAX,
    TUNNEL_PAUSE,
};
use crate::time::Instant;
use crate::wire::http::AnswerHead;
use crate::wire::writer::{Full, Writer};
use core::fmt::Write as _;

/// What the next request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `/open/1`; a body of one 0.
    Open,
    /// `/send` with so many of the waiting bytes for a body.
    Send {
        /// Bytes.
        bytes: usize,
    },
    /// `/idle`; a body of one 0.
    Idle,
    /// `/close`; a body of one 0.
    Close,
}

/// What some bytes of answers amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes at the front to drop.
    pub consumed: usize,
    /// Bytes behind them that are the server's.
    pub payload: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is under way; the next request is due from here on.
    Pause { until: Instant },
    /// The request under way was lost with its connection and goes out again.
    Again,
    /// The head of an answer is coming.
    Head,
    /// So much of an answer's body is to come, its interval byte or its name first.
    Body { left: u64, is_first: bool, had: bool },
    /// The session is over.
    Over,
}

/// The client of one session.
#[derive(Clone, Debug)]
pub struct Client {
    name: heapless::String<TUNNEL_NAME_BYTES_MAX>,
    /// Whether the name is whole.
    is_open: bool,
    number: u32,
    asked: Ask,
    state: State,
    head: heapless::Vec<u8, TUNNEL_HEAD_BYTES_MAX>,
    flush_packets: u32,
    packets: u32,
    is_closing: bool,
    /// Whether the server ends the connection after this answer, or has ended it.
    is_last: bool,
    /// How often the request under way went out again.
    repeats: u32,
}

impl Client {
    /// A session that has yet to be opened and sends after `flush_packets` packets.
    #[must_use]
    pub fn new(flush_packets: u32, now: Instant) -> Self {
        Self {
            name: heapless::String::new(),
            is_open: false,
            number: 0,
            asked: Ask::Open,
            state: State::Pause { until: now },
            head: heapless::Vec::new(),
            flush_packets: flush_packets.clamp(1, CLIENT_FLUSH_PACKETS_MAX),
            packets: 0,
            is_closing: false,
            is_last: false,
            repeats: 0,
        }
    }

    /// Another packet was added to what waits.
    pub const fn wrote(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// The session is to end once what waits is sent.
    pub const fn close(&mut self) {
        self.is_closing = true;
    }

    /// The request to write now, if one is due while `waiting` bytes wait.
    pub fn request(&mut self, waiting: usize, now: Instant) -> Option<Ask> {
        let until = match self.state {
            _ if self.is_last => return None,
            State::Pause { until } => until,
            State::Again => {
                self.state = State::Head;
                return Some(self.asked);
            }
            State::Head | State::Body { .. } | State::Over => return None,
        };
        let ask = if !self.is_open {
            Ask::Open
        } else if waiting > 0 && (self.packets >= self.flush_packets || self.is_closing) {
            self.send(waiting)
        } else if self.is_closing {
            Ask::Close
        } else if now < until {
            return None;
        } else if waiting > 0 {
            self.send(waiting)
        } else {
            Ask::Idle
        };
        debug_assert!(self.head.is_empty(), "the answer before was read whole");
        self.asked = ask;
        self.state = State::Head;
        Some(ask)
    }

    /// Writes the head of the request that `request` gave, and the body if it is the 0.
    ///
    /// # Errors
    /// `Full` if it does not fit; `TUNNEL_HEAD_BYTES_MAX` is enough.
    pub fn write_request(&mut self, host: &str, w: &mut Writer<'_>) -> Result<(), Full> {
        let verb = match self.asked {
            Ask::Open => "open",
            Ask::Send { .. } => "send",
            Ask::Idle => "idle",
            Ask::Close => "close",
        };
        let number = self.number.wrapping_sub(self.repeats);
        let mut line = heapless::String::<{ TUNNEL_NAME_BYTES_MAX + 32 }>::new();
        let written = match self.asked {
            Ask::Open => write!(line, "/open/1"),
            Ask::Send { .. } | Ask::Idle | Ask::Close => {
                write!(line, "/{verb}/{}/{number}", self.name)
            }
        };
        debug_assert!(written.is_ok());
        if self.asked != Ask::Open {
            self.number = number.wrapping_add(1);
        }
        let (bytes, is_send) = match self.asked {
            Ask::Send { bytes } => (bytes, true),
            Ask::Open | Ask::Idle | Ask::Close => (1, false),
        };
        let mut length = heapless::String::<24>::new();
        let written = write!(length, "{bytes}");
        debug_assert!(written.is_ok());
        for text in [
            "POST ",
            &line,
            " HTTP/1.1\r\nHost: ",
            host,
            "\r\nAccept: */*\r\nUser-Agent: Shockwave Flash\r\nConnection: keep-alive\r\n\
             Cache-Control: no-cache\r\nContent-Type: ",
            CONTENT_TYPE,
            "\r\nContent-Length: ",
            &length,
            "\r\n\r\n",
        ] {
            w.bytes(text.as_bytes())?;
        }
        if is_send { Ok(()) } else { w.u8(0) }
    }

    /// Looks at bytes of answers. To be called again until it neither drops nor shows any.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn advance(&mut self, input: &[u8], now: Instant) -> Result<Progress, TunnelError> {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = input.get(at..) {
            match self.state {
                State::Pause { .. } | State::Again => return Err(TunnelError::Answer),
                State::Over => return Ok(Progress { consumed: input.len(), payload: 0 }),
                State::Head => {
                    at += 1;
                    let max = TUNNEL_HEAD_BYTES_MAX;
                    self.head.push(*first).map_err(|_| TunnelError::Head { max })?;
                    if self.head.ends_with(b"\r\n\r\n") {
                        let left = self.read_head()?;
                        self.head.clear();
                        self.repeats = 0;
                        self.state = State::Body { left, is_first: true, had: false };
                        self.end_body(now)?;
                    }
                }
                State::Body { left, is_first, had } if self.asked == Ask::Open || is_first => {
                    at += 1;
                    if self.asked == Ask::Open {
                        self.read_name(*first)?;
                    }
                    self.state = State::Body { left: left - 1, is_first: false, had };
                    self.end_body(now)?;
                }
                State::Body { left, .. } => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let payload = rest.len().min(most);
                    return Ok(Progress { consumed: at, payload });
                }
            }
        }
        Ok(Progress { consumed: at, payload: 0 })
    }

    /// So many bytes of payload were taken.
    ///
    /// # Errors
    /// As `advance`.
    pub fn took(&mut self, bytes: usize, now: Instant) -> Result<(), TunnelError> {
        if bytes > 0
            && let State::Body { left, .. } = &mut self.state
        {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            debug_assert!(bytes <= *left, "no more was shown");
            let left = left.saturating_sub(bytes);
            self.state = State::Body { left, is_first: false, had: true };
        }
        self.end_body(now)
    }

    /// When the next request is due without another packet, if nothing is under way.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        match self.state {
            State::Pause { until } if !self.is_last => Some(until),
            State::Pause { .. } | State::Again | State::Head | State::Body { .. } | State::Over => {
                None
            }
        }
    }

    /// Whether the next request needs another connection.
    #[must_use]
    pub const fn needs_connection(&self) -> bool {
        self.is_last && matches!(self.state, State::Pause { .. } | State::Again)
    }

    /// There is another connection.
    pub const fn connected(&mut self) {
        self.is_last = false;
    }

    /// The server or a proxy ended the connection. A request without any answer goes out again, on
    /// another one and under its own number, by which the server knows it; that is done once.
    ///
    /// # Errors
    /// `TunnelError::Ended` in the middle of an answer, or if there was none to the second.
    pub fn lost(&mut self) -> Result<(), TunnelError> {
        match self.state {
            State::Pause { .. } | State::Over | State::Again => {}
            State::Head if self.asked == Ask::Close => self.state = State::Over,
            State::Head if self.head.is_empty() && self.repeats == 0 => {
                self.state = State::Again;
                self.repeats = 1;
            }
            State::Head | State::Body { .. } => return Err(TunnelError::Ended),
        }
        self.is_last = true;
        Ok(())
    }

    /// Whether the request under way has had no answer yet, so that its body is kept.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Head | State::Again)
    }

    /// Whether the session has ended in good order.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn send(&mut self, waiting: usize) -> Ask {
        self.packets = 0;
        let most = usize::try_from(TUNNEL_BODY_BYTES_MAX).unwrap_or(usize::MAX);
        Ask::Send { bytes: waiting.min(most) }
    }

    /// Length of the body that the head announces.
    fn read_head(&mut self) -> Result<u64, TunnelError> {
        let head = AnswerHead::parse(&self.head).map_err(|_| TunnelError::Answer)?;
        if head.code != 200 {
            return Err(TunnelError::Status { code: head.code });
        }
        if head.is_coded {
            return Err(TunnelError::Answer);
        }
        let length = head.length.ok_or(TunnelError::Answer)?;
        self.is_last |= head.is_last;
        let max = TUNNEL_BODY_BYTES_MAX;
        if length > max {
            return Err(TunnelError::Body { bytes: length, max });
        }
        Ok(length)
    }

    /// Takes a byte of the name, which a line end ends and which becomes part of paths.
    fn read_name(&mut self, byte: u8) -> Result<(), TunnelError> {
        match byte {
            b'\r' | b'\n' if self.name.is_empty() => Err(TunnelError::Answer),
            b'\r' | b'\n' => {
                self.is_open = true;
                Ok(())
            }
            b if !self.is_open && (b.is_ascii_alphanumeric() || b"-_.~+=".contains(&b)) => {
                let max = TUNNEL_NAME_BYTES_MAX;
                self.name.push(char::from(b)).map_err(|_| TunnelError::Head { max })
            }
            _ => Err(TunnelError::Answer),
        }
    }

    /// Goes on to the next request when nothing of an answer is left.
    fn end_body(&mut self, now: Instant) -> Result<(), TunnelError> {
        let State::Body { left: 0, had, .. } = self.state else { return Ok(()) };
        if self.asked == Ask::Open && self.name.is_empty() {
            return Err(TunnelError::Answer);
        }
        if self.asked == Ask::Open {
            // Some servers leave the line end out.
            self.is_open = true;
        }
        self.state = if self.asked == Ask::Close {
            State::Over
        } else if had || self.asked == Ask::Open {
            State::Pause { until: now }
        } else {
            State::Pause { until: now.after(TUNNEL_PAUSE) }
        };
        Ok(())
    }
}

impl Ask {
    /// What it wants of a session.
    #[must_use]
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Open => None,
            Self::Send { .. } => Some(Verb::Send),
            Self::Idle => Some(Verb::Idle),
            Self::Close => Some(Verb::Close),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rtmp::tunnel::Call;
    use crate::proto::rtmp::tunnel::session::Session;
    use crate::storage::widen;
    use proptest::prelude::*;

    const T: Instant = Instant(0);

    fn answer(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn opened(flush: u32) -> Client {
        let mut client = Client::new(flush, T);
        assert_eq!(client.request(0, T), Some(Ask::Open));
        let bytes = answer(b"abc\n");
        let progress = client.advance(&bytes, T).unwrap();
        assert_eq!(progress, Progress { consumed: bytes.len(), payload: 0 });
        client
    }

    fn request(client: &mut Client) -> String {
        let mut room = [0; TUNNEL_HEAD_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        client.write_request("box", &mut w).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    #[test]
    fn requests_count_from_0_and_pause_after_nothing() {
        let mut client = opened(10);
        assert_eq!(client.request(0, T), Some(Ask::Idle));
        assert!(request(&mut client).starts_with("POST /idle/abc/0 HTTP/1.1\r\nHost: box\r\n"));
        assert_eq!(client.request(5, T), None);
        client.advance(&answer(&[1]), T).unwrap();
        assert_eq!(client.request(0, T), None);
        let later = T.after(TUNNEL_PAUSE);
        assert_eq!(client.due(), Some(later));
        assert_eq!(client.request(7, later), Some(Ask::Send { bytes: 7 }));
        let text = request(&mut client);
        assert!(text.starts_with("POST /send/abc/1 ") && text.ends_with("Length: 7\r\n\r\n"));
    }

    #[test]
    fn so_many_packets_do_not_wait_for_the_pause() {
        let mut client = opened(CLIENT_FLUSH_PACKETS_MAX + 1);
        client.request(0, T).unwrap();
        client.advance(&answer(&[1]), T).unwrap();
        for _ in 0..CLIENT_FLUSH_PACKETS_MAX {
            assert_eq!(client.request(1, T), None);
            client.wrote();
        }
        assert_eq!(client.request(1, T), Some(Ask::Send { bytes: 1 }));
    }

    #[test]
    fn close_sends_what_waits_first() {
        let mut client = opened(10);
        client.close();
        assert_eq!(client.request(3, T), Some(Ask::Send { bytes: 3 }));
        client.advance(&answer(&[1]), T).unwrap();
        assert_eq!(client.request(0, T), Some(Ask::Close));
        client.advance(&answer(&[0]), T).unwrap();
        assert!(client.is_over());
    }

    #[test]
    fn next_request_waits_for_another_connection_when_the_server_ends_one() {
        let mut client = opened(10);
        client.request(0, T).unwrap();
        request(&mut client);
        let last = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\x01x";
        assert_eq!(client.advance(last, T).unwrap().payload, 1);
        assert!(!client.needs_connection(), "its answer is not taken yet");
        client.took(1, T).unwrap();
        assert!(client.needs_connection());
        assert_eq!((client.request(9, T), client.due()), (None, None));
        client.connected();
        assert_eq!(client.request(0, T), Some(Ask::Idle));
        assert!(request(&mut client).starts_with("POST /idle/abc/1 "));
    }

    #[test]
    fn request_without_an_answer_goes_out_again_once_under_its_number() {
        let mut client = opened(1);
        client.wrote();
        client.request(5, T).unwrap();
        let first = request(&mut client);
        assert!(client.is_unanswered());
        client.lost().unwrap();
        assert!(client.needs_connection());
        client.connected();
        assert_eq!(client.request(500, T), Some(Ask::Send { bytes: 5 }));
        assert_eq!(request(&mut client), first);
        assert_eq!(client.lost(), Err(TunnelError::Ended));
        client.advance(&answer(&[1]), T).unwrap();
        client.lost().unwrap();
        client.connected();
        client.request(0, T.after(TUNNEL_PAUSE)).unwrap();
        assert!(request(&mut client).starts_with("POST /idle/abc/1 "));
        client.advance(b"HTTP", T).unwrap();
        assert_eq!(client.lost(), Err(TunnelError::Ended), "in the middle of an answer");
    }

    #[test]
    fn end_of_the_connection_is_an_answer_to_close() {
        let mut client = opened(1);
        client.close();
        client.request(0, T).unwrap();
        client.lost().unwrap();
        assert!(client.is_over());
    }

    #[test]
    fn answer_that_is_not_the_tunnels_is_refused() {
        let refused = |bytes: &[u8]| {
            let mut client = opened(10);
            client.request(0, T).unwrap();
            client.advance(bytes, T).unwrap_err()
        };
        assert_eq!(refused(b"HTTP/1.1 404 Not Found\r\n\r\n"), TunnelError::Status { code: 404 });
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"SSH-2.0\r\n\r\n",
        ] {
            assert_eq!(refused(bytes), TunnelError::Answer);
        }
        let long = [b'a'; TUNNEL_HEAD_BYTES_MAX + 1];
        assert_eq!(refused(&long), TunnelError::Head { max: TUNNEL_HEAD_BYTES_MAX });
        let max = TUNNEL_BODY_BYTES_MAX;
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", max + 1);
        assert_eq!(refused(huge.as_bytes()), TunnelError::Body { bytes: max + 1, max });
    }

    #[test]
    fn name_of_a_session_is_short_and_plain() {
        let named = |name: &[u8]| {
            let mut client = Client::new(1, T);
            client.request(0, T).unwrap();
            client.advance(&answer(name), T).map(|_| client.is_open)
        };
        let long = [b'a'; TUNNEL_NAME_BYTES_MAX];
        assert_eq!(named(&long), Ok(true));
        assert_eq!(named(b"x\r\n"), Ok(true));
        let max = TUNNEL_NAME_BYTES_MAX;
        assert_eq!(named(&[b'a'; TUNNEL_NAME_BYTES_MAX + 1]), Err(TunnelError::Head { max }));
        for name in [&b""[..], b"\n", b"a/b", b"a b", b"a\nb"] {
            assert_eq!(named(name), Err(TunnelError::Answer));
        }
    }

    proptest! {
        #[test]
        fn bytes_pass_our_own_session_at_any_split(
            up in proptest::collection::vec(any::<u8>(), 0..600),
            down in proptest::collection::vec(any::<u8>(), 0..600),
            split in 1usize..40,
            most in 1usize..90,
        ) {
            let mut client = opened(1);
            let mut session = Session::open(T, &mut |bytes| bytes.fill(7));
            let (mut sent, mut got, mut taken) = (0, Vec::new(), Vec::new());
            let (mut given, mut now) = (0, T);
            for _ in 0..1000 {
                now = now.after(TUNNEL_PAUSE);
                let waiting = (up.len() - sent).min(most);
                let ask = client.request(waiting, now).unwrap();
                let text = request(&mut client);
                let path = text.split(' ').nth(1).unwrap().replace("abc", "00000000000012ab");
                let Ok(Some(Call::Session { verb, number, .. })) = Call::parse(&path) else {
                    panic!("{path}");
                };
                prop_assert_eq!(Some(verb), ask.verb());
                let bytes = if let Ask::Send { bytes } = ask { bytes } else { 0 };
                let turn = session.begin(number, widen(bytes), now).unwrap();
                given += turn.arrived;
                taken.extend_from_slice(&up[sent..sent + bytes]);
                sent += bytes;
                let reply = session.answer(down.len() - given, most);
                let body = [&[reply.interval], &down[given..given + reply.bytes]].concat();
                let mut held = Vec::new();
                for part in answer(&body).chunks(split) {
                    held.extend_from_slice(part);
                    loop {
                        let progress = client.advance(&held, now).unwrap();
                        held.drain(..progress.consumed);
                        got.extend(held.drain(..progress.payload));
                        client.took(progress.payload, now).unwrap();
                        if progress.payload == 0 {
                            break;
                        }
                    }
                }
                prop_assert!(held.is_empty());
                if sent == up.len() && got.len() == down.len() {
                    break;
                }
            }
            prop_assert_eq!(taken, up);
            prop_assert_eq!(got, down);
        }

        #[test]
        fn client_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut client = opened(1);
            client.request(0, T).unwrap();
            if let Ok(progress) = client.advance(&bytes, T) {
                let _end = client.took(progress.payload, T);
            }
        }
    }
}

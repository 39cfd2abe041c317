//! Requests of RTMPT: their bodies go to a tunnel, their answers come from it.
//!
//! A body is passed on as it comes and waits where the tunnel has no room. Once it is whole the
//! RTMP side has its turn, so that what it says at once is in the answer. What an answer carries
//! stays in the tunnel until the client's next request. Knows nothing of RTMP.

use super::answer::{Answer, Desk};
use super::connection::{Connection, Outcome, State};
use crate::limits::{HTTP_HEAD_OUT_BYTES, TUNNEL_REQUEST_TIME_MAX};
use crate::proto::http::Request;
use crate::proto::rtmp::tunnel::{CONTENT_TYPE, Call, SessionId, TunnelError, Verb};
use crate::service::tunnel::Lane;
use crate::status::Counter;
use crate::storage::widen;
use crate::sys::net::{Interest, Transfer};
use crate::wire::http::{After, CONTINUE, Cache, Code, Method, ResponseHead, Version};
use core::fmt::Write as _;
use std::rc::Rc;

/// What Flash asks first, to be sent to another address of the service; it expects 404.
const IDENT: &str = "/fcs/ident2";

/// A request that a tunnel has to do with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tunnelled {
    lane: usize,
    /// The connection, to the tunnel.
    token: u64,
    stage: Stage,
    version: Version,
    after: After,
    /// The client sends the body when it is told to.
    is_awaited: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The body is coming: bytes at its front that nobody wants, and those behind them.
    Body { skip: u64, left: u64 },
    /// It is whole, and the RTMP side has its turn.
    Ready,
    /// The bytes from here to there are going out.
    Sending { at: usize, end: usize },
}

impl Desk {
    /// The answer to a request of the tunnel, or what leads to it; `None` if it is none.
    pub(super) fn tunnel(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
    ) -> Option<Answer> {
        self.tunnels.as_ref()?;
        if request.path == IDENT && request.method == Method::Post {
            return Some(self.not_found(head, request, &"this is the address to go on with"));
        }
        let call = match Call::parse(request.path) {
            Ok(call) => call?,
            Err(error) => return Some(self.refuse_tunnel(head, request, error)),
        };
        if request.method != Method::Post {
            let head = ResponseHead { code: Code::BadRequest, ..head };
            return Some(self.plain(head, request, &"a tunnel is asked by POST"));
        }
        Some(match call {
            Call::Open => self.open_tunnel(head, request),
            Call::Session { verb, id, number } => {
                self.ask_tunnel(head, request, (verb, id, number))
            }
        })
    }

    fn open_tunnel(&mut self, head: ResponseHead<'_>, request: &Request<'_>) -> Answer {
        let opened = self.tunnels.as_ref().and_then(|tunnels| tunnels.open(self.peer, self.now));
        let Some(id) = opened else {
            self.count(Counter::TunnelsRefused);
            let head = ResponseHead { code: Code::Unavailable, retry_after_s: Some(2), ..head };
            return self.plain(head, request, &"every tunnel is taken: raise limits.tunnels");
        };
        self.count(Counter::TunnelsOpened);
        let mut text = heapless::String::<{ SessionId::CHARS + 1 }>::new();
        let written = writeln!(text, "{id}");
        debug_assert!(written.is_ok());
        self.tunnel_body(head, text.as_bytes(), 0)
    }

    fn ask_tunnel(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        (verb, id, number): (Verb, Option<SessionId>, u32),
    ) -> Answer {
        let (now, token) = (self.now, self.token);
        let found = self.tunnels.as_ref().and_then(|tunnels| {
            let index = tunnels.find(id?)?;
            Some((index, Rc::clone(tunnels.lane(index)?)))
        });
        let asked = found.and_then(|(index, lane)| {
            let turn = lane.ask(token, number, request.body_bytes, now)?;
            Some((index, lane, turn))
        });
        let (index, lane, turn) = match asked {
            None => return self.not_found(head, request, &"no such session: open a new one"),
            Some((_, _, Err(error))) => return self.refuse_tunnel(head, request, error),
            Some((index, lane, Ok(turn))) => (index, lane, turn),
        };
        if verb == Verb::Close {
            lane.close();
            return self.tunnel_body(head, &[0], 0);
        }
        let body = request.body_bytes;
        // What an idle request has for a body is no RTMP.
        let skip = if verb == Verb::Idle { body } else { turn.skip.min(body) };
        let after = if request.keep_alive { After::Keep } else { After::Close };
        let stage = Stage::Body { skip, left: body - skip };
        let (version, is_awaited) = (request.version, request.expects_continue);
        let tunnelled = Tunnelled { lane: index, token, stage, version, after, is_awaited };
        Answer { text: 0..0, part: None, after, tunnel: Some(tunnelled), waits: false }
    }

    fn refuse_tunnel(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        error: TunnelError,
    ) -> Answer {
        let code = match error {
            TunnelError::Body { .. } => Code::ContentTooLarge,
            TunnelError::Path
            | TunnelError::Answer
            | TunnelError::Sequence { .. }
            | TunnelError::Status { .. }
            | TunnelError::Ended
            | TunnelError::Head { .. } => Code::BadRequest,
        };
        self.plain(ResponseHead { code, ..head }, request, &error)
    }

    /// An answer that begins with `first`, which `more` bytes follow.
    fn tunnel_body(&mut self, head: ResponseHead<'_>, first: &[u8], more: usize) -> Answer {
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        if let Some(room) = room.get_mut(..first.len()) {
            room.copy_from_slice(first);
        }
        let head = ResponseHead {
            content_type: Some(CONTENT_TYPE),
            content_length: Some(widen(first.len() + more)),
            cache: Some(Cache::NoStore),
            ..head
        };
        self.compose(&head, first.len())
    }
}

impl Connection {
    /// Takes a request on that a tunnel has to do with. `None`: look at the state.
    pub(super) fn enter_tunnel(
        &mut self,
        tunnelled: Tunnelled,
        desk: &mut Desk,
    ) -> Option<Outcome> {
        // The body is the tunnel's.
        self.skip = 0;
        self.deadline = desk.now.after(TUNNEL_REQUEST_TIME_MAX);
        self.state = State::Tunnel(tunnelled);
        if tunnelled.is_awaited {
            match self.socket.as_mut()?.transmit(CONTINUE, false) {
                Transfer::Moved(n) if n == CONTINUE.len() => self.queued += widen(n),
                // So little always fits, unless the client reads nothing of what it asks for.
                Transfer::Moved(_) | Transfer::Blocked | Transfer::Ended => {
                    return Some(self.reset(desk));
                }
            }
        }
        None
    }

    /// Ends what the tunnel has to do with this connection.
    pub(super) fn leave_tunnel(&self, desk: &Desk) {
        if let State::Tunnel(tunnelled) = &self.state
            && let Some(lane) = tunnelled.lane(desk)
        {
            lane.leave(tunnelled.token);
        }
    }

    /// Goes on with a request of a tunnel. `None`: look at the state.
    pub(super) fn tunnel(&mut self, room: &mut [u8], desk: &mut Desk) -> Option<Outcome> {
        let State::Tunnel(tunnelled) = self.state else { return None };
        let lane = tunnelled.lane(desk).filter(|lane| lane.is_asked_by(tunnelled.token));
        let Some(lane) = lane else {
            // The session is over, or the client has asked again elsewhere.
            return Some(self.reset(desk));
        };
        match tunnelled.stage {
            Stage::Body { skip, left } => Some(self.take_body(room, &lane, (skip, left), desk)),
            Stage::Ready => self.answer_tunnel(tunnelled, &lane, desk),
            Stage::Sending { at, end } => self.send_tunnel(tunnelled, &lane, (at, end), desk),
        }
    }

    fn take_body(
        &mut self,
        room: &mut [u8],
        lane: &Lane,
        (mut skip, mut left): (u64, u64),
        desk: &mut Desk,
    ) -> Outcome {
        let outcome = loop {
            if skip + left == 0 {
                self.set_stage(Stage::Ready);
                desk.hurry();
                break Outcome::Tick;
            }
            if self.filled > 0 {
                let most = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(self.filled);
                let taken = if skip > 0 {
                    let n = most(skip);
                    skip -= widen(n);
                    n
                } else {
                    let n = lane.put(room.get(..most(left)).unwrap_or_default(), desk.now);
                    left -= widen(n);
                    n
                };
                if taken == 0 {
                    // The RTMP side rings when it has made room.
                    break Outcome::Tick;
                }
                room.copy_within(taken..self.filled, 0);
                self.filled -= taken;
                continue;
            }
            if !self.readable {
                break Outcome::Wait(Interest::Read);
            }
            match self.receive(room) {
                Transfer::Moved(n) => self.filled = n,
                Transfer::Blocked => {}
                Transfer::Ended => return self.reset(desk),
            }
        };
        if skip + left > 0 {
            self.set_stage(Stage::Body { skip, left });
        }
        lane.wake();
        outcome
    }

    fn answer_tunnel(
        &mut self,
        tunnelled: Tunnelled,
        lane: &Lane,
        desk: &mut Desk,
    ) -> Option<Outcome> {
        let reply = lane.answer()?;
        let head = ResponseHead::new(tunnelled.version, Code::Ok, tunnelled.after);
        let answer = desk.tunnel_body(head, &[reply.interval], reply.bytes);
        let text = desk.out.get(answer.text).unwrap_or_default();
        let more = reply.bytes > 0 || tunnelled.after == After::Close;
        match self.socket.as_mut()?.transmit(text, more) {
            Transfer::Moved(n) if n == text.len() => self.queued += widen(n),
            // So little always fits, unless the client reads nothing of what it asks for.
            Transfer::Moved(_) | Transfer::Blocked | Transfer::Ended => {
                return Some(self.reset(desk));
            }
        }
        self.set_stage(Stage::Sending { at: 0, end: reply.bytes });
        None
    }

    fn send_tunnel(
        &mut self,
        tunnelled: Tunnelled,
        lane: &Lane,
        (mut at, end): (usize, usize),
        desk: &mut Desk,
    ) -> Option<Outcome> {
        let more = tunnelled.after == After::Close;
        while at < end {
            let socket = self.socket.as_mut()?;
            match lane.look(at, end, |bytes| socket.transmit(bytes, more)) {
                Transfer::Moved(n) => {
                    at += n;
                    self.queued += widen(n);
                    desk.status.add(Counter::HttpBytesOut, widen(n));
                }
                Transfer::Blocked => {
                    self.set_stage(Stage::Sending { at, end });
                    return Some(Outcome::Wait(Interest::ReadWrite));
                }
                Transfer::Ended => return Some(self.reset(desk)),
            }
        }
        match self.socket.as_mut()?.push() {
            Transfer::Moved(_) => {}
            Transfer::Blocked => {
                self.set_stage(Stage::Sending { at, end });
                return Some(Outcome::Wait(Interest::ReadWrite));
            }
            Transfer::Ended => return Some(self.reset(desk)),
        }
        lane.leave(tunnelled.token);
        self.sent(false, tunnelled.after, false, desk)
    }

    const fn set_stage(&mut self, stage: Stage) {
        if let State::Tunnel(tunnelled) = &mut self.state {
            tunnelled.stage = stage;
        }
    }
}

impl Tunnelled {
    fn lane(&self, desk: &Desk) -> Option<Rc<Lane>> {
        desk.tunnels.as_ref()?.lane(self.lane).cloned()
    }
}

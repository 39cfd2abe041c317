//! One connection: reads requests, sends answers, lets go of slots, keeps its deadlines.
//!
//! Everything here is synchronous and goes on until the socket would block; `mod` calls it when
//! the socket has news and once per tick. Answers come from `answer`.
//!
//! A response holds its slot from before its first byte until the peer has acknowledged its last,
//! because the send queue refers to the slot's pages. A receiver on this machine refers to them
//! even longer; the store is told, replaces the pages, and the hold ends with the response.

use core::net::IpAddr;
use core::ops::ControlFlow;
use std::os::fd::AsFd;

use super::answer::{Answer, Desk, Part};
use super::drain::Drain;
use super::socket::Socket;
use super::tunnelled::Tunnelled;
use crate::limits::{
    HTTP_DISCARD_BYTES, HTTP_HOLDS, HTTP_LINGER_BYTES, HTTP_TURN_BYTES, PLAYLIST_WAIT_TIME,
};
use crate::proto::http::{Machine, PathBuffer, Progress};
use crate::status::Counter;
use crate::storage::widen;
use crate::sys::net::{self, Interest, Transfer};
use crate::time::Instant;
use crate::wire::http::After;

/// What a request takes of a turn's bytes: 64 that were sent together, then others come first.
const REQUEST_COST: u64 = HTTP_TURN_BYTES / 64;

/// What a connection needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// News of the socket.
    Wait(Interest),
    /// Another turn: it could go on, others come first.
    Again,
    /// The tick.
    Tick,
    /// Nothing: its place is free.
    Closed,
}

/// A slot that a response on this connection has sent from.
#[derive(Clone, Copy, Debug)]
struct Hold {
    slot: usize,
    generation: u32,
    /// Bytes that the socket had taken when the response ended; `u64::MAX` until then.
    end: u64,
}

/// The rest of an answer that the socket did not take.
#[derive(Debug)]
pub(super) struct Spill {
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
}

#[derive(Debug)]
pub(super) enum State {
    /// A request is awaited or coming.
    Reading,
    /// An answer is going out.
    Sending { spill: Option<Spill>, part: Option<Part>, after: After, linger: bool },
    /// The last answer is queued and our side ended; `linger` while the peer's bytes are still
    /// read, so that no reset eats the answer.
    Ending { linger: bool, read: usize },
    /// A tunnel has to do with the request.
    Tunnel(Tunnelled),
}

/// A place: empty, or one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts of the socket, independent of the state")]
pub(super) struct Connection {
    pub(super) socket: Option<Socket>,
    /// Tells one use of the place from the next.
    pub(super) epoch: u32,
    pub(super) peer: IpAddr,
    /// What the wait set was asked for.
    pub(super) interest: Option<Interest>,
    local: bool,
    pub(super) readable: bool,
    pub(super) peer_ended: bool,
    /// Waits until a hold is free, or what is asked for is there.
    parked: bool,
    /// Until when the request waits for what is asked for, if it does.
    patience: Option<Instant>,
    machine: Machine,
    pub(super) filled: usize,
    /// Body bytes still to be thrown away.
    pub(super) skip: u64,
    requests: u32,
    pub(super) state: State,
    pub(super) deadline: Instant,
    /// Bytes that the socket has taken in all.
    pub(super) queued: u64,
    drain: Drain,
    holds: heapless::Vec<Hold, HTTP_HOLDS>,
}

impl Connection {
    pub(super) fn vacant() -> Self {
        let start = Instant(0);
        Self {
            socket: None,
            epoch: 0,
            peer: IpAddr::from([0, 0, 0, 0]),
            interest: None,
            local: false,
            readable: false,
            peer_ended: false,
            parked: false,
            patience: None,
            machine: Machine::new(),
            filled: 0,
            skip: 0,
            requests: 0,
            state: State::Reading,
            deadline: start,
            queued: 0,
            drain: Drain::from(0, start),
            holds: heapless::Vec::new(),
        }
    }

    /// Takes the place for a connection just accepted.
    pub(super) fn open(&mut self, socket: Socket, peer: IpAddr, desk: &Desk) {
        debug_assert!(self.socket.is_none());
        debug_assert!(self.holds.is_empty());
        *self = Self {
            socket: Some(socket),
            epoch: self.epoch.wrapping_add(1),
            peer,
            local: (desk.settings.is_loopback)(peer) || desk.own.contains(&peer),
            readable: true,
            deadline: desk.now.after(desk.settings.deadlines.first_byte),
            ..Self::vacant()
        };
    }

    /// Goes on as far as the socket lets it; `room` is the place's request buffer.
    pub(super) fn advance(&mut self, room: &mut [u8], desk: &mut Desk) -> Outcome {
        let mut budget = HTTP_TURN_BYTES;
        loop {
            let stop = match self.state {
                State::Reading if budget == 0 => Some(Outcome::Again),
                State::Reading => {
                    budget = budget.saturating_sub(REQUEST_COST);
                    self.read(room, desk)
                }
                State::Sending { .. } => self.send(desk, &mut budget),
                State::Ending { .. } => Some(Outcome::Tick),
                State::Tunnel(_) => self.tunnel(room, desk),
            };
            if let Some(outcome) = stop {
                return outcome;
            }
        }
    }

    /// Notes what the wait set saw.
    pub(super) fn notice(&mut self, readable: bool, ended: bool) {
        self.readable |= readable;
        self.peer_ended |= ended;
    }

    /// Keeps the deadlines; called every tick.
    pub(super) fn tick(&mut self, room: &mut [u8], desk: &mut Desk) -> Outcome {
        if self.slot_is_wanted(desk) {
            log::debug!("http reset peer={} cause=slot-wanted", self.peer);
            desk.count(Counter::HttpResets);
            return self.reset(desk);
        }
        let sending = matches!(self.state, State::Sending { .. });
        if (sending || !self.holds.is_empty()) && self.is_stalled(desk) {
            log::debug!("http reset peer={} cause=stalled", self.peer);
            desk.count(Counter::HttpTimeouts);
            return self.reset(desk);
        }
        self.settle(desk);
        if self.parked && !self.holds.is_full() {
            self.parked = false;
            self.deadline = desk.now.after(desk.settings.deadlines.head);
            return self.advance(room, desk);
        }
        match self.state {
            State::Reading if desk.now >= self.deadline && !self.parked => self.expire(desk),
            State::Ending { linger, read } => self.end(linger, read, desk),
            State::Tunnel(_) if desk.now >= self.deadline => {
                desk.count(Counter::HttpTimeouts);
                self.reset(desk)
            }
            State::Tunnel(_) => self.advance(room, desk),
            State::Reading | State::Sending { .. } => Outcome::Tick,
        }
    }

    /// Frees the place. What the socket still has queued goes out, unless it is to be reset.
    fn close(&mut self, desk: &mut Desk) -> Outcome {
        for hold in &self.holds {
            desk.store.borrow_mut().release(hold.slot);
        }
        self.holds.clear();
        if let State::Sending { spill, .. } = &mut self.state
            && let Some(spill) = spill.take()
        {
            desk.spills.push(spill.buffer);
        }
        self.leave_tunnel(desk);
        self.socket = None;
        Outcome::Closed
    }

    /// Frees the place and throws away what is queued, so that no page of a slot goes out.
    pub(super) fn reset(&mut self, desk: &mut Desk) -> Outcome {
        if let Some(socket) = &self.socket {
            net::reset_when_closed(socket.as_fd());
        }
        self.close(desk)
    }

    /// Takes bytes in and answers the first request that is whole. `None`: look at the state.
    fn read(&mut self, room: &mut [u8], desk: &mut Desk) -> Option<Outcome> {
        loop {
            if let ControlFlow::Break(next) = self.answer_next(room, desk) {
                return next;
            }
            if !self.readable {
                return Some(Outcome::Wait(Interest::Read));
            }
            let free = room.get_mut(self.filled..).unwrap_or_default();
            if free.is_empty() {
                // The machine refuses a head as long as the buffer.
                return Some(self.reset(desk));
            }
            match self.receive(free) {
                Transfer::Moved(n) => {
                    if self.filled == 0 && self.skip == 0 {
                        self.deadline = desk.now.after(desk.settings.deadlines.head);
                    }
                    self.filled += n;
                }
                Transfer::Blocked => {}
                Transfer::Ended => return Some(self.finish(false, desk)),
            }
        }
    }

    /// Receives, and notes whether there may be more.
    pub(super) fn receive(&mut self, room: &mut [u8]) -> Transfer {
        let Some(socket) = &mut self.socket else {
            return Transfer::Ended;
        };
        let mut moved = socket.receive(room);
        if moved == Transfer::Blocked && self.peer_ended {
            // What came was a part of a record, and the end is behind it.
            moved = socket.receive(room);
        }
        self.readable = match moved {
            Transfer::Moved(n) => n == room.len() || self.peer_ended || socket.has_news(),
            Transfer::Blocked | Transfer::Ended => false,
        };
        moved
    }

    /// Answers the request at the front of the buffer; goes on if there is no whole one.
    fn answer_next(&mut self, room: &mut [u8], desk: &mut Desk) -> ControlFlow<Option<Outcome>> {
        self.discard(room);
        if self.holds.is_full() {
            self.settle(desk);
        }
        let (Some(bytes @ [_, ..]), Some(socket)) = (room.get_mut(..self.filled), &self.socket)
        else {
            return ControlFlow::Continue(());
        };
        if self.holds.is_full() {
            self.parked = true;
            return ControlFlow::Break(Some(Outcome::Tick));
        }
        let mut path = PathBuffer::new();
        let (answer, used, linger) = match self.machine.advance(bytes, &mut path) {
            Progress::More => return ControlFlow::Continue(()),
            Progress::Refused { error, version } => {
                (desk.refusal(error, version), self.filled, true)
            }
            Progress::Request { request, used } => {
                let endless = request.body_bytes > HTTP_DISCARD_BYTES || request.expects_continue;
                let last = self.requests + 1 >= desk.settings.requests_max;
                let after = if request.keep_alive && !endless && !last {
                    After::Keep
                } else {
                    After::Close
                };
                desk.patient = self.patience.is_none_or(|until| desk.now < until);
                let answer = desk.answer(&request, after, socket.as_fd());
                if answer.waits {
                    let until = desk.now.after(PLAYLIST_WAIT_TIME);
                    self.patience.get_or_insert(until);
                    self.parked = true;
                    return ControlFlow::Break(Some(Outcome::Tick));
                }
                self.patience = None;
                self.requests += 1;
                self.skip = request.body_bytes;
                let more = request.body_bytes > 0 || used < self.filled;
                (answer, used, more)
            }
        };
        room.copy_within(used..self.filled, 0);
        self.filled -= used;
        ControlFlow::Break(self.begin(answer, linger, desk))
    }

    /// Throws away body bytes.
    fn discard(&mut self, room: &mut [u8]) {
        let gone = self.skip.min(widen(self.filled));
        if gone > 0 {
            let bytes = usize::try_from(gone).unwrap_or(self.filled);
            room.copy_within(bytes..self.filled, 0);
            self.filled -= bytes;
            self.skip -= gone;
        }
    }

    /// Sends the text of an answer and makes the rest of it the state.
    fn begin(&mut self, answer: Answer, linger: bool, desk: &mut Desk) -> Option<Outcome> {
        if let Some(tunnelled) = answer.tunnel {
            return self.enter_tunnel(tunnelled, desk);
        }
        let socket = self.socket.as_mut()?;
        if self.holds.is_empty() {
            self.drain = Drain::from(self.queued, desk.now);
        }
        if answer.part.is_some() && answer.after == After::Close {
            net::hold_partial_packets(socket.as_fd());
        }
        let text = desk.out.get(answer.text).unwrap_or_default();
        let sent = if text.is_empty() {
            0
        } else {
            // Before a close the end goes out with the last bytes, in one packet.
            let more = answer.part.is_some() || answer.after == After::Close;
            match socket.transmit(text, more) {
                Transfer::Moved(n) => n,
                Transfer::Blocked => 0,
                Transfer::Ended => return Some(self.reset(desk)),
            }
        };
        self.queued += widen(sent);
        let rest = text.get(sent..).unwrap_or_default();
        let spill = if rest.is_empty() {
            None
        } else {
            let Some(mut buffer) = desk.spills.pop() else {
                // Too many read too slowly to be answered at all.
                desk.count(Counter::HttpTimeouts);
                return Some(self.reset(desk));
            };
            let end = rest.len();
            buffer.get_mut(..end)?.copy_from_slice(rest);
            Some(Spill { buffer, at: 0, end })
        };
        if let Some((slot, generation)) = answer.part.as_ref().and_then(Part::slot) {
            self.take_hold(slot, generation, desk);
        }
        self.state = State::Sending { spill, part: answer.part, after: answer.after, linger };
        None
    }

    fn take_hold(&mut self, slot: usize, generation: u32, desk: &mut Desk) {
        let mut store = desk.store.borrow_mut();
        store.hold(slot);
        // Asked again, in case the peer's address became ours after it was listed.
        let own = || {
            let socket = self.socket.as_ref()?.as_fd();
            Some(net::local_addr(socket).ok()?.ip() == self.peer)
        };
        self.local = self.local || own().unwrap_or(true);
        if self.local {
            store.mark_local(slot);
        }
        let hold = Hold { slot, generation, end: u64::MAX };
        let kept = self.holds.push(hold);
        debug_assert!(kept.is_ok(), "no request is answered while the holds are full");
    }

    /// Sends the rest of an answer. `None`: look at the state.
    fn send(&mut self, desk: &mut Desk, budget: &mut u64) -> Option<Outcome> {
        let State::Sending { spill, part, after, linger } = &mut self.state else {
            return None;
        };
        let (after, linger) = (*after, *linger);
        let socket = self.socket.as_mut()?;
        if let Some(rest) = spill {
            let more = part.is_some() || after == After::Close;
            match rest.send(socket, more, &mut self.queued) {
                Transfer::Moved(_) => {}
                Transfer::Blocked => return Some(Outcome::Wait(Interest::ReadWrite)),
                Transfer::Ended => return Some(self.reset(desk)),
            }
            desk.spills.extend(spill.take().map(|spill| spill.buffer));
        }
        while let Some(rest) = part.as_mut().filter(|part| part.at < part.end) {
            if *budget == 0 {
                return Some(Outcome::Again);
            }
            match rest.send(socket.as_fd(), desk, *budget) {
                Some(Transfer::Moved(n)) => {
                    self.queued += widen(n);
                    *budget = budget.saturating_sub(widen(n));
                }
                Some(Transfer::Blocked) => return Some(Outcome::Wait(Interest::ReadWrite)),
                Some(Transfer::Ended) => return Some(self.reset(desk)),
                None => {
                    desk.count(Counter::HttpResets);
                    return Some(self.reset(desk));
                }
            }
        }
        match socket.push() {
            Transfer::Moved(_) => {}
            Transfer::Blocked => return Some(Outcome::Wait(Interest::ReadWrite)),
            Transfer::Ended => return Some(self.reset(desk)),
        }
        let held = part.as_ref().and_then(Part::slot).is_some();
        self.sent(held, after, linger, desk)
    }

    /// An answer is queued whole.
    pub(super) fn sent(
        &mut self,
        held: bool,
        after: After,
        linger: bool,
        desk: &mut Desk,
    ) -> Option<Outcome> {
        if held && self.local {
            if let Some(hold) = self.holds.pop() {
                desk.store.borrow_mut().release(hold.slot);
            }
        } else if held && let Some(hold) = self.holds.last_mut() {
            hold.end = self.queued;
        }
        self.state = State::Reading;
        if after == After::Close {
            return Some(self.finish(linger, desk));
        }
        let deadlines = &desk.settings.deadlines;
        let wait = if self.filled > 0 { deadlines.head } else { deadlines.idle };
        self.deadline = desk.now.after(wait);
        None
    }

    /// Ends the connection in good order: at once if nothing has to be waited for.
    fn finish(&mut self, linger: bool, desk: &mut Desk) -> Outcome {
        self.settle(desk);
        if let Some(socket) = &mut self.socket {
            socket.say_end();
        }
        if self.holds.is_empty() && !linger {
            return self.close(desk);
        }
        if let Some(socket) = &self.socket {
            net::finish(socket.as_fd());
        }
        self.state = State::Ending { linger, read: 0 };
        self.deadline = desk.now.after(desk.settings.deadlines.linger);
        Outcome::Tick
    }

    /// A deadline of a reading connection has passed.
    fn expire(&mut self, desk: &mut Desk) -> Outcome {
        if self.requests > 0 && self.filled == 0 && self.skip == 0 {
            // An idle connection has done nothing wrong.
            return self.finish(false, desk);
        }
        desk.count(Counter::HttpTimeouts);
        if self.filled == 0 {
            return self.finish(false, desk);
        }
        let answer = desk.too_late();
        let stop = self.begin(answer, true, desk);
        stop.or_else(|| self.send(desk, &mut 0)).unwrap_or(Outcome::Tick)
    }

    /// Waits for the peer after the last answer.
    fn end(&mut self, linger: bool, read: usize, desk: &mut Desk) -> Outcome {
        let (linger, read) =
            if linger && desk.now < self.deadline { self.drink(read, desk) } else { (false, read) };
        self.state = State::Ending { linger, read };
        if linger || !self.holds.is_empty() {
            return Outcome::Tick;
        }
        self.close(desk)
    }

    /// Reads what still comes and throws it away; says whether to go on, and how much it was.
    fn drink(&mut self, mut read: usize, desk: &mut Desk) -> (bool, usize) {
        let Some(socket) = &mut self.socket else {
            return (false, read);
        };
        while read < HTTP_LINGER_BYTES {
            match socket.receive(&mut desk.out) {
                Transfer::Moved(n) => read += n,
                Transfer::Blocked => return (true, read),
                Transfer::Ended => break,
            }
        }
        (false, read)
    }

    /// Lets go of the slots whose bytes the peer has acknowledged.
    fn settle(&mut self, desk: &mut Desk) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.holds.is_empty()) else {
            return;
        };
        let unsent = net::unsent(socket.as_fd());
        let acked = self.queued.saturating_sub(unsent);
        let dead = unsent > 0 && net::is_dead(socket.as_fd());
        let mut store = desk.store.borrow_mut();
        self.holds.retain(|hold| {
            let keep = hold.end > acked && !(dead && hold.end < u64::MAX);
            if !keep {
                store.release(hold.slot);
            }
            keep
        });
    }

    fn slot_is_wanted(&self, desk: &Desk) -> bool {
        let store = desk.store.borrow();
        let gone = |hold: &Hold| store.generation(hold.slot) != hold.generation;
        self.holds.iter().any(gone)
    }

    fn is_stalled(&mut self, desk: &Desk) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        let unsent = net::unsent(socket.as_fd());
        let acked = self.queued.saturating_sub(unsent);
        let deadlines = &desk.settings.deadlines;
        self.drain.is_stalled(acked, unsent, desk.now, (deadlines.stall, deadlines.slow_window))
    }
}

impl Spill {
    /// Sends until all is sent; `Moved` then.
    fn send(&mut self, socket: &mut Socket, more: bool, queued: &mut u64) -> Transfer {
        while let Some(rest @ [_, ..]) = self.buffer.get(self.at..self.end) {
            match socket.transmit(rest, more) {
                Transfer::Moved(n) => {
                    self.at += n;
                    *queued += widen(n);
                }
                stop @ (Transfer::Blocked | Transfer::Ended) => return stop,
            }
        }
        Transfer::Moved(self.end)
    }
}

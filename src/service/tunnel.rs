//! Tunnels: the places where the HTTP port and the RTMP port hand bytes to each other.
//!
//! A `Lane` is one place: two queues, taken at start, and the machine of its session. The HTTP
//! port puts in what requests carry and takes out what answers carry; a `Link` over the lane
//! (`End`) reads and writes as over TCP. Wakes whoever waits on the other side. Speaks neither
//! HTTP nor RTMP.

use crate::limits::{TUNNEL_ANSWER_BYTES_MAX, TUNNEL_IN_BYTES, TUNNEL_OUT_BYTES, TUNNELS_MAX};
use crate::proto::rtmp::tunnel::session::{Reply, Session, Turn};
use crate::proto::rtmp::tunnel::{SessionId, TunnelError};
use crate::service::reactor::Bell;
use crate::storage::{ByteRing, narrow, widen};
use crate::sys::poll::Interest;
use crate::sys::random;
use crate::time::Instant;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::{Context, Poll, Waker};
use std::io::{self, IoSlice, IoSliceMut};
use std::rc::Rc;

/// All places, and the bells of both ports.
#[derive(Debug)]
pub struct Tunnels {
    lanes: Box<[Rc<Lane>]>,
    opened: Bell,
    /// Rings when the HTTP port can go on with a request.
    pub(super) due: Rc<Bell>,
}

/// One place: empty, or one session.
#[derive(Debug)]
pub(super) struct Lane {
    /// The client's side; `None` once it has closed or is gone.
    session: Cell<Option<Session>>,
    inward: RefCell<ByteRing>,
    outward: RefCell<ByteRing>,
    peer: Cell<IpAddr>,
    /// Whether the RTMP port has yet to take it.
    is_new: Cell<bool>,
    /// Whether a `Link` is at the other side.
    is_linked: Cell<bool>,
    /// Whether the RTMP side has ended it.
    is_ended: Cell<bool>,
    /// The connection whose request goes on.
    asking: Cell<Option<u64>>,
    waiter: RefCell<Option<Waker>>,
    due: Rc<Bell>,
}

/// The RTMP side of a lane.
#[derive(Debug)]
pub(super) struct End(Rc<Lane>);

impl Tunnels {
    /// Private memory of one tunnel's place, in bytes.
    pub const PLACE_BYTES: usize = TUNNEL_IN_BYTES + TUNNEL_OUT_BYTES + size_of::<Lane>();

    /// Takes the memory of `tunnels` places.
    #[must_use]
    pub fn new(tunnels: usize) -> Self {
        let due = Rc::new(Bell::default());
        let lane = |_| Rc::new(Lane::new(Rc::clone(&due)));
        let lanes = (0..tunnels.min(narrow(TUNNELS_MAX))).map(lane).collect();
        Self { lanes, opened: Bell::default(), due }
    }

    /// Sessions that have a place.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.lanes.iter().filter(|lane| !lane.is_free()).count()
    }

    /// Ends sessions that nothing was heard of; to be called about every 100 ms.
    pub fn tick(&self, now: Instant) {
        for lane in &self.lanes {
            if lane.session.get().is_some_and(|session| session.is_abandoned(now)) {
                log::info!("tunnel abandoned peer={}", lane.peer.get());
                lane.close();
            }
        }
    }

    /// A new session of `peer`; `None` when every place is taken.
    pub(super) fn open(&self, peer: IpAddr, now: Instant) -> Option<SessionId> {
        let lane = self.lanes.iter().find(|lane| lane.is_free())?;
        let session = Session::open(now, &mut random::fill);
        let id = session.id();
        if self.find(id).is_some() {
            // The kernel has no random bytes yet: better none than one that can be guessed.
            return None;
        }
        lane.begin(session, peer);
        self.opened.ring();
        Some(id)
    }

    /// The place of a session.
    pub(super) fn find(&self, id: SessionId) -> Option<usize> {
        let is = |lane: &Rc<Lane>| lane.session.get().is_some_and(|session| session.id() == id);
        self.lanes.iter().position(is)
    }

    /// The place with this number.
    pub(super) fn lane(&self, index: usize) -> Option<&Rc<Lane>> {
        self.lanes.get(index)
    }

    /// Whether a request goes on.
    pub(super) fn is_asked(&self) -> bool {
        self.lanes.iter().any(|lane| lane.asking.get().is_some())
    }

    /// The connections whose requests go on.
    pub(super) fn asking(&self) -> heapless::Vec<u64, { narrow(TUNNELS_MAX) }> {
        self.lanes.iter().filter_map(|lane| lane.asking.get()).collect()
    }

    /// Waits for a session that the RTMP port has yet to take.
    pub(super) async fn opened(&self) -> (End, SocketAddr) {
        loop {
            if let Some(lane) = self.lanes.iter().find(|lane| lane.is_new.get()) {
                lane.is_new.set(false);
                return (End(Rc::clone(lane)), SocketAddr::new(lane.peer.get(), 0));
            }
            self.opened.rung().await;
        }
    }
}

impl Lane {
    fn new(due: Rc<Bell>) -> Self {
        Self {
            session: Cell::new(None),
            inward: RefCell::new(ByteRing::new(TUNNEL_IN_BYTES)),
            outward: RefCell::new(ByteRing::new(TUNNEL_OUT_BYTES)),
            peer: Cell::new(Ipv4Addr::UNSPECIFIED.into()),
            is_new: Cell::new(false),
            is_linked: Cell::new(false),
            is_ended: Cell::new(false),
            asking: Cell::new(None),
            waiter: RefCell::new(None),
            due,
        }
    }

    fn is_free(&self) -> bool {
        self.session.get().is_none() && !self.is_linked.get()
    }

    fn begin(&self, session: Session, peer: IpAddr) {
        debug_assert!(self.is_free());
        for ring in [&self.inward, &self.outward] {
            let mut ring = ring.borrow_mut();
            let held = ring.len();
            ring.consume(held);
        }
        self.session.set(Some(session));
        self.peer.set(peer);
        self.is_new.set(true);
        self.is_linked.set(true);
        self.is_ended.set(false);
        self.asking.set(None);
    }

    /// Connection `token` asks by request `number`; `None` when the session is over.
    pub(super) fn ask(
        &self,
        token: u64,
        number: u32,
        body_bytes: u64,
        now: Instant,
    ) -> Option<Result<Turn, TunnelError>> {
        let mut session = self.session.get()?;
        let turn = session.begin(number, body_bytes, now);
        if let Ok(turn) = turn {
            let mut outward = self.outward.borrow_mut();
            outward.consume(turn.arrived);
            let over = self.is_ended.get() || !self.is_linked.get();
            if over && outward.is_empty() {
                drop(outward);
                self.close();
                return None;
            }
            self.session.set(Some(session));
            self.asking.set(Some(token));
            self.wake();
        }
        Some(turn)
    }

    /// Whether `token`'s is the request that goes on.
    pub(super) fn is_asked_by(&self, token: u64) -> bool {
        self.session.get().is_some() && self.asking.get() == Some(token)
    }

    /// Connection `token` asks no more.
    pub(super) fn leave(&self, token: u64) {
        if self.asking.get() == Some(token) {
            self.asking.set(None);
        }
    }

    /// Takes what there is room for of a request's body.
    pub(super) fn put(&self, bytes: &[u8], now: Instant) -> usize {
        let mut inward = self.inward.borrow_mut();
        let room = inward.window();
        // Nobody reads any more: what still comes is gone.
        let is_over = self.is_ended.get() || !self.is_linked.get();
        let n = if is_over { bytes.len() } else { bytes.len().min(room.len()) };
        if !is_over && let (Some(room), Some(bytes)) = (room.get_mut(..n), bytes.get(..n)) {
            room.copy_from_slice(bytes);
            inward.filled(n);
        }
        self.took(n, now);
        n
    }

    /// Counts body bytes that are for nobody.
    pub(super) fn took(&self, bytes: usize, now: Instant) {
        if let Some(mut session) = self.session.get() {
            session.took(widen(bytes), now);
            self.session.set(Some(session));
        }
    }

    /// Decides on the answer.
    pub(super) fn answer(&self) -> Option<Reply> {
        let mut session = self.session.get()?;
        let answer = session.answer(self.outward.borrow().len(), TUNNEL_ANSWER_BYTES_MAX);
        self.session.set(Some(session));
        Some(answer)
    }

    /// Shows the bytes of the answer from `at` to `end`.
    pub(super) fn look<T>(&self, at: usize, end: usize, see: impl FnOnce(&[u8]) -> T) -> T {
        see(self.outward.borrow().look().get(at..end).unwrap_or_default())
    }

    /// The client is gone.
    pub(super) fn close(&self) {
        self.session.set(None);
        self.asking.set(None);
        self.wake();
    }

    /// Wakes the RTMP side.
    pub(super) fn wake(&self) {
        if let Some(waiter) = self.waiter.borrow_mut().take() {
            waiter.wake();
        }
    }

    fn is_over(&self) -> bool {
        self.session.get().is_none() || self.is_ended.get()
    }
}

impl End {
    /// Waits until some of `wanted` is there or `bell` rings; says what of `wanted` is.
    pub(super) async fn news(&self, wanted: Interest, bell: Option<&Bell>) -> Interest {
        poll_fn(|cx: &mut Context<'_>| {
            let there = self.there(wanted);
            let rung = bell.is_some_and(|bell| bell.heard(cx));
            if rung || there != Interest::None {
                return Poll::Ready(there);
            }
            *self.0.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Says that no more will be written; whether the client can still hear that.
    pub(super) fn finish(&self) -> bool {
        self.0.session.get().is_some()
    }

    /// Ends both directions.
    pub(super) fn end(&self) {
        self.0.is_ended.set(true);
        self.0.wake();
        self.0.due.ring();
    }

    pub(super) fn read(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let lane = &self.0;
        let mut inward = lane.inward.borrow_mut();
        if inward.is_empty() {
            return if lane.is_over() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let was_full = inward.len() == inward.capacity();
        let mut all = 0;
        for slice in slices {
            let held = inward.look();
            let n = held.len().min(slice.len());
            if let (Some(to), Some(from)) = (slice.get_mut(..n), held.get(..n)) {
                to.copy_from_slice(from);
            }
            inward.consume(n);
            all += n;
        }
        if was_full {
            lane.due.ring();
        }
        Ok(all)
    }

    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let lane = &self.0;
        if lane.is_over() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut outward = lane.outward.borrow_mut();
        let room = outward.window();
        let mut all = 0;
        for slice in slices {
            let rest = room.get_mut(all..).unwrap_or_default();
            let n = rest.len().min(slice.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..n), slice.get(..n)) {
                to.copy_from_slice(from);
            }
            all += n;
        }
        outward.filled(all);
        if all == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(all)
    }

    fn there(&self, wanted: Interest) -> Interest {
        let lane = &self.0;
        let over = lane.is_over();
        let read = over || !lane.inward.borrow().is_empty();
        let outward = lane.outward.borrow();
        let write = over || outward.len() < outward.capacity();
        let wants_read = matches!(wanted, Interest::Read | Interest::Both);
        let wants_write = matches!(wanted, Interest::Write | Interest::Both);
        match (read && wants_read, write && wants_write) {
            (true, true) => Interest::Both,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::None,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.is_linked.set(false);
        self.0.waiter.borrow_mut().take();
        self.0.due.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TUNNEL_IDLE_TIME_MAX;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn end(tunnels: &Tunnels, lane: usize) -> End {
        tunnels.lanes[lane].is_new.set(false);
        End(Rc::clone(&tunnels.lanes[lane]))
    }

    #[test]
    fn places_are_no_more_than_their_bound_and_names_differ() {
        let tunnels = Tunnels::new(usize::MAX);
        let mut names = Vec::new();
        for _ in 0..TUNNELS_MAX {
            names.push(tunnels.open(HERE, Instant(0)).unwrap().0);
        }
        assert_eq!(tunnels.open(HERE, Instant(0)), None);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), narrow(TUNNELS_MAX));
    }

    #[test]
    fn bytes_pass_both_ways_within_their_queues() {
        let tunnels = Tunnels::new(1);
        let id = tunnels.open(HERE, Instant(0)).unwrap();
        let lane = Rc::clone(tunnels.lane(tunnels.find(id).unwrap()).unwrap());
        let end = end(&tunnels, 0);
        assert_eq!(end.there(Interest::Both), Interest::Write);
        lane.ask(5, 0, 0, Instant(0)).unwrap().unwrap();
        let much = vec![7; TUNNEL_IN_BYTES + 1];
        assert_eq!(lane.put(&much, Instant(0)), TUNNEL_IN_BYTES);
        assert_eq!(end.there(Interest::Both), Interest::Both);
        let (mut a, mut b) = ([0; 3], vec![0; 2 * TUNNEL_IN_BYTES]);
        let mut slices = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        assert_eq!(end.read(&mut slices).unwrap(), TUNNEL_IN_BYTES);
        let much = vec![7; TUNNEL_OUT_BYTES];
        assert_eq!(end.write(&[IoSlice::new(b"a"), IoSlice::new(&much)]).unwrap(), much.len());
        let full = end.write(&[IoSlice::new(b"a")]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let answer = lane.answer().unwrap();
        assert_eq!(answer.bytes, TUNNEL_ANSWER_BYTES_MAX);
        lane.ask(5, 1, 0, Instant(0)).unwrap().unwrap();
        assert_eq!(end.there(Interest::Both), Interest::Write);
    }

    #[test]
    fn place_is_free_when_both_sides_have_gone() {
        let tunnels = Tunnels::new(1);
        let id = tunnels.open(HERE, Instant(0)).unwrap();
        let side = end(&tunnels, 0);
        tunnels.tick(Instant(0).after(TUNNEL_IDLE_TIME_MAX));
        assert_eq!((tunnels.find(id), tunnels.sessions()), (None, 1));
        assert_eq!(side.read(&mut []).unwrap(), 0);
        assert_eq!(side.write(&[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        drop(side);
        assert_eq!(tunnels.sessions(), 0);

        let id = tunnels.open(HERE, Instant(0)).unwrap();
        let side = end(&tunnels, 0);
        side.write(&[IoSlice::new(b"last words")]).unwrap();
        drop(side);
        let lane = Rc::clone(tunnels.lane(tunnels.find(id).unwrap()).unwrap());
        assert!(lane.ask(5, 0, 0, Instant(0)).is_some());
        assert_eq!(lane.answer().unwrap().bytes, 10);
        assert_eq!(lane.ask(5, 1, 0, Instant(0)), None);
        assert_eq!(tunnels.sessions(), 0);
    }
}

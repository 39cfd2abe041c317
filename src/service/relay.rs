//! What is known of every upstream that streams are sent to or fetched from.
//!
//! The tasks of `push` and `pull` write it, page and status document read it; and whoever wants a
//! stream that is fetched on demand says so here. Holds no address and no key.

use crate::config::relay::Way;
use crate::limits::RELAY_REASON_BYTES_MAX;
use crate::service::reactor::Bell;
use crate::service::upstream::Reason;
use crate::time::Instant;
use core::cell::{Cell, RefCell};
use core::fmt::Write as _;
use std::rc::Rc;

/// How far one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The stream is not on the air, or nobody watches.
    Waiting,
    /// The upstream is being asked.
    Connecting,
    /// Media moves.
    Running,
    /// It failed and is tried again after a pause.
    Pausing,
    /// It cannot work as it is set.
    Stopped,
}

impl State {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Stopped => "stopped",
        }
    }
}

/// One of them.
#[derive(Debug)]
pub struct Relay {
    /// Which way.
    pub way: Way,
    /// Name of its section.
    pub name: String,
    /// Path of the stream here.
    pub stream: String,
    state: Cell<State>,
    since: Cell<Instant>,
    failures: Cell<u64>,
    reason: RefCell<heapless::String<RELAY_REASON_BYTES_MAX>>,
    /// Rings for every kind of news.
    bell: Rc<Bell>,
    asked: Cell<Option<Instant>>,
}

impl Relay {
    /// One that waits; `bell` rings when its stream is asked for.
    #[must_use]
    pub fn new(way: Way, name: &str, stream: &str, bell: Rc<Bell>, now: Instant) -> Self {
        Self {
            way,
            name: name.to_owned(),
            stream: stream.to_owned(),
            state: Cell::new(State::Waiting),
            since: Cell::new(now),
            failures: Cell::new(0),
            reason: RefCell::default(),
            bell,
            asked: Cell::new(None),
        }
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state.get()
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since.get()
    }

    /// How often it failed.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// When its stream was asked for last.
    #[must_use]
    pub const fn asked(&self) -> Option<Instant> {
        self.asked.get()
    }

    /// Gives `show` the last reason; empty if there is none.
    pub fn reason<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.reason.borrow())
    }

    /// Another state begins.
    pub fn enter(&self, state: State, now: Instant) {
        if self.state.replace(state) != state {
            self.since.set(now);
        }
        if state == State::Running {
            self.reason.borrow_mut().clear();
        }
    }

    /// It failed.
    pub fn fail(&self, reason: &Reason) {
        self.failures.set(self.failures.get() + 1);
        let mut text = self.reason.borrow_mut();
        text.clear();
        let mut words = Words(&mut text);
        // A sentence that is too long ends early.
        let _whole = write!(words, "{reason}");
    }
}

/// Takes as much of a text as there is room for.
struct Words<'a>(&'a mut heapless::String<RELAY_REASON_BYTES_MAX>);

impl core::fmt::Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            self.0.push(c).map_err(|_| core::fmt::Error)?;
        }
        Ok(())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Relays(RefCell<Vec<Rc<Relay>>>);

impl Relays {
    /// Adds one.
    pub fn add(&self, relay: Relay) -> Rc<Relay> {
        let relay = Rc::new(relay);
        self.0.borrow_mut().push(Rc::clone(&relay));
        relay
    }

    /// Somebody wants the stream at `path`. Says whether it is being fetched.
    pub fn want(&self, path: &str, now: Instant) -> bool {
        let mut is_fetched = false;
        for relay in self.0.borrow().iter() {
            if relay.way == Way::Pull && relay.stream == path {
                let first = relay.asked.replace(Some(now)).is_none();
                let state = relay.state.get();
                if first || state == State::Waiting {
                    relay.bell.ring();
                }
                is_fetched |= matches!(state, State::Waiting | State::Connecting);
            }
        }
        is_fetched
    }

    /// Gives `look` each of them, in the order of the settings.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn each<E>(&self, mut look: impl FnMut(usize, &Relay) -> Result<(), E>) -> Result<(), E> {
        let all = self.0.borrow();
        all.iter().enumerate().try_for_each(|(index, relay)| look(index, relay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Relay {
        Relay::new(Way::Pull, "a", "live/cam", Rc::default(), Instant(0))
    }

    #[test]
    fn reason_is_kept_until_it_runs_and_cut_at_its_bound() {
        let relay = relay();
        let host = "é".repeat(RELAY_REASON_BYTES_MAX);
        relay.fail(&Reason::Lookup { host, cause: std::io::ErrorKind::NotFound.into() });
        let bytes = relay.reason(str::len);
        assert!((RELAY_REASON_BYTES_MAX - 1..=RELAY_REASON_BYTES_MAX).contains(&bytes));
        relay.enter(State::Pausing, Instant(5));
        assert_eq!((relay.since(), relay.failures()), (Instant(5), 1));
        relay.enter(State::Running, Instant(9));
        assert_eq!(relay.reason(str::len), 0);
    }

    #[test]
    fn only_the_stream_that_is_asked_for_is_wanted() {
        let relays = Relays::default();
        let relay = relays.add(relay());
        assert!(!relays.want("live/other", Instant(1)));
        assert_eq!(relay.asked(), None);
        assert!(relays.want("live/cam", Instant(2)));
        assert_eq!(relay.asked(), Some(Instant(2)));
        relay.enter(State::Pausing, Instant(3));
        assert!(!relays.want("live/cam", Instant(4)), "it has just failed");
    }
}

//! The loop: runs the tasks of the executor, and waits for descriptors and times in between.
//!
//! One thread does both. async-io would park a second one that competes for the events, and
//! re-arm three descriptors for each of them: for a camera's 77 messages a second that costs more
//! than the messages (measured: 0.76 % of a core for one stream, against 0.2 % with this loop).
//! A descriptor here is added once and stays armed; a wake-up is one wait and one read.
//!
//! A task waits with `Source::readable`, `Source::writable` or `Reactor::sleep`. Nothing here
//! reads or writes.

use crate::limits::{TASKS_PER_TURN, TURN_TIME_MAX};
use crate::service::clock;
use crate::storage::widen;
use crate::sys::poll::{Interest, Poller};
use crate::time::Instant;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use smol::LocalExecutor;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

/// The loop's memory: tasks, descriptors, times.
#[derive(Debug)]
pub struct Reactor {
    executor: LocalExecutor<'static>,
    poller: Poller,
    slots: RefCell<Vec<Slot>>,
    sleepers: RefCell<Vec<Sleeper>>,
}

/// What is known of a descriptor.
#[derive(Debug)]
struct Slot {
    used: bool,
    armed: Interest,
    ready: Interest,
    waiter: Option<Waker>,
}

/// Wakes a task that waits for something that is no descriptor. One that rings while nobody waits
/// is heard by the next who does.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Bell {
    /// Wakes who waits.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waiter) = self.waiter.borrow_mut().take() {
            waiter.wake();
        }
    }

    /// Waits until it rings.
    pub async fn rung(&self) {
        poll_fn(
            |cx: &mut Context<'_>| if self.heard(cx) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
    }

    /// Whether it has rung; wakes the asker when it does.
    pub(super) fn heard(&self, cx: &Context<'_>) -> bool {
        if self.rung.take() {
            return true;
        }
        let mut waiter = self.waiter.borrow_mut();
        if waiter.as_ref().is_none_or(|waiter| !waiter.will_wake(cx.waker())) {
            *waiter = Some(cx.waker().clone());
        }
        false
    }
}

#[derive(Debug)]
struct Sleeper {
    /// From here on it is woken when the loop is awake; the loop wakes for it at `until`.
    from: Instant,
    until: Instant,
    waker: Waker,
}

impl Reactor {
    /// A loop with nothing to do.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    pub fn new() -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            executor: LocalExecutor::new(),
            poller: Poller::new()?,
            slots: RefCell::new(Vec::new()),
            sleepers: RefCell::new(Vec::new()),
        }))
    }

    /// Starts a task that nobody waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task).detach();
    }

    /// Runs all tasks until `main` is done.
    ///
    /// # Errors
    /// The kernel's, when it can no longer wait.
    pub fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> io::Result<T> {
        let main = self.executor.spawn(main);
        while !main.is_finished() {
            let busy = self.run_tasks();
            if !main.is_finished() {
                self.turn(busy)?;
            }
        }
        Ok(smol::future::block_on(main))
    }

    /// Runs tasks that are ready, as many as one turn has and as long as it lasts. Whether there
    /// may be more.
    fn run_tasks(&self) -> bool {
        let start = clock::now();
        for ran in 1..=TASKS_PER_TURN {
            if !self.executor.try_tick() {
                return false;
            }
            // Most take microseconds: the clock is not asked each time.
            if ran % 4 == 0 && clock::now().since(start) >= TURN_TIME_MAX {
                return true;
            }
        }
        true
    }

    /// Waits for `wait`.
    pub async fn sleep(&self, wait: Duration) {
        self.sleep_about(wait, Duration::ZERO).await;
    }

    /// Waits for `wait`, or up to `early` less if the loop is awake then anyway: a board that is
    /// busy need not be woken once more for it.
    pub async fn sleep_about(&self, wait: Duration, early: Duration) {
        let now = clock::now();
        let (from, until) = (now.after(wait.saturating_sub(early)), now.after(wait));
        let mut asleep = false;
        poll_fn(|cx: &mut Context<'_>| {
            if clock::now() >= from {
                return Poll::Ready(());
            }
            if !asleep {
                asleep = true;
                let waker = cx.waker().clone();
                self.sleepers.borrow_mut().push(Sleeper { from, until, waker });
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits for news, not at all when tasks are `busy`, and wakes who asked for it.
    fn turn(&self, busy: bool) -> io::Result<()> {
        let wait_ms = if busy { Some(0) } else { self.next_ms() };
        for ready in self.poller.wait(wait_ms)? {
            let Ok(token) = usize::try_from(ready.token) else { continue };
            self.notice(token, ready.there);
        }
        let mut sleepers = self.sleepers.borrow_mut();
        if !sleepers.is_empty() {
            let now = clock::now();
            while let Some(due) = sleepers.iter().position(|sleeper| sleeper.from <= now) {
                sleepers.swap_remove(due).waker.wake();
            }
        }
        Ok(())
    }

    /// Milliseconds to the next time that somebody waits for, rounded up.
    fn next_ms(&self) -> Option<u16> {
        let sleepers = self.sleepers.borrow();
        let next = sleepers.iter().map(|sleeper| sleeper.until).min()?;
        let micros = next.since(clock::now()).as_micros();
        Some(u16::try_from(micros.div_ceil(1000)).unwrap_or(u16::MAX))
    }

    fn notice(&self, token: usize, ready: Interest) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(token).filter(|slot| slot.used) else { return };
        slot.ready = ready;
        if let Some(waiter) = slot.waiter.take() {
            waiter.wake();
        }
    }

    fn join(&self) -> usize {
        let mut slots = self.slots.borrow_mut();
        let new =
            || Slot { used: true, armed: Interest::None, ready: Interest::None, waiter: None };
        if let Some(free) = slots.iter().position(|slot| !slot.used)
            && let Some(slot) = slots.get_mut(free)
        {
            *slot = new();
            return free;
        }
        slots.push(new());
        slots.len() - 1
    }
}

/// A descriptor that tasks wait for; it leaves the loop when this is dropped.
#[derive(Debug)]
pub struct Source<T: AsFd> {
    reactor: Rc<Reactor>,
    slot: usize,
    io: T,
}

impl<T: AsFd> Source<T> {
    /// Puts a descriptor, which must not block, into the loop.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(reactor: &Rc<Reactor>, io: T) -> io::Result<Self> {
        let slot = reactor.join();
        let source = Self { reactor: Rc::clone(reactor), slot, io };
        source.reactor.poller.add(&source.io, widen(slot), Interest::None)?;
        Ok(source)
    }

    /// Waits for nothing: to be said before a task looks away from a descriptor that may be ready,
    /// since the kernel would report it again and again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rest(&self) -> io::Result<()> {
        self.arm(Interest::None)
    }

    /// What was put in.
    pub const fn get_ref(&self) -> &T {
        &self.io
    }

    /// Waits until there is something to read, a connection to accept, or the end.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn readable(&self) -> io::Result<()> {
        self.wait(Interest::Read).await
    }

    /// Waits until there is room to write. Reading is not waited for meanwhile.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn writable(&self) -> io::Result<()> {
        self.wait(Interest::Write).await
    }

    /// Waits for `interest` or for `bell`, and says which part of `interest` is there: none when
    /// it was the bell alone.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn news(&self, interest: Interest, bell: &Bell) -> io::Result<Interest> {
        self.arm(interest)?;
        Ok(poll_fn(|cx: &mut Context<'_>| {
            let mut slots = self.reactor.slots.borrow_mut();
            let Some(slot) = slots.get_mut(self.slot) else { return Poll::Ready(interest) };
            let ready = core::mem::replace(&mut slot.ready, Interest::None);
            if bell.heard(cx) || ready != Interest::None {
                return Poll::Ready(ready);
            }
            slot.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await)
    }

    async fn wait(&self, interest: Interest) -> io::Result<()> {
        self.arm(interest)?;
        poll_fn(|cx: &mut Context<'_>| {
            let mut slots = self.reactor.slots.borrow_mut();
            let Some(slot) = slots.get_mut(self.slot) else { return Poll::Ready(()) };
            if core::mem::replace(&mut slot.ready, Interest::None) != Interest::None {
                return Poll::Ready(());
            }
            slot.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        Ok(())
    }

    /// Asks the kernel for `interest` unless it was asked already.
    fn arm(&self, interest: Interest) -> io::Result<()> {
        let mut slots = self.reactor.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.slot) else { return Ok(()) };
        slot.ready = Interest::None;
        if slot.armed != interest {
            slot.armed = interest;
            self.reactor.poller.change(&self.io, widen(self.slot), interest)?;
        }
        Ok(())
    }
}

impl<T: AsFd> Drop for Source<T> {
    fn drop(&mut self) {
        // Closing is not enough where another descriptor refers to the same socket: it would be
        // reported for ever, under a number that belongs to somebody else by then.
        let _left = self.reactor.poller.remove(&self.io);
        if let Some(slot) = self.reactor.slots.borrow_mut().get_mut(self.slot) {
            slot.used = false;
            slot.waiter = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{TICK, TICK_EARLY_MAX};
    use core::cell::Cell;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    fn pair(reactor: &Rc<Reactor>) -> (UnixStream, Source<UnixStream>) {
        let (a, b) = UnixStream::pair().unwrap();
        b.set_nonblocking(true).unwrap();
        (a, Source::new(reactor, b).unwrap())
    }

    #[test]
    fn reactor_wakes_a_reader_and_keeps_times() {
        let reactor = Reactor::new().unwrap();
        let (mut a, b) = pair(&reactor);
        let clone = Rc::clone(&reactor);
        reactor.spawn(async move {
            clone.sleep(Duration::from_millis(20)).await;
            a.write_all(b"x").unwrap();
            clone.sleep(Duration::from_mins(1)).await;
        });
        let start = clock::now();
        let got = reactor.run(async move {
            b.readable().await.unwrap();
            let mut byte = [0];
            b.get_ref().read_exact(&mut byte).unwrap();
            byte
        });
        assert_eq!(got.unwrap(), *b"x");
        let waited = clock::now().since(start);
        assert!(waited >= Duration::from_millis(20) && waited < Duration::from_secs(10));
    }

    #[test]
    fn sleeper_wakes_early_only_together_with_others() {
        let reactor = Reactor::new().unwrap();
        let start = clock::now();
        let clone = Rc::clone(&reactor);
        let waits = reactor.run(async move {
            let about = |wait, early| {
                clone.sleep_about(Duration::from_millis(wait), Duration::from_millis(early))
            };
            clone.sleep_about(TICK, TICK_EARLY_MAX).await;
            let alone = clock::now().since(start);
            let (other, start) = (Rc::clone(&clone), clock::now());
            clone.spawn(async move { other.sleep(Duration::from_millis(30)).await });
            about(10_000, 9_990).await;
            (alone, clock::now().since(start))
        });
        let (alone, together) = waits.unwrap();
        assert!(alone >= TICK, "{alone:?}");
        assert!(together >= Duration::from_millis(10), "{together:?}");
        assert!(together < Duration::from_secs(5), "{together:?}");
    }

    /// How often a task that is always ready, and does `work` each time, runs before a reader is
    /// told of its byte; and for how long.
    fn runs_before_news(work: fn()) -> (u32, Duration) {
        let reactor = Reactor::new().unwrap();
        let (mut a, b) = pair(&reactor);
        a.write_all(b"x").unwrap();
        let ran = Rc::new(Cell::new(0));
        let counter = Rc::clone(&ran);
        reactor.spawn(async move {
            // Ends, so that this test does too.
            while counter.get() < 100 * TASKS_PER_TURN {
                counter.set(counter.get() + 1);
                work();
                smol::future::yield_now().await;
            }
        });
        let start = clock::now();
        let news = reactor.run(async move {
            b.readable().await.unwrap();
            (ran.get(), clock::now().since(start))
        });
        news.unwrap()
    }

    #[test]
    fn reactor_looks_for_news_between_so_many_tasks() {
        let (ran, took) = runs_before_news(|| {});
        // The reader asked in one run of the first turn; the second one woke it. Less only where
        // the machine was away for as long as a turn lasts.
        let least = if took < TURN_TIME_MAX { TASKS_PER_TURN - 1 } else { 1 };
        assert!((least..=TASKS_PER_TURN).contains(&ran), "{ran} in {took:?}");
    }

    #[test]
    fn reactor_looks_for_news_after_so_much_time() {
        let (ran, _) = runs_before_news(|| std::thread::sleep(TURN_TIME_MAX));
        assert!((1..10).contains(&ran), "{ran}");
    }

    #[test]
    fn reactor_waits_for_room_without_spinning_on_unread_bytes() {
        let reactor = Reactor::new().unwrap();
        let (mut a, b) = pair(&reactor);
        a.write_all(b"unread").unwrap();
        a.set_nonblocking(true).unwrap();
        while b.get_ref().write(&[0; 4096]).is_ok() {}
        let turns = Rc::new(Cell::new(0));
        let (counter, clone) = (Rc::clone(&turns), Rc::clone(&reactor));
        reactor.spawn(async move {
            clone.sleep(Duration::from_millis(50)).await;
            let mut room = vec![0; 65_536];
            while a.read(&mut room).is_ok() {}
        });
        let done = reactor.run(async move {
            let wait = b.writable();
            let mut wait = core::pin::pin!(wait);
            poll_fn(|cx| {
                counter.set(counter.get() + 1);
                wait.as_mut().poll(cx)
            })
            .await
        });
        assert!(done.unwrap().is_ok());
        assert!(turns.get() <= 4, "{} polls", turns.get());
    }

    #[test]
    fn reactor_is_not_woken_by_what_rests_or_has_left() {
        let reactor = Reactor::new().unwrap();
        let (mut resting, b) = pair(&reactor);
        let (mut left, c) = pair(&reactor);
        resting.write_all(b"unread").unwrap();
        left.write_all(b"unread").unwrap();
        let _same_socket = c.get_ref().try_clone().unwrap();
        let clone = Rc::clone(&reactor);
        let reports = reactor.run(async move {
            b.readable().await.unwrap();
            c.readable().await.unwrap();
            b.rest().unwrap();
            drop(c);
            clone.poller.wait(Some(20)).unwrap().len()
        });
        assert_eq!(reports.unwrap(), 0);
    }

    #[test]
    fn reactor_gives_the_place_of_a_dropped_source_to_the_next() {
        let reactor = Reactor::new().unwrap();
        let (_a, first) = pair(&reactor);
        let slot = first.slot;
        drop(first);
        let (_b, second) = pair(&reactor);
        assert_eq!(second.slot, slot);
    }
}

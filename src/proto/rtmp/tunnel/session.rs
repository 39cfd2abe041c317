//! The server's side of one tunnel session: which request is next, what is repeated, how often a
//! client that gets nothing is to ask.
//!
//! A request may come twice, since a proxy or a client that saw its connection break sends it
//! again: what of its body was taken is not taken again, and what it was answered is answered
//! again. So the bytes of an answer are kept until the next request shows that it has arrived.
//! Holds no bytes and reads no clock.

use super::{SessionId, TunnelError};
use crate::limits::{TUNNEL_BODY_BYTES_MAX, TUNNEL_IDLE_TIME_MAX};
use crate::time::Instant;

/// Interval bytes: after bytes, then after each `POLLS_PER_STEP` answers without.
const INTERVALS: [u8; 6] = [0x01, 0x03, 0x05, 0x09, 0x11, 0x21];

/// Empty answers before the next longer interval.
const POLLS_PER_STEP: u8 = 10;

/// One session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    id: SessionId,
    /// Number of the last request, once there was one.
    last: Option<u32>,
    /// Bytes of the last request's body that were taken.
    taken: u64,
    /// The answer to the last request, once there is one.
    answer: Option<Reply>,
    step: usize,
    empty: u8,
    touched: Instant,
}

/// How a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Bytes at the front of its body that were taken already.
    pub skip: u64,
    /// Bytes of the last answer, which has arrived: they need not be kept.
    pub arrived: usize,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its first byte.
    pub interval: u8,
    /// How many of the waiting bytes follow.
    pub bytes: usize,
}

impl Session {
    /// A session with a name from `fill`, which gives random bytes.
    pub fn open(now: Instant, fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        let id = SessionId(u64::from_be_bytes(bytes));
        Self { id, last: None, taken: 0, answer: None, step: 0, empty: 0, touched: now }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Request `number` with a body of `body_bytes` has come.
    ///
    /// # Errors
    /// `Sequence` unless it is the next or the last again, `Body` when the body is too long.
    pub fn begin(
        &mut self,
        number: u32,
        body_bytes: u64,
        now: Instant,
    ) -> Result<Turn, TunnelError> {
        let max = TUNNEL_BODY_BYTES_MAX;
        if body_bytes > max {
            return Err(TunnelError::Body { bytes: body_bytes, max });
        }
        if self.last == Some(number) {
            self.touched = now;
            return Ok(Turn { skip: self.taken, arrived: 0 });
        }
        // Most clients begin with 0; some go on from the 1 of `/open/1`.
        let right = match self.last {
            Some(last) => number == last.wrapping_add(1),
            None => number <= 1,
        };
        if !right {
            let expected = self.last.map_or(0, |last| last.wrapping_add(1));
            return Err(TunnelError::Sequence { seen: number, expected });
        }
        let arrived = self.answer.take().map_or(0, |answer| answer.bytes);
        self.last = Some(number);
        self.taken = 0;
        self.touched = now;
        Ok(Turn { skip: 0, arrived })
    }

    /// Another `bytes` of the request's body were taken.
    pub fn took(&mut self, bytes: u64, now: Instant) {
        self.taken = self.taken.saturating_add(bytes);
        debug_assert!(self.taken <= TUNNEL_BODY_BYTES_MAX, "no longer body was begun");
        if bytes > 0 {
            self.touched = now;
        }
    }

    /// The answer while `waiting` bytes wait: as many as `max`, or the same as before.
    pub fn answer(&mut self, waiting: usize, max: usize) -> Reply {
        if let Some(answer) = self.answer {
            debug_assert!(answer.bytes <= waiting, "what was answered is kept");
            return answer;
        }
        if waiting > 0 {
            (self.step, self.empty) = (0, 0);
        } else {
            self.empty += 1;
            if self.empty > POLLS_PER_STEP {
                self.empty = 1;
                self.step = (self.step + 1).min(INTERVALS.len() - 1);
            }
        }
        let interval = INTERVALS.get(self.step).copied().unwrap_or(1);
        debug_assert!(INTERVALS.contains(&interval));
        let answer = Reply { interval, bytes: waiting.min(max) };
        self.answer = Some(answer);
        answer
    }

    /// Whether nothing was heard of the client for so long that it is gone.
    #[must_use]
    pub fn is_abandoned(&self, now: Instant) -> bool {
        now.since(self.touched) >= TUNNEL_IDLE_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session() -> Session {
        Session::open(Instant(0), &mut |bytes| bytes.fill(7))
    }

    fn begin(session: &mut Session, number: u32, bytes: u64) -> Result<Turn, TunnelError> {
        session.begin(number, bytes, Instant(0))
    }

    #[test]
    fn requests_come_one_after_the_other_from_0_or_1() {
        for first in [0, 1] {
            let mut session = session();
            for number in first..20 {
                assert!(begin(&mut session, number, 1).is_ok());
            }
            let gap = TunnelError::Sequence { seen: 21, expected: 20 };
            assert_eq!(begin(&mut session, 21, 1), Err(gap));
            let old = TunnelError::Sequence { seen: 18, expected: 20 };
            assert_eq!(begin(&mut session, 18, 1), Err(old));
            assert!(begin(&mut session, 20, 1).is_ok());
        }
        assert_eq!(
            begin(&mut session(), 2, 1),
            Err(TunnelError::Sequence { seen: 2, expected: 0 })
        );
    }

    #[test]
    fn repeated_request_is_answered_again_and_not_taken_again() {
        let mut session = session();
        begin(&mut session, 0, 100).unwrap();
        session.took(60, Instant(0));
        assert_eq!(begin(&mut session, 0, 100), Ok(Turn { skip: 60, arrived: 0 }));
        session.took(40, Instant(0));
        let answer = session.answer(500, 300);
        assert_eq!(answer, Reply { interval: 1, bytes: 300 });
        assert_eq!(begin(&mut session, 0, 100), Ok(Turn { skip: 100, arrived: 0 }));
        assert_eq!(session.answer(800, 300), answer);
        assert_eq!(begin(&mut session, 1, 0), Ok(Turn { skip: 0, arrived: 300 }));
    }

    #[test]
    fn interval_grows_by_tens_of_empty_answers_and_falls_with_bytes() {
        let mut session = session();
        let mut number = 0;
        let mut poll = |waiting| {
            begin(&mut session, number, 1).unwrap();
            number += 1;
            session.answer(waiting, 10).interval
        };
        for interval in [0x01, 0x03, 0x05, 0x09, 0x11, 0x21, 0x21] {
            for _ in 0..10 {
                assert_eq!(poll(0), interval);
            }
        }
        assert_eq!((poll(1), poll(0)), (0x01, 0x01));
    }

    #[test]
    fn body_has_a_bound() {
        let max = TUNNEL_BODY_BYTES_MAX;
        assert!(begin(&mut session(), 0, max).is_ok());
        let error = TunnelError::Body { bytes: max + 1, max };
        assert_eq!(begin(&mut session(), 0, max + 1), Err(error));
    }

    #[test]
    fn session_is_abandoned_when_nothing_is_heard_of_it() {
        let mut session = session();
        let almost = Instant(Instant(0).after(TUNNEL_IDLE_TIME_MAX).0 - 1);
        assert!(!session.is_abandoned(almost));
        assert!(session.is_abandoned(Instant(0).after(TUNNEL_IDLE_TIME_MAX)));
        session.begin(0, 1, almost).unwrap();
        assert!(!session.is_abandoned(Instant(0).after(TUNNEL_IDLE_TIME_MAX)));
    }

    proptest! {
        #[test]
        fn client_that_repeats_at_will_loses_and_doubles_nothing(
            steps in proptest::collection::vec((0u8..4, 0u64..50, 0usize..80), 1..200),
        ) {
            let mut session = session();
            let (mut number, mut sent, mut got) = (0, 0, 0);
            let (mut taken, mut waiting, mut made) = (0, 0, 0);
            for (repeats, body, more) in steps {
                let mut first = None;
                for repeat in 0..=repeats {
                    let turn = session.begin(number, body, Instant(0)).unwrap();
                    waiting -= turn.arrived;
                    let rest = body - turn.skip;
                    let cut = if repeat < repeats { rest / 2 } else { rest };
                    session.took(cut, Instant(0));
                    taken += cut;
                    waiting += more;
                    made += more;
                    // Only a request whose body is whole is answered.
                    if turn.skip + cut == body {
                        let answer = session.answer(waiting, 64);
                        prop_assert_eq!(*first.get_or_insert(answer), answer);
                    }
                }
                number += 1;
                sent += body;
                got += first.map_or(0, |answer| answer.bytes);
            }
            prop_assert_eq!(sent, taken);
            let kept = session.answer.map_or(0, |answer| answer.bytes);
            prop_assert_eq!(got + waiting - kept, made);
        }
    }
}

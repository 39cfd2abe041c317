//! The server's end of both schemes: what each of the three connections is told.
//!
//! A publisher connects without saying who it is and is told the scheme; with a user, and is given
//! a challenge; with a response, and is let in or not. Each of the first two connections ends with
//! its `_error`. A challenge lives for a minute and serves one response, right or wrong. A user who
//! does not exist is challenged like any other, so that nobody learns who does. Not here: the
//! connections themselves.
//!
//! Quirks: ffmpeg takes the scheme up to the next space and reads 255 bytes of a description.

use core::fmt::Write as _;
use core::net::IpAddr;

use super::attempts::Attempts;
use super::{Account, Description, Pairs, Response, Scheme, adobe, hex, llnw, same};
use crate::limits::{
    AUTH_CHALLENGE_TIME, AUTH_CHALLENGES_MAX, AUTH_CHALLENGES_PER_ADDRESS, AUTH_USER_BYTES_MAX,
};
use crate::status::{Counter, Status};
use crate::time::Instant;

/// What a connection brings with its connect.
#[derive(Clone, Copy, Debug)]
pub struct Knock<'a> {
    /// From where.
    pub peer: IpAddr,
    /// The scheme of those who name none.
    pub scheme: Scheme,
    /// The application as it was said, before the `?`: Limelight's response covers it.
    pub app: &'a str,
    /// What was said behind the `?`.
    pub query: &'a str,
    /// When.
    pub now: Instant,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "on its way through one call, on the stack")]
pub enum Verdict {
    /// It may go on.
    Granted,
    /// It gets the `_error` of `NetConnection.Connect.Rejected`, and is closed.
    Rejected {
        /// The `description` of that `_error`; encoders act upon it.
        description: Description,
        /// Why, for the log.
        why: Rejection,
    },
}

/// Why a connection is rejected. The first two are steps on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Misbehaved, as every publisher does first: no user, or the other scheme.
    #[error("publisher says no user yet: it was told the scheme")]
    Unnamed,
    /// Misbehaved, as every publisher does then: no response.
    #[error("publisher gives no response yet: it was given a challenge")]
    Challenged,
    /// Misbehaved: no such user, or not the password.
    #[error("user or password is wrong: compare both with the settings")]
    Wrong,
    /// Misbehaved: its challenge is gone.
    #[error("response to a challenge that was never given, was used, or is over a minute old")]
    Stale,
    /// Exhausted: too many wrong responses from one address.
    #[error("too many wrong responses from this address: wait some minutes")]
    Barred,
}

/// The server's end, for all connections.
#[derive(Debug)]
pub struct Challenger {
    issued: heapless::Vec<Challenge, AUTH_CHALLENGES_MAX>,
    attempts: Attempts,
}

/// A challenge that waits for its response.
#[derive(Clone, Debug)]
struct Challenge {
    scheme: Scheme,
    /// What the response names it by: opaque, or nonce.
    token: heapless::String<32>,
    salt: heapless::String<16>,
    peer: IpAddr,
    until: Instant,
}

impl Challenger {
    /// With nothing issued.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only meaningful when the program starts")]
    pub const fn new() -> Self {
        Self { issued: heapless::Vec::new(), attempts: Attempts::new() }
    }

    /// How often addresses were wrong, to be counted with other secrets.
    pub const fn attempts(&mut self) -> &mut Attempts {
        &mut self.attempts
    }

    /// Judges a connect. `fill` gives random bytes. An account without user or password lets nobody
    /// in.
    pub fn judge(
        &mut self,
        knock: &Knock<'_>,
        account: Account<'_>,
        fill: &mut dyn FnMut(&mut [u8]),
        status: &Status,
    ) -> Verdict {
        self.issued.retain(|challenge| knock.now < challenge.until);
        let pairs = Pairs(knock.query);
        let named = pairs.get("authmod").and_then(Scheme::of);
        let scheme = named.unwrap_or(knock.scheme);
        if !self.attempts.allow(knock.peer, knock.now) {
            status.add(Counter::RtmpAuthRefused, 1);
            return failed(scheme, Rejection::Barred);
        }
        let (Some(_), Some(user)) = (named, pairs.get("user")) else { return unnamed(scheme) };
        let Some(response) = pairs.get("response") else {
            return if may_be_user(user) {
                self.challenge(scheme, user, knock, fill)
            } else {
                self.wrong(scheme, Rejection::Wrong, knock, status)
            };
        };
        let Some(challenge) = self.take(scheme, pairs) else {
            return self.wrong(scheme, Rejection::Stale, knock, status);
        };
        let expected = expected(account, &challenge, knock.app, pairs);
        let is_set = !account.user.is_empty() && !account.password.is_empty();
        // Both are always compared.
        if is_set & same(account.user, user) & same(&expected, response) {
            Verdict::Granted
        } else {
            self.wrong(scheme, Rejection::Wrong, knock, status)
        }
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If two challenges go by one name, or one address has too many.
    pub fn check_invariants(&self) {
        self.attempts.check_invariants();
        for (i, a) in self.issued.iter().enumerate() {
            assert!(self.issued.iter().skip(i + 1).all(|b| a.token != b.token));
            let of_peer = self.issued.iter().filter(|b| a.peer == b.peer).count();
            assert!(of_peer <= AUTH_CHALLENGES_PER_ADDRESS);
        }
    }

    fn challenge(
        &mut self,
        scheme: Scheme,
        user: &str,
        knock: &Knock<'_>,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Verdict {
        let mut random = [0; 32];
        fill(&mut random);
        let (token, rest) = random.split_at(16);
        let (salt, own) = rest.split_at(8);
        let challenge = Challenge {
            scheme,
            token: hex(token),
            salt: hex(salt),
            peer: knock.peer,
            until: knock.now.after(AUTH_CHALLENGE_TIME),
        };
        let own: heapless::String<16> = hex(own);
        let Challenge { token, salt, .. } = &challenge;
        let mut words = head(scheme);
        let written = match scheme {
            Scheme::Adobe => write!(
                words,
                "?reason=needauth&user={user}&salt={salt}&challenge={own}&opaque={token}"
            ),
            Scheme::Llnw => write!(words, "?reason=needauth&user={user}&nonce={token}"),
        };
        debug_assert!(written.is_ok());
        self.keep(challenge);
        Verdict::Rejected { description: words, why: Rejection::Challenged }
    }

    /// Keeps a challenge; the oldest of the same address goes if that has too many, else the oldest
    /// of all if there is no room.
    fn keep(&mut self, challenge: Challenge) {
        self.issued.retain(|other| other.token != challenge.token);
        let of_peer = |other: &Challenge| other.peer == challenge.peer;
        let crowded = self.issued.iter().filter(|other| of_peer(other)).count()
            >= AUTH_CHALLENGES_PER_ADDRESS;
        if crowded || self.issued.is_full() {
            let oldest = self.issued.iter().position(|other| !crowded || of_peer(other));
            if let Some(oldest) = oldest {
                // In order of age.
                self.issued.remove(oldest);
            }
        }
        let kept = self.issued.push(challenge);
        debug_assert!(kept.is_ok());
    }

    /// The challenge that a response names, which is then gone.
    fn take(&mut self, scheme: Scheme, pairs: Pairs<'_>) -> Option<Challenge> {
        let named = match scheme {
            Scheme::Adobe => pairs.get("opaque"),
            Scheme::Llnw => pairs.get("nonce"),
        }?;
        let at = self
            .issued
            .iter()
            .position(|issued| issued.scheme == scheme && issued.token == named)?;
        Some(self.issued.remove(at))
    }

    fn wrong(
        &mut self,
        scheme: Scheme,
        why: Rejection,
        knock: &Knock<'_>,
        status: &Status,
    ) -> Verdict {
        self.attempts.wrong(knock.peer, knock.now);
        status.add(Counter::RtmpAuthRefused, 1);
        failed(scheme, why)
    }
}

fn expected(account: Account<'_>, challenge: &Challenge, app: &str, pairs: Pairs<'_>) -> Response {
    let said = |name| pairs.get(name).unwrap_or_default();
    let Challenge { scheme, token, salt, .. } = challenge;
    match scheme {
        Scheme::Adobe => adobe::response(account, salt, token, said("challenge")),
        Scheme::Llnw => {
            let (cnonce, count) = (said("cnonce"), said("nc"));
            llnw::response(account, app, llnw::Nonces { nonce: token, cnonce, count })
        }
    }
}

fn failed(scheme: Scheme, why: Rejection) -> Verdict {
    let mut description = head(scheme);
    let written = description.push_str("?reason=authfailed");
    debug_assert!(written.is_ok());
    Verdict::Rejected { description, why }
}

fn unnamed(scheme: Scheme) -> Verdict {
    let mut description = Description::new();
    let name = scheme.name();
    let written =
        write!(description, "[ AccessManager.Reject ] : [ code=403 need auth; authmod={name} ] : ");
    debug_assert!(written.is_ok());
    Verdict::Rejected { description, why: Rejection::Unnamed }
}

fn head(scheme: Scheme) -> Description {
    let mut description = Description::new();
    let name = scheme.name();
    let written = write!(description, "[ AccessManager.Reject ] : [ authmod={name} ] : ");
    debug_assert!(written.is_ok());
    description
}

/// Whether a name fits into a description and ends there where it should.
fn may_be_user(user: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '?';
    !user.is_empty() && user.len() <= AUTH_USER_BYTES_MAX && user.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{AUTH_ATTEMPTS_MAX, AUTH_DESCRIPTION_BYTES_MAX};
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    const BOB: Account<'_> = Account { user: "bob", password: "secret" };
    const START: Instant = Instant(1 << 40);
    const NAMED: &str = "authmod=adobe&user=bob";

    /// A challenger, and random bytes that count.
    struct Door {
        scheme: Scheme,
        challenger: Challenger,
        next: u8,
        status: Status,
    }

    impl Door {
        fn new(scheme: Scheme) -> Self {
            Self { scheme, challenger: Challenger::new(), next: 0, status: Status::new() }
        }

        fn knock(&mut self, peer: u32, query: &str, now: Instant) -> Verdict {
            self.knock_for(BOB, peer, query, now)
        }

        fn knock_for(
            &mut self,
            account: Account<'_>,
            peer: u32,
            query: &str,
            now: Instant,
        ) -> Verdict {
            let peer = IpAddr::V4(Ipv4Addr::from_bits(peer));
            let knock = Knock { peer, scheme: self.scheme, app: "live", query, now };
            let next = &mut self.next;
            let fill = &mut |room: &mut [u8]| {
                *next = next.wrapping_add(1);
                room.fill(*next);
            };
            let verdict = self.challenger.judge(&knock, account, fill, &self.status);
            self.challenger.check_invariants();
            verdict
        }

        fn words(&mut self, query: &str) -> String {
            match self.knock(1, query, START) {
                Verdict::Granted => "granted".to_owned(),
                Verdict::Rejected { description, .. } => description.to_string(),
            }
        }

        fn why(&mut self, peer: u32, query: &str, now: Instant) -> Option<Rejection> {
            match self.knock(peer, query, now) {
                Verdict::Granted => None,
                Verdict::Rejected { why, .. } => Some(why),
            }
        }

        /// A right answer to the challenge drawn from `n`.
        fn answer(n: u8) -> String {
            let token = format!("{n:02x}").repeat(16);
            let response = adobe::response(BOB, &token[..16], &token, "0c73607c");
            format!("{NAMED}&challenge=0c73607c&response={response}&opaque={token}")
        }
    }

    #[test]
    fn challenger_tells_adobe_clients_what_the_three_connections_expect() {
        let mut door = Door::new(Scheme::Adobe);
        let first = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        assert_eq!(door.words(""), first);
        assert_eq!(
            door.words(NAMED),
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob\
             &salt=0101010101010101&challenge=0101010101010101\
             &opaque=01010101010101010101010101010101"
        );
        assert_eq!(door.words(&Door::answer(1)), "granted");
        door.words(NAMED);
        let wrong = Door::answer(2).replace("response=", "response=x");
        let failed = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed";
        assert_eq!(door.words(&wrong), failed);
        assert_eq!(door.status.get(Counter::RtmpAuthRefused), 1);
    }

    #[test]
    fn challenger_tells_limelight_clients_what_the_three_connections_expect() {
        let mut door = Door::new(Scheme::Llnw);
        let first = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ";
        assert_eq!(door.words("authmod=other&user=bob"), first);
        assert_eq!(
            door.words("authmod=llnw&user=bob"),
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=bob\
             &nonce=01010101010101010101010101010101"
        );
        let nonce = "01".repeat(16);
        let nonces = llnw::Nonces { nonce: &nonce, cnonce: "0a1b2c3d", count: "00000001" };
        let response = llnw::response(BOB, "live", nonces);
        let answer = format!(
            "authmod=llnw&user=bob&nonce={nonce}&cnonce=0a1b2c3d&nc=00000001&response={response}"
        );
        assert_eq!(door.words(&answer), "granted");
    }

    #[test]
    fn challenger_asks_by_the_scheme_that_the_publisher_names() {
        let mut door = Door::new(Scheme::Llnw);
        assert!(door.words(NAMED).contains("authmod=adobe"));
        let other = Door::answer(1).replace("authmod=adobe", "authmod=llnw");
        let other = other.replace("opaque=", "nonce=");
        assert_eq!(door.why(1, &other, START), Some(Rejection::Stale), "of the other scheme");
        assert_eq!(door.why(1, &Door::answer(1), START), None);
    }

    #[test]
    fn challenge_serves_one_response_for_a_minute() {
        let mut door = Door::new(Scheme::Adobe);
        door.words(NAMED);
        assert_eq!(door.why(1, &Door::answer(1), START), None);
        assert_eq!(door.why(1, &Door::answer(1), START), Some(Rejection::Stale));
        door.words(NAMED);
        let late = START.after(AUTH_CHALLENGE_TIME);
        assert_eq!(door.why(1, &Door::answer(2), late), Some(Rejection::Stale));
        door.words(NAMED);
        let wrong = Door::answer(3).replace("bob", "eve");
        assert_eq!(door.why(1, &wrong, START), Some(Rejection::Wrong));
        assert_eq!(door.why(1, &Door::answer(3), START), Some(Rejection::Stale));
    }

    #[test]
    fn challenger_lets_nobody_in_while_no_password_is_set() {
        let mut door = Door::new(Scheme::Adobe);
        let account = Account { user: "bob", password: "" };
        door.knock_for(account, 1, NAMED, START);
        let token = "01".repeat(16);
        let response = adobe::response(account, &token[..16], &token, "c");
        let answer = format!("{NAMED}&challenge=c&response={response}&opaque={token}");
        assert_ne!(door.knock_for(account, 1, &answer, START), Verdict::Granted);
    }

    #[test]
    fn challenger_asks_strangers_as_it_asks_bob() {
        let mut door = Door::new(Scheme::Adobe);
        let bob = door.words(NAMED);
        door.next = 0;
        let eve = door.words("authmod=adobe&user=eve");
        assert_eq!(bob.replace("bob", "eve"), eve);
    }

    #[test]
    fn challenger_bars_an_address_after_too_many_wrong_responses() {
        let mut door = Door::new(Scheme::Adobe);
        for _ in 0..AUTH_ATTEMPTS_MAX {
            let query = "authmod=adobe&user=bob&response=x&opaque=y";
            assert_eq!(door.why(1, query, START), Some(Rejection::Stale));
        }
        assert_eq!(door.why(1, NAMED, START), Some(Rejection::Barred));
        let counted = u64::from(AUTH_ATTEMPTS_MAX) + 1;
        assert_eq!(door.status.get(Counter::RtmpAuthRefused), counted);
        assert_eq!(door.why(2, NAMED, START), Some(Rejection::Challenged));
    }

    #[test]
    fn challenger_keeps_a_challenge_while_another_address_asks_for_many() {
        let mut door = Door::new(Scheme::Adobe);
        door.why(1, NAMED, START);
        for _ in 0..200 {
            door.why(2, NAMED, START);
        }
        assert_eq!(door.challenger.issued.len(), 1 + AUTH_CHALLENGES_PER_ADDRESS);
        assert_eq!(door.why(1, &Door::answer(1), START), None);
    }

    #[test]
    fn challenger_drops_the_oldest_challenge_when_its_table_is_full() {
        let mut door = Door::new(Scheme::Adobe);
        for peer in 0..=u32::try_from(AUTH_CHALLENGES_MAX).unwrap() {
            door.why(peer, NAMED, START);
        }
        assert_eq!(door.challenger.issued.len(), AUTH_CHALLENGES_MAX);
        assert_eq!(door.why(0, &Door::answer(1), START), Some(Rejection::Stale));
        assert_eq!(door.why(1, &Door::answer(2), START), None);
    }

    #[test]
    fn challenger_fits_the_longest_user_and_refuses_longer_or_odd_ones() {
        let longest = "u".repeat(AUTH_USER_BYTES_MAX);
        for scheme in Scheme::ALL {
            let mut door = Door::new(scheme);
            let name = scheme.name();
            let words = door.words(&format!("authmod={name}&user={longest}"));
            assert!(words.len() <= AUTH_DESCRIPTION_BYTES_MAX);
            assert!(words.ends_with(&"01".repeat(16)));
            for odd in [&format!("{longest}u"), "", "a b", "a?b", "a\u{7}"] {
                let query = format!("authmod={name}&user={odd}");
                assert_eq!(door.why(2, &query, START), Some(Rejection::Wrong), "{odd}");
            }
        }
    }

    proptest! {
        #[test]
        fn challenger_never_panics_and_lets_nobody_in(
            knocks in proptest::collection::vec((0..9u32, ".{0,40}", 0..5u8, any::<bool>()), 1..60),
        ) {
            let mut door = Door::new(Scheme::Adobe);
            for (peer, text, kind, token) in knocks {
                let token = if token { "01".repeat(16) } else { text.clone() };
                let query = match kind {
                    0 => text,
                    1 => NAMED.to_owned(),
                    2 => format!("authmod=adobe&user={text}"),
                    _ => format!("{NAMED}&response={text}&challenge={text}&opaque={token}"),
                };
                prop_assert_ne!(door.knock(peer, &query, START), Verdict::Granted);
            }
        }
    }
}

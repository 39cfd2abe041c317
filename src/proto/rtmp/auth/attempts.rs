//! How often an address was wrong lately.
//!
//! A fixed table. A wrong answer counts one, and one is forgiven after each while. An address that
//! has too many is not listened to; the table's place goes to who was wrong more often. IPv6 hosts
//! are counted by their network, since each has 2^64 addresses. Not here: what is wrong.

use core::net::{IpAddr, Ipv6Addr};

use crate::limits::{AUTH_ADDRESSES_MAX, AUTH_ATTEMPTS_MAX, AUTH_FORGIVEN_TIME};
use crate::time::Instant;

/// Wrong answers by address.
#[derive(Debug)]
pub struct Attempts {
    table: heapless::Vec<Address, AUTH_ADDRESSES_MAX>,
}

#[derive(Clone, Copy, Debug)]
struct Address {
    who: IpAddr,
    wrong: u32,
    /// When the last one was forgiven, or the first was counted.
    since: Instant,
}

impl Attempts {
    /// Nobody was wrong.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only meaningful when the program starts")]
    pub const fn new() -> Self {
        Self { table: heapless::Vec::new() }
    }

    /// Whether an address may try.
    pub fn allow(&mut self, who: IpAddr, now: Instant) -> bool {
        self.forgive(now);
        let who = network(who);
        let found = self.table.iter().find(|address| address.who == who);
        found.is_none_or(|address| address.wrong < AUTH_ATTEMPTS_MAX)
    }

    /// Counts a wrong answer.
    pub fn wrong(&mut self, who: IpAddr, now: Instant) {
        self.forgive(now);
        let who = network(who);
        if let Some(address) = self.table.iter_mut().find(|address| address.who == who) {
            address.wrong = address.wrong.saturating_add(1).min(AUTH_ATTEMPTS_MAX);
            return;
        }
        let address = Address { who, wrong: 1, since: now };
        if let Err(address) = self.table.push(address) {
            // Who was wrong once, the longest ago, is the least of all.
            let least = self.table.iter_mut().min_by_key(|other| (other.wrong, other.since));
            if let Some(least) = least {
                *least = address;
            }
        }
        self.check_invariants();
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If an address is counted that was not wrong, or beyond the limit.
    pub fn check_invariants(&self) {
        for address in &self.table {
            assert!(address.wrong > 0);
            assert!(address.wrong <= AUTH_ATTEMPTS_MAX);
        }
    }

    /// Lets time pass.
    fn forgive(&mut self, now: Instant) {
        for address in &mut self.table {
            while address.wrong > 0 && now.since(address.since) >= AUTH_FORGIVEN_TIME {
                address.wrong -= 1;
                address.since = address.since.after(AUTH_FORGIVEN_TIME);
            }
        }
        self.table.retain(|address| address.wrong > 0);
    }
}

/// What an address is counted by: an IPv4 address, or the /64 of an IPv6 one.
#[must_use]
pub fn network(who: IpAddr) -> IpAddr {
    match who.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use core::time::Duration;
    use proptest::prelude::*;

    const START: Instant = Instant(1 << 40);

    fn host(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(n))
    }

    fn barred(attempts: &mut Attempts, who: IpAddr, now: Instant) {
        for _ in 0..AUTH_ATTEMPTS_MAX {
            assert!(attempts.allow(who, now));
            attempts.wrong(who, now);
        }
        assert!(!attempts.allow(who, now));
    }

    #[test]
    fn attempts_bar_an_address_and_forgive_one_after_a_while() {
        let mut attempts = Attempts::new();
        barred(&mut attempts, host(1), START);
        assert!(attempts.allow(host(2), START));
        let later = START.after(AUTH_FORGIVEN_TIME);
        assert!(!attempts.allow(host(1), Instant(later.0 - 1)));
        assert!(attempts.allow(host(1), later));
        attempts.wrong(host(1), later);
        assert!(!attempts.allow(host(1), later));
    }

    #[test]
    fn attempts_do_not_pile_up_beyond_the_limit() {
        let mut attempts = Attempts::new();
        for _ in 0..10 * AUTH_ATTEMPTS_MAX {
            attempts.wrong(host(1), START);
        }
        assert!(attempts.allow(host(1), START.after(AUTH_FORGIVEN_TIME)));
    }

    #[test]
    fn attempts_keep_who_is_barred_when_many_others_are_wrong_once() {
        let mut attempts = Attempts::new();
        barred(&mut attempts, host(0), START);
        for n in 1..1000 {
            attempts.wrong(host(n), START);
        }
        assert!(!attempts.allow(host(0), START));
        assert_eq!(attempts.table.len(), AUTH_ADDRESSES_MAX);
    }

    #[test]
    fn attempts_count_ipv6_by_network_and_mapped_ipv4_as_itself() {
        let mut attempts = Attempts::new();
        barred(&mut attempts, "2001:db8::1".parse().unwrap(), START);
        assert!(!attempts.allow("2001:db8::ffff:1".parse().unwrap(), START));
        assert!(attempts.allow("2001:db8:0:1::1".parse().unwrap(), START));
        barred(&mut attempts, host(0x0a00_0001), START);
        assert!(!attempts.allow("::ffff:10.0.0.1".parse().unwrap(), START));
    }

    proptest! {
        #[test]
        fn attempts_hold_their_invariants(
            steps in proptest::collection::vec((0..100u32, 0..100_000_000u64), 1..300),
        ) {
            let mut attempts = Attempts::new();
            let mut now = START;
            for (n, micros) in steps {
                now = now.after(Duration::from_micros(micros));
                attempts.wrong(host(n), now);
                attempts.check_invariants();
            }
        }
    }
}

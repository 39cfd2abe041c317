//! Address ranges that a service answers: a person's text in, and back.
//!
//! `private` is this device and the networks that no stranger is on: loopback (RFC 1122
//! §3.2.1.3, RFC 4291 §2.5.3), RFC 1918, link-local (RFC 3927, RFC 4291 §2.5.6) and unique local
//! (RFC 4193). Not the carriers' shared space (RFC 6598, 100.64.0.0/10): other customers are on
//! it. An IPv4 address that is mapped into IPv6 counts as itself. Knows no setting by name.

use core::fmt;
use core::net::IpAddr;

use crate::limits::NETWORKS_MAX;

/// Ranges, in the order they were written; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(heapless::Vec<Network, NETWORKS_MAX>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Any,
    Private,
    /// Addresses of one family that share the first `bits` with `base`.
    Prefix {
        base: IpAddr,
        bits: u32,
    },
}

impl Networks {
    /// `private` alone.
    #[must_use]
    pub fn private() -> Self {
        Self(core::iter::once(Network::Private).collect())
    }

    /// Reads `any`, `private`, addresses and `address/bits`, with commas or blanks between them.
    /// None if one of them is something else, there are too many, or there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut networks = heapless::Vec::new();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            networks.push(Network::parse(word)?).ok()?;
        }
        (!networks.is_empty()).then_some(Self(networks))
    }

    /// Whether an address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "any" => return Some(Self::Any),
            "private" => return Some(Self::Private),
            _ => {}
        }
        let (base, bits) = word.split_once('/').unwrap_or((word, ""));
        let base: IpAddr = base.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = if word.contains('/') { bits.parse().ok()? } else { most };
        (bits <= most).then_some(Self::Prefix { base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (*self, address) {
            (Self::Any, _) => true,
            (Self::Private, IpAddr::V4(four)) => {
                four.is_loopback() || four.is_private() || four.is_link_local()
            }
            (Self::Private, IpAddr::V6(six)) => {
                six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
            }
            (Self::Prefix { base: IpAddr::V4(base), bits }, IpAddr::V4(four)) => {
                let differ = base.to_bits() ^ four.to_bits();
                differ.leading_zeros() >= bits
            }
            (Self::Prefix { base: IpAddr::V6(base), bits }, IpAddr::V6(six)) => {
                let differ = base.to_bits() ^ six.to_bits();
                differ.leading_zeros() >= bits
            }
            (Self::Prefix { .. }, _) => false,
        }
    }
}

/// The text that parses back to these.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, network) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match network {
                Network::Any => f.write_str("any")?,
                Network::Private => f.write_str("private")?,
                Network::Prefix { base, bits } => write!(f, "{base}/{bits}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(text: &str, address: &str) -> bool {
        Networks::parse(text).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn private_is_this_device_and_networks_without_strangers() {
        for inside in [
            "127.0.0.2",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.9",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(holds("private", inside), "{inside}");
        }
        for outside in
            ["8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "2001:db8::1", "::ffff:8.8.8.8"]
        {
            assert!(!holds("private", outside), "{outside}");
            assert!(holds("any", outside), "{outside}");
        }
    }

    #[test]
    fn prefixes_hold_what_shares_their_first_bits() {
        assert!(holds("203.0.113.0/24", "203.0.113.255"));
        assert!(!holds("203.0.113.0/24", "203.0.114.0"));
        assert!(holds("203.0.113.7", "203.0.113.7"));
        assert!(!holds("203.0.113.7", "203.0.113.6"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("private, 2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
    }

    #[test]
    fn networks_take_nothing_else_and_no_more_than_the_limit() {
        for text in ["", ",", "none", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "a/8"] {
            assert_eq!(Networks::parse(text), None, "{text}");
        }
        let most = ["any"; NETWORKS_MAX].join(",");
        assert!(Networks::parse(&most).is_some());
        assert_eq!(Networks::parse(&format!("{most},any")), None);
    }

    proptest! {
        #[test]
        fn networks_never_panic_and_parse_back(text in "[any,private0-9a-f:./ ]{0,50}", b: u128) {
            if let Some(networks) = Networks::parse(&text) {
                let _ = networks.contains(IpAddr::V6(b.into()));
                prop_assert_eq!(Networks::parse(&networks.to_string()), Some(networks));
            }
        }

        #[test]
        fn prefixes_never_panic_and_hold_their_own(base: u32, bits in 0..=32u32) {
            let base = IpAddr::V4(base.into());
            let networks = Networks::parse(&format!("{base}/{bits}")).unwrap();
            prop_assert!(networks.contains(base));
        }
    }
}

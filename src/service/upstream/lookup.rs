//! From a host to a connection: name look-up and the attempts behind it.
//!
//! A look-up blocks, so it runs away from the loop; one that is given up ends by itself when the
//! resolver does.
//! Source: getaddrinfo(3).

use super::reason::Reason;
use crate::limits::{UPSTREAM_ADDRESSES_MAX, UPSTREAM_CONNECT_TIME_MAX};
use crate::service::blocking::unblock;
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::wire::rtmp::url::Scheme;
use core::net::{IpAddr, SocketAddr};
use smol::future;
use std::io;
use std::net::ToSocketAddrs as _;
use std::rc::Rc;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// To be looked up.
    Name(String),
    /// Known.
    Address(IpAddr),
}

/// Where an upstream is and how bytes travel there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// How.
    pub scheme: Scheme,
    /// Who.
    pub host: Host,
    /// Its port.
    pub port: u16,
}

/// The first addresses of a host.
pub type Addresses = heapless::Vec<SocketAddr, UPSTREAM_ADDRESSES_MAX>;

/// A link over TCP to `peer`, within `UPSTREAM_CONNECT_TIME_MAX`.
///
/// # Errors
/// Which step it came to, and why no further.
pub async fn connect(reactor: &Rc<Reactor>, peer: &Peer) -> Result<Link, Reason> {
    let patience = async {
        reactor.sleep(UPSTREAM_CONNECT_TIME_MAX).await;
        Err(Reason::Unreached)
    };
    future::or(reach(reactor, peer), patience).await
}

async fn reach(reactor: &Rc<Reactor>, peer: &Peer) -> Result<Link, Reason> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses(reactor, peer).await? {
        match Link::connect(reactor, address).await {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
    }
    Err(Reason::Connect(last))
}

/// Where `peer` may be.
///
/// # Errors
/// `Reason::Lookup`.
pub async fn addresses(reactor: &Rc<Reactor>, peer: &Peer) -> Result<Addresses, Reason> {
    match &peer.host {
        Host::Address(address) => Ok(Addresses::from_iter([SocketAddr::new(*address, peer.port)])),
        Host::Name(name) => look_up(reactor, name, peer.port)
            .await
            .map_err(|cause| Reason::Lookup { host: name.clone(), cause }),
    }
}

/// The first addresses of a name.
#[expect(clippy::disallowed_methods, reason = "in a thread of its own")]
async fn look_up(reactor: &Rc<Reactor>, name: &str, port: u16) -> io::Result<Addresses> {
    let name = name.to_owned();
    let found = unblock(reactor, move || {
        let found = (name.as_str(), port).to_socket_addrs()?;
        Ok(found.take(UPSTREAM_ADDRESSES_MAX).collect())
    });
    found.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses_of_a_name_are_bounded() {
        assert_eq!(Addresses::new().capacity(), UPSTREAM_ADDRESSES_MAX);
    }

    fn dial(host: Host, port: u16) -> Result<(), Reason> {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let peer = Peer { scheme: Scheme::Rtmp, host, port };
        reactor.run(async move { connect(&tasks, &peer).await.map(drop) }).unwrap()
    }

    #[test]
    fn names_are_looked_up_and_addresses_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        dial(Host::Name("localhost".into()), port).unwrap();
        dial(Host::Address([127, 0, 0, 1].into()), port).unwrap();
    }

    #[test]
    fn silent_address_is_given_up_in_time() {
        // A listener whose queue is full answers no more.
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::empty(),
            None,
        );
        let listener = TcpListener::from(socket.unwrap());
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        let _queued: Vec<_> = (0..4).map(|_| crate::sys::net::connect(address).unwrap()).collect();
        let start = crate::service::clock::now();
        let host = Host::Address(address.ip());
        let silent = dial(host, address.port()).unwrap_err();
        assert!(matches!(silent, Reason::Unreached), "{silent}");
        let took = crate::service::clock::now().since(start);
        assert!(took >= UPSTREAM_CONNECT_TIME_MAX, "{took:?}");
        assert!(took < UPSTREAM_CONNECT_TIME_MAX * 2, "{took:?}");
    }

    #[test]
    fn each_way_to_fail_has_its_words() {
        let name = Host::Name("no.such.host.invalid".into());
        let lost = dial(name, 1935).unwrap_err();
        assert!(lost.to_string().contains("no.such.host.invalid is not found"), "{lost}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refused = dial(Host::Address([127, 0, 0, 1].into()), port).unwrap_err();
        assert!(matches!(refused, Reason::Connect(_)), "{refused}");
    }
}

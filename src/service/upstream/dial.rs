//! From an address to a link: here a scheme becomes a way for bytes.
//!
//! ```text
//! rtmp, rtmpe    TCP            rtmpt, rtmpte  HTTP requests over TCP
//! ```
//!
//! What RTMPE encrypts is begun by the handshake, on either way. A tunnel needs another connection
//! whenever its server, or a proxy before it, ends one: it is made as the first was.

use super::lookup::{self, Host, Peer};
use super::reason::Reason;
use crate::limits::{HOST_BYTES_MAX, RTMPE_BLOCK_BYTES, TUNNEL_IN_BYTES, TUNNEL_OUT_BYTES};
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::service::tunnel_client::{self, Redial};
use crate::wire::rtmp::url::Scheme;
use core::fmt::Write as _;
use core::net::IpAddr;
use std::io;
use std::rc::Rc;

/// A link to `peer`; requests of a tunnel gather `flush_packets`.
///
/// # Errors
/// Which step it came to, and why no further.
pub async fn dial(reactor: &Rc<Reactor>, peer: &Peer, flush_packets: u32) -> Result<Link, Reason> {
    let below = carry(reactor, peer).await?;
    if !peer.scheme.is_http() {
        return Ok(below);
    }
    let (again, whom) = (Rc::clone(reactor), peer.clone());
    let redial = Redial::new(move || {
        let (reactor, peer) = (Rc::clone(&again), whom.clone());
        Box::pin(async move { carry(&reactor, &peer).await.map_err(io::Error::other) })
    });
    Ok(Link::tunnel(reactor, below, host(peer), flush_packets, redial))
}

/// Memory that a link takes beside its connection, while it is there, in bytes.
#[must_use]
pub const fn bytes(scheme: Scheme) -> usize {
    let tunnel = if scheme.is_http() { TUNNEL_IN_BYTES + TUNNEL_OUT_BYTES } else { 0 };
    let block = if scheme.is_encrypted() { RTMPE_BLOCK_BYTES } else { 0 };
    tunnel + block
}

/// What lies below: one connection.
async fn carry(reactor: &Rc<Reactor>, peer: &Peer) -> Result<Link, Reason> {
    match peer.scheme {
        Scheme::Rtmp | Scheme::Rtmpe | Scheme::Rtmpt | Scheme::Rtmpte => {
            lookup::connect(reactor, peer).await
        }
        Scheme::Rtmps | Scheme::Rtmpts => Err(Reason::Scheme(peer.scheme.name())),
    }
}

/// Host and port, as a request names them (RFC 9112 §3.2): the port only where it is not usual.
fn host(peer: &Peer) -> tunnel_client::Host {
    let mut text = tunnel_client::Host::new();
    let written = match &peer.host {
        Host::Name(name) => write!(text, "{name}"),
        Host::Address(IpAddr::V4(address)) => write!(text, "{address}"),
        Host::Address(IpAddr::V6(address)) => write!(text, "[{address}]"),
    };
    debug_assert!(written.is_ok(), "a URL's host has {HOST_BYTES_MAX} bytes at most");
    if peer.port != peer.scheme.default_port() {
        let written = write!(text, ":{}", peer.port);
        debug_assert!(written.is_ok(), "there is room for a port");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_of_a_request_has_brackets_and_an_unusual_port() {
        let named = |host, port| host_text(Scheme::Rtmpt, host, port);
        assert_eq!(named(Host::Name("box".into()), 80), "box");
        assert_eq!(named(Host::Name("x".repeat(HOST_BYTES_MAX)), 65_535).len(), 259);
        assert_eq!(named(Host::Address([127, 0, 0, 1].into()), 8080), "127.0.0.1:8080");
        let v6 = Host::Address("2001:db8::1".parse().unwrap());
        assert_eq!(named(v6, 443), "[2001:db8::1]:443");
    }

    fn host_text(scheme: Scheme, host: Host, port: u16) -> String {
        super::host(&Peer { scheme, host, port }).as_str().to_owned()
    }

    #[test]
    fn tls_is_not_begun_in_clear() {
        let reactor = Reactor::new().unwrap();
        for scheme in [Scheme::Rtmps, Scheme::Rtmpts] {
            let tasks = Rc::clone(&reactor);
            let peer = Peer { scheme, host: Host::Address([127, 0, 0, 1].into()), port: 9 };
            let refused = reactor.run(async move { dial(&tasks, &peer, 1).await.err() });
            assert!(matches!(refused, Ok(Some(Reason::Scheme(_)))), "{refused:?}");
        }
    }
}

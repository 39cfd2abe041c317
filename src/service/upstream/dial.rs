//! From an address to a link: here a scheme becomes a way for bytes.
//!
//! ```text
//! rtmp, rtmpe    TCP            rtmpt, rtmpte  HTTP requests over TCP
//! rtmps          TLS over TCP   rtmpts         HTTP requests within TLS
//! ```
//!
//! What RTMPE encrypts is begun by the handshake, on either way. A tunnel needs another connection
//! whenever its server, or a proxy before it, ends one: it is made as the first was.

use super::lookup::{self, Host, Peer};
use super::reason::Reason;
use crate::limits::{
    HOST_BYTES_MAX, RTMPE_BLOCK_BYTES, TUNNEL_IN_BYTES, TUNNEL_OUT_BYTES, UPSTREAM_STEP_TIME_MAX,
};
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::service::tls::{self, TlsClient, TlsError, TlsStream, Trust};
use crate::service::tunnel_client::{self, Redial};
use crate::wire::rtmp::url::Scheme;
use core::fmt::Write as _;
use core::net::IpAddr;
use smol::future;
use std::io;
use std::rc::Rc;

/// A link to `peer`; requests of a tunnel gather `flush_packets`, and within TLS it is believed as
/// `trust` says.
///
/// # Errors
/// Which step it came to, and why no further.
pub async fn dial(
    reactor: &Rc<Reactor>,
    peer: &Peer,
    flush_packets: u32,
    trust: &Trust,
) -> Result<Link, Reason> {
    let below = carry(reactor, peer, trust).await?;
    if !peer.scheme.is_http() {
        return Ok(below);
    }
    let again = (Rc::clone(reactor), peer.clone(), trust.clone());
    let redial = Redial::new(move || {
        let (reactor, peer, trust) = again.clone();
        Box::pin(async move { carry(&reactor, &peer, &trust).await.map_err(io::Error::other) })
    });
    Ok(Link::tunnel(reactor, below, host(peer), flush_packets, redial))
}

/// Memory that a link takes beside its connection, while it is there, in bytes.
#[must_use]
pub const fn bytes(scheme: Scheme) -> usize {
    let tunnel = if scheme.is_http() { TUNNEL_IN_BYTES + TUNNEL_OUT_BYTES } else { 0 };
    let block = if scheme.is_encrypted() { RTMPE_BLOCK_BYTES } else { 0 };
    tunnel + block + below_bytes(scheme)
}

/// The same of one connection below a tunnel.
pub(super) const fn below_bytes(scheme: Scheme) -> usize {
    if scheme.is_tls() { tls::CLIENT_BYTES } else { 0 }
}

/// What lies below: one connection.
pub(super) async fn carry(
    reactor: &Rc<Reactor>,
    peer: &Peer,
    trust: &Trust,
) -> Result<Link, Reason> {
    if !peer.scheme.is_tls() {
        return lookup::connect(reactor, peer).await;
    }
    // Whatever is wrong with the trust is found before anybody is asked.
    let stream = TlsClient::new(trust)?.stream(&name(&peer.host))?;
    let link = lookup::connect(reactor, peer).await?;
    let patience = async {
        reactor.sleep(UPSTREAM_STEP_TIME_MAX).await;
        Err(Reason::TlsSilent)
    };
    future::or(shake(link, stream), patience).await
}

async fn shake(link: Link, stream: TlsStream) -> Result<Link, Reason> {
    let shaken = link.tls_client(stream).await;
    shaken.map_err(|error| match error.downcast::<TlsError>() {
        Ok(error) => Reason::Tls(error),
        Err(error) => Reason::Io(error),
    })
}

/// The name that a certificate must hold.
fn name(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    }
}

/// Host and port, as a request names them (RFC 9112 §3.2): the port only where it is not usual.
pub(super) fn host(peer: &Peer) -> tunnel_client::Host {
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

    /// Dials a server that does as `answer` says with what comes first.
    #[expect(clippy::disallowed_methods, reason = "a peer of its own")]
    fn dial_to(answer: fn(std::net::TcpStream), trust: &Trust) -> Reason {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || answer(listener.accept().unwrap().0));
        let (reactor, trust) = (Reactor::new().unwrap(), trust.clone());
        let tasks = Rc::clone(&reactor);
        let host = Host::Address([127, 0, 0, 1].into());
        let peer = Peer { scheme: Scheme::Rtmps, host, port };
        let outcome = reactor.run(async move { dial(&tasks, &peer, 1, &trust).await.err() });
        outcome.unwrap().unwrap()
    }

    #[test]
    fn server_without_tls_has_its_words() {
        use std::io::{Read as _, Write as _};
        let plain = dial_to(|mut peer| peer.write_all(&[3; 1537]).unwrap(), &Trust::Roots);
        assert!(matches!(plain, Reason::Tls(TlsError::NoTlsServer)), "{plain}");
        let gone = dial_to(
            |mut peer| {
                let _hello = peer.read(&mut [0; 4096]).unwrap();
            },
            &Trust::Roots,
        );
        assert!(matches!(gone, Reason::Tls(TlsError::Closed)), "{gone}");
        let file = Trust::File("/nowhere/ca.pem".into());
        let missing = dial_to(|_| (), &file);
        assert!(matches!(missing, Reason::Tls(TlsError::File { .. })), "{missing}");
    }

    #[test]
    fn server_that_never_answers_the_handshake_is_given_up() {
        let start = crate::service::clock::now();
        let silent = dial_to(
            |mut peer| {
                let _until_the_end = io::copy(&mut peer, &mut io::sink());
            },
            &Trust::Roots,
        );
        assert!(matches!(silent, Reason::TlsSilent), "{silent}");
        assert!(crate::service::clock::now().since(start) >= UPSTREAM_STEP_TIME_MAX);
    }
}

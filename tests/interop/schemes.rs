//! The ways to a stream: scheme of the URL, and settings of the program that it needs.

use std::net::SocketAddr;

use crate::support::process::Scratch;
use crate::support::rillcast::Rillcast;

/// Where the program listens for a scheme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port {
    Rtmp,
    Http,
}

/// One way.
pub struct Scheme {
    /// As the table names it, and as a URL begins.
    pub name: &'static str,
    pub port: Port,
    /// What it needs to be set.
    pub settings: &'static [(&'static str, &'static str)],
}

const NONE: &[(&str, &str)] = &[];
const ENCRYPTED: &[(&str, &str)] = &[("rtmp.encryption", "true")];
const TUNNELS: &[(&str, &str)] = &[("limits.tunnels", "12")];
const BOTH: &[(&str, &str)] = &[("rtmp.encryption", "true"), ("limits.tunnels", "12")];

pub const SCHEMES: &[Scheme] = &[
    Scheme { name: "rtmp", port: Port::Rtmp, settings: NONE },
    Scheme { name: "rtmpt", port: Port::Http, settings: TUNNELS },
    Scheme { name: "rtmpe", port: Port::Rtmp, settings: ENCRYPTED },
    Scheme { name: "rtmpte", port: Port::Http, settings: BOTH },
];

impl Scheme {
    /// A program that is set for it, and the address of a stream there.
    pub fn open(&self, _scratch: &Scratch) -> (Rillcast, String) {
        let rillcast = Rillcast::start(self.settings);
        let address = match self.port {
            Port::Rtmp => rillcast.rtmp,
            Port::Http => rillcast.http,
        };
        let url = self.url(address);
        (rillcast, url)
    }

    fn url(&self, address: SocketAddr) -> String {
        format!("{}://{address}/live/cam", self.name)
    }

    /// Whether `schemes` names it; if not, `reason`.
    pub fn only(&self, schemes: &[&str], reason: &'static str) -> Result<(), &'static str> {
        if schemes.contains(&self.name) { Ok(()) } else { Err(reason) }
    }
}

//! The ways to a stream: scheme of the URL, settings of the program that it needs.

use std::net::SocketAddr;

use crate::support::rillcast::Rillcast;

/// One way.
pub struct Scheme {
    /// As the table names it.
    pub name: &'static str,
    /// As a URL begins.
    pub url: &'static str,
    /// Where the program listens for it.
    pub port: fn(&Rillcast) -> SocketAddr,
    /// What it needs to be set.
    pub settings: &'static [(&'static str, &'static str)],
}

pub const SCHEMES: &[Scheme] = &[
    Scheme { name: "rtmp", url: "rtmp", port: |box_| box_.rtmp, settings: &[] },
    Scheme {
        name: "rtmpt",
        url: "rtmpt",
        port: |box_| box_.http,
        settings: &[("limits.tunnels", "12")],
    },
];

impl Scheme {
    /// The address of a stream.
    pub fn address(&self, rillcast: &Rillcast) -> String {
        format!("{}://{}/live/cam", self.url, (self.port)(rillcast))
    }

    /// Whether `schemes` names it; if not, `reason`.
    pub fn only(&self, schemes: &[&str], reason: &'static str) -> Result<(), &'static str> {
        if schemes.contains(&self.url) { Ok(()) } else { Err(reason) }
    }
}

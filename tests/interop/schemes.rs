//! The ways to a stream: scheme of the URL, settings of the program that it needs, whether
//! publishers sign in.

use std::net::SocketAddr;

use crate::support::process::{self, Scratch};
use crate::support::rillcast::Rillcast;

/// Where the program listens for a scheme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port {
    Rtmp,
    Http,
    /// Within TLS, with the certificate that the program makes for itself.
    Tls,
}

/// One way.
pub struct Scheme {
    /// As the table names it.
    pub name: &'static str,
    /// As a URL begins.
    pub url: &'static str,
    pub port: Port,
    /// How publishers are asked for user and password, if they are.
    pub sign_in: Option<&'static str>,
    /// What it needs to be set.
    pub settings: &'static [(&'static str, &'static str)],
}

/// A scheme of which publishers and players know no more than its URL.
const fn plain(
    url: &'static str,
    port: Port,
    settings: &'static [(&'static str, &'static str)],
) -> Scheme {
    Scheme { name: url, url, port, sign_in: None, settings }
}

/// By RTMP, where publishers sign in; players are not asked.
const fn signed(
    name: &'static str,
    way: &'static str,
    settings: &'static [(&'static str, &'static str)],
) -> Scheme {
    Scheme { name, url: "rtmp", port: Port::Rtmp, sign_in: Some(way), settings }
}

pub const SCHEMES: &[Scheme] = &[
    plain("rtmp", Port::Rtmp, &[]),
    plain("rtmpt", Port::Http, &[("limits.tunnels", "12")]),
    plain("rtmpe", Port::Rtmp, &[("rtmp.encryption", "true")]),
    plain("rtmpte", Port::Http, &[("rtmp.encryption", "true"), ("limits.tunnels", "12")]),
    plain("rtmps", Port::Tls, &[]),
    plain("rtmpts", Port::Tls, &[("limits.tunnels", "12")]),
    signed("rtmp, adobe", "adobe", &[USERS, PASSWORD, ("stream.live/cam.sign_in", "adobe")]),
    signed("rtmp, llnw", "llnw", &[USERS, PASSWORD, ("stream.live/cam.sign_in", "llnw")]),
];

const USERS: (&str, &str) = ("stream.live/cam.publish_users", ACCOUNT.0);
const PASSWORD: (&str, &str) = ("user.bob.password", ACCOUNT.1);

/// User and password where publishers sign in.
pub const ACCOUNT: (&str, &str) = ("bob", "secret");

/// What publishers and players are told.
pub struct Route {
    pub scheme: &'static Scheme,
    pub address: SocketAddr,
    /// What our own push and pull need to believe the certificate.
    pub trust: Vec<String>,
}

impl Route {
    /// The address of the stream.
    pub fn url(&self) -> String {
        format!("{}://{}/live/cam", self.scheme.url, self.address)
    }

    /// The same with user and password where they are asked for.
    pub fn signed_url(&self) -> String {
        let account = self.scheme.sign_in.map_or(String::new(), |_| {
            let (user, password) = ACCOUNT;
            format!("{user}:{password}@")
        });
        format!("{}://{account}{}/live/cam", self.scheme.url, self.address)
    }

    /// An element of GStreamer's own RTMP, with its properties.
    pub fn rtmp2(&self, element: &str, publishes: bool) -> Vec<String> {
        let mut words = vec![element.to_owned(), format!("location={}", self.url())];
        if publishes && self.scheme.sign_in.is_some() {
            let (user, password) = ACCOUNT;
            words.extend([format!("username={user}"), format!("password={password}")]);
        }
        if self.scheme.port == Port::Tls {
            words.push("tls-validation-flags=0".to_owned());
        }
        words
    }

    /// An element of librtmp, with its properties.
    pub fn librtmp(&self, element: &str, publishes: bool) -> Vec<String> {
        let mut location = format!("location={} live=1", self.url());
        if publishes && self.scheme.sign_in.is_some() {
            let (user, password) = ACCOUNT;
            location += &format!(" pubUser={user} pubPasswd={password}");
        }
        vec![element.to_owned(), location]
    }
}

impl Scheme {
    /// A program that is set for it, and how to get there.
    pub fn open(&'static self, scratch: &Scratch) -> (Rillcast, Route) {
        let tls = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let (listen, folder) = (tls.to_string(), scratch.join("tls"));
        let mut settings = self.settings.to_vec();
        if self.port == Port::Tls {
            settings.extend([("rtmps.listen", listen.as_str()), ("tls.dir", folder.as_str())]);
        }
        let rillcast = Rillcast::start(&settings);
        let (address, trust) = match self.port {
            Port::Rtmp => (rillcast.rtmp, Vec::new()),
            Port::Http => (rillcast.http, Vec::new()),
            Port::Tls => {
                let line = rillcast.wait_line(&["publish to rtmps://"]);
                let (_, pin) = line.rsplit_once("pin=").expect("a pin");
                (tls, vec!["--pin".to_owned(), pin.trim().to_owned()])
            }
        };
        (rillcast, Route { scheme: self, address, trust })
    }

    /// Whether `schemes` names it; if not, `reason`.
    pub fn only(&self, schemes: &[&str], reason: &'static str) -> Result<(), &'static str> {
        if schemes.contains(&self.url) { Ok(()) } else { Err(reason) }
    }

    /// That nobody signs in, or by one of these ways; if not, `reason`.
    pub fn signs_in(&self, ways: &[&str], reason: &'static str) -> Result<(), &'static str> {
        if self.sign_in.is_none_or(|way| ways.contains(&way)) { Ok(()) } else { Err(reason) }
    }
}

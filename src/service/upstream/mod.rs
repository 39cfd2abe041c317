//! The way to another RTMP server: whom to ask, what to say, and how far that came.
//!
//! `Target` is an address with its options, `Route` the way of one attempt through redirects, and
//! `Conversation` one connection on it. Pushing and pulling, as services and as commands, stand on
//! the same four parts. What is sent and where media goes is theirs.
//! An upstream that asks who we are is answered on the next connection, with the user and password
//! of the address.
//! Source: RTMP 1.0 §7.2; Enhanced RTMP v2, "Reconnect Request".

pub mod attempt;
pub mod conversation;
pub mod dial;
pub mod guest;
pub mod keeper;
pub mod lookup;
pub mod pause;
pub mod player;
pub mod reason;
pub mod watch;

pub use attempt::{Attempt, Halt};
pub use conversation::{Conversation, verdict};
pub use keeper::Keeper;
pub use player::PlayerFault;
pub use reason::Reason;
pub use watch::{Watch, Watches};

use crate::limits::{CLIENT_CODECS_MAX, UPSTREAM_ARGUMENTS_BYTES_MAX, UPSTREAM_REDIRECTS_MAX};
use crate::proto::rtmp::auth::responder::Responder;
use crate::proto::rtmp::auth::{Account, Query};
use crate::proto::rtmp::client::{Enhanced, Plan, Play, PublishType, Role, Start, Swf};
use crate::proto::rtmp::options::ClientOptions;
use crate::proto::rtmp::plan::{self, ConnectPlan, Reading};
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::service::tls::Trust;
use crate::sys::random;
use crate::wire::amf0::Emitter;
use crate::wire::rtmp::url::{self, Credentials, Url, resolve};
use crate::wire::writer::Writer;
use lookup::{Host, Peer};
use std::io;
use std::rc::Rc;

/// capsEx: we follow reconnect requests.
const CAPS_EX_RECONNECT: u32 = 1;

/// A name that is shorter is no secret, and may be part of any word.
const SECRET_BYTES_MIN: usize = 4;

/// An address and its options. Both may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The RTMP URL.
    pub url: String,
    /// Options of `proto::rtmp::options` by name.
    pub options: Vec<(String, String)>,
    /// Publish or play.
    pub role: plan::Role,
}

impl core::fmt::Debug for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Target({:?})", self.role)
    }
}

impl Target {
    /// Whether address and options can be used, without connecting.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), Reason> {
        if self.role == plan::Role::Publish && self.typed()?.listen {
            return Err(Reason::Listens);
        }
        Said::new(self, None).map(drop)
    }

    /// The same for one that runs beside a server.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_service(&self) -> Result<(), Reason> {
        if self.typed()?.listen {
            return Err(Reason::Listens);
        }
        self.check()
    }

    /// The typed options.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn typed(&self) -> Result<ClientOptions<'_>, Reason> {
        let mut options = ClientOptions::new();
        for (name, text) in &self.options {
            options.set(name, text)?;
        }
        Ok(options)
    }
}

/// Why a conversation ended.
#[derive(Debug)]
pub enum Stop {
    /// For good.
    Failed(Reason),
    /// To go on at another place.
    Elsewhere(Elsewhere),
}

impl<R: Into<Reason>> From<R> for Stop {
    fn from(reason: R) -> Self {
        Self::Failed(reason.into())
    }
}

/// Where an upstream sends us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Instead of taking us.
    Redirect {
        /// An application.
        target: String,
        /// The stream there, if it says so.
        stream_url: Option<String>,
    },
    /// To itself, with an answer to what it asks.
    SignIn {
        /// Its words, which hold scheme, salt and challenge.
        words: String,
    },
    /// Behind what we did so far; to itself if it names no address.
    Asked {
        /// An application, perhaps relative to the one before.
        tc_url: Option<String>,
    },
}

/// What we say to one server, as texts of our own. `Session` borrows them.
pub struct Said {
    /// Whom we say it to.
    pub peer: Peer,
    /// The address as it may stand in a log.
    pub shown: String,
    app: String,
    tc_url: String,
    agent: String,
    swf_url: String,
    page_url: String,
    name: String,
    subscribe: Option<String>,
    codecs: Vec<String>,
    arguments: Vec<u8>,
    role: plan::Role,
    start: Start,
    buffer_ms: u32,
    swf: Option<Swf>,
    /// Where the player is that the upstream may ask about.
    player: Option<String>,
    flush_packets: u32,
    user: String,
    password: String,
    trust: Trust,
}

impl core::fmt::Debug for Said {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Said({})", self.shown)
    }
}

/// The codecs of an announcement, borrowed.
pub type Codecs<'s> = heapless::Vec<&'s str, CLIENT_CODECS_MAX>;

impl Said {
    /// What `target` says, to another application if it was `moved` there.
    ///
    /// # Errors
    /// Address or options cannot be used.
    pub fn new(target: &Target, moved: Option<&str>) -> Result<Self, Reason> {
        let url = Url::parse(&target.url)?;
        let options = target.typed()?;
        let moved = moved.map(Url::parse).transpose()?;
        let mut plan = ConnectPlan::new(&url, &options, target.role, Reading::Conventional)?;
        if let Some(elsewhere) = &moved {
            plan = plan.moved(elsewhere);
        }
        plan.player.map_or(Ok(()), player::check)?;
        let mut buffer = [0; UPSTREAM_ARGUMENTS_BYTES_MAX];
        let mut w = Writer::new(&mut buffer);
        plan.emit_arguments(&mut Emitter::new(&mut w))?;
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let account = |part: fn(&Credentials<'_>) -> String| {
            plan.credentials.as_ref().map(part).unwrap_or_default()
        };
        Ok(Self {
            peer: peer(moved.as_ref().unwrap_or(&url)),
            shown: plan.tc_url.without_query().to_string(),
            app: plan.app.to_owned(),
            tc_url: plan.tc_url.text()?.as_str().to_owned(),
            agent: plan.flash_version.to_owned(),
            swf_url: owned(plan.swf_url),
            page_url: owned(plan.page_url),
            name: plan.playpath.text()?.as_str().to_owned(),
            subscribe: plan
                .subscribe
                .map(|name| name.text())
                .transpose()?
                .map(|t| t.as_str().into()),
            codecs: plan.codecs.iter().map(str::to_owned).collect(),
            arguments: w.written().to_vec(),
            role: plan.role,
            start: match plan.start {
                0 => Start::Recorded,
                -1000 => Start::Live,
                _ => Start::Any,
            },
            buffer_ms: plan.buffer_ms,
            swf: plan.swf.map(|swf| Swf { hash: swf.hash, bytes: swf.bytes }),
            player: plan.player.map(str::to_owned),
            flush_packets: options.flush_packets,
            user: account(|credentials| credentials.user.to_string()),
            password: account(|credentials| credentials.password.to_string()),
            trust: Trust::of(options.ca_file, options.pin)?,
        })
    }

    /// A link to the server.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn dial(&self, reactor: &Rc<Reactor>) -> Result<Link, Reason> {
        dial::dial(reactor, &self.peer, self.flush_packets, &self.trust).await
    }

    /// Says the same with `query` behind application and tcUrl.
    fn signed(mut self, query: &str) -> Self {
        for text in [&mut self.app, &mut self.tc_url] {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str(query);
        }
        self
    }

    /// The codecs, for `plan`.
    #[must_use]
    pub fn codecs(&self) -> Codecs<'_> {
        self.codecs.iter().map(String::as_str).take(CLIENT_CODECS_MAX).collect()
    }

    /// The plan of a session.
    #[must_use]
    pub fn plan<'s>(&'s self, codecs: &'s Codecs<'s>) -> Plan<'s> {
        Plan {
            app: &self.app,
            tc_url: &self.tc_url,
            agent: &self.agent,
            swf_url: &self.swf_url,
            page_url: &self.page_url,
            arguments: &self.arguments,
            enhanced: Enhanced { codecs, caps_ex: CAPS_EX_RECONNECT, ..Enhanced::NONE },
            name: &self.name,
            swf: self.swf,
            role: match self.role {
                plan::Role::Publish => Role::Publish(PublishType::Live),
                plan::Role::Play => Role::Play(Play {
                    start: self.start,
                    buffer_ms: self.buffer_ms,
                    subscribe: self.subscribe.as_deref(),
                    ..Play::USUAL
                }),
            },
        }
    }

    /// Whether a publisher of `name` in `app` is the one that is meant; any, if no name is said.
    #[must_use]
    pub fn names(&self, app: &str, name: &str) -> bool {
        let bare = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        let (own_app, own_name) = (bare(&self.app), bare(&self.name));
        own_name.is_empty() || (own_app.trim_matches('/') == app && own_name == name)
    }

    /// The upstream's own words, to stand behind ours: escaped, and without our stream's name.
    #[must_use]
    pub fn words(&self, code: &str, description: &str) -> String {
        let words = if description.is_empty() { code } else { description };
        if words.is_empty() {
            return String::new();
        }
        let hidden = if self.name.len() < SECRET_BYTES_MIN {
            words.to_owned()
        } else {
            words.replace(&self.name, "…")
        };
        format!("; it says \"{}\"", hidden.escape_debug())
    }
}

fn peer(url: &Url<'_>) -> Peer {
    let host = match url.host {
        url::Host::Name(name) => Host::Name(name.to_owned()),
        url::Host::V4(address) => Host::Address(address.into()),
        url::Host::V6(address) => Host::Address(address.into()),
    };
    Peer { scheme: url.scheme, host, port: url.port() }
}

/// The way of one attempt: where it is, and where it has been.
#[derive(Debug)]
pub struct Route {
    target: Target,
    /// The application that it was sent to.
    moved: Option<String>,
    been: Vec<String>,
    responder: Responder,
    /// What the upstream here was told or asked for.
    answer: Query,
}

impl Route {
    /// At its beginning.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            moved: None,
            been: Vec::new(),
            responder: Responder::Fresh,
            answer: Query::new(),
        }
    }

    /// What is said here.
    ///
    /// # Errors
    /// Address or options cannot be used.
    pub fn said(&self) -> Result<Said, Reason> {
        let said = Said::new(&self.target, self.moved.as_deref())?;
        Ok(if self.answer.is_empty() { said } else { said.signed(&self.answer) })
    }

    /// Forgets where it has been: it was taken there, and served for long.
    pub fn settle(&mut self) {
        self.been.clear();
    }

    /// Goes on to where `said` sends us.
    ///
    /// # Errors
    /// Too often, in a circle, from TLS to plain TCP, or to what is no address.
    pub fn turn(&mut self, said: &Said, elsewhere: Elsewhere) -> Result<(), Reason> {
        if let Elsewhere::SignIn { words } = &elsewhere {
            return self.sign_in(said, words);
        }
        // Another server, or the same anew: it asks from the beginning.
        (self.responder, self.answer) = (Responder::Fresh, Query::new());
        if self.been.len() >= UPSTREAM_REDIRECTS_MAX {
            return Err(Reason::Redirects);
        }
        self.been.push(place(said));
        let here = Url::parse(&said.tc_url)?;
        let may_repeat = matches!(elsewhere, Elsewhere::Asked { .. });
        match elsewhere {
            Elsewhere::Asked { tc_url: None } | Elsewhere::SignIn { .. } => {}
            Elsewhere::Asked { tc_url: Some(target) }
            | Elsewhere::Redirect { target, stream_url: None } => {
                self.moved = Some(resolve(&here, &target)?.as_str().to_owned());
            }
            Elsewhere::Redirect { stream_url: Some(url), .. } => {
                self.target.url = url;
                self.target.options.retain(|(name, _)| {
                    !["rtmp_app", "rtmp_playpath", "rtmp_tcurl"].contains(&name.as_str())
                });
                self.moved = None;
            }
        }
        let next = self.said()?;
        if said.peer.scheme.is_tls() && !next.peer.scheme.is_tls() {
            return Err(Reason::Downgrade);
        }
        if !may_repeat && self.been.contains(&place(&next)) {
            return Err(Reason::Circle);
        }
        Ok(())
    }
}

impl Route {
    /// Answers an upstream that asks who we are; the next connection says it.
    fn sign_in(&mut self, said: &Said, words: &str) -> Result<(), Reason> {
        let account = Account { user: &said.user, password: &said.password };
        let app = said.app.split('?').next().unwrap_or_default();
        self.answer = self.responder.respond(words, app, account, &mut random::fill)?;
        Ok(())
    }
}

/// What is asked where, in one text.
fn place(said: &Said) -> String {
    format!("{:?} {} {}", said.peer, said.app, said.name)
}

/// Whether an error only says that there is nothing to do for now.
#[must_use]
pub fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rtmp::plan::Role as Way;

    fn target(url: &str, options: &[(&str, &str)]) -> Target {
        let options = options.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        Target { url: url.to_owned(), options, role: Way::Publish }
    }

    fn redirect(target: &str) -> Elsewhere {
        Elsewhere::Redirect { target: target.to_owned(), stream_url: None }
    }

    fn turn(route: &mut Route, elsewhere: Elsewhere) -> Result<(), Reason> {
        let said = route.said()?;
        route.turn(&said, elsewhere)
    }

    #[test]
    fn route_follows_three_redirects_and_no_fourth() {
        let mut route = Route::new(&target("rtmp://a/live/key?tok=1", &[]));
        for n in 0..UPSTREAM_REDIRECTS_MAX {
            turn(&mut route, redirect(&format!("rtmp://b{n}:1936/other"))).unwrap();
        }
        let said = route.said().unwrap();
        assert_eq!(said.peer.host, Host::Name("b2".into()));
        assert_eq!((said.peer.port, said.app.as_str()), (1936, "other"));
        assert_eq!(said.name, "key?tok=1");
        assert!(matches!(turn(&mut route, redirect("rtmp://c/live")), Err(Reason::Redirects)));
        route.settle();
        turn(&mut route, redirect("rtmp://c/live")).unwrap();
    }

    #[test]
    fn route_refuses_circles_and_plain_behind_tls() {
        let mut route = Route::new(&target("rtmp://a/live/key", &[]));
        turn(&mut route, redirect("rtmp://b/live")).unwrap();
        assert!(matches!(turn(&mut route, redirect("rtmp://a/live")), Err(Reason::Circle)));
        let mut route = Route::new(&target("rtmps://a/live/key", &[]));
        assert!(matches!(turn(&mut route, redirect("rtmp://a/live")), Err(Reason::Downgrade)));
    }

    #[test]
    fn route_takes_a_whole_stream_address_and_reconnect_requests() {
        let mut route = Route::new(&target("rtmp://a/live/key", &[("rtmp_playpath", "x")]));
        let whole = Elsewhere::Redirect {
            target: "rtmp://b/live".into(),
            stream_url: Some("rtmp://b/live/other?vhost=c".into()),
        };
        turn(&mut route, whole).unwrap();
        assert_eq!(route.said().unwrap().name, "other?vhost=c");
        turn(&mut route, Elsewhere::Asked { tc_url: None }).unwrap();
        turn(&mut route, Elsewhere::Asked { tc_url: Some("/new".into()) }).unwrap();
        let said = route.said().unwrap();
        assert_eq!((said.peer.host, said.app.as_str()), (Host::Name("b".into()), "new"));
    }

    const NEED: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const CHALLENGE: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth\
        &user=bob&salt=U2FsdA==&challenge=Q2hhbA==&opaque=T3Bh";

    fn asked(words: &str) -> Elsewhere {
        Elsewhere::SignIn { words: words.to_owned() }
    }

    #[test]
    fn route_signs_in_over_two_more_connections_and_begins_anew_elsewhere() {
        let mut route = Route::new(&target("rtmp://bob:s%40cret@a/live/key", &[]));
        assert_eq!(route.said().unwrap().app, "live");
        turn(&mut route, asked(NEED)).unwrap();
        let said = route.said().unwrap();
        assert_eq!(said.app, "live?authmod=adobe&user=bob");
        assert_eq!(said.tc_url, "rtmp://a/live?authmod=adobe&user=bob");
        turn(&mut route, asked(CHALLENGE)).unwrap();
        let said = route.said().unwrap();
        assert!(said.app.starts_with("live?authmod=adobe&user=bob&challenge="), "{}", said.app);
        assert!(said.tc_url.ends_with("&opaque=T3Bh"), "{}", said.tc_url);
        assert_eq!((said.shown.as_str(), said.password.as_str()), ("rtmp://a/live", "s@cret"));
        assert!(!format!("{said:?}").contains("cret"));
        turn(&mut route, redirect("rtmp://b/live")).unwrap();
        assert_eq!(route.said().unwrap().app, "live");
        let mut route = Route::new(&target("rtmp://bob:x@a/live?a=b/key", &[]));
        turn(&mut route, asked(NEED)).unwrap();
        assert_eq!(route.said().unwrap().app, "live?a=b&authmod=adobe&user=bob");
    }

    #[test]
    fn route_says_in_plain_words_why_it_cannot_sign_in() {
        let failed = "[ authmod=adobe ] : ?reason=authfailed";
        for (url, words, part) in [
            ("rtmp://a/live/key", NEED, "wants a user and password: put them into the address"),
            ("rtmp://bob:x@a/live/key", failed, "does not take the user and password"),
            ("rtmp://bob:x@a/live/key", "[ authmod=other ] : ", "neither adobe's nor limelight's"),
        ] {
            let reason = turn(&mut Route::new(&target(url, &[])), asked(words)).unwrap_err();
            assert!(reason.to_string().contains(part), "{reason}");
        }
    }

    #[test]
    fn said_hides_the_stream_key_in_words_and_logs() {
        let said = Said::new(&target("rtmp://u:pw@a/live/secret-key?t=1", &[]), None).unwrap();
        assert_eq!(said.shown, "rtmp://a/live");
        let words = said.words("", "stream secret-key?t=1 is\nbusy");
        assert_eq!(words, "; it says \"stream … is\\nbusy\"");
        assert_eq!(said.words("", ""), "");
        assert_eq!(said.words("Code", ""), "; it says \"Code\"");
        assert!(!format!("{said:?} {:?}", target("rtmp://a/live/secret", &[])).contains("secret"));
    }

    #[test]
    fn one_publisher_is_named_by_application_and_key() {
        let said = Said::new(&target("rtmp://0.0.0.0/live/key?tok=1", &[]), None).unwrap();
        assert!(said.names("live", "key"));
        assert!(!said.names("live", "other") && !said.names("other", "key"));
        assert!(Said::new(&target("rtmp://0.0.0.0/live", &[]), None).unwrap().names("a", "b"));
    }

    #[test]
    fn listening_is_for_one_who_fetches_alone() {
        let listens = target("rtmp://0.0.0.0/live/key", &[("timeout", "5")]);
        assert!(matches!(listens.check(), Err(Reason::Listens)));
        let listens = Target { role: Way::Play, ..listens };
        listens.check().unwrap();
        assert!(matches!(listens.check_service(), Err(Reason::Listens)));
    }

    #[test]
    fn target_is_checked_without_connecting() {
        target("rtmp://a/live/key", &[]).check().unwrap();
        assert!(matches!(target("http://a/", &[]).check(), Err(Reason::Url(_))));
        let unknown = target("rtmp://a/b/c", &[("rtmp_x", "")]);
        assert!(matches!(unknown.check(), Err(Reason::Option(_))));
        let long = "S:".to_owned() + &"x".repeat(UPSTREAM_ARGUMENTS_BYTES_MAX);
        let long = target("rtmp://a/b/c", &[("rtmp_conn", &long)]);
        assert!(matches!(long.check(), Err(Reason::Arguments(_))));
    }
}

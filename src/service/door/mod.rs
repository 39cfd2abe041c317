//! Who may publish and play: what the settings ask for, against what a peer brings.
//!
//! One door for all ports, so that wrong keys over one count on the others. A key stands behind
//! the name (`live/cam?key=KEY`), in place of the name (`live/KEY`) or below it (`live/cam/KEY`);
//! with `?user=` and `&pass=` a user needs no signing in. Where a stream of an application has a
//! key, a name there that no section has is taken for one: otherwise keys could be guessed as
//! names, without end. Says nothing to peers: the ports do.

mod sign_in;

pub use sign_in::{Connect, NotYet};

use crate::config::networks::Networks;
use crate::config::rights::{Rights, StreamRights};
use crate::config::secret::Secret;
use crate::limits::STREAM_PATH_BYTES_MAX;
use crate::proto::rtmp::auth::challenger::Challenger;
use crate::proto::rtmp::auth::credential::{Credential, key_matches};
use crate::proto::rtmp::auth::{Account, Pairs};
use crate::service::stream::Right;
use crate::status::{Counter, Status};
use crate::time::Instant;
use core::cell::RefCell;
use core::fmt::Write as _;
use core::net::IpAddr;
use std::rc::Rc;

/// The application of peers that name none (`rtmp://box/cam`).
const DEFAULT_APP: &str = "live";

/// Where a stream is: `live/cam`.
pub type StreamPath = heapless::String<STREAM_PATH_BYTES_MAX>;

/// What the settings say.
#[derive(Clone, Debug)]
pub struct Access {
    /// From where publishers may come.
    pub publish_from: Networks,
    /// From where RTMP players may come.
    pub play_from: Networks,
    /// Sections of streams and users.
    pub rights: Rights,
}

impl Access {
    /// Private networks, and no keys.
    #[must_use]
    pub fn private() -> Self {
        Self {
            publish_from: Networks::private(),
            play_from: Networks::private(),
            rights: Rights::default(),
        }
    }
}

/// What a peer wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To publish.
    Publish,
    /// To play.
    Play,
}

/// What a peer asks for, and what it brings.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// To do what.
    pub purpose: Purpose,
    /// From where.
    pub peer: IpAddr,
    /// Application; may be empty.
    pub app: &'a str,
    /// Name of the stream.
    pub name: &'a str,
    /// What followed the name's `?`.
    pub query: &'a str,
    /// What followed the application's `?`.
    pub app_query: &'a str,
    /// Who has signed in: a number that the door gave.
    pub user: Option<usize>,
}

/// What a peer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// With this stream.
    pub path: StreamPath,
    /// By this right.
    pub right: Right,
}

/// Why a peer may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Misbehaved: from somewhere else.
    #[error("{whom} may not come from this address: widen {setting}")]
    Address {
        /// Publishers or players.
        whom: &'static str,
        /// The setting that says so.
        setting: &'static str,
    },
    /// Misbehaved: it brings no key.
    #[error("stream asks for a key: write it behind the name, like cam?key=KEY")]
    NoKey,
    /// Misbehaved: it brings no user.
    #[error("stream asks for a user and password: fill in both at the encoder")]
    NoUser,
    /// Misbehaved: another user.
    #[error("user may not publish this stream: name the user in its publish_users")]
    OtherUser,
    /// Misbehaved: what it brings is wrong.
    #[error("key, or user and password, is wrong: compare with the settings")]
    Wrong,
    /// Misbehaved: neither the name of a stream here nor its key.
    #[error("name is neither that of a stream with settings nor its key: check both")]
    Unknown,
    /// Exhausted: too many wrong ones from one address.
    #[error("too many wrong keys or passwords from this address: wait some minutes")]
    Barred,
    /// Exhausted: the path.
    #[error("application and name are over {STREAM_PATH_BYTES_MAX} bytes long")]
    TooLong,
}

/// The settings, and what peers have tried.
#[derive(Debug)]
pub struct Door {
    access: Access,
    challenger: RefCell<Challenger>,
    status: Rc<Status>,
}

/// The stream that a peer means.
struct Meant<'a> {
    path: StreamPath,
    rights: Option<&'a StreamRights>,
    /// Its key stood in its name's place.
    proven: bool,
}

impl Door {
    /// A door at which nobody has knocked.
    #[must_use]
    pub const fn new(access: Access, status: Rc<Status>) -> Self {
        Self { access, challenger: RefCell::new(Challenger::new()), status }
    }

    /// Judges who wants to publish or play over RTMP.
    ///
    /// # Errors
    /// Why it may not; counted.
    pub fn enter(&self, ask: &Ask<'_>, now: Instant) -> Result<Grant, Denial> {
        let judged = self.meant(ask, now).and_then(|meant| self.judge(ask, meant, now));
        judged.inspect_err(|denial| self.count(*denial))
    }

    /// Whether an application is one of those that the settings name, or the usual one: then it is
    /// no key that stands in an application's place.
    #[must_use]
    pub fn knows(&self, app: &str) -> bool {
        let streams = &self.access.rights.streams;
        app == DEFAULT_APP || streams.iter().any(|stream| stream.app() == app)
    }

    /// Judges who wants to watch the stream at `path` over HTTP, with what followed the address's
    /// `?`; gives the key that it has shown, if one is asked for. From where it comes counts only
    /// against who is wrong too often.
    ///
    /// # Errors
    /// Why it may not; counted.
    pub fn watch(
        &self,
        path: &str,
        query: &str,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Option<&Secret>, Denial> {
        let Some(key) = self.section(path).and_then(|rights| rights.play_key.as_ref()) else {
            return Ok(None);
        };
        let given = Pairs(query).get("key").ok_or(Denial::NoKey);
        let judged = given.and_then(|given| self.compare(peer, now, || matches(key, given)));
        judged.map(|()| Some(key)).inspect_err(|denial| self.count(*denial))
    }

    /// The key that viewers of a stream are asked for, if they are.
    pub fn play_key(&self, path: &str) -> Option<&Secret> {
        self.section(path)?.play_key.as_ref()
    }

    /// The section that counts for a stream.
    fn section(&self, path: &str) -> Option<&StreamRights> {
        let streams = &self.access.rights.streams;
        let (app, _) = path.rsplit_once('/')?;
        let exact = streams.iter().find(|stream| stream.path == path && !stream.is_pattern());
        exact.or_else(|| streams.iter().find(|stream| stream.is_pattern() && stream.app() == app))
    }

    /// Finds the stream that a peer means, by its name or by its key.
    fn meant(&self, ask: &Ask<'_>, now: Instant) -> Result<Meant<'_>, Denial> {
        let app = if ask.app.is_empty() { DEFAULT_APP } else { ask.app };
        let path = joined(app, ask.name).ok_or(Denial::TooLong)?;
        let rights = self.section(&path);
        if rights.is_some() {
            return Ok(Meant { path, rights, proven: false });
        }
        let streams = self.access.rights.streams.iter();
        let siblings = streams.filter(|stream| !stream.is_pattern() && stream.app() == app);
        let siblings = siblings.map(|stream| (stream.path.as_str(), stream));
        let parent = self.section(app).map(|stream| (app, stream));
        // Whether it may try: none of them has a key, or where it comes from is let in by one.
        let mut may_try = None;
        let mut found = None;
        // All are compared, whichever it is.
        for (path, stream) in siblings.chain(parent) {
            let Some(key) = key_of(stream, ask.purpose) else { continue };
            let here = self.check_address(ask, Some(stream));
            if here.is_ok() && matches(key, ask.name) {
                found = Some((path, stream));
            }
            may_try = Some(may_try.unwrap_or(here).or(here));
        }
        let Some(may_try) = may_try else { return Ok(Meant { path, rights, proven: false }) };
        may_try?;
        let wrong = self.compare(ask.peer, now, || found.is_some());
        wrong.map_err(|denial| if denial == Denial::Wrong { Denial::Unknown } else { denial })?;
        let (path, stream) = found.ok_or(Denial::Unknown)?;
        let path = StreamPath::try_from(path).map_err(|_| Denial::TooLong)?;
        Ok(Meant { path, rights: Some(stream), proven: true })
    }

    fn judge(&self, ask: &Ask<'_>, meant: Meant<'_>, now: Instant) -> Result<Grant, Denial> {
        let Meant { path, rights, proven } = meant;
        self.check_address(ask, rights)?;
        let open = Right::Address(ask.peer.to_canonical());
        let Some(rights) = rights else { return Ok(Grant { path, right: open }) };
        let key = key_of(rights, ask.purpose);
        let may_sign_in = ask.purpose == Purpose::Publish && !rights.publish_users.is_empty();
        if key.is_none() && !may_sign_in {
            return Ok(Grant { path, right: open });
        }
        if proven {
            return Ok(Grant { path, right: Right::Key });
        }
        if let Some(user) = ask.user.filter(|_| may_sign_in) {
            let may = self.names(rights, user);
            return if may {
                Ok(Grant { path, right: Right::User(user) })
            } else {
                Err(Denial::OtherUser)
            };
        }
        let brought = Credential::find(ask.name, ask.query, ask.app_query);
        let right = match brought {
            Credential::Path(_) if key.is_some() => return Err(Denial::NoKey),
            Credential::Path(_) => return Err(Denial::NoUser),
            Credential::Key(_) => {
                self.compare(ask.peer, now, || {
                    key.is_some_and(|key| brought.is_key(key.expose()))
                })?;
                Right::Key
            }
            Credential::Account(_) => {
                let mut found = None;
                self.compare(ask.peer, now, || {
                    found = may_sign_in.then(|| self.user(rights, &brought)).flatten();
                    found.is_some()
                })?;
                Right::User(found.ok_or(Denial::Wrong)?)
            }
        };
        Ok(Grant { path, right })
    }

    fn check_address(&self, ask: &Ask<'_>, rights: Option<&StreamRights>) -> Result<(), Denial> {
        let (own, common, whom, setting) = match ask.purpose {
            Purpose::Publish => (
                rights.and_then(|rights| rights.publish_from.as_ref()),
                &self.access.publish_from,
                "publishers",
                ["rtmp.publish_from", "the stream's publish_from"],
            ),
            Purpose::Play => (
                rights.and_then(|rights| rights.play_from.as_ref()),
                &self.access.play_from,
                "players",
                ["rtmp.play_from", "the stream's play_from"],
            ),
        };
        let [common_setting, own_setting] = setting;
        let setting = if own.is_some() { own_setting } else { common_setting };
        if own.unwrap_or(common).contains(ask.peer) {
            Ok(())
        } else {
            Err(Denial::Address { whom, setting })
        }
    }

    /// Whether a stream names a user.
    fn names(&self, rights: &StreamRights, user: usize) -> bool {
        let user = self.access.rights.users.get(user);
        user.is_some_and(|user| rights.publish_users.contains(&user.name))
    }

    /// The user that was brought, if it is one that the stream names. All are compared.
    fn user(&self, rights: &StreamRights, brought: &Credential<'_>) -> Option<usize> {
        let mut found = None;
        for (number, user) in self.access.rights.users.iter().enumerate() {
            let password = user.password.as_ref().map_or("", Secret::expose);
            let is_it = brought.is_account(Account { user: &user.name, password });
            if is_it & self.names(rights, number) {
                found = Some(number);
            }
        }
        found
    }

    /// Compares a secret, unless the address was wrong too often; counts against it if it is wrong.
    fn compare(
        &self,
        peer: IpAddr,
        now: Instant,
        is_right: impl FnOnce() -> bool,
    ) -> Result<(), Denial> {
        let mut challenger = self.challenger.borrow_mut();
        let attempts = challenger.attempts();
        if !attempts.allow(peer, now) {
            return Err(Denial::Barred);
        }
        if is_right() {
            return Ok(());
        }
        attempts.wrong(peer, now);
        Err(Denial::Wrong)
    }

    fn count(&self, denial: Denial) {
        self.status.add(
            match denial {
                Denial::Address { .. } => Counter::RtmpAddressRefused,
                Denial::Barred => Counter::AttemptsBarred,
                Denial::NoKey
                | Denial::NoUser
                | Denial::OtherUser
                | Denial::Wrong
                | Denial::Unknown
                | Denial::TooLong => Counter::KeysRefused,
            },
            1,
        );
    }
}

fn matches(key: &Secret, given: &str) -> bool {
    key_matches(key.expose(), given)
}

const fn key_of(rights: &StreamRights, purpose: Purpose) -> Option<&Secret> {
    match purpose {
        Purpose::Publish => rights.publish_key.as_ref(),
        Purpose::Play => rights.play_key.as_ref(),
    }
}

/// The path of a stream; none if it is too long.
fn joined(app: &str, name: &str) -> Option<StreamPath> {
    let mut path = StreamPath::new();
    write!(path, "{app}/{name}").is_ok().then_some(path)
}

#[cfg(test)]
pub(crate) mod tests;

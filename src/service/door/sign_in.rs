//! Signing in: which connections are asked who they are, before they say what they want.
//!
//! Only the application is known then. Where one of its streams names users, every publisher is
//! asked, unless it brings a key or a password with the application. Who names a scheme of his own
//! accord is asked by that one, wherever he goes.
//!
//! Quirks: ffmpeg puts its answer behind a `?` even if there is one already.

use super::{DEFAULT_APP, Door};
use crate::config::rights::SignIn;
use crate::config::secret::Secret;
use crate::proto::rtmp::auth::challenger::{Knock, Rejection, Verdict};
use crate::proto::rtmp::auth::{Account, Description, Pairs, Scheme};
use crate::sys::random;
use crate::time::Instant;
use core::net::IpAddr;

/// What a connection brings with its connect.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// From where.
    pub peer: IpAddr,
    /// Application; may be empty.
    pub app: &'a str,
    /// The same as it was said.
    pub said: &'a [u8],
    /// What was said behind the `?`.
    pub query: &'a str,
    /// Whether it will publish.
    pub publishes: bool,
}

/// Why a connection is not let in, and what it is told; encoders act upon it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// What it is told.
    pub description: Description,
    /// For the log.
    pub why: Rejection,
}

impl Door {
    /// Judges a connect; gives the number of the user who has signed in.
    ///
    /// # Errors
    /// What the peer is told instead.
    pub fn connect(
        &self,
        connect: &Connect<'_>,
        now: Instant,
    ) -> Result<Option<usize>, Box<NotYet>> {
        let query = answer(connect.query);
        let Some(scheme) = self.asks(connect, Pairs(query)) else { return Ok(None) };
        let users = &self.access.rights.users;
        let name = Pairs(query).get("user").unwrap_or_default();
        let number = users.iter().position(|user| user.name == name);
        let user = number.and_then(|number| users.get(number));
        let password = user.and_then(|user| user.password.as_ref()).map_or("", Secret::expose);
        let account = Account { user: user.map_or("", |user| &user.name), password };
        // Limelight's digest covers it; what is no text matches nothing.
        let app = core::str::from_utf8(connect.said).unwrap_or_default();
        let knock = Knock { peer: connect.peer, scheme, app, query, now };
        let mut challenger = self.challenger.borrow_mut();
        match challenger.judge(&knock, account, &mut random::fill, &self.status) {
            Verdict::Granted => Ok(number),
            Verdict::Rejected { description, why } => Err(Box::new(NotYet { description, why })),
        }
    }

    /// By which scheme a connection is asked, if it is.
    fn asks(&self, connect: &Connect<'_>, query: Pairs<'_>) -> Option<Scheme> {
        let app = if connect.app.is_empty() { DEFAULT_APP } else { connect.app };
        let streams = self.access.rights.streams.iter();
        let mut signed = streams.filter(|stream| !stream.publish_users.is_empty());
        let asking = signed.find(|stream| stream.app() == app || stream.path == app);
        let scheme = asking.map_or(SignIn::Adobe, |stream| stream.sign_in);
        let scheme = match scheme {
            SignIn::Adobe => Scheme::Adobe,
            SignIn::Llnw => Scheme::Llnw,
        };
        let has_password = query.get("user").is_some() && query.get("pass").is_some();
        let brings = query.get("key").is_some() || has_password;
        let offers = query.get("authmod").is_some() && !self.access.rights.users.is_empty();
        (offers || (asking.is_some() && connect.publishes && !brings)).then_some(scheme)
    }
}

/// The part of a query that answers us.
fn answer(query: &str) -> &str {
    match query.rfind("?authmod=") {
        Some(at) => query.get(at + 1..).unwrap_or_default(),
        None => query,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::door;
    use super::*;
    use crate::limits::AUTH_ATTEMPTS_MAX;
    use crate::proto::rtmp::auth::responder::Responder;
    use crate::service::door::{Ask, Denial, Purpose};
    use crate::status::{Counter, Status};
    use core::net::Ipv4Addr;
    use std::rc::Rc;

    const NOW: Instant = Instant(1 << 40);
    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 7));
    const SETTINGS: &[(&str, &str)] = &[
        ("stream.tv/news.publish_users", "bob"),
        ("stream.old/*.publish_users", "bob"),
        ("stream.old/*.sign_in", "llnw"),
        ("user.bob.password", "secret"),
        ("user.eve.password", "other"),
    ];

    fn connect<'a>(app: &'a str, query: &'a str) -> Connect<'a> {
        Connect { peer: HOME, app, said: app.as_bytes(), query, publishes: true }
    }

    /// What becomes of an encoder with this user and password, and after how many connections.
    fn dance(
        door: &Door,
        app: &str,
        prefix: &str,
        account: Account<'_>,
    ) -> (Result<usize, Rejection>, u32) {
        let mut responder = Responder::Fresh;
        let mut query = prefix.to_owned();
        for connections in 1.. {
            match door.connect(&connect(app, &query), NOW) {
                Ok(user) => return (Ok(user.unwrap_or(usize::MAX)), connections),
                Err(not_yet) => {
                    let fill = &mut random::fill;
                    let words = &not_yet.description;
                    match responder.respond(words, app, account, fill) {
                        Ok(answer) => {
                            let joint = if prefix.is_empty() { "" } else { "?" };
                            query = format!("{prefix}{joint}{answer}");
                        }
                        Err(_) => return (Err(not_yet.why), connections),
                    }
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn encoder_with_user_and_password_is_in_at_its_third_connection() {
        let door = door(SETTINGS, &Rc::new(Status::new()));
        let bob = Account { user: "bob", password: "secret" };
        let eve = Account { user: "eve", password: "other" };
        for app in ["tv", "old", "tv/news"] {
            assert_eq!(dance(&door, app, "", bob), (Ok(0), 3), "{app}");
            assert_eq!(dance(&door, app, "a=b", eve), (Ok(1), 3), "{app}");
            let wrong = Account { user: "bob", password: "other" };
            assert_eq!(dance(&door, app, "", wrong), (Err(Rejection::Wrong), 3), "{app}");
            let nobody = Account { user: "nobody", password: "" };
            assert!(dance(&door, app, "", nobody).0.is_err());
        }
    }

    #[test]
    fn only_publishers_to_applications_with_users_are_asked() {
        let door = door(SETTINGS, &Rc::new(Status::new()));
        let is_asked = |connect| door.connect(&connect, NOW).is_err();
        assert!(is_asked(connect("tv", "")));
        assert!(!is_asked(connect("live", "")));
        assert!(!is_asked(connect("tv", "key=x")));
        assert!(!is_asked(connect("tv", "user=bob&pass=secret")), "looked at when it publishes");
        assert!(!is_asked(Connect { publishes: false, ..connect("tv", "") }));
        assert!(is_asked(connect("live", "authmod=llnw&user=bob")), "of its own accord");
        let asked = door.connect(&connect("tv", "authmod=llnw&user=bob"), NOW).unwrap_err();
        assert!(asked.description.contains("authmod=llnw ] : ?reason=needauth"));
    }

    #[test]
    fn wrong_passwords_count_with_wrong_keys() {
        let status = Rc::new(Status::new());
        let door = door(SETTINGS, &status);
        let wrong = Account { user: "bob", password: "x" };
        for n in 0..AUTH_ATTEMPTS_MAX {
            if n % 2 == 0 {
                dance(&door, "tv", "", wrong).0.unwrap_err();
            } else {
                let ask = Ask {
                    purpose: Purpose::Publish,
                    peer: HOME,
                    app: "tv",
                    name: "news",
                    query: "user=bob&pass=x",
                    app_query: "",
                    user: None,
                };
                assert_eq!(door.enter(&ask, NOW), Err(Denial::Wrong));
            }
        }
        assert_eq!(dance(&door, "tv", "", wrong), (Err(Rejection::Barred), 1));
        let half = u64::from(AUTH_ATTEMPTS_MAX / 2);
        assert_eq!(status.get(Counter::KeysRefused), half);
        assert_eq!(status.get(Counter::RtmpAuthRefused), half + 1);
    }
}

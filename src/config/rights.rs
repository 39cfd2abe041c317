//! Sections that say who may publish and play: `[stream."APP/NAME"]` and `[user.NAME]`.
//!
//! `TABLE` belongs to the table of `settings` and is shown with it. `APP/*` stands for every
//! stream of an application that has no section of its own. What a peer says is compared
//! elsewhere. Keys and passwords are never shown.

use crate::config::networks::Networks;
use crate::config::secret::Secret;
use crate::limits::{
    AUTH_USER_BYTES_MAX, NAME_BYTES_MAX, SECRET_BYTES_MAX, STREAM_RIGHTS_MAX, STREAM_USERS_MAX,
    USERS_MAX,
};

/// Which way encoders are asked for user and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Adobe's, which every encoder with boxes for them has.
    Adobe,
    /// Limelight's.
    Llnw,
}

/// What is asked of those who publish and play one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRights {
    /// `live/cam`, or `live/*`.
    pub path: String,
    /// What publishers must bring.
    pub publish_key: Option<Secret>,
    /// What players must bring.
    pub play_key: Option<Secret>,
    /// Instead of `rtmp.publish_from`.
    pub publish_from: Option<Networks>,
    /// Instead of `rtmp.play_from`.
    pub play_from: Option<Networks>,
    /// Names of users that may publish.
    pub publish_users: Vec<String>,
    /// How they are asked.
    pub sign_in: SignIn,
}

impl StreamRights {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(app, _)| app)
    }

    /// Whether it stands for all other streams of its application.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.path.ends_with("/*")
    }
}

/// Somebody who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; none is set yet.
    pub password: Option<Secret>,
}

/// All sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// In the order in which they were written.
    pub streams: Vec<StreamRights>,
    /// In the order in which they were written.
    pub users: Vec<User>,
}

/// A row: key, allowed, default, what it is.
pub const TABLE: &[[&str; 4]] = &[
    [
        "stream.\"APP/NAME\".publish_key",
        "letters, digits, -._~=",
        "none",
        "Key of publishers: `APP/NAME?key=KEY`, or KEY as NAME. `APP/*` is all others of APP.",
    ],
    [
        "stream.\"APP/NAME\".play_key",
        "letters, digits, -._~=",
        "none",
        "Key of players, over RTMP in the same ways, over HTTP as `index.m3u8?key=KEY`.",
    ],
    [
        "stream.\"APP/NAME\".publish_users",
        "users",
        "none",
        "Users that may publish; then every encoder that publishes to APP must sign in.",
    ],
    [
        "stream.\"APP/NAME\".sign_in",
        "adobe, llnw",
        "adobe",
        "How encoders are asked for user and password, unless they name the other way.",
    ],
    [
        "stream.\"APP/NAME\".publish_from",
        "as `rtmp.publish_from`",
        "none",
        "From where its publishers may come, instead of `rtmp.publish_from`.",
    ],
    [
        "stream.\"APP/NAME\".play_from",
        "as `rtmp.play_from`",
        "none",
        "From where its RTMP players may come, instead of `rtmp.play_from`.",
    ],
    ["user.NAME.password", "text", "none", "Password of a user that `publish_users` names."],
];

/// What is wrong with a section. Names the key and never its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RightsError {
    /// Malformed: no stream.
    #[error(
        "{0:?} is no setting of a stream: write it like stream.\"live/cam\".publish_key, or \
         stream.\"live/*\".publish_key for all streams of an application"
    )]
    Stream(String),
    /// Malformed: no user.
    #[error(
        "{0:?} is no setting of a user: write it like user.NAME.password, with 1 to \
         {AUTH_USER_BYTES_MAX} letters, digits, - . _ @ in the name"
    )]
    User(String),
    /// Malformed or out of bounds: a value.
    #[error("{key} takes {allowed}")]
    Value {
        /// Which setting.
        key: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// Malformed or exhausted: a key or password.
    #[error("{key} takes 1 to {SECRET_BYTES_MAX} {of}")]
    Secret {
        /// Which setting.
        key: String,
        /// Which characters.
        of: &'static str,
    },
    /// Exhausted: sections.
    #[error("there are more than {max} sections of {group}: remove one")]
    TooMany {
        /// Of which kind.
        group: &'static str,
        /// The limit.
        max: usize,
    },
    /// Misbehaved: a user without a section.
    #[error("{key} names {user:?}, who has no password: add user.{user}.password")]
    Nobody {
        /// Which setting.
        key: String,
        /// Whom it names.
        user: String,
    },
}

/// Whether a key belongs to one of these sections.
#[must_use]
pub fn is_right(key: &str) -> bool {
    matches!(key.split('.').next(), Some("stream" | "user"))
}

impl Rights {
    /// Sets one setting of one section, which begins with its first.
    ///
    /// # Errors
    /// What is wrong.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), RightsError> {
        // A name may hold dots; what stands behind the last one is the setting.
        let (section, leaf) = key.rsplit_once('.').unwrap_or((key, ""));
        let (group, name) = section.split_once('.').unwrap_or((section, ""));
        if group == "user" {
            return self.set_user(key, name, leaf, text);
        }
        let name = name.trim_matches('"');
        if !is_path(name) {
            return Err(RightsError::Stream(shown(key)));
        }
        let stream = self.stream(name)?;
        let value = |allowed| RightsError::Value { key: shown(key), allowed };
        let secret = || RightsError::Secret { key: shown(key), of: "letters, digits and -._~=" };
        let networks = || {
            let allowed = "any, private, or networks like 203.0.113.0/24";
            Networks::parse(text).ok_or_else(|| value(allowed))
        };
        match leaf {
            "publish_key" => {
                stream.publish_key = Some(Secret::key(text.trim()).ok_or_else(secret)?);
            }
            "play_key" => stream.play_key = Some(Secret::key(text.trim()).ok_or_else(secret)?),
            "publish_from" => stream.publish_from = Some(networks()?),
            "play_from" => stream.play_from = Some(networks()?),
            "publish_users" => {
                let users = users(text).ok_or_else(|| value("names of users, with commas"))?;
                stream.publish_users = users;
            }
            "sign_in" => {
                stream.sign_in = match text.trim() {
                    "adobe" => SignIn::Adobe,
                    "llnw" => SignIn::Llnw,
                    _ => return Err(value("adobe or llnw")),
                }
            }
            _ => return Err(RightsError::Stream(shown(key))),
        }
        Ok(())
    }

    /// Looks at the sections as a whole.
    ///
    /// # Errors
    /// A user that a stream names has no password.
    pub fn check(&self) -> Result<(), RightsError> {
        for StreamRights { path, publish_users, .. } in &self.streams {
            for name in publish_users {
                if !self.users.iter().any(|user| user.name == *name) {
                    let key = format!("stream.\"{path}\".publish_users");
                    return Err(RightsError::Nobody { key, user: name.clone() });
                }
            }
        }
        Ok(())
    }

    fn set_user(
        &mut self,
        key: &str,
        name: &str,
        leaf: &str,
        text: &str,
    ) -> Result<(), RightsError> {
        if !is_user(name) || leaf != "password" {
            return Err(RightsError::User(shown(key)));
        }
        let secret = || RightsError::Secret {
            key: shown(key),
            of: "characters, none of them a control character",
        };
        let password = Some(Secret::new(text).ok_or_else(secret)?);
        if let Some(user) = self.users.iter_mut().find(|user| user.name == name) {
            user.password = password;
            return Ok(());
        }
        if self.users.len() >= USERS_MAX {
            return Err(RightsError::TooMany { group: "user", max: USERS_MAX });
        }
        self.users.push(User { name: name.to_owned(), password });
        Ok(())
    }

    /// The section of `path`, begun if there is none.
    fn stream(&mut self, path: &str) -> Result<&mut StreamRights, RightsError> {
        let at = match self.streams.iter().position(|stream| stream.path == path) {
            Some(at) => at,
            None if self.streams.len() >= STREAM_RIGHTS_MAX => {
                return Err(RightsError::TooMany { group: "stream", max: STREAM_RIGHTS_MAX });
            }
            None => {
                self.streams.push(StreamRights {
                    path: path.to_owned(),
                    publish_key: None,
                    play_key: None,
                    publish_from: None,
                    play_from: None,
                    publish_users: Vec::new(),
                    sign_in: SignIn::Adobe,
                });
                self.streams.len() - 1
            }
        };
        let missing = || RightsError::Stream(shown(path));
        self.streams.get_mut(at).ok_or_else(missing)
    }
}

/// Application and name, or application and a star.
fn is_path(text: &str) -> bool {
    let Some((app, name)) = text.rsplit_once('/') else { return false };
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    app.len() <= NAME_BYTES_MAX
        && name.len() <= NAME_BYTES_MAX
        && app.split('/').all(is_part)
        && (name == "*" || is_part(name))
}

fn is_user(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._@".contains(c);
    !name.is_empty() && name.len() <= AUTH_USER_BYTES_MAX && name.chars().all(is_plain)
}

/// Names with commas or blanks between them; none if one is no name, or there are too many.
fn users(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> =
        text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let fits = (1..=STREAM_USERS_MAX).contains(&names.len());
    (fits && names.iter().all(|name| is_user(name))).then_some(names)
}

/// As much of a key as is shown.
fn shown(key: &str) -> String {
    key.chars().take(2 * NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pairs: &[(&str, &str)]) -> Result<Rights, String> {
        let mut rights = Rights::default();
        for (key, text) in pairs {
            rights.set(key, text).map_err(|error| error.to_string())?;
        }
        rights.check().map_err(|error| error.to_string())?;
        Ok(rights)
    }

    #[test]
    fn sections_gather_by_stream_and_user() {
        let rights = all(&[
            ("stream.live/cam.1.publish_key", " k-1 "),
            ("stream.\"live/cam.1\".play_key", "p"),
            ("stream.live/*.publish_users", "bob, eve@home.example"),
            ("stream.live/*.sign_in", "llnw"),
            ("stream.live/*.publish_from", "any"),
            ("user.bob.password", " pass word "),
            ("user.eve@home.example.password", "x"),
        ]);
        let rights = rights.unwrap();
        let [cam, others] = &rights.streams[..] else { panic!() };
        assert_eq!((cam.path.as_str(), cam.app(), cam.is_pattern()), ("live/cam.1", "live", false));
        assert_eq!(cam.publish_key.as_ref().unwrap().expose(), "k-1");
        assert_eq!(cam.play_key.as_ref().unwrap().expose(), "p");
        assert_eq!((others.app(), others.is_pattern()), ("live", true));
        assert_eq!(others.publish_users, ["bob", "eve@home.example"]);
        assert_eq!((others.sign_in, cam.sign_in), (SignIn::Llnw, SignIn::Adobe));
        assert!(others.publish_from.is_some() && others.play_from.is_none());
        assert_eq!(rights.users[0].password.as_ref().unwrap().expose(), " pass word ");
        let shown = format!("{rights:?}");
        assert!(!shown.contains("k-1") && !shown.contains("pass word"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_text() {
        for (pairs, part) in [
            (&[("stream.publish_key", "secret")][..], "no setting of a stream"),
            (&[("stream.cam.publish_key", "secret")], "no setting of a stream"),
            (&[("stream.live/cam.key", "secret")], "no setting of a stream"),
            (&[("stream.*.publish_key", "secret")], "no setting of a stream"),
            (&[("stream.live/*/x.publish_key", "secret")], "no setting of a stream"),
            (&[("stream.live/../x.publish_key", "secret")], "no setting of a stream"),
            (&[("stream.live/cam.publish_key", "secret key")], "publish_key takes 1 to"),
            (&[("stream.live/cam.play_key", "")], "play_key takes 1 to"),
            (&[("stream.live/cam.play_from", "secret")], "play_from takes any, private"),
            (&[("stream.live/cam.sign_in", "secret")], "sign_in takes adobe or llnw"),
            (&[("stream.live/cam.publish_users", "secret!")], "takes names of users"),
            (&[("stream.live/cam.publish_users", " , ")], "takes names of users"),
            (&[("stream.live/cam.publish_users", "bob")], "add user.bob.password"),
            (&[("user.bob", "secret")], "no setting of a user"),
            (&[("user.b b.password", "secret")], "no setting of a user"),
            (&[("user.bob.key", "secret")], "no setting of a user"),
            (&[("user.bob.password", "")], "password takes 1 to"),
            (&[("user.bob.password", "secret\n")], "password takes 1 to"),
        ] {
            let error = all(pairs).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn sections_and_names_are_bounded() {
        let mut rights = Rights::default();
        for n in 0..STREAM_RIGHTS_MAX {
            rights.set(&format!("stream.live/n{n}.play_key"), "x").unwrap();
        }
        assert_eq!(
            rights.set("stream.live/more.play_key", "x"),
            Err(RightsError::TooMany { group: "stream", max: STREAM_RIGHTS_MAX })
        );
        for n in 0..USERS_MAX {
            rights.set(&format!("user.n{n}.password"), "x").unwrap();
        }
        assert_eq!(
            rights.set("user.more.password", "x"),
            Err(RightsError::TooMany { group: "user", max: USERS_MAX })
        );
        let many = |n| vec!["bob"; n].join(",");
        let users = |n| Rights::default().set("stream.live/x.publish_users", &many(n));
        assert!(users(STREAM_USERS_MAX).is_ok() && users(STREAM_USERS_MAX + 1).is_err());
        let name = "n".repeat(AUTH_USER_BYTES_MAX);
        let user = |name| Rights::default().set(&format!("user.{name}.password"), "x");
        assert!(user(name.clone()).is_ok() && user(name + "n").is_err());
        let name = "n".repeat(NAME_BYTES_MAX);
        let stream = |name| Rights::default().set(&format!("stream.live/{name}.play_key"), "x");
        assert!(stream(name.clone()).is_ok() && stream(name + "n").is_err());
    }
}

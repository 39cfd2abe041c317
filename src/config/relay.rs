//! Sections that may stand several times: `[push.NAME]` and `[pull.NAME]`.
//!
//! `TABLE` belongs to the table of `settings` and is shown with it. What is not in it is an option
//! of the RTMP client under its own name without `rtmp_`, passed on as text: which there are, and
//! what they take, is checked by whoever has them. Texts may be secrets and are never shown.

use core::fmt;

use crate::limits::{
    RELAY_NAME_BYTES_MAX, RELAY_OPTIONS_MAX, RELAY_TEXT_BYTES_MAX, RELAYS_MAX, WATCHED_IDLE_S_MAX,
};

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the upstream.
    Push,
    /// From it.
    Pull,
}

impl Way {
    /// As the section is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }

    fn of(group: &str) -> Option<Self> {
        [Self::Push, Self::Pull].into_iter().find(|way| way.name() == group)
    }
}

/// When a stream is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As long as the program runs.
    Always,
    /// While somebody watches.
    Watched,
}

/// One section.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// Which way.
    pub way: Way,
    /// What a person calls it.
    pub name: String,
    /// Path of the stream here: `live/cam`.
    pub stream: String,
    /// RTMP URL of the stream there. May be a secret.
    pub url: String,
    /// When it is fetched.
    pub when: When,
    /// Seconds after the last viewer.
    pub idle_s: u32,
    /// Options of the RTMP client by their full names.
    pub options: Vec<(String, String)>,
}

impl fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayConfig({}.{})", self.way.name(), self.name)
    }
}

/// A row: key, allowed, default, what it is.
pub const TABLE: &[[&str; 4]] = &[
    ["push.NAME.stream", "APP/NAME", "none", "Stream that is sent on while it is on the air."],
    ["push.NAME.url", "RTMP URL", "none", "Where to, with the stream key."],
    ["push.NAME.OPTION", "text", "none", "Option of `rillcast push`, without `rtmp_`."],
    ["pull.NAME.stream", "APP/NAME", "none", "Stream here that is fetched."],
    ["pull.NAME.url", "RTMP URL", "none", "Where from."],
    ["pull.NAME.when", "always or watched", "always", "Whether it is fetched with no viewer."],
    ["pull.NAME.idle_s", "1 to 3600 s", "30", "For how long after the last viewer."],
    ["pull.NAME.OPTION", "text", "none", "Option of `rillcast pull`, without `rtmp_`."],
];

/// What is wrong with a section. Names the key and never its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Malformed: not three names.
    #[error("{0:?} is no setting: write it like push.NAME.url or pull.NAME.url")]
    Key(String),
    /// Malformed: not a name.
    #[error(
        "{0:?} is no name for a section: allowed are 1 to {RELAY_NAME_BYTES_MAX} letters, digits, \
         - and _"
    )]
    Name(String),
    /// Malformed or out of bounds: a value.
    #[error("{key} takes {allowed}")]
    Value {
        /// Which setting.
        key: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// Exhausted: a text.
    #[error("{key} is longer than {RELAY_TEXT_BYTES_MAX} bytes")]
    TooLong {
        /// Which setting.
        key: String,
    },
    /// Exhausted: sections, of one way.
    #[error("there are more than {RELAYS_MAX} sections of {0}: remove one")]
    TooMany(&'static str),
    /// Exhausted: options of one section.
    #[error("{0} has more than {RELAY_OPTIONS_MAX} options: remove one")]
    Options(String),
    /// Misbehaved: something that must be said.
    #[error("{key} is missing: write it like {example:?}")]
    Missing {
        /// What.
        key: String,
        /// What it could be.
        example: &'static str,
    },
}

/// Whether a key belongs to a section that may stand several times.
#[must_use]
pub fn is_relay(key: &str) -> bool {
    Way::of(key.split('.').next().unwrap_or_default()).is_some()
}

/// Sets one setting of one section, which begins with its first.
///
/// # Errors
/// What is wrong.
pub fn set(relays: &mut Vec<RelayConfig>, key: &str, text: &str) -> Result<(), RelayError> {
    let mut parts = key.split('.');
    let (group, name, leaf) = (parts.next(), parts.next(), parts.next());
    let way = group.and_then(Way::of).filter(|_| parts.next().is_none());
    let (Some(way), Some(name), Some(leaf)) = (way, name, leaf) else {
        return Err(RelayError::Key(shown(key)));
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > RELAY_NAME_BYTES_MAX || !name.chars().all(is_plain) {
        return Err(RelayError::Name(shown(name)));
    }
    if text.len() > RELAY_TEXT_BYTES_MAX {
        return Err(RelayError::TooLong { key: key.to_owned() });
    }
    let relay = section(relays, way, name)?;
    let value = |allowed| RelayError::Value { key: key.to_owned(), allowed };
    let text = text.trim();
    match (way, leaf) {
        (_, "stream") if is_path(text) => text.clone_into(&mut relay.stream),
        (_, "stream") => return Err(value("the path of a stream, like live/cam")),
        (_, "url") => text.clone_into(&mut relay.url),
        (Way::Pull, "when") => {
            relay.when = match text {
                "always" => When::Always,
                "watched" => When::Watched,
                _ => return Err(value("always or watched")),
            }
        }
        (Way::Pull, "idle_s") => {
            let seconds = text.parse().ok().filter(|s| (1..=WATCHED_IDLE_S_MAX).contains(s));
            relay.idle_s = seconds.ok_or_else(|| value("1 to 3600 seconds"))?;
        }
        (_, leaf) => {
            // Some options have no prefix.
            let bare = ["listen", "timeout", "tcp_nodelay", "ca_file", "pin"].contains(&leaf);
            let option = if bare { leaf.to_owned() } else { format!("rtmp_{leaf}") };
            relay.options.retain(|(known, _)| *known != option);
            if relay.options.len() >= RELAY_OPTIONS_MAX {
                return Err(RelayError::Options(format!("{}.{name}", way.name())));
            }
            relay.options.push((option, text.to_owned()));
        }
    }
    Ok(())
}

/// Looks at the sections as a whole.
///
/// # Errors
/// The first that lacks something.
pub fn check(relays: &[RelayConfig]) -> Result<(), RelayError> {
    for RelayConfig { way, name, stream, url, .. } in relays {
        let key = |leaf| format!("{}.{name}.{leaf}", way.name());
        if stream.is_empty() {
            return Err(RelayError::Missing { key: key("stream"), example: "live/cam" });
        }
        if url.is_empty() {
            let example = "rtmp://host/app/key";
            return Err(RelayError::Missing { key: key("url"), example });
        }
    }
    Ok(())
}

fn section<'r>(
    relays: &'r mut Vec<RelayConfig>,
    way: Way,
    name: &str,
) -> Result<&'r mut RelayConfig, RelayError> {
    let of = |relay: &RelayConfig| relay.way == way && relay.name == name;
    if !relays.iter().any(of) {
        if relays.iter().filter(|relay| relay.way == way).count() >= RELAYS_MAX {
            return Err(RelayError::TooMany(way.name()));
        }
        relays.push(RelayConfig {
            way,
            name: name.to_owned(),
            stream: String::new(),
            url: String::new(),
            when: When::Always,
            idle_s: 30,
            options: Vec::new(),
        });
    }
    let missing = || RelayError::Name(shown(name));
    relays.iter_mut().find(|relay| of(relay)).ok_or_else(missing)
}

/// Application and name, as a playlist's address has them.
fn is_path(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split('/').count() >= 2 && text.split('/').all(is_part)
}

/// As much of a key as is shown.
fn shown(text: &str) -> String {
    text.chars().take(RELAY_NAME_BYTES_MAX * 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pairs: &[(&str, &str)]) -> Result<Vec<RelayConfig>, String> {
        let mut relays = Vec::new();
        for (key, text) in pairs {
            set(&mut relays, key, text).map_err(|error| error.to_string())?;
        }
        check(&relays).map_err(|error| error.to_string())?;
        Ok(relays)
    }

    #[test]
    fn sections_gather_their_settings_by_name() {
        let relays = all(&[
            ("push.cloud.stream", "live/cam"),
            ("pull.door.url", "rtmp://nvr/live/door"),
            ("push.cloud.url", "rtmp://host/app/key"),
            ("pull.door.stream", "live/door"),
            ("pull.door.when", "watched"),
            ("pull.door.idle_s", "5"),
            ("pull.door.live", "live"),
            ("pull.door.live", "any"),
            ("pull.door.tcp_nodelay", "1"),
            ("pull.door.ca_file", "/etc/ca.pem"),
        ]);
        let [push, pull] = &relays.unwrap()[..] else { panic!() };
        assert_eq!((push.way, push.stream.as_str()), (Way::Push, "live/cam"));
        assert_eq!((push.url.as_str(), push.options.len()), ("rtmp://host/app/key", 0));
        assert_eq!((pull.when, pull.idle_s), (When::Watched, 5));
        let options = [("rtmp_live", "any"), ("tcp_nodelay", "1"), ("ca_file", "/etc/ca.pem")];
        assert_eq!(pull.options, options.map(|(n, t)| (n.to_owned(), t.to_owned())));
        assert_eq!(format!("{push:?}"), "RelayConfig(push.cloud)");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_text() {
        let url = ("push.a.url", "rtmp://secret");
        for (pairs, part) in [
            (&[("push.a", "x")][..], "write it like push.NAME.url"),
            (&[("push.a.b.c", "x")], "write it like push.NAME.url"),
            (&[("push.a b.url", "x")], "no name for a section"),
            (&[("push..url", "x")], "no name for a section"),
            (&[url], "push.a.stream is missing"),
            (&[("pull.a.stream", "live/x")], "pull.a.url is missing"),
            (&[("pull.a.stream", "cam")], "takes the path of a stream"),
            (&[("pull.a.stream", "live/../x")], "takes the path of a stream"),
            (&[("pull.a.when", "never")], "pull.a.when takes always or watched"),
            (&[("pull.a.idle_s", "0")], "takes 1 to 3600"),
        ] {
            let error = all(pairs).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn sections_options_and_texts_are_bounded() {
        let mut relays = Vec::new();
        for n in 0..RELAYS_MAX {
            set(&mut relays, &format!("push.n{n}.url"), "x").unwrap();
            set(&mut relays, &format!("pull.n{n}.url"), "x").unwrap();
        }
        let error = set(&mut relays, "push.more.url", "x").unwrap_err();
        assert_eq!(error, RelayError::TooMany("push"));
        for n in 0..RELAY_OPTIONS_MAX {
            set(&mut relays, &format!("push.n0.o{n}"), "x").unwrap();
        }
        assert!(matches!(set(&mut relays, "push.n0.more", "x"), Err(RelayError::Options(_))));
        let long = "x".repeat(RELAY_TEXT_BYTES_MAX);
        set(&mut relays, "push.n0.url", &long).unwrap();
        let error = set(&mut relays, "push.n0.url", &(long + "x")).unwrap_err();
        assert!(matches!(error, RelayError::TooLong { .. }));
        let name = "n".repeat(RELAY_NAME_BYTES_MAX);
        set(&mut Vec::new(), &format!("push.{name}.url"), "x").unwrap();
        assert!(set(&mut Vec::new(), &format!("push.{name}n.url"), "x").is_err());
        let idle = |s: u32| set(&mut Vec::new(), "pull.a.idle_s", &s.to_string());
        assert!(idle(WATCHED_IDLE_S_MAX).is_ok() && idle(WATCHED_IDLE_S_MAX + 1).is_err());
    }
}

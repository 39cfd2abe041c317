//! Who is let in: sections, keys in every place, users, addresses, attempts.

use super::*;
use crate::config::settings::Draft;
use crate::limits::{AUTH_ATTEMPTS_MAX, AUTH_FORGIVEN_TIME};
use core::net::Ipv4Addr;
use proptest::prelude::*;

const NOW: Instant = Instant(1 << 40);
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 7));
const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

const SETTINGS: &[(&str, &str)] = &[
    ("stream.live/cam.publish_key", "cam-key"),
    ("stream.live/cam.play_key", "see-cam"),
    ("stream.live/open.publish_from", "any"),
    ("stream.studio/*.publish_key", "all-key"),
    ("stream.studio/own.publish_key", "own-key"),
    ("stream.tv/news.publish_users", "bob"),
    ("stream.tv/both.publish_users", "bob, eve"),
    ("stream.tv/both.publish_key", "tv-key"),
    ("user.bob.password", "p w"),
    ("user.eve.password", "secret"),
];

/// A door as these settings make it.
pub(crate) fn door(settings: &[(&str, &str)], status: &Rc<Status>) -> Door {
    let mut draft = Draft::new();
    for (key, text) in settings {
        draft.set(key, text).unwrap();
    }
    let config = draft.check().unwrap();
    let access = Access {
        publish_from: config.rtmp_publish_from,
        play_from: config.rtmp_play_from,
        rights: config.rights,
    };
    Door::new(access, Rc::clone(status))
}

/// Splits `app?query/name?query`.
fn ask<'a>(app: &'a str, name: &'a str) -> Ask<'a> {
    let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
    let (name, query) = name.split_once('?').unwrap_or((name, ""));
    Ask { purpose: Purpose::Publish, peer: HOME, app, name, query, app_query, user: None }
}

fn enter(ask: &Ask<'_>) -> Result<(String, Right), Denial> {
    let entered = door(SETTINGS, &Rc::new(Status::new())).enter(ask, NOW);
    entered.map(|grant| (grant.path.as_str().to_owned(), grant.right))
}

#[test]
fn publishers_are_let_in_by_what_the_section_asks_for() {
    let open = Right::Address(HOME);
    for (app, name, path, right) in [
        ("live", "cam?key=cam-key", "live/cam", Right::Key),
        ("live?key=cam-key", "cam", "live/cam", Right::Key),
        ("live", "cam-key", "live/cam", Right::Key),
        ("live/cam", "cam-key", "live/cam", Right::Key),
        ("", "cam-key", "live/cam", Right::Key),
        ("live", "open", "live/open", open),
        ("studio", "a?key=all-key", "studio/a", Right::Key),
        ("studio/a", "all-key", "studio/a", Right::Key),
        ("studio", "own?key=own-key", "studio/own", Right::Key),
        ("tv", "news?user=bob&pass=p w", "tv/news", Right::User(0)),
        ("tv", "both?user=eve&pass=secret", "tv/both", Right::User(1)),
        ("tv?user=eve&pass=secret", "both", "tv/both", Right::User(1)),
        ("tv", "tv-key", "tv/both", Right::Key),
        ("elsewhere", "x", "elsewhere/x", open),
        ("", "open?key=any", "live/open", open),
    ] {
        assert_eq!(enter(&ask(app, name)), Ok((path.to_owned(), right)), "{app} {name}");
    }
}

#[test]
fn publishers_are_refused_for_what_they_lack() {
    for (app, name, denial) in [
        ("live", "cam", Denial::NoKey),
        ("live", "cam?key=", Denial::Wrong),
        ("live", "cam?key=see-cam", Denial::Wrong),
        ("live", "cam?user=bob&pass=p w", Denial::Wrong),
        ("live", "other", Denial::Unknown),
        ("live/cam", "other", Denial::Unknown),
        ("studio", "a", Denial::NoKey),
        ("studio", "all-key", Denial::NoKey),
        ("studio", "own?key=all-key", Denial::Wrong),
        ("tv", "news", Denial::NoUser),
        ("tv", "news?key=tv-key", Denial::Wrong),
        ("tv", "news?user=eve&pass=secret", Denial::Wrong),
        ("tv", "news?user=bob&pass=secret", Denial::Wrong),
        ("tv", "other", Denial::Unknown),
    ] {
        assert_eq!(enter(&ask(app, name)), Err(denial), "{app} {name}");
    }
}

#[test]
fn user_who_has_signed_in_publishes_where_named_and_nowhere_else() {
    let signed = |name, user| enter(&Ask { user: Some(user), ..ask("tv", name) });
    assert_eq!(signed("news", 0), Ok(("tv/news".to_owned(), Right::User(0))));
    assert_eq!(signed("both", 1), Ok(("tv/both".to_owned(), Right::User(1))));
    assert_eq!(signed("news", 1), Err(Denial::OtherUser));
    assert_eq!(signed("news", 7), Err(Denial::OtherUser));
}

#[test]
fn players_have_keys_of_their_own() {
    let play = |app, name| enter(&Ask { purpose: Purpose::Play, ..ask(app, name) });
    assert_eq!(play("live", "cam"), Err(Denial::NoKey));
    assert_eq!(play("live", "cam?key=cam-key"), Err(Denial::Wrong));
    assert_eq!(play("live", "cam?key=see-cam"), Ok(("live/cam".to_owned(), Right::Key)));
    assert_eq!(play("live", "see-cam"), Ok(("live/cam".to_owned(), Right::Key)));
    let open = Right::Address(HOME);
    assert_eq!(play("tv", "news"), Ok(("tv/news".to_owned(), open)));
    assert_eq!(play("studio", "a"), Ok(("studio/a".to_owned(), open)));
}

#[test]
fn addresses_are_those_of_the_section_or_of_all() {
    let from = |app, name, peer| enter(&Ask { peer, ..ask(app, name) }).is_ok();
    assert!(from("live", "open", AWAY));
    assert!(!from("live", "cam-key", AWAY));
    let guess = |name| enter(&Ask { peer: AWAY, ..ask("live", name) });
    assert_eq!(guess("guess"), guess("cam-key"), "nobody outside learns which key is right");
    assert!(matches!(guess("guess"), Err(Denial::Address { .. })));
    let denial = enter(&Ask { peer: AWAY, ..ask("live", "cam?key=cam-key") }).unwrap_err();
    let words = "publishers may not come from this address: widen rtmp.publish_from";
    assert_eq!(denial.to_string(), words);
}

#[test]
fn viewers_are_asked_for_the_key_of_players() {
    let status = Rc::new(Status::new());
    let door = door(SETTINGS, &status);
    let watch = |path, query| door.watch(path, query, AWAY, NOW).map(|key| key.map(Secret::expose));
    assert_eq!(watch("live/cam", ""), Err(Denial::NoKey));
    assert_eq!(watch("live/cam", "key=cam-key"), Err(Denial::Wrong));
    assert_eq!(watch("live/cam", "a=b&key=see-cam"), Ok(Some("see-cam")));
    assert_eq!(watch("live/open", ""), Ok(None));
    assert_eq!(status.get(Counter::KeysRefused), 2);
}

#[test]
fn attempts_count_for_all_ports_and_ways_together_and_are_forgiven() {
    let status = Rc::new(Status::new());
    let door = door(SETTINGS, &status);
    let knock = |name, now| door.enter(&ask("live", name), now).map(drop);
    for n in 0..AUTH_ATTEMPTS_MAX {
        match n % 3 {
            0 => assert_eq!(knock("guess", NOW), Err(Denial::Unknown)),
            1 => assert_eq!(knock("cam?key=guess", NOW), Err(Denial::Wrong)),
            _ => assert_eq!(door.watch("live/cam", "key=guess", HOME, NOW), Err(Denial::Wrong)),
        }
        assert_eq!(knock("cam", NOW), Err(Denial::NoKey), "nothing was tried");
    }
    assert_eq!(knock("cam?key=cam-key", NOW), Err(Denial::Barred));
    assert_eq!(knock("cam-key", NOW), Err(Denial::Barred));
    assert_eq!(door.watch("live/cam", "key=see-cam", HOME, NOW), Err(Denial::Barred));
    assert!(door.watch("live/cam", "key=see-cam", AWAY, NOW).is_ok());
    assert_eq!(knock("open", NOW), Ok(()));
    assert_eq!(status.get(Counter::AttemptsBarred), 3);
    assert_eq!(knock("cam?key=cam-key", NOW.after(AUTH_FORGIVEN_TIME)), Ok(()));
}

#[test]
fn denials_show_no_secret() {
    let door = door(SETTINGS, &Rc::new(Status::new()));
    let shown = format!("{door:?}");
    for secret in ["cam-key", "see-cam", "p w", "secret", "all-key"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn door_never_panics_and_grants_what_is_guarded_to_nobody(
        app in "(live|studio|tv|live/cam)",
        name in "[a-z-]{1,12}",
        query in "(key|user|pass)?=?[a-z&=]{0,20}",
    ) {
        let ask = Ask { query: &query, ..ask(&app, &name) };
        if let Ok((path, right)) = enter(&ask) {
            prop_assert_eq!((path.as_str(), right), ("live/open", Right::Address(HOME)));
        }
    }
}

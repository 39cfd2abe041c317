//! The client's end of both schemes: from the description of an `_error` to the next connection.
//!
//! Not here: connecting again.
//!
//! Quirks: servers put the scheme and the reason into prose, so both are searched for; the user is
//! the one that the challenge names, which a server may spell otherwise than the address did.

use core::fmt::Write as _;

use super::{Account, Pairs, Query, Scheme, adobe, hex, llnw};
use crate::limits::QUERY_BYTES_MAX;

/// Why there is no next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponderError {
    /// Unsupported: the description asks for no user, or in another scheme.
    #[error("server rejects, and asks for a user by neither adobe's nor limelight's scheme")]
    NoScheme,
    /// Misbehaved: no user and password to answer with.
    #[error("server wants a user and password: put them into the address")]
    NoAccount,
    /// Misbehaved: the server says so.
    #[error("server does not know the user")]
    NoSuchUser,
    /// Misbehaved: the server says so, or asks again for what it was told.
    #[error("server does not take the user and password: compare both with the server's")]
    Wrong,
    /// Malformed: a scheme without a reason.
    #[error("server names a scheme but asks for nothing")]
    NoReason,
    /// Exhausted: what the server gave does not fit.
    #[error("server's challenge is too long: the answer may have {} bytes", QUERY_BYTES_MAX)]
    TooLong,
}

/// The client's end, for one publish over its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responder {
    /// Nothing was said yet.
    Fresh,
    /// The user was named.
    Named,
    /// A challenge was answered.
    Answered,
}

impl Responder {
    /// Reads the description of an `_error` to connect, and gives what the next connection appends
    /// to its app and tcUrl behind a `?`, instead of what the last one did. `app` is without query;
    /// `fill` gives random bytes.
    ///
    /// # Errors
    /// Why there is no use in another connection.
    pub fn respond(
        &mut self,
        description: &str,
        app: &str,
        account: Account<'_>,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Query, ResponderError> {
        let scheme = scheme(description).ok_or(ResponderError::NoScheme)?;
        if account.user.is_empty() || account.password.is_empty() {
            return Err(ResponderError::NoAccount);
        }
        if description.contains("?reason=authfail") {
            return Err(ResponderError::Wrong);
        }
        if description.contains("?reason=nosuchuser") {
            return Err(ResponderError::NoSuchUser);
        }
        let named = *self != Self::Fresh;
        if description.contains("code=403 need auth") {
            if named {
                return Err(ResponderError::Wrong);
            }
            *self = Self::Named;
            return written(|query| {
                write!(query, "authmod={}&user={}", scheme.name(), account.user)
            });
        }
        let Some(at) = description.find("?reason=needauth") else {
            return Err(ResponderError::NoReason);
        };
        if *self == Self::Answered {
            return Err(ResponderError::Wrong);
        }
        *self = Self::Answered;
        let pairs = Pairs(description.get(at + 1..).unwrap_or_default());
        let user = pairs.get("user").filter(|user| !user.is_empty()).unwrap_or(account.user);
        let mut random = [0; 4];
        fill(&mut random);
        let own: heapless::String<8> = hex(&random);
        let account = Account { user, ..account };
        match scheme {
            Scheme::Adobe => answer_adobe(account, pairs, &own),
            Scheme::Llnw => answer_llnw(account, app, pairs, &own),
        }
    }
}

fn answer_adobe(
    account: Account<'_>,
    pairs: Pairs<'_>,
    own: &str,
) -> Result<Query, ResponderError> {
    let salt = pairs.get("salt").unwrap_or_default();
    let opaque = pairs.get("opaque");
    let issued = opaque.or_else(|| pairs.get("challenge")).unwrap_or_default();
    let response = adobe::response(account, salt, issued, own);
    let user = account.user;
    written(|query| {
        write!(query, "authmod=adobe&user={user}&challenge={own}&response={response}")?;
        opaque.map_or(Ok(()), |opaque| write!(query, "&opaque={opaque}"))
    })
}

fn answer_llnw(
    account: Account<'_>,
    app: &str,
    pairs: Pairs<'_>,
    own: &str,
) -> Result<Query, ResponderError> {
    let nonce = pairs.get("nonce").unwrap_or_default();
    let nonces = llnw::Nonces { nonce, cnonce: own, count: "00000001" };
    let response = llnw::response(account, app, nonces);
    let user = account.user;
    written(|query| {
        write!(query, "authmod=llnw&user={user}&nonce={nonce}&cnonce={own}")?;
        write!(query, "&nc=00000001&response={response}")
    })
}

fn written(write: impl FnOnce(&mut Query) -> core::fmt::Result) -> Result<Query, ResponderError> {
    let mut query = Query::new();
    write(&mut query).map_err(|_| ResponderError::TooLong)?;
    Ok(query)
}

/// The scheme that a description names: what follows `authmod=`, as far as letters go.
fn scheme(description: &str) -> Option<Scheme> {
    let (_, after) = description.split_once("authmod=")?;
    let name = after.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    Scheme::of(name)
}

#[cfg(test)]
mod tests {
    use super::super::challenger::{Challenger, Knock, Verdict};
    use super::*;
    use crate::status::Status;
    use crate::time::Instant;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;

    const BOB: Account<'_> = Account { user: "bob", password: "secret" };
    const NEED: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const CHALLENGE: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth\
        &user=bob&salt=U2FsdA==&challenge=Q2hhbA==&opaque=T3Bh";

    fn respond(responder: &mut Responder, description: &str) -> Result<Query, ResponderError> {
        let fill = &mut |room: &mut [u8]| room.copy_from_slice(&[0x0c, 0x73, 0x60, 0x7c]);
        responder.respond(description, "live", BOB, fill)
    }

    #[test]
    fn responder_says_to_adobe_what_ffmpeg_says() {
        let mut responder = Responder::Fresh;
        assert_eq!(respond(&mut responder, NEED).unwrap(), "authmod=adobe&user=bob");
        let answer = respond(&mut responder, CHALLENGE).unwrap();
        assert_eq!(
            answer,
            "authmod=adobe&user=bob&challenge=0c73607c&response=YcL8/SeDpyGKF/RGnQYA1w==\
             &opaque=T3Bh"
        );
    }

    #[test]
    fn responder_takes_the_challenge_where_there_is_no_opaque() {
        let description = CHALLENGE.replace("&opaque=T3Bh", "");
        let answer = respond(&mut Responder::Named, &description).unwrap();
        assert!(answer.ends_with("&response=mYM1Dkz9OhBqFK2Vpgr8jw=="));
    }

    #[test]
    fn responder_says_to_limelight_what_ffmpeg_says() {
        let mut responder = Responder::Fresh;
        let need = NEED.replace("adobe", "llnw");
        assert_eq!(respond(&mut responder, &need).unwrap(), "authmod=llnw&user=bob");
        let challenge =
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=bob&nonce=abc123";
        let fill = &mut |room: &mut [u8]| room.copy_from_slice(&[0x0a, 0x1b, 0x2c, 0x3d]);
        let answer = responder.respond(challenge, "live", BOB, fill).unwrap();
        assert_eq!(
            answer,
            "authmod=llnw&user=bob&nonce=abc123&cnonce=0a1b2c3d&nc=00000001\
             &response=afb836f101a31d10b23e4bc9eec23261"
        );
    }

    #[test]
    fn responder_gives_up_when_asked_again_or_told_so() {
        let mut responder = Responder::Fresh;
        respond(&mut responder, NEED).unwrap();
        assert_eq!(respond(&mut responder, NEED), Err(ResponderError::Wrong));
        respond(&mut responder, CHALLENGE).unwrap();
        assert_eq!(respond(&mut responder, CHALLENGE), Err(ResponderError::Wrong));
        for (reason, error) in [
            ("authfailed", ResponderError::Wrong),
            ("nosuchuser", ResponderError::NoSuchUser),
            ("else", ResponderError::NoReason),
        ] {
            let said = format!("[ authmod=adobe ] : ?reason={reason}");
            assert_eq!(respond(&mut Responder::Named, &said), Err(error));
        }
    }

    #[test]
    fn responder_needs_a_scheme_and_an_account() {
        for said in ["", "no", "[ authmod=other ] : ?reason=needauth", "authmod=adobex "] {
            assert_eq!(respond(&mut Responder::Fresh, said), Err(ResponderError::NoScheme));
        }
        let nobody = Account { user: "", password: "" };
        let answer = Responder::Fresh.respond(NEED, "live", nobody, &mut |_| {});
        assert_eq!(answer, Err(ResponderError::NoAccount));
    }

    #[test]
    fn responder_says_when_the_challenge_does_not_fit() {
        let said = format!("{CHALLENGE}{}", "x".repeat(QUERY_BYTES_MAX));
        assert_eq!(respond(&mut Responder::Named, &said), Err(ResponderError::TooLong));
    }

    #[test]
    fn responder_is_let_in_by_the_challenger_in_both_schemes() {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for scheme in Scheme::ALL {
            let mut challenger = Challenger::new();
            let mut responder = Responder::Fresh;
            let mut query = Query::new();
            let mut rejections = 0;
            let mut next = 0;
            let fill = &mut |room: &mut [u8]| {
                next += 1;
                room.fill(next);
            };
            loop {
                let now = Instant(0);
                let knock = Knock { peer, scheme, app: "live", query: &query, now };
                let verdict = challenger.judge(&knock, BOB, fill, &Status::new());
                let Verdict::Rejected { description, .. } = verdict else { break };
                rejections += 1;
                query = responder.respond(&description, "live", BOB, fill).unwrap();
            }
            assert_eq!(rejections, 2);
        }
    }

    proptest! {
        #[test]
        fn responder_never_panics(
            text in ".{0,60}",
            scheme in "adobe|llnw|x",
            reason in "needauth|authfailed|nosuchuser|x",
        ) {
            let _ = respond(&mut Responder::Named, &text);
            let said = format!("authmod={scheme} ?reason={reason}&user={text}&salt={text}");
            let _ = respond(&mut Responder::Named, &said);
        }
    }
}

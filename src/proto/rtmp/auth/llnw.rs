//! Limelight's scheme: HTTP's digest, over the application instead of a URL.
//!
//! Not here: how long a nonce lives.
//! Source: RFC 2617 §3.2.2 with realm `live`, method `publish` and quality `auth`; librtmp, ffmpeg.
//!
//! Quirks: an application without an instance is hashed with `/_definst_`.

use super::{Account, Response, hex, md5};

/// What both ends have chosen for one response.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// The server's.
    pub nonce: &'a str,
    /// The client's.
    pub cnonce: &'a str,
    /// How often the client has used the server's, in eight hexadecimal digits.
    pub count: &'a str,
}

/// What the client must send; `app` is without query.
#[must_use]
pub fn response(account: Account<'_>, app: &str, nonces: Nonces<'_>) -> Response {
    let Account { user, password } = account;
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let first: Response = hex(&md5(&[user, ":live:", password]));
    let second: Response = hex(&md5(&["publish:/", app, instance]));
    let Nonces { nonce, cnonce, count } = nonces;
    let parts = [&first, ":", nonce, ":", count, ":", cnonce, ":auth:", &second];
    hex(&md5(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llnw_response_is_that_of_the_vectors_with_and_without_instance() {
        let bob = Account { user: "bob", password: "secret" };
        let nonces = Nonces { nonce: "abc123", cnonce: "0a1b2c3d", count: "00000001" };
        assert_eq!(response(bob, "live", nonces), "afb836f101a31d10b23e4bc9eec23261");
        assert_eq!(response(bob, "live/inst", nonces), "a617afc26e1977e6351afd7899b91f4c");
    }

    #[test]
    fn llnw_hashes_account_and_application_as_the_vectors_say() {
        let first: Response = hex(&md5(&["bob", ":live:", "secret"]));
        assert_eq!(first, "162b451c06574893ebe39ae4e93213c6");
        let second: Response = hex(&md5(&["publish:/", "live", "/_definst_"]));
        assert_eq!(second, "a2d981c976a6851bc5ed3f2beab823c8");
        let all: Response = hex(&md5(&[&first, ":abc123:00000001:0a1b2c3d:auth:", &second]));
        assert_eq!(all, "afb836f101a31d10b23e4bc9eec23261");
    }
}

//! Adobe's scheme: two MD5 over salt and password, in base64.
//!
//! The password must be at hand in clear, since each challenge has a salt of its own. Not here: how
//! long a challenge lives.
//! Source: librtmp, ffmpeg.
//!
//! Quirks: librtmp's own challenge is base64 of four bytes and ffmpeg's is eight hexadecimal
//! digits; it is used as it came.

use super::{Account, Response, base64, md5};

/// What the client must send. `issued` is the server's opaque value, or its challenge if it gave
/// no opaque; `own` is the client's challenge.
#[must_use]
pub fn response(account: Account<'_>, salt: &str, issued: &str, own: &str) -> Response {
    let salted: Response = base64(&md5(&[account.user, salt, account.password]));
    base64(&md5(&[&salted, issued, own]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: Account<'_> = Account { user: "bob", password: "secret" };

    #[test]
    fn adobe_response_is_the_one_that_ffmpeg_sent() {
        let with_opaque = response(BOB, "U2FsdA==", "T3Bh", "0c73607c");
        assert_eq!(with_opaque, "YcL8/SeDpyGKF/RGnQYA1w==");
        let without = response(BOB, "U2FsdA==", "Q2hhbA==", "0c73607c");
        assert_eq!(without, "mYM1Dkz9OhBqFK2Vpgr8jw==");
    }

    #[test]
    fn adobe_salts_the_password_as_the_vector_says() {
        let salted: Response = base64(&md5(&["bob", "U2FsdA==", "secret"]));
        assert_eq!(salted, "CjzAvC+q2uqvau1735RmBg==");
    }
}

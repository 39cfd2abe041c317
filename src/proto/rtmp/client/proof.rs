//! The proof that a player's file is the one that the server expects.
//!
//! Source: event 27 of user control, as librtmp answers it. It proves nothing but that somebody has
//! the file's hash; servers that ask for it answer nobody else.

use ring::hmac;

use crate::proto::rtmp::client::plan::Swf;
use crate::wire::rtmp::handshake::DIGEST_BYTES;
use crate::wire::writer::{Full, Writer};

/// Bytes of the proof.
pub(super) const SWF_PROOF_BYTES: usize = 10 + DIGEST_BYTES;

impl Swf {
    /// The proof for a connection whose S1 ends in `salt`.
    ///
    /// ```text
    /// | 0x01 0x01 | bytes of the file (32) | again (32) | HMAC-SHA256 of its hash (256) |
    /// ```
    pub(super) fn proof(&self, salt: &[u8; DIGEST_BYTES]) -> [u8; SWF_PROOF_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
        let digest = hmac::sign(&key, &self.hash);
        let mut proof = [0; SWF_PROOF_BYTES];
        let mut w = Writer::new(&mut proof);
        let written = self.write(digest.as_ref(), &mut w);
        debug_assert!(written.is_ok());
        debug_assert_eq!(w.position(), SWF_PROOF_BYTES);
        proof
    }

    fn write(&self, digest: &[u8], w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&[1, 1])?;
        w.u32(self.bytes)?;
        w.u32(self.bytes)?;
        w.bytes(digest)
    }
}

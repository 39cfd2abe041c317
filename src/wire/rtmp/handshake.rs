//! Handshake packets: their layout, the two places of the digest, the published constants.
//!
//! C0 and S0 are one byte, C1, S1, C2 and S2 are 1536 each. The digests themselves are computed by
//! `proto::rtmp::handshake`; the keys of RTMPE, which stand in the same packets, by
//! `proto::rtmp::encryption`.
//! Source: RTMP 1.0 §5.2; the digest handshake as every open implementation has it.

use crate::limits::HANDSHAKE_BYTES;

/// C1, S1, C2 or S2.
pub type Packet = [u8; HANDSHAKE_BYTES];

/// The version of RTMP 1.0 (§5.2.2).
pub const VERSION: u8 = 3;

/// The version of RTMPE whose signatures are not scrambled.
pub const ENCRYPTED_VERSION: u8 = 6;

/// Bytes of a digest and of a signature: SHA-256.
pub const DIGEST_BYTES: usize = 32;

/// Bytes of C2 and S2 that their signature covers.
pub const SIGNED_BYTES: usize = HANDSHAKE_BYTES - DIGEST_BYTES;

/// What S1 says in bytes 4 to 8 when it carries a digest; clients want a first byte of 3 or more.
pub const SERVER_VERSION: [u8; 4] = [3, 5, 1, 1];

/// What C1 says in bytes 4 to 8 when it carries a digest, as ffmpeg does.
pub const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

/// What both digest keys end in.
const TAIL: &[u8; 32] = &[
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Who signs: each end has a key for its digest in C1 or S1, and a longer one for C2 or S2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The player or publisher.
    Client,
    /// The server.
    Server,
}

impl Role {
    /// Key of the digest in C1 or S1.
    #[must_use]
    pub const fn digest_key(self) -> &'static [u8] {
        match self {
            Self::Client => b"Genuine Adobe Flash Player 001",
            Self::Server => b"Genuine Adobe Flash Media Server 001",
        }
    }

    /// The second part of the key from which C2 or S2 is signed; the first is `digest_key`.
    #[must_use]
    pub const fn signature_key_tail(self) -> &'static [u8] {
        TAIL
    }
}

/// What the first byte of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3, and the obsolete 0 to 2 and future 4 to 31 that are answered with 3 (§5.2.2).
    Plain(u8),
    /// 6: RTMPE.
    Encrypted,
    /// 8, 9: RTMPE with scrambled signatures.
    Scrambled(u8),
    /// 0x16: a TLS `ClientHello`.
    Tls,
    /// The first letter of an HTTP method.
    Http(u8),
    /// 32 and above: forbidden, so that text protocols are recognised.
    Forbidden(u8),
}

impl From<u8> for Version {
    fn from(byte: u8) -> Self {
        match byte {
            ENCRYPTED_VERSION => Self::Encrypted,
            8 | 9 => Self::Scrambled(byte),
            0x16 => Self::Tls,
            b'G' | b'P' | b'H' | b'O' | b'D' | b'C' => Self::Http(byte),
            0..=31 => Self::Plain(byte),
            _ => Self::Forbidden(byte),
        }
    }
}

/// The order of the two blocks of a C1 or S1 that carries a digest.
//
// |           | time (4) | version (4) |             764             |            764             |
// | digest    |          |             | offset (4) . digest .       | . key . offset (4)         |
// | key first |          |             | . key . offset (4)          | offset (4) . digest .      |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// What ffmpeg and Flash Player send.
    DigestFirst,
    /// What RTMPE clients send.
    KeyFirst,
}

impl Layout {
    /// Both, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::DigestFirst, Self::KeyFirst];

    /// Where the digest stands, from the first byte of the packet.
    #[must_use]
    pub fn digest_at(self, packet: &Packet) -> usize {
        match self {
            Self::DigestFirst => sum(packet, 8) % DIGEST_PLACES + 12,
            Self::KeyFirst => sum(packet, 772) % DIGEST_PLACES + 776,
        }
    }

    /// Where the Diffie-Hellman key stands.
    #[must_use]
    pub fn key_at(self, packet: &Packet) -> usize {
        match self {
            Self::DigestFirst => sum(packet, 1532) % KEY_PLACES + 772,
            Self::KeyFirst => sum(packet, 768) % KEY_PLACES + 8,
        }
    }

    /// What stands before the digest, the digest, and what stands after it.
    #[must_use]
    pub fn split(self, packet: &Packet) -> (&[u8], &[u8], &[u8]) {
        let (before, rest) = packet.split_at(self.digest_at(packet));
        let (digest, after) = rest.split_at(DIGEST_BYTES);
        (before, digest, after)
    }

    /// Puts the digest in its place; its place does not depend on it.
    pub fn place(self, packet: &mut Packet, digest: &[u8; DIGEST_BYTES]) {
        let at = self.digest_at(packet);
        let (_, rest) = packet.split_at_mut(at);
        let (place, _) = rest.split_at_mut(DIGEST_BYTES);
        place.copy_from_slice(digest);
    }

    /// The Diffie-Hellman key.
    #[must_use]
    pub fn key(self, packet: &Packet) -> PublicKeyBytes {
        let (_, rest) = packet.split_at(self.key_at(packet));
        rest.first_chunk().copied().unwrap_or([0; KEY_BYTES])
    }

    /// Puts the Diffie-Hellman key in its place; its place does not depend on it. The digest covers
    /// it and comes after.
    pub fn place_key(self, packet: &mut Packet, key: &PublicKeyBytes) {
        let at = self.key_at(packet);
        let (_, rest) = packet.split_at_mut(at);
        let (place, _) = rest.split_at_mut(KEY_BYTES);
        place.copy_from_slice(key);
    }
}

/// Moves the digest of a random key-first packet, and the place where the digest-first layout has
/// its key, to where neither touches the other: the key behind the first four bytes of the second
/// block, the digest after it and before the last four.
pub fn part_digest_and_key(packet: &mut Packet) {
    let (_, block) = packet.split_at_mut(772);
    if let Some([a, b, _, d]) = block.first_chunk_mut() {
        [*a, *b, *d] = [255, 129, 0];
    }
    if let Some([a, _, c, d]) = block.last_chunk_mut() {
        [*a, *c, *d] = [4, 0, 0];
    }
    debug_assert!(Layout::DigestFirst.key_at(packet) >= 776);
    debug_assert!(
        Layout::DigestFirst.key_at(packet) + KEY_BYTES <= Layout::KeyFirst.digest_at(packet)
    );
    debug_assert!(Layout::KeyFirst.digest_at(packet) + DIGEST_BYTES <= 1532);
}

/// A Diffie-Hellman public key, as it stands in C1 and S1: big-endian, leading zeros included.
pub type PublicKeyBytes = [u8; KEY_BYTES];

/// Whether bytes 4 to 8 of a C1 or S1 announce a digest; the simple handshake has zero there.
#[must_use]
pub fn announces_digest(packet: &Packet) -> bool {
    let (_, rest) = packet.split_at(4);
    rest.iter().take(4).any(|&byte| byte != 0)
}

/// The sum of four unsigned bytes.
fn sum(packet: &Packet, at: usize) -> usize {
    packet.iter().skip(at).take(4).map(|&byte| usize::from(byte)).sum()
}

/// Digests start at one of this many places.
const DIGEST_PLACES: usize = 728;

/// Keys start at one of this many places.
const KEY_PLACES: usize = 632;

/// Bytes of a Diffie-Hellman key: 1024 bits.
pub const KEY_BYTES: usize = 128;

// The furthest place of a digest or key ends inside of its block.
const _: () = assert!(DIGEST_PLACES - 1 + 12 + DIGEST_BYTES <= 772);
const _: () = assert!(DIGEST_PLACES - 1 + 776 + DIGEST_BYTES <= HANDSHAKE_BYTES);
const _: () = assert!(KEY_PLACES - 1 + 8 + KEY_BYTES <= 768);
const _: () = assert!(KEY_PLACES - 1 + 772 + KEY_BYTES <= 1532);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_names_what_is_not_rtmp() {
        for byte in [0, 1, 2, 3, 4, 5, 7, 10, 21, 23, 31] {
            assert_eq!(Version::from(byte), Version::Plain(byte));
        }
        assert_eq!(Version::from(6), Version::Encrypted);
        for byte in [8, 9] {
            assert_eq!(Version::from(byte), Version::Scrambled(byte));
        }
        assert_eq!(Version::from(0x16), Version::Tls);
        for byte in *b"GPHO" {
            assert_eq!(Version::from(byte), Version::Http(byte));
        }
        assert_eq!(Version::from(32), Version::Forbidden(32));
        assert_eq!(Version::from(255), Version::Forbidden(255));
    }

    #[test]
    fn layout_stays_inside_the_packet_at_the_largest_sums() {
        for byte in 0..=u8::MAX {
            let packet = [byte; HANDSHAKE_BYTES];
            for layout in Layout::ALL {
                let (before, digest, after) = layout.split(&packet);
                assert_eq!(before.len() + after.len(), SIGNED_BYTES);
                assert_eq!(digest.len(), DIGEST_BYTES);
                assert!(layout.key_at(&packet) + 128 <= HANDSHAKE_BYTES);
            }
        }
    }

    #[test]
    fn layout_finds_the_key_where_it_was_put_beside_the_digest() {
        for byte in 0..=u8::MAX {
            for layout in Layout::ALL {
                let mut packet = [byte; HANDSHAKE_BYTES];
                layout.place_key(&mut packet, &[7; KEY_BYTES]);
                layout.place(&mut packet, &[9; DIGEST_BYTES]);
                assert_eq!(layout.key(&packet), [7; KEY_BYTES]);
                assert_eq!(layout.split(&packet).1, [9; DIGEST_BYTES]);
            }
        }
    }

    #[test]
    fn parted_packet_holds_the_key_in_both_layouts_and_its_digest() {
        for (a, b) in (0..=u8::MAX).flat_map(|a| [0, 1, 127, 254, 255].map(|b| (a, b))) {
            let mut packet = [b; HANDSHAKE_BYTES];
            packet[774] = a;
            packet[1533] = a.wrapping_mul(b);
            part_digest_and_key(&mut packet);
            for layout in Layout::ALL {
                layout.place_key(&mut packet, &[7; KEY_BYTES]);
            }
            Layout::KeyFirst.place(&mut packet, &[9; DIGEST_BYTES]);
            for layout in Layout::ALL {
                assert_eq!(layout.key(&packet), [7; KEY_BYTES]);
            }
            assert_eq!(Layout::KeyFirst.split(&packet).1, [9; DIGEST_BYTES]);
        }
    }
}

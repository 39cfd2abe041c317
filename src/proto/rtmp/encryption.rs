//! RTMPE, version 6: the key agreement of its handshake, and the ciphers of what follows.
//!
//! Diffie-Hellman in a 1024-bit group gives 128 shared bytes; each direction is RC4 under the HMAC
//! of the receiver's public key with them. It keeps a stream from being read in passing and no
//! more: nobody proves who they are, and both parts are weak by today's measure. Nothing is
//! allocated. A server's part, two exponentiations and a check, takes 0.5 ms on a server core with
//! 64-bit limbs and 1.2 ms with 32-bit ones; ten times that is expected of an ARM core of 1 GHz.
//! Not here: where the keys stand in the packets, which `wire` knows, and when they are used, which
//! the handshake does.
//! Source: RFC 2409 §6.2 (the group), RFC 2631 §2.1.5 (the check), RFC 2104; librtmp and ffmpeg for
//! the rest, which was never published.
//!
//! Quirks: where the shared bytes begin with a zero, librtmp's and ffmpeg's builds disagree on
//! whether it stands in front, so the server takes another key until they do not.

use crypto_bigint::modular::ConstMontyParams;
use crypto_bigint::{JacobiSymbol, U256, U1024, const_monty_form, const_monty_params};
use rc4::{KeyInit, Rc4, StreamCipher as _};
use ring::hmac;

use crate::limits::{HANDSHAKE_BYTES, RTMPE_KEY_TRIES_MAX};
use crate::wire::rtmp::handshake::{KEY_BYTES, PublicKeyBytes};

/// Malformed: what stands in the key's place is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// 0, 1, or the prime less one and above.
    #[error("peer's rtmpe key is no number between 2 and the prime less 2")]
    Range,
    /// No power of the generator.
    #[error("peer's rtmpe key is not of the group: half of all wrong places give this")]
    Group,
}

/// What both directions of one connection are encrypted with, from the first byte after C2 and S2.
/// Each byte must pass once, in order.
pub struct Ciphers {
    inward: Rc4,
    outward: Rc4,
}

impl Ciphers {
    /// Ciphers of the end that has `own`, when the other has `peer`.
    fn new(shared: &[u8; KEY_BYTES], own: &PublicKeyBytes, peer: &PublicKeyBytes) -> Self {
        Self { inward: cipher(shared, own), outward: cipher(shared, peer) }
    }

    /// Those of both ends of a connection, without a handshake.
    #[cfg(test)]
    pub(crate) fn pair() -> [Self; 2] {
        let (near, far) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        [(&near, &far), (&far, &near)].map(|(own, peer)| Self::new(&[7; KEY_BYTES], own, peer))
    }

    /// Decrypts what was received, in place.
    pub fn decrypt(&mut self, received: &mut [u8]) {
        self.inward.apply_keystream(received);
    }

    /// Encrypts what will be sent, in place.
    pub fn encrypt(&mut self, outgoing: &mut [u8]) {
        self.outward.apply_keystream(outgoing);
    }
}

impl core::fmt::Debug for Ciphers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ciphers")
    }
}

/// One end's key, for one connection.
pub(super) struct PrivateKey {
    exponent: U256,
    public: PublicKeyBytes,
}

impl PrivateKey {
    /// A new one. 256 bits are twice what the group is worth, and a fourth of the work of 1024.
    pub(super) fn new(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 32];
        fill(&mut bytes);
        // Not zero, even where no random bytes are to be had.
        bytes[0] |= 0x80;
        let exponent = U256::from_be_slice(&bytes);
        let public = power(&Element::new(&GENERATOR), &exponent);
        Self { exponent, public }
    }

    /// A new one for a known peer, and the ciphers.
    pub(super) fn answering(
        peer: &PublicKey,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> (PublicKeyBytes, Ciphers) {
        let mut own = Self::new(fill);
        let mut shared = own.agree(peer);
        for _ in 1..RTMPE_KEY_TRIES_MAX {
            if shared[0] != 0 {
                break;
            }
            own = Self::new(fill);
            shared = own.agree(peer);
        }
        (own.public, Ciphers::new(&shared, &own.public, &peer.bytes))
    }

    /// The ciphers with this peer.
    pub(super) fn ciphers(&self, peer: &PublicKey) -> Ciphers {
        Ciphers::new(&self.agree(peer), &self.public, &peer.bytes)
    }

    /// What the peer is told.
    pub(super) const fn public(&self) -> &PublicKeyBytes {
        &self.public
    }

    fn agree(&self, peer: &PublicKey) -> [u8; KEY_BYTES] {
        power(&peer.element, &self.exponent)
    }
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// The peer's key, checked.
pub(super) struct PublicKey {
    element: Element,
    bytes: PublicKeyBytes,
}

impl PublicKey {
    /// Checks a key as it stands in C1 or S1. In this group, of which the prime is twice a prime
    /// and one, the powers of the generator are the squares; the Jacobi symbol tells them for a
    /// fraction of the exponentiation that ffmpeg does.
    pub(super) fn parse(bytes: &PublicKeyBytes) -> Result<Self, KeyError> {
        let number = U1024::from_be_slice(bytes);
        let modulus = Prime::PARAMS.modulus();
        if number <= U1024::ONE || number >= modulus.as_ref().wrapping_sub(&U1024::ONE) {
            return Err(KeyError::Range);
        }
        match number.jacobi_symbol_vartime(modulus) {
            JacobiSymbol::One => Ok(Self { element: Element::new(&number), bytes: *bytes }),
            JacobiSymbol::Zero | JacobiSymbol::MinusOne => Err(KeyError::Group),
        }
    }
}

fn power(base: &Element, exponent: &U256) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(base.pow(exponent).retrieve().to_be_bytes().as_ref());
    bytes
}

/// RC4 towards the end that has `receiver`, past the bytes that nobody uses.
fn cipher(shared: &[u8; KEY_BYTES], receiver: &PublicKeyBytes) -> Rc4 {
    let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, shared), receiver);
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(digest.as_ref().iter().take(16).cycle()) {
        *to = *from;
    }
    // RC4 repeats its key until 256 bytes: these 32 are the same key as the first 16.
    let mut cipher = Rc4::new(&key.into());
    cipher.apply_keystream(&mut [0; HANDSHAKE_BYTES]);
    cipher
}

const_monty_params!(
    Prime,
    U1024,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    "The second Oakley group's prime (RFC 2409 §6.2)."
);
const_monty_form!(Element, Prime, "A number of the group.");

/// RFC 2409 §6.2.
const GENERATOR: U1024 = U1024::from_u8(2);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill_by(step: usize, add: usize) -> impl FnMut(&mut [u8]) {
        move |room: &mut [u8]| {
            for (i, byte) in room.iter_mut().enumerate() {
                *byte = u8::try_from((i * step + add) & 255).unwrap();
            }
        }
    }

    /// The first half of the SHA-256.
    fn sha256(bytes: &[u8]) -> u128 {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        u128::from_be_bytes(*digest.as_ref().first_chunk().unwrap())
    }

    fn parse_small(number: u8) -> Result<(), KeyError> {
        let mut bytes = [0; KEY_BYTES];
        bytes[KEY_BYTES - 1] = number;
        PublicKey::parse(&bytes).map(|_| ())
    }

    #[test]
    fn keys_and_keystreams_are_those_of_another_program() {
        let client = PrivateKey::new(&mut fill_by(5, 1));
        let server = PrivateKey::new(&mut fill_by(7, 3));
        assert_eq!(sha256(client.public()), 0xfc34_6b9f_35c4_6753_f087_3b3c_c965_e2ed);
        assert_eq!(sha256(server.public()), 0x2963_f96c_aa11_5e3d_59da_73ea_7696_2166);
        let mut ciphers = client.ciphers(&PublicKey::parse(server.public()).unwrap());
        let mut up = [0; 16];
        ciphers.encrypt(&mut up);
        assert_eq!(u128::from_be_bytes(up), 0xa0dc_4eba_f80a_04cd_f47c_858c_cddc_c4f2);
        let mut down = [0; 16];
        ciphers.decrypt(&mut down);
        assert_eq!(u128::from_be_bytes(down), 0xfa5d_60ad_4925_3d87_8099_6982_d5bc_3c15);
    }

    #[test]
    fn answer_avoids_shared_bytes_that_begin_with_a_zero() {
        let client = PrivateKey::new(&mut fill_by(5, 1));
        let peer = PublicKey::parse(client.public()).unwrap();
        let unlucky = PrivateKey::new(&mut fill_by(7, 153));
        assert_eq!(unlucky.agree(&peer)[0], 0);
        let mut adds = [153, 153, 3].into_iter();
        let (public, _) = PrivateKey::answering(&peer, &mut |room| {
            fill_by(7, adds.next().unwrap())(room);
        });
        assert_eq!(public, *PrivateKey::new(&mut fill_by(7, 3)).public());
    }

    #[test]
    fn answer_stops_after_its_tries_when_chance_is_stuck() {
        let client = PrivateKey::new(&mut fill_by(5, 1));
        let peer = PublicKey::parse(client.public()).unwrap();
        let mut tries = 0;
        let _ = PrivateKey::answering(&peer, &mut |room| {
            tries += 1;
            fill_by(7, 153)(room);
        });
        assert_eq!(tries, RTMPE_KEY_TRIES_MAX);
    }

    #[test]
    fn key_must_be_of_the_group_and_neither_one_nor_its_opposite() {
        assert_eq!(parse_small(0), Err(KeyError::Range));
        assert_eq!(parse_small(1), Err(KeyError::Range));
        for member in [2, 3, 4, 7] {
            assert_eq!(parse_small(member), Ok(()));
        }
        for stranger in [5, 11, 13] {
            assert_eq!(parse_small(stranger), Err(KeyError::Group));
        }
        let modulus = Prime::PARAMS.modulus().as_ref();
        for below in 0..=1u8 {
            let mut bytes = [0; KEY_BYTES];
            let number = modulus.wrapping_sub(&U1024::from_u8(below));
            bytes.copy_from_slice(number.to_be_bytes().as_ref());
            assert!(matches!(PublicKey::parse(&bytes), Err(KeyError::Range)));
        }
        assert!(matches!(PublicKey::parse(&[255; KEY_BYTES]), Err(KeyError::Range)));
    }

    #[test]
    fn symbol_and_exponentiation_judge_keys_alike() {
        let half = Prime::PARAMS.modulus().as_ref().shr_vartime(1);
        for number in 2..64 {
            let power = Element::new(&U1024::from_u8(number)).pow(&half).retrieve();
            assert_eq!(parse_small(number).is_ok(), power == U1024::ONE, "{number}");
        }
    }

    #[test]
    fn key_is_drawn_even_without_random_bytes() {
        assert!(PublicKey::parse(PrivateKey::new(&mut |_| {}).public()).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn key_parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), KEY_BYTES)) {
            let bytes: PublicKeyBytes = bytes.try_into().unwrap();
            if let Ok(peer) = PublicKey::parse(&bytes) {
                let _ = PrivateKey::new(&mut fill_by(3, 9)).ciphers(&peer);
            }
        }
    }
}

//! Which cryptography TLS is made of: what other servers, cameras and players have, and no more.
//!
//! All of it is ring's, in the order in which we want it. Ed25519 and X25519 are not among it: no
//! public authority signs by the one, everybody who has the other has P-256 too (RFC 8446 §9.1
//! asks for it), and their tables take 32 KB of a board's flash.
//! Source: RFC 8446 §9.1; RFC 9325 §4.2, §4.5.

use core::fmt;
use ring::rand::SystemRandom;
use rustls::crypto::ring::{cipher_suite as suite, kx_group, sign};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme, SupportedCipherSuite};
use std::sync::Arc;
use webpki::ring as verify;

/// What clients and servers here are made of.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: vec![kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: ALL, mapping: MAPPING },
        secure_random: &Ring,
        key_provider: &Ring,
    })
}

/// AES first, which most processors have; `ChaCha20` for boards that lack it. Every x86-64 machine
/// that is not a museum's has it.
const SUITES: &[SupportedCipherSuite] = &[
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    #[cfg(not(target_arch = "x86_64"))]
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    #[cfg(not(target_arch = "x86_64"))]
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    #[cfg(not(target_arch = "x86_64"))]
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

const ALL: Algorithms = &[
    verify::ECDSA_P256_SHA256,
    verify::ECDSA_P256_SHA384,
    verify::ECDSA_P384_SHA256,
    verify::ECDSA_P384_SHA384,
    verify::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    verify::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    verify::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    verify::RSA_PKCS1_2048_8192_SHA256,
    verify::RSA_PKCS1_2048_8192_SHA384,
    verify::RSA_PKCS1_2048_8192_SHA512,
];

// TLS 1.2 leaves the curve open, TLS 1.3 takes the first of a row (RFC 8446 §4.2.3).
const MAPPING: &[(SignatureScheme, Algorithms)] = &[
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        &[verify::ECDSA_P256_SHA256, verify::ECDSA_P384_SHA256],
    ),
    (
        SignatureScheme::ECDSA_NISTP384_SHA384,
        &[verify::ECDSA_P384_SHA384, verify::ECDSA_P256_SHA384],
    ),
    (SignatureScheme::RSA_PSS_SHA256, &[verify::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
    (SignatureScheme::RSA_PSS_SHA384, &[verify::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
    (SignatureScheme::RSA_PSS_SHA512, &[verify::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
    (SignatureScheme::RSA_PKCS1_SHA256, &[verify::RSA_PKCS1_2048_8192_SHA256]),
    (SignatureScheme::RSA_PKCS1_SHA384, &[verify::RSA_PKCS1_2048_8192_SHA384]),
    (SignatureScheme::RSA_PKCS1_SHA512, &[verify::RSA_PKCS1_2048_8192_SHA512]),
];

/// Random bytes and keys of servers.
#[derive(Clone, Copy)]
struct Ring;

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring")
    }
}

impl SecureRandom for Ring {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        ring::rand::SecureRandom::fill(&SystemRandom::new(), bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        match sign::RsaSigningKey::new(&key) {
            Ok(rsa) => Ok(Arc::new(rsa)),
            Err(_) => sign::any_ecdsa_type(&key),
        }
    }
}

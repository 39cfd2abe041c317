//! A server that is believed for its key.
//!
//! Right for boxes with a certificate of their own: names, dates and authorities do not count.
//! Source: RFC 7469 §2.4 for what is pinned.

use super::TlsError;
use crate::limits::TLS_PIN_BYTES;
use base64ct::{Base64, Encoding as _};
use core::fmt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;

/// The SHA-256 of a public key, as it stands in a certificate (SPKI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; TLS_PIN_BYTES]);

impl Pin {
    /// Reads `sha256/` and the digest in base64, as curl and browsers write pins.
    ///
    /// # Errors
    /// `TlsError::Pin`.
    pub fn parse(text: &str) -> Result<Self, TlsError> {
        let digest = text.trim().strip_prefix(PREFIX).ok_or(TlsError::Pin)?;
        let mut pin = [0; TLS_PIN_BYTES];
        let pin = Base64::decode(digest, &mut pin).map_err(|_| TlsError::Pin)?;
        pin.try_into().map(Self).map_err(|_| TlsError::Pin)
    }

    /// The pin of a certificate's key.
    ///
    /// # Errors
    /// What rustls says of the certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let key = parsed.subject_public_key_info();
        let digest = ring::digest::digest(&ring::digest::SHA256, &key);
        let mut pin = [0; TLS_PIN_BYTES];
        pin.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self(pin))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = [0; 4 * TLS_PIN_BYTES.div_ceil(3)];
        let text = Base64::encode(&self.0, &mut room).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{text}")
    }
}

/// Believes one key.
#[derive(Debug)]
pub(super) struct PinVerifier {
    pub(super) pin: Pin,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Pin::of(end_entity)?;
        if seen == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(seen.to_string()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

const PREFIX: &str = "sha256/";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pin_is_that_of_openssl() {
        // SHA-256 of nothing: `openssl dgst -sha256 -binary </dev/null | openssl base64`.
        let text = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = Pin::parse(text).unwrap();
        assert_eq!(&pin.0[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pin.to_string(), text);
        let digest = &text["sha256/".len()..];
        for wrong in ["", "sha256/", digest, &text[..50], &format!("{text}="), "sha256/AAAA"] {
            assert!(Pin::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn pins_are_read_as_they_are_written(digest in any::<[u8; TLS_PIN_BYTES]>()) {
            let pin = Pin(digest);
            prop_assert_eq!(Pin::parse(&pin.to_string()).unwrap(), pin);
        }

        #[test]
        fn no_text_makes_a_pin_panic(text in ".{0,80}", behind in "[A-Za-z0-9+/=]{0,80}") {
            let _refused = Pin::parse(&text);
            let _either = Pin::parse(&format!("sha256/{behind}"));
        }
    }
}

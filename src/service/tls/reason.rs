//! Why there is no TLS, or no more of it, in words for the person on the phone.
//!
//! Sorts the errors of rustls by what a person can do about them.
//! Source: RFC 5246 §7.2, RFC 8446 §6.

use super::Pin;
use crate::limits::TLS_PIN_BYTES;
use rustls::{CertificateError, InconsistentKeys};
use std::io;

/// Why there is no TLS, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Malformed: a peer that speaks something else.
    #[error(
        "peer does not speak TLS, its first byte is {first:#04x}: use rtmps:// here, and rtmp:// \
         on the port of rtmp.listen"
    )]
    NotTls {
        /// What came instead of a record.
        first: u8,
    },
    /// Malformed: a server that speaks something else.
    #[error("the server does not speak TLS on this port: use rtmp://, or its port for rtmps://")]
    NoTlsServer,
    /// Misbehaved: the end, before the handshake's.
    #[error("peer ended the connection during the TLS handshake: does it speak TLS on this port?")]
    Closed,
    /// Exhausted: the places for connections within TLS.
    #[error("every place for TLS is taken: raise limits.tls")]
    Places,
    /// Misbehaved: the certificate is for somebody else.
    #[error("the server's certificate is for another name: use a name it holds, or pin its key")]
    WrongName,
    /// Misbehaved: nobody whom we trust has signed it.
    #[error("nobody trusted signed the server's certificate: give its CA file, or pin its key")]
    UnknownIssuer,
    /// Misbehaved: its time is over.
    #[error("the server's certificate has expired: renew it there, or mend the clock here")]
    Expired,
    /// Misbehaved: its time has not come.
    #[error("the server's certificate is not valid yet: the clock here is likely wrong")]
    NotYetValid,
    /// Unsupported or malformed: a certificate that no name, date or authority can mend.
    #[error("the server's certificate cannot be used ({cause}): mend it there, or pin its key")]
    Certificate {
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Misbehaved: another key than the pinned one.
    #[error("the server's key is {seen}, another one is pinned: pin this one if it is right")]
    WrongKey {
        /// Its key.
        seen: Pin,
    },
    /// Misbehaved: the peer does not take our certificate, or found nothing in common.
    #[error("peer ended the handshake with alert {alert}")]
    Refused {
        /// The peer's word.
        alert: String,
    },
    /// Malformed or misbehaved in another way.
    #[error("TLS handshake or record is broken: {0}")]
    Broken(&'static str),
    /// Exhausted: handshake messages that fill the buffer.
    #[error("a handshake message is longer than {max} bytes")]
    TooLong {
        /// The buffer.
        max: usize,
    },
    /// Malformed: a file of certificates or keys.
    #[error("{what} {file}: {cause}; it must be PEM")]
    File {
        /// What should be in it.
        what: &'static str,
        /// Where it is.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Malformed: a key for another certificate.
    #[error("the key is not that of the certificate: give the files that belong together")]
    OtherKey,
    /// Malformed: the text of a pin.
    #[error("a pin is sha256/ and {TLS_PIN_BYTES} bytes in base64: the SHA-256 of the key (SPKI)")]
    Pin,
    /// Misbehaved: two ways to believe.
    #[error("ca_file and pin are two ways to believe a server: set one of them")]
    TwoTrusts,
    /// Malformed: a host that is neither name nor address.
    #[error("{host} is neither a name nor an address")]
    Host {
        /// As it was given.
        host: String,
    },
}

impl From<rustls::Error> for TlsError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
    fn from(error: rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName,
            E::InvalidCertificate(CertificateError::UnknownIssuer) => Self::UnknownIssuer,
            E::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::Expired,
            E::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Self::NotYetValid,
            E::InvalidCertificate(error) => Self::Certificate { cause: certificate(&error) },
            E::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::OtherKey,
            E::AlertReceived(alert) => Self::Refused { alert: format!("{alert:?}") },
            E::InvalidMessage(_) => Self::Broken("a message is malformed"),
            E::InappropriateMessage { .. } | E::InappropriateHandshakeMessage { .. } => {
                Self::Broken("a message is out of turn")
            }
            E::DecryptError => Self::Broken("a record does not decrypt"),
            E::PeerSentOversizedRecord => Self::Broken("a record is too long"),
            E::PeerIncompatible(_) => {
                Self::Broken("peer has nothing in common with us: it needs TLS 1.2 or 1.3")
            }
            E::PeerMisbehaved(_) => Self::Broken("peer breaks a rule of the handshake"),
            E::FailedToGetRandomBytes => Self::Broken("the kernel has no random bytes"),
            E::General(_) => Self::Broken("a key cannot be used: it must be ECDSA or RSA"),
            _ => Self::Broken("it cannot go on"),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// What is wrong with a certificate, where its name, its dates and its authority are not.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
const fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::BadEncoding => "it is malformed",
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::Revoked => "it is revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers"
        }
        CertificateError::UnhandledCriticalExtension => "it asks for what is unknown here",
        _ => "it is an authority's own, or signed in a way that is unknown here",
    }
}

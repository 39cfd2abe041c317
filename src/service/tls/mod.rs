//! TLS: what a server shows, what a client believes, and the records of one connection.
//!
//! The only folder that knows rustls. The box shows a certificate from files, or one that it makes
//! for itself; as a client it believes authorities or one key. Logs only the making of the own
//! certificate.
//! Source: RFC 5246, RFC 8446; pins are of what RFC 7469 §2.4 pins.

mod own;
mod room;
mod stream;

pub use stream::TlsStream;

use crate::limits::{TLS_PIN_BYTES, TLS_PLAIN_BYTES, TLS_SESSIONS_MAX};
use core::cell::RefCell;
use core::fmt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, ServerSessionMemoryCache, UnbufferedServerConnection};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use stream::Side;

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
    /// Malformed or misbehaved in one of the ways that rustls knows.
    #[error("TLS: {0}")]
    Broken(rustls::Error),
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
    /// Malformed: the text of a pin.
    #[error("a pin is 64 hexadecimal digits: the SHA-256 of the key (SPKI)")]
    Pin,
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
            E::AlertReceived(alert) => Self::Refused { alert: format!("{alert:?}") },
            _ => Self::Broken(error),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The SHA-256 of a public key, as it stands in a certificate (SPKI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; TLS_PIN_BYTES]);

impl Pin {
    /// Reads 64 hexadecimal digits; colons between them do not count.
    ///
    /// # Errors
    /// `TlsError::Pin`.
    pub fn parse(text: &str) -> Result<Self, TlsError> {
        let mut pin = [0; TLS_PIN_BYTES];
        let mut digits = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        for byte in &mut pin {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(TlsError::Pin);
            };
            *byte = u8::try_from(high << 4 | low).map_err(|_| TlsError::Pin)?;
        }
        if digits.next().is_some() { Err(TlsError::Pin) } else { Ok(Self(pin)) }
    }

    fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the TLS ports of this box show; shared by all of them.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    staging: Staging,
    pin: Pin,
}

impl TlsServer {
    /// Shows the certificates of one PEM file, the box's own first, with the key of another.
    ///
    /// # Errors
    /// `TlsError::File`, or what rustls says against them.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Self::from_pem(&pem(certificate, "certificate")?, &pem(key, "key")?)
    }

    /// Shows the box's own certificate, kept in `folder`; made there when it is not there yet.
    /// Without a folder that can be written it is kept in memory, and another after a restart.
    ///
    /// # Errors
    /// What rustls says, which it should not.
    pub fn own(folder: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        if certificate.exists() || key.exists() {
            match Self::from_files(&certificate, &key) {
                Ok(server) => return Ok(server),
                Err(error) => log::warn!("tls certificate unusable cause=\"{error}\" cure=new"),
            }
        }
        let (certificate_pem, key_pem) = own::make(YEARS).map_err(|error| TlsError::File {
            what: "certificate",
            file: certificate.display().to_string(),
            cause: error.to_string(),
        })?;
        let kept = fs::create_dir_all(folder)
            .and_then(|()| own::keep(&key, key_pem.as_bytes(), 0o600))
            .and_then(|()| own::keep(&certificate, certificate_pem.as_bytes(), 0o644));
        let server = Self::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes())?;
        let (folder, pin) = (folder.display(), server.pin);
        match kept {
            Ok(()) => log::info!("tls certificate made folder={folder} pin={pin}"),
            Err(error) => log::warn!(
                "tls certificate not kept folder={folder} pin={pin} cause=\"{error}\" \
                 cure=\"set tls.dir to a folder that can be written\""
            ),
        }
        Ok(server)
    }

    /// The pin of what is shown.
    #[must_use]
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// The server's end of a connection, before its first byte.
    ///
    /// # Errors
    /// What rustls says, which it should not.
    pub fn stream(&self) -> Result<TlsStream, TlsError> {
        let side = UnbufferedServerConnection::new(Arc::clone(&self.config))?;
        Ok(TlsStream::new(Side::Server(side), &self.staging))
    }

    fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::File {
            what: "key",
            file: String::new(),
            cause: error.to_string(),
        })?;
        let pin = chain.first().map(Pin::of).transpose()?.ok_or(TlsError::Pin)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_MAX);
        Ok(Self { config: Arc::new(config), staging: staging(), pin })
    }
}

/// Whom a client believes.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The authorities that browsers know.
    Roots,
    /// The authorities in a PEM file.
    File(&'a Path),
    /// One key, whatever its certificate says: right for boxes with a certificate of their own.
    Key(Pin),
}

/// How this box speaks to other servers.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    staging: Staging,
}

impl TlsClient {
    /// A client that believes as `trust` says.
    ///
    /// # Errors
    /// `TlsError::File`.
    pub fn new(trust: Trust<'_>) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let mut roots = RootCertStore::empty();
        let mut config = match trust {
            Trust::Key(pin) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(PinVerifier { pin, provider }))
                .with_no_client_auth(),
            Trust::File(file) => {
                for certificate in certificates(&pem(file, "CA file")?)? {
                    roots.add(certificate)?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Trust::Roots => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        config.resumption = Resumption::in_memory_sessions(TLS_SESSIONS_MAX);
        Ok(Self { config: Arc::new(config), staging: staging() })
    }

    /// The client's end of a connection to `host`, before its first byte.
    ///
    /// # Errors
    /// `TlsError::Host`.
    pub fn stream(&self, host: &str) -> Result<TlsStream, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::Host { host: host.to_owned() })?;
        let side = UnbufferedClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(TlsStream::new(Side::Client(side), &self.staging))
    }
}

/// Plaintext of one record on its way to be encrypted; used within one call only.
type Staging = Rc<RefCell<Box<[u8]>>>;

/// Believes one key.
#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
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

/// Years in which the own certificate is valid: those in which the box may live. Whoever pins it
/// looks at its key, and a box whose clock is in 1970 makes the same.
const YEARS: [u16; 2] = [2020, 2120];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

fn staging() -> Staging {
    Rc::new(RefCell::new(vec![0; TLS_PLAIN_BYTES].into()))
}

fn pem(file: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    own::read(file).map_err(|error| TlsError::File {
        what,
        file: file.display().to_string(),
        cause: error.to_string(),
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |cause: String| TlsError::File { what: "certificate", file: String::new(), cause };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| refuse(error.to_string()))?;
    if chain.is_empty() { Err(refuse("no certificate in it".to_owned())) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{IoSlice, IoSliceMut};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    fn server(years: [u16; 2]) -> TlsServer {
        let (certificate, key) = own::make(years).unwrap();
        TlsServer::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    fn sockets() -> (UnixStream, UnixStream) {
        let (a, b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        (a, b)
    }

    /// The handshake of both ends: why the client gives up, if it does.
    fn shake(server: &TlsServer, client: &TlsClient, host: &str) -> Result<Ends, String> {
        let (near, far) = sockets();
        let (mut ours, mut theirs) = (client.stream(host).unwrap(), server.stream().unwrap());
        for _ in 0..10 {
            if ours.shake(&near).map_err(|error| error.to_string())? {
                let _tickets = theirs.shake(&far).unwrap();
                return Ok(Ends { near, far, ours, theirs });
            }
            let _done = theirs.shake(&far).unwrap();
        }
        panic!("no handshake in ten turns");
    }

    struct Ends {
        near: UnixStream,
        far: UnixStream,
        ours: TlsStream,
        theirs: TlsStream,
    }

    #[test]
    fn stream_carries_bytes_into_slices_of_any_size() {
        let server = server(YEARS);
        let client = TlsClient::new(Trust::Key(server.pin())).unwrap();
        let mut ends = shake(&server, &client, "any.name").unwrap();
        let sent: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let (mut at, mut got) = (0, Vec::<u8>::new());
        for turn in 0_usize.. {
            if at < sent.len() {
                let (a, b) = sent[at..].split_at((sent.len() - at).min(11));
                match ends.ours.write(&ends.near, &[IoSlice::new(a), IoSlice::new(b)]) {
                    Ok(bytes) => {
                        assert!(bytes <= TLS_PLAIN_BYTES);
                        at += bytes;
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            let (mut a, mut b) = (vec![0; 1 + turn % 700], vec![0; turn * 37 % 20_000]);
            let mut room = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
            match ends.theirs.read(&ends.far, &mut room) {
                Ok(bytes) => got.extend(a.iter().chain(&b).take(bytes)),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            if got.len() == sent.len() {
                break;
            }
        }
        assert!(got == sent);
        ends.ours.finish(&ends.near);
        assert_eq!(ends.theirs.read(&ends.far, &mut [IoSliceMut::new(&mut [0])]).unwrap(), 0);
    }

    #[test]
    fn client_says_in_plain_words_whom_it_does_not_believe() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let with = |years| {
            let (certificate, key) = own::make(years).unwrap();
            fs::write(&file, &certificate).unwrap();
            let server = TlsServer::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
            (server, TlsClient::new(Trust::File(&file)).unwrap())
        };
        let why = |server: &_, client: &_, host: &_| shake(server, client, host).err().unwrap();
        let (right, client) = with(YEARS);
        assert!(shake(&right, &client, "rillcast.local").is_ok());
        assert!(why(&right, &client, "other.example").contains("another name"));
        let stranger = server(YEARS);
        let other = why(&stranger, &TlsClient::new(Trust::Roots).unwrap(), "localhost");
        assert!(other.contains("trusted"), "{other}");
        let pinned = TlsClient::new(Trust::Key(right.pin())).unwrap();
        let key = why(&stranger, &pinned, "localhost");
        assert!(key.contains(&stranger.pin().to_string()), "{key}");
        let (old, client) = with([2000, 2001]);
        assert!(why(&old, &client, "localhost").contains("expired"));
        let (new, client) = with([2200, 2201]);
        assert!(why(&new, &client, "localhost").contains("not valid yet"));
    }

    #[test]
    fn server_names_a_peer_that_speaks_no_tls_at_its_first_byte() {
        let server = server(YEARS);
        for first in [3, b'G', 0, 255] {
            let (mut near, far) = sockets();
            io::Write::write_all(&mut near, &[first]).unwrap();
            let error = server.stream().unwrap().shake(&far).unwrap_err().to_string();
            assert!(error.contains("rtmp.listen"), "{error}");
        }
    }

    #[test]
    fn server_ends_at_garbage_after_a_header_and_waits_for_half_a_hello() {
        let (mut near, far) = sockets();
        let mut stream = server(YEARS).stream().unwrap();
        io::Write::write_all(&mut near, &[22, 3, 1, 0, 200, 1]).unwrap();
        assert!(!stream.shake(&far).unwrap());
        assert!(stream.holds_part() && !stream.has_news());
        io::Write::write_all(&mut near, &[0xff; 600]).unwrap();
        assert!(stream.shake(&far).is_err());
    }

    #[test]
    fn pin_is_64_digits_with_or_without_colons() {
        let text = "00:ff".to_owned() + &"a5".repeat(TLS_PIN_BYTES - 2);
        let pin = Pin::parse(&text).unwrap();
        assert_eq!(Pin::parse(&pin.to_string()).unwrap(), pin);
        for wrong in ["", "0", &text[1..], &(text.clone() + "0"), &text.replace('f', "g")] {
            assert!(Pin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn own_certificate_is_kept_with_a_private_key_and_made_again_when_broken() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let first = TlsServer::own(&dir).unwrap().pin();
        let mode = fs::metadata(dir.join("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(TlsServer::own(&dir).unwrap().pin(), first);
        fs::write(dir.join("certificate.pem"), "no certificate").unwrap();
        assert_ne!(TlsServer::own(&dir).unwrap().pin(), first);
        // Below a file nobody can make a folder.
        let nowhere = dir.join("key.pem/below");
        assert!(TlsServer::own(&nowhere).is_ok());
    }

    #[test]
    fn file_is_read_up_to_its_limit() {
        use crate::limits::TLS_FILE_BYTES_MAX;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let most = usize::try_from(TLS_FILE_BYTES_MAX).unwrap();
        fs::write(&path, vec![b'x'; most]).unwrap();
        assert_eq!(own::read(&path).unwrap().len(), most);
        fs::write(&path, vec![b'x'; most + 1]).unwrap();
        assert!(own::read(&path).is_err());
    }

    #[test]
    fn handshake_message_longer_than_the_buffer_is_refused() {
        use crate::limits::{TLS_RX_BYTES, TLS_TX_BYTES};
        let (mut near, far) = sockets();
        let mut stream = server(YEARS).stream().unwrap();
        // A hello of 65535 bytes in records of 16 KiB, none of which ends it.
        let mut hello = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        hello.resize(5 + TLS_PLAIN_BYTES, 0);
        let mut outcome = Ok(false);
        for _ in 0..=TLS_RX_BYTES / TLS_TX_BYTES + 1 {
            io::Write::write_all(&mut near, &hello).unwrap();
            outcome = stream.shake(&far);
            if outcome.is_err() {
                break;
            }
            hello[5..9].fill(0);
        }
        assert!(outcome.is_err());
    }

    #[test]
    fn sessions_are_kept_up_to_their_limit() {
        let server = server(YEARS);
        let put = |i: usize| server.config.session_storage.put(i.to_le_bytes().into(), vec![1]);
        assert!((0..=2 * TLS_SESSIONS_MAX).all(put));
        let get = |i: usize| server.config.session_storage.get(&i.to_le_bytes()).is_some();
        let kept = (0..=2 * TLS_SESSIONS_MAX).filter(|i| get(*i)).count();
        assert!(kept <= TLS_SESSIONS_MAX && kept > 0, "{kept}");
    }
}

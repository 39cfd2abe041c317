//! TLS: what a server shows, what a client believes, and the records of one connection.
//!
//! The only folder that knows rustls. The box shows a certificate from files, or one that it makes
//! for itself; as a client it believes authorities or one key. Logs only the making of the own
//! certificate.
//! Source: RFC 5246, RFC 8446; pins are of what RFC 7469 §2.4 pins.

mod own;
mod pin;
mod places;
mod provider;
mod reason;
mod room;
mod stream;

pub use pin::Pin;
pub use reason::TlsError;
pub use stream::TlsStream;

use crate::limits::{
    TLS_PLAIN_BYTES, TLS_ROOTS_BYTES, TLS_RX_BYTES, TLS_SESSIONS_MAX, TLS_STATE_BYTES, TLS_TX_BYTES,
};
use core::cell::RefCell;
use core::fmt;
use pin::PinVerifier;
use places::Places;
use provider::provider;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ServerSessionMemoryCache, UnbufferedServerConnection};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use stream::Side;
use webpki_roots::TLS_SERVER_ROOTS;

/// Private memory of one connection within TLS, in bytes: its buffers, and what rustls holds.
pub const PLACE_BYTES: usize = TLS_RX_BYTES + TLS_PLAIN_BYTES + TLS_TX_BYTES + TLS_STATE_BYTES;

/// The same of a client's, with the authorities that it knows.
pub const CLIENT_BYTES: usize = PLACE_BYTES + TLS_ROOTS_BYTES;

/// What the TLS ports of this box show; shared by all of them.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    places: Places,
    staging: Staging,
    pin: Pin,
}

impl TlsServer {
    /// Shows the certificates of one PEM file, the box's own first, with the key of another; to
    /// so many connections at once.
    ///
    /// # Errors
    /// `TlsError::File`, or what rustls says against them.
    pub fn from_files(certificate: &Path, key: &Path, places: usize) -> Result<Self, TlsError> {
        Self::new(&Pem::read("certificate", certificate)?, &Pem::read("key", key)?, places)
    }

    /// Shows the box's own certificate, kept in `folder`; made there when it is not there yet.
    /// Without a folder that can be written it is kept in memory, and another after a restart.
    ///
    /// # Errors
    /// What rustls says, which it should not.
    pub fn own(folder: &Path, places: usize) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        if certificate.exists() || key.exists() {
            match Self::from_files(&certificate, &key, places) {
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
        let made = Pem { what: "certificate", file: &certificate, text: certificate_pem.into() };
        let made_key = Pem { what: "key", file: &key, text: key_pem.into() };
        let server = Self::new(&made, &made_key, places)?;
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
    /// `TlsError::Places`.
    pub fn stream(&self) -> Result<TlsStream, TlsError> {
        let side = UnbufferedServerConnection::new(Arc::clone(&self.config))?;
        TlsStream::new(Side::Server(Box::new(side)), &self.places, &self.staging)
    }

    fn new(certificate: &Pem<'_>, key: &Pem<'_>, places: usize) -> Result<Self, TlsError> {
        let chain = certificate.certificates()?;
        let key = PrivateKeyDer::from_pem_slice(&key.text).map_err(|error| key.fault(&error))?;
        let pin = chain.first().map(Pin::of).transpose()?.ok_or(TlsError::Pin)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_MAX);
        // librtmp (rtmpdump, and encoders built on it) takes a ticket that comes before its first
        // answer for an error, and hangs up.
        config.send_tls13_tickets = 0;
        let (config, places) = (Arc::new(config), Places::new(places));
        Ok(Self { config, places, staging: staging(), pin })
    }
}

/// Whom a client believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that browsers believe, as Mozilla lists them: built in.
    Roots,
    /// The authorities in a PEM file.
    File(PathBuf),
    /// One key, whatever its certificate says: right for boxes with a certificate of their own.
    Key(Pin),
}

impl Trust {
    /// As the options `ca_file` and `pin` say.
    ///
    /// # Errors
    /// `TlsError::Pin`, `TlsError::TwoTrusts`.
    pub fn of(ca_file: Option<&str>, pin: Option<&str>) -> Result<Self, TlsError> {
        match (ca_file, pin) {
            (None, None) => Ok(Self::Roots),
            (Some(file), None) => Ok(Self::File(file.into())),
            (None, Some(pin)) => Pin::parse(pin).map(Self::Key),
            (Some(_), Some(_)) => Err(TlsError::TwoTrusts),
        }
    }
}

/// How this box speaks to other servers.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    places: Places,
    staging: Staging,
}

impl TlsClient {
    /// A client that believes as `trust` says, with the place of one connection.
    ///
    /// # Errors
    /// `TlsError::File`.
    pub fn new(trust: &Trust) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let mut roots = RootCertStore::empty();
        let mut config = match trust {
            Trust::Key(pin) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(PinVerifier { pin: *pin, provider }))
                .with_no_client_auth(),
            Trust::File(file) => {
                let pem = Pem::read("CA file", file)?;
                // A system's whole list may hold some that we need not understand.
                let (added, _ignored) = roots.add_parsable_certificates(pem.certificates()?);
                if added == 0 {
                    return Err(pem.fault(&"no certificate in it is an authority's"));
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Trust::Roots => {
                roots.roots.extend_from_slice(TLS_SERVER_ROOTS);
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        // A push or pull lasts; what it would resume is older than servers remember.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), places: Places::new(1), staging: staging() })
    }

    /// The client's end of a connection to `host`, before its first byte.
    ///
    /// # Errors
    /// `TlsError::Host`; `TlsError::Places` while another connection lives.
    pub fn stream(&self, host: &str) -> Result<TlsStream, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::Host { host: host.to_owned() })?;
        let side = UnbufferedClientConnection::new(Arc::clone(&self.config), name)?;
        TlsStream::new(Side::Client(Box::new(side)), &self.places, &self.staging)
    }
}

/// Plaintext of one record on its way to be encrypted; used within one call only.
type Staging = Rc<RefCell<Box<[u8]>>>;

/// Years in which the own certificate is valid: those in which the box may live. Whoever pins it
/// looks at its key, and a box whose clock is in 1970 makes the same.
const YEARS: [u16; 2] = [2020, 2120];

fn staging() -> Staging {
    Rc::new(RefCell::new(vec![0; TLS_PLAIN_BYTES].into()))
}

/// A file of certificates or of a key.
struct Pem<'a> {
    what: &'static str,
    file: &'a Path,
    text: Vec<u8>,
}

impl<'a> Pem<'a> {
    fn read(what: &'static str, file: &'a Path) -> Result<Self, TlsError> {
        let mut pem = Self { what, file, text: Vec::new() };
        pem.text = own::read(file).map_err(|error| pem.fault(&error))?;
        Ok(pem)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        let chain = chain.map_err(|error| self.fault(&error))?;
        if chain.is_empty() { Err(self.fault(&"there is none in it")) } else { Ok(chain) }
    }

    fn fault(&self, cause: &impl fmt::Display) -> TlsError {
        let (what, file) = (self.what, self.file.display().to_string());
        TlsError::File { what, file, cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    fn pem(text: String) -> Pem<'static> {
        Pem { what: "", file: Path::new(""), text: text.into() }
    }

    fn server(years: [u16; 2]) -> TlsServer {
        let (certificate, key) = own::make(years).unwrap();
        TlsServer::new(&pem(certificate), &pem(key), 2).unwrap()
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
        let client = TlsClient::new(&Trust::Key(server.pin())).unwrap();
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
    fn first_byte_is_seen_and_stays_and_little_is_taken_for_it() {
        let server = server(YEARS);
        let client = TlsClient::new(&Trust::Key(server.pin())).unwrap();
        let mut ends = shake(&server, &client, "any.name").unwrap();
        let silent = ends.theirs.first(&ends.far).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        let record = vec![b'P'; TLS_PLAIN_BYTES];
        let mut fill = || {
            let mut all = 0;
            while let Ok(bytes) = ends.ours.write(&ends.near, &[IoSlice::new(&record)]) {
                all += bytes;
            }
            all
        };
        let mut sent = fill();
        for _ in 0..3 {
            assert_eq!(ends.theirs.first(&ends.far).unwrap(), Some(b'P'));
        }
        let more = fill();
        assert!(more <= 2 * TLS_RX_BYTES, "{more} bytes were taken from {sent}");
        sent += more;
        let mut room = vec![0; 5000];
        while sent > 0 {
            ends.ours.push(&ends.near).unwrap();
            let bytes = match ends.theirs.read(&ends.far, &mut [IoSliceMut::new(&mut room)]) {
                Ok(bytes) => bytes,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    continue;
                }
            };
            assert!(room[..bytes].iter().all(|byte| *byte == b'P'));
            sent -= bytes;
        }
        ends.ours.finish(&ends.near);
        assert_eq!(ends.theirs.first(&ends.far).unwrap(), None);
    }

    #[test]
    fn client_says_in_plain_words_whom_it_does_not_believe() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let with = |years| {
            let (certificate, key) = own::make(years).unwrap();
            fs::write(&file, &certificate).unwrap();
            let server = TlsServer::new(&pem(certificate), &pem(key), 1).unwrap();
            (server, TlsClient::new(&Trust::File(file.clone())).unwrap())
        };
        let why = |server: &_, client: &_, host: &_| shake(server, client, host).err().unwrap();
        let (right, client) = with(YEARS);
        assert!(shake(&right, &client, "rillcast.local").is_ok());
        assert!(why(&right, &client, "other.example").contains("another name"));
        let stranger = server(YEARS);
        let other = why(&stranger, &TlsClient::new(&Trust::Roots).unwrap(), "localhost");
        assert!(other.contains("trusted"), "{other}");
        let pinned = TlsClient::new(&Trust::Key(right.pin())).unwrap();
        let key = why(&stranger, &pinned, "localhost");
        assert!(key.contains(&stranger.pin().to_string()), "{key}");
        let (old, client) = with([2000, 2001]);
        assert!(why(&old, &client, "localhost").contains("expired"));
        let (new, client) = with([2200, 2201]);
        assert!(why(&new, &client, "localhost").contains("not valid yet"));
    }

    #[test]
    fn client_names_a_server_that_speaks_no_tls_or_goes_away() {
        let client = TlsClient::new(&Trust::Roots).unwrap();
        let (near, mut far) = sockets();
        io::Write::write_all(&mut far, &[3; 9]).unwrap();
        let error = client.stream("a").unwrap().shake(&near).unwrap_err().to_string();
        assert!(error.contains("use rtmp://"), "{error}");
        let (near, far) = sockets();
        drop(far);
        let error = client.stream("a").unwrap().shake(&near).unwrap_err().to_string();
        assert!(error.contains("does it speak TLS") || error.contains("roken"), "{error}");
    }

    #[test]
    fn places_are_lent_up_to_their_number_and_come_back() {
        let server = server(YEARS);
        let streams = [server.stream().unwrap(), server.stream().unwrap()];
        assert!(matches!(server.stream(), Err(TlsError::Places)));
        drop(streams);
        assert_eq!(server.places.free(), 2);
        // What rustls takes beside itself was measured: with messages in parts under 20 KiB.
        assert!(size_of::<UnbufferedServerConnection>() < TLS_STATE_BYTES / 4);
        server.stream().unwrap();
    }

    /// Debian's list has the same source, and came another way.
    #[test]
    fn authorities_built_in_are_those_of_debian_and_fit_the_budget() {
        let file = Path::new("/etc/ssl/certs/ca-certificates.crt");
        let mut debian = RootCertStore::empty();
        let all = Pem::read("CA file", file).unwrap().certificates().unwrap();
        let (added, ignored) = debian.add_parsable_certificates(all);
        assert!(added > 50 && ignored < 5, "{added} {ignored}");
        let key = |anchor: &rustls::pki_types::TrustAnchor<'_>| {
            (anchor.subject.to_vec(), anchor.subject_public_key_info.to_vec())
        };
        let known: std::collections::BTreeMap<_, _> = debian.roots.iter().map(key).collect();
        let same = TLS_SERVER_ROOTS.iter().map(key).filter(|(name, key)| {
            let here = known.get(name);
            assert!(here.is_none_or(|here| here == key), "another key: {name:?}");
            here.is_some()
        });
        let same = same.count();
        assert!(same > 80, "{same} of {}", TLS_SERVER_ROOTS.len());
        let bytes = |anchor: &rustls::pki_types::TrustAnchor<'_>| {
            let (name, key) = key(anchor);
            let constraints = anchor.name_constraints.as_ref().map_or(0, |some| some.len());
            size_of_val(anchor) + name.len() + key.len() + constraints
        };
        for roots in [&debian.roots[..], TLS_SERVER_ROOTS] {
            let bytes: usize = roots.iter().map(bytes).sum();
            assert!(bytes < TLS_ROOTS_BYTES * 3 / 4, "{bytes}");
        }
    }

    #[test]
    fn trust_is_one_of_roots_file_and_pin() {
        let pin = server(YEARS).pin();
        assert_eq!(Trust::of(None, None).unwrap(), Trust::Roots);
        assert_eq!(Trust::of(Some("/a"), None).unwrap(), Trust::File("/a".into()));
        assert_eq!(Trust::of(None, Some(&pin.to_string())).unwrap(), Trust::Key(pin));
        assert!(matches!(Trust::of(None, Some("sha256/x")), Err(TlsError::Pin)));
        assert!(matches!(Trust::of(Some("/a"), Some("sha256/x")), Err(TlsError::TwoTrusts)));
        let gone = TlsClient::new(&Trust::File("/nowhere/ca.pem".into())).unwrap_err();
        assert!(gone.to_string().starts_with("CA file /nowhere/ca.pem"), "{gone}");
    }

    #[test]
    fn key_of_another_certificate_is_refused() {
        let (one, two) = (own::make(YEARS).unwrap(), own::make(YEARS).unwrap());
        let error = TlsServer::new(&pem(one.0), &pem(two.1), 1).unwrap_err();
        assert!(matches!(error, TlsError::OtherKey), "{error}");
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
    fn own_certificate_is_kept_with_a_private_key_and_made_again_when_broken() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let first = TlsServer::own(&dir, 1).unwrap().pin();
        let mode = fs::metadata(dir.join("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(TlsServer::own(&dir, 1).unwrap().pin(), first);
        fs::write(dir.join("certificate.pem"), "no certificate").unwrap();
        assert_ne!(TlsServer::own(&dir, 1).unwrap().pin(), first);
        // Below a file nobody can make a folder.
        let nowhere = dir.join("key.pem/below");
        assert!(TlsServer::own(&nowhere, 1).is_ok());
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

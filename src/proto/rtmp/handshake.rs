//! The handshake, both ends: 1 + 1536 + 1536 bytes each way, before the chunk stream.
//!
//! The server answers C0 and C1 with S0, S1 and S2 in one go. If C1 carries a digest that verifies
//! in either layout, the answer is signed in the same layout, as Flash Player wants; if not, the
//! handshake is the simple one. What C2 and S2 hold is never enforced (Errata §3). Bytes after C2
//! or S2 are left for the chunk stream. TLS and HTTP are refused by name.
//! RTMPE, if it is allowed, is the signed handshake with a key in C1 and in S1; C2 and S2 are in
//! clear, all that follows them is not. One takes two exponentiations, during which nothing else is
//! done: `encryption` says how long that is.
//! Source: RTMP 1.0 §5.2; librtmp and ffmpeg for the digest and RTMPE. Not here: deadlines and how
//! often a peer may try, which are the service's; random numbers, which the caller gives.
//!
//! Quirks: S2 repeats C1 exactly, without the time of reading, since librtmp warns otherwise.
//! Encoders that say version 0 to 2 or 4 to 31 are answered with 3. ffmpeg, when it publishes over
//! RTMPE, sends the key-first layout and reads the digest-first one without looking: S1 has the key
//! in both places then. librtmp's server answers 8 to a client that says it is newer than 9.

use ring::hmac;

use crate::limits::HANDSHAKE_BYTES;
use crate::proto::rtmp::enchunk::{Outbox, OutboxFull};
use crate::proto::rtmp::encryption::{Ciphers, KeyError, PrivateKey, PublicKey};
use crate::time::Millis;
use crate::wire::rtmp::handshake::{
    CLIENT_VERSION, DIGEST_BYTES, ENCRYPTED_VERSION, Layout, Packet, Role, SERVER_VERSION, VERSION,
    Version, announces_digest, part_digest_and_key,
};

/// Why a connection is not RTMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Unsupported: RTMPE, which is not allowed here.
    #[error("peer wants rtmpe, which is not allowed here: use rtmps, or set rtmp.encryption")]
    Encrypted,
    /// Unsupported: RTMPE with scrambled signatures.
    #[error(
        "peer wants rtmpe version {version}, of which only 6 is known: use plain rtmp or rtmps"
    )]
    Scrambled {
        /// The first byte: 8 or 9.
        version: u8,
    },
    /// Misbehaved: the server would go on in clear.
    #[error("server answers rtmpe with version 3, without encryption: use plain rtmp")]
    InClear,
    /// Malformed: RTMPE without the digest that says where the key is.
    #[error("peer wants rtmpe, but its packet has no digest that is right")]
    Unsigned,
    /// Malformed: RTMPE without a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Unsupported: TLS on the plain port.
    #[error("peer speaks tls on the plain rtmp port: use rtmp:// or the rtmps port")]
    Tls,
    /// Misbehaved: HTTP on the RTMP port.
    #[error("peer speaks http on the rtmp port")]
    Http,
    /// Misbehaved: a version that RTMP forbids.
    #[error("peer speaks no rtmp: first byte is 0x{first:02x}")]
    Forbidden {
        /// The first byte.
        first: u8,
    },
    /// Exhausted: no room for the answer.
    #[error(transparent)]
    Full(#[from] OutboxFull),
}

/// Fills a buffer with random bytes.
pub type Fill<'f> = &'f mut dyn FnMut(&mut [u8]);

/// Whether a server takes part in RTMPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Peers that want it are refused.
    Refused,
    /// Peers that want it get it.
    Allowed,
}

/// The server's end.
#[derive(Debug)]
pub struct Server {
    state: State,
    encryption: Encryption,
    signed: Option<Layout>,
    ciphers: Option<Ciphers>,
}

impl Server {
    /// Waits for C0.
    #[must_use]
    pub const fn new(encryption: Encryption) -> Self {
        Self { state: State::WaitVersion, encryption, signed: None, ciphers: None }
    }

    /// Takes what it can of `input`, all that was received and not yet taken, and gives the number
    /// of bytes taken. C1 is taken whole. `now` goes into S1; any zero will do. What is left of
    /// `input` when this opens is still encrypted if there are ciphers.
    ///
    /// # Errors
    /// Why this is not RTMP, or `OutboxFull`.
    pub fn advance(
        &mut self,
        input: &[u8],
        now: Millis,
        fill: Fill<'_>,
        out: &mut Outbox,
    ) -> Result<usize, HandshakeError> {
        let check = |first| match (check_version(first)?, self.encryption) {
            (Kind::Encrypted, Encryption::Refused) => Err(HandshakeError::Encrypted),
            (kind, _) => Ok(kind),
        };
        self.state.advance(input, check, |c1, kind| {
            if kind == Kind::Encrypted {
                let (layout, ciphers) = answer_encrypted(c1, now, fill, out)?;
                self.signed = Some(layout);
                self.ciphers = Some(ciphers);
            } else {
                self.signed = answer(c1, now, fill, out)?;
            }
            Ok(())
        })
    }

    /// What all further bytes are encrypted with, once, when this is open; none for plain RTMP.
    /// What of the handshake still waits to be sent goes in clear.
    pub const fn take_ciphers(&mut self) -> Option<Ciphers> {
        if self.is_open() { self.ciphers.take() } else { None }
    }

    /// Whether C2 has arrived: the chunk stream follows.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether not even C0 has been taken.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        matches!(self.state, State::WaitVersion)
    }

    /// The layout in which C1 was signed and answered; none for the simple handshake.
    #[must_use]
    pub const fn signed(&self) -> Option<Layout> {
        self.signed
    }
}

/// How a client opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// As RTMP 1.0 has it.
    Simple,
    /// With a digest in C1, which servers that need none ignore.
    Signed,
    /// RTMPE.
    Encrypted,
}

/// The client's end.
#[derive(Debug)]
pub struct Client {
    state: State,
    signing: bool,
    salt: [u8; DIGEST_BYTES],
    key: Option<PrivateKey>,
    ciphers: Option<Ciphers>,
}

impl Client {
    /// Sends C0 and C1.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn start(
        hello: Hello,
        now: Millis,
        fill: Fill<'_>,
        out: &mut Outbox,
    ) -> Result<Self, HandshakeError> {
        let (first, layout) = match hello {
            Hello::Simple => (VERSION, None),
            Hello::Signed => (VERSION, Some(Layout::DigestFirst)),
            Hello::Encrypted => (ENCRYPTED_VERSION, Some(Layout::KeyFirst)),
        };
        let key = (hello == Hello::Encrypted).then(|| PrivateKey::new(fill));
        let version = if layout.is_some() { CLIENT_VERSION } else { [0; 4] };
        open(out, first, head(now, version), fill, |c1| {
            if let (Some(layout), Some(key)) = (layout, &key) {
                layout.place_key(c1, key.public());
            }
            if let Some(layout) = layout {
                sign(Role::Client, layout, c1);
            }
        })?;
        let signing = layout.is_some();
        let salt = [0; DIGEST_BYTES];
        Ok(Self { state: State::WaitVersion, signing, salt, key, ciphers: None })
    }

    /// Takes what it can of `input`, all that was received and not yet taken, and gives the number
    /// of bytes taken. S1 is taken whole and answered with C2.
    ///
    /// # Errors
    /// Why this is not RTMP, or `OutboxFull`.
    pub fn advance(
        &mut self,
        input: &[u8],
        fill: Fill<'_>,
        out: &mut Outbox,
    ) -> Result<usize, HandshakeError> {
        let encrypting = self.key.is_some();
        let check = |first| match (check_version(first)?, encrypting) {
            (Kind::Clear, true) => Err(HandshakeError::InClear),
            (Kind::Encrypted, false) => Err(HandshakeError::Encrypted),
            (kind, _) => Ok(kind),
        };
        self.state.advance(input, check, |s1, _| {
            let layout = self.signing.then(|| verify(Role::Server, s1)).flatten();
            if let Some(last) = s1.last_chunk() {
                self.salt = *last;
            }
            if let Some(key) = self.key.take() {
                let layout = layout.ok_or(HandshakeError::Unsigned)?;
                self.ciphers = Some(key.ciphers(&PublicKey::parse(&layout.key(s1))?));
            }
            echo(Role::Client, s1, layout, fill, out)?;
            Ok(())
        })
    }

    /// What all further bytes are encrypted with, once, when this is open; none for plain RTMP.
    /// What of the handshake still waits to be sent goes in clear.
    pub const fn take_ciphers(&mut self) -> Option<Ciphers> {
        if self.is_open() { self.ciphers.take() } else { None }
    }

    /// The last bytes of S1, which salt the proof of a player's file; zero before S1.
    #[must_use]
    pub const fn salt(&self) -> &[u8; DIGEST_BYTES] {
        &self.salt
    }

    /// Whether S2 has arrived: the chunk stream follows.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }
}

/// What the version says of all that follows the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Clear,
    Encrypted,
}

/// What either end waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// C0 or S0.
    WaitVersion,
    /// C1 or S1, taken whole.
    WaitPacket { kind: Kind },
    /// C2 or S2, of which so many bytes are left.
    WaitEcho { left: usize },
    /// Nothing: the chunk stream follows.
    Open,
}

impl State {
    /// Takes what it can of `input` and gives the number of bytes taken. The version goes to
    /// `check`, C1 or S1 to `answer`.
    fn advance(
        &mut self,
        input: &[u8],
        check: impl Fn(u8) -> Result<Kind, HandshakeError>,
        mut answer: impl FnMut(&Packet, Kind) -> Result<(), HandshakeError>,
    ) -> Result<usize, HandshakeError> {
        let mut rest = input;
        loop {
            match *self {
                Self::WaitVersion => {
                    let Some((&first, tail)) = rest.split_first() else { break };
                    *self = Self::WaitPacket { kind: check(first)? };
                    rest = tail;
                }
                Self::WaitPacket { kind } => {
                    let Some((packet, tail)) = rest.split_first_chunk() else { break };
                    answer(packet, kind)?;
                    rest = tail;
                    *self = Self::WaitEcho { left: HANDSHAKE_BYTES };
                }
                Self::WaitEcho { left } if left > rest.len() => {
                    *self = Self::WaitEcho { left: left - rest.len() };
                    return Ok(input.len());
                }
                Self::WaitEcho { left } => {
                    rest = rest.get(left..).unwrap_or_default();
                    *self = Self::Open;
                }
                Self::Open => break,
            }
        }
        Ok(input.len() - rest.len())
    }
}

fn check_version(first: u8) -> Result<Kind, HandshakeError> {
    match Version::from(first) {
        Version::Plain(_) => Ok(Kind::Clear),
        Version::Encrypted => Ok(Kind::Encrypted),
        Version::Scrambled(version) => Err(HandshakeError::Scrambled { version }),
        Version::Tls => Err(HandshakeError::Tls),
        Version::Http(_) => Err(HandshakeError::Http),
        Version::Forbidden(first) => Err(HandshakeError::Forbidden { first }),
    }
}

/// Writes S0, S1 and S2; gives the layout that C1 was signed in.
fn answer(
    c1: &Packet,
    now: Millis,
    fill: Fill<'_>,
    out: &mut Outbox,
) -> Result<Option<Layout>, HandshakeError> {
    let layout = verify(Role::Client, c1);
    let version = if layout.is_some() { SERVER_VERSION } else { [0; 4] };
    open(out, VERSION, head(now, version), fill, |s1| {
        if let Some(layout) = layout {
            sign(Role::Server, layout, s1);
        }
    })?;
    echo(Role::Server, c1, layout, fill, out)?;
    Ok(layout)
}

/// Writes S0, S1 and S2 of RTMPE; gives the layout that C1 was signed in, and the ciphers.
fn answer_encrypted(
    c1: &Packet,
    now: Millis,
    fill: Fill<'_>,
    out: &mut Outbox,
) -> Result<(Layout, Ciphers), HandshakeError> {
    let layout = verify(Role::Client, c1).ok_or(HandshakeError::Unsigned)?;
    let peer = PublicKey::parse(&layout.key(c1))?;
    let (key, ciphers) = PrivateKey::answering(&peer, fill);
    open(out, ENCRYPTED_VERSION, head(now, SERVER_VERSION), fill, |s1| {
        if layout == Layout::KeyFirst {
            part_digest_and_key(s1);
            Layout::DigestFirst.place_key(s1, &key);
        }
        layout.place_key(s1, &key);
        sign(Role::Server, layout, s1);
    })?;
    echo(Role::Server, c1, Some(layout), fill, out)?;
    Ok((layout, ciphers))
}

/// The first bytes of C1 or S1: the time, and the version or zero.
fn head(now: Millis, version: [u8; 4]) -> [u8; 8] {
    let mut head = [0; 8];
    let (time, words) = head.split_at_mut(4);
    time.copy_from_slice(&now.0.to_be_bytes());
    words.copy_from_slice(&version);
    head
}

/// Writes C0 and C1, or S0 and S1.
fn open(
    out: &mut Outbox,
    first: u8,
    head: [u8; 8],
    fill: Fill<'_>,
    finish: impl FnOnce(&mut Packet),
) -> Result<(), HandshakeError> {
    let room = out.raw(1 + HANDSHAKE_BYTES)?;
    if let Some((version, room)) = room.split_first_mut() {
        *version = first;
        if let Some((packet, _)) = room.split_first_chunk_mut::<HANDSHAKE_BYTES>() {
            let (words, filler) = packet.split_at_mut(8);
            words.copy_from_slice(&head);
            fill(filler);
            finish(packet);
        }
    }
    Ok(())
}

/// Writes C2 or S2: signed if the peer's packet was, else the peer's packet again.
fn echo(
    role: Role,
    peer: &Packet,
    layout: Option<Layout>,
    fill: Fill<'_>,
    out: &mut Outbox,
) -> Result<(), HandshakeError> {
    let room = out.raw(HANDSHAKE_BYTES)?;
    let Some(layout) = layout else {
        room.copy_from_slice(peer);
        return Ok(());
    };
    let (_, peer_digest, _) = layout.split(peer);
    let (filler, signature) = room.split_at_mut(HANDSHAKE_BYTES - DIGEST_BYTES);
    fill(filler);
    let long_key = key(&[role.digest_key(), role.signature_key_tail()]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&long_key, peer_digest).as_ref());
    signature.copy_from_slice(hmac::sign(&key, filler).as_ref());
    Ok(())
}

/// The layout in which a packet carries a digest by `role` that is right.
fn verify(role: Role, packet: &Packet) -> Option<Layout> {
    if !announces_digest(packet) {
        return None;
    }
    Layout::ALL.into_iter().find(|layout| {
        let (_, found, _) = layout.split(packet);
        digest(role, *layout, packet) == found
    })
}

fn sign(role: Role, layout: Layout, packet: &mut Packet) {
    let digest = digest(role, layout, packet);
    layout.place(packet, &digest);
}

/// HMAC-SHA256 of a packet without its digest.
fn digest(role: Role, layout: Layout, packet: &Packet) -> [u8; DIGEST_BYTES] {
    let (before, _, after) = layout.split(packet);
    let mut context = hmac::Context::with_key(&key(&[role.digest_key()]));
    context.update(before);
    context.update(after);
    let mut digest = [0; DIGEST_BYTES];
    for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    digest
}

/// A key of at most 68 bytes from its parts.
fn key(parts: &[&[u8]]) -> hmac::Key {
    let mut joined = heapless::Vec::<u8, 68>::new();
    for part in parts {
        let fits = joined.extend_from_slice(part).is_ok();
        debug_assert!(fits);
    }
    hmac::Key::new(hmac::HMAC_SHA256, &joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::*;
    use proptest::prelude::*;

    /// The digest vectors: packets and fillers by rule, digests computed by another program.
    mod data {
        use super::*;

        pub(super) fn byte(n: usize) -> u8 {
            u8::try_from(n & 255).unwrap()
        }

        pub(super) fn hex(text: &str) -> Vec<u8> {
            (0..text.len() / 2)
                .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
                .collect()
        }

        pub(super) fn c1() -> Packet {
            let mut packet = [0; HANDSHAKE_BYTES];
            packet[4..8].copy_from_slice(&CLIENT_VERSION);
            for (i, b) in packet[8..].iter_mut().enumerate() {
                *b = byte(i * 13 + 7);
            }
            packet
        }

        /// S1 takes 1528 random bytes, S2 and C2 take 1504.
        pub(super) fn fill_by(step: usize, add: usize) -> impl FnMut(&mut [u8]) {
            move |room: &mut [u8]| {
                let (step, add) = if room.len() == 1528 { (29, 7) } else { (step, add) };
                for (i, b) in room.iter_mut().enumerate() {
                    *b = byte(i * step + add);
                }
            }
        }

        pub(super) struct Vector {
            pub(super) layout: Layout,
            pub(super) c1_at: usize,
            pub(super) c1: &'static str,
            pub(super) s1_at: usize,
            pub(super) s1: &'static str,
            pub(super) s2: &'static str,
            pub(super) c2: &'static str,
        }

        pub(super) const VECTORS: [Vector; 2] = [
            Vector {
                layout: Layout::DigestFirst,
                c1_at: 118,
                c1: "24fa99f5c3d1875eb20129afe12c75f6f3c4b4c32e6c0f97610e61fe3e4c19d2",
                s1_at: 214,
                s1: "633abfe5f7b58bf096a6cf049a637a39f404c31cea780e721122d09899cccf43",
                s2: "8a3325e9e6e8bc861ae2ca9cb5a0f2b409d47f54782f76ac5aea423387b953cd",
                c2: "775d9ca6532b1d02c640a161db92905363fc3b8def819081b0828e1844098dab",
            },
            Vector {
                layout: Layout::KeyFirst,
                c1_at: 970,
                c1: "232a3052ea583eb617bca6e7daf292495d75d42cf1c6376724f7d7f5eeeb3698",
                s1_at: 810,
                s1: "37bac90d257c35c4dd477daa40306a6e20d22df7e1fd22971803101a9501b4ef",
                s2: "05792bba1ccca422110782dd0266607a3018ebcea9b77bddfa402d579120264e",
                c2: "c45fb77a62fc8b1044f930661626110f255cc5cb1ce8c44de615f872a647db3c",
            },
        ];
    }

    fn advance(server: &mut Server, input: &[u8], out: &mut Outbox) -> usize {
        server.advance(input, Millis(0), &mut fill_by(31, 3), out).unwrap()
    }

    fn refusal(first: u8) -> HandshakeError {
        Server::new(Encryption::Refused)
            .advance(&[first], Millis(0), &mut |_| {}, &mut Outbox::new())
            .unwrap_err()
    }

    #[test]
    fn handshake_signs_as_the_vectors_say_in_both_layouts() {
        for v in &VECTORS {
            let mut c1 = c1();
            sign(Role::Client, v.layout, &mut c1);
            assert_eq!(c1[v.c1_at..v.c1_at + 32], hex(v.c1));
            assert_eq!(verify(Role::Client, &c1), Some(v.layout));

            let mut out = Outbox::new();
            let mut server = Server::new(Encryption::Refused);
            let taken = advance(&mut server, &[&[3][..], &c1].concat(), &mut out);
            assert_eq!(taken, 1 + HANDSHAKE_BYTES);
            assert_eq!(server.signed(), Some(v.layout));
            let sent = out.pending();
            assert_eq!(sent.len(), 1 + 2 * HANDSHAKE_BYTES);
            assert_eq!(sent[..9], [3, 0, 0, 0, 0, 3, 5, 1, 1]);
            let s1: &Packet = sent[1..1537].try_into().unwrap();
            assert_eq!(s1[v.s1_at..v.s1_at + 32], hex(v.s1));
            assert_eq!(sent[3073 - 32..], hex(v.s2));

            let mut reply = Outbox::new();
            let layout = verify(Role::Server, s1);
            assert_eq!(layout, Some(v.layout));
            echo(Role::Client, s1, layout, &mut fill_by(37, 5), &mut reply).unwrap();
            assert_eq!(reply.pending()[HANDSHAKE_BYTES - 32..], hex(v.c2));
        }
    }

    #[test]
    fn server_answers_simple_when_c1_has_no_digest_or_a_wrong_one() {
        let mut wrong = c1();
        sign(Role::Client, Layout::DigestFirst, &mut wrong);
        wrong[1000] ^= 1;
        let mut none = c1();
        none[4..8].fill(0);
        for c1 in [wrong, none] {
            let mut out = Outbox::new();
            let mut server = Server::new(Encryption::Refused);
            advance(&mut server, &[&[3][..], &c1].concat(), &mut out);
            assert_eq!(server.signed(), None);
            let sent = out.pending();
            assert_eq!(sent[0], 3);
            assert_eq!(sent[5..9], [0; 4]);
            assert_eq!(sent[1537..], c1);
        }
    }

    #[test]
    fn server_keeps_bytes_after_c2_whatever_c2_says() {
        let mut input = vec![3];
        input.extend(c1());
        input.extend([0xee; HANDSHAKE_BYTES]);
        input.extend(b"\x03connect");
        let mut server = Server::new(Encryption::Refused);
        let taken = advance(&mut server, &input, &mut Outbox::new());
        assert!(server.is_open());
        assert_eq!(&input[taken..], b"\x03connect");
    }

    #[test]
    fn server_opens_when_split_at_every_byte() {
        let mut c1 = c1();
        sign(Role::Client, Layout::KeyFirst, &mut c1);
        let mut input = vec![3];
        input.extend(c1);
        input.extend([7; HANDSHAKE_BYTES]);
        input.push(0x42);
        let mut want = Outbox::new();
        advance(&mut Server::new(Encryption::Refused), &input, &mut want);
        for cut in 0..input.len() {
            let mut out = Outbox::new();
            let mut server = Server::new(Encryption::Refused);
            let taken = advance(&mut server, &input[..cut], &mut out);
            assert!(taken <= cut);
            assert_eq!(server.is_open(), cut == 3073);
            let taken = taken + advance(&mut server, &input[taken..], &mut out);
            assert!(server.is_open());
            assert_eq!(taken, 3073);
            assert_eq!(out.pending(), want.pending(), "{cut}");
        }
    }

    #[test]
    fn server_answers_nothing_before_c1_is_whole() {
        let mut out = Outbox::new();
        let mut server = Server::new(Encryption::Refused);
        assert_eq!(advance(&mut server, &[3; 1536], &mut out), 1);
        assert!(out.pending().is_empty());
    }

    #[test]
    fn server_answers_3_to_obsolete_and_future_versions() {
        for first in [0, 1, 2, 4, 5, 7, 31] {
            let mut out = Outbox::new();
            advance(
                &mut Server::new(Encryption::Refused),
                &[&[first][..], &c1()].concat(),
                &mut out,
            );
            assert_eq!(out.pending()[0], 3);
        }
    }

    #[test]
    fn server_refuses_rtmpe_tls_http_and_text_by_name() {
        assert_eq!(refusal(6), HandshakeError::Encrypted);
        for version in [8, 9] {
            assert_eq!(refusal(version), HandshakeError::Scrambled { version });
        }
        assert_eq!(refusal(0x16), HandshakeError::Tls);
        for first in *b"GPHO" {
            assert_eq!(refusal(first), HandshakeError::Http);
        }
        for first in [32, b'S', 255] {
            assert_eq!(refusal(first), HandshakeError::Forbidden { first });
        }
    }

    #[test]
    fn client_and_server_open_each_other_when_fed_byte_by_byte() {
        for hello in [Hello::Simple, Hello::Signed] {
            let (mut up, mut down) = (Outbox::new(), Outbox::new());
            let fill = &mut fill_by(5, 1);
            let mut client = Client::start(hello, Millis(7), fill, &mut up).unwrap();
            let mut server = Server::new(Encryption::Refused);
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            while !(client.is_open() && server.is_open()) {
                assert!(!(up.pending().is_empty() && down.pending().is_empty()));
                if let Some(&byte) = up.pending().first() {
                    up.sent(1);
                    to_server.push(byte);
                    let taken = advance(&mut server, &to_server, &mut down);
                    to_server.drain(..taken);
                }
                if let Some(&byte) = down.pending().first() {
                    down.sent(1);
                    to_client.push(byte);
                    let taken = client.advance(&to_client, fill, &mut up).unwrap();
                    to_client.drain(..taken);
                }
            }
            assert_eq!(server.signed().is_some(), hello == Hello::Signed);
            assert!(client.take_ciphers().is_none());
            assert!(server.take_ciphers().is_none());
            assert_eq!((up.total_sent(), down.total_sent()), (3073, 3073));
        }
    }

    /// C0, C1, and anything as C2, of a client that has drawn `key`.
    fn encrypted_input(layout: Layout, key: &PrivateKey) -> Vec<u8> {
        let mut c1 = c1();
        layout.place_key(&mut c1, key.public());
        sign(Role::Client, layout, &mut c1);
        [&[6][..], &c1, &[7; HANDSHAKE_BYTES]].concat()
    }

    #[test]
    fn server_opens_rtmpe_in_both_layouts_when_split_at_every_byte() {
        let key = PrivateKey::new(&mut fill_by(5, 1));
        for layout in Layout::ALL {
            let mut input = encrypted_input(layout, &key);
            let mut out = Outbox::new();
            advance(&mut Server::new(Encryption::Allowed), &input, &mut out);
            let s1: &Packet = out.pending()[1..].first_chunk().unwrap();
            assert_eq!(verify(Role::Server, s1), Some(layout));
            let mut peer = key.ciphers(&PublicKey::parse(&layout.key(s1)).unwrap());
            let mut secret = *b"connect";
            peer.encrypt(&mut secret);
            input.extend(secret);
            for cut in 0..input.len() {
                let mut out = Outbox::new();
                let mut server = Server::new(Encryption::Allowed);
                let taken = advance(&mut server, &input[..cut], &mut out);
                assert_eq!(server.is_open(), cut >= 3073);
                let taken = taken + advance(&mut server, &input[taken..], &mut out);
                assert_eq!(taken, 3073);
                let mut ciphers = server.take_ciphers().unwrap();
                assert!(server.take_ciphers().is_none());
                let mut rest = input[taken..].to_vec();
                ciphers.decrypt(&mut rest);
                assert_eq!(rest, b"connect", "{cut}");
            }
        }
    }

    #[test]
    fn server_has_no_ciphers_before_c2_is_whole() {
        let key = PrivateKey::new(&mut fill_by(5, 1));
        let input = encrypted_input(Layout::KeyFirst, &key);
        let mut server = Server::new(Encryption::Allowed);
        advance(&mut server, &input[..3072], &mut Outbox::new());
        assert!(server.take_ciphers().is_none());
    }

    #[test]
    fn server_puts_its_key_where_ffmpeg_looks_when_it_publishes() {
        let key = PrivateKey::new(&mut fill_by(5, 1));
        let input = encrypted_input(Layout::KeyFirst, &key);
        let mut out = Outbox::new();
        advance(&mut Server::new(Encryption::Allowed), &input, &mut out);
        let s1: &Packet = out.pending()[1..].first_chunk().unwrap();
        assert_eq!(Layout::KeyFirst.key(s1), Layout::DigestFirst.key(s1));
    }

    #[test]
    fn client_and_server_agree_over_rtmpe_both_ways() {
        let (mut up, mut down) = (Outbox::new(), Outbox::new());
        let fill = &mut fill_by(5, 1);
        let mut client = Client::start(Hello::Encrypted, Millis(7), fill, &mut up).unwrap();
        let mut server = Server::new(Encryption::Allowed);
        assert_eq!(advance(&mut server, up.pending(), &mut down), 1537);
        assert_eq!(server.signed(), Some(Layout::KeyFirst));
        up.sent(1537);
        assert_eq!(client.advance(down.pending(), fill, &mut up).unwrap(), 3073);
        assert_eq!(advance(&mut server, up.pending(), &mut down), 1536);
        let mut ends = [client.take_ciphers().unwrap(), server.take_ciphers().unwrap()];
        for from in [0, 1, 1, 0] {
            let mut bytes = vec![3; 1000];
            ends[from].encrypt(&mut bytes);
            assert!(bytes.iter().any(|&byte| byte != 3));
            let (first, second) = bytes.split_at_mut(1);
            ends[1 - from].decrypt(first);
            ends[1 - from].decrypt(second);
            assert_eq!(bytes, [3; 1000]);
        }
    }

    #[test]
    fn server_refuses_rtmpe_without_digest_or_with_a_key_that_is_none() {
        let key = PrivateKey::new(&mut fill_by(5, 1));
        let open = |input: &[u8]| {
            let mut server = Server::new(Encryption::Allowed);
            server.advance(input, Millis(0), &mut |_| {}, &mut Outbox::new()).unwrap_err()
        };
        let mut input = encrypted_input(Layout::KeyFirst, &key);
        input[1300] ^= 1;
        assert_eq!(open(&input), HandshakeError::Unsigned);
        let mut five = [0; 128];
        five[127] = 5;
        for (number, error) in
            [([0; 128], KeyError::Range), ([255; 128], KeyError::Range), (five, KeyError::Group)]
        {
            let mut c1 = c1();
            Layout::KeyFirst.place_key(&mut c1, &number);
            sign(Role::Client, Layout::KeyFirst, &mut c1);
            assert_eq!(open(&[&[6][..], &c1].concat()), HandshakeError::Key(error));
        }
        assert_eq!(open(&[8]), HandshakeError::Scrambled { version: 8 });
    }

    #[test]
    fn client_refuses_to_go_on_in_clear_or_to_be_encrypted_unasked() {
        let answer = |hello, first| {
            let mut out = Outbox::new();
            let fill = &mut fill_by(5, 1);
            let mut client = Client::start(hello, Millis(0), fill, &mut out).unwrap();
            client.advance(&[first], fill, &mut out).unwrap_err()
        };
        assert_eq!(answer(Hello::Encrypted, 3), HandshakeError::InClear);
        assert_eq!(answer(Hello::Signed, 6), HandshakeError::Encrypted);
        assert_eq!(answer(Hello::Encrypted, 8), HandshakeError::Scrambled { version: 8 });
    }

    #[test]
    fn client_refuses_an_answer_to_rtmpe_without_digest() {
        let mut out = Outbox::new();
        let fill = &mut fill_by(5, 1);
        let mut client = Client::start(Hello::Encrypted, Millis(0), fill, &mut out).unwrap();
        let answer = [&[6][..], &[1; HANDSHAKE_BYTES]].concat();
        assert_eq!(client.advance(&answer, fill, &mut out), Err(HandshakeError::Unsigned));
    }

    #[test]
    fn handshake_says_full_when_nothing_can_be_answered() {
        let mut out = Outbox::new();
        out.raw(crate::limits::OUTBOX_BYTES - 100).unwrap();
        let input = [&[3][..], &c1()].concat();
        let full =
            Server::new(Encryption::Refused).advance(&input, Millis(0), &mut |_| {}, &mut out);
        assert!(matches!(full, Err(HandshakeError::Full(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn server_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..4000),
            version in 0..32u8,
        ) {
            let input = [&[version][..], &bytes].concat();
            let mut out = Outbox::new();
            let mut server = Server::new(Encryption::Allowed);
            if let Ok(n) = server.advance(&input, Millis(1), &mut |_| {}, &mut out) {
                prop_assert!(n <= input.len());
                prop_assert_eq!(server.is_open(), input.len() >= 3073);
            }
        }
    }
}

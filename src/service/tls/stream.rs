//! The records of one connection within TLS.
//!
//! Owns no socket: it is given one for each call, keeps ciphertext in buffers of its own and
//! decrypts into the slices of the caller. Runs on rustls' unbuffered interface: one `recv` takes
//! many records, and a record is copied once after it was decrypted. Waits for nothing.
//! Source: RFC 5246 §6.2, RFC 8446 §5.

use super::places::{Place, Places};
use super::room::{Room, encode};
use super::{Pin, Staging, TlsError};
use crate::limits::TLS_RX_BYTES;
use core::fmt;
use core::ops::Range;
use rustls::InvalidMessage;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use std::io::{self, IoSlice, IoSliceMut};
use std::rc::Rc;

pub(super) enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Client(_) => "Client",
        })
    }
}

/// The records of one connection.
#[derive(Debug)]
pub struct TlsStream {
    side: Side,
    /// Ciphertext that came; what is not yet used of it is `held`.
    incoming: Box<[u8]>,
    held: Range<usize>,
    /// Decrypted bytes that found no room; those before `plain_from` are taken.
    plain: Vec<u8>,
    plain_from: usize,
    /// Ciphertext to be sent; those before `sent` are.
    outgoing: Vec<u8>,
    sent: usize,
    staging: Staging,
    /// Where the buffers came from.
    places: Places,
    is_open: bool,
    /// The first record came.
    is_tls: bool,
    ended: bool,
    fault: Option<TlsError>,
}

/// What a call wants of rustls.
enum Ask<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    Close,
}

/// Where rustls stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There may be more to do at once.
    Again,
    /// It needs more of the peer's bytes.
    Blocked,
    /// So many bytes of plaintext were encrypted.
    Open(usize),
    /// The peer has ended.
    Ended,
}

impl TlsStream {
    pub(super) fn new(side: Side, places: &Places, staging: &Staging) -> Result<Self, TlsError> {
        let Place { incoming, plain, outgoing } = places.lend().ok_or(TlsError::Places)?;
        Ok(Self {
            side,
            incoming,
            held: 0..0,
            plain,
            plain_from: 0,
            outgoing,
            sent: 0,
            staging: Rc::clone(staging),
            places: places.clone(),
            is_open: false,
            is_tls: false,
            ended: false,
            fault: None,
        })
    }

    /// Whether the handshake is done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether a read has something to say without a byte from the peer.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.plain_from < self.plain.len() || self.ended || self.fault.is_some()
    }

    /// Whether ciphertext waits for room in the socket.
    #[must_use]
    pub const fn has_unsent(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Whether a part of a record came.
    #[must_use]
    pub fn holds_part(&self) -> bool {
        !self.held.is_empty()
    }

    /// Reads as `socket` gives, decrypted into `room`. What is left of a record in it is given
    /// first next time; room that stays empty means that no record is complete.
    ///
    /// # Errors
    /// The kernel's, and `TlsError` within `InvalidData`.
    pub fn read(
        &mut self,
        mut socket: impl io::Read + io::Write,
        room: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let mut room = Room { slices: room, slice: 0, at: 0, taken: 0 };
        self.plain_from += room.put(self.plain.get(self.plain_from..).unwrap_or_default());
        if self.plain_from < self.plain.len() {
            return Ok(room.taken);
        }
        self.plain.clear();
        self.plain_from = 0;
        let mut drained = false;
        loop {
            let turn = self.turns(&mut room);
            self.push(&mut socket)?;
            match turn {
                Err(fault) if room.taken > 0 => {
                    self.fault = Some(fault);
                    return Ok(room.taken);
                }
                Err(fault) => return Err(fault.into()),
                Ok(_) if room.taken > 0 && (drained || self.has_news()) => return Ok(room.taken),
                Ok(Turn::Ended) => return Ok(0),
                // Without room nothing is taken, and more would have to be kept.
                Ok(_) if !self.plain.is_empty() => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(Turn::Again | Turn::Blocked | Turn::Open(_)) => {}
            }
            if drained {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let spare = self.spare()?;
            let all = spare.len();
            match socket.read(spare) {
                Ok(0) if room.taken == 0 => return Ok(0),
                Ok(bytes) => {
                    self.held.end += bytes;
                    drained = bytes < all;
                }
                Err(_) if room.taken > 0 => return Ok(room.taken),
                Err(error) => return Err(error),
            }
            self.check_first()?;
        }
    }

    /// Goes on with the handshake, and says whether it is done.
    ///
    /// # Errors
    /// The kernel's, and `TlsError` within `InvalidData`.
    pub fn shake(&mut self, socket: impl io::Read + io::Write) -> io::Result<bool> {
        match self.read(socket, &mut []) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) if !self.is_open => return Err(TlsError::Closed.into()),
            Ok(_) | Err(_) => {}
        }
        Ok(self.is_open)
    }

    /// The first of the decrypted bytes that no read has taken; none at the end.
    ///
    /// # Errors
    /// The kernel's, `WouldBlock` while there is none yet, and `TlsError` within `InvalidData`.
    pub fn first(&mut self, socket: impl io::Read + io::Write) -> io::Result<Option<u8>> {
        let read = self.read(socket, &mut []);
        match self.plain.get(self.plain_from) {
            Some(first) => Ok(Some(*first)),
            None => read.map(|_| None),
        }
    }

    /// Encrypts up to one record of `slices` and sends what the socket takes. Bytes that are said
    /// to be written are written here, and sent by `push`.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` while earlier records wait or the handshake lasts.
    pub fn write(
        &mut self,
        mut socket: impl io::Write,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.push(&mut socket)?;
        if self.has_unsent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let staging = Rc::clone(&self.staging);
        let mut staging = staging.borrow_mut();
        let mut staged = 0;
        for slice in slices {
            let space = staging.get_mut(staged..).unwrap_or_default();
            let bytes = slice.len().min(space.len());
            let (to, from) = (space.get_mut(..bytes), slice.get(..bytes));
            let (Some(to), Some(from)) = (to, from) else { break };
            to.copy_from_slice(from);
            staged += bytes;
        }
        if staged == 0 {
            return Ok(0);
        }
        let plain = staging.get(..staged).unwrap_or_default();
        loop {
            match self.turn(&Ask::Encrypt(plain), &mut Room::none())? {
                Turn::Again => {}
                Turn::Open(bytes) => {
                    self.push(&mut socket)?;
                    return Ok(bytes);
                }
                Turn::Ended => return Err(io::ErrorKind::BrokenPipe.into()),
                Turn::Blocked => {
                    self.push(&mut socket)?;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The kernel's, but for `WouldBlock`.
    pub fn push(&mut self, mut socket: impl io::Write) -> io::Result<()> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    /// Says the end (`close_notify`), if the socket takes it.
    pub fn finish(&mut self, socket: impl io::Write) {
        while self.fault.is_none()
            && let Ok(Turn::Again) = self.turn(&Ask::Close, &mut Room::none())
        {}
        // Whoever takes nothing need not hear it.
        let _sent = self.push(socket);
    }

    /// Goes on until rustls wants something from outside.
    fn turns(&mut self, room: &mut Room<'_, '_>) -> Result<Turn, TlsError> {
        loop {
            let turn = self.turn(&Ask::Nothing, room)?;
            if turn != Turn::Again || !self.plain.is_empty() {
                return Ok(turn);
            }
        }
    }

    fn turn(&mut self, ask: &Ask<'_>, room: &mut Room<'_, '_>) -> Result<Turn, TlsError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.ended {
            return Ok(Turn::Ended);
        }
        let held = self.incoming.get_mut(self.held.clone()).unwrap_or_default();
        let mut sink = Sink { room, plain: &mut self.plain, outgoing: &mut self.outgoing };
        let (used, turn) = match &mut self.side {
            Side::Server(side) => step(side.process_tls_records(held), ask, &mut sink),
            Side::Client(side) => step(side.process_tls_records(held), ask, &mut sink),
        };
        self.held.start += used;
        if self.held.is_empty() {
            self.held = 0..0;
        }
        match turn {
            Ok(turn) => {
                self.is_open |= matches!(turn, Turn::Open(_));
                self.ended |= turn == Turn::Ended;
                Ok(turn)
            }
            Err(error) => {
                self.alert();
                Err(self.blame(error))
            }
        }
    }

    /// Takes the alert that tells the peer what was wrong.
    fn alert(&mut self) {
        let mut sink =
            Sink { room: &mut Room::none(), plain: &mut self.plain, outgoing: &mut self.outgoing };
        let held = self.incoming.get_mut(self.held.clone()).unwrap_or_default();
        // The second call says the same error again; the first one had the alert, if any.
        let _told = match &mut self.side {
            Side::Server(side) => step(side.process_tls_records(held), &Ask::Nothing, &mut sink),
            Side::Client(side) => step(side.process_tls_records(held), &Ask::Nothing, &mut sink),
        };
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
    fn blame(&self, error: rustls::Error) -> TlsError {
        let first = self.incoming.get(self.held.start).copied().unwrap_or(0);
        match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) if !self.is_tls => self.not_tls(first),
            rustls::Error::General(words) => match Pin::parse(&words) {
                Ok(seen) => TlsError::WrongKey { seen },
                Err(_) => rustls::Error::General(words).into(),
            },
            other => other.into(),
        }
    }

    const fn not_tls(&self, first: u8) -> TlsError {
        match self.side {
            Side::Server(_) => TlsError::NotTls { first },
            Side::Client(_) => TlsError::NoTlsServer,
        }
    }

    /// Refuses a peer whose first byte begins no TLS record, before it says more.
    fn check_first(&mut self) -> Result<(), TlsError> {
        if !self.is_tls && self.held.start == 0 {
            let first = self.incoming.first().copied().unwrap_or(0);
            if first != HANDSHAKE && first != ALERT {
                return Err(self.not_tls(first));
            }
            self.is_tls = true;
        }
        Ok(())
    }

    /// Room for ciphertext, behind what is held.
    fn spare(&mut self) -> Result<&mut [u8], TlsError> {
        if self.held.end == self.incoming.len() {
            self.incoming.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        if self.held.len() == self.incoming.len() {
            return Err(TlsError::TooLong { max: TLS_RX_BYTES });
        }
        Ok(self.incoming.get_mut(self.held.end..).unwrap_or_default())
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.places.give_back(Place {
            incoming: core::mem::take(&mut self.incoming),
            plain: core::mem::take(&mut self.plain),
            outgoing: core::mem::take(&mut self.outgoing),
        });
    }
}

/// First bytes of records that may come first (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;

/// Where decrypted and encrypted bytes go.
struct Sink<'a, 'r, 's> {
    room: &'a mut Room<'r, 's>,
    plain: &'a mut Vec<u8>,
    outgoing: &'a mut Vec<u8>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "early data is never offered")]
/// One step of rustls: how many bytes of ciphertext are used up, and where it stands.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    ask: &Ask<'_>,
    sink: &mut Sink<'_, '_, '_>,
) -> (usize, Result<Turn, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let turn = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut records) => {
            while let Some(record) = records.next_record() {
                let record = record?;
                discard += record.discard;
                let put = if sink.plain.is_empty() { sink.room.put(record.payload) } else { 0 };
                sink.plain.extend_from_slice(record.payload.get(put..).unwrap_or_default());
            }
            Ok(Turn::Again)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            encode(sink.outgoing, |out| match data.encode(out) {
                Ok(bytes) => Ok(bytes),
                Err(EncodeError::InsufficientSize(short)) => Err(short.required_size),
                Err(EncodeError::AlreadyEncoded) => Ok(0),
            });
            Ok(Turn::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Turn::Again)
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let encrypted = match ask {
                Ask::Nothing => Ok(0),
                Ask::Encrypt(plain) => {
                    encode_or_end(sink.outgoing, |out| traffic.encrypt(plain, out))
                        .map(|()| plain.len())
                }
                Ask::Close => {
                    encode_or_end(sink.outgoing, |out| traffic.queue_close_notify(out)).map(|()| 0)
                }
            };
            encrypted.map(Turn::Open)
        }
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Turn::Ended),
        _ => Ok(Turn::Blocked),
    });
    (discard, turn)
}

fn encode_or_end(
    outgoing: &mut Vec<u8>,
    mut f: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), rustls::Error> {
    let mut exhausted = false;
    encode(outgoing, |out| match f(out) {
        Ok(bytes) => Ok(bytes),
        Err(EncryptError::InsufficientSize(short)) => Err(short.required_size),
        Err(EncryptError::EncryptExhausted) => {
            exhausted = true;
            Ok(0)
        }
    });
    if exhausted { Err(rustls::Error::EncryptError) } else { Ok(()) }
}

//! The bytes of one RTMP connection, however they travel.
//!
//! Whoever speaks RTMP reads and writes here without blocking and waits for news; what lies below
//! is a matter of how the link was made: the socket itself, TLS over it, HTTP requests over either.
//! What RTMPE encrypts is encrypted here, below all who read and write: what is written may be a
//! ring's, so it is copied for that into a block. Knows nothing else of RTMP, and has no deadlines:
//! the tick of its owner ends it.

use crate::proto::rtmp::seal::Seal;
use crate::service::reactor::{Bell, Reactor, Source};
use crate::service::tls::TlsStream;
use crate::service::tunnel;
use crate::service::tunnel_client::{Asker, Host, Redial};
use crate::sys::net::{self, keep_alive, wake_from};
use crate::sys::poll::Interest;
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::Rc;

/// A connection to one peer.
#[derive(Debug)]
pub struct Link {
    carrier: Carrier,
    /// Bytes that make it readable.
    gather: Cell<u32>,
    sealed: RefCell<Option<Box<Sealed>>>,
}

/// What RTMPE adds to a link.
#[derive(Debug)]
struct Sealed {
    seal: Seal,
    /// Whether nothing comes behind what waits.
    is_last: bool,
}

/// What the bytes travel by.
#[derive(Debug)]
enum Carrier {
    Tcp(Source<TcpStream>),
    Tls(Source<TcpStream>, RefCell<Box<TlsStream>>),
    Tunnel(tunnel::End),
    /// RTMPT over a link of another kind.
    Asker(Box<Asker>),
}

impl Link {
    /// A link over a connected socket.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(reactor: &Rc<Reactor>, socket: TcpStream) -> io::Result<Self> {
        Self::over(Carrier::Tcp, reactor, socket)
    }

    /// A link within TLS over a connected socket. Reading goes on with the handshake; nothing can
    /// be written before that is done.
    ///
    /// # Errors
    /// The kernel's.
    pub fn with_tls(reactor: &Rc<Reactor>, socket: TcpStream, tls: TlsStream) -> io::Result<Self> {
        let tls = RefCell::new(Box::new(tls));
        Self::over(|socket| Carrier::Tls(socket, tls), reactor, socket)
    }

    fn over(
        carrier: impl FnOnce(Source<TcpStream>) -> Carrier,
        reactor: &Rc<Reactor>,
        socket: TcpStream,
    ) -> io::Result<Self> {
        keep_alive(&socket);
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let carrier = carrier(Source::new(reactor, socket)?);
        Ok(Self { carrier, gather: Cell::new(1), sealed: RefCell::new(None) })
    }

    /// A link over the RTMP side of a tunnel.
    pub(super) const fn tunnelled(end: tunnel::End) -> Self {
        Self { carrier: Carrier::Tunnel(end), gather: Cell::new(1), sealed: RefCell::new(None) }
    }

    /// RTMPT over `link`: the session is opened at once, and bytes are sent when so many packets
    /// wait, or every 50 ms. Requests name `host`; when the connection ends, `redial` makes one.
    #[must_use]
    pub fn tunnel(
        reactor: &Rc<Reactor>,
        link: Self,
        host: Host,
        flush_packets: u32,
        redial: Redial,
    ) -> Self {
        let asker = Box::new(Asker::new(reactor, link, host, flush_packets, redial));
        Self { carrier: Carrier::Asker(asker), gather: Cell::new(1), sealed: RefCell::new(None) }
    }

    /// A link to `address`. May wait as long as the kernel does; who is less patient drops it.
    ///
    /// # Errors
    /// The kernel's: nobody listens, or no way there.
    pub async fn connect(reactor: &Rc<Reactor>, address: SocketAddr) -> io::Result<Self> {
        let link = Self::new(reactor, net::connect(address)?)?;
        link.connected().await?;
        Ok(link)
    }

    /// TLS over a link that is a socket, its handshake done. What it gives carries bytes as any
    /// other, tunnels too.
    ///
    /// # Errors
    /// The kernel's, and `TlsError` within `InvalidData`: whom we do not believe.
    pub async fn tls_client(self, tls: TlsStream) -> io::Result<Self> {
        let Carrier::Tcp(socket) = self.carrier else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let mut tls = Box::new(tls);
        while !tls.shake(socket.get_ref())? {
            let wanted = if tls.has_unsent() { Interest::Both } else { Interest::Read };
            socket.news(wanted, &Bell::default()).await?;
        }
        let carrier = Carrier::Tls(socket, RefCell::new(tls));
        Ok(Self { carrier, gather: self.gather, sealed: self.sealed })
    }

    async fn connected(&self) -> io::Result<()> {
        self.writable().await?;
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => {
                socket.get_ref().take_error()?.map_or(Ok(()), Err)
            }
            Carrier::Tunnel(_) | Carrier::Asker(_) => Ok(()),
        }
    }

    /// Whether a handshake of TLS is not done.
    #[must_use]
    pub fn is_shaking(&self) -> bool {
        matches!(&self.carrier, Carrier::Tls(_, tls) if !tls.borrow().is_open())
    }

    /// The first byte that was not read, waited for within TLS; none otherwise, and at the end.
    ///
    /// # Errors
    /// The kernel's, and `TlsError` within `InvalidData`.
    pub async fn first_within_tls(&self) -> io::Result<Option<u8>> {
        let Carrier::Tls(socket, tls) = &self.carrier else { return Ok(None) };
        loop {
            let first = tls.borrow_mut().first(socket.get_ref());
            match first {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                first => return first,
            }
        }
    }

    /// The socket and the TLS over it, for another who waits for their news.
    ///
    /// # Errors
    /// The kernel's; `Unsupported` of a link without TLS.
    pub fn into_tls(self) -> io::Result<(TcpStream, Box<TlsStream>)> {
        let Carrier::Tls(socket, tls) = self.carrier else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        Ok((socket.get_ref().try_clone()?, tls.into_inner()))
    }

    /// Waits for nothing: to be said before a task waits for something else.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rest(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => socket.rest(),
            // These ring only while somebody waits.
            Carrier::Tunnel(_) | Carrier::Asker(_) => Ok(()),
        }
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn readable(&self) -> io::Result<()> {
        if self.is_sealed() {
            return self.news(Interest::Read, &Bell::default()).await.map(drop);
        }
        match &self.carrier {
            Carrier::Tcp(socket) => socket.readable().await,
            Carrier::Tunnel(end) => {
                end.news(Interest::Read, None).await;
                Ok(())
            }
            Carrier::Asker(asker) => asker.news(Interest::Read, None).await.map(drop),
            // Nobody has this bell: it is about the socket alone.
            Carrier::Tls(..) => self.news(Interest::Read, &Bell::default()).await.map(drop),
        }
    }

    /// Waits until there is room to write. Within TLS that is not before the handshake is done,
    /// which only reading goes on with.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn writable(&self) -> io::Result<()> {
        if self.is_sealed() {
            return self.news(Interest::Write, &Bell::default()).await.map(drop);
        }
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => socket.writable().await,
            Carrier::Tunnel(end) => {
                end.news(Interest::Write, None).await;
                Ok(())
            }
            Carrier::Asker(asker) => asker.news(Interest::Write, None).await.map(drop),
        }
    }

    /// Waits for `wanted` or for `bell`, and says what of `wanted` is there.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn news(&self, wanted: Interest, bell: &Bell) -> io::Result<Interest> {
        loop {
            if !self.drain()? {
                return self.below(wanted, bell).await;
            }
            let reads = matches!(wanted, Interest::Read | Interest::Both);
            let below = if reads { Interest::Both } else { Interest::Write };
            let there = self.below(below, bell).await?;
            let read = reads && matches!(there, Interest::Read | Interest::Both);
            let write = matches!(wanted, Interest::Write | Interest::Both) && !self.drain()?;
            match (read, write) {
                (true, true) => return Ok(Interest::Both),
                (true, false) => return Ok(Interest::Read),
                (false, true) => return Ok(Interest::Write),
                (false, false) if there == Interest::None => return Ok(there),
                (false, false) => {}
            }
        }
    }

    /// Encrypts all that is written and decrypts all that is read from here on (RTMPE).
    pub fn encrypt(&self, seal: Seal) {
        *self.sealed.borrow_mut() = Some(Box::new(Sealed { seal, is_last: false }));
    }

    /// The block of `encrypt`, from a link that is over.
    #[must_use]
    pub fn take_block(&self) -> Option<Box<[u8]>> {
        self.sealed.take().map(|sealed| sealed.seal.into_block())
    }

    fn is_sealed(&self) -> bool {
        self.sealed.borrow().is_some()
    }

    /// Sends what is encrypted; whether some of it must wait.
    fn drain(&self) -> io::Result<bool> {
        let mut sealed = self.sealed.borrow_mut();
        let Some(Sealed { seal, is_last }) = sealed.as_deref_mut() else { return Ok(false) };
        while !seal.pending().is_empty() {
            match (&self.carrier).write(seal.pending()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => seal.sent(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if core::mem::take(is_last) {
            self.shut();
        }
        Ok(false)
    }

    /// Encrypts and sends; none if there is nothing to be encrypted.
    fn write_sealed(&self, slices: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if !self.is_sealed() {
            return None;
        }
        Some(self.drain().and_then(|_| {
            let taken = match self.sealed.borrow_mut().as_deref_mut() {
                Some(sealed) if sealed.seal.has_room() => sealed.seal.take(slices),
                Some(_) | None => return Err(io::ErrorKind::WouldBlock.into()),
            };
            self.drain().map(|_| taken)
        }))
    }

    async fn below(&self, wanted: Interest, bell: &Bell) -> io::Result<Interest> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.news(wanted, bell).await,
            Carrier::Tunnel(end) => Ok(end.news(wanted, Some(bell)).await),
            Carrier::Asker(asker) => asker.news(wanted, Some(bell)).await,
            Carrier::Tls(socket, tls) => tls_news(socket, tls, wanted, bell).await,
        }
    }

    /// Asks to be told of the peer's bytes only from so many on. Within TLS not while a part of a
    /// record is here: nobody knows what is in it.
    pub fn gather(&self, bytes: u32) {
        let (socket, bytes) = match &self.carrier {
            Carrier::Tls(socket, tls) if tls.borrow().holds_part() => (socket, 1),
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => (socket, bytes),
            Carrier::Tunnel(_) | Carrier::Asker(_) => return,
        };
        if self.gather.replace(bytes) != bytes {
            wake_from(socket.get_ref().as_fd(), bytes);
        }
    }

    /// Bytes from which on the peer's are told of.
    #[must_use]
    pub const fn gathers(&self) -> u32 {
        self.gather.get()
    }

    /// Lets nothing gather behind a part of a record.
    fn came(&self, read: io::Result<usize>) -> io::Result<usize> {
        if let (Err(_), Carrier::Tls(_, tls)) = (&read, &self.carrier)
            && tls.borrow().holds_part()
        {
            self.gather(1);
        }
        read
    }

    /// Says that no more will be written. Whether the peer can still hear that.
    pub fn finish(&self) -> bool {
        match self.drain() {
            Err(_) => false,
            Ok(false) => self.shut(),
            Ok(true) => {
                if let Some(sealed) = self.sealed.borrow_mut().as_deref_mut() {
                    sealed.is_last = true;
                }
                true
            }
        }
    }

    fn shut(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().shutdown(Shutdown::Write).is_ok(),
            Carrier::Tunnel(end) => end.finish(),
            Carrier::Asker(asker) => asker.finish(),
            Carrier::Tls(socket, tls) => {
                tls.borrow_mut().finish(socket.get_ref());
                socket.get_ref().shutdown(Shutdown::Write).is_ok()
            }
        }
    }

    /// Ends both directions: whoever waits here sees the end.
    pub fn end(&self) {
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => {
                // An error means that it is gone already.
                let _gone = socket.get_ref().shutdown(Shutdown::Both);
            }
            Carrier::Tunnel(end) => end.end(),
            Carrier::Asker(asker) => asker.end(),
        }
    }
}

/// Waits as `Link::news` does; has no news while a record is incomplete.
async fn tls_news(
    socket: &Source<TcpStream>,
    tls: &RefCell<Box<TlsStream>>,
    wanted: Interest,
    bell: &Bell,
) -> io::Result<Interest> {
    loop {
        let (has_news, has_unsent) = {
            let tls = tls.borrow();
            (tls.has_news(), tls.has_unsent())
        };
        if has_news && wanted != Interest::Write {
            return Ok(wanted);
        }
        if !has_unsent {
            return socket.news(wanted, bell).await;
        }
        // What was taken to be written must go, whatever else is waited for.
        let with_room = match wanted {
            Interest::None | Interest::Write => Interest::Write,
            Interest::Read | Interest::Both => Interest::Both,
        };
        let there = socket.news(with_room, bell).await?;
        tls.borrow_mut().push(socket.get_ref())?;
        if there != Interest::Write || wanted != Interest::Read {
            return Ok(there);
        }
    }
}

impl io::Read for &Link {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = (&self.carrier).read(room);
        let bytes = self.came(read)?;
        if let Some(sealed) = self.sealed.borrow_mut().as_deref_mut() {
            sealed.seal.decrypt(room.get_mut(..bytes).unwrap_or_default());
        }
        Ok(bytes)
    }

    fn read_vectored(&mut self, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let read = (&self.carrier).read_vectored(room);
        let bytes = self.came(read)?;
        if let Some(sealed) = self.sealed.borrow_mut().as_deref_mut() {
            let mut left = bytes;
            for slice in room {
                let n = left.min(slice.len());
                sealed.seal.decrypt(slice.get_mut(..n).unwrap_or_default());
                left -= n;
            }
        }
        Ok(bytes)
    }
}

impl io::Write for &Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sealed = self.write_sealed(&[IoSlice::new(bytes)]);
        sealed.unwrap_or_else(|| (&self.carrier).write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let sealed = self.write_sealed(slices);
        sealed.unwrap_or_else(|| (&self.carrier).write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for &Carrier {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Carrier::Tcp(socket) => socket.get_ref().read(room),
            Carrier::Tunnel(end) => end.read(&mut [IoSliceMut::new(room)]),
            Carrier::Asker(asker) => asker.read(&mut [IoSliceMut::new(room)]),
            Carrier::Tls(..) => self.read_vectored(&mut [IoSliceMut::new(room)]),
        }
    }

    fn read_vectored(&mut self, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Carrier::Tcp(socket) => socket.get_ref().read_vectored(room),
            Carrier::Tunnel(end) => end.read(room),
            Carrier::Asker(asker) => asker.read(room),
            Carrier::Tls(socket, tls) => tls.borrow_mut().read(socket.get_ref(), room),
        }
    }
}

impl io::Write for &Carrier {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Carrier::Tcp(socket) => socket.get_ref().write(bytes),
            Carrier::Tunnel(end) => end.write(&[IoSlice::new(bytes)]),
            Carrier::Asker(asker) => asker.write(&[IoSlice::new(bytes)]),
            Carrier::Tls(..) => self.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Carrier::Tcp(socket) => socket.get_ref().write_vectored(slices),
            Carrier::Tunnel(end) => end.write(slices),
            Carrier::Asker(asker) => asker.write(slices),
            Carrier::Tls(socket, tls) => tls.borrow_mut().write(socket.get_ref(), slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RTMPE_BLOCK_BYTES;
    use crate::proto::rtmp::encryption::Ciphers;
    use std::io::Read as _;
    use std::net::TcpListener;

    #[test]
    fn link_carries_bytes_both_ways_and_says_when_nobody_listens() {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Rc::clone(&reactor);
        let answer = reactor.run(async move {
            let near = Link::connect(&tasks, address).await.unwrap();
            let far = Link::new(&tasks, listener.accept().unwrap().0).unwrap();
            let mut room = [0; 8];
            (&near).write_all(b"ping").unwrap();
            far.readable().await.unwrap();
            let bytes = (&far).read(&mut room).unwrap();
            (&far).write_all(&room[..bytes]).unwrap();
            near.readable().await.unwrap();
            let bytes = (&near).read(&mut room).unwrap();
            assert!(far.finish());
            near.readable().await.unwrap();
            assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0, "the end");
            room[..bytes].to_vec()
        });
        assert_eq!(answer.unwrap(), b"ping");
        let tasks = Rc::clone(&reactor);
        let refused = reactor.run(async move { Link::connect(&tasks, address).await.err() });
        assert_eq!(refused.unwrap().unwrap().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn link_within_tls_shakes_carries_bytes_and_says_the_end() {
        use crate::service::tls::{TlsClient, TlsServer, Trust};
        let folder = tempfile::tempdir().unwrap();
        let server = TlsServer::own(folder.path(), 1).unwrap();
        let client = TlsClient::new(&Trust::Key(server.pin())).unwrap();
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Rc::clone(&reactor);
        reactor.spawn(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = Source::new(&tasks, listener).unwrap();
            listener.readable().await.unwrap();
            let (socket, _) = listener.get_ref().accept().unwrap();
            let link = Link::with_tls(&tasks, socket, server.stream().unwrap()).unwrap();
            let mut room = [0; 999];
            loop {
                match (&link).read(&mut room) {
                    Ok(0) => break,
                    Ok(bytes) => {
                        let mut rest = &room[..bytes];
                        while !rest.is_empty() {
                            match (&link).write(rest) {
                                Ok(bytes) => rest = &rest[bytes..],
                                Err(_) => link.writable().await.unwrap(),
                            }
                        }
                    }
                    Err(_) => link.readable().await.unwrap(),
                }
            }
            assert!(link.finish());
        });
        let tasks = Rc::clone(&reactor);
        let sent: Vec<u8> = (0..200_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let expected = sent.clone();
        let got = reactor.run(async move {
            let link = Link::connect(&tasks, address).await.unwrap();
            let link = link.tls_client(client.stream("box").unwrap()).await.unwrap();
            let (mut got, mut at, mut finished) = (Vec::new(), 0, false);
            let mut room = [0; 4000];
            loop {
                match (&link).read(&mut room) {
                    Ok(0) => return got,
                    Ok(bytes) => got.extend_from_slice(&room[..bytes]),
                    Err(_) if at < sent.len() => match (&link).write(&sent[at..]) {
                        Ok(bytes) => at += bytes,
                        Err(_) => {
                            link.news(Interest::Both, &Bell::default()).await.unwrap();
                        }
                    },
                    Err(_) => {
                        if got.len() == sent.len() && !core::mem::replace(&mut finished, true) {
                            link.finish();
                        }
                        link.readable().await.unwrap();
                    }
                }
            }
        });
        assert!(got.unwrap() == expected);
    }

    /// Two sealed ends of one connection.
    async fn sealed(reactor: &Rc<Reactor>) -> [Link; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = Link::connect(reactor, listener.local_addr().unwrap()).await.unwrap();
        let far = Link::new(reactor, listener.accept().unwrap().0).unwrap();
        let block = || vec![0; RTMPE_BLOCK_BYTES].into();
        let [a, b] = Ciphers::pair();
        near.encrypt(Seal::new(a, block(), 0));
        far.encrypt(Seal::new(b, block(), 0));
        [near, far]
    }

    /// What comes until the end, in reads of two parts.
    async fn all_of(link: &Link) -> Vec<u8> {
        let (mut all, mut first, mut second) = (Vec::new(), [0; 100], vec![0; 50_000]);
        loop {
            let mut room = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            match (&mut &*link).read_vectored(&mut room) {
                Ok(0) => return all,
                Ok(bytes) => {
                    all.extend_from_slice(&first[..bytes.min(100)]);
                    all.extend_from_slice(&second[..bytes.saturating_sub(100)]);
                }
                Err(_) => link.readable().await.unwrap(),
            }
        }
    }

    #[test]
    fn sealed_link_sends_all_it_took_before_its_end_however_late_the_peer_reads() {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let (sent, came) = reactor
            .run(async move {
                let [near, far] = sealed(&tasks).await;
                let bytes: Vec<u8> = (0u8..=250).cycle().take(70_000).collect();
                let mut sent = Vec::new();
                let mut slices = [IoSlice::new(&bytes[..7]), IoSlice::new(&bytes[7..])];
                while let Ok(taken) = (&near).write_vectored(&slices) {
                    sent.extend_from_slice(&bytes[..taken]);
                    slices = [IoSlice::new(&[]), IoSlice::new(&bytes)];
                }
                assert!(near.drain().unwrap(), "the kernel takes no more");
                assert!(near.finish());
                let ends = Rc::clone(&tasks);
                tasks.spawn(async move {
                    ends.sleep(core::time::Duration::from_millis(50)).await;
                    near.readable().await.unwrap();
                    assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0);
                });
                (sent, all_of(&far).await)
            })
            .unwrap();
        assert!(sent.len() > 70_000);
        assert!(sent == came);
    }

    #[test]
    fn sealed_link_hears_its_bell_and_its_peer_while_its_block_is_full() {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let heard = reactor.run(async move {
            let [near, far] = sealed(&tasks).await;
            let bytes = vec![5; RTMPE_BLOCK_BYTES];
            while (&near).write(&bytes).is_ok() {}
            let bell = Bell::default();
            bell.ring();
            let rung = near.news(Interest::Both, &bell).await.unwrap();
            (&far).write_all(b"stop").unwrap();
            let read = near.news(Interest::Both, &bell).await.unwrap();
            let mut room = [0; 8];
            let bytes = (&near).read(&mut room).unwrap();
            assert!(near.take_block().is_some() && far.take_block().is_some());
            (rung, read, room[..bytes].to_vec())
        });
        assert_eq!(heard.unwrap(), (Interest::None, Interest::Read, b"stop".to_vec()));
    }
}

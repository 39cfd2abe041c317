//! `serve`: takes all memory, opens the ports, starts the tasks and waits for a signal.
//!
//! Order matters: signals are blocked before anything starts a thread; ports are opened before
//! the segment folder is touched, and the folder is claimed before it is cleared, so that a second
//! instance leaves the first one's files alone. Streams that an earlier run has left there go on;
//! of the others the numbers do.
//! A task that ends is started again after a pause, and said so.

use crate::app::budget::{Budget, Kind};
use crate::app::offline::card_config;
use crate::config::relay::{RelayConfig, Way, When};
use crate::config::settings::Config;
use crate::limits::{
    DAY_MS, DESCRIPTORS_SPARE, HTTP_BACKLOG, HTTP_DEFER_S, RESTART_PAUSE, TICK, TICK_EARLY_MAX,
};
use crate::media::testcard::{TestCard, TestCardError};
use crate::proto::rtmp::plan::Role;
use crate::service::card;
use crate::service::clock;
use crate::service::door::{Access, Door};
use crate::service::http::{self, HttpContext, HttpSettings};
use crate::service::ingest::{self, Deadlines, Ingest};
use crate::service::intake::Place;
use crate::service::ledger::{self, Ledger};
use crate::service::pull::Pull;
use crate::service::push::Push;
use crate::service::reactor::{Reactor, Source};
use crate::service::relay::Relay;
use crate::service::slate;
use crate::service::store::{Store, StoreError};
use crate::service::stream::Streams;
use crate::service::tls::{TlsError, TlsServer};
use crate::service::tunnel::Tunnels;
use crate::service::upstream::{Keeper, Reason, Target, Watches};
use crate::status::Status;
use crate::storage::{narrow, widen};
use crate::sys::clock::believable;
use crate::sys::descriptors;
use crate::sys::inherited::{Inherited, InheritedError};
use crate::sys::net::Listener;
use crate::sys::random;
use crate::sys::signals::{Asked, Signals};
use crate::time::Instant;
use core::cell::RefCell;
use core::net::SocketAddr;
use core::time::Duration;
use simple_logger::SimpleLogger;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::SystemTime;

/// From here to the first picture of the test card at least: what starting may take.
const CARD_HEADROOM_MS: u32 = 300;

/// Why the server does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port cannot be had.
    #[error("{setting}: {address}: {cause}; choose another with --set {setting}=ADDRESS:PORT")]
    Port {
        /// The setting.
        setting: &'static str,
        /// What it asks for.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The sockets that a service manager passes cannot be used.
    #[error("{0}")]
    Inherited(#[from] InheritedError),
    /// A certificate cannot be used.
    #[error("tls.certificate, tls.key: {0}")]
    Tls(#[from] TlsError),
    /// One of the two files is missing.
    #[error("tls.certificate and tls.key belong together: set both, or neither")]
    HalfCertificate,
    /// The segment folder cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The test card cannot be made.
    #[error("--testcard: {0}")]
    Card(#[from] TestCardError),
    /// An upstream's section cannot be used.
    #[error("{way}.{name}: {cause}")]
    Relay {
        /// Which way.
        way: &'static str,
        /// Which section.
        name: String,
        /// What is wrong.
        cause: Reason,
    },
    /// The system refuses something that it never refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT; SIGUSR1 ends every presentation.
///
/// # Errors
/// `ServeError`, each with its cure.
pub fn serve(config: &Config, testcard: bool) -> Result<(), ServeError> {
    let signals = Signals::block().map_err(io::Error::from)?;
    // A logger that is set already is as good.
    let _set = SimpleLogger::new().with_level(config.log_level).init();
    let mut inherited = Inherited::take()?;
    let rtmp = listen_rtmp("rtmp.listen", config.rtmp_listen, &mut inherited)?;
    let rtmps = config.rtmps_listen.map(|address| secure(config, address, &mut inherited));
    let rtmps = rtmps.transpose()?;
    let web = listen_http(config.http_listen, &mut inherited)?;
    for address in inherited.rest() {
        // Who connects to it waits for ever: only a person can mend that.
        log::warn!("no setting names a socket that the service manager holds address={address}");
    }
    drop(inherited);
    let server = Server::new(config, rtmp, rtmps, web)?;
    // It begins with a whole second: its keyframes are on those, and so are all of its segments.
    let now_ms = clock_ms();
    let begins_ms = (now_ms + CARD_HEADROOM_MS).next_multiple_of(1000);
    let begins = clock::now().after(Duration::from_millis((begins_ms - now_ms).into()));
    let config = card_config(begins_ms % DAY_MS);
    let card = testcard.then(|| TestCard::new(&config)).transpose()?.map(|card| (card, begins));
    let reactor = Reactor::new()?;
    reactor.run(server.run(card, signals, Rc::clone(&reactor)))??;
    Ok(())
}

/// All that was allocated.
struct Server {
    rtmp: TcpListener,
    rtmps: Option<(TcpListener, TlsServer)>,
    web: Listener,
    store: Rc<RefCell<Store>>,
    streams: Rc<Streams>,
    ingest: Rc<Ingest>,
    http: Rc<HttpContext>,
    tunnels: Rc<Tunnels>,
    status: Rc<Status>,
    relays: Vec<(RelayConfig, Target, Box<Place>)>,
    shows_slates: bool,
}

impl Server {
    fn new(
        config: &Config,
        rtmp: TcpListener,
        rtmps: Option<(TcpListener, TlsServer)>,
        web: Listener,
    ) -> Result<Self, ServeError> {
        let relays = config.relays.iter().map(relay).collect::<Result<_, _>>()?;
        let status = Rc::new(Status::new());
        let mut store = Store::open(config, random::u32(), Rc::clone(&status))?;
        store.set_ledger(Ledger::open(&config.state_dir, believable()));
        let budget = Budget::of(config);
        log::info!(
            "memory private_kib={} tmpfs_kib={}",
            budget.sum(Kind::Private) >> 10,
            budget.sum(Kind::Tmpfs) >> 10
        );
        let store = Rc::new(RefCell::new(store));
        let streams = Rc::new(Streams::new(config, Rc::clone(&store), Rc::clone(&status)));
        allow_descriptors(config);
        let rtmp_port = rtmp.local_addr().map_or(0, |address| address.port());
        let access = Access {
            publish_from: config.rtmp_publish_from.clone(),
            play_from: config.rtmp_play_from.clone(),
            rights: config.rights.clone(),
        };
        let door = Rc::new(Door::new(access, Rc::clone(&status)));
        let settings = HttpSettings::standard(narrow(config.limits_viewers), rtmp_port);
        let http = HttpContext::new(Rc::clone(&store), Rc::clone(&status), settings)?;
        let tunnels = Rc::new(Tunnels::new(narrow(config.tunnels())));
        if config.rtmpt_enabled {
            http.carry(Rc::clone(&tunnels));
        }
        http.show(Rc::clone(streams.relays()));
        http.guard(Rc::clone(&door));
        let http = Rc::new(http);
        let publishers = narrow(config.limits_publishers);
        let players = narrow(config.limits_players);
        let deadlines = Deadlines {
            play_wait: Duration::from_secs(config.rtmp_play_wait_s.into()),
            ..Deadlines::STANDARD
        };
        let ingest =
            Ingest::new(publishers, players, Rc::clone(&streams), Rc::clone(&status), deadlines)
                .with_door(door)
                .with_http(Rc::clone(&http))
                .with_connections_per_address(narrow(config.limits_connections_per_address));
        let ingest = if config.rtmp_encryption { ingest.with_encryption() } else { ingest };
        let ingest = Rc::new(ingest);
        let shows_slates = config.shows_slates();
        Ok(Self {
            rtmp,
            rtmps,
            web,
            store,
            streams,
            ingest,
            http,
            tunnels,
            status,
            relays,
            shows_slates,
        })
    }

    /// Starts the tasks and waits for a signal; then ends every stream's last segment.
    async fn run(
        self,
        card: Option<(TestCard, Instant)>,
        signals: Signals,
        reactor: Rc<Reactor>,
    ) -> io::Result<()> {
        announce(&self.rtmp.local_addr()?, &self.web.local_addr()?, card.is_some());
        let web_tasks = Rc::clone(&reactor);
        spawn_rtmp("rtmp", self.rtmp, None, &self.ingest, &reactor);
        if let Some((rtmps, tls)) = self.rtmps {
            log::info!("publish to rtmps://{}/live/NAME pin={}", rtmps.local_addr()?, tls.pin());
            spawn_rtmp("rtmps", rtmps, Some(tls), &self.ingest, &reactor);
        }
        let (http, web) = (Rc::clone(&self.http), self.web);
        reactor.spawn(async move {
            let mut web = Some(web);
            loop {
                let outcome = match web.take() {
                    Some(web) => http::serve(web, Rc::clone(&http), Rc::clone(&web_tasks)).await,
                    None => Err(io::Error::other("the listener is gone")),
                };
                restart("http", outcome, &web_tasks).await;
            }
        });
        if let Some((card, begins)) = card {
            let (streams, card_tasks) = (Rc::clone(&self.streams), Rc::clone(&reactor));
            reactor.spawn(async move {
                card_tasks.sleep(begins.since(clock::now())).await;
                if let Err(refusal) = card::run(card, streams, card_tasks).await {
                    log::error!("test card ended cause=\"{refusal}\"");
                }
            });
        }
        if self.shows_slates {
            reactor.spawn(slate::run(Rc::clone(&self.streams), Rc::clone(&reactor)));
        }
        let tunnels = Rc::clone(&self.tunnels);
        let ingest = Rc::clone(&self.ingest);
        reactor.spawn(ingest::serve_tunnels(tunnels, ingest, Rc::clone(&reactor)));
        let tunnels = self.tunnels;
        let watches = Watches::default();
        for (config, target, place) in self.relays {
            start(&config, target, place, &watches, &self.streams, &self.status, &reactor);
        }
        let (ingest, http, store) = (self.ingest, self.http, Rc::clone(&self.store));
        let ticks = Rc::clone(&reactor);
        reactor.spawn(async move {
            loop {
                ticks.sleep_about(TICK, TICK_EARLY_MAX).await;
                let now = clock::now();
                ingest.tick(now);
                tunnels.tick(now);
                http.tick(now);
                watches.tick(now);
                store.borrow_mut().tick(now);
                let due = store.borrow_mut().ledger_mut().due(now);
                if let Some(job) = due {
                    ticks.spawn(ledger::keep(job, Rc::clone(&store), Rc::clone(&ticks)));
                }
            }
        });
        let signals = Source::new(&reactor, signals)?;
        loop {
            signals.readable().await?;
            match signals.get_ref().next() {
                Ok(Some(Asked::Stop)) => break,
                Ok(Some(Asked::End)) => self.streams.end_all(clock::now()),
                Ok(Some(Asked::Reserved) | None) | Err(_) => {}
            }
        }
        log::info!("stopping");
        self.streams.leave_all(clock::now());
        self.store.borrow_mut().list_all();
        Ok(())
    }
}

/// A relay's target, checked, and its place.
fn relay(config: &RelayConfig) -> Result<(RelayConfig, Target, Box<Place>), ServeError> {
    let role = match config.way {
        Way::Push => Role::Publish,
        Way::Pull => Role::Play,
    };
    let target = Target { url: config.url.clone(), options: config.options.clone(), role };
    let (way, name) = (config.way.name(), config.name.clone());
    target.check_service().map_err(|cause| ServeError::Relay { way, name, cause })?;
    Ok((config.clone(), target, Box::new(Place::new())))
}

/// Starts the task of a relay.
fn start(
    config: &RelayConfig,
    target: Target,
    place: Box<Place>,
    watches: &Watches,
    streams: &Rc<Streams>,
    status: &Rc<Status>,
    reactor: &Rc<Reactor>,
) {
    let RelayConfig { way, name, stream, when, idle_s, .. } = config;
    let watch = watches.add();
    let bell = Rc::clone(&watch.bell);
    let relay = streams.relays().add(Relay::new(*way, name, stream, bell, clock::now()));
    let (streams, status) = (Rc::clone(streams), Rc::clone(status));
    let keeper = Keeper { relay, target, watch, streams, status, reactor: Rc::clone(reactor) };
    match way {
        Way::Push => reactor.spawn(Push { keeper }.run(place)),
        Way::Pull => {
            let idle = (*when == When::Watched).then(|| Duration::from_secs((*idle_s).into()));
            reactor.spawn(Pull { keeper, idle }.run(place));
        }
    }
}

/// The port of `setting`, for RTMP: the service manager's socket, if it holds one there.
fn listen_rtmp(
    setting: &'static str,
    address: SocketAddr,
    inherited: &mut Inherited,
) -> Result<TcpListener, ServeError> {
    let held = inherited.listener(address).map(TcpListener::from);
    let listener = held.map_or_else(|| TcpListener::bind(address), Ok);
    listener.map_err(|cause| ServeError::Port { setting, address, cause })
}

/// The same for HTTP.
fn listen_http(address: SocketAddr, inherited: &mut Inherited) -> Result<Listener, ServeError> {
    let listener = match inherited.listener(address) {
        Some(held) => Listener::of(held, HTTP_BACKLOG, HTTP_DEFER_S),
        None => Listener::bind(address, HTTP_BACKLOG, HTTP_DEFER_S),
    };
    listener.map_err(|cause| ServeError::Port { setting: "http.listen", address, cause })
}

/// Opens the port for RTMP within TLS, with the certificate that the settings name.
fn secure(
    config: &Config,
    address: SocketAddr,
    inherited: &mut Inherited,
) -> Result<(TcpListener, TlsServer), ServeError> {
    let places = narrow(config.tls_places());
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => TlsServer::from_files(certificate, key, places)?,
        (None, None) => TlsServer::own(&config.tls_dir, places)?,
        (Some(_), None) | (None, Some(_)) => return Err(ServeError::HalfCertificate),
    };
    Ok((listen_rtmp("rtmps.listen", address, inherited)?, tls))
}

/// Starts the task of one RTMP port.
fn spawn_rtmp(
    task: &'static str,
    listener: TcpListener,
    tls: Option<TlsServer>,
    ingest: &Rc<Ingest>,
    reactor: &Rc<Reactor>,
) {
    let (ingest, tasks) = (Rc::clone(ingest), Rc::clone(reactor));
    reactor.spawn(async move {
        loop {
            let outcome = match listener.try_clone() {
                Ok(port) => {
                    let (tls, ingest) = (tls.clone(), Rc::clone(&ingest));
                    ingest::serve(port, tls, ingest, Rc::clone(&tasks)).await
                }
                Err(error) => Err(error),
            };
            restart(task, outcome, &tasks).await;
        }
    });
}

/// Descriptors that all connections and slots take, and what is beside them.
fn descriptors_needed(config: &Config) -> u64 {
    let connections = u64::from(config.limits_viewers)
        + u64::from(config.limits_publishers)
        + u64::from(config.limits_players)
        + widen(config.relays.len());
    let slots = u64::from(config.limits_streams) * u64::from(config.slots_per_stream());
    connections + slots + DESCRIPTORS_SPARE
}

/// Makes sure that every connection and slot can have its descriptor, or says which cannot.
fn allow_descriptors(config: &Config) {
    let need = descriptors_needed(config);
    match descriptors::allow(need) {
        Ok(may) if may < need => log::warn!(
            "descriptors are few may={may} need={need} cure=\"raise the limit of open files, or \
             lower limits.viewers\""
        ),
        Ok(_) => {}
        Err(error) => log::warn!("descriptors unknown cause=\"{error}\""),
    }
}

/// Says that a task ended, and waits before it is started again.
async fn restart(task: &str, outcome: io::Result<()>, reactor: &Reactor) {
    match outcome {
        Ok(()) => log::error!("task ended task={task}"),
        Err(error) => log::error!("task ended task={task} cause=\"{error}\""),
    }
    reactor.sleep(RESTART_PAUSE).await;
}

/// Prints where to publish and where to watch.
fn announce(rtmp: &SocketAddr, web: &SocketAddr, testcard: bool) {
    let host = crate::sys::net::own_addresses();
    let host = host.iter().find(|address| address.is_ipv4() && !address.is_loopback());
    let shown = |address: &SocketAddr| match host {
        Some(host) if address.ip().is_unspecified() => SocketAddr::new(*host, address.port()),
        _ if address.ip().is_unspecified() => {
            SocketAddr::new([127, 0, 0, 1].into(), address.port())
        }
        _ => *address,
    };
    let (rtmp, web) = (shown(rtmp), shown(web));
    log::info!("publish to rtmp://{rtmp}/live/NAME");
    log::info!("watch at http://{web}/");
    if testcard {
        log::info!("test card at http://{web}/hls/{}/index.m3u8", card::PATH);
    }
}

/// Milliseconds since midnight, UTC.
fn clock_ms() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_millis() % u128::from(DAY_MS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;

    #[test]
    fn task_that_ended_pauses_before_it_starts_again() {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let start = clock::now();
        reactor.run(async move { restart("test", Ok(()), &tasks).await }).unwrap();
        assert!(clock::now().since(start) >= RESTART_PAUSE);
    }

    #[test]
    fn every_connection_and_slot_has_its_descriptor() {
        let config = Draft::new().check().unwrap();
        assert_eq!(descriptors_needed(&config), 256 + 8 + 64 + 4 * 15 + DESCRIPTORS_SPARE);
    }
}

//! All memory that is taken at start, with its owner per line.
//!
//! `rillcast budget` prints it without starting and `serve` prints it at start, from the same
//! list. Takes no memory itself. What the kernel takes for sockets is not in it: a connection's
//! buffers there are held by `net.core` limits, not by us.

use core::fmt;

use crate::config::relay::RelayConfig;
use crate::config::settings::Config;
use crate::limits::RTMPE_BLOCK_BYTES;
use crate::service::http::HttpContext;
use crate::service::ingest::Ingest;
use crate::service::intake::Place;
use crate::service::slate;
use crate::service::store::{Store, scratch_bytes};
use crate::service::stream::Streams;
use crate::service::tls;
use crate::service::tunnel::Tunnels;
use crate::service::upstream::dial::bytes;
use crate::service::upstream::player;
use crate::storage::{narrow, widen};
use crate::wire::rtmp::url::Url;

/// Where a line's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process's own memory.
    Private,
    /// Pages of tmpfs files, mapped while they are written; private memory does not grow by them.
    Tmpfs,
}

/// One owner of preallocated memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub owner: &'static str,
    /// How many of them.
    pub count: u64,
    /// Bytes of each.
    pub bytes_each: u64,
    /// Where they are.
    pub kind: Kind,
}

impl Line {
    /// Bytes of all of them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count * self.bytes_each
    }
}

/// Lines of the budget.
const LINES: usize = 18;

/// The whole budget of one configuration.
#[derive(Clone, Debug)]
pub struct Budget {
    lines: [Line; LINES],
}

impl Budget {
    /// The memory that `config` asks for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let streams = u64::from(config.limits_streams);
        let places = widen(Ingest::places(narrow(config.limits_publishers)));
        let players = u64::from(config.limits_players);
        let sealed = if config.rtmp_encryption { places + players } else { 0 };
        let relays = widen(config.relays.len());
        // A player is fetched before its upstream is dialled.
        let way = |relay: &RelayConfig| {
            let link = Url::parse(&relay.url).map_or(0, |url| bytes(url.scheme));
            let fetched = relay.options.iter().find(|(name, _)| name == "rtmp_swfverify");
            link.max(fetched.map_or(0, |(_, address)| player::bytes(address)))
        };
        let ways: usize = config.relays.iter().map(way).sum();
        let viewers = u64::from(config.limits_viewers);
        let tunnels = u64::from(config.tunnels());
        let tls = u64::from(config.tls_places());
        let rows = streams * u64::from(config.rows_per_stream());
        let (slots, slot) = match config.hls_tmpfs_mib {
            0 => (streams * u64::from(config.slots_per_stream()), config.limits_slot_bytes.into()),
            _ => (streams, config.share_bytes()),
        };
        let ring = u64::from(config.limits_ring_bytes);
        let slate = widen(slate::BYTES);
        let line =
            |owner, count, bytes_each| Line { owner, count, bytes_each, kind: Kind::Private };
        Self {
            lines: [
                line("stream: ring of recent messages", streams, ring),
                line("stream: index, headers, segmenter", streams, widen(Streams::STREAM_BYTES)),
                line("stream: playlist", streams, widen(Store::playlist_bytes(config))),
                line("segments: samples being encrypted", 1, widen(scratch_bytes(config))),
                line("stream: master, I-frames", streams, widen(Store::variant_bytes(config))),
                line("groups: their masters", 1, widen(Store::group_bytes(config.groups.len()))),
                line("slot: its row in the store", rows, widen(Store::ROW_BYTES)),
                line("stream: slate", if config.shows_slates() { streams } else { 0 }, slate),
                line("publisher: place, two to refuse", places, widen(Ingest::PLACE_BYTES)),
                line("player: place", players, widen(Ingest::PLAYER_BYTES)),
                line("rtmpe: what is being sent", sealed, widen(RTMPE_BLOCK_BYTES)),
                line("upstream: place", relays, widen(Place::BYTES)),
                line("upstreams: tunnels, rtmpe, TLS", 1, widen(ways)),
                line("viewer: place", viewers, widen(HttpContext::PLACE_BYTES)),
                line("viewers: pages, waiting answers", 1, widen(HttpContext::SHARED_BYTES)),
                line("TLS: buffers and state", tls, widen(tls::PLACE_BYTES)),
                line("tunnel: both queues", tunnels, widen(Tunnels::PLACE_BYTES)),
                Line { kind: Kind::Tmpfs, ..line("slot: one segment, or a share", slots, slot) },
            ],
        }
    }

    /// Every line, in the order it is printed.
    #[must_use]
    pub const fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Bytes of all lines of one kind.
    #[must_use]
    pub fn sum(&self, kind: Kind) -> u64 {
        let lines = self.lines.iter().filter(|line| line.kind == kind);
        lines.map(Line::bytes).sum()
    }
}

/// The table that a person reads: sizes in KiB, so that columns can be compared and added.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<34} {:>6} {:>11} {:>12}  where", "owner", "count", "KiB each", "KiB")?;
        for line in &self.lines {
            let place = match line.kind {
                Kind::Private => "private",
                Kind::Tmpfs => "tmpfs",
            };
            writeln!(
                f,
                "{:<34} {:>6} {:>11} {:>12}  {place}",
                line.owner,
                line.count,
                Kib(line.bytes_each),
                Kib(line.bytes())
            )?;
        }
        writeln!(f, "{:<53} {:>12}", "private memory", Kib(self.sum(Kind::Private)))?;
        writeln!(f, "{:<53} {:>12}", "tmpfs", Kib(self.sum(Kind::Tmpfs)))
    }
}

/// Bytes in KiB with one decimal, rounded up, so that a sum is never shown too small.
struct Kib(u64);

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10).div_ceil(1024);
        f.pad(&format!("{}.{}", tenths / 10, tenths % 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;
    use crate::limits::{TLS_PLACES_MAX, TUNNEL_IN_BYTES, TUNNEL_OUT_BYTES};

    fn budget(pairs: &[&str]) -> Budget {
        let mut draft = Draft::new();
        for pair in pairs {
            draft.set_pair(pair).unwrap();
        }
        Budget::of(&draft.check().unwrap())
    }

    #[test]
    fn tmpfs_sum_is_streams_times_slots_times_bytes() {
        let budget =
            budget(&["limits.streams=2", "hls.window_segments=7", "limits.slot_bytes=1MiB"]);
        assert_eq!(budget.sum(Kind::Tmpfs), 2 * (7 + 8 + 2) * (1 << 20));
    }

    #[test]
    fn private_sum_grows_by_what_a_setting_adds() {
        let grown = |pair| budget(&[pair]).sum(Kind::Private) - budget(&[]).sum(Kind::Private);
        assert_eq!(grown("limits.ring_bytes=8MiB"), 4 * (4 << 20));
        assert_eq!(grown("limits.publishers=9"), widen(Ingest::PLACE_BYTES));
        assert_eq!(grown("limits.tunnels=5"), widen(Tunnels::PLACE_BYTES));
        assert_eq!(grown("rtmp.encryption=true"), (8 + 2 + 64) * widen(RTMPE_BLOCK_BYTES));
        assert_eq!(grown("hls.away=slate"), 4 * widen(slate::BYTES));
        assert_eq!(grown("limits.viewers=257"), widen(HttpContext::PLACE_BYTES));
    }

    #[test]
    fn tls_has_places_where_it_is_spoken() {
        let on = &["rtmps.listen=0.0.0.0:443", "limits.tls=3"];
        let place = widen(tls::PLACE_BYTES);
        let base = budget(&[]).sum(Kind::Private);
        assert_eq!(budget(&["limits.tls=3"]).sum(Kind::Private), base);
        assert_eq!(budget(on).sum(Kind::Private), base + 3 * place);
        let most = format!("limits.tls={TLS_PLACES_MAX}");
        let most = budget(&[on[0], &most]).sum(Kind::Private);
        assert_eq!(most, base + u64::from(TLS_PLACES_MAX) * place);
        assert!(Draft::new().set_pair(&format!("limits.tls={}", TLS_PLACES_MAX + 1)).is_err());
    }

    #[test]
    fn upstream_costs_its_place_and_what_its_scheme_takes() {
        let of = |scheme: &str| {
            let url = format!("push.a.url={scheme}://host/live/key");
            budget(&["push.a.stream=live/cam", &url]).sum(Kind::Private)
        };
        let place = of("rtmp") - budget(&[]).sum(Kind::Private);
        assert_eq!(place, widen(Place::BYTES));
        assert_eq!(of("rtmpe") - of("rtmp"), widen(RTMPE_BLOCK_BYTES));
        assert_eq!(of("rtmpte") - of("rtmpt"), widen(RTMPE_BLOCK_BYTES));
        assert_eq!(of("rtmpt") - of("rtmp"), widen(TUNNEL_IN_BYTES + TUNNEL_OUT_BYTES));
        assert_eq!(of("rtmps") - of("rtmp"), widen(tls::CLIENT_BYTES));
        assert_eq!(of("rtmpts") - of("rtmpt"), widen(tls::CLIENT_BYTES));
    }

    #[test]
    fn player_is_fetched_in_what_its_link_takes_later_or_more() {
        let of = |url: &str, player: &str| {
            let settings = [format!("pull.a.url={url}"), format!("pull.a.swfverify={player}")];
            let settings =
                [&["pull.a.stream=live/cam", &settings[0]][..], &[&settings[1]]].concat();
            let without = budget(&settings[..2]).sum(Kind::Private);
            budget(&settings).sum(Kind::Private) - without
        };
        let (plain, within_tls) = ("http://h/x.swf", "https://h/x.swf");
        assert_eq!(of("rtmp://h/a/b", plain), widen(player::bytes(plain)));
        assert_eq!(of("rtmps://h/a/b", plain), 0);
        let more = player::bytes(within_tls) - tls::CLIENT_BYTES;
        assert_eq!(of("rtmps://h/a/b", within_tls), widen(more));
    }

    #[test]
    fn table_has_each_owner_and_both_sums() {
        let budget = budget(&[]);
        let text = budget.to_string();
        assert_eq!(text.lines().count(), 1 + LINES + 2);
        for line in budget.lines() {
            assert_eq!(text.matches(line.owner).count(), 1, "{}", line.owner);
        }
        let sum = text.lines().find(|line| line.starts_with("tmpfs")).unwrap();
        assert!(sum.ends_with(" 184320.0"), "{sum}");
    }

    #[test]
    fn kib_rounds_up() {
        assert_eq!(Kib(1).to_string(), "0.1");
        assert_eq!(Kib(1024).to_string(), "1.0");
        assert_eq!(Kib(1025).to_string(), "1.1");
    }
}

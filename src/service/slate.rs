//! The slates of streams whose cameras are away: publishers inside the program that give way to
//! any other.
//!
//! A slate begins a quarter of a target duration after its camera has left, so that its first
//! segment is listed before the playlist would be stale (R37). It is drawn away from the loop, in
//! the size of the camera's own pictures, and sent into the stream's ring, from where it goes the
//! way of every publisher's messages: to segments, to players over RTMP and to upstreams. To the
//! store the camera stays away: the page says so, and the stream's place is given up when another
//! needs it. Source: RFC 8216 §6.2.1; sheet §6, case (c).

use crate::limits::{RESTART_PAUSE, TICK};
use crate::media::testcard::slate::Slate;
use crate::service::blocking::unblock;
use crate::service::card::Sender;
use crate::service::clock;
use crate::service::reactor::Reactor;
use crate::service::store::{Away, masked};
use crate::service::stream::Streams;
use crate::time::{Instant, Millis};
use crate::wire::flv::TagKind;
use core::time::Duration;
use std::io;
use std::rc::Rc;

/// Memory of a slate that is shown: its IDR picture takes most.
pub const BYTES: usize = 64 << 10;

/// One that is shown.
struct Shown {
    slate: Slate,
    id: crate::service::stream::PublisherId,
    begun: Instant,
}

/// Shows slates for ever.
pub async fn run(streams: Rc<Streams>, reactor: Rc<Reactor>) {
    let mut shown: Vec<Option<Shown>> = (0..streams.places()).map(|_| None).collect();
    loop {
        let mut wait = TICK;
        for (stream, place) in shown.iter_mut().enumerate() {
            if let Some(shown) = place {
                match shown.send_due(&streams, stream) {
                    Some(due) => wait = wait.min(due),
                    None => *place = None,
                }
                continue;
            }
            let away = streams.store().borrow().away(stream, clock::now());
            if let Some(away) = away {
                *place = begin(&streams, stream, away, &reactor).await;
                wait = Duration::ZERO;
            }
        }
        reactor.sleep(wait.max(Duration::from_millis(1))).await;
    }
}

/// Draws a slate and begins to show it, if the camera is not back by then.
async fn begin(
    streams: &Streams,
    stream: usize,
    away: Away,
    reactor: &Rc<Reactor>,
) -> Option<Shown> {
    let Away { path, size } = away;
    let name = path.clone();
    let drawn = unblock(reactor, move || Slate::new(&name, size).map_err(io::Error::other)).await;
    let slate = match drawn {
        Ok(slate) => slate,
        Err(cause) => {
            log::error!("slate not drawn stream={} cause=\"{cause}\"", masked(&path));
            reactor.sleep(RESTART_PAUSE).await;
            return None;
        }
    };
    let (id, begun) = (streams.new_publisher(), clock::now());
    if !streams.stand_in(stream, &path, id, begun) {
        return None;
    }
    log::info!("slate shown stream={}", masked(&path));
    let sender = Sender { streams, stream, id };
    let (video, audio) = slate.headers();
    sender.send(TagKind::Video, Millis(0), video, begun).ok()?;
    sender.send(TagKind::Audio, Millis(0), audio, begun).ok()?;
    Some(Shown { slate, id, begun })
}

impl Shown {
    /// Sends what is due, and says when more is; `None` when it has given way.
    fn send_due(&mut self, streams: &Streams, stream: usize) -> Option<Duration> {
        let now = clock::now();
        let elapsed = u64::try_from(now.since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let sender = Sender { streams, stream, id: self.id };
        let mut sent = false;
        while self.slate.due_ms() <= elapsed {
            let message = self.slate.message();
            sender.send(message.kind.tag(), message.timestamp, message.body, now).ok()?;
            sent = true;
        }
        if sent {
            streams.settle(stream);
        }
        Some(Duration::from_millis(self.slate.due_ms() - elapsed))
    }
}

//! The test card on the air: a publisher inside the program.
//!
//! Paces the generator to the clock and puts its messages into a stream's ring, from where they
//! go the way of every other publisher's. A late wake-up is made up for at once.

use crate::limits::{CARD_MESSAGE_BYTES_MAX, TAKEOVER_TIME_MIN};
use crate::media::testcard::TestCard;
use crate::service::clock;
use crate::service::reactor::Reactor;
use crate::service::stream::{PublishRefusal, Right, Streams};
use crate::time::{Instant, Millis};
use crate::wire::flv::TagKind;
use core::time::Duration;
use std::rc::Rc;

/// Path of the test card's stream.
pub const PATH: &str = "live/testcard";

/// Messages that are due within this time are sent together: one wake-up for a picture and the
/// sound beside it.
const TOGETHER_MS: u64 = 5;

/// Publishes `card` for ever.
///
/// # Errors
/// `PublishRefusal` if its stream cannot be had, or is lost to another publisher.
pub async fn run(
    mut card: TestCard,
    streams: Rc<Streams>,
    reactor: Rc<Reactor>,
) -> Result<(), PublishRefusal> {
    let id = streams.new_publisher();
    let start = clock::now();
    let (stream, _replaced) = streams.publish(PATH, (id, Right::Own), start, TAKEOVER_TIME_MIN)?;
    log::info!("stream published stream={PATH} peer=testcard");
    let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX].into_boxed_slice();
    let sender = Sender { streams: &streams, stream, id };
    if let Ok(headers) = card.headers(&mut buffer) {
        streams.metadata(stream, headers.metadata);
        sender.send(TagKind::Video, Millis(0), headers.video, start)?;
        sender.send(TagKind::Audio, Millis(0), headers.audio, start)?;
    }
    loop {
        let now = clock::now();
        let elapsed = u64::try_from(now.since(start).as_millis()).unwrap_or(u64::MAX);
        while card.due_ms() <= elapsed + TOGETHER_MS {
            let Ok(message) = card.next(&mut buffer) else { break };
            let body = buffer.get(..message.bytes).unwrap_or_default();
            sender.send(message.kind.tag(), message.timestamp, body, now)?;
        }
        streams.settle(stream);
        let wait = card.due_ms().saturating_sub(elapsed).max(1);
        reactor.sleep(Duration::from_millis(wait)).await;
    }
}

/// Puts messages of a publisher inside the program into its stream.
pub(super) struct Sender<'a> {
    pub(super) streams: &'a Streams,
    pub(super) stream: usize,
    pub(super) id: crate::service::stream::PublisherId,
}

impl Sender<'_> {
    /// Publishes a message; a refusal when another publisher has the stream, as it may have after
    /// this one was held up for long.
    pub(super) fn send(
        &self,
        kind: TagKind,
        at: Millis,
        body: &[u8],
        now: Instant,
    ) -> Result<(), PublishRefusal> {
        let place = {
            let Some(stream) = self.streams.get(self.stream) else { return Ok(()) };
            let mut stream = stream.borrow_mut();
            let Ok(place) = stream.ring.reserve(body.len()) else {
                log::error!("message does not fit its ring bytes={}", body.len());
                return Ok(());
            };
            stream.ring.window(place).copy_from_slice(body);
            stream.ring.close(place);
            place
        };
        if self.streams.media(self.stream, self.id, kind, at, place, now) {
            Ok(())
        } else {
            Err(PublishRefusal::Busy(self.stream))
        }
    }
}

//! Timed data of publishers: cue points become date ranges of the playlist, and what has text goes
//! into the segments where the setting asks for it.
//!
//! Players of RTMP get the messages as they came; this is what HLS makes of them. Keeps nothing.

use crate::limits::COMPOSITION_LEAD_MS;
use crate::media::cue::{Cue, CueKind};
use crate::service::clock;
use crate::service::store::masked;
use crate::service::stream::Streams;
use crate::status::Counter;
use crate::time::{Millis, Ticks};

impl Streams {
    /// Takes a data message of a stream's publisher, from its name on.
    pub(super) fn cue(&self, stream: usize, at: Millis, body: &[u8]) {
        let Some(cue) = Cue::parse(body) else { return };
        let Some(place) = self.get(stream) else { return };
        let mut store = self.store().borrow_mut();
        let mut sink = store.sink(stream, clock::now());
        let moment = place.borrow_mut().timed(at, &cue, &mut sink, self.status());
        let Some(moment) = moment.filter(|_| cue.kind == CueKind::CuePoint) else { return };
        // Segments are dated by what is decoded first in them.
        let at = moment.minus(Ticks::from_millis(COMPOSITION_LEAD_MS));
        if let Err(cause) = store.cue(stream, at, &cue) {
            self.status().add(Counter::CuesDropped, 1);
            let stream = masked(store.path(stream).unwrap_or_default());
            log::debug!("cue point dropped stream={stream} cause=\"{cause}\"");
        }
    }
}

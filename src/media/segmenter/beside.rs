//! The segmenter of a stream that is offered beside others: asks the group where segments begin.
//!
//! Where the group does not let one begin yet, what comes is dropped: nothing of it could be listed
//! without other numbers at equal times. Where the stream is alone, all is as `super` says.
//! Source: RFC 8216 §6.2.4; rule R60.

use crate::limits::CUT_SLACK_TICKS;
use crate::media::mux::Track;
use crate::media::segmenter::Segmenter;
use crate::media::sink::Sink;
use crate::status::Counter;
use crate::time::Ticks;

impl Segmenter {
    /// Whether the segment must end before the key frame that has come; none if it is alone.
    pub(super) fn due_beside_others(&self, sink: &mut impl Sink) -> Option<bool> {
        sink.share().map(|share| share.is_due(self.shows, CUT_SLACK_TICKS, true))
    }

    /// Whether a segment may begin at `start` with this track.
    pub(super) fn is_admitted(&mut self, start: Ticks, with: Track, sink: &mut impl Sink) -> bool {
        let (at, broken) = (self.place(start, with), self.discontinuity);
        let admits = sink.share().is_none_or(|mut share| share.admits(at, broken));
        self.nowhere = if admits { Counter::MediaWithoutSlot } else { Counter::GroupWaits };
        admits
    }

    /// A segment begins at `start` with this track; says whether others have a discontinuity here.
    pub(super) fn begin_beside_others(
        &self,
        start: Ticks,
        with: Track,
        sink: &mut impl Sink,
    ) -> bool {
        let (at, key) = (self.place(start, with), with == Track::Video);
        let reach = if key { CUT_SLACK_TICKS } else { Ticks(CUT_SLACK_TICKS.0 / 2) };
        sink.share().is_some_and(|mut share| share.begins(at, reach, key))
    }

    /// Where something stands in the time that all members share.
    fn place(&self, start: Ticks, with: Track) -> Ticks {
        if with == Track::Video { self.shows } else { start }
    }
}

//! Timed data of the publisher as ID3 tags in the segments.
//!
//! Each property of a cue point or text is a `TXXX` frame that is named after where it stands:
//! `onTextData.text`, `onCuePoint.parameters.key`. What does not fit `ID3_TAG_BYTES_MAX` is left
//! out. Holds nothing. Source: Apple, Timed Metadata for HTTP Live Streaming §1; id3v2.4.0-frames.

use crate::limits::ID3_TAG_BYTES_MAX;
use crate::media::cue::{Cue, Property};
use crate::media::pipeline::Pipeline;
use crate::media::segmenter::Outlet;
use crate::media::sink::Sink;
use crate::status::{Counter, Status};
use crate::storage::FrameRing;
use crate::time::{Millis, Ticks};
use crate::wire::id3::{TIMESTAMP_OWNER, TagWriter};
use crate::wire::writer::Full;

impl Pipeline {
    /// Chooses whether timed data goes into the segments; to be called before the first message.
    pub const fn carry_metadata(&mut self, carries: bool) {
        self.carries_metadata = carries;
        self.segmenter.carry_metadata(carries);
    }

    /// Takes timed data that has this time on the wire.
    pub fn timed(
        &mut self,
        at: Millis,
        cue: &Cue<'_>,
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let Some(pts) = self.moment(at).filter(|_| self.carries_metadata) else { return };
        let mut room = [0; ID3_TAG_BYTES_MAX];
        let time = self.segmenter.is_packed().then_some(pts);
        let bytes = tag(cue, time, &mut room).unwrap_or(0);
        match room.get(..bytes) {
            Some(tag) if bytes > 0 => {
                self.segmenter.metadata(pts, tag, &mut Outlet { ring, sink, status });
            }
            Some(_) | None => status.add(Counter::MetadataDropped, 1),
        }
    }
}

/// Writes the tag of a cue; says how long it is, 0 if there is nothing to say.
fn tag(cue: &Cue<'_>, time: Option<Ticks>, room: &mut [u8]) -> Result<usize, Full> {
    let mut tag = TagWriter::new(room)?;
    if let Some(pts) = time {
        tag.private(TIMESTAMP_OWNER, &pts.wire().to_be_bytes())?;
    }
    let mut said = 0;
    cue.each(&mut |Property { group, name, value }| {
        let dot = if group.is_empty() { "" } else { "." };
        said += usize::from(tag.text([cue.name(), ".", group, dot, name], value).is_ok());
    });
    if said == 0 { Ok(0) } else { tag.finish() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::id3::{Frame, Frames};

    /// `onTextData` with one text of so many bytes.
    fn message(bytes: usize) -> Vec<u8> {
        let length = u16::try_from(bytes).unwrap().to_be_bytes();
        let head = b"\x02\x00\x0aonTextData\x03\x00\x04text\x02".to_vec();
        [head, length.to_vec(), vec![b'a'; bytes], b"\x00\x00\x09".to_vec()].concat()
    }

    #[test]
    fn tag_is_as_long_as_its_bound_and_no_longer() {
        // A head, the head of the frame, the encoding, `onTextData.text` and its end.
        let most = ID3_TAG_BYTES_MAX - 10 - 10 - 1 - 16;
        for (bytes, size) in [(5, 42), (most, ID3_TAG_BYTES_MAX), (most + 1, 0)] {
            let body = message(bytes);
            let cue = Cue::parse(&body).unwrap();
            let mut room = [0; ID3_TAG_BYTES_MAX];
            assert_eq!(tag(&cue, None, &mut room), Ok(size), "{bytes}");
            if size > 0 {
                let (mut frames, read) = Frames::parse(&room).unwrap();
                let value = vec![b'a'; bytes];
                let text = Frame::Text { description: b"onTextData.text", value: &value };
                assert_eq!((frames.next(), read), (Some(text), size));
            }
        }
    }
}

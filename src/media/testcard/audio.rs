//! The sound of the test card: a beep at the start of each second, as ready AAC-LC frames.
//!
//! Eight seconds at 48 kHz are 375 frames exactly, so the loop never drifts against the picture.
//! `scripts/testcard-audio.sh` makes the file and says how; nothing is encoded here.

/// Frames of the loop.
pub(crate) const LOOP_FRAMES: u64 = 375;

/// Samples in a frame (14496-3, `frameLengthFlag` 0).
pub(crate) const FRAME_SAMPLES: u64 = 1024;

/// Samples per second.
pub(crate) const SAMPLE_RATE: u64 = 48_000;
const _: () = assert!(LOOP_FRAMES * FRAME_SAMPLES == 8 * SAMPLE_RATE);

/// The `AudioSpecificConfig`: AAC-LC, 48 kHz, stereo (14496-3 §1.6.2.1).
pub(crate) const CONFIGURATION: [u8; 2] = [0x11, 0x90];

/// Frame `index` of the endless stream, raw; its first sample is `index * 1024` of the loop.
pub(crate) fn frame(index: u64) -> &'static [u8] {
    let place = usize::try_from(index % LOOP_FRAMES).unwrap_or(0);
    let span = PLACES.get(place).copied().unwrap_or((0, 0));
    FILE.get(span.0.into()..span.1.into()).unwrap_or_default()
}

static FILE: &[u8] = include_bytes!("../../app/assets/testcard.aac.bin");

/// Where each frame begins and ends in the file; a broken file does not compile.
static PLACES: [(u16, u16); 375] = places();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, where a mistake is an error and no stack is used"
)]
const fn places() -> [(u16, u16); 375] {
    assert!(FILE.len() <= u16::MAX as usize);
    let mut places = [(0, 0); 375];
    let mut at = 0;
    let mut frame = 0;
    while frame < places.len() {
        let length = (FILE[at] as usize) << 8 | FILE[at + 1] as usize;
        assert!(length > 0);
        at += 2 + length;
        places[frame] = ((at - length) as u16, at as u16);
        frame += 1;
    }
    assert!(at == FILE.len());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_a_channel_pair_and_the_loop_closes() {
        for index in 0..LOOP_FRAMES {
            assert_eq!(frame(index)[0] >> 5, 1, "frame {index} begins with a channel pair");
        }
        assert_eq!(frame(0), frame(LOOP_FRAMES));
        assert_eq!(frame(u64::MAX), frame(u64::MAX % LOOP_FRAMES));
    }
}

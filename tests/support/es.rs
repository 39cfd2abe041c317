//! Elementary streams: Annex B, ADTS and MPEG audio, read without the program's help.
//!
//! Sources: H.264 Annex B; ISO/IEC 14496-3 §1.A.2.2; ISO/IEC 11172-3 §2.4.2.3.

use super::flv::RATES;

/// A NAL unit cannot end in a zero byte: those belong to the byte stream (Annex B,
/// trailing_zero_8bits).
pub fn without_trailing_zeros(mut nal: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = nal {
        nal = rest;
    }
    nal
}

/// Splits a byte stream at its start codes; bytes before the first one are an error.
pub fn annex_b(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= bytes.len() {
        if bytes[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let first = *starts.first().ok_or("no start code")?;
    if bytes[..first - 3].iter().any(|b| *b != 0) {
        return Err(format!("{} bytes before the first start code", first - 3));
    }
    let ends = starts.iter().skip(1).map(|s| s - 3).chain([bytes.len()]);
    Ok(starts
        .iter()
        .zip(ends)
        .map(|(s, e)| without_trailing_zeros(&bytes[*s..e]).to_vec())
        .collect())
}

/// One frame of audio.
#[derive(Clone, Debug)]
pub struct Frame {
    /// AAC: without the ADTS header. MPEG audio: whole.
    pub bytes: Vec<u8>,
    pub rate: u32,
    pub samples: u32,
    pub adts: Option<(u8, u8, u8)>,
}

/// Whole ADTS frames only; anything else is an error with its offset.
pub fn adts(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let h = bytes.get(at..at + 7).ok_or(format!("ADTS header cut off at byte {at}"))?;
        if h[0] != 0xff || h[1] & 0xf6 != 0xf0 {
            return Err(format!("no ADTS sync at byte {at}: {:02x}{:02x}", h[0], h[1]));
        }
        if h[6] & 3 != 0 {
            return Err(format!("{} raw blocks in one ADTS frame at byte {at}", (h[6] & 3) + 1));
        }
        let head = if h[1] & 1 == 1 { 7 } else { 9 };
        let length = usize::from(h[3] & 3) << 11 | usize::from(h[4]) << 3 | usize::from(h[5] >> 5);
        let index = h[2] >> 2 & 15;
        let body = bytes
            .get(at + head..at + length)
            .ok_or(format!("ADTS frame of {length} cut off at byte {at}"))?;
        frames.push(Frame {
            bytes: body.to_vec(),
            rate: *RATES.get(usize::from(index)).ok_or(format!("ADTS frequency index {index}"))?,
            samples: 1024,
            adts: Some((h[2] >> 6, index, (h[2] & 1) << 2 | h[3] >> 6)),
        });
        at += length;
    }
    Ok(frames)
}

/// Whole MPEG-1/2/2.5 layer II and III frames only; anything else is an error with its offset.
pub fn mpeg_audio(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let h = bytes.get(at..at + 4).ok_or(format!("MPEG audio header cut off at byte {at}"))?;
        let (version, layer) = (h[1] >> 3 & 3, h[1] >> 1 & 3);
        let (rate_index, kbit_index) = (usize::from(h[2] >> 2 & 3), usize::from(h[2] >> 4));
        if h[0] != 0xff || h[1] & 0xe0 != 0xe0 || version == 1 || layer != 1 || rate_index == 3 {
            return Err(format!(
                "no layer III sync at byte {at}: {:02x}{:02x}{:02x}",
                h[0], h[1], h[2]
            ));
        }
        let mpeg1 = version == 3;
        let kbit: [u32; 16] = if mpeg1 {
            [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0]
        } else {
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0]
        };
        let rate = [44_100, 48_000, 32_000][rate_index] >> [2, 0, 1, 0][usize::from(version)];
        let factor = if mpeg1 { 144_000 } else { 72_000 };
        let length = (factor * kbit[kbit_index] / rate + u32::from(h[2] >> 1 & 1)) as usize;
        let body = bytes.get(at..at + length).filter(|_| length > 4);
        frames.push(Frame {
            bytes: body.ok_or(format!("frame of {length} cut off at byte {at}"))?.to_vec(),
            rate,
            samples: if mpeg1 { 1152 } else { 576 },
            adts: None,
        });
        at += length;
    }
    Ok(frames)
}

#[test]
fn annex_b_splits_both_start_codes_and_refuses_leading_bytes() {
    let nals = annex_b(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1, 0, 0, 3, 0, 0]).unwrap();
    assert_eq!(nals, [vec![9, 0xf0], vec![0x65, 1, 0, 0, 3]]);
    assert!(annex_b(&[5, 0, 0, 1, 9]).is_err());
}

#[test]
fn adts_reads_the_sheet_vector_and_refuses_a_short_one() {
    // fff150800d7ffc: LC, 44100, stereo, a frame of 100 bytes and 7 of header.
    let mut frame = vec![0xff, 0xf1, 0x50, 0x80, 0x0d, 0x7f, 0xfc];
    frame.resize(107, 1);
    let frames = adts(&frame).unwrap();
    assert_eq!((frames.len(), frames[0].rate, frames[0].adts), (1, 44_100, Some((1, 4, 2))));
    assert!(adts(&frame[..106]).is_err());
    frame[0] = 0xfe;
    assert!(adts(&frame).is_err());
}

#[test]
fn mpeg_audio_knows_the_sheet_lengths() {
    for (head, length) in [
        ([0xff, 0xfb, 0x90, 0], 417),
        ([0xff, 0xfb, 0x94, 0x64], 384),
        ([0xff, 0xf3, 0x40, 0], 104),
    ] {
        let mut frame = head.to_vec();
        frame.resize(length, 0);
        assert_eq!(mpeg_audio(&frame).unwrap()[0].bytes.len(), length);
        assert!(mpeg_audio(&frame[1..]).is_err());
    }
}

//! What players can decrypt: whole segments (AES-128) and single samples (SAMPLE-AES).
//!
//! A whole segment is encrypted where it lies, with padding behind it. Of a sample only some
//! blocks are: of an H.264 slice every tenth, of an audio frame all behind its head. A slice grows
//! where ciphertext would read as a start code, so that it is written to another place. Makes no
//! keys and does not say who may have them.
//! Source: RFC 8216 §4.3.2.4, §5.2; Apple, MPEG-2 Stream Encryption Format for HLS; PKCS #7
//! (RFC 5652 §6.3).

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{
    Array, BlockModeDecrypt as _, BlockModeEncrypt as _, IvState as _, KeyIvInit as _,
    SetIvState as _,
};
use cbc::{Decryptor, Encryptor};
use core::fmt;

use crate::wire::writer::{Full, Writer};

/// Bytes of a block, of a key and of an initialization vector.
pub const BLOCK_BYTES: usize = 16;

/// Bytes of a slice that stay clear in front; one of no more than these and a block is clear.
const SLICE_LEAD_BYTES: usize = 32;

/// Bytes of a slice that stay clear behind each encrypted block.
const SLICE_CLEAR_BYTES: usize = 9 * BLOCK_BYTES;

/// Bytes that stay clear at the front of an audio frame, behind its ADTS header if it has one.
pub const FRAME_LEAD_BYTES: usize = BLOCK_BYTES;

/// A key; its bytes are nobody's to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; BLOCK_BYTES]);

impl Key {
    /// The key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; BLOCK_BYTES]) -> Self {
        Self(bytes)
    }

    /// What a player asks for: exactly these bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; BLOCK_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The initialization vector of a segment whose key tag has none: its media sequence number.
#[must_use]
pub fn sequence_iv(sequence: u64) -> [u8; BLOCK_BYTES] {
    u128::from(sequence).to_be_bytes()
}

/// Bytes of a segment of `bytes` once it is encrypted: 1 to 16 of padding are added.
#[must_use]
pub const fn encrypted_len(bytes: usize) -> usize {
    bytes - bytes % BLOCK_BYTES + BLOCK_BYTES
}

/// Encrypts the segment of `bytes` at the front of `room`, in place, and gives its new length.
///
/// # Errors
/// `Full` if `room` has none for the padding; nothing is changed then.
pub fn encrypt_segment(
    key: &Key,
    iv: [u8; BLOCK_BYTES],
    room: &mut [u8],
    bytes: usize,
) -> Result<usize, Full> {
    let full = Full { need: encrypted_len(bytes), have: room.len() };
    let cipher = Encryptor::<Aes128>::new(&key.0.into(), &iv.into());
    let encrypted = cipher.encrypt_padded::<Pkcs7>(room, bytes).map_err(|_| full)?;
    debug_assert_eq!(encrypted.len(), full.need);
    Ok(encrypted.len())
}

/// Decrypts a whole segment in place and takes its padding off, for who judges what it holds; false
/// if the padding is not PKCS #7, when `bytes` may be anything.
#[must_use]
pub fn decrypt_segment(
    key: &[u8; BLOCK_BYTES],
    iv: &[u8; BLOCK_BYTES],
    bytes: &mut Vec<u8>,
) -> bool {
    let cipher = Decryptor::<Aes128>::new(key.into(), iv.into());
    let clear = cipher.decrypt_padded::<Pkcs7>(bytes).map(<[u8]>::len);
    bytes.truncate(clear.unwrap_or(0));
    clear.is_ok()
}

/// Encrypts the samples of one segment; every protected sample begins a chain of its own.
pub struct SampleCipher {
    cipher: Encryptor<Aes128>,
    iv: [u8; BLOCK_BYTES],
}

impl SampleCipher {
    /// The cipher of a segment with this key.
    #[must_use]
    pub fn new(key: &Key, iv: [u8; BLOCK_BYTES]) -> Self {
        Self { cipher: Encryptor::new(&key.0.into(), &iv.into()), iv }
    }

    /// Whether a NAL unit of H.264 is one that is encrypted: a slice of more than 48 bytes.
    #[must_use]
    pub fn protects(nal: &[u8]) -> bool {
        let is_slice = nal.first().is_some_and(|header| matches!(header & 0x1f, 1 | 5));
        is_slice && nal.len() > SLICE_LEAD_BYTES + BLOCK_BYTES
    }

    // | clear (32) | encrypted (16) | clear (144) | encrypted (16) | clear … (at least 1) |

    /// Writes a slice that `protects` named, encrypted, and kept from looking like a start code.
    /// Its own emulation prevention is taken for payload.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn slice(&mut self, nal: &[u8], w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert!(Self::protects(nal));
        self.begin();
        let mut out = Prevention { w, zeros: 0 };
        let (lead, mut rest) = nal.split_at(SLICE_LEAD_BYTES.min(nal.len()));
        out.put(lead)?;
        while let Some((block, behind)) = rest.split_first_chunk::<BLOCK_BYTES>()
            && !behind.is_empty()
        {
            let mut block = Array(*block);
            self.cipher.encrypt_block(&mut block);
            out.put(&block)?;
            let (clear, behind) = behind.split_at(SLICE_CLEAR_BYTES.min(behind.len()));
            out.put(clear)?;
            rest = behind;
        }
        out.put(rest)
    }

    /// Encrypts an audio frame in place: all whole blocks behind the first `clear` bytes.
    pub fn frame(&mut self, frame: &mut [u8], clear: usize) {
        self.begin();
        let (blocks, _) = frame.get_mut(clear..).unwrap_or_default().as_chunks_mut();
        self.cipher.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }

    fn begin(&mut self) {
        self.cipher.set_iv(&Array(self.iv));
        debug_assert_eq!(self.cipher.iv_state(), self.iv);
    }
}

impl fmt::Debug for SampleCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SampleCipher")
    }
}

/// Writes a NAL unit with emulation prevention (H.264 §7.4.1): 3 stands between two zeros and
/// what is at most 3.
struct Prevention<'w, 'b> {
    w: &'w mut Writer<'b>,
    /// Zeros written last, at most 2.
    zeros: u8,
}

impl Prevention<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.zeros == 2 && *byte <= 3 {
                self.w.bytes(bytes.get(from..at).unwrap_or_default())?;
                self.w.u8(3)?;
                (from, self.zeros) = (at, 0);
            }
            self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
            debug_assert!(self.zeros <= 2);
        }
        self.w.bytes(bytes.get(from..).unwrap_or_default())
    }
}

/// Bytes that a slice of `bytes` takes at most once it is encrypted: a 3 behind every two.
#[must_use]
pub const fn slice_bytes_max(bytes: usize) -> usize {
    bytes + bytes / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::Decryptor;
    use core::fmt::Write as _;
    use proptest::prelude::*;
    use ring::digest::{SHA256, digest};

    /// 000102…0f.
    fn key() -> Key {
        Key::new(core::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    const IV: [u8; 16] = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();

    fn hex(bytes: &[u8]) -> String {
        let mut text = String::new();
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap();
        }
        text
    }

    fn slice(nal: &[u8]) -> Vec<u8> {
        let mut room = vec![0; slice_bytes_max(nal.len())];
        let mut w = Writer::new(&mut room);
        SampleCipher::new(&key(), IV).slice(nal, &mut w).unwrap();
        w.written().to_vec()
    }

    /// What a player does with a slice: takes the prevention away, decrypts every tenth block.
    fn read_slice(encrypted: &[u8]) -> Vec<u8> {
        let (mut nal, mut zeros) = (Vec::new(), 0);
        for byte in encrypted {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            nal.push(*byte);
        }
        let mut cipher = Decryptor::<Aes128>::new(&key().0.into(), &IV.into());
        let mut at = 32;
        while at + 16 < nal.len() {
            let block: &mut [u8; 16] = (&mut nal[at..at + 16]).try_into().unwrap();
            cipher.decrypt_block(block.into());
            at += 160;
        }
        nal
    }

    /// The NAL unit of the sheet's vector.
    fn nal(bytes: usize) -> Vec<u8> {
        let payload = (0..bytes - 1).map(|i| ((i * 7 + 1) & 255).to_le_bytes()[0]);
        [0x65].into_iter().chain(payload).collect()
    }

    /// Where two texts of the same length differ, as ranges of whole blocks.
    fn differences(a: &[u8], b: &[u8], from: usize) -> Vec<usize> {
        assert_eq!(a.len(), b.len());
        let starts = (from..a.len()).step_by(16);
        starts.filter(|at| a[*at..].iter().zip(&b[*at..]).take(16).any(|(a, b)| a != b)).collect()
    }

    #[test]
    fn segment_is_encrypted_as_the_sheet_vectors_say() {
        let mut room = [0; 192];
        room[0] = 0x47;
        assert_eq!(encrypt_segment(&key(), sequence_iv(7), &mut room, 188), Ok(192));
        assert_eq!(hex(&room[..16]), "5104006c74dc462ee06affeda334a4f2");
        assert_eq!(hex(&room[176..]), "aff743440e1ed01ea444e5bbeb64b68d");
        let sum = digest(&SHA256, &room);
        let want = "e1d6854fcd334021ba092e1f0075567fb8f3f33c2e6b85735524e5740e2c015f";
        assert_eq!(hex(sum.as_ref()), want, "R51");
        let mut room = [0; 192];
        room[0] = 0x47;
        encrypt_segment(&key(), IV, &mut room, 188).unwrap();
        assert_eq!(hex(&room[..16]), "6b2b37d7baa817b7ccfecd3a4a1c6bd6");
    }

    #[test]
    fn segment_is_decrypted_to_what_it_was() {
        let mut room = vec![0x47; encrypted_len(376)];
        encrypt_segment(&key(), IV, &mut room, 376).unwrap();
        let sealed = room.clone();
        assert!(decrypt_segment(key().bytes(), &IV, &mut room));
        assert_eq!(room, [0x47; 376]);
        for (bytes, key) in [(&sealed[..sealed.len() - 8], *key().bytes()), (&sealed, [9; 16])] {
            assert!(!decrypt_segment(&key, &IV, &mut bytes.to_vec()), "cut off, or another key");
        }
    }

    #[test]
    fn segment_always_grows_by_its_padding() {
        for (bytes, encrypted) in [(188, 192), (192, 208), (376, 384), (0, 16)] {
            assert_eq!(encrypted_len(bytes), encrypted, "R51");
            let mut room = vec![0; encrypted];
            assert_eq!(encrypt_segment(&key(), IV, &mut room, bytes), Ok(encrypted));
            let mut short = vec![7; encrypted - 1];
            let full = Full { need: encrypted, have: encrypted - 1 };
            assert_eq!(encrypt_segment(&key(), IV, &mut short, bytes), Err(full));
            assert!(short.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn key_is_not_printed() {
        assert_eq!(format!("{:?} {:?}", key(), SampleCipher::new(&key(), IV)), "Key SampleCipher");
    }

    #[test]
    fn slice_is_encrypted_as_the_sheet_vectors_say() {
        let plain = nal(400);
        let encrypted = slice(&plain);
        assert_eq!(encrypted.len(), 400);
        for (at, block) in [
            (32, "cd45de599ae47cc6cdf172916e93f7ed"),
            (192, "3e3f5b3402c90c829d02b651304be385"),
            (352, "2bbb920749f4ad76657c34e4da5cdbbe"),
        ] {
            assert_eq!(hex(&encrypted[at..at + 16]), block);
        }
        assert_eq!(differences(&plain, &encrypted, 0), [32, 192, 352]);
    }

    #[test]
    fn slice_keeps_its_lead_and_its_last_bytes_clear() {
        assert!(!SampleCipher::protects(&nal(48)));
        for (bytes, blocks) in [(49, &[32][..]), (208, &[32]), (209, &[32, 192])] {
            let plain = nal(bytes);
            assert!(SampleCipher::protects(&plain));
            assert_eq!(differences(&plain, &slice(&plain), 0), blocks, "{bytes}");
        }
    }

    #[test]
    fn slices_alone_are_encrypted() {
        let protects = |header: u8| SampleCipher::protects(&[&[header], &[9; 60][..]].concat());
        for header in [0x65, 0x41, 0x01, 0x25] {
            assert!(protects(header), "{header:#x}");
        }
        for header in [0x67, 0x68, 0x06, 0x09, 0x02, 0x00] {
            assert!(!protects(header), "{header:#x}");
        }
        assert!(!SampleCipher::protects(&[]));
    }

    #[test]
    fn audio_frame_is_encrypted_as_the_sheet_vector_says() {
        let body: Vec<u8> = (0..60).collect();
        let plain = [&[0xff; 7][..], &body].concat();
        let mut frame = plain.clone();
        SampleCipher::new(&key(), IV).frame(&mut frame, 7 + FRAME_LEAD_BYTES);
        assert_eq!(hex(&frame[23..39]), "e287c65a56b2b2636cd2ee799ed244b1");
        assert_eq!(frame[..23], plain[..23]);
        assert_eq!(frame[55..], plain[55..], "no whole block");
        assert_eq!(differences(&plain, &frame, 23), [23, 39]);
    }

    #[test]
    fn samples_each_begin_a_chain_of_their_own() {
        let mut cipher = SampleCipher::new(&key(), IV);
        let frames = [(); 2].map(|()| {
            let mut frame = [5; 80];
            cipher.frame(&mut frame, FRAME_LEAD_BYTES);
            frame
        });
        assert_eq!(frames[0], frames[1]);
        cipher.frame(&mut [1; 20], 23);
        assert_ne!(frames[0][16..32], frames[0][32..48], "but blocks of one are chained");
    }

    #[test]
    fn slice_never_holds_a_start_code() {
        let plain = [&[0x65][..], &[0; 1_000]].concat();
        let mut room = vec![0; slice_bytes_max(plain.len())];
        let mut w = Writer::new(&mut room);
        SampleCipher::new(&key(), IV).slice(&plain, &mut w).unwrap();
        assert!(w.written().windows(3).all(|three| three[..2] != [0, 0] || three[2] >= 3));
        assert_eq!(read_slice(w.written()), plain);
        let short = SampleCipher::new(&key(), IV).slice(&plain, &mut Writer::new(&mut [0; 1_000]));
        assert!(short.is_err());
    }

    proptest! {
        #[test]
        fn slice_is_read_back_whatever_it_holds(
            lead in any::<u8>(),
            payload in proptest::collection::vec(
                prop_oneof![4 => 0u8..4, 1 => any::<u8>()], 48..700),
        ) {
            let plain = [&[lead & 0xe0 | 5][..], &payload].concat();
            let encrypted = slice(&plain);
            prop_assert!(encrypted.len() <= slice_bytes_max(plain.len()));
            for three in encrypted.windows(3) {
                prop_assert!(three[..2] != [0, 0] || three[2] >= 3, "{three:?}");
            }
            prop_assert_eq!(read_slice(&encrypted), plain);
        }

        #[test]
        fn segment_is_read_back_whatever_it_holds(
            plain in proptest::collection::vec(any::<u8>(), 0..600),
            sequence in any::<u64>(),
        ) {
            let mut room = plain.clone();
            room.resize(encrypted_len(plain.len()), 0);
            let iv = sequence_iv(sequence);
            let bytes = encrypt_segment(&key(), iv, &mut room, plain.len()).unwrap();
            prop_assert_eq!(bytes, room.len());
            let cipher = Decryptor::<Aes128>::new(&key().0.into(), &iv.into());
            let back = cipher.decrypt_padded::<Pkcs7>(&mut room).unwrap();
            prop_assert_eq!(back, &plain[..]);
        }
    }
}

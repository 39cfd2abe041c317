//! Random bytes from the kernel.

use ring::rand::{SecureRandom as _, SystemRandom};

/// Fills `bytes`. Where the kernel has none yet (early at boot) they stay as they were.
pub fn fill(bytes: &mut [u8]) {
    let filled = SystemRandom::new().fill(bytes);
    debug_assert!(filled.is_ok());
}

/// A key; none where the kernel has no random bytes yet.
#[must_use]
pub fn key() -> Option<[u8; 16]> {
    let mut key = [0; 16];
    SystemRandom::new().fill(&mut key).ok()?;
    Some(key)
}

/// Four random bytes as a number.
#[must_use]
pub fn u32() -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ() {
        assert_ne!(key().unwrap(), key().unwrap());
    }

    #[test]
    fn random_numbers_differ() {
        assert!((0..8).map(|_| u32()).any(|n| n != u32()));
    }
}

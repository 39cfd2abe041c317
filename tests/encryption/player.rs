//! What a player knows of a playlist's keys, and openssl, which decrypts as the standard says.
//!
//! Reads tags by itself: nothing of the program's own playlist code is used.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// A listed segment and what stands above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub uri: String,
    pub sequence: u64,
    /// Method and address, if it is encrypted.
    pub key: Option<(String, String)>,
}

/// The segments of a playlist as who reads only this version sees them.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut sequence: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
        .map_or(0, |number| number.parse().unwrap());
    let mut key = None;
    let mut entries = Vec::new();
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("#EXT-X-KEY:") {
            let method = list.strip_prefix("METHOD=").unwrap();
            let (method, rest) = method.split_once(',').unwrap_or((method, ""));
            if method == "NONE" {
                assert_eq!(rest, "", "R53");
                key = None;
            } else {
                let rest = rest.strip_prefix("URI=\"").expect("R53");
                let (uri, iv) = rest.split_once('"').unwrap();
                // Whole segments have their media sequence number.
                assert_eq!(iv.contains(",IV=0x"), method == "SAMPLE-AES", "{line}");
                key = Some((method.to_owned(), uri.to_owned()));
            }
        } else if !line.starts_with('#') {
            entries.push(Entry { uri: line.to_owned(), sequence, key: key.clone() });
            sequence += 1;
        }
    }
    entries
}

/// The number in a segment's or key's name.
pub fn number(name: &str) -> u64 {
    name.split(['-', '.']).nth(1).unwrap().parse().unwrap()
}

/// Decrypts a whole segment, its padding checked and removed.
pub fn openssl(key: &[u8], sequence: u64, encrypted: &[u8]) -> Vec<u8> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut child = Command::new("openssl")
        .args(["enc", "-d", "-aes-128-cbc", "-K", &hex(key), "-iv", &format!("{sequence:032x}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut input = child.stdin.take().unwrap();
    let bytes = encrypted.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "openssl: {} at {sequence}", output.status);
    output.stdout
}

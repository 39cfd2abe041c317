//! The certificate that the box makes for itself, and the files that keep such things.
//!
//! Made once, kept in the data folder. Reads no clock: a box may start in 1970. Knows no TLS.
//! Source: RFC 5280, RFC 7468.

use crate::limits::TLS_FILE_BYTES_MAX;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A certificate that signs itself, and its key, as PEM; valid from the start of the first year to
/// that of the second.
pub(super) fn make([from, to]: [i32; 2]) -> Result<(String, String), rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let names = ["rillcast".to_owned(), "rillcast.local".to_owned(), "localhost".to_owned()];
    let mut certificate = rcgen::CertificateParams::new(names)?;
    certificate.not_before = rcgen::date_time_ymd(from, 1, 1);
    certificate.not_after = rcgen::date_time_ymd(to, 1, 1);
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "rillcast");
    certificate.distinguished_name = name;
    Ok((certificate.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Writes a file that is whole after a power failure, or not there.
pub(super) fn keep(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    // What an earlier start left half written.
    let _gone = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The whole of a file, if it is no longer than such files are.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let bytes = File::open(file)?.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if u64::try_from(bytes).unwrap_or(u64::MAX) > TLS_FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {TLS_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

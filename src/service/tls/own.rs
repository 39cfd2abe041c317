//! The certificate that the box makes for itself, and the files that keep such things.
//!
//! Made once, kept in the data folder. Reads no clock: a box may start in 1970. What the
//! certificate says is laid out in `wire::x509`. Knows no TLS.
//! Source: RFC 5958 §2, RFC 7468 §2, §5, §10.

use crate::limits::{TLS_FILE_BYTES_MAX, TLS_OWN_BYTES_MAX};
use crate::wire::writer::{Full, Writer};
use crate::wire::x509::{self, SERIAL_BYTES, SelfSigned};
use base64ct::{Base64, Encoding as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Why there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OwnError {
    /// The kernel has no random bytes, or ring does not take its own key.
    #[error("no key could be made: has the kernel random bytes?")]
    Key,
    /// Exhausted: the buffer.
    #[error("certificate does not fit: {0}")]
    Full(#[from] Full),
}

impl From<ring::error::Unspecified> for OwnError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self::Key
    }
}

/// Names that the box may have for others; players that look at names need one of them.
const DNS_NAMES: &[&str] = &["rillcast", "rillcast.local", "localhost"];

/// A certificate that signs itself, and its key, as PEM; valid from the start of the first year to
/// that of the second.
pub(super) fn make(years: [u16; 2]) -> Result<(String, String), OwnError> {
    make_for(DNS_NAMES, years)
}

fn make_for(dns_names: &[&str], years: [u16; 2]) -> Result<(String, String), OwnError> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random);
    let pair = pair.map_err(|_| OwnError::Key)?;
    let point = pair.public_key().as_ref().try_into().map_err(|_| OwnError::Key)?;
    let mut serial = [0; SERIAL_BYTES];
    random.fill(&mut serial)?;
    let says = SelfSigned { serial, common_name: "rillcast", dns_names, years, point };
    let (mut signed, mut whole) = ([0; TLS_OWN_BYTES_MAX], [0; TLS_OWN_BYTES_MAX]);
    let (mut signed, mut whole) = (Writer::new(&mut signed), Writer::new(&mut whole));
    says.emit(&mut signed)?;
    let signature = pair.sign(&random, signed.written())?;
    x509::emit_signed(&mut whole, signed.written(), signature.as_ref())?;
    Ok((pem("CERTIFICATE", whole.written()), pem("PRIVATE KEY", key.as_ref())))
}

/// DER in lines of 64 characters (RFC 7468 §2).
fn pem(label: &str, der: &[u8]) -> String {
    let lines = der.chunks(48).map(|line| format!("{}\n", Base64::encode_string(line)));
    let lines = lines.collect::<String>();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn certificate_is_read_and_verified_by_openssl() {
        let folder = tempfile::tempdir().unwrap();
        for (years, from, until) in [
            ([2020, 2120], "Jan  1 00:00:00 2020 GMT", "Jan  1 00:00:00 2120 GMT"),
            ([2049, 2050], "Jan  1 00:00:00 2049 GMT", "Jan  1 00:00:00 2050 GMT"),
        ] {
            let (certificate, key) = make(years).unwrap();
            fs::write(folder.path().join("c.pem"), certificate).unwrap();
            fs::write(folder.path().join("k.pem"), key).unwrap();
            let openssl = |arguments: &str| {
                let mut command = Command::new("openssl");
                command.args(arguments.split(' ')).current_dir(folder.path());
                let done = command.output().unwrap();
                let text = String::from_utf8(done.stdout).unwrap();
                assert!(done.status.success(), "{arguments}: {text}");
                text
            };
            let text = openssl("x509 -in c.pem -noout -text");
            for part in [
                "Version: 3 (0x2)",
                "Signature Algorithm: ecdsa-with-SHA256",
                "Issuer: CN = rillcast",
                "Subject: CN = rillcast",
                "NIST CURVE: P-256",
                "CA:FALSE",
                "Digital Signature\n",
                "TLS Web Server Authentication",
                "DNS:rillcast, DNS:rillcast.local, DNS:localhost",
                &format!("Not Before: {from}"),
                &format!("Not After : {until}"),
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            // Its own signature, and its rules in the strictest reading.
            let at = if years == [2049, 2050] { "2500000000" } else { "1700000000" };
            let verified = openssl(&format!(
                "verify -x509_strict -check_ss_sig -purpose sslserver -attime {at} \
                 -verify_hostname rillcast.local -CAfile c.pem c.pem"
            ));
            assert_eq!(verified, "c.pem: OK\n");
            // The key is that of the certificate.
            let ours = openssl("pkey -in k.pem -pubout");
            assert_eq!(openssl("x509 -in c.pem -noout -pubkey"), ours);
        }
    }

    #[test]
    fn certificate_longer_than_its_room_is_refused() {
        let long = "x".repeat(TLS_OWN_BYTES_MAX);
        assert!(matches!(make_for(&[&long], [2020, 2120]), Err(OwnError::Full(_))));
        assert!(make_for(&[&long[..TLS_OWN_BYTES_MAX / 2]], [2020, 2120]).is_ok());
    }

    #[test]
    fn two_certificates_have_different_keys_and_serial_numbers() {
        let (one, two) = (make([2020, 2120]).unwrap(), make([2020, 2120]).unwrap());
        assert_ne!(one.0, two.0);
        assert_ne!(one.1, two.1);
    }
}

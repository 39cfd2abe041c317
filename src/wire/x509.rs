//! A certificate that vouches for itself: what is signed, and the whole.
//!
//! One kind alone: an ECDSA P-256 key that serves TLS under a few names. Signs nothing, makes no
//! key and reads no certificate.
//! Source: RFC 5280 §4.1, §4.2; RFC 5480 §2.1.1, §2.2; RFC 5758 §3.2.

use crate::wire::der::{Tag, element, primitive};
use crate::wire::writer::{Full, Writer};

/// Bytes of an uncompressed P-256 point: 4, then both coordinates (SEC 1 §2.3.3).
pub const POINT_BYTES: usize = 65;

/// Bytes of a serial number that we give (RFC 5280 §4.1.2.2 allows 20).
pub const SERIAL_BYTES: usize = 16;

/// What the certificate says.
#[derive(Clone, Copy, Debug)]
pub struct SelfSigned<'a> {
    /// Tells two certificates of one issuer apart; made positive.
    pub serial: [u8; SERIAL_BYTES],
    /// Common name of subject and issuer.
    pub common_name: &'a str,
    /// DNS names of the server, ASCII.
    pub dns_names: &'a [&'a str],
    /// Valid from the start of this year, up to that of the second one; 1950 to 9999.
    pub years: [u16; 2],
    /// The public key.
    pub point: &'a [u8; POINT_BYTES],
}

impl SelfSigned<'_> {
    /// Writes what is to be signed (`TBSCertificate`).
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        element(w, Tag::Sequence, |w| {
            element(w, Tag::Explicit(0), |w| primitive(w, Tag::Integer, &[VERSION_3]))?;
            // A first byte of 1 to 127 is positive and needs none before it.
            let mut serial = self.serial;
            let [first, ..] = &mut serial;
            *first = *first & 0x7f | 1;
            primitive(w, Tag::Integer, &serial)?;
            algorithm(w)?;
            self.name(w)?;
            let [from, until] = self.years;
            element(w, Tag::Sequence, |w| new_year(w, from).and_then(|()| new_year(w, until)))?;
            self.name(w)?;
            self.key(w)?;
            element(w, Tag::Explicit(3), |w| element(w, Tag::Sequence, |w| self.extensions(w)))
        })
    }

    /// `Name`: one common name.
    fn name(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        element(w, Tag::Sequence, |w| {
            element(w, Tag::Set, |w| {
                element(w, Tag::Sequence, |w| {
                    primitive(w, Tag::ObjectIdentifier, COMMON_NAME)?;
                    primitive(w, Tag::Utf8String, self.common_name.as_bytes())
                })
            })
        })
    }

    /// `SubjectPublicKeyInfo`.
    fn key(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        element(w, Tag::Sequence, |w| {
            element(w, Tag::Sequence, |w| {
                primitive(w, Tag::ObjectIdentifier, EC_PUBLIC_KEY)?;
                primitive(w, Tag::ObjectIdentifier, PRIME256V1)
            })?;
            bits(w, 0, self.point)
        })
    }

    fn extensions(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        // Neither an authority nor for anything but the handshake of a server.
        extension(w, BASIC_CONSTRAINTS, true, |w| element(w, Tag::Sequence, |_| Ok(())))?;
        extension(w, KEY_USAGE, true, |w| bits(w, 7, &[DIGITAL_SIGNATURE]))?;
        extension(w, EXTENDED_KEY_USAGE, false, |w| {
            element(w, Tag::Sequence, |w| primitive(w, Tag::ObjectIdentifier, SERVER_AUTH))
        })?;
        extension(w, SUBJECT_ALT_NAME, false, |w| {
            element(w, Tag::Sequence, |w| {
                let mut names = self.dns_names.iter();
                names.try_for_each(|name| primitive(w, Tag::Implicit(2), name.as_bytes()))
            })
        })
    }
}

/// Writes the whole of a certificate: what `SelfSigned::emit` gave, and its ECDSA-SHA256 signature
/// as DER.
///
/// # Errors
/// `Full` if it does not fit; part of it may then be written.
pub fn emit_signed(w: &mut Writer<'_>, signed: &[u8], signature: &[u8]) -> Result<(), Full> {
    element(w, Tag::Sequence, |w| {
        w.bytes(signed)?;
        algorithm(w)?;
        bits(w, 0, signature)
    })
}

/// `AlgorithmIdentifier` of the signature; without parameters (RFC 5758 §3.2).
fn algorithm(w: &mut Writer<'_>) -> Result<(), Full> {
    element(w, Tag::Sequence, |w| primitive(w, Tag::ObjectIdentifier, ECDSA_WITH_SHA256))
}

fn bits(w: &mut Writer<'_>, unused: u8, bytes: &[u8]) -> Result<(), Full> {
    element(w, Tag::BitString, |w| w.u8(unused).and_then(|()| w.bytes(bytes)))
}

fn extension(
    w: &mut Writer<'_>,
    id: &[u8],
    critical: bool,
    value: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<(), Full> {
    element(w, Tag::Sequence, |w| {
        primitive(w, Tag::ObjectIdentifier, id)?;
        if critical {
            primitive(w, Tag::Boolean, &[0xff])?;
        }
        element(w, Tag::OctetString, value)
    })
}

/// The first second of a year: with two digits before 2050, with four from then on (RFC 5280
/// §4.1.2.5).
fn new_year(w: &mut Writer<'_>, year: u16) -> Result<(), Full> {
    let digits = [1000, 100, 10, 1].map(|unit| b'0' + u8::try_from(year / unit % 10).unwrap_or(0));
    let is_short = (1950..2050).contains(&year);
    let tag = if is_short { Tag::UtcTime } else { Tag::GeneralizedTime };
    element(w, tag, |w| {
        w.bytes(digits.get(if is_short { 2.. } else { 0.. }).unwrap_or_default())?;
        w.bytes(b"0101000000Z")
    })
}

const VERSION_3: u8 = 2;
/// Bit 0 of `KeyUsage`, the first from the left.
const DIGITAL_SIGNATURE: u8 = 0b1000_0000;

// Contents of object identifiers (X.690 §8.19).
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(serial: [u8; SERIAL_BYTES], years: [u16; 2], room: usize) -> Result<Vec<u8>, Full> {
        let mut buffer = vec![0; room];
        let mut w = Writer::new(&mut buffer);
        let dns_names = &["a.example", "b.example"];
        let point = &[4; POINT_BYTES];
        SelfSigned { serial, common_name: "c", dns_names, years, point }.emit(&mut w)?;
        Ok(w.written().to_vec())
    }

    proptest! {
        #[test]
        fn serial_is_positive_and_years_have_as_many_digits_as_they_need(
            serial in any::<[u8; SERIAL_BYTES]>(),
            years in [1950_u16..=9999, 1950_u16..=9999],
        ) {
            let bytes = emitted(serial, years, 512).unwrap();
            // Behind two lengths, the version and the serial's header.
            prop_assert!((1..0x80).contains(&bytes[11]));
            prop_assert_eq!(&bytes[12..27], &serial[1..]);
            for year in years {
                let [tag, digits] = if year < 2050 {
                    ["\x17\x0d".to_owned(), format!("{:02}", year % 100)]
                } else {
                    ["\x18\x0f".to_owned(), year.to_string()]
                };
                let time = tag + &digits + "0101000000Z";
                prop_assert!(bytes.windows(time.len()).any(|seen| seen == time.as_bytes()));
            }
        }

        #[test]
        fn certificate_that_does_not_fit_is_refused(room in 0_usize..400) {
            let whole = emitted([1; SERIAL_BYTES], [2020, 2120], 512).unwrap().len();
            let outcome = emitted([1; SERIAL_BYTES], [2020, 2120], room);
            prop_assert_eq!(outcome.is_ok(), room >= whole);
        }
    }
}

//! Dates as text: RFC 3339, written in UTC with milliseconds.
//!
//! What playlists say of segments (`2026-01-05T10:20:30.123Z`), and what recordings say of
//! themselves, in whatever zone. Years 1970 to 9999; a leap second is read as the one after it.
//! Reads no clock. Source: RFC 3339 §5.6, RFC 8216 §4.3.2.6.

use crate::time::UnixMillis;
use crate::wire::m3u8::put;
use crate::wire::writer::{Full, Writer};

/// Bytes of a date as `emit` writes it.
pub const DATE_BYTES: usize = 24;

/// The last date that has four digits for its year.
const LAST: UnixMillis = UnixMillis(253_402_300_799_999);

const DAY_MS: u64 = 86_400_000;

/// Writes a date, `DATE_BYTES` of it. One after the year 9999 is written as the last one before.
///
/// # Errors
/// `Full` if it does not fit; a part of it may have been written.
pub fn emit(w: &mut Writer<'_>, date: UnixMillis) -> Result<(), Full> {
    let UnixMillis(millis) = date.min(LAST);
    let (mut days, time) = (millis / DAY_MS, millis % DAY_MS);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    for length in months(year) {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute) = (days + 1, time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    put(
        w,
        format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"),
    )
}

/// Reads a date of any zone, to the millisecond; what is finer is cut off. `None` if it is none, or
/// lies before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let lengths = months(year);
    let length = usize::try_from(month).ok()?.checked_sub(1).and_then(|month| lengths.get(month));
    if year < 1970 || !(1..=*length?).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let before = lengths.iter().zip(1..month).map(|(length, _)| length).sum::<u64>();
    let days = (1970..year).map(days_of).sum::<u64>() + before + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let millis = (seconds * 1000).checked_add(thousandths(fraction)?)?;
    let (east, offset) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(UnixMillis(millis)),
        (sign, offset) => (sign == "+", offset),
    };
    let [hours, minutes] = fields(offset, ':', [2, 2]).filter(|&[h, m]| h < 24 && m < 60)?;
    let offset = (hours * 60 + minutes) * 60_000;
    let millis = if east { millis.checked_sub(offset)? } else { millis + offset };
    Some(UnixMillis(millis))
}

/// Numbers of so many digits, between separators.
fn fields<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = decimal(part)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The first three digits of a fraction.
fn thousandths(fraction: &str) -> Option<u64> {
    decimal(fraction)?;
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Digits beyond what fits are those of a fraction, which are cut off.
    text.get(..text.len().min(18))?.parse().ok()
}

const fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn months(year: u64) -> [u64; 12] {
    let february = if is_leap(year) { 29 } else { 28 };
    [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn text(millis: u64) -> String {
        let mut room = [0; DATE_BYTES];
        let mut w = Writer::new(&mut room);
        emit(&mut w, UnixMillis(millis)).unwrap();
        assert_eq!(w.position(), DATE_BYTES);
        String::from_utf8(room.to_vec()).unwrap()
    }

    #[test]
    fn dates_are_written_as_rfc_3339_wants_them() {
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_767_608_430_123, "2026-01-05T10:20:30.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST.0, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(millis), want);
        }
    }

    #[test]
    fn dates_of_every_zone_are_read_and_others_refused() {
        for (text, want) in [
            ("2026-01-05T10:20:30.123Z", 1_767_608_430_123),
            ("2026-01-05t10:20:30.1239999999999999999999z", 1_767_608_430_123),
            ("2026-01-05 11:20:30.1+01:00", 1_767_608_430_100),
            ("2026-01-04T21:50:30-12:30", 1_767_608_430_000),
            ("1998-12-31T23:59:60Z", 915_148_800_000),
        ] {
            assert_eq!(parse(text), Some(UnixMillis(want)), "{text}");
        }
        for text in [
            "",
            "2026-01-05",
            "2026-01-05T10:20:30",
            "2026-02-29T10:20:30Z",
            "2026-13-05T10:20:30Z",
            "2026-00-05T10:20:30Z",
            "2026-01-00T10:20:30Z",
            "2026-01-05T24:20:30Z",
            "2026-01-05T10:60:30Z",
            "2026-01-05T10:20:61Z",
            "2026-01-05T10:20:30.Z",
            "2026-01-05T10:20:30Z0",
            "2026-01-05T10:20:30+0100",
            "2026-01-05T10:20:30+24:00",
            "2026-1-5T10:20:30Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn date_without_room_is_no_date() {
        assert!(emit(&mut Writer::new(&mut [0; DATE_BYTES - 1]), UnixMillis(0)).is_err());
    }

    proptest! {
        #[test]
        fn dates_come_back_as_written(millis in 0..=LAST.0) {
            prop_assert_eq!(parse(&text(millis)), Some(UnixMillis(millis)));
        }

        #[test]
        fn dates_are_those_of_the_http_crate(seconds in 0..=LAST.0 / 1000) {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let ours = text(seconds * 1000);
            prop_assert_eq!(&http[5..7], &ours[8..10]);
            prop_assert_eq!(&http[12..16], &ours[..4]);
            prop_assert_eq!(&http[17..25], &ours[11..19]);
            let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(&http[8..11]).unwrap() / 3 + 1;
            prop_assert_eq!(format!("{month:02}"), &ours[5..7]);
        }

        #[test]
        fn reading_any_text_never_panics(text in "\\PC{0,40}", digits in "[0-9TZ:.+-]{0,40}") {
            for text in [text, format!("2026-01-05T{digits}"), digits] {
                if let Some(date) = parse(&text) {
                    prop_assert!(date.0 < LAST.0 + DAY_MS * 2);
                }
            }
        }
    }
}

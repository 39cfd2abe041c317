//! Dates of EXT-X-PROGRAM-DATE-TIME.
//!
//! Reads ISO 8601 as RFC 8216 §4.3.2.6 wants it, with a zone. Leap seconds count as the next one.

/// Microseconds since 1970; `None` unless it is a date with time and zone.
pub(super) fn micros(text: &str) -> Option<i64> {
    let (day, rest) = text.split_once('T')?;
    let mut day = day.splitn(3, '-');
    let (year, month, day) = (number(day.next()?, 4)?, number(day.next()?, 2)?, day.next()?);
    let day = number(day, 2)?;
    let at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = (rest.get(..at)?, rest.get(at..)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number(time.next()?, 2)?, number(time.next()?, 2)?);
    let second = number(time.next()?, 2)?;
    let legal = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !legal || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some((seconds - zone_seconds(zone)?) * 1_000_000 + fraction_micros(fraction)?)
}

/// Seconds that a zone is ahead of UTC: `Z`, `+hh:mm`, `+hhmm` or `+hh`.
fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if minutes.is_empty() { 0 } else { number(minutes, 2)? };
    Some(sign * (number(hours, 2)? * 3600 + minutes * 60))
}

fn fraction_micros(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = text.bytes().chain(core::iter::repeat(b'0')).take(6);
    Some(digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let legal = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if legal { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 in the Gregorian calendar; years count from March, so that the leap day
/// is a year's last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_their_zone() {
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(micros("1970-01-01T01:00:00.5+01:00"), Some(500_000));
        assert_eq!(micros("1969-12-31T23:00:00-0100"), Some(0));
        assert_eq!(micros("2000-02-29T12:00:00.000001Z"), Some(951_825_600_000_001));
        assert_eq!(micros("2026-01-05T10:20:30.123Z"), Some(1_767_608_430_123_000));
        for bad in [
            "",
            "2026-01-05",
            "2026-01-05T10:20:30",
            "2026-13-05T10:20:30Z",
            "2026-1-5T10:20:30Z",
            "2026-01-05T10:20:30.Z",
            "2026-01-05T10:20Z",
            "2026-01-05T10:20:30+1",
            "2026-01-05 10:20:30Z",
            "2026-01-05T10:20:30Zulu",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}

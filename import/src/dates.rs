//! Dates of XML Schema.

use jiff::civil::DateTime;
use mfa_core::Timestamp;

/// Reads an `xs:dateTime` such as `2012-09-19T00:00:00Z` or `2012-09-19T02:00:00+02:00`. One without a zone is taken as UTC; one before
/// 1970 as 1970.
pub(crate) fn xml_date_time(text: &str) -> Option<Timestamp> {
    const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    // jiff reads more than XML Schema allows, such as `20120919 00`: hold it to the form.
    let (shown, rest) = text.split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape };
    if !shown.bytes().zip(SHAPE).all(fits) {
        return None;
    }
    // A moment in the zone's own time: the last day of the year 9999, which means "never", is beyond `jiff::Timestamp`.
    let seconds = shown.parse::<DateTime>().ok()?.duration_since(EPOCH).as_secs();
    let seconds = seconds.checked_sub(zone_seconds(without_fraction(rest)?)?)?;
    Some(Timestamp::from_unix_seconds(u64::try_from(seconds).unwrap_or(0)))
}

/// What follows `.123`, if that is there.
fn without_fraction(text: &str) -> Option<&str> {
    let Some(fraction) = text.strip_prefix('.') else { return Some(text) };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < fraction.len()).then_some(rest)
}

/// How far ahead of UTC the zone `Z`, `+02:00` or none is, in seconds.
fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z") {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |text: &str, most: i64| {
        let is_pair = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_pair.then(|| text.parse::<i64>().ok())?.filter(|number| *number <= most)
    };
    number(hours, 14)?
        .checked_mul(3600)?
        .checked_add(number(minutes, 59)?.checked_mul(60)?)?
        .checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        xml_date_time(text).map(Timestamp::unix_seconds)
    }

    #[test]
    fn xml_dates_are_read_with_and_without_a_zone() {
        assert_eq!(seconds("2012-09-19T00:00:00Z"), Some(1_348_012_800));
        assert_eq!(seconds("2012-09-19T02:00:00+02:00"), Some(1_348_012_800));
        assert_eq!(seconds("2012-09-18T19:00:00.500-05:00"), Some(1_348_012_800));
        assert_eq!(seconds("2012-09-19T00:00:00"), Some(1_348_012_800));
        assert_eq!(seconds("1960-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("9999-12-31T23:59:59"), Some(253_402_300_799));
        assert_eq!(seconds("9999-12-31T23:59:59.9-14:00"), Some(253_402_351_199));
    }

    #[test]
    fn what_is_no_xml_date_is_refused() {
        for text in [
            "",
            "2012-09-19",
            "19.09.2012",
            "2012-13-01T00:00:00Z",
            "2012-09-19 00:00:00Z",
            "2012-09-19T00:00:00X",
            "20120919T000000Z",
            "2012-09-19T00:00:00[Europe/Berlin]",
            "2012-02-30T00:00:00Z",
            "T::",
            "aT\u{e9}\u{e9}:",
            "2012-09-19T00:00:00+2:00",
            "2012-09-19T00:00:00+15:00",
            "2012-09-19T00:00:00.Z",
            "2012-09-19T25:00:00",
            "+012-09-19T00:00:00",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

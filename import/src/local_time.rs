//! The time that a host's wall clock shows.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use mfa_core::Timestamp;

/// How a host's wall clock shows time: what `/etc/users.oath` is written in.
#[derive(Clone, Debug)]
pub struct LocalTime(TimeZone);

impl LocalTime {
    /// The time zone of this host: `TZ`, or `/etc/localtime`; UTC where there is neither.
    pub fn of_this_host() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// UTC.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone by its name, `Europe/Berlin`, or by its POSIX rule, `CET-1CEST,M3.5.0,M10.5.0/3`.
    ///
    /// # Errors
    /// The name is in no database of this host and is no rule.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map(Self).map_err(|_| UnknownZone)
    }

    /// The moments at which the wall clock showed `text`, `2025-11-24T04:20:00`: one, or two when clocks were set back.
    pub(crate) fn moments(&self, text: &str) -> Option<Vec<Timestamp>> {
        let shown = DateTime::strptime("%Y-%m-%dT%H:%M:%S", text).ok()?;
        let ambiguous = self.0.to_ambiguous_timestamp(shown);
        let offsets = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => vec![offset],
            AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => {
                vec![before, after]
            }
        };
        let moment = |offset: Offset| {
            let seconds = offset.to_timestamp(shown).ok()?.as_second();
            Some(Timestamp::from_unix_seconds(u64::try_from(seconds).ok()?))
        };
        offsets.into_iter().map(moment).collect()
    }
}

/// A name that is no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownZone;

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this host knows no time zone of that name")
    }
}

impl std::error::Error for UnknownZone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_is_read_back_to_its_moments() {
        let berlin = LocalTime::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moments = |text: &str| -> Option<Vec<u64>> {
            Some(berlin.moments(text)?.into_iter().map(Timestamp::unix_seconds).collect())
        };
        assert_eq!(moments("2024-07-01T12:00:00"), Some(vec![1_719_828_000]));
        assert_eq!(moments("2024-12-01T12:00:00"), Some(vec![1_733_050_800]));
        assert_eq!(
            moments("2024-10-27T02:30:00"),
            Some(vec![1_729_989_000, 1_729_992_600]),
            "clocks were set back"
        );
        for text in ["2024-07-01", "2024-07-01T12:00:00Z", "2024-07-01T12:00", "1960-07-01T12:00:00", ""] {
            assert_eq!(moments(text), None, "{text}");
        }
        assert_eq!(LocalTime::named("Middle/Earth").unwrap_err(), UnknownZone);
    }
}

//! A length of time as people write it: `90m`, `1h`, `2d`.

use std::fmt;
use std::str::FromStr;

/// A number of seconds, a minute at least and thirty days at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(u64);

impl Duration {
    pub(crate) const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Duration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(BadDuration)?;
        let seconds = match unit {
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(BadDuration),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadDuration);
        }
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(seconds))
            .filter(|seconds| (60..=30 * 24 * 3600).contains(seconds))
            .map(Self)
            .ok_or(BadDuration)
    }
}

/// A text that is no [`Duration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadDuration;

impl fmt::Display for BadDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is a number and m, h or d, from 1m to 30d, such as 90m, 1h or 2d")
    }
}

impl std::error::Error for BadDuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_hours_and_days_up_to_thirty_days() {
        for (text, seconds) in [("1m", 60), ("90m", 5400), ("1h", 3600), ("2d", 172_800), ("30d", 2_592_000)]
        {
            assert_eq!(text.parse(), Ok(Duration(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "0m",
            "31d",
            "721h",
            "1",
            "60s",
            "+1h",
            "-1h",
            "1 h",
            "1.5h",
            "1ż",
            "99999999999999999999d",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(BadDuration), "{text}");
        }
    }
}

//! `/etc/users.oath`, the UsersFile of pam_oath (oath-toolkit).
//!
//! ```text
//! HOTP/T30/6  alice  -  3132333435363738393031323334353637383930  0  755224  2024-05-07T12:34:56L
//! ```
//! type, user, PIN, seed in hexadecimal, and after the first login: counter, last code, local time of the last login. Lines that begin
//! with `#` are comments.

use mfa_core::otp::{Code, Digits, Generator, LookAhead, MovingFactor, Period, Profile};
use mfa_core::{Timestamp, UserName};

use crate::local_time::LocalTime;
use crate::seed_text;
use crate::token::{Harvest, Place, Problem, Token};

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 16_000_000;

/// How far from its time, in steps, a code that pam_oath accepted is looked for: far more than any `window` that people set.
const SEARCHED_STEPS: u64 = 100;

/// Reads all users of the file. A user with several lines has several tokens.
///
/// `zone` is how the host that wrote the file shows time, and `now` the present.
///
/// # Errors
/// Everything that is wrong with the file, such as a user with a PIN.
pub fn read(bytes: &[u8], zone: &LocalTime, now: Timestamp) -> Result<Vec<Token>, Vec<Problem>> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(vec![Problem::of_file(format!("it has more than {MAX_FILE_BYTES} bytes"))]);
    }
    let mut harvest = Harvest::default();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let place = Place::Line(number);
        let Ok(line) = std::str::from_utf8(line) else {
            harvest.report(Problem::new(place, "the line is not UTF-8"));
            continue;
        };
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields.first().is_some_and(|first| !first.starts_with('#')) {
            harvest.add(token(&fields, place, zone, now).map_err(|why| Problem::new(place, why)));
        }
    }
    harvest.finish()
}

fn token(fields: &[&str], place: Place, zone: &LocalTime, now: Timestamp) -> Result<Token, String> {
    let [kind, user, pin, secret, used @ ..] = fields else {
        return Err("it does not have a type, a user, a PIN and a secret".to_owned());
    };
    let profile = profile(kind)?;
    let owner = user.parse::<UserName>().map_err(|bad| bad.to_string())?;
    // "-" is no PIN, "+" one that something else checks.
    if !matches!(*pin, "-" | "+") {
        return Err(
            "the user has a PIN, which is not supported: put '-' in the third column if the password alone is to come before the code"
                .to_owned(),
        );
    }
    let seed = seed_text::hex(secret).map_err(|bad| bad.to_string())?;
    let mut token = Token { owner: Some(owner), ..Token::new(place, profile, seed) };
    let last = Last::of(used, profile.digits, zone)?;
    match profile.moving_factor {
        MovingFactor::Counter(_) => token.counter = Some(last.next_counter()?),
        MovingFactor::Time(period) => last.apply(&mut token, period, now),
    }
    Ok(token)
}

/// The types that pam_oath knows.
fn profile(kind: &str) -> Result<Profile, &'static str> {
    const UNKNOWN: &str =
        "its type is not one of HOTP, HOTP/E, HOTP/T30 and HOTP/T60, alone or with /6, /7 or /8 behind it";
    let (family, digits) = match kind.rsplit_once('/') {
        Some((family, "6")) if family != "HOTP" => (family, 6),
        Some((family, "7")) if family != "HOTP" => (family, 7),
        Some((family, "8")) if family != "HOTP" => (family, 8),
        _ => (kind, 6),
    };
    let seconds = |seconds: u8| Period::try_from(seconds).map(MovingFactor::Time).map_err(|_| UNKNOWN);
    let moving_factor = match family {
        "HOTP" | "HOTP/E" => MovingFactor::Counter(LookAhead::DEFAULT),
        "HOTP/T30" => seconds(30)?,
        "HOTP/T60" => seconds(60)?,
        _ => return Err(UNKNOWN),
    };
    let digits = Digits::try_from(digits).map_err(|_| UNKNOWN)?;
    Ok(Profile { moving_factor, digits, ..Profile::PLAIN })
}

/// What pam_oath wrote at the last login.
struct Last {
    counter: u64,
    code: Option<Code>,
    /// The moments that the local time may stand for.
    moments: Vec<Timestamp>,
}

impl Last {
    fn of(fields: &[&str], digits: Digits, zone: &LocalTime) -> Result<Self, &'static str> {
        let (counter, code, time) = match fields {
            [] => (None, None, None),
            [counter] => (Some(*counter), None, None),
            [counter, code] => (Some(*counter), Some(*code), None),
            [counter, code, time] => (Some(*counter), Some(*code), Some(*time)),
            _ => return Err("it has more than seven columns"),
        };
        let counter = counter.map_or(Some(0), |counter| {
            counter.bytes().all(|byte| byte.is_ascii_digit()).then(|| counter.parse().ok())?
        });
        let code = match code {
            Some(code) => match Code::from_digits(code.as_bytes()) {
                Some(code) if code.digits() == digits.count() => Some(code),
                _ => return Err("its last code does not have the digits of its type"),
            },
            None => None,
        };
        let moments = match time {
            Some(time) => time.strip_suffix('L').and_then(|time| zone.moments(time)),
            None => Some(Vec::new()),
        };
        Ok(Self {
            counter: counter.ok_or("its counter is not a number")?,
            code,
            moments: moments.ok_or("its last login is not a time like 2024-05-07T12:34:56L")?,
        })
    }

    /// pam_oath keeps the counter of the last accepted code, and leaves it to the last code to say that it is used up.
    fn next_counter(&self) -> Result<u64, &'static str> {
        let used = u64::from(self.code.is_some());
        self.counter.checked_add(used).ok_or("its counter is too large")
    }

    /// Finds the time step of the last code, which pam_oath does not keep: it is near the time of the login, and its code is known.
    fn apply(&self, token: &mut Token, period: Period, now: Timestamp) {
        let Some(code) = &self.code else { return };
        let generator = Generator::new(&token.seed, token.profile.algorithm, token.profile.digits);
        let shows_code = |step: &u64| generator.code_at(*step).same_as(code);
        let mut drift: Option<i64> = None;
        for moment in &self.moments {
            let middle = period.step_at(*moment);
            let searched = middle.saturating_sub(SEARCHED_STEPS)..=middle.saturating_add(SEARCHED_STEPS);
            for step in searched.filter(shows_code) {
                // Should two steps share the code, the later one is the safe floor and the nearer one the likely drift.
                token.used_step = token.used_step.max(Some(step));
                let distance = step.cast_signed().saturating_sub(middle.cast_signed());
                if drift.is_none_or(|known| distance.abs() < known.abs()) {
                    drift = Some(distance);
                }
            }
        }
        // One step either way is somebody who types slowly, not a clock that is wrong.
        token.drift_steps =
            drift.and_then(|steps| i32::try_from(steps).ok()).filter(|steps| steps.abs() > 1).unwrap_or(0);
        if token.used_step.is_none() {
            // The code was used at a time that is not known: everything that could be used now is burnt, and the next code is good.
            token.used_step = Some(period.step_at(now).saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::outline;

    const SEED: &str = "3132333435363738393031323334353637383930";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn read_utc(text: &str) -> Result<Vec<Token>, Vec<String>> {
        read(text.as_bytes(), &LocalTime::utc(), at(2_000_000_100))
            .map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn users_of_every_type_are_read() {
        let text = include_str!("../tests/fixtures/oath_users/users.oath");
        let shown = outline(&read_utc(text).unwrap());
        assert_eq!(
            shown,
            [
                "line 2: alice SHA1 6 Counter(LookAhead(5)) Some(0)",
                "line 3: bob SHA1 8 Counter(LookAhead(5)) Some(7)",
                "line 4: carol SHA1 6 Time(Period(30)) None",
                "line 5: carol SHA1 7 Time(Period(60)) None",
                "line 7: CORP\\dave SHA1 8 Time(Period(30)) None",
            ]
        );
    }

    #[test]
    fn a_counter_with_a_last_code_is_used_up_and_one_without_is_not() {
        let counter = |line: &str| {
            let tokens = read_utc(line).unwrap();
            (tokens[0].counter, tokens[0].floor())
        };
        assert_eq!(counter(&format!("HOTP a - {SEED} 3")), (Some(3), Some(2)));
        assert_eq!(counter(&format!("HOTP a - {SEED} 3 969429 2024-05-07T12:34:56L")), (Some(4), Some(3)));
        assert_eq!(
            counter(&format!("HOTP/E/6 a + {SEED} 0 755224 2024-05-07T12:34:56L")),
            (Some(1), Some(0))
        );
    }

    #[test]
    fn the_codes_that_pam_oath_itself_has_accepted_are_at_the_floor() {
        // Written by pam_oath after logins with the code of step 59850012, two minutes early, and with counters 0 and 3.
        let tokens = read_utc(include_str!("../tests/fixtures/oath_users/written-by-pam_oath")).unwrap();
        assert_eq!((tokens[0].floor(), tokens[0].drift_steps), (Some(59_850_012), 4));
        assert_eq!((tokens[1].floor(), tokens[1].counter), (Some(3), Some(4)));
    }

    #[test]
    fn the_step_of_the_last_code_is_found_and_becomes_the_floor() {
        // RFC 6238 appendix B: 69279037 at 2000000000, which is step 66666666, 2033-05-18T03:33:20Z.
        let line = |code: &str, time: &str| format!("HOTP/T30/8 a - {SEED} 0 {code} {time}");
        let found = |line: &str| {
            let tokens = read_utc(line).unwrap();
            (tokens[0].used_step, tokens[0].drift_steps)
        };
        assert_eq!(found(&line("69279037", "2033-05-18T03:33:20L")), (Some(66_666_666), 0));
        assert_eq!(found(&line("69279037", "2033-05-18T03:33:55L")), (Some(66_666_666), 0), "typed slowly");
        assert_eq!(found(&line("69279037", "2033-05-18T03:36:20L")), (Some(66_666_666), -6), "a slow clock");
        assert_eq!(found(&line("69279037", "2033-05-18T03:30:20L")), (Some(66_666_666), 6), "a fast clock");
        let now_and_next = (Some(2_000_000_100 / 30 + 1), 0);
        assert_eq!(found(&line("69279037", "2033-05-18T14:33:20L")), now_and_next, "written in another zone");
        assert_eq!(found(&line("12345678", "2033-05-18T03:33:20L")), now_and_next);
        assert_eq!(found(&format!("HOTP/T30/8 a - {SEED}")), (None, 0), "never used");
        assert_eq!(found(&format!("HOTP/T30/8 a - {SEED} 0 69279037")), now_and_next, "no time at all");
    }

    #[test]
    fn the_last_login_is_read_as_the_hosts_wall_clock_showed_it() {
        let berlin = LocalTime::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let line = format!("HOTP/T30/8 a - {SEED} 0 69279037 2033-05-18T05:33:20L");
        let tokens = read(line.as_bytes(), &berlin, at(2_000_000_100)).unwrap();
        assert_eq!(tokens[0].used_step, Some(66_666_666));
    }

    #[test]
    fn every_bad_line_is_told_and_nothing_of_it() {
        assert_eq!(
            read_utc(include_str!("../tests/fixtures/oath_users/many-mistakes")).unwrap_err(),
            [
                "line 1: it does not have a type, a user, a PIN and a secret",
                "line 2: its type is not one of HOTP, HOTP/E, HOTP/T30 and HOTP/T60, alone or with /6, /7 or /8 behind it",
                "line 3: its type is not one of HOTP, HOTP/E, HOTP/T30 and HOTP/T60, alone or with /6, /7 or /8 behind it",
                "line 4: the user has a PIN, which is not supported: put '-' in the third column if the password alone is to come before the code",
                "line 5: the secret is not hexadecimal (an even number of digits 0 to 9 and A to F)",
                "line 6: a user name can't hold '/', start with '-', or be '.' or '..'",
                "line 7: its counter is not a number",
                "line 8: its last code does not have the digits of its type",
                "line 9: its last login is not a time like 2024-05-07T12:34:56L",
                "line 10: it has more than seven columns",
            ]
        );
    }

    #[test]
    fn one_seed_for_two_people_is_refused() {
        let text = format!("HOTP alice - {SEED}\nHOTP bob - {SEED}\n");
        assert_eq!(read_utc(&text).unwrap_err(), ["line 2: it has the seed of line 1"]);
    }
}

//! `~/.google_authenticator`, the state file of pam_google_authenticator (`FILEFORMAT` in its sources).
//!
//! ```text
//! GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ
//! " RATE_LIMIT 3 30 1700000000
//! " WINDOW_SIZE 3
//! " DISALLOW_REUSE 56666666 56666667
//! " TOTP_AUTH
//! 12345678
//! ```

use std::path::Path;

use base32::Alphabet::Rfc4648;
use mfa_core::otp::{LookAhead, MovingFactor, Period, Profile};
use mfa_core::recovery::ScratchCode;
use mfa_core::{Secret, UserName};
use zeroize::Zeroizing;

use crate::token::{Place, Problem, Token};

/// Where the file lies below its owner's home, unless the module was told otherwise.
pub const USUAL_PATH: &str = ".google_authenticator";

/// The largest file that is read, as in the module itself.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// What one person's file holds.
#[derive(Debug)]
pub struct Account {
    /// The generator, with its owner, its counter or last used step, and its drift.
    pub token: Token,
    /// The emergency codes that are left, eight digits each.
    pub scratch_codes: Vec<ScratchCode>,
    /// The `WINDOW_SIZE`: how many codes around the present one the module took.
    pub window: u8,
    /// Whether the module took each code once only (`DISALLOW_REUSE`); otherwise nobody knows which were used.
    pub notes_used_codes: bool,
}

/// Reads the file from below the home of a user, as root, without following a symbolic link of that user's.
///
/// None if the user has no such file.
///
/// # Errors
/// See [`crate::home::read_below`].
pub fn read_file(
    home: &Path,
    path: &Path,
    owners: &[u32],
) -> Result<Option<Zeroizing<Vec<u8>>>, crate::home::HomeError> {
    crate::home::read_below(home, path, owners, MAX_FILE_BYTES)
}

/// Reads what a person's file holds.
///
/// The secret is read as leniently as by the module itself, or its codes would differ. The options are not: one that is unknown,
/// repeated or not as the module writes it refuses the file.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn parse(bytes: &[u8], owner: &UserName) -> Result<Account, Vec<Problem>> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(vec![Problem::of_file("it is larger than the 64 KiB that the module reads")]);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| vec![Problem::of_file("it is not UTF-8")])?;
    let mut lines = text.lines().zip(1..);
    let mut problems = Vec::new();
    let seed = lines.next().and_then(|(line, _)| decode_secret(line));
    if seed.is_none() {
        problems.push(Problem::new(Place::Line(1), "the secret is not base32 of 1 to 128 bytes"));
    }
    let mut options = Options::default();
    let mut scratch_codes: Vec<ScratchCode> = Vec::new();
    for (line, number) in lines {
        let outcome = match line.strip_prefix('"') {
            _ if line.is_empty() => Ok(()),
            Some(option) => options.read(option),
            None => scratch_code(line).map(|code| {
                if !scratch_codes.contains(&code) {
                    scratch_codes.push(code);
                }
            }),
        };
        if let Err(why) = outcome {
            problems.push(Problem::new(Place::Line(number), why));
        }
    }
    let profile = options.profile().map_err(|why| problems.push(Problem::of_file(why))).ok();
    match (seed, profile) {
        (Some(seed), Some(profile)) if problems.is_empty() => {
            let mut notes_used_codes = true;
            let mut token = Token::new(Place::File, profile, seed);
            token.owner = Some(owner.clone());
            match profile.moving_factor {
                MovingFactor::Counter(_) => token.counter = options.hotp_counter,
                MovingFactor::Time(_) => {
                    notes_used_codes = options.disallow_reuse.is_some();
                    token.used_step = options.disallow_reuse.unwrap_or_default().into_iter().max();
                    token.drift_steps = options.time_skew.unwrap_or(0);
                }
            }
            let window = options.window_size.unwrap_or(DEFAULT_WINDOW);
            Ok(Account { token, scratch_codes, window, notes_used_codes })
        }
        _ => Err(problems),
    }
}

/// The module's own default.
const DEFAULT_WINDOW: u8 = 3;

/// Blanks and dashes do not count, case does not matter, `0`, `1` and `8` are taken for `O`, `L` and `B`, and bits left over at the end are
/// dropped: exactly as the module decodes (`base32.c` in its sources).
fn decode_secret(line: &str) -> Option<Secret> {
    let mut letters = Zeroizing::new(String::with_capacity(line.len()));
    for character in line.chars() {
        letters.push(match character.to_ascii_uppercase() {
            ' ' | '\t' | '\r' | '-' => continue,
            '0' => 'O',
            '1' => 'L',
            '8' => 'B',
            letter @ ('A'..='Z' | '2'..='7') => letter,
            _ => return None,
        });
    }
    // Only these numbers of letters end a byte; one letter more brings nothing.
    if matches!(letters.len().checked_rem(8), Some(1 | 3 | 6)) {
        letters.pop();
    }
    let seed = Secret::new(base32::decode(Rfc4648 { padding: false }, &letters)?);
    (1..=crate::token::MAX_SEED_BYTES).contains(&seed.len()).then_some(seed)
}

fn scratch_code(line: &str) -> Result<ScratchCode, &'static str> {
    ScratchCode::parse(line)
        .filter(|_| !line.starts_with('0'))
        .ok_or("it is neither an option nor an emergency code of eight digits")
}

#[derive(Default)]
struct Options {
    totp: Option<()>,
    hotp_counter: Option<u64>,
    step_size: Option<u8>,
    window_size: Option<u8>,
    time_skew: Option<i32>,
    disallow_reuse: Option<Vec<u64>>,
    rate_limit: Option<()>,
    resetting: Option<()>,
    last_logins: u16,
}

impl Options {
    /// Reads what follows the quote at the beginning of the line.
    fn read(&mut self, option: &str) -> Result<(), &'static str> {
        let mut words = option.split_ascii_whitespace();
        let name = words.next().filter(|_| option.starts_with(' ')).ok_or(UNKNOWN_OPTION)?;
        let values: Vec<&str> = words.collect();
        match (name, values.as_slice()) {
            ("TOTP_AUTH", []) => once(&mut self.totp, ()),
            ("HOTP_COUNTER", [counter]) => match number(counter) {
                // The module takes a counter of 0 for none at all.
                Some(counter @ 1..) => once(&mut self.hotp_counter, counter),
                _ => Err("HOTP_COUNTER is not 1 or more"),
            },
            ("STEP_SIZE", [seconds]) => match number::<u8>(seconds) {
                Some(seconds @ 1..=60) => once(&mut self.step_size, seconds),
                _ => Err("STEP_SIZE is not 1 to 60"),
            },
            ("WINDOW_SIZE", [codes]) => match number::<u8>(codes) {
                Some(codes @ 1..=100) => once(&mut self.window_size, codes),
                _ => Err("WINDOW_SIZE is not 1 to 100"),
            },
            ("TIME_SKEW", [steps]) => {
                let (sign, digits) = steps.strip_prefix('-').map_or((1, *steps), |digits| (-1, digits));
                let skew = number::<i32>(digits).and_then(|skew| skew.checked_mul(sign));
                once(&mut self.time_skew, skew.ok_or("TIME_SKEW is not a number")?)
            }
            ("DISALLOW_REUSE", steps) => {
                let steps: Option<Vec<u64>> = steps.iter().map(|step| number(step)).collect();
                once(&mut self.disallow_reuse, steps.ok_or("DISALLOW_REUSE is not a list of time steps")?)
            }
            // How often somebody tried lately: this program counts for itself.
            ("RATE_LIMIT", numbers @ [_, _, ..])
                if numbers.iter().all(|text| number::<u64>(text).is_some()) =>
            {
                once(&mut self.rate_limit, ())
            }
            // Codes that were wrong, kept for learning a skew.
            ("RESETTING_TIME_SKEW", _) => once(&mut self.resetting, ()),
            (name, [_, _]) if last_login(name).is_some() => {
                let bit = last_login(name).unwrap_or_default();
                let seen = self.last_logins & bit != 0;
                self.last_logins |= bit;
                if seen { Err(TWICE) } else { Ok(()) }
            }
            ("TOTP_AUTH" | "HOTP_COUNTER" | "STEP_SIZE" | "WINDOW_SIZE" | "TIME_SKEW" | "RATE_LIMIT", _) => {
                Err("the option does not have the values that the module writes")
            }
            _ => Err(UNKNOWN_OPTION),
        }
    }

    /// The module computes with SHA-1 and six digits always, and prefers the counter where there is one.
    fn profile(&self) -> Result<Profile, &'static str> {
        let moving_factor = match (self.hotp_counter, self.totp) {
            (Some(_), _) => {
                let look_ahead = self.window_size.map(|window| LookAhead::try_from(window.min(20)));
                let look_ahead = look_ahead.unwrap_or(Ok(LookAhead::DEFAULT));
                MovingFactor::Counter(look_ahead.map_err(|_| "WINDOW_SIZE is not 1 to 100")?)
            }
            (None, Some(())) => {
                let period = Period::try_from(self.step_size.unwrap_or(30));
                MovingFactor::Time(period.map_err(|_| "a STEP_SIZE under 10 seconds is not supported")?)
            }
            (None, None) => return Err("it has neither TOTP_AUTH nor HOTP_COUNTER"),
        };
        Ok(Profile { moving_factor, ..Profile::PLAIN })
    }
}

const UNKNOWN_OPTION: &str = "it is an option that is not known";
const TWICE: &str = "the option stands there twice";

/// `LAST0` to `LAST9`, where the module keeps the last logins for its grace period, as one bit each.
fn last_login(name: &str) -> Option<u16> {
    let digit: u32 = name.strip_prefix("LAST").filter(|rest| rest.len() == 1).and_then(number)?;
    1_u16.checked_shl(digit)
}

fn once<T>(option: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

/// Digits and nothing else.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Account, Vec<String>> {
        parse(text.as_bytes(), &"alice".parse().unwrap())
            .map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn the_file_of_the_programs_default_answers_is_read() {
        let account = read(include_str!("../tests/fixtures/google_authenticator/totp")).unwrap();
        let token = &account.token;
        assert_eq!(token.profile, Profile::PLAIN);
        assert_eq!(token.owner.as_ref().unwrap().as_str(), "alice");
        assert_eq!((token.used_step, token.floor()), (None, None));
        assert!(!token.weak);
        assert_eq!(account.scratch_codes.len(), 5);
        assert_eq!(account.window, 3);
    }

    #[test]
    fn the_codes_that_the_module_itself_has_accepted_are_below_the_floor() {
        // Written by pam_google_authenticator after logins with the codes of these three steps.
        let account = read(include_str!("../tests/fixtures/google_authenticator/totp-used")).unwrap();
        assert_eq!(account.token.floor(), Some(59_850_009));
    }

    #[test]
    fn used_steps_become_the_floor_and_the_skew_becomes_the_drift() {
        let account = read(
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n\" RATE_LIMIT 3 30 1700000100 1700000130\n\" RESETTING_TIME_SKEW \n\" TIME_SKEW -7\n\
             \" WINDOW_SIZE 17\n\" DISALLOW_REUSE 56666670 56666672 56666671\n\" TOTP_AUTH\n\" LAST0 192.0.2.1 1700000100\n12345678\n",
        )
        .unwrap();
        assert_eq!((account.token.used_step, account.token.floor()), (Some(56_666_672), Some(56_666_672)));
        assert_eq!(account.token.drift_steps, -7);
        assert_eq!(account.window, 17);
        assert_eq!(account.token.seed.expose(), b"12345678901234567890");
        assert_eq!(account.scratch_codes, [ScratchCode::parse("12345678").unwrap()]);
        assert!(account.notes_used_codes);
    }

    #[test]
    fn the_counter_is_the_next_one_that_the_module_would_have_taken() {
        // Written by pam_google_authenticator after logins with counters 1, 2 and 4.
        let account = read(include_str!("../tests/fixtures/google_authenticator/hotp")).unwrap();
        assert_eq!((account.token.counter, account.token.floor()), (Some(5), Some(4)));
        assert_eq!(
            account.token.profile.moving_factor,
            MovingFactor::Counter(17.try_into().unwrap()),
            "the window becomes the look-ahead"
        );
        let both = read("GEZDGNBV\n\" HOTP_COUNTER 1\n\" WINDOW_SIZE 100\n\" TOTP_AUTH\n").unwrap();
        assert_eq!(both.token.profile.moving_factor, MovingFactor::Counter(20.try_into().unwrap()));
    }

    #[test]
    fn the_secret_is_decoded_as_the_module_does() {
        // What base32.c gives for these lines, computed with the program of its own sources.
        for (line, bytes) in [
            ("gezd gnbv-gy3t qojq\r", &b"1234567890"[..]),
            ("0188", &[0x72, 0xc2]),
            ("MZXW6YTB7", b"fooba"),
            ("MZXW6Z", b"foo"),
            ("MZ", b"f"),
        ] {
            assert_eq!(decode_secret(line).unwrap().expose(), bytes, "{line}");
        }
        for line in ["", "M", "MZXW6YQ=", "MZ9W", "\u{17f}ZXW"] {
            assert!(decode_secret(line).is_none(), "{line}");
        }
    }

    #[test]
    fn other_step_sizes_are_kept() {
        let account = read("GEZDGNBV\n\" STEP_SIZE 60\n\" TOTP_AUTH\n").unwrap();
        assert_eq!(account.token.profile.moving_factor, MovingFactor::Time(60.try_into().unwrap()));
        assert!(!account.notes_used_codes, "without DISALLOW_REUSE a code is good as often as one likes");
        assert_eq!(
            read("GEZDGNBV\n\" STEP_SIZE 5\n\" TOTP_AUTH\n").unwrap_err(),
            ["the file: a STEP_SIZE under 10 seconds is not supported"]
        );
    }

    #[test]
    fn every_bad_line_is_told_and_nothing_of_it() {
        assert_eq!(
            read(include_str!("../tests/fixtures/google_authenticator/many-mistakes")).unwrap_err(),
            [
                "line 1: the secret is not base32 of 1 to 128 bytes",
                "line 2: WINDOW_SIZE is not 1 to 100",
                "line 3: it is an option that is not known",
                "line 4: it is an option that is not known",
                "line 5: DISALLOW_REUSE is not a list of time steps",
                "line 6: the option does not have the values that the module writes",
                "line 7: it is neither an option nor an emergency code of eight digits",
                "line 8: it is neither an option nor an emergency code of eight digits",
                "line 9: TIME_SKEW is not a number",
                "line 11: the option stands there twice",
                "line 12: HOTP_COUNTER is not 1 or more",
                "line 14: the option stands there twice",
                "the file: it has neither TOTP_AUTH nor HOTP_COUNTER",
            ]
        );
        assert_eq!(read("").unwrap_err()[0], "line 1: the secret is not base32 of 1 to 128 bytes");
    }
}

//! The plain CSV of OATH tokens that privacyIDEA and LinOTP read: no headings, the seed in hexadecimal.
//!
//! ```text
//! serial, seed, TOTP, digits, time step [, hash]
//! serial, seed, HOTP, digits
//! ```
//! Digits are 6 and the time step is 30 where they are left out. Without a hash it follows from the length of the seed: 32 bytes are
//! SHA-256, 64 bytes SHA-512, anything else SHA-1. Lines that begin with `#` are comments.

use mfa_core::otp::{Algorithm, BadParameter, Digits, LookAhead, MovingFactor, Period, Profile};

use crate::csv::{Row, foreign_format};
use crate::seed_text::{self, SecretEncoding};
use crate::token::{Harvest, Problem, Token};

/// Reads all tokens of the file. The format says hexadecimal, so that is what is read unless something else is `declared`.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read(bytes: &[u8], declared: Option<SecretEncoding>) -> Result<Vec<Token>, Vec<Problem>> {
    let encoding = declared.unwrap_or(SecretEncoding::Hex);
    let mut foreign = false;
    let mut is_first = true;
    let mut harvest = Harvest::default();
    let split = super::for_each_row(bytes, |row| {
        let row = match row {
            Ok(row) => row,
            Err(problem) => return harvest.report(problem),
        };
        let why = if is_first { foreign_format(&row.fields) } else { None };
        is_first = false;
        if let Some(why) = why {
            foreign = true;
            harvest.report(row.problem(why));
        }
        let first_field = row.fields.first().copied().unwrap_or_default();
        if foreign || (first_field.starts_with('#') && !is_version(first_field)) {
            return;
        }
        harvest.add(token(&row, encoding));
    });
    if let Err(problem) = split {
        harvest.report(problem);
    }
    harvest.finish()
}

/// privacyIDEA's mark of a file with other columns.
fn is_version(comment: &str) -> bool {
    comment.trim_start_matches('#').trim_start().starts_with("version:")
}

fn token(row: &Row, encoding: SecretEncoding) -> Result<Token, Problem> {
    let mut fields = row.fields.iter().copied();
    let serial = fields.next().unwrap_or_default();
    if is_version(serial) {
        return Err(
            row.problem("the file is of privacyIDEA's version with users in it, which is not supported")
        );
    }
    let serial = serial.parse().map_err(|bad: BadParameter| row.problem(bad.to_string()))?;
    let secret = fields.next().ok_or_else(|| row.problem("it has no seed"))?;
    let kind =
        fields.next().ok_or_else(|| row.problem("it does not say TOTP or HOTP in its third column"))?;
    let digits = fields.next().filter(|digits| !digits.is_empty()).unwrap_or("6");
    let fifth = fields.next().filter(|step| !step.is_empty());
    let hash = fields.next().filter(|hash| !hash.is_empty());
    if fields.any(|field| !field.is_empty()) {
        return Err(row.problem("it has more than six columns"));
    }
    let moving_factor = match (kind.to_ascii_uppercase().as_str(), fifth) {
        ("TOTP", step) => {
            MovingFactor::Time(time_step(step.unwrap_or("30")).map_err(|why| row.problem(why))?)
        }
        ("HOTP", None | Some("0")) => MovingFactor::Counter(LookAhead::DEFAULT),
        ("HOTP", Some(_)) => {
            return Err(row.problem(
                "the fifth column of a HOTP token is a counter for some programs and a time step for others: leave it out, \
                 or use PSKC, which can tell them apart",
            ));
        }
        ("OCRA" | "OCRA2", _) => {
            return Err(row.problem("it is an OCRA (challenge and response) token, which is not supported"));
        }
        _ => return Err(row.problem("it does not say TOTP or HOTP in its third column")),
    };
    let digits = digits.parse().ok().and_then(|count: u8| Digits::try_from(count).ok());
    let digits = digits.ok_or_else(|| row.problem("a code must have 6, 7 or 8 digits"))?;
    let (spelled, _) = seed_text::seed(secret, Some(encoding)).map_err(|bad| row.problem(bad.to_string()))?;
    let algorithm = match hash {
        Some(name) => name.parse().map_err(|bad: BadParameter| row.problem(bad.to_string()))?,
        None => algorithm_by_length(spelled.seed.len()),
    };
    let mut token = Token::new(row.place(), Profile { moving_factor, algorithm, digits }, spelled.seed);
    token.serial = Some(serial);
    token.stray_bits = spelled.stray_bits;
    if let MovingFactor::Counter(_) = moving_factor {
        token.counter = Some(0);
    }
    Ok(token)
}

fn time_step(text: &str) -> Result<Period, String> {
    let seconds = text.parse::<u8>().map_err(|_| "the time step must be 10 to 120 seconds")?;
    Period::try_from(seconds).map_err(|bad| bad.to_string())
}

fn algorithm_by_length(bytes: usize) -> Algorithm {
    match bytes {
        32 => Algorithm::Sha256,
        64 => Algorithm::Sha512,
        _ => Algorithm::Sha1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::outline;

    fn problems(text: &str) -> Vec<String> {
        read(text.as_bytes(), None).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn totp_and_hotp_tokens_are_read() {
        let tokens = read(include_bytes!("../../tests/fixtures/oath/tokens.csv"), None).unwrap();
        assert_eq!(
            outline(&tokens),
            [
                "line 2: OATH0001 SHA1 6 Time(Period(30)) None",
                "line 3: OATH0002 SHA1 8 Time(Period(60)) None",
                "line 4: OATH0003 SHA1 6 Counter(LookAhead(5)) Some(0)",
                "line 5: OATH0004 SHA256 6 Time(Period(30)) None",
                "line 6: OATH0005 SHA512 8 Time(Period(30)) None",
                "line 7: OATH0006 SHA1 6 Time(Period(30)) None",
                "line 8: OATH0007 SHA1 7 Time(Period(30)) None",
            ]
        );
        assert_eq!(tokens[0].seed.expose(), b"12345678901234567890");
    }

    #[test]
    fn every_bad_line_is_told_and_nothing_of_it() {
        assert_eq!(
            problems(include_str!("../../tests/fixtures/oath/many-mistakes.csv")),
            [
                "line 1: it does not say TOTP or HOTP in its third column",
                "line 2: it is an OCRA (challenge and response) token, which is not supported",
                "line 3: the secret is not hexadecimal (an even number of digits 0 to 9 and A to F)",
                "line 4: a code must have 6, 7 or 8 digits",
                "line 5: the period must be 10 to 120 seconds",
                "line 6: the fifth column of a HOTP token is a counter for some programs and a time step for others: leave it out, or use PSKC, which can tell them apart",
                "line 7: the algorithm must be SHA1, SHA256 or SHA512",
                "line 8: it has more than six columns",
                "line 9: it has no seed",
                "line 10: the time step must be 10 to 120 seconds",
            ]
        );
    }

    #[test]
    fn other_kinds_of_files_are_refused_once() {
        for (text, expected) in [
            ("# version: 2\nalice,,,OATH1,3132,TOTP\n", "line 1: the file is of privacyIDEA's version"),
            ("a;b;c\nd;e;f\n", "line 1: the columns are separated by semicolons"),
            ("alice,otpauth://totp/x?secret=AA\n", "line 1: this is a list of otpauth URIs"),
        ] {
            assert!(problems(text)[0].starts_with(expected), "{:?}", problems(text));
        }
    }

    #[test]
    fn base32_seeds_are_read_when_that_is_declared() {
        let file = b"S1, GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ, totp\n";
        assert!(read(file, None).is_err());
        let tokens = read(file, Some(SecretEncoding::Base32)).unwrap();
        assert_eq!(tokens[0].seed.expose(), b"12345678901234567890");
    }
}

//! The CSV file of Microsoft Entra's hardware OATH tokens, which most vendors ship: TOTP with SHA-1 and 6 digits.
//!
//! ```text
//! upn,serial number,secret key,time interval,manufacturer,model
//! helga@contoso.com,1234567,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,60,Contoso,HardwareKey
//! ```
//! The columns are found by their headings; `upn`, `manufacturer` and `model` may be missing.

use mfa_core::UserName;
use mfa_core::otp::{BadParameter, MovingFactor, Period, Profile};

use crate::csv::{Row, foreign_format};
use crate::seed_text::{self, SecretEncoding};
use crate::token::{Harvest, Problem, Token, printable_name};

/// The most characters of a secret that Entra takes.
const MAX_SECRET_CHARACTERS: usize = 128;

/// Reads all tokens of the file.
///
/// Entra itself wants base32; vendors also ship hexadecimal under the same headings. Without a `declared` encoding each secret must be
/// possible in one of the two only (in hexadecimal from 128 bits on), and all of the file in the same one.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read(bytes: &[u8], declared: Option<SecretEncoding>) -> Result<Vec<Token>, Vec<Problem>> {
    let mut columns = None;
    let mut encoding = declared;
    let mut harvest = Harvest::default();
    let split = super::for_each_row(bytes, |row| match (row, &columns) {
        (Err(problem), _) => harvest.report(problem),
        (Ok(heading), None) => match Columns::of(&heading) {
            Ok(found) => columns = Some(found),
            Err(problem) => {
                harvest.report(problem);
                columns = Some(Columns::default());
            }
        },
        // The headings were not understood: nothing below them can be.
        (Ok(_), Some(found)) if *found == Columns::default() => {}
        (Ok(row), Some(found)) => harvest.add(token(&row, found, declared, &mut encoding)),
    });
    if let Err(problem) = split {
        harvest.report(problem);
    }
    harvest.finish()
}

/// Which column holds what.
#[derive(Default, PartialEq, Eq)]
struct Columns {
    count: usize,
    upn: Option<usize>,
    serial: usize,
    secret: usize,
    interval: usize,
    manufacturer: Option<usize>,
    model: Option<usize>,
}

impl Columns {
    fn of(heading: &Row) -> Result<Self, Problem> {
        if let Some(why) = foreign_format(&heading.fields) {
            return Err(heading.problem(why));
        }
        let names: Vec<String> = heading.fields.iter().map(|field| heading_word(field)).collect();
        let find = |name: &str| -> Result<Option<usize>, Problem> {
            let mut found = names.iter().enumerate().filter(|(_, heading)| *heading == name);
            let first = found.next().map(|(position, _)| position);
            match found.next() {
                Some(_) => Err(heading.problem(format!("two columns have the heading {name}"))),
                None => Ok(first),
            }
        };
        let need = |name: &str, shown: &str| {
            find(name)?.ok_or_else(|| heading.problem(format!("no column has the heading \"{shown}\"")))
        };
        let known = ["upn", "serialnumber", "secretkey", "timeinterval", "manufacturer", "model"];
        if let Some((position, _)) =
            names.iter().enumerate().find(|(_, name)| !known.contains(&name.as_str()))
        {
            let column = position.saturating_add(1);
            let text = format!(
                "column {column} has a heading that is not known; known are: upn, serial number, secret key, time interval, manufacturer, model"
            );
            return Err(heading.problem(text));
        }
        Ok(Self {
            count: names.len(),
            upn: find("upn")?,
            serial: need("serialnumber", "serial number")?,
            secret: need("secretkey", "secret key")?,
            interval: need("timeinterval", "time interval")?,
            manufacturer: find("manufacturer")?,
            model: find("model")?,
        })
    }
}

/// A heading without case, blanks and underscores: vendors write `Time Interval`, `timeinterval` and `time_interval`.
pub(crate) fn heading_word(heading: &str) -> String {
    heading.chars().filter(|c| *c != ' ' && *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

fn token(
    row: &Row,
    columns: &Columns,
    declared: Option<SecretEncoding>,
    of_file: &mut Option<SecretEncoding>,
) -> Result<Token, Problem> {
    if row.fields.len() != columns.count {
        let text = format!("it has {} columns, the headings have {}", row.fields.len(), columns.count);
        return Err(row.problem(text));
    }
    let field = |position: usize| row.fields.get(position).copied().unwrap_or_default();
    let serial = field(columns.serial).parse().map_err(|bad: BadParameter| row.problem(bad.to_string()))?;
    let text = field(columns.secret);
    if text.len() > MAX_SECRET_CHARACTERS {
        return Err(row.problem("the secret has more than 128 characters"));
    }
    let (spelled, encoding) = seed_text::seed(text, declared).map_err(|bad| row.problem(bad.to_string()))?;
    if *of_file.get_or_insert(encoding) != encoding {
        return Err(row.problem(
            "the secret is written in another way (base32 or hexadecimal) than those above: say which with --secret-encoding",
        ));
    }
    let seconds = match field(columns.interval) {
        "30" => 30,
        "60" => 60,
        _ => return Err(row.problem("the time interval is neither 30 nor 60")),
    };
    let period = Period::try_from(seconds).map_err(|bad| row.problem(bad.to_string()))?;
    let owner = match columns.upn.map(field) {
        None | Some("") => None,
        Some(upn) => Some(upn.parse::<UserName>().map_err(|bad| row.problem(format!("the upn: {bad}")))?),
    };
    let profile = Profile { moving_factor: MovingFactor::Time(period), ..Profile::PLAIN };
    Ok(Token {
        serial: Some(serial),
        manufacturer: columns.manufacturer.and_then(|position| printable_name(field(position))),
        model: columns.model.and_then(|position| printable_name(field(position))),
        owner,
        stray_bits: spelled.stray_bits,
        ..Token::new(row.place(), profile, spelled.seed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    fn problems(text: &str) -> Vec<String> {
        read(text.as_bytes(), None).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn the_six_columns_of_entra_are_read() {
        let file = include_bytes!("../../tests/fixtures/entra/with-upn.csv");
        let tokens = read(file, None).unwrap();
        assert_eq!(tokens.len(), 2);
        let token = &tokens[0];
        assert_eq!(token.serial.as_ref().unwrap().as_str(), "1234567");
        assert_eq!(token.owner.as_ref().unwrap().as_str(), "helga@contoso.com");
        assert_eq!(token.seed.expose(), RFC_SEED);
        assert_eq!(token.profile.moving_factor, MovingFactor::Time(60.try_into().unwrap()));
        assert_eq!(
            (token.profile.algorithm, token.profile.digits),
            (Profile::PLAIN.algorithm, Profile::PLAIN.digits)
        );
        assert_eq!(
            (token.manufacturer.as_deref(), token.model.as_deref()),
            (Some("Contoso, Ltd"), Some("HardwareKey"))
        );
        assert!(!token.weak && !token.stray_bits);
        assert_eq!(tokens[1].owner, None, "an empty upn is nobody");
        assert_eq!(tokens[1].place.to_string(), "line 3");
    }

    #[test]
    fn headings_are_found_in_any_case_order_and_spelling() {
        let windows = include_bytes!("../../tests/fixtures/entra/byte-order-mark-crlf.csv");
        let without_upn = include_bytes!("../../tests/fixtures/entra/without-upn-timeinterval.csv");
        let in_other_order = include_bytes!("../../tests/fixtures/entra/other-order.csv");
        for file in [&windows[..], without_upn, in_other_order] {
            let tokens = read(file, None).unwrap();
            assert_eq!(tokens.len(), 1);
            assert_eq!(tokens[0].seed.expose(), RFC_SEED);
            assert_eq!(tokens[0].serial.as_ref().unwrap().as_str(), "8700000001");
            assert_eq!(tokens[0].manufacturer.as_deref(), Some("Deepnet Security"));
        }
    }

    #[test]
    fn a_hexadecimal_file_is_read_where_it_can_be_nothing_else() {
        let file = include_bytes!("../../tests/fixtures/entra/hexadecimal.csv");
        assert_eq!(read(file, None).unwrap()[0].seed.expose(), RFC_SEED);
        assert_eq!(read(file, Some(SecretEncoding::Hex)).unwrap()[0].seed.expose(), RFC_SEED);
        assert!(read(file, Some(SecretEncoding::Base32)).is_err());
    }

    #[test]
    fn an_encoding_is_never_guessed() {
        let head = "serial number,secret key,timeinterval\n";
        let both = format!("{head}1,234567ABCDEF234567ABCDEF234567AB,30\n");
        assert_eq!(
            problems(&both),
            [
                "line 2: the secret could be base32 as well as hexadecimal: say which with --secret-encoding base32 or hex"
            ]
        );
        assert_eq!(read(both.as_bytes(), Some(SecretEncoding::Base32)).unwrap()[0].seed.len(), 20);
        assert_eq!(read(both.as_bytes(), Some(SecretEncoding::Hex)).unwrap()[0].seed.len(), 16);
        let mixed = format!(
            "{head}1,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,30\n2,3132333435363738393031323334353637383930,30\n"
        );
        assert!(problems(&mixed)[0].starts_with("line 3: the secret is written in another way"));
    }

    #[test]
    fn microsofts_own_irregular_samples_are_flagged_or_refused() {
        let head = "upn,serial number,secret key,time interval,manufacturer,model\n";
        let second = format!("{head}a@b.c,1234567,2234567abcdef2234567abcdef,60,Contoso,HardwareKey");
        let tokens = read(second.as_bytes(), None).unwrap();
        assert!(tokens[0].stray_bits && !tokens[0].weak);
        for secret in ["1234567abcdef1234567abcdef", "C2dE3fH4iJ5kL6mN7oP1qR2sT3uV4w"] {
            let text = format!("{head}a@b.c,1234567,{secret},60,Contoso,HardwareKey");
            assert_eq!(
                problems(&text),
                ["line 2: the secret is neither base32 nor at least 128 bits of hexadecimal"]
            );
        }
    }

    #[test]
    fn every_bad_line_is_told_and_nothing_of_it() {
        let file = include_str!("../../tests/fixtures/entra/many-mistakes.csv");
        assert_eq!(
            problems(file),
            [
                "line 2: the time interval is neither 30 nor 60",
                "line 3: a serial number must have 1 to 64 printable ASCII characters",
                "line 4: the secret is empty",
                "line 5: it has 5 columns, the headings have 6",
                "line 6: the upn: a user name can't hold '/', start with '-', or be '.' or '..'",
                "line 7: the secret has more than 128 characters",
                "line 8: a quote is not closed",
            ]
        );
    }

    #[test]
    fn headings_that_are_not_known_are_refused_once() {
        for (text, expected) in [
            ("a,b,c\n1,2,3\n", "line 1: column 1 has a heading that is not known"),
            ("serial number,secret key\n1,2\n", "line 1: no column has the heading \"time interval\""),
            ("upn,UPN,serial number,secret key,time interval\n", "line 1: two columns have the heading upn"),
            ("serial number;secret key;time interval\n", "line 1: the columns are separated by semicolons"),
            (
                "Yubico OTP,12/11/2013 11:10,1,vvgutbiedkvi,ab86c04de6a3,d26a7c0f85fdda28bd816e406342b214,,,0\n",
                "line 1: this is a log of the YubiKey",
            ),
            ("", "the file: it holds no token"),
        ] {
            let problems = problems(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected), "{problems:?}");
        }
    }
}

//! `otpauth://` URIs as other programs make them (the Key URI format of Google Authenticator's wiki), alone and in lists.

use std::fmt;
use std::str::FromStr;

use mfa_core::UserName;
use mfa_core::otp::{Algorithm, Digits, LookAhead, MovingFactor, Period, Profile};
use zeroize::Zeroizing;

use crate::seed_text;
use crate::token::{Harvest, Place, Problem, Token, printable_name};

/// The longest URI that is read, in bytes.
const MAX_URI_BYTES: usize = 4096;

/// Reads a file of `user,otpauth-uri` lines.
///
/// Empty lines and lines that begin with `#` are passed over, and so is a first line `user,otpauth-uri`. Each token has its owner.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn list(bytes: &[u8]) -> Result<Vec<Token>, Vec<Problem>> {
    let mut harvest = Harvest::default();
    let mut is_first = true;
    let split = crate::csv::for_each_row(bytes, |row| {
        let row = match row {
            Ok(row) => row,
            Err(problem) => return harvest.report(problem),
        };
        let is_heading = std::mem::take(&mut is_first) && row.fields == ["user", "otpauth-uri"];
        if is_heading || row.fields.first().is_some_and(|field| field.starts_with('#')) {
            return;
        }
        let token = match row.fields.as_slice() {
            [user, uri] => owned(user, uri, row.place()),
            _ => Err(row.problem(
                "it must be a user, a comma and an otpauth URI (a comma within the URI is written %2C)",
            )),
        };
        harvest.add(token);
    });
    if let Err(problem) = split {
        harvest.report(problem);
    }
    harvest.finish()
}

fn owned(user: &str, uri: &str, place: Place) -> Result<Token, Problem> {
    let owner = user.parse::<UserName>().map_err(|bad| Problem::new(place, bad.to_string()))?;
    let token = parse(uri, place).map_err(|bad| Problem::new(place, bad.to_string()))?;
    Ok(Token { owner: Some(owner), ..token })
}

/// Reads one URI.
///
/// The secret may be in lower case, with blanks and with padding. Everything else is held to the format: a parameter that is unknown,
/// repeated, out of range or of the other kind of token, and an issuer that differs from the label's, refuse the URI.
///
/// # Errors
/// What is wrong with it, without repeating any of it.
pub fn parse(uri: &str, place: Place) -> Result<Token, BadUri> {
    if uri.len() > MAX_URI_BYTES {
        return Err(BadUri("the URI is too long"));
    }
    let (kind, rest) = kind_and_rest(uri)?;
    let (label, query) = rest.split_once('?').ok_or(BadUri("the URI has no parameters"))?;
    if query.contains('#') || label.contains('#') {
        return Err(BadUri("the URI has a '#': within a name it must be written %23"));
    }
    let label = Label::parse(label)?;
    let parameters = Parameters::parse(query)?;

    if let (Some(prefix), Some(issuer)) = (&label.issuer, &parameters.issuer)
        && prefix != issuer
    {
        return Err(BadUri("the issuer in the label is not the one in the parameters"));
    }
    let secret = parameters.secret.as_ref().ok_or(BadUri("the URI has no secret"))?;
    let spelled =
        seed_text::base32(secret).map_err(|_| BadUri("the secret is not base32 of 1 to 128 bytes"))?;
    let moving_factor = match (kind, parameters.period, parameters.counter) {
        (Kind::Totp, period, None) => MovingFactor::Time(period.map_or_else(default_period, Ok)?),
        (Kind::Totp, _, Some(_)) => return Err(BadUri("a totp URI can't have a counter")),
        (Kind::Hotp, None, Some(_)) => MovingFactor::Counter(LookAhead::DEFAULT),
        (Kind::Hotp, None, None) => return Err(BadUri("a hotp URI must have a counter")),
        (Kind::Hotp, Some(_), _) => return Err(BadUri("a hotp URI can't have a period")),
    };
    let profile = Profile {
        moving_factor,
        algorithm: parameters.algorithm.unwrap_or(Profile::PLAIN.algorithm),
        digits: parameters.digits.unwrap_or(Profile::PLAIN.digits),
    };
    let issuer = parameters.issuer.or(label.issuer);
    Ok(Token {
        issuer: issuer.as_deref().and_then(printable_name),
        counter: parameters.counter,
        stray_bits: spelled.stray_bits,
        ..Token::new(place, profile, spelled.seed)
    })
}

/// Why a text is no otpauth URI that can be used. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadUri(&'static str);

impl fmt::Display for BadUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadUri {}

#[derive(Clone, Copy)]
enum Kind {
    Totp,
    Hotp,
}

/// Scheme and host, which RFC 3986 reads in any case, and what follows the slash behind them.
fn kind_and_rest(uri: &str) -> Result<(Kind, &str), BadUri> {
    let (scheme, rest) = uri.split_once("://").ok_or(BadUri("this is no otpauth URI"))?;
    if scheme.eq_ignore_ascii_case("otpauth-migration") {
        return Err(BadUri(
            "this is an export of Google Authenticator (otpauth-migration), which is not supported",
        ));
    }
    if !scheme.eq_ignore_ascii_case("otpauth") {
        return Err(BadUri("this is no otpauth URI"));
    }
    let (host, rest) = rest.split_once('/').ok_or(BadUri("the URI has no label"))?;
    let kind = match host.to_ascii_lowercase().as_str() {
        "totp" => Kind::Totp,
        "hotp" => Kind::Hotp,
        _ => return Err(BadUri("the URI is neither for totp nor for hotp")),
    };
    Ok((kind, rest))
}

fn default_period() -> Result<Period, BadUri> {
    Period::try_from(30).map_err(|_| BAD_PERIOD)
}

const BAD_PERIOD: BadUri = BadUri("the period must be 10 to 120 seconds");

/// `ISSUER:ACCOUNT` or `ACCOUNT`; only the issuer is of use.
struct Label {
    issuer: Option<String>,
}

impl Label {
    fn parse(text: &str) -> Result<Self, BadUri> {
        let decoded = percent_decoded(text)?;
        match decoded.split_once(':') {
            None => Ok(Self { issuer: None }),
            Some((_, account)) if account.contains(':') => Err(BadUri("the label has more than one colon")),
            Some((issuer, _)) => Ok(Self { issuer: Some(issuer.to_owned()) }),
        }
    }
}

#[derive(Default)]
struct Parameters {
    /// Upper and lower case and padding as in the URI, blanks taken out.
    secret: Option<Zeroizing<String>>,
    issuer: Option<String>,
    algorithm: Option<Algorithm>,
    digits: Option<Digits>,
    period: Option<Period>,
    counter: Option<u64>,
    image: Option<()>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, BadUri> {
        let mut parameters = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or(BadUri("a parameter has no value"))?;
            let value = percent_decoded(value)?;
            match name {
                "secret" => set(&mut parameters.secret, without_blanks(&value)),
                "issuer" => set(&mut parameters.issuer, (*value).clone()),
                "algorithm" => set(&mut parameters.algorithm, algorithm(&value)?),
                "digits" => set(
                    &mut parameters.digits,
                    number(&value)
                        .and_then(|count: u8| Digits::try_from(count).ok())
                        .ok_or(BadUri("a code must have 6, 7 or 8 digits"))?,
                ),
                "period" => set(
                    &mut parameters.period,
                    number(&value)
                        .and_then(|seconds: u8| Period::try_from(seconds).ok())
                        .ok_or(BAD_PERIOD)?,
                ),
                "counter" => {
                    set(&mut parameters.counter, number(&value).ok_or(BadUri("the counter is not a number"))?)
                }
                // Where an app finds a picture: of no use here, and harmless.
                "image" => set(&mut parameters.image, ()),
                // `encoder=steam` and its like change the codes.
                _ => Err(BadUri("the URI has a parameter that is not known")),
            }?;
        }
        Ok(parameters)
    }
}

fn set<T>(parameter: &mut Option<T>, value: T) -> Result<(), BadUri> {
    match parameter.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadUri("a parameter stands there twice")),
    }
}

fn algorithm(name: &str) -> Result<Algorithm, BadUri> {
    name.parse().map_err(|_| BadUri("the algorithm must be SHA1, SHA256 or SHA512"))
}

/// Digits and nothing else: no sign, no blank.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn without_blanks(text: &str) -> Zeroizing<String> {
    let mut dense = Zeroizing::new(String::with_capacity(text.len()));
    dense.extend(text.chars().filter(|c| *c != ' '));
    dense
}

/// RFC 3986 2.1, strictly: every `%` has two hexadecimal digits, and the result is UTF-8 without control characters. A `+` is a plus.
fn percent_decoded(text: &str) -> Result<Zeroizing<String>, BadUri> {
    const BAD_ESCAPE: BadUri = BadUri("a '%' is not followed by two hexadecimal digits of a UTF-8 text");
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let high = digit(rest.next()).ok_or(BAD_ESCAPE)?;
        let low = digit(rest.next()).ok_or(BAD_ESCAPE)?;
        bytes.push((high << 4) | low);
    }
    let decoded = std::str::from_utf8(&bytes).map_err(|_| BAD_ESCAPE)?;
    if decoded.chars().any(char::is_control) {
        return Err(BadUri("the URI holds a control character"));
    }
    Ok(Zeroizing::new(decoded.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    fn read(uri: &str) -> Result<Token, String> {
        parse(uri, Place::Line(1)).map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_plain_uri_is_read() {
        let token = read(
            "otpauth://totp/Example:alice@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example",
        )
        .unwrap();
        assert_eq!(token.seed.expose(), RFC_SEED);
        assert_eq!(token.profile, Profile::PLAIN);
        assert_eq!(token.issuer.as_deref(), Some("Example"));
        assert_eq!((token.counter, token.weak, token.stray_bits), (None, false, false));
    }

    #[test]
    fn what_core_writes_is_read_back() {
        let profiles = [
            Profile::PLAIN,
            Profile {
                moving_factor: MovingFactor::Time(60.try_into().unwrap()),
                algorithm: Algorithm::Sha512,
                digits: 8.try_into().unwrap(),
            },
            Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN },
        ];
        for profile in profiles {
            let seed = mfa_core::Secret::new(RFC_SEED.to_vec());
            let uri = mfa_core::otpauth::uri("ACME Co#1&x", &"bob#1?a b%@h".parse().unwrap(), profile, &seed);
            let token = read(&uri).unwrap();
            assert_eq!((token.profile, token.seed), (profile, seed));
            assert_eq!(token.issuer.as_deref(), Some("ACME Co#1&x"));
        }
    }

    #[test]
    fn a_secret_may_be_written_as_people_write_it() {
        for secret in [
            "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
            "GEZD%20GNBV%20gy3t%20qojq GEZDGNBVGY3TQOJQ",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        ] {
            assert_eq!(read(&format!("OTPAUTH://TOTP/a?secret={secret}")).unwrap().seed.expose(), RFC_SEED);
        }
        for padded in ["MZXW6YQ=", "MZXW6YQ%3D", "mzxw6yq"] {
            let token = read(&format!("otpauth://totp/a?secret={padded}")).unwrap();
            assert_eq!(token.seed.expose(), b"foob");
            assert!(token.weak);
        }
    }

    #[test]
    fn every_parameter_is_read() {
        let token = read("otpauth://totp/A%20B%3A%20c?secret=GEZDGNBV&issuer=A%20B&algorithm=sha256&digits=8&period=60&image=https%3A%2F%2Fx").unwrap();
        assert_eq!(token.profile.algorithm, Algorithm::Sha256);
        assert_eq!(token.profile.digits.count(), 8);
        assert_eq!(token.profile.moving_factor, MovingFactor::Time(60.try_into().unwrap()));
        let token = read("otpauth://hotp/a?secret=GEZDGNBV&counter=42").unwrap();
        assert_eq!((token.counter, token.floor()), (Some(42), Some(41)));
    }

    #[test]
    fn everything_else_is_refused() {
        for (uri, why) in [
            ("", "this is no otpauth URI"),
            ("https://totp/a?secret=GEZDGNBV", "this is no otpauth URI"),
            ("otpauth:totp/a?secret=GEZDGNBV", "this is no otpauth URI"),
            (
                "otpauth-migration://offline?data=AA",
                "this is an export of Google Authenticator (otpauth-migration), which is not supported",
            ),
            ("otpauth://steam/a?secret=GEZDGNBV", "the URI is neither for totp nor for hotp"),
            ("otpauth://totp?secret=GEZDGNBV", "the URI has no label"),
            ("otpauth://totp/a", "the URI has no parameters"),
            ("otpauth://totp/a?", "a parameter has no value"),
            ("otpauth://totp/a?issuer=x", "the URI has no secret"),
            ("otpauth://totp/a?secret=", "the secret is not base32 of 1 to 128 bytes"),
            ("otpauth://totp/a?secret=GEZDGNB1", "the secret is not base32 of 1 to 128 bytes"),
            ("otpauth://totp/a?secret=GEZD-GNBV", "the secret is not base32 of 1 to 128 bytes"),
            (
                "otpauth://totp/A:a?secret=GEZDGNBV&issuer=B",
                "the issuer in the label is not the one in the parameters",
            ),
            ("otpauth://totp/A:b:c?secret=GEZDGNBV", "the label has more than one colon"),
            ("otpauth://totp/A%3Ab:c?secret=GEZDGNBV", "the label has more than one colon"),
            (
                "otpauth://totp/bob#1?secret=GEZDGNBV",
                "the URI has a '#': within a name it must be written %23",
            ),
            ("otpauth://totp/a?secret=GEZDGNBV#x", "the URI has a '#': within a name it must be written %23"),
            ("otpauth://totp/a?secret=GEZDGNBV&secret=GEZDGNBV", "a parameter stands there twice"),
            (
                "otpauth://totp/a?secret=GEZDGNBV&algorithm=MD5",
                "the algorithm must be SHA1, SHA256 or SHA512",
            ),
            ("otpauth://totp/a?secret=GEZDGNBV&digits=5", "a code must have 6, 7 or 8 digits"),
            ("otpauth://totp/a?secret=GEZDGNBV&digits=+6", "a code must have 6, 7 or 8 digits"),
            ("otpauth://totp/a?secret=GEZDGNBV&period=121", "the period must be 10 to 120 seconds"),
            ("otpauth://totp/a?secret=GEZDGNBV&period=", "the period must be 10 to 120 seconds"),
            ("otpauth://totp/a?secret=GEZDGNBV&counter=1", "a totp URI can't have a counter"),
            ("otpauth://hotp/a?secret=GEZDGNBV", "a hotp URI must have a counter"),
            ("otpauth://hotp/a?secret=GEZDGNBV&counter=-1", "the counter is not a number"),
            ("otpauth://hotp/a?secret=GEZDGNBV&counter=99999999999999999999", "the counter is not a number"),
            ("otpauth://hotp/a?secret=GEZDGNBV&counter=1&period=30", "a hotp URI can't have a period"),
            ("otpauth://totp/a?secret=GEZDGNBV&encoder=steam", "the URI has a parameter that is not known"),
            ("otpauth://totp/a?secret=GEZDGNBV&", "a parameter has no value"),
            (
                "otpauth://totp/a%2?secret=GEZDGNBV",
                "a '%' is not followed by two hexadecimal digits of a UTF-8 text",
            ),
            (
                "otpauth://totp/a%+1?secret=GEZDGNBV",
                "a '%' is not followed by two hexadecimal digits of a UTF-8 text",
            ),
            (
                "otpauth://totp/a%ff?secret=GEZDGNBV",
                "a '%' is not followed by two hexadecimal digits of a UTF-8 text",
            ),
            ("otpauth://totp/a%0a?secret=GEZDGNBV", "the URI holds a control character"),
        ] {
            assert_eq!(read(uri).unwrap_err(), why, "{uri}");
        }
        assert_eq!(
            read(&format!("otpauth://totp/{}?secret=GEZDGNBV", "a".repeat(4096))).unwrap_err(),
            "the URI is too long"
        );
    }

    #[test]
    fn a_list_names_the_owner_of_each_uri() {
        let tokens = list(include_bytes!("../tests/fixtures/otpauth/fleet.csv")).unwrap();
        let shown: Vec<String> = tokens
            .iter()
            .map(|token| {
                format!("{}: {} {}", token.place, token.owner.as_ref().unwrap(), token.profile.algorithm)
            })
            .collect();
        assert_eq!(shown, ["line 3: alice SHA1", "line 4: CORP\\bob SHA256", "line 6: svc-backup SHA1"]);
    }

    #[test]
    fn every_bad_line_of_a_list_is_told_and_nothing_of_it() {
        let text = "alice\n../x,otpauth://totp/a?secret=GEZDGNBV\nbob,https://x\ncarol,otpauth://totp/a,b?secret=GEZDGNBV\n";
        let problems: Vec<String> =
            list(text.as_bytes()).unwrap_err().iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "line 1: it must be a user, a comma and an otpauth URI (a comma within the URI is written %2C)",
                "line 2: a user name can't hold '/', start with '-', or be '.' or '..'",
                "line 3: this is no otpauth URI",
                "line 4: it must be a user, a comma and an otpauth URI (a comma within the URI is written %2C)",
            ]
        );
    }

    #[test]
    fn one_seed_for_two_people_is_refused() {
        let text = "alice,otpauth://totp/a?secret=GEZDGNBV\nbob,otpauth://totp/b?secret=gezdgnbv\n";
        let problems = list(text.as_bytes()).unwrap_err();
        assert_eq!(problems[0].to_string(), "line 2: it has the seed of line 1");
    }
}

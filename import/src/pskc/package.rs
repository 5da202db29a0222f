//! One `KeyPackage`: RFC 6030 sections 4 and 5.

use mfa_core::otp::{Algorithm, BadParameter, Digits, LookAhead, MovingFactor, Period, Profile};
use mfa_core::{Secret, Timestamp};

use crate::dates::xml_date_time;
use crate::pskc::crypto::Keys;
use crate::pskc::{Parts, Strangers};
use crate::seed_text;
use crate::token::{MAX_SEED_BYTES, Place, Token, printable_name};
use crate::xml::{Element, Namespace, Parsed};

/// The token in a package, or the first thing that keeps it from being used.
pub(super) fn token(package: &Element, place: Place, keys: Option<&Keys>) -> Parsed<Token> {
    let package_parts = Parts::of(package, &["DeviceInfo", "CryptoModuleInfo", "Key"], Strangers::Ignored)?;
    let key = package_parts.need("Key")?;
    let kind = kind_of(key)?;
    let key_parts = Parts::of(
        key,
        &[
            "Issuer",
            "AlgorithmParameters",
            "KeyProfileId",
            "KeyReference",
            "FriendlyName",
            "Data",
            "UserId",
            "Policy",
        ],
        Strangers::Ignored,
    )?;
    let (algorithm, digits) = match key_parts.get("AlgorithmParameters") {
        Some(parameters) => algorithm_and_digits(parameters)?,
        None => (Profile::PLAIN.algorithm, Profile::PLAIN.digits),
    };
    let data = key_parts.get("Data").ok_or_else(|| key.fault(NO_SECRET))?;
    let data =
        Parts::of(data, &["Secret", "Time", "Counter", "TimeInterval", "TimeDrift"], Strangers::Refused)?;
    let secret = seed(data.get("Secret").ok_or_else(|| key.fault(NO_SECRET))?, keys)?;
    let counter = integer(data.get("Counter"), Width::Long, keys)?;
    // What the token's clock showed when the file was made: of no use here, but it must be a number.
    integer(data.get("Time"), Width::Long, keys)?;
    let interval = integer(data.get("TimeInterval"), Width::Int, keys)?;
    let drift = integer(data.get("TimeDrift"), Width::Int, keys)?;

    let moving_factor = match kind {
        Kind::Totp => MovingFactor::Time(period(interval, key)?),
        Kind::Hotp => MovingFactor::Counter(LookAhead::DEFAULT),
    };
    let mut token = Token::new(place, Profile { moving_factor, algorithm, digits }, secret);
    match kind {
        Kind::Totp => token.drift_steps = drift_steps(drift, key)?,
        Kind::Hotp => token.counter = Some(first_counter(counter, key)?),
    }
    token.issuer = key_parts.get("Issuer").and_then(|issuer| printable_name(&issuer.text));
    describe(&mut token, package_parts.get("DeviceInfo"), key)?;
    if let Some(policy) = key_parts.get("Policy") {
        apply_policy(&mut token, policy)?;
    }
    Ok(token)
}

const NO_SECRET: &str =
    "the package holds no secret (a key that is derived or kept elsewhere is not supported)";

enum Kind {
    Totp,
    Hotp,
}

/// The names of RFC 6030 10.1 and of draft-hoyer-keyprov-pskc-algorithm-profiles 4, and what older files call them.
fn kind_of(key: &Element) -> Parsed<Kind> {
    let uri = key.attribute("Algorithm").ok_or_else(|| key.fault("Key has no Algorithm"))?;
    match uri {
        "urn:ietf:params:xml:ns:keyprov:pskc:totp"
        | "urn:ietf:params:xml:ns:keyprov:pskc#totp"
        | "http://www.ietf.org/keyprov/pskc#totp" => return Ok(Kind::Totp),
        "urn:ietf:params:xml:ns:keyprov:pskc:hotp"
        | "urn:ietf:params:xml:ns:keyprov:pskc#hotp"
        | "http://www.ietf.org/keyprov/pskc#hotp" => return Ok(Kind::Hotp),
        _ => {}
    }
    let lower = uri.to_ascii_lowercase();
    Err(key.fault(if lower.contains("ocra") {
        "it is an OCRA (challenge and response) key, which is not supported".to_owned()
    } else if lower.ends_with(":pin") || lower.ends_with("#pin") {
        "it is a PIN, which is not supported".to_owned()
    } else if lower.contains("yubikey-aes") {
        "it is a Yubico OTP (AES) key, which is not supported: program the YubiKey for OATH-HOTP or OATH-TOTP"
            .to_owned()
    } else {
        "its algorithm is neither HOTP nor TOTP".to_owned()
    }))
}

fn algorithm_and_digits(parameters: &Element) -> Parsed<(Algorithm, Digits)> {
    let parts = Parts::of(parameters, &["Suite", "ChallengeFormat", "ResponseFormat"], Strangers::Refused)?;
    if let Some(challenge) = parts.get("ChallengeFormat") {
        return Err(challenge.fault("it answers challenges (ChallengeFormat), which is not supported"));
    }
    let algorithm = match parts.get("Suite") {
        // Never from the length of the seed: a file without a Suite means SHA-1.
        None => Profile::PLAIN.algorithm,
        Some(suite) => algorithm_of(suite)?,
    };
    let digits = match parts.get("ResponseFormat") {
        None => Profile::PLAIN.digits,
        Some(format) => digits_of(format)?,
    };
    Ok((algorithm, digits))
}

fn algorithm_of(suite: &Element) -> Parsed<Algorithm> {
    let name = suite.text.trim().to_ascii_uppercase();
    if name.starts_with("OCRA") {
        return Err(suite.fault("it is an OCRA (challenge and response) key, which is not supported"));
    }
    let hash =
        ["HMAC-", "HOTP-", "TOTP-"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name);
    hash.parse()
        .map_err(|_| suite.fault("its Suite is none of SHA1, SHA256 and SHA512, alone or behind HMAC-"))
}

fn digits_of(format: &Element) -> Parsed<Digits> {
    for (name, value) in &format.attributes {
        match (name.as_str(), value.as_str()) {
            ("Length", _) | ("Encoding", "DECIMAL") | ("CheckDigits" | "CheckDigit", "false" | "0") => {}
            ("Encoding", _) => return Err(format.fault("its codes are not DECIMAL, which is not supported")),
            ("CheckDigits" | "CheckDigit", _) => {
                return Err(
                    format.fault("its codes have a check digit (CheckDigits), which is not supported")
                );
            }
            _ => return Err(format.fault("ResponseFormat has an attribute that RFC 6030 does not know")),
        }
    }
    if format.attribute("Encoding").is_none() {
        return Err(format.fault("ResponseFormat has no Encoding"));
    }
    let length = format.attribute("Length").and_then(|length| length.trim().parse::<u8>().ok());
    length
        .and_then(|length| Digits::try_from(length).ok())
        .ok_or_else(|| format.fault("ResponseFormat must have a Length of 6, 7 or 8"))
}

/// The seed, in the clear or decrypted.
fn seed(secret: &Element, keys: Option<&Keys>) -> Parsed<Secret> {
    let seed = match value_of(secret)? {
        Value::Plain(plain) => {
            // With one package in the clear, whoever altered the file could have put it there.
            if keys.is_some() {
                return Err(
                    plain.fault("the secret is not encrypted although the container names an EncryptionKey")
                );
            }
            seed_text::base64(&plain.text).map_err(|bad| plain.fault(bad.to_string()))?
        }
        Value::Encrypted { value, mac } => need_keys(keys, value)?.open(value, mac)?,
    };
    match seed.len() {
        0 => Err(secret.fault("the secret is empty")),
        1..=MAX_SEED_BYTES => Ok(seed),
        _ => Err(secret.fault("the secret has more than 128 bytes")),
    }
}

/// RFC 6030 4.2: the two integer types, and the bytes of their encrypted form.
#[derive(Clone, Copy)]
enum Width {
    Int,
    Long,
}

/// A number in the clear or decrypted; none if the element is not there.
fn integer(element: Option<&Element>, width: Width, keys: Option<&Keys>) -> Parsed<Option<i128>> {
    let Some(element) = element else { return Ok(None) };
    let fault = || element.fault(format!("{} is not a number", element.name));
    let number = match value_of(element)? {
        Value::Plain(plain) => decimal(plain.text.trim()).ok_or_else(fault)?,
        Value::Encrypted { value, mac } => {
            let bytes = need_keys(keys, value)?.open(value, mac)?;
            encrypted_integer(bytes.expose(), width).ok_or_else(fault)?
        }
    };
    let fits = match width {
        Width::Int => i32::try_from(number).is_ok(),
        Width::Long => i64::try_from(number).is_ok(),
    };
    if fits { Ok(Some(number)) } else { Err(fault()) }
}

/// Big-endian bytes of the full width, as the RFC has it; or what other programs encrypt instead: decimal digits, or as many big-endian
/// bytes as the number needs. A few bytes that could be either are digits, as in python-pskc.
fn encrypted_integer(bytes: &[u8], width: Width) -> Option<i128> {
    let full_width = match width {
        Width::Int => bytes.try_into().map(|bytes| i128::from(i32::from_be_bytes(bytes))).ok(),
        Width::Long => bytes.try_into().map(|bytes| i128::from(i64::from_be_bytes(bytes))).ok(),
    };
    let digits = || decimal(std::str::from_utf8(bytes).ok()?);
    let few_bytes = || {
        let few = (1..=8).contains(&bytes.len());
        few.then(|| bytes.iter().fold(0_i128, |number, byte| (number << 8) | i128::from(*byte)))
    };
    full_width.or_else(digits).or_else(few_bytes)
}

fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

enum Value<'e> {
    Plain(&'e Element),
    Encrypted { value: &'e Element, mac: Option<&'e Element> },
}

fn value_of(element: &Element) -> Parsed<Value<'_>> {
    let parts = Parts::of(element, &["PlainValue", "EncryptedValue", "ValueMAC"], Strangers::Refused)?;
    match (parts.get("PlainValue"), parts.get("EncryptedValue"), parts.get("ValueMAC")) {
        (Some(plain), None, None) => Ok(Value::Plain(plain)),
        (None, Some(value), mac) => Ok(Value::Encrypted { value, mac }),
        (Some(_), None, Some(mac)) => Err(mac.fault("a ValueMAC beside a PlainValue is not supported")),
        _ => {
            Err(element.fault(format!("{} must have either a PlainValue or an EncryptedValue", element.name)))
        }
    }
}

fn need_keys<'k>(keys: Option<&'k Keys>, value: &Element) -> Parsed<&'k Keys> {
    keys.ok_or_else(|| value.fault("the value is encrypted and the container names no EncryptionKey"))
}

fn period(interval: Option<i128>, key: &Element) -> Parsed<Period> {
    let seconds = interval.unwrap_or(30);
    u8::try_from(seconds)
        .ok()
        .and_then(|seconds| Period::try_from(seconds).ok())
        .ok_or_else(|| key.fault("TimeInterval must be 10 to 120 seconds"))
}

fn drift_steps(drift: Option<i128>, key: &Element) -> Parsed<i32> {
    i32::try_from(drift.unwrap_or(0)).map_err(|_| key.fault("TimeDrift is not a number"))
}

fn first_counter(counter: Option<i128>, key: &Element) -> Parsed<u64> {
    u64::try_from(counter.unwrap_or(0)).map_err(|_| key.fault("Counter is negative"))
}

/// Serial number, names and dates of the device (RFC 6030 4.3.1).
fn describe(token: &mut Token, device: Option<&Element>, key: &Element) -> Parsed<()> {
    const KNOWN: [&str; 8] = [
        "Manufacturer",
        "SerialNo",
        "Model",
        "IssueNo",
        "DeviceBinding",
        "StartDate",
        "ExpiryDate",
        "UserId",
    ];
    let mut number = None;
    if let Some(device) = device {
        let parts = Parts::of(device, &KNOWN, Strangers::Ignored)?;
        let name = |element: &str| parts.get(element).and_then(|element| printable_name(&element.text));
        token.manufacturer = name("Manufacturer");
        token.model = name("Model");
        number = parts.get("SerialNo").map(|serial| serial.text.as_str());
        bound_dates(token, parts.get("StartDate"), parts.get("ExpiryDate"))?;
    }
    // Without a device there is still the key's own name; Yubico's files have `serial:slot` there.
    let number = number.or_else(|| key.attribute("Id"));
    let number = number.ok_or_else(|| key.fault("it has neither a SerialNo nor a key Id"))?;
    token.serial = Some(number.parse().map_err(|bad: BadParameter| key.fault(bad.to_string()))?);
    Ok(())
}

/// RFC 6030 5: what a reader does not understand forbids the use of the key.
fn apply_policy(token: &mut Token, policy: &Element) -> Parsed<()> {
    let mut start = None;
    let mut end = None;
    let mut usages = Vec::new();
    for rule in &policy.children {
        let known = rule.namespace == Namespace::Pskc;
        match rule.name.as_str() {
            "StartDate" if known && start.is_none() => start = Some(rule),
            "ExpiryDate" if known && end.is_none() => end = Some(rule),
            "KeyUsage" if known => usages.push(rule.text.trim()),
            "PINPolicy" if known => check_pin_policy(rule)?,
            "NumberOfTransactions" if known => {
                return Err(rule.fault("its policy limits how often it may be used, which is not supported"));
            }
            _ => {
                return Err(rule.fault(
                    "its policy has a rule that is not known, so the key must not be used (RFC 6030 5)",
                ));
            }
        }
    }
    if !policy.text.trim().is_empty() {
        return Err(
            policy.fault("its policy has a rule that is not known, so the key must not be used (RFC 6030 5)")
        );
    }
    if !usages.is_empty() && !usages.contains(&"OTP") {
        return Err(policy.fault("its policy does not allow one-time codes (KeyUsage is not OTP)"));
    }
    bound_dates(token, start, end)
}

/// A PIN that the token asks for by itself is none of our business; every other one would be part of the code.
fn check_pin_policy(policy: &Element) -> Parsed<()> {
    let known = ["PINKeyId", "PINUsageMode", "MaxFailedAttempts", "MinLength", "MaxLength", "PINEncoding"];
    if !policy.children.is_empty()
        || policy.attributes.iter().any(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(
            policy.fault("its policy has a rule that is not known, so the key must not be used (RFC 6030 5)")
        );
    }
    match policy.attribute("PINUsageMode") {
        Some("Local") => Ok(()),
        _ => Err(policy.fault("its policy wants a PIN with each code (PINPolicy), which is not supported")),
    }
}

/// Narrows the dates of use; the narrower of two bounds counts.
fn bound_dates(token: &mut Token, start: Option<&Element>, end: Option<&Element>) -> Parsed<()> {
    if let Some(date) = date_of(start)? {
        token.not_before = Some(token.not_before.map_or(date, |other| other.max(date)));
    }
    if let Some(date) = date_of(end)? {
        token.expires_at = Some(token.expires_at.map_or(date, |other| other.min(date)));
    }
    Ok(())
}

fn date_of(element: Option<&Element>) -> Parsed<Option<Timestamp>> {
    let Some(element) = element else { return Ok(None) };
    let date = xml_date_time(element.text.trim());
    Ok(Some(
        date.ok_or_else(|| {
            element.fault(format!("{} is not a date like 2030-12-31T00:00:00Z", element.name))
        })?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_numbers_are_read_in_every_form_that_is_in_use() {
        for (bytes, width, number) in [
            (&[0, 0, 0, 0, 0, 0, 0, 42][..], Width::Long, Some(42)),
            (b"00000042", Width::Long, Some(0x3030_3030_3030_3432)),
            (&[0xff, 0xff, 0xff, 0xfe], Width::Int, Some(-2)),
            (&[0, 0, 0, 60], Width::Int, Some(60)),
            (b"60", Width::Int, Some(60)),
            (b"-2", Width::Int, Some(-2)),
            (b"831791", Width::Long, Some(831_791)),
            (&[0], Width::Long, Some(0)),
            (&[0x01, 0x00], Width::Long, Some(256)),
            (&[0, 0, 0, 60], Width::Long, Some(60)),
            (b"", Width::Long, None),
            (&[1; 9], Width::Long, None),
        ] {
            assert_eq!(encrypted_integer(bytes, width), number, "{bytes:?}");
        }
    }
}

//! One-time codes: HOTP (RFC 4226) and TOTP (RFC 6238).

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How a device makes codes: everything but its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What moves the code on: time or a counter.
    pub moving_factor: MovingFactor,
    /// The hash inside HMAC.
    pub algorithm: Algorithm,
    /// The length of a code.
    pub digits: Digits,
}

impl Profile {
    /// SHA1, 6 digits, 30 seconds: the one profile that every authenticator app implements.
    pub const PLAIN: Self =
        Self { moving_factor: MovingFactor::Time(Period(30)), algorithm: Algorithm::Sha1, digits: Digits(6) };

    /// The seed length this profile wants, in bytes: the length of the hash (RFC 6238 5.1).
    pub const fn seed_bytes(self) -> usize {
        match self.algorithm {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// What makes the next code differ from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovingFactor {
    /// TOTP: the number of whole periods since 1970 (RFC 6238 4.2, T0 = 0).
    Time(Period),
    /// HOTP: a counter that the device moves at each press; the login accepts up to so many presses ahead (RFC 4226 7.4).
    Counter(LookAhead),
}

/// The hash inside HMAC (RFC 6238 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// HMAC-SHA-1, the default of every app.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in an otpauth URI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = BadParameter;

    /// `SHA1`, `sha-256`, `SHA512`: case and one dash are free.
    fn from_str(text: &str) -> Result<Self, BadParameter> {
        match text.to_ascii_uppercase().replace("SHA-", "SHA").as_str() {
            "SHA1" => Ok(Self::Sha1),
            "SHA256" => Ok(Self::Sha256),
            "SHA512" => Ok(Self::Sha512),
            _ => Err(BadParameter("the algorithm must be SHA1, SHA256 or SHA512")),
        }
    }
}

/// How long a code is: 6, 7 or 8 digits (RFC 4226 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Digits(u8);

impl Digits {
    /// The number of digits.
    pub const fn count(self) -> u8 {
        self.0
    }

    /// Ten to the number of digits.
    const fn modulus(self) -> u32 {
        match self.0 {
            6 => 1_000_000,
            7 => 10_000_000,
            _ => 100_000_000,
        }
    }
}

impl TryFrom<u8> for Digits {
    type Error = BadParameter;

    fn try_from(count: u8) -> Result<Self, BadParameter> {
        match count {
            6..=8 => Ok(Self(count)),
            _ => Err(BadParameter("a code must have 6, 7 or 8 digits")),
        }
    }
}

impl From<Digits> for u8 {
    fn from(digits: Digits) -> Self {
        digits.0
    }
}

/// The length of a time step in seconds, 10 to 120 (NIST SP 800-63B 3.1.4: a nonce changes at least every two minutes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Period(u8);

impl Period {
    /// The number of seconds.
    pub const fn seconds(self) -> u64 {
        // A `From` call is not const; the cast from u8 to u64 loses nothing.
        #[expect(clippy::as_conversions, reason = "widening, in a const fn")]
        {
            self.0 as u64
        }
    }

    /// The time step that `now` falls into (RFC 6238 4.2).
    #[expect(clippy::arithmetic_side_effects, reason = "a period is at least 10")]
    pub const fn step_at(self, now: Timestamp) -> u64 {
        now.unix_seconds() / self.seconds()
    }
}

impl TryFrom<u8> for Period {
    type Error = BadParameter;

    fn try_from(seconds: u8) -> Result<Self, BadParameter> {
        match seconds {
            10..=120 => Ok(Self(seconds)),
            _ => Err(BadParameter("the period must be 10 to 120 seconds")),
        }
    }
}

impl From<Period> for u8 {
    fn from(period: Period) -> Self {
        period.0
    }
}

/// How many presses beyond the next expected one a counter device may be ahead at a login, 1 to 20 (RFC 4226 7.4: keep it small).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct LookAhead(u8);

impl LookAhead {
    /// The default: five presses in a pocket.
    pub const DEFAULT: Self = Self(5);

    /// The number of counters tried.
    pub const fn counters(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for LookAhead {
    type Error = BadParameter;

    fn try_from(counters: u8) -> Result<Self, BadParameter> {
        match counters {
            1..=20 => Ok(Self(counters)),
            _ => Err(BadParameter("the look-ahead must be 1 to 20 counters")),
        }
    }
}

impl From<LookAhead> for u8 {
    fn from(look_ahead: LookAhead) -> Self {
        look_ahead.0
    }
}

/// A parameter outside what this program implements; the text says what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadParameter(pub(crate) &'static str);

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadParameter {}

/// A one-time code: so many decimal digits, leading zeros included. Wiped when dropped, never printed by `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Code {
    digits: u8,
    value: u32,
}

impl Code {
    /// No code at all: equal to none that can be typed.
    pub(crate) const NONE: Self = Self { digits: 0, value: 0 };

    /// Reads 6 to 8 ASCII digits and nothing else.
    pub fn from_digits(text: &[u8]) -> Option<Self> {
        let digits = u8::try_from(text.len()).ok().filter(|count| (6..=8).contains(count))?;
        let mut value: u32 = 0;
        for &byte in text {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            value = value.checked_mul(10)?.checked_add(u32::from(digit))?;
        }
        Some(Self { digits, value })
    }

    /// How many digits were typed.
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// The digits as text, leading zeros included. Every place that shows a code is found by this name.
    pub fn expose_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(8));
        for place in (0..u32::from(self.digits)).rev() {
            let digit =
                10_u32.checked_pow(place).and_then(|power| self.value.checked_div(power)).unwrap_or(0);
            text.push(char::from_digit(digit.checked_rem(10).unwrap_or(0), 10).unwrap_or('0'));
        }
        text
    }

    /// Equal in all digits, in a time that does not depend on them. The length is public.
    fn matches(&self, other: &Self) -> Choice {
        self.digits.ct_eq(&other.digits) & self.value.ct_eq(&other.value)
    }

    /// Whether two codes are the same.
    pub fn same_as(&self, other: &Self) -> bool {
        self.matches(other).into()
    }
}

/// For a message between two processes of one host.
impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.digits, self.value).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (digits, value) = <(u8, u32)>::deserialize(deserializer)?;
        let code = Self { digits, value };
        let is_code = Digits::try_from(digits).is_ok_and(|digits| value < digits.modulus());
        is_code.then_some(code).ok_or_else(|| serde::de::Error::custom("not a code"))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([redacted])")
    }
}

/// One device's generator: its seed inside HMAC, ready for any counter.
pub struct Generator {
    keyed: Keyed,
    digits: Digits,
}

enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Generator {
    /// Keys the hash with `seed`.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "HMAC takes any key length (RFC 2104 section 3)"
    )]
    pub fn new(seed: &Secret, algorithm: Algorithm, digits: Digits) -> Self {
        const ANY_KEY: &str = "HMAC takes any key length";
        let keyed = match algorithm {
            Algorithm::Sha1 => Keyed::Sha1(Hmac::new_from_slice(seed.expose()).expect(ANY_KEY)),
            Algorithm::Sha256 => Keyed::Sha256(Hmac::new_from_slice(seed.expose()).expect(ANY_KEY)),
            Algorithm::Sha512 => Keyed::Sha512(Hmac::new_from_slice(seed.expose()).expect(ANY_KEY)),
        };
        Self { keyed, digits }
    }

    /// The code at `counter`: the HOTP counter, or the time step of TOTP (RFC 4226 5.3, RFC 6238 4.2).
    pub fn code_at(&self, counter: u64) -> Code {
        let message = counter.to_be_bytes();
        let truncated = match &self.keyed {
            Keyed::Sha1(mac) => truncate(&mac.clone().chain_update(message).finalize().into_bytes()),
            Keyed::Sha256(mac) => truncate(&mac.clone().chain_update(message).finalize().into_bytes()),
            Keyed::Sha512(mac) => truncate(&mac.clone().chain_update(message).finalize().into_bytes()),
        };
        let value = truncated.checked_rem(self.digits.modulus()).unwrap_or_default();
        Code { digits: self.digits.count(), value }
    }

    /// Whether `code` is the one at `counter`; takes the same time either way.
    pub(crate) fn matches_at(&self, counter: u64, code: &Code) -> Choice {
        self.code_at(counter).matches(code)
    }
}

/// Dynamic truncation (RFC 4226 5.3): 31 bits at the offset that the last four bits name.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "an HMAC has at least 20 bytes, an offset is at most 15"
)]
fn truncate(mac: &[u8]) -> u32 {
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    u32::from_be_bytes([mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]])
}

#[cfg(test)]
mod tests {
    use serde::de::value::SeqDeserializer;

    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    fn text(code: &Code) -> String {
        format!("{:0width$}", code.value, width = usize::from(code.digits))
    }

    fn generator(length: usize, algorithm: Algorithm, digits: u8) -> Generator {
        let seed = RFC_SEED.iter().copied().cycle().take(length).collect();
        Generator::new(&Secret::new(seed), algorithm, Digits::try_from(digits).unwrap())
    }

    #[test]
    fn a_seed_is_as_long_as_its_hash() {
        let bytes = |algorithm| Profile { algorithm, ..Profile::PLAIN }.seed_bytes();
        assert_eq!([Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512].map(bytes), [20, 32, 64]);
    }

    #[test]
    fn hotp_gives_the_values_of_rfc_4226_appendix_d() {
        let device = generator(20, Algorithm::Sha1, 6);
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in (0..).zip(expected) {
            assert_eq!(text(&device.code_at(counter)), code);
        }
    }

    #[test]
    fn a_counter_has_64_bits() {
        // By oathtool: oathtool --hotp -d 8 -c COUNTER 3132333435363738393031323334353637383930
        let device = generator(20, Algorithm::Sha1, 8);
        for (counter, code) in [
            ((1 << 32) - 1, "57117190"),
            (1 << 32, "55999456"),
            (1 << 40, "57445672"),
            (u64::MAX >> 1, "50181742"),
            (u64::MAX, "63094451"),
        ] {
            assert_eq!(text(&device.code_at(counter)), code, "{counter}");
        }
    }

    #[test]
    fn truncation_follows_the_example_of_rfc_4226_5_4() {
        let mac = [
            0x1f, 0x86, 0x98, 0x69, 0x0e, 0x02, 0xca, 0x16, 0x61, 0x85, 0x50, 0xef, 0x7f, 0x19, 0xda, 0x8e,
            0x94, 0x5b, 0x55, 0x5a,
        ];
        assert_eq!(truncate(&mac), 0x50ef_7f19);
    }

    #[test]
    fn totp_gives_the_values_of_rfc_6238_appendix_b() {
        let rows = [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ];
        let period = Period::try_from(30).unwrap();
        for (time, sha1, sha256, sha512) in rows {
            let step = period.step_at(Timestamp::from_unix_seconds(time));
            for (length, algorithm, expected) in [
                (20, Algorithm::Sha1, sha1),
                (32, Algorithm::Sha256, sha256),
                (64, Algorithm::Sha512, sha512),
            ] {
                for digits in 6..=8 {
                    let code = text(&generator(length, algorithm, digits).code_at(step));
                    assert_eq!(code, expected[8 - usize::from(digits)..], "{algorithm} at {time}");
                }
            }
        }
    }

    #[test]
    fn the_seed_is_used_at_its_own_length_whatever_the_hash() {
        assert_eq!(text(&generator(20, Algorithm::Sha256, 8).code_at(1)), "32247374");
        assert_eq!(text(&generator(20, Algorithm::Sha512, 8).code_at(1)), "69342147");
    }

    #[test]
    fn a_code_is_its_digits_with_leading_zeros() {
        let typed = Code::from_digits(b"081804").unwrap();
        let step = 1_111_111_109 / 30;
        assert!(bool::from(generator(20, Algorithm::Sha1, 6).matches_at(step, &typed)));
        for wrong in
            [&b"81804"[..], b"+81804", b"0818040000", b" 81804", b"08180a", "\u{661}81804".as_bytes(), b""]
        {
            assert!(Code::from_digits(wrong).is_none(), "{wrong:?}");
        }
        assert!(!bool::from(generator(20, Algorithm::Sha1, 8).matches_at(step, &typed)), "digits are exact");
        assert!(!Code::from_digits(b"0081804").unwrap().same_as(&typed), "a longer code is another code");
    }

    #[test]
    fn parameters_outside_the_standards_are_refused() {
        assert!(
            Period::try_from(121).is_err() && Period::try_from(9).is_err() && Period::try_from(120).is_ok()
        );
        assert!(Digits::try_from(5).is_err() && Digits::try_from(9).is_err());
        assert!(LookAhead::try_from(0).is_err() && LookAhead::try_from(21).is_err());
        assert!(!"MD5".parse::<Algorithm>().unwrap_err().to_string().is_empty(), "it says what is wrong");
        assert_eq!("sha-256".parse::<Algorithm>().unwrap(), Algorithm::Sha256);
    }

    #[test]
    fn a_code_in_a_message_has_no_more_digits_than_it_says() {
        let read = |digits: u32, value: u32| {
            let fields = SeqDeserializer::<_, serde::de::value::Error>::new([digits, value].into_iter());
            Code::deserialize(fields)
        };
        assert_eq!(text(&read(6, 81_804).unwrap()), "081804");
        assert_eq!(text(&read(6, 999_999).unwrap()), "999999");
        for (digits, value) in [(6, 1_000_000), (6, 1_000_001), (5, 12_345), (9, 123_456_789)] {
            assert!(read(digits, value).is_err(), "{digits} digits: {value}");
        }
    }
}

//! Seeds as text: base32, hexadecimal and base64, read strictly.

use std::fmt;
use std::str::FromStr;

use base32::Alphabet::Rfc4648;
use base64ct::{Base64, Encoding as _};
use mfa_core::Secret;
use zeroize::Zeroizing;

use crate::token::{MAX_SEED_BYTES, STRONG_SEED_BYTES};

/// How the secrets of a file are written. Stated by the file's format or by the administrator, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEncoding {
    /// RFC 4648 section 6.
    Base32,
    /// RFC 4648 section 8, in either case.
    Hex,
}

impl FromStr for SecretEncoding {
    type Err = UnknownEncoding;

    fn from_str(text: &str) -> Result<Self, UnknownEncoding> {
        match text {
            "base32" => Ok(Self::Base32),
            "hex" => Ok(Self::Hex),
            _ => Err(UnknownEncoding),
        }
    }
}

impl fmt::Display for SecretEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base32 => "base32",
            Self::Hex => "hex",
        })
    }
}

/// A word that is no [`SecretEncoding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEncoding;

impl fmt::Display for UnknownEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret encoding is base32 or hex")
    }
}

impl std::error::Error for UnknownEncoding {}

/// A seed that was written as text.
#[derive(Debug)]
pub(crate) struct Spelled {
    pub(crate) seed: Secret,
    /// Base32 only: there are bits left over at the end.
    pub(crate) stray_bits: bool,
}

/// Why a text is no seed. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSeed {
    Empty,
    TooLong,
    NotBase32,
    NotHex,
    NotBase64,
    Neither,
    Ambiguous,
}

impl fmt::Display for BadSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the secret is empty",
            Self::TooLong => "the secret has more than 128 bytes",
            Self::NotBase32 => "the secret is not base32 (letters A to Z and digits 2 to 7)",
            Self::NotHex => "the secret is not hexadecimal (an even number of digits 0 to 9 and A to F)",
            Self::NotBase64 => "the secret is not base64",
            Self::Neither => "the secret is neither base32 nor at least 128 bits of hexadecimal",
            Self::Ambiguous => {
                "the secret could be base32 as well as hexadecimal: say which with --secret-encoding base32 or hex"
            }
        })
    }
}

/// Reads a secret in the encoding that was declared, or in the only one that it can be.
///
/// Undeclared hexadecimal counts only from 128 bits on: no vendor ships less, and Microsoft's own base32 sample would be ambiguous.
pub(crate) fn seed(
    text: &str,
    declared: Option<SecretEncoding>,
) -> Result<(Spelled, SecretEncoding), BadSeed> {
    let as_hex = |text| hex(text).map(|seed| Spelled { seed, stray_bits: false });
    match declared {
        Some(SecretEncoding::Base32) => Ok((base32(text)?, SecretEncoding::Base32)),
        Some(SecretEncoding::Hex) => Ok((as_hex(text)?, SecretEncoding::Hex)),
        None => match (base32(text), as_hex(text).ok().filter(|hex| hex.seed.len() >= STRONG_SEED_BYTES)) {
            (Ok(_), Some(_)) => Err(BadSeed::Ambiguous),
            (Ok(spelled), None) => Ok((spelled, SecretEncoding::Base32)),
            (Err(_), Some(spelled)) => Ok((spelled, SecretEncoding::Hex)),
            (Err(bad @ (BadSeed::Empty | BadSeed::TooLong)), None) => Err(bad),
            (Err(_), None) => Err(BadSeed::Neither),
        },
    }
}

/// Reads base32 in either case, with the padding complete or absent. A length that no number of bytes has is refused.
pub(crate) fn base32(text: &str) -> Result<Spelled, BadSeed> {
    let letters = text.trim_end_matches('=');
    if letters.len() != text.len() && !text.len().is_multiple_of(8) {
        return Err(BadSeed::NotBase32);
    }
    let upper = Zeroizing::new(letters.to_ascii_uppercase());
    if !upper.bytes().all(|letter| matches!(letter, b'A'..=b'Z' | b'2'..=b'7')) {
        return Err(BadSeed::NotBase32);
    }
    let bytes = base32::decode(Rfc4648 { padding: false }, &upper).ok_or(BadSeed::NotBase32)?;
    let seed = Secret::new(bytes);
    let canonical = seed.to_base32();
    if canonical.len() != upper.len() {
        return Err(BadSeed::NotBase32);
    }
    let stray_bits = *canonical != *upper;
    Ok(Spelled { seed: sized(seed)?, stray_bits })
}

/// Reads hexadecimal in either case.
pub(crate) fn hex(text: &str) -> Result<Secret, BadSeed> {
    sized(Secret::new(base16ct::mixed::decode_vec(text).map_err(|_| BadSeed::NotHex)?))
}

/// Reads padded base64, with blanks and line breaks anywhere, as XML files have it.
pub(crate) fn base64(text: &str) -> Result<Secret, BadSeed> {
    sized(Secret::new(base64_bytes(text).ok_or(BadSeed::NotBase64)?))
}

/// The bytes of padded base64 that need not be a seed: a ciphertext, a salt.
pub(crate) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let mut dense = Zeroizing::new(String::with_capacity(text.len()));
    dense.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    Base64::decode_vec(&dense).ok()
}

fn sized(seed: Secret) -> Result<Secret, BadSeed> {
    match seed.len() {
        0 => Err(BadSeed::Empty),
        1..=MAX_SEED_BYTES => Ok(seed),
        _ => Err(BadSeed::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    #[test]
    fn the_rfc_seed_is_read_in_every_spelling() {
        for text in ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq"] {
            let spelled = base32(text).unwrap();
            assert_eq!(spelled.seed.expose(), RFC_SEED);
            assert!(!spelled.stray_bits);
        }
        assert_eq!(hex("3132333435363738393031323334353637383930").unwrap().expose(), RFC_SEED);
        assert_eq!(base64("\n  MTIzNDU2Nzg5MDEy\r\n\tMzQ1Njc4OTA=\n").unwrap().expose(), RFC_SEED);
        assert_eq!(base32("MZXW6YQ=").unwrap().seed.expose(), b"foob");
        assert_eq!(hex("0aFf").unwrap().expose(), [0x0a, 0xff]);
    }

    #[test]
    fn what_is_not_quite_right_is_refused() {
        for text in
            ["A", "ABC", "ABCDEF", "1234567A", "MZXW6YQ==", "MZ XW", "MZ-XW", "M=ZXW6YQ", "MÝ", "MZXW6Y8A"]
        {
            assert_eq!(base32(text).unwrap_err(), BadSeed::NotBase32, "{text}");
        }
        for text in ["0", "012", "0x12", "12 34", "gg", "é1"] {
            assert_eq!(hex(text).unwrap_err(), BadSeed::NotHex, "{text}");
        }
        for text in ["MTIz=", "MTI", "MTJ=", "MT-z", "é"] {
            assert_eq!(base64(text).unwrap_err(), BadSeed::NotBase64, "{text}");
        }
        assert_eq!((base32("").unwrap_err(), hex("").unwrap_err()), (BadSeed::Empty, BadSeed::Empty));
        assert_eq!(hex(&"00".repeat(129)).unwrap_err(), BadSeed::TooLong);
    }

    #[test]
    fn bits_left_over_are_told() {
        // Microsoft's own sample for Entra, see its documentation of OATH tokens.
        let sample = base32("2234567abcdef2234567abcdef").unwrap();
        assert_eq!(sample.seed.len(), 16);
        assert!(sample.stray_bits);
        assert!(base32("1234567abcdef1234567abcdef").is_err());
    }

    #[test]
    fn an_encoding_is_declared_or_the_only_possible_one() {
        let both = "234567ABCDEF234567ABCDEF234567AB";
        assert_eq!(seed(both, None).unwrap_err(), BadSeed::Ambiguous);
        assert_eq!(seed(both, Some(SecretEncoding::Base32)).unwrap().0.seed.len(), 20);
        assert_eq!(seed(both, Some(SecretEncoding::Hex)).unwrap().0.seed.len(), 16);
        assert_eq!(seed("GEZDGNBV", None).unwrap().1, SecretEncoding::Base32);
        let hex = "3132333435363738393031323334353637383930";
        assert_eq!(seed(hex, None).unwrap().1, SecretEncoding::Hex);
        assert_eq!(seed("1234567abcdef1234567abcdef", None).unwrap_err(), BadSeed::Neither, "104 bits");
        assert_eq!(seed("2234567abcdef2234567abcdef", None).unwrap().1, SecretEncoding::Base32);
        assert_eq!(seed("GEZDGNB9", None).unwrap_err(), BadSeed::Neither);
        assert_eq!(seed("", None).unwrap_err(), BadSeed::Empty);
        assert_eq!(seed("31323334", Some(SecretEncoding::Base32)).unwrap_err(), BadSeed::NotBase32);
    }
}

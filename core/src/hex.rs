//! Public bytes of a fixed length, written as hexadecimal: identifiers, salts, hashes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `N` bytes that are shown and stored as `2 * N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let mut bytes = [0; N];
        let mut digits = text.bytes();
        for byte in &mut bytes {
            let high = digits.next().and_then(nibble).ok_or(NotHex)?;
            let low = digits.next().and_then(nibble).ok_or(NotHex)?;
            *byte = (high << 4) | low;
        }
        digits.next().is_none().then_some(Self(bytes)).ok_or(NotHex)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
        _ => None,
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not exactly the right number of lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHex;

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a hexadecimal number of the right length")
    }
}

impl std::error::Error for NotHex {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_and_read_back() {
        let bytes = Hex([0x00, 0x7f, 0xff, 0x1a]);
        assert_eq!(bytes.to_string(), "007fff1a");
        assert_eq!("007fff1a".parse::<Hex<4>>(), Ok(bytes));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["007FFF1A", "007fff1", "007fff1a0", "0x7fff1a", "", "007fff1é"] {
            assert_eq!(text.parse::<Hex<4>>(), Err(NotHex), "{text}");
        }
    }
}

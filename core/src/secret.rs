//! Bytes that wipe themselves, and their form as text (RFC 4648 base32).

use std::fmt;

use base32::Alphabet::Rfc4648;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Secret bytes: a seed, a key, a code. Wiped when dropped, never printed.
///
/// There is no `Display`, `Debug` says `[redacted]`, and [`Secret::expose`] is the one way to the bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes over `bytes`; the vector's spare capacity must not hold a copy of them.
    pub fn new(bytes: Vec<u8>) -> Self {
        // A shrinking `into_boxed_slice` may move the bytes and leave the old ones behind: copy, then wipe.
        let mut bytes = bytes;
        let boxed = Box::from(bytes.as_slice());
        bytes.zeroize();
        Self(boxed)
    }

    /// `length` bytes from the kernel's generator (RFC 6238 5.1, RFC 4226 R6).
    ///
    /// # Errors
    /// [`NoRandomness`] if the kernel gives none: nothing weaker is used instead.
    pub fn random(length: usize) -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; length].into_boxed_slice();
        getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The bytes themselves. Every use of a secret is found by searching for this word.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes as upper-case base32 without padding, as authenticator apps take them.
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(base32::encode(Rfc4648 { padding: false }, &self.0))
    }

    /// Reads base32, strictly: upper case, no padding, no blanks, no stray bits at the end.
    pub fn from_base32(text: &str) -> Option<Self> {
        let secret = Self::new(base32::decode(Rfc4648 { padding: false }, text)?);
        // The decoder is lenient with case and trailing bits; only the one canonical spelling is ours.
        (secret.to_base32().as_str() == text).then_some(secret)
    }
}

/// For `#[serde(with = "exposed")]`: the bytes of a secret in a message between two processes of one host, or in an encrypted file. There is
/// no other way to serialise one.
pub mod exposed {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use zeroize::Zeroizing;

    use super::Secret;

    /// Writes the bytes as base32.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        secret.to_base32().as_str().serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer, or that it is not base32.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Secret::from_base32(&text).ok_or_else(|| serde::de::Error::custom("not base32"))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The kernel gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel gave no random bytes")
    }
}

impl std::error::Error for NoRandomness {}

/// `N` public random bytes: an identifier, a nonce, a salt.
///
/// # Errors
/// [`NoRandomness`] if the kernel gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// Overwrites the stack below the caller, where hash and cipher code may have left working copies of a seed or a code.
#[inline(never)]
pub fn wipe_stack() {
    // By words: by bytes it takes eight times as long, a fifth of what a login computes.
    let mut below = [0_u64; 2 * 1024];
    std::hint::black_box(&mut below).zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_seed_survives_base32_both_ways() {
        let seed = Secret::new(b"12345678901234567890".to_vec());
        assert_eq!(seed.to_base32().as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap(), seed);
    }

    #[test]
    fn only_canonical_base32_is_read() {
        for text in ["gezdgnbvgy3tqojq", "GEZDGNBV GY3TQOJQ", "MY======", "MZ", "A", "1234", "MÝ"] {
            assert!(Secret::from_base32(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "[redacted]");
    }

    #[test]
    fn random_secrets_differ() {
        assert_ne!(Secret::random(20).unwrap(), Secret::random(20).unwrap());
    }

    #[test]
    fn every_bit_of_a_random_secret_is_random() {
        let secrets: Vec<Secret> = (0..256).map(|_| Secret::random(20).unwrap()).collect();
        for bit in 0..160 {
            let ones = secrets.iter().filter(|secret| secret.expose()[bit / 8] >> (bit % 8) & 1 == 1).count();
            // Nine standard deviations from the middle: chance does not get there.
            assert!((56..=200).contains(&ones), "bit {bit}: {ones} of 256");
        }
    }
}

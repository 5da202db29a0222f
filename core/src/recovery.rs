//! Recovery codes: shown once, kept as memory-hard hashes, each good for one login (NIST SP 800-63B 3.1.2, 4.2.1.1).

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::hex::Hex;
use crate::seal::HostKey;
use crate::secret::{Secret, random_bytes};

/// How many codes a set has.
pub const CODES_PER_SET: u8 = 10;

/// The bytes of a code: 80 bits.
const CODE_BYTES: usize = 10;

/// The letters of a code: 16 of base32.
const CODE_LETTERS: usize = 16;

/// One recovery code: 80 random bits as 16 letters of base32. Wiped when dropped.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Reads 16 letters without separators, in any case. `0`, `1` and `8`, which no code holds, are taken for `O`, `I` and `B`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != CODE_LETTERS {
            return None;
        }
        let mut letters = Zeroizing::new(String::with_capacity(CODE_LETTERS));
        for character in text.chars() {
            letters.push(match character.to_ascii_uppercase() {
                letter @ ('A'..='Z' | '2'..='7') => letter,
                '0' => 'O',
                '1' => 'I',
                '8' => 'B',
                _ => return None,
            });
        }
        Some(Self(letters))
    }

    fn random() -> Result<Self, Error> {
        Ok(Self(Secret::random(CODE_BYTES)?.to_base32()))
    }

    /// The form for people, `ABCD-EFGH-IJKL-MNOP`. Every place that shows a code is found by this name.
    pub fn expose_grouped(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CODE_LETTERS + 3));
        for (position, letter) in self.0.chars().enumerate() {
            if position > 0 && position.is_multiple_of(4) {
                text.push('-');
            }
            text.push(letter);
        }
        text
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

/// Names one set of codes, so that the state file knows which set its marks belong to.
pub type SetId = Hex<8>;

/// The hashes of one account's codes: one salt for all, so that an attempt costs one derivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySet {
    /// Which set this is.
    pub id: SetId,
    /// When it was made, in seconds since 1970.
    pub created_at: u64,
    /// The salt of all hashes.
    salt: Hex<16>,
    /// Argon2id's memory in KiB.
    memory_kib: u32,
    /// Argon2id's passes over that memory.
    passes: u32,
    /// Argon2id (RFC 9106) of each code, peppered with a key derived from the host key.
    hashes: Vec<Hex<32>>,
}

/// OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// What a damaged file may ask for at the most.
const MAX_MEMORY_KIB: u32 = 65_536;
const MAX_PASSES: u32 = 10;

impl RecoverySet {
    /// Makes a new set: the codes to show, once, and the record to keep.
    ///
    /// # Errors
    /// No randomness or no memory.
    pub fn generate(key: &HostKey, created_at: u64) -> Result<(Vec<RecoveryCode>, Self), Error> {
        let mut set = Self {
            id: Hex(random_bytes()?),
            created_at,
            salt: Hex(random_bytes()?),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            hashes: Vec::new(),
        };
        let mut codes = Vec::new();
        for _ in 0..CODES_PER_SET {
            let code = RecoveryCode::random()?;
            set.hashes.push(set.hash(key, &code)?);
            codes.push(code);
        }
        Ok((codes, set))
    }

    /// A set that nobody has codes for: what an account without recovery codes is checked against, at the same cost.
    pub fn decoy() -> Self {
        Self {
            id: Hex([0; 8]),
            created_at: 0,
            salt: Hex([0; 16]),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            hashes: Vec::new(),
        }
    }

    /// How many codes the set was made with.
    pub fn len(&self) -> u8 {
        u8::try_from(self.hashes.len()).unwrap_or(u8::MAX)
    }

    /// Whether the set has no codes at all.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The position of `code` in the set. One derivation, then every hash is compared, without an early exit.
    ///
    /// # Errors
    /// No memory, or parameters in the record that no version of this program wrote.
    pub fn position(&self, key: &HostKey, code: &RecoveryCode) -> Result<Option<u8>, Error> {
        const NOWHERE: u8 = u8::MAX;
        let hash = self.hash(key, code)?;
        let mut found = NOWHERE;
        for (position, stored) in (0..CODES_PER_SET).zip(&self.hashes) {
            found.conditional_assign(&position, stored.0.ct_eq(&hash.0));
        }
        Ok((found != NOWHERE).then_some(found))
    }

    /// Refuses a record whose parameters would make a login slow or weak.
    pub(crate) fn is_sound(&self) -> bool {
        self.hashes.len() <= usize::from(CODES_PER_SET)
            && (1..=MAX_PASSES).contains(&self.passes)
            && (8..=MAX_MEMORY_KIB).contains(&self.memory_kib)
    }

    fn hash(&self, key: &HostKey, code: &RecoveryCode) -> Result<Hex<32>, Error> {
        let pepper = key.subkey(b"recovery codes");
        let parameters =
            Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| Error::NoMemory)?;
        // `hash_password_into` would abort the host program when memory is short; this asks first.
        let mut memory: Vec<Block> = Vec::new();
        memory.try_reserve_exact(parameters.block_count()).map_err(|_| Error::NoMemory)?;
        memory.resize(parameters.block_count(), Block::default());
        let mut hash = [0; 32];
        Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, parameters)
            .and_then(|argon2| {
                argon2.hash_password_into_with_memory(code.0.as_bytes(), &self.salt.0, &mut hash, &mut memory)
            })
            .map_err(|_| Error::NoMemory)?;
        Ok(Hex(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_a_set_is_found_and_no_other() {
        let key = HostKey::generate().unwrap();
        let (codes, set) = RecoverySet::generate(&key, 0).unwrap();
        assert_eq!(codes.len(), 10);
        for position in [0, 4, 9] {
            assert_eq!(set.position(&key, &codes[usize::from(position)]).unwrap(), Some(position));
        }
        assert_eq!(set.position(&key, &RecoveryCode::random().unwrap()).unwrap(), None);
        let other_host = HostKey::generate().unwrap();
        assert_eq!(set.position(&other_host, &codes[0]).unwrap(), None, "the hash is peppered");
        assert_eq!(RecoverySet::decoy().position(&key, &codes[0]).unwrap(), None);
    }

    #[test]
    fn a_code_is_shown_in_groups_and_read_back() {
        let code = RecoveryCode::parse("abcdefgh2345670i").unwrap();
        assert_eq!(code.expose_grouped().as_str(), "ABCD-EFGH-2345-67OI");
        assert!(RecoveryCode::parse("ABCDEFGH2345670").is_none());
        assert!(RecoveryCode::parse("ABCDEFGH2345679I").is_none());
        assert_eq!(format!("{code:?}"), "RecoveryCode([redacted])");
    }

    #[test]
    fn a_record_that_would_stall_a_login_is_not_sound() {
        let mut set = RecoverySet::decoy();
        assert!(set.is_sound());
        set.memory_kib = 4 * 1024 * 1024;
        assert!(!set.is_sound());
    }
}

//! Recovery codes: shown once, kept as memory-hard hashes, each good for one login (NIST SP 800-63B 3.1.2, 4.2.1.1).

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hex::Hex;
use crate::history::Origin;
use crate::one_line;
use crate::otp::Code;
use crate::seal::HostKey;
use crate::secret::{Secret, random_bytes};

/// How many codes a set has.
pub const CODES_PER_SET: u8 = 10;

/// The most scratch codes that pam_google_authenticator makes (`-e`).
pub const MAX_SCRATCH_CODES: usize = 10;

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

/// For a message between two processes of one host.
impl Serialize for RecoveryCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_str().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecoveryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a recovery code"))
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

/// One scratch code of pam_google_authenticator: 8 digits, good once. Wiped when dropped.
///
/// 26 bits are too few for a hash that anybody could try out. Under a key derived from the host key, which guards the seeds too, a fast
/// keyed hash is enough.
#[derive(Clone, PartialEq, Eq)]
pub struct ScratchCode(Zeroizing<String>);

/// For a message between two processes of one host.
impl Serialize for ScratchCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_str().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ScratchCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a scratch code"))
    }
}

impl ScratchCode {
    /// Reads 8 ASCII digits and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for ScratchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScratchCode([redacted])")
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
    /// HMAC-SHA-256 of each scratch code that was taken over from elsewhere, under a key derived from the host key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scratch: Vec<Hex<32>>,
}

/// Names one bypass code.
pub type BypassId = Hex<8>;

/// A code that root has issued to let a person in once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// Which code this is.
    pub id: BypassId,
    /// When it was issued, in seconds since 1970.
    pub issued_at: u64,
    /// The last second in which it is good.
    pub until: u64,
    /// Why it was issued.
    #[serde(deserialize_with = "one_line::deserialize")]
    pub reason: String,
    /// Who issued it.
    pub by: Origin,
    /// A set of one, with the salt of the account's recovery codes.
    code: RecoverySet,
}

impl Bypass {
    /// Makes a code: to show, once, and the record to keep. `beside` are the account's recovery codes, whose salt it takes so that an
    /// attempt still costs one derivation.
    ///
    /// # Errors
    /// No randomness or no memory.
    pub fn generate(
        key: &HostKey,
        beside: Option<&RecoverySet>,
        (issued_at, until): (u64, u64),
        reason: String,
        by: Origin,
    ) -> Result<(RecoveryCode, Self), Error> {
        let mut code = RecoverySet::empty(issued_at, beside)?;
        let shown = RecoveryCode::random()?;
        code.hashes.push(code.hash(key, &shown)?);
        Ok((shown, Self { id: code.id, issued_at, until, reason, by, code }))
    }
}

/// What an answer in the shape of a recovery code was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The recovery code at this place of the set.
    Code(u8),
    /// The scratch code at this place.
    Scratch(u8),
    /// The bypass code of that identifier.
    Bypass(BypassId),
}

/// OWASP's first choice for Argon2id: 19 MiB, two passes, one lane. (`cargo fuzz` alone sets `fuzzing`: it tries hundreds a second.)
const MEMORY_KIB: u32 = if cfg!(fuzzing) { 8 } else { 19_456 };
const PASSES: u32 = 2;

/// What a damaged file may ask for at the most.
const MAX_MEMORY_KIB: u32 = 65_536;
const MAX_PASSES: u32 = 10;

/// Where `code` stands among the recovery codes and the bypass code of an account: one derivation, whatever there is, then every hash is
/// compared, without an early exit.
///
/// # Errors
/// No memory, or parameters in the record that no version of this program wrote.
pub fn position(
    set: Option<&RecoverySet>,
    bypass: Option<&Bypass>,
    key: &HostKey,
    code: &RecoveryCode,
) -> Result<Option<Position>, Error> {
    let decoy = RecoverySet::decoy();
    let deriving = set.or(bypass.map(|bypass| &bypass.code)).unwrap_or(&decoy);
    let hash = deriving.hash(key, code)?;
    let in_set = set.and_then(|set| nth_equal(&set.hashes, &hash)).map(Position::Code);
    let is_bypass = bypass.filter(|bypass| nth_equal(&bypass.code.hashes, &hash).is_some());
    Ok(in_set.or(is_bypass.map(|bypass| Position::Bypass(bypass.id))))
}

/// Whether a set and a bypass code are hashed alike, so that one derivation serves both.
pub(crate) fn fit_together(set: &RecoverySet, bypass: &Bypass) -> bool {
    let like = |set: &RecoverySet| (set.salt, set.memory_kib, set.passes);
    like(set) == like(&bypass.code)
}

fn nth_equal(hashes: &[Hex<32>], hash: &Hex<32>) -> Option<u8> {
    const NOWHERE: u8 = u8::MAX;
    let mut found = NOWHERE;
    for (position, stored) in (0..NOWHERE).zip(hashes) {
        found.conditional_assign(&position, stored.0.ct_eq(&hash.0));
    }
    (found != NOWHERE).then_some(found)
}

impl Bypass {
    /// Whether its time is not over. Before its issue it is not good either: this host's clock went back.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.issued_at..=self.until).contains(&now.unix_seconds())
    }

    /// Refuses a record whose parameters would make a login slow or weak.
    pub(crate) fn is_sound(&self) -> bool {
        self.code.is_sound() && self.code.hashes.len() == 1 && self.code.scratch.is_empty()
    }
}

impl RecoverySet {
    /// Makes a new set: the codes to show, once, and the record to keep. `beside` is a bypass code that stays good, whose salt is kept.
    ///
    /// # Errors
    /// No randomness or no memory.
    pub fn generate(
        key: &HostKey,
        beside: Option<&Bypass>,
        created_at: u64,
    ) -> Result<(Vec<RecoveryCode>, Self), Error> {
        let mut set = Self::empty(created_at, beside.map(|bypass| &bypass.code))?;
        let mut codes = Vec::new();
        for _ in 0..CODES_PER_SET {
            let code = RecoveryCode::random()?;
            set.hashes.push(set.hash(key, &code)?);
            codes.push(code);
        }
        Ok((codes, set))
    }

    /// Makes a set of scratch codes that were taken over from elsewhere.
    ///
    /// # Errors
    /// No randomness.
    pub fn of_scratch_codes(
        key: &HostKey,
        beside: Option<&Bypass>,
        codes: &[ScratchCode],
        created_at: u64,
    ) -> Result<Self, Error> {
        let mut set = Self::empty(created_at, beside.map(|bypass| &bypass.code))?;
        set.scratch = codes.iter().map(|code| set.scratch_hash(key, code.0.as_bytes())).collect();
        Ok(set)
    }

    /// Hashed like `beside`, whatever version has made that: one derivation must serve both.
    fn empty(created_at: u64, beside: Option<&Self>) -> Result<Self, Error> {
        let (salt, memory_kib, passes) = match beside {
            Some(other) => (other.salt, other.memory_kib, other.passes),
            None => (Hex(random_bytes()?), MEMORY_KIB, PASSES),
        };
        Ok(Self {
            id: Hex(random_bytes()?),
            created_at,
            salt,
            memory_kib,
            passes,
            hashes: Vec::new(),
            scratch: Vec::new(),
        })
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
            scratch: Vec::new(),
        }
    }

    /// How many codes the set was made with, scratch codes included.
    pub fn len(&self) -> u8 {
        u8::try_from(self.hashes.len().saturating_add(self.scratch.len())).unwrap_or(u8::MAX)
    }

    /// Whether the set has no codes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has scratch codes of 8 digits.
    pub fn has_scratch_codes(&self) -> bool {
        !self.scratch.is_empty()
    }

    /// The position of a scratch code, given as the digits that were typed. Every hash is compared, without an early exit.
    pub fn scratch_position(&self, key: &HostKey, code: &Code) -> Option<Position> {
        let hash = self.scratch_hash(key, code.expose_text().as_bytes());
        nth_equal(&self.scratch, &hash).map(Position::Scratch)
    }

    fn scratch_hash(&self, key: &HostKey, digits: &[u8]) -> Hex<32> {
        Hex(key.tag(&[b"scratch code", &self.id.0, digits]))
    }

    /// Refuses a record whose parameters would make a login slow or weak.
    pub(crate) fn is_sound(&self) -> bool {
        self.hashes.len() <= usize::from(CODES_PER_SET)
            && self.scratch.len() <= MAX_SCRATCH_CODES
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
        let (codes, set) = RecoverySet::generate(&key, None, 0).unwrap();
        assert_eq!(codes.len(), 10);
        for place in [0, 4, 9] {
            let found = position(Some(&set), None, &key, &codes[usize::from(place)]).unwrap();
            assert_eq!(found, Some(Position::Code(place)));
        }
        let nowhere = |key: &HostKey, code: &RecoveryCode| position(Some(&set), None, key, code).unwrap();
        assert_eq!(nowhere(&key, &RecoveryCode::random().unwrap()), None);
        let other_host = HostKey::generate().unwrap();
        assert_eq!(nowhere(&other_host, &codes[0]), None, "the hash is peppered");
        assert_eq!(position(None, None, &key, &codes[0]).unwrap(), None);
    }

    #[test]
    fn a_bypass_code_shares_the_salt_of_the_recovery_codes_whichever_came_first() {
        let key = HostKey::generate().unwrap();
        let bypass = |set| Bypass::generate(&key, set, (0, 60), "lost".into(), Origin::new("root")).unwrap();
        let (codes, set) = RecoverySet::generate(&key, None, 0).unwrap();
        let (code, after) = bypass(Some(&set));
        assert!(fit_together(&set, &after) && after.is_sound());
        assert_eq!(
            position(Some(&set), Some(&after), &key, &code).unwrap(),
            Some(Position::Bypass(after.id))
        );
        assert_eq!(position(Some(&set), Some(&after), &key, &codes[3]).unwrap(), Some(Position::Code(3)));
        let (code, before) = bypass(None);
        assert_eq!(position(None, Some(&before), &key, &code).unwrap(), Some(Position::Bypass(before.id)));
        let (_, set) = RecoverySet::generate(&key, Some(&before), 0).unwrap();
        assert!(fit_together(&set, &before));
        let of_an_older_version = RecoverySet { memory_kib: 64, passes: 3, ..set.clone() };
        assert!(
            fit_together(&of_an_older_version, &bypass(Some(&of_an_older_version)).1),
            "else nobody could read it"
        );
        assert!(!fit_together(&set, &after));
    }

    #[test]
    fn a_scratch_code_is_found_by_its_digits() {
        let key = HostKey::generate().unwrap();
        let codes = ["12345678", "00000001"].map(|text| ScratchCode::parse(text).unwrap());
        let set = RecoverySet::of_scratch_codes(&key, None, &codes, 0).unwrap();
        let find = |digits: &[u8]| set.scratch_position(&key, &Code::from_digits(digits).unwrap());
        assert_eq!(find(b"12345678"), Some(Position::Scratch(0)));
        assert_eq!(find(b"00000001"), Some(Position::Scratch(1)));
        assert_eq!((find(b"12345679"), find(b"0000001")), (None, None));
        assert!(ScratchCode::parse("1234567").is_none() && ScratchCode::parse("1234567a").is_none());
    }

    #[test]
    fn a_code_has_eighty_random_bits() {
        let codes: Vec<Secret> = (0..256)
            .map(|_| Secret::from_base32(RecoveryCode::random().unwrap().0.as_str()).unwrap())
            .collect();
        for bit in 0..80 {
            let ones = codes.iter().filter(|code| code.expose()[bit / 8] >> (bit % 8) & 1 == 1).count();
            // Nine standard deviations from the middle: chance does not get there.
            assert!((56..=200).contains(&ones), "bit {bit}: {ones} of 256");
        }
        assert!(codes.iter().all(|code| code.len() == 10));
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

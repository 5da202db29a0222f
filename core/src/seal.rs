//! Encryption at rest: seeds are sealed under the host key (RFC 6238 5.1: "keys SHOULD be protected against unauthorized access").

use std::fmt;

use base32::Alphabet::Rfc4648Lower;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::error::Error;
use crate::secret::{Secret, random_bytes};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// What the key file starts with; the key follows as base32.
const KEY_PREFIX: &str = "pam-mfa-key-1:";

/// The largest key file that is read, in bytes.
pub(crate) const MAX_KEY_FILE_BYTES: u64 = 128;

/// The key of one store. Whoever has it and the store has every seed, so it lies apart from the store, in `/etc/pam-mfa/key`.
#[derive(Clone, Debug)]
pub struct HostKey(Secret);

impl HostKey {
    /// A new key from the kernel's generator.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(Secret::random(KEY_BYTES)?))
    }

    /// Reads the text of a key file; None if it is not one.
    pub fn from_text(text: &str) -> Option<Self> {
        let secret = Secret::from_base32(text.strip_prefix(KEY_PREFIX)?.strip_suffix('\n')?)?;
        (secret.len() == KEY_BYTES).then_some(Self(secret))
    }

    /// The text of a key file.
    pub fn expose_text(&self) -> zeroize::Zeroizing<String> {
        let mut text = zeroize::Zeroizing::new(String::with_capacity(128));
        text.push_str(KEY_PREFIX);
        text.push_str(&self.0.to_base32());
        text.push('\n');
        text
    }

    /// A key for one purpose: HMAC-SHA-256 of the purpose under the host key.
    pub fn subkey(&self, purpose: &[u8]) -> Secret {
        Secret::new(self.tag(&[purpose]).to_vec())
    }

    /// The first 8 bytes of [`Self::tag`]: a name for something that must not be told from it.
    pub(crate) fn short_tag(&self, parts: &[&[u8]]) -> [u8; 8] {
        let tag = self.tag(parts);
        std::array::from_fn(|at| tag.get(at).copied().unwrap_or_default())
    }

    /// HMAC-SHA-256 over `parts`, each preceded by its length, under the host key.
    #[expect(clippy::expect_used, reason = "HMAC takes any key length (RFC 2104 section 3)")]
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes any key length");
        for part in parts {
            mac.update(&length_prefix(part));
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// What a sealed seed belongs to. The seal opens only for the same user, device and parameters.
pub struct Binding(Vec<u8>);

impl Binding {
    /// Binds to `parts`, in order; lengths are included, so no two lists give the same binding.
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&length_prefix(part));
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }
}

fn length_prefix(part: &[u8]) -> [u8; 4] {
    // Every part is a name, an identifier or a parameter; none is near 4 GiB.
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// A seed under XChaCha20-Poly1305: a nonce of 24 bytes, the ciphertext, a tag of 16 bytes. Lower-case base32 in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Seals `seed` under `key` for `binding`.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn seal(key: &HostKey, binding: &Binding, seed: &Secret) -> Result<Self, Error> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let mut bytes = Vec::with_capacity(seed.len().saturating_add(NONCE_BYTES + TAG_BYTES));
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(seed.expose());
        let (_, text) = bytes.split_at_mut(NONCE_BYTES);
        let tag = cipher(key)
            .encrypt_inout_detached(&XNonce::from(nonce), &binding.0, text.into())
            .map_err(|_| Error::SeedDoesNotOpen)?;
        bytes.extend_from_slice(&tag);
        Ok(Self(bytes))
    }

    /// Opens the seal.
    ///
    /// # Errors
    /// [`Error::SeedDoesNotOpen`]: another key, another binding, or damaged bytes; which one can't be told.
    pub fn open(&self, key: &HostKey, binding: &Binding) -> Result<Secret, Error> {
        let (nonce, rest) = self.0.split_first_chunk::<NONCE_BYTES>().ok_or(Error::SeedDoesNotOpen)?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Error::SeedDoesNotOpen)?;
        // The plaintext appears inside this buffer, which wipes itself also when the tag is wrong.
        let mut text = zeroize::Zeroizing::new(text.to_vec());
        cipher(key)
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &binding.0,
                text.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| Error::SeedDoesNotOpen)?;
        Ok(Secret::new(std::mem::take(&mut *text)))
    }
}

#[expect(clippy::expect_used, reason = "a subkey has 32 bytes, as the cipher wants")]
fn cipher(key: &HostKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new_from_slice(key.subkey(b"seeds").expose()).expect("a subkey has 32 bytes")
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base32::encode(Rfc4648Lower { padding: false }, &self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        base32::decode(Rfc4648Lower { padding: false }, &text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not lower-case base32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(user: &str) -> Binding {
        Binding::new(&[user.as_bytes(), b"device"])
    }

    #[test]
    fn a_sealed_seed_opens_for_the_same_user_and_key_alone() {
        let (key, seed) = (HostKey::generate().unwrap(), Secret::random(20).unwrap());
        let sealed = Sealed::seal(&key, &binding("alice"), &seed).unwrap();
        assert_eq!(sealed.open(&key, &binding("alice")).unwrap(), seed);
        assert!(sealed.open(&key, &binding("bob")).is_err());
        assert!(sealed.open(&HostKey::generate().unwrap(), &binding("alice")).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let key = HostKey::generate().unwrap();
        let sealed = Sealed::seal(&key, &binding("alice"), &Secret::random(20).unwrap()).unwrap();
        for position in 0..sealed.0.len() {
            let mut damaged = sealed.clone();
            damaged.0[position] ^= 1;
            assert!(damaged.open(&key, &binding("alice")).is_err(), "byte {position}");
            let cut = Sealed(sealed.0[..position].to_vec());
            assert!(cut.open(&key, &binding("alice")).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn bindings_do_not_run_into_each_other() {
        assert_ne!(Binding::new(&[b"ab", b"c"]).0, Binding::new(&[b"a", b"bc"]).0);
    }

    #[test]
    fn a_key_file_is_read_back_and_nothing_else_is_taken_for_one() {
        let key = HostKey::generate().unwrap();
        let text = key.expose_text();
        assert_eq!(HostKey::from_text(&text).unwrap().0, key.0);
        for bad in
            ["", "pam-mfa-key-1:\n", "pam-mfa-key-1:AAAA\n", text.trim_end(), &text.replace("-1:", "-2:")]
        {
            assert!(HostKey::from_text(bad).is_none());
        }
    }
}

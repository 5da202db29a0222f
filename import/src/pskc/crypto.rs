//! The encryption of a container: RFC 6030 section 6.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Iso10126;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mfa_core::Secret;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::pskc::{Parts, Protection, Strangers, Unlock, known_name};
use crate::seed_text::base64_bytes;
use crate::token::printable_name;
use crate::xml::{Element, Namespace, Parsed};

/// The most rounds of PBKDF2 that a file may ask for: some seconds of work.
const MAX_ITERATIONS: u32 = 10_000_000;

/// What the head of a container says about its encryption.
pub(super) struct Encryption {
    source: KeySource,
    mac: Option<MacMethod>,
    line: u64,
}

enum KeySource {
    PreShared { name: Option<String> },
    Password { name: Option<String>, derivation: Derivation },
}

struct Derivation {
    hash: Hash,
    salt: Vec<u8>,
    iterations: u32,
    key_bytes: usize,
}

struct MacMethod {
    hash: Hash,
    key: Ciphertext,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Encryption {
    /// Reads `EncryptionKey` and `MACMethod`; none if the container has neither.
    pub(super) fn read(
        encryption_key: Option<&Element>,
        mac_method: Option<&Element>,
    ) -> Parsed<Option<Self>> {
        match (encryption_key, mac_method) {
            (None, None) => Ok(None),
            (None, Some(method)) => Err(method.fault("there is a MACMethod and no EncryptionKey")),
            (Some(key), method) => {
                let mac = method.map(MacMethod::read).transpose()?;
                Ok(Some(Self { source: KeySource::read(key)?, mac, line: key.line }))
            }
        }
    }

    pub(super) fn protection(&self) -> Protection {
        match &self.source {
            KeySource::PreShared { name } => Protection::PreSharedKey { name: name.clone() },
            KeySource::Password { name, .. } => Protection::Password { name: name.clone() },
        }
    }

    /// The keys that open the values of this container.
    pub(super) fn keys(&self, unlock: &Unlock) -> Parsed<Keys> {
        let fault = |text: &str| crate::xml::Fault { line: self.line, text: text.to_owned() };
        let key = match (&self.source, unlock) {
            (KeySource::PreShared { .. }, Unlock::PreSharedKey(key)) => match key.len() {
                16 | 24 | 32 => key.clone(),
                _ => return Err(fault("a pre-shared key has 16, 24 or 32 bytes: the given one has not")),
            },
            (KeySource::Password { derivation, .. }, Unlock::Password(password)) => derivation.key(password),
            (KeySource::PreShared { .. }, Unlock::Nothing | Unlock::Password(_)) => {
                return Err(fault(
                    "the keys are encrypted under a pre-shared key: it is needed to read them",
                ));
            }
            (KeySource::Password { .. }, Unlock::Nothing | Unlock::PreSharedKey(_)) => {
                return Err(fault("the keys are encrypted under a password: it is needed to read them"));
            }
        };
        let mac = match &self.mac {
            Some(MacMethod { hash, key: wrapped }) => {
                // Nothing protects the MAC key itself: under a wrong key it comes out wrong, and then no MAC fits.
                let opened = wrapped.decrypt(&key).ok_or_else(|| fault(WRONG_KEY))?;
                Some((*hash, opened))
            }
            None => None,
        };
        Ok(Keys { key, mac })
    }
}

const WRONG_KEY: &str = "the key or password is not the right one, or the file was altered";

impl KeySource {
    fn read(encryption_key: &Element) -> Parsed<Self> {
        let [source] = encryption_key.children.as_slice() else {
            return Err(encryption_key.fault("EncryptionKey must name exactly one key"));
        };
        match (source.namespace, source.name.as_str()) {
            (Namespace::Signature, "KeyName") => Ok(Self::PreShared { name: printable_name(&source.text) }),
            (Namespace::Encryption11 | Namespace::Pskc, "DerivedKey") => Self::read_derived(source),
            (Namespace::Signature, "X509Data") => Err(source.fault(
                "the keys are encrypted for an X.509 certificate, which is not supported: ask the vendor for a password or a pre-shared key",
            )),
            _ => Err(source.fault(
                "the keys are encrypted in a way that is not supported: ask the vendor for a password or a pre-shared key",
            )),
        }
    }

    fn read_derived(derived: &Element) -> Parsed<Self> {
        let name = child_named(derived, "MasterKeyName")?.and_then(|name| printable_name(&name.text));
        let method = need_child(derived, "KeyDerivationMethod")?;
        let uri = method.attribute("Algorithm").unwrap_or_default();
        if !matches!(
            uri,
            "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2"
                | "http://www.w3.org/2009/xmlenc11#pbkdf2"
        ) {
            return Err(
                method.fault(format!("the key derivation {} is not supported, only PBKDF2", known_name(uri)))
            );
        }
        Ok(Self::Password { name, derivation: Derivation::read(need_child(method, "PBKDF2-params")?)? })
    }
}

impl Derivation {
    /// RFC 6030 6.2. The name spaces of these elements differ between the RFC's own figure and most files: only the names count.
    fn read(parameters: &Element) -> Parsed<Self> {
        let salt = need_child(need_child(parameters, "Salt")?, "Specified")?;
        let bytes = base64_bytes(&salt.text).filter(|bytes| (1..=1024).contains(&bytes.len()));
        let iterations = need_child(parameters, "IterationCount")?;
        let key_length = need_child(parameters, "KeyLength")?;
        // PKCS #5 A.2: HMAC-SHA-1 is the default.
        let hash = child_named(parameters, "PRF")?.map_or(Ok(Hash::Sha1), Hash::of_prf)?;
        Ok(Self {
            hash,
            salt: bytes.ok_or_else(|| salt.fault("the salt is not base64 of 1 to 1024 bytes"))?,
            iterations: number(iterations)
                .filter(|count| (1..=MAX_ITERATIONS).contains(count))
                .ok_or_else(|| iterations.fault(format!("IterationCount must be 1 to {MAX_ITERATIONS}")))?,
            key_bytes: match number(key_length) {
                Some(16) => 16,
                Some(24) => 24,
                Some(32) => 32,
                _ => return Err(key_length.fault("KeyLength must be 16, 24 or 32")),
            },
        })
    }

    fn key(&self, password: &str) -> Secret {
        let mut key = Zeroizing::new([0; 32]);
        let (key, _) = key.split_at_mut(self.key_bytes);
        match self.hash {
            Hash::Sha1 => pbkdf2_hmac::<Sha1>(password.as_bytes(), &self.salt, self.iterations, key),
            Hash::Sha256 => pbkdf2_hmac::<Sha256>(password.as_bytes(), &self.salt, self.iterations, key),
            Hash::Sha512 => pbkdf2_hmac::<Sha512>(password.as_bytes(), &self.salt, self.iterations, key),
        }
        Secret::new(key.to_vec())
    }
}

impl MacMethod {
    fn read(method: &Element) -> Parsed<Self> {
        let uri = method.attribute("Algorithm").unwrap_or_default();
        let hash = Hash::of_hmac(uri)
            .ok_or_else(|| method.fault(format!("the MAC algorithm {} is not supported", known_name(uri))))?;
        let parts = Parts::of(method, &["MACKey", "MACKeyReference"], Strangers::Refused)?;
        let key = parts.get("MACKey").ok_or_else(|| {
            method.fault("MACMethod has no MACKey; another key for the MAC than its own is not supported")
        })?;
        Ok(Self { hash, key: Ciphertext::read(key)? })
    }
}

impl Hash {
    fn of_hmac(uri: &str) -> Option<Self> {
        match uri {
            "http://www.w3.org/2000/09/xmldsig#hmac-sha1" => Some(Self::Sha1),
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" => Some(Self::Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The schema has the algorithm as an attribute, python-pskc as text; the RFC's figure has neither.
    fn of_prf(prf: &Element) -> Parsed<Self> {
        let uri = match (prf.attribute("Algorithm"), prf.text.trim()) {
            (None, "") => return Ok(Self::Sha1),
            (Some(uri), "") | (None, uri) => uri,
            (Some(_), _) => return Err(prf.fault("PRF has an Algorithm as well as text")),
        };
        Self::of_hmac(uri).ok_or_else(|| {
            prf.fault(format!("the pseudo-random function {} is not supported", known_name(uri)))
        })
    }

    /// Whether `tag` is the HMAC over `message`, compared in constant time and at its full length.
    fn verifies(self, key: &[u8], message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha1 => Hmac::<Sha1>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok()),
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok()),
            Self::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok()),
        }
    }
}

/// The keys of a container, in the clear.
pub(super) struct Keys {
    key: Secret,
    mac: Option<(Hash, Secret)>,
}

impl Keys {
    /// The plain bytes of an `EncryptedValue`, if its `ValueMAC` is right.
    ///
    /// The MAC covers the initialisation vector and the ciphertext, and is checked before anything is decrypted (RFC 6030 6.1.1).
    pub(super) fn open(&self, encrypted: &Element, value_mac: Option<&Element>) -> Parsed<Secret> {
        let Some((hash, mac_key)) = &self.mac else {
            return Err(
                encrypted.fault("an encrypted value needs a MACMethod in the container (RFC 6030 6.1.1)")
            );
        };
        let Some(value_mac) = value_mac else {
            return Err(encrypted.fault("an encrypted value needs a ValueMAC (RFC 6030 6.1.1)"));
        };
        let ciphertext = Ciphertext::read(encrypted)?;
        let tag = base64_bytes(&value_mac.text).ok_or_else(|| value_mac.fault("ValueMAC is not base64"))?;
        if !hash.verifies(mac_key.expose(), &ciphertext.bytes, &tag) {
            return Err(value_mac.fault(format!("ValueMAC does not fit: {WRONG_KEY}")));
        }
        ciphertext.decrypt(&self.key).ok_or_else(|| encrypted.fault(WRONG_KEY))
    }
}

/// The initialisation vector and what follows it.
struct Ciphertext {
    cipher: Cipher,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
}

impl Ciphertext {
    /// Reads an XML Encryption `EncryptedData` by whatever name.
    fn read(encrypted: &Element) -> Parsed<Self> {
        let method = need_child(encrypted, "EncryptionMethod")?;
        let uri = method.attribute("Algorithm").unwrap_or_default();
        let cipher = match uri {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => Cipher::Aes128,
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => Cipher::Aes192,
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => Cipher::Aes256,
            _ => {
                return Err(method.fault(format!(
                    "the encryption {} is not supported, only AES-128, AES-192 and AES-256 in CBC mode",
                    known_name(uri)
                )));
            }
        };
        let value = need_child(need_child(encrypted, "CipherData")?, "CipherValue")?;
        let bytes =
            base64_bytes(&value.text).filter(|bytes| bytes.len() >= 32 && bytes.len().is_multiple_of(16));
        let bytes = bytes.ok_or_else(|| {
            value.fault("CipherValue is not base64 of a vector and at least one block of 16 bytes")
        })?;
        Ok(Self { cipher, bytes })
    }

    /// None if the key has another length than the cipher wants, or the padding is not one.
    fn decrypt(&self, key: &Secret) -> Option<Secret> {
        let (vector, blocks) = self.bytes.split_at_checked(16)?;
        let mut plain = Zeroizing::new(blocks.to_vec());
        let key = key.expose();
        // XML Encryption 5.2: only the last byte of the padding means something. The PKCS #5 padding of RFC 6030 is a case of it.
        let opened = match self.cipher {
            Cipher::Aes128 => cbc::Decryptor::<Aes128>::new_from_slices(key, vector)
                .ok()?
                .decrypt_padded::<Iso10126>(&mut plain),
            Cipher::Aes192 => cbc::Decryptor::<Aes192>::new_from_slices(key, vector)
                .ok()?
                .decrypt_padded::<Iso10126>(&mut plain),
            Cipher::Aes256 => cbc::Decryptor::<Aes256>::new_from_slices(key, vector)
                .ok()?
                .decrypt_padded::<Iso10126>(&mut plain),
        };
        opened.ok().map(|bytes| Secret::new(bytes.to_vec()))
    }
}

/// The one child of this name, in whatever name space.
fn child_named<'e>(element: &'e Element, name: &str) -> Parsed<Option<&'e Element>> {
    let mut found = element.children.iter().filter(|child| child.name == name);
    let first = found.next();
    match found.next() {
        Some(second) => Err(second.fault(format!("{} holds a second {name}", element.name))),
        None => Ok(first),
    }
}

fn need_child<'e>(element: &'e Element, name: &str) -> Parsed<&'e Element> {
    child_named(element, name)?.ok_or_else(|| element.fault(format!("{} has no {name}", element.name)))
}

fn number(element: &Element) -> Option<u32> {
    let digits = element.text.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

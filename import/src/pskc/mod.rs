//! PSKC, the Portable Symmetric Key Container of RFC 6030: what vendors ship with hardware tokens.
//!
//! Read are HOTP and TOTP keys, plain, or encrypted with AES-CBC under a pre-shared key or a password (PBKDF2) and authenticated by an
//! HMAC, which is checked before anything is decrypted. Everything else is refused by its name.

mod crypto;
mod package;

use std::fmt;

use mfa_core::Secret;
use zeroize::Zeroizing;

use crate::pskc::crypto::Encryption;
use crate::token::{Harvest, Place, Problem, Token};
use crate::xml::{Document, Element, Fault, Namespace, Parsed};

/// The largest file that is read: 100,000 encrypted packages, generously laid out, need about 160 MB.
pub const MAX_FILE_BYTES: usize = 192_000_000;

/// A container whose head has been read, so that its keys can be asked for before the rest is.
pub struct Container<'a> {
    document: Document<'a>,
    encryption: Option<Encryption>,
    first_package: Option<Element>,
}

impl<'a> Container<'a> {
    /// Reads up to the first key package.
    ///
    /// # Errors
    /// This is no container of RFC 6030, or needs something that is not supported; the problem names it.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Vec<Problem>> {
        let text = utf8_text(bytes).map_err(|problem| vec![problem])?;
        Self::read_head(text).map_err(|fault| vec![problem_of_line(fault)])
    }

    fn read_head(text: &'a str) -> Parsed<Self> {
        let mut document = Document::open(text)?;
        check_root(document.root())?;
        let mut encryption_key = None;
        let mut mac_method = None;
        let first_package = loop {
            let Some(child) = document.next_child()? else { break None };
            let slot = match (child.namespace, child.name.as_str()) {
                (Namespace::Pskc, "EncryptionKey") => &mut encryption_key,
                (Namespace::Pskc, "MACMethod") => &mut mac_method,
                _ => break Some(child),
            };
            if slot.is_some() {
                return Err(child.fault(format!("there is a second {}", child.name)));
            }
            *slot = Some(child);
        };
        let encryption = Encryption::read(encryption_key.as_ref(), mac_method.as_ref())?;
        Ok(Self { document, encryption, first_package })
    }

    /// What the keys of this container are protected with.
    pub fn protection(&self) -> Protection {
        self.encryption.as_ref().map_or(Protection::Nothing, Encryption::protection)
    }

    /// All tokens of the container.
    ///
    /// # Errors
    /// Everything that is wrong, at most one problem for each package; or the key or password is missing or not the right one.
    pub fn tokens(mut self, unlock: &Unlock) -> Result<Vec<Token>, Vec<Problem>> {
        let keys = match (&self.encryption, unlock) {
            (Some(encryption), _) => {
                Some(encryption.keys(unlock).map_err(|fault| vec![problem_of_line(fault)])?)
            }
            (None, Unlock::Nothing) => None,
            // Whoever was sent a key expects a file that nobody else could write.
            (None, Unlock::PreSharedKey(_) | Unlock::Password(_)) => {
                return Err(vec![Problem::of_file(
                    "a key or password was given, but the file is not encrypted",
                )]);
            }
        };
        let mut harvest = Harvest::default();
        let mut number: u64 = 0;
        let mut next = self.first_package.take();
        while let Some(child) = next {
            if child.is(Namespace::Pskc, "KeyPackage") {
                number = number.saturating_add(1);
                let place = Place::Package { number, line: child.line };
                harvest.add(
                    package::token(&child, place, keys.as_ref())
                        .map_err(|Fault { line, text }| Problem::new(Place::Package { number, line }, text)),
                );
            } else if let Err(fault) = check_stranger(&child) {
                harvest.report(problem_of_line(fault));
            }
            if harvest.is_hopeless() {
                break;
            }
            next = match self.document.next_child() {
                Ok(child) => child,
                Err(fault) => {
                    harvest.report(problem_of_line(fault));
                    break;
                }
            };
        }
        harvest.finish()
    }
}

/// What a container's keys are protected with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: whoever has the file has the tokens.
    Nothing,
    /// A key that the vendor sent by another way.
    PreSharedKey {
        /// The vendor's name for the key, if it has one.
        name: Option<String>,
    },
    /// A password that the vendor sent by another way.
    Password {
        /// The vendor's name for the password, if it has one.
        name: Option<String>,
    },
}

/// What opens a container.
pub enum Unlock {
    /// Nothing is known.
    Nothing,
    /// The pre-shared key, 16, 24 or 32 bytes.
    PreSharedKey(Secret),
    /// The password.
    Password(Zeroizing<String>),
}

impl Unlock {
    /// A pre-shared key in hexadecimal, with blanks anywhere. Its length is checked against the file's cipher.
    pub fn key_of_hex(text: &str) -> Option<Self> {
        let mut digits = Zeroizing::new(String::with_capacity(text.len()));
        digits.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
        crate::seed_text::hex(&digits).ok().map(Self::PreSharedKey)
    }
}

/// Says which kind it is, never what.
impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::PreSharedKey(_) => "PreSharedKey([redacted])",
            Self::Password(_) => "Password([redacted])",
        })
    }
}

fn utf8_text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Problem::of_file(format!("it has more than {MAX_FILE_BYTES} bytes: split it")));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Problem::of_file("it is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|_| Problem::of_file("it is not UTF-8"))
}

/// RFC 6030 4: the element, its name space and its version.
fn check_root(root: &Element) -> Parsed<()> {
    if !root.is(Namespace::Pskc, "KeyContainer") {
        return Err(root.fault(match (root.namespace, root.name.as_str()) {
            (_, "KeyContainer" | "SecretContainer") => {
                "this is a draft of PSKC (another name space than urn:ietf:params:xml:ns:keyprov:pskc): ask the vendor for RFC 6030"
            }
            (_, "Tokens") => "this is a SafeNet (Aladdin) token file, which is not supported: ask the vendor for PSKC (RFC 6030)",
            (_, "TKNBody" | "SigEnvelope" | "TKNRoot") => "this is an RSA SecurID file: its tokens are neither HOTP nor TOTP",
            _ => "this is not a PSKC file: its first element is no KeyContainer of RFC 6030",
        }));
    }
    let version = root.attribute("Version").ok_or_else(|| root.fault("KeyContainer has no Version"))?;
    let is_number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match version.split_once('.') {
        Some(("1" | "01", minor)) if is_number(minor, 3) => Ok(()),
        Some((major, minor)) if is_number(major, 2) && is_number(minor, 3) => {
            Err(root.fault("the Version of this container is not 1.x"))
        }
        _ => Err(root.fault("the Version of this container is not a number like 1.0")),
    }
}

/// What may stand among the packages besides them.
fn check_stranger(child: &Element) -> Parsed<()> {
    match (child.namespace, child.name.as_str()) {
        // RFC 6030 4.1: a reader ignores the extensions that it does not know.
        (Namespace::Pskc, "Extensions") => Ok(()),
        (_, "Signature") => Err(child.fault(
            "the container is signed (XML Signature, X.509), which is not supported: verify the signature with another program, \
             then import the file without it",
        )),
        (Namespace::Pskc, "EncryptionKey" | "MACMethod") => {
            Err(child.fault(format!("{} stands behind a key package", child.name)))
        }
        _ => Err(child.fault("KeyContainer holds an element that RFC 6030 does not know")),
    }
}

fn problem_of_line(Fault { line, text }: Fault) -> Problem {
    Problem::new(Place::Line(line), text)
}

/// The name of an algorithm that is known and not supported, for a message. Anything else could be a secret in the wrong place.
fn known_name(uri: &str) -> &'static str {
    const NAMES: [&str; 22] = [
        "tripledes-cbc",
        "camellia128-cbc",
        "camellia192-cbc",
        "camellia256-cbc",
        "aes128-gcm",
        "aes192-gcm",
        "aes256-gcm",
        "kw-aes128",
        "kw-aes192",
        "kw-aes256",
        "kw-tripledes",
        "kw-camellia128",
        "kw-camellia192",
        "kw-camellia256",
        "rsa-1_5",
        "rsa_1_5",
        "rsa-oaep-mgf1p",
        "hmac-md5",
        "hmac-sha224",
        "hmac-sha384",
        "ConcatKDF",
        "scrypt",
    ];
    let name = uri.rsplit_once('#').map_or(uri, |(_, name)| name);
    NAMES.into_iter().find(|known| *known == name).unwrap_or("that it names")
}

/// The children of an element that the PSKC schema allows, each at most once.
struct Parts<'e> {
    of: &'e Element,
    found: Vec<&'e Element>,
}

/// What to do with children from other name spaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strangers {
    /// They only describe.
    Ignored,
    /// They could change what the key is or how it is used.
    Refused,
}

impl<'e> Parts<'e> {
    fn of(element: &'e Element, known: &[&str], strangers: Strangers) -> Parsed<Self> {
        let mut parts = Self { of: element, found: Vec::new() };
        if !element.text.trim().is_empty() {
            return Err(element.fault(format!("{} holds text where elements should be", element.name)));
        }
        for child in &element.children {
            let extension = child.is(Namespace::Pskc, "Extensions") || child.namespace != Namespace::Pskc;
            if extension && strangers == Strangers::Ignored {
                continue;
            }
            if extension || !known.contains(&child.name.as_str()) {
                let text = format!("{} holds an element that RFC 6030 does not know there", element.name);
                return Err(child.fault(text));
            }
            if parts.get(&child.name).is_some() {
                return Err(child.fault(format!("{} holds a second {}", element.name, child.name)));
            }
            parts.found.push(child);
        }
        Ok(parts)
    }

    fn get(&self, name: &str) -> Option<&'e Element> {
        self.found.iter().copied().find(|child| child.name == name)
    }

    fn need(&self, name: &str) -> Parsed<&'e Element> {
        self.get(name).ok_or_else(|| self.of.fault(format!("{} has no {name}", self.of.name)))
    }
}

#[cfg(test)]
mod tests;

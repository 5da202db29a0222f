//! An account on its way to another host: the devices as JSON, encrypted in the age format (age-encryption.org/v1).

use std::io::Write as _;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient};
use mfa_core::request::ForeignDevice;
use mfa_core::{Timestamp, UserName};
use mfa_import::source::read_capped;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The largest file that is read: eight devices need a hundredth of it.
pub(crate) const MAX_FILE_BYTES: usize = 256 * 1024;

/// What stands at the head of every body that this version writes and reads.
const FORMAT: &str = "pam-mfa account 1";

/// What is inside.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountFile {
    format: String,
    /// Whose the devices are on the host that wrote it.
    pub(crate) user: UserName,
    /// That host, for people to know it by.
    pub(crate) host: String,
    /// When, in seconds since 1970.
    pub(crate) exported_at: u64,
    /// The devices with their seeds, and with what was used of each.
    pub(crate) devices: Vec<ForeignDevice>,
}

/// Text or bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Bytes,
}

impl AccountFile {
    pub(crate) fn new(user: &UserName, host: String, now: Timestamp, devices: Vec<ForeignDevice>) -> Self {
        Self { format: FORMAT.to_owned(), user: user.clone(), host, exported_at: now.unix_seconds(), devices }
    }

    /// Encrypts it.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn encrypt<'r>(
        &self,
        recipients: impl Iterator<Item = &'r dyn Recipient>,
        form: Form,
    ) -> Result<Vec<u8>, String> {
        // Room for all of it: a vector that grows leaves copies of the seeds behind.
        let mut body = Zeroizing::new(Vec::with_capacity(64 * 1024));
        serde_json::to_writer(&mut *body, self).map_err(|error| error.to_string())?;
        let encryptor = Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?;
        let mut encrypted = Vec::new();
        let seal = |encrypted: &mut Vec<u8>| -> std::io::Result<()> {
            let format = if form == Form::Text { Format::AsciiArmor } else { Format::Binary };
            let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(encrypted, format)?)?;
            writer.write_all(&body)?;
            writer.finish()?.finish()?;
            Ok(())
        };
        seal(&mut encrypted).map_err(|error| error.to_string())?;
        Ok(encrypted)
    }

    /// Whether it is a passphrase that opens such a file.
    ///
    /// # Errors
    /// It is no such file.
    pub(crate) fn needs_passphrase(bytes: &[u8]) -> Result<bool, Unreadable> {
        Decryptor::new(ArmoredReader::new(bytes)).map(|file| file.is_scrypt()).map_err(Unreadable::of)
    }

    /// Decrypts it, with whatever `identities` gives for what it is encrypted to.
    ///
    /// # Errors
    /// Nothing in it was used.
    pub(crate) fn decrypt(bytes: &[u8], key: &Key) -> Result<Self, Unreadable> {
        let decryptor = Decryptor::new(ArmoredReader::new(bytes)).map_err(Unreadable::of)?;
        if decryptor.is_scrypt() != matches!(key, Key::Passphrase(_)) {
            return Err(if decryptor.is_scrypt() {
                Unreadable::NeedsPassphrase
            } else {
                Unreadable::NeedsIdentity
            });
        }
        let passphrase;
        let identities: Vec<&dyn Identity> = match key {
            Key::Identities(identities) => identities.iter().map(|identity| &**identity).collect(),
            Key::Passphrase(text) => {
                passphrase = age::scrypt::Identity::new(SecretString::from(text.as_str().to_owned()));
                vec![&passphrase]
            }
        };
        let reader = decryptor.decrypt(identities.into_iter()).map_err(Unreadable::of)?;
        let body =
            read_capped(reader, MAX_FILE_BYTES).map_err(|error| Unreadable::Damaged(error.to_string()))?;
        // The messages of the parser may quote what they found.
        let damaged = |_| Unreadable::Damaged("what is inside is not what this program writes".to_owned());
        let version: Version = serde_json::from_slice(&body).map_err(damaged)?;
        if version.format != FORMAT {
            return Err(Unreadable::Damaged("it was written by another version of this program".to_owned()));
        }
        serde_json::from_slice(&body).map_err(damaged)
    }
}

/// The head of every version's body.
#[derive(Deserialize)]
struct Version {
    format: String,
}

/// What opens a file.
pub(crate) enum Key {
    Identities(Vec<Box<dyn Identity>>),
    Passphrase(Zeroizing<String>),
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is encrypted with a passphrase.
    NeedsPassphrase,
    /// It is encrypted to recipients.
    NeedsIdentity,
    /// The passphrase or identity is another one.
    WrongKey,
    /// It is no such file, or not as it was written.
    Damaged(String),
}

impl Unreadable {
    fn of(error: DecryptError) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the crate may add reasons; they are told as they are"
        )]
        match error {
            DecryptError::DecryptionFailed
            | DecryptError::KeyDecryptionFailed
            | DecryptError::NoMatchingKeys => Self::WrongKey,
            other => Self::Damaged(other.to_string()),
        }
    }
}

//! What can go wrong with a request. A wrong code is no error: that is a `Verdict`.

use std::path::PathBuf;
use std::{fmt, io};

use crate::devices::Serial;
use crate::secret::NoRandomness;
use crate::user_name::UserName;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request could not be answered. The text is for an administrator or a log, never for a login prompt.
#[derive(Debug)]
pub enum Error {
    /// The account has no device.
    NotEnrolled,
    /// There is no store at this path, or no key for it.
    NoStore {
        /// The missing file or folder.
        path: PathBuf,
    },
    /// There are enrolled accounts but the key that opens them is missing; a new one would make every seed unreadable.
    KeyLost {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// Somebody else could have written or can read this file.
    Untrusted {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what it should be.
        why: &'static str,
    },
    /// A file does not hold what this program writes.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A seal did not open: another key, another account's record, or damaged bytes.
    SeedDoesNotOpen,
    /// Another process held the account's lock for too long.
    Busy {
        /// The locked folder.
        path: PathBuf,
    },
    /// The store is on a read-only file system and this request has to outlive a reboot.
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The kernel gave no random bytes.
    NoRandomness,
    /// Not enough memory for a recovery code's hash.
    NoMemory,
    /// policy.toml can't be understood.
    BadPolicy {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        why: String,
    },
    /// The account has as many devices as it may have.
    TooManyDevices,
    /// The account has a device of that name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// The account has no device of that name.
    NoSuchDevice {
        /// The name.
        name: String,
    },
    /// The enrollment was cancelled, confirmed or replaced by another one, or is too old.
    NoSuchEnrollment,
    /// The caller may not ask this about that account.
    NotAllowed,
    /// The account has no device yet, and its password must be checked before it gets one.
    PasswordNeeded,
    /// A change of devices needs a current code of one of them, or a recovery code.
    CodeNeeded,
    /// Another account, or another device of this one, has this seed (RFC 6238 R5: each prover has its own key).
    SeedInUse {
        /// Whose device it is.
        user: UserName,
    },
    /// Another device has this serial number.
    SerialInUse {
        /// Whose device it is.
        user: UserName,
    },
    /// No token of that number waits for this account to prove it.
    NoSuchToken {
        /// The number on the token.
        serial: Serial,
    },
    /// No bypass code is waiting.
    NoBypass,
    /// A part of the request is not as it must be; the text says what it must be.
    BadRequest(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnrolled => f.write_str("the account has no device"),
            Self::NoStore { path } => write!(f, "{} does not exist: nobody is enrolled yet", path.display()),
            Self::KeyLost { path } => {
                write!(
                    f,
                    "{} is missing, and accounts are enrolled under it: restore it from a backup",
                    path.display()
                )
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Untrusted { path, why } => write!(f, "{} {why}", path.display()),
            Self::Corrupt { path, why } => write!(f, "{} is damaged: {why}", path.display()),
            Self::SeedDoesNotOpen => f.write_str(
                "a seed does not open: it was sealed under another key or for another account, or is damaged",
            ),
            Self::Busy { path } => write!(f, "{} is locked by another process", path.display()),
            Self::ReadOnly { path } => write!(f, "{} is on a read-only file system", path.display()),
            Self::NoRandomness => NoRandomness.fmt(f),
            Self::NoMemory => f.write_str("not enough memory"),
            Self::BadPolicy { path, why } => write!(f, "{}: {why}", path.display()),
            Self::TooManyDevices => f.write_str("the account has 8 devices already"),
            Self::NameTaken { name } => write!(f, "there is a device named {name} already"),
            Self::NoSuchDevice { name } => write!(f, "there is no device named {name}"),
            Self::NoSuchEnrollment => {
                f.write_str("this enrollment is over: it was finished, replaced or too old")
            }
            Self::NotAllowed => f.write_str("you may not do that to this account"),
            Self::PasswordNeeded => f.write_str("the account's password is needed for its first device"),
            Self::CodeNeeded => f.write_str("a current code, or a recovery code, is needed for that"),
            Self::SeedInUse { user } => write!(f, "{user} has a device with this key"),
            Self::SerialInUse { user } => write!(f, "{user} has the token with this serial number"),
            Self::NoSuchToken { serial } => write!(f, "no token {serial} waits to be activated"),
            Self::NoBypass => f.write_str("there is no bypass code"),
            Self::BadRequest(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io { source, .. } = self { Some(source) } else { None }
    }
}

impl From<NoRandomness> for Error {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

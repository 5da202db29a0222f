//! Why `mfad` did not do what it was asked, as far as the owner of an account may know.

use std::fmt;

use mfa_core::devices::Serial;
use mfa_core::{Error, Response, one_line};
use serde::{Deserialize, Serialize};

/// What `mfad` answers.
pub type Reply = Result<Response, Denial>;

/// Why `mfad` did not do what it was asked. What only an administrator may know is in the log of `mfad`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denial {
    /// The account has no proven device yet: send the request again with its password.
    PasswordNeeded,
    /// The password was not the account's.
    WrongPassword,
    /// The password was right, but PAM does not let the account in: it has expired, or its password has.
    AccountClosed,
    /// Send the request again with a current code, or a recovery code.
    CodeNeeded,
    /// The account is another user's, or only root may ask that.
    NotAllowed,
    /// The user that the caller runs as has no account name on this host.
    UnknownCaller,
    /// The account has no device.
    NotEnrolled,
    /// The account has as many devices as it may have.
    TooManyDevices,
    /// The account has a device of that name.
    NameTaken {
        /// The name.
        #[serde(deserialize_with = "one_line::deserialize")]
        name: String,
    },
    /// The account has no device of that name.
    NoSuchDevice {
        /// The name.
        #[serde(deserialize_with = "one_line::deserialize")]
        name: String,
    },
    /// The enrollment was cancelled, confirmed or replaced by another one, or is too old.
    NoSuchEnrollment,
    /// Another device has this key. Whose is nobody's business.
    SeedInUse,
    /// Another device has this serial number.
    SerialInUse,
    /// No token of that number waits for this account to prove it.
    NoSuchToken {
        /// The number on the token.
        serial: Serial,
    },
    /// No bypass code is waiting.
    NoBypass,
    /// A part of the request is not as it must be; the text says what it must be.
    BadRequest(#[serde(deserialize_with = "one_line::deserialize")] String),
    /// The account is being changed by another program: try again.
    Busy,
    /// The caller asks too much at once, or too often: wait and try again.
    TooMany,
    /// `mfad` does not understand the message: client and daemon are of different versions.
    NotUnderstood,
    /// Something is wrong with the store, the policy or PAM. An administrator finds the reason in the log.
    Unavailable,
}

impl From<&Error> for Denial {
    /// What of an error the owner of the account may know.
    fn from(error: &Error) -> Self {
        match error {
            Error::NotEnrolled => Self::NotEnrolled,
            Error::Busy { .. } => Self::Busy,
            Error::TooManyDevices => Self::TooManyDevices,
            Error::NameTaken { name } => Self::NameTaken { name: name.clone() },
            Error::NoSuchDevice { name } => Self::NoSuchDevice { name: name.clone() },
            Error::NoSuchEnrollment => Self::NoSuchEnrollment,
            Error::NotAllowed => Self::NotAllowed,
            Error::PasswordNeeded => Self::PasswordNeeded,
            Error::CodeNeeded => Self::CodeNeeded,
            Error::SeedInUse { .. } => Self::SeedInUse,
            Error::SerialInUse { .. } => Self::SerialInUse,
            Error::NoSuchToken { serial } => Self::NoSuchToken { serial: serial.clone() },
            Error::NoBypass => Self::NoBypass,
            Error::BadRequest(why) => Self::BadRequest((*why).to_owned()),
            Error::NoStore { .. }
            | Error::KeyLost { .. }
            | Error::Io { .. }
            | Error::Untrusted { .. }
            | Error::Corrupt { .. }
            | Error::SeedDoesNotOpen
            | Error::ReadOnly { .. }
            | Error::NoRandomness
            | Error::NoMemory
            | Error::BadPolicy { .. } => Self::Unavailable,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordNeeded => f.write_str("the account's password is needed for its first device"),
            Self::WrongPassword => f.write_str("the password is wrong"),
            Self::AccountClosed => f.write_str("the account, or its password, has expired"),
            Self::CodeNeeded => f.write_str("a current code, or a recovery code, is needed for that"),
            Self::NotAllowed => f.write_str("you may not do that to this account"),
            Self::UnknownCaller => f.write_str("your user ID has no account name on this host"),
            Self::NotEnrolled => f.write_str("the account has no device"),
            Self::TooManyDevices => f.write_str("the account has 8 devices already"),
            Self::NameTaken { name } => write!(f, "there is a device named {name} already"),
            Self::NoSuchDevice { name } => write!(f, "there is no device named {name}"),
            Self::NoSuchEnrollment => {
                f.write_str("this enrollment is over: it was finished, replaced or too old")
            }
            Self::SeedInUse => f.write_str("another device has this key"),
            Self::SerialInUse => f.write_str("another device has this serial number"),
            Self::NoSuchToken { serial } => write!(f, "no token {serial} waits to be activated"),
            Self::NoBypass => f.write_str("there is no bypass code"),
            Self::BadRequest(why) => f.write_str(why),
            Self::Busy => f.write_str("the account is being changed by another program"),
            Self::TooMany => f.write_str("too many requests at once or in a short time"),
            Self::NotUnderstood => {
                f.write_str("mfad does not understand this program: their versions differ")
            }
            Self::Unavailable => f.write_str("mfad can't answer now: its log says why"),
        }
    }
}

impl std::error::Error for Denial {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_does_not_learn_who_has_a_seed_or_where_the_store_is() {
        let user = || "bob".parse().unwrap();
        assert_eq!(Denial::from(&Error::SeedInUse { user: user() }), Denial::SeedInUse);
        assert_eq!(Denial::from(&Error::SerialInUse { user: user() }), Denial::SerialInUse);
        let path = || "/var/lib/pam-mfa/users/bob".into();
        for error in [
            Error::Corrupt { path: path(), why: "users/bob".to_owned() },
            Error::KeyLost { path: path() },
            Error::Io { path: path(), source: std::io::ErrorKind::PermissionDenied.into() },
        ] {
            assert_eq!(Denial::from(&error), Denial::Unavailable);
        }
        assert!(!format!("{:?}", Denial::from(&Error::Busy { path: path() })).contains("bob"));
    }
}

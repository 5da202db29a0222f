//! A login name that is safe as a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A login name, checked once where it enters the program.
///
/// The name is an attacker's bytes until then: sshd hands on whatever the client sent. A `UserName` is valid UTF-8 of
/// 1 to [`UserName::MAX_BYTES`] bytes with no `/`, no control character, no leading `-` and is not `.` or `..`, so it can stand
/// as one path component, in a log line and on a command line. `CORP\alice`, `alice@example.com` and `żółć` are fine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The longest name in bytes: NAME_MAX of Linux, one less than its LOGIN_NAME_MAX.
    pub const MAX_BYTES: usize = 255;

    /// The name that the records of nobody's account are bound to.
    pub(crate) fn decoy() -> Self {
        Self("(decoy)".to_owned())
    }

    /// The name as typed by the person, usable as a single path component.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a name from raw bytes, as PAM hands them over.
    ///
    /// # Errors
    /// [`BadUserName`] says which rule was broken, without repeating the name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadUserName> {
        std::str::from_utf8(bytes).map_err(|_| BadUserName::NotUtf8)?.parse()
    }
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(name: &str) -> Result<Self, BadUserName> {
        if name.is_empty() {
            return Err(BadUserName::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(BadUserName::TooLong);
        }
        if name.contains('/') || name == "." || name == ".." || name.starts_with('-') {
            return Err(BadUserName::NotAFileName);
        }
        if name.chars().any(char::is_control) {
            return Err(BadUserName::ControlCharacter);
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for UserName {
    type Error = BadUserName;

    fn try_from(name: String) -> Result<Self, BadUserName> {
        name.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({:?})", self.0)
    }
}

/// Why some bytes are no [`UserName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUserName {
    /// No bytes at all.
    Empty,
    /// More than [`UserName::MAX_BYTES`] bytes.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// Holds a `/`, starts with `-`, or is `.` or `..`.
    NotAFileName,
    /// Holds a control character, such as a newline.
    ControlCharacter,
}

impl fmt::Display for BadUserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a user name can't be empty",
            Self::TooLong => "a user name can have at most 255 bytes",
            Self::NotUtf8 => "a user name must be UTF-8",
            Self::NotAFileName => "a user name can't hold '/', start with '-', or be '.' or '..'",
            Self::ControlCharacter => "a user name can't hold control characters",
        })
    }
}

impl std::error::Error for BadUserName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_domain_and_utf8_names_are_accepted_as_they_are() {
        let long = "a".repeat(200);
        for name in ["alice", "CORP\\alice", "alice@example.com", "żółć", "a b", "svc$", ".hidden", &long]
        {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_or_break_a_line_are_refused() {
        for (name, why) in [
            ("", BadUserName::Empty),
            (".", BadUserName::NotAFileName),
            ("..", BadUserName::NotAFileName),
            ("../x", BadUserName::NotAFileName),
            ("a/b", BadUserName::NotAFileName),
            ("-rf", BadUserName::NotAFileName),
            ("a\nb", BadUserName::ControlCharacter),
            ("a\0b", BadUserName::ControlCharacter),
            ("a\u{85}b", BadUserName::ControlCharacter),
            (&"a".repeat(256), BadUserName::TooLong),
        ] {
            assert_eq!(name.parse::<UserName>().unwrap_err(), why, "{name:?}");
        }
        assert_eq!(UserName::from_bytes(b"\xff\xfe").unwrap_err(), BadUserName::NotUtf8);
    }
}

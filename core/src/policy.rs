//! policy.toml: how strict the login is. Owned by root and apart from the secrets.

use std::path::Path;

use serde::Deserialize;

use crate::devices::line_of;
use crate::error::{Error, Result};
use crate::store::read_trusted_text;
use crate::throttle::Throttle;

/// The largest policy file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What policy.toml says. A missing file means the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How failures slow the next try.
    pub throttle: Throttle,
    /// How many time steps either side of the device's drift are accepted: 1, or 0 for OWASP ASVS 6.5.5.
    pub window_steps: WindowSteps,
}

impl Policy {
    /// Reads policy.toml. A file that is not there is the default.
    ///
    /// # Errors
    /// It can't be read, others could have written it, or it can't be understood.
    pub fn read(path: &Path) -> Result<Self> {
        match read_trusted_text(path, MAX_FILE_BYTES)? {
            None => Ok(Self::default()),
            Some(text) => {
                Self::from_toml(&text).map_err(|why| Error::BadPolicy { path: path.to_owned(), why })
            }
        }
    }

    /// Reads the text of policy.toml.
    ///
    /// # Errors
    /// A sentence with the line that is wrong.
    pub fn from_toml(text: &str) -> std::result::Result<Self, String> {
        // Not the quoted source line: a wrong path may name any file of root's.
        toml::from_str(text)
            .map_err(|error| format!("{}: {}", line_of(&error, text), error.message().replace('\n', " ")))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { throttle: Throttle::Nist, window_steps: WindowSteps::ONE }
    }
}

/// Zero or one: RFC 6238 5.2 allows at most one step for the network and the typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub struct WindowSteps(u8);

impl WindowSteps {
    /// The step either side.
    pub const ONE: Self = Self(1);
    /// Only the present step.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn count(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for WindowSteps {
    type Error = &'static str;

    fn try_from(steps: u8) -> std::result::Result<Self, Self::Error> {
        match steps {
            0 | 1 => Ok(Self(steps)),
            _ => Err("window_steps must be 0 or 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Policy::from_toml("# nothing here\n").unwrap(), Policy::default());
    }

    #[test]
    fn a_preset_and_a_window_are_read() {
        let strict = Policy::from_toml("throttle = \"stig\"\nwindow_steps = 0\n").unwrap();
        assert_eq!(strict, Policy { throttle: Throttle::Stig, window_steps: WindowSteps::ZERO });
    }

    #[test]
    fn a_typing_error_is_refused_with_its_line() {
        for text in [
            "throtle = \"nist\"",
            "throttle = \"lenient\"",
            "window_steps = 2",
            "window_steps = -1",
            "throttle",
        ] {
            assert!(Policy::from_toml(text).unwrap_err().contains("line 1"), "{text}");
        }
    }
}

//! An account's password on its way to PAM.

use mfa_core::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password as PAM takes it: 1 to 511 bytes, none of them zero. Wiped when dropped, never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password(Secret);

impl Password {
    /// The longest password in bytes: PAM_MAX_RESP_SIZE of Linux-PAM, less its closing zero.
    pub const MAX_BYTES: usize = 511;

    /// Takes what was typed. None if PAM could not take it.
    pub fn new(typed: &[u8]) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&typed.len()) && !typed.contains(&0);
        fits.then(|| Self(Secret::new(typed.to_vec())))
    }

    /// The bytes as typed.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.expose())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Borrowed from the frame, which wipes itself.
        Self::new(<&[u8]>::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("not a password"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pam_could_not_take_is_no_password() {
        assert!(Password::new(b"").is_none());
        assert!(Password::new(b"a\0b").is_none());
        assert!(Password::new(&[b'x'; 512]).is_none());
        assert_eq!(Password::new(&[b'x'; 511]).unwrap().expose().len(), 511);
        assert_eq!(Password::new("pässwörd 1".as_bytes()).unwrap().expose(), "pässwörd 1".as_bytes());
    }

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(format!("{:?}", Password::new(b"hunter2").unwrap()), "Password([redacted])");
    }
}

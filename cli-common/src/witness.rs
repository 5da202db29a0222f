//! What speaks for an ordinary user who wants to change devices: a password, or a code.

use mfa_core::UserName;
use mfa_core::answer::Answer;
use mfa_core::verify::Refusal;
use mfa_wire::Password;

use crate::failure::Failure;

/// How often evidence is asked for before a request is given up.
pub(crate) const TRIES: u8 = 3;

/// Whoever can be asked for evidence. Only `mfad` ever wants any.
pub trait Witness {
    /// The account's password; `before` is what was wrong with the last one.
    ///
    /// # Errors
    /// The dialogue was ended, or there is nobody to ask again.
    fn password(&self, user: &UserName, before: Option<Failure>) -> Result<Password, Failure>;

    /// A current code, or a recovery code; `before` is what was wrong with the last one.
    ///
    /// # Errors
    /// The dialogue was ended, or there is nobody to ask again.
    fn code(&self, user: &UserName, before: Option<Failure>) -> Result<Answer, Failure>;
}

/// There is nobody to ask: root's programs, which open the store themselves, are never asked for evidence.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Witness for Nobody {
    fn password(&self, user: &UserName, before: Option<Failure>) -> Result<Password, Failure> {
        Err(before.unwrap_or_else(|| wanted(&format!("the password of {user} is wanted"))))
    }

    fn code(&self, _: &UserName, before: Option<Failure>) -> Result<Answer, Failure> {
        Err(before.unwrap_or_else(|| wanted("a current code, or a recovery code, is wanted")))
    }
}

fn wanted(sentence: &str) -> Failure {
    Failure::refused(sentence, "run it as root, by sudo")
}

/// Whether another answer may do better.
pub(crate) const fn may_try_again(refusal: Refusal) -> bool {
    match refusal {
        // A recovery code is good for a device that is disabled.
        Refusal::Wrong | Refusal::Replayed | Refusal::Disabled | Refusal::Expired => true,
        Refusal::Skew | Refusal::Throttled { .. } | Refusal::NotEnrolled | Refusal::ReadOnly => false,
    }
}

/// What was typed, as a password.
///
/// # Errors
/// PAM could not take it.
pub fn password_of(typed: &[u8]) -> Result<Password, Failure> {
    Password::new(typed).ok_or_else(|| {
        Failure::refused(
            "that can't be a password of this host: it must have 1 to 511 bytes",
            "type the password that you log in with",
        )
    })
}

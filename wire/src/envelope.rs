//! A request and what speaks for whoever sends it.

use mfa_core::Request;
use mfa_core::answer::Answer;
use serde::{Deserialize, Serialize};

use crate::password::Password;

/// One request to `mfad`.
///
/// Send it bare first: [`crate::Denial::CodeNeeded`] and [`crate::Denial::PasswordNeeded`] say what else is wanted. What is not needed is not
/// looked at, so a code that is sent along with a request that needs none is not used up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// What is asked.
    pub request: Request,
    /// A current code, or a recovery code, for a change of devices. It is used up by that.
    pub proof: Option<Answer>,
    /// The account's password, for its first device.
    pub password: Option<Password>,
}

impl Envelope {
    /// A request with nothing that speaks for the caller but the kernel.
    pub const fn bare(request: Request) -> Self {
        Self { request, proof: None, password: None }
    }
}

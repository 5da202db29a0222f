//! What is asked of an account's devices that are there already.

use mfa_core::answer::Answer;
use mfa_core::devices::{DeviceName, Serial};
use mfa_core::otp::Code;
use mfa_core::request::{RecoveryCodes, WhyNotConfirmed};
use mfa_core::verify::Round;
use mfa_core::{Request, Response, UserName, Verdict};

use crate::failure::Failure;
use crate::session::{Session, unexpected};

impl Session {
    /// Calls a device something else.
    pub fn rename(&self, user: &UserName, name: DeviceName, to: DeviceName) -> Result<(), Failure> {
        self.done(Request::RenameDevice { user: user.clone(), name, to }, user)
    }

    /// Lets a device's codes count again.
    pub fn resume(&self, user: &UserName, name: DeviceName) -> Result<(), Failure> {
        self.done(Request::ResumeDevice { user: user.clone(), name }, user)
    }

    /// Follows a device whose clock or counter has run away, or says why its two codes do not show where to.
    pub fn resync(
        &self,
        user: &UserName,
        name: DeviceName,
        (first, second): (Code, Code),
    ) -> Result<Result<(), WhyNotConfirmed>, Failure> {
        match self.answer(Request::Resync { user: user.clone(), name, first, second }) {
            Ok(Response::Done) => Ok(Ok(())),
            Ok(Response::NotConfirmed(why)) => Ok(Err(why)),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Binds a token that root has assigned by two of its codes, or says why they do not prove it.
    pub fn activate(
        &self,
        user: &UserName,
        serial: Serial,
        name: Option<DeviceName>,
        (first, second): (Code, Code),
    ) -> Result<Result<DeviceName, WhyNotConfirmed>, Failure> {
        let (user_name, recovery_codes) = (user.clone(), RecoveryCodes::No);
        let request = Request::ActivateToken { user: user_name, serial, name, first, second, recovery_codes };
        match self.answer(request) {
            Ok(Response::Enrolled { name, .. }) => Ok(Ok(name)),
            Ok(Response::NotConfirmed(why)) => Ok(Err(why)),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Tries an answer as a login would. If it is good it is used up by that.
    pub fn verify(&self, user: &UserName, answer: Answer) -> Result<Verdict, Failure> {
        let user_name = Some(user.clone());
        let request = Request::Verify { user: user_name, answer, remote_host: None, round: Round::First };
        match self.answer(request) {
            Ok(Response::Verdict(verdict)) => Ok(verdict),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }
}

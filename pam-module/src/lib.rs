//! `pam_mfa.so`: turns PAM's calls into requests to mfa-core, and the answers into PAM's result codes.
//!
//! The module is a guest in somebody else's program. It starts no thread, keeps nothing between calls, prints nothing, changes no
//! signal, mask, folder or identity, and never ends its host. What it decides is on disk before it answers, because sshd runs this
//! phase in a child that may be killed at any moment.

#![expect(
    missing_docs,
    reason = "the only public items are PAM's hooks, which pam-bindings makes; see pam_sm_authenticate(3)"
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed"))]

#[cfg(feature = "as-library")]
pub mod as_library;
mod conversation;
mod enrollment;
#[cfg(any(test, feature = "as-library"))]
mod fake;
mod journal;
mod libpam;
mod login;
mod options;
mod outcome;
mod pam_stack;
mod relay;
mod wording;

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mfa_core::secret::wipe_stack;
use pam::constants::{PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};

use crate::conversation::Host as _;
use crate::journal::Phase;
use crate::libpam::Pam;
use crate::options::Delay;
use crate::outcome::{Conclusion, Outcome, Reason};

struct Module;

pam::pam_hooks!(Module);

impl PamHooks for Module {
    fn sm_authenticate(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        journal::keep_panics_off_the_terminal();
        let mut pam = Pam::new(handle, Phase::Auth, flags);
        // pam-bindings catches a panic too; this one also says so in the log.
        let outcome = catch_unwind(AssertUnwindSafe(|| login::authenticate(&mut pam, &arguments)));
        let outcome = outcome.unwrap_or(Outcome::refused(Reason::InternalError, Delay::OnRefusal));
        wipe_stack();
        outcome.finish(&mut pam)
    }

    /// Always success: this runs on a stack that may never have authenticated (sshd), where IGNORE denies (pam_sm_setcred(3)).
    fn sm_setcred(handle: &mut PamHandle, _: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        Pam::new(handle, Phase::Auth, flags).tell_what_waited();
        PamResultCode::PAM_SUCCESS
    }

    /// Runs when the whole `auth` stack has succeeded, in sshd in the same process: the place to tell a person something, and to give
    /// a device to whom the auth phase has marked. It also runs where there was no auth phase (publickey, a cached sudo): no mark, no
    /// prompt.
    fn acct_mgmt(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        let mut pam = Pam::new(handle, Phase::Account, flags);
        pam.tell_what_waited();
        let Some(mark) = pam.mark() else { return PamResultCode::PAM_IGNORE };
        journal::keep_panics_off_the_terminal();
        let conclusion = catch_unwind(AssertUnwindSafe(|| enrollment::conclude(&mut pam, &arguments, &mark)));
        let conclusion = conclusion.unwrap_or(Conclusion::Refused(Reason::InternalError));
        wipe_stack();
        conclusion.finish(&mut pam)
    }

    fn sm_open_session(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_IGNORE
    }

    fn sm_close_session(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_IGNORE
    }

    fn sm_chauthtok(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_IGNORE
    }
}

//! What `mfa-enroll`, `mfa-admin` and, of the log and of failures, `mfad` share.
//!
//! ```text
//!  --store DIR ──> Session ── Request ──> mfa_core::answer()
//!                     │   └──── Request ──> mfad, if this process may not open the store
//!       what was asked, or Failure (sentence, cure, exit code)
//!                     │
//!                  Output ──> standard output, standard error       log ──> AUTHPRIV
//! ```

#![forbid(unsafe_code)]

mod cures;
mod failure;
mod fleet;
mod hidden;
mod log;
mod output;
mod progress;
mod report;
mod session;
mod signals;
mod standing;
mod witness;

pub use mfa_wire::Password;

pub use failure::{Ending, Failure};
pub use fleet::AccountNames;
pub use hidden::HiddenInput;
pub use log::record as log_event;
pub use output::{Charset, Format, Output, wrapped};
pub use progress::Progress;
pub use report::{AccountReport, ChangeReport};
pub use session::{Enrolled, Place, Program, Proof, Session, shell_word};
pub use signals::Signals;
pub use standing::{
    counted, counts, device_lines, history_lines, kind, moment, profile_text, recovery_sentence,
    security_lines, since, standing,
};
pub use witness::{Nobody, Witness, password_of};

/// Keeps this process out of core dumps and away from debuggers of other users' making: it holds seeds for a while.
///
/// It is a second fence only, so a kernel that refuses is no reason to stop.
pub fn keep_out_of_core_dumps() {
    let _ = nix::sys::prctl::set_dumpable(false);
}

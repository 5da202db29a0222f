//! Ctrl-C: looked at where a person is asked, and nowhere else.
//!
//! Whatever happens between two prompts happens whole: no change without its word on the screen, no picture of a key left behind.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::failure::{Ending, Failure};

/// The signals by which a person or a system ends a dialogue.
const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Holds the ending signals back as long as it lives, and tells of them: its descriptor is readable once one has come.
///
/// One that nobody has asked about is delivered when this is dropped.
#[derive(Debug)]
pub struct Signals {
    come: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Begins to hold them back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hold() -> Result<Self, Failure> {
        let ignored = ignored_signals();
        let ending: SigSet = ENDING.into_iter().filter(|signal| !ignored.contains(signal)).collect();
        let come =
            SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        let before = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed)?;
        Ok(Self { come, before })
    }

    /// The ending that has come, if any. It counts as delivered then.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn ending(&self) -> Result<Option<Ending>, Failure> {
        let signal = self.come.read_signal().map_err(failed)?;
        Ok(signal.map(|signal| Ending::Signal(u8::try_from(signal.ssi_signo).unwrap_or(u8::MAX))))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.come.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It was possible to block them, so it is possible to go back.
        let _ = self.before.thread_set_mask();
    }
}

/// What whoever started us wants to be ignored, such as SIGHUP under nohup(1). Held back it would come all the same.
fn ignored_signals() -> Vec<Signal> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or(0);
    let is_ignored =
        |number: &u32| mask.checked_shr(number.saturating_sub(1)).is_some_and(|rest| rest & 1 == 1);
    (1..=31_u32)
        .filter(is_ignored)
        .filter_map(|number| Signal::try_from(i32::try_from(number).ok()?).ok())
        .collect()
}

fn failed(errno: Errno) -> Failure {
    Failure::Refused { sentence: format!("can't hold back signals: {errno}"), hint: None }
}

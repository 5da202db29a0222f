//! `mfad`: answers requests for callers that may not open the store.
//!
//! ```text
//!   mfad (root, "monitor")       reads the key, gives the store to pam-mfa, touches nothing that a client has sent
//!     │ spawns                   │ spawns, one for each password
//!     v                          v
//!   mfad worker (pam-mfa)  ──>  mfad check-password (root)
//!     the socket, who asks,       asks the kernel itself who the client is,
//!     limits, answer()            then PAM whether the password is that user's
//! ```
//!
//! Each is the same program in a process of its own. What a client sends is read by the worker, which is not root; what root's part
//! does for it is bound to the client's own account by the kernel, whatever the worker says.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test that overflows or never ends has failed")
)]

mod checker;
mod checks;
mod cli;
mod events;
mod gate;
mod limits;
mod listener;
mod monitor;
mod pam;
mod password;
mod peer;
mod reply;
mod subordinates;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;
use mfa_cli::{Format, Output, keep_out_of_core_dumps};

use crate::cli::{Cli, Role};

/// The name in the log, and of the messages.
const PROGRAM: &str = "mfad";

fn main() -> ExitCode {
    let cli = Cli::parse();
    keep_out_of_core_dumps();
    let Ok(output) = Output::open(PROGRAM) else { return ExitCode::FAILURE };
    let ended = match cli.role {
        None => monitor::run(&cli.options),
        Some(Role::Worker(options)) => worker::run(&options),
        Some(Role::CheckPassword(options)) => checker::run(&options),
    };
    output.exit(ended, Format::of_flag(false))
}

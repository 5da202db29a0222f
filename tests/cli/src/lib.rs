//! Runs the built `mfa-enroll` and `mfa-admin`: through a pipe ([`pipe`]) and on a terminal ([`terminal`]). [`daemon`] answers in place of
//! `mfad`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a panic of a test's helper is the failure report of the test"
)]

pub mod daemon;
pub mod pipe;
pub mod terminal;

use std::process::Command;

use mfa_test_harness::{Store, account};

pub use pipe::{Dialogue, Ran, run};
pub use terminal::Terminal;

/// `mfa-enroll --store STORE --user USER`, to be completed, in a UTF-8 locale.
pub fn mfa_enroll(store: &Store, user: &str) -> Command {
    in_locale(account::mfa_enroll(store, user), "C.UTF-8")
}

/// `mfa-admin --store STORE`, to be completed.
pub fn mfa_admin(store: &Store) -> Command {
    in_locale(account::mfa_admin(store), "C.UTF-8")
}

/// The same command in a locale, and with nothing else in its environment that changes what it prints.
pub fn in_locale(mut command: Command, locale: &str) -> Command {
    for name in ["LC_ALL", "LC_CTYPE", "NO_COLOR", "SUDO_USER"] {
        command.env_remove(name);
    }
    command.env("LANG", locale).env("TERM", "xterm-256color");
    command
}

/// Signals do what they usually do, though whoever runs the tests may ignore some, as `make test &` in a script does.
pub const AS_A_SHELL_STARTS_IT: [&str; 2] = ["env", "--default-signal"];

/// The same command started by another one, such as `setpriv ..`, in the same environment.
pub fn within(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

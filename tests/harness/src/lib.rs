//! Drives the built programs from outside: a login through the real libpam, an enrollment by the real `mfa-enroll`,
//! codes by `oathtool`. No root, no Docker, nothing of ours inside.
//!
//! ```text
//!  test ── Plan (JSON) ──> pam-application ── pam_start_confdir ──> libpam ── dlopen ──> libpam_mfa.so
//!       <── Events (JSON) ──      │ exports clock_gettime, syslog, pwrite ..: a clock that
//!                                 │ stands still, a log that is read, a disk that is slow
//! ```
//!
//! Each login runs in a process of its own and is watched ([`watch`]): a panic, a line on stderr, a changed umask, a
//! typed secret in the log or a hang fails the test, whatever it was about.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a panic of the harness is the failure report of a test"
)]

pub mod account;
pub mod application;
pub mod artifacts;
pub mod disk;
pub mod libpam;
pub mod login;
pub mod moments;
pub mod names;
pub mod oathtool;
pub mod plan;
pub mod stack;
pub mod store;
pub mod system_log;
pub mod wall_clock;
pub mod watch;

pub use account::Account;
pub use disk::Done;
pub use libpam::{Call, Item, PamCode, Style};
pub use login::{LogLine, Login, Running, Transcript, at_once, in_threads};
pub use moments::Moments;
pub use plan::{Answer, Host, Message};
pub use stack::Stack;
pub use store::Store;

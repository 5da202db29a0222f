//! Drives logins on real hosts: Debian in a container, with sshd, sudo, su and login behind password and code.
//!
//! ```text
//!  test ── Host ── docker exec ──> script(1), a terminal ──> ssh | sudo | su | login ──> PAM ──> pam_mfa.so
//!          Device: codes by oathtool        └── what is on the screen, what is typed, how it ended
//! ```
//!
//! [`FirstLogin`] is a person in front of a client who sets up a device; the QR code is read from the screen, as a phone would.
//!
//! A host lives for one test. When the test is over, all that the host wrote (system log, sshd's stderr, every screen) is
//! searched for a panic and for what must never be logged: a hit fails the test, whatever it was about.
//!
//! `make test` sees to the container engine and the images; where they are missing, the tests fail and say so.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "a panic of the harness, and what it prints, is the failure report of a test"
)]

mod device;
mod engine;
mod first_login;
mod host;
mod terminal;
mod watch;

pub use device::Device;
pub use first_login::{Client, FirstLogin, Locale};
pub use host::{Debian, Host, Login, PASSWORD, Setup, on_debian_13, on_each_debian, on_each_debian_set_up};
pub use terminal::{Ended, Terminal};

//! What is done with a fuzzer's bytes, and what must hold then.
//!
//! ```text
//!  cargo-fuzz ── fuzz/fuzz_targets/NAME.rs ──┐
//!                                            ├──> fn NAME(bytes) ──> a reader of pam-mfa, or a whole login
//!  cargo test ── every file of fuzz/corpus/NAME,  ┘        │
//!                and the same files damaged                └── asserts what `reference` (own code, from docs/record-format.md
//!                                                              and the RFCs alone) knows to be true
//! ```
//!
//! A target takes any bytes, returns on every one of them, and panics if a promise is broken. docs/fuzzing.md says what each one promises.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic of a target is a finding"
)]

mod account_files;
mod answer;
mod authenticate;
mod import;
mod reference;
mod settings;
mod store;
mod wire;

pub use account_files::{devices, history, marks, state, state_examples, stock};
pub use answer::answer;
pub use authenticate::{authenticate, logins};
pub use import::{csv, google_authenticator, otpauth, pskc, users_oath};
pub use settings::{options, pam_stack, policy};
pub use wire::{examples as wire_examples, wire};

// Logins happen at a time that the target chooses.
mfa_test_harness::stand_in_for_the_wall_clock!();

/// A target: its name, which is that of its corpus and of its program for cargo-fuzz, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 16] = [
    ("answer", answer),
    ("authenticate", authenticate),
    ("csv", csv),
    ("devices", devices),
    ("google_authenticator", google_authenticator),
    ("history", history),
    ("marks", marks),
    ("options", options),
    ("otpauth", otpauth),
    ("pam_stack", pam_stack),
    ("policy", policy),
    ("pskc", pskc),
    ("state", state),
    ("stock", stock),
    ("users_oath", users_oath),
    ("wire", wire),
];

//! Logins through the real libpam: no root, no Docker. One file a subject, one sentence a test.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic of a test is its failure report"
)]

mod answers;
mod damage;
mod first_pass;
mod guest;
mod kill;
mod log;
mod memory;
mod module;
mod one_time;
mod options;
mod policy;
mod prompts;
mod stacks;
mod throttle;
mod users;
mod valgrind;
mod window;

use mfa_test_harness::{Account, PamCode, Store, Transcript};

/// A store with one account in it.
fn alice() -> (Store, Account) {
    let store = Store::temporary();
    let alice = Account::enroll(&store, "alice");
    (store, alice)
}

/// The same, and the account has recovery codes.
fn alice_with_recovery_codes() -> (Store, Account) {
    let (store, alice) = alice();
    let alice = alice.with_recovery_codes(&store);
    (store, alice)
}

/// Refused, and the log says why.
#[track_caller]
fn assert_refused(transcript: &Transcript, result: PamCode, reason: &str) {
    assert_eq!(transcript.result(), result, "{transcript:#?}");
    let log = transcript.log_text();
    assert!(log.contains(&format!("refused reason={reason} ")), "no reason={reason} in the log: {log}");
    assert!(!log.contains(": accepted "), "{log}");
}

/// Let in, and the log says so.
#[track_caller]
fn assert_let_in(transcript: &Transcript) {
    assert_eq!(transcript.result(), PamCode::SUCCESS, "{transcript:#?}");
    let log = transcript.log_text();
    assert!(log.contains(": accepted "), "the log does not say accepted: {log}");
    assert!(!log.contains(": refused "), "{log}");
}

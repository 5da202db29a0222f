//! The built `mfa-enroll` and `mfa-admin`. One file a subject, one sentence a test.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic of a test is its failure report"
)]

mod add;
mod admin;
mod admin_bypass;
mod admin_export;
mod admin_migrate;
mod admin_tokens;
mod changes;
mod failures;
mod guided;
mod help;
mod interrupts;
mod proof;
mod qr;
mod relay;
mod screen;
mod status;

use mfa_cli_tests::{mfa_enroll, run};
use mfa_test_harness::Store;
use serde_json::Value;

/// `mfa-enroll status --json`
fn status(store: &Store, user: &str) -> Value {
    let ran = run(mfa_enroll(store, user).args(["status", "--json"]), "");
    ran.assert_done();
    ran.json()
}

/// The names of a user's devices.
fn devices(store: &Store, user: &str) -> Vec<String> {
    let status = status(store, user);
    let devices = status["devices"].as_array().unwrap();
    devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
}

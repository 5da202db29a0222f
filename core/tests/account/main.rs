//! Accounts in a real store on a real disk.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    reason = "a panic is a failed test, and a test may be plain"
)]

mod bypass;
mod changes;
mod evidence;
mod foreign;
mod history;
mod host;
mod keeper;
mod records;
mod resync;

//! The rules and the records of pam-mfa.
//!
//! ```text
//! bytes ──> UserName, Answer ──> Request ──┐
//!                                          v
//!      policy.toml ──> Policy ──────> answer() ──> Response
//!                                          │ one locked step: read, decide, write, sync
//!                                          v
//!                          Store::update(account, |record| ..)
//!                             devices.toml (Devices)   state (State: two slots)
//!                                          │
//!                                          v
//!                       verify(devices, state, code, occasion) -> Verdict     (pure)
//! ```
//!
//! This crate knows no PAM, no terminal and no network. Time is an argument everywhere but in [`clock`].

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::maybe_infinite_iter,
        reason = "a test that overflows or never ends has failed"
    )
)]

mod account;
pub mod answer;
pub mod audit;
pub mod clock;
pub mod devices;
pub mod error;
pub mod hex;
pub mod history;
pub mod one_line;
pub mod otp;
pub mod otpauth;
pub mod policy;
pub mod recovery;
pub mod request;
pub mod seal;
pub mod secret;
pub mod state;
pub mod store;
pub mod throttle;
mod toml_text;
pub mod user_name;
pub mod verify;

pub use clock::Timestamp;
pub use error::{Error, Result};
pub use policy::Policy;
pub use request::{Caller, Evidence, Request, Response, Right, answer};
pub use secret::Secret;
pub use store::{FileStore, Store};
pub use user_name::UserName;
pub use verify::{Factor, Refusal, Verdict};

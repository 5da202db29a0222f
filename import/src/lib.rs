//! Reads other people's files: what vendors ship with hardware tokens, and what other PAM modules keep about people.
//!
//! ```text
//! bytes (source: capped, wiped) ──┬─> pskc::Container ── tokens(&Unlock) ──┐
//!                                 ├─> csv::entra, csv::oath ───────────────┤
//!                                 ├─> otpauth::list ───────────────────────┼─> Vec<Token>  or  Vec<Problem>, never both
//!                                 ├─> oath_users ──────────────────────────┤
//!   home (no symbolic links) ─────┴─> google_authenticator ────────────────┘
//! ```
//!
//! Every reader is strict and gives all or nothing: one bad line, and nothing of the file is used. A [`Problem`] says where it is and
//! how to cure it, and never repeats a value from the file, so that a seed in the wrong column does not end up on a terminal or in a
//! log. Nothing here reads the clock, knows the store or decides who may have a token.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed"))]

pub mod csv;
mod dates;
pub mod format;
pub mod google_authenticator;
pub mod home;
pub mod local_time;
pub mod oath_users;
pub mod otpauth;
pub mod pskc;
pub mod seed_text;
pub mod source;
pub mod token;
mod xml;

pub use format::Format;
pub use seed_text::SecretEncoding;
pub use token::{Place, Problem, Token};

//! What a process says to `mfad` and back.
//!
//! ```text
//! connect ──> [length: 4 bytes, big-endian][version: 1 byte][Envelope, postcard]   ──> mfad
//!         <── [length: 4 bytes, big-endian][version: 1 byte][Reply, postcard]      <── closes
//! ```
//!
//! One connection carries one request and its reply. The length counts what follows it and is at most [`frame::MAX_BYTES`]. Who asks is not
//! in the message: the kernel tells `mfad`.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed"))]

mod client;
mod denial;
mod envelope;
pub mod frame;
mod password;

pub use client::{AskError, SOCKET, ask};
pub use denial::{Denial, Reply};
pub use envelope::Envelope;
pub use password::Password;

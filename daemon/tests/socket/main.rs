//! The built `mfad`, at a socket of the test's own, as whoever runs the tests: no root, no Docker.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic of a test is its failure report"
)]

mod daemon;
mod endings;
mod enrollment;
mod frames;
mod limits;
mod others;
mod passwords;
mod verify;

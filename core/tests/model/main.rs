//! The real store against an executable model: random people, codes, clocks and crashes; the account on disk compared after each step.
//!
//! `MFA_MODEL_CASES` (default 100) says how many random histories, `MFA_MODEL_SEED` (default 1) which ones. A history that fails is
//! shrunk to the steps that matter and printed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a panic is a failed test, and a test may be plain"
)]

mod rules;
mod steps;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use steps::history;
use world::World;

#[test]
fn the_store_does_what_the_model_says_whatever_happens() {
    let number = |name: &str, default: u32| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, it is {text:?}")),
        Err(_) => default,
    };
    let (cases, seed) = (number("MFA_MODEL_CASES", 100), number("MFA_MODEL_SEED", 1));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut seed_bytes = [0; 32];
    seed_bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes));
    let seen = std::cell::RefCell::new(world::Seen::default());
    let result = runner.run(&history(), |history| {
        let mut world = World::new(history.policy);
        for (number, step) in history.steps.iter().enumerate() {
            world.take(step).map_err(|why| TestCaseError::fail(format!("step {number}: {why}")))?;
        }
        seen.borrow_mut().add(&world.seen);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, history)) => panic!("MFA_MODEL_SEED={seed}: {why}\n{history:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    println!("{}", seen.borrow().text());
    if cases >= 100 {
        seen.borrow().check_that_everything_happened();
    }
}

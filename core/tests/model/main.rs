//! The rules as a model that can be run, beside the real store: after every step of a random story both must say the same.
//!
//! A story has logins (right, wrong, replayed, older, ahead, of several devices, recovery codes), enrollments, changes, resynchronisations,
//! clocks that move either way, and crashes: a login whose write is torn, a change of which some files reached the disk and some did not. The
//! model (`rules`) is written from docs/record-format.md and docs/architecture.md and shares no code with core. More stories: PROPTEST_CASES=10000.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a panic is a failed test, and a test may be plain"
)]

mod rules;
mod steps;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::World;

/// Enough for every run of the tests; PROPTEST_CASES has more.
const CASES: u32 = 60;

#[test]
fn the_store_does_what_the_rules_say_whatever_the_story() {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let stories = (steps::policy(), prop::collection::vec(steps::step(), 1..60));
    let ran = TestRunner::new(config).run(&stories, |(policy, story)| {
        let mut world = World::new(policy);
        for step in &story {
            world.take(step)?;
        }
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// The stories reach what they are about: else the model would have been compared with nothing.
#[test]
fn the_stories_come_to_every_kind_of_end() {
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..30 {
        use proptest::strategy::ValueTree as _;
        let stories = (steps::policy(), prop::collection::vec(steps::step(), 40..60));
        let (policy, story) = stories.new_tree(&mut runner).unwrap().current();
        let mut world = World::new(policy);
        for step in &story {
            world.take(step).unwrap();
        }
        for end in world.reached {
            *reached.entry(end).or_default() += 1;
        }
    }
    let wanted = [
        "accepted by a device",
        "accepted by a recovery code",
        "accepted by a bypass code",
        "refused: Wrong",
        "refused: Replayed",
        "refused: Skew",
        "refused: Throttled",
        "refused: Disabled",
        "refused: Expired",
        "enrolled",
        "replaced",
        "not confirmed",
        "resynchronised",
        "removed",
        "suspended",
        "unlocked",
        "repaired",
        "a torn write",
        "a change half on disk",
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|end| !reached.contains_key(*end)).collect();
    assert!(missing.is_empty(), "no story came to {missing:?}: {reached:#?}");
}

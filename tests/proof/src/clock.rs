//! The clock moves in every way a clock moves; and codes that happen to look alike.

use mfa_test_harness::Answer;

use crate::adapters::{Extra, Person, World};
use crate::course::Course;
use crate::play::{self, Outcome};
use crate::scoreboard::{Attempt, Finding, Tally};

/// What was used stays used, however far the clock goes back.
pub(crate) fn set_back(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for back in [1, 2, 3, 10, 100, 1000, 3000] {
        let (world, early, late) = (undamaged.copy(), alice.now, alice.now + back);
        let attempt = || {
            world.attempt(&alice, early).must_be_let_in("the first code")?;
            world.attempt(&alice, late).must_be_let_in("a later code")?;
            world.attempt(&alice, early).must_be_refused("the first code again, the clock set back to it")?;
            world.attempt(&alice, late).must_be_refused("the later code again, the clock right again")?;
            world.attempt(&alice, late + 1).must_be_let_in("the next code")
        };
        tally.add(attempt().map_err(|what| format!("{back} steps: {what}")));
    }
    Ok(tally)
}

/// A clock that jumps ahead, as after a year in a drawer.
pub(crate) fn set_forward(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for ahead in [10, 1000, 100_000, 1_000_000, 20_000_000] {
        let world = undamaged.copy();
        let at = |step: u64| world.attempt_with(&alice, step, &alice.account.code(step));
        let attempt = || {
            world.attempt(&alice, alice.now).must_be_let_in("the first code")?;
            let step = alice.now + ahead;
            at(step).must_be_let_in("the code of then")?;
            at(step).must_be_refused("the same code again")?;
            at(step + 1).must_be_let_in("the next code")
        };
        tally.add(attempt().map_err(|what| format!("{ahead} steps: {what}")));
    }
    Ok(tally)
}

/// The host sleeps while somebody is at the prompt: the time of the answer counts.
pub(crate) fn suspended(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for asleep in [5, 20, 120, 2880] {
        let world = undamaged.copy();
        let awake = alice.now + asleep;
        let answers = |typed: &str| {
            let late = Answer::Late(alice.account.at(awake), typed.into());
            play::run(world.login(&alice, alice.now).answers(late))
        };
        let attempt = || {
            answers(alice.code(alice.now)).must_be_refused("a code from before the sleep")?;
            answers(alice.code(awake)).must_be_let_in("a code of after the sleep")?;
            world.attempt(&alice, awake).must_be_refused("that code again")?;
            world.attempt(&alice, awake + 1).must_be_let_in("the next code")
        };
        tally.add(attempt().map_err(|what| format!("{asleep} steps: {what}")));
    }
    Ok(tally)
}

/// One step early and one step late is fine, two are not, and never a second time.
pub(crate) fn window(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    let step = alice.now + 20;
    for used in step - 1..=step + 1 {
        let world = undamaged.copy();
        let attempt = || {
            world.attempt_with(&alice, step, alice.code(used)).must_be_let_in("a code of the window")?;
            for clock in used - 1..=used + 2 {
                world.attempt_with(&alice, clock, alice.code(used)).must_be_refused("the same code again")?;
            }
            world.attempt(&alice, used + 3).must_be_let_in("a later code")
        };
        tally.add(attempt().map_err(|what| format!("{used} at {step}: {what}")));
    }
    for stale in [step - 20, step - 10, step - 2, step + 2, step + 10, step + 20] {
        let outcome = undamaged.copy().attempt_with(&alice, step, alice.code(stale));
        tally.add(outcome.must_be_refused("a code outside of the window"));
    }
    Ok(tally)
}

/// Who has seen a code that was not used can't use it after its owner used a younger one.
pub(crate) fn older_code(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    let step = alice.now + 5;
    for (used, older) in [(step, step - 1), (step + 1, step), (step + 1, step - 1)] {
        let world = undamaged.copy();
        let first = world.attempt_with(&alice, step, alice.code(used)).must_be_let_in("a code of the window");
        tally.add(first.and_then(|()| {
            world
                .attempt_with(&alice, step, alice.code(older))
                .must_be_refused("an older code of the same window")
        }));
    }
    Ok(tally)
}

/// Two steps of one window whose codes have the same digits: who saw the one must not get in with the other.
pub(crate) fn colliding_codes(course: &Course) -> Finding {
    /// About six pairs are to be found among so many.
    const STEPS: u64 = 3_000_000;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let first = alice.now + 10;
    let codes = alice.account.generator.codes(first, STEPS);
    let mut tally = Tally::default();
    for apart in [1, 2] {
        let later = codes.iter().skip(apart);
        let pairs = codes.iter().zip(later).enumerate().filter(|(_, (earlier, later))| earlier == later);
        for (index, (code, _)) in pairs.take(course.count) {
            let earlier = first + u64::try_from(index).expect("a usize has 64 bits at most");
            let later = earlier + u64::try_from(apart).expect("1 or 2");
            // Wherever both are in the window: the clock at one of them, or between them.
            for clock in later - 1..=earlier + 1 {
                let world = undamaged.copy();
                let sound = collide(&world, &alice, code, clock, later);
                tally.add(sound.map_err(|what| format!("{apart} apart: {what}")));
            }
        }
    }
    assert!(tally.tried > 0, "no colliding codes among {STEPS}: try another seed");
    Ok(tally)
}

fn collide(world: &World, person: &Person, code: &str, clock: u64, later: u64) -> Attempt {
    let types = |clock: u64| -> Outcome { world.attempt_with(person, clock, code) };
    types(clock).must_be_let_in("a code that two steps of the window have")?;
    for again in clock..=later + 1 {
        types(again).must_be_refused(&format!("the same digits {} steps later", again - clock))?;
    }
    let next = later + 2;
    world.attempt_with(person, next, &person.account.code(next)).must_be_let_in("a later code")
}

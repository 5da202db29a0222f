//! One-time means once, also for many at the same instant.

use mfa_test_harness::account::mfa_admin;
use mfa_test_harness::{Host, Login, at_once};
use serde_json::Value;

use crate::adapters::{Extra, Module, World};
use crate::course::Course;
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};

/// At the barrier.
const PROCESSES: usize = 64;

pub(crate) fn one_code_at_once(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for step in (alice.now..).take(course.count) {
        tally.add(exactly_one(world.login(&alice, step).types(alice.code(step))));
    }
    Ok(tally)
}

/// The same on a disk that takes its time between what is read and what is written.
pub(crate) fn one_code_on_a_slow_disk(course: &Course) -> Finding {
    if course.module != Module::Mfa {
        return Err(Unfit::NotApplicable(
            "only pwrite(2) and fdatasync(2) can be made slow, and it uses neither",
        ));
    }
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let host = Host { disk_delay: Some(2), ..Host::default() };
    let mut tally = Tally::default();
    for step in (alice.now..).take(course.count) {
        tally.add(exactly_one(world.login(&alice, step).host(host.clone()).types(alice.code(step))));
    }
    Ok(tally)
}

pub(crate) fn one_recovery_code_at_once(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it has no recovery codes"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let mut world = undamaged.copy();
    let mut tally = Tally::default();
    for (round, code) in alice.account.recovery_codes().iter().cycle().take(course.count).enumerate() {
        if round % alice.account.recovery_codes().len() == 0 {
            world = undamaged.copy();
        }
        tally.add(exactly_one(world.login(&alice, alice.now).types(code)));
    }
    Ok(tally)
}

/// In time steps.
pub(crate) const HALF_AN_HOUR: u64 = 60;

/// A code that root issues for the day the device is lost.
pub(crate) fn one_bypass_code_at_once(course: &Course) -> Finding {
    if course.module != Module::Mfa {
        return Err(Unfit::NotApplicable("it has no bypass codes"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    // A code begins with the moment in which it is issued, by the real clock, however long the rounds before have taken; and lasts an hour.
    let step = alice.now + HALF_AN_HOUR;
    let mut tally = Tally::default();
    for _ in 0..course.count {
        let world = undamaged.copy();
        let issue = || {
            let issued = mfa_admin(&world.store)
                .args([
                    "bypass",
                    "alice",
                    "--valid",
                    "1h",
                    "--reason",
                    "lost",
                    "--no-account-check",
                    "--json",
                ])
                .output()
                .expect("it is built with the kit");
            let said: Value = serde_json::from_slice(&issued.stdout).unwrap_or_default();
            let code = said.get("code").and_then(Value::as_str);
            code.unwrap_or_else(|| panic!("mfa-admin bypass: {issued:?}")).to_owned()
        };
        let (ended, expired) = (issue(), issue());
        let attempt = || {
            world
                .attempt_with(&alice, step, &ended)
                .must_be_refused("a code that another one has replaced")?;
            // Its hour is over.
            world
                .attempt_with(&alice, step + 3 * HALF_AN_HOUR, &expired)
                .must_be_refused("an expired code")?;
            exactly_one(world.login(&alice, step).types(issue()))?;
            world.attempt(&alice, step).must_be_let_in("the device as before")
        };
        tally.add(attempt());
    }
    Ok(tally)
}

fn exactly_one(login: Login) -> Attempt {
    let let_in = at_once(vec![login; PROCESSES]).iter().filter(|login| login.let_in()).count();
    if let_in == 1 { Ok(()) } else { Err(format!("{let_in} of {PROCESSES} were let in")) }
}

//! What others do does not refuse the owner of a code; and guessing does not get cheaper by doing it all at once.

use std::fs::File;
use std::thread;
use std::time::Duration;

use mfa_test_harness::{Answer, at_once};

use crate::adapters::{Extra, Module, Person, World};
use crate::course::Course;
use crate::play::{self, Outcome};
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};

/// At the barrier.
const GUESSES: usize = 64;
/// The address that the owner logs in from, and another.
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.9";

/// Seen from outside: how long the right code has to wait afterwards.
pub(crate) fn guesses_at_once(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it does not count wrong guesses"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::Throttle, &mut course.random());
    let in_a_row = undamaged.copy();
    for guess in 0..GUESSES {
        in_a_row.attempt_with(&alice, alice.now, &alice.wrong_code(alice.now, guess));
    }
    let (wait, counted) = (wait_of(&in_a_row, &alice), in_a_row.failures(&alice));
    let mut tally = Tally::default();
    for round in 0..course.count {
        let world = undamaged.copy();
        let guess = |guess| world.login(&alice, alice.now).types(alice.wrong_code(alice.now, round + guess));
        let let_in = at_once((0..GUESSES).map(guess).collect()).iter().filter(|login| login.let_in()).count();
        tally.add(counts_alike(&world, &alice, let_in, wait, counted));
    }
    let counted = counted.map_or_else(String::new, |counted| format!(", {counted} of them looked at"));
    Ok(tally.remark(format!("{GUESSES} guesses in a row: the right code waits {wait}{counted}")))
}

fn counts_alike(world: &World, person: &Person, let_in: usize, wait: Wait, counted: Option<u64>) -> Attempt {
    if let_in > 0 {
        return Err(format!("{let_in} wrong codes were let in"));
    }
    let now_counted = world.failures(person);
    if now_counted != counted {
        return Err(format!("counted {now_counted:?} of {GUESSES} at once, and {counted:?} in a row"));
    }
    let now_waits = wait_of(world, person);
    if now_waits == Wait::None || now_waits < wait {
        return Err(format!(
            "after {GUESSES} guesses at once the right code waits {now_waits}, after as many in a row {wait}"
        ));
    }
    Ok(())
}

/// How long the right code is refused, on a scale of powers of two.
fn wait_of(world: &World, person: &Person) -> Wait {
    let begun = person.account.at(person.now);
    for wait in [Wait::None, Wait::Seconds(1), Wait::Seconds(30), Wait::Seconds(120), Wait::Seconds(3600)] {
        let second = begun + wait.seconds();
        let step = second / person.account.generator.period;
        let world = world.copy();
        if play::run(world.login(person, step).at(second).types(person.code(step))).is_let_in() {
            return wait;
        }
    }
    Wait::Longer
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    None,
    /// So many at the most.
    Seconds(u64),
    Longer,
}

impl Wait {
    const fn seconds(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Seconds(seconds) => seconds,
            Self::Longer => u64::MAX,
        }
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("not at all"),
            Self::Seconds(seconds) => write!(f, "up to {seconds} s"),
            Self::Longer => f.write_str("over an hour"),
        }
    }
}

/// Guesses that keep to every wait come to an end: NIST SP 800-63B 3.2.2 allows 100 in a row.
pub(crate) fn guesses_have_an_end(course: &Course) -> Finding {
    const GUESSES: usize = 100;
    /// Longer than any wait between two guesses.
    const STEPS_APART: u64 = 121;
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it does not count wrong guesses"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::Throttle, &mut course.random());
    let mut tally = Tally::default();
    // From where the owner has logged in, and from where nobody has.
    for place in [HOME, ELSEWHERE] {
        let world = undamaged.copy();
        let from = |step: u64, typed: &str| play::run(world.login(&alice, step).from(place).types(typed));
        let at_home = play::run(world.login(&alice, alice.now).from(HOME).types(alice.code(alice.now)));
        let mut attempt = at_home.must_be_let_in("the owner, before anybody guessed");
        let mut step = alice.now + 2;
        for _ in 0..GUESSES {
            let right = alice.account.generator.codes(step - 12, 24);
            let mut numbers = (0_u32..).map(|number| format!("{number:06}"));
            let wrong = numbers.find(|number| !right.contains(number)).expect("nearly all codes are wrong");
            attempt = attempt.and_then(|()| from(step, &wrong).must_be_refused("a wrong code"));
            step += STEPS_APART;
        }
        let right = from(step, &alice.account.code(step));
        let what = format!("the right code, after {GUESSES} wrong ones an hour apart from {place}");
        tally.add(attempt.and_then(|()| right.must_be_refused(&what)));
    }
    Ok(tally)
}

/// A few wrong codes cost a wait, and the right code is not used up by being tried too soon.
pub(crate) fn guesses_cost_a_wait(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it does not count wrong guesses"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::Throttle, &mut course.random());
    let mut tally = Tally::default();
    // From where nobody has logged in, and from where the owner has: they may be counted apart.
    for (guesses, known) in [3, 4, 6, 8].into_iter().flat_map(|guesses| [(guesses, false), (guesses, true)]) {
        let world = undamaged.copy();
        let mut second = alice.account.at(alice.now + 2);
        let period = alice.account.generator.period;
        let mut attempt = || {
            if known {
                world.attempt(&alice, alice.now).must_be_let_in("the owner, before any guess")?;
            }
            for guess in 0..guesses {
                // Each as soon as it may be: pam_mfa waits for 1, 2, 4 .. seconds, google-authenticator counts those of 30 seconds.
                second += if course.module == Module::Mfa { 1 << guess } else { 1 };
                let wrong = alice.wrong_code(second / period, guess);
                play::run(world.login(&alice, 0).at(second).types(wrong)).must_be_refused("a wrong code")?;
            }
            let step = second / period;
            let right = || play::run(world.login(&alice, 0).at(second).types(alice.code(step)));
            right().must_be_refused("the right code, in the same second")?;
            let later = step + 121;
            world.attempt(&alice, later).must_be_let_in("the right code an hour later")?;
            // All is forgotten: one more wrong code is as good as the first.
            let wrong = alice.wrong_code(later + 1, guesses);
            world.attempt_with(&alice, later + 1, &wrong).must_be_refused("a wrong code")?;
            world.attempt(&alice, later + 1).must_be_let_in("the next code, after one wrong code")
        };
        let sound: Attempt = attempt();
        tally.add(sound.map_err(|what| format!("after {guesses} wrong codes: {what}")));
    }
    if course.module == Module::Mfa {
        tally.add(recovery_codes_cost_a_wait(course).map_err(|what| format!("recovery codes: {what}")));
    }
    Ok(tally)
}

fn recovery_codes_cost_a_wait(course: &Course) -> Attempt {
    const WRONG: [&str; 4] =
        ["ABCD-EFGH-IJKL-MNOP", "ABCD-EFGH-IJKL-MNOQ", "ABCD-EFGH-IJKL-MNOR", "ABCD-EFGH-IJKL-MNOS"];
    let (world, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let right = alice.account.recovery_codes().first().expect("there are ten");
    for (wrong, step) in WRONG.iter().zip(alice.now..) {
        world.attempt_with(&alice, step, wrong).must_be_refused("a wrong code")?;
    }
    let step = alice.now + 3;
    world.attempt_with(&alice, step, right).must_be_refused("a right code, in the same second")?;
    world.attempt_with(&alice, step + 121, right).must_be_let_in("the right code an hour later")
}

pub(crate) fn eight_users_at_once(course: &Course) -> Finding {
    let users = ["ada", "bob", "cyd", "dan", "eva", "fay", "gus", "hal"];
    let (world, people) = World::with(course.module, &users, Extra::Nothing, &mut course.random());
    // Of all of them, so that the same step is new to each.
    let first = people.iter().map(|person| person.now).max().unwrap_or_default();
    let mut tally = Tally::default();
    for step in (first..).take(course.count) {
        let logins = people.iter().map(|person| world.login(person, step).types(person.code(step))).collect();
        let outcomes: Vec<Outcome> = at_once(logins).iter().map(Outcome::of).collect();
        let refused: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_let_in()).collect();
        tally.add(match refused.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} of {} were not let in: {first}", refused.len(), users.len())),
        });
    }
    Ok(tally)
}

/// For how long a lock is held that a login waits for: long after it has asked for it, and long before it gives up.
const HELD_FOR: Duration = Duration::from_secs(1);

/// A process that takes the account's lock and never lets go of it: nobody is let in by that, nor hangs. One that lets go is waited for.
pub(crate) fn held_lock(course: &Course) -> Finding {
    if course.module != Module::Mfa {
        return Err(Unfit::NotApplicable("it takes no lock by flock(2)"));
    }
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let folder =
        File::open(world.store.file(&format!("users/{}", alice.account.user))).expect("our own folder");
    folder.lock().expect("nobody else has it");
    let mut tally = Tally::default();
    tally.add(world.attempt(&alice, alice.now).must_be_refused("the login"));
    folder.unlock().expect("our own lock");
    tally.add(world.attempt(&alice, alice.now).must_be_let_in("the login afterwards"));
    let step = alice.now + 1;
    let mut waits = world.login(&alice, step).answers(Answer::Held(alice.code(step).into())).start();
    waits.wait_for_the_prompt();
    folder.lock().expect("nobody else has it");
    let waited = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(HELD_FOR);
            folder.unlock().expect("our own lock");
        });
        Outcome::of(&waits.finish())
    });
    tally.add(waited.must_be_let_in("the login that had to wait"));
    Ok(tally)
}

pub(crate) fn another_session(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for step in (alice.now..).step_by(2).take(course.count) {
        let sits = world.login(&alice, step + 1).answers(Answer::Held(alice.code(step + 1).into()));
        let mut sits = sits.start();
        sits.wait_for_the_prompt();
        let other = world.attempt(&alice, step).must_be_let_in("the other session");
        let sits = Outcome::of(&sits.finish());
        tally.add(other.and_then(|()| sits.must_be_let_in("who sat at the prompt")));
    }
    Ok(tally)
}

pub(crate) fn stranger_guesses(course: &Course) -> Finding {
    const EACH: usize = 10;
    let mut tally = Tally::default();
    let (undamaged, alice) = World::of_alice(course.module, Extra::Throttle, &mut course.random());
    for round in 0..course.count {
        let world = undamaged.copy();
        let at_home = |step| play::run(world.login(&alice, step).from(HOME).types(alice.code(step)));
        let first = at_home(alice.now).must_be_let_in("the owner, before anybody guessed");
        let step = alice.now + 2;
        for guess in 0..EACH {
            let wrong = alice.wrong_code(step, round * EACH + guess);
            play::run(world.login(&alice, step).from(ELSEWHERE).types(wrong));
        }
        tally.add(first.and_then(|()| {
            at_home(step).must_be_let_in("the owner, after a stranger guessed wrong 10 times")
        }));
    }
    let remark = (course.module == Module::Oath)
        .then_some("it counts no wrong guesses: the stranger goes on for ever");
    tally.remark = remark.map(str::to_owned);
    Ok(tally)
}

//! A system that fails one of the things a login asks of it, or fails them all: refused or accepted correctly, nothing lost.

use std::path::{Path, PathBuf};

use mfa_test_harness::Transcript;
use nix::errno::Errno;

use crate::adapters::{Extra, Module, Person, World};
use crate::calls::{Deed, described};
use crate::changes::{CHANGES, Scene};
use crate::course::Course;
use crate::enrollment;
use crate::play::{Outcome, Told};
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};
use crate::tracer::{self, Call, Next, Stop, Tracee};

const ERRORS: [Errno; 5] = [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EDQUOT, Errno::EMFILE];

/// Each call once with each error, the rest of the login undisturbed.
pub(crate) fn one_call_fails(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let faults: Vec<(usize, Errno)> = (0..calls_of(&undamaged, &alice) + LATER)
        .flat_map(|index| ERRORS.map(|error| (index, error)))
        .collect();
    let (mut tally, mut world, mut step) = (Tally::default(), undamaged.copy(), alice.now);
    for (index, error) in course.pick(faults.len()).into_iter().filter_map(|at| faults.get(at)) {
        let failed = failed_once(&world, &alice, step, *index, |_| Next::Fail(*error));
        step += 2;
        let Some(sound) = failed else { continue };
        let sound = sound.map_err(|(call, what)| format!("{error} from {call}: {what}"));
        if sound.is_err() {
            world = undamaged.copy();
        }
        tally.add(sound);
    }
    Ok(tally.remark(format!("each call with {} errors", ERRORS.len())))
}

/// Each write once writes less than it was given: half of it, an eighth, a byte.
pub(crate) fn short_writes(course: &Course) -> Finding {
    const PARTS: [u64; 3] = [2, 8, u64::MAX];
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let (mut tally, mut world, mut step) = (Tally::default(), undamaged.copy(), alice.now);
    for (index, part) in
        (0..calls_of(&undamaged, &alice) + LATER).flat_map(|index| PARTS.map(|part| (index, part)))
    {
        let mut shortened = None;
        let sound = failed_once(&world, &alice, step, index, |call| {
            if !matches!(call.number, libc::SYS_write | libc::SYS_pwrite64) {
                return Next::GoOn;
            }
            let length = (call.arguments[2] / part).max(1);
            shortened = Some(length);
            Next::Shorten(length)
        });
        if let (Some(length), Some(sound)) = (shortened, sound) {
            tally.add(sound.map_err(|(call, what)| format!("{call} wrote {length} bytes: {what}")));
            world = undamaged.copy();
        }
        step += 2;
    }
    Ok(tally)
}

/// A wrong code stays a wrong code, whatever fails.
pub(crate) fn wrong_code_while_a_call_fails(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let wrong = alice.wrong_code(alice.now, 0);
    let mut tally = Tally::default();
    for index in course.pick(calls_of(&undamaged, &alice) + LATER) {
        let world = undamaged.copy();
        let (login, call) = faulty(&world, &alice, alice.now, &wrong, index, |_| Next::Fail(Errno::EIO));
        let Some(call) = call else { continue };
        let sound = Outcome::of(&login).must_be_refused("a wrong code");
        let sound =
            sound.and_then(|()| world.attempt(&alice, alice.now + 20).must_be_let_in("the right code later"));
        tally.add(sound.map_err(|what| format!("EIO from {call}: {what}")));
    }
    Ok(tally)
}

/// All that would change the module's files fails, login after login, until it is well again.
pub(crate) fn disk_stays_broken(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for error in ERRORS {
        for scope in [Scope::AllChanges, Scope::Syncs] {
            let sound = while_broken(&undamaged.copy(), &alice, scope, error);
            tally.add(sound.map_err(|what| format!("{error} on {scope:?}: {what}")));
        }
    }
    Ok(tally)
}

/// Each call of an enrollment once with an error; the device from before has to survive it.
pub(crate) fn one_call_of_an_enrollment_fails(course: &Course) -> Finding {
    enrollment::must_be_there(course.module)?;
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut calls = 0;
    let whole = enrollment::traced(&undamaged.copy(), |tracee, stop| {
        calls += usize::from(matches!(stop, Stop::Before(call) if can_fail(tracee, call)));
        Next::GoOn
    });
    whole.must_be_done().expect("nothing befell this enrollment");
    let mut tally = Tally::default();
    for at in course.pick(calls * ERRORS.len()) {
        let (index, error) =
            (at / ERRORS.len(), *ERRORS.get(at % ERRORS.len()).expect("it is below their number"));
        let world = undamaged.copy();
        let mut fault = Fault::at(index, &world);
        let disturbed =
            enrollment::traced(&world, |tracee, stop| fault.next(tracee, stop, |_| Next::Fail(error)));
        let sound = disturbed.must_be_sound(&world, Some(&alice));
        tally.add(sound.map_err(|what| format!("{error} from {}: {what}", fault.call)));
    }
    Ok(tally.remark(format!("of {calls} calls with {} errors", ERRORS.len())))
}

/// Each call of every other change once with an error.
pub(crate) fn one_call_of_a_change_fails(course: &Course) -> Finding {
    let scene = Scene::new(course)?;
    let (mut tally, mut calls_of_all) = (Tally::default(), 0);
    for change in CHANGES {
        let mut calls = 0;
        Scene::traced(&scene.world(change), change, |tracee, stop| {
            calls += usize::from(matches!(stop, Stop::Before(call) if can_fail(tracee, call)));
            Next::GoOn
        })
        .must_be_done();
        for at in course.part_of(CHANGES.len()).pick(calls * ERRORS.len()) {
            let (index, error) =
                (at / ERRORS.len(), *ERRORS.get(at % ERRORS.len()).expect("it is below their number"));
            let world = scene.world(change);
            let mut fault = Fault::at(index, &world);
            let disturbed =
                Scene::traced(&world, change, |tracee, stop| fault.next(tracee, stop, |_| Next::Fail(error)));
            let sound = scene.must_be_sound(&world, change, &disturbed, disturbed.told());
            tally.add(
                sound.map_err(|what| format!("{} with {error} from {}: {what}", change.name, fault.call)),
            );
        }
        calls_of_all += calls;
    }
    Ok(tally.remark(format!("of {calls_of_all} calls with {} errors", ERRORS.len())))
}

/// A full disk on which what is there can't be written over either, as where each write takes new blocks: nobody is locked out, no code
/// works twice, and a wrong one is a wrong one.
pub(crate) fn full_disk(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for error in [Errno::ENOSPC, Errno::EDQUOT] {
        tally.add(while_full(&undamaged.copy(), &alice, error).map_err(|what| format!("{error}: {what}")));
    }
    Ok(tally)
}

fn while_full(world: &World, person: &Person, error: Errno) -> Attempt {
    let full = |step: u64, typed: &str| broken_login(world, person, step, typed, Scope::Writes, error);
    let (now, next) = (person.now, person.now + 1);
    full(now, person.code(now)).must_be_let_in("the right code")?;
    full(now, person.code(now)).must_be_refused("the same code")?;
    full(now, &person.wrong_code(now, 0)).must_be_refused("a wrong code")?;
    full(next, person.code(next)).must_be_let_in("the next code")?;
    world.attempt_with(person, next, person.code(next)).must_be_refused("it, with room again")?;
    world.attempt(person, now + 20).must_be_let_in("a new code, with room again")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    AllChanges,
    Syncs,
    Writes,
}

/// A login on a disk that fails all of these.
fn broken_login(
    world: &World,
    person: &Person,
    step: u64,
    typed: &str,
    scope: Scope,
    error: Errno,
) -> Outcome {
    let folder = world.store.path();
    Outcome::of(&tracer::trace(world.login(person, step).types(typed), |tracee, stop| match stop {
        Stop::Before(call) if is_broken(tracee, call, scope, &folder) => Next::Fail(error),
        Stop::Before(_) | Stop::After(..) | Stop::Ended => Next::GoOn,
    }))
}

fn while_broken(world: &World, person: &Person, scope: Scope, error: Errno) -> Attempt {
    let broken = |step: u64, typed: &str| broken_login(world, person, step, typed, scope, error);
    let mut accepted = Vec::new();
    for step in [person.now, person.now + 1] {
        let code = person.code(step);
        for _ in 0..2 {
            let outcome = broken(step, code);
            outcome.must_be_an_answer("the login")?;
            if outcome.is_let_in() {
                if accepted.contains(&step) {
                    return Err("a code worked twice".to_owned());
                }
                accepted.push(step);
            }
        }
        broken(step, &person.wrong_code(step, 0)).must_be_refused("a wrong code")?;
    }
    let step = person.now + 1;
    for used in accepted {
        world
            .attempt_with(person, step, person.code(used))
            .must_be_refused("a used code, when all is well again")?;
    }
    world.attempt(person, person.now + 20).must_be_let_in("a new code, when all is well again")
}

/// What can be used once at any time must not be used while the disk is broken and again when the host was started anew: what lies in
/// /run is gone then.
pub(crate) fn restart_after_a_broken_disk(course: &Course) -> Finding {
    tracer::must_work()?;
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it has no recovery codes"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let code = alice.account.recovery_codes().first().expect("there are ten");
    let mut tally = Tally::default();
    for error in ERRORS {
        let world = undamaged.copy();
        let (folder, mut elsewhere) = (world.store.path(), Vec::new());
        let login = tracer::trace(world.login(&alice, alice.now).types(code), |tracee, stop| {
            let Stop::Before(call) = stop else { return Next::GoOn };
            if is_broken(tracee, call, Scope::AllChanges, &folder) {
                return Next::Fail(error);
            }
            let place = Deed::of(call).place(tracee).filter(|place| place.starts_with("/run/pam-mfa"));
            elsewhere.extend(place);
            Next::GoOn
        });
        for place in elsewhere.iter().filter(|place| place.is_file()) {
            std::fs::remove_file(place).expect("the kit runs as root");
        }
        let again = world.attempt_with(&alice, alice.now, code);
        let sound = if login.let_in() {
            again.must_be_refused("the recovery code that was accepted, after a restart")
        } else {
            again.must_be_let_in("the recovery code that was refused, when all is well again")
        };
        tally.add(sound.map_err(|what| format!("{error}: {what}")));
    }
    Ok(tally)
}

/// So many calls of a login can fail.
fn calls_of(world: &World, person: &Person) -> usize {
    let mut calls = 0;
    let world = world.copy();
    let login = world.login(person, person.now).types(person.code(person.now));
    let whole = tracer::trace(login, |tracee, stop| {
        calls += usize::from(matches!(stop, Stop::Before(call) if can_fail(tracee, call)));
        Next::GoOn
    });
    assert!(whole.let_in(), "nothing befell this login, and yet: {whole:#?}");
    calls
}

/// A login may make so many calls more than the first one did: a fault may have left something that the next one looks at.
const LATER: usize = 8;

/// A login with something done to one of its calls, and what has to hold then; nothing if it made fewer calls.
fn failed_once(
    world: &World,
    person: &Person,
    step: u64,
    index: usize,
    what: impl FnMut(&Call) -> Next,
) -> Option<Result<(), (String, String)>> {
    let code = person.code(step);
    let (login, call) = faulty(world, person, step, code, index, what);
    let call = call?;
    let sound = Outcome::of(&login)
        .must_be_an_answer("the login")
        .and_then(|()| world.must_be_sound_after(person, step, code, Told::by(&login)));
    Some(sound.map_err(|wrong| (call, wrong)))
}

fn faulty(
    world: &World,
    person: &Person,
    step: u64,
    typed: &str,
    index: usize,
    mut what: impl FnMut(&Call) -> Next,
) -> (Transcript, Option<String>) {
    let mut fault = Fault::at(index, world);
    let login = world.login(person, step).types(typed);
    let transcript = tracer::trace(login, |tracee, stop| fault.next(tracee, stop, &mut what));
    let struck = fault.calls_left == 0;
    (transcript, struck.then_some(fault.call))
}

/// Counts the calls that can fail, and strikes at one of them.
struct Fault {
    calls_left: usize,
    folder: PathBuf,
    /// Which it was, for people.
    call: String,
}

impl Fault {
    fn at(index: usize, world: &World) -> Self {
        Self { calls_left: index + 1, folder: world.store.path(), call: "no call".to_owned() }
    }

    fn next(&mut self, tracee: &Tracee, stop: &Stop, what: impl FnOnce(&Call) -> Next) -> Next {
        let Stop::Before(call) = stop else { return Next::GoOn };
        if self.calls_left == 0 || !can_fail(tracee, call) {
            return Next::GoOn;
        }
        self.calls_left -= 1;
        if self.calls_left > 0 {
            return Next::GoOn;
        }
        self.call = described(tracee, call, &self.folder);
        what(call)
    }
}

/// Whether it is a write, a sync, an open, a rename or their like. What the host program tells its test goes through a pipe.
fn can_fail(tracee: &Tracee, call: &Call) -> bool {
    Deed::of(call).place(tracee).is_some()
}

/// Whether a call would change something below `folder`.
fn is_broken(tracee: &Tracee, call: &Call, scope: Scope, folder: &Path) -> bool {
    let deed = Deed::of(call);
    let in_scope = match scope {
        Scope::AllChanges => deed.changes(),
        Scope::Syncs => matches!(deed, Deed::Syncs { .. }),
        Scope::Writes => matches!(deed, Deed::Writes { .. }),
    };
    in_scope && deed.place(tracee).is_some_and(|place| place.starts_with(folder))
}

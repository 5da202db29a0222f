//! kill -9 at any moment: the next login works, no code works twice, no lock is left, no secret is lost.

use std::path::PathBuf;

use mfa_test_harness::{Host, Login, Moments, Store, moments};

use crate::adapters::{Extra, Module, Person, World};
use crate::calls::described;
use crate::changes::{CHANGES, Scene};
use crate::course::Course;
use crate::enrollment;
use crate::play::Told;
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};
use crate::tracer::{self, Next, Stop, Tracee};

pub(crate) fn login_at_random_moments(course: &Course) -> Finding {
    let mut random = course.random();
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut random);
    let mut world = undamaged.copy();
    let mut step = alice.now;
    let (took, undisturbed) = moments::timed(held(&world, &alice, step));
    assert!(undisturbed.let_in(), "nothing befell this login");
    let mut moments = Moments::within(took);
    step += 1;
    let (mut tally, mut cut_short) = (Tally::default(), 0);
    for _ in 0..course.count {
        let mut login = held(&world, &alice, step).start();
        login.wait_for_the_call();
        let moment = moments.after(random.part());
        login.let_go();
        moments::spin(moment);
        let killed = login.kill();
        if killed.returned.is_empty() {
            cut_short += 1;
            moments.later();
        } else {
            moments.earlier();
        }
        let sound = world.must_be_sound_after(&alice, step, alice.code(step), Told::by(&killed));
        if sound.is_err() {
            // Else what it left would count against all that follow.
            world = undamaged.copy();
        }
        tally.add(sound);
        step += 2;
    }
    if course.count >= 100 && !(course.count / 4..=course.count * 3 / 4).contains(&cut_short) {
        return Err(Unfit::Broke(format!(
            "{cut_short} of {} were cut short: the moments missed",
            course.count
        )));
    }
    Ok(tally.remark(format!("{cut_short} of them were cut short, the rest had their answer")))
}

pub(crate) fn login_at_every_call(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut world = undamaged.copy();
    let stops = stops_of(world.login(&alice, alice.now).types(alice.code(alice.now)));
    let (mut tally, mut step) = (Tally::default(), alice.now + 1);
    for moment in course.pick(stops) {
        let code = alice.code(step);
        let sound = killed_at(&world, &alice, step, code, moment);
        if sound.is_err() {
            world = undamaged.copy();
        }
        tally.add(sound);
        step += 2;
    }
    Ok(tally.remark(format!("a login has {stops} such moments: before and after each system call")))
}

pub(crate) fn recovery_at_every_call(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it has no recovery codes"));
    }
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let code = alice.account.recovery_codes().first().expect("there are ten");
    let stops = stops_of(undamaged.copy().login(&alice, alice.now).types(code));
    let mut tally = Tally::default();
    for moment in course.pick(stops) {
        tally.add(killed_at(&undamaged.copy(), &alice, alice.now, code, moment));
    }
    Ok(tally.remark(format!("of {stops} moments: before and after each system call")))
}

fn killed_at(world: &World, person: &Person, step: u64, typed: &str, moment: usize) -> Attempt {
    let mut knife = Knife::at(moment, world);
    let killed =
        tracer::trace(world.login(person, step).types(typed), |tracee, stop| knife.next(tracee, stop));
    let sound = world.must_be_sound_after(person, step, typed, Told::by(&killed));
    sound.map_err(|what| format!("killed {}: {what}", knife.place))
}

/// Counts the moments, and kills at one of them.
struct Knife {
    moments_left: usize,
    folder: PathBuf,
    /// Where it killed, for people.
    place: String,
}

impl Knife {
    fn at(moment: usize, world: &World) -> Self {
        Self { moments_left: moment, folder: world.store.path(), place: "not at all".to_owned() }
    }

    fn next(&mut self, tracee: &Tracee, stop: &Stop) -> Next {
        let Some(moments_left) = self.moments_left.checked_sub(1) else {
            self.place = match stop {
                Stop::Before(call) => format!("before {}", described(tracee, call, &self.folder)),
                Stop::After(call, _) => format!("after {}", described(tracee, call, &self.folder)),
                Stop::Ended => "at its end".to_owned(),
            };
            return Next::Kill;
        };
        self.moments_left = moments_left;
        Next::GoOn
    }
}

/// An enrollment of a second device; the account has one that works.
pub(crate) fn enrollment_at_every_call(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    killed_enrollments(course, &undamaged, Some(&alice))
}

/// An enrollment into a store where nothing is, and into one where somebody else has an account.
pub(crate) fn first_enrollment_at_every_call(course: &Course) -> Finding {
    let mut tally = killed_enrollments(course, &World::over(course.module, Store::temporary()), None)?;
    let (beside_bob, _) = World::with(course.module, &["bob"], Extra::Nothing, &mut course.random());
    tally.append(killed_enrollments(course, &beside_bob, None)?);
    Ok(tally)
}

fn killed_enrollments(course: &Course, undamaged: &World, owner: Option<&Person>) -> Finding {
    enrollment::must_be_there(course.module)?;
    tracer::must_work()?;
    let mut stops = 0;
    enrollment::traced(&undamaged.copy(), |_, _| {
        stops += 1;
        Next::GoOn
    })
    .must_be_done()
    .expect("nothing befell this enrollment");
    let mut tally = Tally::default();
    for moment in course.pick(stops) {
        let world = undamaged.copy();
        let mut knife = Knife::at(moment, &world);
        let killed = enrollment::traced(&world, |tracee, stop| knife.next(tracee, stop));
        let sound = killed.must_be_sound(&world, owner);
        tally.add(sound.map_err(|what| format!("killed {}: {what}", knife.place)));
    }
    Ok(tally.remark(format!("an enrollment has {stops} such moments")))
}

/// Every other change of an account by the module's own programs.
pub(crate) fn change_at_every_call(course: &Course) -> Finding {
    let scene = Scene::new(course)?;
    let (mut tally, mut stops_of_all) = (Tally::default(), 0);
    for change in CHANGES {
        let mut stops = 0;
        Scene::traced(&scene.world(change), change, |_, _| {
            stops += 1;
            Next::GoOn
        })
        .must_be_done();
        for moment in course.part_of(CHANGES.len()).pick(stops) {
            let world = scene.world(change);
            let mut knife = Knife::at(moment, &world);
            let killed = Scene::traced(&world, change, |tracee, stop| knife.next(tracee, stop));
            let sound = scene.must_be_sound(&world, change, &killed, killed.told());
            tally.add(sound.map_err(|what| format!("{} killed {}: {what}", change.name, knife.place)));
        }
        stops_of_all += stops;
    }
    Ok(tally.remark(format!("{} changes have {stops_of_all} such moments", CHANGES.len())))
}

/// So often a login can be killed between two things that it does.
fn stops_of(login: Login) -> usize {
    let mut stops = 0;
    let whole = tracer::trace(login, |_, _| {
        stops += 1;
        Next::GoOn
    });
    assert!(whole.let_in(), "nothing befell this login, and yet: {whole:#?}");
    stops
}

fn held(world: &World, person: &Person, step: u64) -> Login {
    let host = Host { starts_held: true, ..Host::default() };
    world.login(person, step).host(host).types(person.code(step))
}

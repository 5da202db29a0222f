//! Somebody with several devices: each counts, each for itself.

use mfa_test_harness::{Account, at_once};

use crate::adapters::{Extra, Module, Person, World};
use crate::course::Course;
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};

/// Each device's code works, once; no device stands in for another.
pub(crate) fn each_counts(course: &Course) -> Finding {
    let (world, devices) = with_devices(course)?;
    let mut tally = Tally::default();
    for round in 0..course.count {
        let step = first(&devices) + 3 * u64::try_from(round).expect("a usize has 64 bits at most");
        let attempt = || {
            for (which, device) in devices.iter().enumerate() {
                world.attempt(device, step).must_be_let_in(&format!("a code of device {which}"))?;
                for (again, used) in devices.iter().enumerate().take(which + 1) {
                    let what = format!("a used code of device {again}, after device {which} was used");
                    world.attempt(used, step).must_be_refused(&what)?;
                }
            }
            Ok(())
        };
        tally.add(attempt());
    }
    Ok(tally)
}

/// 64 processes at a barrier, some with the code of each device: exactly one for each device.
pub(crate) fn each_once_at_once(course: &Course) -> Finding {
    const PROCESSES: usize = 64;
    let (world, devices) = with_devices(course)?;
    let mut tally = Tally::default();
    for step in (first(&devices)..).take(course.count) {
        let logins = devices
            .iter()
            .cycle()
            .take(PROCESSES)
            .map(|device| world.login(device, step).types(device.code(step)));
        let let_in = at_once(logins.collect()).iter().filter(|login| login.let_in()).count();
        let one_each: Attempt = if let_in == devices.len() {
            Ok(())
        } else {
            Err(format!("{let_in} were let in for {} devices", devices.len()))
        };
        tally.add(one_each);
    }
    Ok(tally)
}

fn first(devices: &[Person]) -> u64 {
    devices.iter().map(|device| device.now).max().unwrap_or_default()
}

fn with_devices(course: &Course) -> Result<(World, Vec<Person>), Unfit> {
    match course.module {
        Module::Mfa => {}
        Module::GoogleAuthenticator | Module::Oath => {
            return Err(Unfit::NotApplicable("an account has one device"));
        }
    }
    let (world, phone) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let others = (0..2).map(|_| Person::new(Account::enroll(&world.store, &phone.account.user)));
    let devices = std::iter::once(phone.clone()).chain(others).collect();
    Ok((world, devices))
}

//! Somebody with several devices: each counts, each for itself.

use std::process::Stdio;

use mfa_test_harness::account::{mfa_enroll, unix_seconds};
use mfa_test_harness::oathtool::hotp;
use mfa_test_harness::{Account, at_once};
use serde_json::Value;

use crate::adapters::{self, Extra, Module, Person, World};
use crate::course::Course;
use crate::play;
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};

/// At the barrier.
const PROCESSES: usize = 64;

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

/// What is put aside, removed, replaced or not yet proven lets nobody in; what is taken up again does.
pub(crate) fn only_active_ones_count(course: &Course) -> Finding {
    let (undamaged, devices) = with_devices(course)?;
    let [phone, spare, _] = devices.as_slice() else { panic!("three were enrolled") };
    let step = first(&devices);
    let mut tally = Tally::default();
    let enroll = |world: &World, arguments: &[&str]| -> Attempt {
        let done = mfa_enroll(&world.store, "alice").args(arguments).stdin(Stdio::null()).output();
        let done = done.expect("it has started before");
        if done.status.success() {
            return Ok(());
        }
        Err(format!("mfa-enroll {arguments:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))
    };
    for device in [phone, spare] {
        let name = device.account.device.as_str();
        let world = undamaged.copy();
        let other = if std::ptr::eq(device, phone) { spare } else { phone };
        let attempt = || {
            enroll(&world, &["suspend", name, "--yes"])?;
            world.attempt(device, step).must_be_refused("a suspended device")?;
            world.attempt(other, step).must_be_let_in("another device meanwhile")?;
            enroll(&world, &["resume", name])?;
            world.attempt(device, step + 3).must_be_let_in("the device, taken up again")?;
            world.attempt(device, step + 3).must_be_refused("its code once more")?;
            enroll(&world, &["remove", name, "--yes"])?;
            world.attempt(device, step + 4).must_be_refused("a removed device")?;
            world.attempt(other, step + 4).must_be_let_in("another device afterwards")
        };
        tally.add(attempt());
    }
    for others in [&["add", "--json"][..], &["add", "--json", "--replace", phone.account.device.as_str()]] {
        let world = undamaged.copy();
        let offer = mfa_enroll(&world.store, "alice").args(others).stdin(Stdio::null()).output();
        let offer = offer.expect("it has started before").stdout;
        let offer: Value = serde_json::from_slice(&offer).unwrap_or_default();
        let secret = offer.get("secret").and_then(Value::as_str).unwrap_or_default();
        let code = adapters::generator(secret.to_owned()).code(step);
        let attempt = || {
            world.attempt_with(phone, step, &code).must_be_refused("a device that nobody has proven")?;
            world.attempt(phone, step).must_be_let_in("the device from before")
        };
        tally.add(attempt());
    }
    Ok(tally)
}

/// Two devices that happen to show the same digits in one window: who saw them on the one must not get in by the other.
pub(crate) fn colliding_devices(course: &Course) -> Finding {
    const STEPS: u64 = 1_000_000;
    let (undamaged, devices) = with_devices(course)?;
    let [one, other, _] = devices.as_slice() else { panic!("three were enrolled") };
    let begin = first(&devices) + 10;
    let codes = [one, other].map(|device| device.account.generator.codes(begin, STEPS));
    let [of_one, of_other] = &codes;
    let mut tally = Tally::default();
    for (early, late) in [(of_one, of_other), (of_other, of_one)] {
        for apart in [0, 1, 2] {
            let pairs = early.iter().zip(late.iter().skip(apart)).enumerate();
            let pairs = pairs.filter(|(_, (early, late))| early == late).take(course.count);
            for (index, (code, _)) in pairs {
                let earlier = begin + u64::try_from(index).expect("a usize has 64 bits at most");
                let later = earlier + u64::try_from(apart).expect("0, 1 or 2");
                for clock in earlier - 1..=earlier + 1 {
                    // The later one is burnt with the earlier if it was in the window. If not, the digits are dead as long as the earlier
                    // one is in it: one step at least, as the window follows the device's clock.
                    let last = if later <= clock + 1 { later + 1 } else { clock + 1 };
                    let world = undamaged.copy();
                    let types = |clock: u64| world.attempt_with(one, clock, code);
                    let attempt = || {
                        types(clock).must_be_let_in("a code that two devices show")?;
                        (clock..=last).try_for_each(|again| {
                            types(again)
                                .must_be_refused(&format!("the same digits {} steps later", again - clock))
                        })
                    };
                    tally.add(attempt().map_err(|what| format!("{apart} apart: {what}")));
                }
            }
        }
    }
    assert!(tally.tried > 0, "no colliding codes among {STEPS}: try another seed");
    Ok(tally)
}

/// A device that counts: each of its codes once, the ones before it never again, and not too far ahead.
pub(crate) fn counter_device(course: &Course) -> Finding {
    let (undamaged, secret, next) = World::of_alice_who_counts(course.module, &mut course.random());
    let now = unix_seconds();
    let code = |counter: u64| hotp(&secret, 6, counter);
    let mut tally = Tally::default();
    for skipped in [0, 1] {
        let world = undamaged.copy();
        let types = |counter: u64| play::run(world.login_of("alice").at(now).types(code(counter)));
        let attempt = || {
            let used = next + skipped;
            types(used).must_be_let_in("the next code, or the one after it")?;
            for dead in (next..=used).rev() {
                types(dead).must_be_refused("a code that is used, or older than a used one")?;
            }
            types(used + 60).must_be_refused("a code far ahead")?;
            types(used + 1).must_be_let_in("the code after that: what was refused moved nothing")
        };
        tally.add(attempt());
    }
    let let_in = at_once(vec![undamaged.login_of("alice").at(now).types(code(next)); PROCESSES]);
    let let_in = let_in.iter().filter(|login| login.let_in()).count();
    tally.add(if let_in == 1 {
        Ok(())
    } else {
        Err(format!("{let_in} of {PROCESSES} were let in with one code"))
    });
    Ok(tally)
}

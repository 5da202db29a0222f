//! Host programs out of the ordinary: hardly any descriptors, file size or memory; SIGCHLD ignored; threads; any umask.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mfa_test_harness::{Host, Login, in_threads};

use crate::adapters::{Extra, Module, Person, World};
use crate::course::Course;
use crate::play::{self, Outcome, Told};
use crate::scoreboard::{Attempt, Finding, Tally, Unfit};

/// RLIMIT_NOFILE.
pub(crate) fn few_descriptors(course: &Course) -> Finding {
    limited(course, (0..24).map(|open_files| Host { open_files: Some(open_files), ..Host::default() }))
}

/// RLIMIT_FSIZE.
pub(crate) fn small_files(course: &Course) -> Finding {
    let limits = [0, 1, 16, 64, 100, 511, 512, 4095, 4096, 4097, 8191, 8192, 1 << 20];
    limited(course, limits.map(|file_bytes| Host { file_bytes: Some(file_bytes), ..Host::default() }))
}

/// RLIMIT_AS.
pub(crate) fn little_memory(course: &Course) -> Finding {
    let limits = [0, 4, 16, 64, 128, 256, 512, 768, 1024, 1536, 2048, 4096, 8192];
    limited(course, limits.map(|kib| Host { memory_headroom: Some(kib << 10), ..Host::default() }))
}

/// The same, with a code that takes memory to look at.
pub(crate) fn little_memory_for_a_recovery(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it has no recovery codes"));
    }
    let (undamaged, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let code = alice.account.recovery_codes().first().expect("there are ten");
    let mut tally = Tally::default();
    for kib in [0, 256, 1024, 4096, 8192, 16_384, 20_480, 24_576, 65_536] {
        let host = Host { memory_headroom: Some(kib << 10), ..Host::default() };
        let sound = survives(&undamaged.copy(), &alice, alice.now, code, host);
        tally.add(sound.map_err(|what| format!("{kib} KiB: {what}")));
    }
    Ok(tally)
}

fn limited(course: &Course, hosts: impl IntoIterator<Item = Host>) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for host in hosts {
        let world = undamaged.copy();
        // Twice in the same folder: what the first leaves is there for the second.
        for step in [alice.now, alice.now + 2] {
            let sound = survives(&world, &alice, step, alice.code(step), host.clone());
            tally.add(sound.map_err(|what| format!("{}: {what}", limits_of(&host))));
        }
    }
    Ok(tally)
}

/// The host lives, and no code works twice; with its limits gone the next code works.
fn survives(world: &World, person: &Person, step: u64, typed: &str, host: Host) -> Attempt {
    let outcome = play::run(world.login(person, step).host(host).types(typed));
    outcome.must_be_an_answer("the login")?;
    let told = if outcome.is_let_in() { Told::LetIn } else { Told::NotLetIn };
    world.must_be_sound_after(person, step, typed, told)
}

fn limits_of(host: &Host) -> String {
    let limits = [
        (host.open_files, "descriptors"),
        (host.file_bytes, "bytes in a file"),
        (host.memory_headroom, "bytes of memory"),
    ];
    let said = limits.iter().filter_map(|(limit, unit)| limit.map(|limit| format!("{limit} {unit}")));
    said.collect::<Vec<_>>().join(", ")
}

/// A host program that ignores SIGCHLD.
pub(crate) fn ignores_children(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let mut tally = Tally::default();
    for step in (alice.now..).step_by(2).take(course.count) {
        let login = world.login(&alice, step).on_a_host_that_ignores_children();
        let first = play::run(login.types(alice.code(step))).must_be_let_in("the login");
        tally
            .add(first.and_then(|()| world.must_be_sound_after(&alice, step, alice.code(step), Told::LetIn)));
    }
    Ok(tally)
}

/// Whatever the umask, the secret stays between the module and its files.
pub(crate) fn any_umask(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for umask in [0o000, 0o002, 0o022, 0o027, 0o077, 0o177, 0o777] {
        let world = undamaged.copy();
        let host = Host { umask: Some(umask), ..Host::default() };
        let attempt = || {
            for step in [alice.now, alice.now + 2] {
                let outcome = play::run(world.login(&alice, step).host(host.clone()).types(alice.code(step)));
                outcome.must_be_let_in("the login")?;
                world.must_be_sound_after(&alice, step, alice.code(step), Told::LetIn)?;
            }
            nobody_else_can_read(&world, &alice)
        };
        tally.add(attempt().map_err(|what| format!("umask {umask:03o}: {what}")));
    }
    Ok(tally)
}

fn nobody_else_can_read(world: &World, person: &Person) -> Attempt {
    for path in world.files(person) {
        let mode =
            fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("the login left {} with mode {:03o}", path.display(), mode & 0o777));
        }
    }
    Ok(())
}

/// A host program with threads: each has its handle, its person, its code.
pub(crate) fn threads(course: &Course) -> Finding {
    let users = ["ada", "bob", "cyd", "dan", "eva", "fay", "gus", "hal"];
    let (world, people) = World::with(course.module, &users, Extra::Nothing, &mut course.random());
    let first = people.iter().map(|person| person.now).max().unwrap_or_default();
    let mut tally = Tally::default();
    for step in (first..).step_by(2).take(course.count) {
        let logins: Vec<Login> =
            people.iter().map(|person| world.login(person, step).types(person.code(step))).collect();
        let refused = in_threads(logins).iter().map(Outcome::of).find(|outcome| !outcome.is_let_in());
        let all = refused.map_or(Ok(()), |outcome| Err(format!("each its own: {outcome}")));
        let one = people.first().expect("eight were asked for");
        let login = world.login(one, step + 1).types(one.code(step + 1));
        let let_in = in_threads(vec![login; users.len()]).iter().filter(|login| login.let_in()).count();
        let once = if let_in == 1 { Ok(()) } else { Err(format!("all the same code: {let_in} were let in")) };
        tally.add(all.and(once));
    }
    Ok(tally)
}

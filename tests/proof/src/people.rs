//! What people are called, what they type, and what a host program hands over instead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use mfa_test_harness::Answer;
use mfa_test_harness::names::NO_FILE_NAMES;

use crate::adapters::{Extra, Module, Person, World};
use crate::course::Course;
use crate::play::{self, Outcome};
use crate::scoreboard::{Attempt, Finding, Tally};

/// Nobody of that name is let in with the code of alice, nothing breaks, and nothing is left behind.
pub(crate) fn ugly_names(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let long = "a".repeat(4096);
    let outside = world.store.beside("outside");
    fs::create_dir(&outside).expect("a folder in our own");
    let mut tally = Tally::default();
    let mut step = alice.now;
    for name in NO_FILE_NAMES.iter().chain(OTHER_NAMES).copied().chain([long.as_bytes()]) {
        let before = names_below(&world.store.beside(""));
        let outcome = play::run(world.login_of(name).at(alice.account.at(step)).types(alice.code(step)));
        let sound: Attempt = outcome.must_be_refused("that login").and_then(|()| {
            let left: Vec<_> = names_below(&world.store.beside("")).difference(&before).cloned().collect();
            // Accounts that are nobody's, which make all names look alike.
            match left.iter().find(|name| !name.to_string_lossy().contains("decoy")) {
                Some(name) => Err(format!("{} was left behind", name.display())),
                None => Ok(()),
            }
        });
        let sound = sound.and_then(|()| world.attempt(&alice, step).must_be_let_in("alice afterwards"));
        tally.add(sound.map_err(|what| format!("\"{}\": {what}", shortened(name))));
        step += 2;
    }
    Ok(tally)
}

/// What one module or another takes for a name of its own.
const OTHER_NAMES: &[&[u8]] =
    &[b"${USER}", b"Alice", b"alice\t-\t00", b"CORP\\alice", b"alice@CORP", b"users.oath", b"key"];

fn shortened(name: &[u8]) -> String {
    name.escape_ascii().to_string().chars().take(40).collect()
}

fn names_below(folder: &Path) -> BTreeSet<OsString> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("our own folder") {
        let path = entry.expect("an entry of our own folder").path();
        if path.is_dir() {
            names.extend(names_below(&path));
        }
        names.insert(path.into_os_string());
    }
    names
}

/// Nearly right is wrong: a digit off, missing or too many, two changed about, the code backwards.
pub(crate) fn near_misses(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let (step, code) = (alice.now, alice.code(alice.now));
    let mut misses = BTreeSet::new();
    for at in 0..code.len() {
        for digit in '0'..='9' {
            let (before, after) =
                (code.get(..at).unwrap_or_default(), code.get(at + 1..).unwrap_or_default());
            misses.insert(format!("{before}{digit}{after}"));
        }
        misses.insert(code.get(at..).unwrap_or_default().to_owned());
        misses.insert(code.get(..at).unwrap_or_default().to_owned());
    }
    for around in ["0", "00"] {
        misses.extend([format!("{around}{code}"), format!("{code}{around}"), format!("{code}{code}")]);
    }
    misses.insert(code.chars().rev().collect());
    // They may be right by chance.
    misses.retain(|miss| !(step - 2..=step + 2).any(|step| alice.code(step) == miss));
    let misses: Vec<String> = misses.into_iter().collect();
    let mut tally = Tally::default();
    for miss in course.pick(misses.len()).into_iter().filter_map(|at| misses.get(at)) {
        let world = undamaged.copy();
        let sound = world.attempt_with(&alice, step, miss).must_be_refused("nearly the right code");
        let sound = sound.and_then(|()| world.attempt(&alice, step).must_be_let_in("the right code then"));
        tally.add(sound.map_err(|what| format!("{miss:?} for {code}: {what}")));
    }
    Ok(tally)
}

/// What is one person's is of no use to another: neither the code, nor the files.
pub(crate) fn each_to_their_own(course: &Course) -> Finding {
    let (undamaged, people) =
        World::with(course.module, &["alice", "bob"], Extra::Nothing, &mut course.random());
    let [alice, bob] = people.as_slice() else { panic!("two were asked for") };
    let mut tally = Tally::default();
    for (owner, other) in [(alice, bob), (bob, alice)] {
        let step = owner.now.max(other.now);
        let world = undamaged.copy();
        let types = |who: &Person, code: &str| world.attempt_with(who, step, code);
        let attempt = || {
            types(other, owner.code(step)).must_be_refused("somebody else's code")?;
            types(owner, owner.code(step)).must_be_let_in("its owner with it")?;
            types(other, other.code(step)).must_be_let_in("the other with the other's own")
        };
        tally.add(attempt());
    }
    if course.module == Module::Mfa {
        // Of which the files are bound to their account.
        let step = alice.now.max(bob.now);
        for names in [&["devices.toml", "state"][..], &["devices.toml"], &["state"]] {
            let world = undamaged.copy();
            let user =
                |who: &Person, name: &str| world.store.file(&format!("users/{}/{name}", who.account.user));
            for name in names {
                fs::copy(user(alice, name), user(bob, name)).expect("our own files");
            }
            let sound = [alice, bob].iter().try_for_each(|who| {
                let outcome = world.attempt_with(bob, step, who.code(step));
                let only_state = *names == ["state"];
                if only_state || who.account.user == "alice" {
                    outcome.must_be_refused(&format!("bob with the code of {}", who.account.user))
                } else {
                    outcome.must_be_an_answer("bob with his code")
                }
            });
            tally.add(sound.map_err(|what| format!("{names:?} of alice in the place of bob's: {what}")));
        }
    }
    Ok(tally)
}

/// A word in the PAM line or a key in the policy that is not understood: nobody is let in, as it may have been meant to tighten.
pub(crate) fn misspelt_settings(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for word in ["no_such_word", "windwo=1", "=", "nullok2"] {
        let world = undamaged.copy().with_option(word);
        let sound = world.attempt(&alice, alice.now).must_be_refused("the login");
        tally.add(sound.map_err(|what| format!("{word:?} in the PAM line: {what}")));
    }
    if course.module == Module::Mfa {
        for text in ["throtle = \"stig\"\n", "throttle = \"strict\"\n", "[", "window_steps = 100\n", "\0"] {
            let world = undamaged.copy();
            fs::write(world.store.path().join("policy.toml"), text).expect("a file in our own folder");
            let sound = world.attempt(&alice, alice.now).must_be_refused("the login");
            tally.add(sound.map_err(|what| format!("the policy {text:?}: {what}")));
        }
    }
    Ok(tally)
}

/// Answers of 512, 513 and 10,000 bytes.
pub(crate) fn long_answers(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    let code = alice.code(alice.now);
    for length in [512, 513, 10_000] {
        let answers = [
            (" ".repeat(length - code.len()) + code, Expected::AnAnswer),
            (code.to_owned() + &" ".repeat(length - code.len()), Expected::AnAnswer),
            ("9".repeat(length), Expected::Refused),
            (code.repeat(length / code.len()), Expected::Refused),
            (format!("{code}{}", "x".repeat(length - code.len())), Expected::Refused),
            (format!("{code}{}", "%n".repeat(length / 2)), Expected::Refused),
        ];
        for (typed, expected) in answers {
            let world = undamaged.copy();
            let outcome = world.attempt_with(&alice, alice.now, &typed);
            let what = format!("an answer of {} bytes", typed.len());
            let sound = match expected {
                Expected::AnAnswer => outcome.must_be_an_answer(&what),
                Expected::Refused => outcome.must_be_refused(&what),
            };
            tally.add(
                sound.and_then(|()| world.attempt(&alice, alice.now + 1).must_be_let_in("the next code")),
            );
        }
    }
    Ok(tally)
}

#[derive(Clone, Copy)]
enum Expected {
    /// In or out: blanks around a code may be fine.
    AnAnswer,
    Refused,
}

/// A conversation that returns NULL, or fails: nobody is let in, and nobody is charged for it.
pub(crate) fn broken_conversations(course: &Course) -> Finding {
    const TIMES: usize = 10;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Throttle, &mut course.random());
    let mut tally = Tally::default();
    for answer in [Answer::Null, Answer::ConversationError, Answer::Text(Vec::new())] {
        let world = undamaged.copy();
        let attempt = || {
            for _ in 0..TIMES {
                // Whoever asks again gets the same again.
                let login =
                    (0..3).fold(world.login(&alice, alice.now), |login, _| login.answers(answer.clone()));
                play::run(login).must_be_refused("without an answer")?;
            }
            world.attempt(&alice, alice.now).must_be_let_in(&format!("the right code, after {TIMES} times"))
        };
        tally.add(attempt().map_err(|what| format!("{answer:?}: {what}")));
    }
    Ok(tally)
}

/// A person who never answers holds nobody up; nor does it when that one is killed.
pub(crate) fn never_answers(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    let mut step = alice.now;
    for _ in 0..course.count {
        let sits: Vec<_> = (0..4)
            .map(|_| {
                let mut login = world.login(&alice, step).answers(Answer::Held(b"000000".to_vec())).start();
                login.wait_for_the_prompt();
                login
            })
            .collect();
        let beside = world.attempt(&alice, step).must_be_let_in("another login meanwhile");
        for login in sits {
            let killed = Outcome::of(&login.kill());
            assert!(matches!(killed, Outcome::Died(_)), "it was at its prompt: {killed}");
        }
        let after = world.attempt(&alice, step + 1).must_be_let_in("a login afterwards");
        tally.add(beside.and(after));
        step += 2;
    }
    Ok(tally)
}

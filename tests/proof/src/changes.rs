//! Changes of an account by the module's own programs: recovery codes made, a device put aside, taken up again, replaced, removed; a
//! bypass code issued. And what has to hold after one was disturbed.

use std::process::{Command, Output};

use mfa_test_harness::Account;
use mfa_test_harness::account::{mfa_admin, mfa_enroll};
use serde_json::Value;

use crate::adapters::{Extra, Module, Person, World};
use crate::course::Course;
use crate::once::HALF_AN_HOUR;
use crate::play::{Outcome, Told};
use crate::scoreboard::{Attempt, Unfit};
use crate::tracer::{self, Next, Stop, Tracee};

/// Whose account it is.
const USER: &str = "alice";

/// One change.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    /// What was done before.
    before: &'static [&'static [&'static str]],
    /// What the program prints when it is done.
    pub(crate) says: &'static [u8],
    /// What the history calls it.
    history: &'static str,
    /// What has to hold once that was said.
    holds: fn(&Scene, &World, &Value) -> Attempt,
}

#[derive(Clone, Copy)]
enum Program {
    MfaEnroll,
    MfaAdmin,
}

/// All of them.
pub(crate) const CHANGES: &[Change] = &[
    Change {
        name: "recovery-codes",
        program: Program::MfaEnroll,
        arguments: &["recovery-codes", "--yes", "--json"],
        before: &[],
        says: b"\"made\"",
        history: "recovery-codes",
        holds: |scene, world, said| {
            let new = said
                .get("recovery_codes")
                .and_then(|codes| codes.get(0))
                .and_then(Value::as_str)
                .unwrap_or_default();
            scene.enters(world, new).must_be_let_in("a recovery code that was shown")?;
            scene.enters(world, scene.old_code()).must_be_refused("a recovery code of before")
        },
    },
    Change {
        name: "suspend",
        program: Program::MfaEnroll,
        arguments: &["suspend", "phone", "--yes"],
        before: &[],
        says: b"is suspended",
        history: "suspended",
        holds: |scene, world, _| {
            world.attempt(&scene.phone, scene.now()).must_be_refused("the device that was suspended")
        },
    },
    Change {
        name: "resume",
        program: Program::MfaEnroll,
        arguments: &["resume", "phone"],
        before: &[&["suspend", "phone", "--yes"]],
        says: b"counts again",
        history: "resumed",
        holds: |scene, world, _| {
            world.attempt(&scene.phone, scene.now()).must_be_let_in("the device that was taken up again")
        },
    },
    Change {
        name: "remove",
        program: Program::MfaEnroll,
        arguments: &["remove", "phone", "--yes"],
        before: &[],
        says: b"is removed",
        history: "removed",
        holds: |scene, world, _| {
            world.attempt(&scene.phone, scene.now()).must_be_refused("the device that was removed")
        },
    },
    Change {
        name: "bypass",
        program: Program::MfaAdmin,
        arguments: &["bypass", USER, "--valid", "1h", "--reason", "lost", "--no-account-check", "--json"],
        before: &[],
        says: b"\"issued\"",
        history: "bypass-issued",
        holds: |scene, world, said| {
            let code = said.get("code").and_then(Value::as_str).unwrap_or_default();
            // It begins with the moment in which it was issued, by the real clock, however long the changes before have taken.
            let enters = || world.attempt_with(&scene.phone, scene.now() + HALF_AN_HOUR, code);
            enters().must_be_let_in("the bypass code that was shown")?;
            enters().must_be_refused("the bypass code once more")
        },
    },
];

/// An account with two devices and recovery codes.
pub(crate) struct Scene {
    undamaged: World,
    /// What the changes are about.
    phone: Person,
    /// What must not be touched by them.
    spare: Person,
    /// So long is its history.
    entries: usize,
}

/// How a change ended.
pub(crate) struct Changed {
    told: Told,
    output: Output,
}

impl Scene {
    pub(crate) fn new(course: &Course) -> Result<Self, Unfit> {
        match course.module {
            Module::Mfa => {}
            Module::GoogleAuthenticator | Module::Oath => {
                return Err(Unfit::NotApplicable("it has no program that changes an account"));
            }
        }
        tracer::must_work()?;
        let (undamaged, phone) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
        let spare = Person::new(Account::enroll(&undamaged.store, USER));
        let mut scene = Self { undamaged, phone, spare, entries: 0 };
        scene.entries = scene.history(&scene.undamaged).expect("nothing befell this account").len();
        Ok(scene)
    }

    /// As it is before this change.
    pub(crate) fn world(&self, change: &Change) -> World {
        let world = self.undamaged.copy();
        for arguments in change.before {
            let done =
                mfa_enroll(&world.store, USER).args(*arguments).output().expect("it has started before");
            assert!(done.status.success(), "nothing befell this: {arguments:?} {done:?}");
        }
        world
    }

    /// The change, with a question at every system call what is to happen.
    pub(crate) fn traced(world: &World, change: &Change, at: impl FnMut(&Tracee, &Stop) -> Next) -> Changed {
        let mut child = tracer::waiting(&change.command(world)).spawn().expect("sh is everywhere");
        tracer::trace_program(&mut child, at);
        let output = child.wait_with_output().expect("our own child");
        let said = output.stdout.windows(change.says.len()).any(|part| part == change.says);
        Changed { told: if said { Told::LetIn } else { Told::NotLetIn }, output }
    }

    /// What must hold whatever befell the change: what was said to be done is done, and on record; the other device works; and
    /// the account can be changed again.
    pub(crate) fn must_be_sound(
        &self,
        world: &World,
        change: &Change,
        changed: &Changed,
        told: Told,
    ) -> Attempt {
        let known = self.history(world)?;
        if told == Told::LetIn {
            let said = serde_json::from_slice(&changed.output.stdout).unwrap_or(Value::Null);
            (change.holds)(self, world, &said)?;
            let entries = self.entries + change.before.len() + 1;
            if known.len() != entries || known.last().is_none_or(|last| last != change.history) {
                return Err(format!("the history does not end with {:?}: {known:?}", change.history));
            }
        }
        world.attempt(&self.spare, self.now()).must_be_let_in("the other device")?;
        run(mfa_enroll(&world.store, USER).args(["rename", &self.spare.account.device, "spare"]))
            .map_err(|what| format!("another change: {what}"))?;
        let later = self.history(world)?;
        if later.len() != known.len() + 1 || !later.starts_with(&known) {
            return Err(format!("the history was {known:?} and is {later:?} after a renaming"));
        }
        Ok(())
    }

    /// A step that is new to both devices.
    fn now(&self) -> u64 {
        self.phone.now.max(self.spare.now)
    }

    fn old_code(&self) -> &str {
        self.phone.account.recovery_codes().first().expect("there are ten")
    }

    fn enters(&self, world: &World, typed: &str) -> Outcome {
        world.attempt_with(&self.phone, self.now(), typed)
    }

    /// What happened to the account, in order.
    fn history(&self, world: &World) -> Result<Vec<String>, String> {
        let text = run(mfa_enroll(&world.store, &self.phone.account.user).args(["history", "--json"]))?;
        let entry = |line: &str| {
            let entry: Value = serde_json::from_str(line).ok()?;
            Some(entry.get("what")?.as_str()?.to_owned())
        };
        text.lines().map(|line| entry(line).ok_or_else(|| format!("the history: {line}"))).collect()
    }
}

impl Change {
    fn command(&self, world: &World) -> Command {
        let mut command = match self.program {
            Program::MfaEnroll => mfa_enroll(&world.store, USER),
            Program::MfaAdmin => mfa_admin(&world.store),
        };
        command.args(self.arguments);
        command
    }
}

impl Changed {
    pub(crate) const fn told(&self) -> Told {
        self.told
    }

    pub(crate) fn must_be_done(&self) {
        let errors = String::from_utf8_lossy(&self.output.stderr);
        assert!(self.told == Told::LetIn, "nothing befell this change: {} {errors}", self.output.status);
    }
}

/// Runs a command that has to work, and gives what it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("it has started before");
    if !output.status.success() {
        return Err(format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

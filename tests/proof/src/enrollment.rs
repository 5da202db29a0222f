//! An enrollment by the module's own program, system call by system call, and what has to hold after it was disturbed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mfa_test_harness::account::{mfa_enroll, unix_seconds};
use mfa_test_harness::oathtool::Generator;
use serde_json::Value;

use crate::adapters::{Module, Person, World, generator};
use crate::play::{self, Outcome, Told};
use crate::scoreboard::{Attempt, Unfit};
use crate::tracer::{self, Next, Stop, Tracee};

/// Who is enrolled.
const USER: &str = "alice";
/// Of libpam-google-authenticator.
const GOOGLE_AUTHENTICATOR: &str = "google-authenticator";

/// What came of an enrollment.
pub(crate) struct Enrolled {
    /// The device, if the program got as far as to show it.
    device: Option<Device>,
    /// Whether the program said that it is done.
    told: bool,
    errors: String,
}

/// A device that is being enrolled.
#[derive(Clone)]
struct Device {
    generator: Generator,
    /// The codes that were typed are those of this step and of the one before.
    step: u64,
}

/// Whether there is anything to disturb.
pub(crate) fn must_be_there(module: Module) -> Result<(), Unfit> {
    match module {
        Module::Mfa => Ok(()),
        Module::Oath => Err(Unfit::NotApplicable("it has no program that enrolls")),
        Module::GoogleAuthenticator => match Command::new(GOOGLE_AUTHENTICATOR).arg("--help").output() {
            Ok(_) => Ok(()),
            Err(error) => Err(Unfit::CannotRun {
                why: format!("{GOOGLE_AUTHENTICATOR}: {error}"),
                cure: "tests/proof/run.sh installs it, or: apt-get install libpam-google-authenticator"
                    .to_owned(),
            }),
        },
    }
}

/// Enrolls alice and asks at every system call what is to happen.
pub(crate) fn traced(world: &World, at: impl FnMut(&Tracee, &Stop) -> Next) -> Enrolled {
    let child = tracer::waiting(&command(world)).spawn().expect("sh is everywhere");
    talk(world.module, child, |child| tracer::trace_program(child, at))
}

/// An enrollment that is let alone, whatever comes of it.
pub(crate) fn ends_in_time(world: &World) -> Attempt {
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut command = command(world);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it has started before");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if child.try_wait().expect("our own child").is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().and_then(|()| child.wait()).expect("our own child");
    Err(format!("the enrollment hung for {} s", PATIENCE.as_secs()))
}

/// Enrolls alice.
fn plain(world: &World) -> Enrolled {
    let mut command = command(world);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    talk(world.module, child.expect("it has started before"), |child| drop(child.stdin.take()))
}

fn command(world: &World) -> Command {
    match world.module {
        Module::Mfa => {
            let mut command = mfa_enroll(&world.store, USER);
            command.args(["add", "--json"]);
            command
        }
        Module::GoogleAuthenticator | Module::Oath => {
            let mut command = Command::new(GOOGLE_AUTHENTICATOR);
            command.args([
                "--time-based",
                "--disallow-reuse",
                "--force",
                "--no-rate-limit",
                "--window-size=3",
            ]);
            command.args(["--quiet", "--qr-mode=NONE", "--no-confirm"]);
            command.arg("--secret").arg(world.store.path().join(USER));
            command
        }
    }
}

/// Says what the program wants to hear, while `beside` has the child.
fn talk(module: Module, mut child: Child, beside: impl FnOnce(&mut Child)) -> Enrolled {
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let input =
        child.stdin.as_ref().expect("it is piped").as_fd().try_clone_to_owned().expect("a descriptor");
    thread::scope(|scope| {
        let dialogue = scope.spawn(move || with_mfa_enroll(module, ChildStdin::from(input), output));
        beside(&mut child);
        let mut errors = String::new();
        let read = child.stderr.take().expect("it is piped").read_to_string(&mut errors);
        read.expect("programs speak UTF-8");
        let ended = child.wait().expect("our own child");
        let (device, told) = dialogue.join().expect("the dialogue does not panic");
        // google-authenticator says nothing.
        let told = if module == Module::Mfa { told } else { ended.success() };
        Enrolled { device, told, errors: errors.trim().to_owned() }
    })
}

/// Reads the offer, types two codes, reads what came of it. A program that is killed may end at any of this.
fn with_mfa_enroll(
    module: Module,
    mut input: ChildStdin,
    mut output: BufReader<ChildStdout>,
) -> (Option<Device>, bool) {
    let mut line = String::new();
    let _ = output.read_line(&mut line);
    let offered = serde_json::from_str::<Value>(&line).ok().as_ref().and_then(generator_of);
    let Some(generator) = offered.filter(|_| module == Module::Mfa) else {
        let _ = output.read_to_string(&mut line);
        return (None, false);
    };
    let device = Device::new(generator);
    let _ = writeln!(input, "{}", device.generator.codes(device.step - 1, 2).join("\n"));
    drop(input);
    let mut rest = String::new();
    let _ = output.read_to_string(&mut rest);
    let result = serde_json::from_str::<Value>(&rest).ok();
    let told = result.is_some_and(|result| result.get("result").is_some_and(|result| result == "enrolled"));
    (Some(device), told)
}

fn generator_of(offer: &Value) -> Option<Generator> {
    Some(Generator {
        secret: offer.get("secret")?.as_str()?.to_owned(),
        algorithm: offer.get("algorithm")?.as_str()?.to_owned(),
        digits: offer.get("digits")?.as_u64()?.try_into().ok()?,
        period: offer.get("period")?.as_u64()?,
    })
}

impl Device {
    fn new(generator: Generator) -> Self {
        let step = unix_seconds() / generator.period;
        Self { generator, step }
    }

    /// A login with the code that is `later` steps after the last that was typed.
    fn login(&self, world: &World, later: u64) -> Outcome {
        let step = self.step + later;
        let second = step * self.generator.period + self.generator.period / 2;
        play::run(world.login_of(USER).at(second).types(self.generator.code(step)))
    }
}

impl Enrolled {
    /// The same enrollment, of which the person was told this.
    pub(crate) fn as_told(&self, told: Told) -> Self {
        Self { device: self.device.clone(), told: told == Told::LetIn, errors: String::new() }
    }

    pub(crate) fn must_be_done(&self) -> Attempt {
        if self.told { Ok(()) } else { Err(format!("the enrollment failed: {}", self.errors)) }
    }

    /// What must hold whatever befell the enrollment: the device from before works; the new one works if it was said to; its
    /// two codes are dead; and another enrollment works, with what it enrolls. `owner` is who was enrolled before.
    pub(crate) fn must_be_sound(&self, world: &World, owner: Option<&Person>) -> Attempt {
        match world.module {
            Module::Mfa => self.mfa_must_be_sound(world, owner),
            Module::GoogleAuthenticator | Module::Oath => self.file_must_be_sound(world, owner),
        }
    }

    fn mfa_must_be_sound(&self, world: &World, owner: Option<&Person>) -> Attempt {
        if let Some(owner) = owner {
            world.attempt(owner, owner.now).must_be_let_in("the device from before")?;
        }
        if let Some(device) = &self.device {
            device.login(world, 0).must_be_refused("a code that the enrollment has used up")?;
            if self.told {
                device.login(world, 1).must_be_let_in("the device that was said to be enrolled")?;
            }
        }
        let again = plain(world);
        again.must_be_done().map_err(|what| format!("once more, {what}"))?;
        let device = again.device.ok_or("another enrollment showed no device")?;
        device.login(world, 1).must_be_let_in("a device enrolled afterwards")
    }

    /// What must hold after an end between the key and its codes: the same key is shown again, and can be proven.
    pub(crate) fn must_go_on_with_the_same_key(&self, world: &World) -> Attempt {
        let first = self.device.as_ref().ok_or("no key was shown")?;
        let again = plain(world);
        again.must_be_done().map_err(|what| format!("once more, {what}"))?;
        let second = again.device.ok_or("another enrollment showed no key")?;
        if first.generator.secret != second.generator.secret {
            return Err("another key was shown".to_owned());
        }
        second.login(world, 1).must_be_let_in("the device")
    }

    /// The program writes a file anew: there has to be the old one or the new one, and whole.
    fn file_must_be_sound(&self, world: &World, owner: Option<&Person>) -> Attempt {
        let old_works = owner.is_some_and(|owner| world.attempt(owner, owner.now).is_let_in());
        if self.told || (owner.is_some() && !old_works) {
            new_file_works(world).map_err(|what| format!("the secret is lost: {what}"))?;
        }
        plain(world).must_be_done().map_err(|what| format!("once more, {what}"))?;
        new_file_works(world).map_err(|what| format!("after another enrollment: {what}"))
    }
}

fn new_file_works(world: &World) -> Attempt {
    let file = world.store.path().join(USER);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let secret = text.lines().next().unwrap_or_default();
    if secret.is_empty() {
        return Err("there is no secret in the file".to_owned());
    }
    let device = Device::new(generator(secret.to_owned()));
    device.login(world, 1).must_be_let_in("the secret in the file")
}

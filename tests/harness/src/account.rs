//! A person with a device: enrolled by the real `mfa-enroll`, codes by `oathtool`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::artifacts;
use crate::login::Login;
use crate::oathtool::Generator;
use crate::stack::Stack;
use crate::store::Store;
use crate::watch;

/// A person who has a device.
#[derive(Clone, Debug)]
pub struct Account {
    /// The login name.
    pub user: String,
    /// The name of the device.
    pub device: String,
    /// The device.
    pub generator: Generator,
    recovery_codes: Vec<String>,
    /// The first time step that the enrollment did not use. Tests let the clock stand there and move it on.
    pub now: u64,
}

impl Account {
    /// Enrolls `user` with a device of the default kind.
    pub fn enroll(store: &Store, user: &str) -> Self {
        Self::enroll_with(store, user, &[])
    }

    /// Enrolls `user`, with options of `mfa-enroll add` such as `--digits 8`.
    pub fn enroll_with(store: &Store, user: &str, options: &[&str]) -> Self {
        let mut child = mfa_enroll(store, user)
            .args(["add", "--json"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mfa-enroll starts");
        let mut input = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));

        let mut first_line = String::new();
        output.read_line(&mut first_line).expect("mfa-enroll speaks UTF-8");
        if first_line.is_empty() {
            let ended = child.wait_with_output().expect("our own child");
            panic!("mfa-enroll add: {} {}", ended.status, String::from_utf8_lossy(&ended.stderr));
        }
        let offer: Value = json(&first_line);
        let generator = Generator {
            secret: text(&offer, "secret"),
            algorithm: text(&offer, "algorithm"),
            digits: number(&offer, "digits").try_into().expect("a digit count is small"),
            period: number(&offer, "period"),
        };
        let now = unix_seconds() / generator.period;
        let codes = generator.codes(now - 1, 2);
        writeln!(input, "{}", codes.join("\n")).expect("mfa-enroll reads two codes");
        drop(input);

        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("mfa-enroll speaks UTF-8");
        let ended = child.wait_with_output().expect("our own child");
        let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
        watch::for_panics("the standard error of mfa-enroll", &errors);
        assert!(ended.status.success(), "mfa-enroll add: {} {rest} {errors}", ended.status);
        let done = json(&rest);
        assert_eq!(text(&done, "result"), "enrolled");
        Self {
            user: user.to_owned(),
            device: text(&offer, "device"),
            generator,
            recovery_codes: Vec::new(),
            now: now + 1,
        }
    }

    /// The same person as one more module knows them: with a device and perhaps codes that are used up once.
    pub fn known_elsewhere(user: &str, generator: Generator, now: u64, recovery_codes: Vec<String>) -> Self {
        Self { user: user.to_owned(), device: String::new(), generator, recovery_codes, now }
    }

    /// Makes recovery codes, by `mfa-enroll recovery-codes`.
    #[must_use]
    pub fn with_recovery_codes(mut self, store: &Store) -> Self {
        let made = run_json(mfa_enroll(store, &self.user).args(["recovery-codes", "--yes", "--json"]));
        let codes = made.get("recovery_codes").and_then(Value::as_array).expect("a list of codes");
        self.recovery_codes = codes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        self
    }

    /// The codes for the day the device is lost.
    pub fn recovery_codes(&self) -> &[String] {
        assert!(!self.recovery_codes.is_empty(), "{} has none: see with_recovery_codes", self.user);
        &self.recovery_codes
    }

    /// The same person, for whom it is another time step.
    #[must_use]
    pub fn living_at(&self, step: u64) -> Self {
        Self { now: step, ..self.clone() }
    }

    /// The code of a time step.
    pub fn code(&self, step: u64) -> String {
        self.generator.code(step)
    }

    /// A well-formed code that is right for no step near `step`. Each `which` gives another.
    pub fn wrong_code(&self, step: u64, which: u32) -> String {
        let near = self.generator.codes(step - 50, 101);
        let width = usize::try_from(self.generator.digits).expect("6 to 8");
        let mut candidates = (0..10_u32.pow(self.generator.digits)).map(|number| format!("{number:0width$}"));
        let mut wrong = candidates.by_ref().filter(|code| !near.contains(code));
        wrong.nth(which.try_into().expect("a small number")).expect("nearly all codes are wrong")
    }

    /// The second in the middle of a time step.
    pub fn at(&self, step: u64) -> u64 {
        step * self.generator.period + self.generator.period / 2
    }

    /// A login of this person through the usual stack, the clock in the middle of step [`Account::now`].
    pub fn login(&self, store: &Store) -> Login {
        self.login_through(&store.stack())
    }

    /// The same through another stack.
    pub fn login_through(&self, stack: &Stack) -> Login {
        Login::new(stack).user(&self.user).at(self.at(self.now))
    }

    /// A whole login at `step` with the code of `step`.
    pub fn login_at(&self, store: &Store, step: u64) -> crate::login::Transcript {
        self.login(store).at(self.at(step)).types(self.code(step)).run()
    }

    /// `mfa-enroll status --json`.
    pub fn status(&self, store: &Store) -> Value {
        run_json(mfa_enroll(store, &self.user).args(["status", "--json"]))
    }

    /// The failures that stand against the device, by `mfa-enroll status --json`.
    pub fn failures(&self, store: &Store) -> u64 {
        let status = self.status(store);
        let devices = status.get("devices").and_then(Value::as_array).expect("status lists devices");
        let device = devices.iter().find(|device| text(device, "name") == self.device);
        number(device.expect("the device is listed"), "failures")
    }
}

/// `mfa-enroll --store STORE --user USER`, to be completed.
pub fn mfa_enroll(store: &Store, user: &str) -> Command {
    let mut command = Command::new(artifacts::mfa_enroll());
    command.arg("--store").arg(store.path()).args(["--user", user]);
    command
}

/// `mfa-admin --store STORE`, to be completed.
pub fn mfa_admin(store: &Store) -> Command {
    let mut command = Command::new(artifacts::mfa_admin());
    command.arg("--store").arg(store.path());
    command
}

/// Runs a command that has to work and says one line of JSON.
fn run_json(command: &mut Command) -> Value {
    let output = command.output().expect("mfa-enroll starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    watch::for_panics("the standard error of mfa-enroll", &errors);
    assert!(output.status.success(), "{command:?}: {} {errors}", output.status);
    json(&String::from_utf8_lossy(&output.stdout))
}

/// The present, for enrollments: `mfa-enroll` goes by the real clock.
#[expect(clippy::disallowed_methods, reason = "codes for a program that reads the real clock")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not a line of JSON: {error}: {text:?}"))
}

fn text(object: &Value, key: &str) -> String {
    let value = object.get(key).and_then(Value::as_str);
    value.unwrap_or_else(|| panic!("no text {key:?} in {object}")).to_owned()
}

fn number(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {key:?} in {object}"))
}

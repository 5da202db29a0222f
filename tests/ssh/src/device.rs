//! A person's device: enrolled with `mfa-enroll`, its codes by the independent generator `oathtool`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::engine;

/// How far the codes are known, in time steps before and after the enrollment: longer than any test.
const STEPS_BEFORE: u64 = 40;
const STEPS_AFTER: u64 = 200;

const PERIOD_SECONDS: u64 = 30;

/// What has to be left of a time step before its code is given out: as long as a slow machine takes for a login, so that
/// the code is judged in the step that it belongs to.
const LOGIN_SECONDS: u64 = 6;

/// A device that is bound to an account.
#[derive(Debug)]
pub struct Device {
    secret: String,
    first_step: u64,
    codes: Vec<String>,
    /// The later of the two steps that were given out last to prove the device.
    enrolled_step: AtomicU64,
    /// The last step whose code was given out.
    last_step: AtomicU64,
}

impl Device {
    pub(crate) fn enroll(container: &str, user: &str) -> Self {
        let mut enrolling = engine::docker(&["exec", "--interactive", container])
            .args(["mfa-enroll", "--user", user, "add", "--name", "phone", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("docker can't be run: {error}\nhint: `make test` installs and starts it")
            });
        let mut keyboard = enrolling.stdin.take().expect("standard input is piped");
        let mut output = BufReader::new(enrolling.stdout.take().expect("standard output is piped"));
        let mut errors = enrolling.stderr.take().expect("standard error is piped");

        let mut line = String::new();
        output.read_line(&mut line).expect("mfa-enroll prints text");
        let offered: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut complaint = String::new();
            let _ = errors.read_to_string(&mut complaint);
            panic!("mfa-enroll offered {line:?}: {error}\n{complaint}")
        });
        let secret = offered.get("secret").and_then(Value::as_str);
        let secret = secret.unwrap_or_else(|| panic!("mfa-enroll offered no key: {line}"));
        let device = Self::with_key(container, secret);
        let [first, second] = device.proof();
        let proof = format!("{first}\n{second}\n");
        keyboard.write_all(proof.as_bytes()).expect("mfa-enroll reads two codes");
        drop(keyboard);
        line.clear();
        output.read_line(&mut line).expect("mfa-enroll prints text");
        let result: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("mfa-enroll answered {line:?}: {error}"));
        assert_eq!(result.get("result").and_then(Value::as_str), Some("enrolled"), "mfa-enroll said {line}");
        assert!(
            enrolling.wait().expect("a child can be waited for").success(),
            "mfa-enroll says enrolled, and fails"
        );
        device
    }

    /// A device into which this key was put. That it is bound is up to whoever types the [`Device::proof`].
    pub(crate) fn with_key(container: &str, secret: &str) -> Self {
        let now = now() / PERIOD_SECONDS;
        let first_step = now.saturating_sub(STEPS_BEFORE);
        Self {
            secret: secret.to_owned(),
            first_step,
            codes: codes(container, secret, first_step),
            enrolled_step: AtomicU64::new(0),
            last_step: AtomicU64::new(0),
        }
    }

    /// Two consecutive codes that prove the device. Those of the past do as well, and leave the current one for the login.
    pub fn proof(&self) -> [String; 2] {
        self.proof_until(settled_step().saturating_sub(1))
    }

    /// The code before the current one, and the current one, as a person would type them.
    pub fn present_proof(&self) -> [String; 2] {
        let step = settled_step();
        self.last_step.store(step, Ordering::Relaxed);
        self.proof_until(step)
    }

    fn proof_until(&self, step: u64) -> [String; 2] {
        self.enrolled_step.store(step, Ordering::Relaxed);
        [self.code_of(step.saturating_sub(1)), self.code_of(step)]
    }

    /// The code that the device shows now, with some time left to use it.
    pub fn code(&self) -> String {
        self.give_out(settled_step())
    }

    /// The code after the last one that was given out: the one on the screen, or, as the time of a login may be ahead by
    /// one step, the one that comes next.
    pub fn next_code(&self) -> String {
        self.give_out(settled_step().max(self.last_step.load(Ordering::Relaxed).saturating_add(1)))
    }

    /// The last code that proved the device.
    pub fn code_used_for_the_enrollment(&self) -> String {
        self.code_of(self.enrolled_step.load(Ordering::Relaxed))
    }

    /// The code of this many time steps from now.
    pub fn code_in(&self, steps: u64) -> String {
        self.code_of(settled_step().saturating_add(steps))
    }

    /// The code of this many time steps before now.
    pub fn code_ago(&self, steps: u64) -> String {
        self.code_of(settled_step().saturating_sub(steps))
    }

    fn give_out(&self, step: u64) -> String {
        self.last_step.store(step, Ordering::Relaxed);
        self.code_of(step)
    }

    /// A code that the device has not shown and will not show during any test.
    pub fn wrong_code(&self) -> String {
        let mut candidates = (0_u32..1_000_000).map(|number| format!("{number:06}"));
        candidates
            .find(|code| !self.codes.contains(code))
            .expect("a device knows a few hundred codes at most")
    }

    /// The seed, in base32.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    fn code_of(&self, step: u64) -> String {
        let index = step.checked_sub(self.first_step).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.codes.get(index)).expect("no test lasts that long").clone()
    }
}

/// The present step, once enough is left of it.
fn settled_step() -> u64 {
    let left = PERIOD_SECONDS.saturating_sub(now() % PERIOD_SECONDS);
    if left < LOGIN_SECONDS {
        std::thread::sleep(Duration::from_secs(left));
    }
    now() / PERIOD_SECONDS
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test lives in real time, as the host does")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// The codes of every step from the first on, as oathtool computes them.
fn codes(container: &str, secret: &str, first_step: u64) -> Vec<String> {
    let now = format!("--now=@{}", first_step.saturating_mul(PERIOD_SECONDS));
    let window = format!("--window={}", STEPS_BEFORE.saturating_add(STEPS_AFTER));
    let output = engine::run(&["exec", container, "oathtool", "--totp", "--base32", &now, &window, secret]);
    assert!(output.status.success(), "oathtool: {}", engine::text(&output));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

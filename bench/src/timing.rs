//! Whether a stranger can tell by the time who is unknown, not enrolled, throttled or disabled from who has typed a wrong code.
//!
//! Every class has as many users as there are samples, each of whom is refused once: no account is looked at twice, nobody runs into a wait by
//! being measured. The classes take turns, another one first each time, so that whatever else the machine does meets all of them alike. What
//! is compared is each class's quartiles of pam_authenticate(3) with those of a wrong code; of recovery codes the lowest, see below. How much
//! quartiles differ without any reason is measured too: by the two halves of the wrong codes, the even samples and the odd. Where that noise
//! is above the tolerance nothing is shown. A machine under load is noisy, so it is tried again up to six times until the classes are alike; a
//! difference that is real shows each time. It is measured in memory: a disk's sync would hide what the module does.

use std::path::Path;
use std::time::Duration;

use mfa_core::devices::Device;
use mfa_core::otp::Profile;
use mfa_core::state::DeviceState;
use mfa_core::store::{Access, Account};
use mfa_core::throttle::Failures;
use mfa_core::{FileStore, Secret, Store, Timestamp, UserName};
use mfa_test_harness::{PamCode, Stack};

use crate::clock::{Clock, SEED};
use crate::login::{Took, timed};

/// Who is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// A device, and a code that is not its.
    Wrong,
    /// No account.
    Unknown,
    /// A name that can't be anybody's.
    Impossible,
    /// An account that never had a device.
    NotEnrolled,
    /// An account whose last device was removed.
    Removed,
    /// Three failures a moment ago.
    Throttled,
    /// Fifty failures: disabled for good.
    Disabled,
}

impl Class {
    const ALL: [Self; 7] = [
        Self::Wrong,
        Self::Unknown,
        Self::Impossible,
        Self::NotEnrolled,
        Self::Removed,
        Self::Throttled,
        Self::Disabled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::Impossible => "impossible",
            Self::NotEnrolled => "not-enrolled",
            Self::Removed => "removed",
            Self::Throttled => "throttled",
            Self::Disabled => "disabled",
        }
    }

    fn user(self, number: u32) -> String {
        let slash = if self == Self::Impossible { "/" } else { "" };
        format!("{slash}{}-{number}", self.name())
    }
}

/// What is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Code,
    RecoveryCode,
}

impl Answer {
    const BOTH: [Self; 2] = [Self::Code, Self::RecoveryCode];

    const fn name(self) -> &'static str {
        match self {
            Self::Code => "a code",
            Self::RecoveryCode => "a recovery code",
        }
    }

    fn typed(self, clock: &Clock) -> String {
        match self {
            Self::Code => clock.wrong(),
            Self::RecoveryCode => "YYYYZZZZ22223333".to_owned(),
        }
    }

    /// The slow hash of a recovery code takes so long that fewer are enough.
    fn samples(self, samples: u32) -> u32 {
        match self {
            Self::Code => samples,
            Self::RecoveryCode => (samples / 8).max(16),
        }
    }

    /// The slow hash takes longer than the machine works on one thing at a stretch: who else works on it is nobody's secret.
    fn measured(self, took: Took) -> Duration {
        match self {
            Self::Code => took.authenticate,
            Self::RecoveryCode => took.processor,
        }
    }

    /// How many of the quartiles are compared. The kernel gives the slow hash its memory now in large pages, now in small ones, and the
    /// hash takes 16 or 25 ms by that: the upper quartiles of few samples jump from the one to the other whoever is refused.
    const fn quartiles_compared(self) -> usize {
        match self {
            Self::Code => 3,
            Self::RecoveryCode => 1,
        }
    }
}

const TRIES: u32 = 6;

/// What one measurement has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Alike,
    Different,
    /// The wrong codes differ among themselves by more than the tolerance.
    Nothing,
}

/// Measures, prints Markdown, and says whether the classes are alike.
pub(crate) fn compare(folder: &Path, samples: u32, tolerance: f64) -> bool {
    println!("| answer | class | 25 % | median | 75 % | against wrong |\n|---|---|---|---|---|---|");
    Answer::BOTH.into_iter().all(|answer| {
        (1..=TRIES).any(|attempt| {
            let shown = compare_once(folder, answer, answer.samples(samples), tolerance);
            let attempt = format!("timing: {}: try {attempt} of {TRIES}", answer.name());
            match shown {
                Shown::Alike => {}
                Shown::Different => eprintln!("{attempt}: they differ by more than {tolerance} %"),
                Shown::Nothing => eprintln!("{attempt}: this machine is too busy to tell {tolerance} %"),
            }
            shown == Shown::Alike
        })
    })
}

fn compare_once(folder: &Path, answer: Answer, samples: u32, tolerance: f64) -> Shown {
    let folder =
        tempfile::Builder::new().prefix("mfa-timing-").tempdir_in(folder).expect("a folder to measure in");
    let clock = Clock::new(1);
    clock.move_to(0);
    let store = folder.path().join("store");
    std::fs::DirBuilder::new().create(&store).expect("a new folder");
    std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("our own folder");
    set_up(&FileStore::at(&store), samples, clock.now());
    crate::sync();
    let stack = Stack::new(&format!("auth required pam_mfa.so store={}", store.display()));
    let typed = answer.typed(&clock);

    let mut taken: Vec<Vec<Duration>> = Class::ALL.map(|_| Vec::new()).into();
    for number in 0..samples {
        let turn = usize::try_from(number).expect("a small number");
        for place in 0..Class::ALL.len() {
            let at = (place + turn) % Class::ALL.len();
            let (took, result) = timed(&stack, &Class::ALL[at].user(number), typed.clone());
            assert_eq!(result, PamCode::AUTH_ERR, "{:?}", Class::ALL[at]);
            taken[at].push(answer.measured(took));
        }
    }
    report(answer, &taken, tolerance)
}

fn report(answer: Answer, taken: &[Vec<Duration>], tolerance: f64) -> Shown {
    let difference = |one: [f64; 3], other: [f64; 3]| {
        let both = one.iter().zip(other).take(answer.quartiles_compared());
        both.map(|(one, other)| (one / other - 1.0).abs() * 100.0).fold(0.0, f64::max)
    };
    let half = |odd: usize| quartiles(taken[0].iter().skip(odd).step_by(2).copied());
    let noise = difference(half(0), half(1));
    let wrong = quartiles(taken[0].iter().copied());
    let mut shown = Shown::Alike;
    for (class, taken) in Class::ALL.iter().zip(taken) {
        let found = quartiles(taken.iter().copied());
        let difference = difference(found, wrong);
        if difference > tolerance {
            shown = Shown::Different;
        }
        let [low, median, high] = found;
        println!(
            "| {} | {} | {low:.0} µs | {median:.0} µs | {high:.0} µs | {difference:.1} % (noise {noise:.1} %) |",
            answer.name(),
            class.name()
        );
    }
    if noise > tolerance { Shown::Nothing } else { shown }
}

/// In microseconds.
fn quartiles(taken: impl Iterator<Item = Duration>) -> [f64; 3] {
    let mut taken: Vec<Duration> = taken.collect();
    taken.sort_unstable();
    [1, 2, 3].map(|quarter| taken[(taken.len() - 1) * quarter / 4].as_secs_f64() * 1e6)
}

fn set_up(store: &FileStore, samples: u32, now: u64) {
    store.prepare().expect("an empty store");
    let seed = Secret::new(SEED.to_vec());
    let now = Timestamp::from_unix_seconds(now);
    for class in Class::ALL {
        for number in 0..samples {
            let failures = match class {
                Class::Unknown | Class::Impossible => continue,
                Class::Wrong | Class::NotEnrolled | Class::Removed => Failures::default(),
                Class::Throttled => Failures { count: 3, last: now },
                Class::Disabled => Failures { count: 50, last: now },
            };
            let user: UserName = class.user(number).parse().expect("a plain name");
            let key = store.key().expect("prepare made one");
            let name = "phone".parse().expect("a plain name");
            let device = Device::seal(key, &user, name, Profile::PLAIN, &seed, now).expect("a sealed seed");
            store
                .update(Account::User(&user), Access::Change, |record| {
                    if class == Class::NotEnrolled {
                        return Ok(());
                    }
                    let mut entry = DeviceState::with_floor(device.id, None, 0);
                    entry.stranger_failures = failures;
                    entry.disabled = class == Class::Disabled;
                    record.state.recovery.stranger_failures =
                        if class == Class::Throttled { failures } else { Failures::default() };
                    record.state.devices.push(entry);
                    record.devices.list.push(device.clone());
                    Ok(())
                })
                .expect("a record in a new store");
            if class == Class::Removed {
                store
                    .update(Account::User(&user), Access::Change, |record| {
                        record.devices.list.clear();
                        record.state.devices.clear();
                        Ok(())
                    })
                    .expect("a record that was there a moment ago");
            }
        }
    }
}

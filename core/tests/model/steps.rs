//! What may happen to a host, and how often.

use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::policy::WindowSteps;
use mfa_core::throttle::Throttle;
use mfa_core::verify::Round;
use mfa_core::Policy;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct History {
    pub policy: Policy,
    pub steps: Vec<Step>,
}

/// Numbers choose among what there is, so that every step means something in every history.
#[derive(Clone, Debug)]
pub enum Step {
    /// The clock moves, in either direction.
    Clock(i64),
    /// The clock is set to a moment at which the second shared seed shows the same digits at two neighbouring steps.
    ClockToCollision,
    Login { user: usize, code: Code, place: usize, round: Round, behind_password: bool },
    Recovery { user: usize, code: usize, place: usize },
    /// Something else happens to the account while the slow hash of a recovery code is computed.
    RecoveryInterrupted { user: usize, code: usize, place: usize, by: Box<Step> },
    Begin { user: usize, name: Option<usize>, profile: usize },
    Confirm { user: usize, id: WhichEnrollment, codes: Proof },
    /// Root binds a device whose seed is shared with others: the same digits on two devices.
    Bind { user: usize, name: usize, profile: usize, seed: usize },
    Remove { user: usize, device: usize },
    Suspend { user: usize, device: usize },
    Resume { user: usize, device: usize },
    NewRecoveryCodes { user: usize },
    Unlock { user: usize },
    Repair { user: usize },
    /// So many wrong codes, each after the longest wait.
    Guesses { user: usize, count: usize, place: usize },
    /// The machine stops while the step is written: after so many of its files, the next one torn like that.
    Crash { during: Box<Step>, after_files: usize, torn: Torn },
}

#[derive(Clone, Copy, Debug)]
pub enum Torn {
    /// So many bytes of it are written.
    Beginning(usize),
    /// All but so many are.
    End(usize),
}

/// Which code is typed.
#[derive(Clone, Debug)]
pub enum Code {
    /// Of a device, so many steps from the middle of its window, or counters from its floor.
    Of { device: usize, offset: i64 },
    /// One that was typed before.
    Again(usize),
    /// Any digits.
    Any { digits: usize, number: u32 },
}

#[derive(Clone, Copy, Debug)]
pub enum WhichEnrollment {
    Pending,
    /// One of those that were begun before.
    Earlier(usize),
}

/// Which two codes are typed at an enrollment.
#[derive(Clone, Copy, Debug)]
pub enum Proof {
    /// Two that follow each other; the second so many steps from now, or at that counter.
    Consecutive(i64),
    Same(i64),
    Swapped(i64),
    /// With so many steps between them.
    Gap(i64, i64),
    /// Of an app that took no notice of the profile.
    Plain(i64),
    Any(u32, u32),
}

pub const USERS: [&str; 3] = ["alice", "bob", "CORP\\żółć"];
pub const NAMES: [&str; 9] = ["phone", "tablet", "token", "a", "b", "c", "d", "e", "YubiKey (blue)"];

pub fn profile(number: usize) -> Profile {
    let plain = Profile::PLAIN;
    let time = |seconds: u8| MovingFactor::Time(seconds.try_into().unwrap());
    let counter = |look_ahead: u8| MovingFactor::Counter(look_ahead.try_into().unwrap());
    [
        plain,
        Profile { moving_factor: time(60), ..plain },
        Profile { algorithm: "SHA256".parse().unwrap(), digits: 8.try_into().unwrap(), ..plain },
        Profile { moving_factor: time(10), algorithm: "SHA512".parse().unwrap(), digits: 7.try_into().unwrap() },
        Profile { moving_factor: counter(5), ..plain },
        Profile { moving_factor: counter(20), digits: 8.try_into().unwrap(), ..plain },
    ][number % 6]
}

pub fn history() -> impl Strategy<Value = History> {
    let policy = (
        prop_oneof![4 => Just(Throttle::Nist), 1 => Just(Throttle::Pci), 1 => Just(Throttle::Stig)],
        prop_oneof![4 => Just(WindowSteps::ONE), 1 => Just(WindowSteps::ZERO)],
    )
        .prop_map(|(throttle, window_steps)| Policy { throttle, window_steps });
    (policy, vec(crashing_step(), 1..60)).prop_map(|(policy, mut steps)| {
        // Most of what can happen happens to people with a device.
        steps.insert(0, Step::Begin { user: 0, name: None, profile: 0 });
        steps.insert(1, Step::Confirm { user: 0, id: WhichEnrollment::Pending, codes: Proof::Consecutive(-1) });
        History { policy, steps }
    })
}

fn crashing_step() -> impl Strategy<Value = Step> {
    let torn = prop_oneof![(0..1500_usize).prop_map(Torn::Beginning), (0..1500_usize).prop_map(Torn::End)];
    let crash = (step(), 0..4_usize, torn).prop_map(|(during, after_files, torn)| Step::Crash {
        during: Box::new(during),
        after_files,
        torn,
    });
    prop_oneof![5 => step(), 1 => crash]
}

fn user() -> impl Strategy<Value = usize> {
    prop_oneof![8 => Just(0), 2 => Just(1), 1 => Just(2)]
}

fn step() -> impl Strategy<Value = Step> {
    let place = || prop_oneof![4 => Just(0_usize), 4 => 1..6_usize, 2 => 0..20_usize];
    let round = prop_oneof![4 => Just(Round::First), 1 => Just(Round::AfterMiss)];
    let login = (user(), code(), place(), round, prop::bool::weighted(0.2)).prop_map(
        |(user, code, place, round, behind_password)| Step::Login { user, code, place, round, behind_password },
    );
    let recovery =
        (user(), 0..12_usize, place()).prop_map(|(user, code, place)| Step::Recovery { user, code, place });
    let meanwhile = (user(), 0..12_usize, place()).prop_flat_map(|(user, code, place)| {
        let by = prop_oneof![
            Just(Step::Recovery { user, code, place }),
            Just(Step::NewRecoveryCodes { user }),
            Just(Step::Remove { user, device: 0 }),
            Just(Step::Unlock { user }),
        ];
        by.prop_map(move |by| Step::RecoveryInterrupted { user, code, place, by: Box::new(by) })
    });
    let begin = (user(), proptest::option::of(0..9_usize), 0..6_usize)
        .prop_map(|(user, name, profile)| Step::Begin { user, name, profile });
    let which = prop_oneof![
        6 => Just(WhichEnrollment::Pending),
        1 => (0..4_usize).prop_map(WhichEnrollment::Earlier),
    ];
    let confirm = (user(), which, proof()).prop_map(|(user, id, codes)| Step::Confirm { user, id, codes });
    let bind = (user(), 0..9_usize, 0..6_usize, 0..3_usize)
        .prop_map(|(user, name, profile, seed)| Step::Bind { user, name, profile, seed });
    let device = || (user(), 0..8_usize);
    let guesses = (user(), 1..60_usize, place())
        .prop_map(|(user, count, place)| Step::Guesses { user, count, place });
    prop_oneof![
        60 => login,
        18 => clock().prop_map(Step::Clock),
        2 => Just(Step::ClockToCollision),
        4 => recovery,
        1 => meanwhile,
        8 => begin,
        10 => confirm,
        6 => bind,
        2 => device().prop_map(|(user, device)| Step::Remove { user, device }),
        1 => device().prop_map(|(user, device)| Step::Suspend { user, device }),
        1 => device().prop_map(|(user, device)| Step::Resume { user, device }),
        1 => user().prop_map(|user| Step::NewRecoveryCodes { user }),
        2 => user().prop_map(|user| Step::Unlock { user }),
        1 => user().prop_map(|user| Step::Repair { user }),
        1 => guesses,
    ]
}

fn code() -> impl Strategy<Value = Code> {
    let near = (0..8_usize, -2..=3_i64).prop_map(|(device, offset)| Code::Of { device, offset });
    let right = (0..8_usize, 0..=1_i64).prop_map(|(device, offset)| Code::Of { device, offset });
    let any = (6..9_usize, any::<u32>()).prop_map(|(digits, number)| Code::Any { digits, number });
    prop_oneof![5 => right, 4 => near, 3 => (0..6_usize).prop_map(Code::Again), 3 => any]
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        8 => (-2..=1_i64).prop_map(Proof::Consecutive),
        2 => (-130..=130_i64).prop_map(Proof::Consecutive),
        1 => (-3..=3_i64).prop_map(Proof::Same),
        1 => (-3..=3_i64).prop_map(Proof::Swapped),
        1 => (-3..=3_i64, 2..20_i64).prop_map(|(second, gap)| Proof::Gap(second, gap)),
        1 => (-3..=3_i64).prop_map(Proof::Plain),
        1 => any::<(u32, u32)>().prop_map(|(first, second)| Proof::Any(first, second)),
    ]
}

fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 1..40_i64,
        3 => 40..2000_i64,
        2 => -100..0_i64,
        1 => -90_000..0_i64,
        1 => 2000..200_000_i64,
    ]
}

//! The decision: devices + state + code + now -> verdict. Pure: no disk, no clock, no randomness.

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable as _};

use crate::clock::Timestamp;
use crate::devices::{DeviceId, DeviceName, Status};
use crate::otp::{Code, Digits, Generator, MovingFactor};
use crate::policy::{Policy, WindowSteps};
use crate::recovery::{Bypass, Position, RecoverySet};
use crate::state::{DeviceState, Source, Standing, State};
use crate::throttle::Failures;

/// How far a device's clock is followed, in steps either way (RFC 6238 section 6). Beyond it a device must be resynchronised.
pub const DRIFT_CAP_STEPS: i8 = 10;

/// A device with its seed opened, ready to compare.
pub struct OpenDevice {
    /// Which device.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// Whether it may be used.
    pub status: Status,
    /// Until when it may be used. None: for ever.
    pub expires_at: Option<Timestamp>,
    /// Time or counter.
    pub moving_factor: MovingFactor,
    /// The exact length of its codes.
    pub digits: Digits,
    /// Its seed inside HMAC.
    pub generator: Generator,
}

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The person may go on.
    Accept(Factor),
    /// The person may not.
    Refuse(Refusal),
}

/// What let the person in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Factor {
    /// A device.
    Device {
        /// What its owner calls it.
        name: DeviceName,
        /// The length of its codes.
        digits: Digits,
    },
    /// A recovery code, spent by this.
    Recovery {
        /// How many are left.
        left: u8,
    },
    /// The bypass code that root had issued, spent by this.
    Bypass,
}

/// Why a try was refused. For the log; the person sees none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The code of no device at this time.
    Wrong,
    /// A right code at or below the floor: it, or a later one, was used before.
    Replayed,
    /// A right code for this time, but a code from far in the future was used before: this host's clock went back.
    Skew,
    /// Too soon after too many failures; the code was not looked at.
    Throttled {
        /// The seconds still to wait.
        wait_seconds: u64,
    },
    /// The device is disabled after too many failures, until root or a recovery code releases it.
    Disabled,
    /// A right code of a device, or a bypass code, whose time is over.
    Expired,
    /// The account has no device.
    NotEnrolled,
    /// The store is read-only, and what was presented has to be marked as used in a way that outlives a reboot.
    ReadOnly,
}

/// Whether what a verdict changes in the state outlives a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk.
    Kept,
    /// The store can't be written; it is in `/run` only.
    UntilReboot {
        /// When the system was started: what was used before may be forgotten.
        booted: Timestamp,
    },
}

/// The codes that one answer may stand for: one, or, where a password precedes it, one for each length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Typed([Option<Code>; 3]);

impl Typed {
    /// An answer that is a code and nothing else.
    pub fn exactly(code: Code) -> Self {
        Self([Some(code), None, None])
    }

    /// The last 6, 7 and 8 bytes of `answer`, so far as they are digits. None if not even 6 are.
    pub fn tails(answer: &[u8]) -> Option<Self> {
        let tail = |length: usize| Code::from_digits(answer.get(answer.len().checked_sub(length)?..)?);
        let typed = Self([tail(6), tail(7), tail(8)]);
        typed.0.iter().any(Option::is_some).then_some(typed)
    }

    /// The code of that length.
    fn of_length(&self, digits: Digits) -> Option<&Code> {
        self.0.iter().flatten().find(|code| code.digits() == digits.count())
    }
}

/// Where and when a try happens.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// The time.
    pub now: Timestamp,
    /// Where it comes from.
    pub source: Source,
    /// Whether changes to the state will outlive a reboot.
    pub durability: Durability,
    /// Whether this login has been charged for a wrong code already.
    pub round: Round,
}

/// Whether a login looks at a second answer of the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Round {
    /// The first answer of this login.
    First,
    /// A password that only looked as if a code stood at its end was charged as a wrong code; if the code that was asked for then is
    /// right, that charge is taken back from the devices that do not start afresh anyway.
    AfterMiss,
}

/// Decides on what was typed, and takes note in `state` of what that used up.
///
/// Every device and every step of its window is computed and compared, whatever was found before. A code is accepted if
/// - no device knows it as used (at or below its floor), and
/// - a device that is active, neither disabled nor waiting, has it in its window above its floor.
///
/// Then the floors of all devices that show this code rise to it. If it is refused as [`Refusal::Wrong`], every device that it was
/// compared with counts a failure. A state without an entry for a device refuses that device.
pub fn verify(
    devices: &[OpenDevice],
    state: &mut State,
    typed: &Typed,
    occasion: Occasion,
    policy: &Policy,
) -> Verdict {
    state.touch();
    let standing = state.standing(occasion.source);
    let mut looks: Vec<Look<'_>> = Vec::with_capacity(devices.len());
    for device in devices {
        let Some(entry) = state.device_mut(device.id) else { continue };
        // Where nothing of this length was typed the same work is done on a code that is none.
        let code = typed.of_length(device.digits);
        looks.push(Look {
            device,
            found: find(device, entry, code.unwrap_or(&Code::NONE), occasion.now, policy.window_steps),
            gate: gate(device, entry, code, standing, occasion, policy),
        });
    }
    let verdict = decide(&looks);
    match &verdict {
        Verdict::Accept(_) => {
            accept(&looks, state, standing, occasion);
        }
        Verdict::Refuse(Refusal::Wrong) => charge(&looks, state, standing, occasion.now, policy),
        Verdict::Refuse(
            Refusal::Replayed
            | Refusal::Skew
            | Refusal::Throttled { .. }
            | Refusal::Disabled
            | Refusal::Expired
            | Refusal::NotEnrolled
            | Refusal::ReadOnly,
        ) => {}
    }
    verdict
}

/// Decides on a code of `set`, or on the bypass code, that was found at `position` (none: nowhere), and takes note in `state`.
///
/// One that is accepted also releases every device of the account: it is the way back in for somebody who is locked out.
pub fn verify_recovery(
    set: Option<&RecoverySet>,
    bypass: Option<&Bypass>,
    position: Option<Position>,
    state: &mut State,
    occasion: Occasion,
    policy: &Policy,
) -> Verdict {
    state.touch();
    if let Some(set) = set
        && state.recovery.set != Some(set.id)
    {
        // The first try since these codes were made: none of them is used.
        state.recovery.set = Some(set.id);
        state.recovery.used = 0;
        state.recovery.scratch_used = 0;
    }
    let standing = state.standing(occasion.source);
    let together = state.recovery.failures();
    let failures = state.recovery.failures_of(standing);
    let wait_seconds = failures.wait_seconds(policy.throttle, together, occasion.now);
    failures.settle(occasion.now);
    if wait_seconds > 0 {
        return Verdict::Refuse(Refusal::Throttled { wait_seconds });
    }
    let Some(position) = position else {
        failures.record(occasion.now);
        return Verdict::Refuse(Refusal::Wrong);
    };
    if let Err(refusal) = use_up(position, bypass, state, occasion) {
        return Verdict::Refuse(refusal);
    }
    state.recovery.known_failures = Failures::default();
    state.recovery.stranger_failures = Failures::default();
    state.devices.iter_mut().for_each(DeviceState::release);
    state.remember(occasion.source);
    Verdict::Accept(match position {
        Position::Bypass(_) => Factor::Bypass,
        Position::Code(_) | Position::Scratch(_) => {
            Factor::Recovery { left: set.map_or(0, |set| state.recovery.left_of(set)) }
        }
    })
}

/// Marks a code as used, if it may be used now.
fn use_up(
    position: Position,
    bypass: Option<&Bypass>,
    state: &mut State,
    occasion: Occasion,
) -> Result<(), Refusal> {
    let mark = |place: u8| 1_u16.checked_shl(u32::from(place)).unwrap_or(0);
    let is_unused = match position {
        Position::Code(place) => mark(place) & !state.recovery.used != 0,
        Position::Scratch(place) => mark(place) & !state.recovery.scratch_used != 0,
        Position::Bypass(id) => state.recovery.bypass_used != Some(id),
    };
    if !is_unused {
        return Err(Refusal::Replayed);
    }
    if let Position::Bypass(id) = position
        && !bypass.is_some_and(|bypass| bypass.id == id && bypass.is_valid_at(occasion.now))
    {
        return Err(Refusal::Expired);
    }
    if occasion.durability != Durability::Kept {
        return Err(Refusal::ReadOnly);
    }
    match position {
        Position::Code(place) => state.recovery.used |= mark(place),
        Position::Scratch(place) => state.recovery.scratch_used |= mark(place),
        Position::Bypass(id) => state.recovery.bypass_used = Some(id),
    }
    Ok(())
}

/// One device's part in a decision.
struct Look<'a> {
    device: &'a OpenDevice,
    found: Found,
    gate: Gate,
}

/// Whether a device's opinion counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    OtherLength,
    Suspended,
    Expired,
    Disabled,
    Waiting { wait_seconds: u64 },
    NotDurable,
}

fn gate(
    device: &OpenDevice,
    entry: &mut DeviceState,
    code: Option<&Code>,
    standing: Standing,
    occasion: Occasion,
    policy: &Policy,
) -> Gate {
    if code.is_none() {
        return Gate::OtherLength;
    }
    match device.status {
        Status::Active => {}
        Status::Suspended | Status::Assigned => return Gate::Suspended,
    }
    if device.expires_at.is_some_and(|end| occasion.now > end) {
        return Gate::Expired;
    }
    if entry.is_disabled_for(standing) {
        return Gate::Disabled;
    }
    let together = entry.failures();
    let failures = entry.failures_of(standing);
    let wait_seconds = failures.wait_seconds(policy.throttle, together, occasion.now);
    failures.settle(occasion.now);
    if wait_seconds > 0 {
        return Gate::Waiting { wait_seconds };
    }
    if is_durable_enough(device.moving_factor, occasion) { Gate::Open } else { Gate::NotDurable }
}

/// Whether a code that is accepted now can't be accepted a second time.
fn is_durable_enough(factor: MovingFactor, occasion: Occasion) -> bool {
    match (occasion.durability, factor) {
        (Durability::Kept, _) => true,
        (Durability::UntilReboot { .. }, MovingFactor::Counter(_)) => false,
        // The steps that could have been accepted before the reboot, one ahead included, must be out of the window.
        (Durability::UntilReboot { booted }, MovingFactor::Time(period)) => {
            period.step_at(occasion.now) > period.step_at(booted).saturating_add(2)
        }
    }
}

fn decide(looks: &[Look<'_>]) -> Verdict {
    let open = || looks.iter().filter(|look| look.gate == Gate::Open);
    if open().next().is_none() {
        return Verdict::Refuse(why_none_is_open(looks));
    }
    // Used on one device is used, even where another device happens to show the same digits now.
    if let Some(used) = looks.iter().find_map(|look| look.found.used) {
        return Verdict::Refuse(used);
    }
    match open().find(|look| look.found.fresh.is_some()) {
        Some(look) => {
            Verdict::Accept(Factor::Device { name: look.device.name.clone(), digits: look.device.digits })
        }
        None if looks.iter().any(|look| look.gate == Gate::Expired && look.found.fresh.is_some()) => {
            Verdict::Refuse(Refusal::Expired)
        }
        None => Verdict::Refuse(Refusal::Wrong),
    }
}

/// The reason to log when no device may answer: the one that passes soonest.
fn why_none_is_open(looks: &[Look<'_>]) -> Refusal {
    let mut refusal = Refusal::Wrong;
    for look in looks {
        refusal = match (look.gate, refusal) {
            (Gate::NotDurable, _) => Refusal::ReadOnly,
            (Gate::Waiting { wait_seconds }, Refusal::Throttled { wait_seconds: other }) => {
                Refusal::Throttled { wait_seconds: wait_seconds.min(other) }
            }
            (Gate::Waiting { wait_seconds }, Refusal::Wrong | Refusal::Disabled | Refusal::Expired) => {
                Refusal::Throttled { wait_seconds }
            }
            (Gate::Disabled, Refusal::Wrong | Refusal::Expired) => Refusal::Disabled,
            (Gate::Expired, Refusal::Wrong) => Refusal::Expired,
            (
                Gate::Open
                | Gate::OtherLength
                | Gate::Suspended
                | Gate::Expired
                | Gate::Disabled
                | Gate::Waiting { .. },
                refusal,
            ) => refusal,
        };
    }
    refusal
}

/// The most failures from elsewhere that are remembered through a success from a known address: the longest wait, far from the cap.
const STRANGER_FAILURES_KEPT: u32 = 15;

/// After how long the failures of a device that was not used are taken for typing errors.
const FORGIVEN_AFTER_SECONDS: u64 = 24 * 3600;

/// Burns the code on every device that shows it, clears the failures of the device that let the person in.
fn accept(looks: &[Look<'_>], state: &mut State, standing: Standing, occasion: Occasion) {
    for look in looks {
        let Some(entry) = state.device_mut(look.device.id) else { continue };
        if let Some(fresh) = look.found.fresh {
            entry.floor = entry.floor.max(Some(fresh.counter));
            if look.gate == Gate::Open {
                entry.drift_steps =
                    entry.drift_steps.saturating_add(fresh.offset).clamp(-DRIFT_CAP_STEPS, DRIFT_CAP_STEPS);
                clear_failures(entry, standing);
                continue;
            }
        }
        forgive(entry, standing, occasion);
    }
    state.remember(occasion.source);
}

fn clear_failures(entry: &mut DeviceState, standing: Standing) {
    entry.known_failures = Failures::default();
    match standing {
        // The owner is at home; whoever guesses from elsewhere goes on waiting.
        Standing::Known => {
            entry.stranger_failures.count = entry.stranger_failures.count.min(STRANGER_FAILURES_KEPT)
        }
        Standing::Stranger => entry.stranger_failures = Failures::default(),
    }
}

/// A spare device is compared with every wrong code and must not die of the typing errors of years.
fn forgive(entry: &mut DeviceState, standing: Standing, occasion: Occasion) {
    if occasion.round == Round::AfterMiss {
        entry.failures_of(standing).take_back();
    }
    let age = occasion.now.seconds_since(entry.known_failures.last);
    if age.is_some_and(|age| age > FORGIVEN_AFTER_SECONDS) {
        entry.known_failures = Failures::default();
    }
}

/// Counts a failure on every device that was compared.
fn charge(looks: &[Look<'_>], state: &mut State, standing: Standing, now: Timestamp, policy: &Policy) {
    for look in looks.iter().filter(|look| look.gate == Gate::Open) {
        let Some(entry) = state.device_mut(look.device.id) else { continue };
        entry.failures_of(standing).record(now);
        entry.apply(policy.throttle.cap());
    }
}

/// Where in its window a device shows the code.
struct Found {
    /// At or below the floor: the code must never work again.
    used: Option<Refusal>,
    /// Above the floor, and nowhere at or below it.
    fresh: Option<Fresh>,
}

#[derive(Clone, Copy)]
struct Fresh {
    counter: u64,
    /// Against the middle of the window: -1, 0 or 1.
    offset: i8,
}

/// Compares with every step of the window, in the same time wherever it matches.
fn find(device: &OpenDevice, entry: &DeviceState, code: &Code, now: Timestamp, window: WindowSteps) -> Found {
    let mut used = Choice::from(0);
    let mut fresh = Choice::from(0);
    let mut counter = 0_u64;
    let mut offset = 0_i8;
    let candidates = candidates(device.moving_factor, entry, now, window);
    let clock_went_back = candidates.clock_went_back;
    for candidate in candidates.list {
        let matches = device.generator.matches_at(candidate.counter, code);
        // RFC 6238 5.2: at or below the last accepted step nothing works again. Public, so a plain comparison.
        let dead = Choice::from(u8::from(entry.floor.is_some_and(|floor| candidate.counter <= floor)));
        used |= matches & dead;
        // The latest step that shows these digits: it burns the earlier ones with it.
        counter.conditional_assign(&candidate.counter, matches & !dead);
        offset.conditional_assign(&candidate.offset, matches & !dead);
        fresh |= matches & !dead;
    }
    let used = bool::from(used);
    Found {
        used: used.then_some(if clock_went_back { Refusal::Skew } else { Refusal::Replayed }),
        fresh: (bool::from(fresh) && !used).then_some(Fresh { counter, offset }),
    }
}

struct Candidates {
    list: Vec<Candidate>,
    /// The whole window lies below the floor.
    clock_went_back: bool,
}

struct Candidate {
    counter: u64,
    offset: i8,
}

/// The counters a code may belong to now, lowest first.
fn candidates(factor: MovingFactor, entry: &DeviceState, now: Timestamp, window: WindowSteps) -> Candidates {
    let list: Vec<Candidate> = match factor {
        MovingFactor::Time(period) => {
            let middle = period.step_at(now).saturating_add_signed(i64::from(entry.steps_ahead()));
            let reach = i8::try_from(window.count()).unwrap_or(1);
            (reach.saturating_neg()..=reach)
                .filter_map(|offset| {
                    Some(Candidate { counter: middle.checked_add_signed(i64::from(offset))?, offset })
                })
                .collect()
        }
        MovingFactor::Counter(look_ahead) => {
            // The floor itself is looked at too, so that a code used twice is called that in the log.
            let first = entry.floor.unwrap_or(0);
            let beyond_floor =
                u64::from(look_ahead.counters()).saturating_sub(u64::from(entry.floor.is_none()));
            (first..=first.saturating_add(beyond_floor))
                .map(|counter| Candidate { counter, offset: 0 })
                .collect()
        }
    };
    let floor_is_above = |candidate: &Candidate| entry.floor.is_some_and(|floor| floor > candidate.counter);
    let clock_went_back = list.iter().all(floor_is_above);
    Candidates { list, clock_went_back }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::Hex;
    use crate::otp::{LookAhead, Profile};
    use crate::secret::Secret;
    use crate::throttle::Throttle;

    const NOW: u64 = 1_800_000_000;
    const STEP: u64 = NOW / 30;
    const HOME: Source = Hex([1; 8]);
    const ELSEWHERE: Source = Hex([2; 8]);

    struct Account {
        devices: Vec<OpenDevice>,
        state: State,
        policy: Policy,
    }

    impl Account {
        fn with(profiles: &[Profile]) -> Self {
            let mut account =
                Self { devices: Vec::new(), state: State::default(), policy: Policy::default() };
            for (number, profile) in (1..).zip(profiles) {
                let Profile { moving_factor, algorithm, digits } = *profile;
                let seed = Secret::new(vec![number; 20]);
                account.devices.push(OpenDevice {
                    id: Hex([number; 8]),
                    name: format!("device {number}").parse().unwrap(),
                    status: Status::Active,
                    expires_at: None,
                    moving_factor,
                    digits,
                    generator: Generator::new(&seed, algorithm, digits),
                });
                account.state.devices.push(DeviceState::with_floor(Hex([number; 8]), None, 0));
            }
            account
        }

        fn phone() -> Self {
            Self::with(&[Profile::PLAIN])
        }

        fn code(&self, counter: u64) -> Code {
            self.devices[0].generator.code_at(counter)
        }

        fn try_at(&mut self, code: &Code, now: u64, source: Source) -> Verdict {
            let now = Timestamp::from_unix_seconds(now);
            let occasion = Occasion { now, source, durability: Durability::Kept, round: Round::First };
            verify(&self.devices, &mut self.state, &Typed::exactly(code.clone()), occasion, &self.policy)
        }

        fn enter(&mut self, code: &Code) -> Verdict {
            self.try_at(code, NOW, HOME)
        }
    }

    fn accepted(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Accept(_))
    }

    fn refused(refusal: Refusal) -> Verdict {
        Verdict::Refuse(refusal)
    }

    /// Six digits that none of the account's devices shows near `STEP`.
    fn wrong_code(account: &Account) -> Code {
        (0..)
            .map(|number| Code::from_digits(format!("{number:06}").as_bytes()).unwrap())
            .find(|code| {
                account.devices.iter().all(|device| {
                    (STEP - 50..STEP + 50).all(|step| !device.generator.code_at(step).same_as(code))
                })
            })
            .unwrap()
    }

    #[test]
    fn a_code_works_once() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
        assert_eq!(account.enter(&code), refused(Refusal::Replayed));
    }

    #[test]
    fn one_step_either_side_is_accepted_and_no_more() {
        for offset in -10..=10 {
            let mut account = Account::phone();
            let code = account.code(STEP.checked_add_signed(offset).unwrap());
            assert_eq!(accepted(&account.enter(&code)), (-1..=1).contains(&offset), "offset {offset}");
        }
    }

    #[test]
    fn the_strict_window_is_the_present_step_alone() {
        for offset in -2..=2 {
            let mut account = Account::phone();
            account.policy.window_steps = WindowSteps::ZERO;
            let code = account.code(STEP.checked_add_signed(offset).unwrap());
            assert_eq!(accepted(&account.enter(&code)), offset == 0);
        }
    }

    #[test]
    fn every_step_at_or_below_an_accepted_one_is_dead() {
        let mut account = Account::phone();
        let (before, code) = (account.code(STEP - 1), account.code(STEP));
        assert!(accepted(&account.enter(&code)));
        assert_eq!(account.enter(&before), refused(Refusal::Replayed));
        let next = account.code(STEP + 1);
        assert!(accepted(&account.enter(&next)));
    }

    #[test]
    fn a_clock_set_back_revives_nothing() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
        assert_eq!(account.try_at(&code, NOW - 30, HOME), refused(Refusal::Replayed));
        let old = account.code(STEP - 100);
        assert_eq!(account.try_at(&old, NOW - 3000, HOME), refused(Refusal::Skew));
    }

    #[test]
    fn a_refused_code_burns_nothing() {
        let mut account = Account::phone();
        let floor = account.state.devices[0].floor;
        let wrong = wrong_code(&account);
        assert_eq!(account.enter(&wrong), refused(Refusal::Wrong));
        assert_eq!(account.state.devices[0].floor, floor);
    }

    #[test]
    fn drift_is_learned_one_step_at_a_time_and_capped() {
        let mut account = Account::phone();
        let mut furthest = 0;
        for ahead in 1..=30 {
            let code = account.code(STEP + ahead);
            if !accepted(&account.enter(&code)) {
                break;
            }
            furthest = ahead;
        }
        assert_eq!(furthest, 11, "ten steps of drift and one of window");
        assert_eq!(account.state.devices[0].drift_steps, 10);
    }

    #[test]
    fn drift_goes_back_as_it_came() {
        let mut account = Account::phone();
        let ahead = account.code(STEP + 1);
        assert!(accepted(&account.enter(&ahead)));
        assert_eq!(account.state.devices[0].drift_steps, 1);
        let on_time = account.code(STEP + 10);
        assert!(accepted(&account.try_at(&on_time, NOW + 300, HOME)));
        assert_eq!(account.state.devices[0].drift_steps, 0);
    }

    /// A seed whose codes at two steps of one window are the same six digits.
    fn colliding() -> (Account, u64) {
        let mut account = Account::phone();
        let step = (1_u64..).find(|step| account.code(*step).same_as(&account.code(step + 1))).unwrap();
        account.state.devices[0].floor = None;
        (account, step)
    }

    #[test]
    fn a_code_whose_digits_return_in_the_next_step_is_still_a_replay() {
        let (mut account, step) = colliding();
        account.state.devices[0].floor = Some(step);
        let code = account.code(step);
        assert_eq!(account.try_at(&code, step * 30, HOME), refused(Refusal::Replayed));
    }

    #[test]
    fn accepting_digits_that_stand_for_two_steps_burns_both() {
        let (mut account, step) = colliding();
        let code = account.code(step);
        assert!(accepted(&account.try_at(&code, step * 30, HOME)));
        assert_eq!(account.state.devices[0].floor, Some(step + 1));
    }

    #[test]
    fn digits_are_exact() {
        let eight = Profile { digits: Digits::try_from(8).unwrap(), ..Profile::PLAIN };
        let mut account = Account::with(&[eight]);
        let short =
            Generator::new(&Secret::new(vec![1; 20]), eight.algorithm, Profile::PLAIN.digits).code_at(STEP);
        assert_eq!(account.enter(&short), refused(Refusal::Wrong));
        assert_eq!(account.state.devices[0].failures(), 0, "it was not compared, so it is not charged");
        let full = account.code(STEP);
        assert!(accepted(&account.enter(&full)));
    }

    #[test]
    fn any_active_device_lets_in_and_keeps_its_own_floor() {
        let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
        let second = account.devices[1].generator.code_at(STEP);
        let verdict = account.enter(&second);
        assert_eq!(
            verdict,
            Verdict::Accept(Factor::Device {
                name: "device 2".parse().unwrap(),
                digits: Profile::PLAIN.digits
            })
        );
        assert_eq!(account.state.devices[0].floor, None);
        let first = account.code(STEP);
        assert!(accepted(&account.enter(&first)));
    }

    #[test]
    fn a_code_used_on_one_device_is_refused_even_where_another_shows_it() {
        let mut account = Account::with(&[Profile::PLAIN]);
        let twin = OpenDevice {
            id: Hex([9; 8]),
            name: "twin".parse().unwrap(),
            status: Status::Active,
            expires_at: None,
            moving_factor: Profile::PLAIN.moving_factor,
            digits: Profile::PLAIN.digits,
            generator: Generator::new(
                &Secret::new(vec![1; 20]),
                Profile::PLAIN.algorithm,
                Profile::PLAIN.digits,
            ),
        };
        account.devices.push(twin);
        account.state.devices.push(DeviceState::with_floor(Hex([9; 8]), None, 0));
        account.state.devices[0].floor = Some(STEP);
        let code = account.code(STEP);
        assert_eq!(account.enter(&code), refused(Refusal::Replayed));
        account.state.devices[0].floor = None;
        assert!(accepted(&account.enter(&code)));
        assert_eq!(account.state.devices[1].floor, Some(STEP), "burnt on both");
    }

    #[test]
    fn a_suspended_device_and_one_without_state_let_nobody_in() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        account.devices[0].status = Status::Suspended;
        assert_eq!(account.enter(&code), refused(Refusal::Wrong));
        account.devices[0].status = Status::Active;
        account.state.devices.clear();
        assert_eq!(account.enter(&code), refused(Refusal::Wrong));
    }

    #[test]
    fn an_expired_device_lets_nobody_in_and_the_reason_is_named() {
        let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
        let (code, other) = (account.code(STEP), account.devices[1].generator.code_at(STEP));
        account.devices[0].expires_at = Some(Timestamp::from_unix_seconds(NOW - 1));
        assert_eq!(account.enter(&code), refused(Refusal::Expired), "beside one that counts");
        assert_eq!(account.state.devices[1].failures(), 0, "its owner made no typing error");
        let wrong = wrong_code(&account);
        assert_eq!(account.enter(&wrong), refused(Refusal::Wrong));
        assert!(accepted(&account.enter(&other)));
        account.devices.pop();
        assert_eq!(account.enter(&code), refused(Refusal::Expired), "alone");
        account.devices[0].expires_at = Some(Timestamp::from_unix_seconds(NOW));
        assert!(accepted(&account.enter(&code)), "in its last second");
    }

    #[test]
    fn the_fourth_failure_in_a_row_has_to_wait_and_a_right_code_is_not_consumed_meanwhile() {
        let mut account = Account::phone();
        let wrong = wrong_code(&account);
        for _ in 0..3 {
            assert_eq!(account.enter(&wrong), refused(Refusal::Wrong));
        }
        let right = account.code(STEP);
        assert_eq!(account.enter(&right), refused(Refusal::Throttled { wait_seconds: 1 }));
        assert_eq!(account.state.devices[0].failures(), 3, "waiting is not charged");
        assert!(accepted(&account.try_at(&right, NOW + 1, HOME)));
        assert_eq!(account.state.devices[0].failures(), 0);
    }

    #[test]
    fn a_replay_is_not_charged() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        account.enter(&code);
        account.enter(&code);
        assert_eq!(account.state.devices[0].failures(), 0);
    }

    #[test]
    fn a_strangers_guesses_slow_the_stranger_and_not_the_owner() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
        let wrong = wrong_code(&account);
        for _ in 0..20 {
            account.try_at(&wrong, NOW, ELSEWHERE);
        }
        assert_eq!(account.try_at(&wrong, NOW, ELSEWHERE), refused(Refusal::Throttled { wait_seconds: 1 }));
        let next = account.code(STEP + 1);
        assert!(accepted(&account.enter(&next)), "the owner's address is known");
    }

    /// Fails from `source` until `enough`, as slowly as the throttle wants, and says when that was.
    fn fail_patiently(account: &mut Account, source: Source, enough: impl Fn(&DeviceState) -> bool) -> u64 {
        let mut now = NOW;
        for _ in 0..100 {
            if enough(&account.state.devices[0]) {
                return now;
            }
            assert_eq!(account.try_at(&wrong_near(account, now), now, source), refused(Refusal::Wrong));
            now += 3600;
        }
        panic!("a hundred failures were not enough");
    }

    #[test]
    fn fifty_failures_from_known_addresses_disable_the_device_for_good() {
        let mut account = Account::phone();
        account.state.remember(HOME);
        let now = fail_patiently(&mut account, HOME, |device| device.disabled);
        assert_eq!(account.state.devices[0].failures(), 50);
        let years_later = now + 10 * 365 * 86_400;
        let right = account.code(years_later / 30);
        for source in [HOME, ELSEWHERE] {
            assert_eq!(account.try_at(&right, years_later, source), refused(Refusal::Disabled));
        }
    }

    #[test]
    fn fifty_failures_from_elsewhere_close_the_device_to_elsewhere_alone() {
        let mut account = Account::phone();
        account.state.remember(HOME);
        let now = fail_patiently(&mut account, ELSEWHERE, |device| device.closed_to_strangers);
        assert_eq!(account.state.devices[0].failures(), 50);
        let right = account.code(now / 30);
        assert_eq!(account.try_at(&right, now, ELSEWHERE), refused(Refusal::Disabled));
        assert!(accepted(&account.try_at(&right, now, HOME)), "the owner at home is not locked out");
        let next = account.code(now / 30 + 1);
        assert_eq!(
            account.try_at(&next, now, ELSEWHERE),
            refused(Refusal::Disabled),
            "and that opens nothing"
        );
    }

    #[test]
    fn no_more_than_a_hundred_failures_in_a_row_are_looked_at_in_all() {
        let mut account = Account::phone();
        account.state.remember(HOME);
        fail_patiently(&mut account, ELSEWHERE, |device| device.closed_to_strangers);
        fail_patiently(&mut account, HOME, |device| device.disabled);
        assert_eq!(account.state.devices[0].failures(), 100);
    }

    #[test]
    fn a_success_at_home_does_not_give_a_stranger_new_free_tries() {
        let mut account = Account::phone();
        account.state.remember(HOME);
        let now = fail_patiently(&mut account, ELSEWHERE, |device| device.failures() >= 20);
        let right = account.code(now / 30);
        assert!(accepted(&account.try_at(&right, now, HOME)));
        assert_eq!(account.state.devices[0].stranger_failures.count, 15);
        assert_eq!(Throttle::Nist.wait_seconds(15, 15), 3600);
    }

    #[test]
    fn old_typing_errors_do_not_wear_out_a_spare_device() {
        let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
        account.state.remember(HOME);
        let wrong = wrong_code(&account);
        account.enter(&wrong);
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
        assert_eq!(account.state.devices[1].failures(), 1);
        let tomorrow = NOW + 86_430;
        let code = account.code(tomorrow / 30);
        assert!(accepted(&account.try_at(&code, tomorrow, HOME)));
        assert_eq!(account.state.devices[1].failures(), 0);
    }

    #[test]
    fn a_password_taken_for_a_code_is_not_held_against_the_spare() {
        let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
        let wrong = wrong_code(&account);
        account.enter(&wrong);
        let code = account.code(STEP);
        let occasion = Occasion { round: Round::AfterMiss, ..recovery_occasion(Durability::Kept) };
        assert!(accepted(&verify(
            &account.devices,
            &mut account.state,
            &Typed::exactly(code),
            occasion,
            &account.policy
        )));
        assert_eq!((account.state.devices[0].failures(), account.state.devices[1].failures()), (0, 0));
    }

    fn wrong_near(account: &Account, now: u64) -> Code {
        let step = now / 30;
        (0..)
            .map(|number| Code::from_digits(format!("{number:06}").as_bytes()).unwrap())
            .find(|code| (step - 2..=step + 2).all(|step| !account.code(step).same_as(code)))
            .unwrap()
    }

    #[test]
    fn success_clears_the_failures_of_the_device_that_was_used_alone() {
        let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
        let wrong = wrong_code(&account);
        account.enter(&wrong);
        account.enter(&wrong);
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
        assert_eq!((account.state.devices[0].failures(), account.state.devices[1].failures()), (0, 2));
    }

    #[test]
    fn the_failures_of_a_spare_device_are_forgiven_when_they_are_older_than_a_day() {
        for (age, left) in [(86_399, 1), (86_400, 1), (86_401, 0)] {
            let mut account = Account::with(&[Profile::PLAIN, Profile::PLAIN]);
            account.state.remember(HOME);
            let wrong = wrong_code(&account);
            assert_eq!(account.enter(&wrong), refused(Refusal::Wrong));
            let code = account.code((NOW + age) / 30);
            assert!(accepted(&account.try_at(&code, NOW + age, HOME)));
            assert_eq!(account.state.devices[1].failures(), left, "after {age} seconds");
        }
    }

    #[test]
    fn stig_disables_at_the_third_failure() {
        let mut account = Account::phone();
        account.policy.throttle = Throttle::Stig;
        let wrong = wrong_code(&account);
        for _ in 0..3 {
            assert_eq!(account.enter(&wrong), refused(Refusal::Wrong));
        }
        let right = account.code(STEP);
        assert_eq!(account.enter(&right), refused(Refusal::Disabled));
    }

    fn counter_device() -> Account {
        let profile = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
        Account::with(&[profile])
    }

    #[test]
    fn a_counter_device_may_be_a_few_presses_ahead_and_never_goes_back() {
        let mut account = counter_device();
        let (zero, four, nine, ten) = (account.code(0), account.code(4), account.code(9), account.code(15));
        assert!(accepted(&account.enter(&four)), "the fifth press");
        assert_eq!(account.enter(&four), refused(Refusal::Replayed));
        assert_eq!(account.enter(&zero), refused(Refusal::Wrong));
        assert!(accepted(&account.enter(&nine)));
        assert_eq!(account.enter(&ten), refused(Refusal::Wrong), "six presses ahead");
        assert_eq!(account.state.devices[0].floor, Some(9), "a wrong code moves no counter");
    }

    #[test]
    fn the_first_code_of_a_counter_device_is_counter_zero() {
        let mut account = counter_device();
        let (zero, five) = (account.code(0), account.code(5));
        assert_eq!(account.enter(&five), refused(Refusal::Wrong));
        assert!(accepted(&account.enter(&zero)));
    }

    #[test]
    fn a_counter_at_its_end_stays_there() {
        let mut account = counter_device();
        account.state.devices[0].floor = Some(u64::MAX);
        let code = account.code(0);
        assert_eq!(account.enter(&code), refused(Refusal::Wrong));
    }

    fn booted(seconds_ago: u64) -> Durability {
        Durability::UntilReboot { booted: Timestamp::from_unix_seconds(NOW - seconds_ago) }
    }

    #[test]
    fn on_a_read_only_disk_time_codes_work_and_counter_codes_do_not() {
        let (mut phone, mut token) = (Account::phone(), counter_device());
        let enter = |account: &mut Account, counter, durability| {
            let typed = Typed::exactly(account.code(counter));
            verify(
                &account.devices,
                &mut account.state,
                &typed,
                recovery_occasion(durability),
                &account.policy,
            )
        };
        assert_eq!(enter(&mut token, 0, booted(3600)), refused(Refusal::ReadOnly));
        assert_eq!(
            enter(&mut phone, STEP, booted(60)),
            refused(Refusal::ReadOnly),
            "it may have been used before the reboot"
        );
        assert!(accepted(&enter(&mut phone, STEP, booted(61))));
    }

    #[test]
    fn a_code_behind_a_password_is_found_at_the_length_of_the_device() {
        let mut account = Account::phone();
        let code = account.code(STEP);
        let digits = (0..1_000_000)
            .map(|number| format!("{number:06}"))
            .find(|digits| Code::from_digits(digits.as_bytes()).unwrap().same_as(&code))
            .unwrap();
        let occasion = recovery_occasion(Durability::Kept);
        let mut enter = |answer: &str| {
            let typed = Typed::tails(answer.as_bytes()).unwrap();
            verify(&account.devices, &mut account.state, &typed, occasion, &account.policy)
        };
        assert!(
            accepted(&enter(&format!("pass12{digits}"))),
            "digits before the code belong to the password"
        );
        assert_eq!(enter(&digits), refused(Refusal::Replayed));
        assert!(Typed::tails(b"password").is_none());
        assert!(Typed::tails(b"12345").is_none());
    }

    fn recovery_occasion(durability: Durability) -> Occasion {
        Occasion { now: Timestamp::from_unix_seconds(NOW), source: HOME, durability, round: Round::First }
    }

    #[test]
    fn a_used_recovery_code_is_gone_and_the_others_are_left() {
        let key = crate::seal::HostKey::generate().unwrap();
        let (_, set) = RecoverySet::generate(&key, None, 0).unwrap();
        let mut account = Account::phone();
        let kept = recovery_occasion(Durability::Kept);
        let mut enter = |position| {
            verify_recovery(Some(&set), None, position, &mut account.state, kept, &Policy::default())
        };
        let code = |place| Some(Position::Code(place));
        assert_eq!(enter(code(3)), Verdict::Accept(Factor::Recovery { left: 9 }));
        assert_eq!(enter(code(3)), refused(Refusal::Replayed));
        assert_eq!(enter(code(4)), Verdict::Accept(Factor::Recovery { left: 8 }));
        assert_eq!(enter(None), refused(Refusal::Wrong));
    }

    #[test]
    fn a_recovery_code_releases_a_disabled_device() {
        let key = crate::seal::HostKey::generate().unwrap();
        let (_, set) = RecoverySet::generate(&key, None, 0).unwrap();
        let mut account = Account::phone();
        account.state.devices[0].disabled = true;
        let policy = Policy::default();
        let read_only = recovery_occasion(booted(3600));
        assert_eq!(
            verify_recovery(
                Some(&set),
                None,
                Some(Position::Code(0)),
                &mut account.state,
                read_only,
                &policy
            ),
            refused(Refusal::ReadOnly)
        );
        let kept = recovery_occasion(Durability::Kept);
        assert!(accepted(&verify_recovery(
            Some(&set),
            None,
            Some(Position::Code(0)),
            &mut account.state,
            kept,
            &policy
        )));
        let code = account.code(STEP);
        assert!(accepted(&account.enter(&code)));
    }

    #[test]
    fn wrong_recovery_codes_have_to_wait_too() {
        let mut state = State::default();
        let kept = recovery_occasion(Durability::Kept);
        let mut enter = || verify_recovery(None, None, None, &mut state, kept, &Policy::default());
        for _ in 0..3 {
            assert_eq!(enter(), refused(Refusal::Wrong));
        }
        assert_eq!(enter(), refused(Refusal::Throttled { wait_seconds: 1 }));
    }

    #[test]
    fn under_pci_ten_wrong_recovery_codes_from_anywhere_are_half_an_hour_for_everybody() {
        let pci = Policy { throttle: Throttle::Pci, ..Policy::default() };
        let kept = recovery_occasion(Durability::Kept);
        let once = Failures { count: 1, last: kept.now };
        for (from_elsewhere, wait_seconds) in [(8, 0), (9, 1800)] {
            let mut state = State::default();
            state.remember(HOME);
            state.recovery.known_failures = once;
            state.recovery.stranger_failures = Failures { count: from_elsewhere, ..once };
            let refusal =
                if wait_seconds == 0 { Refusal::Wrong } else { Refusal::Throttled { wait_seconds } };
            let verdict = verify_recovery(None, None, None, &mut state, kept, &pci);
            assert_eq!(verdict, refused(refusal), "{from_elsewhere}");
        }
    }
}

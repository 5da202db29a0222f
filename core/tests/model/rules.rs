//! The rules of an account, written down a second time: from RFC 4226, RFC 6238, docs/record-format.md and the comments on the types
//! of core, not from its code. Slow, plain, and without a disk.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use mfa_core::otp::{Algorithm, MovingFactor, Profile};
use mfa_core::policy::WindowSteps;
use mfa_core::request::WhyNotConfirmed;
use mfa_core::throttle::Throttle;
use mfa_core::verify::{Factor, Round};
use mfa_core::{Policy, Refusal, Verdict};

/// RFC 4226 5.3 with the hashes of RFC 6238 1.2.
pub fn hotp(seed: &[u8], profile: Profile, counter: u64) -> String {
    let message = counter.to_be_bytes();
    let mac: Vec<u8> = match profile.algorithm {
        Algorithm::Sha1 => mac::<Hmac<sha1::Sha1>>(seed, &message),
        Algorithm::Sha256 => mac::<Hmac<sha2::Sha256>>(seed, &message),
        Algorithm::Sha512 => mac::<Hmac<sha2::Sha512>>(seed, &message),
    };
    let offset = usize::from(mac.last().unwrap() & 0x0f);
    let number = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    let digits = usize::from(profile.digits.count());
    let text = format!("{number:010}");
    text[text.len() - digits..].to_owned()
}

fn mac<M: hmac::KeyInit + hmac::Mac>(key: &[u8], message: &[u8]) -> Vec<u8> {
    <M as hmac::KeyInit>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac::<Hmac<sha2::Sha256>>(key, message)
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub devices: Vec<Device>,
    pub pending: Option<Pending>,
    pub recovery: Option<RecoveryCodes>,
    /// Which set the marks below speak of.
    pub marked_set: Option<usize>,
    pub spent: Vec<usize>,
    pub recovery_failures: ByPlace,
    /// The latest first.
    pub known: Vec<Place>,
}

/// An address, or what stands for one: the number of a class of remote hosts that are one place.
pub type Place = usize;

#[derive(Clone, Debug)]
pub struct Device {
    pub id: [u8; 8],
    pub name: String,
    pub seed: Vec<u8>,
    pub profile: Profile,
    pub suspended: bool,
    pub floor: Option<u64>,
    pub drift: i64,
    pub disabled: bool,
    pub closed_to_strangers: bool,
    pub failures: ByPlace,
}

#[derive(Clone, Debug)]
pub struct Pending {
    pub id: [u8; 8],
    pub name: String,
    pub seed: Vec<u8>,
    pub profile: Profile,
    pub begun: u64,
}

/// The codes of one set, and the set's number among all that were ever made.
#[derive(Clone, Debug)]
pub struct RecoveryCodes {
    pub set: usize,
    pub codes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub last: u64,
    pub count: u32,
}

/// Failures from where the account has logged in from, and from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByPlace {
    pub known: Failures,
    pub stranger: Failures,
}

impl ByPlace {
    fn of(&mut self, known: bool) -> &mut Failures {
        if known { &mut self.known } else { &mut self.stranger }
    }

    fn together(self) -> u32 {
        self.known.count + self.stranger.count
    }
}

/// What was typed, by length: one code, or the tails of a password with a code.
pub type Typed = BTreeMap<usize, String>;

/// Where and when.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    pub now: u64,
    pub place: Place,
    pub round: Round,
    pub policy: Policy,
}

/// The seconds to wait after `own` failures from one kind of place, of `together` from everywhere.
fn wait(throttle: Throttle, own: u32, together: u32) -> u64 {
    let ladder = match own {
        0..=2 => 0,
        3..=14 => 1 << (own - 3),
        _ => 3600,
    };
    if throttle == Throttle::Pci && together >= 10 { ladder.max(1800) } else { ladder }
}

/// The seconds left of a wait. One that seems to have begun in the future begins now.
fn wait_left(failures: &mut Failures, throttle: Throttle, together: u32, now: u64) -> u64 {
    failures.last = failures.last.min(now);
    wait(throttle, failures.count, together).saturating_sub(now - failures.last)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    OtherLength,
    Suspended,
    Disabled,
    Waiting(u64),
}

/// What one device says to what was typed.
struct Opinion {
    gate: Gate,
    /// It stands at or below the floor. Whether the whole window does.
    used: Option<bool>,
    /// It stands above the floor: where, and how far from the middle.
    fresh: Option<(u64, i64)>,
}

impl Account {
    pub fn verify(&mut self, typed: &Typed, occasion: Occasion) -> Verdict {
        let known = self.known.contains(&occasion.place);
        let opinions: Vec<Opinion> =
            self.devices.iter_mut().map(|device| device.opinion(typed, known, occasion)).collect();
        let verdict = decide(&self.devices, &opinions);
        match &verdict {
            Verdict::Accept(_) => {
                for (device, opinion) in self.devices.iter_mut().zip(&opinions) {
                    device.note_success(opinion, known, occasion);
                }
                self.remember(occasion.place);
            }
            Verdict::Refuse(Refusal::Wrong) => {
                for (device, opinion) in self.devices.iter_mut().zip(&opinions) {
                    if opinion.gate == Gate::Open {
                        device.charge(known, occasion);
                    }
                }
            }
            Verdict::Refuse(_) => {}
        }
        verdict
    }

    /// `seen`: the set that the slow hash was computed on, before the account was locked.
    pub fn verify_recovery(&mut self, typed: &str, seen: Option<usize>, occasion: Occasion) -> Verdict {
        let set = self.recovery.clone();
        if let Some(set) = &set
            && self.marked_set != Some(set.set)
        {
            self.marked_set = Some(set.set);
            self.spent.clear();
        }
        let known = self.known.contains(&occasion.place);
        let together = self.recovery_failures.together();
        let failures = self.recovery_failures.of(known);
        let wait_seconds = wait_left(failures, occasion.policy.throttle, together, occasion.now);
        if wait_seconds > 0 {
            return Verdict::Refuse(Refusal::Throttled { wait_seconds });
        }
        let position = set
            .as_ref()
            .filter(|set| seen == Some(set.set))
            .and_then(|set| set.codes.iter().position(|code| code == typed));
        let (Some(set), Some(position)) = (set, position) else {
            *failures = Failures { last: occasion.now, count: failures.count + 1 };
            return Verdict::Refuse(Refusal::Wrong);
        };
        if self.spent.contains(&position) {
            return Verdict::Refuse(Refusal::Replayed);
        }
        self.spent.push(position);
        self.recovery_failures = ByPlace::default();
        self.devices.iter_mut().for_each(Device::release);
        self.remember(occasion.place);
        Verdict::Accept(Factor::Recovery { left: u8::try_from(set.codes.len() - self.spent.len()).unwrap() })
    }

    pub fn recovery_codes_left(&self) -> Option<usize> {
        let set = self.recovery.as_ref()?;
        let spent = if self.marked_set == Some(set.set) { self.spent.len() } else { 0 };
        Some(set.codes.len() - spent)
    }

    pub fn unlock(&mut self) {
        self.devices.iter_mut().for_each(Device::release);
        self.recovery_failures = ByPlace::default();
    }

    /// Nothing that may have been used before `now` works again.
    pub fn repair(&mut self, now: u64) {
        for device in &mut self.devices {
            device.release();
            device.drift = 0;
            match device.profile.moving_factor {
                MovingFactor::Time(period) => device.floor = Some(now / period.seconds() + 11),
                MovingFactor::Counter(_) => {
                    device.suspended = true;
                    device.floor = None;
                }
            }
        }
        self.recovery = None;
        self.marked_set = None;
        self.spent.clear();
        self.recovery_failures = ByPlace::default();
        self.known.clear();
    }

    /// The enrollment that still waits for its codes.
    pub fn waiting(&self, now: u64) -> Option<&Pending> {
        self.pending.as_ref().filter(|pending| pending.begun <= now && now - pending.begun <= 900)
    }

    pub fn bind(&mut self, pending: &Pending, floor: u64, drift: i64) {
        self.devices.push(Device {
            id: pending.id,
            name: pending.name.clone(),
            seed: pending.seed.clone(),
            profile: pending.profile,
            suspended: false,
            floor: Some(floor),
            drift,
            disabled: false,
            closed_to_strangers: false,
            failures: ByPlace::default(),
        });
        self.pending = None;
    }

    /// An account without a device is no account: its recovery codes end too.
    pub fn remove(&mut self, name: &str) {
        self.devices.retain(|device| device.name != name);
        if self.devices.is_empty() {
            self.recovery = None;
        }
    }

    fn remember(&mut self, place: Place) {
        self.known.retain(|other| *other != place);
        self.known.insert(0, place);
        self.known.truncate(8);
    }
}

impl Device {
    /// Where its codes may stand now, and how far each is from the middle.
    fn window(&self, now: u64, policy: Policy) -> Vec<(u64, i64)> {
        match self.profile.moving_factor {
            MovingFactor::Time(period) => {
                let middle = (i64::try_from(now / period.seconds()).unwrap() + self.drift).max(0);
                let reach = if policy.window_steps == WindowSteps::ZERO { 0 } else { 1 };
                (-reach..=reach)
                    .filter(|offset| middle + offset >= 0)
                    .map(|offset| (u64::try_from(middle + offset).unwrap(), offset))
                    .collect()
            }
            MovingFactor::Counter(look_ahead) => {
                let ahead = u64::from(look_ahead.counters());
                match self.floor {
                    // RFC 4226 7.4: the next expected counter and so many more; the last one too, to tell a replay.
                    Some(floor) => (floor..=floor + ahead).map(|counter| (counter, 0)).collect(),
                    None => (0..ahead).map(|counter| (counter, 0)).collect(),
                }
            }
        }
    }

    fn opinion(&mut self, typed: &Typed, known: bool, occasion: Occasion) -> Opinion {
        let window = self.window(occasion.now, occasion.policy);
        let code = typed.get(&usize::from(self.profile.digits.count()));
        let shows =
            |counter: u64| code.is_some_and(|code| hotp(&self.seed, self.profile, counter) == *code);
        let found: Vec<(u64, i64)> = window.iter().copied().filter(|(counter, _)| shows(*counter)).collect();
        let is_dead = |counter: u64| self.floor.is_some_and(|floor| counter <= floor);
        let whole_window_is_past =
            window.iter().all(|(counter, _)| self.floor.is_some_and(|floor| *counter < floor));
        let used = found.iter().any(|(counter, _)| is_dead(*counter)).then_some(whole_window_is_past);
        let fresh = if used.is_some() { None } else { found.iter().max().copied() };
        Opinion { gate: self.gate(code.is_some(), known, occasion), used, fresh }
    }

    fn gate(&mut self, has_code: bool, known: bool, occasion: Occasion) -> Gate {
        if !has_code {
            return Gate::OtherLength;
        }
        if self.suspended {
            return Gate::Suspended;
        }
        if self.disabled || (self.closed_to_strangers && !known) {
            return Gate::Disabled;
        }
        let together = self.failures.together();
        match wait_left(self.failures.of(known), occasion.policy.throttle, together, occasion.now) {
            0 => Gate::Open,
            seconds => Gate::Waiting(seconds),
        }
    }

    fn note_success(&mut self, opinion: &Opinion, known: bool, occasion: Occasion) {
        if let Some((counter, offset)) = opinion.fresh {
            self.floor = self.floor.max(Some(counter));
            if opinion.gate == Gate::Open {
                self.drift = (self.drift + offset).clamp(-10, 10);
                self.failures.known = Failures::default();
                if known {
                    self.failures.stranger.count = self.failures.stranger.count.min(15);
                } else {
                    self.failures.stranger = Failures::default();
                }
                return;
            }
        }
        if occasion.round == Round::AfterMiss {
            let failures = self.failures.of(known);
            failures.count = failures.count.saturating_sub(1);
        }
        if occasion.now > self.failures.known.last && occasion.now - self.failures.known.last > 86_400 {
            self.failures.known = Failures::default();
        }
    }

    fn charge(&mut self, known: bool, occasion: Occasion) {
        let failures = self.failures.of(known);
        *failures = Failures { last: occasion.now, count: failures.count + 1 };
        match occasion.policy.throttle {
            Throttle::Nist | Throttle::Pci => {
                self.disabled |= self.failures.known.count >= 50;
                self.closed_to_strangers |= self.failures.stranger.count >= 50;
            }
            Throttle::Stig => self.disabled |= self.failures.together() >= 3,
        }
    }

    fn release(&mut self) {
        self.disabled = false;
        self.closed_to_strangers = false;
        self.failures = ByPlace::default();
    }
}

fn decide(devices: &[Device], opinions: &[Opinion]) -> Verdict {
    if !opinions.iter().any(|opinion| opinion.gate == Gate::Open) {
        let waits = opinions.iter().filter_map(|opinion| match opinion.gate {
            Gate::Waiting(seconds) => Some(seconds),
            _ => None,
        });
        return Verdict::Refuse(match waits.min() {
            Some(wait_seconds) => Refusal::Throttled { wait_seconds },
            None if opinions.iter().any(|opinion| opinion.gate == Gate::Disabled) => Refusal::Disabled,
            None => Refusal::Wrong,
        });
    }
    if let Some(past) = opinions.iter().find_map(|opinion| opinion.used) {
        return Verdict::Refuse(if past { Refusal::Skew } else { Refusal::Replayed });
    }
    let winner =
        devices.iter().zip(opinions).find(|(_, opinion)| opinion.gate == Gate::Open && opinion.fresh.is_some());
    match winner {
        Some((device, _)) => Verdict::Accept(Factor::Device {
            name: device.name.parse().unwrap(),
            digits: device.profile.digits,
        }),
        None => Verdict::Refuse(Refusal::Wrong),
    }
}

/// Whether two codes prove a device: the step of the second, and the drift that it shows.
pub fn prove(
    seed: &[u8],
    profile: Profile,
    first: &str,
    second: &str,
    now: u64,
) -> Result<(u64, i64), WhyNotConfirmed> {
    if first == second {
        return Err(WhyNotConfirmed::SameCode);
    }
    let pairs = pairs(seed, profile, first, second, now);
    let MovingFactor::Time(period) = profile.moving_factor else {
        return match pairs.first() {
            Some(counter) => Ok((*counter, 0)),
            None => Err(why_not(seed, profile, first, second, now)),
        };
    };
    let ahead = |step: u64| i64::try_from(step).unwrap() - i64::try_from(now / period.seconds()).unwrap();
    match pairs.iter().min_by_key(|step| ahead(**step).abs()) {
        Some(step) if ahead(*step).abs() <= 10 => {
            // The least drift with the second code in its window.
            let drift = ahead(*step) - ahead(*step).signum();
            Ok((*step, drift))
        }
        Some(step) => {
            Err(WhyNotConfirmed::ClockOff { seconds: ahead(*step) * i64::try_from(period.seconds()).unwrap() })
        }
        None => Err(why_not(seed, profile, first, second, now)),
    }
}

fn searched(profile: Profile, now: u64) -> std::ops::RangeInclusive<u64> {
    match profile.moving_factor {
        MovingFactor::Time(period) => {
            let present = now / period.seconds();
            present.saturating_sub(120)..=present + 120
        }
        MovingFactor::Counter(_) => 0..=100,
    }
}

fn pairs(seed: &[u8], profile: Profile, first: &str, second: &str, now: u64) -> Vec<u64> {
    let codes: Vec<(u64, String)> =
        searched(profile, now).map(|counter| (counter, hotp(seed, profile, counter))).collect();
    codes.windows(2).filter(|pair| pair[0].1 == first && pair[1].1 == second).map(|pair| pair[1].0).collect()
}

fn why_not(seed: &[u8], profile: Profile, first: &str, second: &str, now: u64) -> WhyNotConfirmed {
    let shows = |code: &str| searched(profile, now).any(|counter| hotp(seed, profile, counter) == code);
    if shows(first) && shows(second) {
        return WhyNotConfirmed::NotConsecutive;
    }
    let plain = Profile::PLAIN;
    for algorithm in [profile.algorithm, plain.algorithm] {
        for digits in [profile.digits, plain.digits] {
            for moving_factor in [profile.moving_factor, plain.moving_factor] {
                let instead = Profile { moving_factor, algorithm, digits };
                if instead != profile && !pairs(seed, instead, first, second, now).is_empty() {
                    return WhyNotConfirmed::ProfileIgnored { instead };
                }
            }
        }
    }
    WhyNotConfirmed::OtherCodes
}

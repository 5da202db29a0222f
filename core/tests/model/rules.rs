//! The rules: what a code does, what it uses up, what a failure costs. No disk, no lock, no crate of ours.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

pub(crate) type Id = [u8; 8];

/// RFC 4226 5.3.
pub(crate) fn code(seed: &[u8], hash: Hash, digits: u32, counter: u64) -> String {
    let message = counter.to_be_bytes();
    let digest = match hash {
        Hash::Sha1 => {
            Hmac::<Sha1>::new_from_slice(seed).unwrap().chain_update(message).finalize().into_bytes().to_vec()
        }
        Hash::Sha256 => Hmac::<Sha256>::new_from_slice(seed)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
        Hash::Sha512 => Hmac::<Sha512>::new_from_slice(seed)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    let at = usize::from(digest[digest.len() - 1] & 15);
    let number: u64 = (0..4).map(|place| u64::from(digest[at + place]) << (24 - 8 * place)).sum();
    let number = (number & 0x7fff_ffff) % 10_u64.pow(digits);
    format!("{number:0width$}", width = digits as usize)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Time { period: u64 },
    Counter { look_ahead: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Suspended,
    Assigned,
}

/// What does not change with logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) seed: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) digits: u32,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) since: u64,
    pub(crate) serial: Option<String>,
    pub(crate) expires_at: Option<u64>,
}

impl Device {
    pub(crate) fn code(&self, counter: u64) -> String {
        code(&self.seed, self.hash, self.digits, counter)
    }
}

/// Failures in a row from one kind of place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) last: u64,
}

/// What logins change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) floor: Option<u64>,
    pub(crate) drift: i64,
    pub(crate) offset: i64,
    pub(crate) disabled: bool,
    pub(crate) closed: bool,
    pub(crate) known: Failures,
    pub(crate) stranger: Failures,
}

impl Usage {
    fn failures(&mut self, is_known: bool) -> &mut Failures {
        if is_known { &mut self.known } else { &mut self.stranger }
    }

    pub(crate) fn together(&self) -> u32 {
        self.known.count + self.stranger.count
    }

    fn forget_failures(&mut self) {
        self.disabled = false;
        self.closed = false;
        self.known = Failures::default();
        self.stranger = Failures::default();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttle {
    Nist,
    Pci,
    Stig,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) throttle: Throttle,
    pub(crate) window: i64,
}

impl Policy {
    /// Three tries are free, then 1, 2, 4 .. seconds up to an hour; with `pci` half an hour at least from the tenth on.
    pub(crate) fn wait(self, failures: Failures, together: u32, now: u64) -> u64 {
        let mut wait = match failures.count {
            0..3 => 0,
            count => 2_u64.pow((count - 3).min(20)).min(3600),
        };
        if self.throttle == Throttle::Pci && together >= 10 {
            wait = wait.max(1800);
        }
        // A failure that lies in the future, because the clock was set back, counts as one of now.
        let passed = now.saturating_sub(failures.last);
        wait.saturating_sub(passed)
    }

    fn at_the_cap(self, usage: &mut Usage) {
        match self.throttle {
            Throttle::Nist | Throttle::Pci => {
                usage.disabled |= usage.known.count >= 50;
                usage.closed |= usage.stranger.count >= 50;
            }
            Throttle::Stig => usage.disabled |= usage.together() >= 3,
        }
    }
}

/// A set of recovery codes, so far as the rules go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// Of each code, whether it is left.
    pub(crate) codes: Vec<(String, bool)>,
    pub(crate) scratch: Vec<(String, bool)>,
}

impl Set {
    pub(crate) fn left(&self) -> usize {
        self.codes.iter().chain(&self.scratch).filter(|(_, is_left)| *is_left).count()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bypass {
    pub(crate) code: String,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) is_left: bool,
    pub(crate) reason: String,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    ByDevice { name: String, digits: u32 },
    ByRecovery { left: usize },
    ByBypass,
    Refused(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Wrong,
    Replayed,
    Skew,
    Throttled(u64),
    Disabled,
    Expired,
    NotEnrolled,
}

/// What two codes were found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Proven { floor: u64, ahead: i64 },
    SameCode,
    Used,
    ClockOff { seconds: i64 },
    Nothing,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) devices: Vec<Device>,
    pub(crate) usage: BTreeMap<Id, Usage>,
    pub(crate) pending: Option<Device>,
    pub(crate) set: Option<Set>,
    pub(crate) bypass: Option<Bypass>,
    /// Failed recovery codes, from known places and from elsewhere.
    pub(crate) recovery_known: Failures,
    pub(crate) recovery_stranger: Failures,
    /// Where it has logged in from, the latest first.
    pub(crate) places: Vec<String>,
    /// What is on record, oldest first.
    pub(crate) history: Vec<(&'static str, String)>,
}

/// One answer.
pub(crate) struct Try<'a> {
    /// What it may stand for: a code of each length, or sixteen letters.
    pub(crate) codes: &'a [String],
    pub(crate) now: u64,
    pub(crate) place: &'a str,
    pub(crate) after_a_miss: bool,
    /// It is a code alone, and not the end of a password.
    pub(crate) alone: bool,
}

struct Look {
    at: usize,
    used: Option<Why>,
    fresh: Option<(u64, i64)>,
    gate: Gate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Other,
    Expired,
    Disabled,
    Waiting(u64),
}

impl Account {
    pub(crate) fn can_answer(&self) -> bool {
        !self.devices.is_empty() || self.bypass.is_some()
    }

    pub(crate) fn note(&mut self, what: &'static str, name: impl Into<String>) {
        self.history.push((what, name.into()));
    }

    /// A login.
    pub(crate) fn log_in(&mut self, tried: &Try<'_>, policy: Policy) -> Verdict {
        if !self.can_answer() {
            return Verdict::Refused(Why::NotEnrolled);
        }
        let letters = tried.codes.iter().find(|code| code.len() == 16);
        if let Some(letters) = letters {
            let found = self.place_of_letters(letters);
            return self.recover(found, tried, policy);
        }
        let eight = tried.codes.iter().find(|code| code.len() == 8).filter(|_| tried.alone);
        if let Some(digits) = eight
            && self.set.as_ref().is_some_and(|set| !set.scratch.is_empty())
        {
            let found = self.set.as_ref().unwrap().scratch.iter().position(|(code, _)| code == digits);
            let verdict = self.recover(found.map(Place::Scratch), tried, policy);
            if found.is_some() || !self.devices.iter().any(|device| device.digits == 8) {
                return verdict;
            }
        }
        self.use_devices(tried, policy)
    }

    fn place_of_letters(&self, letters: &str) -> Option<Place> {
        let in_set = self.set.as_ref().and_then(|set| set.codes.iter().position(|(code, _)| code == letters));
        let is_bypass = self.bypass.as_ref().is_some_and(|bypass| bypass.code == letters);
        in_set.map(Place::Code).or(is_bypass.then_some(Place::Bypass))
    }

    fn recover(&mut self, found: Option<Place>, tried: &Try<'_>, policy: Policy) -> Verdict {
        let is_known = self.places.iter().any(|place| place == tried.place);
        let together = self.recovery_known.count + self.recovery_stranger.count;
        let failures = if is_known { &mut self.recovery_known } else { &mut self.recovery_stranger };
        let wait = policy.wait(*failures, together, tried.now);
        failures.last = failures.last.min(tried.now);
        if wait > 0 {
            return Verdict::Refused(Why::Throttled(wait));
        }
        let Some(found) = found else {
            *failures = Failures { count: failures.count + 1, last: tried.now };
            return Verdict::Refused(Why::Wrong);
        };
        let is_left = match found {
            Place::Code(at) => &mut self.set.as_mut().unwrap().codes[at].1,
            Place::Scratch(at) => &mut self.set.as_mut().unwrap().scratch[at].1,
            Place::Bypass => &mut self.bypass.as_mut().unwrap().is_left,
        };
        if !*is_left {
            return Verdict::Refused(Why::Replayed);
        }
        if found == Place::Bypass {
            let bypass = self.bypass.as_ref().unwrap();
            if tried.now < bypass.from || tried.now > bypass.until {
                return Verdict::Refused(Why::Expired);
            }
        }
        match found {
            Place::Code(at) => self.set.as_mut().unwrap().codes[at].1 = false,
            Place::Scratch(at) => self.set.as_mut().unwrap().scratch[at].1 = false,
            Place::Bypass => self.bypass.as_mut().unwrap().is_left = false,
        }
        self.recovery_known = Failures::default();
        self.recovery_stranger = Failures::default();
        self.usage.values_mut().for_each(Usage::forget_failures);
        self.remember(tried.place);
        match found {
            Place::Bypass => Verdict::ByBypass,
            Place::Code(_) | Place::Scratch(_) => {
                Verdict::ByRecovery { left: self.set.as_ref().unwrap().left() }
            }
        }
    }

    fn remember(&mut self, place: &str) {
        self.places.retain(|other| other != place);
        self.places.insert(0, place.to_owned());
        self.places.truncate(8);
    }

    fn use_devices(&mut self, tried: &Try<'_>, policy: Policy) -> Verdict {
        let is_known = self.places.iter().any(|place| place == tried.place);
        let looks: Vec<Look> =
            (0..self.devices.len()).map(|at| self.look(at, tried, is_known, policy)).collect();
        let open: Vec<&Look> = looks.iter().filter(|look| look.gate == Gate::Open).collect();
        if open.is_empty() {
            // The reason that passes soonest.
            let waits = looks
                .iter()
                .filter_map(|look| if let Gate::Waiting(wait) = look.gate { Some(wait) } else { None });
            let any = |gate| looks.iter().any(|look| look.gate == gate);
            return Verdict::Refused(match waits.min() {
                Some(wait) => Why::Throttled(wait),
                None if any(Gate::Disabled) => Why::Disabled,
                None if any(Gate::Expired) => Why::Expired,
                None => Why::Wrong,
            });
        }
        // A code that any device knows as used is used, whatever else shows it.
        if let Some(why) = looks.iter().find_map(|look| look.used) {
            return Verdict::Refused(why);
        }
        if let Some(first) = open.iter().find(|look| look.fresh.is_some()) {
            let device = &self.devices[first.at];
            let verdict = Verdict::ByDevice { name: device.name.clone(), digits: device.digits };
            for look in &looks {
                self.after_success(look, is_known, tried);
            }
            self.remember(tried.place);
            return verdict;
        }
        if looks.iter().any(|look| look.gate == Gate::Expired && look.fresh.is_some()) {
            return Verdict::Refused(Why::Expired);
        }
        for look in open {
            let usage = self.usage.get_mut(&self.devices[look.at].id).unwrap();
            let failures = usage.failures(is_known);
            *failures = Failures { count: failures.count + 1, last: tried.now };
            policy.at_the_cap(usage);
        }
        Verdict::Refused(Why::Wrong)
    }

    fn look(&mut self, at: usize, tried: &Try<'_>, is_known: bool, policy: Policy) -> Look {
        let device = &self.devices[at];
        let usage = self.usage.get_mut(&device.id).unwrap();
        let digits = usize::try_from(device.digits).unwrap();
        let typed = tried.codes.iter().find(|code| code.len() == digits);
        let window: Vec<(u64, i64)> = match device.kind {
            Kind::Time { period } => {
                let middle = i64::try_from(tried.now / period).unwrap() + usage.offset + usage.drift;
                (-policy.window..=policy.window)
                    .filter_map(|away| Some((u64::try_from(middle + away).ok()?, away)))
                    .collect()
            }
            Kind::Counter { look_ahead } => match usage.floor {
                None => (0..look_ahead).map(|counter| (counter, 0)).collect(),
                Some(floor) => {
                    (floor..=floor.saturating_add(look_ahead)).map(|counter| (counter, 0)).collect()
                }
            },
        };
        let shows: Vec<(u64, i64)> = window
            .iter()
            .copied()
            .filter(|(counter, _)| typed.is_some_and(|typed| *typed == device.code(*counter)))
            .collect();
        let is_dead = |counter: u64| usage.floor.is_some_and(|floor| counter <= floor);
        let is_used = shows.iter().any(|(counter, _)| is_dead(*counter));
        let all_below = window.iter().all(|(counter, _)| usage.floor.is_some_and(|floor| floor > *counter));
        let gate = if typed.is_none() || device.status != Status::Active {
            Gate::Other
        } else if device.expires_at.is_some_and(|end| tried.now > end) {
            Gate::Expired
        } else if usage.disabled || (usage.closed && !is_known) {
            Gate::Disabled
        } else {
            let together = usage.together();
            let failures = usage.failures(is_known);
            let wait = policy.wait(*failures, together, tried.now);
            failures.last = failures.last.min(tried.now);
            if wait > 0 { Gate::Waiting(wait) } else { Gate::Open }
        };
        Look {
            at,
            used: is_used.then_some(if all_below { Why::Skew } else { Why::Replayed }),
            fresh: shows.into_iter().max().filter(|_| !is_used),
            gate,
        }
    }

    fn after_success(&mut self, look: &Look, is_known: bool, tried: &Try<'_>) {
        let usage = self.usage.get_mut(&self.devices[look.at].id).unwrap();
        if let Some((counter, away)) = look.fresh {
            usage.floor = usage.floor.max(Some(counter));
            if look.gate == Gate::Open {
                usage.drift = (usage.drift + away).clamp(-10, 10);
                usage.known = Failures::default();
                if is_known {
                    usage.stranger.count = usage.stranger.count.min(15);
                } else {
                    usage.stranger = Failures::default();
                }
                return;
            }
        }
        if tried.after_a_miss {
            let failures = usage.failures(is_known);
            failures.count = failures.count.saturating_sub(1);
        }
        // Typing errors of yesterday, which were charged to a device that nobody used.
        if tried.now.checked_sub(usage.known.last).is_some_and(|age| age > 86_400) {
            usage.known = Failures::default();
        }
    }

    /// Two codes in a row, searched around now, or above the floor.
    pub(crate) fn prove(
        device: &Device,
        floor: Option<u64>,
        codes: [&str; 2],
        now: u64,
        is_app: bool,
    ) -> Proof {
        if codes[0] == codes[1] {
            return Proof::SameCode;
        }
        let (first, last, present) = match device.kind {
            Kind::Time { period } => {
                let present = now / period;
                let reach = if is_app { 120 } else { 86_400 / period };
                (present.saturating_sub(reach), present + reach, present)
            }
            Kind::Counter { .. } => {
                let first = floor.unwrap_or(0);
                (first, first.saturating_add(if is_app { 100 } else { 1000 }), 0)
            }
        };
        let is_pair = |second: u64| device.code(second - 1) == codes[0] && device.code(second) == codes[1];
        let pairs: Vec<u64> = (first.saturating_add(1)..=last).filter(|second| is_pair(*second)).collect();
        let unused = pairs.iter().copied().filter(|second| floor.is_none_or(|floor| second - 1 > floor));
        let Some(second) = unused.min_by_key(|second| second.abs_diff(present)) else {
            return if pairs.is_empty() { Proof::Nothing } else { Proof::Used };
        };
        let Kind::Time { period } = device.kind else { return Proof::Proven { floor: second, ahead: 0 } };
        let away = i64::try_from(second).unwrap() - i64::try_from(present).unwrap();
        if is_app && away.abs() > 10 {
            return Proof::ClockOff { seconds: away * i64::try_from(period).unwrap() };
        }
        Proof::Proven { floor: second, ahead: away - away.signum() }
    }

    /// What two proven codes leave behind.
    pub(crate) fn follow(usage: &mut Usage, floor: u64, ahead: i64) {
        usage.floor = usage.floor.max(Some(floor));
        (usage.drift, usage.offset) = if ahead.abs() <= 10 { (ahead, 0) } else { (0, ahead) };
    }

    /// Whether an owner's two codes are looked at now, outside a login.
    pub(crate) fn may_prove(usage: &mut Usage, policy: Policy, now: u64) -> Result<(), Why> {
        if usage.disabled {
            return Err(Why::Disabled);
        }
        let wait = policy.wait(usage.known, usage.together(), now);
        usage.known.last = usage.known.last.min(now);
        if wait > 0 { Err(Why::Throttled(wait)) } else { Ok(()) }
    }

    pub(crate) fn charge_owner(usage: &mut Usage, policy: Policy, now: u64) {
        usage.known = Failures { count: usage.known.count + 1, last: now };
        policy.at_the_cap(usage);
    }

    /// Forgets all failures.
    pub(crate) fn unlock(&mut self) {
        self.usage.values_mut().for_each(Usage::forget_failures);
        self.recovery_known = Failures::default();
        self.recovery_stranger = Failures::default();
        self.note("unlocked", "");
    }

    /// A new state for one that is lost: what can't be told is out of use.
    pub(crate) fn repair(&mut self, now: u64) {
        self.usage.clear();
        for device in &mut self.devices {
            let floor = match device.kind {
                Kind::Time { period } => now / period + 11,
                Kind::Counter { .. } => {
                    device.status = Status::Suspended;
                    u64::MAX
                }
            };
            self.usage.insert(device.id, Usage { floor: Some(floor), ..Usage::default() });
        }
        self.set = None;
        self.bypass = None;
        self.recovery_known = Failures::default();
        self.recovery_stranger = Failures::default();
        self.places.clear();
        self.note("repaired", "");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code(usize),
    Scratch(usize),
    Bypass,
}

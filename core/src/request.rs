//! Everything anyone may ask about an account, and the one function that answers it.
//!
//! A caller that can open the store asks in its own process. One that can't sends the same request to a process that can, which
//! passes on who is asking as [`Caller`].

use crate::answer::Answer;
use crate::clock::Timestamp;
use crate::devices::{Device, DeviceId, DeviceName, MAX_DEVICES, Status};
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::otp::{Algorithm, Code, Generator, MovingFactor, Profile};
use crate::policy::Policy;
use crate::recovery::{RecoveryCode, RecoverySet};
use crate::seal::HostKey;
use crate::secret::{Secret, wipe_stack};
use crate::state::{DeviceState, Source, State};
use crate::store::{Access, Account, Record, Shard, Store};
use crate::user_name::UserName;
use crate::verify::{DRIFT_CAP_STEPS, Occasion, Refusal, Round, Typed, Verdict, verify, verify_recovery};

/// How long an enrollment waits for its codes, in seconds; until then a retry shows the same key.
pub const PENDING_SECONDS: u64 = 15 * 60;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever can open the store anyway: root's programs, and a login that acts for it.
    Privileged,
    /// The owner of that account, known from the kernel. May ask about that account alone.
    Owner(UserName),
}

/// What may be asked.
#[derive(Debug)]
pub enum Request {
    /// Is this answer good for a login, now? If so it is used up.
    Verify {
        /// Whose login. None for a name that can't be anybody's: the work is done all the same.
        user: Option<UserName>,
        /// What was typed.
        answer: Answer,
        /// Where from: PAM_RHOST, or what stands for the place of a local login. None: a local login of no particular kind.
        remote_host: Option<String>,
        /// Whether this login was charged for a wrong code already.
        round: Round,
    },
    /// What devices does this account have?
    Status {
        /// Whose.
        user: UserName,
    },
    /// Give me a new key to put into a device, or the one that is still waiting for its codes.
    BeginEnrollment {
        /// Whose.
        user: UserName,
        /// What to call the device. None: `phone`, or `phone 2` and so on.
        name: Option<DeviceName>,
        /// How it shall make codes.
        profile: Profile,
    },
    /// Here are two consecutive codes from that device: bind it.
    ConfirmEnrollment {
        /// Whose.
        user: UserName,
        /// Which enrollment.
        id: DeviceId,
        /// A code.
        first: Code,
        /// The next code.
        second: Code,
    },
    /// Forget this device.
    RemoveDevice {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
    },
    /// Make new recovery codes; the old ones end.
    NewRecoveryCodes {
        /// Whose.
        user: UserName,
    },
    /// Forget all failures and enable all devices.
    Unlock {
        /// Whose.
        user: UserName,
    },
    /// Make a new state for an account whose state is damaged or gone, so cautiously that no used code works again.
    Repair {
        /// Whose.
        user: UserName,
    },
}

/// What is answered.
#[derive(Debug)]
pub enum Response {
    /// To [`Request::Verify`].
    Verdict(Verdict),
    /// To [`Request::Status`].
    Status(AccountStatus),
    /// To [`Request::BeginEnrollment`].
    Pending(PendingEnrollment),
    /// To [`Request::ConfirmEnrollment`]: the device is bound, and both codes are used up.
    Enrolled(DeviceName),
    /// To [`Request::ConfirmEnrollment`]: nothing has changed.
    NotConfirmed(WhyNotConfirmed),
    /// To [`Request::NewRecoveryCodes`]: to be shown once.
    RecoveryCodes(Vec<RecoveryCode>),
    /// To [`Request::RemoveDevice`], [`Request::Unlock`] and [`Request::Repair`].
    Done,
}

/// What there is to know of an account without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatus {
    /// The devices, oldest first.
    pub devices: Vec<DeviceStatus>,
    /// How many recovery codes are left. None: none were ever made.
    pub recovery_codes_left: Option<u8>,
}

/// What there is to know of a device without its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its identifier.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// How it makes codes.
    pub profile: Profile,
    /// Whether its owner or root put it aside.
    pub status: Status,
    /// When it was bound.
    pub enrolled_at: Timestamp,
    /// Failures in a row, from everywhere.
    pub failures: u32,
    /// Whether too many failures from known addresses disabled it.
    pub disabled: bool,
    /// Whether too many failures from unknown addresses closed it to those.
    pub closed_to_strangers: bool,
    /// The seconds until a try from a known address is looked at.
    pub wait_seconds: u64,
    /// The seconds until a try from another address is looked at.
    pub stranger_wait_seconds: u64,
    /// The steps by which its clock is ahead of this host's, as learned.
    pub drift_steps: i8,
}

/// A key that waits for two codes.
#[derive(Debug)]
pub struct PendingEnrollment {
    /// Which enrollment, for [`Request::ConfirmEnrollment`].
    pub id: DeviceId,
    /// What the device will be called.
    pub name: DeviceName,
    /// How it shall make codes.
    pub profile: Profile,
    /// The seed to put into it.
    pub seed: Secret,
    /// Until when the codes are awaited.
    pub until: Timestamp,
}

/// Why two codes did not prove a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNotConfirmed {
    /// The same code twice.
    SameCode,
    /// Both are codes of the device, but the second does not follow the first.
    NotConsecutive,
    /// Right codes, but of another time: the clock of the device, or of this host, is off.
    ClockOff {
        /// How far the device is ahead of this host, in seconds.
        seconds: i64,
    },
    /// Right codes of a simpler profile: the app took no notice of algorithm, digits or period.
    ProfileIgnored {
        /// What the app does instead.
        instead: Profile,
    },
    /// The codes of another key.
    OtherCodes,
}

/// Answers `request` as `caller` may have it answered, from the records in `store`, under `policy`, at the time `now`.
///
/// This is the only way in: a login, a command and the daemon all end here. When it returns, whatever was decided is on disk.
///
/// # Errors
/// The store can't be read or written, the request can't be met, or the caller may not ask it. Nothing has changed then that the same
/// request could not be repeated on.
pub fn answer<S: Store>(
    request: Request,
    caller: &Caller,
    store: &S,
    policy: &Policy,
    now: Timestamp,
) -> Result<Response> {
    check_caller(&request, caller)?;
    match request {
        Request::Verify { user, answer, remote_host, round } => {
            let attempt = Attempt { answer: &answer, remote_host: remote_host.as_deref(), round, now };
            let verdict = verify_answer(user.as_ref(), &attempt, store, policy);
            wipe_stack();
            verdict.map(Response::Verdict)
        }
        Request::Status { user } => status(&user, store, policy, now).map(Response::Status),
        Request::BeginEnrollment { user, name, profile } => {
            begin(&user, name.as_ref(), profile, store, now).map(Response::Pending)
        }
        Request::ConfirmEnrollment { user, id, first, second } => {
            confirm(&user, id, &first, &second, store, now)
        }
        Request::RemoveDevice { user, name } => remove_device(&user, &name, store),
        Request::NewRecoveryCodes { user } => {
            new_recovery_codes(&user, store, now).map(Response::RecoveryCodes)
        }
        Request::Unlock { user } => unlock(&user, store),
        Request::Repair { user } => repair(&user, store, now),
    }
}

fn check_caller(request: &Request, caller: &Caller) -> Result<()> {
    let (user, for_owner) = match request {
        Request::Verify { user, .. } => (user.as_ref(), true),
        Request::Status { user } => (Some(user), true),
        Request::BeginEnrollment { user, .. }
        | Request::ConfirmEnrollment { user, .. }
        | Request::RemoveDevice { user, .. }
        | Request::NewRecoveryCodes { user }
        | Request::Unlock { user }
        | Request::Repair { user } => (Some(user), false),
    };
    match caller {
        Caller::Privileged => Ok(()),
        Caller::Owner(owner) if for_owner && user == Some(owner) => Ok(()),
        Caller::Owner(_) => Err(Error::NotAllowed),
    }
}

/// One answer, when and from where.
struct Attempt<'a> {
    answer: &'a Answer,
    remote_host: Option<&'a str>,
    round: Round,
    now: Timestamp,
}

fn verify_answer<S: Store>(
    user: Option<&UserName>,
    attempt: &Attempt<'_>,
    store: &S,
    policy: &Policy,
) -> Result<Verdict> {
    match user.map(|user| verify_account(Account::User(user), attempt, store, policy)) {
        Some(Err(Error::NotEnrolled)) | None => {}
        Some(decided) => return decided,
    }
    // Nobody's login: the same work on nobody's account, whatever that account says.
    let name = user.map(UserName::as_str).unwrap_or_default();
    let shard = Shard::of(store.key()?.short_tag(&[b"decoy", name.as_bytes()]));
    match verify_account(Account::Decoy(shard), attempt, store, policy) {
        // What is wrong with the store is so for everybody; what is wrong with a decoy must not show who has none.
        Err(error @ (Error::NoStore { .. } | Error::KeyLost { .. })) => Err(error),
        Ok(_) | Err(_) => Ok(Verdict::Refuse(Refusal::NotEnrolled)),
    }
}

fn verify_account<S: Store>(
    account: Account<'_>,
    attempt: &Attempt<'_>,
    store: &S,
    policy: &Policy,
) -> Result<Verdict> {
    let key = store.key()?;
    let source = source(key, account, attempt.remote_host);
    let occasion = |record: &Record| Occasion {
        now: attempt.now,
        source,
        durability: record.durability,
        round: attempt.round,
    };
    let typed = match attempt.answer {
        Answer::Code(code) => &Typed::exactly(code.clone()),
        Answer::Tails(typed) => typed,
        Answer::Recovery(code) => {
            // The slow hash is computed outside the lock, on the set that is read here and checked again under it.
            let set = store.update(account, Access::Login, |record| Ok(record.devices.recovery.clone()))?;
            let position = set.as_ref().unwrap_or(&RecoverySet::decoy()).position(key, code)?;
            return store.update(account, Access::Login, |record| {
                let position = position.filter(|_| record.devices.recovery == set);
                let occasion = occasion(record);
                Ok(verify_recovery(
                    record.devices.recovery.as_ref(),
                    position,
                    &mut record.state,
                    occasion,
                    policy,
                ))
            });
        }
    };
    store.update(account, Access::Login, |record| {
        let devices = record.devices.open(key)?;
        let occasion = occasion(record);
        Ok(verify(&devices, &mut record.state, typed, occasion, policy))
    })
}

/// The name of an address in one account's record: a keyed hash, of a whole /64 for IPv6, where one host has them all.
fn source(key: &HostKey, account: Account<'_>, remote_host: Option<&str>) -> Source {
    let user = match account {
        Account::User(user) => user.as_str(),
        Account::Decoy(_) => "(decoy)",
    };
    let place = match remote_host {
        None => "local".to_owned(),
        Some(host) => match host.parse::<std::net::IpAddr>().map(|address| address.to_canonical()) {
            Ok(std::net::IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(address @ std::net::IpAddr::V4(_)) => address.to_string(),
            Err(_) => format!("host {host}"),
        },
    };
    Hex(key.short_tag(&[b"source", user.as_bytes(), place.as_bytes()]))
}

fn status<S: Store>(user: &UserName, store: &S, policy: &Policy, now: Timestamp) -> Result<AccountStatus> {
    store.update(Account::User(user), Access::Login, |record| {
        let device_status = |device: &Device| {
            let state = record.state.device(device.id)?;
            Some(DeviceStatus {
                id: device.id,
                name: device.name.clone(),
                profile: device.profile,
                status: device.status,
                enrolled_at: Timestamp::from_unix_seconds(device.enrolled_at),
                failures: state.failures(),
                disabled: state.disabled,
                closed_to_strangers: state.closed_to_strangers,
                wait_seconds: state.known_failures.wait_seconds(policy.throttle, state.failures(), now),
                stranger_wait_seconds: state.stranger_failures.wait_seconds(
                    policy.throttle,
                    state.failures(),
                    now,
                ),
                drift_steps: state.drift_steps,
            })
        };
        let recovery_codes_left = record.devices.recovery.as_ref().map(|set| {
            let used = if record.state.recovery.set == Some(set.id) {
                record.state.recovery.used.count_ones()
            } else {
                0
            };
            set.len().saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
        });
        Ok(AccountStatus {
            devices: record.devices.list.iter().filter_map(device_status).collect(),
            recovery_codes_left,
        })
    })
}

fn begin<S: Store>(
    user: &UserName,
    name: Option<&DeviceName>,
    profile: Profile,
    store: &S,
    now: Timestamp,
) -> Result<PendingEnrollment> {
    store.prepare()?;
    let key = store.key()?;
    store.update(Account::User(user), Access::Change, |record| {
        let name = match name {
            Some(name) => name.clone(),
            None => free_name(record)?,
        };
        check_room(record, &name)?;
        let waiting = record.pending.take().filter(|pending| {
            is_waiting(pending, record, now) && pending.name == name && pending.profile == profile
        });
        let device = match waiting {
            Some(device) => device,
            None => Device::seal(key, user, name, profile, &Secret::random(profile.seed_bytes())?, now)?,
        };
        let seed = device.open_seed(key, user)?;
        let pending = PendingEnrollment {
            id: device.id,
            name: device.name.clone(),
            profile,
            seed,
            until: Timestamp::from_unix_seconds(device.enrolled_at.saturating_add(PENDING_SECONDS)),
        };
        record.pending = Some(device);
        Ok(pending)
    })
}

/// `phone`, `phone 2`, `phone 3`, ..
fn free_name(record: &Record) -> Result<DeviceName> {
    (1..=MAX_DEVICES.saturating_add(1))
        .filter_map(
            |number| if number == 1 { "phone".parse().ok() } else { format!("phone {number}").parse().ok() },
        )
        .find(|name| record.devices.named(name).is_none())
        .ok_or(Error::TooManyDevices)
}

fn check_room(record: &Record, name: &DeviceName) -> Result<()> {
    if record.devices.named(name).is_some() {
        return Err(Error::NameTaken { name: name.to_string() });
    }
    if record.devices.list.len() >= MAX_DEVICES {
        return Err(Error::TooManyDevices);
    }
    Ok(())
}

fn is_waiting(pending: &Device, record: &Record, now: Timestamp) -> bool {
    let age = now.seconds_since(Timestamp::from_unix_seconds(pending.enrolled_at));
    // Killed between binding the device and forgetting that it waited: it waits no more.
    let bound = record.devices.list.iter().any(|device| device.id == pending.id);
    age.is_some_and(|age| age <= PENDING_SECONDS) && !bound
}

fn confirm<S: Store>(
    user: &UserName,
    id: DeviceId,
    first: &Code,
    second: &Code,
    store: &S,
    now: Timestamp,
) -> Result<Response> {
    let key = store.key()?;
    store.update(Account::User(user), Access::Change, |record| {
        let pending =
            record.pending.clone().filter(|pending| pending.id == id && is_waiting(pending, record, now));
        let Some(mut device) = pending else { return Err(Error::NoSuchEnrollment) };
        check_room(record, &device.name)?;
        let seed = device.open_seed(key, user)?;
        let proven = match prove(&seed, device.profile, first, second, now) {
            Ok(proven) => proven,
            Err(why) => return Ok(Response::NotConfirmed(why)),
        };
        device.enrolled_at = now.unix_seconds();
        let name = device.name.clone();
        // A confirmation that the disk refused half-way may have left its entry.
        record.state.devices.retain(|entry| entry.id != device.id);
        record.state.devices.push(DeviceState::with_floor(device.id, Some(proven.floor), proven.drift_steps));
        record.devices.list.push(device);
        record.pending = None;
        Ok(Response::Enrolled(name))
    })
}

/// Where two consecutive codes were found.
struct Proven {
    /// The counter of the second: both are used up.
    floor: u64,
    /// The least drift that has the second in its window.
    drift_steps: i8,
}

/// How far from now codes are searched, in steps either way: beyond the cap of the drift it serves to say how far a clock is off.
const SEARCH_STEPS: u64 = 120;
/// How many presses a counter device may have had before it is enrolled.
const SEARCH_COUNTERS: u64 = 100;

fn prove(
    seed: &Secret,
    profile: Profile,
    first: &Code,
    second: &Code,
    now: Timestamp,
) -> std::result::Result<Proven, WhyNotConfirmed> {
    if first.same_as(second) {
        return Err(WhyNotConfirmed::SameCode);
    }
    let pairs = consecutive(seed, profile, first, second, now);
    let MovingFactor::Time(period) = profile.moving_factor else {
        return pairs
            .first()
            .map(|floor| Proven { floor: *floor, drift_steps: 0 })
            .ok_or_else(|| why_not(seed, profile, first, second, now));
    };
    let present = period.step_at(now);
    let ahead = |step: u64| -> i64 {
        i64::try_from(step).unwrap_or(i64::MAX).saturating_sub(i64::try_from(present).unwrap_or(0))
    };
    let Some(nearest) = pairs.into_iter().min_by_key(|step| ahead(*step).unsigned_abs()) else {
        return Err(why_not(seed, profile, first, second, now));
    };
    match i8::try_from(ahead(nearest)) {
        Ok(steps) if steps.unsigned_abs() <= DRIFT_CAP_STEPS.unsigned_abs() => {
            Ok(Proven { floor: nearest, drift_steps: steps.saturating_sub(steps.signum()) })
        }
        _ => {
            let seconds = ahead(nearest).saturating_mul(i64::try_from(period.seconds()).unwrap_or(0));
            Err(WhyNotConfirmed::ClockOff { seconds })
        }
    }
}

/// The counters at which `second` stands and `first` just before it.
fn consecutive(seed: &Secret, profile: Profile, first: &Code, second: &Code, now: Timestamp) -> Vec<u64> {
    let generator = Generator::new(seed, profile.algorithm, profile.digits);
    let mut found = Vec::new();
    let mut previous_matches = false;
    for counter in searched(profile, now) {
        let code = generator.code_at(counter);
        if previous_matches && code.same_as(second) {
            found.push(counter);
        }
        previous_matches = code.same_as(first);
    }
    found
}

fn searched(profile: Profile, now: Timestamp) -> std::ops::RangeInclusive<u64> {
    match profile.moving_factor {
        MovingFactor::Time(period) => {
            let present = period.step_at(now);
            present.saturating_sub(SEARCH_STEPS)..=present.saturating_add(SEARCH_STEPS)
        }
        MovingFactor::Counter(_) => 0..=SEARCH_COUNTERS,
    }
}

fn why_not(seed: &Secret, profile: Profile, first: &Code, second: &Code, now: Timestamp) -> WhyNotConfirmed {
    let generator = Generator::new(seed, profile.algorithm, profile.digits);
    let shows = |code: &Code| searched(profile, now).any(|counter| generator.code_at(counter).same_as(code));
    if shows(first) && shows(second) {
        return WhyNotConfirmed::NotConsecutive;
    }
    for algorithm in [profile.algorithm, Algorithm::Sha1] {
        for digits in [profile.digits, Profile::PLAIN.digits] {
            for moving_factor in [profile.moving_factor, Profile::PLAIN.moving_factor] {
                let instead = Profile { moving_factor, algorithm, digits };
                if instead != profile && !consecutive(seed, instead, first, second, now).is_empty() {
                    return WhyNotConfirmed::ProfileIgnored { instead };
                }
            }
        }
    }
    WhyNotConfirmed::OtherCodes
}

fn remove_device<S: Store>(user: &UserName, name: &DeviceName, store: &S) -> Result<Response> {
    change_enrolled(user, store, |record| {
        if record.devices.named(name).is_none() {
            return Err(Error::NoSuchDevice { name: name.to_string() });
        }
        record.devices.list.retain(|device| device.name != *name);
        if record.devices.list.is_empty() {
            record.devices.recovery = None;
        }
        Ok(Response::Done)
    })
}

fn new_recovery_codes<S: Store>(user: &UserName, store: &S, now: Timestamp) -> Result<Vec<RecoveryCode>> {
    // Ten slow hashes: made before the account is locked.
    let (codes, set) = RecoverySet::generate(store.key()?, now.unix_seconds())?;
    change_enrolled(user, store, |record| {
        record.devices.recovery = Some(set.clone());
        Ok(())
    })?;
    Ok(codes)
}

fn unlock<S: Store>(user: &UserName, store: &S) -> Result<Response> {
    change_enrolled(user, store, |record| {
        record.state.devices.iter_mut().for_each(DeviceState::release);
        record.state.recovery.known_failures = crate::throttle::Failures::default();
        record.state.recovery.stranger_failures = crate::throttle::Failures::default();
        Ok(Response::Done)
    })
}

/// The floor goes beyond every step that could have been accepted until now. What can't be told (how far a counter had come, which
/// recovery codes were used) is put out of use.
fn repair<S: Store>(user: &UserName, store: &S, now: Timestamp) -> Result<Response> {
    store.update(Account::User(user), Access::Repair, |record| {
        if record.devices.list.is_empty() {
            return Err(Error::NotEnrolled);
        }
        record.state = State { revision: record.state.revision, ..State::default() };
        for device in &mut record.devices.list {
            let floor = match device.profile.moving_factor {
                MovingFactor::Time(period) => Some(
                    period
                        .step_at(now)
                        .saturating_add(1)
                        .saturating_add(u64::from(DRIFT_CAP_STEPS.unsigned_abs())),
                ),
                MovingFactor::Counter(_) => {
                    device.status = Status::Suspended;
                    None
                }
            };
            record.state.devices.push(DeviceState::with_floor(device.id, floor, 0));
        }
        record.devices.recovery = None;
        Ok(Response::Done)
    })
}

/// Changes an account that has a device; creates none that has not.
fn change_enrolled<S: Store, T>(
    user: &UserName,
    store: &S,
    change: impl Fn(&mut Record) -> Result<T>,
) -> Result<T> {
    store.update(Account::User(user), Access::Login, |_| Ok(()))?;
    store.update(Account::User(user), Access::Change, |record| {
        if record.devices.list.is_empty() {
            return Err(Error::NotEnrolled);
        }
        change(record)
    })
}

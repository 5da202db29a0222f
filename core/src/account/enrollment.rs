//! Pending -> two consecutive codes -> active; and the same for a token that root has assigned.

use crate::account::marks;
use crate::account::proof::{Claim, Span, prove};
use crate::account::tries;
use crate::clock::Timestamp;
use crate::devices::{Device, DeviceId, DeviceName, MAX_DEVICES, Serial, Status};
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::otp::{Code, Profile};
use crate::recovery::RecoverySet;
use crate::request::{Context, PENDING_SECONDS, PendingEnrollment, RecoveryCodes, Response};
use crate::secret::Secret;
use crate::state::DeviceState;
use crate::store::{Access, Account, Pending, Record, Store};
use crate::user_name::UserName;
use crate::verify::Refusal;

/// A new key, or the one that waits.
pub(crate) fn begin<S: Store>(
    user: &UserName,
    name: Option<&DeviceName>,
    profile: Profile,
    replaces: Option<&DeviceName>,
    context: &Context<'_, S>,
) -> Result<PendingEnrollment> {
    let (store, now) = (context.store, context.now);
    store.prepare()?;
    let key = store.key()?;
    store.update(Account::User(user), Access::Change, |record| {
        // Asked again under the lock: the account may have got a device since the password was looked at.
        if context.caller.has_password_alone() && record.devices.has_proven() {
            return Err(Error::CodeNeeded);
        }
        let name = match name.or(replaces) {
            Some(name) => name.clone(),
            None => free_name(record)?,
        };
        check_room(record, &name, replaces)?;
        // Whoever has the password alone could ask for a key first, and leave it to the owner to put it into a phone: a key is shown again to
        // the same person at the same place, and to nobody else.
        let origin = &context.caller.origin;
        let waiting = record.pending.take().filter(|Pending { device, shown_to }| {
            is_waiting(device, record, now)
                && device.name == name
                && device.profile == profile
                && shown_to.as_ref() == Some(origin)
        });
        let device = match waiting {
            Some(pending) => pending.device,
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
        record.pending = Some(Pending { device, shown_to: Some(origin.clone()) });
        Ok(pending)
    })
}

/// `phone`, `phone 2`, `phone 3`, ..
fn free_name(record: &Record) -> Result<DeviceName> {
    numbered("phone", record).ok_or(Error::TooManyDevices)
}

/// `base`, or `base 2` and so on: the first that no device of the account has.
pub(crate) fn numbered(base: &str, record: &Record) -> Option<DeviceName> {
    (1..=MAX_DEVICES.saturating_add(1))
        .filter_map(|number| {
            let suffix = if number == 1 { String::new() } else { format!(" {number}") };
            let room = DeviceName::MAX_CHARACTERS.saturating_sub(suffix.len());
            format!("{}{suffix}", base.chars().take(room).collect::<String>()).parse().ok()
        })
        .find(|name| record.devices.named(name).is_none())
}

/// Whether a device of that name fits in when the one it replaces is gone.
fn check_room(record: &Record, name: &DeviceName, replaces: Option<&DeviceName>) -> Result<()> {
    if let Some(old) = replaces
        && record.devices.named(old).is_none()
    {
        return Err(Error::NoSuchDevice { name: old.to_string() });
    }
    if replaces != Some(name) && record.devices.named(name).is_some() {
        return Err(Error::NameTaken { name: name.to_string() });
    }
    if record.devices.list.len() >= MAX_DEVICES.saturating_add(usize::from(replaces.is_some())) {
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

/// What two codes are to prove.
pub(crate) enum Which {
    /// A key that was given out.
    Pending {
        id: DeviceId,
        /// The device that ends.
        replaces: Option<DeviceName>,
    },
    /// A token that was assigned.
    Assigned {
        serial: Serial,
        /// What to call it.
        name: Option<DeviceName>,
    },
}

/// Binds a device by two of its codes.
pub(crate) fn bind<S: Store>(
    user: &UserName,
    which: &Which,
    codes: (&Code, &Code),
    recovery_codes: RecoveryCodes,
    context: &Context<'_, S>,
) -> Result<Response> {
    let store = context.store;
    // Ten slow hashes are made before the account is locked, and only if they are likely to be needed.
    let new_set = match recovery_codes {
        RecoveryCodes::No => None,
        RecoveryCodes::IfNone => new_recovery_set(user, which, codes, context)?,
    };
    let key = store.key()?;
    store.with_marks(|table| {
        store.update(Account::User(user), Access::Change, |record| {
            let (bound, name) = match attempt(user, which, codes, record, context)? {
                Ok(bound) => bound,
                Err(not_bound) => return Ok(not_bound),
            };
            for mark in marks::of_device(key, user, &bound)? {
                table.claim(mark, user)?;
            }
            let recovery_codes = match &new_set {
                Some((codes, set)) if record.devices.recovery.is_none() => {
                    record.devices.recovery = Some(set.clone());
                    record.note(Change::of_account(
                        What::RecoveryCodes,
                        "",
                        context.now,
                        &context.caller.origin,
                    ));
                    codes.clone()
                }
                Some(_) | None => Vec::new(),
            };
            Ok(Response::Enrolled { name, recovery_codes })
        })
    })
}

/// Puts the device into the record if the codes prove it; else says what to answer.
fn attempt<S: Store>(
    user: &UserName,
    which: &Which,
    (first, second): (&Code, &Code),
    record: &mut Record,
    context: &Context<'_, S>,
) -> Result<std::result::Result<(Device, DeviceName), Response>> {
    let (now, origin, throttle) = (context.now, &context.caller.origin, context.policy.throttle);
    let (mut device, replaces, span) = match which {
        Which::Pending { id, replaces } => {
            let waits = |device: &Device| device.id == *id && is_waiting(device, record, now);
            let device = record.pending.as_ref().map(|pending| pending.device.clone());
            let device = device.filter(waits).ok_or(Error::NoSuchEnrollment)?;
            check_room(record, &device.name, replaces.as_ref())?;
            (device, replaces.as_ref(), Span::App)
        }
        Which::Assigned { serial, name } => {
            let mut device =
                assigned(record, serial).ok_or_else(|| Error::NoSuchToken { serial: serial.clone() })?;
            if let Some(name) = name.as_ref().filter(|name| **name != device.name) {
                if record.devices.named(name).is_some() {
                    return Err(Error::NameTaken { name: name.to_string() });
                }
                device.name = name.clone();
            }
            (device, None, Span::Token)
        }
    };
    if device.is_expired_at(now) {
        return Ok(Err(Response::Refused(Refusal::Expired)));
    }
    let seed = device.open_seed(context.store.key()?, user)?;
    // A confirmation that the disk refused half-way may have left its entry, and what it says as used is used.
    let mut entry = record
        .state
        .device(device.id)
        .cloned()
        .unwrap_or_else(|| DeviceState::with_floor(device.id, None, 0));
    if let Some(refusal) = tries::refusal(context.caller, &mut entry, throttle, now) {
        return Ok(Err(Response::Refused(refusal)));
    }
    let claim = Claim { seed: &seed, profile: device.profile, floor: entry.floor, span, now };
    match prove(&claim, first, second) {
        Ok(proven) => proven.note(&mut entry),
        Err(why) => {
            // Whoever has a pending key was given its seed, and has nothing to guess; a token's seed is known to nobody.
            if let Some(entry) = record.state.device_mut(device.id) {
                tries::charge(context.caller, entry, throttle, now);
            }
            return Ok(Err(Response::NotConfirmed(why)));
        }
    }
    entry.release();
    device.enrolled_at = now.unix_seconds();
    device.status = Status::Active;
    record.state.devices.retain(|other| other.id != device.id);
    record.state.devices.push(entry);
    if let Some(old) = replaces.and_then(|name| record.devices.named(name)).cloned() {
        record.note(Change::of_device(What::Replaced, &old, now, origin));
        record.devices.list.retain(|other| other.id != old.id);
    }
    record.note(Change::of_device(What::Enrolled, &device, now, origin));
    match record.devices.list.iter_mut().find(|other| other.id == device.id) {
        Some(listed) => *listed = device.clone(),
        None => record.devices.list.push(device.clone()),
    }
    // Another key that waits was perhaps given out for a password, which is not enough any more.
    record.pending = None;
    let name = device.name.clone();
    Ok(Ok((device, name)))
}

fn assigned(record: &Record, serial: &Serial) -> Option<Device> {
    let waits =
        |device: &&Device| device.status == Status::Assigned && device.serial.as_ref() == Some(serial);
    record.devices.list.iter().find(waits).cloned()
}

/// Recovery codes for an account that has none, if these codes will bind the device.
fn new_recovery_set<S: Store>(
    user: &UserName,
    which: &Which,
    codes: (&Code, &Code),
    context: &Context<'_, S>,
) -> Result<Option<(Vec<crate::recovery::RecoveryCode>, RecoverySet)>> {
    let bypass = context.store.update(Account::User(user), Access::Change, |record| {
        let will_bind = attempt(user, which, codes, &mut record.clone(), context)?.is_ok();
        Ok((will_bind && record.devices.recovery.is_none()).then(|| record.devices.bypass.clone()))
    })?;
    let Some(bypass) = bypass else { return Ok(None) };
    RecoverySet::generate(context.store.key()?, bypass.as_ref(), context.now.unix_seconds()).map(Some)
}

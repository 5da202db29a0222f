//! Devices that come from elsewhere: hardware tokens, other PAM modules, other hosts; and the way to another host.

use crate::account::enrollment::numbered;
use crate::account::marks;
use crate::clock::Timestamp;
use crate::devices::{Device, MAX_DEVICES, Status};
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::recovery::{MAX_SCRATCH_CODES, RecoverySet, ScratchCode};
use crate::request::{Context, ForeignDevice, Response};
use crate::state::DeviceState;
use crate::store::{Access, Account, Record, Store};
use crate::user_name::UserName;

/// Takes over all of `devices` or none.
///
/// A device that this account has already (the same seed) is skipped, but what was used elsewhere is used here too: the same migration can be
/// run again. Scratch codes are taken over only by an account that has no recovery codes yet.
pub(crate) fn adopt<S: Store>(
    user: &UserName,
    devices: &[ForeignDevice],
    scratch_codes: &[ScratchCode],
    context: &Context<'_, S>,
) -> Result<Response> {
    if scratch_codes.len() > MAX_SCRATCH_CODES {
        return Err(Error::BadRequest("an account can have 10 scratch codes at the most"));
    }
    let store = context.store;
    store.prepare()?;
    let key = store.key()?;
    store.with_marks(|table| {
        for device in devices {
            marks::check_unique(store, table, user, &device.seed, device.serial.as_ref())?;
        }
        store.update(Account::User(user), Access::Change, |record| {
            for device in devices {
                adopt_one(user, device, record, context)?;
            }
            if !scratch_codes.is_empty() && record.devices.recovery.is_none() {
                let (bypass, now) = (record.devices.bypass.as_ref(), context.now.unix_seconds());
                record.devices.recovery =
                    Some(RecoverySet::of_scratch_codes(key, bypass, scratch_codes, now)?);
                record.note(Change::of_account(What::ScratchCodes, "", context.now, &context.caller.origin));
            }
            for device in &record.devices.list {
                for mark in marks::of_device(key, user, device)? {
                    table.claim(mark, user)?;
                }
            }
            Ok(Response::Done)
        })
    })
}

fn adopt_one<S: Store>(
    user: &UserName,
    foreign: &ForeignDevice,
    record: &mut Record,
    context: &Context<'_, S>,
) -> Result<()> {
    let key = context.store.key()?;
    let seed_mark = marks::of_seed(key, &foreign.seed);
    for device in &record.devices.list {
        if !marks::of_device(key, user, device)?.contains(&seed_mark) {
            continue;
        }
        if let Some(entry) = record.state.device_mut(device.id) {
            entry.floor = entry.floor.max(foreign.floor);
        }
        return Ok(());
    }
    if record.devices.list.len() >= MAX_DEVICES {
        return Err(Error::TooManyDevices);
    }
    let name = numbered(foreign.name.as_str(), record).ok_or(Error::TooManyDevices)?;
    let mut device = Device::seal(key, user, name, foreign.profile, &foreign.seed, context.now)?;
    device.serial.clone_from(&foreign.serial);
    device.status = foreign.status;
    device.expires_at = foreign.expires_at.map(Timestamp::unix_seconds);
    let mut entry = DeviceState::with_floor(device.id, foreign.floor, 0);
    entry.clock_offset_steps = foreign.clock_offset_steps;
    record.state.devices.push(entry);
    let what = if foreign.status == Status::Assigned { What::Assigned } else { What::Migrated };
    record.note(Change::of_device(what, &device, context.now, &context.caller.origin));
    record.devices.list.push(device);
    // A key that waits was perhaps given out for a password, which is not enough any more.
    record.pending = None;
    Ok(())
}

/// All devices with their seeds and what they have used. Recovery codes stay behind: their hashes are worth nothing without this host's key.
pub(crate) fn export<S: Store>(user: &UserName, context: &Context<'_, S>) -> Result<Vec<ForeignDevice>> {
    let key = context.store.key()?;
    context.store.update(Account::User(user), Access::Login, |record| {
        let mut devices = Vec::new();
        for device in &record.devices.list {
            let entry = record.state.device(device.id);
            devices.push(ForeignDevice {
                name: device.name.clone(),
                profile: device.profile,
                seed: device.open_seed(key, user)?,
                serial: device.serial.clone(),
                floor: entry.and_then(|entry| entry.floor),
                clock_offset_steps: entry.map_or(0, DeviceState::steps_ahead),
                status: device.status,
                expires_at: device.expires_at.map(Timestamp::from_unix_seconds),
            });
        }
        Ok(devices)
    })
}

//! No two devices have the same seed or serial number (RFC 6238 R5), found by keyed hashes, never by comparing seeds across files.

use crate::devices::{Device, Serial};
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::seal::HostKey;
use crate::secret::Secret;
use crate::store::{Access, Account, Mark, MarkTable, Record, Store};
use crate::user_name::UserName;

/// The keyed hash of a seed.
pub(crate) fn of_seed(key: &HostKey, seed: &Secret) -> Mark {
    mark(key, b"seed", seed.expose())
}

/// The keyed hash of a serial number.
pub(crate) fn of_serial(key: &HostKey, serial: &Serial) -> Mark {
    mark(key, b"serial", serial.as_str().as_bytes())
}

fn mark(key: &HostKey, kind: &[u8], bytes: &[u8]) -> Mark {
    let tag = key.tag(&[b"mark", kind, bytes]);
    Hex(std::array::from_fn(|at| tag.get(at).copied().unwrap_or_default()))
}

/// The marks of a device: of its seed, and of its serial number if it has one.
pub(crate) fn of_device(key: &HostKey, user: &UserName, device: &Device) -> Result<Vec<Mark>> {
    let seed = of_seed(key, &device.open_seed(key, user)?);
    Ok(std::iter::once(seed).chain(device.serial.as_ref().map(|serial| of_serial(key, serial))).collect())
}

/// Refuses a seed or serial number that another account has.
pub(crate) fn check_unique<S: Store>(
    store: &S,
    table: &dyn MarkTable,
    user: &UserName,
    seed: &Secret,
    serial: Option<&Serial>,
) -> Result<()> {
    let key = store.key()?;
    let seed_mark = of_seed(key, seed);
    if let Some(user) = holder(store, table, Some(user), seed_mark)? {
        return Err(Error::SeedInUse { user });
    }
    if let Some(serial) = serial
        && let Some(user) = holder(store, table, Some(user), of_serial(key, serial))?
    {
        return Err(Error::SerialInUse { user });
    }
    Ok(())
}

/// The account that really has a device of that mark, unless it is `but`. A mark that was left behind counts for nothing.
pub(crate) fn holder<S: Store>(
    store: &S,
    table: &dyn MarkTable,
    but: Option<&UserName>,
    mark: Mark,
) -> Result<Option<UserName>> {
    let Some(other) = table.owner(mark)?.filter(|other| Some(other) != but) else { return Ok(None) };
    match store
        .update(Account::User(&other), Access::Login, |record| record_has(store.key()?, &other, record, mark))
    {
        Ok(true) => Ok(Some(other)),
        Ok(false) | Err(Error::NotEnrolled) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a device of this record has the mark.
pub(crate) fn record_has(key: &HostKey, user: &UserName, record: &Record, mark: Mark) -> Result<bool> {
    for device in &record.devices.list {
        if of_device(key, user, device)?.contains(&mark) {
            return Ok(true);
        }
    }
    Ok(false)
}

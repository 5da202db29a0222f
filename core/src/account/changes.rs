//! Changes of devices that are there: rename, suspend, resume, remove; and new recovery codes.

use crate::account::marks;
use crate::devices::{DeviceName, Status};
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::recovery::{RecoveryCode, RecoverySet};
use crate::request::{Context, Response};
use crate::store::{Access, Account, Record, Store};
use crate::user_name::UserName;

pub(crate) fn rename<S: Store>(
    user: &UserName,
    name: &DeviceName,
    to: &DeviceName,
    context: &Context<'_, S>,
) -> Result<Response> {
    change_enrolled(user, context.store, |record| {
        if name != to && record.devices.named(to).is_some() {
            return Err(Error::NameTaken { name: to.to_string() });
        }
        let device = record.devices.named_mut(name)?;
        if name == to {
            return Ok(Response::Done);
        }
        device.name = to.clone();
        let change = Change::of_device(What::Renamed, device, context.now, &context.caller.origin);
        record.note(change);
        Ok(Response::Done)
    })
}

/// Suspends or resumes. A token that waits for its codes is neither: it must be proven first.
pub(crate) fn set_status<S: Store>(
    user: &UserName,
    name: &DeviceName,
    status: Status,
    context: &Context<'_, S>,
) -> Result<Response> {
    change_enrolled(user, context.store, |record| {
        let device = record.devices.named_mut(name)?;
        if device.status == Status::Assigned {
            return Err(Error::BadRequest("this token was not activated yet"));
        }
        if device.status == status {
            return Ok(Response::Done);
        }
        device.status = status;
        let what = if status == Status::Active { What::Resumed } else { What::Suspended };
        let change = Change::of_device(what, device, context.now, &context.caller.origin);
        record.note(change);
        Ok(Response::Done)
    })
}

pub(crate) fn remove<S: Store>(
    user: &UserName,
    name: &DeviceName,
    context: &Context<'_, S>,
) -> Result<Response> {
    let store = context.store;
    let key = store.key()?;
    let mut freed = Vec::new();
    store.with_marks(|table| {
        change_enrolled(user, store, |record| {
            let device = record.devices.named_mut(name)?.clone();
            // A seed that does not open can't be marked either, and must not be in the way of its removal.
            freed = marks::of_device(key, user, &device).unwrap_or_default();
            record.devices.list.retain(|other| other.id != device.id);
            if record.devices.list.is_empty() {
                record.devices.recovery = None;
            }
            record.note(Change::of_device(What::Removed, &device, context.now, &context.caller.origin));
            Ok(())
        })?;
        freed.iter().try_for_each(|mark| table.free(*mark))
    })?;
    Ok(Response::Done)
}

pub(crate) fn new_recovery_codes<S: Store>(
    user: &UserName,
    context: &Context<'_, S>,
) -> Result<Vec<RecoveryCode>> {
    let store = context.store;
    // Ten slow hashes: made before the account is locked, beside the bypass code that is there now.
    let bypass =
        store.update(Account::User(user), Access::Login, |record| Ok(record.devices.bypass.clone()))?;
    let (codes, set) = RecoverySet::generate(store.key()?, bypass.as_ref(), context.now.unix_seconds())?;
    change_enrolled(user, store, |record| {
        if record.devices.bypass != bypass {
            return Err(Error::BadRequest(
                "a bypass code was issued or cancelled at the same moment: try again",
            ));
        }
        record.devices.recovery = Some(set.clone());
        record.note(Change::of_account(What::RecoveryCodes, "", context.now, &context.caller.origin));
        Ok(())
    })?;
    Ok(codes)
}

/// Changes an account that has a device; creates none that has not.
pub(crate) fn change_enrolled<S: Store, T>(
    user: &UserName,
    store: &S,
    mut change: impl FnMut(&mut Record) -> Result<T>,
) -> Result<T> {
    store.update(Account::User(user), Access::Login, |_| Ok(()))?;
    store.update(Account::User(user), Access::Change, |record| {
        if record.devices.list.is_empty() {
            return Err(Error::NotEnrolled);
        }
        change(record)
    })
}

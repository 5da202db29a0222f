//! A code that root issues to let a person in once.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::one_line::{MOST_CHARACTERS, is_printable};
use crate::recovery::Bypass;
use crate::request::{Context, Response};
use crate::store::{Access, Account, Store};
use crate::user_name::UserName;

/// The shortest and the longest time that a code may be good for, in seconds: a minute, thirty days.
const VALID_SECONDS: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 3600;

/// Makes a code. One that was waiting ends.
pub(crate) fn issue<S: Store>(
    user: &UserName,
    valid_seconds: u64,
    reason: &str,
    context: &Context<'_, S>,
) -> Result<Response> {
    let (store, now, origin) = (context.store, context.now, &context.caller.origin);
    if !VALID_SECONDS.contains(&valid_seconds) {
        return Err(Error::BadRequest("a bypass code is good for a minute at least and 30 days at most"));
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MOST_CHARACTERS || !reason.chars().all(is_printable) {
        return Err(Error::BadRequest("the reason must have 1 to 200 printable characters"));
    }
    store.prepare()?;
    let until = now.unix_seconds().saturating_add(valid_seconds);
    // The slow hash is made before the account is locked, beside the recovery codes that are there now.
    let set = match store
        .update(Account::User(user), Access::Login, |record| Ok(record.devices.recovery.clone()))
    {
        Err(Error::NotEnrolled) => None,
        other => other?,
    };
    let times = (now.unix_seconds(), until);
    let (code, bypass) =
        Bypass::generate(store.key()?, set.as_ref(), times, reason.to_owned(), origin.clone())?;
    store.update(Account::User(user), Access::Change, |record| {
        if record.devices.recovery != set {
            return Err(Error::BadRequest("new recovery codes were made at the same moment: try again"));
        }
        record.devices.bypass = Some(bypass.clone());
        record.note(Change::of_account(What::BypassIssued, reason, now, origin));
        Ok(())
    })?;
    Ok(Response::Bypass { code, until: Timestamp::from_unix_seconds(until) })
}

pub(crate) fn cancel<S: Store>(user: &UserName, context: &Context<'_, S>) -> Result<Response> {
    match context
        .store
        .update(Account::User(user), Access::Login, |record| Ok(record.devices.bypass.is_some()))
    {
        Ok(true) => {}
        Ok(false) | Err(Error::NotEnrolled) => return Err(Error::NoBypass),
        Err(error) => return Err(error),
    }
    context.store.update(Account::User(user), Access::Change, |record| {
        let bypass = record.devices.bypass.take().ok_or(Error::NoBypass)?;
        let origin = &context.caller.origin;
        record.note(Change::of_account(What::BypassCancelled, &bypass.reason, context.now, origin));
        Ok(Response::Done)
    })
}

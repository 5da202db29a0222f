//! Following a device whose clock or counter has run away, by two of its codes (RFC 4226 7.4, RFC 6238 section 6).

use crate::account::changes::change_enrolled;
use crate::account::proof::{Claim, Span, prove};
use crate::account::tries;
use crate::devices::{DeviceName, Status};
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::otp::Code;
use crate::request::{Context, Response};
use crate::store::Store;
use crate::user_name::UserName;
use crate::verify::Refusal;

/// Two wrong codes count as a failure like one at a login, so that there is no second place to guess at; root is not counted.
pub(crate) fn resync<S: Store>(
    user: &UserName,
    name: &DeviceName,
    first: &Code,
    second: &Code,
    context: &Context<'_, S>,
) -> Result<Response> {
    let (store, now, throttle) = (context.store, context.now, context.policy.throttle);
    let key = store.key()?;
    change_enrolled(user, store, |record| {
        let device = record.devices.named_mut(name)?.clone();
        if device.status == Status::Assigned {
            return Err(Error::BadRequest("this token was not activated yet"));
        }
        if device.is_expired_at(now) {
            return Ok(Response::Refused(Refusal::Expired));
        }
        let seed = device.open_seed(key, user)?;
        let Some(entry) = record.state.device_mut(device.id) else {
            return Err(Error::NoSuchDevice { name: name.to_string() });
        };
        if let Some(refusal) = tries::refusal(context.caller, entry, throttle, now) {
            return Ok(Response::Refused(refusal));
        }
        let claim =
            Claim { seed: &seed, profile: device.profile, floor: entry.floor, span: Span::Token, now };
        match prove(&claim, first, second) {
            Ok(proven) => proven.note(entry),
            Err(why) => {
                tries::charge(context.caller, entry, throttle, now);
                return Ok(Response::NotConfirmed(why));
            }
        }
        record.note(Change::of_device(What::Resynced, &device, now, &context.caller.origin));
        Ok(Response::Done)
    })
}

//! Root's ways out: forgetting failures, and a new state where it is damaged.

use crate::account::changes::change_enrolled;
use crate::devices::Status;
use crate::error::{Error, Result};
use crate::history::{Change, What};
use crate::otp::MovingFactor;
use crate::request::{Context, Response};
use crate::state::{DeviceState, State};
use crate::store::{Access, Account, Store};
use crate::user_name::UserName;
use crate::verify::DRIFT_CAP_STEPS;

pub(crate) fn unlock<S: Store>(user: &UserName, context: &Context<'_, S>) -> Result<Response> {
    change_enrolled(user, context.store, |record| {
        record.state.devices.iter_mut().for_each(DeviceState::release);
        record.state.recovery.known_failures = crate::throttle::Failures::default();
        record.state.recovery.stranger_failures = crate::throttle::Failures::default();
        record.note(Change::of_account(What::Unlocked, "", context.now, &context.caller.origin));
        Ok(Response::Done)
    })
}

/// The floor goes beyond every step that could have been accepted until now. What can't be told (how far a counter had come, by how much a
/// clock had run away, which recovery codes were used) is put out of use.
pub(crate) fn repair<S: Store>(user: &UserName, context: &Context<'_, S>) -> Result<Response> {
    let now = context.now;
    context.store.update(Account::User(user), Access::Repair, |record| {
        if !record.devices.can_answer() {
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
                    // Not even resumed or resynchronised does it come back: any counter may have been used.
                    Some(u64::MAX)
                }
            };
            record.state.devices.push(DeviceState::with_floor(device.id, floor, 0));
        }
        record.devices.recovery = None;
        record.devices.bypass = None;
        record.note(Change::of_account(What::Repaired, "", now, &context.caller.origin));
        Ok(Response::Done)
    })
}

//! What there is to know of an account without its secrets.

use crate::clock::Timestamp;
use crate::devices::Device;
use crate::error::Result;
use crate::request::{AccountStatus, BypassStatus, Context, DeviceStatus};
use crate::store::{Access, Account, Store};
use crate::user_name::UserName;

pub(crate) fn status<S: Store>(user: &UserName, context: &Context<'_, S>) -> Result<AccountStatus> {
    let (throttle, now) = (context.policy.throttle, context.now);
    context.store.update(Account::User(user), Access::Login, |record| {
        let device_status = |device: &Device| {
            let state = record.state.device(device.id)?;
            Some(DeviceStatus {
                id: device.id,
                name: device.name.clone(),
                serial: device.serial.clone(),
                profile: device.profile,
                status: device.status,
                enrolled_at: Timestamp::from_unix_seconds(device.enrolled_at),
                expires_at: device.expires_at.map(Timestamp::from_unix_seconds),
                is_expired: device.is_expired_at(now),
                failures: state.failures(),
                disabled: state.disabled,
                closed_to_strangers: state.closed_to_strangers,
                wait_seconds: state.known_failures.wait_seconds(throttle, state.failures(), now),
                stranger_wait_seconds: state.stranger_failures.wait_seconds(throttle, state.failures(), now),
                drift_steps: state.steps_ahead(),
            })
        };
        let bypass = record.devices.bypass.as_ref().filter(|bypass| {
            bypass.until >= now.unix_seconds() && record.state.recovery.bypass_used != Some(bypass.id)
        });
        Ok(AccountStatus {
            devices: record.devices.list.iter().filter_map(device_status).collect(),
            recovery_codes_left: record
                .devices
                .recovery
                .as_ref()
                .map(|set| record.state.recovery.left_of(set)),
            bypass: bypass.map(|bypass| BypassStatus {
                issued_at: Timestamp::from_unix_seconds(bypass.issued_at),
                until: Timestamp::from_unix_seconds(bypass.until),
                reason: bypass.reason.clone(),
                by: bypass.by.clone(),
            }),
        })
    })
}

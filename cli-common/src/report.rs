//! What there is to know of an account as JSON.

use mfa_core::devices::Status;
use mfa_core::history::Change;
use mfa_core::otp::MovingFactor;
use mfa_core::request::{AccountStatus, BypassStatus, DeviceStatus};
use serde::Serialize;

/// An account as `status --json` and `list --json` show it.
#[derive(Debug, Serialize)]
pub struct AccountReport {
    user: String,
    devices: Vec<DeviceReport>,
    recovery_codes_left: Option<u8>,
    bypass: Option<BypassReport>,
}

#[derive(Debug, Serialize)]
struct BypassReport {
    issued_at: String,
    until: String,
    reason: String,
    by: String,
}

#[derive(Debug, Serialize)]
struct DeviceReport {
    id: String,
    name: String,
    kind: &'static str,
    algorithm: &'static str,
    digits: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_ahead: Option<u8>,
    status: &'static str,
    enrolled_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    expired: bool,
    failures: u32,
    disabled: bool,
    closed_to_strangers: bool,
    wait_seconds: u64,
    stranger_wait_seconds: u64,
    drift_steps: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
}

/// One thing that happened to an account, as `history --json` shows it.
#[derive(Debug, Serialize)]
pub struct ChangeReport<'a> {
    number: u64,
    at: String,
    what: &'static str,
    device: Option<String>,
    name: &'a str,
    by: &'a str,
}

impl<'a> ChangeReport<'a> {
    /// The report on `change`.
    pub fn new(change: &'a Change) -> Self {
        Self {
            number: change.number,
            at: change.moment().to_string(),
            what: change.what.word(),
            device: change.device.map(|id| id.to_string()),
            name: &change.name,
            by: change.by.as_str(),
        }
    }
}

impl AccountReport {
    /// The report on `user`.
    pub fn new(user: &str, status: &AccountStatus) -> Self {
        Self {
            user: user.to_owned(),
            devices: status.devices.iter().map(DeviceReport::new).collect(),
            recovery_codes_left: status.recovery_codes_left,
            bypass: status.bypass.as_ref().map(BypassReport::new),
        }
    }
}

impl BypassReport {
    fn new(bypass: &BypassStatus) -> Self {
        Self {
            issued_at: bypass.issued_at.to_string(),
            until: bypass.until.to_string(),
            reason: bypass.reason.clone(),
            by: bypass.by.to_string(),
        }
    }
}

impl DeviceReport {
    fn new(device: &DeviceStatus) -> Self {
        let (kind, period, look_ahead) = match device.profile.moving_factor {
            MovingFactor::Time(period) => ("totp", Some(period.seconds()), None),
            MovingFactor::Counter(look_ahead) => ("hotp", None, Some(look_ahead.counters())),
        };
        Self {
            id: device.id.to_string(),
            name: device.name.to_string(),
            kind,
            algorithm: device.profile.algorithm.name(),
            digits: device.profile.digits.count(),
            period,
            look_ahead,
            status: match device.status {
                Status::Active => "active",
                Status::Suspended => "suspended",
                Status::Assigned => "assigned",
            },
            enrolled_at: device.enrolled_at.to_string(),
            expires_at: device.expires_at.map(|end| end.to_string()),
            expired: device.is_expired,
            failures: device.failures,
            disabled: device.disabled,
            closed_to_strangers: device.closed_to_strangers,
            wait_seconds: device.wait_seconds,
            stranger_wait_seconds: device.stranger_wait_seconds,
            drift_steps: device.drift_steps,
            serial: device.serial.as_ref().map(ToString::to_string),
        }
    }
}

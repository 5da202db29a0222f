//! What there is to know of an account, in words and as JSON.

use mfa_core::Timestamp;
use mfa_core::devices::Status;
use mfa_core::history::Change;
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::request::{AccountStatus, DeviceStatus};
use serde::Serialize;

/// An account as `status --json` and `list --json` show it.
#[derive(Debug, Serialize)]
pub struct AccountReport {
    user: String,
    devices: Vec<DeviceReport>,
    recovery_codes_left: Option<u8>,
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

/// `SHA256, 8 digits, 60 s`
pub fn profile_text(profile: Profile) -> String {
    let Profile { moving_factor, algorithm, digits } = profile;
    let digits = digits.count();
    match moving_factor {
        MovingFactor::Time(period) => format!("{algorithm}, {digits} digits, {} s", period.seconds()),
        MovingFactor::Counter(_) => format!("{algorithm}, {digits} digits, counter"),
    }
}

/// What a device is: `app`, or `app (SHA256, 8 digits, 60 s)` where it is not the usual one.
pub fn kind(profile: Profile) -> String {
    if profile == Profile::PLAIN { "app".to_owned() } else { format!("app ({})", profile_text(profile)) }
}

/// The day, `2026-11-24`.
pub fn since(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// How a device stands: `ready`, `2 failures`, `5 failures, waits 4 s`, `disabled after 50 failures`.
pub fn standing(device: &DeviceStatus) -> String {
    let failures = counted(device.failures.into(), "failure");
    if device.disabled {
        return format!("disabled after {failures}");
    }
    match device.status {
        Status::Suspended => "suspended".to_owned(),
        Status::Assigned => "waits to be activated".to_owned(),
        Status::Active if device.wait_seconds > 0 => {
            format!("{failures}, waits {}", duration(device.wait_seconds))
        }
        Status::Active if device.closed_to_strangers => format!("{failures}, closed to unknown addresses"),
        Status::Active if device.stranger_wait_seconds > 0 => {
            format!("{failures}, unknown addresses wait {}", duration(device.stranger_wait_seconds))
        }
        Status::Active if device.failures > 0 => failures,
        Status::Active => "ready".to_owned(),
    }
}

/// `Recovery codes: 10 left`, or what their absence means.
pub fn recovery_sentence(left: Option<u8>) -> String {
    match left {
        None => "No recovery codes: to lose the device is to be locked out.".to_owned(),
        Some(0) => "Recovery codes: none left.".to_owned(),
        Some(left) => format!("Recovery codes: {left} left."),
    }
}

/// `1 failure`, `2 failures`
pub fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mfa_core::otp::Digits;

    fn device() -> DeviceStatus {
        DeviceStatus {
            id: mfa_core::hex::Hex([1; 8]),
            name: "phone".parse().unwrap(),
            serial: None,
            profile: Profile::PLAIN,
            status: Status::Active,
            enrolled_at: Timestamp::from_unix_seconds(1_800_000_000),
            failures: 0,
            disabled: false,
            closed_to_strangers: false,
            wait_seconds: 0,
            stranger_wait_seconds: 0,
            drift_steps: 0,
        }
    }

    #[test]
    fn a_device_stands_as_its_worst_trouble() {
        assert_eq!(standing(&device()), "ready");
        assert_eq!(standing(&DeviceStatus { failures: 1, ..device() }), "1 failure");
        assert_eq!(
            standing(&DeviceStatus { failures: 5, wait_seconds: 4, ..device() }),
            "5 failures, waits 4 s"
        );
        assert_eq!(
            standing(&DeviceStatus { failures: 15, stranger_wait_seconds: 3541, ..device() }),
            "15 failures, unknown addresses wait 60 min"
        );
        assert_eq!(
            standing(&DeviceStatus { failures: 50, closed_to_strangers: true, ..device() }),
            "50 failures, closed to unknown addresses"
        );
        assert_eq!(standing(&DeviceStatus { status: Status::Suspended, ..device() }), "suspended");
        assert_eq!(
            standing(&DeviceStatus { failures: 50, disabled: true, wait_seconds: 9, ..device() }),
            "disabled after 50 failures"
        );
    }

    #[test]
    fn only_an_unusual_profile_is_spelt_out() {
        assert_eq!(kind(Profile::PLAIN), "app");
        let eight = Profile { digits: Digits::try_from(8).unwrap(), ..Profile::PLAIN };
        assert_eq!(kind(eight), "app (SHA1, 8 digits, 30 s)");
    }

    #[test]
    fn a_day_is_the_day_in_utc() {
        assert_eq!(since(Timestamp::from_unix_seconds(1_800_000_000)), "2027-01-15");
    }
}

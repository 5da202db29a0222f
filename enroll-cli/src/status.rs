//! `mfa-enroll status`: the devices and how they stand.

use mfa_cli::{AccountReport, Failure, Output, kind, recovery_sentence, since, standing};
use mfa_core::request::{AccountStatus, DeviceStatus};

use crate::account::Account;
use crate::cli::StatusOptions;

/// Shows how things stand.
pub(crate) fn run(account: &Account, output: &Output, options: &StatusOptions) -> Result<(), Failure> {
    if options.json {
        let status = account.session.status(&account.user)?;
        if status.devices.is_empty() {
            account.check_name()?;
        }
        if let Some(warning) = account.session.policy_warning() {
            output.warn(&warning);
        }
        return output.json(&AccountReport::new(account.user.as_str(), &status));
    }
    show(account, output).map(|_| ())
}

/// Shows how things stand to a person, and gives it.
pub(crate) fn show(account: &Account, output: &Output) -> Result<AccountStatus, Failure> {
    let status = account.session.status(&account.user)?;
    if status.devices.is_empty() {
        account.check_name()?;
    }
    if let Some(warning) = account.session.policy_warning() {
        output.warn(&warning);
    }
    output.line(&format!("The second factor of {}\n", account.on_host()))?;
    if status.devices.is_empty() {
        output.line(&format!("  No device: where a code is asked for, {} can't log in.", account.user))?;
        return Ok(status);
    }
    for line in device_lines(&status.devices, output.columns()) {
        output.line(&line)?;
    }
    output.line(&format!("  {}", recovery_sentence(status.recovery_codes_left)))?;
    if status.devices.iter().any(|device| device.disabled || device.closed_to_strangers) {
        output.line("  A recovery code at the login ends that; so can root: mfa-admin unlock")?;
    }
    Ok(status)
}

/// A line for each device, its columns under each other; two where one is too narrow.
fn device_lines(devices: &[DeviceStatus], columns: usize) -> Vec<String> {
    let width =
        |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let name_width = width(&mut devices.iter().map(|device| device.name.to_string()));
    let kind_width = width(&mut devices.iter().map(|device| kind(device.profile)));
    devices
        .iter()
        .map(|device| {
            let (name, kind) = (device.name.as_str(), kind(device.profile));
            let (day, standing) = (since(device.enrolled_at), standing(device));
            let line = format!("  {name:name_width$}  {kind:kind_width$}  since {day}  {standing}");
            if line.chars().count() <= columns {
                return line;
            }
            format!("  {name}\n    {kind}, since {day}, {standing}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use mfa_core::Timestamp;
    use mfa_core::devices::Status;
    use mfa_core::hex::Hex;
    use mfa_core::otp::Profile;

    use super::*;

    fn device(name: &str) -> DeviceStatus {
        DeviceStatus {
            id: Hex([1; 8]),
            name: name.parse().unwrap(),
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
    fn devices_stand_in_columns() {
        assert_eq!(
            device_lines(&[device("phone"), device("old phone")], 80),
            ["  phone      app  since 2027-01-15  ready", "  old phone  app  since 2027-01-15  ready"]
        );
    }

    #[test]
    fn what_is_too_long_for_the_screen_takes_two_lines() {
        let name = "x".repeat(40);
        assert_eq!(
            device_lines(&[device(&name)], 60),
            [format!("  {name}\n    app, since 2027-01-15, ready")]
        );
    }
}

//! `mfa-enroll resync`: a device whose clock or counter has run away is followed, by two of its codes.

use mfa_cli::Failure;
use mfa_core::devices::{DeviceName, Status};
use mfa_core::otp::MovingFactor;
use mfa_core::request::DeviceStatus;
use serde::Serialize;

use crate::account::Account;
use crate::activate::how_to_make;
use crate::cli::ResyncOptions;
use crate::dialogue::Dialogue;
use crate::proof::{Maker, not_confirmed, prove, read_codes};

/// Follows a device as the command line says.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &ResyncOptions,
) -> Result<(), Failure> {
    let device = account.device(&options.name)?;
    if !options.json {
        return by_person(account, dialogue, &device);
    }
    check_active(account, &device)?;
    let codes = read_codes(dialogue, device.profile)?;
    account
        .session
        .resync(&account.user, device.name.clone(), codes)?
        .map_err(|why| not_confirmed(why, device.profile, Maker::Given))?;
    account.log_change("resynced", Some(&device.name));
    dialogue.output.json(&Resynced {
        result: "resynced",
        user: account.user.as_str(),
        device: device.name.as_str(),
    })
}

/// Follows a device with a person, who gets three tries at two codes.
pub(crate) fn by_person(
    account: &Account,
    dialogue: &Dialogue<'_>,
    device: &DeviceStatus,
) -> Result<(), Failure> {
    check_active(account, device)?;
    let (output, name) = (dialogue.output, &device.name);
    output.paragraph(&format!("{name} of {}. {}\n", account.on_host(), how_to_make(device.profile)))?;
    prove(dialogue, device.profile, Maker::Given, |codes| {
        account.session.resync(&account.user, name.clone(), codes)
    })
    .map_err(|failure| failure.when_ended("nothing has changed", "begin again when you like"))?;
    account.log_change("resynced", Some(name));
    output.line(&format!("\n{name} is in step again. Both codes are used up now."))?;
    let now = account.device(name)?;
    match now.profile.moving_factor {
        MovingFactor::Time(period) if now.drift_steps != 0 => {
            let seconds = u64::from(now.drift_steps.unsigned_abs()).saturating_mul(period.seconds());
            let direction = if now.drift_steps < 0 { "behind" } else { "ahead of" };
            output.line(&format!("Its clock is about {seconds} s {direction} this host's, and is followed."))
        }
        MovingFactor::Time(_) | MovingFactor::Counter(_) => Ok(()),
    }
}

/// A token that was never proven is not out of step.
fn check_active(account: &Account, device: &DeviceStatus) -> Result<(), Failure> {
    match (device.status, &device.serial) {
        (Status::Assigned, Some(serial)) => Err(not_activated(account, &device.name, serial.as_str())),
        (Status::Assigned | Status::Active | Status::Suspended, _) => Ok(()),
    }
}

fn not_activated(account: &Account, name: &DeviceName, serial: &str) -> Failure {
    Failure::refused(
        format!("{name} was not activated yet"),
        format!("do that first: {}", account.command(&format!("activate {}", mfa_cli::shell_word(serial)))),
    )
}

#[derive(Serialize)]
struct Resynced<'a> {
    result: &'static str,
    user: &'a str,
    device: &'a str,
}

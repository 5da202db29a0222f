//! `mfa-enroll resync` and `activate`: two consecutive codes of a device that is known already.

use mfa_cli::Failure;
use mfa_core::devices::Status;
use mfa_core::otp::{Code, MovingFactor, Profile};
use mfa_core::request::{DeviceStatus, WhyNotConfirmed};

use crate::account::Account;
use crate::cli::{ActivateOptions, DeviceOption};
use crate::dialogue::Dialogue;
use crate::proof::{not_confirmed, two_codes};

/// Follows a device whose clock or counter has run away.
pub(crate) fn resync(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &DeviceOption,
) -> Result<(), Failure> {
    let name = &options.name;
    let device = find(account, |device| device.name == *name)?.ok_or_else(|| {
        let hint = format!("see which there are: {}", account.command("status"));
        Failure::refused(format!("{} has no device named {name}", account.user), hint)
    })?;
    let tell = match device.profile.moving_factor {
        MovingFactor::Time(_) => "Its codes are looked for a day before and after now.",
        MovingFactor::Counter(_) => "Its codes are looked for a thousand presses ahead.",
    };
    dialogue.output.paragraph(&format!(
        "{name} of {}: type two codes, one right after the other. {tell}",
        account.on_host()
    ))?;
    let codes = asked(dialogue, device.profile, "nothing has changed")?;
    match account.session.resync(&account.user, name.clone(), codes)? {
        Ok(()) => {
            account.log_change("resynced", Some(name));
            dialogue.output.line(&format!("Done: the codes of {name} are followed. Both are used up now."))
        }
        Err(why) => Err(in_words(why, device.profile)),
    }
}

/// Binds a hardware token that root has assigned.
pub(crate) fn activate(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &ActivateOptions,
) -> Result<(), Failure> {
    let serial = &options.serial;
    let waits =
        |device: &DeviceStatus| device.status == Status::Assigned && device.serial.as_ref() == Some(serial);
    let device = find(account, waits)?.ok_or_else(|| {
        let hint = "see that the number is right; an administrator assigns tokens: mfa-admin tokens assign SERIAL USER";
        Failure::refused(format!("no token {serial} waits for {}", account.user), hint)
    })?;
    dialogue.output.paragraph(&format!(
        "Token {serial} for {}: type two codes, one right after the other.",
        account.on_host()
    ))?;
    let codes = asked(dialogue, device.profile, "the token was not activated")?;
    match account.session.activate(&account.user, serial.clone(), options.name.clone(), codes)? {
        Ok(name) => {
            account.log_change("enrolled", Some(&name));
            let on_host = account.on_host();
            dialogue
                .output
                .line(&format!("Done: {on_host} has the device {name}. Both codes are used up now."))
        }
        Err(why) => Err(in_words(why, device.profile)),
    }
}

fn find(account: &Account, is_it: impl Fn(&DeviceStatus) -> bool) -> Result<Option<DeviceStatus>, Failure> {
    Ok(account.session.status(&account.user)?.devices.into_iter().find(is_it))
}

fn asked(
    dialogue: &Dialogue<'_>,
    profile: Profile,
    otherwise: &'static str,
) -> Result<(Code, Code), Failure> {
    two_codes(dialogue, profile)
        .map_err(|failure| failure.when_ended(otherwise, "begin again when you have the device"))
}

/// What is wrong with two codes of a device whose key nobody typed.
fn in_words(why: WhyNotConfirmed, profile: Profile) -> Failure {
    match why {
        WhyNotConfirmed::OtherCodes => Failure::NotConfirmed {
            reason: "other-codes",
            sentence: "these are not two codes in a row of this device, so far as they are looked for"
                .to_owned(),
            hint: "see that it is the right device; if it is, remove it and add it anew".to_owned(),
        },
        WhyNotConfirmed::SameCode
        | WhyNotConfirmed::NotConsecutive
        | WhyNotConfirmed::ClockOff { .. }
        | WhyNotConfirmed::ProfileIgnored { .. }
        | WhyNotConfirmed::Used => not_confirmed(why, profile),
    }
}

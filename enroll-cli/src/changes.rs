//! `mfa-enroll rename`, `suspend` and `resume`: devices that are there.

use mfa_cli::{Failure, Output, shell_word};
use mfa_core::devices::{DeviceName, Status};

use crate::account::Account;
use crate::cli::{DeviceOption, RenameOptions, SuspendOptions};
use crate::dialogue::{Dialogue, EnterMeans};

/// Calls a device something else.
pub(crate) fn rename(account: &Account, output: &Output, options: &RenameOptions) -> Result<(), Failure> {
    account.session.rename(&account.user, options.name.clone(), options.to.clone())?;
    account.log_change("renamed", Some(&options.to));
    output.line(&format!("{} is called {} from now on.", options.name, options.to))
}

/// Puts a device aside, if whoever answers agrees to what that means.
pub(crate) fn suspend(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &SuspendOptions,
) -> Result<(), Failure> {
    let (output, name) = (dialogue.output, &options.name);
    if !options.yes && is_last_usable(account, name)? {
        if !dialogue.is_with_a_person() {
            let command = format!("suspend {} --yes", shell_word(name.as_str()));
            return Err(Failure::usage(
                format!(
                    "{name} is the last device that lets {} in, and there is nobody to ask",
                    account.user
                ),
                format!("if you are sure: {}", account.command(&command)),
            ));
        }
        output.paragraph(&format!(
            "{name} is the last device that lets {} in. While it is suspended only a recovery code does, where a code is \
             asked for.",
            account.user
        ))?;
        let agreed =
            dialogue.confirm(&format!("Suspend {name} of {}?", account.on_host()), EnterMeans::No).map_err(
                |failure| failure.when_ended("nothing was suspended", "begin again when you are sure"),
            )?;
        if !agreed {
            return output.line("Nothing was suspended.");
        }
    }
    account.session.suspend_device(&account.user, name)?;
    account.log_change("suspended", Some(name));
    output.line(&format!("{name} is suspended: its codes are refused until it is resumed."))
}

/// Takes a device up again.
pub(crate) fn resume(account: &Account, output: &Output, options: &DeviceOption) -> Result<(), Failure> {
    account.session.resume(&account.user, options.name.clone())?;
    account.log_change("resumed", Some(&options.name));
    output.line(&format!("{} is resumed: its codes count again.", options.name))
}

fn is_last_usable(account: &Account, name: &DeviceName) -> Result<bool, Failure> {
    let devices = account.session.status(&account.user)?.devices;
    let mut usable = devices.iter().filter(|device| device.status == Status::Active && !device.disabled);
    Ok(usable.next().is_some_and(|device| device.name == *name) && usable.next().is_none())
}

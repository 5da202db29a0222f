//! `mfa-enroll remove`: a device is lost, sold, or replaced.

use mfa_cli::{Failure, shell_word};
use mfa_core::devices::DeviceName;

use crate::account::Account;
use crate::cli::RemoveOptions;
use crate::dialogue::{Dialogue, EnterMeans};
use crate::last_device::{self, Loss};

/// Removes a device as the command line says.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &RemoveOptions,
) -> Result<(), Failure> {
    if options.yes {
        return remove(account, dialogue, &options.name);
    }
    if !dialogue.is_with_a_person() {
        let command = format!("remove {} --yes", shell_word(options.name.as_str()));
        return Err(Failure::usage(
            "remove asks before it does, and there is nobody to ask",
            format!("if you are sure: {}", account.command(&command)),
        ));
    }
    ask_and_remove(account, dialogue, &options.name)
}

/// Removes a device if whoever answers agrees.
pub(crate) fn ask_and_remove(
    account: &Account,
    dialogue: &Dialogue<'_>,
    name: &DeviceName,
) -> Result<(), Failure> {
    let output = dialogue.output;
    let status = account.status()?;
    if status.devices.iter().any(|device| device.name == *name) {
        if let Some(warning) = last_device::warning(account, &status, name, Loss::ForGood) {
            output.paragraph(&warning)?;
        }
        let question = format!("Remove {name} of {}?", account.on_host());
        let agreed = dialogue
            .confirm(&question, EnterMeans::No)
            .map_err(|failure| failure.when_ended("nothing was removed", "begin again when you are sure"))?;
        if !agreed {
            return output.line("Nothing was removed.");
        }
    }
    remove(account, dialogue, name)
}

fn remove(account: &Account, dialogue: &Dialogue<'_>, name: &DeviceName) -> Result<(), Failure> {
    account
        .session
        .remove(&account.user, name.clone(), dialogue)
        .map_err(|failure| failure.when_ended("nothing was removed", "begin again when you are sure"))?;
    account.log_change("removed", Some(name));
    dialogue.output.line(&format!("{name} is removed: its codes are refused from now on."))?;
    if account.status()?.devices.is_empty() {
        dialogue.output.line(&format!("{} has no device now.", account.on_host()))?;
    }
    Ok(())
}

//! `mfa-enroll suspend` and `resume`: a device is put aside, and counts again.

use mfa_cli::Failure;
use mfa_core::devices::{DeviceName, Status};

use crate::account::Account;
use crate::cli::SuspendOptions;
use crate::dialogue::{Dialogue, EnterMeans};
use crate::last_device::{self, Loss};

/// Suspends a device as the command line says.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &SuspendOptions,
) -> Result<(), Failure> {
    if !options.yes && !dialogue.is_with_a_person() {
        let warning = last_device::warning(account, &account.status()?, &options.name, Loss::ForAWhile);
        if let Some(warning) = warning {
            return Err(last_device::nobody_to_ask(account, &warning, "suspend", &options.name));
        }
    }
    if options.yes {
        return suspend(account, dialogue, &options.name);
    }
    ask_and_suspend(account, dialogue, &options.name)
}

/// Suspends a device; asks before if it is the last one that counts.
pub(crate) fn ask_and_suspend(
    account: &Account,
    dialogue: &Dialogue<'_>,
    name: &DeviceName,
) -> Result<(), Failure> {
    let output = dialogue.output;
    let warning = last_device::warning(account, &account.status()?, name, Loss::ForAWhile);
    if let Some(warning) = warning {
        output.paragraph(&warning)?;
        let agreed =
            dialogue.confirm(&format!("Suspend {name} of {}?", account.on_host()), EnterMeans::No).map_err(
                |failure| failure.when_ended("nothing was suspended", "begin again when you are sure"),
            )?;
        if !agreed {
            return output.line("Nothing was suspended.");
        }
    }
    suspend(account, dialogue, name)
}

fn suspend(account: &Account, dialogue: &Dialogue<'_>, name: &DeviceName) -> Result<(), Failure> {
    let device = account.device(name)?;
    if device.status == Status::Suspended {
        return dialogue.output.line(&format!("{name} is suspended already."));
    }
    account
        .session
        .suspend(&account.user, name.clone(), dialogue)
        .map_err(|failure| failure.when_ended("nothing was suspended", "begin again when you like"))?;
    account.log_change("suspended", Some(name));
    dialogue.output.line(&format!("{name} is suspended: its codes are refused until it is resumed."))
}

/// Lets a device count again.
pub(crate) fn resume(account: &Account, dialogue: &Dialogue<'_>, name: &DeviceName) -> Result<(), Failure> {
    let device = account.device(name)?;
    if device.status == Status::Active {
        return dialogue.output.line(&format!("{name} is not suspended."));
    }
    account
        .session
        .resume(&account.user, name.clone(), dialogue)
        .map_err(|failure| failure.when_ended("nothing was resumed", "begin again when you like"))?;
    account.log_change("resumed", Some(name));
    dialogue.output.line(&format!("{name} counts again."))
}

//! `mfa-enroll rename`: a device gets another name.

use mfa_cli::Failure;
use mfa_core::devices::DeviceName;

use crate::account::Account;
use crate::dialogue::Dialogue;

/// Calls a device something else.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    name: &DeviceName,
    to: &DeviceName,
) -> Result<(), Failure> {
    // Before a code is used up for nothing.
    account.device(name)?;
    account
        .session
        .rename(&account.user, name.clone(), to.clone(), dialogue)
        .map_err(|failure| failure.when_ended("nothing was renamed", "begin again when you like"))?;
    account.log_change("renamed", Some(to));
    dialogue.output.line(&format!("{name} is called {to} now."))
}

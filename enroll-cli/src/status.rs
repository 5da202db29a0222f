//! `mfa-enroll status`: the devices and how they stand.

use mfa_cli::{AccountReport, Failure, Output, device_lines, security_lines};
use mfa_core::request::AccountStatus;

use crate::account::Account;

/// Shows how things stand.
pub(crate) fn run(account: &Account, output: &Output, json: bool) -> Result<(), Failure> {
    if json {
        let status = looked_up(account, output)?;
        return output.json(&AccountReport::new(account.user.as_str(), &status));
    }
    show(account, output).map(|_| ())
}

/// Shows how things stand to a person, and gives it.
pub(crate) fn show(account: &Account, output: &Output) -> Result<AccountStatus, Failure> {
    let status = looked_up(account, output)?;
    output.line(&format!("The second factor of {}\n", account.on_host()))?;
    for line in security_lines(&account.user, &status, output.columns()) {
        output.line(&line)?;
    }
    if !status.devices.is_empty() {
        output.line("")?;
    }
    for line in device_lines(&status.devices, output.columns()) {
        output.line(&line)?;
    }
    Ok(status)
}

fn looked_up(account: &Account, output: &Output) -> Result<AccountStatus, Failure> {
    let status = account.status()?;
    if status.devices.is_empty() {
        account.check_name()?;
    }
    if let Some(warning) = account.session.policy_warning() {
        output.warn(&warning);
    }
    Ok(status)
}

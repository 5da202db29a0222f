//! `mfa-admin repair`: the state of an account is damaged or gone, and nobody knows any more which codes were used.

use mfa_cli::{Failure, Output, Session};
use mfa_core::UserName;

/// Makes a new state for an account whose old one can't be read. One that can be read is left alone: it knows more.
pub(crate) fn run(session: &Session, output: &Output, user: &UserName) -> Result<(), Failure> {
    if let Ok(status) = session.status(user) {
        let sentence = if status.devices.is_empty() { "has no device" } else { "has nothing to repair" };
        return Err(Failure::refused(
            format!("{user} {sentence}"),
            format!("see how all accounts stand: {}", session.admin_command("list")),
        ));
    }
    session.repair(user)?;
    session.log_change("repaired", user, None);
    output.paragraph(&format!(
        "{user} has a new state. So that no used code works again, codes are refused for the next 12 of their time steps, \
         which is 6 minutes with the usual 30 seconds; devices that count are suspended, and recovery codes have ended."
    ))?;
    output.line("New recovery codes:")?;
    output.line(&format!("  {}", session.command(user, "recovery-codes")))
}

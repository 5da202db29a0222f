//! `mfa-enroll history`: every device there ever was, and what became of it.

use mfa_cli::{ChangeReport, Failure, Output, history_lines};

use crate::account::Account;

/// Shows what happened, oldest first; to programs as a line of JSON each.
pub(crate) fn run(account: &Account, output: &Output, json: bool) -> Result<(), Failure> {
    let changes = account.session.history(&account.user)?;
    if changes.is_empty() {
        account.check_name()?;
    }
    if json {
        return changes.iter().try_for_each(|change| output.json(&ChangeReport::new(change)));
    }
    let Some(first) = changes.first() else {
        return output.line(&format!("Nothing has happened to the devices of {}.", account.on_host()));
    };
    output.line(&format!("What happened to the devices of {}\n", account.on_host()))?;
    if first.number > 1 {
        output.line("  (older entries are kept, but too many to be shown here)")?;
    }
    history_lines(&changes, output.columns()).iter().try_for_each(|line| output.line(line))
}

//! `mfa-enroll history`: which devices there were, and what became of them.

use mfa_cli::{ChangeReport, Failure, Output};

use crate::account::Account;
use crate::cli::HistoryOptions;

/// Shows it, oldest first: a line of text or of JSON for each change.
pub(crate) fn run(account: &Account, output: &Output, options: &HistoryOptions) -> Result<(), Failure> {
    let changes = account.session.history(&account.user)?;
    if options.json {
        return changes.iter().try_for_each(|change| output.json(&ChangeReport::new(change)));
    }
    if changes.is_empty() {
        return output.line(&format!("{} never had a device.", account.on_host()));
    }
    changes.iter().try_for_each(|change| {
        let name = if change.name.is_empty() { String::new() } else { format!(" {}", change.name) };
        output.line(&format!("{}  {}{name}, by {}", change.moment(), change.what.word(), change.by))
    })
}

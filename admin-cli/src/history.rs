//! `mfa-admin history`: every device that an account ever had.

use mfa_cli::{ChangeReport, Failure, Format, Output, Session};
use mfa_core::UserName;
use mfa_core::history::Change;

use crate::table;

pub(crate) fn run(
    session: &Session,
    output: &Output,
    user: &UserName,
    format: Format,
) -> Result<(), Failure> {
    let changes = session.history(user)?;
    if format == Format::Json {
        return changes.iter().try_for_each(|change| output.json(&ChangeReport::new(change)));
    }
    if changes.is_empty() {
        return output.line(&format!("Nothing has happened to {user}'s devices."));
    }
    let row = |change: &Change| {
        let name = if change.name.is_empty() { "-" } else { &change.name };
        [change.moment().to_string(), change.what.word().to_owned(), name.to_owned(), change.by.to_string()]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    table::print(output, ["WHEN", "WHAT", "DEVICE OR NOTE", "BY"], &rows)
}

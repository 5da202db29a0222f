//! `mfa-admin unlock`: somebody, or a stranger in somebody's name, has failed too often.

use mfa_cli::{Failure, Output, Session};
use mfa_core::UserName;

/// Forgets all failures of an account and enables its devices.
pub(crate) fn run(session: &Session, output: &Output, user: &UserName) -> Result<(), Failure> {
    if session.status(user)?.devices.is_empty() {
        return Err(Failure::refused(
            format!("{user} has no device"),
            format!("see who has one: {}", session.admin_command("list")),
        ));
    }
    session.unlock(user)?;
    session.log_change("unlocked", user, None);
    output.line(&format!("{user} is unlocked: failures are forgotten, disabled devices work again."))
}

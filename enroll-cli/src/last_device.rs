//! What it means to be without the last device that counts.

use mfa_cli::{Failure, counted, counts, shell_word};
use mfa_core::devices::DeviceName;
use mfa_core::request::AccountStatus;

use crate::account::Account;

/// What is about to happen to a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It will be suspended.
    ForAWhile,
    /// It will be removed.
    ForGood,
}

/// The warning, if `name` is the last device that lets its owner in.
pub(crate) fn warning(
    account: &Account,
    status: &AccountStatus,
    name: &DeviceName,
    loss: Loss,
) -> Option<String> {
    let counting = status.devices.iter().filter(|device| counts(device));
    let (mine, others): (Vec<_>, Vec<_>) = counting.partition(|device| device.name == *name);
    let is_only = loss == Loss::ForGood && status.devices.len() == 1;
    if !others.is_empty() || (mine.is_empty() && !is_only) {
        return None;
    }
    let user = &account.user;
    if is_only {
        return Some(format!(
            "{name} is the last device. Without it, and the recovery codes that go with it, {user} can't log in where \
             a code is asked for."
        ));
    }
    let left = status.recovery_codes_left.unwrap_or(0);
    let consequence = match (left, loss) {
        (0, Loss::ForGood) => format!("{user} can't log in where a code is asked for."),
        (0, Loss::ForAWhile) => {
            format!("{user} can't log in where a code is asked for, and only root can resume it.")
        }
        (left, Loss::ForGood) => {
            format!("{user} needs one of the {} that are left where a code is asked for.", codes(left))
        }
        (left, Loss::ForAWhile) => format!(
            "{user} needs one of the {} that are left where a code is asked for, and one to resume it.",
            codes(left)
        ),
    };
    let without = if loss == Loss::ForGood { "Without it" } else { "Until it is resumed" };
    Some(format!("{name} is the last device that counts. {without} {consequence}"))
}

/// The refusal where that was to be asked and nobody is there.
pub(crate) fn nobody_to_ask(account: &Account, warning: &str, verb: &str, name: &DeviceName) -> Failure {
    let command = account.command(&format!("{verb} {} --yes", shell_word(name.as_str())));
    Failure::usage(warning.trim_end_matches('.'), format!("if you are sure: {command}"))
}

fn codes(left: u8) -> String {
    counted(left.into(), "recovery code")
}

//! `mfa-enroll` alone: how things stand, and what to do about it.

use mfa_cli::{Failure, shell_word, standing};
use mfa_core::devices::{DeviceName, Serial, Status};
use mfa_core::request::{AccountStatus, DeviceStatus, RecoveryCodes};

use crate::account::Account;
use crate::add::{self, NewDevice};
use crate::dialogue::{Dialogue, EnterMeans, end_of_input, text};
use crate::showing::Showing;
use crate::{activate, history, recovery_codes, remove, rename, resync, status, suspend, test};

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Add,
    Activate,
    RecoveryCodes,
    Test,
    Resync,
    Replace,
    Rename,
    SuspendOrResume,
    Remove,
    History,
    Quit,
}

impl Choice {
    const fn words(self) -> &'static str {
        match self {
            Self::Add => "Add an authenticator app",
            Self::Activate => "Activate a hardware token",
            Self::RecoveryCodes => "Make new recovery codes",
            Self::Test => "Test a code",
            Self::Resync => "Resynchronise a device",
            Self::Replace => "Replace a device",
            Self::Rename => "Rename a device",
            Self::SuspendOrResume => "Suspend or resume a device",
            Self::Remove => "Remove a device",
            Self::History => "Show the history",
            Self::Quit => "Quit",
        }
    }

    /// What a person may do with an account that stands like this, the likeliest answer last.
    fn of(status: &AccountStatus) -> (Vec<Self>, Self) {
        let has_devices = status.devices.iter().any(|device| device.status != Status::Assigned);
        let token_waits = status.devices.iter().any(|device| device.status == Status::Assigned);
        if has_devices {
            let all = vec![
                Self::Add,
                Self::Activate,
                Self::Replace,
                Self::RecoveryCodes,
                Self::Test,
                Self::Resync,
                Self::Rename,
                Self::SuspendOrResume,
                Self::Remove,
                Self::History,
                Self::Quit,
            ];
            return (all, if token_waits { Self::Activate } else { Self::Quit });
        }
        let first = if token_waits { Self::Activate } else { Self::Add };
        (vec![Self::Add, Self::Activate, Self::History, Self::Quit], first)
    }
}

/// Shows how things stand and does what is chosen, until nothing more is.
pub(crate) fn run(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    account.check_name()?;
    if let Some(reminder) = account.mind_whose() {
        dialogue.output.paragraph(&format!("{reminder}\n"))?;
    }
    let mut latest = Ok(());
    loop {
        let status = status::show(account, dialogue.output)?;
        let choice = choose(dialogue, &status)?;
        let done = match choice {
            Choice::Add => add(account, dialogue, &status.devices),
            Choice::Activate => activate(account, dialogue, &status.devices),
            Choice::RecoveryCodes => recovery_codes(account, dialogue),
            Choice::Test => test::by_person(account, dialogue),
            Choice::Resync => resync(account, dialogue, &status.devices),
            Choice::Replace => replace(account, dialogue, &status.devices),
            Choice::Rename => rename(account, dialogue, &status.devices),
            Choice::SuspendOrResume => suspend_or_resume(account, dialogue, &status.devices),
            Choice::Remove => remove(account, dialogue, &status.devices),
            Choice::History => history::run(account, dialogue.output, false),
            Choice::Quit => return latest,
        };
        latest = match done {
            // There is nobody left to go on with.
            Err(failure @ (Failure::Ended { .. } | Failure::Output(_))) => return Err(failure),
            Err(failure) => {
                dialogue.output.complain(&failure);
                Err(Failure::Refused { sentence: "the last thing tried did not work".to_owned(), hint: None })
            }
            Ok(()) => Ok(()),
        };
        pause(dialogue)?;
    }
}

fn choose(dialogue: &Dialogue<'_>, status: &AccountStatus) -> Result<Choice, Failure> {
    let (choices, enter) = Choice::of(status);
    let output = dialogue.output;
    output.line("")?;
    for line in menu(&choices, output.columns()) {
        output.line(&line)?;
    }
    output.line("")?;
    loop {
        let prompt = format!("Your choice [Enter: {}]: ", enter.words());
        // Whoever closes the input at the menu is done.
        let Some(line) = dialogue.ask(&prompt)? else { return Ok(Choice::Quit) };
        let typed = text(&line);
        if typed.is_empty() {
            return Ok(enter);
        }
        if typed.eq_ignore_ascii_case("q") || typed.eq_ignore_ascii_case("quit") {
            return Ok(Choice::Quit);
        }
        match numbered(&typed, &choices) {
            Some(choice) => return Ok(*choice),
            None => output.line(&format!("Please type a number from 1 to {}.", choices.len()))?,
        }
    }
}

/// The columns of one half of the menu.
const MENU_COLUMNS: usize = 38;

/// A line for each choice; two beside each other where there are many and they have room.
fn menu(choices: &[Choice], columns: usize) -> Vec<String> {
    let entries: Vec<String> =
        (1..).zip(choices).map(|(number, choice)| format!("  {number:2}  {}", choice.words())).collect();
    if choices.len() <= 5 || columns < MENU_COLUMNS.saturating_mul(2) {
        return entries;
    }
    let rows = entries.len().div_ceil(2);
    let (left, right) = entries.split_at_checked(rows).unwrap_or((&entries, &[]));
    let beside = |row: usize| right.get(row).map(String::as_str).unwrap_or_default();
    left.iter()
        .enumerate()
        .map(|(row, entry)| format!("{entry:MENU_COLUMNS$}{}", beside(row)).trim_end().to_owned())
        .collect()
}

fn add(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let output = dialogue.output;
    let name = ask_name(dialogue, devices)?;
    if !may_show(dialogue, "The key")? {
        return output.line("No device was added.");
    }
    add::by_person(account, dialogue, NewDevice::plain(name), &Showing::as_agreed(output))
}

fn replace(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let output = dialogue.output;
    let Some(old) = ask_device(dialogue, "Replace", devices)? else {
        return output.line("Nothing was replaced.");
    };
    if !may_show(dialogue, "The key")? {
        return output.line("Nothing was replaced.");
    }
    let wanted = NewDevice::plain(old.name.clone()).in_place_of(old.name.clone());
    add::by_person(account, dialogue, wanted, &Showing::as_agreed(output))
}

fn activate(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let waits = |device: &&DeviceStatus| device.status == Status::Assigned;
    let tokens: Vec<(&DeviceStatus, &Serial)> =
        devices.iter().filter(waits).filter_map(|device| Some((device, device.serial.as_ref()?))).collect();
    if tokens.is_empty() {
        let user = shell_word(account.user.as_str());
        return dialogue.output.paragraph(&format!(
            "No hardware token waits for {}. An administrator assigns them by their numbers: {}",
            account.on_host(),
            account.session.admin_command(&format!("tokens assign SERIAL {user}"))
        ));
    }
    let (token, serial) = match tokens.as_slice() {
        [only] => *only,
        many => {
            let Some(chosen) = ask_token(dialogue, many)? else {
                return dialogue.output.line("Nothing was activated.");
            };
            chosen
        }
    };
    let recovery_codes =
        if dialogue.output.is_terminal() { RecoveryCodes::IfNone } else { RecoveryCodes::No };
    activate::by_person(account, dialogue, (serial, token.profile), None, recovery_codes)
}

/// Which token is at hand: its number stands on it.
fn ask_token<'a>(
    dialogue: &Dialogue<'_>,
    tokens: &[(&'a DeviceStatus, &'a Serial)],
) -> Result<Option<(&'a DeviceStatus, &'a Serial)>, Failure> {
    for (number, (token, serial)) in (1..).zip(tokens) {
        dialogue.output.line(&format!("  {number:2}  {serial}, called {}", token.name))?;
    }
    loop {
        let typed = text(&dialogue.ask("Activate which one? [Enter: none] ")?.ok_or_else(end_of_input)?);
        if typed.is_empty() {
            return Ok(None);
        }
        let by_serial = tokens.iter().find(|(_, serial)| serial.as_str() == typed);
        match by_serial.or_else(|| numbered(&typed, tokens)) {
            Some(chosen) => return Ok(Some(*chosen)),
            None => dialogue.output.line("Please type a number from the list.")?,
        }
    }
}

fn recovery_codes(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    if !may_show(dialogue, "The recovery codes")? {
        return dialogue.output.line("The old codes stay.");
    }
    recovery_codes::ask_and_make(account, dialogue)
}

fn resync(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    match ask_device(dialogue, "Resynchronise", devices)? {
        Some(device) => resync::by_person(account, dialogue, device),
        None => dialogue.output.line("Nothing was resynchronised."),
    }
}

fn rename(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let Some(device) = ask_device(dialogue, "Rename", devices)? else {
        return dialogue.output.line("Nothing was renamed.");
    };
    let prompt = format!("What do you call {} from now on? [Enter: as before] ", device.name);
    match ask_any_name(dialogue, &prompt)? {
        Some(to) => rename::run(account, dialogue, &device.name, &to),
        None => dialogue.output.line("Nothing was renamed."),
    }
}

fn suspend_or_resume(
    account: &Account,
    dialogue: &Dialogue<'_>,
    devices: &[DeviceStatus],
) -> Result<(), Failure> {
    let Some(device) = ask_device(dialogue, "Suspend or resume", devices)? else {
        return dialogue.output.line("Nothing has changed.");
    };
    match device.status {
        Status::Suspended => suspend::resume(account, dialogue, &device.name),
        Status::Active | Status::Assigned => suspend::ask_and_suspend(account, dialogue, &device.name),
    }
}

fn remove(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    match ask_device(dialogue, "Remove", devices)? {
        Some(device) => remove::ask_and_remove(account, dialogue, &device.name),
        None => dialogue.output.line("Nothing was removed."),
    }
}

/// Which device, by its number in the list or by its name. None: none of them.
fn ask_device<'a>(
    dialogue: &Dialogue<'_>,
    verb: &str,
    devices: &'a [DeviceStatus],
) -> Result<Option<&'a DeviceStatus>, Failure> {
    let output = dialogue.output;
    for (number, device) in (1..).zip(devices) {
        output.line(&format!("  {number:2}  {} ({})", device.name, standing(device)))?;
    }
    loop {
        let prompt = format!("{verb} which one? [Enter: none] ");
        let typed = text(&dialogue.ask(&prompt)?.ok_or_else(end_of_input)?);
        if typed.is_empty() {
            return Ok(None);
        }
        let named = devices.iter().find(|device| device.name.as_str() == typed);
        match named.or_else(|| numbered(&typed, devices)) {
            Some(device) => return Ok(Some(device)),
            None => output.line("Please type a number or a name from the list.")?,
        }
    }
}

fn ask_name(dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<DeviceName, Failure> {
    let is_free = |name: &String| devices.iter().all(|device| device.name.as_str() != name);
    let suggested = std::iter::once("phone".to_owned())
        .chain((2..=100).map(|number| format!("phone {number}")))
        .find(is_free)
        .unwrap_or_default();
    let prompt = format!("What do you call the device? [Enter: {suggested}] ");
    loop {
        match ask_any_name(dialogue, &prompt)? {
            Some(name) => return Ok(name),
            None => {
                if let Ok(name) = suggested.parse() {
                    return Ok(name);
                }
            }
        }
    }
}

/// A name for a device. None: Enter alone.
fn ask_any_name(dialogue: &Dialogue<'_>, prompt: &str) -> Result<Option<DeviceName>, Failure> {
    loop {
        let typed = text(&dialogue.ask(prompt)?.ok_or_else(end_of_input)?);
        if typed.is_empty() {
            return Ok(None);
        }
        match typed.parse() {
            Ok(name) => return Ok(Some(name)),
            Err(error) => dialogue.output.line(&format!("That will not do: {error}."))?,
        }
    }
}

/// Whether a secret may be printed: on a terminal yes, into a file or a log only if somebody says so.
fn may_show(dialogue: &Dialogue<'_>, what: &str) -> Result<bool, Failure> {
    if dialogue.output.is_terminal() {
        return Ok(true);
    }
    let question = format!("This is no terminal. {what} can be read wherever it goes: go on?");
    dialogue.confirm(&question, EnterMeans::No)
}

/// Leaves what was said, and may have been said only once, on the screen until it has been read.
fn pause(dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    if dialogue.is_with_a_person() && dialogue.output.is_terminal() {
        dialogue.ask("\nPress Enter to go on. ")?;
    }
    dialogue.output.line("")
}

fn numbered<'a, T>(typed: &str, list: &'a [T]) -> Option<&'a T> {
    list.get(typed.parse::<usize>().ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_its_line() {
        let list = ["a", "b"];
        assert_eq!(numbered("2", &list), Some(&"b"));
        for typed in ["0", "3", "-1", "x", "18446744073709551616"] {
            assert_eq!(numbered(typed, &list), None, "{typed}");
        }
    }

    #[test]
    fn the_menu_stands_in_two_columns_of_eighty_and_in_one_of_less() {
        let (choices, _) =
            Choice::of(&AccountStatus { devices: vec![], recovery_codes_left: None, bypass: None });
        assert_eq!(menu(&choices, 80).len(), 4, "few choices need no columns");
        let many = [Choice::Rename; 11];
        assert_eq!(menu(&many, 80).len(), 6);
        assert!(menu(&many, 80).iter().all(|line| line.len() <= 80));
        assert_eq!(menu(&many, 60).len(), 11);
    }
}

//! `mfa-enroll` alone: how things stand, and what to do about it.

use mfa_cli::Failure;
use mfa_core::devices::DeviceName;
use mfa_core::request::{AccountStatus, DeviceStatus};

use crate::account::Account;
use crate::add::{self, NewDevice};
use crate::dialogue::{Dialogue, EnterMeans, end_of_input, text};
use crate::showing::Showing;
use crate::{recovery_codes, remove, status};

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Add,
    RecoveryCodes,
    Remove,
    Quit,
}

impl Choice {
    const fn words(self) -> &'static str {
        match self {
            Self::Add => "Add a device",
            Self::RecoveryCodes => "Make new recovery codes",
            Self::Remove => "Remove a device",
            Self::Quit => "Quit",
        }
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
        let done = match choose(dialogue, &status)? {
            Choice::Add => add(account, dialogue, &status.devices),
            Choice::RecoveryCodes => recovery_codes(account, dialogue),
            Choice::Remove => remove(account, dialogue, &status.devices),
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
        dialogue.output.line("")?;
    }
}

fn choose(dialogue: &Dialogue<'_>, status: &AccountStatus) -> Result<Choice, Failure> {
    let (choices, enter): (&[Choice], Choice) = if status.devices.is_empty() {
        (&[Choice::Add, Choice::Quit], Choice::Add)
    } else {
        (&[Choice::Add, Choice::RecoveryCodes, Choice::Remove, Choice::Quit], Choice::Quit)
    };
    let output = dialogue.output;
    output.line("")?;
    for (number, choice) in (1..).zip(choices) {
        output.line(&format!("  {number}  {}", choice.words()))?;
    }
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
        match numbered(&typed, choices) {
            Some(choice) => return Ok(*choice),
            None => output.line(&format!("Please type a number from 1 to {}.", choices.len()))?,
        }
    }
}

fn add(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let output = dialogue.output;
    let name = ask_name(dialogue, devices)?;
    if !may_show(dialogue, "The key")? {
        return output.line("No device was added.");
    }
    add::by_person(account, dialogue, NewDevice::plain(name), &Showing::as_agreed(output))?;
    pause(dialogue)
}

fn recovery_codes(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    if !may_show(dialogue, "The recovery codes")? {
        return dialogue.output.line("The old codes stay.");
    }
    recovery_codes::ask_and_make(account, dialogue)?;
    pause(dialogue)
}

fn remove(account: &Account, dialogue: &Dialogue<'_>, devices: &[DeviceStatus]) -> Result<(), Failure> {
    let output = dialogue.output;
    for (number, device) in (1..).zip(devices) {
        output.line(&format!("  {number}  {}", device.name))?;
    }
    loop {
        let typed = text(&dialogue.ask("Remove which one? [Enter: none] ")?.ok_or_else(end_of_input)?);
        if typed.is_empty() {
            return output.line("Nothing was removed.");
        }
        let named = devices.iter().find(|device| device.name.as_str() == typed);
        match named.or_else(|| numbered(&typed, devices)) {
            Some(device) => return remove::ask_and_remove(account, dialogue, &device.name),
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
    loop {
        let prompt = format!("What do you call the device? [Enter: {suggested}] ");
        let typed = text(&dialogue.ask(&prompt)?.ok_or_else(end_of_input)?);
        let name = if typed.is_empty() { &suggested } else { &typed };
        match name.parse() {
            Ok(name) => return Ok(name),
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

/// Leaves what is shown only once on the screen until it has been read.
fn pause(dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    if dialogue.is_with_a_person() && dialogue.output.is_terminal() {
        dialogue.ask("\nPress Enter to go on. ")?;
    }
    Ok(())
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
}

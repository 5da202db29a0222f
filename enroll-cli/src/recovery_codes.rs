//! `mfa-enroll recovery-codes`: ten codes for the day the device is lost.

use mfa_cli::{Failure, Output, Witness, counted};
use mfa_core::recovery::RecoveryCode;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::cli::RecoveryCodesOptions;
use crate::dialogue::{Dialogue, EnterMeans};
use crate::evidence::ByProgram;

/// Makes new codes as the command line says.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &RecoveryCodesOptions,
) -> Result<(), Failure> {
    if !options.yes {
        if !options.json && !dialogue.output.is_terminal() {
            return Err(Failure::usage(
                "standard output is no terminal: the codes would end up in a file or a log",
                format!("if that is what you want: {}", account.command("recovery-codes --yes")),
            ));
        }
        let is_with_a_person = dialogue.is_with_a_person() && !options.json;
        let left = account.status()?.recovery_codes_left;
        if left.is_some() && !is_with_a_person {
            return Err(Failure::usage(
                "the old recovery codes would end, and there is nobody to ask",
                format!("if you are sure: {}", account.command("recovery-codes --yes")),
            ));
        }
        if is_with_a_person && !is_agreed(dialogue, left)? {
            return dialogue.output.line("The old codes stay.");
        }
    }
    if options.json {
        return make_for_program(account, dialogue);
    }
    make_and_show(account, dialogue)
}

/// Makes new codes if whoever answers agrees that the old ones end.
pub(crate) fn ask_and_make(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    let left = account.status()?.recovery_codes_left;
    if !is_agreed(dialogue, left)? {
        return dialogue.output.line("The old codes stay.");
    }
    make_and_show(account, dialogue)
}

/// Shows codes that were made with a device, if there are any.
pub(crate) fn show_new(account: &Account, output: &Output, codes: &[RecoveryCode]) -> Result<(), Failure> {
    if codes.is_empty() { Ok(()) } else { show(account, output, codes) }
}

fn is_agreed(dialogue: &Dialogue<'_>, left: Option<u8>) -> Result<bool, Failure> {
    let Some(left) = left.filter(|left| *left > 0) else { return Ok(true) };
    let question = format!("The {} that are left will end. Make new ones?", counted(left.into(), "old code"));
    dialogue
        .confirm(&question, EnterMeans::No)
        .map_err(|failure| failure.when_ended("the old codes stay", "begin again when you are sure"))
}

fn make_and_show(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    show(account, dialogue.output, &make(account, dialogue)?)
}

fn show(account: &Account, output: &Output, codes: &[RecoveryCode]) -> Result<(), Failure> {
    output.line(&format!(
        "\nRecovery codes of {}. Each works once, in place of a code:\n",
        account.on_host()
    ))?;
    output.part(&in_two_columns(codes))?;
    output.line("\nWrite them down or print them, and keep them apart from the device.")?;
    output.line("They are not shown again.")
}

fn make_for_program(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    let codes = make(account, &ByProgram(dialogue))?;
    let codes: Vec<Zeroizing<String>> = codes.iter().map(RecoveryCode::expose_grouped).collect();
    let recovery_codes = codes.iter().map(|code| code.as_str()).collect();
    dialogue.output.json(&Made { result: "made", recovery_codes })
}

#[derive(Serialize)]
struct Made<'a> {
    result: &'static str,
    recovery_codes: Vec<&'a str>,
}

fn make(account: &Account, witness: &dyn Witness) -> Result<Vec<RecoveryCode>, Failure> {
    let codes = account
        .session
        .new_recovery_codes(&account.user, witness)
        .map_err(|failure| failure.when_ended("the old codes stay", "begin again when you like"))?;
    account.log_change("recovery-codes", None);
    Ok(codes)
}

fn in_two_columns(codes: &[RecoveryCode]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    for pair in codes.chunks(2) {
        for code in pair {
            text.push_str("    ");
            text.push_str(&code.expose_grouped());
        }
        text.push('\n');
    }
    text
}

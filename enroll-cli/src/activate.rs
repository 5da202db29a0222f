//! `mfa-enroll activate`: a hardware token that root has assigned, proven by two of its codes.

use mfa_cli::Failure;
use mfa_core::devices::{DeviceName, Serial, Status};
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::request::{DeviceStatus, RecoveryCodes};

use crate::account::Account;
use crate::add::{report, tell};
use crate::cli::ActivateOptions;
use crate::dialogue::Dialogue;
use crate::evidence::ByProgram;
use crate::proof::{Maker, Outcome, not_confirmed, prove, read_codes};
use crate::recovery_codes;

/// Activates a token as the command line says.
pub(crate) fn run(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &ActivateOptions,
) -> Result<(), Failure> {
    account.check_name()?;
    let token = waiting(account, &options.serial)?;
    if options.json {
        return by_program(account, dialogue, options, &token);
    }
    // Recovery codes must not end up in a file or a log.
    let recovery_codes = if options.no_recovery_codes || !dialogue.output.is_terminal() {
        RecoveryCodes::No
    } else {
        RecoveryCodes::IfNone
    };
    by_person(account, dialogue, (&options.serial, token.profile), options.name.as_ref(), recovery_codes)
}

/// Activates a token with a person, who gets three tries at two codes.
pub(crate) fn by_person(
    account: &Account,
    dialogue: &Dialogue<'_>,
    (serial, profile): (&Serial, Profile),
    name: Option<&DeviceName>,
    recovery_codes: RecoveryCodes,
) -> Result<(), Failure> {
    let output = dialogue.output;
    let on_host = account.on_host();
    output.paragraph(&format!("The hardware token {serial} for {on_host}. {}\n", how_to_make(profile)))?;
    let outcome = prove(dialogue, profile, Maker::Given, |codes| {
        let name = name.cloned();
        account.session.activate(&account.user, serial.clone(), name, codes, recovery_codes, dialogue)
    });
    let enrolled = match outcome
        .map_err(|failure| failure.when_ended("the token waits on", "begin again when you like"))?
    {
        Outcome::Proven(enrolled) => enrolled,
        // Nothing else is ever offered for a device that is what it is.
        Outcome::Instead(_) => return Ok(()),
    };
    account.log_change("enrolled", Some(&enrolled.name));
    tell(account, output, &enrolled)?;
    recovery_codes::show_new(account, output, &enrolled.recovery_codes)
}

/// What to do to get two codes of a device.
pub(crate) fn how_to_make(profile: Profile) -> &'static str {
    match profile.moving_factor {
        MovingFactor::Time(_) => "Type the code that it shows, and then the code that follows it.",
        MovingFactor::Counter(_) => {
            "Press its button and type the code, then press it again and type the next one."
        }
    }
}

fn by_program(
    account: &Account,
    dialogue: &Dialogue<'_>,
    options: &ActivateOptions,
    token: &DeviceStatus,
) -> Result<(), Failure> {
    let codes = read_codes(dialogue, token.profile)?;
    let (serial, name) = (options.serial.clone(), options.name.clone());
    let witness = ByProgram(dialogue);
    let enrolled = account
        .session
        .activate(&account.user, serial, name, codes, RecoveryCodes::No, &witness)?
        .map_err(|why| not_confirmed(why, token.profile, Maker::Given))?;
    account.log_change("enrolled", Some(&enrolled.name));
    report(account, dialogue.output, &enrolled)
}

/// The token of that number, if it waits for its codes.
fn waiting(account: &Account, serial: &Serial) -> Result<DeviceStatus, Failure> {
    let devices = account.status()?.devices;
    let found = devices.into_iter().find(|device| device.serial.as_ref() == Some(serial));
    match found {
        Some(token) if token.status == Status::Assigned => Ok(token),
        Some(token) => Err(Failure::refused(
            format!("the token {serial} is active already: it is called {}", token.name),
            format!("try a code of it: {}", account.command("test")),
        )),
        None => Err(account.session.no_such_token(serial.as_str(), &account.user)),
    }
}

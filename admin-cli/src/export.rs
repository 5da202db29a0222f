//! `mfa-admin export`: an account's devices, encrypted, for another host.

use age::Recipient;
use age::scrypt;
use age::secrecy::SecretString;
use age::x25519;
use mfa_cli::{Failure, HiddenInput, Output, Session};
use mfa_core::Timestamp;
use nix::unistd::gethostname;

use crate::account_file::{AccountFile, Form};
use crate::cli::ExportOptions;

/// Writes the encrypted file to standard output.
pub(crate) fn run(session: &Session, output: &Output, options: &ExportOptions) -> Result<(), Failure> {
    let user = &options.user;
    let form = if options.armor { Form::Text } else { Form::Bytes };
    if form == Form::Bytes && output.is_terminal() {
        return Err(Failure::usage(
            "an encrypted file is no text for a terminal",
            "send it to a file: > FILE, or write it as text: --armor",
        ));
    }
    let recipients = options
        .recipient
        .iter()
        .map(|text| {
            text.parse::<x25519::Recipient>().map_err(|_| {
                Failure::usage(
                    format!("{text} is no age recipient"),
                    "a recipient begins with age1; age-keygen makes one on the other host",
                )
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let devices = session.export(user)?;
    let number = devices.len().to_string();
    let host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = AccountFile::new(user, host, Timestamp::now(), devices);
    let passphrase;
    let recipients: Vec<&dyn Recipient> = if options.passphrase {
        let input = HiddenInput::open("encrypt it to a recipient instead: --recipient age1..")?;
        let typed = input.ask_twice("Passphrase for the file (not shown)")?;
        passphrase = scrypt::Recipient::new(SecretString::from(typed.as_str().to_owned()));
        vec![&passphrase]
    } else {
        recipients.iter().map(|recipient| -> &dyn Recipient { recipient }).collect()
    };
    let encrypted = file
        .encrypt(recipients.into_iter(), form)
        .map_err(|error| Failure::Refused { sentence: format!("can't encrypt: {error}"), hint: None })?;
    output.bytes(&encrypted)?;
    session.log_event(
        mfa_core::audit::Event::new("exported").with("user", user.as_str()).with("devices", number),
    );
    output.warn(&format!(
        "the devices of {user} still work on this host: once they do on the other one, remove them here, or a code is good once on each"
    ));
    output.warn(
        "recovery codes do not move, their hashes need this host's key: make new ones on the other host",
    );
    Ok(())
}

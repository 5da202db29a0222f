//! `mfa-admin import-account`: what `export` wrote on another host becomes devices here. Codes that were used there stay used.

use age::IdentityFile;
use mfa_cli::{Failure, HiddenInput, Output, Session};

use crate::account_file::{AccountFile, Key, MAX_FILE_BYTES, Unreadable};
use crate::cli::ImportAccountOptions;
use crate::input;

pub(crate) fn run(session: &Session, output: &Output, options: &ImportAccountOptions) -> Result<(), Failure> {
    let name = input::shown(&options.file);
    let bytes = input::read(&options.file, MAX_FILE_BYTES)?;
    let unreadable = |why: Unreadable| failure(&name, &why);
    let needs_passphrase = AccountFile::needs_passphrase(&bytes).map_err(unreadable)?;
    let key = match (&options.identity, needs_passphrase) {
        (Some(path), _) => identities(&input::read(path, MAX_FILE_BYTES)?, &input::shown(path))?,
        (None, false) => return Err(unreadable(Unreadable::NeedsIdentity)),
        (None, true) => {
            let terminal =
                HiddenInput::open("let it be encrypted to a recipient instead, and use --identity FILE")?;
            Key::Passphrase(terminal.ask("Passphrase of the file (not shown): ")?)
        }
    };
    let file = AccountFile::decrypt(&bytes, &key).map_err(unreadable)?;
    let user = options.user.as_ref().unwrap_or(&file.user);
    session.check_account(user, session.account_names(options.names.no_account_check))?;
    let number = u64::try_from(file.devices.len()).unwrap_or(u64::MAX);
    session.adopt(user, file.devices, Vec::new())?;
    session.log_change("account-imported", user, None);
    output.line(&format!(
        "{user} has {} of {} on {} now. What was used there can't be used here.",
        mfa_cli::counted(number, "device"),
        file.user,
        if file.host.is_empty() { "another host" } else { &file.host },
    ))?;
    if session.status(user)?.recovery_codes_left.is_none() {
        output.line("Recovery codes did not move. To make new ones:")?;
        output.line(&format!("  {}", session.command(user, "recovery-codes")))?;
    }
    Ok(())
}

fn identities(text: &[u8], name: &str) -> Result<Key, Failure> {
    let failed = || {
        Failure::refused(
            format!("{name} holds no age identity"),
            "age-keygen -o FILE makes one; the line begins with AGE-SECRET-KEY-1",
        )
    };
    let identities = IdentityFile::from_buffer(text)
        .and_then(|file| file.into_identities().map_err(std::io::Error::other));
    match identities {
        Ok(identities) if !identities.is_empty() => Ok(Key::Identities(
            identities.into_iter().map(|identity| -> Box<dyn age::Identity> { identity }).collect(),
        )),
        Ok(_) | Err(_) => Err(failed()),
    }
}

fn failure(name: &str, why: &Unreadable) -> Failure {
    let (sentence, hint) = match why {
        Unreadable::NeedsPassphrase => {
            ("is encrypted with a passphrase".to_owned(), Some("leave --identity out"))
        }
        Unreadable::NeedsIdentity => (
            "is encrypted to a recipient".to_owned(),
            Some("name the file with its identity: --identity FILE"),
        ),
        Unreadable::WrongKey => ("does not open: another passphrase or identity is needed".to_owned(), None),
        Unreadable::Damaged(why) => (format!("is no file of mfa-admin export, or is damaged: {why}"), None),
    };
    Failure::Refused { sentence: format!("{name} {sentence}"), hint: hint.map(str::to_owned) }
}

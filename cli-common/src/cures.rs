//! What went wrong as a sentence, with its cure.

use std::io::{self, ErrorKind};

use mfa_core::verify::Refusal;
use mfa_core::{Error, Store as _, UserName};
use mfa_wire::{AskError, Denial};

use crate::failure::Failure;
use crate::session::{Place, Program, Session, shell_word};
use crate::standing::duration;

impl Session {
    /// An error of core as a sentence about `user` and its cure.
    pub(crate) fn failure(&self, error: &Error, user: &UserName) -> Failure {
        match error {
            Error::NotEnrolled => self.not_enrolled(user),
            Error::NoStore { .. } if self.has_no_accounts() => self.not_enrolled(user),
            Error::TooManyDevices => self.too_many_devices(user),
            Error::NameTaken { name } => self.name_taken(name, user),
            Error::NoSuchDevice { name } => self.no_such_device(name, user),
            Error::NoSuchEnrollment => self.no_such_enrollment(user),
            Error::NoSuchToken { serial } => self.no_such_token(serial.as_str(), user),
            Error::SeedInUse { user: other } => seed_in_use(Some(other)),
            Error::SerialInUse { user: other } => serial_in_use(Some(other)),
            Error::NoBypass => no_bypass(user),
            Error::BadRequest(why) => Failure::Refused { sentence: (*why).to_owned(), hint: None },
            Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                self.no_access(error, user)
            }
            Error::Corrupt { path, .. } if path.file_name().is_some_and(|name| name == "state") => {
                Failure::refused(
                    error.to_string(),
                    format!(
                        "logins are refused; to make a new one: {}",
                        self.admin_command(&format!("repair {}", shell_word(user.as_str())))
                    ),
                )
            }
            Error::NoStore { .. }
            | Error::KeyLost { .. }
            | Error::Io { .. }
            | Error::Untrusted { .. }
            | Error::Corrupt { .. }
            | Error::SeedDoesNotOpen
            | Error::Busy { .. }
            | Error::ReadOnly { .. }
            | Error::NoRandomness
            | Error::NoMemory
            | Error::BadPolicy { .. }
            | Error::PasswordNeeded
            | Error::CodeNeeded
            | Error::NotAllowed => self.failure_of_store(error),
        }
    }

    /// What `mfad` did not want to do, and the cure.
    pub(crate) fn denied(&self, denial: &Denial, user: &UserName) -> Failure {
        let hint = match denial {
            Denial::NotEnrolled => return self.not_enrolled(user),
            Denial::TooManyDevices => return self.too_many_devices(user),
            Denial::NameTaken { name } => return self.name_taken(name, user),
            Denial::NoSuchDevice { name } => return self.no_such_device(name, user),
            Denial::NoSuchEnrollment => return self.no_such_enrollment(user),
            Denial::NoSuchToken { serial } => return self.no_such_token(serial.as_str(), user),
            Denial::SeedInUse => return seed_in_use(None),
            Denial::SerialInUse => return serial_in_use(None),
            Denial::NoBypass => return no_bypass(user),
            Denial::NotAllowed => {
                return Failure::refused(
                    format!("the account of {user} is not yours, and only root may see to those of others"),
                    format!(
                        "leave out --user to see to your own; for that one ask an administrator to run: sudo mfa-enroll --user {}",
                        shell_word(user.as_str())
                    ),
                );
            }
            Denial::WrongPassword => {
                return Failure::refused(
                    format!("that is not the password of {user}"),
                    "type the password that you log in with",
                );
            }
            Denial::AccountClosed => "ask an administrator; changing the password with passwd may help",
            Denial::UnknownCaller => "ask an administrator to add an account for it",
            Denial::Busy => "try again in a moment",
            Denial::TooMany => "wait for a minute and try again",
            Denial::NotUnderstood => {
                "ask an administrator to restart mfad: it was updated since it was started"
            }
            Denial::Unavailable => "ask an administrator to look into the log: journalctl -t mfad",
            Denial::PasswordNeeded | Denial::CodeNeeded | Denial::BadRequest(_) => {
                return Failure::Refused { sentence: denial.to_string(), hint: None };
            }
        };
        Failure::refused(denial.to_string(), hint)
    }

    /// Why `mfad` did not answer, and the cure.
    pub(crate) fn no_reply(&self, error: &AskError, user: &UserName) -> Failure {
        let hint = match error {
            AskError::NotRunning { .. } => {
                "ask an administrator to start it, by systemctl enable --now mfad.socket; see mfad(8)"
                    .to_owned()
            }
            AskError::TimedOut | AskError::Closed => {
                format!("see whether it was done: {}; then try again", self.command(user, "status"))
            }
            AskError::NotUnderstood => {
                "ask an administrator to restart mfad: it was updated since it was started".to_owned()
            }
            AskError::TooLong => "use shorter names".to_owned(),
            AskError::Io { .. } => "ask an administrator to see whether mfad is in order".to_owned(),
        };
        Failure::refused(error.to_string(), hint)
    }

    /// Why a code was not good, and what to do about it.
    pub fn refused(&self, refusal: Refusal, user: &UserName) -> Failure {
        let (sentence, hint) = match refusal {
            Refusal::Wrong => (
                format!("that is neither a code that a device of {user} shows now nor a recovery code"),
                "type the code that the device shows at this moment; if that fails again and again, it may be out of step: mfa-enroll resync"
                    .to_owned(),
            ),
            Refusal::Replayed => (
                "that code, or a later one, was used before".to_owned(),
                "wait until the device shows the next code, and type that".to_owned(),
            ),
            Refusal::Skew => (
                "this host's clock went back since the last login, so no code can be taken".to_owned(),
                "ask an administrator to set the clock, or use a recovery code".to_owned(),
            ),
            Refusal::Throttled { wait_seconds } => (
                format!(
                    "after too many wrong codes the next one is looked at in {}; this one was not, and is still good",
                    duration(wait_seconds)
                ),
                "wait, then try again".to_owned(),
            ),
            Refusal::Disabled => (
                "the device is disabled after too many wrong codes".to_owned(),
                format!(
                    "use a recovery code, or ask an administrator to run: sudo {}",
                    self.admin_command(&format!("unlock {}", shell_word(user.as_str())))
                ),
            ),
            Refusal::Expired => (
                "the time of that device, or of that bypass code, is over".to_owned(),
                "use another device, or ask an administrator for a new one".to_owned(),
            ),
            Refusal::NotEnrolled => return self.not_enrolled(user),
            Refusal::ReadOnly => (
                "the store can't be written now, so a code that works once can't be taken".to_owned(),
                "ask an administrator to make its file system writable".to_owned(),
            ),
        };
        Failure::NotConfirmed { reason: refusal.reason(), sentence, hint }
    }

    fn not_enrolled(&self, user: &UserName) -> Failure {
        Failure::refused(format!("{user} has no device"), format!("add one: {}", self.command(user, "add")))
    }

    fn too_many_devices(&self, user: &UserName) -> Failure {
        Failure::refused(
            format!("{user} has 8 devices already, and that is the most there can be"),
            format!(
                "replace one that is no longer used with --replace, or remove it: {}",
                self.command(user, "remove NAME")
            ),
        )
    }

    fn name_taken(&self, name: &str, user: &UserName) -> Failure {
        let word = shell_word(name);
        Failure::refused(
            format!("{user} already has a device named {name}"),
            format!(
                "choose another name; to have a new device in place of the old one: {}",
                self.command(user, &format!("add --replace {word}"))
            ),
        )
    }

    /// A device that is not there, and the cure.
    pub fn no_such_device(&self, name: &str, user: &UserName) -> Failure {
        Failure::refused(
            format!("{user} has no device named {name}"),
            format!("see which there are: {}", self.command(user, "status")),
        )
    }

    fn no_such_enrollment(&self, user: &UserName) -> Failure {
        Failure::refused(
            "this enrollment is over: its key waited for 15 minutes, or another one was begun",
            format!("begin again: {}", self.command(user, "add")),
        )
    }

    /// A token that does not wait for its codes, and the cure.
    pub fn no_such_token(&self, serial: &str, user: &UserName) -> Failure {
        Failure::refused(
            format!("no token with the number {serial} waits for {user}"),
            format!(
                "compare the number on its back with what {} says; an administrator assigns tokens by: {}",
                self.command(user, "status"),
                self.admin_command(&format!("tokens assign SERIAL {}", shell_word(user.as_str())))
            ),
        )
    }

    /// Whether nobody has ever enrolled here.
    fn has_no_accounts(&self) -> bool {
        self.store.accounts().is_ok_and(|accounts| accounts.is_empty())
    }

    fn no_access(&self, error: &Error, user: &UserName) -> Failure {
        match (&self.place, self.program) {
            (Place::System, Program::Enroll) => Failure::refused(
                self.only_root(),
                format!("ask your administrator to run: sudo {}", self.command(user, "")),
            ),
            (Place::System, Program::Admin) | (Place::Folder(_), _) => self.failure_of_store(error),
        }
    }

    fn only_root(&self) -> String {
        format!("only root can open the store {}", self.store.root().display())
    }

    /// An error that is about no account.
    pub(crate) fn failure_of_store(&self, error: &Error) -> Failure {
        let hint = match error {
            Error::Io { source, .. } if is_full(source) => {
                Some("nothing has changed: make room on that file system and try again".to_owned())
            }
            Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => match &self.place {
                Place::System => return Failure::refused(self.only_root(), "run it as root, by sudo"),
                Place::Folder(_) => Some("--store needs a folder of your own".to_owned()),
            },
            Error::NoStore { path } => {
                Some(format!("restore {} from a backup: accounts are enrolled under it", path.display()))
            }
            Error::KeyLost { .. } => Some(format!(
                "without it nobody can log in; to enroll everybody anew instead, move {} away",
                self.store.root().display()
            )),
            Error::Corrupt { path, .. } => {
                Some(format!("restore {} from a backup; logins are refused until then", path.display()))
            }
            Error::SeedDoesNotOpen => {
                Some("restore the key, or the account's folder, from a backup".to_owned())
            }
            Error::Busy { path } => {
                Some(format!("try again; if it stays so, see who holds it: fuser -v {}", path.display()))
            }
            Error::ReadOnly { path } => Some(format!(
                "nothing has changed: make the file system of {} writable and try again",
                path.display()
            )),
            Error::SeedInUse { user } => return seed_in_use(Some(user)),
            Error::SerialInUse { user } => return serial_in_use(Some(user)),
            Error::Io { .. }
            | Error::BadPolicy { .. }
            | Error::NotEnrolled
            | Error::Untrusted { .. }
            | Error::NoRandomness
            | Error::NoMemory
            | Error::TooManyDevices
            | Error::NameTaken { .. }
            | Error::NoSuchDevice { .. }
            | Error::NoSuchEnrollment
            | Error::NoSuchToken { .. }
            | Error::NoBypass
            | Error::BadRequest(_)
            | Error::PasswordNeeded
            | Error::CodeNeeded
            | Error::NotAllowed => None,
        };
        let sentence = if let Error::NoStore { path } = error {
            format!("{} is missing", path.display())
        } else {
            error.to_string()
        };
        Failure::Refused { sentence, hint }
    }
}

/// RFC 6238 R5: each prover has its own key. Whose the other device is only root may know.
fn seed_in_use(other: Option<&UserName>) -> Failure {
    let whose = other.map(|user| format!(", of {user},")).unwrap_or_default();
    Failure::refused(
        format!("another device{whose} has the same key"),
        "each account needs a key of its own: begin again with a new one",
    )
}

fn serial_in_use(other: Option<&UserName>) -> Failure {
    let whose = other.map(|user| format!(", of {user},")).unwrap_or_default();
    Failure::refused(
        format!("another device{whose} has the same serial number"),
        "compare the number with the one on the token; a token belongs to one account at a time",
    )
}

fn no_bypass(user: &UserName) -> Failure {
    Failure::Refused { sentence: format!("no bypass code is waiting for {user}"), hint: None }
}

fn is_full(source: &io::Error) -> bool {
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_owner_is_not_told_whose_the_other_device_is() {
        let session = Session::new(Program::Enroll, Some(Path::new("/nonexistent")));
        let (alice, bob): (UserName, UserName) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let to_root = session.failure(&Error::SeedInUse { user: bob }, &alice);
        assert_eq!(to_root.sentence(), "another device, of bob, has the same key");
        assert_eq!(session.denied(&Denial::SeedInUse, &alice).sentence(), "another device has the same key");
    }
}

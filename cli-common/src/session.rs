//! The store that a command works on, and its requests to it.

use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use mfa_core::audit::Event;
use mfa_core::devices::{DeviceId, DeviceName};
use mfa_core::otp::{Code, Profile};
use mfa_core::recovery::RecoveryCode;
use mfa_core::request::{AccountStatus, PendingEnrollment, RecoveryCodes, WhyNotConfirmed};
use mfa_core::{
    Caller, Error, FileStore, Policy, Request, Response, Store as _, Timestamp, UserName, answer,
};

use crate::failure::Failure;
use crate::log;

/// The host's policy, which goes with the host's store.
const POLICY: &str = "/etc/pam-mfa/policy.toml";

/// An opened store and the policy that goes with it.
#[derive(Debug)]
pub struct Session {
    program: Program,
    pub(crate) store: FileStore,
    place: Place,
    policy: Policy,
    policy_trouble: Option<Error>,
}

/// Which program asks, for hints on what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `mfa-enroll`, which people run who may not open the store.
    Enroll,
    /// `mfa-admin`, which is root's.
    Admin,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The host's own.
    System,
    /// A folder with its key inside.
    Folder(PathBuf),
}

impl Session {
    /// A session with the store that `--store` names, or else with the host's own.
    ///
    /// Nothing is opened yet: whether the caller may is found out by trying.
    pub fn new(program: Program, folder: Option<&Path>) -> Self {
        let (store, place, policy) = match folder {
            None => (FileStore::system(), Place::System, Policy::read(Path::new(POLICY))),
            Some(folder) => (FileStore::at(folder), Place::Folder(folder.to_owned()), Ok(Policy::default())),
        };
        // A broken policy refuses logins, but must not keep an administrator from looking and unlocking.
        let (policy, policy_trouble) = match policy {
            Ok(policy) => (policy, None),
            Err(error) => (Policy::default(), Some(error)),
        };
        Self { program, store, place, policy, policy_trouble }
    }

    /// Which store this is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What keeps every login from being decided, if the policy can't be read.
    pub fn policy_warning(&self) -> Option<String> {
        self.policy_trouble.as_ref().map(|error| format!("{error}: logins are refused until it is repaired"))
    }

    /// The command to type for this store, and `user`'s account, in a hint.
    pub fn command(&self, user: &UserName, rest: &str) -> String {
        let space = if rest.is_empty() { "" } else { " " };
        format!("mfa-enroll{} --user {}{space}{rest}", self.store_option(), shell_word(user.as_str()))
    }

    /// The command to type for this store, in a hint to an administrator.
    pub fn admin_command(&self, rest: &str) -> String {
        format!("mfa-admin{} {rest}", self.store_option())
    }

    fn store_option(&self) -> String {
        match &self.place {
            Place::System => String::new(),
            Place::Folder(folder) => format!(" --store {}", shell_word(&folder.to_string_lossy())),
        }
    }

    /// What devices `user` has; none is no error.
    pub fn status(&self, user: &UserName) -> Result<AccountStatus, Failure> {
        match self.answer(Request::Status { user: user.clone() }) {
            Ok(Response::Status(status)) => Ok(status),
            Err(Error::NotEnrolled) => Ok(nothing()),
            Err(Error::NoStore { path }) if path == self.store.root() => Ok(nothing()),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// A new key, or the one that waits for its codes.
    pub fn begin(
        &self,
        user: &UserName,
        name: Option<DeviceName>,
        profile: Profile,
    ) -> Result<PendingEnrollment, Failure> {
        let request = Request::BeginEnrollment { user: user.clone(), name, profile, replaces: None };
        match self.answer(request) {
            Ok(Response::Pending(pending)) => Ok(pending),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Binds a device by two of its codes, or says why they do not prove it.
    pub fn confirm(
        &self,
        user: &UserName,
        id: DeviceId,
        first: Code,
        second: Code,
    ) -> Result<Result<DeviceName, WhyNotConfirmed>, Failure> {
        let request = Request::ConfirmEnrollment {
            user: user.clone(),
            id,
            first,
            second,
            replaces: None,
            recovery_codes: RecoveryCodes::No,
        };
        match self.answer(request) {
            Ok(Response::Enrolled { name, .. }) => Ok(Ok(name)),
            Ok(Response::NotConfirmed(why)) => Ok(Err(why)),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Forgets a device.
    pub fn remove(&self, user: &UserName, name: DeviceName) -> Result<(), Failure> {
        self.done(Request::RemoveDevice { user: user.clone(), name }, user)
    }

    /// Forgets all failures and enables all devices.
    pub fn unlock(&self, user: &UserName) -> Result<(), Failure> {
        self.done(Request::Unlock { user: user.clone() }, user)
    }

    /// Makes a new state where it is damaged, so that no used code works again.
    pub fn repair(&self, user: &UserName) -> Result<(), Failure> {
        self.done(Request::Repair { user: user.clone() }, user)
    }

    /// Makes new recovery codes; the old ones end.
    pub fn new_recovery_codes(&self, user: &UserName) -> Result<Vec<RecoveryCode>, Failure> {
        match self.answer(Request::NewRecoveryCodes { user: user.clone() }) {
            Ok(Response::RecoveryCodes(codes)) => Ok(codes),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// All accounts that have a record.
    pub fn accounts(&self) -> Result<Vec<UserName>, Failure> {
        self.store.accounts().map_err(|error| self.failure_of_store(&error))
    }

    /// Logs a change that was made to an account.
    pub fn log_change(&self, what: &'static str, user: &UserName, device: Option<&DeviceName>) {
        let program = match self.program {
            Program::Enroll => "mfa-enroll",
            Program::Admin => "mfa-admin",
        };
        let store = match &self.place {
            Place::System => None,
            // Not the host's own accounts, whatever their names are.
            Place::Folder(folder) => Some(folder.as_os_str().as_bytes()),
        };
        let event = Event::new(what)
            .with("user", user.as_str())
            .with_some("device", device.map(DeviceName::as_str))
            .with_some("store", store)
            .with("by", log::invoker());
        log::record(program, &event);
    }

    pub(crate) fn done(&self, request: Request, user: &UserName) -> Result<(), Failure> {
        match self.answer(request) {
            Ok(Response::Done) => Ok(()),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    pub(crate) fn answer(&self, request: Request) -> mfa_core::Result<Response> {
        let caller = Caller::privileged(log::invoker());
        answer(request, &caller, &self.store, &self.policy, Timestamp::now())
    }

    /// An error of core as a sentence about `user` and its cure.
    pub(crate) fn failure(&self, error: &Error, user: &UserName) -> Failure {
        match error {
            Error::NotEnrolled => Failure::refused(
                format!("{user} has no device"),
                format!("add one: {}", self.command(user, "add")),
            ),
            Error::NoStore { .. } if self.has_no_accounts() => self.failure(&Error::NotEnrolled, user),
            Error::TooManyDevices => Failure::refused(
                format!("{user} has 8 devices already, and that is the most there can be"),
                format!("remove one that is no longer used: {}", self.command(user, "remove NAME")),
            ),
            Error::NameTaken { name } => Failure::refused(
                format!("{user} already has a device named {name}"),
                format!(
                    "choose another with --name, or remove it first: {}",
                    self.command(user, &format!("remove {}", shell_word(name)))
                ),
            ),
            Error::NoSuchDevice { name } => Failure::refused(
                format!("{user} has no device named {name}"),
                format!("see which there are: {}", self.command(user, "status")),
            ),
            Error::NoSuchEnrollment => Failure::refused(
                "this enrollment is over: its key waited for 15 minutes, or another one was begun",
                format!("begin again: {}", self.command(user, "add")),
            ),
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
            | Error::NotAllowed
            | Error::PasswordNeeded
            | Error::CodeNeeded
            | Error::SeedInUse { .. }
            | Error::SerialInUse { .. }
            | Error::NoSuchToken { .. }
            | Error::NoBypass
            | Error::BadRequest(_) => self.failure_of_store(error),
        }
    }

    /// Whether nobody has ever enrolled here.
    fn has_no_accounts(&self) -> bool {
        self.store.accounts().is_ok_and(|accounts| accounts.is_empty())
    }

    fn no_access(&self, error: &Error, user: &UserName) -> Failure {
        match (&self.place, self.program) {
            (Place::System, Program::Enroll) => Failure::refused(
                self.only_root(),
                format!("ask an administrator to run: sudo {}", self.command(user, "")),
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
            | Error::NotAllowed
            | Error::PasswordNeeded
            | Error::CodeNeeded
            | Error::SeedInUse { .. }
            | Error::SerialInUse { .. }
            | Error::NoSuchToken { .. }
            | Error::NoBypass
            | Error::BadRequest(_) => None,
        };
        let sentence = if let Error::NoStore { path } = error {
            format!("{} is missing", path.display())
        } else {
            error.to_string()
        };
        Failure::Refused { sentence, hint }
    }
}

/// A word as a shell takes it, for a command that can be pasted.
pub fn shell_word(text: &str) -> String {
    let is_plain = |character: char| {
        character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/' | '@' | '+' | ':' | ',')
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn nothing() -> AccountStatus {
    AccountStatus::default()
}

pub(crate) fn unexpected() -> Failure {
    Failure::Refused { sentence: "the store answered something else than was asked".to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_only_where_they_must() {
        assert_eq!(shell_word("phone"), "phone");
        assert_eq!(shell_word("old phone"), "'old phone'");
        assert_eq!(shell_word("alice's"), r"'alice'\''s'");
        assert_eq!(shell_word(r"CORP\alice"), r"'CORP\alice'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn a_hint_names_the_store_and_the_account() {
        let user = "alice".parse().unwrap();
        assert_eq!(Session::new(Program::Enroll, None).command(&user, "add"), "mfa-enroll --user alice add");
        let session = Session::new(Program::Enroll, Some(Path::new("/tmp/my store")));
        assert_eq!(session.command(&user, "add"), "mfa-enroll --store '/tmp/my store' --user alice add");
    }
}

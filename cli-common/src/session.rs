//! The store that a command works on, opened here or asked by way of `mfad`, and the requests to it.

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mfa_core::answer::Answer;
use mfa_core::audit::Event;
use mfa_core::devices::{DeviceId, DeviceName, Serial};
use mfa_core::history::Change;
use mfa_core::otp::{Code, Profile};
use mfa_core::recovery::RecoveryCode;
use mfa_core::request::{AccountStatus, PendingEnrollment, RecoveryCodes, WhyNotConfirmed};
use mfa_core::verify::Round;
use mfa_core::{
    Caller, Error, FileStore, Policy, Request, Response, Store as _, Timestamp, UserName, Verdict, answer,
};
use mfa_wire::{AskError, Denial, Envelope, SOCKET};

use crate::failure::Failure;
use crate::log;
use crate::witness::{self, Witness};

/// The host's policy, which goes with the host's store.
const POLICY: &str = "/etc/pam-mfa/policy.toml";

/// How long `mfad` may take: it waits ten seconds for an account that is being changed.
const REPLY_TIME: Duration = Duration::from_secs(15);
/// How long it may take to check a password: PAM pauses after a wrong one.
const PASSWORD_TIME: Duration = Duration::from_secs(30);

/// A store, the way to it, and the policy that goes with it.
#[derive(Debug)]
pub struct Session {
    pub(crate) program: Program,
    pub(crate) store: FileStore,
    pub(crate) place: Place,
    pub(crate) socket: PathBuf,
    way: Cell<Way>,
    caller: Caller,
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

/// How requests get to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// This process opens it.
    Here,
    /// This process may not; `mfad` is asked.
    Daemon,
    /// `mfad` is asked because somebody said so, and nothing else is tried.
    DaemonAlone,
}

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// By the store that was opened here.
    Store(Error),
    /// By `mfad`.
    Denied(Denial),
    /// `mfad` gave no reply.
    NoReply(AskError),
}

/// A device that was bound.
#[derive(Debug)]
pub struct Enrolled {
    /// What it is called.
    pub name: DeviceName,
    /// New recovery codes, to be shown once.
    pub recovery_codes: Vec<RecoveryCode>,
}

/// What two codes proved: `T`, or why nothing.
pub type Proof<T> = Result<T, WhyNotConfirmed>;

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
        Self {
            program,
            store,
            place,
            socket: SOCKET.into(),
            way: Cell::new(Way::Here),
            caller: Caller::privileged(log::origin()),
            policy,
            policy_trouble,
        }
    }

    /// The same, but `mfad` is asked at this socket, and no store is opened.
    #[must_use]
    pub fn by_socket(mut self, socket: &Path) -> Self {
        socket.clone_into(&mut self.socket);
        self.way.set(Way::DaemonAlone);
        self
    }

    /// Which store this is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether `mfad` is asked, so far as it is known yet.
    pub const fn is_by_daemon(&self) -> bool {
        match self.way.get() {
            Way::Here => false,
            Way::Daemon | Way::DaemonAlone => true,
        }
    }

    /// What keeps every login from being decided, if the policy can't be read.
    pub fn policy_warning(&self) -> Option<String> {
        // An ordinary user need not be able to read it.
        let trouble = self.policy_trouble.as_ref().filter(|_| !self.is_by_daemon());
        trouble.map(|error| format!("{error}: logins are refused until it is repaired"))
    }

    /// The command to type for this store, and `user`'s account, in a hint.
    pub fn command(&self, user: &UserName, rest: &str) -> String {
        let space = if rest.is_empty() { "" } else { " " };
        match self.way.get() {
            Way::Here => {
                format!("mfa-enroll{} --user {}{space}{rest}", self.store_option(), shell_word(user.as_str()))
            }
            Way::Daemon => format!("mfa-enroll{space}{rest}"),
            Way::DaemonAlone => {
                format!("mfa-enroll --socket {}{space}{rest}", shell_word(&self.socket.to_string_lossy()))
            }
        }
    }

    /// The command to type for this store, in a hint to an administrator.
    pub fn admin_command(&self, rest: &str) -> String {
        format!("mfa-admin{} {rest}", self.store_option())
    }

    pub(crate) fn store_option(&self) -> String {
        match &self.place {
            Place::System => String::new(),
            Place::Folder(folder) => format!(" --store {}", shell_word(&folder.to_string_lossy())),
        }
    }

    /// What devices `user` has; none is no error.
    pub fn status(&self, user: &UserName) -> Result<AccountStatus, Failure> {
        match self.send(&Envelope::bare(Request::Status { user: user.clone() })) {
            Ok(Response::Status(status)) => Ok(status),
            Err(Trouble::Store(Error::NotEnrolled) | Trouble::Denied(Denial::NotEnrolled)) => {
                Ok(AccountStatus::default())
            }
            Err(Trouble::Store(Error::NoStore { path })) if path == self.store.root() => {
                Ok(AccountStatus::default())
            }
            Ok(_) => Err(unexpected()),
            Err(trouble) => Err(self.trouble(&trouble, user)),
        }
    }

    /// What happened to `user`'s devices, oldest first; nothing is no error.
    pub fn history(&self, user: &UserName) -> Result<Vec<Change>, Failure> {
        match self.send(&Envelope::bare(Request::History { user: user.clone() })) {
            Ok(Response::History(changes)) => Ok(changes),
            Err(Trouble::Store(Error::NotEnrolled) | Trouble::Denied(Denial::NotEnrolled)) => Ok(Vec::new()),
            Err(Trouble::Store(Error::NoStore { path })) if path == self.store.root() => Ok(Vec::new()),
            Ok(_) => Err(unexpected()),
            Err(trouble) => Err(self.trouble(&trouble, user)),
        }
    }

    /// Tries an answer as a login would, without a login. It is used up, or counts as a failure.
    pub fn verify(&self, user: &UserName, answer: Answer) -> Result<Verdict, Failure> {
        let request =
            Request::Verify { user: Some(user.clone()), answer, remote_host: None, round: Round::First };
        let Response::Verdict(verdict) = self.ask(request, user)? else { return Err(unexpected()) };
        Ok(verdict)
    }

    /// A new key, or the one that waits for its codes.
    pub fn begin(
        &self,
        user: &UserName,
        name: Option<DeviceName>,
        profile: Profile,
        replaces: Option<DeviceName>,
        witness: &dyn Witness,
    ) -> Result<PendingEnrollment, Failure> {
        let request = Request::BeginEnrollment { user: user.clone(), name, profile, replaces };
        let Response::Pending(pending) = self.ask_with(request, user, witness)? else {
            return Err(unexpected());
        };
        Ok(pending)
    }

    /// Binds a device by two of its codes, or says why they do not prove it.
    pub fn confirm(
        &self,
        user: &UserName,
        id: DeviceId,
        (first, second): (Code, Code),
        replaces: Option<DeviceName>,
        recovery_codes: RecoveryCodes,
    ) -> Result<Proof<Enrolled>, Failure> {
        let user_name = user.clone();
        let request =
            Request::ConfirmEnrollment { user: user_name, id, first, second, replaces, recovery_codes };
        enrolled(self.ask(request, user)?)
    }

    /// Binds the hardware token that root has assigned by two of its codes, or says why they do not prove it.
    pub fn activate(
        &self,
        user: &UserName,
        serial: Serial,
        name: Option<DeviceName>,
        (first, second): (Code, Code),
        recovery_codes: RecoveryCodes,
        witness: &dyn Witness,
    ) -> Result<Proof<Enrolled>, Failure> {
        let user_name = user.clone();
        let request = Request::ActivateToken { user: user_name, serial, name, first, second, recovery_codes };
        enrolled(self.ask_with(request, user, witness)?)
    }

    /// Calls a device something else.
    pub fn rename(
        &self,
        user: &UserName,
        name: DeviceName,
        to: DeviceName,
        witness: &dyn Witness,
    ) -> Result<(), Failure> {
        self.done_with(Request::RenameDevice { user: user.clone(), name, to }, user, witness)
    }

    /// Puts a device aside.
    pub fn suspend(&self, user: &UserName, name: DeviceName, witness: &dyn Witness) -> Result<(), Failure> {
        self.done_with(Request::SuspendDevice { user: user.clone(), name }, user, witness)
    }

    /// Lets a device count again.
    pub fn resume(&self, user: &UserName, name: DeviceName, witness: &dyn Witness) -> Result<(), Failure> {
        self.done_with(Request::ResumeDevice { user: user.clone(), name }, user, witness)
    }

    /// Forgets a device.
    pub fn remove(&self, user: &UserName, name: DeviceName, witness: &dyn Witness) -> Result<(), Failure> {
        self.done_with(Request::RemoveDevice { user: user.clone(), name }, user, witness)
    }

    /// Follows a device whose clock or counter has run away, by two of its codes, or says why they do not show where it is.
    pub fn resync(
        &self,
        user: &UserName,
        name: DeviceName,
        (first, second): (Code, Code),
    ) -> Result<Proof<()>, Failure> {
        let response = self.ask(Request::Resync { user: user.clone(), name, first, second }, user)?;
        if let Response::NotConfirmed(why) = response {
            return Ok(Err(why));
        }
        if let Response::Refused(refusal) = response {
            return Err(self.refused(refusal, user));
        }
        let Response::Done = response else { return Err(unexpected()) };
        Ok(Ok(()))
    }

    /// Makes new recovery codes; the old ones end.
    pub fn new_recovery_codes(
        &self,
        user: &UserName,
        witness: &dyn Witness,
    ) -> Result<Vec<RecoveryCode>, Failure> {
        let Response::RecoveryCodes(codes) =
            self.ask_with(Request::NewRecoveryCodes { user: user.clone() }, user, witness)?
        else {
            return Err(unexpected());
        };
        Ok(codes)
    }

    /// Forgets all failures and enables all devices.
    pub fn unlock(&self, user: &UserName) -> Result<(), Failure> {
        self.done(Request::Unlock { user: user.clone() }, user)
    }

    /// Makes a new state where it is damaged, so that no used code works again.
    pub fn repair(&self, user: &UserName) -> Result<(), Failure> {
        self.done(Request::Repair { user: user.clone() }, user)
    }

    /// All accounts that have a record.
    pub fn accounts(&self) -> Result<Vec<UserName>, Failure> {
        self.store.accounts().map_err(|error| self.failure_of_store(&error))
    }

    /// Logs a change that was made to an account here. What `mfad` does it logs itself.
    pub fn log_change(&self, what: &'static str, user: &UserName, device: Option<&DeviceName>) {
        if self.is_by_daemon() {
            return;
        }
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
        let Response::Done = self.ask(request, user)? else { return Err(unexpected()) };
        Ok(())
    }

    fn done_with(&self, request: Request, user: &UserName, witness: &dyn Witness) -> Result<(), Failure> {
        let Response::Done = self.ask_with(request, user, witness)? else { return Err(unexpected()) };
        Ok(())
    }

    /// Asks what needs no evidence.
    fn ask(&self, request: Request, user: &UserName) -> Result<Response, Failure> {
        self.send(&Envelope::bare(request)).map_err(|trouble| self.trouble(&trouble, user))
    }

    /// Asks, and lets `witness` say what speaks for the caller if that is wanted.
    fn ask_with(
        &self,
        request: Request,
        user: &UserName,
        witness: &dyn Witness,
    ) -> Result<Response, Failure> {
        let mut envelope = Envelope::bare(request);
        let mut tries = witness::TRIES;
        loop {
            let why_again = match self.send(&envelope) {
                Err(Trouble::Denied(Denial::PasswordNeeded)) if envelope.password.is_none() => {
                    envelope.password = Some(witness.password(user, None)?);
                    continue;
                }
                Err(Trouble::Denied(Denial::CodeNeeded)) if envelope.proof.is_none() => {
                    envelope.proof = Some(witness.code(user, None)?);
                    continue;
                }
                Err(Trouble::Denied(Denial::WrongPassword)) => {
                    let failure = self.denied(&Denial::WrongPassword, user);
                    tries = tries.saturating_sub(1);
                    if tries == 0 {
                        return Err(failure);
                    }
                    envelope.password = Some(witness.password(user, Some(failure))?);
                    continue;
                }
                Ok(Response::Refused(refusal)) => {
                    let failure = self.refused(refusal, user);
                    if !witness::may_try_again(refusal) {
                        return Err(failure);
                    }
                    failure
                }
                Ok(response) => return Ok(response),
                Err(trouble) => return Err(self.trouble(&trouble, user)),
            };
            tries = tries.saturating_sub(1);
            if tries == 0 {
                return Err(why_again);
            }
            envelope.proof = Some(witness.code(user, Some(why_again))?);
        }
    }

    /// Sends a request the way that is open.
    fn send(&self, envelope: &Envelope) -> Result<Response, Trouble> {
        let refused = match self.way.get() {
            Way::Here => match self.answer(envelope.request.clone()) {
                Err(error) if self.may_ask_daemon(&error) => Some(error),
                other => return other.map_err(Trouble::Store),
            },
            Way::Daemon | Way::DaemonAlone => None,
        };
        let time = if envelope.password.is_some() { PASSWORD_TIME } else { REPLY_TIME };
        let reply = match (mfa_wire::ask(&self.socket, envelope, time), refused) {
            (Err(error), Some(refused)) if is_nobody_there(&error) => return Err(Trouble::Store(refused)),
            (reply, Some(_)) => {
                self.way.set(Way::Daemon);
                reply
            }
            (reply, None) => reply,
        };
        reply.map_err(Trouble::NoReply)?.map_err(Trouble::Denied)
    }

    /// Whether the store is closed to this process. Found out by trying, never by user IDs: in a user namespace everybody may be 0.
    fn may_ask_daemon(&self, error: &Error) -> bool {
        let is_closed =
            matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
        is_closed && self.place == Place::System && self.program == Program::Enroll
    }

    /// Answers from the store that this process opens.
    pub(crate) fn answer(&self, request: Request) -> mfa_core::Result<Response> {
        answer(request, &self.caller, &self.store, &self.policy, Timestamp::now())
    }

    fn trouble(&self, trouble: &Trouble, user: &UserName) -> Failure {
        match trouble {
            Trouble::Store(error) => self.failure(error, user),
            Trouble::Denied(denial) => self.denied(denial, user),
            Trouble::NoReply(error) => self.no_reply(error, user),
        }
    }
}

fn enrolled(response: Response) -> Result<Proof<Enrolled>, Failure> {
    if let Response::NotConfirmed(why) = response {
        return Ok(Err(why));
    }
    let Response::Enrolled { name, recovery_codes } = response else { return Err(unexpected()) };
    Ok(Ok(Enrolled { name, recovery_codes }))
}

/// Whether there is no daemon for this process to ask.
fn is_nobody_there(error: &AskError) -> bool {
    match error {
        AskError::NotRunning { .. } => true,
        AskError::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        AskError::TimedOut | AskError::Closed | AskError::NotUnderstood | AskError::TooLong => false,
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
    fn a_hint_names_the_store_and_the_account_or_the_socket() {
        let user = "alice".parse().unwrap();
        assert_eq!(Session::new(Program::Enroll, None).command(&user, "add"), "mfa-enroll --user alice add");
        let session = Session::new(Program::Enroll, Some(Path::new("/tmp/my store")));
        assert_eq!(session.command(&user, "add"), "mfa-enroll --store '/tmp/my store' --user alice add");
        let session = Session::new(Program::Enroll, None).by_socket(Path::new("/tmp/my socket"));
        assert_eq!(session.command(&user, "add"), "mfa-enroll --socket '/tmp/my socket' add");
    }
}

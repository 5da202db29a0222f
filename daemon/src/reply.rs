//! A request of the owner of an account, and what is replied.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mfa_core::answer::Answer;
use mfa_core::request::{Evidence, RecoveryCodes};
use mfa_core::seal::HostKey;
use mfa_core::{Caller, Error, FileStore, Policy, Request, Response, Timestamp, UserName, answer};
use mfa_wire::{Denial, Envelope, Reply};

use crate::events;
use crate::gate::Gate;
use crate::password::{self, Finding};

/// The host's policy, which goes with the host's store.
const POLICY: &str = "/etc/pam-mfa/policy.toml";

/// What the place of a program that asks here is called where a login would name an address. What the program itself says is not
/// believed: it could name an address that the owner logs in from, and use up what that may fail.
const PLACE: &str = "mfad";

/// Where answers come from.
pub(crate) struct Desk {
    store: Option<PathBuf>,
    policy: Option<PathBuf>,
    key: Option<HostKey>,
    hashing: Gate,
}

/// So many recovery codes are hashed at once: 19 MiB each.
const MOST_HASHING: usize = 8;
/// How long a request waits for that.
const HASHING_TIME: Duration = Duration::from_secs(4);

/// Who asks.
pub(crate) struct Asking<'a> {
    /// The account, from the kernel.
    pub(crate) user: &'a UserName,
    /// Its number.
    pub(crate) uid: u32,
    /// The connection.
    pub(crate) client: &'a UnixStream,
    /// Who has passwords checked.
    pub(crate) monitor: BorrowedFd<'a>,
}

impl Desk {
    /// The store in `store`, or else the host's, whose key is `key`.
    pub(crate) fn new(store: Option<PathBuf>, policy: Option<PathBuf>, key: Option<HostKey>) -> Self {
        let policy = policy.or_else(|| store.is_none().then(|| POLICY.into()));
        Self { store, policy, key, hashing: Gate::for_so_many(MOST_HASHING) }
    }

    /// Replies to one request, and logs what came of it.
    pub(crate) fn reply(&self, envelope: Envelope, asking: &Asking<'_>) -> Reply {
        let Envelope { request, proof, password } = envelope;
        let request = believed(request);
        // Core says so too. It must be before any password is looked at.
        if request.user() != Some(asking.user) {
            events::log(asking, &request, &Err(Error::NotAllowed));
            return Err(Denial::NotAllowed);
        }
        let evidence = proof.map_or(Evidence::Nothing, Evidence::Answer);
        let mut answered = self.answer(request.clone(), evidence, asking);
        if let (Err(Error::PasswordNeeded), Some(password)) = (&answered, password) {
            let found = password::check(asking.monitor, asking.client, asking.user, &password);
            drop(password);
            events::log_password(asking, found);
            match found {
                Some(Finding::Right) => {
                    answered = self.answer(request.clone(), Evidence::Password, asking);
                }
                Some(Finding::Wrong) => return Err(Denial::WrongPassword),
                Some(Finding::Closed) => return Err(Denial::AccountClosed),
                Some(Finding::Unknown) | None => return Err(Denial::Unavailable),
            }
        }
        events::log(asking, &request, &answered);
        answered.map_err(|error| Denial::from(&error))
    }

    fn answer(&self, request: Request, evidence: Evidence, asking: &Asking<'_>) -> Result<Response, Error> {
        // Read each time: it may have changed, and a broken one refuses here as at a login.
        let policy = self.policy.as_deref().map_or_else(|| Ok(Policy::default()), Policy::read)?;
        let store = self.open();
        let _hashing = if may_hash(&request, &evidence) {
            let deadline = Instant::now().checked_add(HASHING_TIME).unwrap_or_else(Instant::now);
            let busy = || Error::Busy { path: store.root().to_owned() };
            Some(self.hashing.enter(deadline).ok_or_else(busy)?)
        } else {
            None
        };
        let caller = Caller::owner(asking.user.clone(), evidence, format!("{} by mfad", asking.user));
        answer(request, &caller, &store, &policy, Timestamp::now())
    }

    fn open(&self) -> FileStore {
        match (&self.store, &self.key) {
            (Some(folder), _) => FileStore::at(folder),
            (None, Some(key)) => FileStore::system_with_key(key.clone()),
            // The monitor sends a key with the host's store; without it nothing opens.
            (None, None) => FileStore::at(Path::new("/nonexistent")),
        }
    }
}

/// Whether recovery codes may be hashed for the answer.
fn may_hash(request: &Request, evidence: &Evidence) -> bool {
    let is_recovery = |answer: &Answer| matches!(answer, Answer::Recovery(_));
    let by_evidence = match evidence {
        Evidence::Answer(answer) => is_recovery(answer),
        Evidence::Nothing | Evidence::Password => false,
    };
    by_evidence
        || match request {
            Request::Verify { answer, .. } => is_recovery(answer),
            Request::ConfirmEnrollment { recovery_codes, .. }
            | Request::ActivateToken { recovery_codes, .. } => *recovery_codes == RecoveryCodes::IfNone,
            Request::NewRecoveryCodes { .. } | Request::IssueBypass { .. } => true,
            Request::Status { .. }
            | Request::History { .. }
            | Request::BeginEnrollment { .. }
            | Request::RenameDevice { .. }
            | Request::SuspendDevice { .. }
            | Request::ResumeDevice { .. }
            | Request::Resync { .. }
            | Request::RemoveDevice { .. }
            | Request::CancelBypass { .. }
            | Request::Adopt { .. }
            | Request::Export { .. }
            | Request::Unlock { .. }
            | Request::Repair { .. } => false,
        }
}

/// The request without what only root's programs may claim.
fn believed(mut request: Request) -> Request {
    if let Request::Verify { remote_host, .. } = &mut request {
        *remote_host = Some(PLACE.to_owned());
    }
    request
}

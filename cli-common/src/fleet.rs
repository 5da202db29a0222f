//! What root's program asks of a store besides an account's own devices: the stock of tokens, moving in and out, bypass codes.

use std::os::unix::ffi::OsStrExt as _;

use mfa_core::audit::Event;
use mfa_core::devices::{DeviceName, Serial};
use mfa_core::recovery::{RecoveryCode, ScratchCode};
use mfa_core::request::ForeignDevice;
use mfa_core::seal::HostKey;
use mfa_core::store::{Clash, Stock};
use mfa_core::{Error, Request, Response, Secret, Store as _, Timestamp, UserName};
use nix::unistd::User;

use crate::failure::Failure;
use crate::log;
use crate::session::{Place, Session, unexpected};

/// Which names of accounts are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNames {
    /// Those that the host knows: anything else is a typing error.
    KnownToHost,
    /// All: an image or a test has accounts of another host.
    Any,
}

impl Session {
    /// Which names are accepted: in a folder of its own a store may hold the accounts of any host.
    pub const fn account_names(&self, no_account_check: bool) -> AccountNames {
        match self.place() {
            Place::System if !no_account_check => AccountNames::KnownToHost,
            Place::System | Place::Folder(_) => AccountNames::Any,
        }
    }

    /// Takes over devices and scratch codes from elsewhere, all or none.
    pub fn adopt(
        &self,
        user: &UserName,
        devices: Vec<ForeignDevice>,
        scratch_codes: Vec<ScratchCode>,
    ) -> Result<(), Failure> {
        self.done(Request::Adopt { user: user.clone(), devices, scratch_codes }, user)
    }

    /// All devices of an account, with their seeds.
    pub fn export(&self, user: &UserName) -> Result<Vec<ForeignDevice>, Failure> {
        match self.answer(Request::Export { user: user.clone() }) {
            Ok(Response::Exported(devices)) => Ok(devices),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Suspends a device, so that none of its codes is accepted any more.
    pub fn suspend_device(&self, user: &UserName, name: &DeviceName) -> Result<(), Failure> {
        self.done(Request::SuspendDevice { user: user.clone(), name: name.clone() }, user)
    }

    /// Makes a code that lets a person in once: the code, and until when it is good.
    pub fn issue_bypass(
        &self,
        user: &UserName,
        valid_seconds: u64,
        reason: &str,
    ) -> Result<(RecoveryCode, Timestamp), Failure> {
        let request = Request::IssueBypass { user: user.clone(), valid_seconds, reason: reason.to_owned() };
        match self.answer(request) {
            Ok(Response::Bypass { code, until }) => Ok((code, until)),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(self.failure(&error, user)),
        }
    }

    /// Ends the bypass code that is waiting.
    pub fn cancel_bypass(&self, user: &UserName) -> Result<(), Failure> {
        self.done(Request::CancelBypass { user: user.clone() }, user)
    }

    /// Creates what an empty store needs.
    pub fn prepare(&self) -> Result<(), Failure> {
        self.store.prepare().map_err(|error| self.failure_of_store(&error))
    }

    /// The key that seals the store's seeds.
    pub fn key(&self) -> Result<&HostKey, Failure> {
        self.store.key().map_err(|error| self.failure_of_store(&error))
    }

    /// The tokens of the stock; none if there is no store yet.
    pub fn stock(&self) -> Result<Stock, Failure> {
        match self.store.stock() {
            Err(Error::NoStore { .. }) => Ok(Stock::default()),
            other => other.map_err(|error| self.failure_of_store(&error)),
        }
    }

    /// Lets `change` change the stock while nobody else can; it is on disk when this returns. The second argument saves what has changed so far.
    pub fn change_stock<T>(
        &self,
        change: impl FnOnce(&mut Stock, &dyn Fn(&mut Stock) -> Result<(), Failure>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let changed = self.store.change_stock(|stock, save| {
            let save = |stock: &mut Stock| save(stock).map_err(|error| self.failure_of_store(&error));
            change(stock, &save).map_err(Stopped::Here)
        });
        changed.map_err(|stopped| match stopped {
            Stopped::Here(failure) => failure,
            Stopped::InCore(error) => self.failure_of_store(&error),
        })
    }

    /// Who or what has each of these seeds and serial numbers already; `each` is told of every one that was looked up.
    pub fn clashes<'s>(
        &self,
        stock: &Stock,
        wanted: impl IntoIterator<Item = (Option<&'s Serial>, &'s Secret)>,
        mut each: impl FnMut(),
    ) -> Result<Vec<Option<Clash>>, Failure> {
        // Nobody has anything in a store that is not there yet, or has no key yet; and looking must not make it.
        if let Err(Error::NoStore { .. }) = self.store.key() {
            return Ok(Vec::new());
        }
        let found = self.store.with_marks(|table| {
            wanted
                .into_iter()
                .map(|(serial, seed)| {
                    each();
                    stock.clash(&self.store, table, serial, seed)
                })
                .collect()
        });
        found.map_err(|error| self.failure_of_store(&error))
    }

    /// Refuses a name that nobody can log in with.
    pub fn check_account(&self, user: &UserName, names: AccountNames) -> Result<(), Failure> {
        if names == AccountNames::Any {
            return Ok(());
        }
        match User::from_name(user.as_str()) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Failure::refused(
                format!("there is no account named {user} on this host"),
                "check the spelling; if a directory adds the account later, use --no-account-check",
            )),
            Err(errno) => Err(Failure::refused(
                format!("can't find out whether there is an account named {user}: {errno}"),
                "try again, or use --no-account-check",
            )),
        }
    }

    /// Logs something that was done; where it was done and by whom is added.
    pub fn log_event(&self, event: Event) {
        let store = match self.place() {
            Place::System => None,
            // Not the host's own accounts, whatever their names are.
            Place::Folder(folder) => Some(folder.as_os_str().as_bytes()),
        };
        log::record("mfa-admin", &event.with_some("store", store).with("by", log::invoker()));
    }
}

/// What ended a change of the stock.
enum Stopped {
    Here(Failure),
    InCore(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::InCore(error)
    }
}

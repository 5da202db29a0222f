//! The account that a command works on.

use std::path::Path;

use mfa_cli::{AccountNames, Failure, Program, Session};
use mfa_core::UserName;
use mfa_core::devices::DeviceName;
use mfa_core::request::{AccountStatus, DeviceStatus};
use nix::unistd::{User, gethostname, getuid};

/// An account, the store that it is kept in, and the host.
pub(crate) struct Account {
    pub(crate) session: Session,
    pub(crate) user: UserName,
    pub(crate) host: String,
    names: AccountNames,
    /// Who became the account's user by sudo, and may have meant the own account. A name to show, never to trust.
    sudo_user: Option<UserName>,
}

impl Account {
    /// The account of `user`, or else of whoever runs this program.
    pub(crate) fn open(
        store: Option<&Path>,
        socket: Option<&Path>,
        user: Option<UserName>,
        no_account_check: bool,
    ) -> Result<Self, Failure> {
        let sudo_user = if user.is_none() { std::env::var("SUDO_USER").ok() } else { None };
        let user = user.map_or_else(invoking_user, Ok)?;
        let host = gethostname().map_or_else(
            |_| "localhost".to_owned(),
            |name| name.to_string_lossy().chars().filter(|character| !character.is_control()).collect(),
        );
        let session = Session::new(Program::Enroll, store);
        let names = session.account_names(no_account_check);
        let session = if let Some(socket) = socket { session.by_socket(socket) } else { session };
        let sudo_user = sudo_user.and_then(|name| name.parse().ok()).filter(|name| *name != user);
        Ok(Self { session, user, host, names, sudo_user })
    }

    /// `alice on server42`
    pub(crate) fn on_host(&self) -> String {
        format!("{} on {}", self.user, self.host)
    }

    /// Whom this is not about, for people who come by sudo and mean themselves.
    pub(crate) fn mind_whose(&self) -> Option<String> {
        let meant = self.sudo_user.as_ref()?;
        let command = self.session.command(meant, "");
        Some(format!("This is the account of {}. If you mean that of {meant}: sudo {command}", self.user))
    }

    /// The command to type for this account, in a hint.
    pub(crate) fn command(&self, rest: &str) -> String {
        self.session.command(&self.user, rest)
    }

    /// What to call this host in an app: short enough for a QR code that fits a small terminal.
    pub(crate) fn issuer(&self) -> &str {
        const SHORT: usize = 20;
        if self.host.len() <= SHORT {
            return &self.host;
        }
        self.host.split('.').next().filter(|label| !label.is_empty()).unwrap_or(&self.host)
    }

    /// Refuses a name that nobody can log in with.
    ///
    /// # Errors
    /// The host does not know the account.
    pub(crate) fn check_name(&self) -> Result<(), Failure> {
        self.session.check_account(&self.user, self.names)
    }

    /// How things stand.
    pub(crate) fn status(&self) -> Result<AccountStatus, Failure> {
        self.session.status(&self.user)
    }

    /// The device of that name, as it stands.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn device(&self, name: &DeviceName) -> Result<DeviceStatus, Failure> {
        let found = self.status()?.devices.into_iter().find(|device| device.name == *name);
        found.ok_or_else(|| self.session.no_such_device(name.as_str(), &self.user))
    }

    /// Logs a change to this account.
    pub(crate) fn log_change(&self, what: &'static str, device: Option<&DeviceName>) {
        self.session.log_change(what, &self.user, device);
    }
}

fn invoking_user() -> Result<UserName, Failure> {
    let uid = getuid();
    let hint = "say whose account: --user NAME";
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name.parse().map_err(|error| Failure::refused(format!("{error}"), hint)),
        Ok(None) => Err(Failure::refused(format!("no account of this host has your uid {uid}"), hint)),
        Err(errno) => Err(Failure::refused(format!("can't find out who you are: {errno}"), hint)),
    }
}

//! The modules that are measured, each with the same users, all with the same seed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mfa_core::devices::Device;
use mfa_core::otp::Profile;
use mfa_core::state::DeviceState;
use mfa_core::store::{Access, Account};
use mfa_core::{FileStore, Secret, Store, Timestamp, UserName};
use mfa_test_harness::{Stack, artifacts};

use crate::{SEED, SEED_BASE32};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// Lets everybody in: what libpam itself costs.
    Permit,
    GoogleAuthenticator,
    Oath,
    Mfa,
}

impl Module {
    pub(crate) const ALL: [Self; 4] = [Self::Permit, Self::GoogleAuthenticator, Self::Oath, Self::Mfa];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Permit => "pam_permit",
            Self::GoogleAuthenticator => "pam_google_authenticator",
            Self::Oath => "pam_oath",
            Self::Mfa => "pam_mfa",
        }
    }
}

/// The stacks of all modules, over one folder.
pub(crate) struct Modules {
    permit: Stack,
    google_authenticator: Stack,
    /// One for each user: see [`oath`].
    oath: Vec<Stack>,
    mfa: Stack,
}

impl Modules {
    /// Gives `users` users to each module.
    pub(crate) fn set_up(folder: &Path, users: u32) -> Self {
        Self {
            permit: Stack::new("auth required pam_permit.so"),
            google_authenticator: google_authenticator(folder, users),
            oath: oath(folder, users),
            mfa: mfa(folder, users),
        }
    }

    pub(crate) fn stack(&self, module: Module, user: u32) -> &Stack {
        match module {
            Module::Permit => &self.permit,
            Module::GoogleAuthenticator => &self.google_authenticator,
            Module::Oath => {
                self.oath.get(usize::try_from(user).expect("a small number")).expect("one for each")
            }
            Module::Mfa => &self.mfa,
        }
    }
}

/// The name of a user by number.
pub(crate) fn user_name(number: u32) -> String {
    format!("user{number}")
}

/// Its files are as `google-authenticator --time-based --disallow-reuse --window-size=3` writes them.
fn google_authenticator(folder: &Path, users: u32) -> Stack {
    let files = private_folder(folder, "google-authenticator");
    for user in 0..users {
        let text = format!("{SEED_BASE32}\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n");
        private_file(&files.join(user_name(user)), &text);
    }
    let owner = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("we have a name");
    Stack::new(&format!(
        "auth required {} secret={}/${{USER}} user={}",
        installed("pam_google_authenticator.so").display(),
        files.display(),
        owner.name
    ))
}

/// A file for each user, and so a stack for each: in one file for all it would be slower by far, and `${USER}` in its
/// option would want users that the system knows.
fn oath(folder: &Path, users: u32) -> Vec<Stack> {
    let files = private_folder(folder, "oath");
    let module = installed("pam_oath.so");
    let seed: String =
        SEED.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from).collect();
    let stack = |user: u32| {
        let file = files.join(user_name(user));
        private_file(&file, &format!("HOTP/T30 {} - {seed}\n", user_name(user)));
        Stack::new(&format!(
            "auth required {} usersfile={} window=3 digits=6",
            module.display(),
            file.display()
        ))
    };
    (0..users).map(stack).collect()
}

fn mfa(folder: &Path, users: u32) -> Stack {
    let store = private_folder(folder, "mfa");
    enroll(&FileStore::at(&store), users);
    Stack::new(&format!("auth required pam_mfa.so store={}", store.display()))
}

/// Enrolls through the library: the command line would take too long for 100,000 users.
pub(crate) fn enroll(store: &FileStore, users: u32) {
    store.prepare().expect("an empty store");
    let seed = Secret::new(SEED.to_vec());
    for number in 0..users {
        let user: UserName = user_name(number).parse().expect("a plain name");
        let name = "phone".parse().expect("a plain name");
        let now = Timestamp::from_unix_seconds(0);
        let key = store.key().expect("prepare made one");
        let device = Device::seal(key, &user, name, Profile::PLAIN, &seed, now).expect("a sealed seed");
        store
            .update(Account::User(&user), Access::Change, |record| {
                record.state.devices.push(DeviceState::with_floor(device.id, None, 0));
                record.devices.list.push(device.clone());
                Ok(())
            })
            .expect("a record in a new store");
    }
}

fn private_folder(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    DirBuilder::new().mode(0o700).create(&path).expect("a folder in a new folder");
    path
}

fn private_file(path: &Path, text: &str) {
    let mut file = File::create(path).expect("a file in a new folder");
    file.write_all(text.as_bytes()).expect("a small file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("our own file");
}

/// A module that a package of the distribution has installed.
fn installed(module: &str) -> PathBuf {
    let folders = [
        "/lib/x86_64-linux-gnu/security",
        "/lib/aarch64-linux-gnu/security",
        "/lib64/security",
        "/lib/security",
    ];
    let found = folders.iter().map(|folder| Path::new(folder).join(module)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{module} is not installed\nhint: bench/setup.sh"))
}

/// The size of the module under test, in bytes.
pub(crate) fn mfa_size() -> u64 {
    fs::metadata(artifacts::module()).expect("artifacts::module() found it").len()
}

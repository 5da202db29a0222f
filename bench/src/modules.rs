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

use crate::clock::{SEED, SEED_BASE32};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
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

    /// The bytes of its file.
    pub(crate) fn bytes(self) -> u64 {
        let path = match self {
            Self::Permit => installed("pam_permit.so"),
            Self::GoogleAuthenticator => installed("pam_google_authenticator.so"),
            Self::Oath => installed("pam_oath.so"),
            Self::Mfa => artifacts::module(),
        };
        fs::metadata(path).expect("it was found a moment ago").len()
    }
}

/// A module with its users, and the stacks that lead to it.
pub(crate) struct Prepared {
    module: Module,
    /// One for all users, or one for each: see [`stack_lines`].
    stacks: Vec<Stack>,
}

impl Prepared {
    /// Gives `users` users to the module, with files in `folder`.
    pub(crate) fn set_up(module: Module, folder: &Path, users: u32) -> Self {
        match module {
            Module::Permit => {}
            Module::Mfa => enroll(&FileStore::at(private_folder(folder, module.name())), users),
            Module::GoogleAuthenticator | Module::Oath => {
                let files = private_folder(folder, module.name());
                for user in 0..users {
                    write_user(module, &files, user);
                }
            }
        }
        Self::existing(module, folder, users)
    }

    /// What [`Prepared::set_up`] has set up, perhaps in another process.
    pub(crate) fn existing(module: Module, folder: &Path, users: u32) -> Self {
        let stacks = match module {
            Module::Oath => users,
            Module::Permit | Module::GoogleAuthenticator | Module::Mfa => 1,
        };
        let files = folder.join(module.name());
        let stacks = (0..stacks).map(|user| Stack::new(&stack_lines(module, &files, user))).collect();
        Self { module, stacks }
    }

    pub(crate) const fn module(&self) -> Module {
        self.module
    }

    pub(crate) fn stack(&self, user: u32) -> &Stack {
        let index = usize::try_from(user).expect("a small number") % self.stacks.len();
        self.stacks.get(index).expect("a remainder")
    }
}

/// The name of a user by number.
pub(crate) fn user_name(number: u32) -> String {
    format!("user{number}")
}

/// pam_oath has a file for each user, and so a stack for each: in one file for all it would be slower by far, and `${USER}` in its
/// option would want users that the system knows.
fn stack_lines(module: Module, files: &Path, user: u32) -> String {
    let files = files.display();
    match module {
        Module::Permit => "auth required pam_permit.so".to_owned(),
        Module::GoogleAuthenticator => {
            let owner =
                nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("we have a name");
            let path = installed("pam_google_authenticator.so");
            format!("auth required {} secret={files}/${{USER}} user={}", path.display(), owner.name)
        }
        Module::Oath => {
            let (path, file) = (installed("pam_oath.so"), user_name(user));
            format!("auth required {} usersfile={files}/{file} window=3 digits=6", path.display())
        }
        Module::Mfa => format!("auth required pam_mfa.so store={files}"),
    }
}

/// A peer's file of one user, as `google-authenticator --time-based --disallow-reuse --window-size=3` writes it, or by hand.
fn write_user(module: Module, files: &Path, user: u32) {
    let seed: String =
        SEED.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from).collect();
    let user = user_name(user);
    let text = if module == Module::Oath {
        format!("HOTP/T30 {user} - {seed}\n")
    } else {
        format!("{SEED_BASE32}\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n")
    };
    let path = files.join(user);
    let mut file = File::create(&path).expect("a file in a new folder");
    file.write_all(text.as_bytes()).expect("a small file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own file");
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

//! The store as files: a folder per account, locked as a whole.
//!
//! ```text
//! /etc/pam-mfa/key                     the host key                          0400
//! /var/lib/pam-mfa/                                                          0700
//!     users/<name>/devices.toml        written at enrollment, by rename      0600
//!                  state               two slots, overwritten in place       0600
//!                  pending.toml        an enrollment waiting for its codes   0600
//!     decoy/{devices.toml,state}       nobody's account
//! /run/pam-mfa/<store>/{users/<name>,decoy}   states, while the store is read-only
//! ```

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::slots::{self, Slots, create_file};
use super::trusted::{
    Mutability, check_private, failed, failed_io, open_file, open_folder, open_folder_at_path, text,
};
use super::{Access, Account, Record, Store};
use crate::clock::Timestamp;
use crate::devices::{Device, Devices, MAX_FILE_BYTES};
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::otp::Profile;
use crate::seal::{HostKey, MAX_KEY_FILE_BYTES};
use crate::secret::{Secret, random_bytes};
use crate::state::{DeviceState, State};
use crate::user_name::UserName;
use crate::verify::Durability;

const DEVICES: &str = "devices.toml";
const STATE: &str = "state";
const PENDING: &str = "pending.toml";

/// How long a login waits for another one of the same account. A holder needs a fraction of a millisecond, or dies and frees it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(3);

/// The store as files below one folder.
#[derive(Debug)]
pub struct FileStore {
    root: PathBuf,
    key_path: PathBuf,
    runtime: PathBuf,
    key: OnceCell<HostKey>,
}

impl FileStore {
    /// The host's own store: `/var/lib/pam-mfa` with its key in `/etc/pam-mfa/key`.
    pub fn system() -> Self {
        Self::new("/var/lib/pam-mfa".into(), "/etc/pam-mfa/key".into())
    }

    /// Another store: a folder with its key inside, as `--store DIR` and `store=DIR` name it.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let key_path = root.join("key");
        Self::new(root, key_path)
    }

    fn new(root: PathBuf, key_path: PathBuf) -> Self {
        Self { root, key_path, runtime: "/run/pam-mfa".into(), key: OnceCell::new() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open_root(&self) -> Result<File> {
        open_folder_at_path(&self.root)?.ok_or_else(|| Error::NoStore { path: self.root.clone() })
    }

    fn read_key(&self) -> Result<Option<HostKey>> {
        let Some((file, status)) =
            open_file(AT_FDCWD, self.key_path.as_os_str(), &self.key_path, Mutability::ReadOnly)?
        else {
            return Ok(None);
        };
        check_private(&status, &self.key_path)?;
        HostKey::from_text(&text(&file, &status, &self.key_path, MAX_KEY_FILE_BYTES)?)
            .map(Some)
            .ok_or_else(|| Error::Corrupt { path: self.key_path.clone(), why: "it is not a key".to_owned() })
    }

    /// A key under which nobody is enrolled yet.
    fn create_key(&self) -> Result<()> {
        if self
            .accounts()?
            .iter()
            .any(|user| self.root.join("users").join(user.as_str()).join(DEVICES).exists())
        {
            return Err(Error::KeyLost { path: self.key_path.clone() });
        }
        let (Some(folder_path), Some(name)) = (self.key_path.parent(), self.key_path.file_name()) else {
            return Err(Error::NoStore { path: self.key_path.clone() });
        };
        let folder = ensure_folder(folder_path, 0o755)?;
        let mut new_name = OsString::from("key.new.");
        new_name.push(Hex(random_bytes::<8>()?).to_string());
        write_new(&folder, &new_name, HostKey::generate()?.expose_text().as_bytes(), 0o400, &self.key_path)?;
        // Two roots may enroll first at the same time: the first key wins, both use it.
        match renameat2(&folder, new_name.as_os_str(), &folder, name, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => folder.sync_all().map_err(failed_io(folder_path)),
            Err(Errno::EEXIST) => remove(&folder, &new_name, &self.key_path),
            Err(errno) => {
                remove(&folder, &new_name, &self.key_path)?;
                Err(failed(&self.key_path)(errno))
            }
        }
    }

    fn create_decoy(&self) -> Result<()> {
        let user = decoy_name()?;
        let key = self.key()?;
        self.update(Account::Decoy, Access::Change, |record| {
            if record.devices.list.is_empty() {
                let name = "decoy".parse().map_err(|_| Error::NotEnrolled)?;
                let seed = Secret::random(Profile::PLAIN.seed_bytes())?;
                let device =
                    Device::seal(key, &user, name, Profile::PLAIN, &seed, Timestamp::from_unix_seconds(0))?;
                record.state.devices.push(DeviceState::with_floor(device.id, None, 0));
                record.devices.list.push(device);
            }
            Ok(())
        })
    }

    /// The folder of an account, locked. None if the account has none.
    fn lock_account(&self, place: &Place) -> Result<Option<Locked>> {
        let root = self.open_root()?;
        let folder = match &place.parent {
            None => Some(root),
            Some(parent) => open_folder(&root, parent, &self.root.join(parent))?,
        };
        let Some(parent) = folder else { return Ok(None) };
        let path = self.root.join(place.relative());
        open_folder(&parent, &place.name, &path)?.map(|folder| Locked::wait_for(folder, path)).transpose()
    }

    fn create_account(&self, place: &Place) -> Result<Locked> {
        let mut path = self.root.clone();
        for part in place.parent.iter().chain([&place.name]) {
            path.push(part);
            ensure_folder(&path, 0o700)?;
        }
        self.lock_account(place)?.ok_or(Error::NoStore { path })
    }

    /// What is on disk, and in `/run`, of a locked account.
    fn load(&self, locked: &Locked, place: &Place, access: Access) -> Result<Loaded> {
        let user = &place.user;
        let devices = match locked.read(DEVICES)? {
            None => Devices::none(user),
            Some(text) => Devices::from_toml(&text, user).map_err(|why| locked.corrupt(DEVICES, why))?,
        };
        if access == Access::Login && devices.list.is_empty() {
            return Err(Error::NotEnrolled);
        }
        let state_path = locked.path.join(STATE);
        let (opened, durability) =
            match open_file(&locked.folder, OsStr::new(STATE), &state_path, Mutability::ReadWrite) {
                Err(Error::ReadOnly { .. }) => {
                    let opened =
                        open_file(&locked.folder, OsStr::new(STATE), &state_path, Mutability::ReadOnly)?;
                    (opened, Durability::UntilReboot)
                }
                other => (other?, Durability::Kept),
            };
        let slots = match opened {
            None => None,
            Some((file, status)) => {
                check_private(&status, &state_path)?;
                Some(Slots::load(file, &status, user, &state_path)?)
            }
        };
        let mut state = slots.as_ref().map(|slots| slots.state.clone()).unwrap_or_default();
        let elsewhere = self.load_elsewhere(place)?;
        if let Some(elsewhere) = &elsewhere {
            state.absorb(&elsewhere.state);
        }
        if devices.list.iter().any(|device| state.device(device.id).is_none()) {
            return Err(locked.corrupt(STATE, "a device of the account is missing in it".to_owned()));
        }
        let pending = match access {
            Access::Login => None,
            Access::Change => match locked.read(PENDING)? {
                None => None,
                // A damaged pending record is worth nothing: a new enrollment replaces it.
                Some(text) => Devices::from_toml(&text, user).ok().and_then(|mut pending| pending.list.pop()),
            },
        };
        Ok(Loaded { record: Record { devices, state, pending, durability }, slots, elsewhere })
    }

    /// Makes the difference between `before` and `after` durable.
    ///
    /// The state comes before the devices: a state without its device is harmless, a device without its state is refused.
    fn commit(&self, locked: &Locked, place: &Place, before: &Loaded, after: &Record) -> Result<()> {
        if before.record.durability == Durability::UntilReboot {
            if before.record.devices != after.devices || before.record.pending != after.pending {
                return Err(Error::ReadOnly { path: self.root.clone() });
            }
            return self.write_elsewhere(place, before, &after.state);
        }
        let state_path = locked.path.join(STATE);
        let devices_changed = before.record.devices != after.devices;
        let mut state = after.state.clone();
        state.retain_devices(|id| {
            before.record.devices.list.iter().chain(&after.devices.list).any(|device| device.id == id)
        });
        match &before.slots {
            Some(slots) if slots.state != state => slots.write(&state, &place.user, &state_path)?,
            None if devices_changed => {
                slots::create(&locked.folder, OsStr::new(STATE), &state, &place.user, &state_path)?;
                locked.sync()?;
            }
            Some(_) | None => {}
        }
        if before.elsewhere.is_some() {
            self.remove_elsewhere(place)?;
        }
        if devices_changed {
            locked.replace(DEVICES, &after.devices)?;
        }
        match &after.pending {
            pending if *pending == before.record.pending => Ok(()),
            None => {
                remove(&locked.folder, OsStr::new(PENDING), &locked.path.join(PENDING))?;
                locked.sync()
            }
            Some(device) => {
                let mut file = Devices::none(&place.user);
                file.list.push(device.clone());
                locked.replace(PENDING, &file)
            }
        }
    }

    /// The folder in `/run` for states of a read-only store; none if there is none.
    fn runtime_folder(&self, place: &Place, create: Absent) -> Result<Option<(File, PathBuf)>> {
        let mut path = self.runtime.clone();
        let store = Hex(self.key()?.short_tag(&[b"runtime folder"])).to_string();
        for part in [None, Some(store.into()), place.parent.clone()] {
            if let Some(part) = part {
                path.push(part);
            }
            if create == Absent::Create {
                ensure_folder(&path, 0o700)?;
            } else if open_folder_at_path(&path)?.is_none() {
                return Ok(None);
            }
        }
        Ok(open_folder_at_path(&path)?.map(|folder| (folder, path.join(&place.name))))
    }

    fn load_elsewhere(&self, place: &Place) -> Result<Option<Slots>> {
        let Some((folder, path)) = self.runtime_folder(place, Absent::None)? else { return Ok(None) };
        let Some((file, status)) = open_file(&folder, &place.name, &path, Mutability::ReadWrite)? else {
            return Ok(None);
        };
        check_private(&status, &path)?;
        Slots::load(file, &status, &place.user, &path).map(Some)
    }

    fn write_elsewhere(&self, place: &Place, before: &Loaded, state: &State) -> Result<()> {
        if before.record.state == *state {
            return Ok(());
        }
        let (folder, path) = self
            .runtime_folder(place, Absent::Create)?
            .ok_or_else(|| Error::NoStore { path: self.runtime.clone() })?;
        match &before.elsewhere {
            Some(slots) => slots.write(state, &place.user, &path),
            None => slots::create(&folder, &place.name, state, &place.user, &path),
        }
    }

    /// The store can be written again and holds what `/run` held.
    fn remove_elsewhere(&self, place: &Place) -> Result<()> {
        match self.runtime_folder(place, Absent::None)? {
            Some((folder, path)) => remove(&folder, &place.name, &path),
            None => Ok(()),
        }
    }
}

impl Store for FileStore {
    fn key(&self) -> Result<&HostKey> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = self.read_key()?.ok_or_else(|| Error::NoStore { path: self.key_path.clone() })?;
        Ok(self.key.get_or_init(|| key))
    }

    fn prepare(&self) -> Result<()> {
        ensure_folder(&self.root, 0o700)?;
        ensure_folder(&self.root.join("users"), 0o700)?;
        if self.read_key()?.is_none() {
            self.create_key()?;
        }
        self.create_decoy()
    }

    fn update<T>(
        &self,
        account: Account<'_>,
        access: Access,
        mut decide: impl FnMut(&mut Record) -> Result<T>,
    ) -> Result<T> {
        let place = Place::of(account)?;
        let locked = match (self.lock_account(&place)?, access) {
            (Some(locked), _) => locked,
            (None, Access::Login) => return Err(Error::NotEnrolled),
            (None, Access::Change) => self.create_account(&place)?,
        };
        let before = self.load(&locked, &place, access)?;
        let mut record = before.record.clone();
        let answer = decide(&mut record)?;
        self.commit(&locked, &place, &before, &record)?;
        Ok(answer)
    }

    fn accounts(&self) -> Result<Vec<UserName>> {
        let path = self.root.join("users");
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed_io(&path)(error)),
        };
        let mut users = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed_io(&path))?.file_name();
            users.extend(name.to_str().and_then(|name| name.parse::<UserName>().ok()));
        }
        users.sort_unstable();
        Ok(users)
    }
}

/// Where an account's folder is.
struct Place {
    user: UserName,
    parent: Option<OsString>,
    name: OsString,
}

impl Place {
    fn of(account: Account<'_>) -> Result<Self> {
        Ok(match account {
            Account::User(user) => {
                Self { user: user.clone(), parent: Some("users".into()), name: user.as_str().into() }
            }
            Account::Decoy => Self { user: decoy_name()?, parent: None, name: "decoy".into() },
        })
    }

    fn relative(&self) -> PathBuf {
        self.parent.iter().chain([&self.name]).collect()
    }
}

/// The name that the decoy's records are bound to.
fn decoy_name() -> Result<UserName> {
    "(decoy)".parse().map_err(|_| Error::NotEnrolled)
}

/// A record as it was read, with the open files that it can be written to.
struct Loaded {
    record: Record,
    slots: Option<Slots>,
    elsewhere: Option<Slots>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    None,
    Create,
}

/// An account's folder, locked against every other process until this is dropped or its process dies.
struct Locked {
    folder: File,
    path: PathBuf,
}

impl Locked {
    /// Waits for the lock, but not for ever: a login that can't be decided is refused.
    fn wait_for(folder: File, path: PathBuf) -> Result<Self> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { folder, path }),
                Err(TryLockError::WouldBlock) if started.elapsed() >= LOCK_WAIT => {
                    return Err(Error::Busy { path });
                }
                Err(TryLockError::WouldBlock) => sleep(pause),
                Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(failed_io(&path)(error)),
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn read(&self, name: &str) -> Result<Option<zeroize::Zeroizing<String>>> {
        let path = self.path.join(name);
        let Some((file, status)) = open_file(&self.folder, OsStr::new(name), &path, Mutability::ReadOnly)?
        else {
            return Ok(None);
        };
        check_private(&status, &path)?;
        text(&file, &status, &path, MAX_FILE_BYTES).map(Some)
    }

    /// Write new, fsync, rename, fsync of the folder: the old file or the new one, at every moment.
    fn replace(&self, name: &str, devices: &Devices) -> Result<()> {
        let path = self.path.join(name);
        let new_name = format!("{name}.new");
        let new_name = OsStr::new(&new_name);
        write_new(&self.folder, new_name, devices.to_toml()?.as_bytes(), 0o600, &path)?;
        renameat(&self.folder, new_name, &self.folder, name).map_err(failed(&path))?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        self.folder.sync_all().map_err(failed_io(&self.path))
    }

    fn corrupt(&self, name: &str, why: String) -> Error {
        Error::Corrupt { path: self.path.join(name), why }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough where the host program has forked meanwhile: the child shares this lock. If it fails, closing does it.
        let _ = self.folder.unlock();
    }
}

/// Creates and fills a file, and waits until it is on disk. A left-over of a killed process is replaced; on failure nothing is left.
pub(super) fn write_new(folder: impl AsFd, name: &OsStr, bytes: &[u8], mode: u32, path: &Path) -> Result<()> {
    remove(&folder, name, path)?;
    let mut file = create_file(&folder, name, mode, path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed_io(path));
    if written.is_err() {
        remove(&folder, name, path)?;
    }
    written
}

/// Removes a file; one that is not there is fine.
fn remove(folder: impl AsFd, name: &OsStr, path: &Path) -> Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(failed(path)(errno)),
    }
}

/// Opens a folder, and creates it with exactly `mode` where it is missing.
fn ensure_folder(path: &Path, mode: u32) -> Result<File> {
    if let Some(folder) = open_folder_at_path(path)? {
        return Ok(folder);
    }
    let mode = Mode::from_bits_truncate(mode);
    match mkdirat(AT_FDCWD, path, mode) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(path)(errno)),
    }
    let folder = open_folder_at_path(path)?.ok_or_else(|| Error::NoStore { path: path.to_owned() })?;
    fchmod(&folder, mode).map_err(failed(path))?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed_io(parent))?;
    }
    Ok(folder)
}

//! The store as files: a folder per account, locked as a whole.
//!
//! ```text
//! /etc/pam-mfa/key                     the host key                          0400
//! /var/lib/pam-mfa/                                                          0700
//!     users/<name>/devices.toml        written at enrollment, by rename      0600
//!                  state               two slots, overwritten in place       0600
//!                  pending.toml        an enrollment waiting for its codes   0600
//!     decoy/<0..f>/{devices.toml,state}   nobody's accounts
//! /run/pam-mfa/<store>/{users/<name>,decoy/<0..f>}/state   states, while the store can't be written
//! ```

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, renameat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::{Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::slots::{self, Slots, create_file};
use super::trusted::{
    Mutability, check_private, failed, failed_io, open_file, open_folder, open_folder_at_path, text,
};
use super::{Access, Account, Record, Shard, Store};
use crate::clock::Timestamp;
use crate::devices::{Device, DeviceName, Devices, MAX_FILE_BYTES};
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::otp::Profile;
use crate::seal::{HostKey, MAX_KEY_FILE_BYTES};
use crate::secret::Secret;
use crate::state::{DeviceState, State};
use crate::user_name::UserName;
use crate::verify::Durability;

const DEVICES: &str = "devices.toml";
const STATE: &str = "state";
const PENDING: &str = "pending.toml";

/// How long a login waits for another one of the same account. A holder needs a fraction of a millisecond, or dies and frees it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long a login of nobody's waits: as long as another one can take. It has nothing to protect, so it goes on without the lock.
const DECOY_LOCK_WAIT: Duration = Duration::from_millis(50);
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

    /// Whether any account has devices.
    fn has_accounts(&self) -> Result<bool> {
        let users = self.root.join("users");
        Ok(self.accounts()?.iter().any(|user| users.join(user.as_str()).join(DEVICES).exists()))
    }

    /// A key under which nobody is enrolled yet.
    fn create_key(&self) -> Result<()> {
        // Two roots may enroll first at the same time: the first key wins, both use it.
        let _locked = Locked::wait_for(self.open_root()?, self.root.clone(), LOCK_WAIT)?;
        if self.read_key()?.is_some() {
            return Ok(());
        }
        if self.has_accounts()? {
            return Err(Error::KeyLost { path: self.key_path.clone() });
        }
        let (Some(folder_path), Some(name)) = (self.key_path.parent(), self.key_path.file_name()) else {
            return Err(Error::NoStore { path: self.key_path.clone() });
        };
        let folder = ensure_folder(folder_path, 0o755)?;
        let new_name = OsStr::new("key.new");
        write_new(&folder, new_name, HostKey::generate()?.expose_text().as_bytes(), 0o400, &self.key_path)?;
        renameat(&folder, new_name, &folder, name).map_err(failed(&self.key_path))?;
        folder.sync_all().map_err(failed_io(folder_path))
    }

    fn create_decoy(&self, shard: Shard) -> Result<()> {
        let key = self.key()?;
        let user = UserName::decoy();
        self.update(Account::Decoy(shard), Access::Repair, |record| {
            // A key that was replaced while nobody was enrolled leaves decoys that do not open.
            let has_state = record.devices.list.iter().all(|device| record.state.device(device.id).is_some());
            if record.devices.list.is_empty() || !has_state || record.devices.open(key).is_err() {
                let seed = Secret::random(Profile::PLAIN.seed_bytes())?;
                let epoch = Timestamp::from_unix_seconds(0);
                let device = Device::seal(key, &user, DeviceName::decoy(), Profile::PLAIN, &seed, epoch)?;
                record.state.devices = vec![DeviceState::with_floor(device.id, None, 0)];
                record.devices.list = vec![device];
            }
            Ok(())
        })
    }

    /// The folder of an account, locked. None if the account has none.
    fn lock_account(&self, place: &Place) -> Result<Option<Locked>> {
        let root = self.open_root()?;
        let parent_path = self.root.join(place.parent);
        let Some(parent) = open_folder(&root, OsStr::new(place.parent), &parent_path)? else {
            return Ok(None);
        };
        loop {
            let path = parent_path.join(&place.name);
            let Some(folder) = open_folder(&parent, &place.name, &path)? else { return Ok(None) };
            let locked = Locked::wait_for(folder, path, place.lock_wait)?;
            if locked.is_still(&parent, &place.name)? {
                return Ok(Some(locked));
            }
            // Another folder has taken its place meanwhile, as when a backup is restored: that one counts.
        }
    }

    fn create_account(&self, place: &Place) -> Result<Locked> {
        let path = self.root.join(place.parent);
        ensure_folder(&path, 0o700)?;
        let path = path.join(&place.name);
        ensure_folder(&path, 0o700)?;
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
        let (slots, durability) = match locked.load_slots(user, &state_path) {
            Err(Error::Corrupt { .. } | Error::Untrusted { .. }) if access == Access::Repair => {
                (None, Durability::Kept)
            }
            other => other?,
        };
        let elsewhere = match self.load_elsewhere(place) {
            Err(Error::Corrupt { .. } | Error::Untrusted { .. }) if access == Access::Repair => None,
            other => other?,
        };
        let here = slots.as_ref().map(|slots| &slots.state);
        // The copy in /run was made from the one here, and has a higher revision until the one here has taken it over.
        let state = match (here, elsewhere.as_ref().map(|slots| &slots.state)) {
            (Some(here), Some(there)) if there.revision >= here.revision => there.clone(),
            (Some(here), _) => here.clone(),
            (None, _) => State::default(),
        };
        let missing = devices.list.iter().any(|device| state.device(device.id).is_none());
        if missing && access != Access::Repair {
            return Err(locked.corrupt(STATE, "a device of the account is missing in it".to_owned()));
        }
        let pending = match access {
            Access::Login => None,
            Access::Change | Access::Repair => match locked.read(PENDING)? {
                None => None,
                // A damaged pending record is worth nothing: a new enrollment replaces it.
                Some(text) => Devices::from_toml(&text, user).ok().and_then(|mut pending| pending.list.pop()),
            },
        };
        Ok(Loaded { record: Record { devices, state, pending, durability }, slots, elsewhere, access })
    }

    /// Makes the difference between `before` and `after` durable.
    ///
    /// The state comes before the devices: a state without its device is harmless, a device without its state is refused.
    fn commit(&self, locked: &Locked, place: &Place, before: &Loaded, after: &Record) -> Result<()> {
        let devices_changed = before.record.devices != after.devices;
        let mut state = after.state.clone();
        if state != before.record.state {
            state.touch();
        }
        if before.record.durability != Durability::Kept {
            if devices_changed || before.record.pending != after.pending {
                return Err(Error::ReadOnly { path: self.root.clone() });
            }
            return self.write_elsewhere(place, before, &state);
        }
        let state_path = locked.path.join(STATE);
        state.retain_devices(|id| {
            before.record.devices.list.iter().chain(&after.devices.list).any(|device| device.id == id)
        });
        if devices_changed && before.access == Access::Repair {
            // The other way round here: until the new state is there the account stays refused, and what the repair puts out of use must
            // not come back with a state that knows nothing of it.
            locked.replace(DEVICES, &after.devices)?;
        }
        match &before.slots {
            Some(slots) if slots.state != state => slots.write(&state, &place.user, &state_path)?,
            // No state, or one that is being repaired.
            None if devices_changed || !state.devices.is_empty() => {
                slots::create(&locked.folder, OsStr::new(STATE), &state, &place.user, &state_path)?;
                locked.sync()?;
            }
            Some(_) | None => {}
        }
        if before.elsewhere.is_some() || before.access == Access::Repair {
            self.remove_elsewhere(place)?;
        }
        if devices_changed && before.access != Access::Repair {
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

    /// The folder in `/run` for an account's state while the store can't be written; none if there is none.
    fn runtime_folder(&self, place: &Place, absent: Absent) -> Result<Option<(File, PathBuf)>> {
        let mut path = self.runtime.clone();
        let store = Hex(self.key()?.short_tag(&[b"runtime folder"])).to_string();
        for part in ["", &store, place.parent].map(OsStr::new).into_iter().chain([place.name.as_os_str()]) {
            if !part.is_empty() {
                path.push(part);
            }
            match (open_folder_at_path(&path), absent) {
                (Ok(Some(_)), _) => {}
                (Ok(None), Absent::Create) => {
                    ensure_folder(&path, 0o700)?;
                }
                (Ok(None), Absent::Accept) => return Ok(None),
                // Not root, and root has made the folder: whoever can't look into it has never written there.
                (Err(Error::Io { source, .. }), Absent::Accept)
                    if source.kind() == ErrorKind::PermissionDenied =>
                {
                    return Ok(None);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(open_folder_at_path(&path)?.map(|folder| (folder, path.join(STATE))))
    }

    fn load_elsewhere(&self, place: &Place) -> Result<Option<Slots>> {
        let Some((folder, path)) = self.runtime_folder(place, Absent::Accept)? else { return Ok(None) };
        let Some((file, status)) = open_file(&folder, OsStr::new(STATE), &path, Mutability::ReadWrite)?
        else {
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
            None => slots::create(&folder, OsStr::new(STATE), state, &place.user, &path),
        }
    }

    /// The store can be written again and holds what `/run` held.
    fn remove_elsewhere(&self, place: &Place) -> Result<()> {
        match self.runtime_folder(place, Absent::Accept)? {
            Some((folder, path)) => remove(&folder, OsStr::new(STATE), &path),
            None => Ok(()),
        }
    }
}

impl Store for FileStore {
    fn key(&self) -> Result<&HostKey> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        match self.read_key()? {
            Some(key) => Ok(self.key.get_or_init(|| key)),
            None if self.has_accounts()? => Err(Error::KeyLost { path: self.key_path.clone() }),
            None => Err(Error::NoStore { path: self.key_path.clone() }),
        }
    }

    fn prepare(&self) -> Result<()> {
        ensure_folder(&self.root, 0o700)?;
        ensure_folder(&self.root.join("users"), 0o700)?;
        if self.read_key()?.is_none() {
            self.create_key()?;
        }
        Shard::all().try_for_each(|shard| self.create_decoy(shard))
    }

    fn update<T>(
        &self,
        account: Account<'_>,
        access: Access,
        mut decide: impl FnMut(&mut Record) -> Result<T>,
    ) -> Result<T> {
        let place = Place::of(account, access);
        let locked = match (self.lock_account(&place)?, access) {
            (Some(locked), _) => locked,
            (None, Access::Login) => return Err(Error::NotEnrolled),
            (None, Access::Change | Access::Repair) => self.create_account(&place)?,
        };
        let mut before = self.load(&locked, &place, access)?;
        let mut record = before.record.clone();
        let answer = decide(&mut record)?;
        match self.commit(&locked, &place, &before, &record) {
            // A disk that is full where overwriting needs space (btrfs, ZFS, thin volumes): decide again as on a read-only one.
            Err(error) if access == Access::Login && is_full(&error) => {
                before.record.durability = until_reboot();
                let mut record = before.record.clone();
                let answer = decide(&mut record)?;
                self.commit(&locked, &place, &before, &record)?;
                Ok(answer)
            }
            committed => committed.map(|()| answer),
        }
    }

    fn accounts(&self) -> Result<Vec<UserName>> {
        let path = self.root.join("users");
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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

/// Where an account's folder is, and how long it is worth waiting for.
struct Place {
    user: UserName,
    parent: &'static str,
    name: OsString,
    lock_wait: Duration,
}

impl Place {
    fn of(account: Account<'_>, access: Access) -> Self {
        match account {
            Account::User(user) => {
                Self { user: user.clone(), parent: "users", name: user.as_str().into(), lock_wait: LOCK_WAIT }
            }
            Account::Decoy(shard) => Self {
                user: UserName::decoy(),
                parent: "decoy",
                name: shard.name().into(),
                // Two who enroll first at the same time make the decoys: one after the other, as with any account.
                lock_wait: if access == Access::Login { DECOY_LOCK_WAIT } else { LOCK_WAIT },
            },
        }
    }
}

fn until_reboot() -> Durability {
    Durability::UntilReboot { booted: Timestamp::of_boot() }
}

fn is_full(error: &Error) -> bool {
    let Error::Io { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A record as it was read, with the open files that it can be written to.
struct Loaded {
    record: Record,
    slots: Option<Slots>,
    elsewhere: Option<Slots>,
    access: Access,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Accept,
    Create,
}

/// An account's folder, locked against every other process until this is dropped or its process dies.
struct Locked {
    folder: File,
    path: PathBuf,
    signals_before: SigSet,
}

impl Locked {
    /// Waits for the lock, but not for ever: a login that can't be decided is refused. Only a decoy's is done without.
    fn wait_for(folder: File, path: PathBuf, patience: Duration) -> Result<Self> {
        // Whoever sits at the terminal of a `su` must not stop it while it holds another account's lock. What ends it frees the lock.
        let mut stops = SigSet::empty();
        for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
            stops.add(signal);
        }
        let signals_before = stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed(&path))?;
        let locked = Self { folder, path, signals_before };
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match locked.folder.try_lock() {
                Ok(()) => return Ok(locked),
                Err(TryLockError::WouldBlock) if started.elapsed() < patience => sleep(pause),
                Err(TryLockError::WouldBlock) if patience == DECOY_LOCK_WAIT => return Ok(locked),
                Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: locked.path.clone() }),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(failed_io(&locked.path)(error)),
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the locked folder still has its name.
    fn is_still(&self, parent: impl AsFd, name: &OsStr) -> Result<bool> {
        let here = fstat(&self.folder).map_err(failed(&self.path))?;
        match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(failed(&self.path)(errno)),
        }
    }

    /// The state, opened for writing where that can be.
    fn load_slots(&self, user: &UserName, state_path: &Path) -> Result<(Option<Slots>, Durability)> {
        let open = |mutability| open_file(&self.folder, OsStr::new(STATE), state_path, mutability);
        let (opened, durability) = match open(Mutability::ReadWrite) {
            Err(Error::ReadOnly { .. }) => (open(Mutability::ReadOnly)?, until_reboot()),
            other => (other?, Durability::Kept),
        };
        let Some((file, status)) = opened else { return Ok((None, durability)) };
        check_private(&status, state_path)?;
        Ok((Some(Slots::load(file, &status, user, state_path)?), durability))
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
        let _ = self.signals_before.thread_set_mask();
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

//! The store as files: a folder per account, locked as a whole.
//!
//! ```text
//! /etc/pam-mfa/key                     the host key                          0400
//! /var/lib/pam-mfa/                                                          0700
//!     users/<name>/devices.toml        written at enrollment, by rename      0600
//!                  state               two slots, overwritten in place       0600
//!                  pending.toml        an enrollment waiting for its codes   0600
//!                  history             what happened to its devices          0600
//!     marks/<2>/<32>                   whose a seed or serial number is      0600
//!     decoy/<0..f>/{devices.toml,state}   nobody's accounts
//! /run/pam-mfa/<store>/{users/<name>,decoy/<0..f>}/state   states, while the store can't be written
//! ```

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::marks::Marks;
use super::slots::{self, Slots, create_file};
use super::trusted::{
    Mutability, Owners, check_private, failed, failed_io, open_file, open_folder, open_folder_at_path,
    open_host_store, text,
};
use super::{Access, Account, MarkTable, Pending, Record, Shard, Store};
use crate::clock::Timestamp;
use crate::devices::{Device, DeviceName, Devices, MAX_FILE_BYTES};
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::history::{Change, What};
use crate::otp::Profile;
use crate::seal::{HostKey, MAX_KEY_FILE_BYTES};
use crate::secret::Secret;
use crate::state::{DeviceState, State};
use crate::user_name::UserName;
use crate::verify::Durability;

const DEVICES: &str = "devices.toml";
const STATE: &str = "state";
const PENDING: &str = "pending.toml";

/// The folder of nobody's accounts.
const DECOYS: &str = "decoy";

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
    kind: Kind,
    pub(super) owners: Owners,
}

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The host's: below a folder of root's, so whoever it belongs to has it from root.
    System,
    /// Any other: it must belong to root or to the caller.
    Folder,
}

impl FileStore {
    /// The host's own store: `/var/lib/pam-mfa` with its key in `/etc/pam-mfa/key`.
    pub fn system() -> Self {
        Self::new("/var/lib/pam-mfa".into(), "/etc/pam-mfa/key".into(), Kind::System)
    }

    /// The same for a process that can't read the key file itself: `mfad`, which got the key when it was started.
    pub fn system_with_key(key: HostKey) -> Self {
        let store = Self::system();
        store.key.get_or_init(|| key);
        store
    }

    /// Another store: a folder with its key inside, as `--store DIR` and `store=DIR` name it.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let key_path = root.join("key");
        Self::new(root, key_path, Kind::Folder)
    }

    fn new(root: PathBuf, key_path: PathBuf, kind: Kind) -> Self {
        let owners = match kind {
            Kind::System => Owners::of_host_store(&root),
            Kind::Folder => Owners::default(),
        };
        let key = OnceCell::new();
        Self { root, key_path, runtime: "/run/pam-mfa".into(), key, kind, owners }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn open_root(&self) -> Result<File> {
        self.find_root()?.ok_or_else(|| Error::NoStore { path: self.root.clone() })
    }

    /// The store's folder, if it is there. The first time, whoever the host's store belongs to becomes its keeper.
    fn find_root(&self) -> Result<Option<File>> {
        if self.kind == Kind::Folder || self.owners.keeper.get().is_some() {
            return open_folder_at_path(&self.root, &self.owners);
        }
        open_host_store(&self.root, &self.owners)
    }

    /// Whether it can be believed that an account has no device: either all parts of the store are there, or it was never used.
    ///
    /// A store whose disk is not mounted, or whose key is gone, looks as empty as a new one.
    ///
    /// # Errors
    /// A part of it is missing.
    pub fn check_whole(&self) -> Result<()> {
        self.find_root()?;
        let missing =
            |path: PathBuf| Error::Corrupt { path, why: "it is missing: is its disk there?".to_owned() };
        let has_key = self.key.get().is_some() || self.read_key()?.is_some();
        let parts = ["users", DECOYS].map(|part| self.root.join(part));
        match parts.iter().find(|part| !part.is_dir()) {
            None if has_key => Ok(()),
            None => Err(Error::KeyLost { path: self.key_path.clone() }),
            // Another store has its key inside, and so nothing that would tell a lost one from a new one.
            Some(part) if has_key || self.kind == Kind::Folder => Err(missing(part.clone())),
            Some(_) => Ok(()),
        }
    }

    /// Gives the whole store to the system user that `mfad` runs as, and everything that root creates in it from now on.
    ///
    /// # Errors
    /// Not root, or something in the store can't be given away.
    pub fn give_to(&self, keeper: Uid, group: Gid) -> Result<()> {
        self.open_root()?;
        // The top first: whoever reads meanwhile trusts root's files and the keeper's.
        self.owners.keeper.set(Some((keeper, group)));
        let store = Hex(self.key()?.short_tag(&[b"runtime folder"])).to_string();
        for top in [self.root.clone(), self.runtime.join(store)] {
            give_away(AT_FDCWD, top.as_os_str(), &top, (keeper, group), MOST_LEVELS)?;
        }
        Ok(())
    }

    fn read_key(&self) -> Result<Option<HostKey>> {
        let Some((file, status)) = open_file(
            AT_FDCWD,
            self.key_path.as_os_str(),
            &self.key_path,
            Mutability::ReadOnly,
            &Owners::default(),
        )?
        else {
            return Ok(None);
        };
        check_private(&status, &self.key_path)?;
        HostKey::from_text(&text(&file, &status, &self.key_path, MAX_KEY_FILE_BYTES)?)
            .map(Some)
            .ok_or_else(|| Error::Corrupt { path: self.key_path.clone(), why: "it is not a key".to_owned() })
    }

    /// Whether any account has devices, or the stock may have tokens.
    fn has_accounts(&self) -> Result<bool> {
        let users = self.root.join("users");
        Ok(self.root.join(super::stock::PATH).exists()
            || self.accounts()?.iter().any(|user| users.join(user.as_str()).join(DEVICES).exists()))
    }

    /// A key under which nobody is enrolled yet.
    fn create_key(&self) -> Result<()> {
        // Two roots may enroll first at the same time: the first key wins, both use it.
        let _locked = Locked::wait_for(self.open_root()?, self.root.clone(), Patience::Bounded)?;
        if self.read_key()?.is_some() {
            return Ok(());
        }
        if self.has_accounts()? {
            return Err(Error::KeyLost { path: self.key_path.clone() });
        }
        let (Some(folder_path), Some(name)) = (self.key_path.parent(), self.key_path.file_name()) else {
            return Err(Error::NoStore { path: self.key_path.clone() });
        };
        // The key stays root's, whoever keeps the store.
        let owners = &Owners::default();
        let folder = ensure_folder_at_path(folder_path, 0o755, owners)?;
        let new_name = OsStr::new("key.new");
        let text = HostKey::generate()?.expose_text();
        write_new(&folder, new_name, text.as_bytes(), 0o400, &self.key_path, owners)?;
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
    fn lock_account(&self, root: &File, place: &Place) -> Result<Option<Locked>> {
        let parent_path = self.root.join(place.parent);
        let Some(parent) = open_folder(root, OsStr::new(place.parent), &parent_path, &self.owners)? else {
            return Ok(None);
        };
        loop {
            let path = parent_path.join(&place.name);
            let Some(folder) = open_folder(&parent, &place.name, &path, &self.owners)? else {
                return Ok(None);
            };
            let locked = Locked::wait_for(folder, path, place.patience)?;
            // Not for a decoy: nothing depends on which folder it was, and a login that comes to it has looked for an account before.
            if place.patience == Patience::OfADecoy || locked.is_still(&parent, &place.name)? {
                return Ok(Some(locked));
            }
            // Another folder has taken its place meanwhile, as when a backup is restored: that one counts.
        }
    }

    fn create_account(&self, root: &File, place: &Place) -> Result<Locked> {
        let path = self.root.join(place.parent);
        let parent = ensure_folder(root, OsStr::new(place.parent), &path, 0o700, &self.owners)?;
        let path = path.join(&place.name);
        ensure_folder(&parent, &place.name, &path, 0o700, &self.owners)?;
        self.lock_account(root, place)?.ok_or(Error::NoStore { path })
    }

    /// [`Store::update`] of the one account that is there, or not.
    fn update_one<T>(
        &self,
        root: &File,
        place: &Place,
        access: Access,
        decide: &mut impl FnMut(&mut Record) -> Result<T>,
    ) -> Result<T> {
        let locked = match (self.lock_account(root, place)?, access) {
            (Some(locked), _) => locked,
            (None, Access::Login) => return Err(Error::NotEnrolled),
            (None, Access::Change | Access::Repair) => self.create_account(root, place)?,
        };
        let mut before = self.load(&locked, place, access)?;
        let mut record = before.record.clone();
        let answer = decide(&mut record)?;
        match self.commit(&locked, place, &before, &record) {
            // A disk that is full where overwriting needs space (btrfs, ZFS, thin volumes): decide again as on a read-only one.
            Err(error) if access == Access::Login && is_full(&error) => {
                before.record.durability = until_reboot();
                let mut record = before.record.clone();
                let answer = decide(&mut record)?;
                self.commit(&locked, place, &before, &record)?;
                Ok(answer)
            }
            committed => committed.map(|()| answer),
        }
    }

    /// What is on disk, and in `/run`, of a locked account.
    fn load(&self, locked: &Locked, place: &Place, access: Access) -> Result<Loaded> {
        let user = &place.user;
        let devices = match locked.read(DEVICES, &self.owners)? {
            None => Devices::none(user),
            Some(text) => Devices::from_toml(&text, user).map_err(|why| locked.corrupt(DEVICES, why))?,
        };
        if access == Access::Login && !devices.can_answer() {
            return Err(Error::NotEnrolled);
        }
        let state_path = locked.path.join(STATE);
        let (slots, durability) = match locked.load_slots(user, &state_path, &self.owners) {
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
            Access::Change | Access::Repair => match locked.read(PENDING, &self.owners) {
                // A damaged pending record is worth nothing: a new enrollment replaces it.
                Ok(None) | Err(Error::Corrupt { .. }) => None,
                Ok(Some(text)) => Devices::from_toml(&text, user).ok().and_then(pending_in),
                Err(error) => return Err(error),
            },
        };
        let is_decoy = place.is_decoy();
        let record = Record { devices, state, pending, durability, notes: Vec::new(), is_decoy };
        Ok(Loaded { record, slots, elsewhere, access })
    }

    /// Makes the difference between `before` and `after` durable.
    ///
    /// The state comes before the devices: a state without its device is harmless, a device without its state is refused.
    fn commit(&self, locked: &Locked, place: &Place, before: &Loaded, after: &Record) -> Result<()> {
        let with_notes;
        let after = if after.notes.is_empty() {
            after
        } else {
            let mut noted = after.clone();
            self.number_notes(locked, &mut noted)?;
            with_notes = noted;
            &with_notes
        };
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
        if before.record.devices.changes != after.devices.changes && !before.record.devices.changes.is_empty()
        {
            super::history::append(locked, &before.record.devices.changes, &self.owners)?;
        }
        if devices_changed && before.access == Access::Repair {
            // The other way round here: until the new state is there the account stays refused, and what the repair puts out of use must
            // not come back with a state that knows nothing of it.
            locked.replace(DEVICES, &after.devices, &self.owners)?;
        }
        match &before.slots {
            Some(slots) if slots.state != state => slots.write(&state, &place.user, &state_path)?,
            // No state, or one that is being repaired.
            None if devices_changed || !state.devices.is_empty() => {
                let name = OsStr::new(STATE);
                slots::create(&locked.folder, name, &state, &place.user, &state_path, &self.owners)?;
                locked.sync()?;
            }
            Some(_) | None => {}
        }
        if before.elsewhere.is_some() || before.access == Access::Repair {
            self.remove_elsewhere(place)?;
        }
        if devices_changed && before.access != Access::Repair {
            locked.replace(DEVICES, &after.devices, &self.owners)?;
        }
        match &after.pending {
            pending if *pending == before.record.pending => Ok(()),
            None => {
                remove(&locked.folder, OsStr::new(PENDING), &locked.path.join(PENDING))?;
                locked.sync()
            }
            Some(pending) => locked.replace(PENDING, &pending_file(pending, &place.user), &self.owners),
        }
    }

    /// Puts what an update noted in the place of what the update before did, numbered on.
    fn number_notes(&self, locked: &Locked, record: &mut Record) -> Result<()> {
        // The file may be ahead, where an older secret file was put back: a number below its last would never come into it.
        let there = record.devices.changes.last().map_or(0, |change| change.number);
        let mut number = there.max(super::history::last_number(locked, &self.owners)?);
        for change in &mut record.notes {
            number = number.saturating_add(1);
            change.number = number;
        }
        record.devices.changes = std::mem::take(&mut record.notes);
        Ok(())
    }

    /// The folder in `/run` for an account's state while the store can't be written; none if there is none.
    fn runtime_folder(&self, place: &Place, absent: Absent) -> Result<Option<(File, PathBuf)>> {
        let mut path = self.runtime.clone();
        let store = Hex(self.key()?.short_tag(&[b"runtime folder"])).to_string();
        // It is root's and for all: the daemon's socket is in it. What lies below is this store's.
        let roots = Owners::default();
        let top = match absent {
            Absent::Create => ensure_folder_at_path(&path, 0o755, &roots).map(Some),
            Absent::Accept => open_folder_at_path(&path, &roots),
        };
        let mut opened = top;
        for part in [OsStr::new(&store), OsStr::new(place.parent), &place.name] {
            let parent = match (opened, absent) {
                (Ok(Some(parent)), _) => parent,
                (Ok(None), _) => return Ok(None),
                // Not root, and root has made the folder: whoever can't look into it has never written there.
                (Err(error), Absent::Accept) if is_denied(&error) => return Ok(None),
                (Err(error), _) => return Err(error),
            };
            path.push(part);
            opened = match absent {
                Absent::Create => ensure_folder(&parent, part, &path, 0o700, &self.owners).map(Some),
                Absent::Accept => open_folder(&parent, part, &path, &self.owners),
            };
        }
        match opened {
            Err(error) if absent == Absent::Accept && is_denied(&error) => Ok(None),
            opened => Ok(opened?.map(|folder| (folder, path.join(STATE)))),
        }
    }

    fn load_elsewhere(&self, place: &Place) -> Result<Option<Slots>> {
        let Some((folder, path)) = self.runtime_folder(place, Absent::Accept)? else { return Ok(None) };
        let Some((file, status)) =
            open_file(&folder, OsStr::new(STATE), &path, Mutability::ReadWrite, &self.owners)?
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
            None => slots::create(&folder, OsStr::new(STATE), state, &place.user, &path, &self.owners),
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
        self.find_root()?;
        let root = ensure_folder_at_path(&self.root, 0o700, &self.owners)?;
        ensure_folder(&root, OsStr::new("users"), &self.root.join("users"), 0o700, &self.owners)?;
        if self.key.get().is_none() && self.read_key()?.is_none() {
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
        let root = self.open_root()?;
        let mut update = |place: &Place| self.update_one(&root, place, access, &mut decide);
        let (user, shard) = match account {
            Account::User(user) => return update(&Place::of_user(user)),
            Account::Decoy(shard) => return update(&Place::of_decoy(shard, access)),
            Account::OrDecoy(user, shard) => (user, shard),
        };
        match user.map(|user| update(&Place::of_user(user))) {
            Some(Err(Error::NotEnrolled)) | None => {}
            Some(done) => return done,
        }
        update(&Place::of_decoy(shard, access)).map_err(|error| {
            // What is wrong with the store is so for everybody.
            let is_of_all = matches!(error, Error::NoStore { .. } | Error::KeyLost { .. });
            if is_of_all { error } else { Error::NotEnrolled }
        })
    }

    fn accounts(&self) -> Result<Vec<UserName>> {
        let path = self.root.join("users");
        let Some(root) = self.find_root()? else { return Ok(Vec::new()) };
        let Some(folder) = open_folder(&root, OsStr::new("users"), &path, &self.owners)? else {
            return Ok(Vec::new());
        };
        let names = names_in(folder, &path)?;
        let mut users: Vec<UserName> =
            names.iter().filter_map(|name| name.to_str().and_then(|name| name.parse().ok())).collect();
        users.sort_unstable();
        Ok(users)
    }

    fn history(&self, user: &UserName) -> Result<Vec<Change>> {
        let Some(locked) = self.lock_account(&self.open_root()?, &Place::of_user(user))? else {
            return Ok(Vec::new());
        };
        let mut changes = super::history::read(&locked, &self.owners)?;
        let last = changes.last().map_or(0, |change| change.number);
        let devices = match locked.read(DEVICES, &self.owners)? {
            None => Devices::none(user),
            Some(text) => Devices::from_toml(&text, user).map_err(|why| locked.corrupt(DEVICES, why))?,
        };
        changes.extend(devices.changes.into_iter().filter(|change| change.number > last));
        Ok(changes)
    }

    fn with_marks<T>(&self, work: impl FnOnce(&dyn MarkTable) -> Result<T>) -> Result<T> {
        let path = self.root.join("marks");
        let folder = ensure_folder(&self.open_root()?, OsStr::new("marks"), &path, 0o700, &self.owners)?;
        let locked = Locked::wait_for(folder, path.clone(), Patience::Bounded)?;
        work(&Marks::new(path, &self.owners, locked))
    }
}

/// Where an account's folder is, and how long it is worth waiting for.
struct Place {
    user: UserName,
    parent: &'static str,
    name: OsString,
    patience: Patience,
}

impl Place {
    fn of_user(user: &UserName) -> Self {
        Self { user: user.clone(), parent: "users", name: user.as_str().into(), patience: Patience::Bounded }
    }

    fn of_decoy(shard: Shard, access: Access) -> Self {
        Self {
            user: UserName::decoy(),
            parent: DECOYS,
            name: shard.name().into(),
            // Two who enroll first at the same time make the decoys: one after the other, as with any account.
            patience: if access == Access::Login { Patience::OfADecoy } else { Patience::Bounded },
        }
    }

    fn is_decoy(&self) -> bool {
        self.parent == DECOYS
    }
}

/// A key that waits has the form of an account of one device, whose one change says who was shown the key.
fn pending_file(pending: &Pending, user: &UserName) -> Devices {
    let Pending { device, shown_to } = pending;
    let begun = Timestamp::from_unix_seconds(device.enrolled_at);
    let change = |by| Change::of_device(What::Enrolled, device, begun, by);
    let mut file = Devices::none(user);
    file.list.push(device.clone());
    file.changes.extend(shown_to.as_ref().map(change));
    file
}

fn pending_in(mut file: Devices) -> Option<Pending> {
    Some(Pending { device: file.list.pop()?, shown_to: file.changes.pop().map(|change| change.by) })
}

fn until_reboot() -> Durability {
    Durability::UntilReboot { booted: Timestamp::of_boot() }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
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

/// How long a lock is waited for, and what comes then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// [`LOCK_WAIT`], then the request fails.
    Bounded,
    /// [`DECOY_LOCK_WAIT`], then it goes on without the lock.
    OfADecoy,
}

/// An account's folder, locked against every other process until this is dropped or its process dies.
pub(super) struct Locked {
    pub(super) folder: File,
    pub(super) path: PathBuf,
    signals_before: SigSet,
}

impl Locked {
    /// Waits for the lock, but not for ever: a login that can't be decided is refused. Only a decoy's is done without.
    pub(super) fn wait_for(folder: File, path: PathBuf, patience: Patience) -> Result<Self> {
        let wait = match patience {
            Patience::Bounded => LOCK_WAIT,
            Patience::OfADecoy => DECOY_LOCK_WAIT,
        };
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
                Err(TryLockError::WouldBlock) if started.elapsed() < wait => sleep(pause),
                Err(TryLockError::WouldBlock) => match patience {
                    Patience::OfADecoy => return Ok(locked),
                    Patience::Bounded => return Err(Error::Busy { path: locked.path.clone() }),
                },
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
    fn load_slots(
        &self,
        user: &UserName,
        state_path: &Path,
        owners: &Owners,
    ) -> Result<(Option<Slots>, Durability)> {
        let open = |mutability| open_file(&self.folder, OsStr::new(STATE), state_path, mutability, owners);
        let (opened, durability) = match open(Mutability::ReadWrite) {
            Err(Error::ReadOnly { .. }) => (open(Mutability::ReadOnly)?, until_reboot()),
            other => (other?, Durability::Kept),
        };
        let Some((file, status)) = opened else { return Ok((None, durability)) };
        check_private(&status, state_path)?;
        Ok((Some(Slots::load(file, &status, user, state_path)?), durability))
    }

    fn read(&self, name: &str, owners: &Owners) -> Result<Option<zeroize::Zeroizing<String>>> {
        let path = self.path.join(name);
        let Some((file, status)) =
            open_file(&self.folder, OsStr::new(name), &path, Mutability::ReadOnly, owners)?
        else {
            return Ok(None);
        };
        check_private(&status, &path)?;
        text(&file, &status, &path, MAX_FILE_BYTES).map(Some)
    }

    fn replace(&self, name: &str, devices: &Devices, owners: &Owners) -> Result<()> {
        let text = devices.to_toml()?;
        replace_file(&self.folder, name, text.as_bytes(), &self.path.join(name), owners)
    }

    pub(super) fn sync(&self) -> Result<()> {
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

/// Write new, fsync, rename, fsync of the folder: the old file or the new one, at every moment.
pub(super) fn replace_file(
    folder: &File,
    name: &str,
    bytes: &[u8],
    path: &Path,
    owners: &Owners,
) -> Result<()> {
    let new_name = format!("{name}.new");
    let new_name = OsStr::new(&new_name);
    write_new(folder, new_name, bytes, 0o600, path, owners)?;
    renameat(folder, new_name, folder, name).map_err(failed(path))?;
    folder.sync_all().map_err(failed_io(path))
}

/// Creates and fills a file, and waits until it is on disk. A left-over of a killed process is replaced; on failure nothing is left.
pub(super) fn write_new(
    folder: impl AsFd,
    name: &OsStr,
    bytes: &[u8],
    mode: u32,
    path: &Path,
    owners: &Owners,
) -> Result<()> {
    slots::check_size_limit(path, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    remove(&folder, name, path)?;
    let mut file = create_file(&folder, name, mode, path, owners)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed_io(path));
    if written.is_err() {
        remove(&folder, name, path)?;
    }
    written
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove(folder: impl AsFd, name: &OsStr, path: &Path) -> Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(failed(path)(errno)),
    }
}

/// Opens a folder below `parent`, and creates it with exactly `mode` where it is missing.
///
/// The keeper, whom somebody may have taken over, can change the store while root works in it. So nothing in it is reached by a path, in which a
/// symbolic link could have taken the place of a folder.
pub(super) fn ensure_folder(
    parent: &File,
    name: &OsStr,
    path: &Path,
    mode: u32,
    owners: &Owners,
) -> Result<File> {
    if let Some(folder) = open_folder(parent, name, path, owners)? {
        return Ok(folder);
    }
    let mode = Mode::from_bits_truncate(mode);
    match mkdirat(parent, name, mode) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(path)(errno)),
    }
    let folder =
        open_folder(parent, name, path, owners)?.ok_or_else(|| Error::NoStore { path: path.to_owned() })?;
    fchmod(&folder, mode).map_err(failed(path))?;
    owners.hand_over(&folder, path)?;
    parent.sync_all().map_err(failed_io(path.parent().unwrap_or(path)))?;
    Ok(folder)
}

/// The same for a folder that lies in nobody's store.
fn ensure_folder_at_path(path: &Path, mode: u32, owners: &Owners) -> Result<File> {
    if let Some(folder) = open_folder_at_path(path, owners)? {
        return Ok(folder);
    }
    let name = path.file_name().ok_or_else(|| Error::NoStore { path: path.to_owned() })?;
    let parent_path = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = File::open(parent_path).map_err(failed_io(parent_path))?;
    ensure_folder(&parent, name, path, mode, owners)
}

/// What is in a folder.
fn names_in(folder: File, path: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(folder.into()).map_err(failed(path))?.iter() {
        let entry = entry.map_err(failed(path))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// How deep a store is: `users/<name>/<file>`.
const MOST_LEVELS: u8 = 3;

/// Gives a folder of the store, and the folders and files in it, to somebody; `levels` deep.
///
/// It may be the keeper's already, and change meanwhile: see [`ensure_folder`]. What is no folder and no file, or has a second name that may be
/// elsewhere, stays whose it is; whoever opens it refuses it.
fn give_away(
    parent: impl AsFd,
    name: &OsStr,
    path: &Path,
    (keeper, group): (Uid, Gid),
    levels: u8,
) -> Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = match openat(parent, name, flags, Mode::empty()) {
        Ok(found) => found,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(failed(path)(errno)),
    };
    let status = fstat(&found).map_err(failed(path))?;
    let kind = status.st_mode & SFlag::S_IFMT.bits();
    let is_folder = kind == SFlag::S_IFDIR.bits();
    if !is_folder && (kind != SFlag::S_IFREG.bits() || status.st_nlink != 1) {
        return Ok(());
    }
    fchownat(&found, "", Some(keeper), Some(group), AtFlags::AT_EMPTY_PATH).map_err(failed(path))?;
    let Some(levels) = levels.checked_sub(1).filter(|_| is_folder) else { return Ok(()) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = File::from(openat(&found, ".", flags, Mode::empty()).map_err(failed(path))?);
    let again = folder.try_clone().map_err(failed_io(path))?;
    for name in names_in(again, path)? {
        give_away(&folder, &name, &path.join(&name), (keeper, group), levels)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use nix::unistd::setfsuid;

    use super::*;

    /// A store of its own, with its folder for a disk that is read-only beside it.
    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = folder.path().join("run");
        let store = FileStore { runtime, ..FileStore::at(folder.path().join("store")) };
        store.prepare().unwrap();
        (folder, store)
    }

    fn place() -> Place {
        Place::of_decoy(Shard::of([0; 8]), Access::Change)
    }

    fn change(store: &FileStore, access: Access, mut change: impl FnMut(&mut Record)) -> Result<State> {
        let mut decide = |record: &mut Record| {
            change(record);
            Ok(record.state.clone())
        };
        store.update_one(&store.open_root()?, &place(), access, &mut decide)
    }

    fn sources(store: &FileStore) -> Vec<u8> {
        let state = change(store, Access::Change, |_| {}).unwrap();
        state.known_sources.iter().map(|source| source.0[0]).collect()
    }

    fn remember(store: &FileStore, number: u8) {
        change(store, Access::Change, |record| record.state.remember(Hex([number; 8]))).unwrap();
    }

    /// What a change does while the disk is read-only.
    fn change_read_only(store: &FileStore, change: impl FnOnce(&mut Record)) -> Result<()> {
        let locked = store.lock_account(&store.open_root()?, &place())?.unwrap();
        let mut before = store.load(&locked, &place(), Access::Change)?;
        before.record.durability = until_reboot();
        let mut after = before.record.clone();
        change(&mut after);
        store.commit(&locked, &place(), &before, &after)
    }

    /// Where the copy in `/run` is.
    fn copy(store: &FileStore) -> PathBuf {
        store.runtime_folder(&place(), Absent::Accept).unwrap().unwrap().1
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_hosts_own_store_has_a_keeper_and_no_other_has() {
        let (folder, other) = store();
        let root = folder.path().join("store");
        assert!(other.find_root().unwrap().is_some());
        assert_eq!(other.owners.keeper.get(), None);
        let host = FileStore::new(root.clone(), root.join("key"), Kind::System);
        assert!(host.find_root().unwrap().is_some());
        let keeper = host.owners.keeper.get().map(|(keeper, _)| keeper);
        assert_eq!(keeper, Some(nix::unistd::geteuid()));
    }

    #[test]
    fn a_store_that_has_lost_a_part_is_not_whole_and_one_that_was_never_used_is() {
        let (folder, _) = store();
        let root = folder.path().join("store");
        let hosts = || FileStore::new(root.clone(), root.join("key"), Kind::System);
        let others = || FileStore::at(&root);
        let lose = |part: &str| fs::rename(root.join(part), folder.path().join(part)).unwrap();
        let find = |part: &str| fs::rename(folder.path().join(part), root.join(part)).unwrap();
        assert!(hosts().check_whole().is_ok() && others().check_whole().is_ok());
        for part in ["users", DECOYS] {
            lose(part);
            for store in [hosts(), others()] {
                assert!(matches!(store.check_whole(), Err(Error::Corrupt { .. })), "{part}");
            }
            find(part);
        }
        lose("key");
        assert!(matches!(hosts().check_whole(), Err(Error::KeyLost { .. })));
        assert!(matches!(others().check_whole(), Err(Error::KeyLost { .. })));
        let mfads = hosts();
        mfads.key.get_or_init(|| HostKey::generate().unwrap());
        assert!(mfads.check_whole().is_ok(), "mfad can't read the key, and has it");
        mfads.prepare().unwrap();
        assert!(!root.join("key").exists(), "and makes no other");
        lose("users");
        assert!(matches!(mfads.check_whole(), Err(Error::Corrupt { .. })));
        assert!(hosts().check_whole().is_ok(), "no key and no accounts: nobody has enrolled yet");
        assert!(others().check_whole().is_err(), "it may have been elsewhere, with its key");
    }

    #[test]
    fn of_the_copy_in_run_and_the_state_on_disk_the_later_one_counts() {
        let (_folder, store) = store();
        remember(&store, 1);
        change_read_only(&store, |record| record.state.remember(Hex([2; 8]))).unwrap();
        let copy = copy(&store);
        let stale = fs::read(&copy).unwrap();
        assert_eq!(sources(&store), [2, 1], "the copy is the later one");

        // The disk can be written again, and whoever wrote there was killed before the copy was gone.
        remember(&store, 3);
        assert!(!copy.exists(), "what it held is on the disk");
        fs::write(&copy, stale).unwrap();
        set_mode(&copy, 0o600);
        assert_eq!(sources(&store), [3, 2, 1], "the state on disk is the later one");
    }

    #[test]
    fn a_read_only_disk_lets_no_device_change_and_nothing_is_copied_without_need() {
        let (_folder, store) = store();
        let removal = change_read_only(&store, |record| record.devices.list.clear());
        assert!(matches!(removal, Err(Error::ReadOnly { .. })), "{removal:?}");
        let seed = Secret::random(20).unwrap();
        let (user, name) = (place().user, "other".parse().unwrap());
        let epoch = Timestamp::from_unix_seconds(0);
        let device = Device::seal(store.key().unwrap(), &user, name, Profile::PLAIN, &seed, epoch).unwrap();
        let pending = Some(Pending { device, shown_to: None });
        let begun = change_read_only(&store, |record| record.pending = pending);
        assert!(matches!(begun, Err(Error::ReadOnly { .. })), "{begun:?}");
        change_read_only(&store, |_| {}).unwrap();
        assert!(store.runtime_folder(&place(), Absent::Accept).unwrap().is_none());
    }

    #[test]
    fn a_damaged_copy_in_run_refuses_until_a_repair_takes_it_away() {
        let (_folder, store) = store();
        change_read_only(&store, |record| record.state.remember(Hex([2; 8]))).unwrap();
        let copy = copy(&store);
        fs::write(&copy, "garbage").unwrap();
        for access in [Access::Login, Access::Change] {
            assert!(matches!(change(&store, access, |_| {}), Err(Error::Corrupt { .. })));
        }
        change(&store, Access::Repair, |_| {}).unwrap();
        assert!(!copy.exists());
        change(&store, Access::Login, |_| {}).unwrap();
    }

    #[test]
    fn a_folder_in_run_that_others_can_write_refuses_and_one_that_is_closed_holds_nothing() {
        let (folder, store) = store();
        set_mode(folder.path(), 0o755);
        change_read_only(&store, |record| record.state.remember(Hex([2; 8]))).unwrap();
        let state = copy(&store);
        let folders: Vec<&Path> = state.ancestors().skip(1).take(4).collect();
        // As root's folders are that anybody may look into; who is root sees through any mode.
        for folder in &folders {
            set_mode(folder, 0o755);
        }
        for folder in folders {
            set_mode(folder, 0o777);
            let read = store.load_elsewhere(&place());
            assert!(matches!(read, Err(Error::Untrusted { .. })), "{}", folder.display());
            set_mode(folder, 0);
            // For this thread alone.
            let before = setfsuid(Uid::from_raw(65_534));
            let (read, written) =
                (store.load_elsewhere(&place()), store.runtime_folder(&place(), Absent::Create));
            setfsuid(before);
            set_mode(folder, 0o755);
            assert!(read.unwrap().is_none(), "{}", folder.display());
            assert!(written.is_err(), "{}", folder.display());
        }
        assert!(store.load_elsewhere(&place()).unwrap().is_some());
    }

    #[test]
    fn a_login_of_nobodys_goes_on_without_a_lock_that_somebody_holds() {
        let (_folder, store) = store();
        let root = store.open_root().unwrap();
        let _held = store.lock_account(&root, &place()).unwrap().unwrap();
        let decoy = Place::of_decoy(Shard::of([0; 8]), Access::Login);
        let began = Instant::now();
        store.update_one(&root, &decoy, Access::Login, &mut |_| Ok(())).unwrap();
        assert!(began.elapsed() >= DECOY_LOCK_WAIT);
    }

    #[test]
    fn a_lock_that_can_t_be_had_at_all_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let opened = openat(AT_FDCWD, folder.path(), flags, Mode::empty()).unwrap();
        let locked = Locked::wait_for(File::from(opened), folder.path().to_owned(), Patience::Bounded);
        assert!(matches!(locked, Err(Error::Io { .. })));
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let of = |errno| is_full(&failed(Path::new("state"))(errno));
        assert!(of(Errno::ENOSPC) && of(Errno::EDQUOT));
        assert!(!of(Errno::EIO) && !of(Errno::EROFS) && !is_full(&Error::NotEnrolled));
    }

    #[test]
    fn a_change_of_the_state_alone_does_not_write_the_devices() {
        let (folder, store) = store();
        let devices = folder.path().join("store").join(DECOYS).join(&place().name).join(DEVICES);
        let before = fs::metadata(&devices).unwrap().ino();
        remember(&store, 1);
        assert_eq!(fs::metadata(&devices).unwrap().ino(), before);
    }
}

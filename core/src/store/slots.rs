//! The state file: two slots that are overwritten in turn, in place.
//!
//! Overwriting blocks that hold written data needs no free space and no journal commit, so a full disk locks nobody out. A write that
//! is torn by a crash leaves the other slot, which is the state before it; and before the write is synced nobody was told anything.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{FileStat, Mode, fchmod};

use super::trusted::{Owners, failed, failed_io};
use crate::error::{Error, Result};
use crate::state::{STATE_BYTES, State};
use crate::user_name::UserName;

/// The bytes of a slot: a block of every file system in use, so that a torn write can't reach the other slot.
const SLOT_BYTES: usize = 4096;

/// The bytes of a state file.
pub(super) const FILE_BYTES: u64 = 8192;

/// The bytes of a state file from its start to the end of the state in its second slot.
const OLDER_OR_NEWER: usize = SLOT_BYTES + STATE_BYTES;

/// An opened state file and what it holds.
pub(super) struct Slots {
    file: File,
    /// The number of the slot that holds `state`.
    sequence: u64,
    /// The newer of the two slots that are whole.
    pub(super) state: State,
}

impl Slots {
    /// Reads both slots of an opened state file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if neither is whole.
    pub(super) fn load(file: File, status: &FileStat, user: &UserName, path: &Path) -> Result<Self> {
        let corrupt = |why: &str| Error::Corrupt { path: path.to_owned(), why: why.to_owned() };
        if u64::try_from(status.st_size) != Ok(FILE_BYTES) {
            return Err(corrupt("it has not 8192 bytes"));
        }
        let mut bytes = [0; OLDER_OR_NEWER];
        file.read_exact_at(&mut bytes, 0).map_err(failed_io(path))?;
        let (Some(first), Some(second)) = (bytes.first_chunk(), bytes.last_chunk()) else {
            return Err(corrupt("it has not 8192 bytes"));
        };
        let mut slots = [(0, first), (1, second)];
        // The one that says it is newer, if it is whole: to check the other one too would cost as much again and change nothing.
        if State::claimed_sequence(second) > State::claimed_sequence(first) {
            slots.reverse();
        }
        let newest = slots.into_iter().find_map(|(index, bytes)| {
            // A slot copied over the other one must not count twice.
            State::from_bytes(bytes, user).filter(|(_, sequence)| sequence % 2 == index)
        });
        let (state, sequence) = newest.ok_or_else(|| corrupt("neither of its slots is whole"))?;
        Ok(Self { file, sequence, state })
    }

    /// Writes `state` over the older slot and waits until it is on disk.
    pub(super) fn write(&self, state: &State, user: &UserName, path: &Path) -> Result<()> {
        let sequence = self.sequence.checked_add(1).ok_or_else(|| too_large(path))?;
        check_size_limit(path, FILE_BYTES)?;
        let slot = slot_bytes(state, user, sequence).ok_or_else(|| too_large(path))?;
        self.file.write_all_at(&slot, offset_of(sequence)).map_err(failed_io(path))?;
        self.file.sync_data().map_err(failed_io(path))
    }
}

/// Creates a state file that holds `state`, all its blocks written, and gives it its name only when it is on disk.
///
/// The caller syncs the folder.
pub(super) fn create(
    folder: impl AsFd,
    name: &OsStr,
    state: &State,
    user: &UserName,
    path: &Path,
    owners: &Owners,
) -> Result<()> {
    let mut new_name = name.to_owned();
    new_name.push(".new");
    let mut bytes = slot_bytes(state, user, 0).ok_or_else(|| too_large(path))?.to_vec();
    bytes.resize(2 * SLOT_BYTES, 0);
    super::files::write_new(&folder, &new_name, &bytes, 0o600, path, owners)?;
    renameat(&folder, new_name.as_os_str(), &folder, name).map_err(failed(path))
}

fn slot_bytes(state: &State, user: &UserName, sequence: u64) -> Option<[u8; SLOT_BYTES]> {
    let mut slot = [0; SLOT_BYTES];
    slot.first_chunk_mut::<STATE_BYTES>()?.copy_from_slice(&state.to_bytes(user, sequence)?);
    Some(slot)
}

/// Sequence numbers take the slots in turn.
fn offset_of(sequence: u64) -> u64 {
    if sequence.is_multiple_of(2) { 0 } else { FILE_BYTES / 2 }
}

/// Beyond RLIMIT_FSIZE a write would kill the host program with SIGXFSZ; this asks first.
pub(super) fn check_size_limit(path: &Path, bytes: u64) -> Result<()> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(failed(path))?;
    if soft < bytes {
        return Err(Error::Io { path: path.to_owned(), source: nix::errno::Errno::EFBIG.into() });
    }
    Ok(())
}

fn too_large(path: &Path) -> Error {
    Error::Corrupt { path: path.to_owned(), why: "its state does not fit a slot".to_owned() }
}

/// Creates `name` with exactly `mode`, whatever the umask is; fails if it exists.
pub(super) fn create_file(
    folder: impl AsFd,
    name: &OsStr,
    mode: u32,
    path: &Path,
    owners: &Owners,
) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(mode);
    let file = File::from(openat(folder, name, flags, mode).map_err(failed(path))?);
    fchmod(&file, mode).map_err(failed(path))?;
    owners.hand_over(&file, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn a_file_is_made_where_nothing_is_and_no_child_inherits_it() {
        let folder = tempfile::tempdir().unwrap();
        let opened = File::open(folder.path()).unwrap();
        let create =
            |name: &str| create_file(&opened, OsStr::new(name), 0o600, folder.path(), &Owners::default());
        let file = create("new").unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let flags = FdFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));

        assert!(create("new").is_err(), "it is there");
        let elsewhere = folder.path().join("elsewhere");
        symlink(&elsewhere, folder.path().join("link")).unwrap();
        assert!(create("link").is_err(), "a link is there, though it leads to nothing");
        assert!(!elsewhere.exists());
    }
}

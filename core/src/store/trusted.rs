//! Opening files and folders that nobody else could have written.
//!
//! Nothing is followed, nothing blocks, and every check is made on the open descriptor.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, geteuid};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Whose files are trusted: root's, the caller's own, and those of the store's keeper.
///
/// The host's own store may belong to the system user that `mfad` runs as; only root can have given it away. What root creates there is given
/// to the keeper too, or the daemon could not use it.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The user and group that the store's folder belongs to.
    pub(super) keeper: Cell<Option<(Uid, Gid)>>,
    /// The folder whose owner is its keeper; none where there can be no keeper.
    host_store: Option<PathBuf>,
}

impl Owners {
    /// Of the host's own store, in this folder: whoever it belongs to has it from root, if what it lies in is root's.
    pub(super) fn of_host_store(folder: &Path) -> Self {
        Self { keeper: Cell::new(None), host_store: Some(folder.to_owned()) }
    }

    fn trusts(&self, uid: u32) -> bool {
        let is_keepers = || self.keeper.get().is_some_and(|(keeper, _)| keeper.as_raw() == uid);
        uid == 0 || uid == geteuid().as_raw() || is_keepers() || (self.keeper_has_changed() && is_keepers())
    }

    /// Looks again whom the host's store belongs to: `mfad` may be taking it over just now, the top first.
    fn keeper_has_changed(&self) -> bool {
        let Some(path) = self.host_store.as_deref().filter(|_| self.keeper.get().is_some()) else {
            return false;
        };
        let before = self.keeper.get();
        let _ = open_host_store(path, self);
        self.keeper.get() != before
    }

    /// Gives something that root has created to the keeper.
    pub(super) fn hand_over(&self, created: impl AsFd, path: &Path) -> Result<()> {
        // Whoever gives the store away comes by everything that was there when its top still was root's.
        if self.keeper.get().is_some_and(|(keeper, _)| keeper.is_root()) {
            self.keeper_has_changed();
        }
        match self.keeper.get().filter(|(keeper, _)| geteuid().is_root() && !keeper.is_root()) {
            Some((keeper, group)) => fchown(created, Some(keeper), Some(group)).map_err(failed(path)),
            None => Ok(()),
        }
    }
}

/// Maps a failed system call on `path` to an error.
pub(super) fn failed(path: &Path) -> impl Fn(Errno) -> Error {
    move |errno| {
        let path = path.to_owned();
        if errno == Errno::EROFS {
            Error::ReadOnly { path }
        } else {
            Error::Io { path, source: errno.into() }
        }
    }
}

/// Maps a failed operation of the standard library on `path` to an error.
pub(super) fn failed_io(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// Opens a folder below `parent`. None if it does not exist.
///
/// # Errors
/// [`Error::Untrusted`] if it is no folder, belongs to neither root nor the caller, or others may write to it.
pub(super) fn open_folder(
    parent: impl AsFd,
    name: &OsStr,
    path: &Path,
    owners: &Owners,
) -> Result<Option<File>> {
    open_folder_of(parent, name, path, |_| owners)
}

/// The same where only the folder itself tells whose it may be.
pub(super) fn open_folder_of<'a>(
    parent: impl AsFd,
    name: &OsStr,
    path: &Path,
    owners: impl FnOnce(&FileStat) -> &'a Owners,
) -> Result<Option<File>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = match openat(parent, name, flags, Mode::empty()) {
        Ok(folder) => File::from(folder),
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            return Err(Error::Untrusted {
                path: path.to_owned(),
                why: "is not a folder (symbolic links are not followed)",
            });
        }
        Err(errno) => return Err(failed(path)(errno)),
    };
    let status = fstat(&folder).map_err(failed(path))?;
    check_owner(&status, path, owners(&status))?;
    if status.st_mode & 0o022 != 0 {
        return Err(Error::Untrusted { path: path.to_owned(), why: "may be written by others: chmod go-w" });
    }
    Ok(Some(folder))
}

/// Opens the host's own store; whoever it belongs to becomes its keeper. None if it does not exist.
///
/// # Errors
/// As [`open_folder`], and if the folder it lies in is not root's: only root can have given away what lies there.
pub(super) fn open_host_store(path: &Path, owners: &Owners) -> Result<Option<File>> {
    let (parent, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let Some(parent) = open_folder_at_path(parent, &Owners::default())? else { return Ok(None) };
    open_folder_of(&parent, name, path, |status| {
        owners.keeper.set(Some((Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid))));
        owners
    })
}

/// Opens a folder by its path; see [`open_folder`].
pub(super) fn open_folder_at_path(path: &Path, owners: &Owners) -> Result<Option<File>> {
    open_folder(AT_FDCWD, path.as_os_str(), path, owners)
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutability {
    ReadOnly,
    ReadWrite,
}

/// Opens a private file below `folder`. None if it does not exist.
///
/// # Errors
/// [`Error::Untrusted`] if it is not a regular file with one name that belongs to root or the caller and that nobody else may read
/// or write; [`Error::ReadOnly`] for [`Mutability::ReadWrite`] on a read-only file system.
pub(super) fn open_file(
    folder: impl AsFd,
    name: &OsStr,
    path: &Path,
    mutability: Mutability,
    owners: &Owners,
) -> Result<Option<(File, FileStat)>> {
    let access = match mutability {
        Mutability::ReadOnly => OFlag::O_RDONLY,
        Mutability::ReadWrite => OFlag::O_RDWR,
    };
    // A FIFO must not block the login, a terminal must not become its controlling one.
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => {
            return Err(Error::Untrusted { path: path.to_owned(), why: "is a symbolic link" });
        }
        Err(Errno::EISDIR | Errno::ENXIO) => {
            return Err(Error::Untrusted { path: path.to_owned(), why: "is not a file" });
        }
        Err(errno) => return Err(failed(path)(errno)),
    };
    let status = fstat(&file).map_err(failed(path))?;
    if status.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(Error::Untrusted { path: path.to_owned(), why: "is not a file" });
    }
    check_owner(&status, path, owners)?;
    Ok(Some((file, status)))
}

/// Refuses a file that others may read or write, or that has a second name somewhere.
pub(super) fn check_private(status: &FileStat, path: &Path) -> Result<()> {
    if status.st_mode & 0o077 != 0 {
        return Err(Error::Untrusted { path: path.to_owned(), why: "is open to others: chmod go=" });
    }
    if status.st_nlink != 1 {
        return Err(Error::Untrusted { path: path.to_owned(), why: "has more than one name (hard link)" });
    }
    Ok(())
}

fn check_owner(status: &FileStat, path: &Path, owners: &Owners) -> Result<()> {
    if owners.trusts(status.st_uid) {
        return Ok(());
    }
    // Root's files, seen from a user namespace without root: for this process the store is closed, and not badly protected.
    let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if may_be_roots(status.st_uid, &uid_map) {
        return Err(failed(path)(Errno::EACCES));
    }
    Err(Error::Untrusted { path: path.to_owned(), why: "belongs to another user: it must be root's" })
}

/// What the kernel shows for an owner who has no number in this user namespace (user_namespaces(7)).
const OVERFLOW_UID: u32 = 65_534;

/// Whether this owner has no number here, as others on the host have none either, by `/proc/self/uid_map`.
fn may_be_roots(uid: u32, uid_map: &str) -> bool {
    uid == OVERFLOW_UID && !uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The text of an opened file of at most `limit` bytes, in memory that wipes itself.
pub(super) fn text(file: &File, status: &FileStat, path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    let corrupt = |why: &str| Error::Corrupt { path: path.to_owned(), why: why.to_owned() };
    let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    if size > limit {
        return Err(corrupt("it is far too large"));
    }
    // One allocation of the right size: growing would leave copies behind.
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(limit.min(size.saturating_add(1))).unwrap_or(0)));
    file.take(size).read_to_end(&mut bytes).map_err(failed_io(path))?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        corrupt("it is not UTF-8")
    })
}

/// The text of a file that root wrote and nobody else may write, such as policy.toml; reading it is no secret.
///
/// None if it does not exist. A symbolic link is not followed.
///
/// # Errors
/// As for the files of a store, but others may read it.
pub fn read_text(path: &Path, limit: u64) -> Result<Option<Zeroizing<String>>> {
    let Some((file, status)) =
        open_file(AT_FDCWD, path.as_os_str(), path, Mutability::ReadOnly, &Owners::default())?
    else {
        return Ok(None);
    };
    if status.st_mode & 0o022 != 0 {
        return Err(Error::Untrusted { path: path.to_owned(), why: "may be written by others: chmod go-w" });
    }
    text(&file, &status, path, limit).map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn the_first_user_namespace_alone_has_a_number_for_everybody() {
        assert!(!may_be_roots(OVERFLOW_UID, "         0          0 4294967295\n"));
        for map in ["         0       1000          1\n", "0 0 1\n1 1 4294967294\n", "1000 1000 1\n", ""] {
            assert!(may_be_roots(OVERFLOW_UID, map), "{map}");
            assert!(!may_be_roots(1000, map), "{map}");
        }
    }

    #[test]
    fn a_store_that_is_given_away_meanwhile_is_looked_at_again_and_nobody_else_is_trusted() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        fs::create_dir(&folder).unwrap();
        let stranger = 4_000_000_000;
        let learnt_before = Some((Uid::from_raw(stranger - 1), Gid::from_raw(stranger - 1)));
        let owners = Owners::of_host_store(&folder);
        assert!(!owners.keeper_has_changed(), "who has not looked yet can't be mistaken");
        owners.keeper.set(learnt_before);
        assert!(!owners.trusts(stranger));
        assert_eq!(owners.keeper.get().map(|(keeper, _)| keeper), Some(geteuid()), "it was looked at again");
        assert!(!owners.keeper_has_changed());
        owners.keeper.set(learnt_before);
        assert!(owners.keeper_has_changed());

        // Another store has no keeper to learn.
        let owners = Owners::default();
        owners.keeper.set(learnt_before);
        assert!(!owners.trusts(stranger) && owners.keeper.get() == learnt_before);
    }

    #[test]
    fn what_root_creates_is_the_keepers_and_what_another_creates_stays_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        let owner = || fstat(&file).map(|status| (status.st_uid, status.st_gid)).unwrap();
        let before = owner();
        let owners = Owners::default();
        let hand_over = |uid: u32, gid: u32| {
            owners.keeper.set(Some((Uid::from_raw(uid), Gid::from_raw(gid))));
            owners.hand_over(&file, &path).unwrap();
            owner()
        };
        assert_eq!(hand_over(0, 4_000_000_000), before, "root's own store");
        let keeper = (4_000_000_001, 4_000_000_001);
        let expected = if geteuid().is_root() { keeper } else { before };
        assert_eq!(hand_over(keeper.0, keeper.1), expected);
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_trusted() {
        let file = tempfile::tempfile().unwrap();
        let mut status = fstat(&file).unwrap();
        let check = |status: &FileStat| check_owner(status, Path::new("state"), &Owners::default());
        assert!(check(&status).is_ok());
        status.st_uid = 0;
        assert!(check(&status).is_ok());
        status.st_uid = 4_000_000_000;
        assert!(matches!(check(&status), Err(Error::Untrusted { .. })));
    }

    #[test]
    fn a_text_is_read_whole_up_to_its_limit_and_only_where_nobody_else_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(read_text(&path, 6).unwrap().is_none());
        fs::write(&path, "a = 1\n").unwrap();
        assert_eq!(read_text(&path, 6).unwrap().unwrap().as_str(), "a = 1\n");
        assert!(matches!(read_text(&path, 5), Err(Error::Corrupt { .. })));
        fs::write(&path, b"\xff").unwrap();
        assert!(matches!(read_text(&path, 6), Err(Error::Corrupt { .. })));
        fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        assert!(matches!(read_text(&path, 6), Err(Error::Untrusted { .. })));
    }

    #[test]
    fn what_is_no_folder_is_not_opened_as_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("name");
        let open = || open_folder(AT_FDCWD, path.as_os_str(), &path, &Owners::default());
        assert!(open().unwrap().is_none());
        File::create(&path).unwrap();
        assert!(matches!(open(), Err(Error::Untrusted { .. })), "a file");
        fs::remove_file(&path).unwrap();
        symlink(parent.path(), &path).unwrap();
        assert!(matches!(open(), Err(Error::Untrusted { .. })), "a link");
        fs::remove_file(&path).unwrap();
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(matches!(open(), Err(Error::Untrusted { .. })), "a FIFO");
    }
}

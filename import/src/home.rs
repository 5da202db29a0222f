//! A file below somebody's home, read by root without being led anywhere else.
//!
//! The owner of a home can put symbolic links, devices, pipes and other people's files (by hard links) there. So each folder on the way is
//! opened by itself, relative to the one before, and no link is followed; the file must be a regular one that belongs to that user and that
//! nobody else can read. Links on the way *to* the home are the administrator's (`/home -> /var/home` is common) and are followed where
//! nobody but root could have made them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use zeroize::Zeroizing;

use crate::source::{SourceError, read_capped};

/// Whose links on the way to a home are followed.
const ROOT: u32 = 0;

/// Reads `relative` below `home` if it is there and belongs to one of `owners`.
///
/// # Errors
/// Something on the way is not what it should be, or the operating system refused.
pub fn read_below(
    home: &Path,
    relative: &Path,
    owners: &[u32],
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, HomeError> {
    read_below_trusting(home, relative, owners, limit, ROOT)
}

/// Removes `relative` below `home` if it is there. It is only ever a name in a folder that was reached without following a user's link.
///
/// # Errors
/// Something on the way is not what it should be, or the operating system refused.
pub fn remove_below(home: &Path, relative: &Path) -> Result<(), HomeError> {
    let Some(found) = folder_of(home, relative, ROOT)? else { return Ok(()) };
    match unlinkat(&found.folder, found.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(HomeError { path: found.path, why: Why::Io(errno) }),
    }
}

/// `trusted` is the user whose links on the way to the home are followed.
fn read_below_trusting(
    home: &Path,
    relative: &Path,
    owners: &[u32],
    limit: usize,
    trusted: u32,
) -> Result<Option<Zeroizing<Vec<u8>>>, HomeError> {
    let Some(Found { folder, name, path }) = folder_of(home, relative, trusted)? else { return Ok(None) };
    let error = |why: Why| HomeError { path: path.clone(), why };
    // O_NONBLOCK: opening somebody's pipe must not wait for the other end.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match openat(&folder, name.as_os_str(), flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => return Err(error(Why::Link)),
        Err(errno) => return Err(error(Why::Io(errno))),
    };
    let found = fstat(&file).map_err(|errno| error(Why::Io(errno)))?;
    check(&found, owners).map_err(error)?;
    match read_capped(File::from(file), limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SourceError::TooLarge { limit }) => Err(error(Why::TooLarge { limit })),
        Err(SourceError::Io(source)) => {
            Err(error(Why::Io(source.raw_os_error().map_or(Errno::EIO, Errno::from_raw))))
        }
    }
}

/// A name in a folder that was reached without following anybody's link but root's.
struct Found {
    folder: OwnedFd,
    name: OsString,
    path: PathBuf,
}

/// The folder that `relative` is in. None if there is none.
fn folder_of(home: &Path, relative: &Path, trusted: u32) -> Result<Option<Found>, HomeError> {
    let path = home.join(relative);
    let error = |why: Why| HomeError { path: path.clone(), why };
    let mut folders = plain_components(relative).ok_or_else(|| error(Why::NotBelowHome))?;
    let name = folders.pop().ok_or_else(|| error(Why::NotBelowHome))?;
    let mut folder = match open_home(home, trusted) {
        Ok(folder) => folder,
        // Many an account of the system has a home that is not there, or is `/dev/null`.
        Err(Why::Io(Errno::ENOENT) | Why::NoHome) => return Ok(None),
        Err(why) => return Err(HomeError { path: home.to_owned(), why }),
    };
    for part in folders {
        folder = match open_folder(&folder, &part) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(error(Why::NotAFolder)),
            Err(errno) => return Err(error(Why::Io(errno))),
        };
    }
    Ok(Some(Found { folder, name, path }))
}

fn check(found: &FileStat, owners: &[u32]) -> Result<(), Why> {
    if kind_of(found) != SFlag::S_IFREG {
        return Err(Why::NotAFile);
    }
    if !owners.contains(&found.st_uid) {
        return Err(Why::NotTheirs);
    }
    if found.st_mode & 0o077 != 0 {
        return Err(Why::Shared);
    }
    Ok(())
}

/// Opens the folder at an absolute path, following only links that nobody but `trusted` can have made.
fn open_home(home: &Path, trusted: u32) -> Result<OwnedFd, Why> {
    const MAX_LINKS: u32 = 40;
    if !home.is_absolute() {
        return Err(Why::NotBelowHome);
    }
    let mut parts: VecDeque<OsString> = walkable_components(home);
    let mut folder = open_root()?;
    let mut links = 0;
    while let Some(part) = parts.pop_front() {
        match open_folder(&folder, &part) {
            Ok(next) => folder = next,
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let target = trusted_link(&folder, &part, trusted)?;
                links = u32::saturating_add(links, 1);
                if links > MAX_LINKS {
                    return Err(Why::Io(Errno::ELOOP));
                }
                if target.is_absolute() {
                    folder = open_root()?;
                }
                let mut longer = walkable_components(&target);
                longer.append(&mut parts);
                parts = longer;
            }
            Err(errno) => return Err(Why::Io(errno)),
        }
    }
    Ok(folder)
}

/// Where the link leads, if it and the folder it stands in can have been made by `trusted` only.
fn trusted_link(folder: &OwnedFd, name: &OsString, trusted: u32) -> Result<PathBuf, Why> {
    let link = fstatat(folder, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(Why::Io)?;
    if kind_of(&link) != SFlag::S_IFLNK {
        return Err(Why::NoHome);
    }
    let around = fstat(folder).map_err(Why::Io)?;
    if link.st_uid != trusted || around.st_uid != trusted || around.st_mode & 0o022 != 0 {
        return Err(Why::NotAFolder);
    }
    readlinkat(folder, name.as_os_str()).map(PathBuf::from).map_err(Why::Io)
}

const FOLDER_FLAGS: OFlag =
    OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

fn open_root() -> Result<OwnedFd, Why> {
    nix::fcntl::open("/", FOLDER_FLAGS, Mode::empty()).map_err(Why::Io)
}

fn open_folder(folder: &OwnedFd, name: &OsString) -> Result<OwnedFd, Errno> {
    openat(folder, name.as_os_str(), FOLDER_FLAGS, Mode::empty())
}

/// The names in a relative path that has no `..`; none for any other path.
fn plain_components(path: &Path) -> Option<Vec<OsString>> {
    path.components()
        .map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect()
}

/// What to open one after the other, `..` included, which the kernel resolves in the folder that is open.
fn walkable_components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        })
        .collect()
}

fn kind_of(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits())
}

/// Why a file below a home was not read.
#[derive(Debug)]
pub struct HomeError {
    /// The file or the home.
    pub path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    NotBelowHome,
    NoHome,
    NotAFolder,
    Link,
    NotAFile,
    NotTheirs,
    Shared,
    TooLarge { limit: usize },
    Io(Errno),
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path.display())?;
        match &self.why {
            Why::NoHome => f.write_str("is no folder"),
            Why::NotBelowHome => f.write_str("is no path below a home"),
            Why::NotAFolder => f.write_str("leads through something that is no folder, or through a symbolic link, which is not followed"),
            Why::Link => f.write_str("is a symbolic link, which is not followed"),
            Why::NotAFile => f.write_str("is not a regular file"),
            Why::NotTheirs => f.write_str("does not belong to that user"),
            Why::Shared => f.write_str("can be read or written by others than its owner: its secret may be known; chmod 600 if it is not"),
            Why::TooLarge { limit } => write!(f, "has more than {limit} bytes"),
            Why::Io(errno) => write!(f, "can't be read: {}", io::Error::from(*errno)),
        }
    }
}

impl std::error::Error for HomeError {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    struct Home {
        folder: tempfile::TempDir,
        me: u32,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let me = folder.path().metadata().unwrap().uid();
            fs::create_dir(folder.path().join("home")).unwrap();
            fs::create_dir(folder.path().join("home/alice")).unwrap();
            let home = Self { folder, me };
            home.write("home/alice/.secret", b"seed", 0o600);
            home
        }

        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(path)
        }

        fn write(&self, path: &str, bytes: &[u8], mode: u32) {
            fs::write(self.path(path), bytes).unwrap();
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }

        /// Reads as if only the user `trusted` were root.
        fn read(&self, home: &str, relative: &str, trusted: u32) -> Result<Option<Vec<u8>>, String> {
            let (home, relative) = (self.path(home), Path::new(relative));
            match read_below_trusting(&home, relative, &[self.me], 64, trusted) {
                Ok(bytes) => Ok(bytes.map(|bytes| bytes.to_vec())),
                Err(error) => Err(error.to_string().split_once(' ').unwrap().1.to_owned()),
            }
        }

        fn read_as_somebody_else(&self, home: &str, relative: &str) -> Result<Option<Vec<u8>>, String> {
            self.read(home, relative, self.me + 1)
        }
    }

    #[test]
    fn a_users_own_file_is_read() {
        let home = Home::new();
        assert_eq!(home.read_as_somebody_else("home/alice", ".secret").unwrap().unwrap(), b"seed");
        fs::create_dir_all(home.path("home/alice/.config/otp")).unwrap();
        home.write("home/alice/.config/otp/secret", b"other", 0o400);
        assert_eq!(
            home.read_as_somebody_else("home/alice", ".config/otp/secret").unwrap().unwrap(),
            b"other"
        );
    }

    #[test]
    fn a_file_is_removed_and_no_link_leads_the_removal_elsewhere() {
        let home = Home::new();
        fs::create_dir(home.path("elsewhere")).unwrap();
        home.write("elsewhere/secret", b"shadow", 0o600);
        symlink(home.path("elsewhere"), home.path("home/alice/.config")).unwrap();
        let alice = home.path("home/alice");
        assert!(remove_below(&alice, Path::new(".config/secret")).is_err());
        assert!(home.path("elsewhere/secret").exists());
        for _ in 0..2 {
            remove_below(&alice, Path::new(".secret")).unwrap();
            assert!(!alice.join(".secret").exists());
        }
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let home = Home::new();
        for (folder, file) in [
            ("home/alice", ".other"),
            ("home/bob", ".secret"),
            ("home/alice", ".config/otp/secret"),
            ("home/alice/.secret", "x"),
        ] {
            assert_eq!(home.read_as_somebody_else(folder, file).unwrap(), None);
        }
    }

    #[test]
    fn no_link_of_the_user_is_followed() {
        let home = Home::new();
        fs::create_dir(home.path("elsewhere")).unwrap();
        home.write("elsewhere/secret", b"shadow", 0o600);
        symlink(home.path("elsewhere/secret"), home.path("home/alice/.link")).unwrap();
        symlink(home.path("elsewhere"), home.path("home/alice/.config")).unwrap();
        symlink(home.path("home/alice"), home.path("home/alias")).unwrap();
        assert_eq!(
            home.read_as_somebody_else("home/alice", ".link").unwrap_err(),
            "is a symbolic link, which is not followed"
        );
        for (folder, file) in [("home/alice", ".config/secret"), ("home/alias", ".secret")] {
            let error = home.read_as_somebody_else(folder, file).unwrap_err();
            assert!(error.starts_with("leads through something that is no folder"), "{error}");
        }
        // Below the home not even root's own links count.
        assert!(home.read("home/alice", ".link", home.me).is_err());
        assert!(home.read("home/alice", ".config/secret", home.me).is_err());
    }

    #[test]
    fn roots_own_links_to_the_home_are_followed() {
        let home = Home::new();
        fs::create_dir(home.path("var")).unwrap();
        fs::rename(home.path("home"), home.path("var/home")).unwrap();
        symlink("var/../var/home", home.path("home")).unwrap();
        symlink(home.path("home/alice"), home.path("absolute")).unwrap();
        symlink("loop", home.path("loop")).unwrap();
        assert_eq!(home.read("home/alice", ".secret", home.me).unwrap().unwrap(), b"seed");
        assert_eq!(home.read("absolute", ".secret", home.me).unwrap().unwrap(), b"seed");
        assert!(home.read("loop", ".secret", home.me).is_err());
        assert!(home.read_as_somebody_else("home/alice", ".secret").is_err());
        // Where others can write, a link is nobody's in particular.
        fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(home.read("home/alice", ".secret", home.me).is_err());
    }

    #[test]
    fn pipes_folders_shared_large_and_foreign_files_are_refused() {
        let home = Home::new();
        nix::unistd::mkfifo(&home.path("home/alice/.pipe"), Mode::S_IRUSR).unwrap();
        fs::create_dir(home.path("home/alice/.folder")).unwrap();
        home.write("home/alice/.shared", b"seed", 0o640);
        home.write("home/alice/.large", &[b'x'; 65], 0o600);
        for (file, why) in [
            (".pipe", "is not a regular file"),
            (".folder", "is not a regular file"),
            (
                ".shared",
                "can be read or written by others than its owner: its secret may be known; chmod 600 if it is not",
            ),
            (".large", "has more than 64 bytes"),
            ("", "is no path below a home"),
            ("../alice/.secret", "is no path below a home"),
            ("/etc/passwd", "is no path below a home"),
        ] {
            assert_eq!(home.read_as_somebody_else("home/alice", file).unwrap_err(), why, "{file}");
        }
        let foreign =
            read_below(&home.path("home/alice"), Path::new(".secret"), &[home.me + 1], 64).unwrap_err();
        assert!(foreign.to_string().ends_with("does not belong to that user"));
        assert!(read_below(Path::new("home"), Path::new(".secret"), &[home.me], 64).is_err());
    }
}

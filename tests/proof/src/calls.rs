//! What a system call does to files.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::tracer::{Call, Tracee, low_half};

/// What a system call does to files.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Opens {
        name: Name,
        flags: u64,
    },
    Writes {
        descriptor: u64,
        address: u64,
        at: Where,
    },
    Syncs {
        descriptor: u64,
    },
    SyncsAll,
    Renames {
        from: Name,
        to: Name,
    },
    Links {
        from: Name,
        to: Name,
    },
    Removes {
        name: Name,
    },
    MakesFolder {
        name: Name,
    },
    Resizes {
        descriptor: u64,
        length: u64,
    },
    ChangesMode {
        descriptor: u64,
        mode: u64,
    },
    /// Something that changes files and that nothing here understands.
    Unknown {
        descriptor: u64,
    },
    Nothing,
}

/// Where a write goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    At(u64),
    /// Where the descriptor stands.
    Position,
}

/// A path, as a call has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    /// None: the working directory.
    folder: Option<u64>,
    address: u64,
}

impl Deed {
    pub(crate) const fn of(call: &Call) -> Self {
        let [first, second, third, fourth, fifth, _] = call.arguments;
        match call.number {
            libc::SYS_openat => Self::Opens { name: Name::at(first, second), flags: third },
            libc::SYS_write => Self::Writes { descriptor: first, address: second, at: Where::Position },
            libc::SYS_pwrite64 => Self::Writes { descriptor: first, address: second, at: Where::At(fourth) },
            libc::SYS_fsync | libc::SYS_fdatasync => Self::Syncs { descriptor: first },
            libc::SYS_sync | libc::SYS_syncfs => Self::SyncsAll,
            libc::SYS_renameat | libc::SYS_renameat2 => {
                Self::Renames { from: Name::at(first, second), to: Name::at(third, fourth) }
            }
            libc::SYS_linkat => Self::Links { from: Name::at(first, second), to: Name::at(third, fourth) },
            libc::SYS_unlinkat => Self::Removes { name: Name::at(first, second) },
            libc::SYS_mkdirat => Self::MakesFolder { name: Name::at(first, second) },
            libc::SYS_ftruncate => Self::Resizes { descriptor: first, length: second },
            libc::SYS_fchmod => Self::ChangesMode { descriptor: first, mode: second },
            libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2
            | libc::SYS_fallocate
            | libc::SYS_copy_file_range
            | libc::SYS_sync_file_range => Self::Unknown { descriptor: first },
            // A file that is written to as memory.
            libc::SYS_mmap
                if third & flag(libc::PROT_WRITE) != 0
                    && fourth & flag(libc::MAP_TYPE) == flag(libc::MAP_SHARED) =>
            {
                Self::Unknown { descriptor: fifth }
            }
            other => Self::of_old(other, call.arguments),
        }
    }

    /// The calls that younger machines do without.
    #[cfg(target_arch = "x86_64")]
    const fn of_old(number: i64, arguments: [u64; 6]) -> Self {
        let [first, second, ..] = arguments;
        match number {
            libc::SYS_open => Self::Opens { name: Name::here(first), flags: second },
            libc::SYS_creat => Self::Opens { name: Name::here(first), flags: CREATED },
            libc::SYS_rename => Self::Renames { from: Name::here(first), to: Name::here(second) },
            libc::SYS_link => Self::Links { from: Name::here(first), to: Name::here(second) },
            libc::SYS_unlink | libc::SYS_rmdir => Self::Removes { name: Name::here(first) },
            libc::SYS_mkdir => Self::MakesFolder { name: Name::here(first) },
            _ => Self::Nothing,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    const fn of_old(_number: i64, _arguments: [u64; 6]) -> Self {
        Self::Nothing
    }

    /// The file or folder that it is done to, if it is one: what it names, or what its descriptor leads to.
    pub(crate) fn place(&self, tracee: &Tracee) -> Option<PathBuf> {
        match self {
            Self::Opens { name, .. } | Self::Removes { name } | Self::MakesFolder { name } => {
                Some(name.path(tracee))
            }
            Self::Renames { to, .. } | Self::Links { to, .. } => Some(to.path(tracee)),
            Self::Writes { descriptor, .. }
            | Self::Syncs { descriptor }
            | Self::Resizes { descriptor, .. }
            | Self::ChangesMode { descriptor, .. }
            | Self::Unknown { descriptor } => {
                let place = tracee.leads_to(*descriptor);
                // Not `pipe:[4711]`.
                place.is_absolute().then_some(place)
            }
            Self::SyncsAll | Self::Nothing => None,
        }
    }

    /// Whether it is there to change something, or to see to it that what was changed lasts.
    pub(crate) const fn changes(&self) -> bool {
        match self {
            Self::Opens { flags, .. } => opens_for_writing(*flags),
            Self::Nothing => false,
            Self::Writes { .. }
            | Self::Syncs { .. }
            | Self::SyncsAll
            | Self::Renames { .. }
            | Self::Links { .. }
            | Self::Removes { .. }
            | Self::MakesFolder { .. }
            | Self::Resizes { .. }
            | Self::ChangesMode { .. }
            | Self::Unknown { .. } => true,
        }
    }
}

/// The flags that creat(2) stands for.
const CREATED: u64 = flag(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC);

const fn opens_for_writing(flags: u64) -> bool {
    flags & flag(libc::O_ACCMODE) != flag(libc::O_RDONLY) || flags & flag(libc::O_CREAT | libc::O_TRUNC) != 0
}

/// A flag of open(2), as it stands in a register.
#[expect(
    clippy::as_conversions,
    clippy::cast_sign_loss,
    reason = "flags are not negative, and `from` is not const"
)]
pub(crate) const fn flag(number: i32) -> u64 {
    number as u64
}

impl Name {
    const fn at(folder: u64, address: u64) -> Self {
        // AT_FDCWD is -100 as an int.
        let here = low_half(folder) == 0xffff_ff9c;
        Self { folder: if here { None } else { Some(folder) }, address }
    }

    const fn here(address: u64) -> Self {
        Self { folder: None, address }
    }

    /// The whole path.
    pub(crate) fn path(&self, tracee: &Tracee) -> PathBuf {
        let text = PathBuf::from(OsString::from_vec(tracee.text(self.address).unwrap_or_default()));
        let folder = match self.folder {
            Some(descriptor) => tracee.leads_to(descriptor),
            None => fs::read_link(tracee.file("cwd")).unwrap_or_default(),
        };
        // Without any `.` of its.
        folder.join(text).components().collect()
    }
}

/// For people: `pwrite64(users/alice/state)`.
pub(crate) fn described(tracee: &Tracee, call: &Call, folder: &Path) -> String {
    let deed = Deed::of(call);
    let Some(place) = deed.place(tracee) else { return word(&deed, call) };
    let place = place.strip_prefix(folder).unwrap_or(&place).display().to_string();
    format!("{}({place})", word(&deed, call))
}

fn word(deed: &Deed, call: &Call) -> String {
    match deed {
        Deed::Opens { .. } => "open".to_owned(),
        Deed::Writes { .. } => "write".to_owned(),
        Deed::Syncs { .. } | Deed::SyncsAll => "sync".to_owned(),
        Deed::Renames { .. } => "rename to".to_owned(),
        Deed::Links { .. } => "link".to_owned(),
        Deed::Removes { .. } => "remove".to_owned(),
        Deed::MakesFolder { .. } => "mkdir".to_owned(),
        Deed::Resizes { .. } => "truncate".to_owned(),
        Deed::ChangesMode { .. } => "chmod".to_owned(),
        Deed::Unknown { .. } | Deed::Nothing => format!("system call {}", call.number),
    }
}

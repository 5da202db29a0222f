//! Whether a login costs the same with many users as with few.

use std::path::Path;
use std::process::Command;

use mfa_core::FileStore;
use tempfile::TempDir;

use crate::clock::Clock;
use crate::login::{Kind, Login, Took};
use crate::modules::{Module, Prepared, enroll};
use crate::{sync, temporary};

/// Logins in stores of different sizes.
pub(crate) struct Scale {
    /// The smallest first.
    pub(crate) sizes: Vec<Size>,
    // Kept until the report is out: to remove so many files can take minutes where the disk discards what is freed.
    _stores: Vec<TempDir>,
}

/// Accepted logins of a store of so many users.
pub(crate) struct Size {
    pub(crate) users: u32,
    pub(crate) accepted: Vec<Took>,
}

/// Logs in `logins` times in stores of 10 users, ten times as many, and so on to `most`, in turn.
pub(crate) fn measure(disk: &Path, most: u32, logins: u32) -> Scale {
    let sizes: Vec<u32> = std::iter::successors(Some(10), |users: &u32| users.checked_mul(10))
        .take_while(|users| *users < most)
        .chain([most])
        .collect();
    let stores: Vec<TempDir> = sizes.iter().map(|users| store(disk, *users)).collect();
    let modules: Vec<Prepared> = sizes
        .iter()
        .zip(&stores)
        .map(|(users, folder)| Prepared::existing(Module::Mfa, folder.path(), *users))
        .collect();
    sync();
    eprintln!("bench: {logins} logins in each of them ...");

    let clock = Clock::new(logins);
    let mut measured: Vec<Size> =
        sizes.iter().map(|users| Size { users: *users, accepted: Vec::new() }).collect();
    for turn in 0..logins {
        for (size, at) in measured.iter_mut().zip(&modules) {
            // Spread over all users; each login has a step of its own, so a user may come again.
            let spread = u64::from(turn) * u64::from(size.users) / u64::from(logins);
            let user =
                if size.users > logins { u32::try_from(spread).expect("a user") } else { turn % size.users };
            size.accepted.push(Login { at, user, step: turn, kind: Kind::Accepted }.timed(&clock));
        }
    }
    Scale { sizes: measured, _stores: stores }
}

/// Made in memory, where a sync costs nothing, and copied to the disk.
fn store(disk: &Path, users: u32) -> TempDir {
    eprintln!("bench: enrolling {users} users ...");
    let memory = temporary(Path::new("/dev/shm"));
    let made = memory.path().join(Module::Mfa.name());
    enroll(&FileStore::at(&made), users);
    let folder = temporary(disk);
    let copied = Command::new("cp").arg("-a").arg(&made).arg(folder.path()).status();
    assert!(copied.expect("cp is everywhere").success(), "cp -a to {}", disk.display());
    folder
}

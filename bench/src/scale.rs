//! Whether a login costs the same with many users as with few.

use std::path::Path;
use std::process::Command;

use mfa_core::FileStore;
use mfa_test_harness::Stack;
use tempfile::TempDir;

use crate::login::{Login, Took};
use crate::modules::enroll;
use crate::{Clock, sync};

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

/// Logs in `logins` times in stores of 10, 1,000 and `most` users, in turn.
pub(crate) fn measure(disk: &Path, most: u32, logins: u32) -> Scale {
    let sizes = [10, 1000, most];
    let stores: Vec<TempDir> = sizes.iter().map(|users| store(disk, *users)).collect();
    let stacks: Vec<Stack> = stores
        .iter()
        .map(|folder| {
            Stack::new(&format!("auth required pam_mfa.so store={}", folder.path().join("store").display()))
        })
        .collect();
    sync();
    eprintln!("bench: {logins} logins in each of them ...");

    let clock = Clock::new(logins);
    let mut measured: Vec<Size> = sizes.map(|users| Size { users, accepted: Vec::new() }).into();
    for turn in 0..logins {
        let code = clock.move_to(turn);
        for (size, stack) in measured.iter_mut().zip(&stacks) {
            // Spread over all users; each login has a step of its own, so a user may come again.
            let spread = u64::from(turn) * u64::from(size.users) / u64::from(logins);
            let user =
                if size.users > logins { u32::try_from(spread).expect("a user") } else { turn % size.users };
            let (took, result) = Login { stack, user }.timed(code.to_owned());
            assert_eq!(result, mfa_test_harness::PamCode::SUCCESS, "user {user} of {}", size.users);
            size.accepted.push(took);
        }
    }
    Scale { sizes: measured, _stores: stores }
}

/// Made in memory, where a sync costs nothing, and copied to the disk.
fn store(disk: &Path, users: u32) -> TempDir {
    eprintln!("bench: enrolling {users} users ...");
    let temporary =
        |parent: &Path| tempfile::Builder::new().prefix("mfa-bench-").tempdir_in(parent).expect("a folder");
    let memory = temporary(Path::new("/dev/shm"));
    enroll(&FileStore::at(memory.path().join("store")), users);
    let folder = temporary(disk);
    let copied = Command::new("cp").arg("-a").arg(memory.path().join("store")).arg(folder.path()).status();
    assert!(copied.expect("cp is everywhere").success(), "cp -a to {}", disk.display());
    folder
}

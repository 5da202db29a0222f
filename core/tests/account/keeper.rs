//! The store belongs to the system user that `mfad` runs as, and that user may have been taken over: what root does in it stays in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use mfa_core::store::{Access, Account};
use mfa_core::{FileStore, Request, Secret, Store as _};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::{getegid, geteuid, mkfifo};

use crate::host::{Host, foreign, user};

/// How long two programs race for something that must not happen.
const RACE: Duration = Duration::from_secs(2);

/// When anything about a file was changed last, its owner included, even if it is the same one afterwards.
fn touched(path: &Path) -> (i64, i64) {
    let status = path.symlink_metadata().unwrap();
    (status.ctime(), status.ctime_nsec())
}

/// To whom it belongs anyway: what counts is which files were touched.
fn give(host: &Host) -> mfa_core::Result<()> {
    FileStore::at(host.path("")).give_to(geteuid(), getegid())
}

fn exchange(one: &Path, other: &Path) {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

/// Runs `work` again and again while `one` and `other` change places.
fn while_they_change_places(one: &Path, other: &Path, mut work: impl FnMut(u32)) {
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                exchange(one, other);
            }
        });
        // Also when `work` fails.
        let _end = End(&is_over);
        let begin = Instant::now();
        for round in 0.. {
            if begin.elapsed() > RACE {
                break;
            }
            work(round);
        }
    });
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_folders_and_files_of_the_store_are_given_away_and_nothing_that_has_a_second_name_elsewhere() {
    let (host, _) = Host::with_alice();
    let outside = tempfile::tempdir().unwrap();
    let foreign = outside.path().join("shadow");
    fs::write(&foreign, "root:").unwrap();
    fs::hard_link(&foreign, host.path("users/alice/passwd")).unwrap();
    symlink(outside.path(), host.path("users/etc")).unwrap();
    mkfifo(&host.path("users/alice/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir_all(host.path("users/alice/deep/deeper")).unwrap();
    let own = ["users/alice/devices.toml", "users/alice/state", "users/alice", "users", "decoy/0/state", ""];
    let others = ["users/alice/fifo", "users/etc", "users/alice/deep/deeper"];
    let touched_now = || {
        let of_store =
            |paths: &[&str]| paths.iter().map(|path| touched(&host.path(path))).collect::<Vec<_>>();
        (of_store(&own), of_store(&others), touched(&foreign), touched(outside.path()))
    };
    let before = touched_now();
    sleep(Duration::from_millis(20));
    give(&host).unwrap();
    let after = touched_now();
    assert!(before.0.iter().zip(&after.0).all(|(before, after)| before != after), "{before:?} {after:?}");
    assert_eq!((before.1, before.2, before.3), (after.1, after.2, after.3));
}

#[test]
fn a_folder_that_changes_places_with_a_link_while_root_gives_the_store_away_leads_nowhere() {
    let (host, _) = Host::with_alice();
    let outside = tempfile::tempdir().unwrap();
    let foreign = outside.path().join("shadow");
    fs::write(&foreign, "root:").unwrap();
    let (folder, link) = (host.path("users/mallory"), host.path("users/link"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("shadow"), "").unwrap();
    symlink(outside.path(), &link).unwrap();
    let before = (touched(&foreign), touched(outside.path()));
    sleep(Duration::from_millis(20));
    while_they_change_places(&folder, &link, |_| {
        let _ = give(&host);
        assert_eq!(before, (touched(&foreign), touched(outside.path())));
    });
}

#[test]
fn a_folder_that_changes_places_with_a_link_while_root_creates_an_account_leads_nowhere() {
    let (host, _) = Host::with_alice();
    let outside = tempfile::tempdir().unwrap();
    let link = host.path("link");
    symlink(outside.path(), &link).unwrap();
    let store = FileStore::at(host.path(""));
    let mut done = 0;
    while_they_change_places(&host.path("users"), &link, |round| {
        let user = user(&format!("user{round}"));
        let created = store.update(Account::User(&user), Access::Change, |_| Ok(()));
        done += u32::from(created.is_ok());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "round {round}");
    });
    assert!(done > 0, "not one was created");
}

#[test]
fn so_does_the_folder_of_the_marks() {
    let (host, _) = Host::with_alice();
    let outside = tempfile::tempdir().unwrap();
    let link = host.path("link");
    symlink(outside.path(), &link).unwrap();
    let mut done = 0;
    while_they_change_places(&host.path("marks"), &link, |round| {
        let name = format!("user{round}");
        let devices = vec![foreign("phone", &Secret::random(20).unwrap())];
        let adopt = Request::Adopt { user: user(&name), devices, scratch_codes: Vec::new() };
        done += u32::from(host.ask(adopt).is_ok());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "round {round}");
    });
    assert!(done > 0, "not one was adopted");
}

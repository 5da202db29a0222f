//! What goes wrong around the programs: no access, no space, nobody who reads.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use mfa_cli_tests::pipe::{add_json, right_codes};
use mfa_cli_tests::{in_locale, mfa_admin, mfa_enroll, run, within};
use mfa_test_harness::{Account, Store, artifacts, watch};
use nix::unistd::geteuid;

use crate::{devices, status};

/// `mfa-enroll` as an ordinary user of this host: as whoever runs the tests or, if that is root, as nobody.
fn as_ordinary_user(store: &Store) -> Command {
    let program = artifacts::mfa_enroll();
    if !geteuid().is_root() {
        return in_locale(Command::new(program), "C.UTF-8");
    }
    // Where it was built nobody may not look.
    let copy = store.beside("mfa-enroll");
    // By another process: a program that any of our own threads' children still has open for writing can't be started.
    assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    fs::set_permissions(copy.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    in_locale(command, "C.UTF-8")
}

#[test]
fn an_ordinary_user_is_told_what_to_do() {
    let store = Store::temporary();
    let id = Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(id.stdout).unwrap().trim().to_owned();
    let user = if geteuid().is_root() { "nobody".to_owned() } else { me };
    let ran = run(as_ordinary_user(&store).args(["add", "--json"]), "");
    ran.assert_failed(
        1,
        &format!("mfa-enroll: only root can open the store /var/lib/pam-mfa\nhint: ask your administrator to run: sudo mfa-enroll --user {user}\n"),
    );
    assert_eq!(ran.err.lines().count(), 2, "one sentence and its cure: {ran:#?}");
    assert_eq!(ran.json()["result"], "error");
}

#[test]
fn a_store_of_somebody_else_can_not_be_opened() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let mut command = as_ordinary_user(&store);
    // To its owner a folder opens whatever its mode says: then it has to be root's.
    let folder = if geteuid().is_root() { store.path() } else { "/root".into() };
    command.arg("--store").arg(folder).args(["--user", "alice", "status"]);
    run(&mut command, "").assert_failed(1, "hint: --store needs a folder of your own");
}

#[test]
fn an_unknown_account_of_this_host_is_taken_for_a_typing_error() {
    let store = Store::temporary();
    let ran = run(as_ordinary_user(&store).args(["--user", "no-such-account", "add", "--json"]), "");
    ran.assert_failed(1, "there is no account named no-such-account on this host");
    assert!(
        ran.err.contains("hint: check the spelling") && ran.err.contains("--no-account-check"),
        "{ran:#?}"
    );
    let unchecked = run(
        as_ordinary_user(&store).args(["--user", "no-such-account", "--no-account-check", "add", "--json"]),
        "",
    );
    unchecked.assert_failed(1, "only root can open the store");
}

#[test]
fn a_store_that_others_may_write_to_is_not_trusted() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    for mode in [0o770, 0o707] {
        fs::set_permissions(store.path(), Permissions::from_mode(mode)).unwrap();
        run(mfa_enroll(&store, "alice").arg("status"), "")
            .assert_failed(1, "may be written by others: chmod go-w");
    }
}

#[test]
fn damage_is_named_with_its_cure() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    fs::write(store.file("users/alice/devices.toml"), "nonsense").unwrap();
    let ran = run(mfa_enroll(&store, "alice").arg("status"), "");
    ran.assert_failed(1, "devices.toml is damaged");
    assert!(ran.err.contains("from a backup"), "{ran:#?}");
}

#[test]
fn a_lost_key_is_never_replaced_by_a_new_one() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    fs::remove_file(store.file("key")).unwrap();
    run(mfa_enroll(&store, "bob").args(["add", "--json"]), "").assert_failed(1, "restore it from a backup");
    assert!(!store.path().join("key").exists());
}

/// The same command where no file may grow beyond so many bytes: to its writes it is like a full disk.
fn with_space(bytes: u64, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" \"$@\"", &bytes.to_string()]);
    within(limited, command)
}

/// The same command where getrandom(2) has no answer to a question for so many bytes.
fn without_random_bytes(store: &Store, count: usize, command: &Command) -> Command {
    let library = store.beside("no-random.so");
    let source = format!(
        "#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         ssize_t getrandom(void *bytes, size_t count, unsigned flags) {{\n\
         if (count == {count}) {{ errno = EIO; return -1; }}\n\
         return syscall(SYS_getrandom, bytes, count, flags); }}"
    );
    let c = store.beside("no-random.c");
    fs::write(&c, source).unwrap();
    // Where Rust was built there is a C compiler: it links by it.
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &c]).status().unwrap();
    assert!(made.success());
    let mut preloaded = Command::new("env");
    preloaded.arg(format!("LD_PRELOAD={}", library.display()));
    within(preloaded, command)
}

#[test]
fn without_random_bytes_no_key_and_no_code_is_made() {
    let store = Store::temporary();
    let _alice = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let before = store.content();
    // A seed, the nonce that seals it, a device's name; a recovery code, the salt, the name of the set.
    for (words, counts) in [
        (&["add", "--json", "--name", "tablet"][..], [20, 24, 8]),
        (&["recovery-codes", "--yes", "--json"], [10, 16, 8]),
    ] {
        for count in counts {
            let mut command = mfa_enroll(&store, "alice");
            let ran = run(&mut without_random_bytes(&store, count, command.args(words)), "");
            ran.assert_failed(1, "random");
            assert!(!ran.out.contains("secret") && !ran.out.contains("recovery_codes"), "{ran:#?}");
            assert!(store.content() == before, "{words:?} without {count} bytes");
        }
    }
}

#[test]
fn without_space_an_enrollment_changes_nothing_and_says_so() {
    for bytes in [0, 10, 100, 4000] {
        let store = Store::temporary();
        Account::enroll(&store, "alice");
        let before = status(&store, "alice");
        let mut command = mfa_enroll(&store, "bob");
        command.args(["add", "--json"]);
        let ran = run(&mut with_space(bytes, &command), "");
        assert_ne!(ran.code, 0, "{bytes} bytes: {ran:#?}");
        assert!(devices(&store, "bob").is_empty(), "{bytes} bytes");
        assert_eq!(status(&store, "alice"), before);
        Account::enroll(&store, "bob");
    }
}

#[test]
fn space_that_runs_out_before_the_codes_leaves_the_old_devices() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let before = status(&store, "alice");
    let devices_toml = fs::metadata(store.file("users/alice/devices.toml")).unwrap().len();
    let mut command = mfa_enroll(&store, "alice");
    command.args(["add", "--json", "--name", "tablet"]);
    // The key still fits, the file with both devices does not.
    let added = add_json(&mut with_space(devices_toml + 100, &command), right_codes);
    added.ran.assert_failed(1, "nothing has changed: make room");
    assert_eq!(added.result["result"], "error");
    assert_eq!(status(&store, "alice"), before);
    assert_eq!(account.device, "phone");
    let again = add_json(&mut command, right_codes);
    assert_eq!(again.offer["secret"], added.offer["secret"], "the key was kept");
    assert_eq!(again.result["result"], "enrolled");
}

#[test]
fn recovery_codes_that_do_not_fit_leave_the_old_ones() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    // The history may have grown by what was done before: that fits, and is not lost either way.
    let records = || {
        ["devices.toml", "state"].map(|name| fs::read(store.file(&format!("users/alice/{name}"))).unwrap())
    };
    let before = records();
    let mut command = mfa_enroll(&store, "alice");
    command.args(["recovery-codes", "--json"]);
    let ran = run(&mut with_space(300, &command), "");
    ran.assert_failed(1, "nothing has changed: make room");
    assert!(records() == before);
}

#[test]
fn a_picture_that_does_not_fit_is_removed() {
    let store = Store::temporary();
    let picture = store.beside("qr.svg");
    let mut command = mfa_enroll(&store, "alice");
    command.args(["add", "--json", &format!("--qr=svg:{}", picture.display())]);
    Account::enroll(&store, "bob");
    let ran = run(&mut with_space(9000, &command), "");
    ran.assert_failed(1, "can't write");
    assert!(!picture.exists());
    assert!(devices(&store, "alice").is_empty());
}

#[test]
fn output_that_nobody_takes_is_an_error_and_no_panic() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let before = store.content();
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["add", "--json"],
        &["add", "--qr", "utf8"],
        &["--help"],
        &["remove", "--help"],
        &[],
    ] {
        let mut command = mfa_enroll(&store, "alice");
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());

        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        watch::for_panics("standard error", &err);
        if !arguments.contains(&"--help") {
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {err}");
            assert!(err.contains("can't write to standard output: No space left"), "{arguments:?} {err}");
        }

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        watch::for_panics("standard error", &err);
        if !arguments.contains(&"--help") {
            assert_eq!((output.status.code(), err.as_str()), (Some(1), ""), "{arguments:?}");
        }
    }
    let kept = |content: Vec<(std::path::PathBuf, Vec<u8>)>| -> Vec<_> {
        content.into_iter().filter(|(path, _)| !path.ends_with("pending.toml")).collect()
    };
    assert!(kept(store.content()) == kept(before));
}

#[test]
fn wrong_usage_is_exit_code_two_everywhere() {
    let store = Store::temporary();
    for arguments in
        [&["frobnicate"][..], &["add", "--frobnicate"], &["remove"], &["status", "extra"], &["add", "extra"]]
    {
        run(mfa_enroll(&store, "alice").args(arguments), "").assert_failed(2, "Usage");
    }
    for arguments in [&["frobnicate"][..], &["unlock"], &["list", "extra"], &[]] {
        run(mfa_admin(&store).args(arguments), "").assert_failed(2, "Usage");
    }
}

#[test]
fn all_who_enroll_first_at_the_same_time_get_in() {
    for _ in 0..5 {
        let store = Store::temporary();
        fs::remove_dir(store.path()).unwrap();
        let users: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
        let results: Vec<_> = std::thread::scope(|scope| {
            let enroll = |user| {
                let mut command = mfa_enroll(&store, user);
                scope.spawn(move || add_json(command.args(["add", "--json"]), right_codes))
            };
            let threads: Vec<_> = users.iter().map(|user| enroll(user)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(results.iter().all(|added| added.result["result"] == "enrolled"), "{results:#?}");
        for user in users {
            assert_eq!(devices(&store, &user), ["phone"]);
        }
    }
}

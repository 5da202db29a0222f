//! `mfa-admin migrate` and `mfa-admin import`: accounts that have a second factor elsewhere come here, and what was used there is used here.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mfa_cli_tests::{Ran, mfa_admin, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::libpam::PamCode;
use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Store};
use serde_json::json;

use crate::admin_tokens::{file, tokens};
use crate::{devices, status};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SEED_HEX: &str = "3132333435363738393031323334353637383930";
const OTHER_SEED: &str = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
const THIRD_SEED: &str = "ONSWG4TFOQQHGZLFMQQG64TEMVZDCMRT";

/// The app of the first seed.
fn app() -> Generator {
    Generator { secret: SEED.to_owned(), algorithm: "SHA1".to_owned(), digits: 6, period: 30 }
}

/// What libpam says to a login of `user` at `step` who types `typed`.
fn login(store: &Store, user: &str, step: u64, typed: &str) -> PamCode {
    store.login(user).at(step * 30 + 15).types(typed).run().result()
}

fn present() -> u64 {
    unix_seconds() / 30
}

/// A file of pam_google_authenticator beside the store, at `secrets/<user>`.
fn secret_file(store: &Store, user: &str, text: &str) -> PathBuf {
    let folder = store.beside("secrets");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(user);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// `mfa-admin migrate google-authenticator --secret .../secrets/${USER} WORDS..`
fn google(store: &Store, words: &[&str]) -> Command {
    let mut command = mfa_admin(store);
    let pattern = store.beside("secrets/${USER}");
    command.args(["migrate", "google-authenticator", "--secret"]).arg(pattern).args(words);
    command
}

fn migrate(store: &Store, words: &[&str]) -> Ran {
    run(&mut google(store, words), "")
}

#[test]
fn an_app_moves_in_with_its_used_codes_and_its_emergency_codes() {
    let store = Store::temporary();
    let step = present();
    let text = format!(
        "{SEED}\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE {} {step}\n\" TOTP_AUTH\n12345678\n87654321\n",
        step - 1
    );
    let old = secret_file(&store, "alice", &text);
    let ran = migrate(&store, &["--user", "alice"]);
    ran.assert_done();
    assert!(ran.out.contains("Moved in: 1 device of 1 account."), "{ran:#?}");
    assert!(ran.out.contains("auth  required  pam_mfa.so"), "what is left to do is said: {ran:#?}");
    assert!(old.exists(), "the old file is left alone");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 2);

    for used in [step - 1, step] {
        assert_eq!(login(&store, "alice", step, &app().code(used)), PamCode::AUTH_ERR, "it was used before");
    }
    assert_eq!(login(&store, "alice", step, &app().code(step + 1)), PamCode::SUCCESS);
    assert_eq!(login(&store, "alice", step, "12345678"), PamCode::SUCCESS);
    assert_eq!(login(&store, "alice", step, "12345678"), PamCode::AUTH_ERR, "an emergency code is good once");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 1);
}

#[test]
fn moving_twice_is_moving_once() {
    let store = Store::temporary();
    let step = present();
    let text = |used: u64| format!("{SEED}\n\" DISALLOW_REUSE {used}\n\" TOTP_AUTH\n12345678\n");
    secret_file(&store, "alice", &text(step - 2));
    migrate(&store, &["--user", "alice"]).assert_done();
    assert_eq!(login(&store, "alice", step, "12345678"), PamCode::SUCCESS);
    let before = store.content();
    let ran = migrate(&store, &["--user", "alice"]);
    ran.assert_done();
    assert!(
        ran.out.contains("0 devices of 0 accounts") && ran.out.contains("1 device was there already"),
        "{ran:#?}"
    );
    assert!(store.content() == before, "nothing has changed, and no emergency code came back");

    // The old module was used once more in between.
    secret_file(&store, "alice", &text(step));
    migrate(&store, &["--user", "alice"]).assert_done();
    assert_eq!(login(&store, "alice", step, &app().code(step)), PamCode::AUTH_ERR);
    assert_eq!(devices(&store, "alice"), ["google-authenticator"]);
}

#[test]
fn where_codes_could_be_used_twice_all_that_could_have_been_used_are_burnt() {
    for (window, burnt) in [(3, 1), (17, 8)] {
        let store = Store::temporary();
        secret_file(&store, "alice", &format!("{SEED}\n\" WINDOW_SIZE {window}\n\" TOTP_AUTH\n"));
        let earliest = present();
        migrate(&store, &["--user", "alice"]).assert_done();
        let latest = present();
        for step in [earliest - 1, earliest, earliest + burnt] {
            let tried = login(&store, "alice", earliest + burnt - 1, &app().code(step));
            assert_eq!(tried, PamCode::AUTH_ERR, "step {step} of {earliest}, window {window}");
        }
        let next = latest + burnt + 1;
        assert_eq!(login(&store, "alice", next, &app().code(next)), PamCode::SUCCESS, "window {window}");
        // Done again it burns nothing more, whatever the file says by then.
        secret_file(&store, "alice", &format!("{SEED}\n\" WINDOW_SIZE 100\n\" TOTP_AUTH\n"));
        migrate(&store, &["--user", "alice"]).assert_done();
        assert_eq!(login(&store, "alice", next + 1, &app().code(next + 1)), PamCode::SUCCESS);
    }
}

#[test]
fn a_counter_goes_on_where_it_was() {
    let store = Store::temporary();
    secret_file(&store, "alice", &format!("{SEED}\n\" HOTP_COUNTER 5\n\" WINDOW_SIZE 17\n"));
    migrate(&store, &["--user", "alice"]).assert_done();
    let press = |counter: u64| {
        let output = Command::new("oathtool")
            .args(["--hotp", "--base32", SEED, "-c", &counter.to_string()])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let step = present();
    assert_eq!(login(&store, "alice", step, &press(4)), PamCode::AUTH_ERR, "it was used before");
    assert_eq!(login(&store, "alice", step, &press(5)), PamCode::SUCCESS);
    assert_eq!(login(&store, "alice", step, &press(5)), PamCode::AUTH_ERR);
}

#[test]
fn one_persons_file_does_not_keep_the_others_from_moving() {
    let store = Store::temporary();
    let good = |seed: &str| format!("{seed}\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n");
    secret_file(&store, "alice", &good(SEED));
    secret_file(&store, "bob", &good(OTHER_SEED).replace("TOTP_AUTH", "TOPT_AUTH"));
    secret_file(&store, "carol", &good("JBSWY3DPEHPK3PXP"));
    let shadow = file(&store, "shadow", &good(THIRD_SEED));
    symlink(&shadow, store.beside("secrets/dave")).unwrap();
    let erin = secret_file(&store, "erin", &good(THIRD_SEED));
    fs::set_permissions(&erin, fs::Permissions::from_mode(0o644)).unwrap();
    secret_file(&store, "mallory", &good(SEED));
    let all = ["alice", "bob", "carol", "dave", "erin", "frank"].map(|user| ["--user", user]).concat();

    let dry = migrate(&store, &[&all[..], &["--dry-run"]].concat());
    assert!(
        store.content().is_empty() && dry.out.contains("1 device of 1 account would move in"),
        "{dry:#?}"
    );
    let ran = migrate(&store, &all);
    ran.assert_failed(1, "kept accounts from moving; the others are done");
    for said in [
        "secrets/bob, line 3: it is an option that is not known",
        "secrets/carol: the seed has less than 128 bits",
        "secrets/dave is a symbolic link, which is not followed",
        "secrets/erin can be read or written by others",
        "frank: there is no file",
    ] {
        assert!(ran.err.contains(said), "no {said:?} in {ran:#?}");
    }
    assert!(ran.out.contains("Moved in: 1 device of 1 account."), "{ran:#?}");
    assert_eq!(devices(&store, "alice"), ["google-authenticator"]);

    let carol = migrate(&store, &["--user", "carol", "--allow-weak"]);
    assert_eq!(carol.code, 0, "{carol:#?}");
    assert!(carol.err.contains("warning: with a seed of less than 128 bits: carol"), "{carol:#?}");
    migrate(&store, &["--user", "mallory"]).assert_failed(1, "alice has a device with this seed");
}

#[test]
fn two_people_with_one_seed_do_not_both_move() {
    let store = Store::temporary();
    for user in ["alice", "bob"] {
        secret_file(&store, user, &format!("{SEED}\n\" TOTP_AUTH\n"));
    }
    let ran = migrate(&store, &["--user", "alice", "--user", "bob"]);
    ran.assert_failed(1, "alice has the same seed");
    assert_eq!(devices(&store, "alice"), ["google-authenticator"]);
    assert!(devices(&store, "bob").is_empty());
}

#[test]
fn all_accounts_of_the_host_that_have_a_file_move_and_the_old_files_go_if_that_is_wanted() {
    let store = Store::temporary();
    let old = secret_file(&store, "daemon", &format!("{SEED}\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n"));
    secret_file(&store, "nobody-has-this-name", &format!("{OTHER_SEED}\n\" TOTP_AUTH\n"));
    let ran = migrate(&store, &["--all", "--remove-old", "--json"]);
    ran.assert_done();
    assert_eq!(ran.json(), json!({ "result": "migrated", "accounts": 1, "devices": 1, "already_there": 0 }));
    assert!(!old.exists(), "its account has moved");
    assert!(store.beside("secrets/nobody-has-this-name").exists(), "no account, no file of ours");
    assert_eq!(devices(&store, "daemon"), ["google-authenticator"]);
    migrate(&store, &[]).assert_failed(2, "--all");
    migrate(&store, &["--all", "--user", "alice"]).assert_failed(2, "cannot be used with");
}

#[test]
fn the_users_of_pam_oath_move_in_all_or_none() {
    let store = Store::temporary();
    let step = present();
    let text = |more: &str| {
        format!("HOTP/T30/6 alice - {SEED_HEX} 0 {} 1999-01-01T00:00:00L\n{more}", app().code(step))
    };
    let users = file(&store, "users.oath", &text("HOTP bob 1234 3132333435363738393031323334353637383931\n"));
    let oath =
        |options: &[&str]| run(mfa_admin(&store).args(["migrate", "oath"]).arg(&users).args(options), "");
    let before = store.content();
    oath(&[]).assert_failed(1, "line 2: the user has a PIN");
    assert!(store.content() == before);

    file(&store, "users.oath", &text("HOTP bob - 3132333435363738393031323334353637383931 3\n"));
    oath(&["--dry-run"]).assert_done();
    assert!(store.content() == before);
    let ran = oath(&[]);
    ran.assert_done();
    assert!(
        ran.out.contains("Moved in: 2 devices of 2 accounts.") && ran.out.contains("pam_oath.so"),
        "{ran:#?}"
    );
    assert_eq!(login(&store, "alice", step, &app().code(step)), PamCode::AUTH_ERR, "it was used before");
    assert_eq!(login(&store, "alice", step + 2, &app().code(step + 2)), PamCode::SUCCESS);
    assert_eq!(devices(&store, "bob"), ["oath"]);
    let again = oath(&["--json"]);
    again.assert_done();
    assert_eq!(
        again.json(),
        json!({ "result": "migrated", "accounts": 0, "devices": 0, "already_there": 2 })
    );
}

/// `mfa-admin import FILE WORDS..`
fn import(store: &Store, text: &str, words: &[&str]) -> Ran {
    let fleet = file(store, "fleet.csv", text);
    run(mfa_admin(store).arg("import").arg(fleet).args(words), "")
}

fn line(user: &str, seed: &str) -> String {
    format!("{user},otpauth://totp/ACME:{user}?secret={seed}&issuer=ACME\n")
}

#[test]
fn a_fleet_is_enrolled_from_one_file() {
    let store = Store::temporary();
    let fleet =
        format!("user,otpauth-uri\n# robots\n{}{}", line("alice", SEED), line("svc-backup", OTHER_SEED));
    let dry = import(&store, &fleet, &["--dry-run"]);
    dry.assert_done();
    assert!(dry.out.contains("2 devices of 2 accounts would be enrolled. Nothing was changed."), "{dry:#?}");
    assert!(store.content().is_empty());
    let ran = import(&store, &fleet, &["--name", "robot"]);
    ran.assert_done();
    assert_eq!(ran.out, "Imported 2 devices of 2 accounts.\n");
    assert_eq!(devices(&store, "svc-backup"), ["robot"]);
    let step = present();
    assert_eq!(login(&store, "alice", step, &app().code(step)), PamCode::SUCCESS);

    let before = store.content();
    let again = import(&store, &fleet, &["--name", "robot"]);
    again.assert_done();
    assert!(again.out.contains("2 devices were there already."), "{again:#?}");
    assert!(store.content() == before, "nothing is added a second time");
}

#[test]
fn everything_is_checked_before_the_first_account_is_enrolled() {
    let store = Store::temporary();
    let bob = Account::enroll(&store, "bob");
    for number in 0..8 {
        Account::enroll_with(&store, "full", &["--name", &format!("device {number}")]);
    }
    let token = file(&store, "t.csv", &format!("T1,{SEED_HEX},TOTP\n"));
    run(tokens(&store, &["import"]).arg(token), "").assert_done();
    let before = store.content();
    for (bad, said) in [
        (line("../x", THIRD_SEED), "line 2: a user name can't hold '/'"),
        (line("carol", OTHER_SEED), "line 2: it has the seed of line 1"),
        (line("carol", &bob.generator.secret), "line 2: bob has a device with this seed"),
        (line("carol", SEED), "line 2: it is the token T1 of the stock"),
        (line("carol", "JBSWY3DPEHPK3PXP"), "line 2: the seed has less than 128 bits"),
        (line("full", THIRD_SEED), "line 2: full would have more than 8 devices"),
        ("carol,https://example.com/\n".to_owned(), "line 2: this is no otpauth URI"),
    ] {
        let ran = import(&store, &format!("{}{bad}", line("alice", OTHER_SEED)), &[]);
        ran.assert_failed(1, said);
        assert!(
            !ran.err.contains("JBSWY3DP") && !ran.err.contains(SEED),
            "a seed is never repeated: {ran:#?}"
        );
        assert!(store.content() == before, "{said}");
    }
}

#[test]
fn an_import_that_fails_in_the_middle_says_what_is_done_and_can_be_run_again() {
    let store = Store::temporary();
    let fleet = format!("{}{}{}", line("alice", SEED), line("bob", OTHER_SEED), line("carol", THIRD_SEED));
    Account::enroll(&store, "bob");
    // Another process holds bob's account: ten seconds are waited for it.
    let folder = fs::File::open(store.file("users/bob")).unwrap();
    let held = {
        let store_path = store.path();
        std::thread::scope(|scope| {
            let importing = scope.spawn(|| import(&store, &fleet, &[]));
            // The checks look at bob too: the lock comes when alice is done.
            while !store_path.join("users/alice/devices.toml").exists() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            folder.lock().unwrap();
            let ran = importing.join().unwrap();
            folder.unlock().unwrap();
            ran
        })
    };
    if held.code == 0 {
        // bob was done before the lock could be had; the next test run will see it.
        return;
    }
    held.assert_failed(1, "1 of 3 accounts are done");
    assert!(held.err.contains("running it again is safe"), "{held:#?}");
    assert!(devices(&store, "carol").is_empty());
    let again = import(&store, &fleet, &[]);
    again.assert_done();
    assert_eq!(again.out, "Imported 2 devices of 2 accounts.\n1 device was there already.\n");
}

#[test]
fn an_import_that_is_killed_is_finished_by_running_it_again() {
    let store = Store::temporary();
    let count = 300;
    let fleet: String = (0..count)
        .map(|number: u32| {
            let seed = mfa_core::Secret::new(number.to_be_bytes().repeat(5));
            line(&format!("robot{number:03}"), &seed.to_base32())
        })
        .collect();
    let fleet = file(&store, "fleet.csv", &fleet);
    let mut killed = 0;
    for until in [1, 20, 21, 60, 150] {
        let mut child = mfa_admin(&store).arg("import").arg(&fleet).stdout(Stdio::null()).spawn().unwrap();
        let folders = || fs::read_dir(store.path().join("users")).map_or(0, Iterator::count);
        while folders() < until && child.try_wait().unwrap().is_none() {}
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        run(mfa_admin(&store).arg("list"), "").assert_done();
    }
    assert!(killed >= 3, "the kills came too late");
    run(mfa_admin(&store).arg("import").arg(&fleet), "").assert_done();
    let listed = run(mfa_admin(&store).args(["list", "--json"]), "");
    listed.assert_done();
    assert_eq!(listed.out.matches("\"name\":\"phone\"").count(), 300, "each has one device");
}

#[test]
fn emergency_codes_that_are_left_behind_are_told_of() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    run(mfa_cli_tests::mfa_enroll(&store, "alice").args(["recovery-codes", "--yes", "--json"]), "")
        .assert_done();
    secret_file(&store, "alice", &format!("{SEED}\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n12345678\n"));
    let ran = migrate(&store, &["--user", "alice"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.err.contains("emergency codes of the old module are left behind: alice"), "{ran:#?}");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
}

#[test]
fn a_file_in_a_home_is_found_where_it_usually_is_or_where_it_is_said_to_be() {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
    let folder = format!(".pam-mfa-test-{}", std::process::id());
    let home = user.dir.join(&folder);
    fs::create_dir(&home).unwrap();
    let path = home.join("secret");
    fs::write(&path, format!("{SEED}\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = |words: &[&str]| {
        let store = Store::temporary();
        let user = ["migrate", "google-authenticator", "--user", &user.name];
        let ran = run(mfa_admin(&store).args(user).args(words), "");
        (ran, devices(&store, user[3]).len())
    };
    let relative = format!("{folder}/secret");
    let found = [
        ran(&["--home-relative", &relative]),
        ran(&["--secret", &format!("~/{relative}")]),
        ran(&["--secret", &format!("${{HOME}}/{relative}")]),
    ];
    let missing = ran(&["--home-relative", &format!("{folder}/other")]);
    fs::remove_dir_all(&home).unwrap();
    for (ran, devices) in found {
        assert_eq!((ran.code, devices), (0, 1), "{ran:#?}");
    }
    missing.0.assert_failed(1, "there is no file");
}

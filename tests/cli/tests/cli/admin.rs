//! `mfa-admin`: root's view of all accounts.

use std::fs;

use mfa_cli_tests::{mfa_admin, mfa_enroll, run};
use mfa_core::answer::Answer;
use mfa_core::verify::Round;
use mfa_core::{Caller, FileStore, Policy, Request, Response, Timestamp, Verdict};
use mfa_test_harness::{Account, Store};
use serde_json::Value;

use crate::status;
use crate::status::{From, fail_logins};

#[test]
fn all_accounts_with_a_device_are_listed() {
    let store = Store::temporary();
    let empty = run(mfa_admin(&store).arg("list"), "");
    empty.assert_done();
    assert_eq!(empty.out, "Nobody has a device.\n");

    Account::enroll(&store, "bob");
    Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet", "--digits", "8"]);
    run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "").assert_done();
    // A key that waits for its codes is no device.
    run(mfa_enroll(&store, "carol").args(["add", "--json"]), "").assert_failed(1, "no device was added");

    let text = run(mfa_admin(&store).arg("list"), "");
    text.assert_done();
    let rows: Vec<Vec<&str>> = text.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ACCOUNT", "DEVICE", "KIND", "SINCE", "RECOVERY", "STANDING"]);
    assert_eq!((rows[1][0], rows[1][1], rows[1][4], rows[1][5]), ("alice", "phone", "10", "ready"));
    assert!(text.out.lines().nth(2).unwrap().contains("app (SHA1, 8 digits, 30 s)"), "{text:#?}");
    assert_eq!((rows[3][0], rows[3][1], rows[3][4]), ("bob", "phone", "-"));
    assert_eq!(rows.len(), 4);

    let json = run(mfa_admin(&store).args(["list", "--json"]), "");
    json.assert_done();
    let lines: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [status(&store, "alice"), status(&store, "bob")]);
}

#[test]
fn an_account_that_can_not_be_read_does_not_hide_the_others() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    Account::enroll(&store, "bob");
    fs::write(store.file("users/alice/state"), "nonsense").unwrap();
    let text = run(mfa_admin(&store).arg("list"), "");
    text.assert_failed(1, "1 account can't be read");
    assert!(text.err.contains("users/alice/state"), "{text:#?}");
    assert!(text.out.contains("bob"), "{text:#?}");
    let json = run(mfa_admin(&store).args(["list", "--json"]), "");
    assert_eq!(json.code, 1);
    let first: Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["user"], "alice");
    assert!(first["error"].as_str().unwrap().contains("state"), "{first}");
}

#[test]
fn a_disabled_account_is_seen_and_unlocked() {
    for (from, said) in
        [(From::Owner, "disabled after 50 failures"), (From::Stranger, "closed to unknown addresses")]
    {
        let store = Store::temporary();
        let account = Account::enroll(&store, "alice");
        fail_logins(&store, &account, from, 50);
        let list = run(mfa_admin(&store).arg("list"), "");
        assert!(list.out.contains(said), "{list:#?}");

        let unlocked = run(mfa_admin(&store).args(["unlock", "alice"]), "");
        unlocked.assert_done();
        assert!(unlocked.out.contains("alice is unlocked"), "{unlocked:#?}");
        let device = &status(&store, "alice")["devices"][0];
        assert_eq!(
            (&device["disabled"], &device["closed_to_strangers"], &device["failures"]),
            (&false.into(), &false.into(), &0.into())
        );
    }
}

#[test]
fn a_damaged_state_is_repaired_so_that_no_used_code_works_again() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "").assert_done();
    let healthy = store.content();
    run(mfa_admin(&store).args(["repair", "alice"]), "").assert_failed(1, "alice has nothing to repair");
    assert!(store.content() == healthy, "what can be read is left alone");

    for damage in [&b"nonsense"[..], b""] {
        fs::write(store.file("users/alice/state"), damage).unwrap();
        let told = run(mfa_enroll(&store, "alice").arg("status"), "");
        told.assert_failed(1, "users/alice/state is damaged");
        assert!(told.err.contains("mfa-admin") && told.err.contains(" repair alice"), "{told:#?}");
        let repaired = run(mfa_admin(&store).args(["repair", "alice"]), "");
        repaired.assert_done();
        assert!(
            repaired.out.contains("alice has a new state") && repaired.out.contains("recovery-codes"),
            "{repaired:#?}"
        );
        let status = status(&store, "alice");
        assert_eq!(
            (&status["devices"][0]["name"], &status["recovery_codes_left"]),
            (&"phone".into(), &Value::Null)
        );
    }

    let files = FileStore::at(store.path());
    let log_in = |step: u64| {
        let request = Request::Verify {
            user: Some("alice".parse().unwrap()),
            answer: Answer::parse(account.code(step).as_bytes()).unwrap(),
            remote_host: None,
            round: Round::First,
        };
        let at = Timestamp::from_unix_seconds(account.at(step));
        mfa_core::answer(request, &Caller::privileged("root"), &files, &Policy::default(), at).unwrap()
    };
    let present = Timestamp::now().unix_seconds() / 30;
    for step in [present - 1, present, present + 1] {
        assert!(matches!(log_in(step), Response::Verdict(Verdict::Refuse(_))), "step {step} of {present}");
    }
    assert!(matches!(log_in(present + 13), Response::Verdict(Verdict::Accept(_))));
}

#[test]
fn nobody_can_be_repaired_who_has_no_device() {
    let store = Store::temporary();
    run(mfa_admin(&store).args(["repair", "alice"]), "").assert_failed(1, "alice has no device");
    assert!(store.content().is_empty());
}

#[test]
fn nobody_can_be_unlocked_who_has_no_device() {
    let store = Store::temporary();
    let before = store.content();
    let ran = run(mfa_admin(&store).args(["unlock", "alice"]), "");
    ran.assert_failed(1, "alice has no device");
    assert!(store.content() == before, "nothing was created for a typing error");
}

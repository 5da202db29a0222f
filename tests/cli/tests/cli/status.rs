//! `mfa-enroll status`, `remove` and `recovery-codes`.

use std::collections::HashSet;

use mfa_cli_tests::{Terminal, mfa_enroll, run};
use mfa_core::answer::Answer;
use mfa_core::verify::Round;
use mfa_core::{Caller, FileStore, Policy, Request, Response, Timestamp, Verdict};
use mfa_test_harness::{Account, Store};

use crate::{devices, status};

/// Where wrong codes come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// An address that nobody has logged in from.
    Stranger,
    /// One that the account has just logged in from.
    Owner,
}

/// So many wrong codes, an hour apart so that each is looked at: what a login would do, at times of its own.
pub(crate) fn fail_logins(store: &Store, account: &Account, from: From, times: u64) {
    let files = FileStore::at(store.path());
    let log_in = |code: &str, address: &str, at: u64| {
        let request = Request::Verify {
            user: Some(account.user.parse().unwrap()),
            answer: Answer::parse(code.as_bytes()).unwrap(),
            remote_host: Some(address.to_owned()),
            round: Round::First,
        };
        let at = Timestamp::from_unix_seconds(at);
        mfa_core::answer(request, &Caller::privileged("root"), &files, &Policy::default(), at).unwrap()
    };
    let (address, first) = match from {
        // The last one is now.
        From::Stranger => ("192.0.2.1", Timestamp::now().unix_seconds() - (times - 1) * 3601),
        From::Owner => {
            let at = account.at(account.now);
            let answer = log_in(&account.code(account.now), "198.51.100.1", at);
            assert!(matches!(answer, Response::Verdict(Verdict::Accept(_))), "{answer:?}");
            ("198.51.100.1", at + 3601)
        }
    };
    for at in (0..times).map(|number| first + number * 3601) {
        log_in(&account.wrong_code(at / account.generator.period, 0), address, at);
    }
}

#[test]
fn an_account_without_a_device_is_no_error() {
    let store = Store::temporary();
    assert_eq!(
        status(&store, "alice"),
        serde_json::json!({ "user": "alice", "devices": [], "recovery_codes_left": null, "bypass": null })
    );
    let text = run(mfa_enroll(&store, "alice").arg("status"), "");
    text.assert_done();
    assert!(text.out.contains("No device") && text.out.contains("alice"), "{text:#?}");
    assert!(store.content().is_empty(), "asking creates nothing");
}

#[test]
fn a_store_that_does_not_exist_has_nobody_in_it() {
    let store = Store::temporary();
    std::fs::remove_dir(store.path()).unwrap();
    assert!(devices(&store, "alice").is_empty());
    run(mfa_enroll(&store, "alice").args(["remove", "phone", "--yes"]), "")
        .assert_failed(1, "alice has no device");
    run(mfa_enroll(&store, "alice").args(["recovery-codes", "--yes"]), "")
        .assert_failed(1, "alice has no device");
    assert!(!store.path().exists());
}

#[test]
fn status_tells_everything_but_secrets() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let status = status(&store, "alice");
    let device = status["devices"][0].as_object().unwrap();
    let mut keys: Vec<&str> = device.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "algorithm",
            "closed_to_strangers",
            "digits",
            "disabled",
            "drift_steps",
            "enrolled_at",
            "expired",
            "failures",
            "id",
            "kind",
            "name",
            "period",
            "status",
            "stranger_wait_seconds",
            "wait_seconds"
        ]
    );
    assert_eq!((&device["failures"], &device["disabled"]), (&0.into(), &false.into()));
    assert_eq!((&device["status"], &device["drift_steps"]), (&"active".into(), &0.into()));
    assert!(!status.to_string().contains(&account.generator.secret));
}

#[test]
fn failures_and_waits_are_told() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    fail_logins(&store, &account, From::Stranger, 15);
    let device = &status(&store, "alice")["devices"][0];
    assert_eq!(device["failures"], 15, "{device}");
    assert_eq!(device["wait_seconds"], 0, "the owner does not wait for a stranger: {device}");
    assert!(device["stranger_wait_seconds"].as_u64().unwrap() > 3500, "{device}");
    let text = run(mfa_enroll(&store, "alice").arg("status"), "");
    assert!(text.out.contains("15 failures, unknown addresses wait "), "{text:#?}");
}

#[test]
fn a_disabled_device_is_told_with_the_way_back() {
    for (from, key, said) in [
        (From::Owner, "disabled", "disabled after 50 failures"),
        (From::Stranger, "closed_to_strangers", "50 failures, closed to unknown addresses"),
    ] {
        let store = Store::temporary();
        let account = Account::enroll(&store, "alice");
        let device = || status(&store, "alice")["devices"][0].clone();
        assert_eq!(device()[key], false);
        fail_logins(&store, &account, from, 50);
        assert_eq!((&device()[key], &device()["failures"]), (&true.into(), &50.into()));
        let text = run(mfa_enroll(&store, "alice").arg("status"), "");
        let words: Vec<&str> = text.out.split_whitespace().collect();
        assert!(text.out.contains(said) && words.join(" ").contains("mfa-admin unlock"), "{text:#?}");
    }
}

#[test]
fn a_removed_device_is_gone() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet"]);
    let ran = run(mfa_enroll(&store, "alice").args(["remove", "phone", "--yes"]), "");
    ran.assert_done();
    assert_eq!(devices(&store, "alice"), ["tablet"]);
    let again = run(mfa_enroll(&store, "alice").args(["remove", "phone", "--yes"]), "");
    again.assert_failed(1, "alice has no device named phone");
    assert!(again.err.contains("status"), "{again:#?}");
}

#[test]
fn through_a_pipe_nothing_is_removed_without_yes() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    run(mfa_enroll(&store, "alice").args(["remove", "phone"]), "y\n").assert_failed(2, "remove phone --yes");
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn on_a_terminal_removing_the_last_device_is_warned_of_and_asked() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    for (answer, left) in [("", 1), ("n", 1), ("what\nno", 1), ("y", 0)] {
        let mut command = mfa_enroll(&store, "alice");
        let mut terminal = Terminal::start(command.args(["remove", "phone"]));
        terminal.wait_for("phone is the last device");
        terminal.wait_for("[y/N] ");
        terminal.enters(answer);
        assert_eq!(terminal.end().code, 0);
        assert_eq!(devices(&store, "alice").len(), left, "after {answer:?}");
    }
}

#[test]
fn recovery_codes_are_ten_and_the_old_ones_end() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], serde_json::Value::Null);

    let first = run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "");
    first.assert_done();
    let first = codes(&first.json());
    assert_eq!(first.len(), 10);
    assert!(
        first.iter().all(|code| code.len() == 19 && code.split('-').all(|group| group.len() == 4)),
        "{first:?}"
    );
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);

    let refused = run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "");
    refused.assert_failed(2, "--yes");
    let second =
        codes(&run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json", "--yes"]), "").json());
    assert!(first.is_disjoint(&second));
}

#[test]
fn recovery_codes_go_to_a_pipe_only_if_somebody_says_so() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let before = store.content();
    run(mfa_enroll(&store, "alice").arg("recovery-codes"), "").assert_failed(2, "file or a log");
    assert!(store.content() == before, "nothing has changed");
    let asked = run(mfa_enroll(&store, "alice").args(["recovery-codes", "--yes"]), "");
    asked.assert_done();
    assert_eq!(asked.out.matches('-').count(), 30, "ten codes of four groups: {asked:#?}");
}

#[test]
fn on_a_terminal_old_recovery_codes_end_only_if_somebody_agrees() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "").assert_done();
    let before = store.content();
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.arg("recovery-codes"));
    terminal.wait_for("10 old codes that are left will end");
    terminal.enters("");
    assert_eq!(terminal.end().code, 0);
    assert!(store.content() == before, "the old codes stay");
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("[y/N] ");
    terminal.enters("yes");
    terminal.wait_for("They are not shown again.");
    assert_eq!(terminal.end().code, 0);
    assert!(store.content() != before);
}

fn codes(made: &serde_json::Value) -> HashSet<String> {
    let codes = made["recovery_codes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

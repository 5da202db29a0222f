//! `mfa-admin bypass`, `status` and `history`: a way back in, seen until it is gone, and on record for ever.

use mfa_cli_tests::{Ran, mfa_admin, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::libpam::PamCode;
use mfa_test_harness::{Account, Store};
use serde_json::Value;

fn bypass(store: &Store, words: &[&str]) -> Ran {
    run(mfa_admin(store).arg("bypass").args(words), "")
}

fn admin(store: &Store, words: &[&str]) -> String {
    let ran = run(mfa_admin(store).args(words), "");
    ran.assert_done();
    ran.out
}

fn login(store: &Store, typed: &str, at: u64) -> PamCode {
    store.login("alice").at(at).types(typed).run().result()
}

/// The code that was printed: four groups of four letters.
fn code(out: &str) -> String {
    let is_code = |line: &&str| line.len() == 19 && line.split('-').all(|group| group.len() == 4);
    out.lines().map(str::trim).find(is_code).unwrap_or_else(|| panic!("no code in {out}")).to_owned()
}

#[test]
fn a_bypass_code_lets_in_once_and_is_shown_until_it_is_gone() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let ran = bypass(&store, &["alice", "--valid", "1h", "--reason", "phone fell into the lake"]);
    ran.assert_done();
    let code = code(&ran.out);
    let shown = admin(&store, &["status", "alice"]);
    assert!(shown.contains("phone fell into the lake") && !shown.contains(&code), "{shown}");
    assert!(admin(&store, &["list"]).contains("bypass code"));

    let now = unix_seconds();
    assert_eq!(login(&store, &code.to_lowercase(), now), PamCode::SUCCESS);
    assert_eq!(login(&store, &code, now), PamCode::AUTH_ERR, "once");
    assert!(!admin(&store, &["status", "alice"]).contains("lake"), "it is gone");
    assert!(!admin(&store, &["list"]).contains("bypass code"));
    let history = admin(&store, &["history", "alice"]);
    assert!(history.contains("bypass-issued") && history.contains("phone fell into the lake"), "{history}");
}

#[test]
fn it_ends_with_its_time_or_when_it_is_cancelled() {
    let store = Store::temporary();
    let issue = || code(&bypass(&store, &["alice", "--valid", "90m", "--reason", "no device yet"]).out);
    let late = issue();
    assert_eq!(login(&store, &late, unix_seconds() + 90 * 60 + 60), PamCode::AUTH_ERR);
    let cancelled = issue();
    bypass(&store, &["alice", "--cancel"]).assert_done();
    assert_eq!(login(&store, &cancelled, unix_seconds()), PamCode::AUTH_ERR);
    bypass(&store, &["alice", "--cancel"]).assert_failed(1, "bypass code");
    let first = issue();
    let second = issue();
    assert_eq!(login(&store, &first, unix_seconds()), PamCode::AUTH_ERR, "a new one ends the old one");
    assert_eq!(login(&store, &second, unix_seconds() + 3600), PamCode::SUCCESS);
}

#[test]
fn a_time_and_a_reason_are_needed() {
    let store = Store::temporary();
    for (words, said) in [
        (&["alice"][..], "--valid"),
        (&["alice", "--valid", "1h"], "--reason"),
        (&["alice", "--valid", "31d", "--reason", "x"], "from 1m to 30d"),
        (&["alice", "--valid", "30s", "--reason", "x"], "from 1m to 30d"),
        (&["alice", "--cancel", "--valid", "1h"], "cannot be used with"),
    ] {
        bypass(&store, words).assert_failed(2, said);
    }
    bypass(&store, &["alice", "--valid", "1h", "--reason", " "]).assert_failed(1, "the reason must have");
    bypass(&store, &["alice", "--valid", "1h", "--reason", "a\nb"]).assert_failed(1, "the reason must have");
    assert!(admin(&store, &["list"]).contains("Nobody has a device."));
}

#[test]
fn a_program_gets_the_code_as_json() {
    let store = Store::temporary();
    let ran = bypass(&store, &["alice", "--valid", "1m", "--reason", "x", "--json"]);
    ran.assert_done();
    let issued = ran.json();
    assert_eq!((&issued["result"], &issued["user"]), (&"issued".into(), &"alice".into()));
    assert_eq!(login(&store, issued["code"].as_str().unwrap(), unix_seconds()), PamCode::SUCCESS);
}

#[test]
fn the_history_of_an_account_survives_its_devices() {
    let store = Store::temporary();
    assert_eq!(admin(&store, &["history", "alice"]), "Nothing has happened to alice's devices.\n");
    Account::enroll(&store, "alice");
    run(mfa_cli_tests::mfa_enroll(&store, "alice").args(["remove", "phone", "--yes"]), "").assert_done();
    let lines: Vec<Value> = admin(&store, &["history", "alice", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let what: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert!(what.starts_with(&["enrolled"]) && what.ends_with(&["removed"]), "{what:?}");
    assert!(lines.iter().all(|line| !line["by"].as_str().unwrap().is_empty() && line["at"].is_string()));
}

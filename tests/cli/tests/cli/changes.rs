//! Devices that are there: renamed, put aside, followed, tried; and what happened to them.

use mfa_cli_tests::{Terminal, mfa_enroll, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::{Account, Store};

use crate::{devices, status};

fn enroll(store: &Store, arguments: &[&str], input: &str) -> mfa_cli_tests::Ran {
    run(mfa_enroll(store, "alice").args(arguments), input)
}

#[test]
fn a_device_is_renamed() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["rename", "phone", "old phone"], "").assert_done();
    assert_eq!(devices(&store, "alice"), ["old phone"]);
    enroll(&store, &["rename", "phone", "new"], "").assert_failed(1, "alice has no device named phone");
}

#[test]
fn the_last_device_is_suspended_only_by_somebody_who_is_sure() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["suspend", "phone"], "").assert_failed(2, "the last device that lets alice in");
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
    enroll(&store, &["suspend", "phone", "--yes"], "").assert_done();
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "suspended");
    enroll(&store, &["resume", "phone"], "").assert_done();
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
}

#[test]
fn a_person_at_a_terminal_is_asked_before_the_last_device_is_suspended() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.args(["suspend", "phone"]));
    terminal.wait_for("[y/N]");
    terminal.enters("");
    terminal.wait_for("Nothing was suspended.");
    terminal.end().assert_done();
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
}

#[test]
fn a_code_is_tried_once_and_then_used_up() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let code = account.code(unix_seconds() / 30 + 1);
    let tried = enroll(&store, &["test"], &format!("{code}\n"));
    tried.assert_done();
    assert!(tried.out.contains("Right: that is a code of phone."), "{}", tried.out);
    enroll(&store, &["test"], &format!("{code}\n")).assert_failed(1, "that code was used before");
    enroll(&store, &["test"], "hunter2\n").assert_failed(1, "what was typed is not a code");
    assert_eq!(status(&store, "alice")["devices"][0]["failures"], 0);
    let wrong = account.wrong_code(unix_seconds() / 30, 0);
    enroll(&store, &["test"], &format!("{wrong}\n")).assert_failed(1, "no code of this account");
    assert_eq!(status(&store, "alice")["devices"][0]["failures"], 1);
}

#[test]
fn a_device_whose_clock_is_two_hours_ahead_is_followed_by_two_codes() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let ahead = unix_seconds() / 30 + 240;
    let codes = |first, second| format!("{}\n{}\n", account.code(first), account.code(second));
    enroll(&store, &["resync", "phone"], &codes(ahead, ahead + 2)).assert_failed(1, "does not follow");
    enroll(&store, &["resync", "phone"], &codes(ahead, ahead + 1)).assert_done();
    let drift = status(&store, "alice")["devices"][0]["drift_steps"].as_i64().unwrap();
    assert!((238..=241).contains(&drift), "{drift}");
    enroll(&store, &["test"], &format!("{}\n", account.code(ahead + 1))).assert_failed(1, "used before");
    enroll(&store, &["resync", "watch"], "").assert_failed(1, "alice has no device named watch");
}

#[test]
fn a_token_that_nobody_assigned_can_not_be_activated() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["activate", "GALT11420104"], "")
        .assert_failed(1, "no token GALT11420104 waits for alice");
}

#[test]
fn the_history_tells_what_happened_and_who_did_it() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["rename", "phone", "tablet"], "").assert_done();
    enroll(&store, &["remove", "tablet", "--yes"], "").assert_done();
    let shown = enroll(&store, &["history"], "");
    shown.assert_done();
    let lines: Vec<&str> = shown.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", shown.out);
    assert!(lines[0].contains("  enrolled phone, by "), "{}", lines[0]);
    assert!(lines[1].contains("  renamed tablet, by ") && lines[2].contains("  removed tablet, by "));
    let json = enroll(&store, &["history", "--json"], "");
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["number"], &last["what"]), (&3.into(), &"removed".into()));
    let nobody = run(mfa_enroll(&store, "bob").arg("history"), "");
    nobody.assert_done();
    assert!(nobody.out.contains("never had a device"), "{}", nobody.out);
}

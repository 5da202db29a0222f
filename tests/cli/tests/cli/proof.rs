//! Two codes that do not prove a device: what is said, and that nothing changes.

use mfa_cli_tests::pipe::{Added, add_json, right_codes};
use mfa_cli_tests::{mfa_enroll, run};
use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Store};
use serde_json::Value;

use crate::{devices, status};

/// `add --json` for alice, who has a device already: it must stay as it is.
fn attempt(options: &[&str], codes: impl FnOnce(&Generator, u64) -> Vec<String>) -> Added {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let before = status(&store, "alice");
    let added = add_json(mfa_enroll(&store, "alice").args(["add", "--json"]).args(options), codes);
    assert_eq!(status(&store, "alice"), before, "nothing has changed");
    added
}

#[test]
fn the_same_code_twice_proves_nothing() {
    attempt(&[], |device, present| vec![device.code(present), device.code(present)])
        .assert_refused("same-code", "that was the same code twice");
}

#[test]
fn codes_that_are_not_consecutive_prove_nothing() {
    attempt(&[], |device, present| vec![device.code(present - 3), device.code(present - 1)])
        .assert_refused("not-consecutive", "the second does not follow the first");
    attempt(&[], |device, present| vec![device.code(present - 1), device.code(present - 2)])
        .assert_refused("not-consecutive", "the second does not follow the first");
}

#[test]
fn a_clock_that_is_off_is_said_with_size_direction_and_cure() {
    let ahead = attempt(&[], |device, present| device.codes(present + 39, 2));
    ahead.assert_refused("clock-off", "the device's clock is 20 minutes ahead of this host's");
    assert!(ahead.ran.err.contains("timedatectl"), "{ahead:#?}");
    attempt(&[], |device, present| device.codes(present - 40, 2))
        .assert_refused("clock-off", "the device's clock is 20 minutes behind this host's");
}

#[test]
fn codes_of_another_key_prove_nothing() {
    let other = Generator {
        secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
    };
    attempt(&[], |_, present| other.codes(present, 2))
        .assert_refused("other-codes", "these are not codes of this key");
}

#[test]
fn one_right_code_proves_nothing() {
    attempt(&[], |device, present| {
        let near = device.codes(present - 130, 261);
        let wrong = (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !near.contains(code));
        vec![device.code(present - 1), wrong.unwrap()]
    })
    .assert_refused("other-codes", "these are not codes of this key");
}

#[test]
fn an_app_that_takes_no_notice_of_the_profile_is_found_out() {
    let codes_of_app = |device: &Generator, present: u64| {
        let app = Generator { algorithm: "SHA1".to_owned(), digits: 6, period: 30, ..device.clone() };
        app.codes(present * device.period / app.period, 2)
    };
    for (options, ignored, said) in [
        (["--algorithm", "SHA256"], "the algorithm", "though it was told SHA256, 6 digits, 30 s"),
        (["--digits", "8"], "the digits", "though it was told SHA1, 8 digits, 30 s"),
        (["--period", "60"], "the period", "though it was told SHA1, 6 digits, 60 s"),
    ] {
        let added = attempt(&options, codes_of_app);
        added.assert_refused("profile-ignored", &format!("the app has ignored {ignored}: "));
        added.assert_refused("profile-ignored", said);
        added.assert_refused("profile-ignored", "it makes codes by SHA1, 6 digits, 30 s");
        assert!(added.ran.err.contains("--algorithm SHA1 --digits 6 --period 30"), "{added:#?}");
    }
}

#[test]
fn what_is_not_a_code_is_not_even_tried() {
    for typed in ["", "12345", "123456789", "hunter2", "12345a", "+123456", "١٢٣٤٥٦"] {
        let added = attempt(&[], |_, _| vec![typed.to_owned()]);
        added.assert_refused("not-a-code", "type the 6 digits");
        let said = format!("{}{}", added.ran.err, added.result);
        assert!(typed.is_empty() || !said.contains(typed), "what was typed is said back: {said}");
    }
    let long = "1".repeat(1_000_000);
    attempt(&[], |_, _| vec![long]).assert_refused("not-a-code", "type the 6 digits");
}

#[test]
fn input_that_ends_early_changes_nothing_and_keeps_the_key() {
    let store = Store::temporary();
    let none = run(mfa_enroll(&store, "alice").args(["add", "--json"]), "");
    none.assert_failed(1, "no device was added");
    assert!(none.err.contains("the key is kept for 15 minutes"), "{none:#?}");
    let lines: Vec<Value> = none.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{none:#?}");
    assert_eq!(lines[1]["result"], "error");

    let one = add_json(mfa_enroll(&store, "alice").args(["add", "--json"]), |device, present| {
        vec![device.code(present)]
    });
    assert_eq!(one.result["result"], "error", "one code is not enough: {one:#?}");
    assert_eq!(one.offer["secret"], lines[0]["secret"], "the same key");
    assert!(devices(&store, "alice").is_empty());
}

#[test]
fn a_retry_shows_the_same_key_and_can_succeed() {
    let store = Store::temporary();
    let add = || {
        let mut command = mfa_enroll(&store, "alice");
        command.args(["add", "--json"]);
        command
    };
    let wrong = add_json(&mut add(), |device, present| vec![device.code(present), device.code(present)]);
    wrong.assert_refused("same-code", "same code");
    let right = add_json(&mut add(), right_codes);
    assert_eq!(right.offer, wrong.offer, "the same key");
    assert_eq!(right.result["result"], "enrolled");
    let next = add_json(&mut add(), right_codes);
    assert_ne!(next.generator.secret, right.generator.secret, "a key that is bound is shown no more");
}

#[test]
fn another_name_or_profile_gets_another_key() {
    let store = Store::temporary();
    let secret = |options: &[&str]| {
        let mut command = mfa_enroll(&store, "alice");
        add_json(command.args(["add", "--json"]).args(options), |_, _| vec![]).generator.secret
    };
    let first = secret(&[]);
    assert_eq!(secret(&[]), first);
    assert_ne!(secret(&["--digits", "8"]), first);
    assert_ne!(secret(&["--name", "tablet"]), first);
}

#[test]
fn the_code_that_comes_next_is_never_printed() {
    let store = Store::temporary();
    let added = add_json(mfa_enroll(&store, "alice").args(["add", "--json"]), |device, present| {
        vec![device.code(present - 1), device.code(present - 1)]
    });
    // Without the key, in whose letters six digits never follow each other.
    let said = format!("{}{}", added.result, added.ran.err);
    let present = mfa_test_harness::account::unix_seconds() / 30;
    for code in added.generator.codes(present - 20, 41) {
        assert!(!said.contains(&code), "{said}");
    }
}

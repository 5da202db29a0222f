//! Devices that are there: renamed, put aside, replaced, followed, tried; and what happened to them.

use mfa_cli_tests::pipe::{Dialogue, add_json, right_codes};
use mfa_cli_tests::{Terminal, in_locale, mfa_admin, mfa_enroll, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::oathtool::hotp;
use mfa_test_harness::{Account, Store};
use serde_json::{Value, json};

use crate::{devices, status};

fn enroll(store: &Store, arguments: &[&str], input: &str) -> mfa_cli_tests::Ran {
    run(mfa_enroll(store, "alice").args(arguments), input)
}

fn lines(codes: &[String]) -> String {
    format!("{}\n", codes.join("\n"))
}

#[test]
fn a_device_is_renamed() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet"]);
    enroll(&store, &["rename", "phone", "old phone"], "").assert_done();
    assert_eq!(devices(&store, "alice"), ["old phone", "tablet"]);
    enroll(&store, &["rename", "phone", "new"], "").assert_failed(1, "alice has no device named phone");
    let taken = enroll(&store, &["rename", "tablet", "old phone"], "");
    taken.assert_failed(1, "alice already has a device named old phone");
    enroll(&store, &["rename", "tablet", "a\nb"], "").assert_failed(2, "control");
    assert_eq!(devices(&store, "alice"), ["old phone", "tablet"]);
}

#[test]
fn the_last_device_is_suspended_only_by_somebody_who_is_sure() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let asked = enroll(&store, &["suspend", "phone"], "");
    asked.assert_failed(2, "phone is the last device that counts");
    assert!(asked.err.contains("only root can resume it") && asked.err.contains("suspend phone --yes"));
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
    enroll(&store, &["suspend", "phone", "--yes"], "").assert_done();
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "suspended");
    enroll(&store, &["resume", "phone"], "").assert_done();
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
}

#[test]
fn a_device_that_is_not_the_last_is_suspended_without_a_question() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet"]);
    enroll(&store, &["suspend", "phone"], "").assert_done();
    let code = account.code(unix_seconds() / 30 + 1);
    enroll(&store, &["test"], &format!("{code}\n")).assert_failed(1, "that is neither a code");
    enroll(&store, &["suspend", "tablet"], "").assert_failed(2, "tablet is the last device that counts");
    enroll(&store, &["resume", "phone"], "").assert_done();
    enroll(&store, &["test"], &format!("{code}\n")).assert_done();
}

#[test]
fn a_person_at_a_terminal_is_asked_before_the_last_device_is_suspended() {
    let store = Store::temporary();
    let _alice = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let mut command = mfa_enroll(&store, "alice");
    for (answer, left) in [("", "active"), ("n", "active"), ("y", "suspended")] {
        let mut terminal = Terminal::start(command.args(["suspend", "phone"]));
        terminal.wait_for("10 recovery codes that are left");
        terminal.wait_for("[y/N] ");
        terminal.enters(answer);
        terminal.end().assert_done();
        assert_eq!(status(&store, "alice")["devices"][0]["status"], left, "after {answer:?}");
        command = mfa_enroll(&store, "alice");
    }
}

#[test]
fn removing_the_last_device_that_counts_is_warned_of_though_others_are_there() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet"]);
    enroll(&store, &["suspend", "tablet"], "").assert_done();
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.args(["remove", "phone"]));
    terminal.wait_for("phone is the last device that counts.");
    terminal.wait_for("[y/N] ");
    terminal.enters("n");
    terminal.end().assert_done();
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.args(["remove", "tablet"]));
    terminal.wait_for("[y/N] ");
    assert!(!terminal.screen().contains("last device"), "{}", terminal.screen());
    terminal.enters("y");
    terminal.end().assert_done();
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn a_replaced_device_works_until_the_new_one_is_proven() {
    let store = Store::temporary();
    let old = Account::enroll(&store, "alice");
    let present = unix_seconds() / 30;
    let mut dialogue =
        Dialogue::begin(mfa_enroll(&store, "alice").args(["add", "--replace", "phone", "--json"]));
    let offer: Value = serde_json::from_str(&dialogue.line()).unwrap();
    assert_eq!(offer["device"], "phone");
    enroll(&store, &["test"], &format!("{}\n", old.code(present + 1))).assert_done();
    let device = mfa_cli_tests::pipe::generator_of(&offer);
    dialogue.write(&lines(&right_codes(&device, unix_seconds() / 30)));
    assert_eq!(dialogue.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
    enroll(&store, &["test"], &format!("{}\n", device.code(unix_seconds() / 30 + 1))).assert_done();
    let ran = enroll(&store, &["resync", "phone"], &lines(&old.generator.codes(present + 3, 2)));
    ran.assert_failed(1, "the input ended");
    assert!(ran.out.contains("not two codes in a row of this device"), "{ran:#?}");
}

#[test]
fn a_replacement_may_have_another_name_and_wrong_codes_replace_nothing() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let mut command = mfa_enroll(&store, "alice");
    command.args(["add", "--replace", "phone", "--name", "new phone", "--json"]);
    let wrong = add_json(&mut command, |device, present| vec![device.code(present), device.code(present)]);
    wrong.assert_refused("same-code", "that was the same code twice");
    assert_eq!(devices(&store, "alice"), ["phone"]);
    assert_eq!(add_json(&mut command, right_codes).result["device"], "new phone");
    assert_eq!(devices(&store, "alice"), ["new phone"]);
    enroll(&store, &["add", "--replace", "phone", "--json"], "")
        .assert_failed(1, "alice has no device named phone");
}

#[test]
fn with_eight_devices_one_can_still_be_replaced() {
    let store = Store::temporary();
    for _ in 0..8 {
        Account::enroll(&store, "alice");
    }
    enroll(&store, &["add", "--json"], "").assert_failed(1, "that is the most there can be");
    let mut command = mfa_enroll(&store, "alice");
    let added = add_json(command.args(["add", "--replace", "phone 3", "--json"]), right_codes);
    assert_eq!(added.result["device"], "phone 3");
    assert_eq!(devices(&store, "alice").len(), 8);
}

#[test]
fn a_device_that_counts_is_bound_by_its_first_two_codes_and_followed_when_it_has_run_ahead() {
    let store = Store::temporary();
    let mut command = mfa_enroll(&store, "alice");
    let mut dialogue = Dialogue::begin(command.args(["add", "--counter", "--look-ahead", "3", "--json"]));
    let offer: Value = serde_json::from_str(&dialogue.line()).unwrap();
    assert_eq!((&offer["counter"], &offer["period"]), (&json!(0), &Value::Null));
    assert!(offer["uri"].as_str().unwrap().starts_with("otpauth://hotp/"), "{offer}");
    let secret = offer["secret"].as_str().unwrap().to_owned();
    let code = |counter| hotp(&secret, 6, counter);
    dialogue.write(&lines(&[code(0), code(1)]));
    assert_eq!(dialogue.end().code, 0);
    let device = status(&store, "alice")["devices"][0].clone();
    assert_eq!((&device["kind"], &device["look_ahead"]), (&json!("hotp"), &json!(3)));
    enroll(&store, &["test"], &format!("{}\n", code(3))).assert_done();
    enroll(&store, &["test"], &format!("{}\n", code(2))).assert_failed(1, "");
    // Far beyond what a login looks at.
    enroll(&store, &["test"], &format!("{}\n", code(200))).assert_failed(1, "that is neither a code");
    let resynced = enroll(&store, &["resync", "phone", "--json"], &lines(&[code(200), code(201)]));
    assert_eq!(resynced.json()["result"], "resynced");
    enroll(&store, &["test"], &format!("{}\n", code(202))).assert_done();
    enroll(&store, &["add", "--counter", "--period", "60"], "").assert_failed(2, "cannot be used with");
    enroll(&store, &["add", "--look-ahead", "3"], "").assert_failed(2, "--counter");
    enroll(&store, &["add", "--counter", "--look-ahead", "21"], "").assert_failed(2, "1 to 20");
}

#[test]
fn a_code_is_tried_once_and_then_used_up() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let code = account.code(unix_seconds() / 30 + 1);
    let tried = enroll(&store, &["test"], &format!("{code}\n"));
    tried.assert_done();
    assert!(tried.out.contains("Right: that is a code of phone."), "{}", tried.out);
    enroll(&store, &["test"], &format!("{code}\n"))
        .assert_failed(1, "that code, or a later one, was used before");
    let nonsense = enroll(&store, &["test", "--json"], "hunter2\n");
    nonsense.assert_failed(1, "that is neither a code");
    assert_eq!(nonsense.json()["reason"], "not-a-code");
    assert_eq!(status(&store, "alice")["devices"][0]["failures"], 0);
    let wrong = account.wrong_code(unix_seconds() / 30, 0);
    let refused = enroll(&store, &["test", "--json"], &format!("{wrong}\n"));
    refused.assert_failed(1, "that is neither a code that a device of alice shows now nor a recovery code");
    assert_eq!(refused.json()["reason"], "wrong");
    assert_eq!(status(&store, "alice")["devices"][0]["failures"], 1);
}

#[test]
fn a_recovery_code_that_is_tried_is_named_and_gone() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let code = format!("{}\n", account.recovery_codes()[0].to_lowercase());
    let tried = enroll(&store, &["test", "--json"], &code);
    assert_eq!(
        tried.json(),
        json!({ "result": "accepted", "user": "alice", "factor": "recovery-code", "left": 9 })
    );
    enroll(&store, &["test"], &code).assert_failed(1, "");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 9);
}

#[test]
fn a_device_whose_clock_is_two_hours_ahead_is_followed_by_two_codes() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let ahead = unix_seconds() / 30 + 240;
    let codes = |first, second| lines(&[account.code(first), account.code(second)]);
    let refused = enroll(&store, &["resync", "phone", "--json"], &codes(ahead, ahead + 2));
    refused.assert_failed(1, "does not follow");
    assert_eq!(refused.json()["reason"], "not-consecutive");
    let done = enroll(&store, &["resync", "phone"], &codes(ahead, ahead + 1));
    done.assert_done();
    assert!(done.out.contains("s ahead of this host's, and is followed."), "{done:#?}");
    let drift = status(&store, "alice")["devices"][0]["drift_steps"].as_i64().unwrap();
    assert!((238..=241).contains(&drift), "{drift}");
    enroll(&store, &["test"], &format!("{}\n", account.code(ahead + 1))).assert_failed(1, "used before");
    enroll(&store, &["resync", "watch"], "").assert_failed(1, "alice has no device named watch");
}

/// A token that root has assigned to alice: its number, and its codes by counter.
fn assigned_token(store: &Store) -> impl Fn(u64) -> String + use<> {
    let file = store.beside("tokens.csv");
    let csv = "upn,serial number,secret key,time interval,manufacturer,model\n,2308001234567,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,30,Acme,T1\n";
    std::fs::write(&file, csv).unwrap();
    let file = file.to_str().unwrap();
    run(
        mfa_admin(store).args([
            "tokens",
            "import",
            file,
            "--format",
            "entra-csv",
            "--secret-encoding",
            "base32",
        ]),
        "",
    )
    .assert_done();
    run(mfa_admin(store).args(["tokens", "assign", "2308001234567", "alice", "--name", "key ring"]), "")
        .assert_done();
    let generator = mfa_test_harness::oathtool::Generator {
        secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
    };
    move |step| generator.code(step)
}

#[test]
fn an_assigned_token_is_activated_by_its_number_and_two_codes() {
    let store = Store::temporary();
    let code = assigned_token(&store);
    let shown = run(mfa_enroll(&store, "alice").arg("status"), "");
    assert!(shown.out.contains("2308001234567 waits for two of its codes"), "{shown:#?}");
    // A clock that has run away in a drawer.
    let step = unix_seconds() / 30 - 700;
    let mut terminal = Terminal::start(mfa_enroll(&store, "alice").args(["activate", "2308001234567"]));
    for (first, second, said) in [(step, step, "same code twice"), (step, step + 1, "Done: alice")] {
        terminal.wait_for("First code: ");
        terminal.enters(&code(first));
        terminal.wait_for("Next code: ");
        terminal.enters(&code(second));
        terminal.wait_for(said);
    }
    terminal.wait_for("They are not shown again.");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["key ring"]);
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
    enroll(&store, &["activate", "2308001234567"], "")
        .assert_failed(1, "is active already: it is called key ring");
    enroll(&store, &["test"], &format!("{}\n", code(step + 2))).assert_done();
}

#[test]
fn a_program_activates_a_token_under_a_name_of_its_own() {
    let store = Store::temporary();
    let code = assigned_token(&store);
    enroll(&store, &["resync", "key ring"], "").assert_failed(1, "key ring was not activated yet");
    enroll(&store, &["resume", "key ring"], "").assert_failed(1, "not activated yet");
    let step = unix_seconds() / 30;
    let arguments = ["activate", "2308001234567", "--name", "blue", "--json"];
    let activated = enroll(&store, &arguments, &lines(&[code(step - 1), code(step)]));
    assert_eq!(activated.json()["result"], "enrolled", "{activated:#?}");
    assert_eq!(devices(&store, "alice"), ["blue"]);
}

#[test]
fn in_the_dialogue_a_token_that_waits_is_the_first_thing_to_do() {
    let store = Store::temporary();
    let code = assigned_token(&store);
    let mut terminal = Terminal::start(&in_locale(mfa_enroll(&store, "alice"), "C"));
    terminal.wait_for("Your choice [Enter: Activate a hardware token]: ");
    terminal.enters("");
    terminal.wait_for("First code: ");
    let step = unix_seconds() / 30;
    terminal.enters(&code(step - 1));
    terminal.wait_for("Next code: ");
    terminal.enters(&code(step));
    terminal.wait_for("Press Enter to go on.");
    terminal.enters("");
    terminal.wait_for("Your choice ");
    terminal.enters("q");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(status(&store, "alice")["devices"][0]["status"], "active");
}

#[test]
fn a_token_that_nobody_assigned_can_not_be_activated() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["activate", "GALT11420104"], "")
        .assert_failed(1, "no token with the number GALT11420104 waits for alice");
}

#[test]
fn a_bypass_code_stands_in_the_status_until_it_is_used() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let issued = run(
        mfa_admin(&store).args(["bypass", "alice", "--valid", "1h", "--reason", "lost phone", "--json"]),
        "",
    )
    .json();
    let shown = run(mfa_enroll(&store, "alice").arg("status"), "");
    let words = shown.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("[!] A bypass code lets somebody in once until "), "{words}");
    assert!(words.contains(": lost phone (issued by "), "{words}");
    assert_eq!(status(&store, "alice")["bypass"]["reason"], "lost phone");
    let code = issued["code"].as_str().unwrap();
    let tried = enroll(&store, &["test"], &format!("{code}\n"));
    tried.assert_done();
    assert!(tried.out.contains("that was the bypass code"), "{tried:#?}");
    assert_eq!(status(&store, "alice")["bypass"], Value::Null);
}

#[test]
fn the_history_tells_what_happened_and_who_did_it() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    enroll(&store, &["rename", "phone", "tablet"], "").assert_done();
    enroll(&store, &["remove", "tablet", "--yes"], "").assert_done();
    let shown = enroll(&store, &["history"], "");
    shown.assert_done();
    for said in [
        "phone was bound by two codes, by ",
        "a device was renamed to tablet, by ",
        "tablet was removed, by ",
    ] {
        assert!(shown.out.contains(said), "no {said:?} in {}", shown.out);
    }
    let json = enroll(&store, &["history", "--json"], "");
    let last: Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["number"], &last["what"]), (&3.into(), &"removed".into()));
    let nobody = run(mfa_enroll(&store, "bob").arg("history"), "");
    nobody.assert_done();
    assert!(nobody.out.contains("Nothing has happened to the devices of bob"), "{}", nobody.out);
}

#[test]
fn in_a_c_locale_no_command_prints_anything_but_ascii() {
    let store = Store::temporary();
    Account::enroll_with(&store, "alice", &["--name", "Łucja's 電話"]);
    for arguments in [&["status"][..], &["history"], &["rename", "Łucja's 電話", "téléphone"]] {
        let ran = run(in_locale(mfa_enroll(&store, "alice"), "C").args(arguments), "");
        ran.assert_done();
        assert!(ran.out.is_ascii(), "{ran:#?}");
    }
    assert_eq!(devices(&store, "alice"), ["téléphone"]);
}

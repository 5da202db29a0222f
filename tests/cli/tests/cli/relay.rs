//! An ordinary user, who may not open the store: `mfad` is asked, and asks for what speaks for the user.

use mfa_cli_tests::daemon::{Daemon, PASSWORD};
use mfa_cli_tests::pipe::{Dialogue, generator_of, right_codes};
use mfa_cli_tests::{Ran, Terminal, in_locale, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::{Account, Store};
use serde_json::{Value, json};

use crate::{devices, status};

/// A store that alice reaches by a daemon alone.
fn alice() -> (Store, Daemon) {
    let store = Store::temporary();
    let daemon = Daemon::start(&store, "alice");
    (store, daemon)
}

fn present() -> u64 {
    unix_seconds() / 30
}

fn enroll(daemon: &Daemon, arguments: &[&str], input: &str) -> Ran {
    run(daemon.mfa_enroll("alice").args(arguments), input)
}

/// Types two codes that prove the device whose key is on the screen.
fn proves(terminal: &mut Terminal) {
    terminal.wait_for("First code: ");
    for code in right_codes(&terminal.device(), present()) {
        terminal.enters(&code);
    }
}

#[test]
fn the_first_device_takes_the_password_which_is_not_shown() {
    let (store, daemon) = alice();
    let mut terminal = Terminal::start(daemon.mfa_enroll("alice").arg("add"));
    for typed in ["wrong horse", PASSWORD] {
        terminal.wait_for("Password of alice: ");
        assert!(!terminal.is_in_usual_mode(), "what is typed would be shown");
        terminal.enters(typed);
    }
    proves(&mut terminal);
    assert!(terminal.is_in_usual_mode());
    terminal.wait_for("They are not shown again.");
    let ran = terminal.end();
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("That is not the password of alice."), "{}", ran.out);
    assert!(!ran.out.contains("horse"), "{}", ran.out);
    assert_eq!(devices(&store, "alice"), ["phone"]);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
    let history = enroll(&daemon, &["history"], "");
    assert!(history.out.contains("phone was bound by two codes, by alice by mfad"), "{history:#?}");
}

#[test]
fn after_three_wrong_passwords_it_ends_and_no_key_was_made() {
    let (store, daemon) = alice();
    let mut terminal = Terminal::start(daemon.mfa_enroll("alice").arg("add"));
    for _ in 0..3 {
        terminal.wait_for("Password of alice: ");
        terminal.enters("wrong horse");
    }
    let ran = terminal.end();
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("that is not the password of alice"), "{}", ran.out);
    assert!(store.content().is_empty(), "no key was made");
}

#[test]
fn ctrl_c_and_ctrl_d_at_the_password_restore_the_terminal_and_change_nothing() {
    let (store, daemon) = alice();
    for (key, code) in [("\x03", 130), ("\x04", 1)] {
        let mut terminal = Terminal::start(daemon.mfa_enroll("alice").arg("add"));
        terminal.wait_for("Password of alice: ");
        terminal.types("half a pass");
        terminal.types(if code == 1 { "\x15\x04" } else { key });
        terminal.wait_for("no device was added");
        assert!(terminal.is_in_usual_mode(), "after {key:?}");
        let ran = terminal.end();
        assert_eq!(ran.code, code, "{ran:#?}");
        assert!(!ran.out.contains("half"), "{ran:#?}");
    }
    assert!(store.content().is_empty());
}

#[test]
fn ctrl_c_where_a_code_is_wanted_changes_nothing() {
    let (store, daemon) = alice();
    let _codes = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let before = store.content();
    for arguments in [
        &["add"][..],
        &["add", "--replace", "phone"],
        &["rename", "phone", "x"],
        &["suspend", "phone", "--yes"],
        &["remove", "phone", "--yes"],
        &["recovery-codes", "--yes"],
    ] {
        let mut terminal = Terminal::start(daemon.mfa_enroll("alice").args(arguments));
        terminal.wait_for("or a recovery code: ");
        terminal.types("123");
        terminal.interrupts();
        let ran = terminal.end();
        assert_eq!(ran.code, 130, "{ran:#?}");
        let meaning = ["no device was added", "nothing was ", "the old codes stay"];
        assert!(meaning.iter().any(|meaning| ran.out.contains(meaning)), "{ran:#?}");
        assert!(store.content() == before, "{arguments:?}");
    }
}

#[test]
fn a_second_device_takes_a_code_and_the_password_is_not_enough() {
    let (store, daemon) = alice();
    let account = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let mut terminal = Terminal::start(daemon.mfa_enroll("alice").args(["add", "--name", "tablet"]));
    terminal.wait_for("Current code of one of your devices, or a recovery code: ");
    terminal.enters(PASSWORD);
    terminal.wait_for("That is neither a code");
    terminal.enters(&account.wrong_code(present(), 0));
    terminal.wait_for("That is neither a code that a device of alice shows now");
    terminal.wait_for("Current code");
    terminal.enters(&account.code(present() + 1));
    proves(&mut terminal);
    terminal.wait_for("Done: alice");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone", "tablet"]);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10, "old ones stay");
}

#[test]
fn every_change_takes_a_code_or_a_recovery_code_and_uses_it_up() {
    let (store, daemon) = alice();
    let account = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let mut recovery = account.recovery_codes().iter();
    let mut input = || format!("{}\n", recovery.next().unwrap());
    for arguments in
        [&["rename", "phone", "old phone"][..], &["suspend", "old phone", "--yes"], &["resume", "old phone"]]
    {
        enroll(&daemon, arguments, "").assert_failed(1, "the input ended");
        let code = input();
        enroll(&daemon, arguments, &code).assert_done();
        enroll(&daemon, &["rename", "old phone", "x"], &code).assert_failed(1, "was used before");
    }
    let made = enroll(&daemon, &["recovery-codes", "--yes"], &input());
    made.assert_done();
    enroll(&daemon, &["remove", "old phone", "--yes"], &format!("{}\n", account.code(present() + 1)))
        .assert_done();
    assert!(devices(&store, "alice").is_empty());
}

#[test]
fn looking_trying_and_resynchronising_take_nothing_else() {
    let (store, daemon) = alice();
    let account = Account::enroll(&store, "alice");
    enroll(&daemon, &["status"], "").assert_done();
    assert_eq!(enroll(&daemon, &["status", "--json"], "").json(), status(&store, "alice"));
    enroll(&daemon, &["history", "--json"], "").assert_done();
    let step = present() + 40;
    let codes = format!("{}\n{}\n", account.code(step), account.code(step + 1));
    enroll(&daemon, &["resync", "phone"], &codes).assert_done();
    let wrong = account.wrong_code(present(), 0);
    enroll(&daemon, &["test"], &format!("{wrong}\n")).assert_failed(1, "that is neither a code");
}

#[test]
fn a_program_is_asked_by_a_line_of_json() {
    let (store, daemon) = alice();
    let mut dialogue = Dialogue::begin(daemon.mfa_enroll("alice").args(["add", "--json"]));
    let asked: Value = serde_json::from_str(&dialogue.line()).unwrap();
    assert_eq!(asked, json!({ "asks": "password" }));
    dialogue.write(&format!("{PASSWORD}\n"));
    let offer: Value = serde_json::from_str(&dialogue.line()).unwrap();
    let device = generator_of(&offer);
    dialogue.write(&format!("{}\n", right_codes(&device, present()).join("\n")));
    assert_eq!(dialogue.end().code, 0);
    let made = enroll(&daemon, &["recovery-codes", "--json"], &format!("{}\n", device.code(present() + 1)));
    made.assert_done();
    let mut lines = made.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next(), Some(json!({ "asks": "code" })));
    assert_eq!(lines.next().unwrap()["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
}

#[test]
fn a_program_gets_one_try() {
    let (_store, daemon) = alice();
    let ran = enroll(&daemon, &["add", "--json"], &format!("wrong horse\n{PASSWORD}\n"));
    ran.assert_failed(1, "that is not the password of alice");
}

#[test]
fn the_account_of_another_is_refused_with_what_to_do() {
    let (store, daemon) = alice();
    Account::enroll(&store, "bob");
    for arguments in
        [&["status"][..], &["add", "--json"], &["remove", "phone", "--yes"], &["history"], &["test"]]
    {
        let ran = run(daemon.mfa_enroll("bob").args(arguments), "123456\n");
        ran.assert_failed(1, "the account of bob is not yours, and only root may see to those of others");
        assert!(
            ran.err.contains("leave out --user") && ran.err.contains("sudo mfa-enroll --user bob"),
            "{ran:#?}"
        );
    }
    assert_eq!(devices(&store, "bob"), ["phone"]);
}

#[test]
fn where_nobody_listens_that_is_said() {
    let store = Store::temporary();
    let mut command = mfa_cli_tests::mfa_enroll(&store, "alice");
    command = {
        let mut by_socket = std::process::Command::new(command.get_program());
        by_socket.args([
            "--socket",
            "/nonexistent/socket",
            "--no-account-check",
            "--user",
            "alice",
            "status",
        ]);
        in_locale(by_socket, "C.UTF-8")
    };
    run(&mut command, "").assert_failed(1, "mfad is not running: nobody listens at /nonexistent/socket");
}

#[test]
fn too_many_wrong_codes_are_waited_for_and_a_command_says_how_long() {
    let (store, daemon) = alice();
    let account = Account::enroll(&store, "alice");
    let wrong = |which| format!("{}\n", account.wrong_code(present(), which));
    for which in 0..3 {
        enroll(&daemon, &["rename", "phone", "x"], &wrong(which)).assert_failed(1, "neither a code");
    }
    let ran = enroll(&daemon, &["rename", "phone", "x"], &wrong(5));
    ran.assert_failed(1, "after too many wrong codes the next one is looked at in ");
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn the_dialogue_works_through_the_daemon_in_eighty_by_twenty_four() {
    let (store, daemon) = alice();
    let mut terminal = Terminal::start(&in_locale(daemon.mfa_enroll("alice"), "C"));
    terminal.wait_for("[ ] No device");
    terminal.wait_for("Your choice ");
    terminal.enters("1");
    terminal.wait_for("call the device?");
    terminal.enters("");
    terminal.wait_for("Password of alice: ");
    terminal.enters(PASSWORD);
    proves(&mut terminal);
    terminal.wait_for("They are not shown again.");
    terminal.wait_for("Press Enter");
    terminal.enters("");
    terminal.wait_for("[x] Recovery codes: 10 left.");
    terminal.wait_for("Your choice ");
    assert!(terminal.screen().is_ascii());
    terminal.enters("q");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

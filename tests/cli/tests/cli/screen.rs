//! `mfa-enroll add` on a terminal of 80 columns and 24 rows.

use mfa_cli_tests::pipe::right_codes;
use mfa_cli_tests::{Terminal, in_locale, mfa_enroll, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Store};

use crate::{devices, status};

fn present(device: &Generator) -> u64 {
    unix_seconds() / device.period
}

fn add(store: &Store, options: &[&str]) -> Terminal {
    let mut command = mfa_enroll(store, "alice");
    let mut terminal = Terminal::start(command.arg("add").args(options));
    terminal.wait_for("First code: ");
    terminal
}

fn enters_codes(terminal: &mut Terminal, codes: &[String]) {
    terminal.enters(&codes[0]);
    terminal.wait_for("Next code:  ");
    terminal.enters(&codes[1]);
}

#[test]
fn a_person_gets_a_device_and_ten_recovery_codes() {
    let store = Store::temporary();
    let mut terminal = add(&store, &[]);
    let screen = terminal.screen();
    assert!(screen.contains("A new device for alice on "), "whose account it is stands there:\n{screen}");
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    terminal.wait_for("They are not shown again.");
    let screen = terminal.screen();
    let shown: Vec<&str> =
        screen.split_whitespace().filter(|word| word.len() == 19 && word.matches('-').count() == 3).collect();
    assert_eq!(shown.len(), 10, "{screen}");
    let ran = terminal.end();
    assert_eq!(ran.code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
}

#[test]
fn a_second_device_brings_recovery_codes_only_if_there_are_none() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let mut terminal = add(&store, &["--name", "watch"]);
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    assert_eq!(terminal.end().code, 0);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
    let code = account.with_recovery_codes(&store).recovery_codes()[0].clone();
    run(mfa_enroll(&store, "alice").arg("test"), &format!("{code}\n")).assert_done();
    let mut terminal = add(&store, &["--name", "tablet"]);
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone", "watch", "tablet"]);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 9, "those that there are stay");
}

#[test]
fn recovery_codes_can_be_left_out() {
    let store = Store::temporary();
    let mut terminal = add(&store, &["--no-recovery-codes"]);
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    assert_eq!(terminal.end().code, 0);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], serde_json::Value::Null);
}

#[test]
fn wrong_codes_are_explained_and_the_key_stays_for_the_next_try() {
    let store = Store::temporary();
    let mut terminal = add(&store, &[]);
    let device = terminal.device();
    let now = present(&device);
    enters_codes(&mut terminal, &[device.code(now), device.code(now)]);
    terminal.wait_for("that was the same code twice");
    terminal.wait_for("The key stays the same. Try 2 of 3");
    terminal.wait_for("First code: ");
    enters_codes(&mut terminal, &right_codes(&device, now));
    terminal.wait_for("Done: alice");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn after_three_tries_it_ends_and_nothing_has_changed() {
    let store = Store::temporary();
    let mut terminal = add(&store, &[]);
    let device = terminal.device();
    for _ in 0..3 {
        let now = present(&device);
        enters_codes(&mut terminal, &[device.code(now), device.code(now)]);
        terminal.wait_for("same code twice");
    }
    assert_eq!(terminal.end().code, 1);
    assert!(devices(&store, "alice").is_empty());
}

#[test]
fn what_is_not_a_code_is_asked_for_again() {
    let store = Store::temporary();
    let mut terminal = add(&store, &[]);
    let device = terminal.device();
    for typed in ["", "hunter2", "12345", "ABCD-EFGH-IJKL-MNOP"] {
        terminal.enters(typed);
        terminal.wait_for("digits that the device shows");
        terminal.wait_for("First code: ");
    }
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    terminal.wait_for("Done: alice");
    assert_eq!(terminal.end().code, 0);
}

#[test]
fn an_app_that_ignores_the_profile_is_offered_the_plain_one_with_a_new_key() {
    let store = Store::temporary();
    let mut terminal = add(&store, &["--digits", "8"]);
    let app = terminal.device();
    enters_codes(&mut terminal, &right_codes(&app, present(&app)));
    terminal.wait_for("the app has ignored the digits: it makes codes by SHA1, 6 digits, 30 s");
    terminal.wait_for("[Y/n] ");
    terminal.enters("");
    terminal.wait_for("First code: ");
    let device = terminal.device();
    assert_ne!(device.secret, app.secret);
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    terminal.wait_for("Done: alice");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(status(&store, "alice")["devices"][0]["digits"], 6);
}

#[test]
fn the_seconds_count_down_and_what_is_being_typed_stays() {
    let store = Store::temporary();
    let mut terminal = add(&store, &[]);
    terminal.types("1234");
    let countdown =
        |screen: &str| screen.lines().find(|line| line.contains("changes in")).unwrap().to_owned();
    let before = countdown(&terminal.screen());
    // A second passes on the real clock: that is what is tested.
    terminal.wait_for("\u{1b}8");
    terminal.wait_for("\u{1b}8");
    let screen = terminal.screen();
    assert_ne!(countdown(&screen), before);
    assert!(screen.trim_end().ends_with("First code: 1234"), "{screen}");
    assert_eq!(screen.matches("changes in").count(), 1, "{screen}");
    let cursor = terminal.screen_in_colours().cursor_position();
    assert_eq!(usize::from(cursor.1), "First code: 1234".len());
}

#[test]
fn a_dumb_terminal_gets_text_alone() {
    let store = Store::temporary();
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.arg("add").env("TERM", "dumb"));
    terminal.wait_for("First code: ");
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    let ran = terminal.end();
    assert_eq!(ran.code, 0);
    assert!(!ran.out.contains('\u{1b}'), "{ran:#?}");
}

#[test]
fn in_a_c_locale_everything_is_ascii() {
    let store = Store::temporary();
    let mut command = in_locale(mfa_enroll(&store, "żółć"), "C");
    command.args(["add", "--name", "Łucja's 電話"]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("First code: ");
    let screen = terminal.screen();
    assert!(screen.contains("A QR code needs a window of"), "an ASCII code does not fit 80x24:\n{screen}");
    let device = terminal.device();
    enters_codes(&mut terminal, &right_codes(&device, present(&device)));
    let ran = terminal.end();
    assert_eq!(ran.code, 0);
    assert!(ran.out.is_ascii(), "{ran:#?}");
    assert_eq!(devices(&store, "żółć"), ["Łucja's 電話"], "what is stored is what was typed");
}

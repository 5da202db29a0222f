//! `mfa-enroll` alone: the dialogue.

use std::process::Command;

use mfa_cli_tests::pipe::{Dialogue, right_codes};
use mfa_cli_tests::{Terminal, in_locale, mfa_enroll, run};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Store, artifacts};

use crate::{devices, status};

#[test]
fn a_person_is_led_to_a_first_device_by_pressing_enter() {
    let store = Store::temporary();
    let mut terminal = Terminal::start(&mfa_enroll(&store, "alice"));
    terminal.wait_for("alice can't log in");
    terminal.wait_for("Your choice [Enter: Add an authenticator app]: ");
    terminal.enters("");
    terminal.wait_for("[Enter: phone] ");
    terminal.enters("");
    terminal.wait_for("First code: ");
    let device = terminal.device();
    for code in right_codes(&device, unix_seconds() / 30) {
        terminal.enters(&code);
    }
    terminal.wait_for("They are not shown again.");
    terminal.wait_for("Press Enter to go on. ");
    terminal.enters("");
    terminal.wait_for("Recovery codes: 10 left.");
    terminal.wait_for("Your choice [Enter: Quit]: ");
    terminal.enters("");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn without_a_name_it_is_the_callers_own_account_and_sudo_is_reminded_of_that() {
    let store = Store::temporary();
    let whoami = Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(whoami.stdout).unwrap().trim().to_owned();
    let mut command = in_locale(Command::new(artifacts::mfa_enroll()), "C.UTF-8");
    command.arg("--store").arg(store.path());
    let plain = run(&mut command, "q\n");
    plain.assert_done();
    assert!(plain.out.starts_with(&format!("The second factor of {me} on ")), "{plain:#?}");
    let by_sudo = run(command.env("SUDO_USER", "bob"), "q\n");
    by_sudo.assert_done();
    let said = by_sudo.out.replace('\n', " ");
    assert!(
        said.starts_with(&format!("This is the account of {me}. If you mean that of bob: sudo mfa-enroll")),
        "{said}"
    );
    assert!(said.contains("--user bob"), "{said}");
}

/// Chooses a line of the menu.
fn choose(terminal: &mut Terminal, words: &str) {
    terminal.wait_for("Your choice ");
    let screen = terminal.screen();
    let is_of_menu = |line: &&str| line.trim_start().starts_with(|first: char| first.is_ascii_digit());
    let mut lines = screen.lines().filter(is_of_menu).filter(|line| line.contains(words));
    let line = lines.next_back().unwrap_or_else(|| panic!("no {words}:\n{screen}"));
    let before = line.split(words).next().unwrap();
    terminal.enters(before.split_whitespace().last().unwrap());
}

fn goes_on(terminal: &mut Terminal) {
    terminal.wait_for("Press Enter to go on. ");
    terminal.enters("");
}

#[test]
fn the_menu_does_what_it_says() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    Account::enroll_with(&store, "alice", &["--name", "tablet"]);
    let mut terminal = Terminal::start(&mfa_enroll(&store, "alice"));
    terminal.wait_for("Your choice ");
    terminal.enters("12");
    terminal.wait_for("Please type a number from 1 to 11.");
    choose(&mut terminal, "Make new recovery codes");
    terminal.wait_for("They are not shown again.");
    goes_on(&mut terminal);
    terminal.wait_for("Recovery codes: 10 left.");
    choose(&mut terminal, "Remove a device");
    terminal.wait_for("Remove which one?");
    terminal.enters("tablet");
    terminal.wait_for("Remove tablet of alice");
    terminal.enters("y");
    terminal.wait_for("tablet is removed");
    goes_on(&mut terminal);
    choose(&mut terminal, "Remove a device");
    terminal.wait_for("Remove which one?");
    terminal.enters("1");
    terminal.wait_for("phone is the last device");
    terminal.enters("n");
    terminal.wait_for("Nothing was removed.");
    goes_on(&mut terminal);
    choose(&mut terminal, "Suspend or resume");
    terminal.wait_for("which one?");
    terminal.enters("1");
    terminal.wait_for("10 recovery codes that are left");
    terminal.wait_for("[y/N] ");
    terminal.enters("y");
    terminal.wait_for("phone is suspended");
    goes_on(&mut terminal);
    terminal.wait_for("[!] No device that counts");
    choose(&mut terminal, "Suspend or resume");
    terminal.wait_for("which one?");
    terminal.enters("1");
    terminal.wait_for("phone counts again.");
    goes_on(&mut terminal);
    choose(&mut terminal, "Rename a device");
    terminal.wait_for("which one?");
    terminal.enters("1");
    terminal.wait_for("from now on?");
    terminal.enters("old phone");
    terminal.wait_for("phone is called old phone now.");
    goes_on(&mut terminal);
    choose(&mut terminal, "Test a code");
    terminal.wait_for("Code: ");
    terminal.enters(&account.code(unix_seconds() / 30 + 1));
    terminal.wait_for("Right: that is a code of old phone.");
    goes_on(&mut terminal);
    choose(&mut terminal, "Activate a hardware token");
    terminal.wait_for("No hardware token waits for alice");
    goes_on(&mut terminal);
    choose(&mut terminal, "Show the history");
    terminal.wait_for("phone was suspended, by ");
    goes_on(&mut terminal);
    choose(&mut terminal, "Quit");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["old phone"]);
}

#[test]
fn a_device_is_replaced_and_resynchronised_in_the_dialogue() {
    let store = Store::temporary();
    let _alice = Account::enroll(&store, "alice").with_recovery_codes(&store);
    let mut terminal = Terminal::start(&mfa_enroll(&store, "alice"));
    choose(&mut terminal, "Replace a device");
    terminal.wait_for("Replace which one?");
    terminal.enters("1");
    terminal.wait_for("First code: ");
    let device = terminal.device();
    let present = unix_seconds() / 30;
    for code in right_codes(&device, present - 5) {
        terminal.enters(&code);
    }
    terminal.wait_for("The old phone has ended");
    goes_on(&mut terminal);
    choose(&mut terminal, "Resynchronise");
    terminal.wait_for("which one?");
    terminal.enters("phone");
    terminal.wait_for("First code: ");
    for code in device.codes(present + 20, 2) {
        terminal.enters(&code);
    }
    terminal.wait_for("phone is in step again.");
    goes_on(&mut terminal);
    choose(&mut terminal, "Quit");
    assert_eq!(terminal.end().code, 0);
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn the_first_screen_fits_eighty_by_twenty_four_with_eight_devices() {
    let store = Store::temporary();
    for _ in 0..8 {
        Account::enroll(&store, "alice");
    }
    for locale in ["C.UTF-8", "C"] {
        let command = in_locale(mfa_enroll(&store, "alice"), locale);
        let mut terminal = Terminal::start(&command);
        terminal.wait_for("Your choice [Enter: Quit]: ");
        let screen = terminal.screen();
        assert!(screen.starts_with("The second factor of alice on "), "nothing has scrolled away:\n{screen}");
        assert_eq!(screen.matches("phone").count(), 8, "{screen}");
        assert!(screen.is_ascii(), "{screen}");
    }
}

#[test]
fn the_dialogue_works_through_a_pipe() {
    let store = Store::temporary();
    let mut dialogue = Dialogue::begin(&mut in_locale(mfa_enroll(&store, "alice"), "C"));
    dialogue.write("1\ntablet\ny\n");
    let mut said = String::new();
    let key = loop {
        let line = dialogue.line();
        assert_ne!(line, "", "no key came:\n{said}");
        let groups: Vec<&str> = line.split_whitespace().collect();
        if groups.len() == 8 && groups.iter().all(|group| group.len() == 4) {
            break groups.concat();
        }
        said.push_str(&line);
    };
    assert!(said.contains("This is no terminal. The key can be read wherever it goes: go on?"), "{said}");
    let device = Generator { secret: key, algorithm: "SHA1".to_owned(), digits: 6, period: 30 };
    dialogue.write(&right_codes(&device, unix_seconds() / 30).join("\n"));
    dialogue.write("\nq\n");
    let ran = dialogue.end();
    ran.assert_done();
    assert!(ran.out.contains("Done: alice") && ran.out.contains("tablet"), "{ran:#?}");
    assert!(ran.out.is_ascii() && !ran.out.contains('\u{1b}'), "{ran:#?}");
    assert_eq!(devices(&store, "alice"), ["tablet"]);
    assert_eq!(status(&store, "alice")["recovery_codes_left"], 10);
}

#[test]
fn through_a_pipe_no_key_is_shown_unless_somebody_agrees() {
    let store = Store::temporary();
    let ran = run(&mut mfa_enroll(&store, "alice"), "1\n\n\nq\n");
    ran.assert_done();
    assert!(ran.out.contains("No device was added.") && !ran.out.contains("First code"), "{ran:#?}");
    assert!(store.content().is_empty(), "no key was even made");
}

#[test]
fn a_failed_step_returns_to_the_menu_and_is_told_by_the_exit_code() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let ran = run(&mut mfa_enroll(&store, "alice"), "1\nphone\ny\nq\n");
    ran.assert_failed(1, "alice already has a device named phone");
    assert_eq!(ran.out.matches("Your choice").count(), 2, "{ran:#?}");
}

#[test]
fn endless_nonsense_ends() {
    let store = Store::temporary();
    let ran = run(mfa_enroll(&store, "alice").args(["add", "--qr", "none"]), &"nonsense\n".repeat(100));
    ran.assert_failed(1, "what was typed is not a code");
    assert!(devices(&store, "alice").is_empty());
}

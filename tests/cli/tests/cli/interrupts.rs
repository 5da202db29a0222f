//! Ctrl-C, Ctrl-D and an end from outside, at each prompt: things stay as they were.

use std::process::Command;

use mfa_cli_tests::pipe::{Dialogue, generator_of, right_codes};
use mfa_cli_tests::{AS_A_SHELL_STARTS_IT, Terminal, mfa_enroll, run, within};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::{Account, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::status;

/// A prompt, and the way to it.
struct Prompt {
    arguments: &'static [&'static str],
    /// What to wait for, and what to type then.
    way: &'static [(&'static str, &'static str)],
    text: &'static str,
}

const fn prompt(
    arguments: &'static [&'static str],
    way: &'static [(&'static str, &'static str)],
    text: &'static str,
) -> Prompt {
    Prompt { arguments, way, text }
}

/// Every prompt there is.
const PROMPTS: [Prompt; 18] = [
    prompt(&["add"], &[], "First code: "),
    prompt(&["add"], &[("First code: ", "123456")], "Next code:  "),
    prompt(&["add", "--digits", "8"], &[("First code: ", "app 0"), ("Next code:  ", "app 1")], "[Y/n] "),
    prompt(&["add", "--replace", "phone"], &[], "First code: "),
    prompt(&["remove", "phone"], &[], "[y/N] "),
    prompt(&["suspend", "phone"], &[], "[y/N] "),
    prompt(&["recovery-codes"], &[], "[y/N] "),
    prompt(&["resync", "phone"], &[], "First code: "),
    prompt(&["resync", "phone"], &[("First code: ", "123456")], "Next code:  "),
    prompt(&["test"], &[], "Code: "),
    prompt(&[], &[], "Your choice "),
    prompt(&[], &[("Your choice ", "1")], "What do you call the device?"),
    prompt(&[], &[("Your choice ", "3")], "Replace which one?"),
    prompt(&[], &[("Your choice ", "5")], "Code: "),
    prompt(&[], &[("Your choice ", "7"), ("Rename which one?", "1")], "from now on?"),
    prompt(&[], &[("Your choice ", "8"), ("which one?", "1")], "[y/N] "),
    prompt(&[], &[("Your choice ", "9")], "Remove which one?"),
    prompt(
        &[],
        &[("Your choice ", "1"), ("call the device?", "tablet"), ("First code: ", "123456")],
        "Next code:  ",
    ),
];

/// Goes to each prompt, has `end` end the program there, and looks at what that leaves.
fn at_each_prompt(end: impl Fn(&mut Terminal), code: impl Fn(&Prompt) -> i32, said: &str) {
    let store = enrolled();
    let before = status(&store, "alice");
    for prompt in PROMPTS {
        let mut command = mfa_enroll(&store, "alice");
        let mut terminal = Terminal::start(command.args(prompt.arguments));
        let step = unix_seconds() / 30;
        for (wait_for, typed) in prompt.way {
            terminal.wait_for(wait_for);
            let line = match typed.strip_prefix("app ") {
                // An app that takes no notice of the digits.
                Some(which) => right_codes(&terminal.device(), step).remove(which.parse().unwrap()),
                None => (*typed).to_owned(),
            };
            terminal.enters(&line);
        }
        terminal.wait_for(prompt.text);
        end(&mut terminal);
        let usual_mode = terminal.is_in_usual_mode();
        let ran = terminal.end();
        let code = code(&prompt);
        assert_eq!(ran.code, code, "at {:?}: {}", prompt.text, ran.out);
        assert!(usual_mode, "the terminal at {:?}", prompt.text);
        assert!(code == 0 || ran.out.contains(said), "at {:?}: {}", prompt.text, ran.out);
        assert_eq!(status(&store, "alice"), before, "after {:?}", prompt.text);
    }
}

fn enrolled() -> Store {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "").assert_done();
    store
}

#[test]
fn ctrl_c_at_any_prompt_changes_nothing() {
    at_each_prompt(Terminal::interrupts, |_| 130, "cancelled");
}

#[test]
fn ctrl_c_with_half_a_code_typed_changes_nothing() {
    let half_typed = |terminal: &mut Terminal| {
        terminal.types("123");
        terminal.interrupts();
    };
    at_each_prompt(half_typed, |_| 130, "cancelled");
}

#[test]
fn ctrl_d_at_any_prompt_changes_nothing() {
    let at_the_menu_it_is_goodbye = |prompt: &Prompt| i32::from(prompt.text != "Your choice ");
    at_each_prompt(|terminal| terminal.types("\x04"), at_the_menu_it_is_goodbye, "the input ended");
}

#[test]
fn ctrl_c_says_that_the_key_is_kept_and_it_is() {
    let store = Store::temporary();
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.arg("add"));
    terminal.wait_for("First code: ");
    let first = terminal.device();
    terminal.interrupts();
    let ran = terminal.end();
    assert!(ran.out.contains("no device was added"), "{}", ran.out);
    assert!(
        ran.out.contains("the key is kept for 15 minutes: the same command shows it again"),
        "{}",
        ran.out
    );
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("First code: ");
    assert_eq!(terminal.device().secret, first.secret);
    terminal.interrupts();
    terminal.end();
}

#[test]
fn a_program_that_is_told_to_end_while_it_reads_ends_and_changes_nothing() {
    for (signal, code) in [(Signal::SIGHUP, 129), (Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let store = enrolled();
        let before = status(&store, "alice");
        let picture = store.beside("qr.png");
        let [env, option] = AS_A_SHELL_STARTS_IT;
        let mut usual = Command::new(env);
        usual.arg(option);
        let mut command = within(usual, &mfa_enroll(&store, "alice"));
        command.args(["add", "--json"]).arg(format!("--qr=png:{}", picture.display()));
        let mut dialogue = Dialogue::begin(&mut command);
        let offer: Value = serde_json::from_str(&dialogue.line()).unwrap();
        assert_eq!(offer["device"], "phone 2");
        kill(Pid::from_raw(dialogue.id().try_into().unwrap()), signal).unwrap();
        let ran = dialogue.end();
        assert_eq!(ran.code, code, "{ran:#?}");
        assert!(ran.err.contains("cancelled: no device was added"), "{ran:#?}");
        assert_eq!(status(&store, "alice"), before);
        assert!(!picture.exists(), "the picture of a key that is no device's is gone");
    }
}

#[test]
fn killed_at_a_prompt_it_leaves_an_account_that_works() {
    let store = enrolled();
    let before = status(&store, "alice");
    for _ in 0..5 {
        let mut dialogue = Dialogue::begin(mfa_enroll(&store, "alice").args(["add", "--json"]));
        dialogue.line();
        kill(Pid::from_raw(dialogue.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(dialogue.end().code, 137);
        assert_eq!(status(&store, "alice"), before);
    }
    Account::enroll(&store, "alice");
}

#[test]
fn an_ignored_interrupt_stays_ignored() {
    let store = Store::temporary();
    let enroll = mfa_enroll(&store, "alice");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT HUP; exec \"$@\"", "sh"]);
    let mut dialogue = Dialogue::begin(within(command, &enroll).args(["add", "--json"]));
    let offer: Value = serde_json::from_str(&dialogue.line()).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        kill(Pid::from_raw(dialogue.id().try_into().unwrap()), signal).unwrap();
    }
    let device = generator_of(&offer);
    dialogue.write(&format!("{}\n", right_codes(&device, unix_seconds() / 30).join("\n")));
    assert_eq!(dialogue.end().code, 0);
}

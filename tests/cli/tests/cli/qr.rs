//! QR codes, read by `zbarimg` as a phone would.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use mfa_cli_tests::pipe::{Dialogue, add_json, right_codes};
use mfa_cli_tests::{Terminal, in_locale, mfa_enroll, run};
use mfa_test_harness::Store;
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::oathtool::Generator;
use mfa_test_screen::{Picture, Theme, decoded};
use serde_json::Value;

use crate::devices;

/// The URI of the key that waits for alice, as `--json` prints it.
fn printed_uri(store: &Store, issuer: &str) -> String {
    let ran = run(mfa_enroll(store, "alice").args(["add", "--json", "--issuer", issuer]), "");
    let offer: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    offer["uri"].as_str().unwrap().to_owned()
}

/// The lines of a drawing in what was printed.
fn drawing(printed: &str) -> Vec<&str> {
    let is_block = |letter| matches!(letter, '\u{2580}' | '\u{2584}' | '\u{2588}' | '#' | ' ');
    printed.lines().filter(|line| line.chars().count() >= 30 && line.chars().all(is_block)).collect()
}

#[test]
fn on_a_terminal_the_code_scans_whatever_its_colours_are() {
    let store = Store::temporary();
    // The shortest, and one as long as a version-5 code holds.
    for issuer in ["vm", "server42.example"] {
        let uri = printed_uri(&store, issuer);
        assert!(uri.len() <= 106, "{uri}");
        let mut command = mfa_enroll(&store, "alice");
        let mut terminal = Terminal::start(command.args(["add", "--issuer", issuer]));
        terminal.wait_for("First code: ");
        let screen = terminal.screen_in_colours();
        for theme in [Theme::Dark, Theme::Light] {
            let read = Picture::of_screen(&screen, theme).decoded();
            assert_eq!(read.as_deref(), Some(uri.as_str()), "{theme:?}\n{}", terminal.screen());
        }
        assert!(terminal.screen().contains("First code: "), "the prompt is on the same screen");
        let key = terminal.device().secret;
        assert!(uri.contains(&format!("secret={key}&")), "the key in letters is the same");
        terminal.interrupts();
        terminal.end();
    }
}

#[test]
fn in_a_c_locale_a_large_terminal_gets_the_code_in_ascii() {
    let store = Store::temporary();
    let uri = printed_uri(&store, "vm");
    let mut command = in_locale(mfa_enroll(&store, "alice"), "C");
    let mut terminal = Terminal::start_in(command.args(["add", "--issuer", "vm"]), 90, 50);
    terminal.wait_for("First code: ");
    let screen = terminal.screen_in_colours();
    for theme in [Theme::Dark, Theme::Light] {
        let read = Picture::of_screen(&screen, theme).decoded();
        assert_eq!(read.as_deref(), Some(uri.as_str()), "{theme:?}\n{}", terminal.screen());
    }
    terminal.interrupts();
    assert!(terminal.end().out.is_ascii());
}

#[test]
fn without_colours_the_code_is_for_a_dark_background() {
    let store = Store::temporary();
    let uri = printed_uri(&store, "vm");
    let mut command = mfa_enroll(&store, "alice");
    let mut terminal = Terminal::start(command.args(["add", "--issuer", "vm"]).env("NO_COLOR", "1"));
    terminal.wait_for("First code: ");
    assert!(!terminal.text().contains("\u{1b}[4"), "no colour of a background: {:?}", terminal.text());
    let read = Picture::of_screen(&terminal.screen_in_colours(), Theme::Dark).decoded();
    assert_eq!(read.as_deref(), Some(uri.as_str()), "{}", terminal.screen());
    terminal.interrupts();
    terminal.end();
}

#[test]
fn through_a_pipe_a_code_is_drawn_if_it_is_asked_for() {
    let store = Store::temporary();
    let uri = printed_uri(&store, "vm");
    for how in ["utf8", "ascii"] {
        let ran = run(mfa_enroll(&store, "alice").args(["add", "--issuer", "vm", "--qr", how]), "");
        ran.assert_failed(1, "the input ended");
        let read = Picture::of_text(&drawing(&ran.out), Theme::Dark).decoded();
        assert_eq!(read.as_deref(), Some(uri.as_str()), "{how}: {}", ran.out);
        assert_eq!(ran.out.is_ascii(), how == "ascii");
        assert!(!ran.out.contains('\u{1b}'));
    }
    let none = run(mfa_enroll(&store, "alice").args(["add", "--issuer", "vm", "--qr", "none"]), "");
    assert!(drawing(&none.out).is_empty());
    assert!(none.out.contains(&uri), "{none:#?}");
}

#[test]
fn through_a_pipe_no_key_is_printed_unless_it_is_asked_for() {
    let store = Store::temporary();
    let ran = run(mfa_enroll(&store, "alice").arg("add"), "");
    ran.assert_failed(2, "the key would end up in a file or a log");
    assert_eq!(ran.out, "");
    assert!(store.content().is_empty(), "no key was even made");
}

#[test]
fn pictures_hold_the_printed_uri_and_are_for_their_owner_alone() {
    for format in ["png", "svg"] {
        let store = Store::temporary();
        let picture = store.beside(&format!("qr.{format}"));
        let mut command = mfa_enroll(&store, "alice");
        command.args(["add", "--json", &format!("--qr={format}:{}", picture.display())]);
        let added = add_json(&mut command, right_codes);
        assert_eq!(added.result["result"], "enrolled", "{added:#?}");
        assert_eq!(decoded(&picture).as_deref(), added.offer["uri"].as_str(), "{format}");
        assert_eq!(fs::metadata(&picture).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}

#[test]
fn the_longest_key_and_the_longest_name_still_make_a_picture() {
    let store = Store::temporary();
    let picture = store.beside("qr.png");
    let mut command = mfa_enroll(&store, &"ż".repeat(100));
    command.args(["add", "--json", "--algorithm", "SHA512", "--digits", "8", "--period", "60"]);
    command.args(["--issuer", &"ó".repeat(64), &format!("--qr=png:{}", picture.display())]);
    let added = add_json(&mut command, right_codes);
    assert_eq!(added.result["result"], "enrolled", "{added:#?}");
    assert_eq!(decoded(&picture).as_deref(), added.offer["uri"].as_str());
}

#[test]
fn through_a_pipe_a_picture_hides_the_key() {
    let store = Store::temporary();
    let picture = store.beside("qr.png");
    let mut command = mfa_enroll(&store, "alice");
    let mut dialogue = Dialogue::begin(command.args(["add", &format!("--qr=png:{}", picture.display())]));
    let mut said = String::new();
    while !said.contains("2. Type the code") {
        let line = dialogue.line();
        assert_ne!(line, "", "it has ended: {said}");
        said.push_str(&line);
    }
    let uri = decoded(&picture).unwrap();
    let secret = uri.split("secret=").nth(1).unwrap()[..32].to_owned();
    let device = Generator { secret: secret.clone(), algorithm: "SHA1".to_owned(), digits: 6, period: 30 };
    dialogue.write(&format!("{}\n", right_codes(&device, unix_seconds() / 30).join("\n")));
    let ran = dialogue.end();
    ran.assert_done();
    assert!(ran.out.contains("still holds the key: remove it"), "{ran:#?}");
    assert!(!ran.out.replace(' ', "").contains(&secret), "{ran:#?}");
    assert!(!ran.out.contains("Recovery codes"), "secrets that nobody asked for: {ran:#?}");
}

#[test]
fn no_file_is_ever_overwritten_or_followed() {
    let store = Store::temporary();
    let precious = store.beside("precious");
    fs::write(&precious, "precious").unwrap();
    let link = store.beside("link");
    symlink(&precious, &link).unwrap();
    let dangling = store.beside("dangling");
    symlink(store.beside("target"), &dangling).unwrap();
    for path in [&precious, &link, &dangling] {
        for format in ["png", "svg"] {
            let mut command = mfa_enroll(&store, "alice");
            command.args(["add", "--json", &format!("--qr={format}:{}", path.display())]);
            let ran = run(&mut command, "");
            ran.assert_failed(1, "exists already, and is not overwritten");
            assert!(ran.err.contains("hint: name another file"), "{ran:#?}");
        }
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(!store.beside("target").exists());
    assert!(store.content().is_empty(), "no key was even made");
}

#[test]
fn a_picture_without_a_device_is_removed_again() {
    let store = Store::temporary();
    let picture = store.beside("qr.png");
    let mut command = mfa_enroll(&store, "alice");
    command.args(["add", "--json", &format!("--qr=png:{}", picture.display())]);
    add_json(&mut command, |device, present| vec![device.code(present), device.code(present)])
        .assert_refused("same-code", "same code");
    assert!(!picture.exists());
    let added = add_json(&mut command, right_codes);
    assert_eq!(added.result["result"], "enrolled", "the same command works at the second try: {added:#?}");
    assert!(picture.exists());
}

#[test]
fn a_picture_that_can_not_be_written_stops_everything() {
    let store = Store::temporary();
    let mut command = mfa_enroll(&store, "alice");
    let ran = run(command.args(["add", "--json", "--qr=png:/nonexistent/qr.png"]), "");
    ran.assert_failed(1, "can't write /nonexistent/qr.png");
    assert!(devices(&store, "alice").is_empty());
}

#[test]
fn json_and_a_drawing_do_not_go_together() {
    let store = Store::temporary();
    for how in ["utf8", "ascii"] {
        let ran = run(mfa_enroll(&store, "alice").args(["add", "--json", "--qr", how]), "");
        ran.assert_failed(2, "--qr png:FILE");
        assert_eq!(ran.json()["result"], "error");
    }
}

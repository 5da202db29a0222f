//! One line a decision, for people and for programs that read logs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use mfa_test_harness::{Host, Item, LogLine, PamCode, Stack};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

/// syslog(3).
const LOG_AUTHPRIV: i32 = 10 << 3;
const LOG_ALERT: i32 = 1;
const LOG_CRIT: i32 = 2;
const LOG_ERR: i32 = 3;

#[test]
fn every_decision_is_one_line_to_authpriv_under_the_modules_tag() {
    let (store, alice) = alice();
    let accepted = alice.login(&store).types(alice.code(alice.now)).run();
    let refused = alice.login(&store).types(alice.wrong_code(alice.now, 0)).run();
    let unknown = alice.login(&store).user("nosuchuser").types("000000").run();
    for login in [accepted, refused, unknown] {
        let [LogLine { facility, text, .. }] = login.log.as_slice() else {
            panic!("one line: {:?}", login.log)
        };
        assert_eq!(*facility, LOG_AUTHPRIV, "{text}");
        assert!(text.starts_with("pam_mfa(mfa-test:auth): "), "{text}");
    }
}

#[test]
fn the_line_says_who_with_which_device_through_what_from_where() {
    let (store, alice) = alice();
    let login = alice.login(&store).from("192.0.2.1").item(Item::Terminal, "pts/3");
    let login = login.types(alice.code(alice.now)).run();
    assert_let_in(&login);
    let log = login.log_text();
    let device = format!(" device={} ", alice.device);
    for part in
        [": accepted ", " user=alice ", &device, " service=mfa-test ", " rhost=192.0.2.1 ", " tty=pts/3"]
    {
        assert!(log.contains(part), "no {part} in {log}");
    }
}

#[test]
fn what_was_proven_to_sshd_before_is_logged_for_sshd_alone() {
    let (store, alice) = alice();
    let login = || {
        let keys = "SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAAC3Nza\npassword";
        alice.login(&store).environment(keys).types(alice.wrong_code(alice.now, 0))
    };
    let sshd = login().service("sshd").run().log_text();
    assert!(sshd.starts_with("pam_mfa(sshd:auth): refused ") && sshd.contains(" service=sshd"), "{sshd}");
    assert!(sshd.contains("publickey") && sshd.contains("password"), "{sshd}");
    assert!(!sshd.contains("AAAAC3Nza"), "{sshd}");
    let other = login().run().log_text();
    assert!(!other.contains("publickey"), "{other}");
}

#[test]
fn where_journald_runs_it_gets_the_line_with_its_fields_and_syslog_does_not() {
    let (store, alice) = alice();
    let on_journald = Host { has_journald: true, ..Host::default() };
    let accepted =
        alice.login(&store).host(on_journald.clone()).from("192.0.2.1").types(alice.code(alice.now)).run();
    let refused = alice.login(&store).host(on_journald).types(alice.wrong_code(alice.now, 0)).run();
    assert_eq!((accepted.result(), refused.result()), (PamCode::SUCCESS, PamCode::AUTH_ERR));
    for (login, words, priority) in [(accepted, "accepted ", "6"), (refused, "refused reason=wrong ", "5")] {
        assert_eq!(login.log, [], "it was logged twice");
        let [datagram] = login.journal.as_slice() else { panic!("one datagram: {:?}", login.journal) };
        let value = |field: &str| {
            let found = datagram.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {field} in {datagram}")).to_owned()
        };
        assert!(value("MESSAGE").starts_with(&format!("pam_mfa(mfa-test:auth): {words}")), "{datagram}");
        assert_eq!(value("PRIORITY"), priority);
        assert_eq!(value("SYSLOG_FACILITY"), "10", "LOG_AUTHPRIV");
        assert!(datagram.lines().all(|line| line.contains('=')), "{datagram}");
    }
}

#[test]
fn an_accepted_login_is_less_urgent_than_a_refused_one_and_that_than_an_error() {
    let (store, alice) = alice();
    let level = |login: &mfa_test_harness::Transcript| login.log.iter().map(|line| line.level).min().unwrap();
    let accepted = alice.login(&store).types(alice.code(alice.now)).run();
    let refused = alice.login(&store).types(alice.wrong_code(alice.now, 0)).run();
    let misconfigured = alice.login_through(&store.stack_with("nosuchoption")).types("").run();
    assert_eq!((level(&accepted), level(&refused)), (6, 5), "LOG_INFO, LOG_NOTICE");
    assert!(level(&misconfigured) <= 3, "LOG_ERR or worse");
}

#[test]
fn the_level_says_what_kind_of_trouble_it_is() {
    // The module writers' guide: corrupt data is an alert, a lack of resources critical, any other fault an error.
    let (undamaged, alice) = alice_with_recovery_codes();
    let level = |login: &mfa_test_harness::Transcript| {
        let [line] = login.log.as_slice() else { panic!("one line: {:?}", login.log) };
        line.level
    };
    for name in ["users/alice/devices.toml", "users/alice/state"] {
        let store = undamaged.copy();
        fs::write(store.file(name), "nonsense").unwrap();
        assert_eq!(level(&alice.login_at(&store, alice.now)), LOG_ALERT, "{name} is damaged");
        let store = undamaged.copy();
        fs::set_permissions(store.file(name), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(level(&alice.login_at(&store, alice.now)), LOG_ALERT, "others may write {name}");
    }
    let little_memory = Host { memory_headroom: Some(8 << 20), ..Host::default() };
    let recovery = alice.login(&undamaged).host(little_memory).types(&alice.recovery_codes()[0]).run();
    assert_eq!(level(&recovery), LOG_CRIT, "no memory");
    for words in ["store=/nonexistent/store", "store=relative", "nosuchoption"] {
        let stack = Stack::new(&format!("auth required pam_mfa.so {words}"));
        let login = alice.login_through(&stack).types(alice.code(alice.now)).run();
        assert_eq!(level(&login), LOG_ERR, "{words}");
    }
}

#[test]
fn hostile_names_and_hosts_cannot_forge_a_line() {
    let (store, alice) = alice();
    for hostile in [
        "bob accepted user=root",
        "bob\naccepted user=root",
        "bob\u{1b}[2J\u{7}",
        "bob\u{2028}accepted",
        "\u{202e}ecila",
        "bob\" accepted user=\"root",
        "bob\\\" accepted user=\"root",
        "bob\\",
        "bob\u{9b}31m",
        "bob=root",
    ] {
        let login = alice
            .login(&store)
            .user(hostile)
            .from(hostile)
            .item(Item::Terminal, hostile)
            .types("000000")
            .run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-enrolled");
        let [LogLine { text, .. }] = login.log.as_slice() else { panic!("one line: {:?}", login.log) };
        assert!(!text.contains(['\n', '\u{1b}', '\u{7}', '\u{202e}', '\u{2028}', '\u{9b}']), "{text:?}");
        let words = words(text.strip_prefix("pam_mfa(mfa-test:auth): ").unwrap());
        let names: Vec<&str> = words.iter().map(|word| word.split('=').next().unwrap()).collect();
        assert_eq!(names, ["refused", "reason", "user", "service", "rhost", "tty"], "{text}");
    }
}

/// As a program that reads logs splits a line: at blanks, but not inside of quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in line.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
        escaped = character == '\\' && !escaped;
    }
    assert!(!quoted, "a quote is left open: {line}");
    words
}

#[test]
fn the_log_holds_no_code_and_no_seed_whatever_happens() {
    let (store, alice) = alice_with_recovery_codes();
    let recovery = alice.recovery_codes().first().unwrap();
    for typed in
        [alice.code(alice.now), alice.code(alice.now), alice.wrong_code(alice.now, 0), recovery.clone()]
    {
        for options in ["", "debug"] {
            // The harness looks for what was typed after each login; here for the rest.
            let login = alice.login_through(&store.stack_with(options)).types(&typed).run();
            let log = login.log_text().to_uppercase();
            assert!(!log.contains(&alice.generator.secret), "{log}");
            for near in alice.generator.codes(alice.now - 3, 7) {
                assert!(!log.contains(&near), "{log}");
            }
        }
    }
}

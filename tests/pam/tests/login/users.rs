//! Names: of domains, in UTF-8, long; and those that an attacker sends.

use mfa_test_harness::names::NO_FILE_NAMES;
use mfa_test_harness::{Account, PamCode, Store};

use crate::{alice, assert_let_in, assert_refused};

#[test]
fn names_of_domains_utf8_and_200_bytes_can_enroll_and_log_in() {
    let store = Store::temporary();
    let long = "n".repeat(200);
    for user in ["CORP\\alice", "alice@example.com", "zażółć", "名前", "svc$", "a b", ".hidden", &long]
    {
        let person = Account::enroll(&store, user);
        assert_let_in(&person.login_at(&store, person.now));
        assert_refused(&person.login_at(&store, person.now), PamCode::AUTH_ERR, "replayed");
    }
}

#[test]
fn names_that_differ_in_case_domain_or_form_are_different_people() {
    let store = Store::temporary();
    let alice = Account::enroll(&store, "CORP\\alice");
    for other in ["alice", "corp\\alice", "CORP\\Alice", "CORP\\\\alice", "alice@CORP"] {
        let login = alice.login(&store).user(other).types(alice.code(alice.now)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-enrolled");
    }
    assert_let_in(&alice.login_at(&store, alice.now));
}

#[test]
fn a_name_that_is_no_file_name_is_refused_like_any_unknown_one() {
    let (store, alice) = alice();
    let outside = store.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    let long = "a".repeat(4096);
    let before = store.content();
    for user in NO_FILE_NAMES.iter().copied().chain([long.as_bytes()]) {
        let login = alice.login(&store).user(user).types(alice.code(alice.now)).run();
        let line = login.log_text();
        assert_eq!(login.result(), PamCode::AUTH_ERR, "{}: {line}", user.escape_ascii());
        assert_eq!(login.prompts(), ["Verification code: "], "{}", user.escape_ascii());
        // Whatever is in the name, it is one line of a bounded length.
        let refusals: Vec<_> =
            login.log.iter().filter(|line| line.text.contains("refused reason=")).collect();
        assert_eq!(refusals.len(), 1, "{line}");
        assert!(refusals.iter().all(|line| line.text.len() < 2048), "{line}");
    }
    let after = store.content();
    let paths = |content: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<_> {
        content
            .iter()
            .map(|(path, _)| path.clone())
            .filter(|path| !path.to_string_lossy().contains("decoy"))
            .collect()
    };
    assert_eq!(paths(&after), paths(&before), "an attacker's name left something in the store");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_let_in(&alice.login_at(&store, alice.now));
}

#[test]
fn an_empty_name_lets_nobody_in() {
    let (store, alice) = alice();
    let login = alice.login(&store).user("").types("").types(alice.code(alice.now)).types("").types("").run();
    assert_ne!(login.result(), PamCode::SUCCESS);
}

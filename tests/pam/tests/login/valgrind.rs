//! Whole logins under valgrind: nothing is read that was not written, nothing is freed twice, and no login loses memory in its host.

use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Call, Login, PamCode, Stack, Store, Transcript};

use crate::{alice, assert_let_in, assert_refused};

/// Whatever valgrind finds ends up on standard error, which has to stay empty, and in the exit status.
const VALGRIND: [&str; 7] = [
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
    "--child-silent-after-fork=yes",
];

fn watched(login: Login) -> Transcript {
    let transcript = login.through(&VALGRIND).run();
    assert!(transcript.status.success(), "{}: {}", transcript.status, transcript.stderr);
    transcript
}

#[test]
fn an_accepted_a_replayed_and_a_wrong_code_are_clean_under_valgrind() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    assert_let_in(&watched(alice.login(&store).types(&code)));
    assert_refused(&watched(alice.login(&store).types(&code)), PamCode::AUTH_ERR, "replayed");
    let wrong = alice.wrong_code(alice.now, 0);
    assert_refused(&watched(alice.login(&store).types(wrong)), PamCode::AUTH_ERR, "wrong");
}

#[test]
fn strangers_passwords_and_a_damaged_store_are_clean_under_valgrind() {
    let (store, alice) = alice();
    assert_refused(&watched(store.login("mallory").types("123456")), PamCode::AUTH_ERR, "not-enrolled");
    assert_refused(&watched(alice.login(&store).types("hunter2")), PamCode::AUTH_ERR, "not-a-code");
    let options = store.stack_with("no_such_option");
    let misconfigured = watched(alice.login_through(&options).types(alice.code(alice.now)));
    assert_refused(&misconfigured, PamCode::SERVICE_ERR, "misconfigured");
    std::fs::write(store.file("users/alice/state"), "damaged").unwrap();
    let damaged = watched(alice.login(&store).types(alice.code(alice.now)));
    assert_refused(&damaged, PamCode::AUTHINFO_UNAVAIL, "unavailable");
}

#[test]
fn an_enrollment_at_the_first_login_is_clean_under_valgrind() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    let policy = store.beside("policy.toml");
    std::fs::write(&policy, "unenrolled = \"enroll\"\n").unwrap();
    let options = format!("{} policy={}", store.module(), policy.display());
    let stack = Stack::new(&format!("auth required {options}\naccount required {options}"));
    let pam_dir = stack.path().display();
    let options = format!("{options} pam_dir={pam_dir}");
    std::fs::write(
        stack.path().join(Stack::SERVICE),
        format!("auth required {options}\naccount required {options}\n")
            .replace("pam_mfa.so", &stack.path().join("pam_mfa.so").display().to_string()),
    )
    .unwrap();
    let login = || {
        let login = Login::new(&stack).user("bob").calls(Call::Authenticate);
        login.calls(Call::AccountManagement)
    };
    let key = key_shown(&login().types("q").run());
    // The next step: a key that waits is not of the future.
    let step = mfa_test_harness::account::unix_seconds() / 30 + 1;
    let login = login().at(step * 30 + 15).types(key.code(step - 1)).types(key.code(step)).types("");
    let login = watched(login);
    assert_eq!(login.result_of(Call::AccountManagement), PamCode::SUCCESS, "{login:#?}");
}

/// The key that a login showed to somebody who left: the next one from the same place shows the same one.
fn key_shown(login: &Transcript) -> Generator {
    let prompts = login.prompts().join("\n");
    let is_key = |line: &&str| line.split(' ').filter(|group| group.len() == 4).count() == 8;
    let secret = prompts.lines().map(str::trim).find(is_key).unwrap().replace(' ', "");
    Generator { secret, algorithm: "SHA1".to_owned(), digits: 6, period: 30 }
}

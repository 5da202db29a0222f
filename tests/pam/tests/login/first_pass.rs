//! Clients that ask once: password and code in one answer, and the words that pass tokens along the stack.
//!
//! `pam_exec.so expose_authtok` stands in for pam_unix: before the module it asks for the password and sets
//! PAM_AUTHTOK; after it, it writes what PAM_AUTHTOK holds to a file.

use std::fs;

use mfa_test_harness::{Account, PamCode, Stack, Store};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

const PASSWORD: &str = "correct horse";

/// Asks for a password, then the module with `options`, then tells the token.
fn password_first(store: &Store, options: &str) -> Stack {
    Stack::new(&format!(
        "auth required pam_exec.so quiet expose_authtok /bin/true\n\
         auth required {} {options}\n\
         auth required pam_exec.so quiet expose_authtok /usr/bin/tee {}",
        store.module(),
        store.beside("token").display()
    ))
}

/// The module with `options` asks, then the token is told.
fn module_first(store: &Store, options: &str) -> Stack {
    Stack::new(&format!(
        "auth required {} {options}\n\
         auth required pam_exec.so quiet expose_authtok /usr/bin/tee {}",
        store.module(),
        store.beside("token").display()
    ))
}

fn token(store: &Store) -> String {
    let token = fs::read(store.beside("token")).unwrap();
    String::from_utf8(token).unwrap().trim_end_matches('\0').to_owned()
}

#[test]
fn the_password_given_before_reaches_the_modules_after() {
    let (store, alice) = alice();
    let login =
        alice.login_through(&password_first(&store, "")).types(PASSWORD).types(alice.code(alice.now)).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Password: ", "Verification code: "]);
    assert_eq!(token(&store), PASSWORD, "the code took the place of the password");
}

#[test]
fn a_refused_code_does_not_take_the_place_of_the_password_either() {
    let (store, alice) = alice();
    let login = alice.login_through(&password_first(&store, ""));
    let login = login.types(PASSWORD).types(alice.wrong_code(alice.now, 0)).run();
    assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    assert_eq!(token(&store), PASSWORD);
}

#[test]
fn use_first_pass_takes_the_code_that_was_given_before_and_never_asks() {
    let (store, alice) = alice();
    let stack = password_first(&store, "use_first_pass");
    let code = alice.code(alice.now);
    let login = alice.login_through(&stack).types(&code).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Password: "]);
    assert_refused(&alice.login_through(&stack).types(&code).run(), PamCode::AUTH_ERR, "replayed");
    let login = alice.login_through(&stack).types(PASSWORD).run();
    assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    assert_eq!(login.prompts(), ["Password: "]);
}

#[test]
fn use_first_pass_without_a_token_refuses_and_never_asks() {
    let (store, alice) = alice();
    let login = alice.login_through(&store.stack_with("use_first_pass")).run();
    assert_ne!(login.result(), PamCode::SUCCESS, "{login:#?}");
    assert_eq!(login.prompts(), Vec::<String>::new());
}

#[test]
fn try_first_pass_takes_the_code_that_was_given_before_and_asks_otherwise() {
    let (store, alice) = alice();
    let stack = password_first(&store, "try_first_pass");
    let login = alice.login_through(&stack).types(alice.code(alice.now)).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Password: "]);
    let later = alice.now + 1;
    let login =
        alice.login_through(&stack).at(alice.at(later)).types(PASSWORD).types(alice.code(later)).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Password: ", "Verification code: "]);
    assert_eq!(token(&store), PASSWORD);
}

#[test]
fn try_first_pass_without_a_token_asks() {
    let (store, alice) = alice();
    let login = alice.login_through(&store.stack_with("try_first_pass")).types(alice.code(alice.now)).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Verification code: "]);
}

#[test]
fn forward_pass_splits_password_and_code_and_hands_the_password_on() {
    let (store, alice) = alice();
    let stack = module_first(&store, "forward_pass");
    let login = alice.login_through(&stack).types(format!("{PASSWORD}{}", alice.code(alice.now))).run();
    assert_let_in(&login);
    assert_eq!(token(&store), PASSWORD);
    // The module asked; nobody after it had to.
    assert_eq!(login.prompts().len(), 1);
}

#[test]
fn forward_pass_hands_the_password_on_also_if_the_code_is_wrong() {
    let (store, alice) = alice();
    let stack = module_first(&store, "forward_pass");
    let login =
        alice.login_through(&stack).types(format!("{PASSWORD}{}", alice.wrong_code(alice.now, 0))).run();
    assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    assert_eq!(token(&store), PASSWORD);
}

#[test]
fn forward_pass_splits_what_was_given_before_too() {
    let (store, alice) = alice();
    let stack = password_first(&store, "use_first_pass forward_pass");
    let login = alice.login_through(&stack).types(format!("{PASSWORD}{}", alice.code(alice.now))).run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["Password: "]);
    assert_eq!(token(&store), PASSWORD);
}

#[test]
fn forward_pass_refuses_a_password_without_a_code() {
    let (store, alice) = alice();
    let stack = module_first(&store, "forward_pass");
    for typed in [PASSWORD, "x", "12345", "hunter2-12a456"] {
        // Where the module sets no token, pam_exec after it asks for one itself.
        let login = alice.login_through(&stack).types(typed).types(PASSWORD).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
    assert_eq!(alice.failures(&store), 0);
}

#[test]
fn forward_pass_takes_exactly_the_digits_of_the_device_off_a_password_that_ends_in_digits() {
    let store = Store::temporary();
    let six = Account::enroll_with(&store, "six", &["--digits", "6"]);
    let eight = Account::enroll_with(&store, "eight", &["--digits", "8"]);
    let stack = module_first(&store, "forward_pass");
    for (step, password) in (six.now.max(eight.now)..).zip(["summer2026", "12345678", "1", "x 1-2"]) {
        for person in [&six, &eight] {
            let login = person.login_through(&stack).at(person.at(step));
            assert_let_in(&login.types(format!("{password}{}", person.code(step))).run());
            assert_eq!(token(&store), password, "{}", person.user);
        }
    }
}

#[test]
fn forward_pass_takes_a_recovery_code_off_too() {
    let (store, alice) = alice_with_recovery_codes();
    let stack = module_first(&store, "forward_pass");
    let code = alice.recovery_codes().first().unwrap();
    let login = alice.login_through(&stack).types(format!("{PASSWORD}{code}")).run();
    assert_let_in(&login);
    assert_eq!(token(&store), PASSWORD);
}
